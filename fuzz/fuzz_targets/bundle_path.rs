//! Paths of entry bundles: what is read is written the same, and its bounds hold.
#![no_main]

use audittrail_merkle::BundleId;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &str| {
    let Some(id) = BundleId::parse_path(data) else {
        return;
    };
    assert_eq!(id.path(), data);
    assert!((1..=256).contains(&id.width));
    if let Some(entries) = id.entries() {
        assert_eq!(entries.end - entries.start, u64::from(id.width));
        assert!(id.is_within(entries.end));
        assert!(!id.is_within(entries.end - 1));
    }
    assert!(!id.is_within(0));
});
