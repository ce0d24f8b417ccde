//! Ids that stand in the log more than once, found in two passes and bounded memory: the first
//! goes by a Bloom filter and suspects too many, the second counts those it suspects.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash as _, Hasher as _};
use std::io;

use audittrail_entry::OpenPart;
use uuid::Uuid;

use crate::fsck::{FsckReport, push};
use crate::fsck_index::Records;
use crate::walk::SegmentFile;

/// With 16 bits an id and four places, one id in 400 is suspected for nothing when all are in.
const BITS_PER_ID: u64 = 16;
const PLACES: u64 = 4;
/// 256 MiB, enough for 128 million ids; beyond that more are suspected for nothing.
const BITS_MAX: u64 = 1 << 31;
const BITS_MIN: u64 = 1 << 16;
/// About 150 MiB in a table.
const SUSPECTS_MAX: usize = 4_000_000;

/// What the first pass knows.
pub(crate) struct Ids {
    bits: Vec<u64>,
    suspects: HashSet<Uuid>,
    suspects_max: usize,
    overflown: bool,
}

impl Ids {
    /// For about so many entries.
    pub(crate) fn new(entries: u64) -> Self {
        let bits = entries.saturating_mul(BITS_PER_ID).min(BITS_MAX);
        Self::with(bits.next_power_of_two().max(BITS_MIN), SUSPECTS_MAX)
    }

    fn with(bits: u64, suspects_max: usize) -> Self {
        Self {
            bits: vec![0; (bits / 64) as usize],
            suspects: HashSet::new(),
            suspects_max,
            overflown: false,
        }
    }

    /// Takes in the id of the next entry.
    pub(crate) fn see(&mut self, id: Uuid) {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let first = hasher.finish();
        hasher.write_u8(0);
        // Odd, so that its multiples are different places.
        let step = hasher.finish() | 1;
        let mask = self.bits.len() as u64 * 64 - 1;
        let mut seen = true;
        for place in 0..PLACES {
            let bit = first.wrapping_add(place.wrapping_mul(step)) & mask;
            let (word, bit) = ((bit / 64) as usize, 1 << (bit % 64));
            seen &= self.bits[word] & bit != 0;
            self.bits[word] |= bit;
        }
        if seen && self.suspects.len() < self.suspects_max {
            self.suspects.insert(id);
        } else if seen && !self.suspects.contains(&id) {
            self.overflown = true;
        }
    }

    /// Goes through the log again and reports every entry whose id an earlier one has.
    pub(crate) fn report(self, files: &[SegmentFile], report: &mut FsckReport) -> io::Result<()> {
        report.ids_left_out = self.overflown;
        if self.suspects.is_empty() {
            return Ok(());
        }
        // Frees the filter.
        let suspects = self.suspects;
        let mut firsts: HashMap<Uuid, u64> = HashMap::with_capacity(suspects.len());
        let mut records = Records::new(files, report.farthest());
        while let Some(stored) = records.next()? {
            let Some(id) = stored.record.ok().and_then(|record| {
                let open = OpenPart::parse(&record.leaf).ok()?;
                suspects.contains(&open.id).then_some(open.id)
            }) else {
                continue;
            };
            let first = *firsts.entry(id).or_insert(stored.index);
            if first != stored.index {
                let what = format!(
                    "its id {id} is that of entry {first} too, which no server does: one of the two \
                     was put there by other means"
                );
                push(report, "log", None, Some(stored.index), what);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::Ids;

    #[test]
    fn every_repeated_id_is_suspected_and_few_others() {
        const COUNT: u128 = 50_000;
        // Ids that differ in few bits, as those of one millisecond do.
        let id = |number: u128| Uuid::from_u128(number << 3);
        let mut ids = Ids::new(COUNT as u64);
        (0..COUNT).for_each(|number| ids.see(id(number)));
        let for_nothing = ids.suspects.len();
        assert!(for_nothing < 100, "{for_nothing}");
        (0..COUNT).step_by(7).for_each(|number| ids.see(id(number)));
        assert!(
            (0..COUNT)
                .step_by(7)
                .all(|number| ids.suspects.contains(&id(number)))
        );
        assert!(!ids.overflown);
    }

    #[test]
    fn a_table_that_is_full_is_told() {
        let mut ids = Ids::with(1 << 16, 3);
        for _ in 0..2 {
            (0..3).for_each(|number| ids.see(Uuid::from_u128(number)));
        }
        assert!(!ids.overflown);
        ids.see(Uuid::from_u128(9));
        ids.see(Uuid::from_u128(9));
        assert_eq!((ids.suspects.len(), ids.overflown), (3, true));
    }
}
