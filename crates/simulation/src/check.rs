//! The log as a whole, against what clients know of it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use audittrail_entry::{Entry, Record, Timestamp};
use audittrail_merkle::{Edge, Hash, TreeHead, leaf_hash};
use audittrail_store::{
    CountMode, Order, Query, Start, Store as _, StoreError, StoreErrorKind, Verdict,
};
use serde_json::Value;
use uuid::Uuid;

use crate::ledger::{Ledger, Sent};
use crate::process::Process;
use crate::sights;
use crate::world::World;

/// The log as it was read.
pub(crate) struct Log<'r> {
    pub(crate) entries: Vec<Entry<'r>>,
    pub(crate) leaves: Vec<Hash>,
    /// The root at each size.
    pub(crate) roots: Vec<Hash>,
}

fn text(error: &StoreError) -> String {
    format!("a read of a sound disk failed: {error}")
}

/// Everything that has to be true while nobody writes. `thorough` also verifies every entry as
/// readers do, and waits for the search index where that is far behind.
pub(crate) async fn check(
    world: &Rc<World>,
    process: &Process,
    thorough: bool,
) -> Result<(), String> {
    let store = &process.store;
    let head = store.head().await.map_err(|e| text(&e))?;
    let stored = store.scan(0..head.size, usize::MAX).await;
    let stored = stored.map_err(|e| text(&e))?;
    let mut records = Vec::with_capacity(stored.len());
    for one in &stored {
        let record = one.record.as_ref();
        records.push(record.map_err(|why| format!("entry {}: {why}", one.index))?);
    }
    let log = read(&records)?;
    if log.leaves.len() as u64 != head.size || log.roots.last() != Some(&head.root) {
        return Err("the root of the leaves is not the head's".to_owned());
    }
    {
        let mut ledger = world.ledger.borrow_mut();
        ledger.counts.entries = head.size;
        settled(&mut ledger, &log)?;
        placed(&ledger, &records)?;
        shown(&mut ledger, &log)?;
        let seen = std::mem::take(&mut ledger.seen);
        seen.iter().try_for_each(|seen| sights::check(seen, &log))?;
        let mut listened = ledger.listened.iter();
        listened.try_for_each(|listened| sights::check_heard(listened, &log))?;
        ledger.counts.heard = ledger.listened.iter().map(|one| one.got.len() as u64).sum();
    }
    world
        .trace
        .event(&format!("checked: {} {:?}", head.size, head.root));
    if thorough {
        let mut steps = 0;
        while !store.index_position().0 && steps < 1_000 {
            let _ = store.step_index();
            steps += 1;
        }
        let stored = store.scan(0..head.size, usize::MAX).await;
        let checked = process.reader.check(stored.map_err(|e| text(&e))?).await;
        // The reader's store may be away.
        for one in checked.unwrap_or_default() {
            if let Verdict::Failed(why) = one.verdict {
                return Err(format!("entry {} failed verification: {why}", one.index));
            }
        }
    }
    indexed(process, &log, head.size, thorough).await?;
    tree(process, &log, head.size).await
}

fn read<'r>(records: &[&'r Record]) -> Result<Log<'r>, String> {
    let mut log = Log {
        entries: Vec::with_capacity(records.len()),
        leaves: Vec::with_capacity(records.len()),
        roots: vec![TreeHead::EMPTY.root],
    };
    let mut edge = Edge::new();
    for record in records {
        let sealed = record.sealed.as_ref().map(|sealed| sealed.bytes.as_slice());
        let entry = Entry::parse(&record.leaf, sealed).map_err(|error| error.to_string())?;
        log.entries.push(entry);
        let leaf = leaf_hash(&record.leaf);
        log.leaves.push(leaf);
        edge.push(leaf);
        log.roots.push(edge.root());
    }
    Ok(log)
}

/// What an earlier look found there stays.
fn settled(ledger: &mut Ledger, log: &Log<'_>) -> Result<(), String> {
    if !log.leaves.starts_with(&ledger.settled) {
        let kept = log.leaves.iter().zip(&ledger.settled);
        let kept = kept.take_while(|(now, before)| now == before).count();
        return Err(format!(
            "of {} entries that stood after a start, {kept} are left",
            ledger.settled.len()
        ));
    }
    ledger.settled.clone_from(&log.leaves);
    Ok(())
}

