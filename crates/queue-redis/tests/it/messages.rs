//! The bytes of requests.

use audittrail_queue::conformance::request;
use audittrail_queue::{Request, Submission};
use audittrail_queue_redis::{MessageError, decode_request, encode_request};
use crc32c::crc32c;
use proptest::collection::vec;
use proptest::prelude::*;

fn same(one: &Submission, other: &Submission) -> bool {
    one.id == other.id
        && one.origin == other.origin
        && one.record == other.record
        && one.leaf_hash == other.leaf_hash
}

fn resum(bytes: &mut Vec<u8>) {
    let end = bytes.len() - 4;
    let sum = crc32c(&bytes[..end]);
    bytes.truncate(end);
    bytes.extend(sum.to_le_bytes());
}

#[test]
fn what_is_written_is_read() {
    for entries in [1, 2, 1_000] {
        let mut sent = request(7, entries, 20).entries.to_vec();
        sent[0].record.sealed = None;
        let sent = Request::new(sent);
        let read = decode_request(&encode_request(&sent).unwrap()).unwrap();
        assert_eq!(read.size_bytes, sent.size_bytes);
        assert_eq!(read.entries.len(), sent.entries.len());
        assert!(
            read.entries
                .iter()
                .zip(sent.entries.iter())
                .all(|(one, other)| same(one, other))
        );
    }
}

/// docs/formats.md, byte by byte.
#[test]
fn version_1_is_as_documented() {
    let bytes = encode_request(&request(4, 1, 3)).unwrap();
    let mut expected = vec![1, 1, 0, 0, 0];
    expected.push(0b111);
    expected.extend(4_u128.to_be_bytes());
    expected.extend([1, 2, 3, 4]);
    expected.extend([!4; 32]);
    expected.extend([6, 0, 0, 0]);
    expected.extend(b"leaf 4");
    expected.extend([4; 32]);
    expected.extend([3, 0, 0, 0]);
    expected.extend(b"xxx");
    expected.extend(crc32c(&expected).to_le_bytes());
    assert_eq!(bytes, expected);
    assert_eq!(crc32c(b"123456789"), 0xe306_9283, "Castagnoli");
}

#[test]
fn each_changed_bit_and_each_cut_is_found() {
    let bytes = encode_request(&request(3, 2, 5)).unwrap();
    for at in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[at / 8] ^= 1 << (at % 8);
        assert!(decode_request(&changed).is_err(), "bit {at}");
    }
    for length in 0..bytes.len() {
        assert!(decode_request(&bytes[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn what_nothing_writes_is_malformed() {
    let good = encode_request(&request(3, 1, 5)).unwrap();
    assert_eq!(decode_request(&[]).unwrap_err(), MessageError::Malformed);
    let mut newer = good.clone();
    newer[0] = 9;
    assert_eq!(
        decode_request(&newer).unwrap_err(),
        MessageError::Version(9)
    );
    // Counts, flags and lengths that do not fit, under checksums that do.
    for (at, value) in [
        (1, 0),
        (1, 2),
        (4, 255),
        (5, 2),
        (5, 6),
        (5, 8),
        (5, 0),
        (61, 255),
    ] {
        let mut bad = good.clone();
        bad[at] = value;
        resum(&mut bad);
        assert_eq!(
            decode_request(&bad).unwrap_err(),
            MessageError::Malformed,
            "{at} is {value}"
        );
    }
    let mut longer = good;
    longer.push(0);
    resum(&mut longer);
    assert_eq!(
        decode_request(&longer).unwrap_err(),
        MessageError::Malformed
    );
}

proptest! {
    /// Whatever is read is written the same.
    #[test]
    fn there_is_one_form(mut body in vec(any::<u8>(), 0..400), count in 0_u8..3) {
        let mut bytes = vec![1, count, 0, 0, 0];
        bytes.append(&mut body);
        bytes.extend([0; 4]);
        resum(&mut bytes);
        if let Ok(request) = decode_request(&bytes) {
            prop_assert_eq!(encode_request(&request).unwrap(), bytes);
        }
    }
}
