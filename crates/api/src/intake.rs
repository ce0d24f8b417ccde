//! From a body to submissions, and from submissions to what became of them.

use std::collections::BTreeSet;
use std::pin::pin;

use audittrail_auth::{Denied, Principal};
use audittrail_entry::{
    NewEntry, RESERVED_ACTIONS, SealWith, SigningKey, Submitter, Timestamp, Violation, parse_array,
    parse_lines,
};
use audittrail_entry::{uuid_v7, uuid_v8};
use audittrail_merkle::leaf_hash;
use audittrail_queue::{IdOrigin, Outcome, Placed, Request, Submission, SubmitError, Waiter};
use serde_json::{Map, Value, json};

use crate::Shared;
use crate::body::Form;
use crate::problem::{ErrorItem, Problem, Slug};
use crate::turns::too_much;

/// With less than this part of the memory for bodies left, no other body is begun.
const ROOM: usize = 8;
/// After so many entries other requests get their turn.
const TURN: usize = 128;

/// Where an entry stands in its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is the body.
    Whole,
    /// In an array, from 0.
    Element(usize),
    /// On a line, from 1.
    Line(usize),
}

impl Place {
    fn line(self) -> Option<usize> {
        match self {
            Self::Line(line) => Some(line),
            Self::Whole | Self::Element(_) => None,
        }
    }

    /// A violation at a pointer within the entry.
    fn violation(self, pointer: &str, detail: impl Into<String>) -> Violation {
        let violation = Violation::new(pointer, detail);
        match self {
            Self::Element(position) => violation.below(&position.to_string()),
            Self::Whole | Self::Line(_) => violation,
        }
    }
}

/// An entry as read, with its place. Pointers are from the root of the body or of the line.
pub(crate) type Read<'b> = (Place, Result<NewEntry<'b>, Vec<Violation>>);

/// An entry that is not taken.
#[derive(Debug)]
pub(crate) struct Rejected {
    place: Place,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Violations(Vec<Violation>),
    Denied(Denied),
    Conflict,
}

impl Rejected {
    fn items(&self) -> Vec<ErrorItem> {
        let line = self.place.line();
        match &self.why {
            Why::Violations(violations) => violations
                .iter()
                .map(|violation| ErrorItem::at(line, violation))
                .collect(),
            Why::Denied(denied) => {
                vec![ErrorItem::at(
                    line,
                    &self.place.violation("", denied.detail.clone()),
                )]
            }
            Why::Conflict => {
                let detail = "is the id of another entry; send this one under another id";
                vec![ErrorItem::at(line, &self.place.violation("/id", detail))]
            }
        }
    }

    fn to_json(&self) -> Value {
        let mut members = Map::new();
        match self.place {
            Place::Line(line) => members.insert("line".to_owned(), json!(line)),
            Place::Element(position) => members.insert("position".to_owned(), json!(position)),
            Place::Whole => None,
        };
        let errors = self.items().iter().map(ErrorItem::to_json).collect();
        members.insert("errors".to_owned(), Value::Array(errors));
        Value::Object(members)
    }
}

/// Rejected entries as `on_error=skip` lists them.
pub(crate) fn listed(rejected: &[Rejected]) -> Value {
    Value::Array(rejected.iter().map(Rejected::to_json).collect())
}

/// The problem of a request of which nothing was stored; with `skip` it has the same list of
/// all that was rejected as an answer of success.
pub(crate) fn refusal(rejected: &[Rejected], skip: bool) -> Problem {
    let problem = nothing_stored(rejected);
    if skip {
        problem.with("rejected", listed(rejected))
    } else {
        problem
    }
}

