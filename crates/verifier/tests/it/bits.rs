//! Every bit of a file flipped, every length of it cut: each is found, or harmless for a reason
//! that is named here.

use audittrail_verifier::{Parts, Trust, Verifier};

use crate::support::{Log, check, check_with, trust, vkey};

/// Entries with all members, one that was erased, and its erasure.
fn file() -> Vec<u8> {
    let mut log = Log::new(4);
    log.entries[1].sealed = None;
    log.push(
        "audittrail.erasure",
        r#"{"details":{"ranges":[[1,1]]},"submitted_by":{"sub":"admin"}}"#,
    );
    log.range(0, 4).into_bytes()
}

fn place(file: &[u8], text: &str) -> std::ops::Range<usize> {
    let at = file
        .windows(text.len())
        .position(|part| part == text.as_bytes());
    let at = at.unwrap();
    at..at + text.len()
}

#[test]
fn every_flipped_bit_is_found() {
    let file = file();
    assert!(check(&file).verified());
    let mut harmless = Vec::new();
    // The header's signature is checked once for all bits that lie after it.
    let header = file.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let (verifier, begun) = Verifier::begin(&file[..header], trust()).unwrap();
    for bit in 0..8 * file.len() {
        let mut flipped = file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let report = if bit / 8 < header {
            check(&flipped)
        } else {
            let (mut parts, mut tally) = (Parts::new(&flipped[..]), begun.clone());
            parts.header().unwrap();
            while let Some(part) = parts.next_part().unwrap() {
                tally.take(verifier.check(&part));
            }
            tally.finish()
        };
        if report.verified() {
            harmless.push((bit / 8, flipped[bit / 8]));
        }
    }
    // Spaces between JSON's tokens would be, but no bit makes one of what is written.
    assert_eq!(harmless, vec![], "{}", String::from_utf8_lossy(&file));
}

/// Without the signing key nobody can say whose HMAC it is: only those bytes go unnoticed, and
/// they prove nothing to anybody.
#[test]
fn without_the_signing_key_all_but_signatures() {
    let file = file();
    let alone = || Trust {
        keys: vec![vkey()],
        signing: None,
        policy: None,
    };
    let text = String::from_utf8(file.clone()).unwrap();
    let mut unchecked = vec![false; file.len()];
    for (name, len) in [("\"signature\":\"", 64), ("\"key_id\":\"", 8)] {
        for (at, _) in text.match_indices(name) {
            let from = at + name.len();
            unchecked[from..from + len].fill(true);
        }
    }
    // One bit of each byte is enough: the other test flips all.
    for at in 0..file.len() {
        let mut flipped = file.clone();
        flipped[at] ^= 1;
        if check_with(&flipped, alone()).verified() {
            assert!(unchecked[at], "byte {at}");
        }
    }
}

/// The filter is what the file says of itself. Nothing in a log shows which filter was used.
#[test]
fn the_filter_is_not_proven() {
    let log = Log::new(2);
    let file = log.evidence(&log.header(), &[1]).into_bytes();
    let within = place(&file, "\"filter\":{\"action\":\"door.open\"}");
    let mut harmless = 0;
    for bit in 0..8 * file.len() {
        let mut flipped = file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if check_with(&flipped, trust()).verified() {
            assert!(within.contains(&(bit / 8)), "byte {}", bit / 8);
            harmless += 1;
        }
    }
    assert!(harmless > 0);
}

#[test]
fn every_cut_is_found() {
    let file = file();
    for len in 0..file.len() {
        let report = check(&file[..len]);
        assert!(!report.verified() && !report.whole, "{len}");
        assert_eq!(report.complete, None, "{len}");
    }
}
