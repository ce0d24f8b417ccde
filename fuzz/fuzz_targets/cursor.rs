//! Cursors: what is read is written the same and belongs to the query and the log.
#![no_main]

use audittrail_store::Cursor;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;

const SIZE: u64 = 1 << 40;

fn check(text: &str, fingerprint: [u8; 8]) {
    let Ok(cursor) = Cursor::decode(text, None, fingerprint, SIZE) else {
        return;
    };
    assert_eq!(cursor.encode(), text);
    assert_eq!(cursor.fingerprint, fingerprint);
    assert!(cursor.size <= SIZE);
    assert_eq!(
        Cursor::decode(text, Some(cursor.order), fingerprint, SIZE),
        Ok(cursor)
    );
}

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        check(text, [0; 8]);
    }
    // The bytes themselves, with the fingerprint that they hold.
    let fingerprint = data.get(3..11).and_then(|bytes| bytes.try_into().ok());
    check(
        &URL_SAFE_NO_PAD.encode(data),
        fingerprint.unwrap_or_default(),
    );
});
