//! `audittrail witness`: cosigns the checkpoints of logs, C2SP tlog-witness.

mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use audittrail_checkpoint::{
    ADD_CHECKPOINT_BYTES_MAX, Cosigner, Refusal, SIZE_MEDIA_TYPE, default_origin,
};
use audittrail_entry::Random;
use audittrail_store_embedded::DataDirectory;
use audittrail_store_embedded::disk::{Disk, RealDisk};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State as FromState};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use tokio::sync::watch;

use self::state::{Refused, State};
use crate::Failure;
use crate::ambient::{SystemClock, SystemRandom};
use crate::cli::WitnessArguments;
use crate::lifecycle::{Signals, bind, end_at_once};
use crate::http;
use crate::settings::Settings;
use crate::telemetry;
use crate::witnesses::read_policy;

const KEY: &str = "witness.key";
/// The time for all of a request's body.
const BODY_TIME: Duration = Duration::from_secs(10);

pub(crate) fn run(settings: Settings, arguments: &WitnessArguments) -> Result<(), Failure> {
    telemetry::start_logs(&settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("the runtime cannot be started: {error}")))?;
    let outcome = runtime.block_on(serve(settings, arguments));
    runtime.shutdown_background();
    outcome
}

async fn serve(mut settings: Settings, arguments: &WitnessArguments) -> Result<(), Failure> {
    http::fit(&mut settings.edge.bounds);
    let policy = read_policy(&arguments.policy)?;
    if policy.logs().is_empty() {
        return Err(Failure::Usage(format!(
            "{} lists no log: write a line `log <vkey>` for each one to witness",
            arguments.policy.display()
        )));
    }
    let listener = bind(settings.listen, "--listen or AUDITTRAIL_LISTEN").await?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let directory = DataDirectory::open(Arc::clone(&disk), &settings.data)
        .map_err(|error| Failure::Failed(error.to_string()))?;
    let cosigner = load_or_make(&directory, arguments.name.as_deref(), &SystemRandom)?;
    let vkey = cosigner.verifier().to_string();
    let clock = Arc::new(SystemClock);
    let state = State::open(disk, &settings.data, &policy, cosigner, clock)?;
    for (origin, size) in state.sizes() {
        tracing::info!(origin, size, "a log is witnessed");
    }
    let address = listener
        .local_addr()
        .map_err(|error| Failure::Failed(format!("the address is gone: {error}")))?;
    let mut signals = Signals::new()?;
    crate::out!("listening on http://{address}");
    crate::out!("verifier key: {vkey}");
    let (stop, stopping) = watch::channel(false);
    let bounds = settings.edge.bounds;
    let serving = http::serve(listener, router(Arc::new(state)), bounds, stopping);
    tokio::pin!(serving);
    tokio::select! {
        () = signals.next() => tracing::info!("stopping"),
        () = &mut serving => {}
    }
    stop.send_replace(true);
    end_at_once(signals, bounds.shutdown);
    serving.await;
    drop(directory);
    Ok(())
}

/// The key of the directory, made at the first start. A directory that holds a log is refused:
/// who watches has to be somebody else.
pub(crate) fn load_or_make(
    directory: &DataDirectory,
    name: Option<&str>,
    random: &dyn Random,
) -> Result<Cosigner, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
    let shown = directory.path().display();
    if directory.has_log().map_err(|error| failed(&error))? {
        return Err(Failure::Usage(format!(
            "{shown} holds a log: give the witness a directory of its own with --data"
        )));
    }
    let kept = directory.read_key(KEY).map_err(|error| failed(&error))?;
    let Some(kept) = kept else {
        let cosigner = new_cosigner(random, name)?;
        let secret = format!("{}\n", cosigner.to_secret_text());
        let written = directory.write_key(KEY, secret.as_bytes());
        written.map_err(|error| failed(&error))?;
        return Ok(cosigner);
    };
    let cosigner = Cosigner::parse(String::from_utf8_lossy(&kept).trim_end())
        .map_err(|error| failed(&format!("{shown}/keys/{KEY}: {error}")))?;
    let own = cosigner.verifier().name();
    match name {
        Some(name) if name != own => Err(Failure::Usage(format!(
            "name is {name}, but the witness's key is of {own}: a witness keeps its first name; \
             leave --name out, or use another --data"
        ))),
        _ => Ok(cosigner),
    }
}

