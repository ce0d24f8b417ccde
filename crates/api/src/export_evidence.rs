//! `GET /logs/export/?format=evidence`: entries that prove themselves, docs/formats.md
//! "Evidence, version 1".
//!
//! All proofs lead to one published checkpoint. They are built from the store's hashes, a tile of
//! which is read once, and each is checked before it is sent: what a damaged tile gives is never
//! sent as a proof. An entry that fails verification is a line that says so and has no proof.
//!
//! `format=report` is the same within a page that checks it when a browser opens it.

use std::sync::Arc;
use std::time::Duration;

use audittrail_auth::Principal;
use audittrail_entry::json::compare_names;
use audittrail_merkle::{
    ChainError, Hash, ProofChain, ProofError, TILE_WIDTH, TileNodes, TreeHead, leaf_hash,
};
use audittrail_store::{Access, Checked, Filter, Query, StoreError, StoreErrorKind, Verdict};
use audittrail_verifier::{
    EntryLine, Header, MEDIA_TYPE, REPORT_MEDIA_TYPE, ReportPage, WHOLE_EVERY, write_end,
    write_failed,
};
use axum::body::Body;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;

use crate::Shared;
use crate::export_parts::{BrokenOff, PART_BYTES, Progress, Remaining, query, shown, without_body};
use crate::list::accepts;
use crate::parameters::Parameters;
use crate::problem::{Problem, Slug};
use crate::render::parse;

/// Whether evidence comes bare, or within a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Evidence,
    Report,
}

impl Form {
    pub(crate) const ALL: [Self; 2] = [Self::Evidence, Self::Report];

    /// The value of `format`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Evidence => "evidence",
            Self::Report => "report",
        }
    }

    /// The media type, and what else `Content-Type` says.
    fn media_type(self) -> (&'static str, &'static str) {
        match self {
            Self::Evidence => (MEDIA_TYPE, ""),
            Self::Report => (REPORT_MEDIA_TYPE, "; charset=utf-8"),
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Evidence => "evidence.jsonl",
            Self::Report => "html",
        }
    }
}

/// A checkpoint is published at least every second while there is something new.
const CHECKPOINT_WAIT: Duration = Duration::from_secs(30);

/// What stands last in an export that broke off: no line of evidence, and without an end.
const BROKEN_OFF: &[u8] = b"{\"broken_off\":\"this export is incomplete";

/// The form, if it is one of these.
pub(crate) fn wanted(parameters: &Parameters) -> Option<Form> {
    let mut formats = parameters.iter().filter(|(name, _)| *name == "format");
    let (_, value) = formats.next()?;
    let form = Form::ALL.into_iter().find(|form| form.name() == value)?;
    formats.next().is_none().then_some(form)
}

pub(crate) async fn export(
    form: Form,
    shared: Arc<Shared>,
    principal: &Principal,
    access: Access,
    mut parameters: Parameters,
    (method, headers): (&Method, &HeaderMap),
) -> Result<Response, Problem> {
    parameters.take("format")?;
    let withhold = parameters.take_word("withhold", "sealed", |word| {
        (word == "sealed").then_some(())
    })?;
    let filter = Filter::from_parameters(parameters.iter())
        .map_err(|errors| Problem::parameters(&errors))?;
    let (media_type, more) = form.media_type();
    let (kind, subtype) = media_type.split_once('/').unwrap_or((media_type, ""));
    accepts(headers, kind, subtype)?;
    let size = shared.api.store.head().await?.size;
    let content_type = format!("{media_type}{more}");
    let shown = shown(content_type, form.extension(), size);
    if method == Method::HEAD {
        return Ok(without_body(shown));
    }
    let mut recorded = parameters.clone();
    if withhold.is_some() {
        recorded.push("withhold", "sealed");
    }
    shared
        .record_export(principal, &recorded, form.name(), size)
        .await?;
    // The entry about the export is in the log now, so that there is something to cover.
    let checkpoint = shared.proving(size.saturating_sub(1), CHECKPOINT_WAIT);
    let Some(checkpoint) = checkpoint.await else {
        let detail = "No checkpoint that covers the log was published in time; try again.";
        return Err(Problem::new(Slug::Unavailable, detail));
    };
    let complete = complete(&filter, &access, size);
    let header = Header {
        origin: shared.api.origin.clone(),
        vkey: shared.api.vkey.to_string(),
        checkpoint: checkpoint.note,
        filter: sorted(&parameters),
        complete,
        withheld: withhold.is_some(),
    };
    let query = query(&shared, filter, access, size);
    let mut evidence = Evidence {
        remaining: Remaining::of(&query, Arc::clone(&shared)),
        shared,
        query,
        state: Progress::Reading,
        ready: Vec::new(),
        page: None,
        lines: Lines {
            withheld: header.withheld,
            count: 0,
            head: checkpoint.head,
            chain: ProofChain::new(checkpoint.head),
            nodes: TileNodes::new(checkpoint.head.size),
        },
    };
    header.write(&mut evidence.ready);
    // What cannot even begin is a problem document.
    evidence.read().await?;
    if form == Form::Report {
        evidence.begin_page();
    }
    let parts = stream::try_unfold(evidence, Evidence::part);
    Ok((shown, Body::from_stream(parts)).into_response())
}

