//! `POST /logs/create/`, also `POST /logs/`: takes one entry, an array of them, or one a line.
//!
//! 201 with a receipt once the entries are as durable as `ack` asks; 202 where not all that was
//! asked for is known to be true yet. Everything else says that nothing was stored, but for
//! 504, which says that nobody knows.

use audittrail_auth::Scope;
use audittrail_queue::Request as Submitted;
use axum::Json;
use axum::extract::{Request, State as FromState};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::address::root;
use crate::body::{Form, form};
use crate::caller::Caller;
use crate::intake::{Batch, Place, Rejected, listed, outcome_unknown, refusal};
use crate::openapi::parameters::{RequestId, Sending};
use crate::openapi::schemas;
use crate::parameters::Parameters;
use crate::problem::{Problem, Slug};
use crate::receipt::{Receipt, of_batch};
use crate::turns::too_much;
use crate::{Ack, Shared, State};

pub(crate) const LONGEST_KEY: usize = 255;

/// What the request asks for beside its entries.
struct Options {
    ack: Ack,
    skip: bool,
    results: bool,
    idempotency_key: Option<String>,
}

impl Options {
    fn of(uri: &Uri, headers: &HeaderMap, default_ack: Ack) -> Result<Self, Problem> {
        let mut parameters = Parameters::of(uri)?;
        let ack = parameters.take_word("ack", "queued, committed and published", Ack::parse)?;
        let skip = parameters.take_word("on_error", "abort and skip", |word| match word {
            "abort" => Some(false),
            "skip" => Some(true),
            _ => None,
        })?;
        let results = parameters.take_word("receipts", "all and none", |word| match word {
            "all" => Some(true),
            "none" => Some(false),
            _ => None,
        })?;
        parameters.end()?;
        Ok(Self {
            ack: ack.unwrap_or(default_ack),
            skip: skip.unwrap_or(false),
            results: results.unwrap_or(true),
            idempotency_key: idempotency_key(headers)?,
        })
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .ok()
        .filter(|key| (1..=LONGEST_KEY).contains(&key.len()));
    let printable = |key: &&str| key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    match key.filter(printable).filter(|_| values.next().is_none()) {
        Some(key) => Ok(Some(key.to_owned())),
        None => Err(Problem::new(
            Slug::InvalidHeader,
            "Send one Idempotency-Key of 1 to 255 printable ASCII characters.",
        )),
    }
}

/// Store entries
///
/// One entry, an array of them, or one a line: together, or not at all. An id that comes again
/// with the same content gets the first receipt again.
#[utoipa::path(
    post, path = "/logs/create/", operation_id = "create", tag = "entries",
    params(Sending, RequestId),
    request_body(
        description = "At most 32 MiB as it is sent, 128 MiB decompressed, and 10,000 entries. As \
            `application/x-ndjson` one entry a line.",
        content(
            (schemas::NewEntries = "application/json"),
            (String = "application/x-ndjson",
                example = "{\"action\":\"door.open\"}\n{\"action\":\"door.close\"}\n")
        )
    ),
    responses(
        (status = 201, description = "Stored, as durable as `ack` asks.", body = schemas::Stored,
            headers(("Location" = String, description = "The entry's URL; of one entry.")),
            links(
                ("get" = (operation_id = "get", parameters(("id" = "$response.body#/id")),
                    description = "The entry that was stored."))
            )),
        (status = 202, description = "Taken; how far it got, `ack` says.", body = schemas::Accepted,
            headers(("Location" = String, description = "The entry's URL; of one entry.")))
    )
)]
pub(crate) async fn create(
    FromState(shared): FromState<State>,
    Caller(principal): Caller,
    request: Request,
) -> Result<Response, Problem> {
    principal.require(Scope::WriteOwn)?;
    let (parts, body) = request.into_parts();
    let options = Options::of(&parts.uri, &parts.headers, shared.api.settings.default_ack)?;
    let form = form(&parts.headers)?;
    // Before the body: to read it in vain would take from those that can be answered.
    if shared.intake_is_full() {
        return Err(too_much());
    }
    let body = shared.read_body(&parts.headers, body).await?;
    let turn = shared.turns.take(body.bytes.len()).await?;
    let received_at = shared.api.clock.now();
    let entries = shared.read_entries(form, &body.bytes, received_at)?;
    let single = form == Form::Json && matches!(entries.as_slice(), [(Place::Whole, _)]);
    if options.idempotency_key.is_some() && !single {
        return Err(Problem::new(
            Slug::InvalidHeader,
            "An Idempotency-Key is for one entry; give each entry of a batch an id instead.",
        ));
    }
    let idempotency_key = match (options.idempotency_key.as_deref(), entries.as_slice()) {
        (Some(value), [(_, Ok(entry))]) => {
            Some((value, shared.key_of_id(&principal, entry, value).await?))
        }
        _ => None,
    };
    let batch = Batch {
        principal: &principal,
        idempotency_key,
        received_at,
    };
    let (good, mut rejected) = shared.prepare(&batch, entries).await;
    drop((body, turn));
    let skip = options.skip && !single;
    if good.is_empty() || !(skip || rejected.is_empty()) {
        return Err(refusal(&rejected, skip));
    }
    if options.ack == Ack::Queued && shared.api.queue.is_durable() {
        let entries = good.into_iter().map(|(_, submission)| submission).collect();
        return queue_only(&shared, Submitted::new(entries), single, &rejected).await;
    }
    let committed = shared.commit_good(good, &mut rejected, skip).await;
    let (request, placed) = committed.map_err(|problem| {
        if problem.slug() == Slug::IdConflict && options.idempotency_key.is_some() {
            let detail = "The Idempotency-Key came with another entry before; use a new one.";
            return Problem::new(Slug::KeyReused, detail);
        }
        problem
    })?;
    // They are stored, so no refusal can be the answer any more: sent again, they get receipts.
    let receipts = shared.receipts(&request, &placed).await.map_err(|error| {
        tracing::warn!(%error, "the receipts of stored entries could not be read");
        outcome_unknown(&request)
    })?;
    if single {
        shared.answer_one(&options, &receipts).await
    } else {
        shared.answer_batch(&options, &receipts, &rejected).await
    }
}

