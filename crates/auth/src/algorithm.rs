//! The signature algorithms that can be accepted.

use jsonwebtoken::Algorithm as Backend;

/// A value of `alg` (RFC 7518, section 3.1; RFC 8037, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Hs256,
    Rs256,
    Es256,
    EdDsa,
}

impl Algorithm {
    pub(crate) const ALL: [Self; 4] = [Self::Hs256, Self::Rs256, Self::Es256, Self::EdDsa];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of that name; names are compared exactly.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    pub(crate) const fn backend(self) -> Backend {
        match self {
            Self::Hs256 => Backend::HS256,
            Self::Rs256 => Backend::RS256,
            Self::Es256 => Backend::ES256,
            Self::EdDsa => Backend::EdDSA,
        }
    }
}
