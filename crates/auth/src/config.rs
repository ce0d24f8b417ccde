//! What an [`Authenticator`](crate::Authenticator) is told, and what is refused of it.

use std::fmt;

use crate::Role;

/// The shortest shared secret: as long as the hash's output (RFC 7518, section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;

/// The longest leeway. More would be a second lifetime for every token.
pub const MAX_LEEWAY_SECONDS: u64 = 600;

/// How tokens are checked.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthConfig {
    /// The shared secret of HS256, as bytes, not decoded; [`MIN_SECRET_BYTES`] at least.
    pub secret: Option<Vec<u8>>,
    /// The accepted values of `alg`: `HS256`, `RS256`, `ES256`, `EdDSA`.
    pub algorithms: Vec<String>,
    /// Whether a JWKS gives the keys of the algorithms other than HS256. It needs an issuer and
    /// an audience, since every token of an issuer is signed with the same keys.
    pub public_keys: bool,
    /// What `iss` must be. `None`: it is not compared.
    pub issuer: Option<String>,
    /// Of which `aud` must hold one. Empty: it is not looked at.
    pub audience: Vec<String>,
    /// By how many seconds clocks may differ, for `exp` and `nbf`.
    pub leeway_seconds: u64,
    /// The role of a token without a recognised role. `None`: such a token has none.
    pub default_role: Option<Role>,
    /// Where claims are found.
    pub claims: ClaimNames,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            secret: None,
            algorithms: vec!["HS256".to_owned()],
            public_keys: false,
            issuer: None,
            audience: Vec::new(),
            leeway_seconds: 60,
            default_role: None,
            claims: ClaimNames::default(),
        }
    }
}

/// Shows everything but the secret.
impl fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthConfig")
            .field("secret", &self.secret.as_ref().map(|_| "redacted"))
            .field("algorithms", &self.algorithms)
            .field("public_keys", &self.public_keys)
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("leeway_seconds", &self.leeway_seconds)
            .field("default_role", &self.default_role)
            .field("claims", &self.claims)
            .finish()
    }
}

/// Where claims are found: a JSON pointer (RFC 6901) where the name begins with `/`, else the
/// name of a top-level member, so that `https://example.com/roles` needs no escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimNames {
    /// Roles: a string or a list of strings.
    pub roles: String,
    /// Scopes: all of these claims are read; each is a list or a string separated by spaces.
    pub scope: Vec<String>,
    /// The subject: the first of these claims that the token has.
    pub subject: Vec<String>,
    /// The tenant.
    pub tenant: String,
    /// The token's type; where a token has one it must be `access`.
    pub token_type: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            roles: "roles".to_owned(),
            scope: vec!["scope".to_owned(), "scp".to_owned()],
            subject: vec!["sub".to_owned(), "user_id".to_owned()],
            tenant: "tenant".to_owned(),
            token_type: "token_type".to_owned(),
        }
    }
}

/// Why a configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthConfigError {
    /// HS256 is listed and there is no secret.
    #[error("HS256 needs a shared secret of at least {MIN_SECRET_BYTES} bytes")]
    SecretMissing,
    /// The secret is too short to resist guessing.
    #[error("the token secret has {bytes} bytes; at least {MIN_SECRET_BYTES} are needed")]
    SecretTooShort {
        /// Its length.
        bytes: usize,
    },
    /// The list of algorithms is empty.
    #[error("name at least one token algorithm")]
    NoAlgorithm,
    /// An algorithm that is not supported; `none` never is.
    #[error("the token algorithm {0:?} is not supported")]
    UnsupportedAlgorithm(String),
    /// A public-key algorithm is listed, and there are no public keys.
    #[error("the token algorithm {0} needs public keys, and none are configured")]
    KeysMissing(String),
    /// There are to be public keys, and no algorithm that uses them is listed.
    #[error("a JWKS is configured, but none of RS256, ES256 and EdDSA is an accepted algorithm")]
    PublicKeysUnused,
    /// There are to be public keys, and no issuer or no audience.
    #[error(
        "a JWKS needs an issuer and an audience: without them every token of that issuer would do"
    )]
    IssuerOrAudienceMissing,
    /// The issuer or an audience is an empty string.
    #[error("the token issuer and audiences must not be empty strings")]
    EmptyIssuerOrAudience,
    /// The leeway is longer than [`MAX_LEEWAY_SECONDS`].
    #[error("the leeway is {seconds} s; at most {MAX_LEEWAY_SECONDS} s are sensible")]
    Leeway {
        /// The leeway that was asked for.
        seconds: u64,
    },
    /// An empty claim name, a malformed JSON pointer, or no subject claim at all.
    #[error("the claim name {0:?} is not a name or a JSON pointer")]
    ClaimName(String),
    /// The cryptographic backend does not agree with itself.
    #[error("the cryptographic backend failed its self-check")]
    Backend,
}