fn nothing_stored(rejected: &[Rejected]) -> Problem {
    metrics::counter!("audittrail_entries_refused_total").increment(rejected.len() as u64);
    let denied = rejected.iter().find_map(|one| match &one.why {
        Why::Denied(denied) => Some(denied.clone()),
        Why::Violations(_) | Why::Conflict => None,
    });
    let items: Vec<ErrorItem> = rejected.iter().flat_map(Rejected::items).collect();
    if let Some(denied) = denied {
        return Problem::from(denied).with_errors(items);
    }
    if rejected.iter().all(|one| matches!(one.why, Why::Conflict)) {
        let detail = "Nothing was stored: an id is that of another entry.";
        return Problem::new(Slug::IdConflict, detail).with_errors(items);
    }
    let detail = match items.first() {
        Some(first) => {
            let place = first
                .line
                .map_or(String::new(), |line| format!("line {line}, "));
            let pointer = first.pointer.as_deref().unwrap_or("#");
            format!("Nothing was stored: {place}{pointer}: {}.", first.detail)
        }
        None => "Nothing was stored.".to_owned(),
    };
    Problem::new(Slug::InvalidEntry, detail).with_errors(items)
}

/// What the entries of one request have in common.
pub(crate) struct Batch<'r> {
    pub(crate) principal: &'r Principal,
    /// The `Idempotency-Key`, and the signing key that the entry's id follows from with it.
    pub(crate) idempotency_key: Option<(&'r str, &'r SigningKey)>,
    pub(crate) received_at: Timestamp,
}

