//! The bytes of evidence are for ever: what was written once is written the same and verifies,
//! and a program that shares no code with ours says so, too.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use audittrail_verifier::{Check, Header, Report};

use crate::support::{Log, check, found, vkey};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

/// A complete range with an erased entry and its erasure; a selection without sealed parts, and
/// with an entry that failed.
fn files() -> [(&'static str, String); 3] {
    let mut log = Log::new(20);
    log.entries[3].sealed = None;
    log.push(
        "audittrail.erasure",
        r#"{"details":{"ranges":[[3,3],[11,12]]},"submitted_by":{"sub":"admin"}}"#,
    );
    log.push("door.open", r#"{"submitted_by":{"sub":"test"}}"#);
    let range = Header {
        complete: Some((2, 8)),
        filter: vec![
            ("index_from".to_owned(), "2".to_owned()),
            ("index_to".to_owned(), "8".to_owned()),
        ],
        ..log.header()
    };
    let indices: Vec<u64> = (2..=8).chain([20]).collect();
    let complete = log.evidence(&range, &indices);
    log.entries[9].failed = Some("the signature does not hold");
    let withheld = Header {
        withheld: true,
        ..log.header()
    };
    let selection = log.evidence(&withheld, &[0, 1, 7, 9, 10, 16, 21]);
    [
        ("complete.evidence.jsonl", complete),
        ("selection.evidence.jsonl", selection),
        ("key.txt", format!("{}\n", vkey())),
    ]
}

fn golden(name: &str) -> String {
    let path = repository("testdata/golden/evidence").join(name);
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn what_was_written_once_is_written_the_same() {
    for (name, text) in files() {
        assert_eq!(golden(name), text, "{name}");
    }
}

#[test]
fn golden_files_verify() {
    let report = check(golden("complete.evidence.jsonl").as_bytes());
    assert_eq!(found(&report), []);
    assert_eq!(report.complete, Some((2, 8)));
    assert_eq!((report.proven, report.erased), (7, 1));
    let report = check(golden("selection.evidence.jsonl").as_bytes());
    assert_eq!(found(&report), [(Some(9), Check::Server)]);
    assert_eq!((report.complete, report.whole), (None, true));
    assert_eq!((report.withheld, report.failed), (6, 1));
}

/// What the other program says of a file.
fn other_program(text: &str) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let output = Command::new("python3")
        .arg(repository("testdata/check_evidence.py"))
        .arg(file.path())
        .arg(vkey().to_string())
        .output()
        .unwrap();
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        output.status.code(),
        Some(i32::from(!said.contains("no findings")))
    );
    said
}

fn summary(report: &Report) -> String {
    format!(
        "entries {} proven {} erased {} withheld {} failed {} complete {}",
        report.entries,
        report.proven,
        report.erased,
        report.withheld,
        report.failed,
        report.complete.is_some()
    )
}

/// Both agree on files that hold and on files that do not.
#[test]
fn a_program_that_shares_no_code_agrees() {
    let [(_, complete), (_, selection), _] = files();
    let long = Log::new(1_100).range(40, 1_060);
    let (sealed, leaf) = ("\\\"n\\\":5", "door.open");
    assert!(complete.contains(sealed) && complete.contains(leaf));
    for text in [
        complete.clone(),
        selection.clone(),
        long.clone(),
        complete.replacen(sealed, "\\\"n\\\":6", 1),
        complete.replacen(leaf, "door.shut", 1),
        complete.replacen("[2,8]", "[2,9]", 1),
        complete.replacen("[[3,3]", "[[4,4]", 1),
        complete.replacen("\"index\":5", "\"index\":6", 1),
        complete.replacen("\"count\":8", "\"count\":7", 1),
        selection.replacen("\"withhold\":\"sealed\"", "\"withhold\":\"sealed\" ", 1),
        selection.replacen(",\"withhold\":\"sealed\"", "", 1),
        long[..long.len() - 1].to_owned(),
        long.replacen("door.open", "door.shut", 1_015),
    ] {
        let report = check(text.as_bytes());
        let said = other_program(&text);
        assert!(
            said.starts_with(&summary(&report)),
            "{said}\n{}",
            summary(&report)
        );
        assert_eq!(said.contains("no findings"), report.verified(), "{said}");
    }
}
