//! `audittrail prove`: what it writes was checked.

use reqwest::Method;
use serde_json::{Value, json};

use crate::liar;
use crate::support::{Server, command, start, success, text};

async fn entry(server: &Server) -> String {
    let entry = json!({"action": "door.open", "user_id": "alice", "details": {"n": 1}});
    server.post("/logs/", &json!([entry, entry, entry])).await;
    let (_, receipt) = server.post("/logs/?ack=published", &entry).await;
    receipt["id"].as_str().unwrap().to_owned()
}

fn vkey(server: &Server) -> String {
    success(&server.run("keys").arg("show").output().unwrap())
        .trim()
        .to_owned()
}

#[tokio::test]
async fn a_proof_is_written_as_the_server_answers_it() {
    let (home, server) = start();
    let id = entry(&server).await;
    let path = format!("/logs/{id}/proof/");
    let answer = server.request(Method::GET, &path).send().await.unwrap();
    let answer = answer.text().await.unwrap();
    let key = vkey(&server);
    let prove = |arguments: &[&str]| {
        let output = server
            .run("prove")
            .arg(&id)
            .args(arguments)
            .output()
            .unwrap();
        let said = success(&output);
        (said, text(&output.stderr))
    };
    let (out, err) = prove(&["--key", &key]);
    assert_eq!(out, answer);
    assert!(
        err.contains("entry 3 is in the log") && err.contains("of 4 entries"),
        "{err}"
    );
    assert!(!err.contains("--key"), "{err}");
    // Without a key from elsewhere it says so.
    let (out, err) = prove(&["--out", "-"]);
    assert_eq!(out, answer);
    assert!(
        err.contains("the key that the server sent") && err.contains(&key),
        "{err}"
    );
    let file = home.path().join("door.tlog-proof");
    let (out, _) = prove(&["--out", file.to_str().unwrap(), "--key", &key]);
    assert!(out.contains("door.tlog-proof"), "{out}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), answer);
    let (line, _) = prove(&["--json", "--key", &key]);
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["index"], 3);
    assert!(line["leaf"].as_str().unwrap().contains(&id));
    assert!(line["sealed"].as_str().unwrap().contains("alice"));
    assert_eq!(line["vkey"], key);
}

/// On the way from the server; 1, and no file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_hold_is_not_written() {
    type Change = fn(&mut Value, &str);
    let (home, server) = start();
    let id = entry(&server).await;
    let (_other_home, other) = start();
    let key = vkey(&server);
    let cases: [(Change, &str); 9] = [
        (|a, _| a["index"] = json!(2), "not proven to be in the log"),
        (
            |a, _| a["proof"][0] = a["proof"][1].clone(),
            "not proven to be in the log",
        ),
        (
            |a, _| drop(a["proof"].as_array_mut().unwrap().pop()),
            "not proven to be in the log",
        ),
        (
            |a, _| a["proof"][0] = json!("AAAA"),
            "not written as hashes",
        ),
        (
            |a, _| change(a, "leaf", "door.open", "door.shut"),
            "not proven to be in the log",
        ),
        (
            |a, id| change(a, "leaf", id, "0198c0de-0000-7000-8000-000000000000"),
            "is of the entry 0198c0de",
        ),
        (|a, _| change(a, "sealed", "alice", "mallo"), "sealed part"),
        (
            |a, _| change(a, "checkpoint", "\n4\n", "\n5\n"),
            "does not hold",
        ),
        (|a, _| change(a, "leaf", "{", "{ "), "canonical"),
    ];
    let file = home.path().join("proof");
    let prove = |server: &Server, url: &str, arguments: &[&str]| {
        let mut prove = server.run("prove");
        prove
            .arg(&id)
            .args(["--url", url, "--out", file.to_str().unwrap()]);
        prove.args(arguments).output().unwrap()
    };
    for (change, why) in cases {
        let id = id.clone();
        let url = liar::before(&server.url, move |_, body| {
            let mut answer = serde_json::from_slice(&body).unwrap();
            change(&mut answer, &id);
            answer.to_string().into_bytes()
        });
        let output = prove(&server, &url.await, &[]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{why}: {said}");
        assert!(
            said.contains(why) && said.contains("was not written"),
            "{why}: {said}"
        );
        assert!(!file.exists() && !home.path().join("proof.partial").exists());
    }
    // Another log's key.
    let output = prove(&server, &server.url, &["--key", &vkey(&other)]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    success(&prove(&server, &server.url, &["--key", &key]));
}

#[tokio::test]
async fn an_entry_that_was_changed_has_no_proof() {
    let (_home, server) = start();
    let id = entry(&server).await;
    let segment = server.data().join("log/00000000000000000000.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes.windows(5).rposition(|part| part == b"alice").unwrap();
    bytes[at] = b'A';
    std::fs::write(&segment, bytes).unwrap();
    let output = server.run("prove").arg(&id).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        output.stdout.is_empty() && said.contains("Entry 3 failed verification"),
        "{said}"
    );
}

#[tokio::test]
async fn what_cannot_be_asked_for() {
    let (_home, server) = start();
    let prove = |arguments: &[&str]| {
        let output = server.run("prove").args(arguments).output().unwrap();
        (output.status.code(), text(&output.stderr))
    };
    let nobody = "0198c0de-0000-7000-8000-000000000000";
    let (code, said) = prove(&[nobody]);
    assert!(
        code == Some(3) && said.contains("There is no entry with this id"),
        "{said}"
    );
    let (code, said) = prove(&["door"]);
    assert!(code == Some(2) && said.contains("ID"), "{said}");
    let (code, said) = prove(&[nobody, "--key", "a+b+c"]);
    assert!(code == Some(2) && said.contains("key: "), "{said}");
    let reader = server.token(&["--sub", "r", "--role", "reader"]);
    let (code, said) = prove(&[nobody, "--token", &reader]);
    assert!(code == Some(3) && said.contains("logs:prove"), "{said}");
    let mut serve = command(crate::support::BINARY);
    let output = serve.args(["serve", "--tiles", "some"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("use private or public"));
}

fn change(answer: &mut Value, member: &str, from: &str, to: &str) {
    let text = answer[member].as_str().unwrap();
    assert!(text.contains(from), "{text}");
    answer[member] = json!(text.replacen(from, to, 1));
}
