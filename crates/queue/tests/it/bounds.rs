//! What a submission counts.

use audittrail_queue::Bounds;
use audittrail_queue::conformance::request;

#[test]
fn an_entry_counts_its_bytes_and_something_for_itself() {
    let none = request(5, 1, 0).size_bytes;
    assert!(
        none > "leaf 5".len(),
        "an entry without content is not free"
    );
    assert_eq!(request(5, 1, 1_000).size_bytes, none + 1_000);
    assert_eq!(request(5, 3, 1_000).size_bytes, 3 * (none + 1_000));
    let mut erased = request(5, 1, 1_000).entries[0].clone();
    erased.record.sealed = None;
    assert_eq!(erased.size_bytes(), none);
}

/// One request of the largest size has to fit beside others.
#[test]
fn the_default_has_room() {
    let Bounds { entries, bytes } = Bounds::default();
    assert!(entries >= 100_000 && bytes >= 128 << 20);
}
