//! The form of a checkpoint, C2SP tlog-checkpoint, and whose it is.

use audittrail_checkpoint::{Checkpoint, CheckpointError, Note, NoteError, Signer};
use audittrail_merkle::{EMPTY_ROOT, Hash, TreeHead};
use proptest::prelude::*;

use crate::support::{EIGHT, ORIGIN, checkpoint, eight_signed, log, signer};

const ROOT: &str = "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=";

fn malformed(text: &str) -> bool {
    matches!(
        Checkpoint::parse_text(text),
        Err(CheckpointError::Malformed(_))
    )
}

/// A note of any text, signed by the log.
fn signed(text: &str) -> String {
    Note::sign(text.to_owned(), &[&log()]).unwrap().to_string()
}

#[test]
fn sizes() {
    for (size, number) in [
        ("1", 1),
        ("8", 8),
        ("10", 10),
        ("9007199254740993", 9_007_199_254_740_993),
        ("18446744073709551615", u64::MAX),
    ] {
        let read = Checkpoint::parse_text(&format!("{ORIGIN}\n{size}\n{ROOT}\n")).unwrap();
        assert_eq!(read, checkpoint(number, EIGHT, &[]));
    }
    for size in [
        "",
        " ",
        "00",
        "01",
        "008",
        "+8",
        "-8",
        "-0",
        "+0",
        " 8",
        "8 ",
        "8\t",
        "8.0",
        "8e0",
        "0x8",
        "8_0",
        "1,000",
        "eight",
        "\u{0668}",
        "\u{ff18}",
        "18446744073709551616",
        "99999999999999999999",
        "340282366920938463463374607431768211456",
    ] {
        let text = format!("{ORIGIN}\n{size}\n{ROOT}\n");
        assert!(malformed(&text), "{size:?}");
        if !size.contains('\t') {
            let opened = Checkpoint::open(signed(&text).as_bytes(), &[log().verifier()]);
            assert!(
                matches!(opened, Err(CheckpointError::Malformed(_))),
                "{size:?}"
            );
        }
    }
}

#[test]
fn roots() {
    for root in [
        "",
        " ",
        "AA==",
        // 31 and 33 bytes.
        "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQw==",
        "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQygA",
        // Padding: none, too much; and bits after the end.
        "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg",
        "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg==",
        "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyh=",
        "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyi=",
        // The other alphabet, hexadecimal, and spaces.
        "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz-Nw7_RgQyg=",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        " XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=",
        "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg= ",
        "XcnaeacGWamtVZy3Ad7Z oqudgjqtL0lgz+Nw7/RgQyg=",
    ] {
        assert!(malformed(&format!("{ORIGIN}\n8\n{root}\n")), "{root:?}");
    }
}

#[test]
fn empty_tree_has_one_root() {
    let text = format!("{ORIGIN}\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n");
    assert_eq!(Checkpoint::parse_text(&text).unwrap().head, TreeHead::EMPTY);
    let other_root = Checkpoint::parse_text(&format!("{ORIGIN}\n0\n{ROOT}\n"));
    assert_eq!(other_root, Err(CheckpointError::EmptyTree));
    assert!(matches!(
        checkpoint(0, EIGHT, &[]).sign(&[&log()]),
        Err(CheckpointError::EmptyTree)
    ));
    assert!(checkpoint(0, EMPTY_ROOT, &[]).sign(&[&log()]).is_ok());
}

#[test]
fn lines() {
    for text in [
        String::new(),
        "\n".to_owned(),
        "\n\n\n".to_owned(),
        format!("{ORIGIN}\n"),
        format!("{ORIGIN}\n8\n"),
        format!("{ORIGIN}\n8\n\n"),
        format!("8\n{ROOT}\n"),
        format!("\n8\n{ROOT}\n"),
        format!("{ORIGIN}\n\n8\n{ROOT}\n"),
        format!("{ORIGIN}\n{ROOT}\n8\n"),
        format!("\n{ORIGIN}\n8\n{ROOT}\n"),
        // The last newline, or one too many.
        format!("{ORIGIN}\n8\n{ROOT}"),
        format!("{ORIGIN}\n8\n{ROOT}\n\n"),
        format!("{ORIGIN}\n8\n{ROOT}\r\n"),
        format!("{ORIGIN}\n8\n{ROOT}\nextension"),
        format!("{ORIGIN}\n8\n{ROOT}\n\nextension\n"),
        format!("{ORIGIN}\n8\n{ROOT}\none\n\ntwo\n"),
        format!("{ORIGIN}\n8\n{ROOT}\nextension\n\n"),
    ] {
        assert!(malformed(&text), "{text:?}");
    }
}

#[test]
fn extension_lines_are_kept() {
    for lines in [
        &["one"][..],
        &["one", "two", "one"],
        &[" "],
        &["\u{2014} looks like AAAA"],
    ] {
        let checkpoint = checkpoint(8, EIGHT, lines);
        let note = checkpoint.sign(&[&log()]).unwrap();
        let text = format!("{ORIGIN}\n8\n{ROOT}\n{}\n\n", lines.join("\n"));
        assert!(note.starts_with(&text));
        assert_eq!(
            Checkpoint::open(note.as_bytes(), &[log().verifier()]),
            Ok(checkpoint)
        );
    }
}

