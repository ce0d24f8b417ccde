//! Entries as clients send them.

use std::borrow::Cow;
use std::net::IpAddr;

use uuid::Uuid;

use crate::json::{Value, parse, write_canonical, write_string};
use crate::record::{OpenPart, Record, Sealed, commitment};
use crate::{SigningKey, Timestamp, Violation};

/// How an action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was tried and failed.
    Failure,
    /// It was not allowed.
    Denied,
    /// Nobody knows.
    Unknown,
}

impl Outcome {
    /// As written in entries.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Denied => "denied",
            Self::Unknown => "unknown",
        }
    }

    /// The outcome written so.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Success, Self::Failure, Self::Denied, Self::Unknown]
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
    }
}

/// Bounds that an operator may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest sealed part in bytes: 256 KiB by default, 1 MiB at most.
    pub sealed_bytes: usize,
    /// How far ahead of the server a timestamp may be, in nanoseconds: 24 hours.
    pub future_ns: i64,
    /// How deep `details` may nest, itself included: 32.
    pub details_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sealed_bytes: 256 << 10,
            future_ns: 24 * 3_600 * 1_000_000_000,
            details_depth: 32,
        }
    }
}

/// A valid entry as it was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEntry<'a> {
    /// What was done.
    pub action: Cow<'a, str>,
    /// Who did it.
    pub user_id: Option<Cow<'a, str>>,
    /// When it happened.
    pub timestamp: Option<Timestamp>,
    /// What was acted on.
    pub resource: Option<Cow<'a, str>>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// From where.
    pub source_ip: Option<IpAddr>,
    /// Whose log it is in.
    pub tenant: Option<Cow<'a, str>>,
    /// Anything else.
    pub details: Option<Value<'a>>,
    /// Makes a retry harmless.
    pub id: Option<Uuid>,
}

/// Who sends an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitter<'a> {
    /// The token's issuer, where it has one.
    pub iss: Option<&'a str>,
    /// The token's subject.
    pub sub: &'a str,
}

/// What sealing adds to an entry.
#[derive(Debug, Clone, Copy)]
pub struct SealWith<'a> {
    /// Who sent it.
    pub submitter: &'a Submitter<'a>,
    /// When the server took it.
    pub received_at: Timestamp,
    /// Its id.
    pub id: Uuid,
    /// Random, new for each entry.
    pub salt: [u8; 32],
    /// Signs the leaf.
    pub key: &'a SigningKey,
    /// The log's name.
    pub origin: &'a str,
    /// Bounds.
    pub limits: &'a Limits,
}

impl<'a> NewEntry<'a> {
    /// Reads one entry.
    ///
    /// # Errors
    /// Everything that is wrong with it; of malformed JSON, the first place.
    pub fn parse(bytes: &'a [u8], limits: &Limits, now: Timestamp) -> Result<Self, Vec<Violation>> {
        let value = parse(bytes, limits.details_depth + 1).map_err(|violation| vec![violation])?;
        Self::from_value(value, limits, now)
    }

