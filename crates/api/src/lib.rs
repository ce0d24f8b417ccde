//! The HTTP interface: one endpoint, one file.
//!
//! It submits to the queue and reads from the store; it knows neither a sequencer nor a
//! backend. docs/api.md describes what clients see.

mod accept;
mod address;
mod body;
mod bundle;
mod caller;
mod checkpoint;
mod compression;
mod consistency;
mod create;
mod docs_page;
mod encoding;
mod entrance;
mod export;
mod export_evidence;
mod export_parts;
mod get;
mod health;
mod intake;
mod leftover;
mod list;
mod metering;
mod openapi;
mod parameters;
mod problem;
mod proof;
mod proving;
mod rate;
mod receipt;
mod render;
mod render_csv;
mod request_id;
mod routes;
mod settings;
mod splice;
mod stats;
mod stream;
mod tile;
mod tiles_caller;
mod turns;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;

pub use address::Peer;
pub use entrance::Malformed;
pub use metering::{describe_metrics, record_failures};
pub use rate::Rate;
pub use settings::{Ack, Api, ApiSettings, KeysWanted, Witnessed};
pub use stream::Endless;

use problem::{Problem, Slug};

/// What every handler gets.
struct Shared {
    api: Api,
    /// Kibibytes of request bodies that may still be held in memory.
    bodies: Arc<Semaphore>,
    turns: turns::Turns,
    commits: turns::Commits,
    streams: stream::Streams,
    /// Statistics that may be made at once.
    stats_places: Semaphore,
    /// None without a limit.
    rates: Option<rate::Rates>,
    /// The interface as OpenAPI, and the page that shows it: made when they are asked for first.
    document: OnceLock<openapi::Fixed>,
    page: OnceLock<docs_page::Page>,
}

type State = Arc<Shared>;

/// All routes. Every path is there with and without its trailing slash, but those of C2SP
/// tlog-tiles, which are there exactly as it has them.
pub fn router(api: Api) -> Router {
    routers(api).0
}

/// [`router`], and one that has the two paths about health alone, for a listener whose connections
/// no client of the API can take.
pub fn routers(api: Api) -> (Router, Router) {
    let kibibytes = (api.settings.bodies_bytes >> 10).min(Semaphore::MAX_PERMITS);
    let (base_path, rate) = (api.settings.base_path.clone(), api.settings.rate);
    let shared = Arc::new(Shared {
        streams: stream::Streams::new(api.settings.streams),
        stats_places: Semaphore::new(stats::AT_ONCE),
        document: OnceLock::new(),
        page: OnceLock::new(),
        api,
        rates: rate.map(rate::Rates::new),
        bodies: Arc::new(Semaphore::new(kibibytes)),
        turns: turns::Turns::new(),
        commits: turns::Commits::default(),
    });
    let mut router = routes::all(&shared.api.settings);
    if !base_path.is_empty() {
        let router_within = router.method_not_allowed_fallback(no_such_method);
        router = routes::at_root().nest(&base_path, router_within);
    }
    let health = routes::at_root()
        .with_state(Arc::clone(&shared))
        .layer(from_fn_with_state(
            Arc::clone(&shared),
            request_id::with_request_id,
        ));
    let router = router
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(Arc::clone(&shared))
        .layer(from_fn_with_state(Arc::clone(&shared), entrance::check))
        .layer(from_fn_with_state(shared, request_id::with_request_id))
        .layer(from_fn(compression::compress))
        .layer(from_fn(leftover::discard));
    (router, health)
}

async fn no_such_path() -> Problem {
    Problem::new(
        Slug::NotFound,
        "There is nothing at this path; docs/api.md lists what there is.",
    )
}

/// The router adds `Allow`.
async fn no_such_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    Problem::new(
        Slug::MethodNotAllowed,
        "This path does not take that method; the Allow header says which it takes.",
    )
    .into_response()
}
