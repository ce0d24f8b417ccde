//! Between clients and the server: requests arrive in pieces, connections break.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::BodyExt as _;
use tokio::sync::{mpsc, oneshot};
use tower::ServiceExt as _;

use crate::dice::Dice;
use crate::scheduler::{Owner, Scheduler, give_way};
use crate::trace::Trace;

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// No whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// There was no server to send anything to.
    Unreachable,
    /// The connection broke, at the client's end or the server's.
    Off,
}

/// The network; clones are the same one.
#[derive(Clone)]
pub(crate) struct Network {
    server: Rc<RefCell<Option<Router>>>,
    scheduler: Scheduler,
    dice: Dice,
    trace: Trace,
}

impl Network {
    pub(crate) fn new(scheduler: &Scheduler, dice: &Dice, trace: &Trace) -> Self {
        Self {
            server: Rc::default(),
            scheduler: scheduler.clone(),
            dice: dice.clone(),
            trace: trace.clone(),
        }
    }

    /// Lets requests reach a server, or none.
    pub(crate) fn connect(&self, server: Option<Router>) {
        *self.server.borrow_mut() = server;
    }

    /// Whether there is a server to send anything to.
    pub(crate) fn is_connected(&self) -> bool {
        self.server.borrow().is_some()
    }

    /// Sends a request and waits for its answer, or for no longer than the client's patience.
    pub(crate) async fn send(
        &self,
        request: Request<Bytes>,
        patience: Option<Duration>,
    ) -> Result<Answer, Broken> {
        let server = self.server.borrow().clone();
        let router = server.ok_or(Broken::Unreachable)?;
        let request = request.map(|bytes| in_pieces(bytes, &self.dice));
        let (answer_to, answered) = oneshot::channel();
        let handling = self.scheduler.spawn(Owner::Process, async move {
            // Who serves connections stops a handler with its client.
            if let Some(answer) = handle(router, request).await {
                let _ = answer_to.send(answer);
            }
        });
        let answer = match patience {
            None => answered.await.ok(),
            Some(patience) => match tokio::time::timeout(patience, answered).await {
                Ok(answer) => answer.ok(),
                Err(_) => {
                    self.scheduler.end(handling);
                    None
                }
            },
        };
        match answer {
            Some(answer) => {
                self.trace.event(&format!("  answer {}", answer.status));
                self.trace.bytes(&answer.body);
                Ok(answer)
            }
            None => {
                self.trace.event("  no answer");
                Err(Broken::Off)
            }
        }
    }
}

impl Network {
    /// Sends a request and takes what comes of the answer's body in some time; the status.
    pub(crate) async fn listen(
        &self,
        request: Request<Bytes>,
        time: Duration,
    ) -> Result<(u16, Vec<u8>), Broken> {
        let server = self.server.borrow().clone();
        let router = server.ok_or(Broken::Unreachable)?;
        let request = request.map(Body::from);
        let (status_to, status) = oneshot::channel();
        let (frames_to, mut frames) = mpsc::unbounded_channel();
        let handling = self.scheduler.spawn(Owner::Process, async move {
            let response = router.oneshot(request).await;
            let response = response.unwrap_or_else(|never: Infallible| match never {});
            let _ = status_to.send(response.status().as_u16());
            let mut body = response.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                let _ = frame.into_data().map(|data| frames_to.send(data));
                give_way().await;
            }
        });
        let receiving = async {
            let (status, mut bytes) = (status.await.ok()?, Vec::new());
            while let Some(data) = frames.recv().await {
                bytes.extend(data);
            }
            Some((status, bytes))
        };
        // The status comes with the first bytes at the latest.
        let mut receiving = std::pin::pin!(receiving);
        let ended = tokio::time::timeout(time, &mut receiving).await;
        self.scheduler.end(handling);
        let heard = match ended {
            Ok(heard) => heard,
            // What is on its way still arrives.
            Err(_) => receiving.await,
        };
        let (status, bytes) = heard.ok_or(Broken::Off)?;
        self.trace
            .event(&format!("  heard {status}, {} bytes", bytes.len()));
        self.trace.bytes(&bytes);
        Ok((status, bytes))
    }
}

async fn handle(router: Router, request: Request<Body>) -> Option<Answer> {
    let response = router.oneshot(request).await;
    let (parts, body) = response
        .unwrap_or_else(|never: Infallible| match never {})
        .into_parts();
    // A body that breaks off breaks the connection.
    let body = body.collect().await.ok()?.to_bytes();
    Some(Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body,
    })
}

/// The body as a socket gives it: in pieces, with pauses.
fn in_pieces(bytes: Bytes, dice: &Dice) -> Body {
    if bytes.is_empty() || dice.percent(60) {
        return Body::from(bytes);
    }
    let most = 1 + bytes.len() / 2;
    let pieces: Vec<Bytes> = bytes.chunks(most).map(Bytes::copy_from_slice).collect();
    let dice = dice.clone();
    let pieces = stream::iter(pieces).then(move |piece| {
        let dice = dice.clone();
        async move {
            match dice.below(0..100) {
                0..60 => give_way().await,
                60..99 => tokio::time::sleep(Duration::from_millis(dice.below(1..30))).await,
                // Beyond what the server waits for.
                _ => tokio::time::sleep(Duration::from_secs(dice.below(1..20))).await,
            }
            Ok::<Bytes, Infallible>(piece)
        }
    });
    Body::from_stream(pieces)
}
