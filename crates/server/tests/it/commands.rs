//! The commands beside `serve`.

use reqwest::StatusCode;
use serde_json::json;

use crate::support::{BINARY, Server, command, start, success, text};

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = command(BINARY).args(arguments).output().unwrap();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn every_command_has_an_example() {
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, Some(0));
    for name in [
        "serve", "token", "keys", "import", "export", "prove", "monitor", "health", "fsck",
    ] {
        assert!(help.contains(&format!("\n  {name} ")), "{help}");
        let (code, help, _) = run(&[name, "--help"]);
        assert!(
            code == Some(0) && help.contains(&format!("audittrail {name}")),
            "{help}"
        );
    }
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_to_do() {
    for (arguments, says) in [
        (vec![], "Usage"),
        (vec!["sing"], "unrecognized"),
        (vec!["token", "--role", "admin"], "--sub"),
        (vec!["token", "--sub", "a", "--role", "king"], "auditor"),
        (
            vec!["import", "no-such-file", "--token", "t"],
            "cannot be read",
        ),
        (vec!["import", "-"], "AUDITTRAIL_TOKEN"),
        (vec!["serve", "--listen", "here"], "127.0.0.1:8000"),
        (vec!["serve", "--config", "no-such-file"], "cannot be read"),
    ] {
        let (code, out, err) = run(&arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {err}");
        assert!(out.is_empty() && err.contains(says), "{arguments:?}: {err}");
    }
}

#[test]
fn a_directory_without_a_log_is_named() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().to_str().unwrap();
    for arguments in [
        vec!["fsck", "--data", data],
        vec!["keys", "show", "--data", data],
        vec!["token", "--sub", "a", "--role", "admin", "--data", data],
    ] {
        let (code, _, err) = run(&arguments);
        assert!(
            code == Some(3) && err.contains(data),
            "{arguments:?}: {code:?} {err}"
        );
    }
    assert_eq!(
        std::fs::read_dir(home.path()).unwrap().count(),
        0,
        "a check makes nothing"
    );
}

#[test]
fn a_file_of_settings() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("audittrail.toml");
    std::fs::write(&file, "origin = \"log.example/one\"\nack = \"published\"\n").unwrap();
    let server = Server::start_with(
        home.path(),
        &[("AUDITTRAIL_CONFIG", file.to_str().unwrap())],
    );
    let vkey = success(&server.run("keys").output().unwrap());
    assert!(vkey.starts_with("log.example/one+"), "{vkey}");
    std::fs::write(&file, "orgin = \"x\"\n").unwrap();
    let (code, _, err) = run(&["serve", "--config", file.to_str().unwrap()]);
    assert!(code == Some(2) && err.contains("orgin"), "{err}");
}

#[tokio::test]
async fn a_new_key_can_be_used() {
    let (code, secret, vkey) = run(&["keys", "new", "--origin", "log.example/two"]);
    assert_eq!(code, Some(0));
    assert!(
        secret.starts_with("PRIVATE+KEY+log.example/two+"),
        "{secret}"
    );
    let home = tempfile::tempdir().unwrap();
    let server = Server::start_with(
        home.path(),
        &[
            ("AUDITTRAIL_CHECKPOINT_KEY", secret.trim()),
            (
                "LOG_SIGNING_KEY",
                "a signing key of at least thirty-two bytes",
            ),
        ],
    );
    let (status, _) = server.post("/logs/", &json!({"action": "a"})).await;
    assert_eq!(status, StatusCode::CREATED);
    let note = std::fs::read_to_string(server.data().join("checkpoint")).unwrap();
    assert!(note.starts_with("log.example/two\n"), "{note}");
    assert!(vkey.contains("log.example/two+"), "{vkey}");
}

/// A checkpoint kept elsewhere shows that the log is still that log.
#[tokio::test]
async fn fsck_compares_with_an_earlier_checkpoint() {
    let (home, server) = start();
    server
        .post(
            "/logs/?ack=published",
            &json!([{"action": "a"}, {"action": "b"}]),
        )
        .await;
    let kept = home.path().join("kept");
    std::fs::copy(server.data().join("checkpoint"), &kept).unwrap();
    server
        .post("/logs/?ack=published", &json!({"action": "c"}))
        .await;
    let fsck = |server: &Server| {
        server
            .run("fsck")
            .arg("--since")
            .arg(&kept)
            .output()
            .unwrap()
    };
    assert!(success(&fsck(&server)).contains("everything verifies"));

    // Another log of the same name does not have it.
    let (_other_home, other) = start();
    other
        .post(
            "/logs/?ack=published",
            &json!([{"action": "a"}, {"action": "x"}]),
        )
        .await;
    let output = fsck(&other);
    assert!(!output.status.success(), "{}", text(&output.stdout));
}

#[test]
fn a_file_without_end_is_not_read_to_it() {
    let (code, _, said) = run(&["serve", "--config", "/dev/zero"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("over 1048576 bytes"), "{said}");
}