    /// The entry in a JSON value; pointers are relative to it.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn from_value(
        value: Value<'a>,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Self, Vec<Violation>> {
        let Value::Object(members) = value else {
            return Err(vec![Violation::new("", "an entry is a JSON object")]);
        };
        let mut reader = Reader {
            limits,
            now,
            violations: Vec::new(),
        };
        let mut entry = Self {
            action: Cow::Borrowed(""),
            user_id: None,
            timestamp: None,
            resource: None,
            outcome: None,
            source_ip: None,
            tenant: None,
            details: None,
            id: None,
        };
        let mut action = None;
        for (name, value) in members {
            if value == Value::Null && is_member(&name) {
                continue;
            }
            match &*name {
                "action" => action = Some(reader.text("action", value, 256)),
                "user_id" => entry.user_id = reader.text("user_id", value, 256),
                "timestamp" => entry.timestamp = reader.timestamp(value),
                "resource" => entry.resource = reader.text("resource", value, 1_024),
                "outcome" => entry.outcome = reader.outcome(&value),
                "source_ip" => entry.source_ip = reader.source_ip(&value),
                "tenant" => entry.tenant = reader.text("tenant", value, 128),
                "details" => entry.details = reader.details(value),
                "id" => entry.id = reader.id(&value),
                other => {
                    let violation =
                        Violation::new("", "an entry has no such member; put it into details");
                    reader.push(violation.below(other));
                }
            }
        }
        match action {
            Some(action) => entry.action = action.unwrap_or_default(),
            None => reader.found("action", "is missing; say what was done"),
        }
        if reader.violations.is_empty() {
            Ok(entry)
        } else {
            Err(reader.violations)
        }
    }

    /// Canonical JSON of what can be erased.
    pub fn sealed_bytes(&self, submitter: &Submitter<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        let mut separator = b'{';
        let mut name = |out: &mut Vec<u8>, name: &str| {
            out.push(separator);
            separator = b',';
            write_string(name, out);
            out.push(b':');
        };
        if let Some(details) = &self.details {
            name(&mut out, "details");
            write_canonical(details, &mut out);
        }
        if let Some(resource) = &self.resource {
            name(&mut out, "resource");
            write_string(resource, &mut out);
        }
        if let Some(source_ip) = &self.source_ip {
            name(&mut out, "source_ip");
            write_string(&source_ip.to_string(), &mut out);
        }
        name(&mut out, "submitted_by");
        out.push(b'{');
        if let Some(iss) = submitter.iss {
            out.extend(b"\"iss\":");
            write_string(iss, &mut out);
            out.push(b',');
        }
        out.extend(b"\"sub\":");
        write_string(submitter.sub, &mut out);
        out.push(b'}');
        if let Some(user_id) = &self.user_id {
            name(&mut out, "user_id");
            write_string(user_id, &mut out);
        }
        out.push(b'}');
        out
    }

    /// Makes the record.
    ///
    /// # Errors
    /// If the sealed part is too large.
    pub fn seal(&self, with: SealWith<'_>) -> Result<Record, Violation> {
        let sealed = self.sealed_bytes(with.submitter);
        if sealed.len() > with.limits.sealed_bytes {
            let detail = format!(
                "details, resource, source_ip, user_id and submitter take {} bytes; {} are \
                 possible: keep large content elsewhere and name it here",
                sealed.len(),
                with.limits.sealed_bytes
            );
            return Err(Violation::new("/details", detail));
        }
        let open = OpenPart {
            action: Cow::Borrowed(&self.action),
            id: with.id,
            outcome: self.outcome,
            received_at: with.received_at,
            commitment: commitment(&with.salt, &sealed),
            tenant: self.tenant.as_deref().map(Cow::Borrowed),
            timestamp: self.timestamp.unwrap_or(with.received_at),
        };
        let leaf = open.to_leaf();
        Ok(Record {
            signature: with.key.sign(with.origin, &leaf),
            key_id: with.key.key_id(),
            leaf,
            sealed: Some(Sealed {
                bytes: sealed,
                salt: with.salt,
            }),
        })
    }
}

/// Reads a JSON array of entries. The pointers in it are from the root of the array.
///
/// # Errors
/// If it is not a JSON array, or has more entries than that.
pub fn parse_array<'a>(
    bytes: &'a [u8],
    limits: &Limits,
    now: Timestamp,
    max_entries: usize,
) -> Result<Vec<Result<NewEntry<'a>, Vec<Violation>>>, Violation> {
    let Value::Array(values) = parse(bytes, limits.details_depth + 2)? else {
        return Err(Violation::new("", "a batch is a JSON array of entries"));
    };
    if values.len() > max_entries {
        let detail = format!(
            "{} entries; send at most {max_entries} at once",
            values.len()
        );
        return Err(Violation::new("", detail));
    }
    let entries = values.into_iter().enumerate().map(|(position, value)| {
        NewEntry::from_value(value, limits, now).map_err(|violations| {
            let position = position.to_string();
            violations
                .into_iter()
                .map(|violation| violation.below(&position))
                .collect()
        })
    });
    Ok(entries.collect())
}

/// Reads entries, one a line, with the numbers of their lines from 1; blank lines are none.
pub fn parse_lines<'a>(
    bytes: &'a [u8],
    limits: &Limits,
    now: Timestamp,
) -> impl Iterator<Item = (usize, Result<NewEntry<'a>, Vec<Violation>>)> {
    let lines = (1..).zip(bytes.split(|byte| *byte == b'\n'));
    let filled = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    filled.map(move |(number, line)| (number, NewEntry::parse(line, limits, now)))
}

