//! What the machine allows, measured in the same run as what is compared with it.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::client::Target;
use crate::load::{Plan, histogram, run};
use crate::writes::Writes;
use crate::{BenchError, Entries, Figures, Latencies};

/// Appending to one file with a sync after each append.
#[derive(Debug, Clone, Serialize)]
pub struct Limits {
    /// Bytes of each append.
    pub append_bytes: usize,
    /// Appends in a second.
    pub appends_per_second: f64,
    /// Megabytes in a second.
    pub mb_per_second: f64,
    /// One append with its sync.
    pub latency_ms: Latencies,
}

/// Appends `bytes` to a file in `directory` and syncs it, again and again for `duration`.
///
/// # Errors
/// If the file cannot be made, written or synced.
pub fn synced_appends(
    directory: &Path,
    bytes: &[u8],
    duration: Duration,
) -> Result<Limits, BenchError> {
    let what = || format!("a file in {} cannot be written", directory.display());
    let mut file: File = tempfile::tempfile_in(directory).map_err(BenchError::because(what()))?;
    let mut latency: Histogram<u64> = histogram();
    let begin = Instant::now();
    let mut appends = 0_u64;
    // The first makes the file; it counts as little as the warm-up of a scenario.
    while appends < 2 || begin.elapsed() < duration {
        let start = Instant::now();
        file.write_all(bytes).map_err(BenchError::because(what()))?;
        file.sync_data().map_err(BenchError::because(what()))?;
        let took = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        if appends > 0 {
            latency.saturating_record(took);
        }
        appends += 1;
    }
    let seconds = begin.elapsed().as_secs_f64();
    Ok(Limits {
        append_bytes: bytes.len(),
        appends_per_second: appends as f64 / seconds,
        mb_per_second: appends as f64 * bytes.len() as f64 / 1e6 / seconds,
        latency_ms: Latencies::of(&latency),
    })
}

/// Sends single entries, as planned, to a handler that does nothing with them, on a runtime and
/// threads of its own in this process: what HTTP alone costs beside this load.
///
/// # Errors
/// If it cannot be started or reached.
pub async fn empty_handler(plan: Plan, entries: &Entries) -> Result<Figures, BenchError> {
    let what = "the empty handler cannot be started";
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(BenchError::because(what))?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        })
        .map_err(BenchError::because(what))?;
    let address = listener.local_addr().map_err(BenchError::because(what))?;
    runtime.spawn(async move {
        let handler = axum::routing::post(async || axum::http::StatusCode::NO_CONTENT);
        let router = axum::Router::new().route("/logs/create/", handler);
        if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
            let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
                let _ = stream.set_nodelay(true);
            });
            let _ = axum::serve(listener, router).await;
        }
    });
    let target = Target::new(&format!("http://{address}"), "none", None)?;
    let work = Writes {
        target: target.clone(),
        entries: entries.clone(),
        first: 0,
        batch: 1,
        most: None,
    };
    let figures = run("an empty axum handler", &target, plan, work).await;
    runtime.shutdown_background();
    figures
}
