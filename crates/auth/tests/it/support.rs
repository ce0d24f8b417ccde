//! An independent maker of tokens: RFC 7515 by hand, on hmac and sha2.

use audittrail_auth::{AuthConfig, AuthError, Authenticator, Principal};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// The secret of every test that does not say otherwise.
pub(crate) const SECRET: &[u8] = b"thirty-two bytes are just enough";
/// The present of every test.
pub(crate) const NOW: i64 = 1_800_000_000;
/// The usual header.
pub(crate) const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn hmac_sha256(secret: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// A token with a good signature over these exact texts.
pub(crate) fn sign(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    let message = format!("{}.{}", base64url(header), base64url(payload));
    let signature = base64url(hmac_sha256(SECRET, message.as_bytes()));
    format!("{message}.{signature}")
}

/// Claims that are accepted: a user, one hour before the end.
pub(crate) fn good_claims() -> Value {
    json!({"sub": "ada", "exp": NOW + 3600, "roles": ["user"]})
}

/// [`good_claims`] with these changes; `null` removes a claim.
pub(crate) fn claims_with(changes: Value) -> Value {
    let mut claims = good_claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

pub(crate) fn token(claims: &Value) -> String {
    sign(HEADER, claims.to_string())
}

pub(crate) fn config() -> AuthConfig {
    AuthConfig {
        secret: Some(SECRET.to_vec()),
        ..AuthConfig::default()
    }
}

pub(crate) fn authenticator() -> Authenticator {
    Authenticator::new(config()).unwrap()
}

/// What a token with these claims gives under the default configuration.
pub(crate) fn check(claims: &Value) -> Result<Principal, AuthError> {
    check_under(config(), claims)
}

pub(crate) fn check_under(config: AuthConfig, claims: &Value) -> Result<Principal, AuthError> {
    Authenticator::new(config)
        .unwrap()
        .authenticate(&token(claims), NOW)
}
