//! Tiles and their paths, C2SP tlog-tiles.

use std::collections::HashMap;

use audittrail_merkle::{
    BundleId, Hash, TILE_WIDTH, TileId, edge_from_tiles, leaf_hash, right_edge_tiles, tile_root,
};

use crate::oracle;
use crate::support::{data, edge, leaf_hashes, tiles};

fn id(level: u8, index: u64, width: u16) -> TileId {
    TileId {
        level,
        index,
        width,
    }
}

#[test]
fn tile_root_is_that_of_a_full_tile_only() {
    let data = data(257);
    let leaves = leaf_hashes(&data);
    assert_eq!(tile_root(&leaves[..256]), Some(oracle::mth(&data[..256])));
    for width in [0, 1, 2, 128, 255, 257] {
        assert_eq!(tile_root(&leaves[..width]), None, "width {width}");
    }
}

#[test]
fn paths_are_those_of_the_specification() {
    for (tile, path) in [
        (id(0, 0, 256), "tile/0/000"),
        (id(0, 0, 1), "tile/0/000.p/1"),
        (id(0, 67, 255), "tile/0/067.p/255"),
        (id(0, 999, 256), "tile/0/999"),
        (id(0, 1_000, 256), "tile/0/x001/000"),
        (id(0, 1_234_067, 256), "tile/0/x001/x234/067"),
        (id(3, 1_234_067, 9), "tile/3/x001/x234/067.p/9"),
        (id(15, 999_999, 256), "tile/15/x999/999"),
        (id(63, 1_000_000, 10), "tile/63/x001/x000/000.p/10"),
        (
            id(0, u64::MAX, 256),
            "tile/0/x018/x446/x744/x073/x709/x551/615",
        ),
    ] {
        assert_eq!(tile.path(), path);
        assert_eq!(TileId::parse_path(path), Some(tile), "{path}");
    }
}

#[test]
fn other_paths_are_refused() {
    for path in [
        "",
        "/",
        "tile",
        "tile/",
        "tile//",
        "tile/0",
        "tile/0/",
        "tile//000",
        "/tile/0/000",
        "tile/0/000/",
        "tiles/0/000",
        "Tile/0/000",
        "tile/0/000\n",
        " tile/0/000",
        // Level: 0 to 63, no leading zeros, no sign.
        "tile/00/000",
        "tile/01/000",
        "tile/64/000",
        "tile/255/000",
        "tile/256/000",
        "tile/18446744073709551616/000",
        "tile/-1/000",
        "tile/+1/000",
        "tile/x/000",
        "tile/\u{0661}/000",
        "tile/entries/000",
        "tile/data/000",
        // Index: groups of three digits, an x before all but the last, no leading zero groups.
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/1234",
        "tile/0/x000",
        "tile/0/x001",
        "tile/0/x000/001",
        "tile/0/x000/x001/001",
        "tile/0/001/002",
        "tile/0/x001/x002",
        "tile/0/X001/002",
        "tile/0/xx001/002",
        "tile/0/x01/002",
        "tile/0/x0001/002",
        "tile/0/x001//002",
        "tile/0/x001/",
        "tile/0/+01",
        "tile/0/-01",
        "tile/0/ 01",
        "tile/0/0x1",
        "tile/0/\u{0661}\u{0661}\u{0661}",
        "tile/0/1\u{e9}",
        "tile/0/..",
        "tile/0/../../checkpoint",
        // One more than the largest index, and many more.
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile/0/x001/x000/x000/x000/x000/x000/x000/000",
        // Width: 1 to 255.
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/00",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/257",
        "tile/0/000.p/65537",
        "tile/0/000.p/65792",
        "tile/0/000.p/18446744073709551617",
        "tile/0/000.p/+1",
        "tile/0/000.p/-1",
        "tile/0/000.p/1/",
        "tile/0/000.p/1.p/1",
        "tile/0/000.p/1/2",
        "tile/0/x001.p/1/000",
        "tile/0/000p/1",
        "tile/0/000.P/1",
    ] {
        assert_eq!(TileId::parse_path(path), None, "{path:?}");
    }
}

#[test]
fn tiles_of_the_right_edge_are_those_that_hold_it() {
    assert_eq!(right_edge_tiles(0), []);
    assert_eq!(right_edge_tiles(1), [id(0, 0, 1)]);
    assert_eq!(right_edge_tiles(255), [id(0, 0, 255)]);
    assert_eq!(right_edge_tiles(256), [id(1, 0, 1)]);
    assert_eq!(right_edge_tiles(257), [id(0, 1, 1), id(1, 0, 1)]);
    assert_eq!(
        right_edge_tiles(70_000),
        [id(0, 273, 112), id(1, 1, 17), id(2, 0, 1)]
    );
    // 256^2 leaves and a last one: the level between is empty, and has no tile.
    assert_eq!(right_edge_tiles(65_537), [id(0, 256, 1), id(2, 0, 1)]);
    assert_eq!(right_edge_tiles(1 << 63), [id(7, 0, 128)]);
    let all: Vec<_> = (0..8)
        .map(|level| id(level, (1 << (56 - 8 * level)) - 1, 255))
        .collect();
    assert_eq!(right_edge_tiles(u64::MAX), all);
}

