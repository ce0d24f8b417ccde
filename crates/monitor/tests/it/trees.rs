//! Tiles are believed once they are proven, from the root downwards.

use audittrail_merkle::{Hash, TileId, TreeHead};
use audittrail_monitor::{ProvenTree, TreeError, tile_hashes};

use crate::support::{head, leaves, only, tiles};

fn tree(log: &[Hash]) -> ProvenTree {
    let size = log.len() as u64;
    let edge = only(&tiles(log), &ProvenTree::edge_tiles(size));
    ProvenTree::new(head(log, size), edge).unwrap()
}

fn full(level: u8, index: u64) -> TileId {
    TileId {
        level,
        index,
        width: 256,
    }
}

/// Every tile of a log can be reached in the order of its leaves, with one full tile of each level
/// at hand.
#[test]
fn all_tiles_are_proven_one_after_the_other() {
    for size in [0, 1, 255, 256, 257, 512, 700, 65_536, 65_537, 66_200] {
        let log = leaves(size, size);
        let (all, mut tree) = (tiles(&log), tree(&log));
        let mut proven: Vec<TileId> = tree.edge().map(|(id, _)| id).collect();
        for index in 0..size / 256 {
            let needs = tree.needs(full(0, index));
            assert_eq!(needs.last(), Some(&full(0, index)));
            for id in needs {
                tree.prove(id, all[&id].clone()).unwrap();
                proven.push(id);
            }
            assert!(tree.needs(full(0, index)).is_empty());
            assert_eq!(
                tree.tile(full(0, index)),
                Some(all[&full(0, index)].as_slice())
            );
        }
        proven.sort_unstable();
        assert_eq!(proven, all.keys().copied().collect::<Vec<_>>(), "{size}");
    }
}

#[test]
fn an_edge_that_does_not_give_the_root() {
    let log = leaves(700, 700);
    let (head, all) = (head(&log, 700), tiles(&log));
    let needed = ProvenTree::edge_tiles(700);
    for id in &needed {
        for place in 0..usize::from(id.width) {
            let mut edge = only(&all, &needed);
            edge.get_mut(id).unwrap()[place].0[31] ^= 0x80;
            assert_eq!(ProvenTree::new(head, edge).err(), Some(TreeError::Root));
        }
        let mut edge = only(&all, &needed);
        edge.remove(id);
        assert_eq!(ProvenTree::new(head, edge).err(), Some(TreeError::Root));
        // Hashes that no root covers.
        let mut edge = only(&all, &needed);
        edge.get_mut(id).unwrap().push(log[0]);
        assert_eq!(ProvenTree::new(head, edge).err(), Some(TreeError::Root));
    }
    let other = TreeHead { size: 701, ..head };
    assert!(ProvenTree::new(other, only(&all, &needed)).is_err());
}

#[test]
fn a_tile_that_is_not_in_the_tree() {
    let log = leaves(66_200, 66_200);
    let (all, mut tree) = (tiles(&log), tree(&log));
    let (id, above) = (full(0, 3), full(1, 0));
    // Nothing above it is proven yet.
    assert_eq!(
        tree.prove(id, all[&id].clone()),
        Err(TreeError::Unknown(id))
    );
    tree.prove(above, all[&above].clone()).unwrap();
    for place in 0..256 {
        let mut hashes = all[&id].clone();
        hashes[place].0[0] ^= 1;
        assert_eq!(tree.prove(id, hashes), Err(TreeError::Tile(id)));
    }
    let mut short = all[&id].clone();
    short.pop();
    for wrong in [vec![], short, all[&full(0, 4)].clone()] {
        assert_eq!(tree.prove(id, wrong), Err(TreeError::Tile(id)));
    }
    assert_eq!(tree.tile(id), None);
    // Tiles that such a tree does not have.
    for none in [
        full(0, 258),
        full(63, 0),
        full(0, u64::MAX),
        TileId { width: 9, ..id },
    ] {
        assert_eq!(
            tree.prove(none, all[&id].clone()),
            Err(TreeError::Tile(none))
        );
    }
    tree.prove(id, all[&id].clone()).unwrap();
}

#[test]
fn tiles_have_exactly_their_hashes() {
    let bytes: Vec<u8> = (0..64).collect();
    assert_eq!(tile_hashes(&bytes, 2).unwrap().len(), 2);
    for (length, width) in [(64, 1), (64, 3), (63, 2), (33, 1), (0, 1)] {
        assert_eq!(
            tile_hashes(&bytes[..length], width),
            None,
            "{length} {width}"
        );
    }
}
