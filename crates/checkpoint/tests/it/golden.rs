//! Bytes that may never change. They were computed from RFC 8032 and the C2SP specifications by a
//! program that shares nothing with this crate.

use audittrail_checkpoint::{Checkpoint, Note, Signer, VerifierKey, default_origin, tlog_proof};
use audittrail_merkle::{Hash, TreeHead};

use crate::support::{EIGHT, ORIGIN, checkpoint, log};

const VERIFIER: &str =
    "example.com/audit-log+07499b2d+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
const SECRET: &str =
    "PRIVATE+KEY+example.com/audit-log+07499b2d+AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

#[test]
fn keys() {
    assert_eq!(log().verifier().to_string(), VERIFIER);
    assert_eq!(log().verifier().id(), [0x07, 0x49, 0x9b, 0x2d]);
    assert_eq!(log().to_secret_text(), SECRET);
    assert_eq!(Signer::parse(SECRET).unwrap().verifier(), log().verifier());
    assert_eq!(VerifierKey::parse(VERIFIER).unwrap(), log().verifier());
}

#[test]
fn origin_of_a_log_that_was_given_none() {
    let origin = default_origin(&log().verifier().public_key());
    assert_eq!(origin, "audittrail.invalid/56475aa75463474c");
}

#[test]
fn checkpoints() {
    let extensions = ["time 1700000000", "für alle — +"];
    for (checkpoint, golden) in [
        (
            checkpoint(8, EIGHT, &[]),
            include_bytes!("../../testdata/eight-leaves.note").as_slice(),
        ),
        (
            Checkpoint {
                origin: ORIGIN.to_owned(),
                head: TreeHead::EMPTY,
                extensions: Vec::new(),
            },
            include_bytes!("../../testdata/empty.note").as_slice(),
        ),
        (
            checkpoint(u64::MAX, EIGHT, &extensions),
            include_bytes!("../../testdata/extensions.note").as_slice(),
        ),
    ] {
        let signed = checkpoint.sign(&[&log()]).unwrap();
        assert_eq!(signed.as_bytes(), golden);
        assert_eq!(
            Checkpoint::open(golden, &[log().verifier()]),
            Ok(checkpoint)
        );
        let note = Note::parse(golden).unwrap();
        assert_eq!(note.to_string().as_bytes(), golden);
    }
}

/// The example in the documentation of Go's `golang.org/x/mod/sumdb/note`.
#[test]
fn note_that_go_signed() {
    let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let key = VerifierKey::parse(key).unwrap();
    let text = "If you think cryptography is the answer to your problem,\n\
                then you don't know what your problem is.\n";
    let signed = format!(
        "{text}\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZ\
         SNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    );
    let note = Note::parse(signed.as_bytes()).unwrap();
    assert_eq!(note.text, text);
    assert_eq!(note.verify(std::slice::from_ref(&key)), Ok(vec![&key]));
    assert_eq!(note.to_string(), signed);
}

/// RFC 8032, section 7.1, test 1: the key pair, and the signature of nothing.
#[test]
fn ed25519_of_the_rfc() {
    let seed = [
        0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c,
        0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae,
        0x7f, 0x60,
    ];
    let signer = Signer::from_seed("rfc", seed).unwrap();
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    assert_eq!(
        hex(&signer.verifier().public_key()),
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    );
    assert_eq!(
        hex(&signer.sign(b"")),
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155\
         5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    );
}

#[test]
fn proof_in_one_text() {
    let note = std::str::from_utf8(include_bytes!("../../testdata/eight-leaves.note")).unwrap();
    assert_eq!(
        tlog_proof(5, &[EIGHT, Hash([0; 32])], note),
        format!(
            "c2sp.org/tlog-proof@v1\nindex 5\n\
             XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n\
             AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n{note}"
        )
    );
    // The only leaf of a tree has an empty path.
    assert_eq!(
        tlog_proof(0, &[], "note\n"),
        "c2sp.org/tlog-proof@v1\nindex 0\n\nnote\n"
    );
}
