//! The first start, with nothing set.

use std::os::unix::fs::PermissionsExt as _;

use reqwest::StatusCode;
use serde_json::json;

use crate::support::{Server, command, spawn, start, success};

#[tokio::test]
async fn it_makes_keys_and_takes_entries() {
    let (home, server) = start();
    let (status, receipt) = server
        .post(
            "/logs/create/",
            &json!({"action": "door.open", "resource": "front"}),
        )
        .await;
    assert_eq!(
        (status, receipt["index"].as_u64()),
        (StatusCode::CREATED, Some(0))
    );
    for key in ["signing.key", "checkpoint.key", "jwt.secret"] {
        let file = std::fs::metadata(server.data().join("keys").join(key)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600, "{key}");
    }
    let keys = std::fs::metadata(server.data().join("keys")).unwrap();
    assert_eq!(keys.permissions().mode() & 0o777, 0o700);
    let vkey = success(&server.run("keys").arg("show").output().unwrap());
    let origin = vkey.split('+').next().unwrap().to_owned();
    assert!(origin.starts_with("audittrail.invalid/"), "{vkey}");
    server.stop();
    // A second start finds the same log under the same keys.
    let server = Server::start(home.path());
    let id = receipt["id"].as_str().unwrap();
    let (status, entry) = server.get(&format!("/logs/{id}/")).await;
    assert_eq!((status, &entry["verified"]), (StatusCode::OK, &json!(true)));
    assert_eq!(success(&server.run("keys").output().unwrap()), vkey);
    let note = std::fs::read_to_string(server.data().join("checkpoint")).unwrap();
    assert!(note.starts_with(&format!("{origin}\n1\n")), "{note}");
}

/// On a terminal the server prints a token and lines to paste; pasted, they work.
#[tokio::test]
async fn what_it_prints_on_a_terminal_works() {
    let home = tempfile::tempdir().unwrap();
    let script = r#"
import os, pty, re, subprocess, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1], "serve", "--listen", "127.0.0.1:0", "--metrics-listen", "none"])
said = ""
while "logs/list/" not in said:
    said += os.read(terminal, 4096).decode().replace("\r\n", "\n")
lines = "\n".join(line for line in said.split("\n") if line.startswith("  "))
out = subprocess.run(["sh", "-ec", lines], capture_output=True, text=True)
os.kill(pid, 15)
os.waitpid(pid, 0)
print(out.stdout, out.stderr, "said:", said)
sys.exit(0 if '"index":0' in out.stdout and '"count":1' in out.stdout else 1)
"#;
    let binary = crate::support::BINARY;
    let output = command("python3")
        .args(["-c", script, binary])
        .current_dir(home.path())
        .output()
        .unwrap();
    success(&output);
}

/// What cannot work is refused with what to do about it, before anything is made.
#[test]
fn bad_settings_are_refused() {
    let table: [(&str, &str, &str); 13] = [
        (
            "AUDITTRAIL_ACK",
            "soon",
            "use queued, committed or published",
        ),
        ("AUDITTRAIL_DATA", "no/such/parent", "cannot be made"),
        ("AUDITTRAIL_DEFAULT_ROLE", "root", "use user, writer"),
        ("AUDITTRAIL_STORE", "mongodb://db", "LOG_SIGNING_KEY"),
        ("AUDITTRAIL_STORE", "memory", "use embedded"),
        ("AUDITTRAIL_QUEUE", "redis://cache", "mongodb:// URL"),
        ("AUDITTRAIL_WORKER", "none", "nobody would commit"),
        ("MONGO_PASSWORD", "hidden", "the store is embedded"),
        ("AUDITTRAIL_PUBLIC_URL", "audit", "write it like https://"),
        ("LOG_SIGNING_KEY", "short", "32"),
        ("LOG_SIGNING_KEY_FILE", "no-such-file", "cannot be read"),
        ("AUDITTRAIL_JWT_SECRET", "short", "32"),
        ("AUDITTRAIL_ORIGIN", "two words", "name"),
    ];
    for (name, value, says) in table {
        let home = tempfile::tempdir().unwrap();
        let (mut child, first) = spawn(home.path(), &[(name, value)]);
        let status = child.wait().unwrap();
        let log = std::fs::read_to_string(home.path().join("server.log")).unwrap();
        assert!(
            first.is_empty() && matches!(status.code(), Some(2 | 3)),
            "{name}: {status}\n{log}"
        );
        assert!(
            log.contains(says) && !log.contains("panicked"),
            "{name}: {log}"
        );
    }
}

#[tokio::test]
async fn a_directory_in_use_is_refused() {
    let (home, server) = start();
    let (mut second, first) = spawn(home.path(), &[]);
    assert_eq!(
        (first.as_str(), second.wait().unwrap().code()),
        ("", Some(3))
    );
    let says = format!("process {} is using", server.id());
    assert!(server.log().contains(&says), "{}", server.log());
    let (status, _) = server.get("/health/ready").await;
    assert_eq!(status, StatusCode::OK);
}

/// A log whose parts were taken away is not silently begun anew.
#[tokio::test]
async fn a_log_without_its_checkpoint_or_keys_is_refused() {
    for (remove, says) in [
        ("checkpoint", "no checkpoint"),
        ("keys/checkpoint.key", "missing"),
        ("keys/signing.key", "missing"),
        ("log/00000000000000000000.seg", "there is no segment"),
    ] {
        let (home, server) = start();
        let (status, _) = server.post("/logs/", &json!({"action": "door.open"})).await;
        assert_eq!(status, StatusCode::CREATED);
        let path = server.data().join(remove);
        server.stop();
        std::fs::remove_file(path).unwrap();
        let (mut child, first) = spawn(home.path(), &[]);
        let status = child.wait().unwrap();
        let log = std::fs::read_to_string(home.path().join("server.log")).unwrap();
        assert_eq!(
            (first.as_str(), status.code()),
            ("", Some(3)),
            "{remove}\n{log}"
        );
        assert!(
            log.to_lowercase().contains(&says.to_lowercase()),
            "{remove}: {log}"
        );
    }
}