impl Shared {
    /// Reads the entries of a body.
    pub(crate) fn read_entries<'b>(
        &self,
        form: Form,
        bytes: &'b [u8],
        now: Timestamp,
    ) -> Result<Vec<Read<'b>>, Problem> {
        let settings = &self.api.settings;
        let (limits, most) = (&settings.limits, settings.batch_entries);
        let nothing = || {
            let detail = "The body has no entry; send a JSON object with at least an action.";
            Problem::new(Slug::InvalidEntry, detail)
        };
        let entries: Vec<Read<'b>> = match form {
            Form::Lines => {
                let lines = parse_lines(bytes, limits, now);
                let entries = lines.map(|(number, entry)| (Place::Line(number), entry));
                let entries: Vec<_> = entries.take(most + 1).collect();
                if entries.len() > most {
                    let detail = format!("has more than {most} entries; send them in parts");
                    let rejected = Rejected {
                        place: Place::Line(most + 1),
                        why: Why::Violations(vec![Violation::new("", detail)]),
                    };
                    return Err(refusal(&[rejected], false));
                }
                entries
            }
            Form::Json if bytes.trim_ascii_start().first() == Some(&b'[') => {
                let elements = parse_array(bytes, limits, now, most).map_err(|violation| {
                    let why = Why::Violations(vec![violation]);
                    refusal(
                        &[Rejected {
                            place: Place::Whole,
                            why,
                        }],
                        false,
                    )
                })?;
                let places = (0..).map(Place::Element);
                places.zip(elements).collect()
            }
            Form::Json if bytes.trim_ascii().is_empty() => return Err(nothing()),
            Form::Json => vec![(Place::Whole, NewEntry::parse(bytes, limits, now))],
        };
        if entries.is_empty() {
            Err(nothing())
        } else {
            Ok(entries)
        }
    }

    /// Makes submissions of the entries that can be taken.
    pub(crate) async fn prepare(
        &self,
        batch: &Batch<'_>,
        entries: Vec<Read<'_>>,
    ) -> (Vec<(Place, Submission)>, Vec<Rejected>) {
        let (mut good, mut rejected) = (Vec::with_capacity(entries.len()), Vec::new());
        for (number, (place, entry)) in (1..).zip(entries) {
            let prepared = entry
                .map_err(Why::Violations)
                .and_then(|entry| self.prepare_one(batch, place, entry));
            match prepared {
                Ok(submission) => good.push((place, submission)),
                Err(why) => rejected.push(Rejected { place, why }),
            }
            if number % TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        (good, rejected)
    }

    fn prepare_one(
        &self,
        batch: &Batch<'_>,
        place: Place,
        mut entry: NewEntry<'_>,
    ) -> Result<Submission, Why> {
        let violated = |violation| Why::Violations(vec![violation]);
        if entry.action.starts_with(RESERVED_ACTIONS) {
            let detail =
                format!("begins with {RESERVED_ACTIONS}, which is for the log's own entries");
            return Err(violated(place.violation("/action", detail)));
        }
        let principal = batch.principal;
        let write_as = principal
            .may_write(entry.user_id.as_deref(), entry.tenant.as_deref())
            .map_err(Why::Denied)?;
        entry.user_id = Some(write_as.user_id.into());
        entry.tenant = write_as.tenant.map(Into::into);
        let timestamp_given = entry.timestamp.is_some();
        let (id, origin) = match (entry.id, batch.idempotency_key) {
            (Some(_), Some(_)) => {
                let detail = "is given beside an Idempotency-Key; send one of the two";
                return Err(violated(place.violation("/id", detail)));
            }
            (Some(id), None) => (id, IdOrigin::Client { timestamp_given }),
            (None, Some((value, key))) => {
                let id = id_from_key(key, principal, entry.tenant.as_deref(), value);
                (id, IdOrigin::Client { timestamp_given })
            }
            (None, None) => (
                uuid_v7(batch.received_at, &*self.api.random),
                IdOrigin::Server,
            ),
        };
        self.seal(&entry, principal, id, origin, batch.received_at)
            .map_err(|violation| violated(place.violation(&violation.pointer, violation.detail)))
    }

    /// Seals an entry whose user, tenant and id are settled.
    pub(crate) fn seal(
        &self,
        entry: &NewEntry<'_>,
        principal: &Principal,
        id: uuid::Uuid,
        origin: IdOrigin,
        received_at: Timestamp,
    ) -> Result<Submission, Violation> {
        let mut salt = [0; 32];
        self.api.random.fill(&mut salt);
        let submitter = Submitter {
            iss: principal.issuer.as_deref(),
            sub: &principal.subject,
        };
        let record = entry.seal(SealWith {
            submitter: &submitter,
            received_at,
            id,
            salt,
            key: &self.api.signing_key,
            origin: &self.api.origin,
            limits: &self.api.settings.limits,
        })?;
        let leaf_hash = leaf_hash(&record.leaf);
        Ok(Submission {
            id,
            origin,
            record,
            leaf_hash,
        })
    }

    /// The signing key that the id for an `Idempotency-Key` follows from: the current one, unless
    /// the log has the entry under the id of an earlier one. So a retry across a change of keys
    /// is still found, and nothing has to be kept for it.
    pub(crate) async fn key_of_id(
        &self,
        principal: &Principal,
        entry: &NewEntry<'_>,
        value: &str,
    ) -> Result<&SigningKey, Problem> {
        let (current, earlier) = (&*self.api.signing_key, &self.api.earlier_keys);
        let write_as = principal.may_write(entry.user_id.as_deref(), entry.tenant.as_deref());
        // What may not be written is refused where that is decided.
        let Some(write_as) = write_as.ok().filter(|_| !earlier.is_empty()) else {
            return Ok(current);
        };
        let tenant = write_as.tenant.as_deref();
        let ids = earlier
            .iter()
            .map(|key| id_from_key(key, principal, tenant, value));
        let ids: Vec<uuid::Uuid> = ids.collect();
        let found = self.api.store.find(&ids).await?;
        let known = earlier.iter().zip(found).find(|(_, index)| index.is_some());
        Ok(known.map_or(current, |(key, _)| key))
    }

    /// Hands a request over and waits until it is committed. Conflicts come back as their
    /// positions; nothing of the request is stored then.
    pub(crate) async fn commit(&self, request: &Request) -> Result<Committed, Problem> {
        let waiter = self.submit(request.clone()).await?;
        let (outcome, time) = (pin!(waiter.outcome()), self.api.settings.request_time);
        let outcome = self.commits.watch(outcome, time).await;
        match outcome {
            Ok(Outcome::Committed(placed)) => Ok(Committed::At(placed)),
            Ok(Outcome::Conflict(positions)) => Ok(Committed::Conflict(positions)),
            Ok(Outcome::Refused(why)) => {
                tracing::warn!(error = why, "a request was refused");
                Err(Problem::new(
                    Slug::Unavailable,
                    "The store could not take this, and nothing of it was stored. Send it again.",
                ))
            }
            Ok(Outcome::Unknown) | Err(_) => Err(outcome_unknown(request)),
        }
    }

    /// Whether a write would be refused because too much is waiting.
    pub(crate) fn intake_is_full(&self) -> bool {
        let bodies = self.bodies.available_permits() * ROOM < self.api.settings.bodies_bytes >> 10;
        let depth = self.api.queue.depth();
        bodies || self.turns.are_late() || self.commits.are_late(&depth) || !depth.open
    }

    /// Hands a request over.
    pub(crate) async fn submit(&self, request: Request) -> Result<Waiter, Problem> {
        self.api
            .queue
            .submit(request.clone())
            .await
            .map_err(|error| match error {
                SubmitError::Unknown(_) => {
                    tracing::warn!(%error, "the queue did not say whether it took a request");
                    outcome_unknown(&request)
                }
                SubmitError::Full => too_much(),
                SubmitError::Closed | SubmitError::Unavailable(_) => Problem::new(
                    Slug::Unavailable,
                    format!("Nothing of this was stored: {error}. Send it again."),
                ),
            })
    }

    /// Commits what can be committed: with `skip`, entries whose ids are taken are left out.
    pub(crate) async fn commit_good(
        &self,
        good: Vec<(Place, Submission)>,
        rejected: &mut Vec<Rejected>,
        skip: bool,
    ) -> Result<(Request, Vec<Placed>), Problem> {
        let (mut places, mut entries): (Vec<Place>, Vec<Submission>) = good.into_iter().unzip();
        loop {
            if entries.is_empty() {
                return Err(refusal(rejected, skip));
            }
            let request = Request::new(entries);
            let positions = match self.commit(&request).await? {
                Committed::At(placed) => return Ok((request, placed)),
                Committed::Conflict(positions) => BTreeSet::from_iter(positions),
            };
            rejected.extend(positions.iter().filter_map(|position| {
                let place = *places.get(*position)?;
                let why = Why::Conflict;
                Some(Rejected { place, why })
            }));
            if !skip {
                return Err(refusal(rejected, false));
            }
            let rest = request.entries.iter().enumerate();
            let rest = rest.filter(|(position, _)| !positions.contains(position));
            entries = rest.map(|(_, entry)| entry.clone()).collect();
            let mut position = 0..;
            places.retain(|_| position.next().is_none_or(|at| !positions.contains(&at)));
        }
    }
}

