//! A packed segment: the bytes of a closed one in compressed blocks, each with a checksum.
//!
//! | bytes | what |
//! |---|---|
//! | 32 | header |
//! | … | the blocks, one after the other |
//! | 8 a block, and 4 | table: length and checksum of each block as it stands here; checksum of these |
//! | 8 a block, and 4 | the table again |
//! | 32 | the header again |
//!
//! | offset in the header | bytes | what |
//! |---|---|---|
//! | 0 | 8 | magic |
//! | 8 | 4 | version, 1 |
//! | 12 | 4 | bytes of each block but the last, unpacked |
//! | 16 | 8 | bytes of the segment, unpacked |
//! | 24 | 4 | zero |
//! | 28 | 4 | checksum of the 28 before |
//!
//! A block is a zstd frame (RFC 8878), or the bytes themselves where their length is that of the
//! block. Checksums are CRC-32C.
//!
//! A block that fails its checksum reads as zeros, which the checksums of what a segment holds do
//! not accept: who reads sees damage as in a segment that was never packed, at the same offsets.

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::disk::{Disk, DiskFile, Mode, SyncPoint, is_unreadable};

/// What is unpacked to read one entry.
const BLOCK_BYTES: u32 = 16 << 10;
/// Above it the ratio grows little and the time much.
const LEVEL: i32 = 3;
const HEADER_LEN: u64 = 32;
const MAGIC: [u8; 8] = *b"ATPAK\r\n\0";
const VERSION: u32 = 1;
/// The bounds of what a header may claim: memory is taken by it before anything else is checked.
const BLOCK_MAX: u32 = 1 << 20;
const BLOCKS_MAX: u64 = 1 << 20;
const LEN_MAX: u64 = u32::MAX as u64;
/// What was written is synced after so many bytes of the segment: all of it at once would hold up
/// the commits beside it.
const SYNC_BYTES: u64 = 8 << 20;

