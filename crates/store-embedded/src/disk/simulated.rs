//! A disk that forgets, for tests.
//!
//! Everything written is seen at once by readers, as through a page cache. What a power cut
//! leaves is another matter: of what was not synced, each 512-byte sector of each write, each
//! change of length and each change of a name survives or not, as the seed decides, in any
//! order. A failed sync drops what was pending for good, although it can still be read: a
//! later sync that succeeds does not bring it back.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::{DirectoryLock, Disk, DiskFile, Mode, SyncPoint};

const SECTOR: u64 = 512;
/// The system's number for a read or write that failed on the disk.
const EIO: i32 = 5;

/// An operation that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the method of its name")]
pub enum Operation {
    Open,
    Write,
    SetLen,
    SyncData,
    Rename,
    Remove,
    CreateDirectory,
    SyncDirectory,
}

/// What a failing operation did all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultMode {
    /// Nothing.
    NotDone,
    /// Everything: only the answer says that it failed.
    Done,
    /// Of a write, a part; of anything else, nothing.
    Partly,
}

#[derive(Debug, Clone)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    SetLen(u64),
}

#[derive(Debug, Clone, Default)]
struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    File(usize),
    Directory,
}

#[derive(Debug, Clone)]
enum NameChange {
    Set(String, Node),
    Unset(String),
    Rename(String, String, Node),
}

#[derive(Debug, Clone, Default)]
struct Names {
    seen: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
    pending: Vec<NameChange>,
}

#[derive(Debug)]
struct World {
    rng: StdRng,
    files: Vec<Content>,
    directories: BTreeMap<PathBuf, Names>,
    locks: BTreeSet<PathBuf>,
    left_out: BTreeSet<SyncPoint>,
    /// Syncs of these succeed, and the disk has kept nothing of what was written.
    lost: BTreeSet<SyncPoint>,
    /// Bytes of files that cannot be read.
    unreadable: Vec<(usize, Range<u64>)>,
    faults: Vec<(Operation, u32, FaultMode)>,
    /// The number of the operation in which the process ends.
    ends_in: Option<u64>,
    /// So many bytes files can grow by in all; none for no limit.
    room: Option<u64>,
    /// Counts starts of the process: a handle of an earlier one is dead.
    life: u64,
    operations: u64,
}

/// A disk in memory; clones are the same disk.
#[derive(Debug, Clone)]
pub struct SimulatedDisk(Arc<Mutex<World>>);

impl SimulatedDisk {
    /// An empty disk whose crashes follow from the seed.
    pub fn new(seed: u64) -> Self {
        let mut directories = BTreeMap::new();
        directories.insert(PathBuf::from("/"), Names::default());
        Self(Arc::new(Mutex::new(World {
            rng: StdRng::seed_from_u64(seed),
            files: Vec::new(),
            directories,
            locks: BTreeSet::new(),
            left_out: BTreeSet::new(),
            lost: BTreeSet::new(),
            unreadable: Vec::new(),
            faults: Vec::new(),
            ends_in: None,
            room: None,
            life: 0,
            operations: 0,
        })))
    }

    /// From now on this sync does nothing and says that it succeeded.
    pub fn leave_out(&self, point: SyncPoint) {
        self.world().left_out.insert(point);
    }

    /// From now on the disk says that this sync succeeded and has kept nothing: what was written is
    /// seen as long as it is in the page cache.
    pub fn lose(&self, point: SyncPoint) {
        self.world().lost.insert(point);
    }

    /// From now on reads of these bytes of a file fail as those of a bad sector do (EIO).
    ///
    /// # Errors
    /// If there is no such file.
    pub fn make_unreadable(&self, path: &Path, bytes: Range<u64>) -> io::Result<()> {
        let mut world = self.world();
        let (names, name) = world.names(path)?;
        let Some(Node::File(file)) = names.seen.get(&name).copied() else {
            return Err(not_found(path));
        };
        world.unreadable.push((file, bytes));
        Ok(())
    }

    /// Every byte can be read again.
    pub fn make_readable(&self) {
        self.world().unreadable.clear();
    }

