//! Each way to change evidence, and what is said about it.

use audittrail_checkpoint::{Checkpoint, Signer};
use audittrail_merkle::{Hash, TreeHead};
use audittrail_verifier::{Check, Header, Trust};

use crate::support::{Log, ORIGIN, check, check_with, found, signer, trust, vkey};

const SIZE: u64 = 12;

fn file() -> String {
    Log::new(20).range(0, SIZE - 1)
}

fn lines() -> Vec<String> {
    file().split_inclusive('\n').map(str::to_owned).collect()
}

/// What is found where the line of one entry is changed.
fn with_line(index: usize, change: impl Fn(&str) -> String) -> Vec<(Option<u64>, Check)> {
    let mut lines = lines();
    let changed = change(&lines[index + 1]);
    assert_ne!(changed, lines[index + 1], "nothing was changed");
    lines[index + 1] = changed;
    found(&check(lines.concat().as_bytes()))
}

fn replaced(index: usize, from: &str, to: &str) -> Vec<(Option<u64>, Check)> {
    with_line(index, |line| {
        assert!(line.contains(from), "{from} is not in {line}");
        line.replacen(from, to, 1)
    })
}

#[test]
fn the_file_verifies_as_it_is() {
    let report = check(file().as_bytes());
    assert_eq!(found(&report), vec![]);
    assert_eq!(report.complete, Some((0, SIZE - 1)));
    assert_eq!(report.signed_by, [vkey().to_string()]);
    assert_eq!((report.proven, report.failed), (SIZE, 0));
}

#[test]
fn a_changed_entry() {
    // Odd entries are the right of two: nothing builds on their proofs.
    assert_eq!(
        replaced(5, "door.open", "door.shut"),
        [(Some(5), Check::Inclusion)]
    );
    assert_eq!(
        replaced(5, "door.open", "door.\\n"),
        [(Some(5), Check::Leaf)]
    );
    assert_eq!(
        replaced(5, "\\\"v\\\":1", "\\\"v\\\":2"),
        [(Some(5), Check::Leaf)]
    );
    assert_eq!(
        replaced(5, "{\\\"action", "{ \\\"action"),
        [(Some(5), Check::Leaf)]
    );
    assert_eq!(
        replaced(5, "\\\"n\\\":5", "\\\"n\\\":6"),
        [(Some(5), Check::Commitment)]
    );
    assert_eq!(
        replaced(5, ":{\\\"n", ": {\\\"n"),
        [(Some(5), Check::Commitment)]
    );
    let salt = |line: &str| {
        let at = line.find("\"salt\":\"").unwrap() + 8;
        let other = if &line[at..=at] == "A" { "B" } else { "A" };
        format!("{}{other}{}", &line[..at], &line[at + 1..])
    };
    assert_eq!(with_line(5, salt), [(Some(5), Check::Commitment)]);
    let signature = |line: &str| {
        let at = line.find("\"signature\":\"").unwrap() + 13;
        let other = if &line[at..=at] == "0" { "1" } else { "0" };
        format!("{}{other}{}", &line[..at], &line[at + 1..])
    };
    assert_eq!(with_line(5, signature), [(Some(5), Check::Signature)]);
    let key = |line: &str| {
        let at = line.find("\"key_id\":\"").unwrap() + 10;
        format!("{}00000000{}", &line[..at], &line[at + 8..])
    };
    assert_eq!(with_line(5, key), [(Some(5), Check::Signature)]);
}

#[test]
fn a_sealed_part_of_another_entry_and_one_without_its_salt() {
    let lines = lines();
    let sealed = |line: &str| {
        let (from, to) = (
            line.find(",\"sealed\"").unwrap(),
            line.find(",\"signature\"").unwrap(),
        );
        line[from..to].to_owned()
    };
    let other = sealed(&lines[8]);
    let own = with_line(5, |line| line.replace(&sealed(line), &other));
    assert_eq!(own, [(Some(5), Check::Commitment)]);
    assert_eq!(
        with_line(5, |line| line.replace(&sealed(line), "")),
        [(Some(5), Check::Erasure)]
    );
    let half = with_line(5, |line| line.replace("\"salt\":", "\"pepper\":"));
    assert_eq!(half[0], (None, Check::Line));
}

