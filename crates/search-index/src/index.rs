//! The index as a whole: what is in it, what is in memory yet, and how it follows the log.

use std::any::Any;
use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use audittrail_merkle::Hash;
use audittrail_store::{BatchEntry, Collector, Page, Query, Stored};
use tantivy::directory::MmapDirectory;
use uuid::Uuid;

use crate::error::IndexError;
use crate::follow::{Files, Writing};
use crate::page::Segments;
use crate::plan::Plan;
use crate::tail::{Tail, TailEntry};

/// The log that an index is made from.
pub trait Source {
    /// Consecutive entries from `range.start`: at least one of a range that is not empty,
    /// fewer than all where their bytes are many.
    ///
    /// # Errors
    /// If the system fails; a damaged entry is no error.
    fn scan(&self, range: Range<u64>) -> io::Result<Vec<Stored>>;

    /// The hash of the leaf at an index.
    ///
    /// # Errors
    /// If it cannot be read.
    fn leaf_hash(&self, index: u64) -> io::Result<Hash>;

    /// The id of an entry that itself cannot be read, if it is known from elsewhere.
    fn id_of_damaged(&self, _index: u64) -> Option<Uuid> {
        None
    }
}

/// How much an index keeps in memory, and when it writes.
#[derive(Debug, Clone, Copy)]
pub struct IndexOptions {
    /// At this many entries in memory the next step writes them.
    pub step_entries: usize,
    /// The tail is full at this many entries.
    pub tail_entries: usize,
    /// The tail is full at this many bytes.
    pub tail_bytes: usize,
    /// Memory in which a new segment is gathered, in bytes: 15 MB at least.
    pub writer_bytes: usize,
    /// So many different values are counted at once, each in 4 bytes: where there are more, the
    /// documents are gone through several times.
    pub counters: usize,
}

impl Default for IndexOptions {
    /// 20,000 entries a step; a tail of 256 k entries or 256 MiB; 64 MB to write in; 64 MiB
    /// to count in.
    fn default() -> Self {
        Self {
            step_entries: 20_000,
            tail_entries: 256 << 10,
            tail_bytes: 256 << 20,
            writer_bytes: 64_000_000,
            counters: 16 << 20,
        }
    }
}

/// What readers see, changed as a whole.
pub(crate) struct State {
    pub(crate) segments: Arc<Segments>,
    /// What lies beyond the segments; none while the index is far behind the log.
    pub(crate) tail: Option<Tail>,
}

/// A search index that follows one log.
pub struct SearchIndex {
    pub(crate) options: IndexOptions,
    pub(crate) files: Files,
    pub(crate) state: RwLock<State>,
    pub(crate) writing: Mutex<Writing>,
    /// The size of the log, as far as the index was told.
    pub(crate) size: AtomicU64,
    work: Condvar,
    work_lock: Mutex<bool>,
    pub(crate) room: Room,
    damaged: Mutex<Option<String>>,
}

/// How often room was made in the tail, for those who wait for it.
#[derive(Default)]
pub(crate) struct Room {
    times: Mutex<u64>,
    changed: Condvar,
}

impl Room {
    fn times(&self) -> MutexGuard<'_, u64> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn made(&self) {
        *self.times() += 1;
        self.changed.notify_all();
    }

    /// How often so far: what to wait beyond. Ask before looking whether there is room.
    pub(crate) fn seen(&self) -> u64 {
        *self.times()
    }

    /// Waits until room was made again, but no longer than a time.
    pub(crate) fn wait(&self, seen: u64, longest: Duration) {
        let unchanged = |times: &mut u64| *times == seen;
        let waited = self
            .changed
            .wait_timeout_while(self.times(), longest, unchanged);
        drop(waited);
    }
}

impl SearchIndex {
    /// Opens the index in a directory, which is made if need be; one that is damaged or
    /// belongs to another log is emptied. `origin` is the hash of the log's name, `size` its
    /// number of entries.
    ///
    /// With no directory it lives in memory.
    ///
    /// # Errors
    /// If the directory cannot be used.
    pub fn open(
        directory: Option<&Path>,
        origin: [u8; 32],
        size: u64,
        source: &dyn Source,
        options: IndexOptions,
    ) -> Result<Self, IndexError> {
        let files = Files::new(directory.map(Path::to_owned), origin);
        let opened = caught(|| files.open(size, source));
        let (segments, note) = match opened {
            Ok(found) => (found, None),
            Err(IndexError::Io { what, source }) => return Err(IndexError::Io { what, source }),
            Err(error) => {
                files.clear()?;
                (Vec::new(), Some(error.to_string()))
            }
        };
        if let Some(why) = note {
            tracing::warn!(%why, "the search index is built anew from the log");
        }
        Ok(Self {
            options,
            files,
            state: RwLock::new(State {
                segments: Arc::new(Segments::new(segments)),
                tail: None,
            }),
            writing: Mutex::new(Writing::default()),
            size: AtomicU64::new(size),
            work: Condvar::new(),
            work_lock: Mutex::new(false),
            room: Room::default(),
            damaged: Mutex::new(None),
        })
    }

