//! Who is asking: principals, roles, scopes and token checks.
//!
//! [`Authenticator::authenticate`] turns a signed token (RFC 7519, compact form) into a
//! [`Principal`] or an [`AuthError`]. What the principal may then do is asked of the principal
//! itself: [`Principal::may_write`], [`Principal::read_access`] and their siblings answer with
//! the limits to apply, or with a [`Denied`] that names the missing scope.
//!
//! No clock is read and nothing is fetched: the time is passed in, and so are the keys.

mod algorithm;
mod authenticator;
mod claim_path;
mod claims;
mod config;
mod error;
mod json;
mod jwks;
mod keys;
mod mint;
mod principal;
mod role;
mod scope;

pub use authenticator::{Authenticator, MAX_TOKEN_BYTES};
pub use claims::{MAX_ISSUER_BYTES, MAX_SUBJECT_BYTES, MAX_TENANT_BYTES};
pub use config::{AuthConfig, AuthConfigError, ClaimNames, MAX_LEEWAY_SECONDS, MIN_SECRET_BYTES};
pub use error::{AuthError, bearer_token};
pub use jwks::{IgnoredKey, JwkSet, JwksError, MAX_JWKS_BYTES, MAX_JWKS_KEYS};
pub use mint::{Claims, MintError, mint, mint_named};
pub use principal::{Denied, Principal, ReadAccess, WriteAs};
pub use role::{Role, UnknownRole};
pub use scope::{Scope, Scopes};
