//! The HTTP interface: one endpoint, one file.
//!
//! It submits to the queue and reads from the store; it knows neither a sequencer nor a
//! backend. docs/api.md describes what clients see.

mod body;
mod caller;
mod create;
mod export;
mod get;
mod health;
mod intake;
mod list;
mod metering;
mod parameters;
mod problem;
mod proof;
mod receipt;
mod render;
mod render_csv;
mod request_id;
mod settings;
mod stream;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};
use tokio::sync::Semaphore;

pub use metering::{describe_metrics, record_failures};
pub use settings::{Ack, Api, ApiSettings, KeysWanted};

use problem::{Problem, Slug};

/// What every handler gets.
struct Shared {
    api: Api,
    /// Kibibytes of request bodies that may still be held in memory.
    bodies: Arc<Semaphore>,
    streams: stream::Streams,
}

type State = Arc<Shared>;

/// All routes. Every path is there with and without its trailing slash.
pub fn router(api: Api) -> Router {
    let kibibytes = (api.settings.bodies_bytes >> 10).min(Semaphore::MAX_PERMITS);
    let shared = Arc::new(Shared {
        streams: stream::Streams::new(api.settings.streams),
        api,
        bodies: Arc::new(Semaphore::new(kibibytes)),
    });
    let router = Router::new();
    let router = both(router, "/logs/create", || post(create::create));
    let router = both(router, "/logs", || post(create::create));
    let router = both(router, "/logs/list", || get(list::list));
    let router = both(router, "/logs/export", || get(export::export));
    let router = both(router, "/logs/stream", || get(stream::stream));
    let router = both(router, "/logs/{id}", || get(get::get));
    let router = both(router, "/health/live", || get(health::live));
    let router = both(router, "/health/ready", || get(health::ready));
    router
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(Arc::clone(&shared))
        .layer(from_fn_with_state(shared, request_id::with_request_id))
}

fn both(
    router: Router<State>,
    path: &str,
    handler: impl Fn() -> MethodRouter<State>,
) -> Router<State> {
    router
        .route(path, handler())
        .route(&format!("{path}/"), handler())
}

async fn no_such_path() -> Problem {
    Problem::new(
        Slug::NotFound,
        "There is nothing at this path; docs/api.md lists what there is.",
    )
}

async fn no_such_method() -> Problem {
    Problem::new(
        Slug::MethodNotAllowed,
        "This path does not take that method; the Allow header says which it takes.",
    )
}