/// The same value from the same caller gives the same id, and nobody else's does.
fn id_from_key(
    key: &SigningKey,
    principal: &Principal,
    tenant: Option<&str>,
    value: &str,
) -> uuid::Uuid {
    let mut message = Vec::new();
    for part in [
        principal.issuer.as_deref(),
        Some(&*principal.subject),
        tenant,
        Some(value),
    ] {
        // Presence and length first, so that no two callers give the same bytes.
        message.push(u8::from(part.is_some()));
        let part = part.unwrap_or_default();
        message.extend((part.len() as u64).to_be_bytes());
        message.extend(part.as_bytes());
    }
    uuid_v8(&key.derive("audittrail/idempotency-key/v1", &message))
}

/// What became of a request that the sequencer decided on.
pub(crate) enum Committed {
    At(Vec<Placed>),
    Conflict(Vec<usize>),
}

/// With the ids, under which sending again is harmless.
pub(crate) fn outcome_unknown(request: &Request) -> Problem {
    let ids: Vec<String> = request
        .entries
        .iter()
        .map(|entry| entry.id.to_string())
        .collect();
    Problem::new(
        Slug::OutcomeUnknown,
        "It is not known whether these entries were stored. Send them again with these ids: \
         that stores nothing twice.",
    )
    .with("ids", json!(ids))
}