/// The range of which nothing is left out: only bounds on the index may select, and the reader
/// has to see everything.
fn complete(filter: &Filter, access: &Access, size: u64) -> Option<(u64, u64)> {
    let by_index = Filter {
        index: filter.index,
        ..Filter::default()
    };
    if *filter != by_index || !access.is_unrestricted() {
        return None;
    }
    let first = filter.index.from.unwrap_or(0);
    let last = size
        .checked_sub(1)?
        .min(filter.index.to.unwrap_or(u64::MAX));
    (first <= last).then_some((first, last))
}

fn sorted(parameters: &Parameters) -> Vec<(String, String)> {
    let parameters = parameters.iter();
    let mut pairs: Vec<(String, String)> = parameters
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    pairs.sort_by(|(a, _), (b, _)| compare_names(a, b));
    pairs
}

struct Evidence {
    shared: Arc<Shared>,
    query: Query,
    remaining: Remaining,
    state: Progress,
    /// What is ready to be sent.
    ready: Vec<u8>,
    /// What wraps the lines, for a report.
    page: Option<Paged>,
    lines: Lines,
}

struct Paged {
    page: ReportPage,
    /// The beginning of the page, until it is sent.
    html: Vec<u8>,
}

/// What the next line depends on.
struct Lines {
    withheld: bool,
    /// So many are written, the header not counted.
    count: u64,
    /// The checkpoint's.
    head: TreeHead,
    chain: ProofChain,
    nodes: TileNodes,
}

impl Evidence {
    /// The next piece of the answer; none after the end.
    async fn part(mut self) -> Result<Option<(Bytes, Self)>, BrokenOff> {
        match self.state {
            Progress::Ended => return Ok(None),
            Progress::BrokenOff => {
                // As in other exports: the mark is sent first, then the connection breaks off.
                tokio::task::yield_now().await;
                return Err(BrokenOff);
            }
            Progress::Reading => {}
        }
        while self.ready.len() < PART_BYTES && !self.remaining.is_empty() {
            if let Err(problem) = self.read().await {
                tracing::error!(?problem, index = self.remaining.next, "an export broke off");
                self.ready.extend(BROKEN_OFF);
                self.state = Progress::BrokenOff;
                break;
            }
        }
        if self.state == Progress::Reading && self.remaining.is_empty() {
            self.state = Progress::Ended;
            write_end(self.lines.count, &mut self.ready);
        }
        let part = self.within_page();
        Ok(Some((Bytes::from(part), self)))
    }

    fn begin_page(&mut self) {
        let mut html = Vec::new();
        let page = ReportPage::begin(&mut html);
        self.page = Some(Paged { page, html });
    }

    /// What is ready, as it is sent.
    fn within_page(&mut self) -> Vec<u8> {
        let part = std::mem::take(&mut self.ready);
        let Some(Paged { mut page, mut html }) = self.page.take() else {
            return part;
        };
        page.evidence(&part, &mut html);
        match self.state {
            Progress::Ended => page.end(&mut html),
            // A page without an end; the evidence in it has none either.
            Progress::BrokenOff => page.flush(&mut html),
            Progress::Reading => {
                let sent = Vec::new();
                self.page = Some(Paged { page, html: sent });
            }
        }
        html
    }

    /// Reads some entries and writes those that are selected.
    async fn read(&mut self) -> Result<(), Problem> {
        for one in self.remaining.read().await? {
            let entry = one.record.as_ref().and_then(parse);
            let failed = one.verdict != Verdict::Verified;
            if self.query.selects(one.index, entry.as_ref(), failed) {
                let lines = &mut self.lines;
                lines.write(&self.shared, &one, &mut self.ready).await?;
            }
        }
        Ok(())
    }
}

