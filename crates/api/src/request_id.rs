//! The request's id: in every answer, in every problem document, in every log line.

use std::sync::Arc;

use audittrail_entry::uuid_v7;
use axum::extract::{Request, State as FromState};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

use crate::State;
use crate::problem::Problem;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST: usize = 128;

/// Gives the request an id, the client's if it sent a sane one, and renders problems.
pub(crate) async fn with_request_id(
    FromState(shared): FromState<State>,
    request: Request,
    next: Next,
) -> Response {
    let sent = request
        .headers()
        .get(HEADER)
        .and_then(|value| value.to_str().ok());
    let id = match sent.filter(|id| is_sane(id)) {
        Some(id) => id.to_owned(),
        None => uuid_v7(shared.api.clock.now(), &*shared.api.random).to_string(),
    };
    let span = tracing::info_span!("request", id, method = %request.method(), client = tracing::field::Empty);
    let mut response = next.run(request).instrument(span).await;
    if let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>() {
        // The routers add headers of their own, such as Allow.
        let headers = std::mem::take(response.headers_mut());
        response = problem.render(&id);
        for (name, value) in &headers {
            if !response.headers().contains_key(name) && name != axum::http::header::CONTENT_LENGTH
            {
                response.headers_mut().insert(name, value.clone());
            }
        }
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

fn is_sane(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    (1..=LONGEST).contains(&id.len()) && id.bytes().all(plain)
}
