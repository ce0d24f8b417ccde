//! The form of a signed note, C2SP signed-note.

use audittrail_checkpoint::{Note, NoteError, Signer};

use crate::support::{eight_signed, log, signer};

fn refused(note: impl AsRef<[u8]>) -> bool {
    matches!(Note::parse(note.as_ref()), Err(NoteError::Malformed(_)))
}

/// A line that has the form of a signature, by a key that nobody knows.
const LINE: &str = "\u{2014} unknown AAECAwQ=\n";

#[test]
fn notes_are_read_back() {
    let one = log();
    let other = signer("witness.example", 7);
    for text in [
        "one line\n",
        "\n",
        "two\nlines\n",
        "with\n\nblank\n\n\nlines\n",
        "ends with a blank line\n\n",
        "looks\n\n\u{2014} unknown AAECAwQ=\n",
        "\u{fc}\u{2028}\u{7f}\u{80}\n",
    ] {
        for signers in [vec![&one], vec![&one, &other], vec![&other, &one]] {
            let note = Note::sign(text.to_owned(), &signers).unwrap();
            let read = Note::parse(note.to_string().as_bytes()).unwrap();
            assert_eq!(read, note, "{text:?}");
            assert_eq!(read.text, text);
            let keys: Vec<_> = signers.iter().copied().map(Signer::verifier).collect();
            assert_eq!(read.verify(&keys), Ok(keys.iter().collect()));
        }
    }
}

#[test]
fn text_that_is_no_notes_is_not_signed() {
    for text in [
        "",
        "no newline",
        "a\nb",
        "a\r\n",
        "a\tb\n",
        "\0\n",
        "a\u{1b}\n",
    ] {
        let error = Note::sign(text.to_owned(), &[&log()]).unwrap_err();
        assert!(matches!(error, NoteError::Malformed(_)), "{text:?}");
    }
}

#[test]
fn parts_that_are_missing_are_noticed() {
    let good = eight_signed();
    assert!(!refused(&good));
    let (text, lines) = good.split_once("\n\n").unwrap();
    for note in [
        String::new(),
        "\n".to_owned(),
        "\n\n".to_owned(),
        format!("{text}\n"),
        format!("{text}\n\n"),
        // No blank line, or one that is not blank.
        format!("{text}\n{lines}"),
        format!("{text}\n \n{lines}"),
        format!("{text}\r\n\r\n{lines}"),
        // A blank line without a text before it.
        format!("\n{lines}"),
        lines.to_owned(),
        // The last newline, or one too many.
        good.strip_suffix('\n').unwrap().to_owned(),
        format!("{good}\n"),
        format!("{good}\n\n"),
        format!("{good} \n"),
        format!("{good}x\n"),
        format!("{good}\n{lines}x\n"),
    ] {
        assert!(refused(&note), "{note:?}");
    }
}

#[test]
fn every_cut_is_noticed() {
    let good = eight_signed();
    for end in 0..good.len() {
        assert!(refused(&good.as_bytes()[..end]), "cut at {end}");
    }
}

#[test]
fn malformed_signature_lines_are_refused() {
    assert!(!refused(format!("text\n\n{LINE}")));
    for line in [
        "unknown AAECAwQ=",
        "- unknown AAECAwQ=",
        "-- unknown AAECAwQ=",
        "\u{2013} unknown AAECAwQ=",
        "\u{2014}unknown AAECAwQ=",
        "\u{2014}\u{a0}unknown AAECAwQ=",
        " \u{2014} unknown AAECAwQ=",
        "\u{2014} unknown",
        "\u{2014} unknown ",
        "\u{2014} AAECAwQ=",
        "\u{2014}  AAECAwQ=",
        "\u{2014}  unknown AAECAwQ=",
        "\u{2014} unknown  AAECAwQ=",
        "\u{2014} unknown AAECAwQ= ",
        "\u{2014} unknown AAECAwQ= more",
        "\u{2014} un known AAECAwQ=",
        "\u{2014} un+known AAECAwQ=",
        "\u{2014} un\tknown AAECAwQ=",
        "\u{2014} un\u{a0}known AAECAwQ=",
        "\u{2014} un\u{2003}known AAECAwQ=",
        "\u{2014} un\u{1}known AAECAwQ=",
        "\u{2014} un\0known AAECAwQ=",
        "\u{2014} un\u{1b}known AAECAwQ=",
        "\u{2014} unknown\r AAECAwQ=",
        "\u{2014} unknown AAECAwQ=\r",
        // Base64: padding missing, too much of it, bits after the end, the other alphabet.
        "\u{2014} unknown AAECAwQ",
        "\u{2014} unknown AAECAwQ==",
        "\u{2014} unknown AAECAwR=",
        "\u{2014} unknown AAECA-Q=",
        "\u{2014} unknown AAEC!wQ=",
        "\u{2014} unknown =AAECAwQ",
        // A key ID alone, and less than one.
        "\u{2014} unknown AAECAw==",
        "\u{2014} unknown AAEC",
        "\u{2014} unknown AA==",
    ] {
        assert!(refused(format!("text\n\n{line}\n")), "{line:?}");
        // Among sound ones as well.
        assert!(refused(format!("text\n\n{LINE}{line}\n{LINE}")), "{line:?}");
    }
}

#[test]
fn control_characters_and_other_encodings_are_refused() {
    for byte in (0..0x20_u8).filter(|byte| *byte != b'\n') {
        let mut note = format!("te?xt\n\n{LINE}").into_bytes();
        note[2] = byte;
        assert!(refused(&note), "{byte}");
    }
    for bytes in [&b"\xff"[..], b"\xc0\x80", b"\xed\xa0\x80", b"\xe2\x80"] {
        let note = [b"te", bytes, b"xt\n\n", LINE.as_bytes()].concat();
        assert!(refused(&note), "{bytes:?}");
        let name = [b"text\n\n\xe2\x80\x94 na", bytes, b"me AAECAwQ=\n"].concat();
        assert!(refused(&name), "{bytes:?}");
    }
}

#[test]
fn text_ends_at_the_last_blank_line() {
    let note = Note::parse(format!("a\n\n{LINE}\n{LINE}").as_bytes()).unwrap();
    assert_eq!(note.text, format!("a\n\n{LINE}"));
    assert_eq!(note.signatures.len(), 1);
    let note = Note::parse(format!("a\n\n\n{LINE}").as_bytes()).unwrap();
    assert_eq!(note.text, "a\n\n");
}

#[test]
fn signature_line_is_taken_apart() {
    let note = Note::parse(format!("text\n\n{LINE}").as_bytes()).unwrap();
    assert_eq!(note.signatures[0].name, "unknown");
    assert_eq!(note.signatures[0].id, [0, 1, 2, 3]);
    assert_eq!(note.signatures[0].signature, [4]);
}

#[test]
fn numbers_of_signatures_up_to_a_limit() {
    // 16 is what the specification asks for.
    for (count, legal) in [
        (1, true),
        (16, true),
        (128, true),
        (129, false),
        (1000, false),
    ] {
        let note = format!("text\n\n{}", LINE.repeat(count));
        assert_eq!(!refused(&note), legal, "{count} signatures");
    }
}

#[test]
fn sizes_up_to_a_limit() {
    let of = |size: usize| {
        let rest = format!("\n\n{LINE}");
        format!("{}{rest}", "x".repeat(size - rest.len()))
    };
    assert!(!refused(of(1 << 20)));
    assert!(refused(of((1 << 20) + 1)));
}
