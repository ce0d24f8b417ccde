//! Against two other implementations: `ct-merkle`, and `tlog_tiles`, a port of Go's own.

use std::collections::BTreeMap;

use audittrail_merkle::{
    Hash, TileId, consistency_proof, edge_from_tiles, inclusion_proof, leaf_hash, node_hash,
    verify_consistency, verify_inclusion,
};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use proptest::prelude::*;
use sha2::Sha256;
use tlog_tiles::{HashReader as _, Tile, TileHashReader, TileReader};

use crate::support::{data, edge, leaf_hashes, tiles};

/// Around each power of two and each border of a tile.
const SIZES: [usize; 20] = [
    1, 2, 3, 7, 8, 9, 64, 65, 100, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1000, 1025,
];

fn bytes(proof: &[Hash]) -> Vec<u8> {
    proof.iter().flat_map(|hash| hash.0).collect()
}

/// A few places in a tree, its ends among them.
fn places(size: usize) -> Vec<usize> {
    let mut places = vec![0, 1, size / 3, size / 2, size.saturating_sub(2), size - 1];
    places.retain(|place| *place < size);
    places.sort_unstable();
    places.dedup();
    places
}

#[test]
fn ct_merkle_has_the_same_trees() {
    let empty = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    assert_eq!(empty.root().as_bytes().as_slice(), edge(&[]).root().0);
    for size in SIZES {
        let data = data(size);
        let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        data.iter().for_each(|leaf| theirs.push(leaf.clone()));
        let leaves = leaf_hashes(&data);
        let (tiles, root) = (tiles(&leaves), edge(&leaves).root());
        assert_eq!(theirs.root().as_bytes().as_slice(), root.0);

        for at in places(size) {
            let (index, to) = (at as u64, size as u64);
            let proof = inclusion_proof(index, to, &tiles).unwrap();
            assert_eq!(theirs.prove_inclusion(at).as_bytes(), bytes(&proof));
            let their_root = RootHash::<Sha256>::new(root.0.into(), to);
            let passed = InclusionProof::from_bytes(bytes(&proof));
            their_root
                .verify_inclusion(&data[at], index, &passed)
                .unwrap();

            let from = index + 1;
            let old = edge(&leaves[..=at]).root();
            let proof = consistency_proof(from, to, &tiles).unwrap();
            let additions = size - (at + 1);
            assert_eq!(
                theirs.prove_consistency(additions).as_bytes(),
                bytes(&proof)
            );
            let passed = ConsistencyProof::try_from_bytes(bytes(&proof)).unwrap();
            let their_old = RootHash::<Sha256>::new(old.0.into(), from);
            their_root.verify_consistency(&their_old, &passed).unwrap();
        }
    }
}

/// `tlog_tiles`' storage: all nodes in the order in which they are completed.
struct Stored(Vec<tlog_tiles::Hash>);

impl tlog_tiles::HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        Ok(indexes
            .iter()
            .map(|index| self.0[*index as usize])
            .collect())
    }
}

fn stored(data: &[Vec<u8>]) -> Stored {
    let mut stored = Stored(Vec::new());
    for (at, leaf) in (0..).zip(data) {
        let hashes = tlog_tiles::stored_hashes(at, leaf, &stored).unwrap();
        stored.0.extend(hashes);
    }
    stored
}

fn theirs(hash: Hash) -> tlog_tiles::Hash {
    tlog_tiles::Hash(hash.0)
}

fn all_theirs(hashes: &[Hash]) -> Vec<tlog_tiles::Hash> {
    hashes.iter().copied().map(theirs).collect()
}

fn all_ours(hashes: &[tlog_tiles::Hash]) -> Vec<Hash> {
    hashes.iter().map(|hash| Hash(hash.0)).collect()
}

#[test]
fn tlog_tiles_has_the_same_trees() {
    assert_eq!(theirs(leaf_hash(b"leaf")), tlog_tiles::record_hash(b"leaf"));
    let (left, right) = (leaf_hash(b"left"), leaf_hash(b"right"));
    let their_node = tlog_tiles::node_hash(theirs(left), theirs(right));
    assert_eq!(theirs(node_hash(&left, &right)), their_node);
    for n in SIZES {
        let data = data(n);
        let stored = stored(&data);
        let leaves = leaf_hashes(&data);
        let (size, tiles, root) = (n as u64, tiles(&leaves), edge(&leaves).root());
        assert_eq!(tlog_tiles::tree_hash(size, &stored).unwrap(), theirs(root));
        for at in places(n) {
            let (index, leaf) = (at as u64, leaves[at]);
            let proof = inclusion_proof(index, size, &tiles).unwrap();
            let their_proof = tlog_tiles::prove_record(size, index, &stored).unwrap();
            assert_eq!(proof, all_ours(&their_proof));
            tlog_tiles::check_record(&their_proof, size, theirs(root), index, theirs(leaf))
                .unwrap();

            let from = index + 1;
            let old = edge(&leaves[..=at]).root();
            let proof = consistency_proof(from, size, &tiles).unwrap();
            let their_proof = tlog_tiles::prove_tree(size, from, &stored).unwrap();
            assert_eq!(proof, all_ours(&their_proof));
            tlog_tiles::check_tree(&their_proof, size, theirs(root), from, theirs(old)).unwrap();
        }
    }
}

