//! `GET /logs/export/`: everything that a filter selects, in index order, each entry verified.
//!
//! It covers exactly the log as it was when it started, `X-AuditTrail-Tree-Size` entries, and
//! is itself recorded in the log before its first byte is sent. A failure on the way breaks
//! the connection off, after a last line that no reader takes for an entry: neither a client
//! nor who finds the file later takes a part for the whole.

use audittrail_entry::json::Value;
use audittrail_entry::{NewEntry, RESERVED_ACTIONS};
use audittrail_queue::{IdOrigin, Request as Submitted};
use audittrail_store::{Checked, Filter, Query, Verdict};
use axum::body::Body;
use axum::extract::State as FromState;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;

use crate::caller::{Caller, access};
use crate::export_evidence;
use crate::export_parts::{BrokenOff, PART_BYTES, Progress, Remaining, query, shown, without_body};
use crate::intake::Committed;
use crate::list::accepts;
use crate::openapi::parameters::{Exporting, Filters, RequestId};
use crate::openapi::schemas;
use crate::parameters::Parameters;
use crate::problem::{Problem, Slug};
use crate::render::{parse, write_result};
use crate::render_csv::Rows;
use crate::{Shared, State};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Lines,
    Csv,
}

/// The default first.
pub(crate) const FORMATS: [Format; 3] = [Format::Json, Format::Lines, Format::Csv];

impl Format {
    fn parse(name: &str) -> Option<Self> {
        FORMATS.into_iter().find(|format| format.name() == name)
    }

    /// The value of the parameter, also the extension of the file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Lines => "ndjson",
            Self::Csv => "csv",
        }
    }

    /// The media type, and what else `Content-Type` says.
    fn media_type(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Json => ("application", "json", ""),
            Self::Lines => ("application", "x-ndjson", ""),
            // RFC 4180 section 3.
            Self::Csv => ("text", "csv", "; charset=utf-8; header=present"),
        }
    }

    /// What stands last in an export that broke off. Neither JSON nor CSV ends like this.
    fn broken_off(self) -> &'static str {
        match self {
            Self::Json | Self::Lines => "{\"broken_off\":\"this export is incomplete",
            Self::Csv => "\"broken off: this export is incomplete",
        }
    }
}

/// Export entries
///
/// All that the filter selects, in the order of the index, each verified, streamed. Covers the log
/// as it is at the start, and is recorded in the log. An export that breaks off ends without a
/// last chunk.
#[utoipa::path(
    get, path = "/logs/export/", operation_id = "export", tag = "entries",
    params(Filters, Exporting, RequestId),
    responses((
        status = 200, description = "The entries.",
        content(
            (Vec<schemas::Entry> = "application/json"),
            (String = "application/x-ndjson"),
            (String = "text/csv"),
            (String = "application/vnd.audittrail.evidence+jsonl"),
            (String = "text/html")
        ),
        headers(
            ("X-AuditTrail-Tree-Size" = u64, description = "So many entries the log had."),
            ("Content-Disposition" = String, description = "Names a file.")
        )
    ))
)]
pub(crate) async fn export(
    FromState(shared): FromState<State>,
    Caller(principal): Caller,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let access = access(principal.export_access()?);
    let mut parameters = Parameters::of(&uri)?;
    if let Some(form) = export_evidence::wanted(&parameters) {
        let about = (&method, &headers);
        return export_evidence::export(form, shared, &principal, access, parameters, about).await;
    }
    let words = "json, ndjson, csv, evidence and report";
    let format = parameters.take_word("format", words, Format::parse)?;
    let format = format.unwrap_or(Format::Json);
    if parameters.take("withhold")?.is_some() {
        let detail = "goes with format=evidence and report only; give one, or leave it out";
        return Err(Problem::parameter("withhold", detail));
    }
    let filter = Filter::from_parameters(parameters.iter())
        .map_err(|errors| Problem::parameters(&errors))?;
    let (kind, subtype, more) = format.media_type();
    accepts(&headers, kind, subtype)?;
    let size = shared.api.store.head().await?.size;
    let shown = shown(format!("{kind}/{subtype}{more}"), format.name(), size);
    if method == Method::HEAD {
        return Ok(without_body(shown));
    }
    shared
        .record_export(&principal, &parameters, format.name(), size)
        .await?;
    let query = query(&shared, filter, access, size);
    let mut export = Export {
        remaining: Remaining::of(&query, shared),
        query,
        format,
        begun: false,
        state: Progress::Reading,
        read: Vec::new(),
    };
    // What cannot even begin is a problem document.
    export.begin()?;
    export.read().await?;
    let parts = stream::try_unfold(export, Export::part);
    Ok((shown, Body::from_stream(parts)).into_response())
}

