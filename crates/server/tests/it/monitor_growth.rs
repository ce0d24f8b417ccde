//! `audittrail monitor` on a log that grows, and on one that has another history than it had.

use std::path::Path;

use audittrail_checkpoint::{Checkpoint, VerifierKey};
use audittrail_merkle::{Hash, verify_consistency, verify_inclusion};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::monitoring::{Between, files, serve_files};
use crate::monitoring::{Monitor, Way, output, publish};
use crate::support::{BINARY, Server, command, repository, start, success, text};

fn copy(from: &Path, to: &Path) {
    success(&command("cp").arg("-a").args([from, to]).output().unwrap());
}

/// Across restarts of monitor and log; the state is the log's own note, and the mirror is a log
/// that others can read: another monitor, and a client that was written from specifications.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_grows_stays_good() {
    let (home, mut server) = start();
    let work = tempfile::tempdir().unwrap();
    let mut monitor = Monitor::of(&server, work.path());
    let mut before = Value::Null;
    let mut size = 0;
    for more in [0, 3, 253, 44, 300, 1] {
        if more > 0 {
            publish(&server, more, "door.open").await;
        }
        size += more;
        let said = monitor.good(&["--mirror", "mirror"]).await;
        assert_eq!(said["size"], size);
        assert_eq!(said["previous_size"], before);
        assert_eq!(said["mirrored_entries"], size);
        before = json!(size);
        let note = std::fs::read(server.data().join("checkpoint")).unwrap();
        assert_eq!(std::fs::read(monitor.state()).unwrap(), note);
        if more == 44 {
            server.stop();
            server = Server::start(home.path());
            monitor.url.clone_from(&server.url);
        }
    }
    // Without anything new, and without the mirror.
    assert_eq!(monitor.good(&[]).await["previous_size"], 601);
    assert!(!work.path().join("state.evidence").exists());
    let mut fsck = server.run("fsck");
    fsck.arg("--since").arg(monitor.state());
    assert!(success(&output(fsck).await).contains("everything verifies"));

    let mirror = files(&work.path().join("mirror"));
    let names: Vec<&str> = mirror.keys().map(String::as_str).collect();
    let wanted = [
        "checkpoint",
        "tile/0/000",
        "tile/0/001",
        "tile/0/002.p/88",
        "tile/0/002.p/89",
        "tile/1/000.p/1",
        "tile/1/000.p/2",
        "tile/entries/000",
        "tile/entries/001",
        "tile/entries/002.p/88",
        "tile/entries/002.p/89",
    ];
    assert_eq!(names, wanted);
    server.stop();
    let url = serve_files(&work.path().join("mirror")).await;
    let other = tempfile::tempdir().unwrap();
    let second = Monitor::at(&url, &monitor.key, other.path());
    assert_eq!(second.good(&["--mirror", "again"]).await["size"], 601);
    let again = files(&other.path().join("again"));
    assert!(again.iter().all(|(name, bytes)| mirror[name] == *bytes));
    let mut client = command("python3");
    client
        .arg(repository("testdata/interop/tlog_client.py"))
        .args([&url, "--vkey", &monitor.key])
        .env_remove("http_proxy")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let said = success(&output(client).await);
    assert!(said.contains("601 entries give the root"), "{said}");
}

/// The evidence stands alone: two notes that the log signed, and hashes.
fn check_evidence(
    finding: &Value,
    monitor: &Monitor,
    kind: &str,
) -> (Checkpoint, Checkpoint, Value) {
    let path = monitor.home.join(finding["evidence"].as_str().unwrap());
    let evidence: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(evidence["finding"], kind);
    let keys = [VerifierKey::parse(&monitor.key).unwrap()];
    let open = |name: &str| {
        let note = evidence[name].as_str().unwrap();
        Checkpoint::open(note.as_bytes(), &keys).unwrap()
    };
    (open("earlier"), open("later"), evidence["proof"].clone())
}

fn hash(text: &Value) -> Hash {
    let bytes = STANDARD.decode(text.as_str().unwrap()).unwrap();
    Hash(bytes.try_into().unwrap())
}

