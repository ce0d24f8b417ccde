//! `GET /checkpoint`: the newest published checkpoint, as C2SP tlog-tiles has it.

use axum::extract::State as FromState;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use crate::State;
use crate::openapi::parameters::{IfNoneMatch, RequestId};
use crate::parameters::Parameters;
use crate::problem::Problem;
use crate::tiles_caller::{Kept, TilesCaller, answer};

/// The newest checkpoint
///
/// A C2SP tlog-checkpoint: the size and the root of the log, signed, and cosigned by the witnesses
/// that have answered by now: a checkpoint is shown at once, and gets their cosignatures as they
/// come. A token that is bound to a
/// tenant does not do; where the operator has made tiles public, none is needed. The path has no
/// trailing slash.
#[utoipa::path(
    get, path = "/checkpoint", operation_id = "checkpoint", tag = "proofs",
    params(RequestId, IfNoneMatch),
    responses(
        (status = 200, description = "The checkpoint, a signed note.",
            body = String, content_type = "text/plain",
            headers(("ETag" = String, description = "Changes with the checkpoint."),
                ("Cache-Control" = String, description = "To be kept for a second."))),
        (status = 304, description = "The client has it.",
            headers(("ETag" = String, description = "As sent.")))
    )
)]
pub(crate) async fn checkpoint(
    FromState(shared): FromState<State>,
    TilesCaller: TilesCaller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Parameters::of(&uri)?.end()?;
    let note = shared.published().note.into_bytes();
    let settings = &shared.api.settings;
    let media_type = "text/plain; charset=utf-8";
    Ok(answer(note, media_type, Kept::Moment, settings, &headers))
}
