//! Questions that follow from a seed, and what the answers have to be.

use std::collections::BTreeMap;
use std::sync::Arc;

use audittrail_entry::{Entry, Outcome};

use super::generate::{ACTIONS, ADDRESSES, OUTCOMES, RESOURCES, TENANTS, USERS};
use super::searches::{Topic, both, question};
use super::{Log, Numbers};
use crate::{
    Access, CountMode, Direction, Filter, IpBlock, Key, Member, Order, Page, Query, Start, Test,
    Window,
};

/// All orders.
pub const ORDERS: [Order; 4] = [
    Order::NewestFirst,
    Order::OldestFirst,
    Order::IndexDescending,
    Order::IndexAscending,
];

/// The entries of a log, read once.
pub fn entries_of(log: &Log) -> Vec<Entry<'_>> {
    let entries = log.entries.iter();
    entries
        .map(|(_, record)| {
            let sealed = record.sealed.as_ref().map(|sealed| sealed.bytes.as_slice());
            Entry::parse(&record.leaf, sealed).unwrap()
        })
        .collect()
}

/// Everything a query selects, in its order: what the pages have to be parts of.
pub fn whole(entries: &[Entry<'_>], query: &Query) -> Vec<Key> {
    let entries: Vec<Option<&Entry<'_>>> = entries.iter().map(Some).collect();
    whole_of(&entries, query)
}

/// The same of a log in which some entries cannot be read: they have the least timestamp,
/// and those who may see everything see them under every filter.
///
/// It is written from [`Filter::matches`] and the documentation of [`Query`], with nothing
/// taken from the code that selects pages.
pub fn whole_of(entries: &[Option<&Entry<'_>>], query: &Query) -> Vec<Key> {
    let mut selected: Vec<(i64, u64)> = Vec::new();
    for (index, entry) in (0_u64..).zip(entries).take(query.size as usize) {
        let window = query.filter.index;
        let in_window =
            window.from.is_none_or(|from| from <= index) && window.to.is_none_or(|to| index <= to);
        let Some(entry) = entry else {
            if query.access == Access::default() && in_window {
                selected.push((i64::MIN, index));
            }
            continue;
        };
        let part = entry.sealed.as_ref();
        let user = part.and_then(|part| part.user_id.as_deref());
        let hidden_by_user =
            query.access.user_id.is_some() && query.access.user_id.as_deref() != user;
        let tenant = entry.open.tenant.as_deref();
        let hidden_by_tenant =
            query.access.tenant.is_some() && query.access.tenant.as_deref() != tenant;
        if hidden_by_user || hidden_by_tenant {
            continue;
        }
        let wanted = if query.failed.contains_key(&index) {
            in_window
        } else {
            query.filter.matches(index, entry)
        };
        if wanted {
            selected.push((entry.open.timestamp.nanos(), index));
        }
    }
    match query.order {
        Order::NewestFirst | Order::OldestFirst => selected.sort_unstable(),
        Order::IndexAscending | Order::IndexDescending => {
            selected.iter_mut().for_each(|key| key.0 = 0);
            selected.sort_unstable_by_key(|key| key.1);
        }
    }
    if matches!(query.order, Order::NewestFirst | Order::IndexDescending) {
        selected.reverse();
    }
    let keys = selected.into_iter();
    keys.map(|(timestamp, index)| Key { timestamp, index })
        .collect()
}

/// Whether `key` comes before `other` in an order.
fn precedes(order: Order, key: Key, other: Key) -> bool {
    let (key, other) = ((key.timestamp, key.index), (other.timestamp, other.index));
    match order {
        Order::OldestFirst | Order::IndexAscending => key < other,
        Order::NewestFirst | Order::IndexDescending => key > other,
    }
}

/// The page has to be this part of the whole.
pub fn check_page(query: &Query, page: &Page, whole: &[Key]) {
    let total = whole.len();
    let (start, end) = match query.start {
        Start::Skip(skip) => {
            let start = skip.min(total);
            (start, start.saturating_add(query.limit).min(total))
        }
        Start::At(key, Direction::After) => {
            let start = whole
                .iter()
                .filter(|one| !precedes(query.order, key, **one))
                .count();
            (start, start.saturating_add(query.limit).min(total))
        }
        Start::At(key, Direction::Before) => {
            let end = whole
                .iter()
                .filter(|one| precedes(query.order, **one, key))
                .count();
            (end.saturating_sub(query.limit), end)
        }
    };
    assert_eq!(page.keys, whole[start..end], "the keys of {query:?}");
    assert_eq!(page.before, start > 0, "matches before {query:?}");
    assert_eq!(page.after, end < total, "matches after {query:?}");
    let count = page.count.map(|count| (count.value, count.exact));
    let expected = (query.count != CountMode::None).then_some((total as u64, true));
    assert_eq!(count, expected, "the count of {query:?}");
}

fn test(numbers: &mut Numbers, values: &[&str]) -> Test {
    let mut some = |count: u64| -> Vec<String> {
        (0..count)
            .map(|_| numbers.pick(values).to_owned())
            .collect()
    };
    let (one, several) = (some(1).remove(0), some(3));
    match numbers.below(4) {
        0 | 1 => Test::Equals(one),
        2 => Test::In(several),
        _ => Test::NotIn(several),
    }
}

/// Bounds taken from values that occur, so that inclusive ones are told from exclusive ones.
fn window<T: Copy + Ord>(numbers: &mut Numbers, values: &[T]) -> Window<T> {
    let (one, other) = (numbers.pick(values), numbers.pick(values));
    let (from, to) = match numbers.below(8) {
        // A window that nothing is in.
        0 => (one.max(other), one.min(other)),
        _ => (one.min(other), one.max(other)),
    };
    Window {
        from: (!numbers.one_in(3)).then_some(from),
        to: (!numbers.one_in(3)).then_some(to),
    }
}

fn filter(numbers: &mut Numbers, entries: &[Entry<'_>]) -> Filter {
    let open = || entries.iter().map(|entry| &entry.open);
    let timestamps: Vec<i64> = open().map(|open| open.timestamp.nanos()).collect();
    let received: Vec<i64> = open().map(|open| open.received_at.nanos()).collect();
    let indices: Vec<u64> = (0..entries.len() as u64 + 2).collect();
    let outcomes = OUTCOMES.map(Outcome::as_str);
    let vocabulary: [(Member, &[&str]); 5] = [
        (Member::Action, &ACTIONS),
        (Member::Outcome, &outcomes),
        (Member::Resource, &RESOURCES),
        (Member::Tenant, &TENANTS),
        (Member::UserId, &USERS),
    ];
    let mut filter = Filter::default();
    for (member, values) in vocabulary {
        if numbers.one_in(4) {
            filter.texts.push((member, test(numbers, values)));
        }
        // Twice the same member: both conditions hold.
        if numbers.one_in(20) {
            filter.texts.push((member, test(numbers, values)));
        }
    }
    if numbers.one_in(20) {
        // A prefix, another case and an empty text are no value that occurs.
        let odd = numbers.pick(&["doc", "DOC/1", "doc/", ""]);
        let test = Test::Equals(odd.to_owned());
        filter.texts.push((Member::Resource, test));
    }
    if numbers.one_in(6) {
        let blocks = ["192.0.2.0/25", "0.0.0.0/0", "::/0", "2001:db8::/32"];
        let text = match numbers.one_in(2) {
            true => numbers.pick(&ADDRESSES),
            false => numbers.pick(&blocks),
        };
        filter.source_ip = IpBlock::parse(text);
    }
    if numbers.one_in(4) {
        filter.timestamp = window(numbers, &timestamps);
    }
    if numbers.one_in(6) {
        filter.received = window(numbers, &received);
    }
    if numbers.one_in(5) {
        filter.index = window(numbers, &indices);
    }
    filter.failed = numbers.one_in(12);
    while numbers.one_in(4) {
        let topic = numbers.pick(&Topic::ALL);
        let at = numbers.below(entries.len() as u64) as usize;
        filter = both(filter, question(numbers, topic, &entries[at]));
    }
    filter
}

/// The next question about a log, from its first page.
pub fn query(numbers: &mut Numbers, entries: &[Entry<'_>]) -> Query {
    let size = entries.len() as u64;
    let mut access = Access::default();
    if numbers.one_in(6) {
        access.user_id = Some(numbers.pick(&USERS).to_owned());
    }
    if numbers.one_in(6) {
        access.tenant = Some(numbers.pick(&TENANTS).to_owned());
    }
    let mut failed = BTreeMap::new();
    if numbers.one_in(2) {
        for _ in 0..numbers.below(8) {
            failed.insert(numbers.below(size), "a test says so".to_owned());
        }
    }
    Query {
        filter: filter(numbers, entries),
        access,
        order: numbers.pick(&ORDERS),
        size: if numbers.one_in(3) {
            numbers.below(size + 1)
        } else {
            size
        },
        start: Start::Skip(0),
        limit: 1 + numbers.below(60) as usize,
        count: numbers.pick(&[CountMode::Exact, CountMode::Limited, CountMode::None]),
        failed: Arc::new(failed),
    }
}
