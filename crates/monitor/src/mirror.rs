//! What a directory needs to be a log that any tlog client can read.

use audittrail_merkle::{TILE_WIDTH, TileId, right_edge_tiles};

/// The directories of partial tiles and bundles, such as `tile/0/000.p`, that a log which grew
/// from one size to another needs no more, since the tile is full (C2SP tlog-tiles: clients then
/// ask for the full one). Partial ones of tiles that are still not full stay.
pub fn superseded(from: u64, to: u64) -> Vec<String> {
    let full = |id: &TileId| TileId {
        width: TILE_WIDTH as u16,
        ..*id
    };
    let partial = right_edge_tiles(from).into_iter();
    let gone = partial.filter(|id| id.width != TILE_WIDTH as u16 && full(id).is_within(to));
    gone.flat_map(|id| {
        let path = full(&id).path();
        let bundle = (id.level == 0).then(|| path.replacen("tile/0/", "tile/entries/", 1));
        [Some(path), bundle]
    })
    .flatten()
    .map(|path| format!("{path}.p"))
    .collect()
}
