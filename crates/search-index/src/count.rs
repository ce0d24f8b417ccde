//! How many entries of the index a query selects, with as little looking at them as possible.

use std::collections::BTreeSet;

use crate::error::IndexError;
use crate::page::Search;
use crate::segment::BLOCK;

/// So many matches are kept while they are counted: few are not looked for again.
const KEPT: usize = 4_096;
/// So many entries that are taken apart are told one by one from those of a segment whose
/// matches are known by number.
const FEW_APART: usize = 256;

/// What counting found.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) matches: u64,
    /// The segment and the document of every match, where they were looked at and are few.
    pub(crate) all: Option<Vec<(usize, u32)>>,
}

impl Search<'_, '_> {
    /// Counts matches but for those of `apart`: all of them, or some number beyond `enough`.
    pub(crate) fn count(&self, enough: u64, apart: &BTreeSet<u64>) -> Result<Counted, IndexError> {
        let segments: Vec<_> = self.extents().collect();
        // What is still ahead has at least so many matches, `apart` included.
        let mut ahead = segments.iter().map(|(_, extent)| extent.least).sum::<u64>();
        let enough = enough.saturating_add(apart.len() as u64);
        let mut counted = Counted {
            matches: 0,
            all: Some(Vec::new()),
        };
        for (at, extent) in segments.into_iter().rev() {
            if counted.matches + ahead > enough {
                counted.matches = counted.matches + ahead - apart.len() as u64;
                counted.all = None;
                return Ok(counted);
            }
            ahead -= extent.least;
            let segment = &self.segments.segments[at];
            let mut apart_here = apart.range(segment.first_index..segment.end());
            if extent.least == extent.most && apart_here.clone().nth(FEW_APART).is_none() {
                counted.matches += extent.least;
                counted.all = None;
                for index in apart_here {
                    counted.matches -= u64::from(self.matches(at, *index)?);
                }
            } else {
                let none = apart_here.next().is_none();
                let apart = if none { None } else { Some(apart) };
                self.walk(at, enough - ahead, apart, &mut counted)?;
            }
        }
        Ok(counted)
    }

    /// Whether the entry at an index, which is in this segment, matches.
    fn matches(&self, at: usize, index: u64) -> Result<bool, IndexError> {
        let (segment, mut found) = (&self.segments.segments[at], false);
        if let Some(plan) = &self.plans[at] {
            plan.for_each(segment.docs(&(index..index + 1)), &mut |_| {
                found = true;
                false
            })?;
        }
        Ok(found)
    }

    /// Counts the matches of one segment until there are more than `enough` in all.
    fn walk(
        &self,
        at: usize,
        enough: u64,
        apart: Option<&BTreeSet<u64>>,
        counted: &mut Counted,
    ) -> Result<(), IndexError> {
        let (segment, Some(plan)) = (&self.segments.segments[at], &self.plans[at]) else {
            return Ok(());
        };
        let docs = segment.docs(&self.indices);
        // Unions are gathered for a whole range, so ranges begin small.
        let (mut end, mut width) = (docs.end, BLOCK * 4);
        while end > docs.start && counted.matches <= enough {
            let start = end.saturating_sub(width).max(docs.start);
            plan.for_each(start..end, &mut |doc| {
                let index = segment.first_index + u64::from(doc);
                if apart.is_none_or(|apart| !apart.contains(&index)) {
                    counted.matches += 1;
                    if let Some(all) = &mut counted.all {
                        all.push((at, doc));
                        if all.len() > KEPT {
                            counted.all = None;
                        }
                    }
                }
                counted.matches <= enough
            })?;
            end = start;
            width = width.saturating_mul(4);
        }
        if counted.matches > enough {
            counted.all = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::ops::Range;

    use audittrail_entry::Entry;
    use audittrail_merkle::{Hash, leaf_hash};
    use audittrail_store::conformance::{Generator, Numbers, query};
    use audittrail_store::{Query, Stored};

    use super::*;
    use crate::plan::Plan;
    use crate::{IndexOptions, SearchIndex, Source};

    struct Log(Vec<Stored>);

    impl Source for Log {
        fn scan(&self, range: Range<u64>) -> io::Result<Vec<Stored>> {
            Ok(self.0[range.start as usize..range.end as usize].to_vec())
        }

        fn leaf_hash(&self, index: u64) -> io::Result<Hash> {
            Ok(leaf_hash(
                &self.0[index as usize].record.as_ref().unwrap().leaf,
            ))
        }
    }

    fn parse(stored: &Stored) -> Entry<'_> {
        let record = stored.record.as_ref().unwrap();
        Entry::parse(&record.leaf, record.sealed.as_ref().map(|one| &*one.bytes)).unwrap()
    }

    /// An index of segments of 200 entries in steps of 40.
    fn index_of(log: &Log) -> SearchIndex {
        let options = IndexOptions {
            step_entries: 40,
            ..IndexOptions::default()
        };
        let size = log.0.len() as u64;
        let index = SearchIndex::open(None, [7; 32], size, log, options).unwrap();
        while index.step(log).unwrap().entries > 0 {}
        assert_eq!(index.position(), size);
        index
    }

    fn check(index: &SearchIndex, entries: &[Entry<'_>], query: &Query) -> (bool, bool) {
        let segments = index.read_state().segments.clone();
        let fields = &index.files.fields;
        let plan = Plan::new(&query.filter, &query.access, fields);
        let is_apart = |index: u64| query.failed.contains_key(&index);
        let apart: BTreeSet<u64> = query.failed.keys().copied().collect();
        let search = Search::new(&segments, query, &plan, fields, &is_apart).unwrap();
        let apart: BTreeSet<u64> = apart
            .into_iter()
            .filter(|index| search.indices.contains(index))
            .collect();
        let all: Vec<u64> = (0..)
            .zip(entries)
            .filter(|(index, entry)| !is_apart(*index) && query.selects(*index, Some(entry), false))
            .map(|(index, _)| index)
            .collect();
        let (mut known, mut stopped) = (false, false);
        for enough in [0, 1, 7, 60, 400, u64::MAX] {
            let counted = search.count(enough, &apart).unwrap();
            if all.len() as u64 <= enough {
                assert_eq!(counted.matches, all.len() as u64, "{query:?}");
                known |= counted.all.is_none();
            } else {
                let some = enough + 1..=all.len() as u64;
                assert!(some.contains(&counted.matches), "{counted:?} of {query:?}");
                stopped = true;
            }
            if let Some(found) = counted.all {
                let mut found: Vec<u64> = found
                    .into_iter()
                    .map(|(at, doc)| segments.segments[at].first_index + u64::from(doc))
                    .collect();
                found.sort_unstable();
                assert_eq!(found, all, "{query:?}");
            }
        }
        (known, stopped)
    }

    #[test]
    fn counts_are_right_up_to_where_they_stop() {
        let mut generator = Generator::new(71);
        let log = (0..1_000).map(|index| Stored {
            index,
            record: Ok(generator.entry().1),
        });
        let log = Log(log.collect());
        let entries: Vec<Entry<'_>> = log.0.iter().map(parse).collect();
        let index = index_of(&log);
        let (mut known, mut stopped) = (0, 0);
        let mut numbers = Numbers::new(72);
        for _ in 0..400 {
            let mut query = query(&mut numbers, &entries);
            query.filter.failed = false;
            let outcome = check(&index, &entries, &query);
            known += u32::from(outcome.0);
            stopped += u32::from(outcome.1);
        }
        // The questions have to reach what they are there for.
        assert!(known > 20 && stopped > 100, "{known} {stopped}");
    }
}
