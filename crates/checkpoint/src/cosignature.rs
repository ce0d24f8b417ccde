//! Timestamped Ed25519 cosignatures, C2SP tlog-cosignature, signature type 0x04.

use std::fmt;

use ed25519_dalek::Signer as _;

use crate::key::{Named, Secret};
use crate::{KeyError, Note, NoteError, NoteSignature};

/// Signature type 0x04: a timestamped Ed25519 cosignature.
const COSIGNATURE: u8 = 0x04;
/// A time and a signature.
const BLOB_BYTES: usize = 8 + 64;
/// Times do not exceed 2^63 − 1.
const TIME_MAX: u64 = i64::MAX as u64;

/// What a cosigner signs: that it saw the checkpoint of this text at that time.
fn message(text: &str, time: u64) -> Vec<u8> {
    format!("cosignature/v1\ntime {time}\n{text}").into_bytes()
}

/// Checks cosignatures of one cosigner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignerKey(Named);

impl CosignerKey {
    /// A key of that name.
    ///
    /// # Errors
    /// If the name is not legal or the bytes are no Ed25519 public key.
    pub fn new(name: &str, public_key: [u8; 32]) -> Result<Self, KeyError> {
        Named::new(name, COSIGNATURE, public_key).map(Self)
    }

    /// Reads the form that [`fmt::Display`] writes: `name+id+base64(0x04 ‖ public key)`.
    ///
    /// # Errors
    /// If it has another form or type, or an ID that is not that of name and key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Named::parse(text, COSIGNATURE).map(Self)
    }

    /// The cosigner's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The key ID.
    pub fn id(&self) -> [u8; 4] {
        self.0.id
    }

    /// The Ed25519 public key.
    pub fn public_key(&self) -> [u8; 32] {
        self.0.key.to_bytes()
    }

    /// Whether a signature line says that it is of this key.
    pub fn made(&self, line: &NoteSignature) -> bool {
        line.name == self.0.name && line.id == self.0.id
    }

    /// The time of a cosignature on a note's text, in seconds since 1970; `None` if it does not
    /// hold: another length, a time of 2^63 or later, a weak key, a malleable signature, another
    /// text or another time.
    pub fn verify(&self, text: &str, signature: &[u8]) -> Option<u64> {
        let blob: &[u8; BLOB_BYTES] = signature.try_into().ok()?;
        let (time, signature) = blob.split_first_chunk::<8>()?;
        let time = u64::from_be_bytes(*time);
        let holds = self.0.holds(&message(text, time), signature);
        (time <= TIME_MAX && holds).then_some(time)
    }

    /// The time of the newest cosignature of this key on a note; `None` if there is none.
    ///
    /// # Errors
    /// If one of this key does not hold: such a note is malformed.
    pub fn cosigned(&self, note: &Note) -> Result<Option<u64>, NoteError> {
        let mut newest = None;
        for line in note.signatures.iter().filter(|line| self.made(line)) {
            let time = self.verify(&note.text, &line.signature);
            newest = newest.max(Some(
                time.ok_or_else(|| NoteError::Invalid(line.name.clone()))?,
            ));
        }
        Ok(newest)
    }
}

impl fmt::Display for CosignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Makes cosignatures of one key, which signs nothing else.
#[derive(Clone)]
pub struct Cosigner {
    secret: Secret,
    verifier: CosignerKey,
}

impl Cosigner {
    fn of(secret: Secret) -> Self {
        let verifier = CosignerKey(secret.named.clone());
        Self { secret, verifier }
    }

    /// The key that follows from 32 secret bytes.
    ///
    /// # Errors
    /// If the name is not legal.
    pub fn from_seed(name: &str, seed: [u8; 32]) -> Result<Self, KeyError> {
        Secret::new(name, COSIGNATURE, seed).map(Self::of)
    }

    /// Reads the form that [`Cosigner::to_secret_text`] writes.
    ///
    /// # Errors
    /// If it has another form or type, or an ID that is not that of name and key. The error does
    /// not repeat the text.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Secret::parse(text, COSIGNATURE).map(Self::of)
    }

    /// The secret key: `PRIVATE+KEY+name+id+base64(0x04 ‖ seed)`.
    pub fn to_secret_text(&self) -> String {
        self.secret.to_text()
    }

    /// The key that checks what this one signs.
    pub fn verifier(&self) -> &CosignerKey {
        &self.verifier
    }

    /// A cosignature on a note's text, at that time in seconds since 1970. The cosigner states
    /// with it that this is the largest tree of its log that it has seen.
    ///
    /// A time of 2^63 or later is none; it is cut to the last that is.
    pub fn cosign(&self, text: &str, time: u64) -> NoteSignature {
        let time = time.min(TIME_MAX);
        let mut signature = time.to_be_bytes().to_vec();
        signature.extend(self.secret.key.sign(&message(text, time)).to_bytes());
        NoteSignature {
            name: self.verifier.name().to_owned(),
            id: self.verifier.id(),
            signature,
        }
    }
}

impl fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cosigner({}, secret)", self.verifier)
    }
}
