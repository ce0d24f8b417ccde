//! Roles: named sets of scopes, so that issuers need not know the scopes.

use std::fmt;
use std::str::FromStr;

use crate::{Scope, Scopes};

/// A role as tokens and the default-role setting name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Writes as itself and reads its own entries.
    User,
    /// Writes for anybody; reads nothing.
    Writer,
    /// Reads everything; writes nothing.
    Reader,
    /// Reads, exports and proves everything.
    Auditor,
    /// May do everything.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [
        Self::User,
        Self::Writer,
        Self::Reader,
        Self::Auditor,
        Self::Admin,
    ];

    /// The role's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Writer => "writer",
            Self::Reader => "reader",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }

    /// The role of that name; names are compared exactly.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// What the role may do.
    #[must_use]
    pub fn scopes(self) -> Scopes {
        let scopes: &[Scope] = match self {
            Self::User => &[Scope::WriteOwn, Scope::ReadOwn],
            Self::Writer => &[Scope::Write],
            Self::Reader => &[Scope::Read],
            Self::Auditor => &[Scope::Read, Scope::Export, Scope::Prove],
            Self::Admin => &Scope::ALL,
        };
        scopes.iter().copied().collect()
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A role name that is none of [`Role::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the role must be user, writer, reader, auditor or admin")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        Self::from_name(name).ok_or(UnknownRole)
    }
}
