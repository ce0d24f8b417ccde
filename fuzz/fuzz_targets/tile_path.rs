//! Paths of hash tiles: what is read is written the same, and its bounds hold.
#![no_main]

use audittrail_merkle::TileId;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &str| {
    let Some(id) = TileId::parse_path(data) else {
        return;
    };
    assert_eq!(id.path(), data);
    assert!((1..=256).contains(&id.width));
    if let Some(positions) = id.positions() {
        assert_eq!(positions.end - positions.start, u64::from(id.width));
    }
    if id.is_within(u64::MAX) {
        assert!(id.positions().is_some());
    }
    assert!(!id.is_within(0));
});
