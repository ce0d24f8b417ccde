//! Policy files, C2SP tlog-policy: each refusal, and what meets a quorum.

use std::collections::HashSet;

use audittrail_checkpoint::{CheckpointError, Note, NoteError, Policy, PolicyFault, PolicyRefusal};
use proptest::prelude::*;

use crate::support::{EIGHT, checkpoint, cosigner, eight_signed, log, signer};

/// The key of the witness of that number.
fn key(number: u8) -> String {
    cosigner(&format!("w{number}.example"), number)
        .verifier()
        .to_string()
}

/// Witnesses X1 to X3 and Y1 to Y3 of the specification's example.
fn witnesses() -> String {
    let name = |number: u8| ["X1", "X2", "X3", "Y1", "Y2", "Y3"][usize::from(number) - 1];
    let line = |number| format!("witness {} {}\n", name(number), key(number));
    (1..=6).map(line).collect()
}

fn example() -> String {
    format!(
        "log {}\n\n{}group X-witnesses 2 X1 X2 X3\ngroup Y-witnesses any Y1 Y2 Y3\n\
         group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n",
        log().verifier(),
        witnesses()
    )
}

fn fault(text: &str) -> (usize, PolicyFault) {
    let error = Policy::parse(text.as_bytes()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("line {}: ", error.line))
    );
    (error.line, error.what)
}

/// The log's checkpoint, cosigned by the witnesses of these numbers.
fn cosigned(numbers: &[u8]) -> Vec<u8> {
    let mut note = Note::parse(eight_signed().as_bytes()).unwrap();
    for number in numbers {
        let witness = cosigner(&format!("w{number}.example"), *number);
        let line = witness.cosign(&note.text, 1_700_000_000 + u64::from(*number));
        note.signatures.push(line);
    }
    note.to_string().into_bytes()
}

#[test]
fn the_example_of_the_specification() {
    let policy = Policy::parse(example().as_bytes()).unwrap();
    assert_eq!((policy.logs().len(), policy.witnesses().len()), (1, 6));
    assert!(policy.has_quorum());
    for (numbers, meets) in [
        (&[1, 2, 4][..], true),
        (&[2, 3, 6], true),
        (&[1, 2, 3, 4, 5, 6], true),
        (&[1, 4, 5, 6], false),
        (&[1, 2, 3], false),
        (&[], false),
        (&[7, 8, 9], false),
    ] {
        let checked = policy.check(&cosigned(numbers), &[]);
        assert_eq!(checked.is_ok(), meets, "{numbers:?}");
        match checked {
            Ok(met) => {
                assert_eq!(met.checkpoint.head.size, 8);
                assert_eq!(met.cosigned.len(), numbers.len());
            }
            Err(error) => assert!(matches!(error, PolicyRefusal::Quorum(_)), "{error}"),
        }
    }
    let met = policy.check(&cosigned(&[5, 1, 3]), &[]).unwrap();
    let named = [("X1", 1), ("X3", 3), ("Y2", 5)];
    let named = named.map(|(name, time)| (name.to_owned(), 1_700_000_000 + time));
    assert_eq!(met.cosigned, named);
}

#[test]
fn white_space_comments_and_urls() {
    let (k1, vkey) = (key(1), log().verifier());
    let text = format!(
        "\n \t\n# \u{e9} a comment\n\t # another\n \tlog\t{vkey}  https://log.example/ \n\
         witness w#1 {k1} https://w.example/\u{e9}\n  quorum   w#1\t\n"
    );
    let policy = Policy::parse(text.as_bytes()).unwrap();
    assert_eq!(
        policy.logs()[0].url.as_deref(),
        Some("https://log.example/")
    );
    assert_eq!(policy.logs()[0].key, vkey);
    let witness = &policy.witnesses()[0];
    assert_eq!(witness.url.as_deref(), Some("https://w.example/\u{e9}"));
    assert_eq!(
        (witness.label().as_str(), witness.key.name()),
        ("w#1", "w1.example")
    );
    // Names are octets, of any encoding.
    let name = [
        b"witness \xff\xfe ".as_slice(),
        k1.as_bytes(),
        b"\nquorum \xff\xfe\n",
    ]
    .concat();
    assert_eq!(
        Policy::parse(&name).unwrap().witnesses()[0].name,
        b"\xff\xfe"
    );
    // Two names that look alike are two.
    let alike = format!("witness K {k1}\nwitness \u{212a} {}\nquorum K\n", key(2));
    assert_eq!(
        Policy::parse(alike.as_bytes()).unwrap().witnesses().len(),
        2
    );
    let none = Policy::parse(b"quorum none\n").unwrap();
    assert!(!none.has_quorum() && none.witnesses().is_empty());
}

