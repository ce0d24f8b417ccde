//! The hashes of the tree, in `tiles`: derived from the entries, and made from them where they
//! are missing.
//!
//! A document is a tile: `_id` is level ÷ 8 in the highest byte and the tile's position below it,
//! `n` the number of hashes, `h` the hashes. It is written after the head has moved, from below
//! its size, so that any two writers write the same; a shorter tile never replaces a longer one.

use std::collections::HashMap;
use std::ops::Range;
use std::pin::Pin;

use audittrail_merkle::{Edge, Hash, TILE_WIDTH, TileId, edge_from_tiles, leaf_hash, tile_root};
use audittrail_store::{StoreError, StoreErrorKind};
use mongodb::bson::{Bson, Document, doc};

use crate::document::{index_of, leaf};
use crate::failure::invalid;
use crate::head::{binary, hashes, number};
use crate::{MongoStore, document};

/// Levels 0, 8, … 56 hold every tree of fewer than 2^63 leaves.
const LEVELS: usize = 8;
/// So many leaves are read together where tiles are missing.
const LEAVES_AT_ONCE: u64 = 16_384;
/// So many tiles are read together to make the level above.
const TILES_AT_ONCE: u64 = 16;
/// So many leaves may wait for the next checkpoint.
const UNWRITTEN: u64 = 4_096;
/// So many tiles are written together: 2 MiB.
const WRITTEN_AT_ONCE: usize = 256;

type Hashes<'s> = Pin<Box<dyn Future<Output = Result<Vec<Hash>, StoreError>> + Send + 's>>;

/// The last hashes of one level.
#[derive(Debug, Clone, Default)]
struct Tail {
    /// The position of the first hash: where a tile begins.
    first: u64,
    /// From here on they are not in `tiles` yet.
    written: u64,
    hashes: Vec<Hash>,
}

impl Tail {
    fn end(&self) -> u64 {
        self.first + self.hashes.len() as u64
    }
}

/// The last hashes of each level: the tiles that are not full, and those that are not written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tails {
    levels: [Tail; LEVELS],
}

impl Tails {
    /// The size of the log that they belong to.
    fn size(&self) -> u64 {
        self.levels[0].end()
    }

    /// The size up to which all of them are written.
    pub(crate) fn written(&self) -> u64 {
        self.levels[0].written
    }

    /// Takes the next leaves, which are committed.
    pub(crate) fn extend(&mut self, leaves: impl IntoIterator<Item = Hash>) {
        for leaf in leaves {
            let mut next = Some(leaf);
            for level in &mut self.levels {
                let Some(hash) = next else { break };
                level.hashes.push(hash);
                let full = level.end().is_multiple_of(TILE_WIDTH);
                let tile = level.hashes.len().checked_sub(TILE_WIDTH as usize);
                next = tile
                    .filter(|_| full)
                    .and_then(|at| tile_root(&level.hashes[at..]));
            }
        }
    }

    fn get(&self, level: usize, range: &Range<u64>) -> Option<Vec<Hash>> {
        let tail = &self.levels[level];
        let start = usize::try_from(range.start.checked_sub(tail.first)?).ok()?;
        let end = usize::try_from(range.end.checked_sub(tail.first)?).ok()?;
        tail.hashes.get(start..end).map(<[Hash]>::to_vec)
    }

    /// The tiles that have something to be written.
    fn unwritten(&self) -> Vec<(i64, &[Hash])> {
        let mut tiles = Vec::new();
        for (level, tail) in (0_u8..).zip(&self.levels) {
            if tail.written >= tail.end() {
                continue;
            }
            let from = tail.written / TILE_WIDTH * TILE_WIDTH;
            let skipped = from.saturating_sub(tail.first) as usize;
            let parts = tail.hashes[skipped..].chunks(TILE_WIDTH as usize);
            tiles.extend(
                (from / TILE_WIDTH..)
                    .zip(parts)
                    .map(|(n, part)| (key(level, n), part)),
            );
        }
        tiles
    }

    /// Says that what they had at that time is written; full tiles are dropped.
    fn set_written(&mut self, then: &Self) {
        for (tail, then) in self.levels.iter_mut().zip(&then.levels) {
            tail.written = tail.written.max(then.end());
            let first = tail.written / TILE_WIDTH * TILE_WIDTH;
            if let Some(full) = first.checked_sub(tail.first) {
                tail.hashes.drain(..(full as usize).min(tail.hashes.len()));
                tail.first = first;
            }
        }
    }

