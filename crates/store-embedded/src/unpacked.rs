//! Which closed segments are not worth packing, so that not every start tries them again.
//!
//! The file `unpacked` has a line `audittrail unpacked 1`, then one for each of them: the index of
//! its first record, a space, and how many bytes it has. It may be lost or wrong: a segment that is
//! not in it is tried once more, and one that is in it stays as it is, which is sound.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use crate::disk::{Disk, SyncPoint, read_file, replace_file};
use crate::layout::Layout;

const FIRST_LINE: &str = "audittrail unpacked 1";
/// Of more, the newest are remembered: the file stays small enough to be written anew each time.
const MOST: usize = 16_384;

/// Bytes by first index; read from the file when it is needed first.
#[derive(Default)]
pub(crate) struct Unpacked(Mutex<Option<BTreeMap<u64, u64>>>);

impl Unpacked {
    /// Whether a segment of that length was tried before.
    pub(crate) fn has(
        &self,
        disk: &dyn Disk,
        layout: &Layout,
        first_index: u64,
        bytes: u64,
    ) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_with(|| read(disk, layout));
        known.get(&first_index) == Some(&bytes)
    }

    /// Remembers a segment. Where that cannot be written, until the next start.
    pub(crate) fn add(&self, disk: &dyn Disk, layout: &Layout, first_index: u64, bytes: u64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_with(|| read(disk, layout));
        known.insert(first_index, bytes);
        while known.len() > MOST {
            known.pop_first();
        }
        let mut text = format!("{FIRST_LINE}\n");
        for (first_index, bytes) in known {
            let _ = writeln!(text, "{first_index} {bytes}");
        }
        let (content, name) = (SyncPoint::UnpackedFile, SyncPoint::UnpackedName);
        if let Err(error) = replace_file(disk, &layout.unpacked(), text.as_bytes(), content, name) {
            tracing::debug!(?error, "a segment will be tried again at the next start");
        }
    }
}

/// What the file says; nothing where it cannot be read.
fn read(disk: &dyn Disk, layout: &Layout) -> BTreeMap<u64, u64> {
    let text = match read_file(disk, &layout.unpacked()) {
        Ok(bytes) => String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default(),
        Err(error) => {
            tracing::debug!(%error, "which segments are not worth packing is not known");
            String::new()
        }
    };
    let mut lines = text.lines();
    if lines.next() != Some(FIRST_LINE) {
        return BTreeMap::new();
    }
    let row = |line: &str| {
        let (first_index, bytes) = line.split_once(' ')?;
        Some((first_index.parse().ok()?, bytes.parse().ok()?))
    };
    lines.filter_map(row).collect()
}
