//! Erasures: which entries lost their sealed part by an act that is itself in the log.

use std::collections::BTreeMap;

use audittrail_entry::Entry;
use audittrail_entry::json::Value;

use crate::format::whole;

/// The action of an entry that erases others.
pub const ERASURE: &str = "audittrail.erasure";

/// So many runs of missing sealed parts are kept in memory, about 40 MiB.
const RUNS_MAX: usize = 1 << 20;

/// The index ranges, both bounds inclusive, whose sealed parts an entry erases: those in `ranges`
/// of its details, `{"ranges":[[first,last],…]}`, ascending, apart from each other, and all below
/// the entry's own index. `None` unless it is an erasure that has that form.
pub fn erased_ranges(index: u64, entry: &Entry<'_>) -> Option<Vec<(u64, u64)>> {
    if entry.open.action != ERASURE {
        return None;
    }
    let details = entry.sealed.as_ref()?.details.as_ref()?;
    let Value::Array(ranges) = details.get("ranges")? else {
        return None;
    };
    let mut next = 0;
    let mut erased = Vec::with_capacity(ranges.len());
    for range in ranges {
        let Value::Array(bounds) = range else {
            return None;
        };
        let [first, last] = bounds.as_slice() else {
            return None;
        };
        let (first, last) = (whole(first)?, whole(last)?);
        if first < next || last < first || last >= index {
            return None;
        }
        next = last + 1;
        erased.push((first, last));
    }
    Some(erased)
}

/// Entries without a sealed part that no erasure covers so far, as runs of neighbours.
#[derive(Debug, Clone, Default)]
pub(crate) struct Missing {
    /// The first index of each run, and its last.
    runs: BTreeMap<u64, u64>,
    count: u64,
}

impl Missing {
    /// Adds an index above all before it; false if there is no room.
    pub(crate) fn add(&mut self, index: u64) -> bool {
        if let Some(mut run) = self.runs.last_entry()
            && run.get().checked_add(1) == Some(index)
        {
            run.insert(index);
        } else if self.runs.len() < RUNS_MAX {
            self.runs.insert(index, index);
        } else {
            return false;
        }
        self.count += 1;
        true
    }

    /// Takes out those in a range; how many there were.
    pub(crate) fn cover(&mut self, first: u64, last: u64) -> u64 {
        let before = self.count;
        while let Some((start, end)) = self.run_within(first, last) {
            self.runs.remove(&start);
            self.count -= end - start + 1;
            if start < first {
                self.put(start, first - 1);
            }
            if end > last {
                self.put(last + 1, end);
            }
        }
        before - self.count
    }

    fn put(&mut self, start: u64, end: u64) {
        self.runs.insert(start, end);
        self.count += end - start + 1;
    }

    /// The last run that has an index in common with a range.
    fn run_within(&self, first: u64, last: u64) -> Option<(u64, u64)> {
        let (start, end) = self.runs.range(..=last).next_back()?;
        (*end >= first).then_some((*start, *end))
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// In order.
    pub(crate) fn indices(&self) -> impl Iterator<Item = u64> {
        self.runs.iter().flat_map(|(start, end)| *start..=*end)
    }
}

#[cfg(test)]
mod tests {
    use super::{Missing, erased_ranges};
    use audittrail_entry::{Entry, OpenPart, SealedPart, SubmittedBy, Timestamp};

    fn erasure(action: &str, details: &str) -> Option<Vec<(u64, u64)>> {
        let entry = Entry {
            open: OpenPart {
                action: action.into(),
                id: uuid::Uuid::nil(),
                outcome: None,
                received_at: Timestamp::from_nanos(0),
                commitment: [0; 32],
                tenant: None,
                timestamp: Timestamp::from_nanos(0),
            },
            sealed: Some(SealedPart {
                details: audittrail_entry::json::parse(details.as_bytes(), 9).ok(),
                resource: None,
                source_ip: None,
                submitted_by: SubmittedBy {
                    iss: None,
                    sub: "admin".into(),
                },
                user_id: None,
            }),
        };
        erased_ranges(100, &entry)
    }

    #[test]
    fn ranges_are_ascending_and_below_the_entry() {
        let ranges = r#"{"reason":"art. 17","ranges":[[0,0],[1,7],[9,99]]}"#;
        let read = Some(vec![(0, 0), (1, 7), (9, 99)]);
        assert_eq!(erasure("audittrail.erasure", ranges), read);
        assert_eq!(erasure("audittrail.erased", ranges), None);
        for bad in [
            r#"{}"#,
            r#"{"ranges":3}"#,
            r#"{"ranges":[3]}"#,
            r#"{"ranges":[[3]]}"#,
            r#"{"ranges":[[3,4,5]]}"#,
            r#"{"ranges":[["3","4"]]}"#,
            r#"{"ranges":[[4,3]]}"#,
            r#"{"ranges":[[-1,3]]}"#,
            r#"{"ranges":[[1.5,3]]}"#,
            r#"{"ranges":[[3,100]]}"#,
            r#"{"ranges":[[5,6],[6,7]]}"#,
            r#"{"ranges":[[5,6],[1,2]]}"#,
        ] {
            assert_eq!(erasure("audittrail.erasure", bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_covered_is_no_longer_missing() {
        let mut missing = Missing::default();
        for index in (0..10).chain([12]).chain(20..30) {
            assert!(missing.add(index));
        }
        assert_eq!(missing.cover(30, u64::MAX), 0);
        assert_eq!(missing.cover(10, 11), 0);
        assert_eq!(missing.cover(3, 4), 2);
        assert_eq!(missing.cover(3, 4), 0);
        assert_eq!(missing.cover(9, 21), 4);
        let left: Vec<u64> = missing.indices().collect();
        assert_eq!(left, (0..3).chain(5..9).chain(22..30).collect::<Vec<_>>());
        assert_eq!(missing.count(), 15);
        assert_eq!(missing.cover(0, u64::MAX), 15);
        assert_eq!(missing.indices().count(), 0);
    }
}
