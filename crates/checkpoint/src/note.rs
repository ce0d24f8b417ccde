//! Signed notes, C2SP signed-note.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{Signer, VerifierKey};

/// A note may be so long; a checkpoint with cosignatures is a few kilobytes.
const NOTE_BYTES_MAX: usize = 1 << 20;
/// signed-note asks for 16 at least.
const SIGNATURES_MAX: usize = 128;

/// Why a note cannot be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It is not a signed note.
    #[error("this is not a signed note: {0}")]
    Malformed(&'static str),
    /// A signature by a known key does not hold.
    #[error("the signature by {0} does not hold")]
    Invalid(String),
    /// None of the keys signed it.
    #[error("none of the known keys signed it")]
    Unknown,
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// The name of the key.
    pub name: String,
    /// The key ID.
    pub id: [u8; 4],
    /// What follows the ID.
    pub signature: Vec<u8>,
}

/// A text and its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The signed text; it ends with a newline.
    pub text: String,
    /// In the order of their lines.
    pub signatures: Vec<NoteSignature>,
}

impl Note {
    /// A note of this text, signed by these keys.
    ///
    /// # Errors
    /// If the text cannot be a note's: it is empty, does not end with a newline, or has
    /// control characters.
    pub fn sign(text: String, signers: &[&Signer]) -> Result<Self, NoteError> {
        check_text(&text)?;
        let signatures = signers.iter().map(|signer| {
            let verifier = signer.verifier();
            NoteSignature {
                name: verifier.name().to_owned(),
                id: verifier.id(),
                signature: signer.sign(text.as_bytes()).to_vec(),
            }
        });
        Ok(Self {
            signatures: signatures.collect(),
            text,
        })
    }

    /// Reads a note.
    ///
    /// # Errors
    /// If it does not have the form of one.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(NoteError::Malformed("it is too long"));
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::Malformed("not UTF-8"))?;
        check_characters(note)?;
        let at = note
            .rfind("\n\n")
            .ok_or(NoteError::Malformed("it has no signatures"))?;
        let (text, lines) = (&note[..=at], &note[at + 2..]);
        let lines = lines
            .strip_suffix('\n')
            .ok_or(NoteError::Malformed("its end is missing"))?;
        Ok(Self {
            text: text.to_owned(),
            signatures: parse_signatures(lines)?,
        })
    }

    /// Checks the signatures of these keys; signatures of others do not count. The keys that
    /// signed.
    ///
    /// # Errors
    /// If a signature of one of the keys does not hold, or there is none.
    pub fn verify<'k>(&self, keys: &'k [VerifierKey]) -> Result<Vec<&'k VerifierKey>, NoteError> {
        let mut signed: Vec<&VerifierKey> = Vec::new();
        for line in &self.signatures {
            let known = keys
                .iter()
                .find(|key| key.name() == line.name && key.id() == line.id);
            let Some(key) = known else { continue };
            if !key.verifies(self.text.as_bytes(), &line.signature) {
                return Err(NoteError::Invalid(line.name.clone()));
            }
            if !signed.contains(&key) {
                signed.push(key);
            }
        }
        if signed.is_empty() {
            Err(NoteError::Unknown)
        } else {
            Ok(signed)
        }
    }
}

/// Lines of signatures, without the last one's end.
pub(crate) fn parse_signatures(lines: &str) -> Result<Vec<NoteSignature>, NoteError> {
    let mut signatures = Vec::new();
    for line in lines.split('\n') {
        if signatures.len() == SIGNATURES_MAX {
            return Err(NoteError::Malformed("it has too many signatures"));
        }
        let signature = parse_signature(line);
        signatures.push(signature.ok_or(NoteError::Malformed("a signature line is malformed"))?);
    }
    Ok(signatures)
}

fn check_text(text: &str) -> Result<(), NoteError> {
    if !text.ends_with('\n') {
        return Err(NoteError::Malformed("its text does not end with a newline"));
    }
    check_characters(text)
}

/// signed-note refuses control characters in the whole note, key names included.
pub(crate) fn check_characters(note: &str) -> Result<(), NoteError> {
    if note.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
        return Err(NoteError::Malformed("it has control characters"));
    }
    Ok(())
}

/// `— name base64(id ‖ signature)`
fn parse_signature(line: &str) -> Option<NoteSignature> {
    let (name, blob) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let blob = STANDARD.decode(blob).ok()?;
    let (id, signature) = blob.split_first_chunk::<4>()?;
    let legal = !name.is_empty() && !name.contains('+') && !name.contains(char::is_whitespace);
    (legal && !signature.is_empty()).then(|| NoteSignature {
        name: name.to_owned(),
        id: *id,
        signature: signature.to_vec(),
    })
}

impl fmt::Display for NoteSignature {
    /// Its line, without the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut blob = self.id.to_vec();
        blob.extend(&self.signature);
        write!(f, "\u{2014} {} {}", self.name, STANDARD.encode(blob))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}
