//! `GET /logs/stream/`: what a filter selects, as it is committed; server-sent events as the
//! WHATWG's HTML standard has them.
//!
//! An event's id is the index of an entry, and everything up to that entry was passed: who comes
//! back with it as `Last-Event-ID` gets the selected entries after it, each once, in the order
//! of the log. Who may see only a part of the log gets no ids but those of entries that it may
//! see, so that the others are not counted for it.

mod live;
mod places;
mod recent;

use audittrail_store::{Access, CountMode, Filter, Order, Query, Start};
use axum::Extension;
use axum::body::Body;
use axum::extract::State as FromState;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use crate::caller::{Caller, access, token};
use crate::list::accepts;
use crate::openapi::parameters::{Filters, RequestId, Resuming};
use crate::parameters::Parameters;
use crate::problem::{Problem, Slug};
use crate::render::parse;
use crate::{Shared, State};

use live::{Live, Position};
pub(crate) use places::Streams;

/// An answer that has no end of its own, and ends by itself when the server stops; an extension of
/// responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endless;

const HEADER: &str = "last-event-id";
const PARAMETER: &str = "last_event_id";
/// A client waits so long before it connects again.
const RETRY_MS: u32 = 1_000;

/// What a filter selects, as it is committed.
///
/// Server-sent events: `id` is the index of an entry, `data` the entry as in lists. It does not
/// end by itself.
#[utoipa::path(
    get, path = "/logs/stream/", operation_id = "stream", tag = "entries",
    params(Filters, Resuming, RequestId),
    responses((
        status = 200, description = "Events, as entries are committed.",
        content((String = "text/event-stream"))
    ))
)]
pub(crate) async fn stream(
    FromState(shared): FromState<State>,
    Caller(principal): Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let access = access(principal.read_access()?);
    let mut parameters = Parameters::of(&uri)?;
    let last = LastEvent::of(&headers, &mut parameters)?;
    let filter = Filter::from_parameters(parameters.iter())
        .map_err(|errors| Problem::parameters(&errors))?;
    accepts(&headers, "text", "event-stream")?;
    let place = places::take(&shared, &principal)?;
    let query = Query {
        filter,
        access,
        order: Order::IndexAscending,
        size: 0,
        start: Start::Skip(0),
        limit: 0,
        count: CountMode::None,
        failed: shared.api.reader.failed(),
    };
    let time = shared.api.settings.request_time;
    let begin = async {
        let size = shared.api.store.head().await?.size;
        let (told, next) = shared.begin(&query, last.as_ref(), size).await?;
        let token = token(&headers)?.to_owned();
        let mut live = Live::new(place, token, query, told, next);
        live.ready = format!("retry: {RETRY_MS}\nid: {told}\n\n").into_bytes();
        // What cannot even begin is a problem document.
        live.read_first(size).await?;
        Ok::<_, Problem>(live)
    };
    let live = match tokio::time::timeout(time, begin).await {
        Ok(live) => live?,
        Err(_) => {
            let detail = "The search for where the stream begins took too long; narrow it.";
            return Err(Problem::new(Slug::Unavailable, detail));
        }
    };
    let headers = [
        (header::CONTENT_TYPE.as_str(), "text/event-stream"),
        // Nobody on the way may keep it, gather it, or compress it, which gathers.
        (header::CACHE_CONTROL.as_str(), "no-store, no-transform"),
        ("x-accel-buffering", "no"),
    ];
    let parts = stream::unfold(live, Live::part);
    Ok((Extension(Endless), headers, Body::from_stream(parts)).into_response())
}

/// What a client says that it got last, and where it says so.
struct LastEvent {
    id: String,
    in_header: bool,
}

impl LastEvent {
    /// The header is what a client sends that has reconnected by itself, and newer than its
    /// parameter. An empty one is none, as in the standard.
    fn of(headers: &HeaderMap, parameters: &mut Parameters) -> Result<Option<Self>, Problem> {
        let parameter = parameters.take(PARAMETER)?;
        let mut values = headers.get_all(HEADER).iter();
        let value = values.next();
        if values.next().is_some() {
            let detail = "Last-Event-ID is there twice; send it once.";
            return Err(Problem::new(Slug::InvalidHeader, detail));
        }
        let header = value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let header = header.filter(|id| !id.is_empty());
        let in_header = header.is_some();
        let id = header.or(parameter).filter(|id| !id.is_empty());
        Ok(id.map(|id| Self { id, in_header }))
    }

    fn problem(&self, detail: &str) -> Problem {
        const INSTEAD: &str = "start without it, which begins at the present end of the log, or \
                               with index_from and the index to begin at";
        let detail = format!("{detail}; {INSTEAD}");
        if self.in_header {
            Problem::new(Slug::InvalidHeader, format!("Last-Event-ID {detail}."))
        } else {
            Problem::parameter(PARAMETER, detail)
        }
    }

    fn parse(&self) -> Result<Position, Problem> {
        let digits = !self.id.is_empty() && self.id.bytes().all(|byte| byte.is_ascii_digit());
        let index = digits.then(|| self.id.parse().ok()).flatten();
        match index {
            Some(index) => Ok(Position::At(index)),
            None if self.id == Position::Before.to_string() => Ok(Position::Before),
            None => Err(self.problem("is not the id of an event of this stream")),
        }
    }
}

impl Shared {
    /// Where a stream begins in a log of that size: the position that its client is told, and
    /// the index it reads first. Nothing between them is selected.
    async fn begin(
        &self,
        query: &Query,
        last: Option<&LastEvent>,
        size: u64,
    ) -> Result<(Position, u64), Problem> {
        let from = query.filter.index.from;
        let unrestricted = query.access.is_unrestricted();
        if let Some(last) = last {
            let position = last.parse()?;
            if let Position::At(index) = position {
                if unrestricted && index >= size {
                    let detail = format!(
                        "is ahead of the log, which has {size} entries: it is of another log, or \
                         this one was restored from a copy"
                    );
                    return Err(last.problem(&detail));
                }
                if !unrestricted && !self.may_see(&query.access, index, size).await? {
                    return Err(last.problem("is not the id of an entry that you may see"));
                }
            }
            return Ok((position, position.next().max(from.unwrap_or(0))));
        }
        let told = match from {
            Some(from) if unrestricted => Position::before(from.min(size)),
            Some(_) => Position::Before,
            None if unrestricted => Position::before(size),
            None => self.newest(query, size).await?,
        };
        Ok((told, from.unwrap_or(size)))
    }

    /// Whether there is such an entry for this reader.
    async fn may_see(&self, access: &Access, index: u64, size: u64) -> Result<bool, Problem> {
        if index >= size {
            return Ok(false);
        }
        let stored = self.api.store.records(&[index]).await?;
        let record = stored.first().and_then(|one| one.record.as_ref().ok());
        Ok(access.admits(record.and_then(parse).as_ref()))
    }

    /// The newest entry that is selected in a log of that size.
    async fn newest(&self, query: &Query, size: u64) -> Result<Position, Problem> {
        let query = Query {
            order: Order::IndexDescending,
            size,
            limit: 1,
            ..query.clone()
        };
        let page = self.api.store.search(&query).await?;
        let newest = page.keys.first();
        Ok(newest.map_or(Position::Before, |key| Position::At(key.index)))
    }
}
