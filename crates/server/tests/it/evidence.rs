//! Evidence from a running server, checked with the command and with a program that shares no
//! code with it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{BINARY, Server, command, repository, start, success, text};

/// 400 real events, then some with texts that are hard on JSON.
async fn filled(server: &Server) {
    let imported = server
        .run("import")
        .arg(repository("testdata/events.ndjson"))
        .output();
    success(&imported.unwrap());
    let entries: Vec<Value> = ["\\", "\"", "ü€😀", "\u{2028}\u{feff}", "comma,bar"]
        .iter()
        .map(|text| json!({"action": text, "tenant": "t", "details": {*text: ["\n\t\u{1}", text]}}))
        .collect();
    let (status, answer) = server.post("/logs/?ack=published", &json!(entries)).await;
    assert_eq!(status, 201, "{answer}");
}

fn vkey(server: &Server) -> String {
    success(&server.run("keys").output().unwrap())
        .trim()
        .to_owned()
}

fn export(server: &Server, out: &Path, arguments: &[&str]) -> Output {
    let mut run = server.run("export");
    let run = run.args(["--format", "evidence", "--out"]).arg(out);
    run.args(arguments).output().unwrap()
}

/// The exit code of `verify`, and its report.
fn verify(file: &Path, key: &str, more: &[&str]) -> (Option<i32>, Value) {
    let output = command(BINARY)
        .arg("verify")
        .arg(file)
        .args(["--json", "--key", key])
        .args(more)
        .output()
        .unwrap();
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    (output.status.code(), report)
}

/// What the other program says, which has to come to the same end.
fn other_program(file: &Path, key: &str, report: &Value) {
    let script = repository("testdata/check_evidence.py");
    let mut run = command("python3");
    let output = run.arg(script).arg(file).arg(key).output().unwrap();
    let said = text(&output.stdout);
    let expected = format!(
        "entries {} proven {} erased {} withheld {} failed {} complete {}\n",
        report["entries"],
        report["proven"],
        report["erased"],
        report["withheld"],
        report["failed"],
        report["complete"].is_array()
    );
    assert!(
        said.starts_with(&expected),
        "{said}{expected}{}",
        text(&output.stderr)
    );
    let verified = output.status.code() == Some(0);
    assert_eq!(Some(verified), report["verified"].as_bool());
}

#[tokio::test]
async fn evidence_of_a_running_log_verifies() {
    let (home, server) = start();
    filled(&server).await;
    let (key, out) = (vkey(&server), home.path().join("evidence"));
    for (filters, count, complete) in [
        (vec!["index_to=404"], 405, json!([0, 404])),
        (vec!["index_from=3", "index_to=300"], 298, json!([3, 300])),
        (vec!["index_to=404", "tenant=t"], 5, Value::Null),
        (vec!["user_id=nobody"], 0, Value::Null),
    ] {
        let mut arguments = Vec::new();
        for filter in &filters {
            arguments.extend(["--filter", filter]);
        }
        success(&export(&server, &out, &arguments));
        let (code, report) = verify(&out, &key, &[]);
        assert_eq!(code, Some(0), "{report}");
        assert_eq!(report["entries"], count, "{filters:?}");
        assert_eq!(report["proven"], count);
        assert_eq!(report["complete"], complete);
        assert_eq!(report["filter"].as_object().unwrap().len(), filters.len());
        other_program(&out, &key, &report);
        // However many threads, the report is the same; and from standard input.
        for threads in ["1", "3"] {
            assert_eq!(verify(&out, &key, &["--threads", threads]).1, report);
        }
        let signing = home.path().join("audittrail-data/keys/signing.key");
        let (code, report) = verify(&out, &key, &["--signing-key", signing.to_str().unwrap()]);
        assert_eq!(
            (code, &report["signatures_checked"]),
            (Some(0), &json!(true))
        );

        success(&export(
            &server,
            &out,
            &[&arguments[..], &["--withhold", "sealed"]].concat(),
        ));
        let (code, report) = verify(&out, &key, &[]);
        assert_eq!(
            (code, &report["withheld"]),
            (Some(0), &json!(count)),
            "{report}"
        );
        other_program(&out, &key, &report);
        assert!(
            !std::fs::read_to_string(&out)
                .unwrap()
                .contains("submitted_by")
        );
    }
    // The exports are in the log, too.
    let (_, page) = server
        .get("/logs/list/?action=audittrail.export&order=index")
        .await;
    assert_eq!(page["count"], 8);
    let details = &page["results"][1]["details"];
    assert_eq!(details["format"], "evidence");
    assert_eq!(
        details["filter"],
        json!({"index_to": "404", "withhold": "sealed"})
    );
}

