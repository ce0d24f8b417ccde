//! Filters as query parameters write them, and their canonical text.

use std::fmt::Write as _;

use audittrail_entry::{Outcome, Timestamp};

use crate::details::{DetailsPath, DetailsTest, Written};
use crate::text::{fold, words};
use crate::{Filter, IpBlock, Member, Test, Window};

/// A parameter that cannot be used, with what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{parameter}: {detail}")]
pub struct ParameterError {
    /// The parameter's name as it was sent.
    pub parameter: String,
    /// A sentence.
    pub detail: String,
}

const BOUNDS: [&str; 6] = [
    "start_time",
    "end_time",
    "received_from",
    "received_to",
    "index_from",
    "index_to",
];

/// How parameters begin that name a path in `details`.
const DETAILS: &str = "details.";
/// The most words that one query looks for.
const MAX_WORDS: usize = 100;
/// The longest text, in characters, that is looked for within another.
const MAX_PART: usize = 256;
const EXISTS: &str = "__exists";

impl Filter {
    /// Whether a parameter of this name belongs to the filter.
    pub fn takes(name: &str) -> bool {
        text_parameter(name).is_some()
            || BOUNDS.contains(&name)
            || name == "source_ip"
            || name == "verified"
            || name == "q"
            || name.starts_with(DETAILS)
    }

