//! How the index follows the log: step by step, each a commit of the library with the position
//! in it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, TryLockError};
use std::time::Duration;

use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use tantivy::directory::RamDirectory;
use tantivy::index::SegmentId;
use tantivy::indexer::{AddOperation, IndexWriterOptions, NoMergePolicy, SegmentWriter};
use tantivy::{Directory, FutureResult, Index, IndexReader, ReloadPolicy, SegmentMeta};

use crate::checksum::check;
use crate::document::Document;
use crate::error::IndexError;
use crate::index::{SearchIndex, Source, State, mmap};
use crate::merging::next_merge;
use crate::page::Segments;
use crate::schema::{FORMAT, Fields, schema, tokenizers};
use crate::segment::Segment;
use crate::tail::{TailEntry, TailView, id_of};

/// Where more waits than a step takes, it takes up to so many times as much, so that segments
/// are fewer and are merged less often.
const STEPS_TOGETHER: usize = 3;
/// But no more than a step's number of entries beyond so many bytes: who waits for room in the
/// tail waits for a step.
const STEP_BYTES: usize = 32 << 20;

/// A step that failed makes no room, so that one who waits for it looks again.
const LONGEST_STEP: Duration = Duration::from_millis(100);

/// The name of a file that is there while the index is being opened.
const OPENING: &str = "opening";

/// What a commit says of itself.
#[derive(Debug, Serialize, Deserialize, PartialEq)]
pub(crate) struct Position {
    format: u32,
    /// The hash of the log's name, in hexadecimal.
    origin: String,
    /// How many entries are in the index.
    pub(crate) entries: u64,
    /// The hash of the last of their leaves, in hexadecimal.
    last_leaf: String,
}

impl Position {
    pub(crate) fn read(payload: &str) -> Result<Self, IndexError> {
        let position: Self = serde_json::from_str(payload)
            .map_err(|_| IndexError::Damaged("it does not say what it holds".to_owned()))?;
        if position.format == FORMAT {
            Ok(position)
        } else {
            let why = "it was made by another version";
            Err(IndexError::Damaged(why.to_owned()))
        }
    }

    pub(crate) fn is_of(&self, origin: &[u8; 32]) -> bool {
        self.origin == hex(origin)
    }
}

/// Where the files are.
pub(crate) struct Files {
    path: Option<PathBuf>,
    memory: std::sync::Mutex<RamDirectory>,
    origin: String,
    pub(crate) fields: Fields,
}

/// What only the one who writes needs.
#[derive(Default)]
pub(crate) struct Writing {
    open: Option<Open>,
}

/// The library's side of it.
struct Open {
    writer: tantivy::IndexWriter,
    reader: IndexReader,
    merge: Option<FutureResult<Option<SegmentMeta>>>,
}

/// Gathers documents into segments on the thread that has them: handing each to a thread of the
/// library's costs a copy of it.
struct NewSegments<'w> {
    to: &'w tantivy::IndexWriter,
    /// Memory to gather a segment in.
    bytes: usize,
    begun: Option<(tantivy::Segment, SegmentWriter)>,
}

impl NewSegments<'_> {
    fn add(&mut self, document: Document) -> Result<(), IndexError> {
        if self.begun.is_none() {
            let segment = self.to.new_segment();
            let writer = SegmentWriter::for_segment(self.bytes, segment.clone())?;
            self.begun = Some((segment, writer));
        }
        if let Some((_, writer)) = &mut self.begun {
            // Nothing is ever deleted, so that no two have to be told apart by when they came.
            let opstamp = 0;
            writer.add_document(AddOperation { opstamp, document })?;
            if writer.mem_usage() >= self.bytes {
                self.finish()?;
            }
        }
        Ok(())
    }

    /// Writes what was gathered; the next commit takes it in.
    fn finish(&mut self) -> Result<(), IndexError> {
        if let Some((segment, writer)) = self.begun.take() {
            let documents = writer.max_doc();
            writer.finalize()?;
            let meta = segment.with_max_doc(documents).meta().clone();
            meta.untrack_temp_docstore();
            self.to.add_segment(meta)?;
        }
        Ok(())
    }
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Entries that it wrote.
    pub entries: u64,
    /// Whether there is more to write at once.
    pub more: bool,
}

impl Files {
    pub(crate) fn new(path: Option<PathBuf>, origin: [u8; 32]) -> Self {
        Self {
            path,
            memory: std::sync::Mutex::default(),
            origin: hex(&origin),
            fields: schema().1,
        }
    }

