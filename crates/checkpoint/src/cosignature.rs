//! Timestamped Ed25519 cosignatures, C2SP tlog-cosignature, signature type 0x04.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::key::{check_name, hex, key_id, parse_parts};
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
pub struct CosignerKey {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

impl CosignerKey {
    const FORM: &str = "name+8 hex digits+base64";

    /// A key of that name.
    ///
    /// # Errors
    /// If the name is not legal or the bytes are no Ed25519 public key.
    pub fn new(name: &str, public_key: [u8; 32]) -> Result<Self, KeyError> {
        check_name(name)?;
        let key = VerifyingKey::from_bytes(&public_key).map_err(|_| KeyError::Form(Self::FORM))?;
        Ok(Self {
            name: name.to_owned(),
            id: key_id(name, COSIGNATURE, &public_key),
            key,
        })
    }

    /// Reads the form that [`fmt::Display`] writes: `name+id+base64(0x04 ‖ public key)`.
    ///
    /// # Errors
    /// If it has another form or type, or an ID that is not that of name and key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (name, id, public_key) = parse_parts(text, COSIGNATURE, Self::FORM)?;
        let key = Self::new(&name, public_key)?;
        if key.id == id {
            Ok(key)
        } else {
            Err(KeyError::Id)
        }
    }

    /// The cosigner's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key ID.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// The Ed25519 public key.
    pub fn public_key(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    /// Whether a signature line says that it is of this key.
    pub fn made(&self, line: &NoteSignature) -> bool {
        line.name == self.name && line.id == self.id
    }

    /// The time of a cosignature on a note's text, in seconds since 1970; `None` if it does not
    /// hold: another length, a time of 2^63 or later, a weak key, a malleable signature, another
    /// text or another time.
    pub fn verify(&self, text: &str, signature: &[u8]) -> Option<u64> {
        let blob: &[u8; BLOB_BYTES] = signature.try_into().ok()?;
        let (time, signature) = blob.split_first_chunk::<8>()?;
        let time = u64::from_be_bytes(*time);
        let signature = Signature::from_slice(signature).ok()?;
        let holds = self.key.verify_strict(&message(text, time), &signature);
        (time <= TIME_MAX && holds.is_ok()).then_some(time)
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
        let mut bytes = vec![COSIGNATURE];
        bytes.extend(self.public_key());
        let (name, id) = (&self.name, hex(self.id));
        write!(f, "{name}+{id}+{}", STANDARD.encode(bytes))
    }
}

/// Makes cosignatures of one key, which signs nothing else.
#[derive(Clone)]
pub struct Cosigner {
    key: SigningKey,
    verifier: CosignerKey,
}

impl Cosigner {
    const PREFIX: &str = "PRIVATE+KEY+";
    const FORM: &str = "PRIVATE+KEY+name+8 hex digits+base64";

    /// The key that follows from 32 secret bytes.
    ///
    /// # Errors
    /// If the name is not legal.
    pub fn from_seed(name: &str, seed: [u8; 32]) -> Result<Self, KeyError> {
        let key = SigningKey::from_bytes(&seed);
        let verifier = CosignerKey::new(name, key.verifying_key().to_bytes())?;
        Ok(Self { key, verifier })
    }

    /// Reads the form that [`Cosigner::to_secret_text`] writes.
    ///
    /// # Errors
    /// If it has another form or type, or an ID that is not that of name and key. The error does
    /// not repeat the text.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let rest = text
            .strip_prefix(Self::PREFIX)
            .ok_or(KeyError::Form(Self::FORM))?;
        let (name, id, seed) = parse_parts(rest, COSIGNATURE, Self::FORM)?;
        let cosigner = Self::from_seed(&name, seed)?;
        if cosigner.verifier.id == id {
            Ok(cosigner)
        } else {
            Err(KeyError::Id)
        }
    }

    /// The secret key: `PRIVATE+KEY+name+id+base64(0x04 ‖ seed)`.
    pub fn to_secret_text(&self) -> String {
        let mut bytes = vec![COSIGNATURE];
        bytes.extend(self.key.to_bytes());
        let (name, id) = (&self.verifier.name, hex(self.verifier.id));
        format!("{}{name}+{id}+{}", Self::PREFIX, STANDARD.encode(bytes))
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
        signature.extend(self.key.sign(&message(text, time)).to_bytes());
        NoteSignature {
            name: self.verifier.name.clone(),
            id: self.verifier.id,
            signature,
        }
    }
}

impl fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cosigner({}, secret)", self.verifier)
    }
}
