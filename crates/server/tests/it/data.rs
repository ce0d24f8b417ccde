//! A file of entries goes in, and every filter gives back what the file says.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::{Server, command, repository, start, success, text};

fn check(server: &Server, file: &Path) -> Output {
    let mut check = command("python3");
    check
        .arg(repository("testdata/check_filters.py"))
        .arg(&server.url)
        .arg(file);
    let token = server.token(&["--sub", "tester", "--role", "admin"]);
    check.env("AUDITTRAIL_TOKEN", token).output().unwrap()
}

#[test]
fn every_filter_gives_what_the_file_says() {
    let (home, server) = start();
    let file = repository("testdata/events.ndjson");
    let imported = server.run("import").arg(&file).output().unwrap();
    assert!(
        success(&imported).contains("400 stored, 0 refused"),
        "{}",
        text(&imported.stdout)
    );
    let said = success(&check(&server, &file));
    assert!(
        said.contains("400 entries") && said.contains("all equal"),
        "{said}"
    );

    // The same check notices one changed digit, and one missing line.
    let lines = std::fs::read_to_string(&file).unwrap();
    let changed = home.path().join("changed.ndjson");
    for wrong in [
        lines.replacen("\"maxResults\": 33", "\"maxResults\": 34", 1),
        lines.split_inclusive('\n').skip(1).collect(),
    ] {
        assert_ne!(wrong, lines);
        std::fs::write(&changed, wrong).unwrap();
        let output = check(&server, &changed);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    }
}

#[test]
fn an_import_can_be_repeated_and_names_what_it_refuses() {
    let (home, server) = start();
    let file = home.path().join("mixed.ndjson");
    let mut lines = String::new();
    for number in 0..20 {
        let _ = writeln!(
            lines,
            r#"{{"action":"door.open","details":{{"number":{number}}}}}"#
        );
    }
    lines.push_str("\n{\"resource\":\"no action\"}\nnot json\n");
    lines.push_str("{\"action\":\"a\",\"action\":\"b\"}\n{\"action\":\"door.close\"}");
    std::fs::write(&file, lines).unwrap();
    let rejects = home.path().join("rejects.ndjson");
    for _ in 0..2 {
        let mut import = server.run("import");
        import
            .arg(&file)
            .arg("--reject")
            .arg(&rejects)
            .args(["--batch", "7"]);
        let output = import.output().unwrap();
        let said = text(&output.stdout);
        assert!(
            said.contains("21 stored, 3 refused"),
            "{said}{}",
            text(&output.stderr)
        );
        let rejected = std::fs::read_to_string(&rejects).unwrap();
        let rejected: Vec<Value> = rejected
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let lines: Vec<_> = rejected
            .iter()
            .map(|row| row["line"].as_u64().unwrap())
            .collect();
        assert_eq!(lines, [22, 23, 24]);
        assert!(
            rejected[0]["reason"].as_str().unwrap().contains("/action"),
            "{rejected:?}"
        );
        assert_eq!(rejected[1]["entry"], "not json");
    }
    let listed = command("python3")
        .arg(repository("testdata/read_log.py"))
        .arg(server.data())
        .arg("--leaves")
        .output()
        .unwrap();
    assert_eq!(success(&listed).lines().count(), 21 + 1);
}

/// An id of null is none; refused lines are kept as they were read; ids make a second run
/// harmless, and one that is taken is refused alone.
#[tokio::test]
async fn refused_lines_are_kept_as_they_were() {
    let (home, server) = start();
    let id = "0198c0de-0000-7000-8000-000000000001";
    let (status, _) = server
        .post("/logs/", &json!({"action": "first", "id": id}))
        .await;
    assert_eq!(status, 201);
    let taken = format!(r#"{{"action":"other","id":"{id}"}}"#);
    let long = "x".repeat(5 << 20);
    let lines: [&[u8]; 9] = [
        br#"{"id":null,"action":"null id"}"#,
        br#" { "action" : "later null", "id" : null }"#,
        b"{}",
        taken.as_bytes(),
        br#"{"id":null,"id":null,"action":"a"}"#,
        b"\xff\xfe",
        long.as_bytes(),
        br#"{"action":"audittrail.mine"}"#,
        b"{\"action\":\"crlf\"}\r",
    ];
    let file = home.path().join("lines");
    std::fs::write(&file, lines.join(&b'\n')).unwrap();
    let rejects = home.path().join("rejects");
    for _ in 0..2 {
        let mut import = server.run("import");
        let output = import.arg(&file).arg("--reject").arg(&rejects).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(
            text(&output.stdout),
            "9 entries sent: 3 stored, 6 refused\n"
        );
        let rows = std::fs::read_to_string(&rejects).unwrap();
        let rows: Vec<Value> = rows
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let of = |line: u64| rows.iter().find(|row| row["line"] == line).unwrap();
        assert_eq!(rows.len(), 6);
        for (line, entry, says) in [
            (3, "{}", "/action"),
            (4, taken.as_str(), "is the id of another entry"),
            (5, r#"{"id":null,"id":null,"action":"a"}"#, "id"),
            (6, "\u{fffd}\u{fffd}", ""),
            (7, "", "longer than"),
            (8, r#"{"action":"audittrail.mine"}"#, "log's own"),
        ] {
            assert_eq!(of(line)["entry"], entry, "line {line}");
            let reason = of(line)["reason"].as_str().unwrap();
            assert!(!reason.is_empty() && reason.contains(says), "{reason}");
        }
    }
    let (_, page) = server.get("/logs/list/").await;
    assert_eq!(page["count"], 4);

    // Without a file the reasons are told.
    let output = server.run("import").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("line 3: #/action") && said.contains("line 7: "),
        "{said}"
    );
}

#[test]
fn an_import_that_cannot_be_done_says_why() {
    let (home, server) = start();
    let file = home.path().join("lines");
    std::fs::write(&file, "{\"action\":\"a\"}\n").unwrap();
    let reader = server.token(&["--sub", "r", "--role", "reader"]);
    for (arguments, code, says) in [
        // It would be emptied before it is read.
        (vec!["--reject", "lines"], 2, "give --reject another name"),
        (vec!["--reject", "./lines"], 2, "give --reject another name"),
        (vec!["--reject", "no/such/place"], 2, "no/such/place"),
        (vec!["--batch", "0"], 2, "10000"),
        (vec!["--batch", "10001"], 2, "10000"),
        (vec!["--url", "here"], 2, "http://127.0.0.1:8000"),
        (vec!["--token", ""], 2, "audittrail token"),
        (vec!["--token", "nonsense"], 3, "401"),
        (vec!["--token", &reader], 3, "logs:write"),
    ] {
        let mut import = server.run("import");
        let output = import.arg("lines").args(&arguments).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
        assert_eq!(std::fs::read(&file).unwrap().len(), 15, "{arguments:?}");
    }
    let mut import = server.run("import");
    import.args(["lines", "--batch", "10000", "--reject", "refused"]);
    assert_eq!(
        success(&import.output().unwrap()),
        "1 entries sent: 1 stored, 0 refused\n"
    );
    assert_eq!(std::fs::read(home.path().join("refused")).unwrap(), b"");
}