    fn directory(&self) -> Result<Box<dyn Directory>, IndexError> {
        Ok(match &self.path {
            Some(path) => Box::new(mmap(path)?),
            None => Box::new(
                self.memory
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .clone(),
            ),
        })
    }

    fn index(&self) -> Result<Index, IndexError> {
        let directory = self.directory()?;
        let mut index = Index::open_or_create(directory, schema().0)?;
        index.set_tokenizers(tokenizers());
        Ok(index)
    }

    /// Opens what is there, if it is of this log.
    pub(crate) fn open(
        &self,
        size: u64,
        source: &dyn Source,
    ) -> Result<Vec<Arc<Segment>>, IndexError> {
        let index = self.index()?;
        let Some(payload) = index.load_metas()?.payload else {
            return Ok(Vec::new());
        };
        let opening = self.begin_opening(&index)?;
        let position = Position::read(&payload)?;
        if position.origin != self.origin || position.entries > size {
            return Err(IndexError::Damaged("it belongs to another log".to_owned()));
        }
        let segments = segments(&reader(&index)?, &self.fields, &HashMap::new())?;
        let held = segments.last().map_or(0, |segment| segment.end());
        if held != position.entries {
            return Err(IndexError::Damaged("it is not whole".to_owned()));
        }
        if let Some(last) = held.checked_sub(1) {
            let hash = source
                .leaf_hash(last)
                .map_err(IndexError::io("the log cannot be read"))?;
            if hash.to_string() != position.last_leaf {
                return Err(IndexError::Damaged(
                    "it belongs to another history".to_owned(),
                ));
            }
        }
        if let Some(opening) = opening {
            std::fs::remove_file(opening)?;
        }
        Ok(segments)
    }

    /// A length that was changed can make the library ask for more memory than there is, which
    /// ends the process. A file is there while the index is opened: who finds it checks the
    /// files before opening them again.
    fn begin_opening(&self, index: &Index) -> Result<Option<PathBuf>, IndexError> {
        let Some(path) = &self.path else {
            return Ok(None);
        };
        let opening = path.join(OPENING);
        let died = opening.try_exists()?;
        if !died {
            std::fs::File::create(&opening)?;
        }
        // The files that hold the documents themselves, of which there is nothing here, are
        // small and the ones in which nearly every byte is a length.
        check(self.path.as_deref(), index, |_, path| {
            died || path.extension().is_some_and(|found| found == "store")
        })?;
        Ok(Some(opening))
    }

    /// Removes everything.
    pub(crate) fn clear(&self) -> Result<(), IndexError> {
        match &self.path {
            Some(path) => match std::fs::remove_dir_all(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(IndexError::io("the search index cannot be removed")(error))
                }
                _ => Ok(()),
            },
            None => {
                *self
                    .memory
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner) = RamDirectory::create();
                Ok(())
            }
        }
    }
}

fn reader(index: &Index) -> Result<IndexReader, IndexError> {
    Ok(index
        .reader_builder()
        .reload_policy(ReloadPolicy::Manual)
        .num_warming_threads(1)
        .try_into()?)
}

/// The segments in order, those taken over that were open before.
fn segments(
    reader: &IndexReader,
    fields: &Fields,
    open: &HashMap<SegmentId, Arc<Segment>>,
) -> Result<Vec<Arc<Segment>>, IndexError> {
    let searcher = reader.searcher();
    let mut segments = Vec::new();
    for one in searcher.segment_readers() {
        segments.push(match open.get(&one.segment_id()) {
            Some(segment) => Arc::clone(segment),
            None => Arc::new(Segment::open(one, fields)?),
        });
    }
    segments.sort_by_key(|segment| segment.first_index);
    let mut next = 0;
    for segment in &segments {
        if segment.first_index != next {
            return Err(IndexError::Damaged(format!("entry {next} is missing")));
        }
        next = segment.end();
    }
    Ok(segments)
}

impl SearchIndex {
    /// Writes what waits, up to a limit, and lets it be forgotten in memory. Called by any
    /// thread, but one step runs at a time.
    ///
    /// # Errors
    /// If it could not be written; everything still is found, and the next step tries again.
    pub fn step(&self, source: &dyn Source) -> Result<Step, IndexError> {
        self.step_with(self.lock_writing(), source)
    }

