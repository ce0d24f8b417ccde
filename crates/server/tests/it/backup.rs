//! Backups of a running server, and what may become of them.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{BINARY, Server, command, repository, start, success, text};
use crate::watching::{copy, refused, vkey};

fn run(home: &Path, arguments: &[&str]) -> Output {
    let mut run = command(BINARY);
    run.args(arguments).current_dir(home).output().unwrap()
}

fn failure(output: &Output, code: i32, words: &[&str]) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(text(&output.stdout), "", "{said}");
    for word in words {
        assert!(said.contains(word), "{word}: {said}");
    }
}

fn back_up(home: &Path) -> Value {
    let output = run(home, &["backup", "--out", "copy", "--json"]);
    serde_json::from_str(&success(&output)).unwrap()
}

/// Leaf hashes and root as a program that shares no code with the server reads them.
fn leaves(data: &Path) -> String {
    let mut read = command("python3");
    read.arg(repository("testdata/read_log.py"))
        .arg(data)
        .arg("--leaves");
    success(&read.output().unwrap())
}

async fn post(server: &Server, count: usize) {
    let entries: Vec<Value> = (0..count).map(|_| json!({"action": "door.open"})).collect();
    let (status, body) = server.post("/logs/?ack=published", &json!(entries)).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
}

/// Clients write as fast as they can while backups are made: each holds all that was acknowledged
/// before it began, verifies by itself, and the last one restored is the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_under_load_is_backed_up_and_restored() {
    let (home, server) = start();
    let home = home.path().to_owned();
    post(&server, 1).await;
    let server = Arc::new(server);
    let acknowledged = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let (server, acknowledged) = (Arc::clone(&server), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                for number in 0..100_000 {
                    let entries: Vec<Value> = (0..1 + (number + client) % 40)
                        .map(|n| json!({"action": "load", "details": {"n": n, "c": client}}))
                        .collect();
                    let (status, body) = server.post("/logs/", &json!(entries)).await;
                    assert_eq!(status, StatusCode::CREATED, "{body}");
                    let first = body["last_index"].as_u64().unwrap_or_default();
                    acknowledged.fetch_max(first + 1, Ordering::Release);
                }
            })
        })
        .collect();
    let of = Arc::clone(&acknowledged);
    let at = home.clone();
    let backups = tokio::task::spawn_blocking(move || {
        let mut last = 0;
        for round in 0..5 {
            while of.load(Ordering::Acquire) <= last {}
            let before = of.load(Ordering::Acquire);
            let report = back_up(&at);
            last = report["entries"].as_u64().unwrap();
            assert!(last >= before, "{round}: {before} acknowledged, {report}");
            assert_eq!(report["findings_total"], 0);
            let checked = run(&at, &["fsck", "--data", "copy"]);
            let said = success(&checked);
            assert!(said.contains(&format!("{last} entries read")), "{said}");
            assert!(said.contains("everything verifies"), "{said}");
        }
    });
    backups.await.unwrap();
    clients.iter().for_each(tokio::task::JoinHandle::abort);
    for client in clients {
        let ended = client.await;
        assert!(
            ended.is_err_and(|error| error.is_cancelled()),
            "a client failed"
        );
    }
    let server = Arc::into_inner(server).unwrap();
    server.stop();
    let report = back_up(&home);
    let data = home.join("audittrail-data");
    assert_eq!(report["checkpoint_size"], report["entries"]);

    // The machine is lost; on another one, with the keys from where they were kept.
    let other = tempfile::tempdir().unwrap();
    let from = home.join("copy");
    let arguments = [
        "restore",
        "--from",
        from.to_str().unwrap(),
        "--original-is-gone",
    ];
    let restored = run(other.path(), &arguments);
    let entries = report["entries"].to_string();
    assert!(success(&restored).contains(&format!("{entries} entries")));
    let said = text(&restored.stderr);
    assert!(said.contains("signing.key and checkpoint.key"), "{said}");
    failure(
        &refused(other.path(), &[]),
        3,
        &["its key keys/signing.key is missing"],
    );
    let keys = other.path().join("audittrail-data/keys");
    for name in ["signing.key", "checkpoint.key"] {
        std::fs::copy(data.join("keys").join(name), keys.join(name)).unwrap();
    }
    assert_eq!(vkey(other.path()), vkey(&home));
    assert_eq!(leaves(&other.path().join("audittrail-data")), leaves(&data));
    let server = Server::start(other.path());
    let (_, page) = server.get("/logs/list/?count=exact&page_size=1").await;
    assert_eq!(page["count"].to_string(), entries);
    assert_eq!(
        (&page["results"][0]["verified"], &page["failed_entries"]),
        (&json!(true), &json!(0))
    );
    post(&server, 3).await;
    server.stop();
    success(&run(
        other.path(),
        &["fsck", "--since", from.join("checkpoint").to_str().unwrap()],
    ));
}

