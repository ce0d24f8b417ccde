//! What is not the proof is refused.

use audittrail_merkle::{EMPTY_ROOT, Hash, ProofError, verify_consistency, verify_inclusion};

use crate::oracle;
use crate::support::{data, leaf_hashes};
use crate::verifier::{consistency_roots, inclusion_root};

const SIZE_MAX: usize = 17;

fn flipped(hash: &Hash, bit: usize) -> Hash {
    let mut hash = *hash;
    hash.0[bit / 8] ^= 1 << (bit % 8);
    hash
}

/// The proof with one hash more or less.
fn other_lengths(proof: &[Hash], extra: &[Hash]) -> Vec<Vec<Hash>> {
    let mut others = Vec::new();
    for at in 0..proof.len() {
        let mut shorter = proof.to_vec();
        shorter.remove(at);
        others.push(shorter);
    }
    for at in 0..=proof.len() {
        for hash in extra {
            let mut longer = proof.to_vec();
            longer.insert(at, *hash);
            others.push(longer);
        }
    }
    others
}

/// The proof with one bit changed, for every bit, or with two hashes changing places.
fn other_hashes(proof: &[Hash]) -> Vec<Vec<Hash>> {
    let mut others = Vec::new();
    for at in 0..proof.len() {
        for bit in 0..256 {
            let mut other = proof.to_vec();
            other[at] = flipped(&other[at], bit);
            others.push(other);
        }
        for with in 0..at {
            let mut other = proof.to_vec();
            other.swap(at, with);
            others.push(other);
        }
    }
    others
}

#[test]
fn tampered_inclusion_proofs_are_refused() {
    let data = data(SIZE_MAX);
    let leaves = leaf_hashes(&data);
    for n in 1..=SIZE_MAX {
        let root = oracle::mth(&data[..n]);
        for (m, leaf) in leaves.iter().enumerate().take(n) {
            let (index, size) = (m as u64, n as u64);
            let proof = oracle::path(m, &data[..n]);
            let check = |leaf: &Hash, proof: &[Hash], root: &Hash| {
                verify_inclusion(index, size, leaf, proof, root)
            };
            assert_eq!(check(leaf, &proof, &root), Ok(()));
            for other in other_hashes(&proof) {
                assert_eq!(check(leaf, &other, &root), Err(ProofError::Root));
            }
            for other in other_lengths(&proof, &[*leaf, root, EMPTY_ROOT]) {
                assert_eq!(check(leaf, &other, &root), Err(ProofError::Length));
            }
            for bit in 0..256 {
                assert_eq!(
                    check(&flipped(leaf, bit), &proof, &root),
                    Err(ProofError::Root)
                );
                assert_eq!(
                    check(leaf, &proof, &flipped(&root, bit)),
                    Err(ProofError::Root)
                );
            }
        }
    }
}

#[test]
fn tampered_consistency_proofs_are_refused() {
    let data = data(SIZE_MAX);
    for n in 1..=SIZE_MAX {
        let new = oracle::mth(&data[..n]);
        for m in 1..=n {
            let old = oracle::mth(&data[..m]);
            let (from, to) = (m as u64, n as u64);
            let proof = oracle::proof(m, &data[..n]);
            let check = |old: &Hash, proof: &[Hash], new: &Hash| {
                verify_consistency(from, to, proof, old, new)
            };
            assert_eq!(check(&old, &proof, &new), Ok(()));
            for other in other_hashes(&proof) {
                assert_eq!(check(&old, &other, &new), Err(ProofError::Root));
            }
            for other in other_lengths(&proof, &[old, new, EMPTY_ROOT]) {
                assert_eq!(check(&old, &other, &new), Err(ProofError::Length));
            }
            for bit in 0..256 {
                assert_eq!(
                    check(&flipped(&old, bit), &proof, &new),
                    Err(ProofError::Root)
                );
                assert_eq!(
                    check(&old, &proof, &flipped(&new, bit)),
                    Err(ProofError::Root)
                );
            }
            if m != n {
                assert_eq!(check(&new, &proof, &old), Err(ProofError::Root));
            }
        }
    }
}

#[test]
fn proof_for_another_index_is_refused() {
    let data = data(70);
    let leaves = leaf_hashes(&data);
    for n in 1..=70 {
        let root = oracle::mth(&data[..n]);
        for (m, leaf) in leaves.iter().enumerate().take(n) {
            let proof = oracle::path(m, &data[..n]);
            for other in (0..n as u64 + 3).filter(|other| *other != m as u64) {
                let verdict = verify_inclusion(other, n as u64, leaf, &proof, &root);
                assert!(verdict.is_err(), "index {m} passes as {other} of {n}");
            }
        }
    }
}

