//! `audittrail worker`

use std::sync::Arc;

use audittrail_store::Reader;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;

use crate::Failure;
use crate::commands::serve::METRICS_CONNECTIONS;
use crate::http::{self, Bounds};
use crate::lifecycle::{self, Signals, bind, failed};
use crate::node::{self, Log, NodeQueue, Part};
use crate::settings::{MetricsListen, QueueAt, Settings, StoreAt};
use crate::telemetry;
use crate::witnesses::{Outside, Watched};

pub(crate) fn run(settings: Settings) -> Result<(), Failure> {
    check(&settings)?;
    lifecycle::run(settings, work)
}

fn check(settings: &Settings) -> Result<(), Failure> {
    let topology = &settings.topology;
    let why = match (&topology.store, &topology.queue) {
        (StoreAt::Embedded, _) => {
            "a worker sequences a log in MongoDB: set AUDITTRAIL_STORE to a mongodb:// URL. With the \
             embedded store `audittrail serve` sequences"
        }
        (_, QueueAt::InProcess) => {
            "a worker takes entries from Redis: set AUDITTRAIL_QUEUE to a redis:// URL"
        }
        _ if !topology.worker => {
            "worker is none, which is for `audittrail serve`: leave AUDITTRAIL_WORKER out"
        }
        _ if settings.metrics_listen == MetricsListen::Same => {
            "metrics-listen is same, and a worker has no API's address: give an address of its own"
        }
        _ => return Ok(()),
    };
    Err(Failure::Usage(why.to_owned()))
}

async fn work(mut settings: Settings, prometheus: PrometheusHandle) -> Result<(), Failure> {
    http::fit(&mut settings.edge.bounds);
    let outside = Outside::read(&settings)?;
    let listener = match settings.metrics_listen {
        MetricsListen::Address(address) => {
            Some(bind(address, "--metrics-listen or AUDITTRAIL_METRICS_LISTEN").await?)
        }
        MetricsListen::None | MetricsListen::Same => None,
    };
    let part = Part {
        serves: false,
        sequences: true,
    };
    let log = Log::open(&settings, part).await?;
    let queue = NodeQueue::open(&settings, &log.keys).await?;
    let reader = Arc::new(Reader::new(
        Arc::clone(&log.store),
        log.keys.entries.clone(),
        log.keys.vkey.name().to_owned(),
    ));
    let watched = Watched::of(outside, None, &log.keys, &log.store, &reader).await?;
    let (stop, stopping) = watch::channel(false);
    let mut sequencing = log
        .sequence(&settings, &queue, &watched, stop.subscribe())
        .await?;
    let mut signals = Signals::new()?;
    let (last, watermark) = (sequencing.published.clone(), watched.watermark.clone());
    let following = {
        let (watermark, published) = (watermark.clone(), sequencing.published.clone());
        async move {
            match watermark {
                Some(watermark) => watermark.follow(published).await,
                None => std::future::pending().await,
            }
        }
    };
    let serving = async {
        match listener {
            Some(listener) => {
                if let Ok(address) = listener.local_addr() {
                    crate::out!("metrics and health on http://{address}");
                }
                let router = telemetry::metrics_router(prometheus.clone())
                    .merge(node::health_router(Arc::clone(&log.store), queue.queue()));
                let bounds = Bounds {
                    connections: METRICS_CONNECTIONS,
                    ..settings.edge.bounds
                };
                http::serve(listener, router, bounds, stopping).await;
            }
            None => std::future::pending().await,
        }
    };
    let early_end = tokio::select! {
        () = signals.next() => {
            tracing::info!("stopping");
            None
        }
        ended = sequencing.end() => Some(ended),
        () = serving => None,
        () = following => None,
        () = lifecycle::upkeep(&prometheus) => None,
    };
    lifecycle::end_at_once(signals, lifecycle::CLOSING);
    stop.send_replace(true);
    let ended = sequencing.join(early_end).await;
    log.close().await;
    ended?;
    if let Some(watermark) = watermark {
        let last = last.borrow().clone();
        watermark
            .write(&last)
            .map_err(|error| failed("the watermark could not be written")(&error))?;
    }
    Ok(())
}
