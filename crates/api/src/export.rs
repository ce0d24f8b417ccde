//! `GET /logs/export/`: everything that a filter selects, in index order, each entry verified.
//!
//! It covers exactly the log as it was when it started, `X-AuditTrail-Tree-Size` entries, and
//! is itself recorded in the log before its first byte is sent. A failure on the way breaks
//! the stream off, so that no client takes a part for the whole.

use std::sync::Arc;

use audittrail_entry::NewEntry;
use audittrail_entry::json::Value;
use audittrail_queue::{IdOrigin, Request as Submitted};
use audittrail_store::{CountMode, Filter, Order, Query, Start, Verdict};
use axum::body::Body;
use axum::extract::State as FromState;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;

use crate::caller::{Caller, access};
use crate::intake::{Committed, RESERVED};
use crate::list::accepts;
use crate::parameters::Parameters;
use crate::problem::{Problem, Slug};
use crate::render::{parse, write_result};
use crate::{Shared, State};

/// The log is read in parts of this size.
const PART_BYTES: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Lines,
}

pub(crate) async fn export(
    FromState(shared): FromState<State>,
    Caller(principal): Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let access = access(principal.export_access()?);
    let mut parameters = Parameters::of(&uri)?;
    let format = parameters.take_word("format", "json and ndjson", |word| match word {
        "json" => Some(Format::Json),
        "ndjson" => Some(Format::Lines),
        _ => None,
    })?;
    let format = format.unwrap_or(Format::Json);
    let filter = Filter::from_parameters(parameters.iter())
        .map_err(|errors| Problem::parameters(&errors))?;
    let (name, subtype) = match format {
        Format::Json => ("json", "json"),
        Format::Lines => ("ndjson", "x-ndjson"),
    };
    accepts(&headers, "application", subtype)?;
    let size = shared.api.store.head().await?.size;
    shared
        .record_export(&principal, &parameters, name, size)
        .await?;
    let query = Query {
        filter,
        access,
        order: Order::IndexAscending,
        size,
        start: Start::Skip(0),
        limit: 0,
        count: CountMode::None,
        failed: shared.api.reader.failed(),
    };
    let headers = [
        (
            header::CONTENT_TYPE.as_str(),
            format!("application/{subtype}"),
        ),
        ("x-audittrail-tree-size", size.to_string()),
    ];
    let next = query.filter.index.from.unwrap_or(0);
    let end = query
        .filter
        .index
        .to
        .map_or(size, |to| size.min(to.saturating_add(1)));
    let export = Export {
        shared,
        query,
        format,
        next,
        end,
        begun: false,
        ended: false,
    };
    let parts = stream::try_unfold(export, Export::part);
    Ok((headers, Body::from_stream(parts)).into_response())
}

struct Export {
    shared: Arc<Shared>,
    query: Query,
    format: Format,
    next: u64,
    end: u64,
    begun: bool,
    ended: bool,
}

/// An export that cannot go on; the details are in the server's log.
#[derive(Debug)]
struct BrokenOff;

impl std::fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the export broke off")
    }
}

impl std::error::Error for BrokenOff {}

impl Export {
    /// The next piece of the answer; none after the end.
    async fn part(mut self) -> Result<Option<(Bytes, Self)>, BrokenOff> {
        let mut out = Vec::new();
        while out.len() < PART_BYTES && self.next < self.end {
            if let Err(problem) = self.read(&mut out).await {
                tracing::error!(?problem, index = self.next, "an export broke off");
                return Err(BrokenOff);
            }
        }
        if self.next >= self.end && !self.ended {
            self.ended = true;
            if self.format == Format::Json {
                out.extend(if self.begun { &b"]"[..] } else { b"[]" });
            }
        }
        Ok((!out.is_empty()).then(|| (Bytes::from(out), self)))
    }

    async fn read(&mut self, out: &mut Vec<u8>) -> Result<(), Problem> {
        let stored = self
            .shared
            .api
            .store
            .scan(self.next..self.end, PART_BYTES)
            .await?;
        for one in self.shared.check(stored).await? {
            self.next = one.index + 1;
            let entry = one.record.as_ref().and_then(parse);
            let failed = one.verdict != Verdict::Verified;
            if !self.query.selects(one.index, entry.as_ref(), failed) {
                continue;
            }
            if self.format == Format::Json {
                out.push(if self.begun { b',' } else { b'[' });
            }
            self.begun = true;
            write_result(&one, out);
            if self.format == Format::Lines {
                out.push(b'\n');
            }
        }
        Ok(())
    }
}

impl Shared {
    /// Commits an entry about the export: who, what of, and how large the log was.
    async fn record_export(
        &self,
        principal: &audittrail_auth::Principal,
        filter: &Parameters,
        format: &'static str,
        size: u64,
    ) -> Result<(), Problem> {
        let text = |text: &str| Value::String(text.to_owned().into());
        let filter = filter
            .iter()
            .map(|(name, value)| (name.to_owned().into(), text(value)));
        let mut filter: Vec<_> = filter.collect();
        filter.sort_by(|(a, _): &(std::borrow::Cow<'_, str>, _), (b, _)| {
            audittrail_entry::json::compare_names(a, b)
        });
        let details = Value::Object(vec![
            ("filter".into(), Value::Object(filter)),
            ("format".into(), text(format)),
            ("tree_size".into(), Value::Number(size.to_string().into())),
        ]);
        let entry = NewEntry {
            action: format!("{RESERVED}export").into(),
            user_id: Some((&*principal.subject).into()),
            timestamp: None,
            resource: None,
            outcome: None,
            source_ip: None,
            tenant: principal.tenant.as_deref().map(Into::into),
            details: Some(details),
            id: None,
        };
        let now = self.api.clock.now();
        let id = audittrail_entry::uuid_v7(now, &*self.api.random);
        let submission = self
            .seal(&entry, principal, id, IdOrigin::Server, now)
            .map_err(|violation| Problem::new(Slug::InvalidParameter, violation.detail))?;
        match self.commit(&Submitted::new(vec![submission])).await? {
            Committed::At(_) => Ok(()),
            Committed::Conflict(_) => Err(Problem::new(
                Slug::Unavailable,
                "The export could not be recorded, so it was not started; try again.",
            )),
        }
    }
}