/// Every entry of the log was sent, is what was sent, is there once, and was not refused; what
/// was acknowledged is where its receipt says; requests are there as a whole or not at all.
fn placed(ledger: &Ledger, records: &[&Record]) -> Result<(), String> {
    let mut places: BTreeMap<usize, u64> = BTreeMap::new();
    let (mut ids, mut exports) = (BTreeSet::new(), 0);
    for (index, record) in (0..).zip(records) {
        let open: Value = parsed(&record.leaf)?;
        let sealed = record
            .sealed
            .as_ref()
            .ok_or("an entry without a sealed part")?;
        let sealed: Value = parsed(&sealed.bytes)?;
        let id = open.get("id").and_then(Value::as_str);
        let id = id.ok_or("an entry without an id")?.to_owned();
        if open.get("action").and_then(Value::as_str) == Some("audittrail.export") {
            exports += 1;
        } else {
            let number = sealed.pointer("/details/number").and_then(Value::as_u64);
            let number = number.and_then(|number| usize::try_from(number).ok());
            let sent = number.and_then(|number| Some((number, ledger.sent.get(number)?)));
            let (number, sent) = sent.ok_or_else(|| format!("nobody sent entry {index}"))?;
            same(sent, &open, &sealed).map_err(|why| format!("entry {index}: {why}"))?;
            if let Some(before) = places.insert(number, index) {
                return Err(format!("{number} is there twice, at {before} and {index}"));
            }
            if sent.acknowledged.is_none() && sent.open == 0 {
                return Err(format!("{number} was refused and is there, at {index}"));
            }
        }
        if !ids.insert(id) {
            return Err(format!("the id of entry {index} is there twice"));
        }
    }
    let (asked, begun) = ledger.exports;
    if !(begun..=asked).contains(&exports) {
        return Err(format!(
            "{exports} exports are recorded, of {begun} to {asked}"
        ));
    }
    for (number, sent) in ledger.sent.iter().enumerate() {
        let place = places.get(&number);
        if sent.acknowledged.is_some() && place != sent.acknowledged.as_ref() {
            let index = sent.acknowledged;
            return Err(format!(
                "{number} was acknowledged at {index:?} and is at {place:?}"
            ));
        }
    }
    whole(ledger, &places)
}

fn whole(ledger: &Ledger, places: &BTreeMap<usize, u64>) -> Result<(), String> {
    for batch in &ledger.batches {
        let entries = batch.entries.iter();
        let own = entries.filter(|entry| ledger.sent[**entry].conflicts_with.is_none());
        let found: Vec<Option<u64>> = own.map(|entry| places.get(entry).copied()).collect();
        let first = found.first().copied().flatten();
        let fits = match first {
            None => found.iter().all(Option::is_none),
            Some(first) => (first..).zip(&found).all(|(index, at)| *at == Some(index)),
        };
        if !fits {
            return Err(format!("a request lies at {found:?}"));
        }
    }
    Ok(())
}

fn parsed(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("no JSON: {error}"))
}

/// That an entry says what was sent.
fn same(sent: &Sent, open: &Value, sealed: &Value) -> Result<(), String> {
    for member in [
        "action", "outcome", "tenant", "user_id", "resource", "details",
    ] {
        let stored = open.get(member).or_else(|| sealed.get(member));
        if stored != sent.expected.get(member) {
            return Err(format!("its {member} is {stored:?}"));
        }
    }
    let time = |value: Option<&Value>| {
        let text = value.and_then(Value::as_str)?;
        Timestamp::parse(text).ok()
    };
    let given = sent.expected.get("timestamp");
    if given.is_some() && time(given) != time(open.get("timestamp")) {
        return Err(format!("its time is {:?}", open.get("timestamp")));
    }
    let id = sent.id();
    if id.is_some() && id != open.get("id").and_then(Value::as_str) {
        return Err(format!("its id is {:?}", open.get("id")));
    }
    Ok(())
}

/// Checkpoints that somebody saw are of this log, and all of it that they cover is there.
fn shown(ledger: &mut Ledger, log: &Log<'_>) -> Result<(), String> {
    for head in ledger.shown.drain(..) {
        let root = usize::try_from(head.size).ok();
        let root = root.and_then(|size| log.roots.get(size));
        if root != Some(&head.root) {
            return Err(format!(
                "a checkpoint of size {} is not of this log",
                head.size
            ));
        }
    }
    // Once below the log's size it stays there; the newest stays as a bound.
    if ledger.newest_shown > log.leaves.len() as u64 {
        return Err(format!(
            "a checkpoint of size {} was shown",
            ledger.newest_shown
        ));
    }
    Ok(())
}

/// The index has what the log has.
async fn indexed(
    process: &Process,
    log: &Log<'_>,
    size: u64,
    thorough: bool,
) -> Result<(), String> {
    let store = &process.store;
    let ids: Vec<Uuid> = log.entries.iter().map(|entry| entry.open.id).collect();
    match store.find(&ids).await {
        Ok(found) if found == (0..size).map(Some).collect::<Vec<_>>() => {}
        Ok(_) => return Err("an id is not found at its entry".to_owned()),
        Err(error) if error.kind() == StoreErrorKind::Building && !thorough => return Ok(()),
        Err(error) => return Err(text(&error)),
    }
    let query = Query {
        filter: audittrail_store::Filter::default(),
        access: audittrail_store::Access::default(),
        order: Order::IndexAscending,
        size,
        start: Start::Skip(0),
        limit: log.leaves.len() + 1,
        count: CountMode::Exact,
        failed: Arc::default(),
    };
    let page = store.search(&query).await.map_err(|e| text(&e))?;
    let all = page.keys.iter().map(|key| key.index).eq(0..size);
    if !all || page.count.map(|count| count.value) != Some(size) || !page.damaged.is_empty() {
        return Err("the index does not have what the log has".to_owned());
    }
    Ok(())
}

/// The tree has the hashes of the leaves.
async fn tree(process: &Process, log: &Log<'_>, size: u64) -> Result<(), String> {
    let hashes = process.store.hashes(0, 0..size).await;
    if hashes.map_err(|e| text(&e))? != log.leaves {
        return Err("the tree does not have the hashes of the log".to_owned());
    }
    Ok(())
}
