//! The tree's stored hashes: one append-only file for each level that tiles hold, derived
//! from the log.

use std::io;
use std::ops::Range;

use audittrail_merkle::{Edge, Hash, TILE_WIDTH, TileId, edge_from_tiles, right_edge_tiles};
use audittrail_store::Node;

use crate::appended::Appended;
use crate::disk::{Disk, Mode, SyncPoint};
use crate::layout::Layout;

const HASH_LEN: usize = 32;
/// Levels 0, 8, … 56 hold every tree of fewer than 2^64 leaves.
const LEVELS: u8 = 8;

pub(crate) struct Tree {
    levels: Vec<Appended<HASH_LEN>>,
}

impl Tree {
    /// The hashes of a tree of that size. Files that are missing or short are seen when the
    /// edge is read.
    pub(crate) fn open(
        disk: &dyn Disk,
        layout: &Layout,
        size: u64,
        mode: Mode,
    ) -> io::Result<Self> {
        let levels = (0..LEVELS)
            .map(|level| {
                let path = layout.tree_level(8 * level);
                Appended::open(disk, path, nodes_at(size, level), mode)
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { levels })
    }

    /// The right edge of a tree of that size, from the stored hashes; `None` if they are
    /// not there.
    pub(crate) fn edge(&self, size: u64) -> Option<Edge> {
        let tiles = right_edge_tiles(size)
            .into_iter()
            .map(|id: TileId| {
                let start = id.index * TILE_WIDTH;
                let hashes = self
                    .hashes(8 * id.level, start..start + u64::from(id.width))
                    .ok()?;
                Some((id, hashes))
            })
            .collect::<Option<std::collections::HashMap<_, _>>>()?;
        edge_from_tiles(size, &tiles).ok()
    }

    /// Whether these are complete nodes of a tree of `size` leaves, at a level that tiles hold.
    pub(crate) fn has(size: u64, level: u8, range: &Range<u64>) -> bool {
        level.is_multiple_of(8)
            && level / 8 < LEVELS
            && range.start <= range.end
            && range.end <= nodes_at(size, level / 8)
    }

    /// Whether every hash of a tree of that size is there.
    pub(crate) fn is_complete(&self, size: u64) -> bool {
        (0..LEVELS)
            .zip(&self.levels)
            .all(|(level, rows)| rows.len() >= nodes_at(size, level))
    }

    pub(crate) fn hashes(&self, level: u8, range: Range<u64>) -> io::Result<Vec<Hash>> {
        let rows = self
            .levels
            .get(usize::from(level / 8))
            .filter(|_| level.is_multiple_of(8))
            .ok_or(io::ErrorKind::InvalidInput)?;
        Ok(rows.read(range)?.into_iter().map(Hash).collect())
    }

    /// Says that the tiles above these leaves are read next: the lowest, of which each has some
    /// of them only.
    pub(crate) fn will_need(&self, leaves: &[u64]) {
        let tiles = leaves.chunk_by(|one, next| one / TILE_WIDTH == next / TILE_WIDTH);
        self.levels[0].will_need(tiles.map(|tile| {
            let start = tile[0] / TILE_WIDTH * TILE_WIDTH;
            start..start + TILE_WIDTH
        }));
    }

    pub(crate) fn push(&self, leaves: impl IntoIterator<Item = Hash>, nodes: &[Node]) {
        self.levels[0].push(leaves.into_iter().map(|hash| hash.0));
        for node in nodes {
            if let Some(rows) = self.levels.get(usize::from(node.level / 8)) {
                rows.push([node.hash.0]);
            }
        }
    }

    pub(crate) fn truncate(&self, size: u64) {
        for (level, rows) in (0..LEVELS).zip(&self.levels) {
            rows.truncate(nodes_at(size, level));
        }
    }

    pub(crate) fn pending(&self) -> usize {
        self.levels.iter().map(Appended::pending).sum()
    }

    pub(crate) fn flush(&self, disk: &dyn Disk) -> io::Result<()> {
        self.levels.iter().try_for_each(|rows| rows.flush(disk))
    }

    pub(crate) fn sync(&self, disk: &dyn Disk, layout: &Layout) -> io::Result<()> {
        let mut unnamed = false;
        for rows in &self.levels {
            rows.sync(SyncPoint::Tree)?;
            unnamed |= rows.is_unnamed();
        }
        if unnamed {
            disk.sync_directory(&layout.tree(), SyncPoint::TreeDirectory)?;
            self.levels.iter().for_each(Appended::set_named);
        }
        Ok(())
    }
}

/// Complete nodes of tile level `level` in a tree of `size` leaves.
fn nodes_at(size: u64, level: u8) -> u64 {
    size.checked_shr(8 * u32::from(level)).unwrap_or(0)
}
