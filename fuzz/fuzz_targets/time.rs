//! RFC 3339: what is read, written and read again is the same time; text order is time order.
#![no_main]

use audittrail_entry::Timestamp;
use libfuzzer_sys::fuzz_target;

fn read(text: &str) -> Option<Timestamp> {
    let time = Timestamp::parse(text).ok()?;
    let written = time.to_text();
    let written = std::str::from_utf8(&written).expect("it is ASCII");
    assert_eq!(Timestamp::parse(written), Ok(time));
    assert_eq!(time.to_string(), written);
    assert!(
        (0..=9_214_646_400_000_000_000).contains(&time.nanos()),
        "{time}"
    );
    Some(time)
}

fuzz_target!(|data: &str| {
    let (one, other) = data.split_once('|').unwrap_or((data, ""));
    if let (Some(one), Some(other)) = (read(one), read(other)) {
        assert_eq!(one.cmp(&other), one.to_text().cmp(&other.to_text()));
    }
});
