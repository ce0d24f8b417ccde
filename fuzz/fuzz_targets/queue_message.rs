//! Messages of the queue in Redis: the input is made to fit its checksum first, since no mutation
//! would. What is read is written the same.
#![no_main]

use audittrail_queue_redis::{decode_request, encode_request};
use crc32c::crc32c;
use libfuzzer_sys::fuzz_target;

fn check(bytes: &[u8]) {
    let Ok(request) = decode_request(bytes) else {
        return;
    };
    assert!(!request.entries.is_empty());
    assert_eq!(encode_request(&request).as_deref(), Ok(bytes));
}

fuzz_target!(|data: &[u8]| {
    check(data);
    if data.len() < 5 {
        return;
    }
    let mut fitted = data.to_vec();
    fitted[0] = 1;
    let end = fitted.len() - 4;
    let sum = crc32c(&fitted[..end]);
    fitted[end..].copy_from_slice(&sum.to_le_bytes());
    check(&fitted);
});
