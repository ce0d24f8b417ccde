//! `audittrail serve`

use std::io::IsTerminal as _;
use std::sync::Arc;

use audittrail_api::{Ack, Api, ApiSettings, KeysWanted};
use audittrail_auth::{AuthConfig, Authenticator, Role};
use audittrail_entry::Clock as _;
use audittrail_store::Reader;
use axum::Router;
use axum::middleware::from_fn;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::Failure;
use crate::ambient::{SystemClock, SystemRandom};
use crate::commands::{scrub, token};
use crate::http::{self, Bounds};
use crate::jwks::{self, Fetcher, Refresher, Schedule, Source};
use crate::lifecycle::{self, Signals, bind, failed};
use crate::log_keys::LogKeys;
use crate::node::{Log, NodeQueue, Part, Sequencing};
use crate::settings::{MetricsListen, Settings, StoreAt};
use crate::telemetry;
use crate::witnesses::{Outside, Watched};

pub(crate) fn run(settings: Settings) -> Result<(), Failure> {
    lifecycle::run(settings, |settings, prometheus| {
        scrub::describe();
        serve(settings, prometheus)
    })
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
    let part = Part {
        serves: true,
        sequences: settings.topology.worker,
    };
    let log = Log::open(&settings, part).await?;
    let (keys, store) = (&log.keys, Arc::clone(&log.store));
    let authenticator = Arc::new(authenticator(&settings, keys)?);
    let origin = keys.vkey.name().to_owned();
    let queue = NodeQueue::open(&settings, keys).await?;
    let reader = Arc::new(Reader::new(
        Arc::clone(&store),
        keys.entries.clone(),
        origin.clone(),
    ));
    let watched = Watched::of(outside, log.directory(&settings), keys, &store, &reader).await?;
    let (stop, stopping) = watch::channel(false);
    let (stop_sequencing, until) = watch::channel(false);
    let sequencing = log.sequence(&settings, &queue, &watched, until).await?;
    let (keys_wanted, fresh_keys) = fresh_keys(source, prepared, &authenticator);
    let api = Api {
        queue: queue.queue(),
        store: Arc::clone(&store),
        reader: Arc::clone(&reader),
        keys_wanted,
        authenticator,
        signing_key: Arc::new(keys.entries.current.clone()),
        earlier_keys: keys.entries.earlier.clone(),
        origin,
        vkey: keys.vkey.clone(),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        published: sequencing.published.clone(),
        witnessed: watched.witnessed(),
        grown: log.grown.clone(),
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
        router = router.merge(telemetry::metrics_router(prometheus.clone()));
    }
    let address = listener
        .local_addr()
        .map_err(|error| failed("the address is gone")(&error))?;
    // Who reads the address may ask the server to stop at once.
    let signals = Signals::new()?;
    greet(&settings, keys, address)?;
    let (last, watermark) = (sequencing.published.clone(), watched.watermark.clone());
    let watching = Box::pin(watched.run(sequencing.published.clone()));
    let background = async {
        let scrub = scrub::run(Arc::clone(&store), Arc::clone(&reader), settings.scrub);
        tokio::join!(scrub, fresh_keys, log.measure(), watching);
    };
    let running = Running {
        stop,
        stop_sequencing,
        queue,
        sequencing,
        prometheus,
        metrics_listener,
        health,
    };
    let ended = running
        .until_stopped(listener, router, settings.edge.bounds, background, signals)
        .await;
    log.close().await;
    ended?;
    // The last checkpoint was published after everything else had ended.
    if let Some(watermark) = watermark {
        let last = last.borrow().clone();
        watermark
            .write(&last)
            .map_err(|error| failed("the watermark could not be written")(&error))?;
    }
    Ok(())
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
        let data = match settings.topology.store {
            StoreAt::Embedded => format!(" --data {}", settings.data.display()),
            StoreAt::Mongo(_) => String::new(),
        };
        crate::out!("make a token with: audittrail token --sub admin --role admin{data}");
    }
    Ok(())
}

/// What runs until the process is asked to stop.
struct Running {
    stop: watch::Sender<bool>,
    /// Told after all requests have ended.
    stop_sequencing: watch::Sender<bool>,
    queue: NodeQueue,
    sequencing: Sequencing,
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
            let router =
                telemetry::metrics_router(self.prometheus.clone()).merge(self.health.clone());
            // Places of its own, so that who asks for health does not wait for one of the API's.
            let bounds = Bounds {
                connections: METRICS_CONNECTIONS,
                ..bounds
            };
            http::serve(listener, router, bounds, stopped)
        });
        let helpers = async {
            tokio::join!(background, lifecycle::upkeep(&self.prometheus));
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
                ended = self.sequencing.end() => early_end = Some(ended),
                () = &mut serving => {}
                () = &mut helpers => {}
            }
            if early_end.is_some() {
                // What waits for the sequencer learns that its outcome is unknown.
                self.queue.abandon();
            }
            self.stop.send_replace(true);
            lifecycle::end_at_once(signals, bounds.shutdown + lifecycle::CLOSING);
            tokio::select! {
                () = &mut serving => {}
                () = &mut helpers => {}
            }
        }
        self.stop_sequencing.send_replace(true);
        self.queue.close();
        self.sequencing.join(early_end).await
    }
}

/// Connections at once to where metrics are, out of the file handles that connections to the API
/// leave.
pub(crate) const METRICS_CONNECTIONS: usize = 32;
