//! Statistics out of the index: no record of the log is read, but for those of entries that
//! failed.
//!
//! What is selected becomes a bit for each document. Timestamps are counted by blocks, most of
//! which lie in one interval as a whole. Values are counted by their ordinals in each segment's
//! dictionary; then the dictionaries, which are sorted, are read side by side, and only the most
//! frequent values are kept. Beside that a question needs a bit for each entry of the log, four
//! bytes for each different value up to [`crate::IndexOptions::counters`], and the values of the
//! tail or of few matches.

mod column;
mod rank;
mod select;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use audittrail_store::{Stats, StatsQuery, Stored, Tally};

pub(crate) use column::{Column, beyond};
use rank::Ranker;
use select::Selected;

use crate::error::IndexError;
use crate::index::SearchIndex;
use crate::plan::Plan;

/// Says whether anybody still waits for the answer.
pub(crate) type GoOn<'a> = &'a dyn Fn() -> bool;

/// Fails if nobody waits any more.
pub(crate) fn check(go_on: GoOn<'_>) -> Result<(), IndexError> {
    if go_on() {
        Ok(())
    } else {
        Err(IndexError::GivenUp)
    }
}

impl SearchIndex {
    /// Statistics. `read` gives an entry of the log, as for [`SearchIndex::search`]; `go_on` is
    /// asked now and then whether anybody still waits for the answer.
    ///
    /// # Errors
    /// While the index is being built, if it fails, if there are too many intervals
    /// ([`IndexError::Refused`]), or if `go_on` says so.
    pub fn stats(
        &self,
        query: &StatsQuery,
        read: &dyn Fn(u64) -> io::Result<Stored>,
        go_on: GoOn<'_>,
    ) -> Result<Stats, IndexError> {
        let (segments, tail) = {
            let state = self.read_state();
            let Some(tail) = &state.tail else {
                return Err(self.building(&state.segments));
            };
            (Arc::clone(&state.segments), tail.view())
        };
        let damaged: BTreeSet<u64> = segments.damaged(&(0..query.size)).collect();
        let window = query.filter.index;
        let end = window
            .to
            .map_or(query.size, |to| to.saturating_add(1).min(query.size));
        let indices = window.from.unwrap_or(0).min(end)..end;
        let failed = query.failed.range(..query.size).map(|(index, _)| *index);
        let apart: BTreeSet<u64> = failed.chain(damaged).collect();

        let mut tally = Tally::new(query);
        let mut selected = Vec::new();
        if !query.filter.failed {
            let fields = &self.files.fields;
            let plan = Plan::new(&query.filter, &query.access, fields);
            selected = self.guarded(|| {
                let mut selected = Vec::new();
                for segment in &segments.segments {
                    selected.extend(Selected::new(
                        segment,
                        (&plan, fields),
                        &indices,
                        &apart,
                        go_on,
                    )?);
                }
                Ok(selected)
            })?;
        }
        for one in &selected {
            tally.count(one.count);
            if let Some(histogram) = tally.histogram() {
                self.guarded(|| one.add_times(histogram, go_on))?;
            }
        }
        let in_tail = indices.start.max(segments.end())..indices.end.max(segments.end());
        for entry in tail.entries(in_tail) {
            let index = entry.stored.index;
            if !apart.contains(&index) && (entry.unreadable || !query.filter.failed) {
                tally.offer(&entry.stored);
            }
        }
        for index in apart {
            check(go_on)?;
            tally.offer(&read(index).map_err(IndexError::io("the log cannot be read"))?);
        }
        let ranker = Ranker::new(&selected, query.top, self.options.counters, go_on);
        let mut facets = query.by.iter();
        tally.finish_with(|counts, missing| match facets.next() {
            Some(facet) => self.guarded(|| ranker.rank(*facet, counts, missing)),
            None => Err(IndexError::GivenUp),
        })
    }
}