#[tokio::test]
async fn a_person_is_told_what_it_shows() {
    let (home, server) = start();
    filled(&server).await;
    let (key, out) = (vkey(&server), home.path().join("evidence"));
    success(&export(&server, &out, &[]));
    let mut run = command(BINARY);
    let mut child = run
        .args(["verify", "-", "--key", &key])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let evidence = std::fs::read(&out).unwrap();
    child.stdin.take().unwrap().write_all(&evidence).unwrap();
    let said = success(&child.wait_with_output().unwrap());
    assert!(
        said.contains("complete: every entry from 0 to 404 is here"),
        "{said}"
    );
    assert!(
        said.contains("proven 405, erased 0, withheld 0, failed 0"),
        "{said}"
    );
    assert!(said.ends_with("everything verifies\n"), "{said}");

    // One entry changed: which, and why.
    let changed = text(&evidence).replacen("comma,bar", "comma;bar", 1);
    std::fs::write(&out, changed).unwrap();
    let output = command(BINARY)
        .args(["verify", "--key", &key])
        .arg(&out)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    assert!(said.contains("entry 404 (line 406): inclusion: "), "{said}");
    assert!(
        said.contains("not complete, although the file says so of 0 to 404"),
        "{said}"
    );
    assert!(!said.contains("everything verifies"), "{said}");
}

