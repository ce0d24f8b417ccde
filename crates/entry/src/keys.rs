//! Keys that sign entries.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

type HmacSha256 = Hmac<Sha256>;

/// A key that is too short to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key has {0} bytes; it needs at least 32")]
pub struct KeyError(pub usize);

/// Names a signing key: the first four bytes of SHA-256("audittrail/key-id/v1" ‖ key).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 4]);

impl fmt::Display for KeyId {
    /// Eight lower-case hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// A key that signs and checks entries with HMAC-SHA256.
#[derive(Clone)]
pub struct SigningKey {
    id: KeyId,
    /// Keyed once; each signature starts from a copy.
    keyed: HmacSha256,
}

impl SigningKey {
    /// The key of these bytes, which are used as they are.
    ///
    /// # Errors
    /// If there are fewer than 32.
    pub fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() < 32 {
            return Err(KeyError(bytes.len()));
        }
        let digest = Sha256::new()
            .chain_update(b"audittrail/key-id/v1")
            .chain_update(bytes);
        let digest: [u8; 32] = digest.finalize().into();
        let id = KeyId([digest[0], digest[1], digest[2], digest[3]]);
        Ok(Self {
            id,
            keyed: keyed(bytes),
        })
    }

    /// The key's name.
    pub fn key_id(&self) -> KeyId {
        self.id
    }

    /// HMAC-SHA256(key, "audittrail/signature/v1\n" ‖ origin ‖ "\n" ‖ leaf).
    pub fn sign(&self, origin: &str, leaf: &[u8]) -> [u8; 32] {
        self.over(origin, leaf).finalize().into_bytes().into()
    }

    /// HMAC-SHA256(key, domain ‖ "\n" ‖ message), for values that have to follow from the key.
    pub fn derive(&self, domain: &str, message: &[u8]) -> [u8; 32] {
        let mac = self.keyed.clone().chain_update(domain).chain_update(b"\n");
        mac.chain_update(message).finalize().into_bytes().into()
    }

    fn over(&self, origin: &str, leaf: &[u8]) -> HmacSha256 {
        let mac = self
            .keyed
            .clone()
            .chain_update(b"audittrail/signature/v1\n");
        mac.chain_update(origin.as_bytes())
            .chain_update(b"\n")
            .chain_update(leaf)
    }

    fn verifies(&self, origin: &str, leaf: &[u8], signature: &[u8; 32]) -> bool {
        // In constant time.
        self.over(origin, leaf).verify(signature.into()).is_ok()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, secret)", self.id)
    }
}

pub(crate) fn keyed(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// A signature that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No key of that name.
    #[error("no known key has the id {0}; earlier keys go into AUDITTRAIL_EARLIER_SIGNING_KEYS")]
    UnknownKey(KeyId),
    /// The key did not make it.
    #[error("the signature does not hold")]
    Invalid,
}

/// The key that signs and those that signed before it.
#[derive(Debug, Clone)]
pub struct KeyRing {
    /// Signs new entries.
    pub current: SigningKey,
    /// Only check.
    pub earlier: Vec<SigningKey>,
}

impl KeyRing {
    /// Checks a signature by the key of that name.
    ///
    /// # Errors
    /// If there is no such key, or it did not make the signature.
    pub fn verify(
        &self,
        id: KeyId,
        origin: &str,
        leaf: &[u8],
        signature: &[u8; 32],
    ) -> Result<(), SignatureError> {
        let keys = std::iter::once(&self.current).chain(&self.earlier);
        let mut known = false;
        for key in keys.filter(|key| key.key_id() == id) {
            known = true;
            if key.verifies(origin, leaf, signature) {
                return Ok(());
            }
        }
        Err(if known {
            SignatureError::Invalid
        } else {
            SignatureError::UnknownKey(id)
        })
    }
}
