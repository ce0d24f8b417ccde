//! What happens on a connection, and what is overdue on it.
//!
//! A connection is watched in one place, so that no phase is without a bound: from the first byte,
//! which hyper waits for without a timer, to a client that no longer reads.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;

use super::Bounds;
use super::framing::{Framing, Verdict};

/// Answers leave in pieces of this size, so that it shows whether they leave.
const PIECE: usize = 64 << 10;

/// The state of a connection, shared by its socket, its requests and its watch.
#[derive(Debug, Clone)]
pub(crate) struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    framing: Framing,
    /// Requests without the end of their answers.
    under_way: usize,
    /// Those of them whose answers have no end of their own.
    endless: usize,
    /// Any request so far.
    used: bool,
    /// Since when there has been no request under way.
    idle_since: Instant,
    /// When the first byte came of what is to be the next head.
    head_since: Option<Instant>,
    /// Since when the socket has taken nothing.
    blocked_since: Option<Instant>,
    /// Answers whose last piece was handed over then, and which nobody asked for the next one.
    waiting: HashMap<u64, Instant>,
    requests: u64,
}

/// What a look at the connection found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing can be overdue before this.
    Fine(Instant),
    /// It was idle for its time: close it in the protocol's way.
    Idle,
    /// End it; why.
    Overdue(&'static str),
}

#[expect(clippy::disallowed_methods, reason = "the server measures time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            framing: Framing::default(),
            under_way: 0,
            endless: 0,
            used: false,
            idle_since: now(),
            head_since: None,
            blocked_since: None,
            waiting: HashMap::new(),
            requests: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes came in.
    pub(crate) fn read(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.framing.read(bytes);
        if state.under_way == 0 && state.head_since.is_none() {
            state.head_since = Some(now());
        }
    }

    /// Whether the socket took something.
    pub(crate) fn wrote(&self, taken: bool) {
        let mut state = self.state();
        if taken {
            state.blocked_since = None;
        } else if state.blocked_since.is_none() {
            state.blocked_since = Some(now());
        }
    }

    /// A request begins; also what its framing was found to be.
    pub(crate) fn begin(&self) -> (UnderWay, Verdict) {
        let mut state = self.state();
        state.under_way += 1;
        state.used = true;
        state.head_since = None;
        state.requests += 1;
        let verdict = if state.framing.is_http2() {
            None
        } else {
            state.framing.verdict()
        };
        let under_way = UnderWay {
            activity: self.clone(),
            number: state.requests,
            endless: false,
        };
        (under_way, verdict)
    }

    /// Looks for what is overdue. `closing` since then, the connection has little time left
    /// once nothing is under way.
    pub(crate) fn look(&self, bounds: &Bounds, closing: Option<Instant>) -> Found {
        let (state, now) = (self.state(), now());
        // What begins after this look is overdue no sooner.
        let soonest = bounds.head.min(bounds.idle).min(bounds.write);
        let mut next = now + closing.map_or(soonest, |_| soonest.min(super::CLOSING));
        let mut overdue = |since: Instant, bound| {
            next = next.min(since + bound);
            since + bound <= now
        };
        // Told to end, so that only a client that does not read can keep it.
        if let Some(closing) = closing
            && state.endless > 0
            && state.endless == state.under_way
            && overdue(closing, super::CLOSING)
        {
            return Found::Overdue("the client no longer reads");
        }
        if let Some(since) = state.blocked_since {
            // What was answered is still on its way.
            return if overdue(since, bounds.write) {
                Found::Overdue("the client no longer reads")
            } else {
                Found::Fine(next)
            };
        }
        if let Some(oldest) = state.waiting.values().min()
            && overdue(*oldest, bounds.write)
        {
            return Found::Overdue("the client no longer reads");
        }
        if state.under_way > 0 {
            return Found::Fine(next);
        }
        if let Some(closing) = closing {
            return if overdue(closing.max(state.idle_since), super::CLOSING) {
                Found::Overdue("the client does not close")
            } else {
                Found::Fine(next)
            };
        }
        // HTTP/2 has frames that belong to no request, so that bytes are no head there.
        let head = state.head_since.filter(|_| !state.framing.is_http2());
        let first = (!state.used).then_some(state.idle_since);
        if let Some(since) = first.or(head)
            && overdue(since, bounds.head)
        {
            return Found::Overdue("no request came in time");
        }
        if state.used && overdue(state.idle_since, bounds.idle) {
            return Found::Idle;
        }
        Found::Fine(next)
    }
}

/// A request, until its answer ends or is given up.
#[derive(Debug)]
pub(crate) struct UnderWay {
    activity: Activity,
    number: u64,
    endless: bool,
}

impl UnderWay {
    /// Says that the answer has no end of its own: at shutdown it is not waited for.
    pub(crate) fn endless(mut self) -> Self {
        self.endless = true;
        self.activity.state().endless += 1;
        self
    }

    /// The answer's body, which keeps the request under way.
    pub(crate) fn follow(self, body: Body) -> Body {
        if body.is_end_stream() {
            return body;
        }
        Body::new(Followed {
            body,
            rest: Bytes::new(),
            under_way: self,
        })
    }

    fn handed_over(&self, piece: bool) {
        let mut state = self.activity.state();
        if piece {
            state.waiting.insert(self.number, now());
        } else {
            state.waiting.remove(&self.number);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.waiting.remove(&self.number);
        state.under_way -= 1;
        state.endless -= usize::from(self.endless);
        if state.under_way == 0 {
            state.idle_since = now();
        }
    }
}

struct Followed {
    body: Body,
    rest: Bytes,
    under_way: UnderWay,
}

impl Followed {
    fn cut(&mut self) -> Bytes {
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        if self.rest.is_empty() && self.body.is_end_stream() {
            // The last piece may wait in HTTP/2's window for long: alone, not with all of the
            // answer that it is a part of.
            return Bytes::copy_from_slice(&piece);
        }
        piece
    }
}

impl HttpBody for Followed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            match Pin::new(&mut this.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                // Nobody but this server is waited for now.
                other => {
                    this.under_way.handed_over(false);
                    return other;
                }
            }
        }
        this.under_way.handed_over(true);
        let piece = this.cut();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, mut hint) = (self.rest.len() as u64, self.body.size_hint());
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}
