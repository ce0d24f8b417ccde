//! The lines after the header, as they are read.

use std::borrow::Cow;

use audittrail_entry::KeyId;
use audittrail_merkle::Hash;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::scan::{Scanned, Scanner};

/// A tree of fewer than 2^64 leaves has no longer path.
const HASHES_MAX: usize = 64;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    Entry(Entry<'a>),
    /// The server says that this entry does not verify.
    Failed {
        index: u64,
        error: Cow<'a, str>,
    },
    End {
        count: u64,
    },
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) index: u64,
    pub(crate) leaf: Cow<'a, str>,
    pub(crate) sealed: Option<(Cow<'a, str>, [u8; 32])>,
    pub(crate) signature: [u8; 32],
    pub(crate) key_id: KeyId,
    pub(crate) proof: Vec<Hash>,
}

#[derive(Default)]
struct Members<'a> {
    index: Option<u64>,
    leaf: Option<Cow<'a, str>>,
    sealed: Option<Cow<'a, str>>,
    salt: Option<[u8; 32]>,
    signature: Option<[u8; 32]>,
    key_id: Option<KeyId>,
    proof: Option<Vec<Hash>>,
    error: Option<Cow<'a, str>>,
    end: Option<()>,
    count: Option<u64>,
}

impl<'a> Line<'a> {
    /// Reads a line; else what is wrong, and the byte where.
    pub(crate) fn parse(bytes: &'a [u8]) -> Scanned<Self> {
        let text =
            std::str::from_utf8(bytes).map_err(|at| ("it is not UTF-8", at.valid_up_to()))?;
        let mut scanner = Scanner::new(text);
        let mut members = Members::default();
        scanner.expect(b'{', "it is no JSON object")?;
        loop {
            members.read(&mut scanner)?;
            if scanner.next_is(b'}') {
                break;
            }
            scanner.expect(b',', "a comma or } is missing")?;
        }
        scanner.end()?;
        match members.line() {
            Some(line) => Ok(line),
            None => scanner.fail("members are missing, or some that exclude each other are there"),
        }
    }
}

impl<'a> Members<'a> {
    fn read(&mut self, scanner: &mut Scanner<'a>) -> Scanned<()> {
        let name = scanner.string()?;
        scanner.expect(b':', "a colon is missing")?;
        let is_new = match &*name {
            "index" => self.index.replace(scanner.whole()?).is_none(),
            "leaf" => self.leaf.replace(scanner.string()?).is_none(),
            "sealed" => self.sealed.replace(scanner.string()?).is_none(),
            "salt" => self.salt.replace(salt(scanner)?).is_none(),
            "signature" => self.signature.replace(hex(scanner)?).is_none(),
            "key_id" => self.key_id.replace(KeyId(hex(scanner)?)).is_none(),
            "proof" => self.proof.replace(proof(scanner)?).is_none(),
            "error" => self.error.replace(scanner.string()?).is_none(),
            "end" => self.end.replace(scanner.is_true()?).is_none(),
            "count" => self.count.replace(scanner.whole()?).is_none(),
            _ => return scanner.fail("there is no such member in evidence of version 1"),
        };
        if is_new {
            Ok(())
        } else {
            scanner.fail("a member is there twice")
        }
    }

    fn line(self) -> Option<Line<'a>> {
        match self {
            Self {
                index: Some(index),
                leaf: Some(leaf),
                sealed,
                salt,
                signature: Some(signature),
                key_id: Some(key_id),
                proof: Some(proof),
                error: None,
                end: None,
                count: None,
            } => {
                let sealed = match (sealed, salt) {
                    (Some(sealed), Some(salt)) => Some((sealed, salt)),
                    (None, None) => None,
                    _ => return None,
                };
                Some(Line::Entry(Entry {
                    index,
                    leaf,
                    sealed,
                    signature,
                    key_id,
                    proof,
                }))
            }
            Self {
                index: Some(index),
                error: Some(error),
                leaf: None,
                sealed: None,
                salt: None,
                signature: None,
                key_id: None,
                proof: None,
                end: None,
                count: None,
            } => Some(Line::Failed { index, error }),
            Self {
                end: Some(()),
                count: Some(count),
                index: None,
                leaf: None,
                sealed: None,
                salt: None,
                signature: None,
                key_id: None,
                proof: None,
                error: None,
            } => Some(Line::End { count }),
            _ => None,
        }
    }
}

fn salt(scanner: &mut Scanner<'_>) -> Scanned<[u8; 32]> {
    let text = scanner.string()?;
    let bytes = URL_SAFE_NO_PAD.decode(text.as_bytes()).ok();
    match bytes.and_then(|bytes| bytes.try_into().ok()) {
        Some(salt) => Ok(salt),
        None => scanner.fail("the salt is not 32 bytes in base64url without padding"),
    }
}

/// Exactly as many lower-case hexadecimal digits.
fn hex<const N: usize>(scanner: &mut Scanner<'_>) -> Scanned<[u8; N]> {
    let text = scanner.string()?;
    let mut bytes = [0; N];
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes().chunks_exact(2);
    let sound = text.len() == 2 * N
        && pairs.zip(&mut bytes).all(|(pair, byte)| {
            let value = digit(pair[0]).zip(digit(pair[1]));
            value.map(|(high, low)| *byte = high << 4 | low).is_some()
        });
    if sound {
        Ok(bytes)
    } else {
        scanner.fail("it is not of so many lower-case hexadecimal digits")
    }
}

fn proof(scanner: &mut Scanner<'_>) -> Scanned<Vec<Hash>> {
    let mut hashes = Vec::new();
    scanner.expect(b'[', "the proof is no array")?;
    if scanner.next_is(b']') {
        return Ok(hashes);
    }
    loop {
        if hashes.len() == HASHES_MAX {
            return scanner.fail("the proof has more hashes than any tree is high");
        }
        let mut hash = Hash([0; 32]);
        let text = scanner.string()?;
        // The decoder wants room for what the padding stands for, too.
        let mut room = [0; 33];
        match STANDARD.decode_slice(text.as_bytes(), &mut room) {
            Ok(32) => hash.0.copy_from_slice(&room[..32]),
            _ => return scanner.fail("a hash is not 32 bytes in base64"),
        }
        hashes.push(hash);
        if scanner.next_is(b']') {
            return Ok(hashes);
        }
        scanner.expect(b',', "a comma or ] is missing")?;
    }
}
