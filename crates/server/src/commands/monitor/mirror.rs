//! A copy of the log in the layout of C2SP tlog-tiles.
//!
//! Nothing is written that is not proven below the root of a checkpoint that the log's key signed
//! and that extends the ones before. What a run that was killed left beyond the mirror's own
//! checkpoint is read again and checked like what comes from the log, so that nothing has to be
//! remembered about it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use audittrail_merkle::{BundleId, Hash, TILE_WIDTH, TileId};
use audittrail_monitor::{
    BUNDLE_BYTES_MAX, LogKeys, ProvenTree, Sighting, TreeError, check_bundle, superseded,
    tile_hashes,
};
use futures_util::stream::{self, StreamExt as _};
use tokio::time::Instant;

use super::fetch::Log;
use super::files::{self, Files};
use super::finding::{Finding, Kind, Trouble};
use super::keeper;
use crate::Failure;

/// Bundles on their way at once. One is 16 MiB at the most.
const AHEAD: usize = 4;
const FULL: u16 = TILE_WIDTH as u16;

pub(super) struct Mirror {
    files: Files,
    /// The newest checkpoint of which everything is there.
    checkpoint: Option<Sighting>,
    /// Full bundles below this are there, proven by this process or below the mirror's checkpoint.
    next: u64,
}

/// How far it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Whole,
    Paused,
}

/// A full tile of leaf hashes and the bundle of its leaves.
struct Pair {
    index: u64,
    hashes: Vec<Hash>,
    entries: Vec<u8>,
    /// It is in the mirror already, from a run that did not end.
    here: bool,
}

fn leaf_tile(index: u64, width: u16) -> TileId {
    TileId {
        level: 0,
        index,
        width,
    }
}

impl Mirror {
    /// # Errors
    /// If the directory cannot be used, or is a mirror of another log.
    pub(super) fn open(directory: &Path, keys: &LogKeys) -> Result<Self, Failure> {
        if directory.exists() && !directory.is_dir() {
            return Err(Failure::Usage(format!(
                "mirror is {}, no directory; name one",
                directory.display()
            )));
        }
        let files = Files::open(directory)?;
        let checkpoint = keeper::checkpoint(&directory.join("checkpoint"), keys)?;
        let next = checkpoint
            .as_ref()
            .map_or(0, |seen| seen.checkpoint.head.size / TILE_WIDTH);
        Ok(Self {
            files,
            checkpoint,
            next,
        })
    }

    pub(super) fn checkpoint(&self) -> Option<&Sighting> {
        self.checkpoint.as_ref()
    }

    /// The number of entries that are in it and proven.
    pub(super) fn entries(&self) -> u64 {
        let whole = self.checkpoint.as_ref();
        let whole = whole.map_or(0, |seen| seen.checkpoint.head.size);
        whole.max(self.next * TILE_WIDTH)
    }

    /// Brings it up to a checkpoint, which extends its own; stops between two bundles where the
    /// time has come.
    pub(super) async fn advance(
        &mut self,
        log: &Log,
        seen: &Sighting,
        until: Option<Instant>,
    ) -> Result<Progress, Trouble> {
        if self.checkpoint.as_ref() == Some(seen) {
            return Ok(Progress::Whole);
        }
        let head = seen.checkpoint.head;
        let before = self.checkpoint.as_ref();
        let before = before.map_or(0, |seen| seen.checkpoint.head.size);
        if before < head.size {
            let mut tree = edge(log, seen).await?;
            if self.full_bundles(log, &mut tree, until).await? == Progress::Paused {
                return Ok(Progress::Paused);
            }
            self.right_edge(log, &tree).await?;
        }
        // Everything has its name before the checkpoint says so.
        self.files.sync()?;
        self.files.write("checkpoint", seen.note.as_bytes())?;
        self.files.sync()?;
        for directory in superseded(before, head.size) {
            self.files.remove(&directory)?;
        }
        self.checkpoint = Some(seen.clone());
        Ok(Progress::Whole)
    }

    async fn full_bundles(
        &mut self,
        log: &Log,
        tree: &mut ProvenTree,
        until: Option<Instant>,
    ) -> Result<Progress, Trouble> {
        let root: PathBuf = self.files.root().to_owned();
        let indices = self.next..tree.head().size / TILE_WIDTH;
        let pairs = stream::iter(indices).map(|index| pair(log, &root, index));
        let mut pairs = Box::pin(pairs.buffered(AHEAD));
        while let Some(pair) = pairs.next().await {
            let pair = pair?;
            let index = pair.index;
            self.above(log, tree, index).await?;
            match accept(tree, &pair) {
                Ok(()) if pair.here => {}
                Ok(()) => self.store(&pair)?,
                // What is here was damaged; the log may have it as it should be.
                Err(_) if pair.here => {
                    let again = from_log(log, index).await?;
                    accept(tree, &again)?;
                    self.store(&again)?;
                }
                Err(finding) => return Err(finding.into()),
            }
            self.next = index + 1;
            if until.is_some_and(now_is_past) {
                return Ok(Progress::Paused);
            }
        }
        Ok(Progress::Whole)
    }

