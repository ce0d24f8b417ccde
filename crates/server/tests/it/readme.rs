//! What README tells a newcomer to type.

use std::os::unix::fs::symlink;

use crate::support::{BINARY, command, repository, spawn, start, success, text};

/// The shell blocks of a Markdown file, in order.
fn shell_blocks(markdown: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = markdown.lines();
    while let Some(line) = lines.next() {
        if line == "```sh" {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(block.join("\n"));
        }
    }
    blocks
}

/// Runs them one after the other in one shell, against the server of the first command.
#[test]
fn the_shell_blocks_run() {
    let readme = std::fs::read_to_string(repository("README.md")).unwrap();
    let blocks = shell_blocks(&readme);
    assert!(blocks.len() >= 3, "{blocks:?}");
    let (home, server) = start();
    // The blocks stand at the root of a clone, and the server at its default address.
    let release = home.path().join("target/release");
    std::fs::create_dir_all(&release).unwrap();
    symlink(BINARY, release.join("audittrail")).unwrap();
    let script = format!("set -eu\n{}", blocks.join("\necho \"== block\"\n"));
    assert!(script.contains("http://127.0.0.1:8000/"), "{script}");
    let script = script.replace("http://127.0.0.1:8000", &server.url);
    let output = command("bash")
        .args(["-o", "pipefail", "-c", &script])
        .env("AUDITTRAIL_URL", &server.url)
        .current_dir(home.path())
        .output()
        .unwrap();
    let said = success(&output);
    let answers: Vec<&str> = said.split("== block\n").collect();
    assert!(answers[0].contains(r#""ack":"committed""#), "{said}");
    assert!(
        answers[0].contains(r#""user_id":"alice","verified":true"#),
        "{said}"
    );
    assert!(answers[1].contains("2 stored, 0 refused"), "{said}");
    assert_eq!(
        answers[1].matches(r#""resource":"front""#).count(),
        2,
        "{said}"
    );
    assert!(answers[2].contains("everything verifies"), "{said}");
    let checked = answers[4];
    assert!(
        checked.contains("complete: every entry from 0 to "),
        "{said}"
    );
    assert!(checked.contains("failed 0\n"), "{said}");
    assert!(checked.ends_with("everything verifies\n"), "{said}");
    assert!(
        answers[3].contains("the proof is in door.tlog-proof"),
        "{said}"
    );
    assert!(answers[5].ends_with("everything verifies\n"), "{said}");
    assert!(
        answers[6].contains("the first checkpoint seen") && answers[6].contains("each in the tree"),
        "{said}"
    );
    assert!(
        answers[7].contains("of them new") && answers[7].contains("everything verifies"),
        "{said}"
    );
    assert!(
        !text(&output.stderr).contains("error"),
        "{}",
        text(&output.stderr)
    );
}

/// `make run` starts the server with what the shell has set and nothing else.
#[test]
fn make_run_starts_the_server() {
    let output = command("make")
        .args(["-n", "run"])
        .current_dir(repository(""))
        .output()
        .unwrap();
    let line = success(&output);
    assert!(
        line.contains("cargo run --locked --profile release -p audittrail-server -- serve"),
        "{line}"
    );
    let home = tempfile::tempdir().unwrap();
    let (mut child, first) = spawn(home.path(), &[]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        first.starts_with("listening on http://127.0.0.1:"),
        "{first}"
    );
}

/// Every variable that the example file has is one that the binary knows, and the reverse.
#[test]
fn the_example_of_settings_is_complete() {
    let example = std::fs::read_to_string(repository(".env.example")).unwrap();
    let help = success(&command(BINARY).args(["serve", "--help"]).output().unwrap());
    let mut known = 0;
    for part in help.split("[env: ").skip(1) {
        let name = part.split(['=', ']']).next().unwrap();
        assert!(example.contains(name), ".env.example lacks {name}");
        known += 1;
    }
    assert!(known >= 10, "{help}");
    for line in example.lines() {
        let Some((name, _)) = line.trim_start_matches("# ").split_once('=') else {
            continue;
        };
        let secret = [
            "LOG_SIGNING_KEY",
            "AUDITTRAIL_JWT_SECRET",
            "AUDITTRAIL_CHECKPOINT_KEY",
            "AUDITTRAIL_EARLIER_SIGNING_KEYS",
            "MONGO_",
            "REDIS_",
        ]
        .iter()
        .any(|secret| name.starts_with(secret));
        let client = ["AUDITTRAIL_URL", "AUDITTRAIL_TOKEN"].contains(&name);
        assert!(
            secret || client || help.contains(name),
            "{name} is not a setting"
        );
    }
}