fn hashes(texts: &Value) -> Vec<Hash> {
    texts.as_array().unwrap().iter().map(hash).collect()
}

#[tokio::test]
async fn a_restored_backup_is_caught() {
    let (home, server) = start();
    let work = tempfile::tempdir().unwrap();
    publish(&server, 270, "door.open").await;
    server.stop();
    let (data, backup) = (
        home.path().join("audittrail-data"),
        home.path().join("backup"),
    );
    copy(&data, &backup);
    let server = Server::start(home.path());
    publish(&server, 50, "door.close").await;
    let monitor = Monitor::of(&server, work.path());
    let mirror = ["--mirror", "mirror"];
    assert_eq!(monitor.good(&mirror).await["size"], 320);
    let (kept, mirrored) = (
        std::fs::read(monitor.state()).unwrap(),
        files(&work.path().join("mirror")),
    );
    server.kill();
    std::fs::remove_dir_all(&data).unwrap();
    copy(&backup, &data);

    let server = Server::start(home.path());
    let monitor = monitor.before(&server.url);
    let finding = monitor.finds("smaller", &mirror).await;
    let (earlier, later, _) = check_evidence(&finding, &monitor, "smaller");
    assert_eq!((earlier.head.size, later.head.size), (320, 270));

    // As many entries as there were, then more.
    publish(&server, 50, "door.forge").await;
    let finding = monitor.finds("fork", &mirror).await;
    let (earlier, later, _) = check_evidence(&finding, &monitor, "fork");
    assert_eq!((earlier.head.size, later.head.size), (320, 320));
    assert_ne!(earlier.head.root, later.head.root);
    std::fs::remove_dir_all(work.path().join("state.evidence")).unwrap();
    publish(&server, 300, "door.forge").await;
    let finding = monitor.finds("fork", &mirror).await;
    check_proof(&finding, &monitor, 320, 620);

    // What was kept is still there, and so is the mirror.
    assert_eq!(std::fs::read(monitor.state()).unwrap(), kept);
    assert_eq!(files(&work.path().join("mirror")), mirrored);
    // The mirror alone remembers, too.
    std::fs::remove_file(monitor.state()).unwrap();
    monitor.finds("fork", &mirror).await;
    assert!(!monitor.state().exists());
}

/// Anybody can see from the evidence that the later log has another beginning.
fn check_proof(finding: &Value, monitor: &Monitor, from: u64, to: u64) {
    let (earlier, later, proof) = check_evidence(finding, monitor, "fork");
    let (old, new) = (earlier.head, later.head);
    assert_eq!((old.size, new.size), (from, to));
    assert_eq!(proof["index"], from - 1);
    let leaf = hash(&proof["leaf_hash"]);
    verify_inclusion(from - 1, to, &leaf, &hashes(&proof["inclusion"]), &new.root).unwrap();
    let consistency = hashes(&proof["consistency"]);
    verify_consistency(from, to, &consistency, &old.root, &new.root).unwrap_err();
    // It is the log's own proof of growth from that other beginning.
    let other = hash(&proof["earlier_root_as_proven"]);
    assert_ne!(other, old.root);
    verify_consistency(from, to, &consistency, &other, &new.root).unwrap();
}

/// Two servers with the same keys: one is shown to some, the other to others. From 256 entries on,
/// a power of two, where the hashes of a consistency proof alone would prove nothing.
#[tokio::test]
async fn a_second_history_is_caught() {
    let (one_home, one) = start();
    let two_home = tempfile::tempdir().unwrap();
    one.stop();
    let data = "audittrail-data";
    copy(&one_home.path().join(data), &two_home.path().join(data));
    let (one, two) = (
        Server::start(one_home.path()),
        Server::start(two_home.path()),
    );
    publish(&one, 256, "door.open").await;
    publish(&two, 300, "door.open").await;
    let work = tempfile::tempdir().unwrap();
    let monitor = Monitor::of(&one, work.path());
    monitor.good(&[]).await;
    let before = std::fs::read(monitor.state()).unwrap();
    let finding = monitor.before(&two.url).finds("fork", &[]).await;
    check_proof(&finding, &monitor, 256, 300);
    // The same finding again has the same evidence, and the first log is still good.
    let again = monitor.before(&two.url).finds("fork", &[]).await;
    assert_eq!(again["evidence"], finding["evidence"]);
    assert_eq!(std::fs::read(monitor.state()).unwrap(), before);
    publish(&one, 10, "door.open").await;
    assert_eq!(monitor.good(&[]).await["previous_size"], 256);
}

