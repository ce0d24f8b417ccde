//! `GET /health/live` and `GET /health/ready`: no token needed.

use std::time::Duration;

use axum::Json;
use axum::extract::State as FromState;
use serde_json::{Value, json};

use crate::State;
use crate::openapi::parameters::RequestId;
use crate::openapi::schemas;
use crate::problem::{Problem, Slug};

/// A store that takes longer to look is not ready.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether the process answers
#[utoipa::path(
    get, path = "/health/live", operation_id = "live", tag = "health",
    params(RequestId),
    responses((status = 200, description = "It does.", body = schemas::Health))
)]
pub(crate) async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

/// Whether a write would be taken now
///
/// 503 says what is wrong.
#[utoipa::path(
    get, path = "/health/ready", operation_id = "ready", tag = "health",
    params(RequestId),
    responses((status = 200, description = "It would.", body = schemas::Health))
)]
pub(crate) async fn ready(FromState(shared): FromState<State>) -> Result<Json<Value>, Problem> {
    let ready = tokio::time::timeout(PATIENCE, shared.api.store.ready()).await;
    let why = match ready {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("it does not answer".to_owned()),
    };
    if let Some(why) = why {
        let detail = format!("The store is not as it has to be for writes: {why}.");
        return Err(Problem::new(Slug::NotReady, detail));
    }
    if let Err(error) = shared.api.queue.ready() {
        let detail = format!("The queue cannot take a write: {error}.");
        return Err(Problem::new(Slug::NotReady, detail));
    }
    if shared.intake_is_full() {
        return Err(Problem::new(
            Slug::NotReady,
            "The intake is full or shutting down: writes are refused.",
        ));
    }
    Ok(Json(json!({ "status": "ready" })))
}
