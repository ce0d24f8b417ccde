//! What does not depend on how much a log holds, measured at several sizes of one log.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::budgets::{followed, go_through, percentile, write_once};
use crate::client::Target;
use crate::process::{Watch, cpu_ms};
use crate::reads::{self, Gets};
use crate::scenario::{at_once, entry_paths, fill, filters, list_path, whole};
use crate::writes::Cursor;
use crate::{BenchError, Embedded, Entries, Figures, Kind, load};

/// Entries in a request that fills the log.
const BATCH: u64 = 1_000;
/// First pages of each filter, and the last of the pages that cursors lead to.
const PAGES: u64 = 200;
/// Entries, and proofs, by id.
const GETS: u64 = 2_000;
/// The server is at rest when it used less than so much CPU time in each of so many seconds.
const REST_MS: u64 = 50;
const REST_SECONDS: u32 = 5;
/// Until it has to be.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// A run that measures one log as it grows.
#[derive(Debug, Clone)]
pub struct Growth {
    /// The server's binary.
    pub binary: PathBuf,
    /// Where the directory for the server's data is made.
    pub within: PathBuf,
    /// The sizes, in entries, ascending.
    pub sizes: Vec<u64>,
    /// How many pages are gone through by cursor.
    pub pages: u64,
    /// What entries are made from.
    pub seed: u64,
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Times {
    /// That half did not exceed.
    pub p50: f64,
    /// That 99 in 100 did not exceed.
    pub p99: f64,
}

impl Times {
    fn of(times: &[f64]) -> Self {
        Self {
            p50: percentile(times, 0.5),
            p99: percentile(times, 0.99),
        }
    }
}

impl From<&Figures> for Times {
    fn from(figures: &Figures) -> Self {
        Self {
            p50: figures.latency_ms.p50,
            p99: figures.latency_ms.p99,
        }
    }
}

/// What was measured at one size.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Stage {
    /// Entries in the log.
    pub entries: u64,
    /// Entries a second from the size before to this one, the index following.
    pub ingest_per_second: f64,
    /// The server's CPU time an entry meanwhile, in microseconds, until it was at rest again.
    pub ingest_cpu_us: f64,
    /// The most anonymous resident memory meanwhile, in MB.
    pub ingest_memory_mb: f64,
    /// Seconds from the start after a SIGKILL until an entry was committed.
    pub start_seconds: f64,
    /// First pages of 100 entries under the filter whose 99th percentile is the greatest.
    pub first_page_ms: Times,
    /// That filter.
    pub slowest_filter: String,
    /// The number of the last page that cursors led to, without a filter.
    pub last_page: u64,
    /// The last 200 of these pages.
    pub last_pages_ms: Times,
    /// Entries by id.
    pub get_ms: Times,
    /// Inclusion proofs by id.
    pub proof_ms: Times,
    /// The most anonymous resident memory while it was read, in MB.
    pub read_memory_mb: f64,
    /// Bytes of JSON that were sent for an entry.
    pub json_bytes: f64,
    /// Bytes on disk for an entry: all, and those below `log`, `index`, `tree`, `locations`.
    pub disk_bytes: f64,
    /// See `disk_bytes`.
    pub log_bytes: f64,
    /// See `disk_bytes`.
    pub index_bytes: f64,
    /// See `disk_bytes`.
    pub tree_bytes: f64,
    /// See `disk_bytes`.
    pub locations_bytes: f64,
}

impl Growth {
    /// Fills a log up to each size in turn and measures it there.
    ///
    /// # Errors
    /// If the server cannot be started, or answers with an error.
    pub async fn run(&self, progress: &dyn Fn(&str)) -> Result<Vec<Stage>, BenchError> {
        let mut server = Embedded::start(&self.binary, &self.within)?;
        let cursor = Cursor::default();
        let (mut stages, mut size) = (Vec::new(), 0);
        for entries in self.sizes.iter().copied().filter(|entries| *entries > 0) {
            progress(&format!("writing up to {entries} entries"));
            let count = entries.saturating_sub(size);
            let mut stage = self.grow(&server.target, count, &cursor).await?;
            size = size.max(entries);
            stage.entries = size;
            progress(&format!("measuring at {entries} entries"));
            let begin = Instant::now();
            server.restart_after_kill()?;
            stage.start_seconds = write_once(&server, begin).await?.as_secs_f64();
            self.read(&server.target, &mut stage).await?;
            let per_entry = |bytes: u64| bytes as f64 / size as f64;
            stage.disk_bytes = per_entry(server.data_bytes());
            stage.log_bytes = per_entry(server.bytes_below("log"));
            stage.index_bytes = per_entry(server.bytes_below("index"));
            stage.tree_bytes = per_entry(server.bytes_below("tree"));
            stage.locations_bytes = per_entry(server.bytes_below("locations"));
            stages.push(stage);
        }
        Ok(stages)
    }

