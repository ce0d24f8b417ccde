//! Which partial tiles a mirror needs no more.

use audittrail_monitor::superseded;

#[test]
fn only_what_is_full_by_now() {
    let cases: [(u64, u64, &[&str]); 8] = [
        (0, 700, &[]),
        (3, 5, &[]),
        (3, 255, &[]),
        (3, 256, &["tile/0/000.p", "tile/entries/000.p"]),
        (300, 700, &["tile/0/001.p", "tile/entries/001.p"]),
        (256, 700, &[]),
        (
            65_000,
            70_000,
            &["tile/0/253.p", "tile/entries/253.p", "tile/1/000.p"],
        ),
        (
            256_100,
            256_300,
            &["tile/0/x001/000.p", "tile/entries/x001/000.p"],
        ),
    ];
    for (from, to, gone) in cases {
        assert_eq!(superseded(from, to), gone, "{from} {to}");
    }
}
