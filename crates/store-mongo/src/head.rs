//! The head document: how far the log goes, and who leads it.

use audittrail_merkle::{Edge, Hash, TreeHead};
use audittrail_store::{KeptCheckpoint, StoreError};
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, DateTime, Document, doc};

use crate::closed::Closed;
use crate::failure::broken;

/// The one document of `head`.
pub(crate) const ID: &str = "head";
/// What the document has.
pub(crate) const MEMBERS: [&str; 12] = [
    "v",
    "size",
    "root",
    "edge",
    "tiles",
    "epoch",
    "batch_id",
    "lease",
    "checkpoint",
    "origin",
    "keys",
    "closed",
];
/// The version of the documents.
pub(crate) const VERSION: i64 = 1;

/// What the head document says.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) edge: Edge,
    pub(crate) epoch: i64,
    /// The hashes of the tree are in `tiles` up to this size.
    pub(crate) tiles: u64,
    pub(crate) batch_id: Option<Vec<u8>>,
    pub(crate) until: Option<DateTime>,
    pub(crate) checkpoint: Option<KeptCheckpoint>,
    pub(crate) origin: String,
    pub(crate) keys: Vec<String>,
    pub(crate) closed: Option<Closed>,
}

pub(crate) fn binary(bytes: impl Into<Vec<u8>>) -> Bson {
    Bson::Binary(Binary {
        subtype: BinarySubtype::Generic,
        bytes: bytes.into(),
    })
}

pub(crate) fn edge_bytes(edge: &Edge) -> Bson {
    binary(
        edge.hashes()
            .iter()
            .flat_map(|hash| hash.0)
            .collect::<Vec<u8>>(),
    )
}

/// A size as it is kept. No log has 2^63 entries.
pub(crate) fn number(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// Hashes that stand one after the other.
pub(crate) fn hashes(bytes: &[u8]) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    rest.is_empty()
        .then(|| hashes.iter().map(|hash| Hash(*hash)).collect())
}

/// The head of a log without entries.
pub(crate) fn empty(origin: &str, keys: &[String]) -> Document {
    doc! {
        "v": VERSION,
        "size": 0_i64,
        "root": binary(TreeHead::EMPTY.root.0),
        "edge": binary(Vec::new()),
        "tiles": 0_i64,
        "epoch": 0_i64,
        "origin": origin,
        "keys": keys,
    }
}

fn damaged(what: &str) -> StoreError {
    broken(format_args!(
        "the document `head` is damaged: `{what}` is missing or not what it has to be. \
         It holds the log's size and root; put it back from a backup of this database"
    ))
}

fn size_of(document: &Document, key: &str) -> Result<u64, StoreError> {
    let size = document.get_i64(key).ok();
    size.and_then(|size| u64::try_from(size).ok())
        .ok_or_else(|| damaged(key))
}

fn bytes<'d>(document: &'d Document, key: &str) -> Result<&'d [u8], StoreError> {
    document
        .get_binary_generic(key)
        .map(Vec::as_slice)
        .map_err(|_| damaged(key))
}

fn root(document: &Document) -> Result<Hash, StoreError> {
    bytes(document, "root")?
        .try_into()
        .map(Hash)
        .map_err(|_| damaged("root"))
}

impl Head {
    pub(crate) fn tree_head(&self) -> TreeHead {
        self.edge.head()
    }

    pub(crate) fn read(document: &Document) -> Result<Self, StoreError> {
        let version = document.get_i64("v").map_err(|_| damaged("v"))?;
        if version != VERSION {
            return Err(broken(format_args!(
                "its documents have version {version}; this program reads version {VERSION}"
            )));
        }
        let size = size_of(document, "size")?;
        let edge = hashes(bytes(document, "edge")?)
            .and_then(|hashes| Edge::from_parts(size, hashes).ok())
            .filter(|edge| root(document).is_ok_and(|root| root == edge.root()))
            .ok_or_else(|| damaged("edge"))?;
        let keys = document.get_array("keys").map_err(|_| damaged("keys"))?;
        let lease = document.get_document("lease").ok();
        Ok(Self {
            edge,
            epoch: document.get_i64("epoch").map_err(|_| damaged("epoch"))?,
            tiles: size_of(document, "tiles")?.min(size),
            batch_id: document.get_binary_generic("batch_id").ok().cloned(),
            until: lease.and_then(|lease| lease.get_datetime("until").ok().copied()),
            checkpoint: checkpoint(document)?,
            closed: closed(document)?,
            origin: document
                .get_str("origin")
                .map_err(|_| damaged("origin"))?
                .to_owned(),
            keys: keys
                .iter()
                .filter_map(Bson::as_str)
                .map(str::to_owned)
                .collect(),
        })
    }
}

fn closed(document: &Document) -> Result<Option<Closed>, StoreError> {
    let Some(closed) = document.get("closed") else {
        return Ok(None);
    };
    let closed = closed.as_document().and_then(Closed::read);
    closed.map(Some).ok_or_else(|| damaged("closed"))
}

fn checkpoint(document: &Document) -> Result<Option<KeptCheckpoint>, StoreError> {
    let Some(kept) = document.get("checkpoint") else {
        return Ok(None);
    };
    let kept = kept.as_document().ok_or_else(|| damaged("checkpoint"))?;
    Ok(Some(KeptCheckpoint {
        head: TreeHead {
            size: size_of(kept, "size")?,
            root: root(kept)?,
        },
        note: kept
            .get_str("note")
            .map_err(|_| damaged("checkpoint"))?
            .to_owned(),
    }))
}
