//! Which segments are made one: neighbours only, so that a document's number keeps telling
//! its index.

use std::ops::Range;

/// Segments of about the same size are merged when there are so many side by side: a query pays
/// for each segment, but an entry is written again at every level.
const RUN: usize = 16;
/// A segment of so many entries is not merged any more: rewriting it would hold a core for
/// minutes, and what a query pays for each segment is little beside what it holds.
const LARGEST: u32 = 8_000_000;
/// Smaller segments count as one size.
const SMALLEST: u32 = 10_000;

/// The level of a segment: sizes of one level differ by less than sixteen times.
fn level(len: u32) -> u32 {
    (len.max(SMALLEST) / SMALLEST).ilog2() / RUN.ilog2()
}

/// The run of neighbours to merge next, by their lengths in order; none if all is well.
pub(crate) fn next_merge(lengths: &[u32]) -> Option<Range<usize>> {
    let mut start = 0;
    let mut best: Option<Range<usize>> = None;
    while start < lengths.len() {
        let own = level(lengths[start]);
        let mut end = start;
        let mut total = 0_u32;
        // A run takes in smaller neighbours, which could otherwise be shut in between larger
        // ones for ever.
        while end < lengths.len() && end - start < RUN * 2 && level(lengths[end]) <= own {
            let sum = total.saturating_add(lengths[end]);
            if sum > LARGEST {
                break;
            }
            total = sum;
            end += 1;
        }
        let of_level = lengths[start..end]
            .iter()
            .filter(|len| level(**len) == own)
            .count();
        let full = of_level >= RUN;
        let smaller = best
            .as_ref()
            .is_none_or(|best| level(lengths[best.start]) > own);
        if full && smaller {
            best = Some(start..end);
        }
        start += 1;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_merged_while_there_is_little() {
        assert_eq!(next_merge(&[]), None);
        assert_eq!(next_merge(&[20_000; RUN - 1]), None);
        assert_eq!(next_merge(&[LARGEST; 40]), None);
    }

    #[test]
    fn equals_side_by_side_are_merged_the_smallest_first() {
        assert_eq!(next_merge(&[20_000; RUN]), Some(0..RUN));
        let mut lengths = vec![1_000_000; RUN];
        lengths.extend([20_000; RUN]);
        assert_eq!(next_merge(&lengths), Some(RUN..2 * RUN));
    }

    #[test]
    fn a_log_of_many_commits_ends_in_few_segments_and_each_entry_is_written_few_times() {
        let mut lengths: Vec<u32> = Vec::new();
        let (mut written, mut entries) = (0_u64, 0_u64);
        for _ in 0..2_000 {
            lengths.extend([20_000]);
            entries += 20_000;
            while let Some(run) = next_merge(&lengths) {
                let sum: u32 = lengths[run.clone()].iter().sum();
                written += u64::from(sum);
                lengths.splice(run, [sum]);
            }
        }
        assert_eq!(
            lengths.iter().map(|len| u64::from(*len)).sum::<u64>(),
            entries
        );
        assert!(lengths.iter().all(|len| *len <= LARGEST));
        assert!(lengths.len() < 40, "{lengths:?}");
        assert!(written < 2 * entries, "{written} for {entries}");
    }
}
