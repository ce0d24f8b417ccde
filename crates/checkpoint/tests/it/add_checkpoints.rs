//! Requests to a witness and what it has to answer, C2SP tlog-witness.

use audittrail_checkpoint::{ADD_CHECKPOINT_BYTES_MAX, AddCheckpoint, Checkpoint, Note, Refusal};
use audittrail_merkle::{Edge, Hash, TreeHead, leaf_hash, node_hash};
use proptest::prelude::*;

use crate::support::{ORIGIN, cosigner, log, signer};

fn leaf(number: u64) -> Hash {
    leaf_hash(&number.to_be_bytes())
}

fn head(size: u64) -> TreeHead {
    let mut edge = Edge::new();
    (0..size).for_each(|number| edge.push(leaf(number)));
    edge.head()
}

fn root(from: u64, to: u64) -> Hash {
    if to - from == 1 {
        return leaf(from);
    }
    let split = (to - from).next_power_of_two() / 2;
    node_hash(&root(from, from + split), &root(from + split, to))
}

/// RFC 6962, section 2.1.2, as it is written there.
fn proof(old: u64, from: u64, to: u64, whole: bool) -> Vec<Hash> {
    if old == to - from {
        return if whole { vec![] } else { vec![root(from, to)] };
    }
    let split = (to - from).next_power_of_two() / 2;
    let (mut hashes, last) = if old <= split {
        (
            proof(old, from, from + split, whole),
            root(from + split, to),
        )
    } else {
        (
            proof(old - split, from + split, to, false),
            root(from, from + split),
        )
    };
    hashes.push(last);
    hashes
}

fn signed(head: TreeHead) -> String {
    let checkpoint = Checkpoint {
        origin: ORIGIN.to_owned(),
        head,
        extensions: Vec::new(),
    };
    checkpoint.sign(&[&log()]).unwrap()
}

fn request(old: u64, new: u64) -> AddCheckpoint {
    let proof = if old == 0 {
        Vec::new()
    } else {
        proof(old, 0, new, true)
    };
    AddCheckpoint {
        old,
        proof,
        checkpoint: signed(head(new)),
    }
}

fn check(request: &AddCheckpoint, latest: u64) -> Result<u64, Refusal> {
    // What is checked is always what was read.
    let read = AddCheckpoint::parse(request.to_string().as_bytes())?;
    assert_eq!(read, *request);
    let checked = read.check(&[log().verifier()], &head(latest));
    checked.map(|(_, checkpoint)| checkpoint.head.size)
}

#[test]
fn each_answer_of_the_specification() {
    for (old, new) in [
        (0, 0),
        (0, 9),
        (1, 9),
        (4, 9),
        (7, 9),
        (8, 9),
        (9, 9),
        (9, 30),
    ] {
        assert_eq!(check(&request(old, new), old), Ok(new), "{old} to {new}");
    }
    assert_eq!(check(&request(0, 9), 5), Err(Refusal::Conflict(5)));
    assert_eq!(check(&request(4, 9), 5), Err(Refusal::Conflict(5)));
    let mut above = request(4, 9);
    above.old = 10;
    assert_eq!(check(&above, 5), Err(Refusal::OldAboveSize));
    let status = |refusal: Refusal| refusal.status();
    let statuses = [
        status(Refusal::Malformed("")),
        status(Refusal::OldAboveSize),
        status(Refusal::UnknownLog),
        status(Refusal::Unsigned),
        status(Refusal::Conflict(1)),
        status(Refusal::Unproven("")),
    ];
    assert_eq!(statuses, [400, 400, 404, 403, 409, 422]);
}

fn unproven(request: &AddCheckpoint, latest: u64) -> bool {
    matches!(check(request, latest), Err(Refusal::Unproven(_)))
}

