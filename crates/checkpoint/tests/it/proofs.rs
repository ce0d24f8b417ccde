//! C2SP tlog-proof: what is read, what is refused, and what another implementation says of it.

use audittrail_checkpoint::{
    Checkpoint, CheckpointError, Note, NoteError, TlogProof, TlogProofError, VerifierKey,
    tlog_proof,
};
use audittrail_merkle::{Edge, Hash, ProofError, leaf_hash, node_hash};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use signed_note::{StandardVerifier, VerifierList};

use crate::support::{checkpoint, eight_signed, log, signer};

/// The eight leaves of RFC 6962's own tests.
fn leaves() -> [Hash; 8] {
    let data: [&[u8]; 8] = [
        b"",
        &[0],
        &[0x10],
        &[0x20, 0x21],
        &[0x30, 0x31],
        &[0x40, 0x41, 0x42, 0x43],
        &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        &[
            0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d,
            0x6e, 0x6f,
        ],
    ];
    data.map(leaf_hash)
}

/// The path of the sixth of eight leaves, put together by hand.
fn path_of_five() -> Vec<Hash> {
    let l = leaves();
    let pair = |a: usize| node_hash(&l[a], &l[a + 1]);
    vec![l[4], pair(6), node_hash(&pair(0), &pair(2))]
}

fn keys() -> [VerifierKey; 1] {
    [log().verifier()]
}

fn five() -> TlogProof {
    TlogProof {
        extra: None,
        index: 5,
        hashes: path_of_five(),
        checkpoint: eight_signed(),
    }
}

fn verdict(proof: &str, leaf: usize) -> Result<u64, TlogProofError> {
    let proof = TlogProof::parse(proof.as_bytes())?;
    let checkpoint = proof.verify(&leaves()[leaf], &keys())?;
    Ok(checkpoint.head.size)
}

#[test]
fn a_proof_that_holds() {
    let text = five().to_string();
    assert_eq!(text, tlog_proof(5, &path_of_five(), &eight_signed()));
    assert_eq!(TlogProof::parse(text.as_bytes()), Ok(five()));
    assert_eq!(verdict(&text, 5), Ok(8));
    // An only leaf has no path.
    let mut edge = Edge::new();
    edge.push(leaves()[3]);
    let note = checkpoint(1, edge.root(), &[]).sign(&[&log()]).unwrap();
    assert_eq!(verdict(&tlog_proof(0, &[], &note), 3), Ok(1));
}

/// Nothing authenticates it, and it changes nothing.
#[test]
fn extra_data() {
    let text = five().to_string();
    for (line, extra) in [
        ("extra AAEC", &[0, 1, 2][..]),
        ("extra ", &[]),
        ("extra eA==", b"x"),
    ] {
        let with = text.replacen("\nindex", &format!("\n{line}\nindex"), 1);
        let proof = TlogProof::parse(with.as_bytes()).unwrap();
        assert_eq!(proof.extra.as_deref(), Some(extra));
        assert_eq!(proof.to_string(), with);
        assert_eq!(verdict(&with, 5), Ok(8));
    }
    let most = STANDARD.encode(vec![7; 64 << 10]);
    let with = text.replacen("\nindex", &format!("\nextra {most}\nindex"), 1);
    assert_eq!(verdict(&with, 5), Ok(8));
    let more = STANDARD.encode(vec![7; (64 << 10) + 1]);
    for line in [
        "extra".to_owned(),
        "extra  AAEC".to_owned(),
        "extra AAEC ".to_owned(),
        "extra AAE".to_owned(),
        "extra AAE-".to_owned(),
        "extra eB==".to_owned(),
        "Extra AAEC".to_owned(),
        "extra AAEC\nextra AAEC".to_owned(),
        format!("extra {more}"),
    ] {
        let with = text.replacen("\nindex", &format!("\n{line}\nindex"), 1);
        let refused = TlogProof::parse(with.as_bytes());
        assert!(
            matches!(refused, Err(TlogProofError::Malformed(_))),
            "{line:.40}"
        );
    }
    let after = text.replacen("\nindex 5\n", "\nindex 5\nextra AAEC\n", 1);
    assert!(TlogProof::parse(after.as_bytes()).is_err());
}

