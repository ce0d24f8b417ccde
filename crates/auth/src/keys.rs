//! Keys, and signatures by them.
//!
//! [`Keys::verify`] is given the header's `alg` and `kid` and decides which key to try, so that
//! public keys can join the shared secret without a change above this module. A key belongs to
//! one algorithm: a public key can never be taken for a shared secret.

use std::fmt;

use jsonwebtoken::crypto::{CryptoProvider, aws_lc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};

use crate::{AuthConfig, AuthConfigError, AuthError, MIN_SECRET_BYTES};

/// The backend, named rather than taken from the process-wide default, which panics where
/// nothing or the wrong thing was installed. Thus nothing needs to be installed.
static BACKEND: &CryptoProvider = &aws_lc::DEFAULT_PROVIDER;

/// The keys that tokens are checked with.
pub(crate) struct Keys {
    hs256: DecodingKey,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys { HS256 }")
    }
}

impl Keys {
    /// The keys for the configured algorithms: every algorithm named must have one.
    pub(crate) fn new(config: &AuthConfig) -> Result<Self, AuthConfigError> {
        self_check()?;
        let mut hs256 = None;
        for name in &config.algorithms {
            match name.as_str() {
                "HS256" => {
                    let secret = config
                        .secret
                        .as_deref()
                        .ok_or(AuthConfigError::SecretMissing)?;
                    let bytes = secret.len();
                    if bytes < MIN_SECRET_BYTES {
                        return Err(AuthConfigError::SecretTooShort { bytes });
                    }
                    hs256 = Some(DecodingKey::from_secret(secret));
                }
                "RS256" | "ES256" | "EdDSA" => {
                    return Err(AuthConfigError::KeysMissing(name.clone()));
                }
                _ => return Err(AuthConfigError::UnsupportedAlgorithm(name.clone())),
            }
        }
        Ok(Self {
            hs256: hs256.ok_or(AuthConfigError::NoAlgorithm)?,
        })
    }

    /// Checks a signature over `message`. `alg` is looked up before the signature is decoded.
    /// `kid` is a hint among public keys (RFC 7515, section 4.1.4); the one shared secret is
    /// tried whatever it says.
    pub(crate) fn verify(
        &self,
        alg: &str,
        _kid: Option<&str>,
        message: &[u8],
        signature: impl FnOnce() -> Result<Vec<u8>, AuthError>,
    ) -> Result<(), AuthError> {
        let (algorithm, key) = match alg {
            "HS256" => (Algorithm::HS256, &self.hs256),
            _ => return Err(AuthError::Algorithm),
        };
        verify(algorithm, key, message, &signature()?)
    }
}

fn verify(
    algorithm: Algorithm,
    key: &DecodingKey,
    message: &[u8],
    signature: &Vec<u8>,
) -> Result<(), AuthError> {
    (BACKEND.verifier_factory)(&algorithm, key)
        .map_err(|_| AuthError::Signature)?
        .verify(message, signature)
        .map_err(|_| AuthError::Signature)
}

/// HMAC-SHA256 of `message`: the signature of HS256. `None` where the backend fails.
pub(crate) fn sign_hs256(secret: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    let key = EncodingKey::from_secret(secret);
    let signer = (BACKEND.signer_factory)(&Algorithm::HS256, &key).ok()?;
    signer.try_sign(message).ok()
}

/// A backend that accepts everything, or nothing, is found here rather than by users.
fn self_check() -> Result<(), AuthConfigError> {
    let (secret, message) = ([0x5a; MIN_SECRET_BYTES], b"audittrail/self-check");
    let key = DecodingKey::from_secret(&secret);
    let mut signature = sign_hs256(&secret, message).ok_or(AuthConfigError::Backend)?;
    let good = verify(Algorithm::HS256, &key, message, &signature).is_ok();
    let last = signature.last_mut().ok_or(AuthConfigError::Backend)?;
    *last ^= 1;
    let forged = verify(Algorithm::HS256, &key, message, &signature).is_ok();
    if good && !forged {
        Ok(())
    } else {
        Err(AuthConfigError::Backend)
    }
}
