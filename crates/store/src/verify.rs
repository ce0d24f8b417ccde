//! Reading with verification: no entry is shown as sound that was not checked against the
//! tree.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use audittrail_entry::{KeyRing, Record};
use audittrail_merkle::{
    Hash, TILE_WIDTH, TileId, TreeHead, edge_from_tiles, leaf_hash, right_edge_tiles, tile_root,
};
use lru::LruCache;

use self::mend::Way;
use crate::{Store, StoreError, Stored};

mod mend;

/// 1,024 tiles of 8 KiB: the leaf hashes of a quarter of a million entries.
const CACHED_TILES: NonZeroUsize = NonZeroUsize::new(1_024).unwrap();
/// Heads whose right edges are kept: the committed one, and the published one below it.
const CACHED_EDGES: NonZeroUsize = NonZeroUsize::new(4).unwrap();
/// So many failed entries are known one by one.
const FAILED_KEPT: usize = 1_000_000;

type Tile = Arc<[Hash]>;
/// Tiles of leaf hashes as they are kept, nothing of them proven.
type ReadTiles = HashMap<u64, Vec<Hash>>;
type PartialTiles = HashMap<TileId, Vec<Hash>>;

/// What reading an entry found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The frame, the form, the commitment, the signature and the place in the tree hold.
    Verified,
    /// One of them does not; the sentence says which.
    Failed(String),
}

/// An entry with what reading it found.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Its place in the log.
    pub index: u64,
    /// What was read, without the sealed part where only that is damaged; `None` if nothing could be.
    pub record: Option<Record>,
    /// Whether it can be trusted.
    pub verdict: Verdict,
}

/// Reads entries of one log and verifies each.
///
/// An entry is verified under the head that the store has committed, which extends the
/// newest checkpoint: the hashes of its tile, and of the tiles above it, have to give the
/// head's root. Tiles that did are kept in memory and need no second check, since the tree
/// only grows.
pub struct Reader {
    store: Arc<dyn Store>,
    keys: KeyRing,
    origin: String,
    tiles: Mutex<LruCache<(u8, u64), Tile>>,
    /// Full tiles that nothing gives the root of: what lies below is not read again each time.
    hopeless: Mutex<LruCache<(u8, u64), ()>>,
    right_edges: Mutex<LruCache<(u64, Hash), Arc<PartialTiles>>>,
    failed: Mutex<Arc<BTreeMap<u64, String>>>,
}

impl Reader {
    /// A reader of the log named `origin`, whose entries these keys signed.
    pub fn new(store: Arc<dyn Store>, keys: KeyRing, origin: String) -> Self {
        Self {
            store,
            keys,
            origin,
            tiles: Mutex::new(LruCache::new(CACHED_TILES)),
            hopeless: Mutex::new(LruCache::new(CACHED_TILES)),
            right_edges: Mutex::new(LruCache::new(CACHED_EDGES)),
            failed: Mutex::default(),
        }
    }

    /// Verifies entries that the store gave, and remembers those that fail.
    ///
    /// # Errors
    /// Only if the store cannot give the tree's hashes; what fails is in the answer.
    pub async fn check(&self, stored: Vec<Stored>) -> Result<Vec<Checked>, StoreError> {
        if stored.is_empty() {
            return Ok(Vec::new());
        }
        let head = self.store.head().await?;
        let mut checked = Vec::with_capacity(stored.len());
        let mut read = self.read_tiles(&head, &stored).await?;
        let mut last: Option<(u64, Result<Tile, String>)> = None;
        for Stored { index, record } in stored {
            let tile_index = index / TILE_WIDTH;
            if last
                .as_ref()
                .is_none_or(|(loaded, _)| *loaded != tile_index)
            {
                let tile = self.tile_of(&head, 0, tile_index, &mut read).await?;
                last = Some((tile_index, tile));
            }
            let tile = last.as_ref().map(|(_, tile)| tile);
            let (record, verdict) = match record {
                Err(damage) => match self.open_part(index, tile).await {
                    Some(record) => {
                        let reason = format!(
                            "{damage}; its open part is the one in the tree, and is shown without the \
                             rest"
                        );
                        (Some(record), Verdict::Failed(reason))
                    }
                    None => (None, Verdict::Failed(damage.0)),
                },
                Ok(record) => {
                    let verdict = match self.judge(index, &record, tile) {
                        Ok(()) => Verdict::Verified,
                        Err(reason) => Verdict::Failed(reason),
                    };
                    (Some(record), verdict)
                }
            };
            if let Verdict::Failed(reason) = &verdict {
                self.report(&[(index, reason.clone())]);
            }
            checked.push(Checked {
                index,
                record,
                verdict,
            });
        }
        Ok(checked)
    }

