//! Inclusion proofs of several leaves in index order, each without what those before it have
//! shown already.

use crate::{Hash, ProofError, TreeHead, node_hash};

/// Why a proof in a chain does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The tree has no leaf of that index.
    #[error("the tree has {0} leaves")]
    OutOfRange(u64),
    /// It is not above the index of the leaf that was proven last.
    #[error("the index is not above those before it")]
    Order,
    /// It builds on the proof of a leaf that did not hold.
    #[error("its proof builds on that of entry {0}, which does not hold")]
    After(u64),
    /// The number of hashes does not fit.
    #[error("the proof has {given} hashes, {needed} are needed")]
    Length {
        /// So many there are.
        given: usize,
        /// So many lead to what is known.
        needed: usize,
    },
    /// The hashes do not give the one that is known.
    #[error("leaf and proof do not give the root of the tree")]
    Root,
}

/// A subtree to the right of the last proven leaf; its hash was proven with that leaf.
#[derive(Debug, Clone)]
struct Known {
    start: u64,
    end: u64,
    hash: Hash,
    /// The first leaf within whose proof did not hold.
    failed: Option<u64>,
}

/// One step on the way from a subtree's root to a leaf: the child that is not taken.
struct Step {
    range: (u64, u64),
    /// It lies to the left of the leaf.
    is_left: bool,
}

/// Proves leaves of one tree in index order.
///
/// The proof of a leaf runs from the leaf towards the root and ends where the subtree's hash is
/// known from the leaf proven before: at the child of the lowest node that is above both. The
/// first proof is thus a whole one of RFC 6962. What is kept is at most 64 hashes.
#[derive(Debug, Clone)]
pub struct ProofChain {
    size: u64,
    /// These make up all leaves above the last proven one; the nearest stands last.
    known: Vec<Known>,
}

/// The way down to a leaf, from the top.
fn way_down(mut start: u64, mut end: u64, index: u64) -> Vec<Step> {
    let mut steps = Vec::new();
    while end - start > 1 {
        let middle = start + (1 << (end - start - 1).ilog2());
        let is_left = index >= middle;
        if is_left {
            let range = (start, middle);
            steps.push(Step { range, is_left });
            start = middle;
        } else {
            let range = (middle, end);
            steps.push(Step { range, is_left });
            end = middle;
        }
    }
    steps
}

impl ProofChain {
    /// Begins with nothing but the root.
    pub fn new(head: TreeHead) -> Self {
        let mut chain = Self {
            size: head.size,
            known: Vec::new(),
        };
        if head.size > 0 {
            chain.known.push(Known {
                start: 0,
                end: head.size,
                hash: head.root,
                failed: None,
            });
        }
        chain
    }

    /// The known subtree that holds a leaf.
    fn holding(&self, index: u64) -> Result<usize, ChainError> {
        if index >= self.size {
            return Err(ChainError::OutOfRange(self.size));
        }
        let holds = |known: &Known| known.start <= index && index < known.end;
        self.known.iter().rposition(holds).ok_or(ChainError::Order)
    }

    /// The ranges of leaves whose hashes are the next proof, from the leaf towards the root.
    ///
    /// # Errors
    /// If the index is not above those before it, or the tree has no such leaf.
    pub fn ranges(&self, index: u64) -> Result<Vec<(u64, u64)>, ProofError> {
        let at = self.holding(index).map_err(|_| ProofError::OutOfRange)?;
        let Known { start, end, .. } = self.known[at];
        let steps = way_down(start, end, index);
        Ok(steps.into_iter().rev().map(|step| step.range).collect())
    }

    /// Checks the proof of the next leaf.
    ///
    /// # Errors
    /// If it does not hold. Later leaves can still be proven where their proofs do not build on
    /// this one.
    pub fn take(&mut self, index: u64, leaf: &Hash, proof: &[Hash]) -> Result<(), ChainError> {
        let at = self.holding(index)?;
        let known = &mut self.known[at];
        let steps = way_down(known.start, known.end, index);
        if let Err(error) = check(&steps, leaf, proof, &known.hash) {
            // A proof that builds on one that is missing is shorter.
            let after = known.failed.filter(|_| proof.len() < steps.len());
            known.failed.get_or_insert(index);
            return Err(after.map_or(error, ChainError::After));
        }
        self.known.truncate(at);
        let below = steps.iter().zip(proof.iter().rev());
        let right = below.filter(|(step, _)| !step.is_left);
        self.known.extend(right.map(|(step, hash)| Known {
            start: step.range.0,
            end: step.range.1,
            hash: *hash,
            failed: None,
        }));
        Ok(())
    }
}

fn check(steps: &[Step], leaf: &Hash, proof: &[Hash], root: &Hash) -> Result<(), ChainError> {
    if steps.len() != proof.len() {
        return Err(ChainError::Length {
            given: proof.len(),
            needed: steps.len(),
        });
    }
    let mut hash = *leaf;
    for (step, sibling) in steps.iter().rev().zip(proof) {
        hash = if step.is_left {
            node_hash(sibling, &hash)
        } else {
            node_hash(&hash, sibling)
        };
    }
    if hash == *root {
        Ok(())
    } else {
        Err(ChainError::Root)
    }
}