#[test]
fn every_refusal_of_a_line() {
    let (k1, k2) = (key(1), key(2));
    let w = format!("witness a {k1}\nwitness b {k2}\n");
    let vkey = log().verifier().to_string();
    let named = |name: &str| name.to_owned();
    let cases: Vec<(String, usize, PolicyFault)> = vec![
        // Forward references.
        (
            format!("group g any a\n{w}quorum g\n"),
            1,
            PolicyFault::Unknown(named("a")),
        ),
        (
            format!("quorum a\n{w}"),
            1,
            PolicyFault::Unknown(named("a")),
        ),
        (
            format!("{w}group g any a g\nquorum g\n"),
            3,
            PolicyFault::Unknown(named("g")),
        ),
        (
            format!("{w}group g any h\ngroup h any a\nquorum g\n"),
            3,
            PolicyFault::Unknown(named("h")),
        ),
        (
            format!("{w}quorum c\n"),
            3,
            PolicyFault::Unknown(named("c")),
        ),
        (
            format!("{w}quorum A\n"),
            3,
            PolicyFault::Unknown(named("A")),
        ),
        // A name in two groups, or twice in one.
        (
            format!("{w}group g any a b\ngroup h any a\nquorum h\n"),
            4,
            PolicyFault::MemberTwice(named("a")),
        ),
        (
            format!("{w}group g 2 a a\nquorum g\n"),
            3,
            PolicyFault::MemberTwice(named("a")),
        ),
        (
            format!("{w}group g any a\ngroup h any g\ngroup i any g b\nquorum i\n"),
            5,
            PolicyFault::MemberTwice(named("g")),
        ),
        // Duplicate keys and names.
        (
            format!("log {vkey}\nlog {vkey}\nquorum none\n"),
            2,
            PolicyFault::DuplicateKey(named("example.com/audit-log")),
        ),
        (
            format!("{w}witness c {k1}\nquorum c\n"),
            3,
            PolicyFault::DuplicateKey(named("w1.example")),
        ),
        (
            format!("{w}witness a {}\nquorum a\n", key(3)),
            3,
            PolicyFault::Defined(named("a")),
        ),
        (
            format!("{w}group a any b\nquorum a\n"),
            3,
            PolicyFault::Defined(named("a")),
        ),
        (
            format!("{w}group g any a\nwitness g {}\nquorum g\n", key(3)),
            4,
            PolicyFault::Defined(named("g")),
        ),
        // none.
        (
            format!("witness none {k1}\nquorum none\n"),
            1,
            PolicyFault::None,
        ),
        (
            format!("{w}group none any a\nquorum none\n"),
            3,
            PolicyFault::None,
        ),
        (
            format!("{w}group g any a none\nquorum g\n"),
            3,
            PolicyFault::None,
        ),
        // Quorums.
        (w.clone(), 3, PolicyFault::NoQuorum),
        (String::new(), 1, PolicyFault::NoQuorum),
        (
            format!("{w}quorum a\nquorum a\n"),
            4,
            PolicyFault::QuorumTwice,
        ),
        (
            format!("{w}quorum none\nquorum none\n"),
            4,
            PolicyFault::QuorumTwice,
        ),
        // The file's form.
        (format!("{w}quorum a"), 3, PolicyFault::CutShort),
        (format!("{w}quorum a\r\n"), 3, PolicyFault::Character),
        ("quorum none\n#\0\n".to_owned(), 2, PolicyFault::Character),
        ("quorum none\n#\x7f\n".to_owned(), 2, PolicyFault::Character),
        (
            "Quorum none\n".to_owned(),
            1,
            PolicyFault::Keyword(named("Quorum")),
        ),
        (
            "quorum none # no\n".to_owned(),
            1,
            PolicyFault::Form("quorum <name>|none"),
        ),
        (
            "quorum\n".to_owned(),
            1,
            PolicyFault::Form("quorum <name>|none"),
        ),
        (
            "log\n".to_owned(),
            1,
            PolicyFault::Form("log <vkey> [<url>]"),
        ),
        (
            format!("log {vkey} a b\n"),
            1,
            PolicyFault::Form("log <vkey> [<url>]"),
        ),
        (
            "witness a\n".to_owned(),
            1,
            PolicyFault::Form("witness <name> <vkey> [<url>]"),
        ),
        (
            format!("witness a {k1} b c\n"),
            1,
            PolicyFault::Form("witness <name> <vkey> [<url>]"),
        ),
        (
            format!("{w}group g any\n"),
            3,
            PolicyFault::Form("group <name> all|any|<k> <name>\u{2026}"),
        ),
        (
            format!("{w}group g\n"),
            3,
            PolicyFault::Form("group <name> all|any|<k> <name>\u{2026}"),
        ),
    ];
    for (text, line, what) in cases {
        assert_eq!(fault(&text), (line, what), "{text}");
    }
    for threshold in [
        "0",
        "3",
        "01",
        "+1",
        "-1",
        "1.0",
        "ALL",
        "any,",
        "99999999999999999999",
    ] {
        let text = format!("{w}group g {threshold} a b\nquorum g\n");
        assert_eq!(fault(&text), (3, PolicyFault::Threshold), "{threshold}");
    }
    // A log's key for a witness, a witness's for a log, and none at all.
    for text in [
        format!("witness a {vkey}\n"),
        format!("log {k1}\n"),
        "log x\n".to_owned(),
    ] {
        assert!(matches!(fault(&text), (1, PolicyFault::Key(_))), "{text}");
    }
    assert!(Policy::parse(&[b'#'; (1 << 20) + 1]).is_err());
    // The same key under two names is one.
    let renamed = cosigner("other", 1).verifier().to_string();
    let text = format!("{w}witness c {renamed}\nquorum a\n");
    assert_eq!(
        fault(&text),
        (3, PolicyFault::DuplicateKey("other".to_owned()))
    );
}

