//! The right edge: kept, taken up again, and rebuilt from tiles.

use audittrail_merkle::{Edge, Hash, ProofError, edge_from_tiles, right_edge_tiles};

use crate::oracle;
use crate::support::{data, edge, leaf_hashes, only, root, tiles};

#[test]
fn edge_holds_the_full_subtrees_the_largest_first() {
    let data = data(0b101_1010);
    let edge = edge(&leaf_hashes(&data));
    // 90 is 64 + 16 + 8 + 2.
    let parts = [&data[..64], &data[64..80], &data[80..88], &data[88..90]];
    assert_eq!(edge.hashes(), parts.map(oracle::mth));
    assert_eq!(edge.size(), 90);
}

#[test]
fn edge_that_was_kept_goes_on_as_before() {
    let leaves = leaf_hashes(&data(140));
    for stop in 0..=140 {
        let before = edge(&leaves[..stop]);
        let mut after = Edge::from_parts(stop as u64, before.hashes().to_vec()).unwrap();
        assert_eq!(after, before);
        leaves[stop..].iter().for_each(|leaf| after.push(*leaf));
        assert_eq!(after, edge(&leaves));
    }
}

#[test]
fn edge_with_the_wrong_number_of_hashes_is_refused() {
    let hash = leaf_hashes(&data(1))[0];
    for (size, hashes, legal) in [
        (0, 0, true),
        (0, 1, false),
        (1, 0, false),
        (1, 1, true),
        (1, 2, false),
        (0b1011, 2, false),
        (0b1011, 3, true),
        (0b1011, 4, false),
        (1 << 63, 1, true),
        (u64::MAX, 64, true),
        (u64::MAX, 63, false),
    ] {
        let edge = Edge::from_parts(size, vec![hash; hashes]);
        assert_eq!(edge.is_ok(), legal, "{hashes} hashes for size {size}");
    }
    let error = Edge::from_parts(0b1011, vec![hash]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the right edge of a tree of size 11 has 3 hashes, not 1"
    );
}

#[test]
fn push_reports_every_node_that_it_completes() {
    let leaves = leaf_hashes(&data(100));
    let mut edge = Edge::new();
    let mut all = 0;
    for (at, leaf) in leaves.iter().enumerate() {
        let mut completed = Vec::new();
        edge.push_with(*leaf, |level, index, hash| {
            completed.push((level, index, hash));
        });
        // A subtree of 2^level leaves is complete when its last leaf comes.
        let size = at as u64 + 1;
        let expected: Vec<(u8, u64, Hash)> = (0..=size.trailing_zeros())
            .map(|level| {
                let part = &leaves[size as usize - (1 << level)..size as usize];
                (level as u8, (size >> level) - 1, root(part.to_vec()))
            })
            .collect();
        assert_eq!(completed, expected, "leaf {at}");
        all += completed.len();
    }
    // 100 + 50 + 25 + 12 + 6 + 3 + 1
    assert_eq!(all, 197);
}

#[test]
fn edge_comes_back_from_its_tiles() {
    let leaves = leaf_hashes(&data(1030));
    for size in (0..=20)
        .chain(250..=270)
        .chain(505..=520)
        .chain(1020..=1030)
    {
        let edge = edge(&leaves[..size]);
        let all = tiles(&leaves[..size]);
        let size = size as u64;
        let ids = right_edge_tiles(size);
        let needed = only(&all, &ids);
        assert_eq!(edge_from_tiles(size, &needed), Ok(edge), "size {size}");
        for id in &ids {
            let mut without = needed.clone();
            without.remove(id);
            assert_eq!(
                edge_from_tiles(size, &without),
                Err(ProofError::MissingTile(*id))
            );
            let mut short = needed.clone();
            short.get_mut(id).unwrap().pop();
            assert_eq!(
                edge_from_tiles(size, &short),
                Err(ProofError::MissingTile(*id))
            );
        }
    }
}
