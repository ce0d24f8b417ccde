//! `audittrail serve`

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::thread::JoinHandle;

use audittrail_api::{Ack, Api, ApiSettings};
use audittrail_auth::{AuthConfig, Authenticator, Role};
use audittrail_entry::Clock as _;
use audittrail_queue::{Bounds as QueueBounds, InProcessQueue, Queue};
use audittrail_sequencer::{Config, Sequencer, SequencerError};
use audittrail_store::{KeptCheckpoint, Reader, Store};
use audittrail_store_embedded::disk::RealDisk;
use audittrail_store_embedded::{DataDirectory, EmbeddedStore, Options, StartReport};
use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use crate::Failure;
use crate::ambient::{BlockingThreads, SystemClock, SystemRandom};
use crate::commands::{scrub, token};
use crate::http::{self, Bounds};
use crate::log_keys::{self, LogKeys};
use crate::metered::MeteredStore;
use crate::settings::{MetricsListen, Settings};
use crate::telemetry;

fn failed(what: &str) -> impl Fn(&dyn std::fmt::Display) -> Failure {
    let what = what.to_owned();
    move |error| Failure::Failed(format!("{what}: {error}"))
}

pub(crate) fn run(settings: Settings) -> Result<(), Failure> {
    telemetry::start_logs(&settings)?;
    let prometheus = telemetry::start_metrics()?;
    scrub::describe();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| failed("the runtime cannot be started")(&error))?;
    let outcome = runtime.block_on(serve(settings, prometheus));
    runtime.shutdown_background();
    outcome
}

async fn serve(settings: Settings, prometheus: PrometheusHandle) -> Result<(), Failure> {
    // The addresses first: a port in use is refused before anything is made on disk.
    let listener = bind(settings.listen, "--listen").await?;
    let metrics_listener = match settings.metrics_listen {
        MetricsListen::Address(address) => Some(bind(address, "--metrics-listen").await?),
        MetricsListen::None | MetricsListen::Same => None,
    };
    let authenticator_for = authenticator(&settings)?;
    let directory = DataDirectory::open(Arc::new(RealDisk), &settings.data)
        .map_err(|error| Failure::Failed(error.to_string()))?;
    let keys = log_keys::load_or_make(&directory, &settings, &SystemRandom)?;
    let authenticator = authenticator_for(&keys)?;
    let identity = keys.identity();
    let offload = Arc::new(BlockingThreads(tokio::runtime::Handle::current()));
    let (store, report) =
        EmbeddedStore::open(directory, &identity, Options::default(), SystemClock.now(), offload)
            .map_err(|error| Failure::Failed(error.to_string()))?;
    log_start(&identity.origin, &report);
    let store: Arc<dyn Store> = Arc::new(MeteredStore(store));
    let queue = Arc::new(InProcessQueue::new(QueueBounds::default()));
    let sequencer = spawn_sequencer(&store, &queue, &keys).await?;
    {
        // The first checkpoint is kept: from now on its absence means that it was removed.
        let directory_keys = &settings.data;
        log_keys::mark_begun_at(&RealDisk, directory_keys, &identity.origin)?;
    }
    let reader =
        Arc::new(Reader::new(Arc::clone(&store), keys.entries.clone(), identity.origin.clone()));
    let api = Api {
        queue: Arc::clone(&queue) as Arc<dyn Queue>,
        store: Arc::clone(&store),
        reader: Arc::clone(&reader),
        authenticator: Arc::new(authenticator),
        signing_key: Arc::new(keys.entries.current.clone()),
        origin: identity.origin.clone(),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        published: sequencer.published.clone(),
        settings: ApiSettings {
            default_ack: Ack::parse(&settings.ack).unwrap_or_default(),
            public_url: settings.public_url.clone(),
            ..ApiSettings::default()
        },
    };
    let mut router = audittrail_api::router(api);
    if settings.metrics_listen == MetricsListen::Same {
        router = router.merge(metrics_router(prometheus.clone()));
    }
    let address = listener.local_addr().map_err(|error| failed("the address is gone")(&error))?;
    greet(&settings, &keys, address)?;
    run_until_stopped(listener, router, metrics_listener, prometheus, &store, &reader, &queue, sequencer)
        .await
}

async fn bind(address: std::net::SocketAddr, flag: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::Failed(format!(
            "{address} cannot be listened on: {error}; choose another address with {flag}"
        ))
    })
}
