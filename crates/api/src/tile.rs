//! `GET /tile/{level}/{index}[.p/{width}]`: hashes of the tree, C2SP tlog-tiles.
//!
//! Only what the newest published checkpoint covers is shown, so that nobody sees hashes that
//! nothing signed leads to. A tile is proven before it is sent: caches keep it for ever.

use audittrail_merkle::TileId;
use axum::extract::{FromRequestParts, State as FromState};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use crate::State;
use crate::openapi::parameters::{IfNoneMatch, RequestId};
use crate::openapi::schemas;
use crate::parameters::Parameters;
use crate::problem::Problem;
use crate::tiles_caller::{TilesCaller, beyond, nothing_there, octets};

/// A path that is exactly a tile's.
pub(crate) struct TilePath(TileId);

impl<S: Sync> FromRequestParts<S> for TilePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // As it was sent: a path that says the same in another way is another path.
        let path = parts.uri.path().strip_prefix('/');
        path.and_then(TileId::parse_path).map(Self).ok_or_else(|| {
            let detail = "This is not the path of a tile; C2SP tlog-tiles has their form, such as \
                          /tile/0/x001/x234/067 or /tile/1/000.p/3.";
            nothing_there(detail)
        })
    }
}

/// A tile of hashes
///
/// 256 neighbouring hashes of the tree, 32 bytes each, as C2SP tlog-tiles has them: at level 0
/// those of entries, at each level above the roots of full tiles of the level below. An index from
/// 1,000 on has several elements, all but the last with an x in front: 1234067 is
/// `x001/x234/067`. A token that is bound to a tenant does not do; where the operator has made
/// tiles public, none is needed. The path has no trailing slash.
#[utoipa::path(
    get, path = "/tile/{level}/{index}", operation_id = "tile", tag = "proofs",
    params(
        ("level" = u8, Path, maximum = 63, description = "How high above the entries, in steps of 256."),
        ("index" = String, Path, pattern = "^[0-9]{3}$", example = "000",
            description = "The tile's place in its level, from 000."),
        RequestId, IfNoneMatch
    ),
    responses(
        (status = 200, description = "The hashes.", body = schemas::Octets,
            content_type = "application/octet-stream",
            headers(("ETag" = String, description = "Of these bytes."),
                ("Cache-Control" = String, description = "To be kept for ever."))),
        (status = 304, description = "The client has it.",
            headers(("ETag" = String, description = "As sent.")))
    )
)]
pub(crate) async fn tile(
    FromState(shared): FromState<State>,
    TilePath(id): TilePath,
    TilesCaller: TilesCaller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Parameters::of(&uri)?.end()?;
    let head = shared.published().head;
    if !id.is_within(head.size) {
        return Err(beyond());
    }
    let hashes = shared.proven(&head, id).await?;
    let bytes = hashes.iter().flat_map(|hash| hash.0).collect();
    Ok(octets(bytes, &shared.api.settings, &headers))
}

/// A part of a tile of hashes
///
/// The first hashes of a tile that is not full, or was not full once: a tree of 70,000 entries
/// ends in `/tile/0/273.p/112`, `/tile/1/001.p/17` and `/tile/2/000.p/1`.
#[utoipa::path(
    get, path = "/tile/{level}/{index}.p/{width}", operation_id = "tile_part", tag = "proofs",
    params(
        ("level" = u8, Path, maximum = 63, description = "As of a whole tile."),
        ("index" = String, Path, pattern = "^[0-9]{3}$", example = "000",
            description = "As of a whole tile."),
        ("width" = u16, Path, minimum = 1, maximum = 255, description = "So many hashes.", example = 1),
        RequestId, IfNoneMatch
    ),
    responses(
        (status = 200, description = "The hashes.", body = schemas::Octets,
            content_type = "application/octet-stream",
            headers(("ETag" = String, description = "Of these bytes."),
                ("Cache-Control" = String, description = "To be kept for ever."))),
        (status = 304, description = "The client has it.",
            headers(("ETag" = String, description = "As sent.")))
    )
)]
pub(crate) async fn part() {}
