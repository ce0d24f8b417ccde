//! Scopes: what a token may do, one name for each kind of request.

use std::fmt;

/// One permission, named in tokens as [`Scope::as_str`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Scope {
    /// `logs:write:own`: write entries as oneself.
    WriteOwn,
    /// `logs:write`: write entries for anybody, and name a tenant.
    Write,
    /// `logs:read:own`: read the entries whose user_id is the subject.
    ReadOwn,
    /// `logs:read`: read every entry.
    Read,
    /// `logs:export`: export entries.
    Export,
    /// `logs:prove`: get proofs, checkpoints and tiles.
    Prove,
    /// `logs:admin`: administrative acts.
    Admin,
}

impl Scope {
    /// Every scope, in the order of the enum.
    pub const ALL: [Self; 7] = [
        Self::WriteOwn,
        Self::Write,
        Self::ReadOwn,
        Self::Read,
        Self::Export,
        Self::Prove,
        Self::Admin,
    ];

    /// The name a token carries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WriteOwn => "logs:write:own",
            Self::Write => "logs:write",
            Self::ReadOwn => "logs:read:own",
            Self::Read => "logs:read",
            Self::Export => "logs:export",
            Self::Prove => "logs:prove",
            Self::Admin => "logs:admin",
        }
    }

    /// The scope of that name. Names are compared exactly (RFC 6749, section 3.3).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of scopes.
///
/// The set is plain: it holds what was inserted. That `logs:write` covers `logs:write:own` is
/// known to [`Principal::require`](crate::Principal::require), not to the set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// No scope at all.
    pub const NONE: Self = Self(0);

    /// Every scope.
    #[must_use]
    pub fn all() -> Self {
        Scope::ALL.into_iter().collect()
    }

    /// Whether the set holds `scope`.
    #[must_use]
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Adds `scope`.
    pub const fn insert(&mut self, scope: Scope) {
        self.0 |= scope.bit();
    }

    /// The scopes that are in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the set holds nothing.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The scopes in the set, in the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL
            .into_iter()
            .filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        scopes.into_iter().fold(Self::NONE, |mut set, scope| {
            set.insert(scope);
            set
        })
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(Scope::as_str))
            .finish()
    }
}