#[test]
fn a_changed_index() {
    assert_eq!(
        replaced(5, "\"index\":5,", "\"index\":4,"),
        [(Some(4), Check::Duplicate), (Some(6), Check::Complete)]
    );
    assert_eq!(
        replaced(5, "\"index\":5,", "\"index\":3,"),
        [(Some(3), Check::Order), (Some(6), Check::Complete)]
    );
    assert_eq!(
        replaced(5, "\"index\":5,", "\"index\":20,"),
        [(Some(20), Check::Inclusion), (Some(6), Check::Complete)]
    );
    let high = replaced(5, "\"index\":5,", "\"index\":18446744073709551615,");
    assert_eq!(high[0], (Some(u64::MAX), Check::Inclusion));
    // One that is there, further on: it is not at that place, and the real one is missing.
    let further = replaced(5, "\"index\":5,", "\"index\":8,");
    assert!(
        further.contains(&(Some(8), Check::Inclusion)),
        "{further:?}"
    );
}

#[test]
fn a_changed_proof() {
    let proof = |line: &str, change: &dyn Fn(&mut Vec<String>)| {
        let (from, to) = (
            line.find("\"proof\":[").unwrap() + 9,
            line.rfind(']').unwrap(),
        );
        let hashes = line[from..to].split(',').filter(|hash| !hash.is_empty());
        let mut hashes: Vec<String> = hashes.map(str::to_owned).collect();
        change(&mut hashes);
        format!("{}{}{}", &line[..from], hashes.join(","), &line[to..])
    };
    let zero = format!("\"{}=\"", "A".repeat(43));
    let first = |found: Vec<(Option<u64>, Check)>| found[0];
    for at in 0..5 {
        let changed = with_line(0, |line| {
            proof(line, &|hashes| hashes[at].clone_from(&zero))
        });
        assert_eq!(first(changed), (Some(0), Check::Inclusion));
        let swapped = with_line(0, |line| {
            proof(line, &|hashes| hashes.swap(at, (at + 1) % 5))
        });
        assert_eq!(first(swapped), (Some(0), Check::Inclusion));
        let removed = with_line(0, |line| proof(line, &|hashes| drop(hashes.remove(at))));
        assert_eq!(first(removed), (Some(0), Check::Inclusion));
    }
    let extra = with_line(5, |line| proof(line, &|hashes| hashes.push(zero.clone())));
    assert_eq!(extra, [(Some(5), Check::Inclusion)]);
    let many = with_line(5, |line| {
        proof(line, &|hashes| hashes.resize(65, zero.clone()))
    });
    assert_eq!(many, [(None, Check::Line), (Some(6), Check::Complete)]);
    // The last bits of base64 that mean nothing.
    let loose = zero.replace("A=", "B=");
    let loose = with_line(4, |line| {
        proof(line, &|hashes| {
            hashes.pop();
            hashes.push(loose.clone());
        })
    });
    assert_eq!(first(loose), (None, Check::Line));
    // What builds on a proof that does not hold is named as such.
    let report = check(with_lines(5, "door.open", "door.shut").as_bytes());
    let builds = &report.findings[1];
    assert_eq!((builds.index, builds.check), (Some(5), Check::Inclusion));
    assert!(
        builds.detail.contains("builds on that of entry 4"),
        "{}",
        builds.detail
    );
}

fn with_lines(line: usize, from: &str, to: &str) -> String {
    let mut lines = lines();
    lines[line] = lines[line].replacen(from, to, 1);
    lines.concat()
}