fn is_member(name: &str) -> bool {
    matches!(
        name,
        "action"
            | "user_id"
            | "timestamp"
            | "resource"
            | "outcome"
            | "source_ip"
            | "tenant"
            | "details"
            | "id"
    )
}

/// So many violations of one entry are named.
const VIOLATIONS: usize = 100;

struct Reader<'l> {
    limits: &'l Limits,
    now: Timestamp,
    violations: Vec<Violation>,
}

impl Reader<'_> {
    /// Takes note of a violation; of too many, the first are enough.
    fn push(&mut self, violation: Violation) {
        if self.violations.len() < VIOLATIONS {
            self.violations.push(violation);
        }
    }

    fn found(&mut self, member: &str, detail: impl Into<String>) {
        self.push(Violation::new(format!("/{member}"), detail));
    }

    fn text<'a>(&mut self, member: &str, value: Value<'a>, max: usize) -> Option<Cow<'a, str>> {
        let Value::String(text) = value else {
            self.found(member, "is not a string; write it in quotes");
            return None;
        };
        if text.is_empty() {
            self.found(member, "is empty; leave it out, or give a value");
        } else if text.len() > max {
            let len = text.len();
            self.found(member, format!("has {len} bytes; {max} are possible"));
        } else if text.chars().any(char::is_control) {
            self.found(
                member,
                "has control characters; they are possible in details only",
            );
        }
        Some(text)
    }

    fn timestamp(&mut self, value: Value<'_>) -> Option<Timestamp> {
        let text = self.text("timestamp", value, 64)?;
        match Timestamp::parse(&text) {
            Err(_) if text.is_empty() => None,
            Err(error) => {
                self.found(
                    "timestamp",
                    format!("{error}; write it like 2026-11-23T08:30:00Z"),
                );
                None
            }
            Ok(time) if time.nanos() > self.now.nanos().saturating_add(self.limits.future_ns) => {
                self.found(
                    "timestamp",
                    "is more than 24 hours ahead of the server's clock",
                );
                None
            }
            Ok(time) => Some(time),
        }
    }

    fn outcome(&mut self, value: &Value<'_>) -> Option<Outcome> {
        let outcome = value.as_str().and_then(Outcome::parse);
        if outcome.is_none() {
            self.found(
                "outcome",
                "is not one of success, failure, denied and unknown",
            );
        }
        outcome
    }

    fn source_ip(&mut self, value: &Value<'_>) -> Option<IpAddr> {
        let address = value.as_str().and_then(|text| text.parse::<IpAddr>().ok());
        if address.is_none() {
            self.found(
                "source_ip",
                "is not an IPv4 or IPv6 address without zone or port",
            );
        }
        address.map(|address| address.to_canonical())
    }

    fn id(&mut self, value: &Value<'_>) -> Option<Uuid> {
        let id = value.as_str().filter(|text| text.len() == 36);
        let id = id.and_then(|text| Uuid::try_parse(text).ok());
        if id.is_none() {
            self.found(
                "id",
                "is not a UUID like 0198c0de-0000-7000-8000-000000000000",
            );
        } else if id.is_some_and(|id| id.is_nil()) {
            // RFC 9562, section 5.9: it stands for the absence of one, and nothing is found by it.
            self.found(
                "id",
                "is the nil UUID, which is nobody's; leave it out to get one",
            );
        }
        id
    }

    fn details<'a>(&mut self, value: Value<'a>) -> Option<Value<'a>> {
        if !matches!(value, Value::Object(_)) {
            self.found("details", "is not an object");
            return None;
        }
        if let Some(violation) = find_nul(&value) {
            self.push(violation.below("details"));
        }
        Some(value)
    }
}

/// The first string or name with a NUL character.
fn find_nul(value: &Value<'_>) -> Option<Violation> {
    let found = |text: &str| {
        text.contains('\0').then(|| {
            Violation::new(
                "",
                "has a NUL character, which cannot be kept; leave it out",
            )
        })
    };
    match value {
        Value::String(text) => found(text),
        Value::Array(values) => values.iter().enumerate().find_map(|(position, value)| {
            find_nul(value).map(|violation| violation.below(&position.to_string()))
        }),
        Value::Object(members) => members.iter().find_map(|(name, value)| {
            found(name)
                .or_else(|| find_nul(value))
                .map(|violation| violation.below(name))
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}