    /// Whether they are those of a tree with this right edge.
    fn fit(&self, edge: &Edge) -> bool {
        let mut tiles: HashMap<TileId, Vec<Hash>> = HashMap::new();
        for (level, tail) in (0_u8..).zip(&self.levels) {
            for (n, part) in (tail.first / TILE_WIDTH..).zip(tail.hashes.chunks(256)) {
                let id = TileId {
                    level,
                    index: n,
                    width: part.len() as u16,
                };
                tiles.insert(id, part.to_vec());
            }
        }
        edge_from_tiles(edge.size(), &tiles).is_ok_and(|own| own == *edge)
    }
}

fn key(level: u8, tile: u64) -> i64 {
    i64::from(level) << 56 | number(tile)
}

/// What is missing so that an answer could be given.
fn gap(index: u64) -> StoreError {
    let damage = document::missing(index);
    let what = format!("the tree's hashes cannot be made anew: {damage}");
    StoreError::new(StoreErrorKind::Unavailable, what)
}

impl MongoStore {
    pub(crate) async fn read_hashes(
        &self,
        level: u8,
        range: Range<u64>,
    ) -> Result<Vec<Hash>, StoreError> {
        let at = usize::from(level / 8);
        if !level.is_multiple_of(8) || at >= LEVELS {
            return Err(invalid(format!("no tile holds level {level}")));
        }
        let leaves = range.end.checked_mul(1 << level);
        let size = self.size_for(leaves.unwrap_or(u64::MAX)).await?;
        if range.start > range.end || range.end > size >> level {
            return Err(invalid(format!(
                "level {level} does not have all of {range:?}"
            )));
        }
        self.tile_hashes(level / 8, range).await
    }

    /// Hashes that there are, from the tiles, from what is not yet written, or made anew.
    fn tile_hashes(&self, level: u8, range: Range<u64>) -> Hashes<'_> {
        Box::pin(async move {
            let mut given = Vec::with_capacity((range.end - range.start) as usize);
            if range.is_empty() {
                return Ok(given);
            }
            let tiles = range.start / TILE_WIDTH..(range.end - 1) / TILE_WIDTH + 1;
            let kept = self.kept_tiles(level, tiles.clone()).await?;
            for tile in tiles {
                let begin = tile * TILE_WIDTH;
                let part = range.start.max(begin)..range.end.min(begin + TILE_WIDTH);
                let within = (part.start - begin) as usize..(part.end - begin) as usize;
                if let Some(hashes) = kept.get(&tile).and_then(|tile| tile.get(within)) {
                    given.extend_from_slice(hashes);
                    continue;
                }
                let own = self.tails().get(usize::from(level), &part);
                given.extend(match own {
                    Some(own) => own,
                    None => self.make_hashes(level, part).await?,
                });
            }
            Ok(given)
        })
    }

    async fn kept_tiles(
        &self,
        level: u8,
        tiles: Range<u64>,
    ) -> Result<HashMap<u64, Vec<Hash>>, StoreError> {
        let what = "the tree cannot be read";
        let first = key(level, tiles.start);
        let find = self.network.tiles.find(doc! {
            "_id": { "$gte": first, "$lt": key(level, tiles.end) },
        });
        let mut cursor = self.network.bounded(what, find).await?;
        let mut kept = HashMap::new();
        while self.network.bounded(what, cursor.advance()).await? {
            let document = cursor.current();
            let key = document.get_i64("_id").unwrap_or(first);
            // A tile of another form is as good as none.
            if let Some(hashes) = document.get_binary("h").ok().and_then(|h| hashes(h.bytes)) {
                kept.insert(tiles.start + key.abs_diff(first), hashes);
            }
        }
        Ok(kept)
    }

    /// Hashes that no tile has, from what lies below them.
    async fn make_hashes(&self, level: u8, range: Range<u64>) -> Result<Vec<Hash>, StoreError> {
        if level == 0 {
            return self.leaf_hashes(range).await;
        }
        let mut made = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let end = range.end.min(at + TILES_AT_ONCE);
            let below = self
                .tile_hashes(level - 1, at * TILE_WIDTH..end * TILE_WIDTH)
                .await?;
            made.extend(below.chunks(TILE_WIDTH as usize).filter_map(tile_root));
            at = end;
        }
        Ok(made)
    }

    /// The hashes of leaves, from the entries.
    async fn leaf_hashes(&self, range: Range<u64>) -> Result<Vec<Hash>, StoreError> {
        let what = "leaves cannot be read";
        let find = self
            .network
            .entries
            .find(doc! { "_id": { "$gte": number(range.start), "$lt": number(range.end) } })
            .sort(doc! { "_id": 1 })
            .projection(doc! { "leaf": 1 });
        let mut cursor = self.network.bounded(what, find).await?;
        let mut hashes = Vec::new();
        for index in range {
            let there = self.network.bounded(what, cursor.advance()).await?;
            let document = there.then(|| cursor.current());
            let document = document.filter(|document| index_of(document) == Some(index));
            let leaf = document.and_then(leaf).ok_or_else(|| gap(index))?;
            hashes.push(leaf_hash(leaf));
        }
        Ok(hashes)
    }

    /// Makes and writes the tiles of a log from a size on up to which all are there.
    pub(crate) async fn complete_tiles(&self, from: u64, edge: &Edge) -> Result<(), StoreError> {
        let size = edge.size();
        let known = self.tails().size();
        // What this process has is as good, unless another one has gone further.
        if known < from || known > size {
            let tails = self.tails_at(from).await?;
            *self.tails() = tails;
        }
        loop {
            let at = self.tails().size();
            if at >= size {
                break;
            }
            let leaves = self.leaf_hashes(at..size.min(at + LEAVES_AT_ONCE)).await?;
            self.tails().extend(leaves);
            self.flush_tiles().await?;
        }
        if !self.tails().fit(edge) {
            tracing::error!(
                size,
                "the hashes at the right side of the tree do not give its root"
            );
        }
        Ok(())
    }

    async fn tails_at(&self, size: u64) -> Result<Tails, StoreError> {
        let mut tails = Tails::default();
        for level in 0..LEVELS {
            let end = size >> (8 * level);
            let first = end / TILE_WIDTH * TILE_WIDTH;
            tails.levels[level] = Tail {
                first,
                written: end,
                hashes: self.tile_hashes(level as u8, first..end).await?,
            };
        }
        Ok(tails)
    }

    /// Writes the tiles that are not written yet if there are several; a checkpoint, which comes
    /// soon, writes the rest.
    pub(crate) async fn flush_full_tails(&self) -> Result<(), StoreError> {
        let unwritten = {
            let tails = self.tails();
            tails.size() - tails.written()
        };
        if unwritten < UNWRITTEN {
            return Ok(());
        }
        self.flush_tiles().await
    }

    /// Writes the tiles that are not written yet. One task at a time calls it: who leads.
    pub(crate) async fn flush_tiles(&self) -> Result<(), StoreError> {
        let then = self.tails().clone();
        for part in then.unwritten().chunks(WRITTEN_AT_ONCE) {
            let updates = part.iter().map(|(key, hashes)| {
                let count = hashes.len() as i64;
                let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
                Bson::Document(doc! {
                    "q": { "_id": *key, "n": { "$lt": count } },
                    "u": { "$set": { "n": count, "h": binary(bytes) } },
                    "upsert": true,
                })
            });
            let command = self.network.database.run_command(doc! {
                "update": "tiles",
                "updates": updates.collect::<Vec<_>>(),
                "ordered": false,
                "writeConcern": { "w": "majority", "j": true },
            });
            let what = "the tree cannot be written";
            check_updates(&self.network.bounded(what, command).await?)?;
        }
        self.tails().set_written(&then);
        Ok(())
    }
}

