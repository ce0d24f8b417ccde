//! `GET /health/live` and `GET /health/ready`: no token needed.

use axum::Json;
use axum::extract::State as FromState;
use serde_json::{Value, json};

use crate::State;
use crate::openapi::parameters::RequestId;
use crate::openapi::schemas;
use crate::problem::{Problem, Slug};

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
    if let Err(error) = shared.api.store.ready().await {
        return Err(Problem::new(
            Slug::NotReady,
            format!("The store takes no writes: {error}"),
        ));
    }
    if !shared.api.queue.depth().open {
        return Err(Problem::new(
            Slug::NotReady,
            "The intake is full or shutting down.",
        ));
    }
    Ok(Json(json!({ "status": "ready" })))
}
