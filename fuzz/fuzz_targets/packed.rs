//! As `start`, on the same log with a packed segment: changes fall into it more often than not, and
//! its checksums may be made to fit.
#![no_main]

use std::sync::LazyLock;

use audittrail_entry::Record;
use audittrail_fuzz::directory::{golden, packed, start, written};
use libfuzzer_sys::fuzz_target;

static WRITTEN: LazyLock<Vec<Record>> = LazyLock::new(|| written(&golden()));

/// Makes the checksums of headers, tables and blocks of a packed segment those of what stands there.
fn mend(bytes: &mut [u8], what: u8) {
    const HEADER: usize = 32;
    let len = bytes.len();
    if len < 2 * HEADER {
        return;
    }
    for start in [0, len - HEADER] {
        if what & 1 != 0 {
            let sum = crc32c::crc32c(&bytes[start..start + 28]).to_le_bytes();
            bytes[start + 28..start + HEADER].copy_from_slice(&sum);
        }
    }
    let number = |at: usize| -> u64 {
        let field = bytes.get(at..at + 8);
        field.map_or(0, |field| {
            u64::from_le_bytes(field.try_into().expect("8 bytes"))
        })
    };
    let (block, unpacked) = (number(12) & 0xffff_ffff, number(16));
    let blocks = unpacked
        .checked_div(block)
        .map_or(0, |blocks| blocks.min(1_000) as usize);
    let blocks = blocks + usize::from(unpacked.checked_rem(block) != Some(0));
    let table = 8 * blocks + 4;
    let Some(first) = len.checked_sub(HEADER + 2 * table) else {
        return;
    };
    for start in [first, first + table] {
        let (mut at, mut row) = (HEADER, start);
        while what & 2 != 0 && row + 8 <= start + table - 4 {
            let length: [u8; 4] = bytes[row..row + 4].try_into().expect("4 bytes");
            let end = at.saturating_add(u32::from_le_bytes(length) as usize);
            let Some(stored) = bytes.get(at..end) else {
                break;
            };
            let sum = crc32c::crc32c(stored).to_le_bytes();
            bytes[row + 4..row + 8].copy_from_slice(&sum);
            (at, row) = (end, row + 8);
        }
        if what & 4 != 0 {
            let sum = crc32c::crc32c(&bytes[start..start + table - 4]).to_le_bytes();
            bytes[start + table - 4..start + table].copy_from_slice(&sum);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    assert_eq!(WRITTEN.len(), 18);
    let Some((what, rest)) = data.split_first() else {
        return;
    };
    let mut files = packed();
    // Two bytes a place, and what is put there: in the packed segment alone.
    let (count, rest) = rest.split_first().unwrap_or((&0, rest));
    let changes = rest.as_chunks::<3>().0;
    let changes = &changes[..changes.len().min(usize::from(count % 16))];
    let segment = &mut files[0].1;
    for [low, high, byte] in changes {
        let at = usize::from(u16::from_le_bytes([*low, *high])) % segment.len();
        segment[at] ^= byte;
    }
    mend(segment, *what);
    start(files, &WRITTEN, &rest[3 * changes.len()..]);
});
