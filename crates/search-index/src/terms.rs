//! What an entry is found by: byte strings, each of a kind named by its first byte.
//!
//! A query has to be written in the very same terms, so both are made here.

use std::net::IpAddr;

use audittrail_entry::Entry;
use audittrail_entry::json::Value;
use audittrail_store::details::{DetailsPath, Written, literal};
use audittrail_store::text::words;
use audittrail_store::{IpBlock, Member, searched_strings};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// A kind of term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Action = b'A',
    Outcome = b'O',
    Resource = b'R',
    Tenant = b'T',
    UserId = b'U',
    /// A prefix of the address, in whole bytes.
    Address = b'I',
    /// A scalar at a path in details.
    Details = b'D',
    /// A path in details that leads to anything.
    Exists = b'E',
    Word = b'W',
    Id = b'X',
    /// An entry that could not be read.
    Damaged = b'!',
}

impl From<Member> for Kind {
    fn from(member: Member) -> Self {
        match member {
            Member::Action => Self::Action,
            Member::Outcome => Self::Outcome,
            Member::Resource => Self::Resource,
            Member::Tenant => Self::Tenant,
            Member::UserId => Self::UserId,
        }
    }
}

/// A text that is longer stands in a term as its hash: the dictionary stays small, whatever
/// clients send.
const LONG: usize = 192;
/// Neither byte occurs in UTF-8, so a hash is never taken for a text.
const HASHED: u8 = 0xFF;
/// Between the names of a path.
const NAME_END: u8 = 0;

/// The term for a text of this kind.
pub(crate) fn text(kind: Kind, text: &str) -> Vec<u8> {
    let mut term = Vec::new();
    put_text(&mut term, kind, text);
    term
}

/// As [`text`], in place of what is in `term`.
fn put_text(term: &mut Vec<u8>, kind: Kind, text: &str) {
    begin(term, kind);
    if kind == Kind::Action {
        // Short by the limits of an entry, and searched by its beginning.
        term.extend(text.as_bytes());
    } else {
        push(term, text.as_bytes());
    }
}

fn begin(term: &mut Vec<u8>, kind: Kind) {
    term.clear();
    term.push(kind as u8);
}

/// The range of terms, the end included, of actions that begin so.
pub(crate) fn actions_starting(start: &str) -> (Vec<u8>, Vec<u8>) {
    let from = text(Kind::Action, start);
    let mut to = from.clone();
    // Above every byte of UTF-8.
    to.push(0xFF);
    (from, to)
}

pub(crate) fn id(id: &Uuid) -> Vec<u8> {
    let mut term = vec![Kind::Id as u8];
    term.extend(id.as_bytes());
    term
}

pub(crate) fn damaged() -> Vec<u8> {
    vec![Kind::Damaged as u8]
}

fn push(term: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.len() <= LONG {
        term.extend(bytes);
    } else {
        term.push(HASHED);
        term.extend(Sha256::digest(bytes));
    }
}

