//! The newest entries, read and verified once for all streams.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use audittrail_entry::Record;
use audittrail_store::{Checked, Verdict};
use bytes::Bytes;

use crate::Shared;
use crate::problem::{Problem, Slug};
use crate::render::write_result;

/// So many entries are kept, if they do not reach their bound in bytes before.
const KEPT: usize = 4_096;
const KEPT_BYTES: usize = 8 << 20;
/// So much is read at once.
const TOGETHER: u64 = 256;
const TOGETHER_BYTES: usize = 1 << 20;
/// A stream that has fallen behind reads so much by itself.
const ALONE: u64 = 64;
/// So much one stream takes at once.
const TAKEN: usize = 128;
const TAKEN_BYTES: usize = 256 << 10;

/// An entry, with the event that is made of it when first it is sent.
pub(super) struct Seen {
    pub(super) checked: Checked,
    event: OnceLock<Bytes>,
}

impl Seen {
    pub(super) fn event(&self) -> &Bytes {
        self.event.get_or_init(|| event(&self.checked).into())
    }

    pub(super) fn failed(&self) -> bool {
        self.checked.verdict != Verdict::Verified
    }

    fn bytes(&self) -> usize {
        self.checked.record.as_ref().map_or(0, Record::size_bytes)
    }
}

/// An entry as an event. Its JSON has no line ends: strings have them escaped.
pub(super) fn event(checked: &Checked) -> Vec<u8> {
    let mut event = format!("id: {}\nevent: entry\ndata: ", checked.index).into_bytes();
    write_result(checked, &mut event);
    event.extend(b"\n\n");
    event
}

/// Consecutive entries up to some index near the end of the log.
#[derive(Default)]
struct Kept {
    start: u64,
    entries: VecDeque<Arc<Seen>>,
    bytes: usize,
}

/// What is kept from an index on.
enum Taken {
    Kept(Vec<Arc<Seen>>),
    /// Nothing: it is older than what is kept.
    Older,
    /// Nothing: it is yet to be read.
    Newer,
}

#[derive(Default)]
pub(super) struct Recent {
    kept: RwLock<Kept>,
    /// Held by the stream that reads for the others.
    reading: tokio::sync::Mutex<()>,
}

impl Recent {
    /// Entries from `next` on, at least one, of a log that is larger than that.
    pub(super) async fn read(
        &self,
        shared: &Shared,
        next: u64,
        size: u64,
    ) -> Result<Vec<Arc<Seen>>, Problem> {
        match self.taken(next) {
            Taken::Kept(taken) => return Ok(taken),
            Taken::Older => return read(shared, next..size.min(next + ALONE)).await,
            Taken::Newer => {}
        }
        let _reading = self.reading.lock().await;
        // Another stream may have read it while this one waited.
        match self.taken(next) {
            Taken::Kept(taken) => return Ok(taken),
            Taken::Older => return read(shared, next..size.min(next + ALONE)).await,
            Taken::Newer => {}
        }
        let seen = read(shared, next..size.min(next + TOGETHER)).await?;
        self.keep(next, &seen);
        match self.taken(next) {
            Taken::Kept(taken) => Ok(taken),
            Taken::Older | Taken::Newer => Ok(seen),
        }
    }

    fn taken(&self, next: u64) -> Taken {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let Some(from) = next.checked_sub(kept.start) else {
            return Taken::Older;
        };
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let taken: Vec<_> = kept
            .entries
            .range(from.min(kept.entries.len())..)
            .take(TAKEN)
            .take_while(|seen| {
                let room = bytes < TAKEN_BYTES;
                bytes += seen.bytes();
                room
            })
            .map(Arc::clone)
            .collect();
        if taken.is_empty() {
            Taken::Newer
        } else {
            Taken::Kept(taken)
        }
    }

    /// Takes in what was read, from the end of what is kept on; or in its place, if nobody has
    /// read what lies between.
    fn keep(&self, first: u64, read: &[Arc<Seen>]) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.start + kept.entries.len() as u64 != first {
            *kept = Kept {
                start: first,
                ..Kept::default()
            };
        }
        let begun = kept.entries.len();
        for seen in read {
            kept.bytes += seen.bytes();
            kept.entries.push_back(Arc::clone(seen));
        }
        let mut old = begun;
        while old > 0 && (kept.entries.len() > KEPT || kept.bytes > KEPT_BYTES) {
            if let Some(seen) = kept.entries.pop_front() {
                kept.bytes -= seen.bytes();
                kept.start += 1;
            }
            old -= 1;
        }
    }

    pub(super) fn clear(&self) {
        *self.kept.write().unwrap_or_else(PoisonError::into_inner) = Kept::default();
    }
}

/// Reads and verifies.
async fn read(shared: &Shared, range: Range<u64>) -> Result<Vec<Arc<Seen>>, Problem> {
    let stored = shared.api.store.scan(range, TOGETHER_BYTES).await?;
    let checked = shared.check(stored).await?;
    if checked.is_empty() {
        let detail = "The store has no entry where one has to be.";
        return Err(Problem::new(Slug::Unavailable, detail));
    }
    let seen = checked.into_iter().map(|checked| {
        Arc::new(Seen {
            checked,
            event: OnceLock::new(),
        })
    });
    Ok(seen.collect())
}
