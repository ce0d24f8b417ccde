//! Hashes of the tree that are damaged where they are kept, made anew from what lies below
//! them. Nothing made here counts before it gives a root that is known.

use std::ops::Range;
use std::pin::Pin;

use audittrail_merkle::{Hash, TILE_WIDTH, leaf_hash, tile_root};

use crate::{Store, StoreError};

/// What is read at once of the log.
const SCAN_BYTES: usize = 1 << 20;

/// Where hashes are made from; each costs more than the one before and helps against more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The level below, as it is kept.
    Below,
    /// As far down as the levels contradict each other, to the log if need be: for damage on
    /// several levels.
    WhereTheyDiffer,
    /// The log itself: for levels that were changed to fit each other.
    Log,
}

/// Above this tile level the log is not read for one tile: it would be 16 million entries.
const LOG_BELOW: u8 = 1;

impl Way {
    /// The ways for a tile of that level whose root is known.
    pub(super) fn of_full_tile(level: u8) -> &'static [Self] {
        match level {
            0 => &[Self::Below],
            1..=LOG_BELOW => &[Self::Below, Self::WhereTheyDiffer, Self::Log],
            _ => Self::OF_RIGHT_EDGE,
        }
    }

    /// The ways for the right edge, which is another with each commit.
    pub(super) const OF_RIGHT_EDGE: &'static [Self] = &[Self::Below, Self::WhereTheyDiffer];
}

type Made<'s> = Pin<Box<dyn Future<Output = Result<Vec<Hash>, StoreError>> + Send + 's>>;

/// Hashes of a tile level.
pub(super) fn hashes(store: &dyn Store, way: Way, level: u8, range: Range<u64>) -> Made<'_> {
    Box::pin(async move {
        if level == 0 {
            return leaves(store, range).await;
        }
        let kept = match way {
            Way::WhereTheyDiffer => store.hashes(8 * level, range.clone()).await?,
            Way::Below | Way::Log => Vec::new(),
        };
        let mut made = Vec::new();
        for (position, at) in range.enumerate() {
            let below = at * TILE_WIDTH..(at + 1) * TILE_WIDTH;
            let as_kept = match way {
                Way::Log => None,
                Way::Below | Way::WhereTheyDiffer => {
                    tile_root(&store.hashes(8 * (level - 1), below.clone()).await?)
                }
            };
            let doubtful = way != Way::Below && as_kept.as_ref() != kept.get(position);
            made.extend(if doubtful || as_kept.is_none() {
                tile_root(&hashes(store, way, level - 1, below).await?)
            } else {
                as_kept
            });
        }
        Ok(made)
    })
}

/// The hashes of leaves in the log; those of entries that cannot be read, as they are kept.
async fn leaves(store: &dyn Store, range: Range<u64>) -> Result<Vec<Hash>, StoreError> {
    let mut kept = store.hashes(0, range.clone()).await?;
    let mut next = range.start;
    while next < range.end {
        for stored in store.scan(next..range.end, SCAN_BYTES).await? {
            let position = (stored.index - range.start) as usize;
            if let (Ok(record), Some(hash)) = (&stored.record, kept.get_mut(position)) {
                *hash = leaf_hash(&record.leaf);
            }
            next = stored.index + 1;
        }
    }
    Ok(kept)
}
