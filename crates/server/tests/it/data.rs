//! A file of entries goes in, and every filter gives back what the file says.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Output;

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
        let rejected: Vec<serde_json::Value> = rejected
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
