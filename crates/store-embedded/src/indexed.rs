//! The search index of a store: how it follows the log, and how the log waits for it.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use audittrail_merkle::{Hash, leaf_hash};
use audittrail_search_index::{IndexError, IndexOptions, SearchIndex, Source, Step};
use audittrail_store::{CommitError, CommitErrorKind, Page, Query, Stats, StatsQuery, Stored};
use uuid::Uuid;

use crate::disk::Disk;
use crate::layout::Layout;
use crate::segments::Segments;
use crate::shared::Shared;
use crate::start_error::StartError;
use crate::store::EmbeddedStore;
use crate::tree::Tree;
use crate::waiting::WaitedFor;
use crate::walk::id_of;

/// What the index reads of the log at once.
const SCAN_BYTES: usize = 4 << 20;
/// How long entries wait in memory if there are few of them: so many looks, a second apart.
const PATIENCE: u32 = 10;
/// From so many entries on they are written at the next look.
const WORTHWHILE: usize = 1_000;
/// The most steps after `stop`, each of which may take a second.
const STEPS_AT_END: usize = 2;
const LOOK: Duration = Duration::from_secs(1);
/// The index's files are read whole and compared with their checksums once in so many looks.
const CHECK_EVERY: u32 = 86_400;

/// What [`EmbeddedStore::look`] remembers from one look to the next.
#[derive(Debug, Clone, Copy, Default)]
pub struct Following {
    /// Since something was written last.
    looks: u32,
    until_check: u32,
}

/// The log as the index sees it.
pub(crate) struct Log<'s> {
    segments: &'s Segments,
    tree: &'s Tree,
}

impl<'s> Log<'s> {
    pub(crate) fn new(segments: &'s Segments, tree: &'s Tree) -> Self {
        Self { segments, tree }
    }
}

impl Source for Log<'_> {
    fn scan(&self, range: Range<u64>) -> io::Result<Vec<Stored>> {
        self.segments.scan(range, SCAN_BYTES)
    }

    fn leaf_hash(&self, index: u64) -> io::Result<Hash> {
        let hashes = self.tree.hashes(0, index..index + 1)?;
        hashes
            .first()
            .copied()
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn id_of_damaged(&self, index: u64) -> Option<Uuid> {
        let location = self.segments.location(index).ok().flatten();
        location
            .map(|location| location.id)
            .filter(|id| !id.is_nil())
    }
}

/// Opens the index of a log with `size` entries. If it lacks few of them it has them in
/// memory afterwards; if it lacks many it is not whole before it has followed.
pub(crate) fn open(
    disk: &dyn Disk,
    layout: &Layout,
    origin: [u8; 32],
    size: u64,
    log: &Log<'_>,
    options: IndexOptions,
) -> Result<SearchIndex, StartError> {
    let failed = |error: IndexError| StartError::Io {
        what: "the search index cannot be opened".to_owned(),
        source: io::Error::other(error),
    };
    let path = disk.system_path(&layout.index());
    let index = SearchIndex::open(path.as_deref(), origin, size, log, options).map_err(failed)?;
    index.catch_up(size, log).map_err(failed)?;
    Ok(index)
}

impl Shared {
    fn log(&self) -> Log<'_> {
        Log::new(&self.segments, &self.tree)
    }

    /// The indices of the entries with these ids. What the index says counts where the entry
    /// itself says it and is the one in the tree. Of an entry that was damaged or changed nobody
    /// can say whose id it had, so a claim on it counts only where no sound entry has the id.
    pub(crate) fn find(&self, ids: &[Uuid]) -> Result<Vec<Option<u64>>, IndexError> {
        let claims = self.index.claims(ids)?;
        let found = ids.iter().zip(claims);
        found
            .map(|(id, claims)| self.confirmed(id, &claims))
            .collect()
    }

    fn confirmed(&self, id: &Uuid, claims: &[u64]) -> Result<Option<u64>, IndexError> {
        let mut doubtful = None;
        for index in claims {
            let read = self.leaf(*index).and_then(|leaf| {
                let in_tree = self.log().leaf_hash(*index)?;
                Ok((leaf, in_tree))
            });
            let (leaf, hash) = read.map_err(IndexError::io("the log cannot be read"))?;
            match leaf.filter(|leaf| leaf_hash(leaf) == hash) {
                None => doubtful = doubtful.or(Some(*index)),
                Some(leaf) if id_of(&leaf) == *id => return Ok(Some(*index)),
                Some(_) => {
                    let why = format!("it gives entry {index} an id that the entry does not have");
                    self.index.set_damaged(&why);
                    return Err(IndexError::Damaged(why));
                }
            }
        }
        Ok(doubtful)
    }

    /// The leaf of an entry, if it can be read.
    fn leaf(&self, index: u64) -> io::Result<Option<Vec<u8>>> {
        let mut stored = Vec::with_capacity(1);
        self.segments.read(index..index + 1, &mut stored)?;
        Ok(stored
            .pop()
            .and_then(|one| one.record.ok())
            .map(|record| record.leaf))
    }

    pub(crate) fn search(&self, query: &Query) -> Result<Page, IndexError> {
        self.index.search(query, &|index| self.read_one(index))
    }

    pub(crate) fn stats(
        &self,
        query: &StatsQuery,
        waited_for: &WaitedFor,
    ) -> Result<Stats, IndexError> {
        let read = |index| self.read_one(index);
        self.index.stats(query, &read, &|| waited_for.still())
    }

    fn read_one(&self, index: u64) -> io::Result<Stored> {
        let mut stored = Vec::with_capacity(1);
        self.segments.read(index..index + 1, &mut stored)?;
        stored
            .pop()
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Before a batch: what waits in memory is bounded, so under sustained load the log goes
    /// no faster than its index.
    pub(crate) fn make_room_in_index(&self) -> Result<(), CommitError> {
        self.index.make_room(&self.log()).map_err(|error| {
            let what = "the search index cannot be written";
            CommitError::caused(CommitErrorKind::Refused, what, error)
        })
    }

    /// One step; after it an index that was far behind is whole if only little is missing.
    fn step(&self) -> Result<Step, IndexError> {
        let step = self.index.step(&self.log())?;
        if !self.index.is_whole() {
            let head = self.head().size;
            if self.index.is_near(head) {
                // Nothing is committed while the last entries are read.
                let writer = self.writer();
                self.index.catch_up(writer.edge.size(), &self.log())?;
            }
        }
        Ok(step)
    }
}

