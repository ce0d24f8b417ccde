//! Keys, and signatures by them.
//!
//! [`Keys::verify`] is given the header's `alg` and `kid` and decides which key to try. A key
//! belongs to one algorithm from the moment it is read: a public key can never be taken for a
//! shared secret, nor a key of one curve for one of another.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use jsonwebtoken::crypto::{CryptoProvider, aws_lc};
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde_json::Value;

use crate::algorithm::Algorithm;
use crate::{AuthConfig, AuthConfigError, AuthError, JwkSet, MIN_SECRET_BYTES};

/// The backend, named rather than taken from the process-wide default, which panics where
/// nothing or the wrong thing was installed. Thus nothing needs to be installed.
static BACKEND: &CryptoProvider = &aws_lc::DEFAULT_PROVIDER;

/// The keys that tokens are checked with.
pub(crate) struct Keys {
    accepted: Vec<Algorithm>,
    /// There where HS256 is accepted.
    hs256: Option<DecodingKey>,
    /// The newest set; none until there was one.
    public: ArcSwapOption<JwkSet>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("accepted", &self.accepted)
            .field("public", &self.public.load())
            .finish_non_exhaustive()
    }
}

impl Keys {
    /// The keys for the configured algorithms: every algorithm named must have one, or be one of
    /// those whose keys come by [`Keys::replace_public`].
    pub(crate) fn new(config: &AuthConfig) -> Result<Self, AuthConfigError> {
        self_check()?;
        let (mut accepted, mut hs256) = (Vec::new(), None);
        for name in &config.algorithms {
            let algorithm = Algorithm::from_name(name)
                .ok_or_else(|| AuthConfigError::UnsupportedAlgorithm(name.clone()))?;
            if algorithm == Algorithm::Hs256 {
                hs256 = Some(secret(config)?);
            } else if !config.public_keys {
                return Err(AuthConfigError::KeysMissing(name.clone()));
            }
            accepted.push(algorithm);
        }
        if accepted.is_empty() {
            return Err(AuthConfigError::NoAlgorithm);
        }
        if config.public_keys {
            if config.issuer.is_none() || config.audience.is_empty() {
                return Err(AuthConfigError::IssuerOrAudienceMissing);
            }
            if accepted.iter().all(|one| *one == Algorithm::Hs256) {
                return Err(AuthConfigError::PublicKeysUnused);
            }
        }
        Ok(Self {
            accepted,
            hs256,
            public: ArcSwapOption::empty(),
        })
    }

    /// Replaces the public keys as a whole: a key that is not in `set` is no longer accepted.
    pub(crate) fn replace_public(&self, set: JwkSet) {
        self.public.store(Some(Arc::new(set)));
    }

    /// Checks a signature over `message`. `alg` is looked up before the signature is decoded.
    ///
    /// `kid` chooses among the public keys (RFC 7515, section 4.1.4). The one shared secret is
    /// tried whatever it says.
    pub(crate) fn verify(
        &self,
        alg: &str,
        kid: Option<&Value>,
        message: &[u8],
        signature: impl FnOnce() -> Result<Vec<u8>, AuthError>,
    ) -> Result<(), AuthError> {
        let algorithm = Algorithm::from_name(alg).filter(|one| self.accepted.contains(one));
        match (algorithm, &self.hs256) {
            (None, _) | (Some(Algorithm::Hs256), None) => Err(AuthError::Algorithm),
            (Some(Algorithm::Hs256), Some(secret)) => {
                verify(Algorithm::Hs256, secret, message, &signature()?)
            }
            (Some(public), _) => self.verify_public(public, kid, message, &signature()?),
        }
    }

    fn verify_public(
        &self,
        algorithm: Algorithm,
        kid: Option<&Value>,
        message: &[u8],
        signature: &Vec<u8>,
    ) -> Result<(), AuthError> {
        let kid = match kid {
            None => None,
            Some(Value::String(kid)) => Some(kid.as_str()),
            Some(_) => return Err(AuthError::Malformed),
        };
        let set = self.public.load();
        let set = set.as_ref().ok_or(AuthError::KeysUnavailable)?;
        let (mut named, mut fits) = (false, false);
        for key in set.named(kid) {
            named = true;
            if key.algorithm == algorithm {
                fits = true;
                if verify(algorithm, &key.key, message, signature).is_ok() {
                    return Ok(());
                }
            }
        }
        match kid {
            Some(_) if fits => Err(AuthError::Signature),
            Some(_) if named => Err(AuthError::KeyAlgorithm),
            // Without kid a signature by no known key may be one by a key that is new.
            _ => Err(AuthError::UnknownKey),
        }
    }
}

fn secret(config: &AuthConfig) -> Result<DecodingKey, AuthConfigError> {
    let secret = config.secret.as_deref();
    let secret = secret.ok_or(AuthConfigError::SecretMissing)?;
    let bytes = secret.len();
    if bytes < MIN_SECRET_BYTES {
        return Err(AuthConfigError::SecretTooShort { bytes });
    }
    Ok(DecodingKey::from_secret(secret))
}

fn verify(
    algorithm: Algorithm,
    key: &DecodingKey,
    message: &[u8],
    signature: &Vec<u8>,
) -> Result<(), AuthError> {
    (BACKEND.verifier_factory)(&algorithm.backend(), key)
        .map_err(|_| AuthError::Signature)?
        .verify(message, signature)
        .map_err(|_| AuthError::Signature)
}

/// HMAC-SHA256 of `message`: the signature of HS256. `None` where the backend fails.
pub(crate) fn sign_hs256(secret: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    let key = EncodingKey::from_secret(secret);
    let signer = (BACKEND.signer_factory)(&Algorithm::Hs256.backend(), &key).ok()?;
    signer.try_sign(message).ok()
}

/// A backend that accepts everything, or nothing, is found here rather than by users.
fn self_check() -> Result<(), AuthConfigError> {
    let (secret, message) = ([0x5a; MIN_SECRET_BYTES], b"audittrail/self-check");
    let key = DecodingKey::from_secret(&secret);
    let mut signature = sign_hs256(&secret, message).ok_or(AuthConfigError::Backend)?;
    let good = verify(Algorithm::Hs256, &key, message, &signature).is_ok();
    let last = signature.last_mut().ok_or(AuthConfigError::Backend)?;
    *last ^= 1;
    let forged = verify(Algorithm::Hs256, &key, message, &signature).is_ok();
    if good && !forged {
        Ok(())
    } else {
        Err(AuthConfigError::Backend)
    }
}