    /// Makes the operation fail once, after so many more of its kind.
    pub fn fail(&self, operation: Operation, after: u32, mode: FaultMode) {
        self.world().faults.push((operation, after, mode));
    }

    /// The process ends after so many more operations that change anything, in the middle of
    /// the next: it and all that follow fail, until [`SimulatedDisk::kill`] or a power cut.
    pub fn end_after(&self, operations: u64) {
        let mut world = self.world();
        world.ends_in = Some(world.operations + operations + 1);
    }

    /// Whether the process has ended in an operation, as [`SimulatedDisk::end_after`] has it.
    pub fn has_ended(&self) -> bool {
        let world = self.world();
        world.ends_in.is_some_and(|last| world.operations >= last)
    }

    /// From now on there is room for so many more bytes: a write beyond it is done in part.
    pub fn fill_up(&self, room: u64) {
        self.world().room = Some(room);
    }

    /// There is room again.
    pub fn make_room(&self) {
        self.world().room = None;
    }

    /// Forgets the faults that have not come yet, and makes room.
    pub fn heal(&self) {
        let mut world = self.world();
        world.faults.clear();
        world.ends_in = None;
        world.room = None;
    }

    /// The process ends; the page cache stays.
    pub fn kill(&self) {
        let mut world = self.world();
        world.life += 1;
        world.locks.clear();
    }

