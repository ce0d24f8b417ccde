//! Who may read the log as a tlog client: anybody, where the operator made that public, else
//! who has the scope and is not bound to a tenant, since a tile holds all of them.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};

use crate::State;
use crate::address::Client;
use crate::caller::Caller;
use crate::openapi::Fixed;
use crate::problem::{Problem, Slug};
use crate::settings::ApiSettings;

/// Somebody who may.
pub(crate) struct TilesCaller;

impl FromRequestParts<State> for TilesCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        if !state.api.settings.public_tiles {
            let Caller(principal) = Caller::from_request_parts(parts, state).await?;
            principal.require_tiles()?;
            return Ok(Self);
        }
        if let Some(rates) = &state.rates {
            let client = parts.extensions.get::<Client>();
            let now = state.api.clock.now().nanos();
            rates.address(client.and_then(|client| client.address), now)?;
        }
        Ok(Self)
    }
}

/// For how long an answer may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It never changes.
    ForEver,
    /// It changes every moment.
    Moment,
}

impl Kept {
    /// Caches that serve several people keep only what is for everybody.
    fn cache_control(self, settings: &ApiSettings) -> &'static str {
        match (self, settings.public_tiles) {
            (Self::ForEver, true) => "public, max-age=31536000, immutable",
            (Self::ForEver, false) => "private, max-age=31536000, immutable",
            (Self::Moment, true) => "public, max-age=1",
            (Self::Moment, false) => "private, max-age=1",
        }
    }
}

/// An answer of these bytes, or 304 to who has them.
pub(crate) fn answer(
    bytes: Vec<u8>,
    media_type: &'static str,
    kept: Kept,
    settings: &ApiSettings,
    headers: &HeaderMap,
) -> Response {
    let mut response = Fixed::new(bytes).answer(media_type, headers);
    let cache_control = HeaderValue::from_static(kept.cache_control(settings));
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, cache_control);
    response.into_response()
}

/// An answer of bytes that never change.
pub(crate) fn octets(bytes: Vec<u8>, settings: &ApiSettings, headers: &HeaderMap) -> Response {
    let media_type = "application/octet-stream";
    answer(bytes, media_type, Kept::ForEver, settings, headers)
}

/// What only a larger log has.
pub(crate) fn beyond() -> Problem {
    nothing_there("The published log does not reach so far; /checkpoint has its size.")
}

/// What is not there yet may be there in a moment: no cache may keep that it is not.
pub(crate) fn nothing_there(detail: &str) -> Problem {
    Problem::new(Slug::NotFound, detail).with_header(header::CACHE_CONTROL, "no-store")
}