    fn step_with(
        &self,
        mut writing: MutexGuard<'_, Writing>,
        source: &dyn Source,
    ) -> Result<Step, IndexError> {
        if let Some(why) = self.take_damaged() {
            self.start_anew(&mut writing, &why)?;
        }
        let outcome = self.guarded(|| self.write_next(&mut writing, source));
        if outcome.is_err() {
            // Its threads may have ended, and what it gathered is no longer known.
            writing.open = None;
        }
        outcome
    }

    /// Waits until the tail is no longer full; writes what waits if nobody does already.
    ///
    /// # Errors
    /// As [`SearchIndex::step`].
    pub fn make_room(&self, source: &dyn Source) -> Result<(), IndexError> {
        loop {
            let seen = self.room.seen();
            if !self.is_full() {
                return Ok(());
            }
            match self.writing.try_lock() {
                Ok(writing) => {
                    self.step_with(writing, source)?;
                }
                Err(TryLockError::Poisoned(poisoned)) => {
                    self.step_with(poisoned.into_inner(), source)?;
                }
                // Not for the lock: who steps again and again would hardly ever leave it.
                Err(TryLockError::WouldBlock) => self.room.wait(seen, LONGEST_STEP),
            }
        }
    }

    /// Reads all files and compares their checksums; a bad one makes the next step build the
    /// index anew.
    ///
    /// # Errors
    /// If a checksum does not hold, or the files cannot be read.
    pub fn check_files(&self) -> Result<(), IndexError> {
        self.guarded(|| {
            check(self.files.path.as_deref(), &self.files.index()?, |_, _| {
                true
            })
        })
    }

    fn start_anew(&self, writing: &mut Writing, why: &str) -> Result<(), IndexError> {
        tracing::warn!(%why, "the search index is built anew from the log");
        writing.open = None;
        {
            let mut state = self.write_state();
            *state = State {
                segments: Arc::new(Segments::new(Vec::new())),
                tail: None,
            };
        }
        self.files.clear()
    }

    fn write_next(&self, writing: &mut Writing, source: &dyn Source) -> Result<Step, IndexError> {
        let (position, waiting) = {
            let state = self.read_state();
            let position = state.segments.end();
            (
                position,
                (state.tail.as_ref()).map(|tail| (tail.view(), tail.end())),
            )
        };
        match waiting {
            Some((_, end)) if end == position => {
                self.finish_merge(writing)?;
                Ok(Step {
                    entries: 0,
                    more: false,
                })
            }
            Some((view, tail_end)) => {
                let entries = self.due(&view, position..tail_end);
                let end = position + entries.len() as u64;
                self.write(writing, position, &entries, source)?;
                Ok(Step {
                    entries: end - position,
                    more: tail_end - end >= self.options.step_entries as u64,
                })
            }
            None => self.write_from_log(writing, position, source),
        }
    }

    /// The next entries of the tail that are written together.
    fn due(&self, view: &TailView, range: std::ops::Range<u64>) -> Vec<Arc<TailEntry>> {
        let step = self.options.step_entries;
        let (mut entries, mut bytes) = (Vec::with_capacity(step), 0);
        for entry in view.entries(range).take(STEPS_TOGETHER * step) {
            if entries.len() >= step && bytes > STEP_BYTES {
                break;
            }
            bytes += entry.bytes();
            entries.push(Arc::clone(entry));
        }
        entries
    }

    fn write_from_log(
        &self,
        writing: &mut Writing,
        position: u64,
        source: &dyn Source,
    ) -> Result<Step, IndexError> {
        let size = self.size.load(Ordering::Acquire);
        let end = size.min(position + self.options.step_entries as u64 * 5);
        let mut next = position;
        let mut segments = self.segments_of(writing)?;
        while next < end {
            let scanned = source
                .scan(next..end)
                .map_err(IndexError::io("the log cannot be read"))?;
            for stored in &scanned {
                let id = id_of(stored, source);
                segments.add(Document::of(&self.files.fields, stored, id))?;
                next = stored.index + 1;
            }
        }
        segments.finish()?;
        if next > position {
            self.commit(writing, next, source)?;
        }
        Ok(Step {
            entries: next - position,
            more: next < self.size.load(Ordering::Acquire),
        })
    }

    fn write(
        &self,
        writing: &mut Writing,
        position: u64,
        entries: &[Arc<TailEntry>],
        source: &dyn Source,
    ) -> Result<(), IndexError> {
        let mut segments = self.segments_of(writing)?;
        let mut next = position;
        for entry in entries {
            segments.add(Document::of(&self.files.fields, &entry.stored, entry.id))?;
            next = entry.stored.index + 1;
        }
        segments.finish()?;
        self.commit(writing, next, source)
    }