impl EmbeddedStore {
    /// Writes the next entries that wait to the search index's files, and says whether more
    /// are to be written at once.
    ///
    /// # Errors
    /// If that failed. Everything that was found before is found still, or the index is
    /// being built anew.
    pub fn step_index(&self) -> Result<Step, IndexError> {
        self.shared.step()
    }

    /// Waits until what the search index does in the background is done.
    ///
    /// # Errors
    /// If it failed.
    pub fn settle_index(&self) -> Result<(), IndexError> {
        self.shared.index.settle()
    }

    /// Reads the files of the search index and compares their checksums; where one does not
    /// hold, the next step builds the index anew.
    ///
    /// # Errors
    /// If one does not hold, or the files cannot be read.
    pub fn check_index(&self) -> Result<(), IndexError> {
        self.shared.index.check_files()
    }

    /// Whether every committed entry can be found, and how many entries are in the files of
    /// the search index.
    pub fn index_position(&self) -> (bool, u64) {
        (self.shared.index.is_whole(), self.shared.index.position())
    }

    /// Lets the search index follow the log until `stop`. Blocks the calling thread; after a
    /// failure it goes on with the next look.
    pub fn follow(&self, stop: &AtomicBool) {
        let mut following = Following::default();
        while !stop.load(Ordering::Acquire) {
            self.look(&mut following, LOOK, stop);
        }
        // What is written now need not be read from the log at the next start.
        for _ in 0..STEPS_AT_END {
            let index = &self.shared.index;
            if !index.is_whole() || self.shared.step().is_ok_and(|step| !step.more) {
                break;
            }
        }
    }

    /// One look of [`EmbeddedStore::follow`], for who has no thread to give to it: waits until
    /// there is something to write, but no longer than a time, and writes if it is worth it.
    pub fn look(&self, following: &mut Following, longest: Duration, stop: &AtomicBool) {
        let index = &self.shared.index;
        let due = index.wait(longest);
        following.looks += 1;
        let (waiting, _) = index.waiting();
        let patient = !due && waiting < WORTHWHILE && following.looks < PATIENCE;
        if index.is_whole() && patient {
            return;
        }
        following.looks = 0;
        let until_check = &mut following.until_check;
        match self.write_all(stop) {
            Err(error) => tracing::warn!(%error, "the search index could not be written"),
            Ok(()) if *until_check == 0 && index.is_whole() => {
                *until_check = CHECK_EVERY / PATIENCE;
                if let Err(error) = index.check_files() {
                    tracing::warn!(%error, "the search index could not be checked");
                }
            }
            Ok(()) => *until_check = until_check.saturating_sub(1),
        }
    }

    fn write_all(&self, stop: &AtomicBool) -> Result<(), IndexError> {
        let (mut told, whole) = (0, self.shared.index.is_whole());
        loop {
            let step = self.shared.step()?;
            let (position, size) = (self.shared.index.position(), self.shared.head().size);
            if !whole && position >= told + PROGRESS {
                told = position;
                tracing::info!(position, size, "the search index is being built");
            }
            if !step.more || stop.load(Ordering::Acquire) {
                break;
            }
        }
        if !whole && self.shared.index.is_whole() {
            tracing::info!(
                entries = self.shared.head().size,
                "the search index is whole: searches are answered again"
            );
        }
        Ok(())
    }

    /// Ends the wait of [`EmbeddedStore::follow`], so that it sees `stop`.
    pub fn wake_follower(&self) {
        self.shared.index.wake();
    }
}

/// While the index is built, its progress is logged after so many entries.
const PROGRESS: u64 = 500_000;
