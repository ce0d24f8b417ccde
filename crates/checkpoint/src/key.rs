//! Keys of signed notes, C2SP signed-note.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// Signature type 0x01: Ed25519.
const ED25519: u8 = 0x01;

/// A key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A key name is not empty and has no space and no plus sign.
    #[error("a key name cannot be empty or hold spaces, control characters or plus signs")]
    Name,
    /// It does not have the form of a key.
    #[error("this is not a key of the form {0}")]
    Form(&'static str),
    /// The key ID in it is not that of name and key.
    #[error("the key ID does not belong to the name and the key")]
    Id,
    /// Another algorithm.
    #[error("the key is not an Ed25519 key")]
    Algorithm,
    /// Another algorithm than cosigners have here.
    #[error("the key is not that of an Ed25519 cosigner (type 04)")]
    Cosigner,
}

fn check_name(name: &str) -> Result<(), KeyError> {
    let bad = |c: char| c == '+' || c.is_whitespace() || c.is_control();
    if name.is_empty() || name.contains(bad) {
        Err(KeyError::Name)
    } else {
        Ok(())
    }
}

/// SHA-256(name ‖ 0x0A ‖ type ‖ public key), the first four bytes.
fn key_id(name: &str, algorithm: u8, public_key: &[u8; 32]) -> [u8; 4] {
    let mut hasher = Sha256::new();
    hasher.update(name.as_bytes());
    hasher.update([b'\n', algorithm]);
    hasher.update(public_key);
    let digest: [u8; 32] = hasher.finalize().into();
    [digest[0], digest[1], digest[2], digest[3]]
}

fn hex(id: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

/// An Ed25519 public key with its name, of one signature type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    kind: u8,
    pub(crate) name: String,
    pub(crate) id: [u8; 4],
    pub(crate) key: VerifyingKey,
}

/// Its secret key.
#[derive(Clone)]
pub(crate) struct Secret {
    pub(crate) key: SigningKey,
    pub(crate) named: Named,
}

const FORM: &str = "name+8 hex digits+base64";
const SECRET_PREFIX: &str = "PRIVATE+KEY+";
const SECRET_FORM: &str = "PRIVATE+KEY+name+8 hex digits+base64";

/// `name+id+base64(type ‖ 32 bytes)`
fn written(named: &Named, key: [u8; 32]) -> String {
    let bytes = [&[named.kind], &key[..]].concat();
    let (name, id) = (&named.name, hex(named.id));
    format!("{name}+{id}+{}", STANDARD.encode(bytes))
}

/// A name, a key ID and 32 bytes of a key.
type Parts = (String, [u8; 4], [u8; 32]);

/// Reads `name+id+base64(type ‖ 32 bytes)`.
fn parse_parts(text: &str, wanted: u8, form: &'static str) -> Result<Parts, KeyError> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(KeyError::Form(form));
    };
    check_name(name)?;
    let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let id = (id.len() == 8 && id.bytes().all(lower_hex))
        .then(|| u32::from_str_radix(id, 16).ok())
        .flatten()
        .ok_or(KeyError::Form(form))?;
    let bytes = STANDARD.decode(key).map_err(|_| KeyError::Form(form))?;
    let (algorithm, key) = bytes.split_first().ok_or(KeyError::Form(form))?;
    if *algorithm != wanted {
        return Err(match wanted {
            ED25519 => KeyError::Algorithm,
            _ => KeyError::Cosigner,
        });
    }
    let key = key.try_into().map_err(|_| KeyError::Form(form))?;
    Ok((name.to_owned(), id.to_be_bytes(), key))
}

impl Named {
    pub(crate) fn new(name: &str, kind: u8, public_key: [u8; 32]) -> Result<Self, KeyError> {
        check_name(name)?;
        let key = VerifyingKey::from_bytes(&public_key).map_err(|_| KeyError::Form(FORM))?;
        Ok(Self {
            kind,
            name: name.to_owned(),
            id: key_id(name, kind, &public_key),
            key,
        })
    }

