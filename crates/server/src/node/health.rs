//! What a process without an API answers of its health, beside its metrics.

use std::sync::Arc;
use std::time::Duration;

use audittrail_queue::Queue;
use audittrail_store::Store;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

/// A store that takes longer to look is not ready, as an API node says too.
const PATIENCE: Duration = Duration::from_secs(3);

/// `/health/live`, and `/health/ready`: whether it sequences, or would if whoever does went away.
pub(crate) fn health_router(store: Arc<dyn Store>, queue: Arc<dyn Queue>) -> Router {
    let live = || async { Json(json!({ "status": "live" })) };
    let ready = move || {
        let (store, queue) = (Arc::clone(&store), Arc::clone(&queue));
        async move {
            let looked = tokio::time::timeout(PATIENCE, store.ready()).await;
            let why = match (looked, queue.ready()) {
                (Err(_), _) => Some("the store does not answer".to_owned()),
                (Ok(Err(error)), _) => Some(error.to_string()),
                (Ok(Ok(())), Err(error)) => Some(error.to_string()),
                (Ok(Ok(())), Ok(())) => None,
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
