//! Accepting connections, watching them, and letting them end.

mod activity;
mod framing;
mod handles;
mod socket;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use audittrail_api::{Endless, Malformed, Peer};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt as _;

use activity::{Activity, Found, now};
pub(crate) use handles::fit;
use socket::Socket;

/// The largest head of a request.
const HEAD_BYTES: usize = 64 << 10;
/// Fields in a head.
const HEAD_FIELDS: usize = 100;
/// HTTP/2 requests at once on a connection.
const STREAMS: u32 = 100;
/// HTTP/2 requests that were taken back before anything was done about them: more at once end the
/// connection (CVE-2023-44487). The same for those that were refused.
const RESETS: usize = 20;
const REFUSED: usize = 128;
/// A connection that is asked to close has this long, once nothing is under way.
const CLOSING: Duration = Duration::from_secs(1);
/// A pause after a connection could not be accepted.
const PAUSE: Duration = Duration::from_millis(50);

/// Bounds on connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Connections at once; more wait to be accepted.
    pub(crate) connections: usize,
    /// The time for a request's head to arrive.
    pub(crate) head: Duration,
    /// The time between requests.
    pub(crate) idle: Duration,
    /// The time for a client to take the next piece of an answer.
    pub(crate) write: Duration,
    /// The time for requests under way to finish at shutdown.
    pub(crate) shutdown: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 8_192,
            head: Duration::from_secs(15),
            idle: Duration::from_secs(60),
            write: Duration::from_secs(60),
            shutdown: Duration::from_secs(20),
        }
    }
}

/// Names and meaning of what is counted here.
pub(crate) fn describe() {
    metrics::describe_gauge!("audittrail_http_connections", "Open connections");
    metrics::describe_counter!(
        "audittrail_http_connections_overdue_total",
        "Connections ended because their client was too slow, by reason"
    );
    metrics::gauge!("audittrail_http_connections").set(0.0);
}

/// Serves until `stop` becomes true, then lets requests under way finish.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    mut stop: watch::Receiver<bool>,
) {
    let most = u32::try_from(bounds.connections).unwrap_or(u32::MAX);
    let places = Arc::new(Semaphore::new(most as usize));
    let builder = builder(&bounds);
    let mut refused = 0_u64;
    loop {
        // Without a place nothing is accepted: the kernel keeps who waits.
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (listener.accept().await, place)
            } => accepted,
        };
        let (stream, peer, place) = match accepted {
            (Ok((stream, peer)), Ok(place)) => (stream, peer, place),
            (Err(error), _) => {
                // Out of handles, mostly: they come back as connections end.
                if refused == 0 {
                    tracing::warn!(
                        %error,
                        "connections cannot be accepted and wait; trying again"
                    );
                }
                refused += 1;
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            (_, Err(_)) => break,
        };
        if refused > 0 {
            tracing::info!(attempts = refused, "connections are accepted again");
            refused = 0;
        }
        let connection = Connection {
            peer,
            router: router.clone(),
            bounds,
            stop: stop.clone(),
        };
        let builder = builder.clone();
        spawn(async move {
            connection.serve(stream, &builder).await;
            drop(place);
        });
    }
    drop(listener);
    // Every place is free once every connection has ended.
    let ended = places.acquire_many(most);
    if tokio::time::timeout(bounds.shutdown, ended).await.is_err() {
        tracing::warn!("some requests did not finish in time");
    }
}

#[expect(clippy::disallowed_methods, reason = "the server spawns tasks")]
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(task));
}

fn builder(bounds: &Bounds) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // `Activity` bounds the head, and the time before it.
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_FIELDS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(bounds.idle))
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD_BYTES as u32)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(REFUSED);
    builder
}

/// One connection from its acceptance to its end.
struct Connection {
    peer: SocketAddr,
    router: Router,
    bounds: Bounds,
    stop: watch::Receiver<bool>,
}

impl Connection {
    async fn serve(mut self, stream: TcpStream, builder: &auto::Builder<TokioExecutor>) {
        let gauge = metrics::gauge!("audittrail_http_connections");
        gauge.increment(1.0);
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let activity = Activity::new();
        let socket = Socket {
            stream,
            activity: activity.clone(),
        };
        let (router, peer, requests) = (self.router, Peer(self.peer.ip()), activity.clone());
        let service = hyper::service::service_fn(move |request| {
            answer(router.clone(), peer, &requests, request)
        });
        let connection = builder.serve_connection(TokioIo::new(socket), service);
        tokio::pin!(connection);
        let mut closing = None;
        let watch = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(watch);
        loop {
            tokio::select! {
                outcome = connection.as_mut() => {
                    if let Err(error) = outcome {
                        tracing::debug!(%error, "a connection ended early");
                    }
                    break;
                }
                _ = self.stop.wait_for(|stop| *stop), if closing.is_none() => {
                    connection.as_mut().graceful_shutdown();
                    closing = Some(now());
                    watch.as_mut().reset(now());
                }
                () = watch.as_mut() => match activity.look(&self.bounds, closing) {
                    Found::Fine(until) => watch.as_mut().reset(until),
                    Found::Idle => {
                        connection.as_mut().graceful_shutdown();
                        closing = Some(now());
                        watch.as_mut().reset(now());
                    }
                    Found::Overdue(reason) => {
                        tracing::debug!(peer = %self.peer, reason, "a connection is overdue");
                        metrics::counter!(
                            "audittrail_http_connections_overdue_total", "reason" => reason
                        )
                        .increment(1);
                        break;
                    }
                },
            }
        }
        gauge.decrement(1.0);
    }
}

/// Has the router answer a request, whose course the connection's watch follows.
fn answer(
    router: Router,
    peer: Peer,
    activity: &Activity,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Body>, Infallible>> + use<> {
    let (under_way, verdict) = activity.begin();
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(peer);
    if let Some(reason) = verdict {
        request.extensions_mut().insert(Malformed(reason));
    }
    async move {
        let response = router.oneshot(request).await?;
        let (parts, body) = response.into_parts();
        let under_way = match parts.extensions.get::<Endless>() {
            Some(_) => under_way.endless(),
            None => under_way,
        };
        Ok(Response::from_parts(parts, under_way.follow(body)))
    }
}