#[test]
fn lines_removed_added_and_swapped() {
    let mut removed = lines();
    removed.remove(6);
    assert_eq!(
        found(&check(removed.concat().as_bytes())),
        [(Some(6), Check::Complete), (None, Check::Count)]
    );
    // With the number made to fit.
    let fitted = removed.concat().replace("\"count\":12", "\"count\":11");
    assert_eq!(
        found(&check(fitted.as_bytes())),
        [(Some(6), Check::Complete)]
    );
    // With the claim taken out, too: what is left is a true selection, and is called one.
    let selection = fitted.replace("\"complete\":[0,11]", "\"complete\":null");
    let report = check(selection.as_bytes());
    assert_eq!((found(&report), report.complete), (vec![], None));
    // The first or the last of a range.
    for (line, expected) in [
        (1, (Some(1), Check::Complete)),
        (12, (None, Check::Complete)),
    ] {
        let mut removed = lines();
        removed.remove(line);
        let fitted = removed.concat().replace("\"count\":12", "\"count\":11");
        assert!(found(&check(fitted.as_bytes())).contains(&expected));
    }

    let mut twice = lines();
    twice.insert(6, twice[6].clone());
    let twice = twice.concat().replace("\"count\":12", "\"count\":13");
    assert_eq!(
        found(&check(twice.as_bytes())),
        [(Some(5), Check::Duplicate)]
    );

    let mut swapped = lines();
    swapped.swap(6, 8);
    let report = check(swapped.concat().as_bytes());
    assert!(
        found(&report).contains(&(Some(5), Check::Order)),
        "{:?}",
        found(&report)
    );
    assert_eq!(report.complete, None);

    let mut blank = lines();
    blank.insert(6, "\n".to_owned());
    assert_eq!(
        found(&check(blank.concat().as_bytes())),
        [(None, Check::Line), (None, Check::Count)]
    );
}

#[test]
fn the_end() {
    let mut cut = lines();
    cut.pop();
    let report = check(cut.concat().as_bytes());
    assert_eq!(found(&report), [(None, Check::End)]);
    assert!(!report.whole && report.proven == SIZE && report.complete.is_none());
    let counted = file().replace("\"count\":12", "\"count\":13");
    let report = check(counted.as_bytes());
    assert_eq!(
        (found(&report), report.whole),
        (vec![(None, Check::Count)], false)
    );
    let twice = format!("{}{}", file(), lines().last().unwrap());
    let report = check(twice.as_bytes());
    assert_eq!(
        (found(&report), report.whole),
        (vec![(None, Check::End)], false)
    );
    let more = format!("{}{{", file());
    assert_eq!(found(&check(more.as_bytes())), [(None, Check::End)]);
    let broken = format!(
        "{}{{\"broken_off\":\"this export is incomplete",
        cut.concat()
    );
    assert_eq!(found(&check(broken.as_bytes())), [(None, Check::End)]);
}

#[test]
fn a_claim_that_is_not_true() {
    for (claim, expected) in [
        ("[0,12]", (None, Check::Complete)),
        ("[0,10]", (Some(11), Check::Complete)),
        ("[1,11]", (Some(0), Check::Complete)),
        ("[11,0]", (None, Check::Complete)),
        ("[0,20]", (None, Check::Complete)),
        ("[0,18446744073709551615]", (None, Check::Complete)),
    ] {
        let text = file().replace("\"complete\":[0,11]", &format!("\"complete\":{claim}"));
        let report = check(text.as_bytes());
        assert!(
            found(&report).contains(&expected),
            "{claim}: {:?}",
            found(&report)
        );
        assert_eq!(report.complete, None);
    }
    // A smaller claim that is true of what is there.
    let log = Log::new(20);
    let header = Header {
        complete: Some((3, 5)),
        ..log.header()
    };
    let report = check(log.evidence(&header, &[3, 4, 5]).as_bytes());
    assert_eq!(report.complete, Some((3, 5)));
    // An entry that failed is not there.
    let report = check(with_lines(6, "door.open", "door.shut").as_bytes());
    assert_eq!(report.complete, None);
}

fn with_header(change: impl Fn(&mut Header)) -> String {
    let log = Log::new(20);
    let mut header = Header {
        complete: Some((0, SIZE - 1)),
        ..log.header()
    };
    change(&mut header);
    log.evidence(&header, &(0..SIZE).collect::<Vec<_>>())
}

fn signed(origin: &str, head: TreeHead, signer: &Signer) -> String {
    let checkpoint = Checkpoint {
        origin: origin.to_owned(),
        head,
        extensions: Vec::new(),
    };
    checkpoint.sign(&[signer]).unwrap()
}

