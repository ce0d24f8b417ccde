//! Who is asking.

use audittrail_auth::{AuthError, Principal, ReadAccess, bearer_token};
use audittrail_store::Access;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use crate::State;
use crate::address::Client;
use crate::problem::Problem;

const NANOS: i64 = 1_000_000_000;

/// The holder of a valid token.
pub(crate) struct Caller(pub(crate) Principal);

impl FromRequestParts<State> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        let now = state.api.clock.now().nanos();
        let principal = token(&parts.headers)
            .and_then(|token| state.api.authenticator.authenticate(token, now / NANOS));
        if let Some(rates) = &state.rates {
            match &principal {
                Ok(principal) => rates.subject(principal, now)?,
                Err(_) => {
                    let client = parts.extensions.get::<Client>();
                    rates.address(client.and_then(|client| client.address), now)?;
                }
            }
        }
        Ok(Self(principal?))
    }
}

fn token(headers: &HeaderMap) -> Result<&str, AuthError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(AuthError::Missing)?;
    if values.next().is_some() {
        return Err(AuthError::Malformed);
    }
    bearer_token(value.to_str().map_err(|_| AuthError::Malformed)?)
}

/// What a principal may read, in the store's words.
pub(crate) fn access(allowed: ReadAccess) -> Access {
    Access {
        user_id: allowed.user_id,
        tenant: allowed.tenant,
    }
}