#[test]
fn only_a_known_log_does() {
    let any_log = Policy::parse(format!("witness a {}\nquorum a\n", key(1)).as_bytes()).unwrap();
    let good = cosigned(&[1]);
    let own = [log().verifier()];
    assert!(any_log.check(&good, &own).is_ok());
    let unknown = PolicyRefusal::Checkpoint(CheckpointError::Note(NoteError::Unknown));
    assert_eq!(any_log.check(&good, &[]), Err(unknown.clone()));
    let other = signer("example.com/other", 3);
    assert_eq!(
        any_log.check(&good, &[other.verifier()]),
        Err(unknown.clone())
    );
    // A log of the policy counts, and one beside it does not.
    let listed = format!("log {}\nquorum none\n", other.verifier());
    let listed = Policy::parse(listed.as_bytes()).unwrap();
    assert_eq!(listed.check(&good, &own), Err(unknown.clone()));
    // Signed by a known log, but in the name of another.
    let note = checkpoint(8, EIGHT, &[]).to_string();
    let borrowed = Note::sign(note, &[&other]).unwrap().to_string();
    assert_eq!(listed.check(borrowed.as_bytes(), &[]), Err(unknown));
    assert!(
        Policy::parse(b"quorum none\n")
            .unwrap()
            .check(&cosigned(&[]), &own)
            .is_ok()
    );
}

#[test]
fn a_bad_cosignature_of_a_known_witness_spoils_the_note() {
    let policy = Policy::parse(example().as_bytes()).unwrap();
    let mut note = Note::parse(&cosigned(&[1, 2, 4, 3])).unwrap();
    let last = note.signatures.len() - 1;
    note.signatures[last].signature[20] ^= 1;
    let spoilt = note.to_string();
    let invalid = NoteError::Invalid("w3.example".to_owned());
    let refusal = PolicyRefusal::Checkpoint(CheckpointError::Note(invalid));
    assert_eq!(policy.check(spoilt.as_bytes(), &[]), Err(refusal));
    // One of an unknown witness does not.
    note.signatures[last].id = [0; 4];
    assert!(policy.check(note.to_string().as_bytes(), &[]).is_ok());
    // The same witness counts once, however often it signed.
    let twice = cosigned(&[1, 1, 1, 4]);
    assert!(policy.check(&twice, &[]).is_err());
    // More signatures than a note may have.
    let many = cosigned(&[9; 200]);
    assert!(policy.check(&many, &[]).is_err());
}

#[test]
fn a_long_chain_of_groups_is_no_danger() {
    let mut text = format!("witness a {}\ngroup g0 any a\n", key(1));
    for at in 1..10_000 {
        text.push_str(&format!("group g{at} all g{}\n", at - 1));
    }
    text.push_str("quorum g9999\n");
    let policy = Policy::parse(text.as_bytes()).unwrap();
    assert!(policy.met_by(&HashSet::from([0])));
    assert!(!policy.met_by(&HashSet::new()));
}

proptest! {
    /// Against counting by hand: k of n.
    #[test]
    fn thresholds(k in 1_usize..=5, signed in proptest::collection::hash_set(0_usize..5, 0..=5)) {
        let lines: String = (1..=5).map(|n| format!("witness w{n} {}\n", key(n))).collect();
        let text = format!("{lines}group g {k} w1 w2 w3 w4 w5\nquorum g\n");
        let policy = Policy::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(policy.met_by(&signed), signed.len() >= k);
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Policy::parse(&bytes);
    }

    #[test]
    fn any_lines_are_read_without_panic(
        lines in proptest::collection::vec("(log|witness|group|quorum|#)?( |\t)(a|b|none|any|all|2| )*", 0..12)
    ) {
        let _ = Policy::parse(format!("{}\n", lines.join("\n")).as_bytes());
    }
}
