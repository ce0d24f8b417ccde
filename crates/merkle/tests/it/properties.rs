//! Random sizes up to 1,500, random leaves.

use audittrail_merkle::{
    Edge, TileId, consistency_proof, consistency_tiles, edge_from_tiles, inclusion_proof,
    inclusion_tiles, leaf_hash, right_edge_tiles, verify_consistency, verify_inclusion,
};
use proptest::prelude::*;

use crate::oracle;
use crate::support::{edge, leaf_hashes, only, tiles};

fn leaves(sizes: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), sizes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn trees_are_those_of_the_oracle(
        data in leaves(1..=1500),
        one in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
    ) {
        let (n, index, from) = (data.len(), one.index(data.len()), other.index(data.len()) + 1);
        let hashes = leaf_hashes(&data);
        let tiles = tiles(&hashes);
        let size = n as u64;
        let root = oracle::mth(&data);
        let old = oracle::mth(&data[..from]);

        let edge = edge(&hashes);
        prop_assert_eq!(edge.root(), root);
        let needed = only(&tiles, &right_edge_tiles(size));
        prop_assert_eq!(edge_from_tiles(size, &needed), Ok(edge));

        let needed = only(&tiles, &inclusion_tiles(index as u64, size).unwrap());
        let proof = inclusion_proof(index as u64, size, &needed).unwrap();
        prop_assert_eq!(&proof, &oracle::path(index, &data));
        let leaf = leaf_hash(&data[index]);
        prop_assert_eq!(verify_inclusion(index as u64, size, &leaf, &proof, &root), Ok(()));

        let needed = only(&tiles, &consistency_tiles(from as u64, size).unwrap());
        let proof = consistency_proof(from as u64, size, &needed).unwrap();
        prop_assert_eq!(&proof, &oracle::proof(from, &data));
        prop_assert_eq!(verify_consistency(from as u64, size, &proof, &old, &root), Ok(()));
    }

    /// Any change of one leaf, and any leaf more, is another root.
    #[test]
    fn roots_commit_to_every_leaf(
        data in leaves(1..=200),
        at in any::<prop::sample::Index>(),
    ) {
        let root = edge(&leaf_hashes(&data)).root();
        let mut changed = data.clone();
        let changed_leaf = &mut changed[at.index(data.len())];
        changed_leaf.push(0);
        prop_assert_ne!(edge(&leaf_hashes(&changed)).root(), root);
        let mut longer = data.clone();
        longer.push(Vec::new());
        prop_assert_ne!(edge(&leaf_hashes(&longer)).root(), root);
    }

    #[test]
    fn tile_paths_are_read_back(level in 0..64_u8, index: u64, shift in 0..64_u32, width in 1..=256_u16) {
        let id = TileId { level, index: index >> shift, width };
        prop_assert_eq!(TileId::parse_path(&id.path()), Some(id));
    }

    /// No text makes the parser panic, and nothing has two paths.
    #[test]
    fn path_that_is_read_is_the_one_that_is_written(path in "tile/[0-9]{1,2}/(x[0-9]{3}/){0,3}[0-9x.p/+]{0,9}") {
        if let Some(id) = TileId::parse_path(&path) {
            prop_assert_eq!(id.path(), path);
        }
    }

    #[test]
    fn edge_needs_no_more_than_its_parts(size: u64, shift in 0..64_u32) {
        let size = size >> shift;
        let hashes = vec![leaf_hash(b""); size.count_ones() as usize];
        let edge = Edge::from_parts(size, hashes).unwrap();
        prop_assert_eq!(edge.size(), size);
        // A tile holds the hashes of eight heights: never more than eight tiles are fetched.
        prop_assert!(right_edge_tiles(size).len() <= 8);
    }
}