/// A record that is damaged where it lies is in the file as failed; the others are proven.
#[tokio::test]
async fn a_damaged_record_is_exported_as_failed() {
    let (home, server) = start();
    filled(&server).await;
    let (key, out) = (vkey(&server), home.path().join("evidence"));
    let segment = server.data().join("log/00000000000000000000.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes
        .windows(9)
        .position(|part| part == b"comma,bar")
        .unwrap();
    bytes[at] = b'A';
    std::fs::write(&segment, bytes).unwrap();
    let output = export(&server, &out, &["--filter", "tenant=t"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("1 of 5 entries did not verify"), "{said}");
    let (code, report) = verify(&out, &key, &[]);
    assert_eq!(code, Some(1));
    assert_eq!(
        (&report["proven"], &report["failed"]),
        (&json!(4), &json!(1))
    );
    assert_eq!(report["findings"][0]["index"], 404);
    assert_eq!(report["findings"][0]["check"], "server");
    assert_eq!(report["whole"], true);
    other_program(&out, &key, &report);
}

/// Hashes that do not lead to the root are not sent as proofs.
#[tokio::test]
async fn a_damaged_tree_gives_no_evidence() {
    let (home, server) = start();
    filled(&server).await;
    let tree = server.data().join("tree/00");
    let mut hashes = std::fs::read(&tree).unwrap();
    hashes[32 * 100 + 7] ^= 1;
    std::fs::write(&tree, hashes).unwrap();
    let request = |query: &str| {
        let path = format!("/logs/export/?format=evidence&{query}");
        server.request(Method::GET, &path).send()
    };
    let refused = request("index_from=101&index_to=101").await.unwrap();
    assert_eq!(refused.status(), 503);
    let out = home.path().join("evidence");
    assert_eq!(export(&server, &out, &[]).status.code(), Some(3));
    assert!(!out.exists());
    assert!(
        server.log().contains("delete the directory tree/"),
        "{}",
        server.log()
    );
    // Where the damage is not on the way, proofs are.
    let elsewhere = request("index_from=300&index_to=350").await.unwrap();
    assert_eq!(elsewhere.status(), 200);
    std::fs::write(&out, elsewhere.text().await.unwrap()).unwrap();
    assert_eq!(verify(&out, &vkey(&server), &[]).0, Some(0));
}

#[tokio::test]
async fn whom_it_is_for() {
    let (home, server) = start();
    filled(&server).await;
    let out = home.path().join("evidence");
    let bound = ["--sub", "a", "--role", "auditor", "--tenant", "t"];
    let bound = server.token(&bound);
    success(&export(&server, &out, &["--token", &bound]));
    let (code, report) = verify(&out, &vkey(&server), &[]);
    assert_eq!((code, &report["proven"]), (Some(0), &json!(5)), "{report}");
    // Of the whole log that is a selection.
    assert_eq!(report["complete"], Value::Null);
    let reader = server.token(&["--sub", "r", "--role", "reader"]);
    let output = export(&server, &out, &["--token", &reader]);
    assert_eq!(output.status.code(), Some(3));

    let path = "/logs/export/?format=evidence&index_to=3";
    let response = server.request(Method::GET, path).send().await.unwrap();
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    let size = header("x-audittrail-tree-size");
    assert_eq!(
        header("content-type"),
        "application/vnd.audittrail.evidence+jsonl"
    );
    assert_eq!(
        header("content-disposition"),
        format!("attachment; filename=\"audittrail-{size}.evidence.jsonl\"")
    );
    for (query, status, parameter) in [
        ("format=evidence&withhold=all", 400, "withhold"),
        ("format=evidence&format=evidence", 400, "format"),
        ("format=evidence&format=json", 400, "format"),
        ("format=evidence&colour=red", 400, "colour"),
        ("format=ndjson&withhold=sealed", 400, "withhold"),
        ("withhold=sealed", 400, "withhold"),
    ] {
        let (is, problem) = server.get(&format!("/logs/export/?{query}")).await;
        assert_eq!(is, status, "{query}");
        assert_eq!(problem["errors"][0]["parameter"], parameter, "{query}");
    }
    let request = server
        .request(Method::GET, path)
        .header("accept", "text/csv");
    assert_eq!(request.send().await.unwrap().status(), 406);
}

#[tokio::test]
async fn what_cannot_be_used_or_done_is_said() {
    let (home, server) = start();
    filled(&server).await;
    let (key, out) = (vkey(&server), home.path().join("evidence"));
    success(&export(&server, &out, &[]));
    let name = out.to_str().unwrap();
    std::fs::write(home.path().join("short"), "too short\n").unwrap();
    let other = "log.example/other+5a6b1f0c+AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAh";
    for (arguments, code, says) in [
        (vec![name], 2, "--key"),
        (vec!["--key", &key], 2, "FILE"),
        (vec![name, "--key", "nonsense"], 2, "audittrail keys show"),
        (vec![name, "--key", other], 2, "--key log.example/other"),
        (vec![name, "--key", &key, "--threads", "0"], 2, "--threads"),
        (
            vec![name, "--key", &key, "--signing-key", "no"],
            2,
            "--signing-key no",
        ),
        (
            vec![name, "--key", &key, "--signing-key", "short"],
            2,
            "at least 32",
        ),
        (vec!["absent", "--key", &key], 3, "absent cannot be read"),
        (vec![".", "--key", &key], 3, "cannot be read"),
        (vec!["short", "--key", &key], 1, "does not verify"),
    ] {
        let mut run = server.run("verify");
        let output = run.args(&arguments).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
    for (arguments, says) in [
        (
            ["--format", "json", "--withhold", "sealed"],
            "--format evidence",
        ),
        (
            ["--format", "evidence", "--filter", "withhold=sealed"],
            "--withhold",
        ),
    ] {
        let output = server.run("export").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(
            text(&output.stderr).contains(says),
            "{}",
            text(&output.stderr)
        );
    }
}
