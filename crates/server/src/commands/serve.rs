//! `audittrail serve`

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use audittrail_api::{Ack, Api, ApiSettings, KeysWanted};
use audittrail_auth::{AuthConfig, Authenticator, Role};
use audittrail_entry::Clock as _;
use audittrail_queue::{Bounds as QueueBounds, InProcessQueue, Queue};
use audittrail_sequencer::{Config, Sequencer, SequencerError};
use audittrail_store::{Announcing, KeptCheckpoint, Reader, Store};
use audittrail_store_embedded::disk::RealDisk;
use audittrail_store_embedded::{DataDirectory, EmbeddedStore, Options, StartReport};
use axum::Router;
use axum::middleware::from_fn;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};

use crate::Failure;
use crate::ambient::{BlockingThreads, SystemClock, SystemRandom};
use crate::commands::{scrub, token};
use crate::following::{self, Follower};
use crate::http::{self, Bounds};
use crate::jwks::{self, Fetcher, Refresher, Schedule, Source};
use crate::log_keys::{self, LogKeys};
use crate::metered::MeteredStore;
use crate::packing::{self, Packer};
use crate::settings::{MetricsListen, Settings};
use crate::telemetry;
use crate::witnesses::{self, Outside, Watched, watermark};

fn failed(what: &str) -> impl Fn(&dyn std::fmt::Display) -> Failure {
    let what = what.to_owned();
    move |error| Failure::Failed(format!("{what}: {error}"))
}

pub(crate) fn run(settings: Settings) -> Result<(), Failure> {
    telemetry::start_logs(&settings)?;
    let prometheus = telemetry::start_metrics()?;
    scrub::describe();
    packing::describe();
    following::describe();
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
    let outcome = runtime.block_on(serve(settings, prometheus));
    runtime.shutdown_background();
    outcome
}

