//! Who is asking.

use audittrail_auth::{AuthError, Principal, ReadAccess, bearer_token};
use audittrail_store::Access;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use tokio::sync::oneshot;

use crate::address::Client;
use crate::problem::Problem;
use crate::{KeysWanted, State};

/// Nanoseconds of a second.
pub(crate) const NANOS: i64 = 1_000_000_000;

/// The holder of a valid token.
pub(crate) struct Caller(pub(crate) Principal);

impl FromRequestParts<State> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        let now = state.api.clock.now().nanos();
        let outcome = authenticate(parts, state, now / NANOS).await;
        if let Some(rates) = &state.rates {
            match &outcome {
                Ok(principal) => rates.subject(principal, now)?,
                Err(_) => {
                    let client = parts.extensions.get::<Client>();
                    rates.address(client.and_then(|client| client.address), now)?;
                }
            }
        }
        Ok(Self(outcome?))
    }
}

async fn authenticate(parts: &Parts, state: &State, now: i64) -> Result<Principal, AuthError> {
    let token = token(&parts.headers)?;
    let authenticate = || state.api.authenticator.authenticate(token, now);
    match authenticate() {
        Err(AuthError::UnknownKey | AuthError::KeysUnavailable)
            if keys_were_fetched(state.api.keys_wanted.as_ref()).await =>
        {
            authenticate()
        }
        outcome => outcome,
    }
}

/// Waits until the issuer's keys were asked for. `false`: they were not, because there is nobody
/// to ask or too many wait already.
async fn keys_were_fetched(keys_wanted: Option<&KeysWanted>) -> bool {
    let (answer, answered) = oneshot::channel();
    match keys_wanted.map(|wanted| wanted.try_send(answer)) {
        Some(Ok(())) => answered.await.is_ok(),
        Some(Err(_)) | None => false,
    }
}

pub(crate) fn token(headers: &HeaderMap) -> Result<&str, AuthError> {
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