    pub(crate) fn parse(text: &str, kind: u8) -> Result<Self, KeyError> {
        let (name, id, key) = parse_parts(text, kind, FORM)?;
        Self::new(&name, kind, key)?.of_id(id)
    }

    /// A text names an ID as well, which has to be the key's.
    fn of_id(self, id: [u8; 4]) -> Result<Self, KeyError> {
        if self.id == id {
            Ok(self)
        } else {
            Err(KeyError::Id)
        }
    }

    /// Weak keys and malleable signatures are refused.
    pub(crate) fn holds(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&written(self, self.key.to_bytes()))
    }
}

impl Secret {
    pub(crate) fn new(name: &str, kind: u8, seed: [u8; 32]) -> Result<Self, KeyError> {
        let key = SigningKey::from_bytes(&seed);
        let named = Named::new(name, kind, key.verifying_key().to_bytes())?;
        Ok(Self { key, named })
    }

    /// The error does not repeat the text.
    pub(crate) fn parse(text: &str, kind: u8) -> Result<Self, KeyError> {
        let rest = text
            .strip_prefix(SECRET_PREFIX)
            .ok_or(KeyError::Form(SECRET_FORM))?;
        let (name, id, seed) = parse_parts(rest, kind, SECRET_FORM)?;
        let Self { key, named } = Self::new(&name, kind, seed)?;
        let named = named.of_id(id)?;
        Ok(Self { key, named })
    }

    pub(crate) fn to_text(&self) -> String {
        format!(
            "{SECRET_PREFIX}{}",
            written(&self.named, self.key.to_bytes())
        )
    }
}

/// Checks signatures of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey(Named);

impl VerifierKey {
    /// A key of that name.
    ///
    /// # Errors
    /// If the name is not legal or the bytes are no Ed25519 public key.
    pub fn new(name: &str, public_key: [u8; 32]) -> Result<Self, KeyError> {
        Named::new(name, ED25519, public_key).map(Self)
    }

    /// Reads the form that [`fmt::Display`] writes: `name+id+base64(0x01 ‖ public key)`.
    ///
    /// # Errors
    /// If it has another form, or an ID that is not that of name and key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Named::parse(text, ED25519).map(Self)
    }

    /// The key's name; for a log's key, its origin.
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

    /// Whether this key made the signature; weak keys and malleable signatures are refused.
    pub fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        self.0.holds(text, signature)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Makes signatures of one key.
#[derive(Clone)]
pub struct Signer(Secret);

impl Signer {
    /// The key that follows from 32 secret bytes.
    ///
    /// # Errors
    /// If the name is not legal.
    pub fn from_seed(name: &str, seed: [u8; 32]) -> Result<Self, KeyError> {
        Secret::new(name, ED25519, seed).map(Self)
    }

    /// Reads the form that [`Signer::to_secret_text`] writes.
    ///
    /// # Errors
    /// If it has another form, or an ID that is not that of name and key. The error does not
    /// repeat the text.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Secret::parse(text, ED25519).map(Self)
    }

    /// The secret key in the form that Go's sumdb/note uses:
    /// `PRIVATE+KEY+name+id+base64(0x01 ‖ seed)`.
    pub fn to_secret_text(&self) -> String {
        self.0.to_text()
    }

    /// The key that checks what this one signs.
    pub fn verifier(&self) -> VerifierKey {
        VerifierKey(self.0.named.clone())
    }

    /// The signature of a note's text.
    pub fn sign(&self, text: &[u8]) -> [u8; 64] {
        self.0.key.sign(text).to_bytes()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({}, secret)", self.0.named)
    }
}

/// The name of a log that was given none: `audittrail.invalid/` and the first 16 hexadecimal
/// digits of SHA-256(public key).
pub fn default_origin(public_key: &[u8; 32]) -> String {
    let digest: [u8; 32] = Sha256::digest(public_key).into();
    let digits: String = digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("audittrail.invalid/{digits}")
}
