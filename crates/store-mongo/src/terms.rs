//! By what an entry's `details` are found: texts of path and value, which are the elements of
//! one array under one index.
//!
//! A path is its names, each followed by NUL; within names NUL and U+0001 are escaped. `p` and a
//! path, or `h` and the hash of one that is longer than 192 bytes, followed by
//!
//! - NUL, `s` and a text, or NUL, `l` and another scalar as it is written: a value at the path;
//!   `S` and `L` where the hash of a longer one stands instead;
//! - NUL and `e`: something is there. It is in the array where nothing else shows it: an empty
//!   object or array, a path that is hashed, and one below which a path is.
//!
//! So something lies at a short path if a term begins with it, and the terms of an array are one
//! for each scalar, more or less.

use std::collections::BTreeSet;

use audittrail_entry::json::Value;
use audittrail_store::details::{DetailsPath, Written, literal};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// What is longer stands as its hash.
const LONG: usize = 192;
/// So many terms, of so many bytes, an entry has at most; one with more has [`MANY`] alone.
const MOST_TERMS: usize = 2_000;
const MOST_BYTES: usize = 256 << 10;

/// Stands for the terms of an entry that has too many: it may have any.
pub(crate) const MANY: &str = "*";

fn hashed(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}

#[derive(Debug, Clone, Default)]
struct Path(String);

impl Path {
    fn of(path: &DetailsPath) -> Self {
        let mut all = Self::default();
        for name in path.names() {
            all.enter(name);
        }
        all
    }

    fn enter(&mut self, name: &str) -> usize {
        let before = self.0.len();
        if name.is_empty() {
            // Two ends in a row would be taken for the end of the path.
            self.0.push_str("\u{1}\u{3}");
        }
        for c in name.chars() {
            match c {
                '\0' => self.0.push_str("\u{1}\u{1}"),
                '\u{1}' => self.0.push_str("\u{1}\u{2}"),
                c => self.0.push(c),
            }
        }
        self.0.push('\0');
        before
    }

    fn is_long(&self) -> bool {
        self.0.len() > LONG
    }

    fn head(&self) -> String {
        if self.is_long() {
            format!("h{}", hashed(&self.0))
        } else {
            format!("p{}", self.0)
        }
    }

    fn something(&self) -> String {
        format!("{}\0e", self.head())
    }

    fn scalar(&self, is_text: bool, value: &str) -> String {
        let head = self.head();
        match (is_text, value.len() > LONG) {
            (true, false) => format!("{head}\0s{value}"),
            (false, false) => format!("{head}\0l{value}"),
            (true, true) => format!("{head}\0S{}", hashed(value)),
            (false, true) => format!("{head}\0L{}", hashed(value)),
        }
    }
}

/// The terms of which an entry has one if this scalar lies at this path.
pub(crate) fn written(path: &DetailsPath, value: &Written) -> Vec<String> {
    let path = Path::of(path);
    let mut terms = vec![path.scalar(true, &value.text)];
    terms.extend(value.literal.iter().map(|text| path.scalar(false, text)));
    terms
}

/// What shows that something lies at a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Something {
    /// A term from the first on and before the second.
    Between(String, String),
    /// This term.
    Is(String),
}

/// By what an entry is found in which something lies at this path.
pub(crate) fn something(path: &DetailsPath) -> Something {
    let path = Path::of(path);
    if path.is_long() {
        return Something::Is(path.something());
    }
    let from = path.head();
    // The path ends with NUL: what comes after all that begins so begins with U+0001 there.
    let mut to = from.clone();
    to.pop();
    to.push('\u{1}');
    Something::Between(from, to)
}

/// The terms of an entry's details, in order, each once.
pub(crate) fn of(details: &Value<'_>) -> Vec<String> {
    let mut terms = Terms::default();
    terms.walk(details, &mut Path::default());
    if terms.too_many {
        return vec![MANY.to_owned()];
    }
    terms.all.into_iter().collect()
}

#[derive(Default)]
struct Terms {
    all: BTreeSet<String>,
    bytes: usize,
    too_many: bool,
}

impl Terms {
    fn add(&mut self, term: String) {
        let len = term.len();
        if self.all.insert(term) {
            self.bytes += len;
            self.too_many |= self.all.len() > MOST_TERMS || self.bytes > MOST_BYTES;
        }
    }

    fn walk(&mut self, value: &Value<'_>, path: &mut Path) {
        if self.too_many {
            return;
        }
        match value {
            Value::Object(members) if members.is_empty() => self.add(path.something()),
            Value::Array(elements) if elements.is_empty() => self.add(path.something()),
            Value::Object(members) => {
                for (name, inner) in members {
                    let was_long = path.is_long();
                    if was_long {
                        self.add(path.something());
                    }
                    let before = path.enter(name);
                    if path.is_long() && !was_long {
                        let mut above = path.clone();
                        above.0.truncate(before);
                        self.add(above.something());
                    }
                    self.walk(inner, path);
                    path.0.truncate(before);
                }
            }
            Value::Array(elements) => {
                for element in elements {
                    self.walk(element, path);
                }
            }
            scalar => {
                if path.is_long() {
                    self.add(path.something());
                }
                match scalar.as_str() {
                    Some(text) => self.add(path.scalar(true, text)),
                    None => {
                        if let Some(text) = literal(scalar) {
                            self.add(path.scalar(false, text));
                        }
                    }
                }
            }
        }
    }
}
