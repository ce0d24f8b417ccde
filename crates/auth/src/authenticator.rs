//! From a token's text to a principal.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::claims::ClaimRules;
use crate::json::parse_object;
use crate::keys::Keys;
use crate::{AuthConfig, AuthConfigError, AuthError, JwkSet, Principal};

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Checks tokens. Made once, shared by all requests.
#[derive(Debug)]
pub struct Authenticator {
    keys: Keys,
    rules: ClaimRules,
}

impl Authenticator {
    /// Resolves the configuration, and checks that the cryptographic backend verifies what it
    /// signs and refuses what it does not.
    ///
    /// # Errors
    /// [`AuthConfigError`] says which setting is missing or senseless.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "used up: the caller need not keep the secret"
    )]
    pub fn new(config: AuthConfig) -> Result<Self, AuthConfigError> {
        Ok(Self {
            keys: Keys::new(&config)?,
            rules: ClaimRules::new(&config)?,
        })
    }

    /// Replaces the public keys as a whole, for all checks that begin after it: a key that is not
    /// in `set` is no longer accepted. Until the first set, tokens that need one are refused with
    /// [`AuthError::KeysUnavailable`].
    pub fn replace_public_keys(&self, set: JwkSet) {
        self.keys.replace_public(set);
    }

    /// The principal that `token` (a JWS in compact form) speaks for at `now_unix_seconds`.
    ///
    /// Nothing in the token but its header is looked at before its signature is known to be good.
    ///
    /// # Errors
    /// [`AuthError`]: the first reason found to refuse the token.
    pub fn authenticate(&self, token: &str, now_unix_seconds: i64) -> Result<Principal, AuthError> {
        if token.is_empty() {
            return Err(AuthError::Missing);
        }
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::TooLarge);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(AuthError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(AuthError::Malformed)?;
        if payload.contains('.') {
            return Err(AuthError::Malformed);
        }
        self.check_signature(header, message, signature)?;
        let claims = parse_object(&decode(payload)?)?;
        self.rules.principal(&claims, now_unix_seconds)
    }

    fn check_signature(
        &self,
        header: &str,
        message: &str,
        signature: &str,
    ) -> Result<(), AuthError> {
        let header = parse_object(&decode(header)?)?;
        let encoded = header
            .get("b64")
            .is_none_or(|b64| *b64 == Value::Bool(true));
        if header.contains_key("crit") || !encoded {
            return Err(AuthError::Critical);
        }
        let alg = header
            .get("alg")
            .and_then(Value::as_str)
            .ok_or(AuthError::Algorithm)?;
        // Keys that a token brings along (jwk, jku, x5c, x5u) are never looked at.
        let kid = header.get("kid");
        self.keys
            .verify(alg, kid, message.as_bytes(), || decode(signature))
    }
}

/// base64url without padding, and without stray bits at the end (RFC 7515, section 2).
fn decode(part: &str) -> Result<Vec<u8>, AuthError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| AuthError::Malformed)
}