/// What the writer of a log does: it keeps the nodes that stand a multiple of eight above the
/// leaves, and they have to fall into place as tiles.
#[test]
fn nodes_that_pushes_complete_make_the_tiles() {
    let leaves = leaf_hashes(&data(66_000));
    let mut rows: Vec<Vec<Hash>> = vec![Vec::new(); 3];
    let mut edge_pushed = audittrail_merkle::Edge::new();
    for leaf in &leaves {
        edge_pushed.push_with(*leaf, |height, index, hash| {
            if height % 8 == 0 {
                let row = &mut rows[usize::from(height / 8)];
                assert_eq!(row.len() as u64, index);
                row.push(hash);
            }
        });
    }
    let expected = tiles(&leaves);
    let mut made = HashMap::new();
    for (level, row) in (0..).zip(&rows) {
        for (index, hashes) in (0..).zip(row.chunks(TILE_WIDTH as usize)) {
            made.insert(id(level, index, hashes.len() as u16), hashes.to_vec());
        }
    }
    assert_eq!(made.len(), expected.len());
    assert!(
        expected
            .iter()
            .all(|(id, hashes)| made.get(id) == Some(hashes))
    );
    // The other kind of map serves as well.
    assert_eq!(edge_from_tiles(66_000, &made), Ok(edge(&leaves)));
}

#[test]
fn hash_is_written_in_hexadecimal() {
    let hash = leaf_hash(b"");
    let digits = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
    assert_eq!(hash.to_string(), digits);
    assert_eq!(format!("{hash:?}"), "6e340b9c…");
}

fn bundle(index: u64, width: u16) -> BundleId {
    BundleId { index, width }
}

#[test]
fn paths_of_bundles_are_those_of_the_specification() {
    for (id, path) in [
        (bundle(0, 256), "tile/entries/000"),
        (bundle(0, 1), "tile/entries/000.p/1"),
        (bundle(1_234_067, 256), "tile/entries/x001/x234/067"),
        (bundle(1_234_067, 255), "tile/entries/x001/x234/067.p/255"),
        (
            bundle(u64::MAX, 9),
            "tile/entries/x018/x446/x744/x073/x709/x551/615.p/9",
        ),
    ] {
        assert_eq!(id.path(), path);
        assert_eq!(BundleId::parse_path(path), Some(id), "{path}");
        assert_eq!(TileId::parse_path(path), None, "{path}");
    }
    for path in [
        "tile/0/000",
        "tile/entries",
        "tile/entries/",
        "/tile/entries/000",
        "tile/entries/000/",
        "tile/entries/00",
        "tile/entries/0000",
        "tile/entries/+00",
        "tile/entries/x000/001",
        "tile/entries/x001//001",
        "tile/entries/x018/x446/x744/x073/x709/x551/616",
        "tile/entries/000.p/0",
        "tile/entries/000.p/01",
        "tile/entries/000.p/256",
        "tile/entries/000.p/65537",
    ] {
        assert_eq!(BundleId::parse_path(path), None, "{path}");
    }
}

/// Where 64 bits end, too.
#[test]
fn what_a_tree_has() {
    for (tile, from) in [
        (id(0, 0, 1), 1),
        (id(0, 0, 256), 256),
        (id(0, 3, 7), 775),
        (id(1, 0, 1), 256),
        (id(1, 0, 256), 65_536),
        (id(2, 1, 2), 258 << 16),
        (id(7, 0, 255), 255 << 56),
    ] {
        assert!(tile.is_within(from) && tile.is_within(u64::MAX), "{tile:?}");
        assert!(!tile.is_within(from - 1) && !tile.is_within(0), "{tile:?}");
    }
    for never in [
        id(7, 0, 256),
        id(8, 0, 1),
        id(63, 0, 1),
        id(0, 1 << 56, 1),
        id(0, u64::MAX, 256),
        id(0, (1 << 56) - 1, 256),
    ] {
        assert!(!never.is_within(u64::MAX), "{never:?}");
    }
    assert_eq!(id(0, 3, 7).positions(), Some(768..775));
    assert_eq!(id(0, u64::MAX, 7).positions(), None);
    assert_eq!(bundle(3, 7).entries(), Some(768..775));
    assert!(bundle(3, 7).is_within(775) && !bundle(3, 7).is_within(774));
    assert!(!bundle(1 << 56, 1).is_within(u64::MAX));
}

/// Paths of both kinds, changed somewhere, are taken or refused as by another implementation.
#[test]
fn paths_pass_or_fail_as_with_others() {
    let mut compared = 0;
    for path in [
        "tile/0/000",
        "tile/3/x001/x234/067.p/9",
        "tile/63/x001/x000/000.p/255",
    ] {
        for at in 0..=path.len() {
            for new in "0159x./p+- e%".chars() {
                for kind in 0..3 {
                    let mut chars: Vec<char> = path.chars().collect();
                    match kind {
                        0 if at < chars.len() => chars[at] = new,
                        1 => chars.insert(at, new),
                        _ if at < chars.len() => drop(chars.remove(at)),
                        _ => continue,
                    }
                    let changed: String = chars.into_iter().collect();
                    let level = changed.split('/').nth(1);
                    let level: Option<u8> = level.and_then(|level| level.parse().ok());
                    let width = changed.rsplit_once(".p/").map(|(_, width)| width.parse());
                    if level.is_some_and(|level| level > 63) || width == Some(Ok(0_u32)) {
                        // They panic there.
                        assert_eq!(TileId::parse_path(&changed), None, "{changed}");
                        continue;
                    }
                    // Theirs have the height of a tile in their paths.
                    let theirs = changed.replacen("tile/", "tile/8/", 1);
                    let theirs = tlog_tiles::Tile::from_path(&theirs).ok();
                    let ours = TileId::parse_path(&changed);
                    assert_eq!(ours.is_some(), theirs.is_some(), "{changed}");
                    if let (Some(ours), Some(theirs)) = (ours, theirs) {
                        assert_eq!(ours.level, theirs.level(), "{changed}");
                        assert_eq!(ours.index, theirs.level_index(), "{changed}");
                        assert_eq!(u32::from(ours.width), theirs.width(), "{changed}");
                        compared += 1;
                    }
                }
            }
        }
    }
    assert!(compared > 50, "{compared}");
}