thread_local! {
    static UNPACKER: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Opens a segment, packed or not.
pub(crate) fn open_segment(
    disk: &dyn Disk,
    path: &Path,
    mode: Mode,
) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.open(path, mode)?;
    Ok(match Packed::of(&file)? {
        Some(packed) => Arc::new(packed),
        None => file,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Header {
    block_bytes: u32,
    len: u64,
}

impl Header {
    fn blocks(self) -> u64 {
        self.len.div_ceil(u64::from(self.block_bytes))
    }

    fn table_len(self) -> u64 {
        8 * self.blocks() + 4
    }

    fn encode(self) -> [u8; HEADER_LEN as usize] {
        let mut bytes = [0; HEADER_LEN as usize];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.block_bytes.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.len.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..28]);
        bytes[28..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header at an offset; `None` if there is none that holds.
    fn read(file: &dyn DiskFile, offset: u64) -> io::Result<Option<Self>> {
        let mut bytes = [0; HEADER_LEN as usize];
        if !is_read(file, &mut bytes, offset)? {
            return Ok(None);
        }
        if bytes[..8] != MAGIC || u32_at(&bytes, 28) != crc32c::crc32c(&bytes[..28]) {
            return Ok(None);
        }
        let version = u32_at(&bytes, 8);
        if version != VERSION {
            return Err(invalid(&format!(
                "it is packed in format version {version}, this program reads version {VERSION}: \
                 use the program that wrote it"
            )));
        }
        let mut len = [0; 8];
        len.copy_from_slice(&bytes[16..24]);
        let header = Self {
            block_bytes: u32_at(&bytes, 12),
            len: u64::from_le_bytes(len),
        };
        let sound = (1..=BLOCK_MAX).contains(&header.block_bytes)
            && header.len <= LEN_MAX
            && header.blocks() <= BLOCKS_MAX;
        Ok(sound.then_some(header))
    }
}

/// Where each block ends in the file, and its checksum.
type Table = Vec<(u32, u32)>;

/// A packed segment, read as the segment that it was.
struct Packed {
    file: Arc<dyn DiskFile>,
    header: Header,
    /// Read when it is needed first: who opens all segments of a log reads few of them. Empty where
    /// neither copy holds, so that no block does.
    table: OnceLock<Table>,
    /// The block that was unpacked last: reading goes on where it stopped.
    last: Mutex<Option<(usize, Arc<[u8]>)>>,
}

impl Packed {
    /// `None` if the file is not packed.
    fn of(file: &Arc<dyn DiskFile>) -> io::Result<Option<Self>> {
        let [first, last] = headers(&**file)?;
        Ok(first.or(last).map(|header| Self {
            file: Arc::clone(file),
            header,
            table: OnceLock::new(),
            last: Mutex::default(),
        }))
    }

    fn table(&self) -> io::Result<&Table> {
        if let Some(table) = self.table.get() {
            return Ok(table);
        }
        let [first, second] = self.tables()?;
        let found = first.or(second).unwrap_or_else(|| {
            tracing::error!("neither table of a packed segment holds: nothing of it can be read");
            Table::new()
        });
        Ok(self.table.get_or_init(|| found))
    }

    /// The two copies of the table; `None` for one that does not hold.
    fn tables(&self) -> io::Result<[Option<Table>; 2]> {
        let len = self.file.len()?;
        let copy = |number: u64| {
            let from_end = HEADER_LEN + number * self.header.table_len();
            let start = len
                .checked_sub(from_end)
                .filter(|start| *start >= HEADER_LEN);
            let blocks_end = len.checked_sub(HEADER_LEN + 2 * self.header.table_len());
            match start.zip(blocks_end) {
                Some((start, end)) => read_table(&*self.file, self.header, start, end),
                None => Ok(None),
            }
        };
        match (copy(2), copy(1)) {
            // What cannot be read now may be read later: it is not known to be damaged.
            (Err(error), Ok(Some(table))) if is_unreadable(&error) => Ok([None, Some(table)]),
            (Ok(Some(table)), Err(error)) if is_unreadable(&error) => Ok([Some(table), None]),
            (first, second) => Ok([first?, second?]),
        }
    }

    /// The bytes of a block as they were before they were packed.
    fn block(&self, at: usize) -> io::Result<Arc<[u8]>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bytes)) = last.as_ref().filter(|(block, _)| *block == at) {
            return Ok(Arc::clone(bytes));
        }
        drop(last);
        let len = self.block_len(at);
        let bytes = match place(self.table()?, at) {
            Some((place, checksum)) => {
                let mut stored = vec![0; (place.end - place.start) as usize];
                let sound = match self.file.read_at(&mut stored, place.start) {
                    Ok(()) => crc32c::crc32c(&stored) == checksum,
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
                    Err(error) => return Err(error),
                };
                sound.then(|| unpacked(stored, len)).flatten()
            }
            None => None,
        };
        let bytes: Arc<[u8]> = bytes.unwrap_or_else(|| vec![0; len]).into();
        last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((at, Arc::clone(&bytes)));
        Ok(bytes)
    }

    fn block_len(&self, at: usize) -> usize {
        let start = at as u64 * u64::from(self.header.block_bytes);
        u64::from(self.header.block_bytes).min(self.header.len - start) as usize
    }

    /// The blocks that hold some bytes, which lie within the segment.
    fn holding(&self, bytes: &Range<u64>) -> Range<usize> {
        let size = u64::from(self.header.block_bytes);
        (bytes.start / size) as usize..bytes.end.div_ceil(size) as usize
    }
}

impl DiskFile for Packed {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        let Some(end) = end.filter(|end| *end <= self.header.len) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        if buffer.is_empty() {
            return Ok(());
        }
        let mut filled = 0;
        for at in self.holding(&(offset..end)) {
            let block = self.block(at)?;
            let start = at as u64 * u64::from(self.header.block_bytes);
            let from = offset.saturating_sub(start) as usize;
            let part = &block[from..block.len().min((end - start) as usize)];
            buffer[filled..filled + part.len()].copy_from_slice(part);
            filled += part.len();
        }
        Ok(())
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::Error::other("a packed segment is not written to"))
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.header.len)
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::Error::other("a packed segment is not cut"))
    }

    fn sync_data(&self, point: SyncPoint) -> io::Result<()> {
        self.file.sync_data(point)
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        self.file.is_at(path)
    }

    fn will_need(&self, ranges: &[Range<u64>]) {
        let within = |range: &&Range<u64>| range.start < range.end && range.end <= self.header.len;
        // Without its table nothing of it can be read.
        let Ok(table) = self.table() else { return };
        let places = ranges.iter().filter(within).filter_map(|range| {
            let blocks = self.holding(range);
            let (first, _) = place(table, blocks.start)?;
            Some(first.start..place(table, blocks.end - 1)?.0.end)
        });
        self.file.will_need(&places.collect::<Vec<_>>());
    }

    fn forget_cached(&self) {
        self.file.forget_cached();
    }

    fn is_fixed(&self) -> bool {
        true
    }

    fn flaw(&self) -> io::Result<Option<&'static str>> {
        Ok(match (self.tables()?, headers(&*self.file)?) {
            ([None, None], _) => Some("neither of the two tables of a packed segment holds"),
            ([None, _] | [_, None], _) => {
                Some("one of the two tables of a packed segment does not hold")
            }
            (_, [None, _] | [_, None]) => {
                Some("one of the two headers of a packed segment does not hold")
            }
            ([one, other], _) if one != other => Some("the two tables of a packed segment differ"),
            (_, [one, other]) if one != other => Some("the two headers of a packed segment differ"),
            _ => None,
        })
    }
}

