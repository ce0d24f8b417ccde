//! What a process without an API answers of its health, beside its metrics.

use std::sync::Arc;

use audittrail_queue::Queue;
use audittrail_store::Store;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

/// `/health/live`, and `/health/ready`: whether it sequences, or would if whoever does went away.
pub(crate) fn health_router(store: Arc<dyn Store>, queue: Arc<dyn Queue>) -> Router {
    let live = || async { Json(json!({ "status": "live" })) };
    let ready = move || {
        let (store, queue) = (Arc::clone(&store), Arc::clone(&queue));
        async move {
            let why = match (store.ready().await, queue.ready()) {
                (Err(error), _) => Some(error.to_string()),
                (Ok(()), Err(error)) => Some(error.to_string()),
                (Ok(()), Ok(())) => None,
            };
            match why {
                None => (StatusCode::OK, Json(json!({ "status": "ready" }))),
                Some(why) => {
                    let body = json!({ "status": "not ready", "detail": why });
                    (StatusCode::SERVICE_UNAVAILABLE, Json(body))
                }
            }
        }
    };
    Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
}
