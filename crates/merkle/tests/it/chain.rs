//! Proofs of several leaves that build on each other, against proofs that do not.

use audittrail_merkle::{
    ChainError, Hash, ProofChain, TileNodes, TreeHead, inclusion_proof, verify_inclusion,
};
use proptest::prelude::*;

use crate::support::{data, edge, leaf_hashes, tiles};

/// The proofs of these leaves, in order.
fn prove(leaves: &[Hash], head: TreeHead, indices: &[u64]) -> Vec<Vec<Hash>> {
    let tiles = tiles(leaves);
    let mut chain = ProofChain::new(head);
    let mut nodes = TileNodes::new(head.size);
    let proofs = indices.iter().map(|index| {
        let ranges = chain.ranges(*index).unwrap();
        nodes.forget_before(*index);
        for id in nodes.missing(&ranges) {
            nodes.insert(id, &tiles[&id]);
        }
        let proof: Vec<Hash> = ranges.iter().map(|at| nodes.hash(*at).unwrap()).collect();
        let leaf = leaves[usize::try_from(*index).unwrap()];
        assert_eq!(chain.take(*index, &leaf, &proof), Ok(()));
        proof
    });
    proofs.collect()
}

fn indices(chosen: &[prop::sample::Index], size: usize) -> Vec<u64> {
    let mut indices: Vec<u64> = chosen.iter().map(|one| one.index(size) as u64).collect();
    indices.sort_unstable();
    indices.dedup();
    indices
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Each is the beginning of the leaf's RFC 6962 proof; the first is all of it.
    #[test]
    fn any_selection_of_any_tree(
        size in 1_usize..1_500,
        chosen in proptest::collection::vec(any::<prop::sample::Index>(), 1..60),
    ) {
        let leaves = leaf_hashes(&data(size));
        let head = edge(&leaves).head();
        let indices = indices(&chosen, size);
        let tiles = tiles(&leaves);
        let proofs = prove(&leaves, head, &indices);
        for (at, (index, proof)) in indices.iter().zip(&proofs).enumerate() {
            let whole = inclusion_proof(*index, head.size, &tiles).unwrap();
            prop_assert_eq!(proof, &whole[..proof.len()]);
            if at == 0 {
                let leaf = leaves[usize::try_from(*index).unwrap()];
                prop_assert_eq!(proof, &whole);
                prop_assert_eq!(verify_inclusion(*index, head.size, &leaf, proof, &head.root), Ok(()));
            }
        }
    }

    /// A proof, leaf or index that is changed is refused, and so is a left out leaf where others
    /// build on it; what does not build on it still holds.
    #[test]
    fn whatever_is_changed_is_refused(
        size in 2_usize..600,
        chosen in proptest::collection::vec(any::<prop::sample::Index>(), 1..30),
        place in any::<prop::sample::Index>(),
        hash in any::<prop::sample::Index>(),
        change in 0..5,
    ) {
        let leaves = leaf_hashes(&data(size));
        let head = edge(&leaves).head();
        let indices = indices(&chosen, size);
        let proofs = prove(&leaves, head, &indices);
        let changed = place.index(indices.len());
        let mut chain = ProofChain::new(head);
        for at in 0..indices.len() {
            let (mut index, mut proof) = (indices[at], proofs[at].clone());
            let mut leaf = leaves[usize::try_from(index).unwrap()];
            if at == changed {
                let which = hash.index(proof.len().max(1));
                match change {
                    0 => leaf.0[7] ^= 1,
                    1 if !proof.is_empty() => proof[which].0[31] ^= 1,
                    2 if !proof.is_empty() => drop(proof.remove(which)),
                    3 => proof.insert(which, head.root),
                    4 => index = (index + 1) % head.size,
                    _ => leaf.0[0] ^= 0x80,
                }
            }
            let taken = chain.take(index, &leaf, &proof);
            if at == changed {
                prop_assert!(taken.is_err(), "{:?}", taken);
            } else if at < changed {
                prop_assert_eq!(taken, Ok(()));
            } else if let Err(error) = taken {
                // Under another index it may have failed in a place that others do not build on.
                let after = error == ChainError::After(indices[changed]);
                prop_assert!(after || change == 4, "{:?}", error);
            }
        }
    }
}

#[test]
fn a_run_of_neighbours_costs_one_hash_a_leaf() {
    let leaves = leaf_hashes(&data(1_000));
    let head = edge(&leaves).head();
    let all: Vec<u64> = (0..1_000).collect();
    let hashes: usize = prove(&leaves, head, &all).iter().map(Vec::len).sum();
    // Each of the 999 inner nodes is entered from the left once and needs its right child.
    assert_eq!(hashes, 999);
}

#[test]
fn what_is_out_of_order_or_range_is_refused() {
    let leaves = leaf_hashes(&data(9));
    let head = edge(&leaves).head();
    let proofs = prove(&leaves, head, &[3, 5]);
    let mut chain = ProofChain::new(head);
    assert_eq!(
        chain.take(9, &leaves[0], &[]),
        Err(ChainError::OutOfRange(9))
    );
    assert_eq!(chain.take(3, &leaves[3], &proofs[0]), Ok(()));
    assert_eq!(
        chain.take(3, &leaves[3], &proofs[0]),
        Err(ChainError::Order)
    );
    assert_eq!(chain.take(0, &leaves[0], &[]), Err(ChainError::Order));
    assert_eq!(chain.take(5, &leaves[5], &proofs[1]), Ok(()));
    let mut none = ProofChain::new(TreeHead::EMPTY);
    assert_eq!(
        none.take(0, &leaves[0], &[]),
        Err(ChainError::OutOfRange(0))
    );
}

/// Sizes at the end of what a number holds neither overflow nor take long.
#[test]
fn the_largest_tree_there_can_be() {
    let head = TreeHead {
        size: u64::MAX,
        root: Hash([7; 32]),
    };
    let mut chain = ProofChain::new(head);
    assert_eq!(chain.ranges(u64::MAX - 1).unwrap().len(), 63);
    assert_eq!(chain.ranges(0).unwrap().len(), 64);
    let taken = chain.take(u64::MAX - 1, &Hash([1; 32]), &[]);
    assert_eq!(
        taken,
        Err(ChainError::Length {
            given: 0,
            needed: 63
        })
    );
    assert_eq!(TileNodes::new(u64::MAX).missing(&[(0, 1)]).len(), 1);
}
