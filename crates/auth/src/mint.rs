//! Tokens of our own, signed with the shared secret.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::claim_path::ClaimPath;
use crate::claims::{LAST_SECOND, is_plain_text};
use crate::keys::sign_hs256;
use crate::{
    ClaimNames, MAX_ISSUER_BYTES, MAX_SUBJECT_BYTES, MAX_TENANT_BYTES, MAX_TOKEN_BYTES,
    MIN_SECRET_BYTES, Role,
};

/// What a token is to say. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The subject.
    pub sub: String,
    /// The roles; none leaves the claim out.
    pub roles: Vec<Role>,
    /// The tenant to bind the token to.
    pub tenant: Option<String>,
    /// The issuer.
    pub iss: Option<String>,
    /// The audiences; one is written as a string, none leaves the claim out.
    pub aud: Vec<String>,
    /// When it was issued.
    pub iat: i64,
    /// When it ends; after `iat`.
    pub exp: i64,
}

/// Why no token was made: an [`Authenticator`](crate::Authenticator) would refuse it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MintError {
    /// The secret is too short.
    #[error("the token secret must have at least {MIN_SECRET_BYTES} bytes")]
    Secret,
    /// The subject does not meet its rule.
    #[error("the subject must be 1 to {MAX_SUBJECT_BYTES} bytes without control characters")]
    Subject,
    /// The tenant does not meet its rule.
    #[error("the tenant must be 1 to {MAX_TENANT_BYTES} bytes without control characters")]
    Tenant,
    /// The issuer does not meet its rule.
    #[error("the issuer must be 1 to {MAX_ISSUER_BYTES} bytes without control characters")]
    Issuer,
    /// `exp` is not after `iat`, or a time lies outside the years 1970 to 9999.
    #[error("the token must end after it begins, and before the year 10000")]
    Times,
    /// The token would be longer than [`MAX_TOKEN_BYTES`].
    #[error("the token would be longer than {MAX_TOKEN_BYTES} bytes")]
    TooLarge,
    /// The claim names are malformed or in each other's way.
    #[error("the claim names contradict each other")]
    ClaimNames,
    /// The cryptographic backend failed.
    #[error("the cryptographic backend failed")]
    Backend,
}

/// An HS256 token with these claims under their default names.
///
/// # Errors
/// [`MintError`] where the token would be refused.
pub fn mint(secret: &[u8], claims: &Claims) -> Result<String, MintError> {
    mint_named(secret, claims, &ClaimNames::default())
}

/// An HS256 token with these claims under the names that `names` gives. A server with names of
/// its own must be given tokens made with them: under the default name it would not see a tenant.
///
/// # Errors
/// [`MintError`] where the token would be refused.
pub fn mint_named(secret: &[u8], claims: &Claims, names: &ClaimNames) -> Result<String, MintError> {
    if secret.len() < MIN_SECRET_BYTES {
        return Err(MintError::Secret);
    }
    check(claims)?;
    let payload = Value::Object(payload(claims, names)?).to_string();
    let header = r#"{"alg":"HS256","typ":"JWT"}"#;
    let mut token = URL_SAFE_NO_PAD.encode(header);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut token);
    let signature = sign_hs256(secret, token.as_bytes()).ok_or(MintError::Backend)?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    if token.len() > MAX_TOKEN_BYTES {
        Err(MintError::TooLarge)
    } else {
        Ok(token)
    }
}

fn check(claims: &Claims) -> Result<(), MintError> {
    let optional = |text: &Option<String>, max_bytes| {
        text.as_deref()
            .is_none_or(|text| is_plain_text(text, max_bytes))
    };
    if !is_plain_text(&claims.sub, MAX_SUBJECT_BYTES) {
        return Err(MintError::Subject);
    }
    if !optional(&claims.tenant, MAX_TENANT_BYTES) {
        return Err(MintError::Tenant);
    }
    if !optional(&claims.iss, MAX_ISSUER_BYTES) {
        return Err(MintError::Issuer);
    }
    let in_range = claims.iat >= 0 && claims.exp as f64 <= LAST_SECOND;
    if in_range && claims.iat < claims.exp {
        Ok(())
    } else {
        Err(MintError::Times)
    }
}

fn payload(claims: &Claims, names: &ClaimNames) -> Result<Map<String, Value>, MintError> {
    let roles = claims
        .roles
        .iter()
        .map(|role| role.as_str().into())
        .collect::<Vec<Value>>();
    let aud = match claims.aud.as_slice() {
        [] => None,
        [one] => Some(one.as_str().into()),
        several => Some(several.to_vec().into()),
    };
    let subject = names.subject.first().ok_or(MintError::ClaimNames)?;
    let members = [
        ("iat", Some(claims.iat.into())),
        ("exp", Some(claims.exp.into())),
        ("iss", claims.iss.as_deref().map(Value::from)),
        ("aud", aud),
        (subject.as_str(), Some(claims.sub.as_str().into())),
        (
            names.roles.as_str(),
            (!roles.is_empty()).then(|| roles.into()),
        ),
        (
            names.tenant.as_str(),
            claims.tenant.as_deref().map(Value::from),
        ),
    ];
    let mut object = Map::new();
    for (name, value) in members {
        let Some(value) = value else { continue };
        let path = ClaimPath::new(name).map_err(|_| MintError::ClaimNames)?;
        if !path.put(&mut object, value) {
            return Err(MintError::ClaimNames);
        }
    }
    Ok(object)
}
