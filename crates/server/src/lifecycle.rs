//! How a process that runs until it is asked to stop listens, hears of that, and ends.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::settings::{Settings, StoreAt};
use crate::witnesses::{self, watermark};
use crate::{Failure, following, node, packing, telemetry};

/// The last checkpoint, after the last request.
pub(crate) const CLOSING: Duration = Duration::from_secs(10);

/// Logs, metrics and a runtime for a process that has a part in a log, until that ends.
pub(crate) fn run<F>(
    settings: Settings,
    part: impl FnOnce(Settings, PrometheusHandle) -> F,
) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    telemetry::start_logs(&settings)?;
    let prometheus = telemetry::start_metrics()?;
    match settings.topology.store {
        StoreAt::Embedded => {
            packing::describe();
            following::describe();
        }
        StoreAt::Mongo(_) => node::describe(),
    }
    if settings.witnesses.is_some() {
        witnesses::describe();
    }
    if settings.watermark.is_some() {
        watermark::describe();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| failed("the runtime cannot be started")(&error))?;
    let outcome = runtime.block_on(part(settings, prometheus));
    runtime.shutdown_background();
    outcome
}

pub(crate) fn failed(what: &str) -> impl Fn(&dyn std::fmt::Display) -> Failure {
    let what = what.to_owned();
    move |error| Failure::Failed(format!("{what}: {error}"))
}

pub(crate) async fn bind(
    address: std::net::SocketAddr,
    flag: &str,
) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::Failed(format!(
            "{address} cannot be listened on: {error}; choose another address with {flag}"
        ))
    })
}

/// From here on a second signal, or a stop that takes longer than it may, ends the process: the
/// log is left as a crash leaves it, and nothing that was acknowledged is lost.
#[expect(clippy::disallowed_methods, reason = "the server spawns tasks")]
pub(crate) fn end_at_once(mut signals: Signals, after: Duration) {
    tokio::spawn(async move {
        let why = tokio::select! {
            () = signals.next() => "it was asked to stop twice",
            () = tokio::time::sleep(after) => "stopping took too long",
        };
        tracing::error!("ended at once: {why}");
        std::process::exit(3);
    });
}

pub(crate) async fn upkeep(prometheus: &PrometheusHandle) {
    loop {
        tokio::time::sleep(telemetry::UPKEEP).await;
        prometheus.run_upkeep();
    }
}

/// SIGINT and SIGTERM, none of which is missed from the first on.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn new() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| failed("signals cannot be listened for")(&error));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// SIGINT or SIGTERM, for a command that needs to hear of one.
pub(crate) async fn asked_to_stop() {
    match Signals::new() {
        Ok(mut signals) => signals.next().await,
        Err(_) => std::future::pending().await,
    }
}
