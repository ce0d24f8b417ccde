//! Claims: the rules that each value must meet.

use serde_json::{Map, Value};

use crate::claim_path::ClaimPath;
use crate::{AuthConfig, AuthConfigError, AuthError, Principal, Role, Scope, Scopes};

/// The longest subject, in bytes: what an entry's user_id holds.
pub const MAX_SUBJECT_BYTES: usize = 256;
/// The longest tenant, in bytes.
pub const MAX_TENANT_BYTES: usize = 128;
/// The longest issuer, in bytes.
pub const MAX_ISSUER_BYTES: usize = 1024;

/// 9999-12-31T23:59:59Z. A token that gives milliseconds lies beyond it, and is refused rather
/// than believed for thousands of years.
pub(crate) const LAST_SECOND: f64 = 253_402_300_799.0;

/// Text of 1 to `max_bytes` bytes without control characters (C0, DEL, C1).
pub(crate) fn is_plain_text(text: &str, max_bytes: usize) -> bool {
    (1..=max_bytes).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// What the claims of a token with a good signature must meet.
#[derive(Debug)]
pub(crate) struct ClaimRules {
    issuer: Option<String>,
    audience: Vec<String>,
    leeway_seconds: f64,
    default_role: Option<Role>,
    roles: ClaimPath,
    scope: Vec<ClaimPath>,
    subject: Vec<ClaimPath>,
    tenant: ClaimPath,
    token_type: ClaimPath,
}

impl ClaimRules {
    pub(crate) fn new(config: &AuthConfig) -> Result<Self, AuthConfigError> {
        if config
            .issuer
            .iter()
            .chain(&config.audience)
            .any(String::is_empty)
        {
            return Err(AuthConfigError::EmptyIssuerOrAudience);
        }
        let seconds = config.leeway_seconds;
        if seconds > crate::MAX_LEEWAY_SECONDS {
            return Err(AuthConfigError::Leeway { seconds });
        }
        let paths = |names: &[String]| -> Result<Vec<_>, _> {
            names.iter().map(|name| ClaimPath::new(name)).collect()
        };
        let names = &config.claims;
        if names.subject.is_empty() {
            return Err(AuthConfigError::ClaimName(String::new()));
        }
        Ok(Self {
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            leeway_seconds: seconds as f64,
            default_role: config.default_role,
            roles: ClaimPath::new(&names.roles)?,
            scope: paths(&names.scope)?,
            subject: paths(&names.subject)?,
            tenant: ClaimPath::new(&names.tenant)?,
            token_type: ClaimPath::new(&names.token_type)?,
        })
    }

    /// The principal these claims speak for at `now` (Unix seconds).
    pub(crate) fn principal(
        &self,
        claims: &Map<String, Value>,
        now: i64,
    ) -> Result<Principal, AuthError> {
        self.check_times(claims, now)?;
        let issuer = self.check_issuer(claims)?;
        self.check_audience(claims)?;
        match self.token_type.find(claims) {
            None => {}
            Some(Value::String(token_type)) if token_type == "access" => {}
            Some(_) => return Err(AuthError::TokenType),
        }
        Ok(Principal {
            subject: self.subject(claims)?,
            issuer,
            tenant: self.tenant(claims)?,
            scopes: self.scopes(claims)?,
        })
    }

    /// RFC 7519, sections 4.1.4 and 4.1.5: good from `nbf` on and before `exp`, each widened by
    /// the leeway. In floating point, where nothing overflows and whole seconds are exact.
    fn check_times(&self, claims: &Map<String, Value>, now: i64) -> Result<(), AuthError> {
        let now = now as f64;
        let expires = numeric_date(claims, "exp")?.ok_or(AuthError::NoExpiry)?;
        if now >= expires + self.leeway_seconds {
            return Err(AuthError::Expired);
        }
        match numeric_date(claims, "nbf")? {
            Some(starts) if now < starts - self.leeway_seconds => Err(AuthError::NotYetValid),
            _ => Ok(()),
        }
    }

    fn check_issuer(&self, claims: &Map<String, Value>) -> Result<Option<String>, AuthError> {
        let issuer = match claims.get("iss") {
            None => None,
            Some(Value::String(issuer)) if is_plain_text(issuer, MAX_ISSUER_BYTES) => {
                Some(issuer.clone())
            }
            Some(_) => return Err(AuthError::Issuer),
        };
        if self.issuer.is_some() && issuer != self.issuer {
            return Err(AuthError::Issuer);
        }
        Ok(issuer)
    }

    /// RFC 7519, section 4.1.3: a string, or a list of strings.
    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), AuthError> {
        if self.audience.is_empty() {
            return Ok(());
        }
        let mut accepted = false;
        let listed = each_text(claims.get("aud"), |text| {
            accepted |= self.audience.iter().any(|audience| audience == text);
        });
        if listed && accepted {
            Ok(())
        } else {
            Err(AuthError::Audience)
        }
    }

    /// The first subject claim that is there decides; a bad one is not passed over.
    fn subject(&self, claims: &Map<String, Value>) -> Result<String, AuthError> {
        let subject = match self.subject.iter().find_map(|path| path.find(claims)) {
            Some(Value::String(text)) => text.clone(),
            // Integers alone: others have no one text, and large ones were rounded on parsing,
            // which would make two people one.
            Some(Value::Number(number)) if !number.is_f64() => number.to_string(),
            _ => return Err(AuthError::Subject),
        };
        if is_plain_text(&subject, MAX_SUBJECT_BYTES) {
            Ok(subject)
        } else {
            Err(AuthError::Subject)
        }
    }

    fn tenant(&self, claims: &Map<String, Value>) -> Result<Option<String>, AuthError> {
        match self.tenant.find(claims) {
            None => Ok(None),
            Some(Value::String(tenant)) if is_plain_text(tenant, MAX_TENANT_BYTES) => {
                Ok(Some(tenant.clone()))
            }
            Some(_) => Err(AuthError::Tenant),
        }
    }

    /// Unknown roles and scopes are other services': ignored. Without a known role the default
    /// role's scopes join the explicit ones.
    fn scopes(&self, claims: &Map<String, Value>) -> Result<Scopes, AuthError> {
        let mut scopes = Scopes::NONE;
        let mut has_role = false;
        let listed = each_text(self.roles.find(claims), |name| {
            if let Some(role) = Role::from_name(name) {
                has_role = true;
                scopes = scopes.union(role.scopes());
            }
        });
        if !listed {
            return Err(AuthError::Roles);
        }
        if let (false, Some(role)) = (has_role, self.default_role) {
            scopes = scopes.union(role.scopes());
        }
        for path in &self.scope {
            let listed = each_text(path.find(claims), |names| {
                let known = names.split(' ').filter_map(Scope::from_name);
                scopes = scopes.union(known.collect());
            });
            if !listed {
                return Err(AuthError::Scopes);
            }
        }
        Ok(scopes)
    }
}

/// Calls `visit` with a string, or with each string of a list; absence and `null` are an empty
/// list. `false`: there was something else.
fn each_text(value: Option<&Value>, mut visit: impl FnMut(&str)) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => {
            visit(text);
            true
        }
        Some(Value::Array(list)) => list.iter().all(|item| match item {
            Value::String(text) => {
                visit(text);
                true
            }
            _ => false,
        }),
        Some(_) => false,
    }
}

/// RFC 7519, section 2: seconds since 1970, which may have a fraction.
fn numeric_date(claims: &Map<String, Value>, name: &'static str) -> Result<Option<f64>, AuthError> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    match value.as_f64() {
        Some(seconds) if (0.0..=LAST_SECOND).contains(&seconds) => Ok(Some(seconds)),
        _ => Err(AuthError::Time(name)),
    }
}