struct Export {
    remaining: Remaining,
    query: Query,
    format: Format,
    begun: bool,
    state: Progress,
    /// What is ready to be sent.
    read: Vec<u8>,
}

impl Export {
    /// The next piece of the answer; none after the end.
    async fn part(mut self) -> Result<Option<(Bytes, Self)>, BrokenOff> {
        match self.state {
            Progress::Ended => return Ok(None),
            Progress::BrokenOff => {
                // The server gets a turn in which it sends the mark; the error then ends the
                // connection without a last chunk.
                tokio::task::yield_now().await;
                return Err(BrokenOff);
            }
            Progress::Reading => {}
        }
        while self.read.len() < PART_BYTES && !self.remaining.is_empty() {
            if let Err(problem) = self.read().await {
                tracing::error!(?problem, index = self.remaining.next, "an export broke off");
                self.read.extend(self.format.broken_off().as_bytes());
                self.state = Progress::BrokenOff;
                break;
            }
        }
        if self.state == Progress::Reading && self.remaining.is_empty() {
            self.state = Progress::Ended;
            if self.format == Format::Json {
                let end = if self.begun { &b"]"[..] } else { b"[]" };
                self.read.extend(end);
            }
        }
        let part = std::mem::take(&mut self.read);
        Ok((!part.is_empty()).then(|| (Bytes::from(part), self)))
    }

    fn begin(&mut self) -> Result<(), Problem> {
        if self.format == Format::Csv {
            let mut rows = Rows::after(Vec::new());
            rows.header().map_err(unwritten)?;
            self.read = rows.into_bytes().map_err(unwritten)?;
        }
        Ok(())
    }

    /// Reads some entries and writes those that are selected.
    async fn read(&mut self) -> Result<(), Problem> {
        let checked = self.remaining.read().await?;
        self.write(checked)
    }

    /// Writes the selected ones of these entries.
    fn write(&mut self, checked: Vec<Checked>) -> Result<(), Problem> {
        let mut out = std::mem::take(&mut self.read);
        // Whoever may see everything and asks for everything gets it, whatever it says.
        let index = self.query.filter.index;
        let everything = Filter {
            index,
            ..Filter::default()
        };
        let unread = self.query.access.is_unrestricted() && self.query.filter == everything;
        let mut selected = checked.into_iter().filter(|one| {
            let entry = one.record.as_ref().filter(|_| !unread).and_then(parse);
            let failed = one.verdict != Verdict::Verified;
            self.query.selects(one.index, entry.as_ref(), failed)
        });
        match self.format {
            Format::Json => {
                for one in selected {
                    out.push(if self.begun { b',' } else { b'[' });
                    self.begun = true;
                    write_result(&one, &mut out);
                }
            }
            Format::Lines => {
                for one in selected {
                    write_result(&one, &mut out);
                    out.push(b'\n');
                }
            }
            Format::Csv => {
                let mut rows = Rows::after(out);
                selected
                    .try_for_each(|one| rows.push(&one))
                    .map_err(unwritten)?;
                out = rows.into_bytes().map_err(unwritten)?;
            }
        }
        self.read = out;
        Ok(())
    }
}

/// Rows are written into memory, so this is never met.
#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn unwritten(error: csv::Error) -> Problem {
    Problem::new(
        Slug::Unavailable,
        format!("A row was not written: {error}."),
    )
}

impl Shared {
    /// Commits an entry about the export: who, what of, and how large the log was.
    pub(crate) async fn record_export(
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
            action: format!("{RESERVED_ACTIONS}export").into(),
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
