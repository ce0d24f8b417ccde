//! A verifier that takes a proof apart from the root downwards, along the recursion of RFC 6962
//! section 2.1; the crate's goes upwards, along the bits of RFC 9162.

use audittrail_merkle::{Hash, node_hash};

fn k(n: u64) -> u64 {
    let mut k = 1;
    while 2 * k < n {
        k *= 2;
    }
    k
}

/// The root that PATH(m, D[n]) leads to; `None` if the proof's length is not that of m and n.
pub(crate) fn inclusion_root(m: u64, n: u64, leaf: &Hash, proof: &[Hash]) -> Option<Hash> {
    if m >= n {
        return None;
    }
    if n == 1 {
        return proof.is_empty().then_some(*leaf);
    }
    let (top, below) = proof.split_last()?;
    let k = k(n);
    Some(if m < k {
        node_hash(&inclusion_root(m, k, leaf, below)?, top)
    } else {
        node_hash(top, &inclusion_root(m - k, n - k, leaf, below)?)
    })
}

/// The old and the new root that PROOF(m, D[n]) leads to, given the old one.
pub(crate) fn consistency_roots(
    m: u64,
    n: u64,
    old: &Hash,
    proof: &[Hash],
) -> Option<(Hash, Hash)> {
    if m == 0 || m > n {
        None
    } else {
        subproof_roots(m, n, proof, Some(old))
    }
}

/// `old` is there for as long as SUBPROOF's flag is true.
fn subproof_roots(m: u64, n: u64, proof: &[Hash], old: Option<&Hash>) -> Option<(Hash, Hash)> {
    if m == n {
        return match (old, proof) {
            (Some(old), []) => Some((*old, *old)),
            (None, [own]) => Some((*own, *own)),
            _ => None,
        };
    }
    let (top, below) = proof.split_last()?;
    let k = k(n);
    if m <= k {
        let (left_old, left_new) = subproof_roots(m, k, below, old)?;
        Some((left_old, node_hash(&left_new, top)))
    } else {
        let (right_old, right_new) = subproof_roots(m - k, n - k, below, None)?;
        Some((node_hash(top, &right_old), node_hash(top, &right_new)))
    }
}