/// What is older than what was signed cannot sign a second history: not as it is, not copied, not
/// restored while anything outside remembers, and not without a word that the original is gone.
#[tokio::test]
async fn an_older_backup_signs_no_second_history() {
    let (home, server) = start();
    let at = home.path();
    post(&server, 5).await;
    let output = run(at, &["backup", "--out", "copy", "--with-keys", "--json"]);
    let report: Value = serde_json::from_str(&success(&output)).unwrap();
    assert_eq!(
        report["keys"],
        json!(["checkpoint.key", "jwt.secret", "signing.key"])
    );
    let mark = at.join("mark");
    server.stop();
    let marked = ("AUDITTRAIL_WATERMARK", mark.to_str().unwrap());
    let server = Server::start_with(at, &[marked]);
    post(&server, 4).await;
    server.stop();
    let newest = at.join("newest");
    std::fs::copy(at.join("audittrail-data/checkpoint"), &newest).unwrap();

    // It has every key, and a server on it or on a copy of it is refused at its start.
    let before = std::fs::read(at.join("copy/checkpoint")).unwrap();
    copy(&at.join("copy"), &at.join("moved"));
    for data in ["copy", "moved"] {
        let output = refused(at, &[("AUDITTRAIL_DATA", data)]);
        failure(
            &output,
            3,
            &["is a backup", "two histories", "--original-is-gone"],
        );
    }
    assert_eq!(
        std::fs::read(at.join("copy/checkpoint")).unwrap(),
        before,
        "nothing was signed"
    );

    let restore = |data: &str, more: &[&str], settings: &[(&str, &str)]| {
        let mut restore = command(BINARY);
        restore
            .args(["restore", "--from", "copy", "--data", data])
            .args(more);
        restore.envs(settings.iter().copied());
        restore.current_dir(at).output().unwrap()
    };
    failure(
        &restore("new", &[], &[]),
        2,
        &["second history", "--original-is-gone"],
    );
    assert!(!at.join("new").exists());
    let gone = "--original-is-gone";
    let since = ["--original-is-gone", "--since", newest.to_str().unwrap()];
    failure(
        &restore("new", &since, &[]),
        3,
        &["had 9 entries, and there are only 5"],
    );
    failure(
        &restore("new", &[gone], &[marked]),
        3,
        &["the watermark", "only 5"],
    );
    // What was not restored is no data directory.
    failure(
        &refused(at, &[("AUDITTRAIL_DATA", "new")]),
        3,
        &["was not finished"],
    );
    let fsck = run(at, &["fsck", "--data", "new"]);
    assert_eq!(fsck.status.code(), Some(1));
    assert!(text(&fsck.stdout).contains("the copy was not finished"));
    // Who says it is gone, where nothing remembers it, is told what that means.
    let output = restore("new", &[gone], &[]);
    success(&output);
    assert!(
        text(&output.stderr).contains("second history"),
        "{}",
        text(&output.stderr)
    );
    // And what remembers it refuses it at the start still.
    let output = refused(at, &[("AUDITTRAIL_DATA", "new"), marked]);
    failure(&output, 3, &["watermark", "only 5", "nothing is signed"]);
    let fsck = run(
        at,
        &["fsck", "--data", "new", "--since", newest.to_str().unwrap()],
    );
    assert_eq!(fsck.status.code(), Some(1));
    assert!(
        text(&fsck.stdout).contains("the log has 5 entries"),
        "{}",
        text(&fsck.stdout)
    );
}

