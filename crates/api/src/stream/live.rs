//! One stream: what it sends next.
//!
//! It reads when its client has room for more, so that a slow client holds up nobody but itself,
//! and holds one part of its stream in memory.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use audittrail_entry::Record;
use audittrail_store::Query;
use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use super::places::Place;
use super::recent::{Seen, event};
use crate::caller::{NANOS, access};
use crate::metering::record_failures;
use crate::problem::{Problem, Slug};
use crate::render::parse;

/// Nearer to the end of the log than this the entries are read that all streams share.
const NEAR: u64 = 1_024;
/// One search goes through so many entries of the log.
const SEARCHED: u64 = 1 << 20;
/// And finds so many at most.
const FOUND: usize = 1_024;
/// So many of these are read at once, until there is a part.
const TOGETHER: usize = 16;
const PART_BYTES: usize = 256 << 10;
/// A stream that has caught up looks again after so long for each stream that is open, or at
/// once if that is less than a timer's step: commits wake up some 50,000 streams a second at
/// most, however many there are of both.
const PAUSE_US: u64 = 20;
const STEP: Duration = Duration::from_millis(1);

/// How far a stream has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// Before the first entry.
    Before,
    /// At the entry with this index.
    At(u64),
}

impl Position {
    /// At the entry before an index.
    pub(super) fn before(index: u64) -> Self {
        index.checked_sub(1).map_or(Self::Before, Self::At)
    }

    pub(super) fn next(self) -> u64 {
        match self {
            Self::Before => 0,
            Self::At(index) => index.saturating_add(1),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Before => f.write_str("-1"),
            Self::At(index) => index.fmt(f),
        }
    }
}

/// Why a stream does something.
enum Woken {
    Stopping,
    Quiet,
    Rested,
    Behind,
    Grown,
}

pub(super) struct Live {
    place: Place,
    token: String,
    /// The second in which the token was last found valid.
    valid_at: i64,
    query: Query,
    /// Whatever is below was passed; entries of `found` are not.
    next: u64,
    /// What a search found and nobody has read yet.
    found: VecDeque<u64>,
    /// Where the search ended.
    searched: u64,
    /// The position that the client knows.
    told: Position,
    grown: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    quiet: Interval,
    resting: bool,
    ended: bool,
    /// What is sent first.
    pub(super) ready: Vec<u8>,
}

impl Live {
    /// A stream whose client is told a position, and that begins to read at an index.
    pub(super) fn new(
        place: Place,
        token: String,
        query: Query,
        told: Position,
        next: u64,
    ) -> Self {
        let api = &place.shared.api;
        let mut quiet = interval(api.settings.keep_alive);
        quiet.set_missed_tick_behavior(MissedTickBehavior::Delay);
        quiet.reset();
        Self {
            token,
            valid_at: api.clock.now().nanos() / NANOS,
            next,
            found: VecDeque::new(),
            searched: next,
            told,
            grown: api.grown.clone(),
            stopping: api.stopping.clone(),
            quiet,
            resting: false,
            ended: false,
            ready: Vec::new(),
            query,
            place,
        }
    }

    /// Reads what there is at the start.
    pub(super) async fn read_first(&mut self, size: u64) -> Result<(), Problem> {
        if self.next < size {
            let first = self.read(size).await?;
            self.ready.extend(first);
        }
        Ok(())
    }

    /// The next part; none after the end.
    pub(super) async fn part(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if self.ended {
            return None;
        }
        let part = if self.ready.is_empty() {
            match self.wait_for_part().await {
                Ok(part) => part,
                Err(problem) => self.end(&problem),
            }
        } else {
            std::mem::take(&mut self.ready)
        };
        Some((Ok(Bytes::from(part)), self))
    }

    async fn wait_for_part(&mut self) -> Result<Vec<u8>, Problem> {
        loop {
            match self.wake().await {
                Woken::Stopping => {
                    let detail = "The server is stopping; connect again, with Last-Event-ID.";
                    return Err(Problem::new(Slug::Unavailable, detail));
                }
                Woken::Quiet => {
                    self.check_token()?;
                    let mut comment = b": still here\n".to_vec();
                    self.tell_position(&mut comment);
                    comment.push(b'\n');
                    return Ok(comment);
                }
                Woken::Behind => {
                    self.check_token()?;
                    let size = *self.grown.borrow();
                    let part = self.read(size).await?;
                    self.resting = self.is_at(size) && self.pause() >= STEP;
                    if !part.is_empty() {
                        self.quiet.reset();
                        return Ok(part);
                    }
                    tokio::task::yield_now().await;
                }
                Woken::Rested => self.resting = false,
                Woken::Grown => {}
            }
        }
    }

    async fn wake(&mut self) -> Woken {
        let size = *self.grown.borrow_and_update();
        let (behind, resting, pause) = (!self.is_at(size), self.resting, self.pause());
        tokio::select! {
            biased;
            _ = self.stopping.wait_for(|stopping| *stopping) => Woken::Stopping,
            _ = self.quiet.tick() => Woken::Quiet,
            () = sleep(pause), if resting => Woken::Rested,
            () = std::future::ready(()), if behind && !resting => Woken::Behind,
            grown = self.grown.changed(), if !resting => match grown {
                Ok(()) => Woken::Grown,
                Err(_) => Woken::Stopping,
            },
        }
    }