/// Of a tree of the same size, so that nothing but the hashes gives it away.
#[test]
fn a_proof_of_another_tree_is_refused() {
    let both = data(2 * SIZE_MAX);
    let (data, others) = both.split_at(SIZE_MAX);
    let leaves = leaf_hashes(data);
    for n in 2..=SIZE_MAX {
        let (root, there) = (oracle::mth(&data[..n]), &others[..n]);
        let other_root = oracle::mth(there);
        for (m, leaf) in leaves.iter().enumerate().take(n) {
            let (index, size, proof) = (m as u64, n as u64, oracle::path(m, there));
            let own = oracle::path(m, &data[..n]);
            let foreign = verify_inclusion(index, size, leaf, &proof, &root);
            assert_eq!(foreign, Err(ProofError::Root));
            let elsewhere = verify_inclusion(index, size, leaf, &own, &other_root);
            assert_eq!(elsewhere, Err(ProofError::Root));
        }
        for m in 1..n {
            let (from, to, proof) = (m as u64, n as u64, oracle::proof(m, there));
            let old = oracle::mth(&data[..m]);
            let foreign = verify_consistency(from, to, &proof, &old, &root);
            assert_eq!(foreign, Err(ProofError::Root));
            let own = oracle::proof(m, &data[..n]);
            let elsewhere = verify_consistency(from, to, &own, &old, &other_root);
            assert_eq!(elsewhere, Err(ProofError::Root));
        }
    }
}

/// A root says nothing about the size of its tree: the first of three leaves has the same proof
/// as the first of four, the third leaf taken for a node. So another size is refused only where
/// it gives another path, and who verifies takes size and root from one signed checkpoint.
/// What passes has to be what the other verifier passes.
#[test]
fn another_size_is_refused_wherever_it_changes_the_path() {
    const N: usize = 24;
    let data = data(N);
    let leaves = leaf_hashes(&data);
    let (mut accepted, mut refused) = (0, 0);
    for n in 1..=N {
        let root = oracle::mth(&data[..n]);
        for (m, leaf) in leaves.iter().enumerate().take(n) {
            let proof = oracle::path(m, &data[..n]);
            for size in 0..=70 {
                for index in 0..=size {
                    let expected = inclusion_root(index, size, leaf, &proof) == Some(root);
                    let verdict = verify_inclusion(index, size, leaf, &proof, &root);
                    assert_eq!(verdict.is_ok(), expected, "{m} of {n} as {index} of {size}");
                    *if expected {
                        &mut accepted
                    } else {
                        &mut refused
                    } += 1;
                }
            }
        }
    }
    assert!(
        accepted >= N * (N + 1) / 2 && refused > accepted,
        "{accepted}, {refused}"
    );
}

#[test]
fn consistency_between_other_sizes_is_refused_wherever_it_changes_the_path() {
    const N: usize = 24;
    let data = data(N);
    let (mut accepted, mut refused) = (0, 0);
    for n in 1..=N {
        let new = oracle::mth(&data[..n]);
        for m in 1..=n {
            let old = oracle::mth(&data[..m]);
            let proof = oracle::proof(m, &data[..n]);
            for to in 0..=70 {
                for from in 0..=to + 1 {
                    let roots = consistency_roots(from, to, &old, &proof);
                    let expected = roots == Some((old, new));
                    let verdict = verify_consistency(from, to, &proof, &old, &new);
                    assert_eq!(verdict.is_ok(), expected, "{m} to {n} as {from} to {to}");
                    *if expected {
                        &mut accepted
                    } else {
                        &mut refused
                    } += 1;
                }
            }
        }
    }
    assert!(
        accepted >= N * (N + 1) / 2 && refused > accepted,
        "{accepted}, {refused}"
    );
}

#[test]
fn equal_sizes_need_equal_roots_and_no_proof() {
    let (one, other) = (leaf_hashes(&data(2))[0], leaf_hashes(&data(2))[1]);
    for size in [1, 2, 3, 1 << 40, u64::MAX] {
        assert_eq!(verify_consistency(size, size, &[], &one, &one), Ok(()));
        assert_eq!(
            verify_consistency(size, size, &[], &one, &other),
            Err(ProofError::Root)
        );
        assert_eq!(
            verify_consistency(size, size, &[one], &one, &one),
            Err(ProofError::Length)
        );
    }
}
