//! `GET /logs/{id}/proof/`: what shows to anybody that an entry is in the log.

use audittrail_auth::Principal;
use audittrail_checkpoint::tlog_proof;
use audittrail_entry::json::write_string;
use audittrail_entry::{Entry, Record};
use audittrail_merkle::Hash;
use audittrail_store::{Checked, KeptCheckpoint, Verdict};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as FromState};
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use crate::accept::prefers_json;
use crate::caller::{Caller, access};
use crate::get::{id_of, missing};
use crate::openapi::parameters::RequestId;
use crate::openapi::schemas;
use crate::parameters::Parameters;
use crate::problem::{Problem, Slug};
use crate::render::{hex, parse};
use crate::{Shared, State};

/// A proof of one entry
///
/// That it is in the log of the newest checkpoint: a C2SP tlog-proof as text, or, where `Accept`
/// asks for JSON, one line of evidence with the checkpoint and the log's verifier key. `sealed`
/// and `salt` are there if the caller may read the entry. An entry that no checkpoint covers yet
/// is waited for. A token that is bound to a tenant gets proofs of that tenant's entries.
#[utoipa::path(
    get, path = "/logs/{id}/proof/", operation_id = "proof", tag = "proofs",
    params(
        ("id" = String, Path, format = "uuid", description = "The entry's id."),
        RequestId
    ),
    responses((status = 200, description = "The proof.",
        content((String = "text/plain"), (schemas::Proven = "application/json")),
        headers(("Content-Disposition" = String, description = "Names a file, of the text."))
    ))
)]
pub(crate) async fn proof(
    FromState(shared): FromState<State>,
    Caller(principal): Caller,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let allowed = access(principal.prove_access()?);
    Parameters::of(&uri)?.end()?;
    let as_json = prefers_json(&headers)?;
    let id = id_of(path)?;
    let checked = shared.entry(id).await?;
    let index = checked.index;
    let entry = checked.record.as_ref().and_then(parse);
    if !allowed.admits(entry.as_ref()) {
        return Err(missing());
    }
    let record = sound(&checked)?;
    let wait = shared.api.settings.request_time;
    let checkpoint = shared.proving(index, wait).await.ok_or_else(|| {
        let detail = "No published checkpoint covers this entry yet; try again later.";
        Problem::new(Slug::Unavailable, detail)
    })?;
    let hashes = shared.inclusion(index, &checkpoint.head).await?;
    let vary = (header::VARY, "accept".to_owned());
    if !as_json {
        let text = tlog_proof(index, &hashes, &checkpoint.note);
        let file = format!("attachment; filename=\"{id}.tlog-proof\"");
        let kind = "text/plain; charset=utf-8".to_owned();
        let headers = [
            (header::CONTENT_TYPE, kind),
            (header::CONTENT_DISPOSITION, file),
            vary,
        ];
        return Ok((headers, text).into_response());
    }
    let line = Line {
        index,
        record,
        unsealed: may_read(&principal, entry.as_ref()),
        hashes: &hashes,
    };
    let kind = (header::CONTENT_TYPE, "application/json".to_owned());
    Ok(([kind, vary], shared.line(&line, &checkpoint)).into_response())
}

/// Nothing is proven of what failed.
fn sound(checked: &Checked) -> Result<&Record, Problem> {
    match (&checked.verdict, &checked.record) {
        (Verdict::Verified, Some(record)) => Ok(record),
        (verdict, _) => {
            let reason = match verdict {
                Verdict::Failed(reason) => reason.as_str(),
                Verdict::Verified => "it cannot be read",
            };
            let index = checked.index;
            let detail = format!(
                "Entry {index} failed verification, so that there is no proof of it: {reason}."
            );
            Err(Problem::new(Slug::Damaged, detail).with("indices", json!([index])))
        }
    }
}

/// Whether the sealed part may be shown beside the proof.
fn may_read(principal: &Principal, entry: Option<&Entry<'_>>) -> bool {
    let read = principal.read_access();
    read.is_ok_and(|allowed| access(allowed).admits(entry))
}

/// What a line of evidence says.
struct Line<'a> {
    index: u64,
    record: &'a Record,
    unsealed: bool,
    hashes: &'a [Hash],
}

impl Shared {
    /// One line of evidence, with what its first line would say; docs/formats.md has it.
    fn line(&self, line: &Line<'_>, checkpoint: &KeptCheckpoint) -> Vec<u8> {
        let Line { index, record, .. } = line;
        let mut out = format!("{{\"index\":{index}").into_bytes();
        // Verified, so that both are canonical JSON.
        member("leaf", &String::from_utf8_lossy(&record.leaf), &mut out);
        if let Some(sealed) = record.sealed.as_ref().filter(|_| line.unsealed) {
            member("sealed", &String::from_utf8_lossy(&sealed.bytes), &mut out);
            member("salt", &URL_SAFE_NO_PAD.encode(sealed.salt), &mut out);
        }
        member("signature", &hex(&record.signature), &mut out);
        member("key_id", &record.key_id.to_string(), &mut out);
        let hashes = line.hashes.iter().map(|hash| STANDARD.encode(hash.0));
        let hashes: Vec<String> = hashes.map(|hash| format!("\"{hash}\"")).collect();
        out.extend(format!(",\"proof\":[{}]", hashes.join(",")).as_bytes());
        member("checkpoint", &checkpoint.note, &mut out);
        member("vkey", &self.api.vkey.to_string(), &mut out);
        out.push(b'}');
        out
    }
}

fn member(name: &str, text: &str, out: &mut Vec<u8>) {
    out.extend(format!(",\"{name}\":").as_bytes());
    write_string(text, out);
}