/// Leaf and sealed part as texts, if the entry verifies; else why it does not.
fn texts(one: &Checked) -> Result<(&str, &audittrail_entry::Record), &str> {
    match (&one.verdict, &one.record) {
        (Verdict::Failed(reason), _) => Err(reason),
        (Verdict::Verified, None) => Err("it could not be read"),
        (Verdict::Verified, Some(record)) => match std::str::from_utf8(&record.leaf) {
            Ok(leaf) => Ok((leaf, record)),
            Err(_) => Err("the leaf is not UTF-8"),
        },
    }
}

impl Lines {
    async fn write(
        &mut self,
        shared: &Shared,
        one: &Checked,
        out: &mut Vec<u8>,
    ) -> Result<(), Problem> {
        if self.count.is_multiple_of(WHOLE_EVERY) {
            self.chain = ProofChain::new(self.head);
        }
        self.count += 1;
        let texts = texts(one).and_then(|(leaf, record)| {
            let sealed = record.sealed.as_ref().filter(|_| !self.withheld);
            let sealed = sealed.map(|sealed| match std::str::from_utf8(&sealed.bytes) {
                Ok(text) => Ok((text, &sealed.salt)),
                Err(_) => Err("the sealed part is not UTF-8"),
            });
            Ok((leaf, sealed.transpose()?, record))
        });
        let (leaf, sealed, record) = match texts {
            Ok(texts) => texts,
            Err(reason) => {
                write_failed(one.index, reason, out);
                return Ok(());
            }
        };
        let proof = self.prove(shared, one.index, leaf).await?;
        let line = EntryLine {
            index: one.index,
            leaf,
            sealed,
            signature: &record.signature,
            key_id: record.key_id,
            proof: &proof,
        };
        line.write(out);
        Ok(())
    }

    /// The proof of the next entry, which was checked.
    async fn prove(
        &mut self,
        shared: &Shared,
        index: u64,
        leaf: &str,
    ) -> Result<Vec<Hash>, StoreError> {
        let ranges = self.chain.ranges(index).map_err(unproven)?;
        self.nodes.forget_before(index);
        for id in self.nodes.missing(&ranges) {
            let start = id.index * TILE_WIDTH;
            let hashes = start..start + u64::from(id.width);
            let hashes = shared.api.store.hashes(8 * id.level, hashes).await?;
            self.nodes.insert(id, &hashes);
        }
        let hashes = ranges.iter().map(|range| self.nodes.hash(*range));
        let proof = hashes
            .collect::<Result<Vec<Hash>, ProofError>>()
            .map_err(unproven)?;
        let leaf = leaf_hash(leaf.as_bytes());
        self.chain.take(index, &leaf, &proof).map_err(damaged)?;
        Ok(proof)
    }
}

fn unproven(error: ProofError) -> StoreError {
    let what = "the proof cannot be built";
    StoreError::caused(StoreErrorKind::Unavailable, what, error)
}

/// The entry was verified, so that it is the stored hashes that do not hold.
fn damaged(error: ChainError) -> StoreError {
    let what = "the stored hashes do not give the root of the checkpoint: stop the server, delete \
                the directory tree/ in its data, and start it again, which makes them anew";
    StoreError::caused(StoreErrorKind::Unavailable, what, error)
}

#[cfg(test)]
mod tests {
    use super::complete;
    use audittrail_store::{Access, Filter};

    #[test]
    fn only_bounds_on_the_index_leave_nothing_out() {
        let of = |query: &[(&str, &str)], access: &Access| {
            let filter = Filter::from_parameters(query.iter().copied()).unwrap();
            complete(&filter, access, 10)
        };
        let all = Access::default();
        assert_eq!(of(&[], &all), Some((0, 9)));
        assert_eq!(of(&[("index_from", "3")], &all), Some((3, 9)));
        let both = [("index_from", "3"), ("index_to", "7")];
        assert_eq!(of(&both, &all), Some((3, 7)));
        assert_eq!(of(&[("index_to", "99")], &all), Some((0, 9)));
        assert_eq!(of(&[("index_from", "10")], &all), None);
        assert_eq!(of(&[("action__prefix", "a")], &all), None);
        assert_eq!(of(&[("index_to", "7"), ("action", "a")], &all), None);
        assert_eq!(of(&[("verified", "false")], &all), None);
        let tenant = Access {
            tenant: Some("t".to_owned()),
            ..Access::default()
        };
        assert_eq!(of(&[], &tenant), None);
        assert_eq!(complete(&Filter::default(), &all, 0), None);
    }
}
