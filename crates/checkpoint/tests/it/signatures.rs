//! Which signatures count, C2SP signed-note: unknown keys are ignored, a known key's bad
//! signature spoils the note, and one known key has to have signed.

use audittrail_checkpoint::{Note, NoteError, NoteSignature, VerifierKey};

use crate::support::{ORIGIN, eight_signed, log, signer};

const TEXT: &str = "text\n";

fn note(signatures: &[NoteSignature]) -> Note {
    let mut note = Note::sign(TEXT.to_owned(), &[]).unwrap();
    note.signatures = signatures.to_vec();
    // What is verified is always what was read.
    Note::parse(note.to_string().as_bytes()).unwrap()
}

fn line(name: &str, seed: u8) -> NoteSignature {
    let note = Note::sign(TEXT.to_owned(), &[&signer(name, seed)]).unwrap();
    note.signatures[0].clone()
}

/// One bit of the signature is another.
fn spoilt(mut line: NoteSignature) -> NoteSignature {
    line.signature[10] ^= 1;
    line
}

#[test]
fn unknown_keys_are_ignored() {
    let key = signer("a", 1).verifier();
    let keys = [key.clone()];
    let other_id = NoteSignature {
        id: line("a", 2).id,
        ..spoilt(line("a", 1))
    };
    let other_name = NoteSignature {
        name: "b".to_owned(),
        ..spoilt(line("a", 1))
    };
    // A timestamped cosignature: a time before the signature.
    let cosignature = NoteSignature {
        name: "witness.example".to_owned(),
        id: [1, 2, 3, 4],
        signature: vec![7; 72],
    };
    // A post-quantum signature is far longer.
    let long = NoteSignature {
        signature: vec![7; 4627],
        ..cosignature.clone()
    };
    for unknown in [line("b", 2), other_id, other_name, cosignature, long] {
        let alone = note(std::slice::from_ref(&unknown));
        assert_eq!(alone.verify(&keys), Err(NoteError::Unknown), "{unknown:?}");
        for lines in [
            [unknown.clone(), line("a", 1)],
            [line("a", 1), unknown.clone()],
        ] {
            assert_eq!(note(&lines).verify(&keys), Ok(vec![&key]));
        }
    }
}

#[test]
fn nothing_is_believed_without_keys() {
    assert_eq!(note(&[line("a", 1)]).verify(&[]), Err(NoteError::Unknown));
    assert_eq!(
        Note::sign(TEXT.to_owned(), &[]).unwrap().verify(&[]),
        Err(NoteError::Unknown)
    );
}

#[test]
fn bad_signature_of_a_known_key_spoils_the_note() {
    let keys = [signer("a", 1).verifier(), signer("b", 2).verifier()];
    let invalid = || Err(NoteError::Invalid("a".to_owned()));
    let (good, bad, other) = (line("a", 1), spoilt(line("a", 1)), line("b", 2));
    for lines in [
        vec![bad.clone()],
        vec![bad.clone(), other.clone()],
        vec![other.clone(), bad.clone()],
        // Not made good by a line that holds, before or after it.
        vec![bad.clone(), good.clone()],
        vec![good.clone(), bad.clone()],
    ] {
        assert_eq!(note(&lines).verify(&keys), invalid(), "{lines:?}");
    }
    for length in [1, 63, 65, 72] {
        let mut line = good.clone();
        line.signature.resize(length, 0);
        assert_eq!(note(&[line]).verify(&keys), invalid(), "{length} bytes");
    }
}

#[test]
fn key_that_signed_twice_counts_once() {
    let keys = [signer("a", 1).verifier(), signer("b", 2).verifier()];
    let (a, b) = (line("a", 1), line("b", 2));
    let twice = note(&[a.clone(), b.clone(), a.clone()]);
    assert_eq!(twice.verify(&keys), Ok(vec![&keys[0], &keys[1]]));
    assert_eq!(note(&[b, a]).verify(&keys), Ok(vec![&keys[1], &keys[0]]));
}

#[test]
fn every_bit_of_text_and_signature_counts() {
    let good = Note::parse(eight_signed().as_bytes()).unwrap();
    let keys = [log().verifier()];
    assert!(good.verify(&keys).is_ok());
    let invalid = Err(NoteError::Invalid(ORIGIN.to_owned()));
    for bit in 0..64 * 8 {
        let mut note = good.clone();
        note.signatures[0].signature[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(note.verify(&keys), invalid, "bit {bit} of the signature");
    }
    for bit in 0..32 {
        let mut note = good.clone();
        note.signatures[0].id[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            note.verify(&keys),
            Err(NoteError::Unknown),
            "bit {bit} of the key ID"
        );
    }
    for at in 0..good.text.len() {
        let mut note = good.clone();
        let other = if &note.text[at..=at] == "x" { "y" } else { "x" };
        note.text.replace_range(at..=at, other);
        assert_eq!(note.verify(&keys), invalid, "character {at}");
    }
    for text in [format!("{}\n", good.text), good.text.trim_end().to_owned()] {
        let note = Note {
            text,
            ..good.clone()
        };
        assert_eq!(note.verify(&keys), invalid);
    }
}

#[test]
fn malleable_signatures_are_refused() {
    // The group's order, little-endian: S + L verifies the same equation as S.
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut signature = log().sign(TEXT.as_bytes());
    assert!(log().verifier().verifies(TEXT.as_bytes(), &signature));
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(L) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    assert_eq!(carry, 0);
    assert!(!log().verifier().verifies(TEXT.as_bytes(), &signature));
}

#[test]
fn weak_keys_sign_nothing() {
    // With the neutral element as key and as R, S = 0 fulfils the equation for every text.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&neutral);
    let verifies = VerifierKey::new("weak", neutral)
        .is_ok_and(|key| key.verifies(TEXT.as_bytes(), &signature));
    assert!(!verifies);
}
