//! What exports of every form share: what they read, part by part, and what stands before them.

use std::sync::Arc;

use audittrail_store::{Access, Checked, CountMode, Filter, Order, Query, Start};
use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;

use crate::Shared;
use crate::problem::{Problem, Slug};

/// The log is read in parts of this size.
pub(crate) const PART_BYTES: usize = 1 << 20;
/// So many entries are read at first, before their size is known.
const FEWEST: u64 = 16;

/// How far an export got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    Reading,
    /// The mark was sent; nothing else will be.
    BrokenOff,
    Ended,
}

/// An export that cannot go on; the details are in the server's log.
#[derive(Debug)]
pub(crate) struct BrokenOff;

impl std::fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the export broke off")
    }
}

impl std::error::Error for BrokenOff {}

/// The entries that are still to be read.
pub(crate) struct Remaining {
    shared: Arc<Shared>,
    pub(crate) next: u64,
    end: u64,
    /// So many are read next.
    together: u64,
}

impl Remaining {
    /// All within the query's bounds on the index.
    pub(crate) fn of(query: &Query, shared: Arc<Shared>) -> Self {
        let (bounds, size) = (&query.filter.index, query.size);
        Self {
            shared,
            next: bounds.from.unwrap_or(0),
            end: bounds.to.map_or(size, |to| size.min(to.saturating_add(1))),
            together: FEWEST,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.next >= self.end
    }

    /// The next ones, verified; none only where none remain.
    pub(crate) async fn read(&mut self) -> Result<Vec<Checked>, Problem> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        let until = self.end.min(self.next.saturating_add(self.together));
        let store = &self.shared.api.store;
        let stored = store.scan(self.next..until, PART_BYTES).await?;
        let Some(last) = stored.last().map(|last| last.index) else {
            let detail = "The store has no entry where one has to be.";
            return Err(Problem::new(Slug::Unavailable, detail));
        };
        let checked = self.shared.check(stored).await?;
        self.next = last + 1;
        // As many of the same size as fill a part.
        let records = checked.iter().filter_map(|one| one.record.as_ref());
        let bytes: usize = records.map(audittrail_entry::Record::size_bytes).sum();
        let count = checked.len() as u64;
        let fitting = (PART_BYTES as u64).saturating_mul(count) / (bytes as u64).max(1);
        self.together = fitting.clamp(FEWEST, 2 * self.together);
        Ok(checked)
    }
}

/// What an export asks of a log of this size.
pub(crate) fn query(shared: &Shared, filter: Filter, access: Access, size: u64) -> Query {
    Query {
        filter,
        access,
        order: Order::IndexAscending,
        size,
        start: Start::Skip(0),
        limit: 0,
        count: CountMode::None,
        failed: shared.api.reader.failed(),
    }
}

/// What is said of an export before its first byte.
pub(crate) type Shown = [(&'static str, String); 3];

/// The headers of an export of a log of this size.
pub(crate) fn shown(content_type: String, extension: &str, size: u64) -> Shown {
    let file = format!("attachment; filename=\"audittrail-{size}.{extension}\"");
    [
        (header::CONTENT_TYPE.as_str(), content_type),
        (header::CONTENT_DISPOSITION.as_str(), file),
        ("x-audittrail-tree-size", size.to_string()),
    ]
}

/// The answer to HEAD. Nothing leaves the log, so that there is nothing to record: HEAD is safe,
/// RFC 9110 section 9.2.1. The body's length is not known, and so none is said.
pub(crate) fn without_body(shown: Shown) -> Response {
    let nothing = stream::empty::<Result<Bytes, BrokenOff>>();
    (shown, Body::from_stream(nothing)).into_response()
}
