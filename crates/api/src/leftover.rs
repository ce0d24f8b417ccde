//! What an answer leaves unread of its request.
//!
//! A client that is still sending when the connection is closed gets a reset instead of its
//! answer. So the rest of a refused body is read and thrown away, within bounds; if it is not at
//! its end then, the answer says that the connection closes, as it will.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderValue, Version, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// The bound on a body that is thrown away, and on one that is announced and would be.
const MOST: u64 = 64 << 20;
/// The time for it.
const TIME: Duration = Duration::from_secs(2);
/// The time for so little, from clients that share a server which has too much to do: who is told
/// to send it again has to hear that.
const TIME_FOR_LITTLE: Duration = Duration::from_secs(10);
const LITTLE: u64 = 1 << 20;

/// A request's body, which stays within reach while a handler reads it.
struct Shared {
    body: Body,
    begun: bool,
    ended: bool,
}

struct Handle(Arc<Mutex<Shared>>);

impl Handle {
    fn with<T>(&self, look: impl FnOnce(&mut Shared) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl HttpBody for Handle {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.with(|shared| {
            shared.begun = true;
            let poll = Pin::new(&mut shared.body).poll_frame(context);
            shared.ended |= matches!(poll, Poll::Ready(None | Some(Err(_))));
            poll
        })
    }

    fn is_end_stream(&self) -> bool {
        self.with(|shared| shared.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|shared| shared.body.size_hint())
    }
}

/// Sees to the rest of a request's body once there is an answer.
pub(crate) async fn discard(request: Request, next: Next) -> Response {
    if request.version() > Version::HTTP_11 || request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let waits = parts.headers.contains_key(header::EXPECT);
    let handle = Handle(Arc::new(Mutex::new(Shared {
        body,
        begun: false,
        ended: false,
    })));
    let rest = Handle(Arc::clone(&handle.0));
    let mut response = next
        .run(Request::from_parts(parts, Body::new(handle)))
        .await;
    // Reading would tell a client that waits for 100 Continue to send.
    let silent = waits && !rest.with(|shared| shared.begun);
    let ended = rest.with(|shared| shared.ended || shared.body.is_end_stream());
    let thrown_away = !ended && !silent && {
        let little = rest.size_hint().upper().is_some_and(|rest| rest <= LITTLE);
        let time = if little { TIME_FOR_LITTLE } else { TIME };
        let reading = throw_away(rest);
        tokio::time::timeout(time, reading).await.unwrap_or(false)
    };
    if !(ended || thrown_away) {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// Whether the end of the body was reached within its bound.
async fn throw_away(rest: Handle) -> bool {
    use http_body_util::BodyExt as _;
    if rest.size_hint().lower() > MOST {
        return false;
    }
    let (mut body, mut read) = (rest, 0);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => read += frame.data_ref().map_or(0, |data| data.len() as u64),
            Err(_) => return false,
        }
        if read > MOST {
            return false;
        }
    }
    true
}
