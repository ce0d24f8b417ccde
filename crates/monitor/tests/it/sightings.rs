//! What counts as a checkpoint of the log, and how it stands to one that was kept.

use audittrail_checkpoint::{Checkpoint, CheckpointError, NoteError, Signer, VerifierKey};
use audittrail_merkle::{Hash, TreeHead};
use audittrail_monitor::{KeysError, LogKeys, Refusal, Standing};

fn signer(name: &str, seed: u8) -> Signer {
    Signer::from_seed(name, [seed; 32]).unwrap()
}

fn note(origin: &str, size: u64, signers: &[&Signer]) -> String {
    let checkpoint = Checkpoint {
        origin: origin.to_owned(),
        head: TreeHead {
            size,
            root: Hash([5; 32]),
        },
        extensions: Vec::new(),
    };
    checkpoint.sign(signers).unwrap()
}

fn keys(keys: &[VerifierKey]) -> LogKeys {
    LogKeys::new(keys.to_vec()).unwrap()
}

#[test]
fn old_and_new_key_of_one_log() {
    let (old, new, other) = (
        signer("log.a", 1),
        signer("log.a", 2),
        signer("log.a/else", 3),
    );
    let both = keys(&[old.verifier(), new.verifier()]);
    for signers in [vec![&old], vec![&new], vec![&old, &new]] {
        let text = note("log.a", 9, &signers);
        let seen = both.open(text.as_bytes()).unwrap();
        assert_eq!(
            (seen.checkpoint.head.size, seen.note.as_str()),
            (9, text.as_str())
        );
    }
    let refused = keys(&[new.verifier()]).open(note("log.a", 9, &[&old]).as_bytes());
    let unknown = CheckpointError::Note(NoteError::Unknown);
    assert_eq!(refused, Err(Refusal::Checkpoint(unknown)));
    // A key that is known and whose signature does not hold is not made good by another's.
    let mixed = note("log.a", 9, &[&old, &new]).replace("\n9\n", "\n8\n");
    assert!(both.open(mixed.as_bytes()).is_err());
    assert_eq!(LogKeys::new(vec![]).err(), Some(KeysError::None));
    let several = LogKeys::new(vec![old.verifier(), other.verifier()]).err();
    assert!(matches!(several, Some(KeysError::Several(_, _))));
}

#[test]
fn what_is_no_checkpoint_of_the_log() {
    let (key, other) = (signer("log.a", 1), signer("log.b", 2));
    let log = keys(&[key.verifier()]);
    let refused = log.open(note("log.b", 9, &[&other]).as_bytes());
    assert!(
        matches!(&refused, Err(Refusal::OtherLog { seen, .. }) if seen == "log.b"),
        "{refused:?}"
    );
    for size in [1 << 63, u64::MAX] {
        assert_eq!(
            log.open(note("log.a", size, &[&key]).as_bytes()),
            Err(Refusal::Size(size))
        );
    }
    log.open(note("log.a", (1 << 63) - 1, &[&key]).as_bytes())
        .unwrap();
    for wrong in [
        "",
        "\n\n",
        "log.a\n1\n\n",
        "hello",
        "log.a\n\u{1}\n\n— a b\n",
    ] {
        assert!(log.open(wrong.as_bytes()).is_err(), "{wrong:?}");
    }
    assert!(log.open(&[0xff; 100]).is_err());
}

#[test]
fn standings() {
    let head = |size, root| TreeHead {
        size,
        root: Hash([root; 32]),
    };
    let kept = head(10, 1);
    for (seen, standing) in [
        (head(10, 1), Standing::Same),
        (head(10, 2), Standing::Contradicts),
        (head(9, 1), Standing::Smaller),
        (head(0, 2), Standing::Smaller),
        (head(11, 1), Standing::Larger),
    ] {
        assert_eq!(Standing::of(&seen, &kept), standing);
    }
}
