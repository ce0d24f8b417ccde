//! A policy of witnesses beside the log's key.

use audittrail_checkpoint::{Cosigner, Note, NoteSignature, Policy};
use audittrail_verifier::{Check, Report, Trust};

use crate::support::{Log, ORIGIN, check_with, found, signer, trust};

fn witness(number: u8) -> Cosigner {
    Cosigner::from_seed(&format!("w{number}.example"), [number; 32]).unwrap()
}

/// Two of three.
fn policy() -> Policy {
    let line = |number: u8| format!("witness w{number} {}\n", witness(number).verifier());
    let lines: String = (1..=3).map(line).collect();
    Policy::parse(format!("{lines}group two 2 w1 w2 w3\nquorum two\n").as_bytes()).unwrap()
}

/// Evidence whose checkpoint these have cosigned, the last one perhaps badly.
fn checked(numbers: &[u8], spoilt: bool, policy: Option<Policy>) -> Report {
    let log = Log::new(20);
    let mut header = log.header();
    let mut note = Note::parse(header.checkpoint.as_bytes()).unwrap();
    for number in numbers {
        let line = witness(*number).cosign(&note.text, 1_700_000_000 + u64::from(*number));
        note.signatures.push(line);
    }
    if spoilt {
        note.signatures.last_mut().unwrap().signature[40] ^= 1;
    }
    header.checkpoint = note.to_string();
    let file = log.evidence(&header, &[3, 7]);
    check_with(file.as_bytes(), Trust { policy, ..trust() })
}

#[test]
fn as_many_as_the_policy_asks_for() {
    let report = checked(&[1, 3], false, Some(policy()));
    assert!(report.verified(), "{report:?}");
    let by = [("w1", 1), ("w3", 3)].map(|(name, at)| (name.to_owned(), 1_700_000_000 + at));
    assert_eq!(report.cosigned_by, Some(by.to_vec()));
    // Who does not ask does not mind.
    let report = checked(&[1], true, None);
    assert!(report.verified() && report.cosigned_by.is_none());
}

/// Signatures of others change nothing, of unknown types and under the log's own name, too; more
/// of them than a note may have, or a false one of the log's key, and the checkpoint is none.
#[test]
fn extra_signatures() {
    let log = Log::new(20);
    let with = |lines: &[NoteSignature]| {
        let mut header = log.header();
        let mut note = Note::parse(header.checkpoint.as_bytes()).unwrap();
        note.signatures.extend_from_slice(lines);
        header.checkpoint = note.to_string();
        check_with(log.evidence(&header, &[3, 7]).as_bytes(), trust())
    };
    let line = |name: &str, id: [u8; 4], length| NoteSignature {
        name: name.to_owned(),
        id,
        signature: vec![6; length],
    };
    let stranger = line("stranger.example", [6; 4], 8 + 2_420);
    let namesake = line(ORIGIN, [6; 4], 64);
    assert!(with(&[stranger.clone(), namesake]).verified());
    assert!(with(&vec![stranger.clone(); 127]).verified());
    let own = signer().verifier().id();
    for lines in [vec![stranger; 128], vec![line(ORIGIN, own, 64)]] {
        assert_eq!(found(&with(&lines)), [(None, Check::Checkpoint)]);
    }
}

#[test]
fn too_few_and_bad_ones_are_findings() {
    for (numbers, spoilt) in [
        (&[][..], false),
        (&[1], false),
        (&[1, 1], false),
        (&[9, 8], false),
        (&[1, 2, 3], true),
    ] {
        let report = checked(numbers, spoilt, Some(policy()));
        assert_eq!(found(&report), [(None, Check::Policy)], "{numbers:?}");
        // The entries are proven all the same, under a checkpoint that is not witnessed.
        assert_eq!((report.proven, report.cosigned_by), (2, None));
    }
    // A policy of other logs.
    let other = audittrail_checkpoint::Signer::from_seed("other", [1; 32]).unwrap();
    let text = format!("log {}\nquorum none\n", other.verifier());
    let report = checked(&[1, 2], false, Policy::parse(text.as_bytes()).ok());
    assert_eq!(found(&report), [(None, Check::Policy)]);
}