#[test]
fn extensions_that_would_change_the_form_are_not_signed() {
    for lines in [
        &[""][..],
        &["one", ""],
        &["", "one"],
        &["one\ntwo"],
        &["one\n"],
        &["\n"],
    ] {
        let error = checkpoint(8, EIGHT, lines).sign(&[&log()]).unwrap_err();
        assert!(matches!(error, CheckpointError::Malformed(_)), "{lines:?}");
    }
    for lines in [["a\tb"], ["a\r"], ["\0"]] {
        let error = checkpoint(8, EIGHT, &lines).sign(&[&log()]).unwrap_err();
        assert!(
            matches!(error, CheckpointError::Note(NoteError::Malformed(_))),
            "{lines:?}"
        );
    }
}

#[test]
fn only_the_logs_own_keys_sign() {
    let origin = |key: &str| {
        let (origin, key) = (ORIGIN.to_owned(), key.to_owned());
        CheckpointError::Origin { origin, key }
    };
    let (log, other) = (log(), signer("example.com/other", 9));
    let checkpoint = checkpoint(8, EIGHT, &[]);
    assert_eq!(checkpoint.sign(&[&other]), Err(origin("example.com/other")));
    assert_eq!(
        checkpoint.sign(&[&log, &other]),
        Err(origin("example.com/other"))
    );

    // A known key of another log signed the text of this one.
    let note = Note::sign(checkpoint.to_string(), &[&other])
        .unwrap()
        .to_string();
    let opened = Checkpoint::open(note.as_bytes(), &[log.verifier(), other.verifier()]);
    assert_eq!(opened, Err(origin("example.com/other")));
    // Unknown, it is only ignored.
    let opened = Checkpoint::open(note.as_bytes(), &[log.verifier()]);
    assert_eq!(opened, Err(CheckpointError::Note(NoteError::Unknown)));
    // A checkpoint that names another log, soundly signed by this one.
    let text = checkpoint.to_string().replace(ORIGIN, "example.com/third");
    let opened = Checkpoint::open(signed(&text).as_bytes(), &[log.verifier()]);
    let (third, key) = ("example.com/third".to_owned(), ORIGIN.to_owned());
    assert_eq!(opened, Err(CheckpointError::Origin { origin: third, key }));
}

#[test]
fn log_may_have_several_keys() {
    let (old, new) = (log(), signer(ORIGIN, 9));
    let checkpoint = checkpoint(8, EIGHT, &[]);
    let both = checkpoint.sign(&[&old, &new]).unwrap();
    let keys = [old.verifier(), new.verifier()];
    for known in [&keys[..1], &keys[1..], &keys[..]] {
        assert_eq!(
            Checkpoint::open(both.as_bytes(), known).as_ref(),
            Ok(&checkpoint)
        );
    }
    let one = checkpoint.sign(&[&new]).unwrap();
    let opened = Checkpoint::open(one.as_bytes(), &keys[..1]);
    assert_eq!(opened, Err(CheckpointError::Note(NoteError::Unknown)));
}

#[test]
fn cosignatures_by_unknown_witnesses_change_nothing() {
    let witness = signer("witness.example", 5);
    let mut note = Note::parse(eight_signed().as_bytes()).unwrap();
    let cosigned = Note::sign(note.text.clone(), &[&witness]).unwrap();
    note.signatures.splice(0..0, cosigned.signatures);
    let mut timestamped = note.signatures[0].clone();
    timestamped
        .signature
        .splice(0..0, 1_700_000_000_u64.to_be_bytes());
    note.signatures.push(timestamped);
    let opened = Checkpoint::open(note.to_string().as_bytes(), &[log().verifier()]);
    assert_eq!(opened, Ok(checkpoint(8, EIGHT, &[])));
}

#[test]
fn unsound_notes_are_not_opened() {
    let keys = [log().verifier()];
    let good = eight_signed();
    let forged = good.replace("\n8\n", "\n9\n");
    let opened = Checkpoint::open(forged.as_bytes(), &keys);
    let invalid = NoteError::Invalid(ORIGIN.to_owned());
    assert_eq!(opened, Err(CheckpointError::Note(invalid)));
    for end in 0..good.len() {
        let opened = Checkpoint::open(&good.as_bytes()[..end], &keys);
        assert!(matches!(
            opened,
            Err(CheckpointError::Note(NoteError::Malformed(_)))
        ));
    }
    assert!(Checkpoint::open(good.as_bytes(), &[]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn checkpoints_are_read_back(
        origin in "[^\\p{White_Space}\\p{Cc}+]{1,40}",
        size in 1..=u64::MAX,
        root: [u8; 32],
        extensions in proptest::collection::vec("[^\\p{Cc}]{1,40}", 0..4),
        seed: [u8; 32],
    ) {
        let signer = Signer::from_seed(&origin, seed).unwrap();
        let checkpoint = Checkpoint { origin, head: TreeHead { size, root: Hash(root) }, extensions };
        let note = checkpoint.sign(&[&signer]).unwrap();
        let opened = Checkpoint::open(note.as_bytes(), &[signer.verifier()]);
        prop_assert_eq!(opened, Ok(checkpoint.clone()));
        prop_assert_eq!(Checkpoint::parse_text(&checkpoint.to_string()), Ok(checkpoint));
    }

    /// Whatever is done to one byte, the log's key does not pass for having signed it: the byte
    /// was in the text or the signature, and nothing else is left in the note.
    #[test]
    fn no_byte_can_change(at in any::<prop::sample::Index>(), byte: u8) {
        let mut note = eight_signed().into_bytes();
        let at = at.index(note.len());
        prop_assume!(note[at] != byte);
        note[at] = byte;
        prop_assert!(Checkpoint::open(&note, &[log().verifier()]).is_err());
    }
}
