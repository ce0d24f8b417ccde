//! A missing sealed part is believed erased only where a proven entry says so.

use audittrail_verifier::{Check, Header};

use crate::support::{Log, check, found};

fn erasure(ranges: &str) -> String {
    format!(
        r#"{{"details":{{"reason":"a request","ranges":{ranges}}},"submitted_by":{{"sub":"admin"}}}}"#
    )
}

/// Twenty entries, of which these lost their sealed part, and an erasure.
fn log(erased: &[usize], ranges: &str) -> Log {
    let mut log = Log::new(20);
    for at in erased {
        log.entries[*at].sealed = None;
    }
    log.push("audittrail.erasure", &erasure(ranges));
    log.push("door.open", r#"{"submitted_by":{"sub":"test"}}"#);
    log
}

#[test]
fn a_proven_erasure_covers() {
    let log = log(&[3, 4, 5, 9], "[[3,5],[9,9],[11,12]]");
    let report = check(log.range(0, 21).as_bytes());
    assert_eq!(found(&report), vec![]);
    assert_eq!((report.proven, report.erased, report.withheld), (18, 4, 0));
    // It comes with a complete range that it is not in.
    let header = Header {
        complete: Some((2, 9)),
        filter: Vec::new(),
        ..log.header()
    };
    let mut indices: Vec<u64> = (2..=9).collect();
    indices.push(20);
    let report = check(log.evidence(&header, &indices).as_bytes());
    assert_eq!((found(&report), report.complete), (vec![], Some((2, 9))));
    // Nothing else does.
    *indices.last_mut().unwrap() = 21;
    let report = check(log.evidence(&header, &indices).as_bytes());
    assert!(found(&report).contains(&(Some(21), Check::Complete)));
    assert_eq!(report.complete, None);
}

#[test]
fn what_is_not_covered_is_a_failure() {
    for (ranges, uncovered) in [
        ("[[3,5]]", vec![9]),
        ("[[4,9]]", vec![3]),
        ("[]", vec![3, 4, 5, 9]),
        ("[[3,25]]", vec![3, 4, 5, 9]),
        ("\"3-9\"", vec![3, 4, 5, 9]),
    ] {
        let report = check(log(&[3, 4, 5, 9], ranges).range(0, 21).as_bytes());
        let missing: Vec<_> = uncovered
            .iter()
            .map(|at| (Some(*at), Check::Erasure))
            .collect();
        assert_eq!(found(&report), missing, "{ranges}");
        assert_eq!(report.failed, uncovered.len() as u64);
        assert_eq!(report.erased, 4 - uncovered.len() as u64);
        assert_eq!(report.complete, None);
    }
}

/// The erasure itself has to be there, proven, and with its sealed part.
#[test]
fn an_erasure_that_is_not_proven_covers_nothing() {
    let log = log(&[3], "[[3,3]]");
    let uncovered = (Some(3), Check::Erasure);
    let header = log.header();
    let report = check(log.evidence(&header, &[2, 3, 4]).as_bytes());
    assert_eq!(found(&report), vec![uncovered]);
    assert_eq!(
        check(log.evidence(&header, &[2, 3, 4, 20]).as_bytes()).erased,
        1
    );

    let mut stripped = log.clone();
    stripped.entries[20].sealed = None;
    let report = check(stripped.evidence(&header, &[2, 3, 4, 20]).as_bytes());
    assert_eq!(found(&report), vec![uncovered, (Some(20), Check::Erasure)]);

    let mut forged = log.clone();
    let other = erasure("[[3,4]]");
    forged.entries[20].sealed = Some((other, [0; 32]));
    let report = check(forged.evidence(&header, &[2, 3, 4, 20]).as_bytes());
    assert_eq!(
        found(&report),
        vec![(Some(20), Check::Commitment), uncovered]
    );

    // Another action with the same details; an entry of its own that is in no log.
    let mut renamed = Log::new(20);
    renamed.entries[3].sealed = None;
    renamed.push("erasure", &erasure("[[3,3]]"));
    let report = check(renamed.range(0, 20).as_bytes());
    assert_eq!(found(&report), vec![uncovered]);
    let text = log.evidence(&header, &[2, 3, 4, 20]);
    let text = text.replace("\\\"tenant\\\":\\\"klinik", "\\\"tenant\\\":\\\"Klinik");
    assert_eq!(check(text.as_bytes()).erased, 0);
}

/// Where the file says that it withholds, a missing part is no failure, and not called erased.
#[test]
fn withheld_is_not_erased() {
    let log = log(&[3], "[[3,3]]");
    let header = Header {
        withheld: true,
        ..log.header()
    };
    let report = check(log.evidence(&header, &[2, 3, 20]).as_bytes());
    assert_eq!(found(&report), vec![]);
    assert_eq!((report.withheld, report.erased, report.proven), (3, 0, 0));
    // One line's sealed part was taken out of a file that does not say so.
    let text = log.evidence(&log.header(), &[2, 4]);
    let at = text.find(",\"sealed\":").unwrap();
    let until = text[at..].find(",\"signature\"").unwrap() + at;
    let text = format!("{}{}", &text[..at], &text[until..]);
    assert_eq!(
        found(&check(text.as_bytes())),
        vec![(Some(2), Check::Erasure)]
    );
}
