//! Files made to harm whoever reads them.

use std::io::{self, BufRead, Read};

use audittrail_verifier::{Check, FINDINGS_KEPT, HEADER_BYTES_MAX, Header, LINE_BYTES_MAX, verify};
use proptest::prelude::*;

use crate::support::{Log, check, found, trust};

fn parts() -> (String, String) {
    let file = Log::new(3).range(0, 2);
    let (header, rest) = file.split_at(file.find('\n').unwrap() + 1);
    (header.to_owned(), rest.to_owned())
}

/// What is found in a file with this line after the header.
fn with_line(line: &str) -> (Option<u64>, Check) {
    let (header, rest) = parts();
    let rest = rest.replace("\"count\":3", "\"count\":4");
    found(&check(format!("{header}{line}\n{rest}").as_bytes()))[0]
}

#[test]
fn lines_that_are_no_lines() {
    let deep = "[".repeat(1_000_000);
    let entry = parts().1.lines().next().unwrap().to_owned();
    let member = |more: &str| format!("{}{more}}}", entry.strip_suffix('}').unwrap());
    let bad = [
        deep.clone(),
        format!("{{\"index\":{deep}"),
        format!("{{\"proof\":{deep}"),
        String::new(),
        "null".to_owned(),
        "{}".to_owned(),
        "{\"index\":0}".to_owned(),
        "{\"end\":false,\"count\":0}".to_owned(),
        "{\"end\":true}".to_owned(),
        "{\"end\":true,\"count\":0,\"index\":0}".to_owned(),
        "{\"index\":0,\"error\":\"x\",\"leaf\":\"\"}".to_owned(),
        member(",\"index\":0"),
        member(",\"leaf\":\"\""),
        member(",\"proof\":[]"),
        member(",\"more\":1"),
        member(",\"error\":\"x\""),
        member(","),
        entry.replace("\"index\":0", "\"index\":-1"),
        entry.replace("\"index\":0", "\"index\":00"),
        entry.replace("\"index\":0", "\"index\":0.0"),
        entry.replace("\"index\":0", "\"index\":1e3"),
        entry.replace("\"index\":0", "\"index\":18446744073709551616"),
        entry.replace("\"index\":0", &format!("\"index\":{}", "9".repeat(100_000))),
        entry.replace("\"index\":0", "\"index\":\"0\""),
        entry.replace("\"leaf\":\"", "\"leaf\":\"\\ud800"),
        entry.replace("\"leaf\":\"", "\"leaf\":\"\\ud800\\u0041"),
        entry.replace("\"leaf\":\"", "\"leaf\":\"\\x"),
        entry.replace("\"leaf\":\"", "\"leaf\":\"\\u12"),
        entry.replace("\"leaf\":\"", "\"leaf\":\"\u{1}"),
        entry.replace("\"proof\":[", "\"proof\":[["),
        entry.replace("\"proof\":[", "\"proof\":[null,"),
        entry.replace("\"proof\":[", "\"proof\":[\"\","),
        entry.replace("\"proof\":[\"", "\"proof\":[\"AAAA"),
        entry.replace("\"key_id\":\"", "\"key_id\":\"0"),
        entry.to_uppercase(),
        format!("{entry}{entry}"),
    ];
    for line in bad {
        assert_eq!(with_line(&line), (None, Check::Line), "{line:.200}");
    }
    // Not text.
    let (header, rest) = parts();
    let mut file = header.into_bytes();
    file.extend(b"{\"index\":0,\"error\":\"\xff\"}\n");
    file.extend(rest.as_bytes());
    assert_eq!(found(&check(&file))[0], (None, Check::Line));
}

/// Spaces, other orders of members and other escapes are JSON of the same meaning.
#[test]
fn the_same_written_otherwise() {
    let (header, rest) = parts();
    let other = rest
        .replace("{\"index\":1,", "{ \"index\" :\t1 ,")
        .replace("door.open", "door\\u002eopen")
        .replace("\"count\":3}", "\"count\":3 }\r");
    assert_ne!(other, rest);
    let report = check(format!("{header}{other}").as_bytes());
    assert_eq!((found(&report), report.proven), (vec![], 3));
}

/// Bytes without end, of which no more may be taken than fits the bounds.
struct Endless {
    start: Vec<u8>,
    filler: u8,
    taken: usize,
}

impl Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let have = self.fill_buf()?;
        let len = have.len().min(out.len());
        out[..len].copy_from_slice(&have[..len]);
        self.consume(len);
        Ok(len)
    }
}

impl BufRead for Endless {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start.is_empty() {
            self.start = vec![self.filler; 4096];
        }
        Ok(&self.start)
    }

    fn consume(&mut self, amount: usize) {
        self.taken += amount;
        self.start.drain(..amount);
    }
}