    /// How many entries are in the index's files.
    pub fn position(&self) -> u64 {
        self.read_state().segments.end()
    }

    /// Whether every committed entry is found: not while the index is far behind the log.
    pub fn is_whole(&self) -> bool {
        self.read_state().tail.is_some()
    }

    /// Whether so little is missing up to `size` that [`SearchIndex::catch_up`] takes it in.
    pub fn is_near(&self, size: u64) -> bool {
        size.saturating_sub(self.position()) <= self.options.tail_entries as u64 / 2
    }

    /// Whether the next batch has to wait for a step.
    pub fn is_full(&self) -> bool {
        self.read_state().tail.as_ref().is_some_and(|tail| {
            tail.len() >= self.options.tail_entries || tail.bytes() >= self.options.tail_bytes
        })
    }

    /// How many entries wait in memory, and their bytes.
    pub fn waiting(&self) -> (usize, usize) {
        let state = self.read_state();
        state
            .tail
            .as_ref()
            .map_or((0, 0), |tail| (tail.len(), tail.bytes()))
    }

    /// Takes in what was committed, which then is found. Called in the order of the log, by
    /// one thread at a time.
    pub fn push(&self, first_index: u64, entries: &[BatchEntry<'_>]) {
        let size = first_index + entries.len() as u64;
        let made: Vec<TailEntry> = (first_index..)
            .zip(entries)
            .map(|(index, entry)| {
                let stored = Stored {
                    index,
                    record: Ok(entry.record.clone()),
                };
                TailEntry::sound(entry.id, stored)
            })
            .collect();
        let mut state = self.write_state();
        let mut waiting = 0;
        if let Some(tail) = &mut state.tail {
            made.into_iter().for_each(|entry| tail.push(entry));
            waiting = tail.len();
        }
        self.size.store(size, Ordering::Release);
        drop(state);
        if waiting >= self.options.step_entries {
            self.wake();
        }
    }

    /// Fills the tail with what lies between the index and the head, if that is little enough;
    /// whether it was. Nothing may be committed meanwhile.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn catch_up(&self, size: u64, source: &dyn Source) -> Result<bool, IndexError> {
        self.size.store(size, Ordering::Release);
        let position = self.position();
        if self.is_whole() {
            return Ok(true);
        }
        let mut tail = Tail::at(position);
        if !self.is_near(size) {
            return Ok(false);
        }
        while tail.end() < size {
            let scanned = source.scan(tail.end()..size);
            for stored in scanned.map_err(IndexError::io("the log cannot be read"))? {
                tail.push(TailEntry::read(stored, source));
            }
            if tail.bytes() > self.options.tail_bytes / 2 {
                return Ok(false);
            }
        }
        self.write_state().tail = Some(tail);
        Ok(true)
    }

    /// The indices of the entries with these ids, as far as the index knows.
    ///
    /// # Errors
    /// While the index is being built, or if it fails.
    pub fn find(&self, ids: &[Uuid]) -> Result<Vec<Option<u64>>, IndexError> {
        let claims = self.claims(ids)?;
        Ok(claims
            .iter()
            .map(|claims| claims.first().copied())
            .collect())
    }

    /// For each id the indices of all entries that the index has under it, in order: one, unless
    /// the log or the index was changed. An entry that could not be read is there under the id
    /// that [`Source::id_of_damaged`] gave, which proves nothing.
    ///
    /// # Errors
    /// While the index is being built, or if it fails.
    pub fn claims(&self, ids: &[Uuid]) -> Result<Vec<Vec<u64>>, IndexError> {
        let (segments, in_tail) = {
            let state = self.read_state();
            let Some(tail) = &state.tail else {
                return Err(self.building(&state.segments));
            };
            let found: Vec<Vec<u64>> = ids.iter().map(|id| tail.find(id).collect()).collect();
            (Arc::clone(&state.segments), found)
        };
        self.guarded(|| {
            let mut found = Vec::with_capacity(ids.len());
            for (id, in_tail) in ids.iter().zip(in_tail) {
                let mut claims = segments.find(id)?;
                // What is in the files since may have been in the tail a moment ago.
                claims.extend(in_tail);
                claims.dedup();
                found.push(claims);
            }
            Ok(found)
        })
    }