/// Whether all of these bytes are there.
fn is_read(file: &dyn DiskFile, bytes: &mut [u8], offset: u64) -> io::Result<bool> {
    match file.read_at(bytes, offset) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The headers at the beginning and at the end; `None` for what is none that holds.
fn headers(file: &dyn DiskFile) -> io::Result<[Option<Header>; 2]> {
    let last = match file.len()?.checked_sub(HEADER_LEN) {
        Some(offset) => Header::read(file, offset),
        None => Ok(None),
    };
    match (Header::read(file, 0), last) {
        // One that can be read tells what the file is.
        (Err(error), Ok(last)) if is_unreadable(&error) => Ok([None, last]),
        (Ok(first), Err(error)) if is_unreadable(&error) => Ok([first, None]),
        (first, last) => Ok([first?, last?]),
    }
}

/// Where a block stands in the file, and its checksum.
fn place(table: &Table, at: usize) -> Option<(Range<u64>, u32)> {
    let (end, checksum) = table.get(at)?;
    let start = match at.checked_sub(1) {
        Some(before) => u64::from(table.get(before)?.0),
        None => HEADER_LEN,
    };
    Some((start..u64::from(*end), *checksum))
}

/// Whether a file is a packed segment.
pub(crate) fn is_packed(file: &dyn DiskFile) -> io::Result<bool> {
    Ok(headers(file)?.iter().any(Option::is_some))
}

/// A table of blocks that end at an offset; `None` if it does not hold.
fn read_table(
    file: &dyn DiskFile,
    header: Header,
    start: u64,
    blocks_end: u64,
) -> io::Result<Option<Table>> {
    let mut bytes = vec![0; header.table_len() as usize];
    if !is_read(file, &mut bytes, start)? {
        return Ok(None);
    }
    let (rows, checksum) = bytes.split_at(bytes.len() - 4);
    if u32_at(checksum, 0) != crc32c::crc32c(rows) {
        return Ok(None);
    }
    let (rows, _) = rows.as_chunks::<8>();
    let mut end = HEADER_LEN;
    let mut table = Table::with_capacity(rows.len());
    for row in rows {
        let len = u32_at(row, 0);
        end += u64::from(len);
        let within = (1..=header.block_bytes).contains(&len) && end <= blocks_end;
        let Some(end) = u32::try_from(end).ok().filter(|_| within) else {
            return Ok(None);
        };
        table.push((end, u32_at(row, 4)));
    }
    Ok((end == blocks_end).then_some(table))
}

fn unpacked(stored: Vec<u8>, len: usize) -> Option<Vec<u8>> {
    if stored.len() == len {
        return Some(stored);
    }
    UNPACKER.with_borrow_mut(|unpacker| {
        let unpacker = match unpacker {
            Some(unpacker) => unpacker,
            None => unpacker.insert(zstd::bulk::Decompressor::new().ok()?),
        };
        let bytes = unpacker.decompress(&stored, len).ok()?;
        (bytes.len() == len).then_some(bytes)
    })
}

/// Writes the packed form of a segment into an empty file and syncs that; how long it is. `go_on`
/// is asked after each MiB or so, and answers whether to.
///
/// # Errors
/// If reading or writing fails, or with `Interrupted` where `go_on` said no.
pub(crate) fn pack(
    segment: &dyn DiskFile,
    into: &dyn DiskFile,
    point: SyncPoint,
    go_on: &mut dyn FnMut() -> bool,
) -> io::Result<u64> {
    const TOGETHER: u64 = 1 << 20;
    let header = Header {
        block_bytes: BLOCK_BYTES,
        len: segment.len()?,
    };
    let mut packer = zstd::bulk::Compressor::new(LEVEL)?;
    into.write_at(&header.encode(), 0)?;
    let (mut at, mut end) = (0, HEADER_LEN);
    let mut table = Vec::with_capacity(header.table_len() as usize);
    let mut raw = Vec::new();
    while at < header.len {
        raw.resize(TOGETHER.min(header.len - at) as usize, 0);
        segment.read_at(&mut raw, at)?;
        let mut out = Vec::with_capacity(raw.len() / 2);
        for block in raw.chunks(BLOCK_BYTES as usize) {
            let packed = packer.compress(block)?;
            let stored = if packed.len() < block.len() {
                &packed
            } else {
                block
            };
            table.extend_from_slice(&(stored.len() as u32).to_le_bytes());
            table.extend_from_slice(&crc32c::crc32c(stored).to_le_bytes());
            out.extend_from_slice(stored);
        }
        into.write_at(&out, end)?;
        end += out.len() as u64;
        at += raw.len() as u64;
        if at.is_multiple_of(SYNC_BYTES) {
            into.sync_data(point)?;
        }
        if !go_on() {
            return Err(io::ErrorKind::Interrupted.into());
        }
    }
    let checksum = crc32c::crc32c(&table);
    table.extend_from_slice(&checksum.to_le_bytes());
    for part in [&table[..], &table, &header.encode()] {
        into.write_at(part, end)?;
        end += part.len() as u64;
    }
    into.sync_data(point)?;
    Ok(end)
}

/// Whether a packed file, which was synced, reads as the segment it was made from.
///
/// Both are read back from the disk: what the page cache holds is what was to be written, and says
/// nothing of what was. The system drops clean pages of a file when it is asked to
/// (`POSIX_FADV_DONTNEED`), and all of these are clean, since nobody writes to either file; that of
/// the segment shows a page that went bad in memory before it was packed.
///
/// What this shows is that the file system finds the same bytes again by its own mapping, and that
/// no write was lost, misplaced or torn on its way to the drive. It does not show what a drive
/// answers from a cache of its own, though the sync told it to empty that, nor that it reads the
/// same tomorrow; a file system that keeps its pages all the same (in memory, or one that is
/// mounted over a network) is compared through them, as before.
///
/// # Errors
/// If either cannot be read, or with `Interrupted` where `go_on` said no.
pub(crate) fn is_same(
    segment: &dyn DiskFile,
    packed: &Arc<dyn DiskFile>,
    go_on: &mut dyn FnMut() -> bool,
) -> io::Result<bool> {
    segment.forget_cached();
    packed.forget_cached();
    let Some(packed) = Packed::of(packed)? else {
        return Ok(false);
    };
    let len = segment.len()?;
    if packed.len()? != len {
        return Ok(false);
    }
    let (mut one, mut other, mut at) = (vec![0; 1 << 20], vec![0; 1 << 20], 0);
    while at < len {
        let count = (one.len() as u64).min(len - at) as usize;
        segment.read_at(&mut one[..count], at)?;
        packed.read_at(&mut other[..count], at)?;
        if one[..count] != other[..count] {
            return Ok(false);
        }
        at += count as u64;
        if !go_on() {
            return Err(io::ErrorKind::Interrupted.into());
        }
    }
    Ok(true)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng as _, RngExt as _, SeedableRng as _};

    use super::*;
    use crate::disk::SimulatedDisk;

    const RAW: &str = "/raw";
    const PACKED: &str = "/packed";

    /// A segment of some blocks: text, and in the middle what does not get smaller.
    fn segment() -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..3_000)
            .flat_map(|n| format!("entry {n}, ").into_bytes())
            .collect();
        let mut noise = vec![0; 40_000];
        StdRng::seed_from_u64(1).fill_bytes(&mut noise);
        bytes.extend(noise);
        bytes.extend((0..900).flat_map(|n| format!("entry {n}; ").into_bytes()));
        bytes
    }

    fn written(disk: &SimulatedDisk, path: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
        let file = disk.open(Path::new(path), Mode::Replace).unwrap();
        file.write_at(bytes, 0).unwrap();
        file
    }

    /// The packed form of a segment.
    fn packed(raw: &[u8]) -> Vec<u8> {
        let disk = SimulatedDisk::new(1);
        let raw = written(&disk, RAW, raw);
        let file = written(&disk, PACKED, &[]);
        let len = pack(&*raw, &*file, SyncPoint::PackedSegment, &mut || true).unwrap();
        assert!(is_same(&*raw, &file, &mut || true).unwrap());
        let mut bytes = vec![0; len as usize];
        file.read_at(&mut bytes, 0).unwrap();
        assert_eq!(file.len().unwrap(), len);
        bytes
    }

    fn opened(bytes: &[u8]) -> io::Result<Arc<dyn DiskFile>> {
        let disk = SimulatedDisk::new(1);
        written(&disk, PACKED, bytes);
        open_segment(&disk, Path::new(PACKED), Mode::Read)
    }

    #[test]
    fn every_part_reads_as_before() {
        for raw in [
            segment(),
            segment()[..BLOCK_BYTES as usize].to_vec(),
            b"x".to_vec(),
            Vec::new(),
        ] {
            let bytes = packed(&raw);
            let file = opened(&bytes).unwrap();
            assert!(file.is_fixed());
            assert_eq!(file.len().unwrap(), raw.len() as u64);
            let mut rng = StdRng::seed_from_u64(2);
            for _ in 0..2_000 {
                let from = rng.random_range(0..=raw.len());
                let to = rng.random_range(from..=raw.len());
                let to = if rng.random_bool(0.9) {
                    to.min(from + 700)
                } else {
                    to
                };
                let mut read = vec![0; to - from];
                file.will_need(std::slice::from_ref(&(from as u64..to as u64)));
                file.read_at(&mut read, from as u64).unwrap();
                assert!(read == raw[from..to], "{from}..{to}");
            }
            let beyond = file.read_at(&mut [0; 2], raw.len() as u64 - u64::from(!raw.is_empty()));
            assert_eq!(beyond.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
        assert!(packed(&segment()).len() < segment().len());
    }

    #[test]
    fn a_file_that_is_not_packed_is_read_as_it_is() {
        let file = opened(b"ATSEG").unwrap();
        let mut read = [0; 5];
        file.read_at(&mut read, 0).unwrap();
        assert!(read == *b"ATSEG" && !file.is_fixed());
    }

    #[test]
    fn what_was_changed_reads_as_zeros_or_not_at_all() {
        let raw = segment();
        let bytes = packed(&raw);
        let mut zeroed = 0;
        for at in (0..bytes.len())
            .step_by(7)
            .chain(0..32)
            .chain(bytes.len() - 400..bytes.len())
        {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            let file = opened(&changed).unwrap();
            let mut read = vec![0; raw.len()];
            file.read_at(&mut read, 0).unwrap();
            for (got, was) in read
                .chunks(BLOCK_BYTES as usize)
                .zip(raw.chunks(BLOCK_BYTES as usize))
            {
                let zeros = got.iter().all(|byte| *byte == 0);
                assert!(got == was || zeros, "byte {at}");
                zeroed += u32::from(zeros);
            }
            // A block's change shows in what is read; that of a copy only here.
            let flaw = file.flaw().unwrap();
            assert!(read != raw || flaw.is_some(), "byte {at}");
        }
        assert!(zeroed > 1_000, "{zeroed}");
    }

    #[test]
    fn what_was_cut_reads_as_zeros() {
        let raw = segment();
        let bytes = packed(&raw);
        let mut zeroed = 0;
        let near_the_end = bytes.len() - 400..bytes.len();
        for len in (0..bytes.len()).step_by(13).chain(near_the_end) {
            let file = opened(&bytes[..len]).unwrap();
            if !file.is_fixed() {
                // Nothing says that it was packed, and there is nothing of a segment either.
                assert!(len < HEADER_LEN as usize, "{len}");
                continue;
            }
            let mut read = vec![1; raw.len()];
            file.read_at(&mut read, 0).unwrap();
            assert!(read.iter().all(|byte| *byte == 0), "{len}");
            assert!(file.flaw().unwrap().is_some(), "{len}");
            zeroed += 1;
        }
        assert!(zeroed > 1_000, "{zeroed}");
    }
}