    /// The power goes; of what was not synced, the seed decides what is left.
    pub fn cut_power(&self) {
        self.kill();
        let mut world = self.world();
        let World {
            rng,
            files,
            directories,
            ..
        } = &mut *world;
        // Some crashes lose everything pending, some nothing: both ends matter.
        let survival = [0.0, 0.5, 0.9, 1.0][rng.random_range(0..4)];
        for file in files {
            file.lose(rng, survival);
        }
        for names in directories.values_mut() {
            for change in std::mem::take(&mut names.pending) {
                if rng.random_bool(survival) {
                    apply_name(&mut names.durable, &change);
                }
            }
            names.seen.clone_from(&names.durable);
        }
        drop_unreachable(directories);
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A directory whose own name was lost is gone with all that was in it.
fn drop_unreachable(directories: &mut BTreeMap<PathBuf, Names>) {
    let paths: Vec<PathBuf> = directories.keys().cloned().collect();
    for path in paths {
        let Some(parent) = path.parent() else {
            continue;
        };
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let linked = directories
            .get(parent)
            .zip(name)
            .is_some_and(|(names, name)| names.durable.get(&name) == Some(&Node::Directory));
        if !linked {
            directories.remove(&path);
        }
    }
}

impl Content {
    fn change(&mut self, change: Change) {
        apply(&mut self.seen, &change);
        self.pending.push(change);
    }

    fn flush(&mut self) {
        for change in self.pending.drain(..) {
            apply(&mut self.durable, &change);
        }
    }

    /// Keeps a random part of what is pending on the medium.
    fn keep_some(&mut self, rng: &mut StdRng, survival: f64) {
        for change in std::mem::take(&mut self.pending) {
            let Change::Write { offset, bytes } = change else {
                if rng.random_bool(survival) {
                    apply(&mut self.durable, &change);
                }
                continue;
            };
            let mut at = 0;
            while at < bytes.len() {
                let position = offset + at as u64;
                let room = (SECTOR - position % SECTOR) as usize;
                let end = bytes.len().min(at + room);
                if rng.random_bool(survival) {
                    let piece = Change::Write {
                        offset: position,
                        bytes: bytes[at..end].to_vec(),
                    };
                    apply(&mut self.durable, &piece);
                }
                at = end;
            }
        }
    }

    fn lose(&mut self, rng: &mut StdRng, survival: f64) {
        self.keep_some(rng, survival);
        self.seen.clone_from(&self.durable);
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::SetLen(len) => bytes.resize(*len as usize, 0),
        Change::Write { offset, bytes: new } => {
            let (start, end) = (*offset as usize, *offset as usize + new.len());
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[start..end].copy_from_slice(new);
        }
    }
}

fn apply_name(names: &mut BTreeMap<String, Node>, change: &NameChange) {
    match change {
        NameChange::Set(name, node) => {
            names.insert(name.clone(), *node);
        }
        NameChange::Unset(name) => {
            names.remove(name);
        }
        NameChange::Rename(from, to, node) => {
            names.remove(from);
            names.insert(to.clone(), *node);
        }
    }
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no {}", path.display()))
}

fn injected() -> io::Error {
    io::Error::other("injected fault")
}

impl World {
    /// Counts the operation; the fault that is due for it, if any.
    fn begin(&mut self, operation: Operation) -> Option<FaultMode> {
        self.operations += 1;
        if let Some(last) = self.ends_in.filter(|last| self.operations >= *last) {
            let within = self.operations == last;
            return Some(if within {
                FaultMode::Partly
            } else {
                FaultMode::NotDone
            });
        }
        let mut due = None;
        self.faults.retain_mut(|(kind, after, mode)| {
            if *kind != operation || due.is_some() {
                return true;
            }
            if *after == 0 {
                due = Some(*mode);
                return false;
            }
            *after -= 1;
            true
        });
        due
    }

    /// How many of so many bytes there is room for.
    fn take_room(&mut self, file: usize, offset: u64, len: usize) -> usize {
        let Some(room) = &mut self.room else {
            return len;
        };
        let within = (self.files[file].seen.len() as u64).saturating_sub(offset);
        let growth = (len as u64).saturating_sub(within);
        let taken = growth.min(*room);
        *room -= taken;
        len - (growth - taken) as usize
    }

    /// Runs a change that is either done or not.
    fn attempt(
        &mut self,
        operation: Operation,
        change: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        match self.begin(operation) {
            None => change(self),
            Some(FaultMode::Done) => change(self).and_then(|()| Err(injected())),
            Some(FaultMode::NotDone | FaultMode::Partly) => Err(injected()),
        }
    }

    fn names(&mut self, path: &Path) -> io::Result<(&mut Names, String)> {
        let parent = path.parent().ok_or_else(|| not_found(path))?;
        let name = path.file_name().ok_or_else(|| not_found(path))?;
        let names = self
            .directories
            .get_mut(parent)
            .ok_or_else(|| not_found(parent))?;
        Ok((names, name.to_string_lossy().into_owned()))
    }

    fn change_name(&mut self, path: &Path, change: NameChange) -> io::Result<()> {
        let (names, _) = self.names(path)?;
        apply_name(&mut names.seen, &change);
        names.pending.push(change);
        Ok(())
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    file: usize,
    life: u64,
}

impl SimulatedFile {
    fn world(&self) -> io::Result<MutexGuard<'_, World>> {
        let world = self.disk.world();
        if world.life == self.life {
            Ok(world)
        } else {
            Err(io::Error::other(
                "the process that opened this file has ended",
            ))
        }
    }
}

impl DiskFile for SimulatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let world = self.world()?;
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let asked = offset..offset.saturating_add(buffer.len() as u64);
        let bad = |(file, bytes): &(usize, Range<u64>)| {
            *file == self.file && bytes.start < asked.end && asked.start < bytes.end
        };
        if world.unreadable.iter().any(bad) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        let bytes = start
            .checked_add(buffer.len())
            .and_then(|end| world.files[self.file].seen.get(start..end))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (mut world, asked) = (self.world()?, bytes.len());
        let fault = world.begin(Operation::Write);
        let fitting = world.take_room(self.file, offset, asked);
        let done = match fault {
            None | Some(FaultMode::Done) => fitting,
            Some(FaultMode::NotDone) => 0,
            Some(FaultMode::Partly) => world.rng.random_range(0..=fitting),
        };
        if done > 0 {
            let bytes = bytes[..done].to_vec();
            world.files[self.file].change(Change::Write { offset, bytes });
        }
        match fault {
            Some(_) => Err(injected()),
            None if fitting < asked => Err(io::ErrorKind::StorageFull.into()),
            None => Ok(()),
        }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.world()?.files[self.file].seen.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let file = self.file;
        self.world()?.attempt(Operation::SetLen, |world| {
            world.files[file].change(Change::SetLen(len));
            Ok(())
        })
    }

