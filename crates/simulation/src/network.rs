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
use tokio::sync::oneshot;
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

async fn handle(router: Router, request: Request<Body>) -> Option<Answer> {
    let response = router.oneshot(request).await;
    let (parts, body) = response.unwrap_or_else(|never: Infallible| match never {}).into_parts();
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
    let pieces: Vec<Bytes> = bytes
        .chunks(most)
        .map(Bytes::copy_from_slice)
        .collect();
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
