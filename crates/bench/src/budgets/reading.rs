//! The budgets of reading, and of a start, on a log of many entries.

use std::time::{Duration, Instant};

use super::Budgets;
use super::writing::{SMALL_BATCH, followed, sustained};
use crate::client::{Body, Target};
use crate::load;
use crate::process::Watch;
use crate::reads::{self, Exports, Gets};
use crate::scenario::{at_once, encoded, entry_paths, filters, list_path, whole};
use crate::writes::Cursor;
use crate::{BenchError, Embedded, Row, Sizes};

/// First pages of each filter.
const FIRST_PAGES: u64 = 200;
/// The last of the pages that cursors went through.
const LAST_PAGES: usize = 200;
/// Entries by id.
const GETS: u64 = 2_000;

pub(super) async fn rows(
    budgets: &Budgets,
    progress: &dyn Fn(&str),
) -> Result<Vec<Row>, BenchError> {
    let mut server = Embedded::start(&budgets.binary, budgets.within())?;
    let count = budgets.sizes.entries;
    let target = server.target.clone();
    let watch = target.pid.map(Watch::start);
    let mut rows = Vec::new();

    progress(&format!("sustained ingest of {count} small entries"));
    let cursor = Cursor::default();
    let (figures, took) = sustained(&target, &budgets.small(), count, SMALL_BATCH, &cursor).await?;
    let rate = figures.entries as f64 / took.as_secs_f64();
    let what = "sustained ingest of small entries, the index keeping up";
    let on_disk = format!(
        "{:.0} bytes an entry on disk",
        per(server.data_bytes(), count)
    );
    rows.push(Row::at_least(what, "entries/s", 40_000.0, rate).limit(on_disk));

    progress("lists");
    let mut lists = first_pages(&target).await?;
    lists.extend(deep_pages(&target, budgets.sizes.pages).await?);
    lists.extend(parts(&target).await?);
    progress("entries by id");
    lists.push(gets(&target).await?);
    progress("export");
    rows.push(export(&target).await?);
    if let Some(watch) = watch {
        let megabytes = watch.most() as f64 / 1e6;
        let what = "anonymous resident memory, ingesting and reading";
        lists.push(Row::at_most(what, "MB", 400.0, megabytes));
    }

    progress("a start after kill -9");
    let begin = Instant::now();
    server.restart_after_kill()?;
    let started = write_once(&server, begin).await?;
    let what = "start after kill -9, until it takes writes";
    lists.push(Row::at_most(what, "s", 2.0, started.as_secs_f64()));

    let how = format!("{count} entries");
    let less = count < Sizes::full().entries;
    rows.extend(lists.into_iter().map(|row| row.with_less(less, &how)));
    Ok(rows)
}

fn per(bytes: u64, count: u64) -> f64 {
    bytes as f64 / count.max(1) as f64
}

/// First pages over one connection; the slowest filter's is the row.
async fn first_pages(target: &Target) -> Result<Vec<Row>, BenchError> {
    let mut slowest = (0.0, String::new());
    for (name, query) in filters(target).await? {
        let p99 = p99_of(target, list_path(&query), FIRST_PAGES).await?;
        if p99 >= slowest.0 {
            slowest = (p99, name);
        }
    }
    let row = Row::at_most("list, first page, any filter, p99", "ms", 10.0, slowest.0);
    Ok(vec![row.limit(format!("the slowest: {}", slowest.1))])
}

async fn p99_of(target: &Target, path: String, most: u64) -> Result<f64, BenchError> {
    let work = Gets {
        target: target.clone(),
        paths: vec![path],
        most: Some(most),
        entries: 1,
    };
    let figures = whole(load::run("list", target, at_once(1), work).await?)?;
    Ok(figures.latency_ms.p99)
}

/// The last of the pages that cursors lead to, without a filter and with a common one.
async fn deep_pages(target: &Target, pages: u64) -> Result<Vec<Row>, BenchError> {
    let full = Sizes::full().pages;
    let mut rows = Vec::new();
    for (name, query) in [("no filter", ""), ("outcome", "outcome=success")] {
        let (number, times) = go_through(target, list_path(query), pages).await?;
        let p99 = percentile(&times[times.len().saturating_sub(LAST_PAGES)..], 0.99);
        let what = format!("list, 10,000th page by cursor, {name}, p99");
        let row = Row::at_most(&what, "ms", 10.0, p99);
        rows.push(row.with_less(number < full, &format!("page {number}")));
    }
    Ok(rows)
}