impl Shared {
    async fn answer_one(
        &self,
        options: &Options,
        receipts: &[Receipt],
    ) -> Result<Response, Problem> {
        let Some(receipt) = receipts.first() else {
            return Err(refusal(&[], false));
        };
        let (mut status, mut ack, checkpoint) = self.reached(options, receipt.index).await;
        let proof = match checkpoint {
            Some(checkpoint) => self.prove(receipt.index, &checkpoint).await.ok(),
            None => None,
        };
        if ack == Ack::Published && proof.is_none() {
            // It is stored all the same. Why there is no proof was logged.
            (status, ack) = (StatusCode::ACCEPTED, Ack::Committed);
        }
        let base = root(&self.api.settings);
        let location = format!("{base}/logs/{}/", receipt.id);
        let body = Json(receipt.whole(ack, proof));
        Ok((status, [(header::LOCATION, location)], body).into_response())
    }

    async fn answer_batch(
        &self,
        options: &Options,
        receipts: &[Receipt],
        rejected: &[Rejected],
    ) -> Result<Response, Problem> {
        let last = receipts
            .iter()
            .map(|receipt| receipt.index)
            .max()
            .unwrap_or_default();
        let (status, ack, _) = self.reached(options, last).await;
        let mut batch = of_batch(receipts, ack, options.results);
        if options.skip {
            let refused = rejected.len() as u64;
            metrics::counter!("audittrail_entries_refused_total").increment(refused);
            batch.insert("rejected".to_owned(), listed(rejected));
        }
        Ok((status, Json(Value::Object(batch))).into_response())
    }

    /// How far committed entries got; with a checkpoint where one was asked for and came.
    async fn reached(
        &self,
        options: &Options,
        last: u64,
    ) -> (StatusCode, Ack, Option<audittrail_store::KeptCheckpoint>) {
        if options.ack != Ack::Published {
            return (StatusCode::CREATED, Ack::Committed, None);
        }
        match self.covering(last, self.api.settings.request_time).await {
            Some(checkpoint) => (StatusCode::CREATED, Ack::Published, Some(checkpoint)),
            None => (StatusCode::ACCEPTED, Ack::Committed, None),
        }
    }
}

/// Answers as soon as a durable queue has the entries.
async fn queue_only(
    shared: &Shared,
    request: Submitted,
    single: bool,
    rejected: &[Rejected],
) -> Result<Response, Problem> {
    let ids: Vec<Value> = request
        .entries
        .iter()
        .map(|entry| json!({ "id": entry.id.to_string() }))
        .collect();
    shared.submit(request.with_acknowledgement()).await?;
    let mut body = if single {
        ids.into_iter().next().unwrap_or_default()
    } else {
        json!({ "count": ids.len(), "results": ids })
    };
    body["ack"] = json!(Ack::Queued.as_str());
    if !rejected.is_empty() {
        body["rejected"] = listed(rejected);
    }
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}
