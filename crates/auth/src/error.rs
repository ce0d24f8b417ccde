//! Why a token is refused, and where a token is found in an `Authorization` header.

/// Why a token was refused. Each has a short sentence in the characters that RFC 6750, section 3
/// allows in `error_description`: printable ASCII without quotes and backslashes. None repeats
/// anything from the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// No token, or an `Authorization` header without one.
    #[error("A bearer token is required.")]
    Missing,
    /// Longer than [`MAX_TOKEN_BYTES`](crate::MAX_TOKEN_BYTES).
    #[error("The token is longer than 8192 bytes.")]
    TooLarge,
    /// Not three base64url parts whose first two are JSON objects.
    #[error("The token is not a well-formed JWT.")]
    Malformed,
    /// An object in the token names a member twice, so that readers could differ on its meaning.
    #[error("The token names a claim or a header parameter twice.")]
    Duplicate,
    /// `alg` is absent, `none`, or not in the configured list.
    #[error("The signature algorithm of the token is not accepted here.")]
    Algorithm,
    /// The header has `crit` (RFC 7515, section 4.1.11): no extension is understood here. Or it
    /// has `b64` other than true, which has to be critical (RFC 7797, section 6).
    #[error("The token has critical header parameters, which are not supported.")]
    Critical,
    /// The signature is not one by an accepted key.
    #[error("The signature of the token is not valid.")]
    Signature,
    /// No key of the JWKS has the token's `kid`; or the token has none, and no key verifies it.
    /// The issuer may have a new key: fetch its keys, and check the token again.
    #[error("The key that signed the token is not known here.")]
    UnknownKey,
    /// The key that `kid` names is for another algorithm than `alg`.
    #[error("The key that the token names is not for its signature algorithm.")]
    KeyAlgorithm,
    /// There are to be keys from a JWKS, and there never were any yet. It says nothing about the
    /// token: fetch the keys, and check it again.
    #[error("The keys of the issuer of the token could not be fetched yet.")]
    KeysUnavailable,
    /// No `exp`. RFC 7519 makes it optional; here a token must end.
    #[error("The token has no exp claim; a token must expire.")]
    NoExpiry,
    /// `exp` is past, the leeway included.
    #[error("The token has expired.")]
    Expired,
    /// `nbf` is yet to come, the leeway included.
    #[error("The token is not valid yet.")]
    NotYetValid,
    /// The claim named is not a NumericDate within the years 1970 to 9999.
    #[error("The claim {0} must be a number of seconds since 1970.")]
    Time(&'static str),
    /// `iss` is not the configured issuer, or not a usable string.
    #[error("The issuer of the token is not accepted here.")]
    Issuer,
    /// `aud` has none of the configured audiences.
    #[error("The token is not meant for this service.")]
    Audience,
    /// The token type is not `access`.
    #[error("The token is not an access token.")]
    TokenType,
    /// No subject, or one that is not text of 1 to 256 bytes or an integer.
    #[error("The subject of the token must be 1 to 256 bytes without control characters.")]
    Subject,
    /// A tenant claim that is not text of 1 to 128 bytes. Ignoring it would lift a restriction.
    #[error("The tenant of the token must be 1 to 128 bytes without control characters.")]
    Tenant,
    /// Roles that are neither a string nor a list of strings.
    #[error("The roles of the token must be a string or a list of strings.")]
    Roles,
    /// Scopes that are neither a string nor a list of strings.
    #[error("The scopes of the token must be a string or a list of strings.")]
    Scopes,
}

/// The token in the value of an `Authorization` header: the scheme `Bearer` in any case, spaces,
/// the token (RFC 6750, section 2.1; RFC 9110, section 11.1).
///
/// # Errors
/// [`AuthError::Missing`] with another scheme or without a token.
pub fn bearer_token(header_value: &str) -> Result<&str, AuthError> {
    let (scheme, rest) = header_value
        .trim()
        .split_once(' ')
        .ok_or(AuthError::Missing)?;
    let token = rest.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(AuthError::Missing);
    }
    Ok(token)
}
