//! `GET /logs/{id}/`: one entry, verified, with its index.

use audittrail_store::{Checked, Stored};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as FromState};
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use crate::caller::{Caller, access};
use crate::metering::record_read;
use crate::openapi::parameters::RequestId;
use crate::openapi::schemas;
use crate::parameters::Parameters;
use crate::problem::{Problem, Slug};
use crate::render::{parse, write_result};
use crate::{Shared, State};

/// One entry
///
/// Verified, with its index. 404 also for an entry that the caller may not see, so that ids tell
/// nothing.
#[utoipa::path(
    get, path = "/logs/{id}/", operation_id = "get", tag = "entries",
    params(
        ("id" = String, Path, format = "uuid", description = "The entry's id."),
        RequestId
    ),
    responses((status = 200, description = "The entry.", body = schemas::Entry))
)]
pub(crate) async fn get(
    FromState(shared): FromState<State>,
    Caller(principal): Caller,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let access = access(principal.read_access()?);
    Parameters::of(&uri)?.end()?;
    crate::list::accepts_json(&headers)?;
    let checked = shared.entry(id_of(path)?).await?;
    if !access.admits(checked.record.as_ref().and_then(parse).as_ref()) {
        return Err(missing());
    }
    let mut body = Vec::new();
    write_result(&checked, &mut body);
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// The id in a path: 36 characters, since other texts of a UUID are other paths.
pub(crate) fn id_of(path: Result<Path<String>, PathRejection>) -> Result<Uuid, Problem> {
    let id = path
        .ok()
        .and_then(|Path(id)| Uuid::try_parse(&id).ok().filter(|_| id.len() == 36));
    id.ok_or_else(|| {
        let detail = "There is nothing at this path; an entry's id is a UUID.";
        Problem::new(Slug::NotFound, detail)
    })
}

/// The answer where there is no entry, or none that the caller may see.
pub(crate) fn missing() -> Problem {
    Problem::new(Slug::NotFound, "There is no entry with this id.")
}

impl Shared {
    /// The entry with this id, verified; who may see it is left to the caller.
    pub(crate) async fn entry(&self, id: Uuid) -> Result<Checked, Problem> {
        let found = self.api.store.find(&[id]).await?;
        let index = found.first().copied().flatten().ok_or_else(missing)?;
        let stored = self.api.store.records(&[index]).await?;
        let checked = self.check(stored).await?;
        checked.into_iter().next().ok_or_else(missing)
    }

    /// Verifies what was read, and counts it.
    pub(crate) async fn check(&self, stored: Vec<Stored>) -> Result<Vec<Checked>, Problem> {
        let checked = self.api.reader.check(stored).await?;
        record_read(&checked, || self.api.reader.failed().len());
        Ok(checked)
    }
}