fn new_cosigner(random: &dyn Random, name: Option<&str>) -> Result<Cosigner, Failure> {
    let mut seed = [0; 32];
    random.fill(&mut seed);
    let of = |name: &str| {
        Cosigner::from_seed(name, seed).map_err(|error| Failure::Usage(format!("name: {error}")))
    };
    match name {
        Some(name) => of(name),
        None => of(&default_origin(&of("unnamed")?.verifier().public_key())),
    }
}

pub(crate) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/add-checkpoint", post(add))
        .route("/{origin_hash}/checkpoint", get(latest))
        .route("/health/live", get(async || "live\n"))
        .route("/health/ready", get(async || "ready\n"))
        .fallback(async || told(StatusCode::NOT_FOUND, &NOTHING))
        .method_not_allowed_fallback(async || {
            let text = "this path does not take that method; the Allow header says which it takes";
            told(StatusCode::METHOD_NOT_ALLOWED, &text)
        })
        .with_state(state)
}

const NOTHING: &str = "there is nothing at this path: a witness answers POST /add-checkpoint, and GET \
    /<SHA-256 of a log's origin>/checkpoint, /health/live and /health/ready";

/// A short text, which programs do not read.
fn told(status: StatusCode, text: &dyn std::fmt::Display) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status, kind, format!("{text}\n")).into_response()
}

async fn add(FromState(state): FromState<Arc<State>>, body: Body) -> Response {
    let body = to_bytes(body, ADD_CHECKPOINT_BYTES_MAX);
    let body = match tokio::time::timeout(BODY_TIME, body).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            let text = "the body broke off, or is longer than 128 KiB";
            return told(StatusCode::BAD_REQUEST, &text);
        }
        Err(_) => return told(StatusCode::BAD_REQUEST, &"the body did not arrive in time"),
    };
    match aside(move || state.add(&body)).await {
        Ok(line) => told_exactly(StatusCode::OK, "text/plain; charset=utf-8", line),
        Err(Refused::By(Refusal::Conflict(size))) => {
            told_exactly(StatusCode::CONFLICT, SIZE_MEDIA_TYPE, format!("{size}\n"))
        }
        Err(Refused::By(refusal)) => {
            tracing::info!(reason = %refusal, "a checkpoint was not cosigned");
            let status = StatusCode::from_u16(refusal.status());
            told(status.unwrap_or(StatusCode::BAD_REQUEST), &refusal)
        }
        Err(Refused::NotKept(error)) => {
            tracing::error!(%error, "a checkpoint could not be kept; it was not cosigned");
            told(
                StatusCode::INTERNAL_SERVER_ERROR,
                &"the checkpoint could not be kept",
            )
        }
    }
}

fn told_exactly(status: StatusCode, kind: &'static str, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, kind)], body).into_response()
}

/// On a thread that may block, since the disk does. It goes on when the client is gone.
#[expect(
    clippy::disallowed_methods,
    reason = "the server moves what blocks aside"
)]
async fn aside(
    add: impl FnOnce() -> Result<String, Refused> + Send + 'static,
) -> Result<String, Refused> {
    let added = tokio::task::spawn_blocking(add).await;
    added.unwrap_or_else(|error| Err(Refused::NotKept(std::io::Error::other(error))))
}

async fn latest(FromState(state): FromState<Arc<State>>, Path(hash): Path<String>) -> Response {
    match state.latest(&hash) {
        Some(note) => told_exactly(StatusCode::OK, "text/plain; charset=utf-8", note),
        None => told(
            StatusCode::NOT_FOUND,
            &"nothing was cosigned for such a log",
        ),
    }
}