    fn segments_of<'w>(&self, writing: &'w mut Writing) -> Result<NewSegments<'w>, IndexError> {
        Ok(NewSegments {
            bytes: self.options.writer_bytes,
            to: &self.opened(writing)?.writer,
            begun: None,
        })
    }

    fn opened<'w>(&self, writing: &'w mut Writing) -> Result<&'w mut Open, IndexError> {
        if writing.open.is_none() {
            let index = self.files.index()?;
            let options = IndexWriterOptions::builder()
                .num_worker_threads(1)
                .num_merge_threads(1)
                .build();
            let writer = index.writer_with_options(options)?;
            writer.set_merge_policy(Box::new(NoMergePolicy));
            let reader = reader(&index)?;
            writing.open = Some(Open {
                writer,
                reader,
                merge: None,
            });
        }
        writing
            .open
            .as_mut()
            .ok_or_else(|| IndexError::Damaged("it could not be opened".to_owned()))
    }

    /// Makes what was added durable and seen, up to `end`.
    fn commit(
        &self,
        writing: &mut Writing,
        end: u64,
        source: &dyn Source,
    ) -> Result<(), IndexError> {
        let last = source
            .leaf_hash(end - 1)
            .map_err(IndexError::io("the log cannot be read"))?;
        let position = Position {
            format: FORMAT,
            origin: self.files.origin.clone(),
            entries: end,
            last_leaf: last.to_string(),
        };
        let payload = serde_json::to_string(&position)
            .map_err(|error| IndexError::Damaged(error.to_string()))?;
        let open = self.opened(writing)?;
        let mut prepared = open.writer.prepare_commit()?;
        prepared.set_payload(&payload);
        prepared.commit()?;
        self.show(open, end)?;
        self.finish_merge(writing)
    }

    /// Lets readers see what the files hold now, up to `end`.
    fn show(&self, open: &Open, end: u64) -> Result<(), IndexError> {
        open.reader.reload()?;
        let known: HashMap<SegmentId, Arc<Segment>> = {
            let state = self.read_state();
            let segments = state.segments.segments.iter();
            segments
                .map(|segment| (segment.id(), Arc::clone(segment)))
                .collect()
        };
        let segments = segments(&open.reader, &self.files.fields, &known)?;
        if segments.last().map_or(0, |segment| segment.end()) != end {
            return Err(IndexError::Damaged(
                "a commit did not hold what was added".to_owned(),
            ));
        }
        let mut state = self.write_state();
        state.segments = Arc::new(Segments::new(segments));
        if let Some(tail) = &mut state.tail {
            tail.drop_before(end);
        }
        drop(state);
        self.room.made();
        Ok(())
    }

    /// Takes in a merge that is done, and begins the next.
    fn finish_merge(&self, writing: &mut Writing) -> Result<(), IndexError> {
        let Some(open) = &mut writing.open else {
            return Ok(());
        };
        if let Some(merge) = &mut open.merge {
            let Some(outcome) = merge.now_or_never() else {
                return Ok(());
            };
            open.merge = None;
            outcome?;
            let end = self.position();
            self.show(open, end)?;
        }
        let segments = Arc::clone(&self.read_state().segments);
        let lengths: Vec<u32> = segments
            .segments
            .iter()
            .map(|segment| segment.len)
            .collect();
        if let Some(run) = next_merge(&lengths) {
            let ids: Vec<SegmentId> = segments.segments[run]
                .iter()
                .map(|segment| segment.id())
                .collect();
            // What is wrong in them would get a good checksum.
            let directory = self.files.path.as_deref();
            check(directory, open.writer.index(), |id, _| ids.contains(&id))?;
            open.merge = Some(open.writer.merge(&ids));
        }
        Ok(())
    }

    /// Waits for a merge that runs.
    ///
    /// # Errors
    /// If it fails.
    pub fn settle(&self) -> Result<(), IndexError> {
        let mut writing = self.lock_writing();
        loop {
            let running = writing.open.as_mut().and_then(|open| open.merge.take());
            let (Some(merge), Some(open)) = (running, &writing.open) else {
                return Ok(());
            };
            self.guarded(|| {
                merge.wait()?;
                self.show(open, self.position())
            })?;
            self.guarded(|| self.finish_merge(&mut writing))?;
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
