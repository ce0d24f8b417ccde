//! What every request goes through before its handler.

use axum::extract::{Request, State as FromState};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::State;
use crate::address::{Client, Peer};
use crate::problem::{Problem, Slug};

/// The longest path with its query.
const LONGEST: usize = 16 << 10;

/// A request that two parsers may understand in two ways; why. An extension of requests, for
/// who serves them.
#[derive(Debug, Clone, Copy)]
pub struct Malformed(pub &'static str);

pub(crate) async fn check(
    FromState(shared): FromState<State>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(Malformed(why)) = request.extensions().get() {
        let detail = format!("The request is not taken: {why}.");
        return Problem::new(Slug::MalformedRequest, detail)
            .with_header(header::CONNECTION, "close")
            .into_response();
    }
    let target = request.uri().path_and_query();
    if target.is_some_and(|target| target.as_str().len() > LONGEST) {
        let detail = format!("The path and its query are longer than {LONGEST} bytes.");
        return Problem::new(Slug::UriTooLong, detail).into_response();
    }
    let peer = request.extensions().get::<Peer>().copied();
    let trusted = &shared.api.settings.trusted_proxies;
    let client = Client::of(peer, request.headers(), trusted);
    if let Some(address) = client.address {
        tracing::Span::current().record("client", tracing::field::display(address));
    }
    request.extensions_mut().insert(client);
    // RFC 9110 section 9.3.7: of the server as a whole.
    if request.method() == Method::OPTIONS && request.uri().path() == "*" {
        return StatusCode::NO_CONTENT.into_response();
    }
    next.run(request).await
}
