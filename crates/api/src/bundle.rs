//! `GET /tile/entries/{index}[.p/{width}]`: entry bundles, C2SP tlog-tiles. They hold leaves,
//! thus nothing of the sealed parts.
//!
//! A leaf that cannot be read, or is not the one in the tree, makes the whole bundle an error
//! that names it: left out, the others would stand at wrong places, and as it is it would be
//! passed off as sound.

use audittrail_entry::Record;
use audittrail_merkle::{BundleId, Hash, TileId, TreeHead, leaf_hash};
use audittrail_store::{Damage, Stored};
use axum::extract::{FromRequestParts, State as FromState};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use serde_json::json;

use crate::compression::Compressible;
use crate::metering::record_failures;
use crate::openapi::parameters::{IfNoneMatch, RequestId};
use crate::openapi::schemas;
use crate::parameters::Parameters;
use crate::problem::{Problem, Slug};
use crate::tiles_caller::{TilesCaller, beyond, nothing_there, octets};
use crate::{Shared, State};

/// Records are read in parts of about this size, sealed parts included: a bundle of the largest
/// entries is 64 MiB of them. What is usual is read at once after the first few.
const PART_BYTES: usize = 4 << 20;
/// So many entries are read at first, before their size is known.
const FEWEST: usize = 16;

/// A path that is exactly a bundle's.
pub(crate) struct BundlePath(BundleId);

impl<S: Sync> FromRequestParts<S> for BundlePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let path = parts.uri.path().strip_prefix('/');
        let id = path.and_then(BundleId::parse_path);
        id.map(Self).ok_or_else(|| {
            let detail = "This is not the path of an entry bundle; C2SP tlog-tiles has their form, \
                          such as /tile/entries/x001/x234/067 or /tile/entries/000.p/3.";
            nothing_there(detail)
        })
    }
}

/// An entry bundle
///
/// 256 neighbouring leaves, as C2SP tlog-tiles has them: two bytes of length, big-endian, before
/// each. A leaf shows action, tenant, outcome and times of its entry, and commits to the rest. An
/// index from 1,000 on has several elements, as of a tile. A token that is bound to a tenant does
/// not do; where the operator has made tiles public, none is needed. The path has no trailing
/// slash.
#[utoipa::path(
    get, path = "/tile/entries/{index}", operation_id = "bundle", tag = "proofs",
    params(
        ("index" = String, Path, pattern = "^[0-9]{3}$", example = "000",
            description = "The bundle's place, from 000: it begins at entry 256 × index."),
        RequestId, IfNoneMatch
    ),
    responses(
        (status = 200, description = "The leaves.", body = schemas::Octets,
            content_type = "application/octet-stream",
            headers(("ETag" = String, description = "Of these bytes."),
                ("Cache-Control" = String, description = "To be kept for ever."))),
        (status = 304, description = "The client has it.",
            headers(("ETag" = String, description = "As sent.")))
    )
)]
pub(crate) async fn bundle(
    FromState(shared): FromState<State>,
    BundlePath(id): BundlePath,
    TilesCaller: TilesCaller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Parameters::of(&uri)?.end()?;
    let head = shared.published().head;
    if !id.is_within(head.size) {
        return Err(beyond());
    }
    let bytes = shared.leaves(&head, id).await?;
    let mut response = octets(bytes, &shared.api.settings, &headers);
    response.extensions_mut().insert(Compressible);
    Ok(response)
}

/// A part of an entry bundle
///
/// The first leaves of a bundle that is not full, or was not full once.
#[utoipa::path(
    get, path = "/tile/entries/{index}.p/{width}", operation_id = "bundle_part", tag = "proofs",
    params(
        ("index" = String, Path, pattern = "^[0-9]{3}$", example = "000",
            description = "As of a whole bundle."),
        ("width" = u16, Path, minimum = 1, maximum = 255, description = "So many leaves.", example = 1),
        RequestId, IfNoneMatch
    ),
    responses(
        (status = 200, description = "The leaves.", body = schemas::Octets,
            content_type = "application/octet-stream",
            headers(("ETag" = String, description = "Of these bytes."),
                ("Cache-Control" = String, description = "To be kept for ever."))),
        (status = 304, description = "The client has it.",
            headers(("ETag" = String, description = "As sent.")))
    )
)]
pub(crate) async fn part() {}

impl Shared {
    /// The bundle's leaves, each compared with the tree.
    async fn leaves(&self, head: &TreeHead, id: BundleId) -> Result<Vec<u8>, Problem> {
        let tile = TileId {
            level: 0,
            index: id.index,
            width: id.width,
        };
        let hashes = self.proven(head, tile).await?;
        let first = id.entries().unwrap_or_default().start;
        let (mut bundle, mut damaged) = (Vec::new(), Vec::new());
        let (mut read, mut together) = (0, FEWEST);
        while read < hashes.len() {
            let until = hashes.len().min(read + together);
            let range = first + read as u64..first + until as u64;
            let part = self.api.store.scan(range, PART_BYTES).await?;
            if part.is_empty() {
                let detail = "The store cannot answer now; try again later.";
                return Err(Problem::new(Slug::Unavailable, detail));
            }
            let bytes: usize = part.iter().map(size_bytes).sum();
            together = (PART_BYTES * part.len() / bytes.max(1)).max(1);
            for (stored, hash) in part.into_iter().zip(&hashes[read..]) {
                read += 1;
                match sound(stored.record, hash) {
                    Ok(leaf) => push(&mut bundle, &leaf)?,
                    Err(reason) => damaged.push((stored.index, reason)),
                }
            }
        }
        if damaged.is_empty() {
            return Ok(bundle);
        }
        self.api.reader.report(&damaged);
        record_failures(damaged.len() as u64, self.api.reader.failed().len());
        Err(broken(&damaged))
    }
}

/// The leaf, if it is the one in the tree.
fn sound(record: Result<Record, Damage>, hash: &Hash) -> Result<Vec<u8>, String> {
    let leaf = record.map_err(|damage| damage.0)?.leaf;
    if leaf_hash(&leaf) == *hash {
        Ok(leaf)
    } else {
        Err("the leaf is not the one in the tree".to_owned())
    }
}

fn size_bytes(stored: &Stored) -> usize {
    stored.record.as_ref().map_or(0, Record::size_bytes)
}

fn push(bundle: &mut Vec<u8>, leaf: &[u8]) -> Result<(), Problem> {
    let length = u16::try_from(leaf.len()).map_err(|_| {
        let detail = "A leaf is longer than a bundle can have it.";
        Problem::new(Slug::Damaged, detail)
    })?;
    bundle.extend(length.to_be_bytes());
    bundle.extend(leaf);
    Ok(())
}

fn broken(damaged: &[(u64, String)]) -> Problem {
    let indices: Vec<u64> = damaged.iter().map(|(index, _)| *index).collect();
    let named: Vec<String> = indices.iter().map(u64::to_string).collect();
    let detail = format!(
        "The entries with these indices cannot be given, since they failed verification: {}. The \
         other entries are in the list.",
        named.join(", ")
    );
    Problem::new(Slug::Damaged, detail).with("indices", json!(indices))
}