    fn sync_data(&self, point: SyncPoint) -> io::Result<()> {
        let mut world = self.world()?;
        if world.left_out.contains(&point) {
            return Ok(());
        }
        let fault = world.begin(Operation::SyncData);
        if fault.is_none() && world.lost.contains(&point) {
            world.files[self.file].pending.clear();
            return Ok(());
        }
        let World { rng, files, .. } = &mut *world;
        match fault {
            None => files[self.file].flush(),
            Some(FaultMode::Done) => files[self.file].flush(),
            Some(FaultMode::NotDone) => files[self.file].pending.clear(),
            Some(FaultMode::Partly) => files[self.file].keep_some(rng, 0.5),
        }
        fault.map_or(Ok(()), |_| Err(injected()))
    }

    fn forget_cached(&self) {
        // What was not synced stays: the system lets go of what is on the disk only.
        if let Ok(mut world) = self.world() {
            let content = &mut world.files[self.file];
            content.seen.clone_from(&content.durable);
            for change in &content.pending {
                apply(&mut content.seen, change);
            }
        }
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        let mut world = self.world()?;
        let (names, name) = world.names(path)?;
        let node = names.seen.get(&name);
        Ok(matches!(node, Some(Node::File(file)) if *file == self.file))
    }
}

impl DirectoryLock for Lock {
    fn is_in_place(&self) -> io::Result<bool> {
        let world = self.disk.world();
        Ok(world.life == self.life && world.locks.contains(&self.path))
    }
}

struct Lock {
    disk: SimulatedDisk,
    path: PathBuf,
    life: u64,
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut world = self.disk.world();
        if world.life == self.life {
            world.locks.remove(&self.path);
        }
    }
}

impl Disk for SimulatedDisk {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.world();
        let life = world.life;
        let (names, name) = world.names(path)?;
        let known = names.seen.get(&name).copied();
        let file = match (known, mode) {
            (Some(Node::Directory), _) => return Err(io::ErrorKind::IsADirectory.into()),
            (None, Mode::Read | Mode::Write) => return Err(not_found(path)),
            (Some(Node::File(file)), _) => file,
            (None, Mode::Create | Mode::Replace) => {
                let file = world.files.len();
                world.attempt(Operation::Open, |world| {
                    world.files.push(Content::default());
                    world.change_name(path, NameChange::Set(name, Node::File(file)))
                })?;
                file
            }
        };
        if mode == Mode::Replace && !world.files[file].seen.is_empty() {
            world.files[file].change(Change::SetLen(0));
        }
        Ok(Arc::new(SimulatedFile {
            disk: self.clone(),
            file,
            life,
        }))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let world = self.world();
        let names = world
            .directories
            .get(directory)
            .ok_or_else(|| not_found(directory))?;
        Ok(names.seen.keys().cloned().collect())
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        let (names, name) = world.names(path)?;
        match names.seen.get(&name) {
            Some(Node::Directory) => return Ok(()),
            Some(Node::File(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            None => {}
        }
        world.attempt(Operation::CreateDirectory, |world| {
            world.directories.insert(path.to_owned(), Names::default());
            world.change_name(path, NameChange::Set(name, Node::Directory))
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        let (names, old) = world.names(from)?;
        let node = *names.seen.get(&old).ok_or_else(|| not_found(from))?;
        let (_, new) = world.names(to)?;
        world.attempt(Operation::Rename, |world| {
            world.change_name(from, NameChange::Rename(old, new, node))
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        let (names, name) = world.names(path)?;
        if !names.seen.contains_key(&name) {
            return Err(not_found(path));
        }
        world.attempt(Operation::Remove, |world| {
            world.change_name(path, NameChange::Unset(name))
        })
    }

    fn sync_directory(&self, path: &Path, point: SyncPoint) -> io::Result<()> {
        let mut world = self.world();
        if world.left_out.contains(&point) {
            return Ok(());
        }
        world.attempt(Operation::SyncDirectory, |world| {
            let names = world
                .directories
                .get_mut(path)
                .ok_or_else(|| not_found(path))?;
            for change in std::mem::take(&mut names.pending) {
                apply_name(&mut names.durable, &change);
            }
            Ok(())
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DirectoryLock>> {
        let mut world = self.world();
        if !world.locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Lock {
            disk: self.clone(),
            path: path.to_owned(),
            life: world.life,
        }))
    }
}