/// An address's first bytes: family, how many, and they.
fn address_prefix(octets: &[u8], len: usize) -> Vec<u8> {
    let mut term = vec![Kind::Address as u8, octets.len() as u8, len as u8];
    term.extend(&octets[..len]);
    term
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The range of terms, the end included, of a block: those of its whole bytes, rounded up.
pub(crate) fn block(block: &IpBlock) -> (Vec<u8>, Vec<u8>) {
    let (low, bits) = (octets(block.address()), usize::from(block.prefix()));
    let len = bits.div_ceil(8).max(1);
    let (mut from, mut to) = (low.clone(), low);
    for at in 0..len {
        // How many bits of this byte the block fixes.
        let fixed = bits.saturating_sub(at * 8).min(8);
        let free = if fixed == 0 {
            0xFF
        } else {
            0xFF_u8.checked_shr(fixed as u32).unwrap_or(0)
        };
        from[at] &= !free;
        to[at] |= free;
    }
    (address_prefix(&from, len), address_prefix(&to, len))
}

/// A path in terms: each name with its end; names hold no NUL unless escaped.
#[derive(Debug, Clone, Default)]
struct PathTerm {
    bytes: Vec<u8>,
}

impl PathTerm {
    fn enter(&mut self, name: &str) -> usize {
        let before = self.bytes.len();
        if name.is_empty() {
            // Two ends in a row would be taken for the end of the path.
            self.bytes.extend([1, 3]);
        }
        for byte in name.bytes() {
            match byte {
                // 0 ends a name; 1 escapes it and itself.
                0 | 1 => self.bytes.extend([1, byte + 1]),
                byte => self.bytes.push(byte),
            }
        }
        self.bytes.push(NAME_END);
        before
    }

    fn leave(&mut self, before: usize) {
        self.bytes.truncate(before);
    }

    fn put_exists(&self, term: &mut Vec<u8>) {
        begin(term, Kind::Exists);
        push(term, &self.bytes);
    }

    fn put_scalar(&self, term: &mut Vec<u8>, is_text: bool, value: &str) {
        begin(term, Kind::Details);
        push(term, &self.bytes);
        // A second NUL: no name begins here.
        term.extend([NAME_END, if is_text { b's' } else { b'l' }]);
        push(term, value.as_bytes());
    }

    fn exists(&self) -> Vec<u8> {
        let mut term = Vec::new();
        self.put_exists(&mut term);
        term
    }

    fn scalar(&self, is_text: bool, value: &str) -> Vec<u8> {
        let mut term = Vec::new();
        self.put_scalar(&mut term, is_text, value);
        term
    }
}

fn path_term(path: &DetailsPath) -> PathTerm {
    let mut term = PathTerm::default();
    for name in path.names() {
        term.enter(name);
    }
    term
}

/// The term of entries in which something lies at this path.
pub(crate) fn exists(path: &DetailsPath) -> Vec<u8> {
    path_term(path).exists()
}

/// The terms of which an entry has one if this scalar lies at this path.
pub(crate) fn written(path: &DetailsPath, value: &Written) -> Vec<Vec<u8>> {
    let path = path_term(path);
    let mut terms = vec![path.scalar(true, &value.text)];
    terms.extend(value.literal.iter().map(|text| path.scalar(false, text)));
    terms
}

/// Gives each term of an entry; some more than once.
pub(crate) fn of(entry: &Entry<'_>, each: &mut impl FnMut(&[u8])) {
    each(&id(&entry.open.id));
    let mut term = Vec::with_capacity(2 * LONG);
    for member in Member::ALL {
        if let Some(value) = member.of(entry) {
            put_text(&mut term, member.into(), value);
            each(&term);
        }
    }
    if let Some(sealed) = &entry.sealed {
        if let Some(address) = sealed.source_ip {
            let octets = octets(address.to_canonical());
            (1..=octets.len()).for_each(|len| each(&address_prefix(&octets, len)));
        }
        if let Some(details) = &sealed.details {
            walk(details, &mut PathTerm::default(), &mut term, each);
        }
    }
    searched_strings(entry, &mut |string| {
        words(string).for_each(|word| {
            put_text(&mut term, Kind::Word, &word);
            each(&term);
        });
    });
}

fn walk(value: &Value<'_>, path: &mut PathTerm, term: &mut Vec<u8>, each: &mut impl FnMut(&[u8])) {
    match value {
        Value::Object(members) => {
            for (name, inner) in members {
                let before = path.enter(name);
                path.put_exists(term);
                each(term);
                walk(inner, path, term, each);
                path.leave(before);
            }
        }
        Value::Array(elements) => elements
            .iter()
            .for_each(|element| walk(element, path, term, each)),
        Value::String(text) => {
            path.put_scalar(term, true, text);
            each(term);
        }
        scalar => {
            if let Some(text) = literal(scalar) {
                path.put_scalar(term, false, text);
                each(term);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(names: &[&str]) -> PathTerm {
        let mut path = PathTerm::default();
        for name in names {
            path.enter(name);
        }
        path
    }

    #[test]
    fn no_path_with_a_value_is_another() {
        let all: &[(&[&str], &str)] = &[
            (&["a"], "X\0\0sV"),
            (&["a", "", "sX"], "V"),
            (&["a", "", "sX", ""], "V"),
            (&["a", ""], "V"),
            (&["a\0", "sX"], "V"),
            (&["a\u{1}\u{3}"], "V"),
            (&["a", "\u{1}\u{3}"], "V"),
            (&["", "a"], "V"),
            (&["a"], "V"),
        ];
        let mut terms: Vec<Vec<u8>> = Vec::new();
        for (names, value) in all {
            terms.extend([true, false].map(|is_text| path(names).scalar(is_text, value)));
        }
        let mut different = terms.clone();
        different.sort();
        different.dedup();
        assert_eq!(different.len(), terms.len());
        let mut exists: Vec<_> = all.iter().map(|(names, _)| path(names).exists()).collect();
        exists.sort();
        exists.dedup();
        assert_eq!(exists.len(), all.len() - 1, "one path is there twice");
    }
}