    /// One page. `read` gives an entry of the log: those that could not be read when the index
    /// met them, or that failed verification since, are looked at anew.
    ///
    /// # Errors
    /// While the index is being built, or if it fails.
    pub fn search(
        &self,
        query: &Query,
        read: &dyn Fn(u64) -> io::Result<Stored>,
    ) -> Result<Page, IndexError> {
        let (segments, tail) = {
            let state = self.read_state();
            let Some(tail) = &state.tail else {
                return Err(self.building(&state.segments));
            };
            (Arc::clone(&state.segments), tail.view())
        };
        let plan = Plan::new(&query.filter, &query.access, &self.files.fields);
        let damaged: std::collections::BTreeSet<u64> = segments.damaged(&(0..query.size)).collect();
        let apart = |index: u64| query.failed.contains_key(&index) || damaged.contains(&index);
        let window = query.filter.index;
        let start = window.from.unwrap_or(0).max(segments.end());
        let end = window
            .to
            .map_or(query.size, |to| to.saturating_add(1).min(query.size));
        let in_tail = start..end.max(start);
        let mut collector = if query.filter.failed {
            let mut collector = Collector::new(query);
            tail.offer_unreadable(in_tail, &apart, &mut collector);
            collector
        } else {
            let mut collector =
                self.guarded(|| segments.select(query, &plan, &self.files.fields, &apart))?;
            tail.offer(in_tail, &apart, &mut collector);
            collector
        };
        let failed = query.failed.range(..query.size).map(|(index, _)| *index);
        for index in failed.chain(
            damaged
                .iter()
                .copied()
                .filter(|i| !query.failed.contains_key(i)),
        ) {
            collector.offer(&read(index).map_err(IndexError::io("the log cannot be read"))?);
        }
        Ok(collector.finish())
    }

    pub(crate) fn building(&self, segments: &Segments) -> IndexError {
        IndexError::Building {
            position: segments.end(),
            size: self.size.load(Ordering::Acquire),
        }
    }

    /// Waits until there is enough to write, but no longer than a time; whether there is.
    pub fn wait(&self, longest: Duration) -> bool {
        let lock = self
            .work_lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (mut due, _) = self
            .work
            .wait_timeout_while(lock, longest, |due| !*due)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *due)
    }

    /// Ends a wait.
    pub fn wake(&self) {
        *self
            .work_lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.work.notify_all();
    }

    /// Runs what reads the index's files. The library may panic over files that were changed
    /// under it; the index then is damaged, and the next step makes it anew.
    pub(crate) fn guarded<T>(
        &self,
        job: impl FnOnce() -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let outcome = caught(job);
        if let Err(IndexError::Damaged(why)) = &outcome {
            self.set_damaged(why);
        }
        outcome
    }

    /// Says that the files cannot be trusted: the next step makes them anew.
    pub fn set_damaged(&self, why: &str) {
        let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        damaged.get_or_insert_with(|| why.to_owned());
        drop(damaged);
        self.wake();
    }

    pub(crate) fn take_damaged(&self) -> Option<String> {
        self.damaged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    pub(crate) fn read_state(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write_state(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lock_writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Segments {
    fn find(&self, id: &Uuid) -> Result<Vec<u64>, IndexError> {
        let term = crate::terms::id(id);
        let mut found = Vec::new();
        for segment in &self.segments {
            segment.with_term(&term, MOST_CLAIMS, &mut found)?;
        }
        Ok(found)
    }
}

/// Of more entries under one id than this, in one segment, the later ones are left out.
const MOST_CLAIMS: usize = 64;

/// A panic of the library is damage.
pub(crate) fn caught<T>(job: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
    catch_unwind(AssertUnwindSafe(job))
        .unwrap_or_else(|panic| Err(IndexError::Damaged(message_of(&*panic))))
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "its reader failed".to_owned())
}

/// A directory of the system, as the library wants it.
pub(crate) fn mmap(path: &PathBuf) -> Result<MmapDirectory, IndexError> {
    std::fs::create_dir_all(path).map_err(IndexError::io(
        "the directory of the search index cannot be made",
    ))?;
    Ok(MmapDirectory::open(path).map_err(tantivy::TantivyError::from)?)
}