    fn is_at(&self, size: u64) -> bool {
        self.found.is_empty() && self.next >= size
    }

    fn pause(&self) -> Duration {
        Duration::from_micros(PAUSE_US * self.place.shared.streams.open() as u64)
    }

    /// That the token is still good: it may have expired, or its key have been withdrawn.
    fn check_token(&mut self) -> Result<(), Problem> {
        let api = &self.place.shared.api;
        let now = api.clock.now().nanos() / NANOS;
        if now == self.valid_at {
            return Ok(());
        }
        self.valid_at = now;
        let principal = api.authenticator.authenticate(&self.token, now);
        let allowed = principal.map_err(|error| {
            let detail = format!("{error} Connect again with another token, and Last-Event-ID.");
            Problem::new(Slug::Unauthenticated, detail)
        })?;
        if access(allowed.read_access()?) == self.query.access {
            return Ok(());
        }
        let detail = "The token no longer allows what it did; connect again, with Last-Event-ID.";
        Err(Problem::new(Slug::Forbidden, detail))
    }

    /// The last event: a problem document.
    fn end(&mut self, problem: &Problem) -> Vec<u8> {
        self.ended = true;
        let mut last = Vec::new();
        self.tell_position(&mut last);
        let document = Value::Object(problem.document());
        last.extend(format!("event: end\ndata: {document}\n\n").as_bytes());
        last
    }

    /// The client's next `Last-Event-ID`, where it changed. Who may not see everything learns
    /// nothing of what was passed.
    fn tell_position(&mut self, out: &mut Vec<u8>) {
        let position = Position::before(self.next.min(*self.grown.borrow()));
        let newer = position.next() > self.told.next();
        if newer && self.query.access.is_unrestricted() {
            self.told = position;
            out.extend(format!("id: {position}\n").as_bytes());
        }
    }

    /// Goes on towards the end of a log of that size; events of what is selected on the way,
    /// none if that is nothing.
    async fn read(&mut self, size: u64) -> Result<Vec<u8>, Problem> {
        if self.found.is_empty() && size.saturating_sub(self.next) > NEAR {
            self.search(size).await?;
        } else if self.found.is_empty() {
            // Without the search index, so that what is new is there while that is built.
            let shared = &self.place.shared;
            let seen = shared.streams.recent.read(shared, self.next, size);
            let seen = seen.await?;
            return Ok(self.select(&seen));
        }
        self.read_found().await
    }

    /// Events of those entries that are selected.
    fn select(&mut self, seen: &[Arc<Seen>]) -> Vec<u8> {
        self.query.failed = self.place.shared.api.reader.failed();
        self.query.size = u64::MAX;
        let mut part = Vec::new();
        for seen in seen {
            let (index, record) = (seen.checked.index, seen.checked.record.as_ref());
            let entry = record.and_then(parse);
            if self.query.selects(index, entry.as_ref(), seen.failed()) {
                part.extend_from_slice(seen.event());
                self.sent(index);
            }
            self.next = index + 1;
        }
        part
    }

    fn sent(&mut self, index: u64) {
        self.told = Position::At(index);
        metrics::counter!("audittrail_stream_entries_total").increment(1);
    }

    /// Looks for what is selected among the next entries.
    async fn search(&mut self, size: u64) -> Result<(), Problem> {
        let api = &self.place.shared.api;
        self.searched = size.min(self.next.saturating_add(SEARCHED));
        self.query.size = self.searched;
        self.query.filter.index.from = Some(self.next);
        self.query.limit = FOUND;
        self.query.failed = api.reader.failed();
        let page = api.store.search(&self.query).await?;
        if !page.damaged.is_empty() {
            api.reader.report(&page.damaged);
            record_failures(page.damaged.len() as u64, api.reader.failed().len());
        }
        self.found = page.keys.iter().map(|key| key.index).collect();
        if let Some(last) = self.found.back().filter(|_| page.after) {
            self.searched = last + 1;
        }
        if self.found.is_empty() {
            self.next = self.searched;
        }
        Ok(())
    }

    /// Events of the next entries that were found.
    async fn read_found(&mut self) -> Result<Vec<u8>, Problem> {
        let (mut part, mut bytes) = (Vec::new(), 0);
        while !self.found.is_empty() && bytes < PART_BYTES {
            let shared = &self.place.shared;
            let indices: Vec<u64> = self.found.iter().take(TOGETHER).copied().collect();
            let stored = shared.api.store.records(&indices).await?;
            let checked = shared.check(stored).await?;
            for one in checked {
                bytes += one.record.as_ref().map_or(0, Record::size_bytes);
                let entry = one.record.as_ref().and_then(parse);
                if self.query.access.admits(entry.as_ref()) {
                    part.extend(event(&one));
                    self.sent(one.index);
                }
                self.next = one.index + 1;
                self.found.pop_front();
            }
        }
        if self.found.is_empty() {
            self.next = self.searched;
        }
        Ok(part)
    }
}
