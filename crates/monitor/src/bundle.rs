//! Entry bundles, C2SP tlog-tiles: `(length as two bytes, big-endian ‖ entry)*`.

use audittrail_merkle::{BundleId, Hash, leaf_hash};

/// The size of a bundle of 256 of the longest entries.
pub const BUNDLE_BYTES_MAX: usize = 256 * (2 + 65_535);

/// How a bundle differs from the tree. Indices are those of entries in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// It ends before its last entry does.
    #[error("it ends within entry {0}")]
    Cut(u64),
    /// An entry is not the one in the tree.
    #[error("entry {0} is not the one in the tree")]
    Entry(u64),
    /// Something follows its last entry.
    #[error("it goes on after its last entry, {0}")]
    Long(u64),
    /// No log has such a bundle, or it is compared with the hashes of another.
    #[error("there is no such bundle")]
    Place,
}

/// Takes the first entry off.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// Checks that the bundle has exactly the entries with these leaf hashes.
///
/// # Errors
/// The first difference.
pub fn check_bundle(id: BundleId, bytes: &[u8], hashes: &[Hash]) -> Result<(), BundleError> {
    let entries = id.entries().ok_or(BundleError::Place)?;
    if hashes.len() != usize::from(id.width) {
        return Err(BundleError::Place);
    }
    let (mut rest, last) = (bytes, entries.end.saturating_sub(1));
    for (index, hash) in entries.zip(hashes) {
        let (entry, others) = split(rest).ok_or(BundleError::Cut(index))?;
        if leaf_hash(entry) != *hash {
            return Err(BundleError::Entry(index));
        }
        rest = others;
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(BundleError::Long(last))
    }
}

/// The part of a bundle that has its first `width` entries; `None` if it has fewer.
pub fn first_entries(bytes: &[u8], width: u16) -> Option<&[u8]> {
    let mut rest = bytes;
    for _ in 0..width {
        rest = split(rest)?.1;
    }
    bytes.get(..bytes.len() - rest.len())
}
