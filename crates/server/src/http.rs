//! Accepting connections.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// Bounds on connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Connections at once; more wait to be accepted.
    pub(crate) connections: usize,
    /// The time for a request's head to arrive, idle time between requests included.
    pub(crate) head: Duration,
    /// The time for requests under way to finish at shutdown.
    pub(crate) shutdown: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 8_192,
            head: Duration::from_secs(60),
            shutdown: Duration::from_secs(20),
        }
    }
}

/// Serves until `stop` becomes true, then lets requests under way finish.
#[expect(clippy::disallowed_methods, reason = "the server spawns tasks")]
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    mut stop: watch::Receiver<bool>,
) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(bounds.connections));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(bounds.head))
        .max_concurrent_streams(256);
    loop {
        let place = Arc::clone(&places).acquire_owned();
        let stream = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = async {
                let place = place.await;
                (listener.accept().await, place)
            } => accepted,
        };
        let (stream, place) = match stream {
            (Ok((stream, _)), Ok(place)) => (stream, place),
            (Err(error), _) => {
                // Out of handles, mostly: they come back as connections end.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            (_, Err(_)) => break,
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let service = TowerToHyperService::new(router.clone());
        let connection = builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(bounds.shutdown, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("some requests did not finish in time");
    }
}
