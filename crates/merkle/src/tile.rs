//! Tiles: the stored form of a tree's hashes, C2SP tlog-tiles.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use crate::{Edge, Hash, ProofError, node_hash};

/// The number of hashes in a full tile.
pub const TILE_WIDTH: u64 = 256;
const HEIGHT: u32 = 8;
/// tlog-tiles: "L is a decimal ASCII number between 0 and 63".
const LEVEL_MAX: u8 = 63;

/// Names a tile: up to 256 neighbouring hashes of one height.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// Tile level: the hashes stand 8 × level above the leaves.
    pub level: u8,
    /// Position within the level.
    pub index: u64,
    /// The number of hashes, 1 to 256.
    pub width: u16,
}

impl TileId {
    /// The tile that holds hash `position` of a level in a tree of `size` leaves; `None` if
    /// the tree has no such hash.
    pub(crate) fn holding(size: u64, level: u8, position: u64) -> Option<Self> {
        let count = size.checked_shr(HEIGHT * u32::from(level)).unwrap_or(0);
        if position >= count {
            return None;
        }
        let index = position / TILE_WIDTH;
        let width = (count - index * TILE_WIDTH).min(TILE_WIDTH) as u16;
        Some(Self {
            level,
            index,
            width,
        })
    }

    /// The path of C2SP tlog-tiles, such as `tile/0/x001/x234/067` or `tile/1/000.p/3`.
    pub fn path(&self) -> String {
        format!("tile/{}/{}", self.level, place(self.index, self.width))
    }

    /// Reads a path, which has to be exactly as [`TileId::path`] writes it.
    pub fn parse_path(path: &str) -> Option<Self> {
        let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let (index, width) = parse_place(rest)?;
        let level = u8::try_from(decimal(level)?).ok()?;
        let id = Self {
            level,
            index,
            width,
        };
        // A level with leading zeros fails here.
        (level <= LEVEL_MAX && id.path() == path).then_some(id)
    }

    /// The positions of its hashes within their level; `None` where no tree reaches so far.
    pub fn positions(&self) -> Option<std::ops::Range<u64>> {
        positions(self.index, self.width)
    }

    /// Whether a tree of `size` leaves has all of its hashes.
    pub fn is_within(&self, size: u64) -> bool {
        let count = size.checked_shr(HEIGHT * u32::from(self.level));
        let positions = self.positions().zip(count);
        positions.is_some_and(|(positions, count)| positions.end <= count)
    }
}

/// Names an entry bundle: up to 256 neighbouring entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleId {
    /// Position: the bundle begins at entry 256 × index.
    pub index: u64,
    /// The number of entries, 1 to 256.
    pub width: u16,
}

impl BundleId {
    /// The path of C2SP tlog-tiles, such as `tile/entries/x001/x234/067.p/3`.
    pub fn path(&self) -> String {
        format!("tile/entries/{}", place(self.index, self.width))
    }

    /// Reads a path, which has to be exactly as [`BundleId::path`] writes it.
    pub fn parse_path(path: &str) -> Option<Self> {
        let (index, width) = parse_place(path.strip_prefix("tile/entries/")?)?;
        Some(Self { index, width })
    }

    /// The indices of its entries; `None` where no log reaches so far.
    pub fn entries(&self) -> Option<std::ops::Range<u64>> {
        positions(self.index, self.width)
    }

    /// Whether a log of `size` entries has all of them.
    pub fn is_within(&self, size: u64) -> bool {
        self.entries().is_some_and(|entries| entries.end <= size)
    }
}

fn positions(index: u64, width: u16) -> Option<std::ops::Range<u64>> {
    let start = index.checked_mul(TILE_WIDTH)?;
    Some(start..start.checked_add(u64::from(width))?)
}

/// `<N>[.p/<W>]`
fn place(index: u64, width: u16) -> String {
    let mut path = format!("{:03}", index % 1_000);
    let mut rest = index / 1_000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1_000);
        rest /= 1_000;
    }
    if width != TILE_WIDTH as u16 {
        path.push_str(&format!(".p/{width}"));
    }
    path
}

/// Reads `<N>[.p/<W>]`, which has to be exactly as [`place`] writes it.
fn parse_place(text: &str) -> Option<(u64, u16)> {
    let (index, width) = match text.split_once(".p/") {
        Some((index, width)) => (index, decimal(width)?),
        None => (text, TILE_WIDTH),
    };
    let mut value: u64 = 0;
    let groups = index.split('/').count();
    for (at, group) in index.split('/').enumerate() {
        let digits = if at + 1 == groups {
            Some(group)
        } else {
            group.strip_prefix('x')
        }?;
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        value = value
            .checked_mul(1_000)?
            .checked_add(digits.parse().ok()?)?;
    }
    let width = u16::try_from(width).ok()?;
    // Leading zero groups, a width with leading zeros or out of range and `.p/256` all fail here.
    let legal = (1..=TILE_WIDTH as u16).contains(&width) && place(value, width) == text;
    legal.then_some((value, width))
}

fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Where hashes come from.
pub trait Tiles {
    /// The hashes of a tile; `None` if it is not there.
    fn tile(&self, id: TileId) -> Option<&[Hash]>;
}

impl<S: BuildHasher> Tiles for HashMap<TileId, Vec<Hash>, S> {
    fn tile(&self, id: TileId) -> Option<&[Hash]> {
        self.get(&id).map(Vec::as_slice)
    }
}

impl Tiles for BTreeMap<TileId, Vec<Hash>> {
    fn tile(&self, id: TileId) -> Option<&[Hash]> {
        self.get(&id).map(Vec::as_slice)
    }
}

/// The root of a full tile; `None` unless there are 256 hashes.
pub fn tile_root(hashes: &[Hash]) -> Option<Hash> {
    (hashes.len() as u64 == TILE_WIDTH).then(|| perfect_root(hashes))
}

/// The root over a number of hashes that is a power of two.
fn perfect_root(hashes: &[Hash]) -> Hash {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row
            .chunks_exact(2)
            .map(|pair| node_hash(&pair[0], &pair[1]))
            .collect();
    }
    row[0]
}

/// A full subtree: its height above the leaves and its position at that height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subtree {
    level: u32,
    index: u64,
}

/// The full subtrees that make up the leaves `start..end`, from the left. `start` is a
/// multiple of the largest of them, as it is for every range that RFC 6962 names.
pub(crate) fn subtrees(start: u64, end: u64) -> Vec<Subtree> {
    let mut parts = Vec::new();
    let mut at = start;
    while at < end {
        let level = (end - at).ilog2().min(at.trailing_zeros());
        parts.push(Subtree {
            level,
            index: at >> level,
        });
        at += 1 << level;
    }
    parts
}

impl Subtree {
    /// The tile that holds the hashes at or just below this height, and which of them.
    pub(crate) fn place(self, size: u64) -> Option<(TileId, std::ops::Range<usize>)> {
        let level = u8::try_from(self.level / HEIGHT).ok()?;
        let spread = self.level % HEIGHT;
        let first = self.index << spread;
        let id = TileId::holding(size, level, first)?;
        let start = (first % TILE_WIDTH) as usize;
        Some((id, start..start + (1 << spread)))
    }

    fn hash(self, size: u64, tiles: &dyn Tiles) -> Result<Hash, ProofError> {
        let (id, range) = self.place(size).ok_or(ProofError::OutOfRange)?;
        let hashes = tiles.tile(id).and_then(|tile| tile.get(range));
        hashes.map(perfect_root).ok_or(ProofError::MissingTile(id))
    }
}

/// The Merkle tree hash of the leaves `start..end` of a tree of `size` leaves.
pub(crate) fn range_hash(
    start: u64,
    end: u64,
    size: u64,
    tiles: &dyn Tiles,
) -> Result<Hash, ProofError> {
    let mut parts = subtrees(start, end).into_iter().rev();
    let last = parts.next().ok_or(ProofError::OutOfRange)?;
    parts.try_fold(last.hash(size, tiles)?, |right, left| {
        Ok(node_hash(&left.hash(size, tiles)?, &right))
    })
}

/// The tiles that hold what some ranges of leaves need, each once.
pub(crate) fn tiles_of(ranges: &[(u64, u64)], size: u64) -> Vec<TileId> {
    let mut ids: Vec<TileId> = ranges
        .iter()
        .flat_map(|(start, end)| subtrees(*start, *end))
        .filter_map(|part| part.place(size).map(|(id, _)| id))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The tiles that [`edge_from_tiles`] needs.
pub fn right_edge_tiles(size: u64) -> Vec<TileId> {
    tiles_of(&[(0, size)], size)
}

/// The right edge of a tree from its tiles.
///
/// # Errors
/// If a tile is missing or too short.
pub fn edge_from_tiles(size: u64, tiles: &dyn Tiles) -> Result<Edge, ProofError> {
    let parts = subtrees(0, size);
    let hashes = parts
        .into_iter()
        .map(|part| part.hash(size, tiles))
        .collect::<Result<_, _>>()?;
    Edge::from_parts(size, hashes).map_err(|_| ProofError::OutOfRange)
}