#[test]
fn what_is_not_proven() {
    let good = request(4, 9);
    for at in 0..good.proof.len() {
        let mut cut = good.clone();
        cut.proof.remove(at);
        let mut spoilt = good.clone();
        spoilt.proof[at].0[0] ^= 1;
        assert!(unproven(&cut, 4) && unproven(&spoilt, 4), "{at}");
    }
    let mut swapped = good.clone();
    swapped.proof.reverse();
    let mut longer = good.clone();
    longer.proof.push(leaf(1));
    assert!(unproven(&swapped, 4) && unproven(&longer, 4));
    // The proof of another pair of sizes, and none.
    let other = AddCheckpoint {
        proof: request(5, 9).proof,
        ..good.clone()
    };
    let none = AddCheckpoint {
        proof: Vec::new(),
        ..good
    };
    assert!(unproven(&other, 4) && unproven(&none, 4));
    // A proof from size 0, and hashes between equal sizes.
    let from_nothing = AddCheckpoint {
        proof: vec![leaf(1)],
        ..request(0, 9)
    };
    let equal = AddCheckpoint {
        proof: vec![leaf(1)],
        ..request(9, 9)
    };
    assert!(unproven(&from_nothing, 0) && unproven(&equal, 9));
    // The same size with another root; an empty tree with another root.
    let mut other_root = head(9);
    other_root.root = leaf(0);
    let split = AddCheckpoint {
        checkpoint: signed(other_root),
        ..request(9, 9)
    };
    assert!(unproven(&split, 9));
    let text = format!("{ORIGIN}\n0\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
    let checkpoint = Note::sign(text, &[&log()]).unwrap().to_string();
    assert!(unproven(
        &AddCheckpoint {
            checkpoint,
            ..request(0, 0)
        },
        0
    ));
}

#[test]
fn who_signed() {
    let good = request(4, 9);
    let keys = [signer(ORIGIN, 9).verifier()];
    assert_eq!(good.check(&keys, &head(4)), Err(Refusal::Unsigned));
    assert_eq!(good.check(&[], &head(4)), Err(Refusal::Unsigned));
    let mut note = Note::parse(good.checkpoint.as_bytes()).unwrap();
    // Signatures of others do not matter, whatever they are.
    for number in 0..20 {
        let line = cosigner("w", number).cosign("other\n", 1);
        note.signatures.push(line);
    }
    let extra = AddCheckpoint {
        checkpoint: note.to_string(),
        ..good.clone()
    };
    assert_eq!(check(&extra, 4), Ok(9));
    note.signatures[0].signature[0] ^= 1;
    let spoilt = AddCheckpoint {
        checkpoint: note.to_string(),
        ..good.clone()
    };
    assert_eq!(check(&spoilt, 4), Err(Refusal::Unsigned));
    // A bad one beside a good one of the same key.
    let mut both = Note::parse(good.checkpoint.as_bytes()).unwrap();
    both.signatures.push(note.signatures[0].clone());
    let both = AddCheckpoint {
        checkpoint: both.to_string(),
        ..good
    };
    assert_eq!(check(&both, 4), Err(Refusal::Unsigned));
}

#[test]
fn bodies_have_one_form() {
    let good = request(4, 9).to_string();
    let hash = good.lines().nth(1).unwrap().to_owned();
    let many = |count: usize| {
        let lines = format!("{hash}\n").repeat(count);
        good.replacen(&format!("{hash}\n"), &lines, 1)
    };
    let hashes = request(4, 9).proof.len();
    assert!(AddCheckpoint::parse(many(64 - hashes).as_bytes()).is_ok());
    let long = format!("{good}{}", " ".repeat(ADD_CHECKPOINT_BYTES_MAX));
    for bad in [
        "",
        "\n\n",
        "old 4",
        "old 4\n",
        "old 4\n\n",
        &good.replace("old 4", "old 04"),
        &good.replace("old 4", "old  4"),
        &good.replace("old 4", "old -4"),
        &good.replace("old 4", "old +4"),
        &good.replace("old 4", "old "),
        &good.replace("old 4", "Old 4"),
        &good.replace("old 4", "old 4\r"),
        &good.replace("old 4\n", ""),
        &good.replace("old 4", "old 18446744073709551616"),
        &good.replacen(&hash, &hash[1..], 1),
        &good.replacen(&hash, &format!("{hash} "), 1),
        &good.replacen(&hash, hash.trim_end_matches('='), 1),
        &good.replacen("\n\n", "\n", 1),
        &good[..good.len() - 1],
        &many(65 - hashes),
        &long,
    ] {
        let read = AddCheckpoint::parse(bad.as_bytes());
        let checked = read.and_then(|read| read.check(&[log().verifier()], &head(4)));
        assert!(
            matches!(checked, Err(Refusal::Malformed(_))),
            "{bad:?}: {checked:?}"
        );
    }
    assert!(AddCheckpoint::parse(b"old 4\n\n\xff").is_err());
    // A second empty line begins a checkpoint of a log without a name.
    let nameless = AddCheckpoint::parse(good.replacen("\n\n", "\n\n\n", 1).as_bytes()).unwrap();
    assert_eq!(nameless.origin(), "");
    assert!(nameless.check(&[log().verifier()], &head(4)).is_err());
    assert_eq!(request(4, 9).origin(), ORIGIN);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(request) = AddCheckpoint::parse(&bytes) {
            let _ = request.check(&[log().verifier()], &TreeHead::EMPTY);
        }
    }

    /// A bit that is changed anywhere changes what is answered, or what is cosigned is the same.
    #[test]
    fn changed_bits(at in 0_usize..600, bit in 0_u8..8) {
        let good = request(4, 9);
        let mut bytes = good.to_string().into_bytes();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok(request) = AddCheckpoint::parse(&bytes) {
            let checked = request.check(&[log().verifier()], &head(4));
            let same = checked.is_ok_and(|(_, checkpoint)| checkpoint.head == head(9));
            prop_assert!(!same || request.checkpoint != good.checkpoint || request == good);
        }
    }
}
