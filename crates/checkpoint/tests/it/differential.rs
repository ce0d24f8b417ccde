//! Against other implementations: `signed_note`, a port of Go's own, and the checkpoints of
//! `tlog_tiles`.

use audittrail_checkpoint::{Checkpoint, Note, NoteError, Signer, VerifierKey};
use audittrail_merkle::TreeHead;
use proptest::prelude::*;
use signed_note::{
    Signer as _, StandardSigner, StandardVerifier, Verifier as _, VerifierList, is_key_name_valid,
};

use crate::support::{EIGHT, checkpoint, log, signer};

fn verifiers(keys: &[VerifierKey]) -> VerifierList {
    let verifier = |key: &VerifierKey| -> Box<dyn signed_note::Verifier> {
        Box::new(StandardVerifier::new(&key.to_string()).unwrap())
    };
    VerifierList::new(keys.iter().map(verifier).collect())
}

#[test]
fn signed_note_reads_the_same_keys() {
    for seed in 0..50 {
        let ours = signer("example.com/log", seed);
        let theirs = StandardSigner::new(&ours.to_secret_text()).unwrap();
        assert_eq!(theirs.name(), "example.com/log");
        assert_eq!(theirs.key_id().to_be_bytes(), ours.verifier().id());
        assert_eq!(theirs.sign(b"text\n").unwrap(), ours.sign(b"text\n"));
        let theirs = StandardVerifier::new(&ours.verifier().to_string()).unwrap();
        assert_eq!(theirs.key_id().to_be_bytes(), ours.verifier().id());
        assert!(theirs.verify(b"text\n", &ours.sign(b"text\n")));
    }
}

#[test]
fn signed_note_opens_what_we_sign() {
    let (log, witness) = (log(), signer("witness.example", 5));
    let keys = [log.verifier(), witness.verifier()];
    let checkpoint = checkpoint(8, EIGHT, &["extension"]);
    let note = Note::sign(checkpoint.to_string(), &[&log, &witness]).unwrap();
    let theirs = signed_note::Note::from_bytes(note.to_string().as_bytes()).unwrap();
    assert_eq!(theirs.text(), note.text.as_bytes());
    assert_eq!(theirs.to_bytes(), note.to_string().as_bytes());
    let (known, unknown) = theirs.verify(&verifiers(&keys)).unwrap();
    assert_eq!((known.len(), unknown.len()), (2, 0));
    let (known, unknown) = theirs.verify(&verifiers(&keys[1..])).unwrap();
    assert_eq!((known.len(), unknown.len()), (1, 1));
    assert_eq!(known[0].name(), "witness.example");

    let theirs = tlog_tiles::Checkpoint::from_bytes(theirs.text()).unwrap();
    assert_eq!(theirs.origin(), checkpoint.origin);
    assert_eq!(theirs.size(), 8);
    assert_eq!(theirs.hash().0, EIGHT.0);
    assert_eq!(theirs.extension(), "extension\n");
}

#[test]
fn we_open_what_signed_note_signs() {
    let (log, witness) = (log(), signer("witness.example", 5));
    let their_hash = tlog_tiles::Hash(EIGHT.0);
    let theirs = tlog_tiles::Checkpoint::new(log.verifier().name(), 8, their_hash, "extension\n");
    let mut note = signed_note::Note::new(&theirs.unwrap().to_bytes(), &[]).unwrap();
    let signers = [&witness, &log].map(|one| StandardSigner::new(&one.to_secret_text()).unwrap());
    note.add_sigs(&[&signers[0], &signers[1]]).unwrap();
    let opened = Checkpoint::open(&note.to_bytes(), &[log.verifier()]).unwrap();
    assert_eq!(opened, checkpoint(8, EIGHT, &["extension"]));
}

/// `bytes` with some of them changed, taken out or put in.
fn changed(bytes: &[u8], changes: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, kind, new) in changes {
        let at = at.index(bytes.len());
        match kind {
            0 => bytes[at] = *new,
            1 => bytes.insert(at, *new),
            2 => drop(bytes.remove(at)),
            _ => bytes[at] ^= 1 << (new % 8),
        }
    }
    bytes
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
    // Mostly the characters that carry the form.
    let byte = prop_oneof![
        prop::sample::select(b"\n\n\n =+/-0189Aaz\t\r\0\x01".to_vec()),
        any::<u8>()
    ];
    proptest::collection::vec((any::<prop::sample::Index>(), 0..4_u8, byte), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn notes_pass_or_fail_as_with_signed_note(changes in changes()) {
        let keys = [log().verifier()];
        let note = Note::sign("a\n\nb\n".to_owned(), &[&signer("w", 5), &log()]).unwrap();
        let bytes = changed(note.to_string().as_bytes(), &changes);
        let ours = Note::parse(&bytes);
        let theirs = signed_note::Note::from_bytes(&bytes);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?}", String::from_utf8_lossy(&bytes));
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            prop_assert_eq!(ours.text.as_bytes(), theirs.text());
            prop_assert_eq!(ours.to_string().into_bytes(), theirs.to_bytes());
            let verdict = ours.verify(&keys);
            prop_assert_eq!(verdict.is_ok(), theirs.verify(&verifiers(&keys)).is_ok());
        }
    }

    #[test]
    fn checkpoints_pass_or_fail_as_with_tlog_tiles(changes in changes()) {
        let text = checkpoint(18, EIGHT, &["one", "two"]).to_string();
        let bytes = changed(text.as_bytes(), &changes);
        let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(()) };
        let ours = Checkpoint::parse_text(text).ok();
        let theirs = tlog_tiles::Checkpoint::from_bytes(&bytes).ok();
        // They do not mind another root of the empty tree.
        let theirs = theirs.filter(|theirs| theirs.size() != 0 || theirs.hash().0 == TreeHead::EMPTY.root.0);
        prop_assert_eq!(ours.is_some(), theirs.is_some(), "{:?}", text);
        if let (Some(ours), Some(theirs)) = (ours, theirs) {
            prop_assert_eq!(&ours.origin, theirs.origin());
            prop_assert_eq!(ours.head.size, theirs.size());
            prop_assert_eq!(ours.head.root.0, theirs.hash().0);
            let extension: String = ours.extensions.iter().map(|line| format!("{line}\n")).collect();
            prop_assert_eq!(extension, theirs.extension());
        }
    }

    #[test]
    fn verifier_keys_pass_or_fail_as_with_signed_note(changes in changes()) {
        let bytes = changed(log().verifier().to_string().as_bytes(), &changes);
        let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(()) };
        // We mind control characters in a name, and key IDs in capitals.
        let mut parts = text.split('+');
        let stricter = parts.next().unwrap().contains(char::is_control)
            || parts.next().is_some_and(|id| id.contains(char::is_uppercase));
        let theirs = StandardVerifier::new(text).is_ok() && !stricter;
        prop_assert_eq!(VerifierKey::parse(text).is_ok(), theirs, "{:?}", text);
    }

    #[test]
    fn names_are_as_legal_as_with_signed_note(name in "[a+ \u{a0}\u{85}\u{2003}\u{3000}\u{200b}/\u{e4}]{0,4}") {
        let legal = is_key_name_valid(&name);
        prop_assert_eq!(Signer::from_seed(&name, [1; 32]).is_ok(), legal);
        let note = format!("text\n\n\u{2014} {name} AAECAwQ=\n");
        let read = Note::parse(note.as_bytes());
        prop_assert_eq!(read.is_ok(), legal);
        prop_assert_eq!(matches!(read, Err(NoteError::Malformed(_))), !legal);
    }
}
