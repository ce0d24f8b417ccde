//! `GET /health/live` and `GET /health/ready`: no token needed.

use axum::Json;
use axum::extract::State as FromState;
use serde_json::{Value, json};

use crate::State;
use crate::problem::{Problem, Slug};

/// The process answers.
pub(crate) async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

/// A write would be taken now; otherwise 503 says what is wrong.
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