/// A tile that is there with as many hashes, or more, cannot be inserted: that is well.
fn check_updates(answer: &Document) -> Result<(), StoreError> {
    let codes = answer.get_array("writeErrors").into_iter().flatten();
    let mut codes = codes.filter_map(|one| one.as_document()?.get_i32("code").ok());
    let other = codes.find(|code| *code != crate::failure::DUPLICATE_KEY);
    if other.is_none() && !answer.contains_key("writeConcernError") {
        return Ok(());
    }
    let what = match other {
        Some(code) => format!("MongoDB: the tree cannot be written (code {code})"),
        None => "MongoDB: a majority of the servers did not confirm the tree".to_owned(),
    };
    Err(StoreError::new(StoreErrorKind::Unavailable, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_what_a_tree_needs() {
        let mut tails = Tails::default();
        let mut edge = Edge::new();
        for size in 1..70_000_u64 {
            let leaf = leaf_hash(&size.to_be_bytes());
            tails.extend([leaf]);
            edge.push(leaf);
            if size % 977 == 0 {
                assert!(tails.fit(&edge), "{size}");
                let then = tails.clone();
                assert!(then.unwritten().iter().all(|(_, part)| part.len() <= 256));
                tails.set_written(&then);
                assert_eq!(tails.written(), size);
                assert!(tails.unwritten().is_empty());
                assert!(tails.levels.iter().all(|tail| tail.hashes.len() < 256));
            }
        }
        assert!(tails.fit(&edge));
        tails.extend([leaf_hash(b"another")]);
        assert!(!tails.fit(&edge));
    }
}