#[test]
fn a_line_without_end_is_not_read_to_its_end() {
    let mut file = Endless {
        start: Vec::new(),
        filler: b'{',
        taken: 0,
    };
    let report = verify(&mut file, trust()).unwrap();
    assert_eq!(found(&report), [(None, Check::Header)]);
    assert!(file.taken <= HEADER_BYTES_MAX);

    let (header, rest) = parts();
    let start = format!("{header}{}", rest.lines().next().unwrap());
    let mut file = Endless {
        start: format!("{start}\n").into_bytes(),
        filler: b'9',
        taken: 0,
    };
    let report = verify(&mut file, trust()).unwrap();
    assert_eq!(found(&report)[0], (None, Check::Line));
    assert_eq!((report.proven, report.whole), (1, false));
    assert!(file.taken <= start.len() + LINE_BYTES_MAX + 2);
}

#[test]
fn the_longest_line_is_read() {
    let (header, rest) = parts();
    let (start, end) = ("{\"index\":0,\"error\":\"", "\"}");
    let filler = "x".repeat(LINE_BYTES_MAX - start.len() - end.len());
    let rest = rest.replace("\"count\":3", "\"count\":4");
    let report = check(format!("{header}{start}{filler}{end}\n{rest}").as_bytes());
    assert_eq!(found(&report), [(Some(0), Check::Server)]);
    assert!(report.findings[0].detail.len() < 600);
    let report = check(format!("{header}{start}{filler}x{end}\n{rest}").as_bytes());
    assert_eq!(found(&report)[0], (None, Check::Line));
}

/// What a report keeps is bounded, and what it repeats from a file cannot act on a terminal.
#[test]
fn a_report_stays_small_and_plain() {
    let (header, _) = parts();
    let line = "{\"index\":0,\"error\":\"\\u001b[2J\\neverything verifies\"}\n".repeat(5_000);
    let report = check(format!("{header}{line}").as_bytes());
    assert_eq!(report.findings.len(), FINDINGS_KEPT);
    assert_eq!((report.found, report.failed), (5_003 - 1, 5_000));
    let shown = report.findings[0].to_string();
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
}

/// `AUDITTRAIL_CASES` asks for more than there is time for in every run.
fn cases() -> ProptestConfig {
    let cases = std::env::var("AUDITTRAIL_CASES").ok();
    ProptestConfig {
        cases: cases.and_then(|cases| cases.parse().ok()).unwrap_or(300),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// What a file says, however it is written.
fn meaning(file: &[u8]) -> Option<(Header, Vec<serde_json::Value>)> {
    let mut lines = file.strip_suffix(b"\n")?.split(|byte| *byte == b'\n');
    let header = Header::parse(lines.next()?).ok()?;
    let lines = lines.map(|line| serde_json::from_slice(line).ok());
    Some((header, lines.collect::<Option<_>>()?))
}

#[derive(Debug, Clone)]
enum Change {
    Bytes(Vec<u8>),
    /// A piece of the file itself.
    Piece(prop::sample::Index, usize),
    Token(&'static str),
}

fn change() -> impl Strategy<Value = Change> {
    let tokens = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\n",
        "\0",
        "0",
        "9",
        "-",
        "1e9",
        "null",
        "true",
        "\\u0000",
        "\\ud800",
        "\"end\":true",
        "\"index\":",
        "\"proof\":[]",
        "\"error\":\"\"",
        "\"withhold\":\"sealed\"",
        "18446744073709551615",
        "18446744073709551616",
    ];
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Change::Bytes),
        (any::<prop::sample::Index>(), 0_usize..600).prop_map(|(at, len)| Change::Piece(at, len)),
        proptest::sample::select(tokens.to_vec()).prop_map(Change::Token),
    ]
}

proptest! {
    #![proptest_config(cases())]

    /// Whatever is put in, taken out or moved: nothing panics, and what verifies says what was
    /// written.
    #[test]
    fn whatever_is_put_anywhere(
        changes in proptest::collection::vec(
            (any::<prop::sample::Index>(), 0_usize..80, change()), 1..4),
    ) {
        let (header, rest) = parts();
        let original = format!("{header}{rest}").into_bytes();
        let mut file = original.clone();
        for (at, dropped, change) in changes {
            let start = at.index(file.len() + 1);
            let end = file.len().min(start + dropped);
            let new = match change {
                Change::Bytes(bytes) => bytes,
                Change::Token(token) => token.as_bytes().to_vec(),
                Change::Piece(at, len) => {
                    let from = at.index(original.len());
                    original[from..original.len().min(from + len)].to_vec()
                }
            };
            file.splice(start..end, new);
        }
        if check(&file).verified() {
            prop_assert_eq!(meaning(&file), meaning(&original));
        }
    }
}