/// Goes through pages; how many there were, and the milliseconds of each.
pub(crate) async fn go_through(
    target: &Target,
    path: String,
    pages: u64,
) -> Result<(u64, Vec<f64>), BenchError> {
    let going = target.with_connection(async |mut sender| {
        let (mut path, mut times) = (Some(path), Vec::new());
        while let Some(at) = path.take().filter(|_| (times.len() as u64) < pages) {
            let begin = Instant::now();
            let answer = sender.exchange(target.get(&at), Body::Keep).await?;
            times.push(begin.elapsed().as_secs_f64() * 1e3);
            path = reads::next(&answer.json("a page of the list")?);
        }
        Ok((times.len() as u64, times))
    });
    going.await?
}

/// The value that so many in a hundred do not exceed.
pub(crate) fn percentile(values: &[f64], part: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * part).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// Parts of texts: of an action, and of a resource, of which each entry has another.
async fn parts(target: &Target) -> Result<Vec<Row>, BenchError> {
    let page = reads::page(target, "page_size=1").await?;
    let newest = reads::results(&page).first().cloned().unwrap_or_default();
    let mut rows = Vec::new();
    for (member, budget) in [("action", 10.0), ("resource", 100.0)] {
        let text = newest[member].as_str().unwrap_or_default();
        // From its middle to its end, so that few resources have it.
        let part: String = text.chars().skip(text.chars().count() / 2).collect();
        let path = list_path(&format!("{member}__contains={}", encoded(&part)));
        let p99 = p99_of(target, path, FIRST_PAGES).await?;
        let what = format!("list, {member}__contains, p99");
        rows.push(Row::at_most(&what, "ms", budget, p99));
    }
    Ok(rows)
}

async fn gets(target: &Target) -> Result<Row, BenchError> {
    let ids = reads::ids(target, reads::size(target).await?).await?;
    let proofs = reads::has_proofs(target, &ids[0]).await?;
    let work = Gets {
        target: target.clone(),
        paths: entry_paths(&ids, proofs),
        most: Some(GETS),
        entries: 1,
    };
    let figures = whole(load::run("get", target, at_once(1), work).await?)?;
    let p99 = figures.latency_ms.p99;
    let how = if proofs {
        "its proof"
    } else {
        "verified by the server: it gives no proofs yet"
    };
    Ok(Row::at_most("entry by id with proof, p99", "ms", 2.0, p99).limit(how))
}

async fn export(target: &Target) -> Result<Row, BenchError> {
    let work = Exports {
        target: target.clone(),
        most: Some(1),
    };
    let figures = whole(load::run("export", target, at_once(1), work).await?)?;
    let what = "export, NDJSON, each entry verified";
    let rate = figures.entries_per_second;
    let megabytes = figures.received_bytes as f64 / 1e6 / figures.seconds.max(1e-9);
    let row = Row::at_least(what, "entries/s", 300_000.0, rate);
    Ok(row.limit(format!("{megabytes:.0} MB/s received")))
}

/// Until a started server has taken an entry.
pub(crate) async fn write_once(server: &Embedded, begin: Instant) -> Result<Duration, BenchError> {
    const PATIENCE: Duration = Duration::from_secs(600);
    loop {
        let body = br#"{"action":"bench.started"}"#.to_vec();
        let request = server
            .target
            .post("/logs/create/", "application/json", body);
        let answer = server.target.once(request).await?;
        if answer.status == 201 {
            let took = begin.elapsed();
            followed(&server.target).await?;
            return Ok(took);
        }
        if begin.elapsed() > PATIENCE {
            answer.json("the first entry after a start")?;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 0.99), 198.0);
        assert_eq!(percentile(&values, 1.0), 200.0);
        assert_eq!(percentile(&[], 0.99), 0.0);
    }
}