async fn serve(mut settings: Settings, prometheus: PrometheusHandle) -> Result<(), Failure> {
    http::fit(&mut settings.edge.bounds);
    let outside = Outside::read(&settings)?;
    // The addresses first: a port in use is refused before anything is made on disk.
    let listener = bind(settings.listen, "--listen or AUDITTRAIL_LISTEN").await?;
    let metrics_listener = match settings.metrics_listen {
        MetricsListen::Address(address) => {
            Some(bind(address, "--metrics-listen or AUDITTRAIL_METRICS_LISTEN").await?)
        }
        MetricsListen::None | MetricsListen::Same => None,
    };
    let source = settings.jwks.as_ref();
    let prepared = source.map(jwks::prepare).transpose()?;
    let directory = DataDirectory::open(Arc::new(RealDisk), &settings.data)
        .map_err(|error| Failure::Failed(error.to_string()))?;
    let keys = log_keys::load_or_make(&directory, &settings, &SystemRandom)?;
    let authenticator = Arc::new(authenticator(&settings, &keys)?);
    let identity = keys.identity();
    let offload = Arc::new(BlockingThreads(tokio::runtime::Handle::current()));
    let (store, report) = EmbeddedStore::open(
        directory,
        &identity,
        Options::default(),
        SystemClock.now(),
        offload,
    )
    .map_err(|error| Failure::Failed(error.to_string()))?;
    log_start(&identity.origin, &report);
    // Before anything is signed on top of it.
    log_keys::check_newest(&store, &keys.entries, &settings).await?;
    let embedded = Arc::new(store);
    let _follower = Follower::start(Arc::clone(&embedded));
    let _packer = Packer::start(Arc::clone(&embedded), settings.pack_bytes_per_second);
    let (store, grown) = Announcing::new(Arc::new(MeteredStore::new(Arc::clone(&embedded))));
    let store: Arc<dyn Store> = Arc::new(store);
    let (stop, stopping) = watch::channel(false);
    let queue = Arc::new(InProcessQueue::new(QueueBounds::default()));
    let reader = Arc::new(Reader::new(
        Arc::clone(&store),
        keys.entries.clone(),
        identity.origin.clone(),
    ));
    let watched = Watched::of(outside, &settings.data, &keys, &store, &reader).await?;
    let sequencer = spawn_sequencer(&store, &queue, &keys).await?;
    // The first checkpoint is kept: from now on its absence means that it was removed.
    log_keys::mark_begun(&RealDisk, &settings.data, &identity.origin)?;
    let (keys_wanted, fresh_keys) = fresh_keys(source, prepared, &authenticator);
    let api = Api {
        queue: Arc::clone(&queue) as Arc<dyn Queue>,
        store: Arc::clone(&store),
        reader: Arc::clone(&reader),
        keys_wanted,
        authenticator,
        signing_key: Arc::new(keys.entries.current.clone()),
        earlier_keys: keys.entries.earlier.clone(),
        origin: identity.origin.clone(),
        vkey: keys.signer.verifier(),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        published: sequencer.published.clone(),
        witnessed: watched.witnessed(),
        grown,
        stopping,
        settings: ApiSettings {
            default_ack: Ack::parse(&settings.ack).unwrap_or_default(),
            public_url: settings.public_url.clone(),
            streams: settings.max_streams,
            base_path: settings.edge.base_path.clone(),
            trusted_proxies: settings.edge.trusted_proxies.clone(),
            rate: settings.edge.rate,
            public_tiles: settings.public_tiles,
            serves_metrics: settings.metrics_listen == MetricsListen::Same,
            body_stall: settings.edge.body_stall,
            request_time: settings.edge.request_time,
            quorum_wait: watched.quorum_wait(),
            ..ApiSettings::default()
        },
    };
    let (router, health) = audittrail_api::routers(api);
    let mut router = router.layer(from_fn(telemetry::count_request));
    if settings.metrics_listen == MetricsListen::Same {
        router = router.merge(metrics_router(prometheus.clone()));
    }
    let address = listener
        .local_addr()
        .map_err(|error| failed("the address is gone")(&error))?;
    // Who reads the address may ask the server to stop at once.
    let signals = Signals::new()?;
    greet(&settings, &keys, address)?;
    let (last, watermark) = (sequencer.published.clone(), watched.watermark.clone());
    let watching = watched.run(settings.data.clone(), sequencer.published.clone());
    let watching = Box::pin(watching);
    let background = async {
        let scrub = scrub::run(Arc::clone(&store), Arc::clone(&reader), settings.scrub);
        tokio::join!(scrub, fresh_keys, following::measure(embedded), watching);
    };
    let running = Running {
        stop,
        queue,
        sequencer,
        prometheus,
        metrics_listener,
        health,
    };
    running
        .until_stopped(listener, router, settings.edge.bounds, background, signals)
        .await?;
    // The last checkpoint was published after everything else had ended.
    if let Some(watermark) = watermark {
        let last = last.borrow().clone();
        watermark
            .write(&last)
            .map_err(|error| failed("the watermark could not be written")(&error))?;
    }
    Ok(())
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

fn authenticator(settings: &Settings, keys: &LogKeys) -> Result<Authenticator, Failure> {
    let default_role = settings
        .default_role
        .as_deref()
        .map(token::role)
        .transpose()?;
    Authenticator::new(AuthConfig {
        secret: settings.accepts_secret().then(|| keys.jwt_secret.clone()),
        algorithms: settings.jwt_algorithms.clone(),
        public_keys: settings.jwks.is_some(),
        issuer: settings.jwt_issuer.clone(),
        audience: settings.jwt_audience.clone().into_iter().collect(),
        default_role,
        ..AuthConfig::default()
    })
    .map_err(|error| Failure::Usage(error.to_string()))
}

/// Where requests ask for the issuer's keys, and what keeps these fresh while it is polled.
fn fresh_keys(
    source: Option<&Source>,
    prepared: Option<(Fetcher, Option<Vec<u8>>)>,
    authenticator: &Arc<Authenticator>,
) -> (Option<KeysWanted>, impl Future<Output = ()> + use<>) {
    let (keys_wanted, wanted) = mpsc::channel(jwks::WAITING);
    let refresher = source.zip(prepared).map(|(source, (fetcher, first))| {
        jwks::describe();
        let schedule = Schedule::of(source);
        let mut refresher = Refresher::new(Arc::clone(authenticator), wanted, schedule);
        if let Some(bytes) = first {
            refresher = refresher.starting_with(bytes);
        }
        (refresher, fetcher)
    });
    let keys_wanted = refresher.is_some().then_some(keys_wanted);
    let run = async move {
        if let Some((refresher, fetcher)) = refresher {
            refresher.run(async || fetcher.fetch().await).await;
        }
    };
    (keys_wanted, run)
}

/// About what half a second of full load commits.
const BEYOND_CHECKPOINT: u64 = 200_000;

fn log_start(origin: &str, report: &StartReport) {
    tracing::info!(
        origin,
        entries = report.size,
        beyond_checkpoint = report.beyond_checkpoint,
        tree_rebuilt = report.tree_rebuilt,
        locations_rebuilt = report.locations_rebuilt,
        "the log is open"
    );
    if report.beyond_checkpoint > BEYOND_CHECKPOINT {
        tracing::warn!(
            entries = report.beyond_checkpoint,
            "more entries lie beyond the checkpoint than a crash leaves: if no load was that high, \
             an older checkpoint was put back; compare with one kept elsewhere"
        );
    }
    if let Some(cut) = &report.cut {
        tracing::warn!("{cut}");
    }
}

/// The sequencer on its thread.
struct SequencerThread {
    published: watch::Receiver<KeptCheckpoint>,
    ended: oneshot::Receiver<Result<(), SequencerError>>,
    thread: JoinHandle<()>,
}

/// The store blocks in its commits, so the sequencer has a thread of its own.
#[expect(clippy::disallowed_methods, reason = "the server spawns threads")]
async fn spawn_sequencer(
    store: &Arc<dyn Store>,
    queue: &Arc<InProcessQueue>,
    keys: &LogKeys,
) -> Result<SequencerThread, Failure> {
    let (store, queue) = (Arc::clone(store), Arc::clone(queue) as Arc<dyn Queue>);
    let (origin, signer) = (
        keys.signer.verifier().name().to_owned(),
        keys.signer.clone(),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| failed("the sequencer cannot be started")(&error))?;
    let (started_to, started) = oneshot::channel();
    let (ended_to, ended) = oneshot::channel();
    let thread = std::thread::spawn(move || {
        let sequence = async {
            let start =
                Sequencer::start(store, queue, origin, vec![signer], Config::default()).await;
            match start {
                Err(error) => {
                    let _ = started_to.send(Err(error));
                    Ok(())
                }
                Ok(sequencer) => {
                    let _ = started_to.send(Ok(sequencer.published()));
                    sequencer.run().await
                }
            }
        };
        let outcome = runtime.block_on(sequence);
        let _ = ended_to.send(outcome);
    });
    match started.await {
        Ok(Ok(published)) => Ok(SequencerThread {
            published,
            ended,
            thread,
        }),
        Ok(Err(error)) => Err(Failure::Failed(error.to_string())),
        Err(_) => Err(Failure::Failed(
            "the sequencer ended as it started".to_owned(),
        )),
    }
}

/// Says where the server is, and how to send it something.
fn greet(
    settings: &Settings,
    keys: &LogKeys,
    address: std::net::SocketAddr,
) -> Result<(), Failure> {
    crate::out!("listening on http://{address}");
    if !settings.accepts_secret() {
        crate::out!("take a token from the issuer: HS256 is not in AUDITTRAIL_JWT_ALGORITHMS");
    } else if std::io::stdout().is_terminal() {
        let now = SystemClock.now();
        let token = token::make(
            settings,
            &keys.jwt_secret,
            "admin",
            Role::Admin,
            None,
            86_400,
            now,
        )?;
        crate::out!(
            "\nA token for a day, with every right:\n\n  export AUDITTRAIL_TOKEN={token}\n\n\
             Send an entry, then list what is there:\n\n  \
             curl -H \"Authorization: Bearer $AUDITTRAIL_TOKEN\" \\\n    \
             -H 'Content-Type: application/json' -d '{{\"action\":\"door.open\",\"resource\":\"front\"}}' \\\n    \
             http://{address}/logs/create/\n  \
             curl -H \"Authorization: Bearer $AUDITTRAIL_TOKEN\" http://{address}/logs/list/\n"
        );
    } else {
        crate::out!(
            "make a token with: audittrail token --sub admin --role admin --data {}",
            settings.data.display()
        );
    }
    Ok(())
}

/// What runs until the process is asked to stop.
struct Running {
    stop: watch::Sender<bool>,
    queue: Arc<InProcessQueue>,
    sequencer: SequencerThread,
    prometheus: PrometheusHandle,
    metrics_listener: Option<TcpListener>,
    /// What the metrics' listener answers besides metrics.
    health: Router,
}

impl Running {
    /// Stops at a signal, or when the sequencer can no longer go on: then nothing more is
    /// accepted, what was accepted is finished, and the last checkpoint is published.
    async fn until_stopped(
        mut self,
        listener: TcpListener,
        router: Router,
        bounds: Bounds,
        background: impl Future<Output = ()>,
        mut signals: Signals,
    ) -> Result<(), Failure> {
        let stopped = self.stop.subscribe();
        let api = http::serve(listener, router, bounds, stopped.clone());
        let metrics = self.metrics_listener.take().map(|listener| {
            let router = metrics_router(self.prometheus.clone()).merge(self.health.clone());
            // Places of its own, so that who asks for health does not wait for one of the API's.
            let bounds = Bounds {
                connections: METRICS_CONNECTIONS,
                ..bounds
            };
            http::serve(listener, router, bounds, stopped)
        });
        let helpers = async {
            tokio::join!(background, upkeep(&self.prometheus));
        };
        let mut early_end = None;
        {
            let serving = async {
                match metrics {
                    Some(metrics) => {
                        tokio::join!(api, metrics);
                    }
                    None => api.await,
                }
            };
            tokio::pin!(serving, helpers);
            tokio::select! {
                () = signals.next() => tracing::info!("stopping"),
                ended = &mut self.sequencer.ended => early_end = Some(ended),
                () = &mut serving => {}
                () = &mut helpers => {}
            }
            if early_end.is_some() {
                // What waits for the sequencer learns that its outcome is unknown.
                self.queue.abandon();
            }
            self.stop.send_replace(true);
            end_at_once(signals, bounds.shutdown + CLOSING);
            tokio::select! {
                () = &mut serving => {}
                () = &mut helpers => {}
            }
        }
        self.queue.close();
        let ended = match early_end {
            Some(ended) => ended,
            None => self.sequencer.ended.await,
        };
        let _ = self.sequencer.thread.join();
        match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Failure::Failed(error.to_string())),
            Err(_) => Err(Failure::Failed(
                "the sequencer ended unexpectedly".to_owned(),
            )),
        }
    }
}

/// Connections at once to where metrics are, out of the file handles that connections to the API
/// leave.
const METRICS_CONNECTIONS: usize = 32;

/// The last checkpoint, after the last request.
const CLOSING: Duration = Duration::from_secs(10);

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

async fn upkeep(prometheus: &PrometheusHandle) {
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