#[test]
fn other_forms_are_refused() {
    let text = five().to_string();
    let line = STANDARD.encode(path_of_five()[0].0);
    let replaced = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    };
    for other in [
        String::new(),
        "\n\n".to_owned(),
        replaced("@v1", "@v2"),
        replaced("@v1\n", "@v1\r\n"),
        replaced("@v1\n", "@v1 \n"),
        replaced("c2sp", " c2sp"),
        replaced("c2sp", "\u{feff}c2sp"),
        replaced("index 5\n", ""),
        replaced("index 5", "index"),
        replaced("index 5", "index "),
        replaced("index 5", "index 05"),
        replaced("index 5", "index +5"),
        replaced("index 5", "index -5"),
        replaced("index 5", "index 5 "),
        replaced("index 5", "index  5"),
        replaced("index 5", "index 0x5"),
        replaced("index 5", "index \u{0665}"),
        replaced("index 5", "index 18446744073709551616"),
        replaced("index 5\n", "index 5\nindex 5\n"),
        replaced(&line, &line[..40]),
        replaced(&line, &line.replace('=', "")),
        replaced(&line, &format!("{line} ")),
        replaced(
            &line,
            &line.to_lowercase().replace('+', "-").replace('/', "_"),
        ),
        replaced(&line, &STANDARD.encode([1; 33])),
        replaced(&format!("{line}\n"), ""),
        text.replacen("\n\n", "\n", 1).replacen("\n\n", "\n", 1),
        text.split("\n\n").next().unwrap().to_owned(),
    ] {
        assert!(verdict(&other, 5).is_err(), "{other}");
    }
    let mut bytes = text.clone().into_bytes();
    bytes[0] = 0xff;
    assert_eq!(
        TlogProof::parse(&bytes),
        Err(TlogProofError::Malformed("not UTF-8"))
    );
    // Every proof that is cut short.
    for length in 0..text.len() {
        assert!(text.is_char_boundary(length) == (text.get(..length).is_some()));
        if let Some(cut) = text.get(..length) {
            assert!(verdict(cut, 5).is_err(), "{cut}");
        }
    }
}

#[test]
fn sizes_have_bounds() {
    let hash = Hash([7; 32]);
    let with = |count: usize| tlog_proof(5, &vec![hash; count], &eight_signed());
    assert_eq!(
        TlogProof::parse(with(64).as_bytes()).unwrap().hashes.len(),
        64
    );
    assert_eq!(
        TlogProof::parse(with(65).as_bytes()),
        Err(TlogProofError::Malformed("it has too many hashes"))
    );
    let filled = |length: usize| {
        let begun = with(1);
        let missing = length - begun.len();
        begun + &"x".repeat(missing)
    };
    let most = (1 << 20) + (128 << 10);
    assert!(TlogProof::parse(filled(most).as_bytes()).is_ok());
    assert_eq!(
        TlogProof::parse(filled(most + 1).as_bytes()),
        Err(TlogProofError::Malformed("it is too long"))
    );
    // A checkpoint is bounded as a note is, and so are its signatures.
    let long = five().to_string() + &"x".repeat(1 << 20);
    let malformed = TlogProofError::Checkpoint(CheckpointError::Note(NoteError::Malformed(
        "it is too long",
    )));
    assert_eq!(verdict(&long, 5), Err(malformed));
}

/// Wrong index, swapped siblings, a path cut short or too long, another leaf.
#[test]
fn paths_that_do_not_lead_to_the_root() {
    let mut swapped = five();
    swapped.hashes.swap(0, 1);
    let mut short = five();
    short.hashes.pop();
    let mut long = five();
    long.hashes.push(Hash([7; 32]));
    let mut none = five();
    none.hashes.clear();
    for (proof, why) in [
        (swapped, ProofError::Root),
        (short, ProofError::Length),
        (long, ProofError::Length),
        (none, ProofError::Length),
    ] {
        assert_eq!(verdict(&proof.to_string(), 5), Err(why.into()));
    }
    for index in [0, 1, 2, 3, 4, 6, 7, 8, 13, u64::MAX] {
        let wrong = TlogProof { index, ..five() };
        assert!(verdict(&wrong.to_string(), 5).is_err(), "{index}");
    }
    for leaf in [0, 1, 2, 3, 4, 6, 7] {
        let refused = verdict(&five().to_string(), leaf);
        assert_eq!(refused, Err(ProofError::Root.into()));
    }
}

