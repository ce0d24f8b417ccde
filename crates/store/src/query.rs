//! What a reader asks, and what it gets.

use std::collections::BTreeMap;
use std::sync::Arc;

use audittrail_entry::{Entry, Timestamp};

use crate::Filter;

/// The order of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// By timestamp, then index, both descending.
    #[default]
    NewestFirst,
    /// By timestamp, then index.
    OldestFirst,
    /// By index, descending.
    IndexDescending,
    /// By index.
    IndexAscending,
}

impl Order {
    /// The value of the `order` parameter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NewestFirst => "-timestamp",
            Self::OldestFirst => "timestamp",
            Self::IndexDescending => "-index",
            Self::IndexAscending => "index",
        }
    }

    /// The order of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::NewestFirst,
            Self::OldestFirst,
            Self::IndexDescending,
            Self::IndexAscending,
        ]
        .into_iter()
        .find(|order| order.as_str() == text)
    }

    /// Whether only the index counts.
    pub fn by_index(self) -> bool {
        matches!(self, Self::IndexAscending | Self::IndexDescending)
    }

    /// The order that goes the other way.
    pub fn reversed(self) -> Self {
        match self {
            Self::NewestFirst => Self::OldestFirst,
            Self::OldestFirst => Self::NewestFirst,
            Self::IndexDescending => Self::IndexAscending,
            Self::IndexAscending => Self::IndexDescending,
        }
    }

    /// The key that an entry has in this order.
    pub fn key(self, timestamp: Timestamp, index: u64) -> Key {
        Key {
            timestamp: if self.by_index() {
                0
            } else {
                timestamp.nanos()
            },
            index,
        }
    }

    /// A rank that grows along this order. Complement turns a comparison round without
    /// the overflow that negation has.
    pub fn rank(self, key: Key) -> (i64, u64) {
        match self {
            Self::OldestFirst | Self::IndexAscending => (key.timestamp, key.index),
            Self::NewestFirst | Self::IndexDescending => (!key.timestamp, !key.index),
        }
    }
}

/// An entry's place in an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Nanoseconds since the Unix epoch; 0 in the orders by index; the least number for an
    /// entry whose leaf cannot be read.
    pub timestamp: i64,
    /// The entry's index.
    pub index: u64,
}

/// Which way a page lies from the key it starts at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The entries that follow the key.
    After,
    /// The entries just before the key.
    Before,
}

/// Where a page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// So many matches from the beginning: 0 is the first page.
    Skip(usize),
    /// Beside a key, the key itself not included.
    At(Key, Direction),
}

/// How exactly matches are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CountMode {
    /// Exact up to [`Count::LIMIT`], which is what is said beyond it.
    #[default]
    Limited,
    /// Exact.
    Exact,
    /// Not at all.
    None,
}

/// How many entries match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The number, or the limit.
    pub value: u64,
    /// Whether it is the number.
    pub exact: bool,
}

impl Count {
    /// Up to here every count is exact.
    pub const LIMIT: u64 = 100_000;
}

/// What the reader may see: absent means everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// Only entries of this user.
    pub user_id: Option<String>,
    /// Only entries of this tenant.
    pub tenant: Option<String>,
}

impl Access {
    /// Whether everything may be seen.
    pub fn is_unrestricted(&self) -> bool {
        *self == Self::default()
    }

    /// Whether this entry may be seen. What cannot be read can only be seen by those who
    /// may see everything.
    pub fn admits(&self, entry: Option<&Entry<'_>>) -> bool {
        if self.is_unrestricted() {
            return true;
        }
        let Some(entry) = entry else { return false };
        let user = entry
            .sealed
            .as_ref()
            .and_then(|sealed| sealed.user_id.as_deref());
        let tenant = entry.open.tenant.as_deref();
        self.user_id
            .as_deref()
            .is_none_or(|wanted| user == Some(wanted))
            && self
                .tenant
                .as_deref()
                .is_none_or(|wanted| tenant == Some(wanted))
    }
}

/// A question for one page.
#[derive(Debug, Clone)]
pub struct Query {
    /// All conditions must hold.
    pub filter: Filter,
    /// Holds in addition, whatever the filter says.
    pub access: Access,
    /// The order of the matches.
    pub order: Order,
    /// Only entries below this index are seen: the log as it was at the first page.
    pub size: u64,
    /// Where the page starts.
    pub start: Start,
    /// At most so many keys.
    pub limit: usize,
    /// How to count.
    pub count: CountMode,
    /// The entries known to have failed verification. What they say can no longer show
    /// that a filter does not match, so they are listed under every filter (bounds on the
    /// index excepted, since that is no content) to those who may see them.
    pub failed: Arc<BTreeMap<u64, String>>,
}

impl Query {
    /// Whether the query selects an entry. `failed` says that it is known to have failed
    /// verification; without an entry, nothing could be read at that index.
    pub fn selects(&self, index: u64, entry: Option<&Entry<'_>>, failed: bool) -> bool {
        if index >= self.size || !self.filter.index.contains(index) || !self.access.admits(entry) {
            return false;
        }
        match entry {
            Some(entry) if !failed && !self.failed.contains_key(&index) => {
                self.filter.matches(index, entry)
            }
            _ => true,
        }
    }
}

/// One page of keys; the entries are read by index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The matches in the query's order.
    pub keys: Vec<Key>,
    /// How many match in all; `None` if not asked for.
    pub count: Option<Count>,
    /// Whether matches precede the page.
    pub before: bool,
    /// Whether matches follow the page.
    pub after: bool,
    /// Entries that could not be read on the way, with the reason.
    pub damaged: Vec<(u64, String)>,
}
