//! The tree as RFC 6962 section 2.1 defines it, as literally as Rust allows: recursive, slow,
//! over all the leaves. It shares nothing with the crate but the type of a hash.

use audittrail_merkle::Hash;
use sha2::{Digest as _, Sha256};

/// The inputs `D[0:n]`.
pub(crate) type Data = [Vec<u8>];

fn sha256(parts: &[&[u8]]) -> Hash {
    Hash(Sha256::digest(parts.concat()).into())
}

/// "k be the largest power of two smaller than n (i.e., k < n <= 2k)"
fn k(n: usize) -> usize {
    let mut k = 1;
    while 2 * k < n {
        k *= 2;
    }
    assert!(k < n && n <= 2 * k);
    k
}

/// MTH(D[n]), section 2.1.
pub(crate) fn mth(data: &Data) -> Hash {
    match data {
        [] => sha256(&[]),
        [one] => sha256(&[&[0x00], one]),
        _ => {
            let (left, right) = data.split_at(k(data.len()));
            sha256(&[&[0x01], &mth(left).0, &mth(right).0])
        }
    }
}

/// PATH(m, D[n]), section 2.1.1.
pub(crate) fn path(m: usize, data: &Data) -> Vec<Hash> {
    if data.len() == 1 {
        return vec![];
    }
    let k = k(data.len());
    let (left, right) = data.split_at(k);
    if m < k {
        [path(m, left), vec![mth(right)]].concat()
    } else {
        [path(m - k, right), vec![mth(left)]].concat()
    }
}

/// PROOF(m, D[n]), section 2.1.2. The RFC has it for 0 < m < n; `SUBPROOF(n, D[n], true)` makes
/// it empty for m = n.
pub(crate) fn proof(m: usize, data: &Data) -> Vec<Hash> {
    subproof(m, data, true)
}

fn subproof(m: usize, data: &Data, b: bool) -> Vec<Hash> {
    if m == data.len() {
        return if b { vec![] } else { vec![mth(data)] };
    }
    let k = k(data.len());
    let (left, right) = data.split_at(k);
    if m <= k {
        [subproof(m, left, b), vec![mth(right)]].concat()
    } else {
        [subproof(m - k, right, false), vec![mth(left)]].concat()
    }
}

#[test]
fn oracle_gives_the_root_of_the_eight_standard_leaves() {
    // The inputs that certificate transparency's own tests use, and their root.
    let leaves: [&[u8]; 8] = [
        &[],
        &[0x00],
        &[0x10],
        &[0x20, 0x21],
        &[0x30, 0x31],
        &[0x40, 0x41, 0x42, 0x43],
        &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        &[
            0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d,
            0x6e, 0x6f,
        ],
    ];
    let data = leaves.map(<[u8]>::to_vec);
    assert_eq!(
        mth(&data).to_string(),
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    );
    let mut edge = audittrail_merkle::Edge::new();
    for leaf in &data {
        edge.push(audittrail_merkle::leaf_hash(leaf));
    }
    assert_eq!(edge.root(), mth(&data));
}