    async fn grow(
        &self,
        target: &Target,
        count: u64,
        cursor: &Cursor,
    ) -> Result<Stage, BenchError> {
        let entries = Entries::Made {
            kind: Kind::Small,
            seed: self.seed,
        };
        let watch = target.pid.map(Watch::start);
        let cpu = || target.pid.and_then(cpu_ms).unwrap_or(0);
        let (begin, before) = (Instant::now(), cpu());
        let figures = fill(target, &entries, count, BATCH, cursor).await?;
        followed(target).await?;
        let took = begin.elapsed().as_secs_f64();
        rest(target).await?;
        let count = count.max(1) as f64;
        Ok(Stage {
            ingest_per_second: count / took,
            ingest_cpu_us: (cpu() - before) as f64 * 1e3 / count,
            ingest_memory_mb: watch.map_or(0.0, |watch| watch.most() as f64 / 1e6),
            json_bytes: figures.sent_bytes as f64 / count,
            ..Stage::default()
        })
    }

    async fn read(&self, target: &Target, stage: &mut Stage) -> Result<(), BenchError> {
        let watch = target.pid.map(Watch::start);
        for (name, query) in filters(target).await? {
            let figures = gets(target, vec![list_path(&query)], PAGES).await?;
            let times = Times::from(&figures);
            if times.p99 >= stage.first_page_ms.p99 {
                (stage.first_page_ms, stage.slowest_filter) = (times, name);
            }
        }
        let (number, times) = go_through(target, list_path(""), self.pages).await?;
        let last = times.len().saturating_sub(PAGES as usize);
        stage.last_page = number;
        stage.last_pages_ms = Times::of(&times[last..]);
        let ids = reads::ids(target, reads::size(target).await?).await?;
        stage.get_ms = Times::from(&gets(target, entry_paths(&ids, false), GETS).await?);
        stage.proof_ms = Times::from(&gets(target, entry_paths(&ids, true), GETS).await?);
        stage.read_memory_mb = watch.map_or(0.0, |watch| watch.most() as f64 / 1e6);
        Ok(())
    }
}

async fn gets(target: &Target, paths: Vec<String>, most: u64) -> Result<Figures, BenchError> {
    let work = Gets {
        target: target.clone(),
        paths,
        most: Some(most),
        entries: 1,
    };
    whole(load::run("reads", target, at_once(1), work).await?)
}

/// Waits until the server has nothing left to do, such as merging parts of its index.
async fn rest(target: &Target) -> Result<(), BenchError> {
    let Some(pid) = target.pid else {
        return Ok(());
    };
    let begin = Instant::now();
    let (mut idle, mut last) = (0, cpu_ms(pid).unwrap_or(0));
    while idle < REST_SECONDS {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = cpu_ms(pid).unwrap_or(0);
        idle = if now - last < REST_MS { idle + 1 } else { 0 };
        last = now;
        if begin.elapsed() > PATIENCE {
            return Err(BenchError::new("the server did not come to rest"));
        }
    }
    Ok(())
}

/// The stages as a table in Markdown.
pub fn growth_table(stages: &[Stage]) -> String {
    let mut text = String::from("| what | unit |");
    for stage in stages {
        text.push_str(&format!(" {} |", stage.entries));
    }
    text.push_str(&format!("\n|---|---|{}\n", "---|".repeat(stages.len())));
    let mut row = |what: &str, unit: &str, value: &dyn Fn(&Stage) -> String| {
        text.push_str(&format!("| {what} | {unit} |"));
        for stage in stages {
            text.push_str(&format!(" {} |", value(stage)));
        }
        text.push('\n');
    };
    let times = |times: Times| format!("{:.2}, {:.2}", times.p50, times.p99);
    row("ingest, the index following", "entries/s", &|at| {
        format!("{:.0}", at.ingest_per_second)
    });
    row("CPU time an entry", "µs", &|at| {
        format!("{:.1}", at.ingest_cpu_us)
    });
    row("memory, ingesting", "MB", &|at| {
        format!("{:.0}", at.ingest_memory_mb)
    });
    row("memory, reading", "MB", &|at| {
        format!("{:.0}", at.read_memory_mb)
    });
    row("start after kill -9", "s", &|at| {
        format!("{:.2}", at.start_seconds)
    });
    row("first page, slowest filter, p50 and p99", "ms", &|at| {
        format!("{} ({})", times(at.first_page_ms), at.slowest_filter)
    });
    row("last page by cursor, p50 and p99", "ms", &|at| {
        format!("{} (page {})", times(at.last_pages_ms), at.last_page)
    });
    row("an entry by id, p50 and p99", "ms", &|at| times(at.get_ms));
    row("a proof by id, p50 and p99", "ms", &|at| times(at.proof_ms));
    row("JSON sent for an entry", "bytes", &|at| {
        format!("{:.0}", at.json_bytes)
    });
    row("on disk for an entry", "bytes", &|at| {
        format!("{:.0}", at.disk_bytes)
    });
    row("of these log, index, tree, locations", "bytes", &|at| {
        format!(
            "{:.0}, {:.0}, {:.0}, {:.0}",
            at.log_bytes, at.index_bytes, at.tree_bytes, at.locations_bytes
        )
    });
    text
}