    /// The record of a damaged entry without its sealed part, where its leaf is the one in the tree.
    async fn open_part(&self, index: u64, tile: Option<&Result<Tile, String>>) -> Option<Record> {
        let tile = tile?.as_ref().ok()?;
        let record = self.store.open_part(index).await.ok()??;
        let leaf = tile.get((index % TILE_WIDTH) as usize)?;
        (record.sealed.is_none() && *leaf == leaf_hash(&record.leaf)).then_some(record)
    }

    /// The entries known to have failed, with the reasons.
    pub fn failed(&self) -> Arc<BTreeMap<u64, String>> {
        Arc::clone(&lock(&self.failed))
    }

    /// Remembers entries that were found damaged elsewhere.
    pub fn report(&self, damaged: &[(u64, String)]) {
        let mut failed = lock(&self.failed);
        for (index, reason) in damaged {
            if !failed.contains_key(index) && failed.len() < FAILED_KEPT {
                tracing::error!(index, reason, "an entry failed verification");
                Arc::make_mut(&mut failed).insert(*index, reason.clone());
            }
        }
    }

    fn judge(
        &self,
        index: u64,
        record: &Record,
        tile: Option<&Result<Tile, String>>,
    ) -> Result<(), String> {
        record
            .check(&self.keys, &self.origin)
            .map_err(|error| error.to_string())?;
        let tile = match tile {
            Some(Ok(tile)) => tile,
            Some(Err(reason)) => return Err(reason.clone()),
            None => return Err("its place in the tree was not looked up".to_owned()),
        };
        let position = (index % TILE_WIDTH) as usize;
        if tile.get(position) == Some(&leaf_hash(&record.leaf)) {
            Ok(())
        } else {
            Err("the leaf is not the one in the tree".to_owned())
        }
    }

    /// The lowest tiles that entries of a page are in and that are not proven yet, read together.
    async fn read_tiles(
        &self,
        head: &TreeHead,
        stored: &[Stored],
    ) -> Result<ReadTiles, StoreError> {
        let mut wanted: Vec<u64> = stored.iter().map(|one| one.index / TILE_WIDTH).collect();
        wanted.sort_unstable();
        wanted.dedup();
        {
            let proven = lock(&self.tiles);
            let full = full_tiles(head.size, 0);
            wanted.retain(|at| *at < full && !proven.contains(&(0, *at)));
        }
        if wanted.len() < 2 {
            return Ok(ReadTiles::new());
        }
        let ranges: Vec<_> = wanted
            .iter()
            .map(|at| at * TILE_WIDTH..(at + 1) * TILE_WIDTH)
            .collect();
        let runs = self.store.hash_runs(0, &ranges).await?;
        Ok(wanted.into_iter().zip(runs).collect())
    }

    /// The hashes of a tile at a tile level, proven to be below the root of a head that the
    /// store has committed; or why they cannot be. At the right edge there are those that the
    /// head's tree has, or more.
    ///
    /// # Errors
    /// If the store cannot give the tree's hashes.
    pub async fn tile(
        &self,
        head: &TreeHead,
        level: u8,
        index: u64,
    ) -> Result<Result<Arc<[Hash]>, String>, StoreError> {
        self.tile_of(head, level, index, &mut ReadTiles::new())
            .await
    }

    /// [`Reader::tile`], where some of the lowest were read already.
    async fn tile_of(
        &self,
        head: &TreeHead,
        level: u8,
        index: u64,
        read: &mut ReadTiles,
    ) -> Result<Result<Tile, String>, StoreError> {
        // Up to the first tile that is trusted, then down again.
        let mut unproven = Vec::new();
        let (mut level, mut at) = (level, index);
        let mut trusted = loop {
            if let Some(tile) = lock(&self.tiles).get(&(level, at)) {
                break Arc::clone(tile);
            }
            if at >= full_tiles(head.size, level) {
                match self.right_edge_tile(head, level, at).await? {
                    Ok(tile) => break tile,
                    Err(reason) => return Ok(Err(reason)),
                }
            }
            unproven.push((level, at));
            (level, at) = (level + 1, at / TILE_WIDTH);
        };
        while let Some((level, at)) = unproven.pop() {
            let Some(root) = trusted.get((at % TILE_WIDTH) as usize).copied() else {
                return Ok(Err("the tree ends before the entry".to_owned()));
            };
            let kept = if level == 0 { read.remove(&at) } else { None };
            let Some(tile) = self.full_tile(level, at, root, kept).await? else {
                return Ok(Err(format!(
                    "tile {at} of level {level} does not give the root of the tree, nor do the \
                     entries below it: one of them was changed"
                )));
            };
            lock(&self.tiles).put((level, at), Arc::clone(&tile));
            trusted = tile;
        }
        Ok(Ok(trusted))
    }

