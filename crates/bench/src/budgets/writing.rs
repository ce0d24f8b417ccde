//! The budgets of writing.

use std::time::{Duration, Instant};

use super::Budgets;
use super::limits::Measured;
use crate::client::Target;
use crate::load::{self, Pace, Plan};
use crate::scenario::{burst, fill, whole};
use crate::writes::{Cursor, Writes};
use crate::{BenchError, Embedded, Entries, Figures, Row};

pub(super) const CONNECTIONS: usize = 64;
pub(super) const SMALL_BATCH: u64 = 1_000;
pub(super) const REAL_BATCH: u64 = 500;

/// A burst of batches.
const SMALL_BURST: u64 = 200_000;
/// One pass over the set of real events that the budget names.
const REAL_BURST: u64 = 53_698;

/// The index has followed when it is no further behind: so much it takes up at once.
const FOLLOWED: f64 = 20_000.0;
/// Until it has to have followed.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// Single entries and batches of small ones, on a new log.
pub(super) async fn single(
    budgets: &Budgets,
    limits: &Measured,
    progress: &dyn Fn(&str),
) -> Result<Vec<Row>, BenchError> {
    let server = Embedded::start(&budgets.binary, budgets.within())?;
    let (target, entries, cursor) = (&server.target, budgets.small(), Cursor::default());
    let mut rows = Vec::new();

    progress("single entries, 64 connections");
    let figures = posts(target, &entries, budgets.burst(CONNECTIONS), &cursor).await?;
    let share = figures.requests_per_second / limits.empty.requests_per_second;
    let limit = format!(
        "{:.0} requests/s, an empty handler",
        limits.empty.requests_per_second
    );
    let what = "POST of one entry, 64 connections, a burst";
    let mut row = Row::at_least(what, "of an empty handler", 0.4, share).limit(limit);
    row.measured = format!("{share:.2}: {:.0} requests/s", figures.requests_per_second);
    rows.push(row);
    let p99 = figures.latency_ms.p99;
    rows.push(Row::at_most("the same, p99", "ms", 10.0, p99));
    followed(target).await?;

    progress("single entries, 1 connection");
    let before = Measured::one(budgets)?.latency_ms.p50;
    let figures = posts(target, &entries, budgets.burst(1), &cursor).await?;
    let sync = f64::midpoint(before, Measured::one(budgets)?.latency_ms.p50);
    let row = Row::at_most(
        "POST of one entry, 1 connection, p50",
        "append and fdatasync",
        3.0,
        figures.latency_ms.p50 / sync,
    );
    let limit = format!("{:.3} ms of {sync:.3} ms", figures.latency_ms.p50);
    rows.push(row.limit(limit));
    followed(target).await?;

    progress("batches of small entries");
    let count = SMALL_BURST.min(budgets.sizes.entries);
    let figures = burst(target, &entries, count, SMALL_BATCH, &cursor).await?;
    let limit = limits.small.appends_per_second * SMALL_BATCH as f64;
    let what = "NDJSON batches of 1,000 small entries, a burst of 200,000";
    let row = Row::at_least(what, "entries/s", 250_000.0, figures.entries_per_second);
    let row = row.limit(format!("{limit:.0} entries/s, append and sync"));
    rows.push(row.with_less(count < SMALL_BURST, &format!("{count} entries")));
    followed(target).await?;

    progress("single entries, sustained");
    let plan = Plan {
        duration: Duration::from_secs(budgets.sizes.sustained_seconds),
        ..budgets.burst(CONNECTIONS)
    };
    let figures = posts(target, &entries, plan, &cursor).await?;
    let what = "POST of one entry, 64 connections, for a minute";
    let row = Row::at_least(what, "requests/s", 25_000.0, figures.requests_per_second);
    let how = format!("{} s", budgets.sizes.sustained_seconds);
    rows.push(row.with_less(budgets.sizes.sustained_seconds < 60, &how));
    Ok(rows)
}

async fn posts(
    target: &Target,
    entries: &Entries,
    plan: Plan,
    cursor: &Cursor,
) -> Result<Figures, BenchError> {
    let writes = Writes {
        target: target.clone(),
        entries: entries.clone(),
        first: cursor.take(1 << 30),
        batch: 1,
        most: None,
    };
    debug_assert_eq!(plan.pace, Pace::Answered, "budgets are of closed loops");
    whole(load::run("post", target, plan, writes).await?)
}

/// Batches of real events, on a new log.
pub(super) async fn real(
    budgets: &Budgets,
    limits: &Measured,
    progress: &dyn Fn(&str),
) -> Result<Vec<Row>, BenchError> {
    let server = Embedded::start(&budgets.binary, budgets.within())?;
    let (target, entries, cursor) = (&server.target, budgets.real(), Cursor::default());

    progress("batches of real events");
    let whole = entries.distinct().unwrap_or(REAL_BURST);
    let count = whole.min(budgets.sizes.entries);
    let figures = burst(target, &entries, count, REAL_BATCH, &cursor).await?;
    let what = "NDJSON batches of 500 real events, one pass over the set";
    let limit = format!("{:.0} MB/s, append and sync", limits.real.mb_per_second);
    let rate = figures.sent_mb_per_second();
    let pass = Row::at_least(what, "MB/s", 120.0, rate)
        .limit(limit)
        .with_less(count < whole, &format!("{count} events"));
    followed(target).await?;

    progress("sustained ingest of real events");
    let (figures, took) = sustained(
        target,
        &entries,
        budgets.sizes.real_entries,
        REAL_BATCH,
        &cursor,
    )
    .await?;
    let rate = figures.sent_bytes as f64 / 1e6 / took.as_secs_f64();
    let what = "sustained ingest of real events, the index keeping up";
    Ok(vec![pass, Row::at_least(what, "MB/s", 20.0, rate)])
}

/// Writes entries and waits until the index has followed; what writing gave, and how long both
/// took.
pub(super) async fn sustained(
    target: &Target,
    entries: &Entries,
    count: u64,
    batch: u64,
    cursor: &Cursor,
) -> Result<(Figures, Duration), BenchError> {
    let begin = Instant::now();
    let figures = fill(target, entries, count, batch, cursor).await?;
    followed(target).await?;
    Ok((figures, begin.elapsed()))
}

/// Waits until the search index has followed the log.
pub(crate) async fn followed(target: &Target) -> Result<(), BenchError> {
    let begin = Instant::now();
    loop {
        let answer = target.once(target.get("/metrics")).await?;
        let page = String::from_utf8_lossy(&answer.body);
        let gauge = |name: &str| {
            let line = page.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|value| value.trim().parse::<f64>().ok())
        };
        let indexed = gauge("audittrail_index_entries ");
        match gauge("audittrail_log_entries ").zip(indexed) {
            Some((log, index)) if log - index <= FOLLOWED => return Ok(()),
            _ if begin.elapsed() > PATIENCE => {
                return Err(BenchError::new("the search index did not follow the log"));
            }
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