    /// Proves the tiles above a tile of leaf hashes, and stores those that are full.
    async fn above(&mut self, log: &Log, tree: &mut ProvenTree, index: u64) -> Result<(), Trouble> {
        let mut needed = tree.needs(leaf_tile(index, FULL));
        needed.pop();
        for id in needed {
            let hashes = log.tile(id).await?;
            let bytes = tile_bytes(&hashes);
            tree.prove(id, hashes).map_err(wrong_tile)?;
            self.files.write(&id.path(), &bytes)?;
        }
        Ok(())
    }

    fn store(&mut self, pair: &Pair) -> Result<(), Failure> {
        let tile = leaf_tile(pair.index, FULL);
        self.files.write(&tile.path(), &tile_bytes(&pair.hashes))?;
        let bundle = full_bundle(pair.index);
        self.files.write(&bundle.path(), &pair.entries)
    }

    /// What is not full, and changes with the next entry.
    async fn right_edge(&mut self, log: &Log, tree: &ProvenTree) -> Result<(), Trouble> {
        let size = tree.head().size;
        let bundle = BundleId {
            index: size / TILE_WIDTH,
            // Below 256.
            width: (size % TILE_WIDTH) as u16,
        };
        if bundle.width > 0 {
            let entries = log.bundle(bundle).await?;
            let hashes = tree.leaves(bundle).unwrap_or_default();
            check_bundle(bundle, &entries, hashes).map_err(|error| wrong_entry(bundle, error))?;
            self.files.write(&bundle.path(), &entries)?;
        }
        for (id, hashes) in tree.edge() {
            self.files.write(&id.path(), &tile_bytes(hashes))?;
        }
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "only the server reads a clock")]
fn now_is_past(until: Instant) -> bool {
    Instant::now() >= until
}

fn full_bundle(index: u64) -> BundleId {
    let width = FULL;
    BundleId { index, width }
}

fn tile_bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

fn wrong_tile(error: TreeError) -> Finding {
    let subject = match error {
        TreeError::Tile(id) | TreeError::Unknown(id) => id.path(),
        TreeError::Root => "right edge".to_owned(),
    };
    Finding::new(
        Kind::Tile,
        subject,
        format!("{error}; it was not taken into the mirror"),
    )
}

fn wrong_entry(id: BundleId, error: impl std::fmt::Display) -> Finding {
    let path = id.path();
    let detail = format!("{path}: {error}; it was not taken into the mirror");
    Finding::new(Kind::Entry, path, detail)
}

/// The tree of a checkpoint, from the tiles at its right edge.
async fn edge(log: &Log, seen: &Sighting) -> Result<ProvenTree, Trouble> {
    let head = seen.checkpoint.head;
    let mut tiles = BTreeMap::new();
    for id in ProvenTree::edge_tiles(head.size) {
        tiles.insert(id, log.tile(id).await?);
    }
    let proven = ProvenTree::new(head, tiles);
    proven.map_err(|error| {
        let subject = format!("{} {}", head.size, head.root);
        Finding::new(Kind::Unproven, subject, error.to_string()).into()
    })
}

/// Compares a bundle with its tile, and that with the tree.
fn accept(tree: &mut ProvenTree, pair: &Pair) -> Result<(), Finding> {
    let (tile, bundle) = (leaf_tile(pair.index, FULL), full_bundle(pair.index));
    tree.prove(tile, pair.hashes.clone()).map_err(wrong_tile)?;
    let compared = check_bundle(bundle, &pair.entries, &pair.hashes);
    compared.map_err(|error| wrong_entry(bundle, error))
}

/// From the mirror, where an earlier run left both, else from the log.
async fn pair(log: &Log, root: &Path, index: u64) -> Result<Pair, Trouble> {
    match left_here(root, index) {
        Some(pair) => Ok(pair),
        None => from_log(log, index).await,
    }
}

fn left_here(root: &Path, index: u64) -> Option<Pair> {
    let read = |path: String, limit| files::read(&root.join(path), limit).ok().flatten();
    let tile = read(leaf_tile(index, FULL).path(), 32 * usize::from(FULL))?;
    Some(Pair {
        index,
        hashes: tile_hashes(&tile, FULL)?,
        entries: read(full_bundle(index).path(), BUNDLE_BYTES_MAX)?,
        here: true,
    })
}

async fn from_log(log: &Log, index: u64) -> Result<Pair, Trouble> {
    let (hashes, entries) = tokio::try_join!(
        log.tile(leaf_tile(index, FULL)),
        log.bundle(full_bundle(index))
    )?;
    Ok(Pair {
        index,
        hashes,
        entries,
        here: false,
    })
}