    /// The hashes of a full tile with that root: those kept, else recomputed from below.
    async fn full_tile(
        &self,
        level: u8,
        at: u64,
        root: Hash,
        kept: Option<Vec<Hash>>,
    ) -> Result<Option<Tile>, StoreError> {
        let range = at * TILE_WIDTH..(at + 1) * TILE_WIDTH;
        let kept = match kept {
            Some(kept) => kept,
            None => self.store.hashes(8 * level, range.clone()).await?,
        };
        if tile_root(&kept) == Some(root) {
            return Ok(Some(kept.into()));
        }
        if lock(&self.hopeless).get(&(level, at)).is_some() {
            return Ok(None);
        }
        for way in Way::of_full_tile(level) {
            let made = mend::hashes(&*self.store, *way, level, range.clone()).await?;
            if tile_root(&made) == Some(root) {
                tracing::warn!(
                    level,
                    tile = at,
                    "a damaged tile was recomputed from the log"
                );
                return Ok(Some(made.into()));
            }
        }
        lock(&self.hopeless).put((level, at), ());
        Ok(None)
    }

    /// A partial tile of the tree of that head; partial tiles prove each other.
    async fn right_edge_tile(
        &self,
        head: &TreeHead,
        level: u8,
        at: u64,
    ) -> Result<Result<Tile, String>, StoreError> {
        let key = (head.size, head.root);
        let known = lock(&self.right_edges).get(&key).map(Arc::clone);
        let tiles = match known {
            Some(tiles) => tiles,
            None => match self.prove_right_edge(head).await? {
                Some(tiles) => {
                    let tiles = Arc::new(tiles);
                    lock(&self.right_edges).put(key, Arc::clone(&tiles));
                    tiles
                }
                None => {
                    return Ok(Err(
                        "the tree's right edge does not give its root, nor do the \
                                   entries below it: one of them was changed"
                            .to_owned(),
                    ));
                }
            },
        };
        let tile = tiles
            .iter()
            .find(|(id, _)| id.level == level && id.index == at);
        Ok(match tile {
            Some((_, hashes)) => Ok(hashes.as_slice().into()),
            None => Err("the tree ends before the entry".to_owned()),
        })
    }

    /// The partial tiles that give the head's root: each as it is kept, else as it is made anew.
    async fn prove_right_edge(&self, head: &TreeHead) -> Result<Option<PartialTiles>, StoreError> {
        let mut choices = Vec::new();
        for id in right_edge_tiles(head.size) {
            let kept = self.store.hashes(8 * id.level, hashes_of(id)).await?;
            choices.push((id, vec![kept]));
        }
        let mut proven = right_edge_of(head, &choices);
        for way in Way::OF_RIGHT_EDGE {
            if proven.is_some() {
                break;
            }
            for (id, choices) in &mut choices {
                let made = mend::hashes(&*self.store, *way, id.level, hashes_of(*id)).await?;
                if !choices.contains(&made) {
                    choices.push(made);
                }
            }
            proven = right_edge_of(head, &choices);
        }
        Ok(proven)
    }
}

/// One of the choices for each tile so that together they give the head's root. There are eight
/// levels and three choices at the most, and nearly always one.
fn right_edge_of(head: &TreeHead, choices: &[(TileId, Vec<Vec<Hash>>)]) -> Option<PartialTiles> {
    let combinations: usize = choices.iter().map(|(_, of_tile)| of_tile.len()).product();
    (0..combinations).find_map(|mut number| {
        let tiles = choices.iter().map(|(id, of_tile)| {
            let choice = number % of_tile.len();
            number /= of_tile.len();
            (*id, of_tile[choice].clone())
        });
        let tiles: PartialTiles = tiles.collect();
        let edge = edge_from_tiles(head.size, &tiles).ok()?;
        (edge.head() == *head).then_some(tiles)
    })
}

fn hashes_of(id: TileId) -> std::ops::Range<u64> {
    let start = id.index * TILE_WIDTH;
    start..start + u64::from(id.width)
}

/// How many full tiles a tree of that size has at a tile level.
fn full_tiles(size: u64, level: u8) -> u64 {
    size.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0)
}

/// No code that holds one of these locks can panic between two changes that belong together.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
