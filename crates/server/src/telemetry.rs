//! Logs and metrics.

use std::io::IsTerminal as _;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::Failure;
use crate::settings::{LogFormat, Settings};

/// Sends logs to standard error.
pub(crate) fn start_logs(settings: &Settings) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&settings.log)
        .map_err(|error| Failure::Usage(format!("log is {}: {error}", settings.log)))?;
    let terminal = std::io::stderr().is_terminal();
    let json = settings
        .log_format
        .map_or(!terminal, |format| format == LogFormat::Json);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would complain on standard error, and panic where that is gone.
        .log_internal_errors(false);
    let started = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(terminal).with_target(false).try_init()
    };
    started.map_err(|error| Failure::Failed(format!("logs cannot be started: {error}")))
}

const SECONDS: [f64; 14] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0,
];
const ENTRIES: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 16_384.0];

/// Begins to count; the handle renders what was counted.
pub(crate) fn start_metrics() -> Result<PrometheusHandle, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::Failed(format!("metrics cannot be started: {error}"))
    };
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .and_then(|builder| {
            builder.set_buckets_for_metric(Matcher::Suffix("_entries".to_owned()), &ENTRIES)
        })
        .map_err(|error| failed(&error))?
        .install_recorder()
        .map_err(|error| failed(&error))?;
    crate::metered::describe();
    crate::http::describe();
    metrics::describe_histogram!(
        "audittrail_http_request_duration_seconds",
        metrics::Unit::Seconds,
        "Time until an answer begins, by method, path and status"
    );
    audittrail_api::describe_metrics();
    metrics::gauge!("audittrail_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}

/// Samples of histograms are drained this often, or they would pile up unread.
pub(crate) const UPKEEP: Duration = Duration::from_secs(5);

/// Counts and times requests; what was asked for shows only as the path's pattern.
#[expect(clippy::disallowed_methods, reason = "durations are measured here")]
pub(crate) async fn count_request(request: Request, next: Next) -> Response {
    let method = match request.method().as_str() {
        known @ ("GET" | "POST" | "HEAD" | "OPTIONS" | "PUT" | "DELETE" | "PATCH") => known,
        _ => "other",
    }
    .to_owned();
    let path = request.extensions().get::<MatchedPath>();
    let path = path
        .map_or("other", MatchedPath::as_str)
        .trim_end_matches('/')
        .to_owned();
    let start = std::time::Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    let labels = [("method", method), ("path", path), ("status", status)];
    metrics::histogram!("audittrail_http_request_duration_seconds", &labels)
        .record(start.elapsed());
    response
}

/// Prometheus, at `/metrics`.
pub(crate) fn metrics_router(prometheus: PrometheusHandle) -> Router {
    let render = move || {
        let text = prometheus.render();
        async move {
            (
                [("content-type", "text/plain; version=0.0.4; charset=utf-8")],
                text,
            )
        }
    };
    Router::new().route("/metrics", axum::routing::get(render))
}
