//! Signatures of types that are not known here, ML-DSA-44 cosignatures (type 06) among them, change
//! nothing: C2SP signed-note has verifiers ignore what is not of their keys.

use audittrail_checkpoint::{
    AddCheckpoint, Checkpoint, Note, NoteSignature, Policy, PolicyFault, TlogProof,
    parse_cosignatures,
};
use audittrail_merkle::{Edge, TreeHead, leaf_hash, node_hash};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::support::{ORIGIN, cosigner, eight_signed, log};

/// Bytes of a public key and of a signature, of FIPS 204's ML-DSA-44.
const MLDSA_KEY: usize = 1_312;
const MLDSA_SIGNATURE: usize = 2_420;
/// A time.
const SEEN: u64 = 1_767_225_600;
const TYPES: [(u8, usize); 5] = [
    (0x02, 70),
    (0x05, 64),
    (0x06, 8 + MLDSA_SIGNATURE),
    (0x06, 1),
    (0xff, 300),
];

/// A verifier key of ML-DSA-44 in its text form, and its ID.
fn mldsa_key(name: &str) -> (String, [u8; 4]) {
    let mut key = vec![0x06];
    key.extend([7; MLDSA_KEY]);
    let digest = Sha256::digest([name.as_bytes(), b"\n", &key].concat());
    let id = [digest[0], digest[1], digest[2], digest[3]];
    let text = format!(
        "{name}+{:08x}+{}",
        u32::from_be_bytes(id),
        STANDARD.encode(&key)
    );
    (text, id)
}

/// A line of another type, by somebody whose other key may be known.
fn line(name: &str, kind: u8, length: usize) -> NoteSignature {
    let digest = Sha256::digest([name.as_bytes(), &[b'\n', kind], &[7; MLDSA_KEY]].concat());
    let mut signature = SEEN.to_be_bytes().to_vec();
    signature.resize(length, 0x5a);
    NoteSignature {
        name: name.to_owned(),
        id: [digest[0], digest[1], digest[2], digest[3]],
        signature,
    }
}

/// Under the names of the log, of a witness of the policy and of a stranger, before and after
/// the signatures that count.
fn others() -> Vec<NoteSignature> {
    let names = [ORIGIN, "w1.example", "stranger.example"];
    let lines = names.iter().flat_map(|name| {
        let lines = TYPES.iter();
        lines.map(|(kind, length)| line(name, *kind, *length))
    });
    lines.collect()
}

fn with_others(note: &str) -> String {
    let mut note = Note::parse(note.as_bytes()).unwrap();
    let own = std::mem::take(&mut note.signatures);
    note.signatures = [others(), own, others()].concat();
    note.to_string()
}

#[test]
fn a_checkpoint_opens_and_meets_its_policy() {
    let witness = cosigner("w1.example", 1);
    let mut note = Note::parse(eight_signed().as_bytes()).unwrap();
    note.signatures.push(witness.cosign(&note.text, SEEN));
    let crowded = with_others(&note.to_string());
    let keys = [log().verifier()];
    let opened = Checkpoint::open(crowded.as_bytes(), &keys).unwrap();
    assert_eq!(opened.head.size, 8);
    let policy = format!("witness a {}\nquorum a\n", witness.verifier());
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    let met = policy.check(crowded.as_bytes(), &keys).unwrap();
    assert_eq!(met.cosigned, [("a".to_owned(), SEEN)]);
    // They do not stand in for those that count, either.
    let alone = with_others(&eight_signed());
    assert!(policy.check(alone.as_bytes(), &keys).is_err());
    let mut unsigned = Note::parse(eight_signed().as_bytes()).unwrap();
    unsigned.signatures = others();
    assert!(Checkpoint::open(unsigned.to_string().as_bytes(), &keys).is_err());
}

#[test]
fn a_witness_answers_with_several_types() {
    let witness = cosigner("w1.example", 1);
    let note = Note::parse(eight_signed().as_bytes()).unwrap();
    let own = witness.cosign(&note.text, SEEN);
    let lines = [others(), vec![own.clone()], others()].concat();
    let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let read = parse_cosignatures(body.as_bytes()).unwrap();
    assert_eq!(read.len(), lines.len());
    let made: Vec<_> = read
        .iter()
        .filter(|line| witness.verifier().made(line))
        .collect();
    assert_eq!(made, [&own]);
}

#[test]
fn a_request_and_a_proof_may_have_them() {
    let request = AddCheckpoint {
        old: 0,
        proof: Vec::new(),
        checkpoint: with_others(&eight_signed()),
    };
    let keys = [log().verifier()];
    let read = AddCheckpoint::parse(request.to_string().as_bytes()).unwrap();
    assert!(read.check(&keys, &TreeHead::EMPTY).is_ok());

    let (first, second) = (leaf_hash(b"a"), leaf_hash(b"b"));
    let mut edge = Edge::new();
    [first, second].into_iter().for_each(|leaf| edge.push(leaf));
    assert_eq!(edge.root(), node_hash(&first, &second));
    let two = Checkpoint {
        origin: ORIGIN.to_owned(),
        head: edge.head(),
        extensions: Vec::new(),
    };
    let proof = TlogProof {
        extra: None,
        index: 1,
        hashes: vec![first],
        checkpoint: with_others(&two.sign(&[&log()]).unwrap()),
    };
    let read = TlogProof::parse(proof.to_string().as_bytes()).unwrap();
    assert!(read.verify(&second, &keys).is_ok());
    assert!(read.verify(&first, &keys).is_err());
}

/// Who names such a key in a policy asks for what cannot be checked here, and is told.
#[test]
fn a_policy_cannot_ask_for_them() {
    let (key, id) = mldsa_key("w1.example");
    let text = format!("witness a {key}\nquorum a\n");
    let error = Policy::parse(text.as_bytes()).unwrap_err();
    assert_eq!(error.line, 1);
    assert!(matches!(error.what, PolicyFault::Key(_)), "{error}");
    assert_eq!(line("w1.example", 0x06, 1).id, id);
}