/// Another tree's proof, another key, another origin.
#[test]
fn checkpoints_that_are_not_the_logs() {
    let (l, other) = (leaves(), signer("example.com/audit-log", 9));
    let mut edge = Edge::new();
    l.iter().rev().for_each(|leaf| edge.push(*leaf));
    let other_tree = checkpoint(8, edge.root(), &[]).sign(&[&log()]).unwrap();
    let at = |checkpoint: String| {
        TlogProof {
            checkpoint,
            ..five()
        }
        .to_string()
    };
    assert_eq!(verdict(&at(other_tree), 5), Err(ProofError::Root.into()));

    let head = Checkpoint::open(eight_signed().as_bytes(), &keys()).unwrap();
    let other_key = head.sign(&[&other]).unwrap();
    let unknown = TlogProofError::Checkpoint(CheckpointError::Note(NoteError::Unknown));
    assert_eq!(verdict(&at(other_key), 5), Err(unknown.clone()));

    // The log's key under the name of another log, and the log's name in another log's text.
    let renamed = Checkpoint {
        origin: "example.com/other".to_owned(),
        ..head.clone()
    };
    let note = Note::sign(renamed.to_string(), &[&log()]).unwrap();
    let refused = verdict(&at(note.to_string()), 5);
    assert!(
        matches!(
            refused,
            Err(TlogProofError::Checkpoint(CheckpointError::Origin { .. }))
        ),
        "{refused:?}"
    );

    // Signatures of others do no harm, a false one of the log's key does.
    let signed = Note::sign(
        head.to_string(),
        &[&signer("w", 1), &log(), &signer("v", 2)],
    );
    let signed = signed.unwrap().to_string();
    assert_eq!(verdict(&at(signed.clone()), 5), Ok(8));
    let (_, line) = eight_signed()
        .rsplit_once("\n\n")
        .map(|(t, l)| (t.to_owned(), l.to_owned()))
        .unwrap();
    let false_line = {
        let (name, blob) = line.trim_end().rsplit_once(' ').unwrap();
        let mut blob = STANDARD.decode(blob).unwrap();
        blob[20] ^= 1;
        format!("{name} {}\n", STANDARD.encode(blob))
    };
    let refused = verdict(&at(signed + &false_line), 5);
    let invalid = CheckpointError::Note(NoteError::Invalid("example.com/audit-log".to_owned()));
    assert_eq!(refused, Err(TlogProofError::Checkpoint(invalid)));
    let no_signature = at(head.to_string());
    assert!(verdict(&no_signature, 5).is_err());
}

/// The same of a proof, read by its specification alone, by two other implementations.
fn their_verdict(proof: &[u8], leaf: &Hash) -> bool {
    let verdict = || {
        let text = std::str::from_utf8(proof).ok()?;
        let (head, note) = text.split_once("\n\n")?;
        let mut lines = head.split('\n').peekable();
        (lines.next()? == "c2sp.org/tlog-proof@v1").then_some(())?;
        if let Some(line) = lines.next_if(|line| line.starts_with("extra ")) {
            STANDARD.decode(&line[6..]).ok()?;
        }
        let index = lines.next()?.strip_prefix("index ")?;
        let canonical = index.parse::<u64>().ok()?;
        (canonical.to_string() == index).then_some(())?;
        let path = lines.map(|line| tlog_tiles::Hash::parse_hash(line).ok());
        let path: Vec<tlog_tiles::Hash> = path.collect::<Option<_>>()?;
        let key = StandardVerifier::new(&log().verifier().to_string()).ok()?;
        let note = signed_note::Note::from_bytes(note.as_bytes()).ok()?;
        note.verify(&VerifierList::new(vec![Box::new(key)])).ok()?;
        let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text()).ok()?;
        let (size, root) = (checkpoint.size(), *checkpoint.hash());
        let leaf = tlog_tiles::Hash(leaf.0);
        tlog_tiles::check_record(&path, size, root, canonical, leaf).ok()
    };
    verdict().is_some()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any bytes that were changed anywhere: the same verdict as others', and never a panic.
    #[test]
    fn proofs_pass_or_fail_as_with_others(
        at in any::<prop::sample::Index>(),
        kind in 0..4_u8,
        new in prop_oneof![prop::sample::select(b"\n =+/-05A\0".to_vec()), any::<u8>()],
        extra in any::<bool>(),
    ) {
        let proof = TlogProof { extra: extra.then(|| b"extra".to_vec()), ..five() };
        let mut bytes = proof.to_string().into_bytes();
        let at = at.index(bytes.len());
        match kind {
            0 => bytes[at] = new,
            1 => bytes.insert(at, new),
            2 => drop(bytes.remove(at)),
            _ => bytes.truncate(at),
        }
        let leaf = leaves()[5];
        let ours = TlogProof::parse(&bytes).and_then(|proof| proof.verify(&leaf, &keys()));
        prop_assert_eq!(ours.is_ok(), their_verdict(&bytes, &leaf), "{:?}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn what_is_written_is_read(
        index in any::<u64>(),
        hashes in proptest::collection::vec(any::<[u8; 32]>(), 0..=64),
        extra in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..99)),
        checkpoint in "[a-z\n]{0,40}",
    ) {
        let hashes = hashes.into_iter().map(Hash).collect();
        let proof = TlogProof { extra, index, hashes, checkpoint };
        prop_assert_eq!(TlogProof::parse(proof.to_string().as_bytes()), Ok(proof));
    }
}
