//! Batches: the input is made to fit its checksums first, since no mutation would. What is read
//! as a batch is, but for what ties it to the one before, what a commit of its records writes.
#![no_main]

use audittrail_merkle::{Hash, TreeHead};
use audittrail_store::{Batch, BatchEntry};
use audittrail_store_embedded::{append_batch, read_batch};
use crc32c::{crc32c, crc32c_append};
use libfuzzer_sys::fuzz_target;

const HEADER: usize = 72;
const RECORD: usize = 84;

fn number(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize
}

/// As crates/store-embedded/src/format says, as far as the lengths allow.
fn fit(bytes: &mut [u8]) {
    if bytes.len() < HEADER {
        return;
    }
    bytes[..4].copy_from_slice(&[0, b'B', 0xFF, b'1']);
    let records_len = (bytes.len() - HEADER) as u32;
    bytes[8..12].copy_from_slice(&records_len.to_le_bytes());
    let first = u64::from_le_bytes(bytes[16..24].try_into().expect("eight bytes"));
    let (mut at, mut index) = (HEADER, first);
    while at + RECORD <= bytes.len() {
        let lengths = (number(bytes, at), number(bytes, at + 4));
        let leaf = at + RECORD + lengths.0;
        let end = leaf + lengths.1;
        if end > bytes.len() {
            break;
        }
        let sum = crc32c_append(crc32c(&index.to_le_bytes()), &bytes[at..at + 8]);
        let sum = crc32c_append(sum, &bytes[at + 16..at + 52]);
        let sum = crc32c_append(sum, &bytes[at + RECORD..leaf]);
        bytes[at + 8..at + 12].copy_from_slice(&sum.to_le_bytes());
        let sum = crc32c_append(crc32c(&bytes[at + 52..at + RECORD]), &bytes[leaf..end]);
        bytes[at + 12..at + 16].copy_from_slice(&sum.to_le_bytes());
        (at, index) = (end, index.wrapping_add(1));
    }
    let sum = crc32c(&bytes[8..HEADER]);
    bytes[4..8].copy_from_slice(&sum.to_le_bytes());
}

fn check(bytes: &[u8]) {
    let Some((first, head, records)) = read_batch(bytes) else {
        return;
    };
    assert_eq!(first + records.len() as u64, head.size);
    let entries = records.iter().map(|record| BatchEntry {
        id: uuid::Uuid::nil(),
        record,
        leaf_hash: audittrail_merkle::leaf_hash(&record.leaf),
    });
    let before = TreeHead {
        size: first,
        root: Hash([0; 32]),
    };
    let batch = Batch {
        first_index: first,
        entries: entries.collect(),
        nodes: Vec::new(),
    };
    let mut written = Vec::new();
    append_batch(&before, head, &batch, &mut written).expect("it was read");
    written[4..8].copy_from_slice(&bytes[4..8]);
    written[24..28].copy_from_slice(&bytes[24..28]);
    assert_eq!(written, bytes);
}

fuzz_target!(|data: &[u8]| {
    check(data);
    let mut fitted = data.to_vec();
    fit(&mut fitted);
    check(&fitted);
});