#[tokio::test]
async fn what_cannot_be_backed_up_or_restored_is_said() {
    let (home, server) = start();
    let at = home.path();
    post(&server, 3).await;
    let backup = |out: &str, more: &[&str]| run(at, &[&["backup", "--out", out], more].concat());
    for inside in ["audittrail-data/copy", "audittrail-data", "."] {
        failure(&backup(inside, &[]), 2, &["--out"]);
    }
    assert!(!at.join("audittrail-data/copy").exists());
    failure(
        &backup("none/copy", &[]),
        3,
        &["the directory above it has to exist"],
    );
    std::fs::create_dir(at.join("full")).unwrap();
    std::fs::write(at.join("full/thesis"), "mine").unwrap();
    failure(&backup("full", &[]), 3, &["neither empty nor a backup"]);
    failure(&backup("copy", &["--data", "nowhere"]), 3, &["nowhere"]);
    failure(&backup("copy", &["--key", "nonsense"]), 2, &["--key"]);
    success(&backup("copy", &[]));
    // Another log into the same directory.
    let (_other, second) = start();
    post(&second, 2).await;
    let other = second.data();
    failure(
        &backup("copy", &["--data", other.to_str().unwrap()]),
        3,
        &["another log"],
    );
    // Two at once.
    let lock = std::fs::File::options()
        .write(true)
        .open(at.join("copy/LOCK"))
        .unwrap();
    lock.lock().unwrap();
    failure(&backup("copy", &[]), 3, &["another process is using"]);
    drop(lock);

    // A file can grow no more in the middle of it; the next run goes on there.
    post(&server, 1_000).await;
    let mut shell = command("sh");
    let limited = "trap '' XFSZ; ulimit -f 64; exec \"$0\" backup --out copy";
    let output = shell
        .args(["-c", limited, BINARY])
        .current_dir(at)
        .output()
        .unwrap();
    failure(
        &output,
        3,
        &["cannot be written", "make room", "run it again"],
    );
    let checked = success(&run(at, &["fsck", "--data", "copy"]));
    assert!(checked.contains("checkpoint size 3"), "{checked}");
    assert!(checked.contains("everything verifies"), "{checked}");
    assert!(success(&backup("copy", &[])).contains("1003 entries"));
    let checked = success(&run(at, &["fsck", "--data", "copy"]));
    assert!(checked.contains("checkpoint size 1003"), "{checked}");
    assert!(
        checked.contains("signatures of entries were not checked"),
        "{checked}"
    );
    assert!(success(&backup("copy", &["--compare"])).contains("0 of them new (0 bytes)"));

    // Into what is there; from what is no backup.
    let restore = |from: &str, data: &str| {
        let arguments = [
            "restore",
            "--original-is-gone",
            "--from",
            from,
            "--data",
            data,
        ];
        run(at, &arguments)
    };
    failure(
        &restore("copy", "audittrail-data"),
        3,
        &["neither empty nor a backup"],
    );
    failure(&restore("audittrail-data", "new"), 3, &["is no backup"]);
    failure(&restore("nowhere", "new"), 3, &["nowhere"]);
    failure(&restore("copy", "copy/new"), 2, &["--data"]);
    let key = vkey(at);
    let arguments = [
        "restore",
        "--original-is-gone",
        "--from",
        "copy",
        "--data",
        "new",
        "--key",
    ];
    let wrong = run(
        at,
        &[&arguments[..], &[vkey(&second.home).as_str()]].concat(),
    );
    failure(&wrong, 3, &["none of the known keys signed it"]);
    success(&run(at, &[&arguments[..], &[key.as_str()]].concat()));
    // A backup that was changed is restored as it is, and said to be damaged.
    let segment: PathBuf = at.join("copy/log/00000000000000000000.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[400] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let damaged = restore("copy", "damaged");
    assert_eq!(damaged.status.code(), Some(1), "{}", text(&damaged.stderr));
    assert!(
        text(&damaged.stderr).contains("does not verify"),
        "{}",
        text(&damaged.stderr)
    );
}
