//! Starting on a damaged directory: the golden data directory on a disk in memory, changed as the
//! input says. A start is refused, or what is read as verified is what was written there.
#![no_main]

use std::sync::LazyLock;

use audittrail_entry::Record;
use audittrail_fuzz::directory::{golden, start, written};
use libfuzzer_sys::fuzz_target;

static WRITTEN: LazyLock<Vec<Record>> = LazyLock::new(|| written(&golden()));

fuzz_target!(|data: &[u8]| {
    assert_eq!(WRITTEN.len(), 18);
    start(golden(), &WRITTEN, data);
});