    /// Reads the parameters of a filter, each of which may be given once.
    ///
    /// # Errors
    /// All parameters that are repeated, unknown or have a value that cannot be used.
    pub fn from_parameters<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Vec<ParameterError>> {
        let mut filter = Self::default();
        let mut seen = std::collections::BTreeSet::new();
        let mut errors = Vec::new();
        for (name, value) in parameters {
            let outcome = if seen.insert(name) {
                filter.set(name, value)
            } else {
                Err(
                    "is given twice; give it once, or use the __in form for several values"
                        .to_owned(),
                )
            };
            if let Err(detail) = outcome {
                errors.push(ParameterError {
                    parameter: name.to_owned(),
                    detail,
                });
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        filter.texts.sort();
        filter.details.sort();
        Ok(filter)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        if let Some((member, suffix)) = text_parameter(name) {
            let test = match suffix {
                "" => Test::Equals(one_value(member, value)?),
                "__in" => Test::In(values(member, value)?),
                "__contains" => Test::Contains(part(value)?),
                "__prefix" => Test::StartsWith(one_value(member, value)?),
                _ => Test::NotIn(values(member, value)?),
            };
            self.texts.push((member, test));
            return Ok(());
        }
        if let Some(path) = name.strip_prefix(DETAILS) {
            self.details.push(details(path, value)?);
            return Ok(());
        }
        match name {
            "q" => self.words = searched(value)?,
            "start_time" => self.timestamp.from = Some(time(value)?),
            "end_time" => self.timestamp.to = Some(time(value)?),
            "received_from" => self.received.from = Some(time(value)?),
            "received_to" => self.received.to = Some(time(value)?),
            "index_from" => self.index.from = Some(index(value)?),
            "index_to" => self.index.to = Some(index(value)?),
            "source_ip" => {
                self.source_ip = Some(IpBlock::parse(value).ok_or(
                    "is not an address or a CIDR block; write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32",
                )?);
            }
            "verified" if value == "false" => self.failed = true,
            "verified" => {
                return Err(
                    "takes only false, which lists the entries known to have failed \
                            verification; leave it out otherwise"
                        .to_owned(),
                );
            }
            _ => return Err("is not a filter; docs/api.md lists them".to_owned()),
        }
        Ok(())
    }

    /// The filter in one unambiguous line: equal filters give equal text.
    pub fn canonical(&self) -> String {
        let mut text = String::new();
        for (member, test) in &self.texts {
            // Debug quotes and escapes strings, so that no value can imitate another filter.
            let _ = write!(text, "{} {test:?};", member.as_str());
        }
        for (path, test) in &self.details {
            let _ = write!(text, "details {:?} {test:?};", path.names());
        }
        if !self.words.is_empty() {
            let _ = write!(text, "words {:?};", self.words);
        }
        if let Some(block) = self.source_ip {
            let _ = write!(text, "source_ip {block};");
        }
        write_window(&mut text, "timestamp", self.timestamp);
        write_window(&mut text, "received", self.received);
        write_window(&mut text, "index", self.index);
        if self.failed {
            text.push_str("failed;");
        }
        text
    }
}

fn write_window<T: std::fmt::Display>(text: &mut String, name: &str, window: Window<T>) {
    if let Some(from) = window.from {
        let _ = write!(text, "{name}>={from};");
    }
    if let Some(to) = window.to {
        let _ = write!(text, "{name}<={to};");
    }
}

fn text_parameter(name: &str) -> Option<(Member, &str)> {
    Member::ALL.into_iter().find_map(|member| {
        let suffix = name.strip_prefix(member.as_str())?;
        let taken = match suffix {
            "" | "__in" | "__nin" => true,
            "__contains" => matches!(member, Member::Action | Member::Resource),
            "__prefix" => member == Member::Action,
            _ => false,
        };
        taken.then_some((member, suffix))
    })
}

/// The condition of `details.<path>` or `details.<path>__exists`.
fn details(name: &str, value: &str) -> Result<(DetailsPath, DetailsTest), String> {
    let (path, test) = match name.strip_suffix(EXISTS) {
        Some(path) => {
            let wanted = value
                .parse()
                .map_err(|_| "takes true or false".to_owned())?;
            (path, DetailsTest::Exists(wanted))
        }
        None => (name, DetailsTest::Equals(Written::new(value))),
    };
    let path = DetailsPath::parse(path).ok_or(
        "is not a path in details; write names with dots between them, \\. for a dot within a \
         name and \\\\ for a backslash",
    )?;
    Ok((path, test))
}

/// The words to look for, each once.
fn searched(value: &str) -> Result<Vec<String>, String> {
    let mut wanted: Vec<String> = words(value).map(std::borrow::Cow::into_owned).collect();
    wanted.sort();
    wanted.dedup();
    if wanted.is_empty() {
        return Err("has no word to look for; give letters or digits".to_owned());
    }
    if wanted.len() > MAX_WORDS {
        return Err(format!("has more than {MAX_WORDS} words; give fewer"));
    }
    Ok(wanted)
}

/// A folded part of a text.
fn part(value: &str) -> Result<String, String> {
    if value.is_empty() {
        return Err("is empty; give the part to look for".to_owned());
    }
    if value.chars().nth(MAX_PART).is_some() {
        return Err(format!(
            "has more than {MAX_PART} characters; give a shorter part"
        ));
    }
    Ok(fold(value).into_owned())
}

fn one_value(member: Member, value: &str) -> Result<String, String> {
    if value.is_empty() {
        return Err("is empty; leave it out, or give a value".to_owned());
    }
    if member == Member::Outcome && Outcome::parse(value).is_none() {
        return Err("is not an outcome; use success, failure, denied or unknown".to_owned());
    }
    Ok(value.to_owned())
}

/// Splits at commas; `\,` is a comma within a value and `\\` a backslash.
fn values(member: Member, list: &str) -> Result<Vec<String>, String> {
    let mut values = Vec::new();
    let mut current = String::new();
    let mut chars = list.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(escaped @ (',' | '\\')) => current.push(escaped),
                _ => {
                    return Err("has a stray backslash; write \\, for a comma, \\\\ for a \
                                 backslash"
                        .to_owned());
                }
            },
            ',' => values.push(one_value(member, &std::mem::take(&mut current))?),
            c => current.push(c),
        }
    }
    values.push(one_value(member, &current)?);
    values.sort();
    values.dedup();
    Ok(values)
}

/// A `+` before an offset arrives as a space where the client did not escape it.
fn time(value: &str) -> Result<i64, String> {
    let restored = match value.rfind(' ') {
        Some(at) if at > "YYYY-MM-DD".len() => {
            let (head, tail) = value.split_at(at);
            format!("{head}+{}", &tail[1..])
        }
        _ => value.to_owned(),
    };
    Timestamp::parse(&restored)
        .map(Timestamp::nanos)
        .map_err(|error| format!("is not a time: {error}; write it like 2026-11-23T08:30:00Z"))
}

fn index(value: &str) -> Result<u64, String> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .then(|| value.parse().ok())
        .flatten()
        .ok_or_else(|| "is not an index; write a whole number from 0".to_owned())
}
