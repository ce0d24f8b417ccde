//! The principal: who a token speaks for, and the limits of what it may do.
//!
//! A tenant claim is a limit that no role and no scope lifts.

use crate::{Scope, Scopes};

/// Who is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The token's subject: 1 to 256 bytes without control characters.
    pub subject: String,
    /// The token's issuer, where it names one.
    pub issuer: Option<String>,
    /// The tenant the token is bound to. `None`: it is not bound.
    pub tenant: Option<String>,
    /// What the token may do.
    pub scopes: Scopes,
}

/// As whom, and in which tenant, an entry is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteAs {
    /// The entry's user_id.
    pub user_id: String,
    /// The entry's tenant, where it has one.
    pub tenant: Option<String>,
}

/// Which entries may be seen: those that have every member that is `Some`.
/// `None` leaves that member unrestricted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadAccess {
    /// Only entries with this user_id.
    pub user_id: Option<String>,
    /// Only entries of this tenant.
    pub tenant: Option<String>,
}

/// The token is valid, and does not suffice (RFC 6750, `insufficient_scope`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Denied {
    /// The scope that is missing. Where the token's tenant forbids the request this is the scope
    /// that an unbound token would need for it.
    pub missing: Scope,
    /// A sentence for the caller, in printable ASCII without quotes and backslashes.
    pub detail: String,
}

impl Denied {
    fn scope(missing: Scope, act: &str) -> Self {
        Self {
            missing,
            detail: format!("The token lacks the scope {missing}, needed {act}."),
        }
    }

    fn tenant(missing: Scope, rule: &str) -> Self {
        Self {
            missing,
            detail: format!("The token is bound to a tenant: {rule}."),
        }
    }
}

impl Principal {
    /// Whether the principal may write an entry with this `user_id` and `tenant` (as the entry
    /// names them, `None` where it does not), and what they then are.
    ///
    /// `user_id` defaults to the subject; another's needs `logs:write`. A bound token fixes the
    /// tenant. An unbound one needs `logs:write` to name one.
    ///
    /// # Errors
    /// [`Denied`] where a scope is missing or the tenant is not the token's.
    pub fn may_write(
        &self,
        user_id: Option<&str>,
        tenant: Option<&str>,
    ) -> Result<WriteAs, Denied> {
        let user_id = user_id.unwrap_or(&self.subject);
        let for_anybody = self.scopes.contains(Scope::Write);
        if !for_anybody {
            if user_id != self.subject {
                return Err(Denied::scope(Scope::Write, "to write for another user_id"));
            }
            self.require(Scope::WriteOwn)?;
        }
        let tenant = match (self.tenant.as_deref(), tenant) {
            (Some(bound), Some(named)) if named != bound => {
                let rule = "it cannot write to another one";
                return Err(Denied::tenant(Scope::Write, rule));
            }
            (None, Some(_)) if !for_anybody => {
                return Err(Denied::scope(Scope::Write, "to name a tenant"));
            }
            (bound, named) => bound.or(named),
        };
        Ok(WriteAs {
            user_id: user_id.to_owned(),
            tenant: tenant.map(str::to_owned),
        })
    }

    /// Which entries the principal may read.
    ///
    /// # Errors
    /// [`Denied`] with neither `logs:read` nor `logs:read:own`.
    pub fn read_access(&self) -> Result<ReadAccess, Denied> {
        self.require(Scope::ReadOwn)?;
        let own_only = !self.scopes.contains(Scope::Read);
        Ok(ReadAccess {
            user_id: own_only.then(|| self.subject.clone()),
            tenant: self.tenant.clone(),
        })
    }

    /// Which entries the principal may export: all of its tenant, or all.
    ///
    /// # Errors
    /// [`Denied`] without `logs:export`.
    pub fn export_access(&self) -> Result<ReadAccess, Denied> {
        self.require(Scope::Export)?;
        Ok(self.whole_tenant())
    }

    /// Of which entries the principal may have proofs: all of its tenant, or all. A proof's
    /// siblings are hashes; whether the sealed part may be shown beside it is
    /// [`Principal::read_access`]'s answer.
    ///
    /// # Errors
    /// [`Denied`] without `logs:prove`.
    pub fn prove_access(&self) -> Result<ReadAccess, Denied> {
        self.require(Scope::Prove)?;
        Ok(self.whole_tenant())
    }

    /// Whether the principal may have tiles. Never with a tenant: a tile holds the open part of
    /// every tenant's entries.
    ///
    /// # Errors
    /// [`Denied`] without `logs:prove`, or where the token is bound to a tenant.
    pub fn require_tiles(&self) -> Result<(), Denied> {
        self.require(Scope::Prove)?;
        if self.tenant.is_some() {
            let rule = "tiles hold the entries of all of them";
            return Err(Denied::tenant(Scope::Prove, rule));
        }
        Ok(())
    }

    /// Whether the principal has `scope`. `logs:write` covers `logs:write:own`, and `logs:read`
    /// covers `logs:read:own`. Says nothing about the tenant.
    ///
    /// # Errors
    /// [`Denied`] that names `scope`.
    pub fn require(&self, scope: Scope) -> Result<(), Denied> {
        let wider = match scope {
            Scope::WriteOwn => Scope::Write,
            Scope::ReadOwn => Scope::Read,
            other => other,
        };
        if self.scopes.contains(scope) || self.scopes.contains(wider) {
            return Ok(());
        }
        Err(Denied::scope(scope, "for this request"))
    }

    fn whole_tenant(&self) -> ReadAccess {
        ReadAccess {
            user_id: None,
            tenant: self.tenant.clone(),
        }
    }
}
