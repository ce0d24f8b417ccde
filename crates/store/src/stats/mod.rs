//! What statistics mean: how many entries a filter selects, when they happened, and which
//! values they have. [`Tally`] is the definition that every store is tested against.

mod calendar;
mod ranking;
mod tally;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use audittrail_entry::Entry;

pub use calendar::{Calendar, Interval, Span, UnknownZone};
pub use ranking::Ranking;
pub use tally::{Histogram, Tally};

use crate::{Access, Filter, Member, Query};

/// What entries are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Facet {
    /// A member that holds text.
    Member(Member),
    /// The address that the entry names, as text; an IPv4 address written as IPv6 is one of IPv4.
    SourceIp,
}

impl Facet {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Member(Member::Action),
        Self::Member(Member::Outcome),
        Self::Member(Member::Resource),
        Self::SourceIp,
        Self::Member(Member::Tenant),
        Self::Member(Member::UserId),
    ];

    /// The member's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member(member) => member.as_str(),
            Self::SourceIp => "source_ip",
        }
    }

    /// The one of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|facet| facet.as_str() == name)
    }

    /// The value that an entry has.
    pub fn of<'e>(self, entry: &'e Entry<'_>) -> Option<Cow<'e, str>> {
        match self {
            Self::Member(member) => member.of(entry).map(Cow::Borrowed),
            Self::SourceIp => {
                let address = entry.sealed.as_ref()?.source_ip?;
                Some(Cow::Owned(address.to_canonical().to_string()))
            }
        }
    }
}

/// A question for statistics.
#[derive(Debug, Clone)]
pub struct StatsQuery {
    /// All conditions must hold.
    pub filter: Filter,
    /// Holds in addition, whatever the filter says.
    pub access: Access,
    /// Only entries below this index are counted.
    pub size: u64,
    /// As in [`Query::failed`]: these are selected under every filter. Nothing else is taken
    /// from what they say.
    pub failed: Arc<BTreeMap<u64, String>>,
    /// How timestamps are counted; absent means not at all.
    pub calendar: Option<Calendar>,
    /// The most buckets that may have entries.
    pub most_buckets: usize,
    /// What values are counted of, in the order of the answer.
    pub by: Vec<Facet>,
    /// So many values are given of each.
    pub top: usize,
}

impl StatsQuery {
    /// The query that a list of the same entries would have.
    pub fn selection(&self) -> Query {
        Query {
            filter: self.filter.clone(),
            access: self.access.clone(),
            order: crate::Order::IndexAscending,
            size: self.size,
            start: crate::Start::Skip(0),
            limit: 0,
            count: crate::CountMode::Exact,
            failed: Arc::clone(&self.failed),
        }
    }
}

/// Entries of one interval of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// From when to when.
    pub span: Span,
    /// How many, at least one.
    pub count: u64,
}

/// The values that are most frequent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Top {
    /// Of what.
    pub facet: Facet,
    /// Values with the number of entries that have them: the most frequent first, those of the
    /// same number by the order of their bytes.
    pub values: Vec<(String, u64)>,
    /// How many different values there are in all.
    pub distinct: u64,
    /// How many entries have none.
    pub missing: u64,
}

/// How many entries a query selects, and what they say. What is known to have failed
/// verification, or cannot be read, is in `count` and in `failed` alone: the sum of the buckets,
/// and the sum over all values of a facet with `missing`, is `count` less `failed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// All that are selected, as a list would count them.
    pub count: u64,
    /// How many of these are known to have failed verification or cannot be read.
    pub failed: u64,
    /// Those intervals that have entries, in order of time; none where there is no calendar.
    pub buckets: Vec<Bucket>,
    /// One for each facet asked for.
    pub tops: Vec<Top>,
    /// Entries that could not be read on the way, with the reason; up to 1,000 of them.
    pub damaged: Vec<(u64, String)>,
}