#[test]
fn another_header() {
    let only = |text: &str| found(&check(text.as_bytes()))[0];
    // Another log's checkpoint, an older one, one of another tree, a forged one.
    let other = Signer::from_seed("log.example/other", [9; 32]).unwrap();
    let head = Log::new(20).head();
    let foreign =
        with_header(|header| header.checkpoint = signed("log.example/other", head, &other));
    assert_eq!(only(&foreign), (None, Check::Checkpoint));
    let forger = Signer::from_seed(ORIGIN, [9; 32]).unwrap();
    let forged = with_header(|header| {
        header.checkpoint = signed(ORIGIN, head, &forger);
        header.vkey = forger.verifier().to_string();
    });
    let report = check(forged.as_bytes());
    assert_eq!(found(&report), [(None, Check::Checkpoint)]);
    assert_eq!((report.entries, report.head), (0, None));
    // The key of the file's own header would have believed it.
    let own = Trust {
        keys: vec![forger.verifier()],
        signing: None,
        policy: None,
    };
    assert!(check_with(forged.as_bytes(), own).verified());
    let smaller =
        with_header(|header| header.checkpoint = signed(ORIGIN, Log::new(11).head(), &signer()));
    assert_eq!(check(smaller.as_bytes()).proven, 0);
    let tree = TreeHead {
        size: 20,
        root: Hash([3; 32]),
    };
    let another = with_header(|header| header.checkpoint = signed(ORIGIN, tree, &signer()));
    assert_eq!(check(another.as_bytes()).proven, 0);
    let none = with_header(|header| header.checkpoint = signed(ORIGIN, TreeHead::EMPTY, &signer()));
    assert_eq!(check(none.as_bytes()).failed, SIZE);

    // A name or a key in the header that is not the checkpoint's, nor given.
    let name = with_header(|header| header.origin = "log.example/else".to_owned());
    assert_eq!(found(&check(name.as_bytes())), [(None, Check::Origin)]);
    let key = with_header(|header| header.vkey = forger.verifier().to_string());
    let report = check(key.as_bytes());
    assert_eq!(found(&report), [(None, Check::HeaderKey)]);
    assert_eq!(report.proven, SIZE);

    // No header, half of one, another version.
    for (from, to) in [
        ("\"evidence\":1", "\"evidence\":2"),
        ("\"evidence\":1", "\"evidence\":\"1\""),
        ("\"evidence\":1,", ""),
        ("\"origin\":", "\"Origin\":"),
        ("\"filter\":{}", "\"filter\":[]"),
        ("\"filter\":{}", "\"filter\":{\"a\":1}"),
        ("\"complete\":[0,11]", "\"complete\":[0]"),
        ("\"complete\":[0,11]", "\"complete\":[0,1.5]"),
        ("\"complete\":[0,11]", "\"complete\":\"all\""),
        (
            "\"complete\":[0,11]",
            "\"complete\":[0,11],\"complete\":[0,11]",
        ),
        ("\"complete\":[0,11]", "\"complete\":[0,11],\"more\":1"),
        (
            "\"complete\":[0,11]",
            "\"complete\":[0,11],\"withhold\":\"all\"",
        ),
        (",\"complete\":[0,11]", ""),
    ] {
        let text = file();
        assert!(text.contains(from), "{from}");
        assert_eq!(
            only(&text.replacen(from, to, 1)),
            (None, Check::Header),
            "{to}"
        );
    }
    let headless: String = lines()[1..].concat();
    assert_eq!(only(&headless), (None, Check::Header));
    assert_eq!(only(""), (None, Check::End));
}

#[test]
fn keys_that_are_given() {
    let other = Signer::from_seed(ORIGIN, [9; 32]).unwrap().verifier();
    let wrong = Trust {
        keys: vec![other.clone()],
        signing: None,
        policy: None,
    };
    let report = check_with(file().as_bytes(), wrong);
    assert_eq!(found(&report), [(None, Check::Checkpoint)]);
    // Several, as when a key was changed.
    let both = Trust {
        keys: vec![other, vkey()],
        ..trust()
    };
    assert!(check_with(file().as_bytes(), both).verified());
    let none = Trust {
        keys: Vec::new(),
        signing: None,
        policy: None,
    };
    assert!(!check_with(file().as_bytes(), none).verified());
}