/// Tiles that were changed on their way are no proof of a fork, nor of growth.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tiles_changed_on_their_way_prove_nothing() {
    let (_home, server) = start();
    let work = tempfile::tempdir().unwrap();
    publish(&server, 300, "door.open").await;
    let monitor = Monitor::of(&server, work.path());
    monitor.good(&[]).await;
    let kept = std::fs::read(monitor.state()).unwrap();
    publish(&server, 330, "door.open").await;
    for tile in ["tile/0/001", "tile/0/002.p/118", "tile/1/000.p/2"] {
        let between = Between::new(&server.url, move |path| {
            let last = |mut bytes: Vec<u8>| {
                bytes.iter_mut().for_each(|byte| *byte ^= 1);
                bytes
            };
            if path == tile {
                Way::Change(last)
            } else {
                Way::Pass
            }
        });
        let between = between.await;
        let finding = monitor.before(&between.url).finds("unproven", &[]).await;
        assert!(between.asked().contains(&tile.to_owned()));
        let (earlier, later, _) = check_evidence(&finding, &monitor, "unproven");
        assert_eq!((earlier.head.size, later.head.size), (300, 630));
        assert_eq!(std::fs::read(monitor.state()).unwrap(), kept);
    }
    monitor.good(&[]).await;
}

#[tokio::test]
async fn what_cannot_be_monitored() {
    let (_home, server) = start();
    let (_other_home, other) = start();
    publish(&server, 1, "door.open").await;
    let work = tempfile::tempdir().unwrap();
    let monitor = Monitor::of(&server, work.path());
    let foreign = Monitor::of(&other, work.path());
    let run = |arguments: &[&str]| {
        let mut run = command(BINARY);
        run.args(["monitor"])
            .args(arguments)
            .current_dir(work.path());
        let output = run.output().unwrap();
        assert!(output.stdout.is_empty());
        (output.status.code().unwrap(), text(&output.stderr))
    };
    let (url, key) = (server.url.as_str(), monitor.key.as_str());
    let cases: [(&[&str], &str); 10] = [
        (
            &[url, "--key", key, "--metrics-listen", "here"],
            "metrics-listen",
        ),
        (&[url], "--key"),
        (&["--key", key], "URL"),
        (&[url, "--key", "a+b+c"], "key"),
        (&[url, "--key", key, "--key", &foreign.key], "several logs"),
        (&["ftp://log", "--key", key], "http://"),
        (&[url, "--key", key, "--once", "--interval", "5s"], "--once"),
        (&[url, "--key", key, "--interval", "5"], "15s"),
        (&[url, "--key", key, "--webhook", "here"], "webhook"),
        (&[url, "--key", key, "--max-age", "soon"], "max-age"),
    ];
    for (arguments, says) in cases {
        let (code, said) = run(arguments);
        assert!(code == 2 && said.contains(says), "{arguments:?}: {said}");
    }
    assert_eq!(std::fs::read_dir(work.path()).unwrap().count(), 0);
    // No token; then the state of another log, which is not written over.
    let (code, said) = run(&[url, "--key", key, "--once"]);
    assert!(code == 3 && said.contains("401"), "{said}");
    foreign.good(&["--mirror", "mirror"]).await;
    let kept = std::fs::read(monitor.state()).unwrap();
    let (code, said) = run(&[url, "--key", key, "--once", "--state", "state"]);
    assert!(code == 2 && said.contains("not written over"), "{said}");
    let (code, said) = run(&[url, "--key", key, "--once", "--mirror", "mirror"]);
    assert!(code == 2 && said.contains("mirror/checkpoint"), "{said}");
    assert_eq!(std::fs::read(monitor.state()).unwrap(), kept);
}
