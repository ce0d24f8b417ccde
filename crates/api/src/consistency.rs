//! `GET /checkpoint/consistency/?from=&to=`: that a later checkpoint's log extends an earlier
//! one's.
//!
//! Tiles are enough to build this; it is for clients that keep checkpoints and no tiles. It
//! stands below the checkpoint because that is what it is about and who may have the one may
//! have the other: it shows hashes of everybody's entries, and is the same for ever.

use audittrail_store::ParameterError;
use axum::extract::State as FromState;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::State;
use crate::openapi::parameters::{IfNoneMatch, RequestId, Sizes};
use crate::openapi::schemas;
use crate::parameters::Parameters;
use crate::problem::Problem;
use crate::tiles_caller::{Kept, TilesCaller, answer, nothing_there};

/// A consistency proof
///
/// The proof (RFC 6962, section 2.1.2) that the log of `to` entries extends the log of `from`
/// entries. Without hashes where the sizes are equal, and where `from` is 0. 404 where no
/// checkpoint of `to` entries or more is published yet. A token that is bound to a tenant does not
/// do; where the operator has made tiles public, none is needed.
#[utoipa::path(
    get, path = "/checkpoint/consistency/", operation_id = "consistency", tag = "proofs",
    params(Sizes, RequestId, IfNoneMatch),
    responses(
        (status = 200, description = "The proof.", body = schemas::Consistency,
            headers(("ETag" = String, description = "Of these bytes."),
                ("Cache-Control" = String, description = "To be kept for ever."))),
        (status = 304, description = "The client has it.",
            headers(("ETag" = String, description = "As sent.")))
    )
)]
pub(crate) async fn consistency(
    FromState(shared): FromState<State>,
    TilesCaller: TilesCaller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut parameters = Parameters::of(&uri)?;
    let from = size(&mut parameters, "from")?;
    let to = size(&mut parameters, "to")?;
    parameters.end()?;
    crate::list::accepts_json(&headers)?;
    if from > to {
        return Err(Problem::parameter("from", "is above to; exchange them"));
    }
    let head = shared.published().head;
    if to > head.size {
        let detail = "No checkpoint of so many entries is published yet; /checkpoint has the \
                      newest.";
        return Err(nothing_there(detail));
    }
    let hashes = shared.consistency(from, to, &head).await?;
    let proof: Vec<String> = hashes.iter().map(|hash| STANDARD.encode(hash.0)).collect();
    let body = json!({ "from": from, "to": to, "proof": proof });
    let bytes = body.to_string().into_bytes();
    let settings = &shared.api.settings;
    let media_type = "application/json";
    Ok(answer(bytes, media_type, Kept::ForEver, settings, &headers))
}

/// A number of entries, which has to be given.
fn size(parameters: &mut Parameters, name: &str) -> Result<u64, Problem> {
    let wrong = |detail: &str| {
        Problem::parameters(&[ParameterError {
            parameter: name.to_owned(),
            detail: detail.to_owned(),
        }])
    };
    let value = parameters
        .take(name)?
        .ok_or_else(|| wrong("is missing; give a number of entries"))?;
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| value.parse().ok()).flatten();
    number.ok_or_else(|| wrong("is not a whole number from 0 to 18446744073709551615"))
}