/// Our tiles, served to their client, which checks all it reads against the root.
struct Served(BTreeMap<TileId, Vec<Hash>>);

fn ours(tile: &Tile) -> TileId {
    assert_eq!(tile.height(), 8);
    let width = u16::try_from(tile.width()).unwrap();
    TileId {
        level: tile.level(),
        index: tile.level_index(),
        width,
    }
}

impl TileReader for Served {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        Ok(tiles
            .iter()
            .map(|tile| bytes(&self.0[&ours(tile)]))
            .collect())
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

#[test]
fn tlog_tiles_reads_the_same_tiles() {
    for n in [1, 255, 256, 257, 1000, 65_536, 65_537, 66_000] {
        let leaves = leaf_hashes(&data(n));
        let size = n as u64;
        let served = Served(tiles(&leaves));

        // The same tiles have to be there, under the same names but for the height.
        let mut published: Vec<(TileId, String)> = Tile::new_tiles(8, 0, size)
            .iter()
            .map(|tile| (ours(tile), tile.path().replacen("tile/8/", "tile/", 1)))
            .collect();
        published.sort();
        let expected: Vec<_> = served.0.keys().map(|id| (*id, id.path())).collect();
        assert_eq!(published, expected);

        let root = edge_from_tiles(size, &served.0).unwrap().root();
        let reader = TileHashReader::new(size, theirs(root), &served);
        for at in places(n) {
            let index = tlog_tiles::stored_hash_index(0, at as u64);
            let hashes = reader.read_hashes(&[index]).unwrap();
            assert_eq!(all_ours(&hashes), [leaves[at]]);
            let proof = tlog_tiles::prove_record(size, at as u64, &reader).unwrap();
            let proof = all_ours(&proof);
            assert_eq!(
                verify_inclusion(at as u64, size, &leaves[at], &proof, &root),
                Ok(())
            );
            let proof = tlog_tiles::prove_tree(size, at as u64 + 1, &reader).unwrap();
            let old = edge(&leaves[..=at]).root();
            let verdict = verify_consistency(at as u64 + 1, size, &all_ours(&proof), &old, &root);
            assert_eq!(verdict, Ok(()));
        }
    }
}

/// Their parser panics where a level is above 63 or a width is 0; ours has to refuse there.
fn they_panic(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let level = parts.get(1).and_then(|level| level.parse::<u8>().ok());
    let width = parts.last().and_then(|width| width.parse::<u32>().ok());
    level.is_some_and(|level| level > 63) || (path.contains(".p/") && width == Some(0))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn proofs_pass_or_fail_as_with_tlog_tiles(
        n in 1..300_usize, size in 1..300_u64, index in 0..300_u64, at in any::<prop::sample::Index>(),
    ) {
        // A proof made for one place, checked for any.
        let leaves = leaf_hashes(&data(n));
        let at = at.index(n);
        let (tiles, root) = (tiles(&leaves), edge(&leaves).root());
        let proof = inclusion_proof(at as u64, n as u64, &tiles).unwrap();
        let (leaf, old) = (leaves[at], edge(&leaves[..=at]).root());
        let theirs_passes = tlog_tiles::check_record(
            &all_theirs(&proof), size, theirs(root), index, theirs(leaf),
        ).is_ok();
        prop_assert_eq!(verify_inclusion(index, size, &leaf, &proof, &root).is_ok(), theirs_passes);

        let proof = consistency_proof(at as u64 + 1, n as u64, &tiles).unwrap();
        let theirs_passes = tlog_tiles::check_tree(
            &all_theirs(&proof), size, theirs(root), index, theirs(old),
        ).is_ok();
        let verdict = verify_consistency(index, size, &proof, &old, &root);
        prop_assert_eq!(verdict.is_ok(), theirs_passes);
    }

    /// A path with one character put in, taken out or changed.
    #[test]
    fn paths_pass_or_fail_as_with_tlog_tiles(
        level in 0..64_u8, index: u64, shift in 0..64_u32, width in 1..=256_u16,
        at in any::<prop::sample::Index>(), new in prop::sample::select(b"0123456789x/.p+-".to_vec()),
        change in 0..4_u8,
    ) {
        let mut path = TileId { level, index: index >> shift, width }.path().into_bytes();
        let at = "tile/".len() + at.index(path.len() - "tile/".len());
        match change {
            0 => {}
            1 => path.insert(at, new),
            2 => { path.remove(at); }
            _ => path[at] = new,
        }
        let path = String::from_utf8(path).unwrap();
        let our_id = TileId::parse_path(&path);
        if they_panic(&path) {
            prop_assert_eq!(our_id, None, "{}", path);
        } else {
            // "data" stands where a level does; no change of one character writes it.
            let tile = Tile::from_path(&path.replacen("tile/", "tile/8/", 1)).ok();
            prop_assert_eq!(our_id, tile.map(|tile| ours(&tile)), "{}", path);
        }
    }
}
