//! A log between a data directory and MongoDB, there and back.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use mongodb::bson::{Document, doc};
use mongodb::options::ClientOptions;
use mongodb::{Client, Database};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::mongod::new_database;
use crate::support::{BINARY, Server, command, repository, start, success, text};
use crate::watching::refused;

fn run(home: &Path, arguments: &[&str]) -> Output {
    let mut run = command(BINARY);
    run.args(arguments).current_dir(home).output().unwrap()
}

fn failure(output: &Output, code: i32, words: &[&str]) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{word}: {said}");
    }
}

fn copy(home: &Path, from: &str, to: &str, more: &[&str]) -> Output {
    run(
        home,
        &[&["copy", "--from", from, "--to", to], more].concat(),
    )
}

fn summary(output: &Output) -> Value {
    serde_json::from_str(&success(output)).unwrap()
}

/// Entries of many kinds: all members and few, many scripts, long ones, tenants.
async fn post(server: &Server, batches: usize) {
    for batch in 0..batches {
        let entries: Vec<Value> = (0..500)
            .map(|n| match n % 5 {
                0 => json!({"action": "door.open"}),
                1 => {
                    json!({"action": "übung.ответ", "user_id": "Ünï\u{1f680}", "outcome": "denied"})
                }
                2 => json!({"action": "a", "details": {"n": n, "deep": {"b": [1, {"c": null}]},
                            "text": "x".repeat(n)}}),
                3 => {
                    json!({"action": "t", "tenant": format!("t{}", n % 3), "resource": "r/\"q\"\\",
                            "source_ip": "2001:db8::7", "outcome": "success"})
                }
                _ => json!({"action": "old", "timestamp": "1999-12-31T23:59:59.000000001Z",
                            "user_id": format!("u{batch}")}),
            })
            .collect();
        let (status, body) = server.post("/logs/?ack=published", &json!(entries)).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
    }
}

/// A log of so many thousand entries in `home/audittrail-data`, at rest; its verifier key.
async fn log(thousands: usize) -> (tempfile::TempDir, String) {
    let (home, server) = start();
    post(&server, thousands * 2).await;
    server.stop();
    let key = success(&run(home.path(), &["keys", "show"]));
    (home, key.trim().to_owned())
}

/// Ids, leaf hashes and root, with every signature and commitment checked, as a program that shares no code with the
/// server reads them.
fn records(data: &Path) -> String {
    let mut read = command("python3");
    read.arg(repository("testdata/read_log.py"))
        .arg(data)
        .arg("--leaves");
    success(&read.output().unwrap())
}

/// Every entry with its salt, sealed part and signature.
fn exported(server: &Server) -> String {
    let mut export = server.run("export");
    export.args(["--format", "evidence"]);
    let lines = success(&export.output().unwrap());
    // The first line has the time of the export.
    lines.lines().skip(1).collect::<Vec<_>>().join("\n")
}

fn bring_keys(home: &Path, from: &str, to: &str) {
    for key in ["signing.key", "checkpoint.key", "jwt.secret"] {
        let name = format!("keys/{key}");
        std::fs::copy(home.join(from).join(&name), home.join(to).join(&name)).unwrap();
    }
}

async fn database(url: &str) -> Database {
    let options = ClientOptions::parse(url).await.unwrap();
    let name = options.default_database.clone().unwrap();
    Client::with_options(options).unwrap().database(&name)
}

async fn head(url: &str) -> Document {
    let head = database(url).await.collection::<Document>("head");
    head.find_one(doc! {}).await.unwrap().unwrap()
}

async fn count(url: &str) -> u64 {
    let entries = database(url).await.collection::<Document>("entries");
    entries.count_documents(doc! {}).await.unwrap()
}

fn checkpoint(data: &Path) -> String {
    std::fs::read_to_string(data.join("checkpoint")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_goes_to_mongodb_and_comes_back_as_it_was() {
    let (home, key) = log(3).await;
    let (home, url) = (home.path(), new_database().await);
    let data = home.join("audittrail-data");
    let to = copy(home, "audittrail-data", &url, &["--json", "--retire"]);
    let report = summary(&to);
    assert_eq!(
        (&report["entries"], &report["new_entries"]),
        (&json!(3000), &json!(3000))
    );
    let said = text(&to.stderr);
    for word in ["AUDITTRAIL_CHECKPOINT_KEY", "LOG_SIGNING_KEY", "is retired"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(!said.contains("not checked"), "{said}");
    let kept = head(&url).await;
    let note = kept.get_document("checkpoint").unwrap().get_str("note");
    assert_eq!(note.unwrap(), checkpoint(&data));
    assert!(kept.get("closed").is_none());

    // The old place is closed, says why, and is copied nowhere else.
    let why = refused(home, &[]);
    failure(
        &why,
        3,
        &["was moved to mongodb://127.0.0.1", "two histories"],
    );
    failure(
        &copy(home, "audittrail-data", "other", &[]),
        3,
        &["was moved to"],
    );
    assert_eq!(
        summary(&copy(home, "audittrail-data", &url, &["--json"]))["new_entries"],
        0
    );

    // Without the signing key, and with the verifier key alone.
    let back = copy(home, &url, "back", &["--key", &key]);
    let said = text(&back.stderr);
    assert!(success(&back).contains("3000 entries"), "{said}");
    for word in [
        "signatures of entries were not checked",
        "signing.key and checkpoint.key",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let again = home.join("back");
    bring_keys(home, "audittrail-data", "back");
    assert_eq!(records(&data), records(&again));
    assert_eq!(checkpoint(&data), checkpoint(&again));
    let fsck = run(home, &["fsck", "--data", "back"]);
    let said = success(&fsck);
    assert!(
        said.contains("3000 entries read") && said.contains("everything verifies"),
        "{said}"
    );

    // Salts, sealed parts and signatures too: evidence shows all of them.
    std::fs::remove_file(data.join("moved")).unwrap();
    let server = Server::start(home);
    let before = exported(&server);
    server.stop();
    let server = Server::start_with(home, &[("AUDITTRAIL_DATA", "back")]);
    assert!(before == exported(&server), "the evidence differs");
    // And the log goes on, by what was posted and the export itself.
    post(&server, 1).await;
    server.stop();
    failure(
        &copy(home, &url, "back", &["--key", &key]),
        3,
        &["is ahead", "3501"],
    );
    let forth = summary(&copy(home, "back", &url, &["--json"]));
    assert_eq!(
        (&forth["entries"], &forth["new_entries"]),
        (&json!(3501), &json!(501))
    );
    assert_eq!(forth["checkpoint_size"], 3501);

    // From database to database, with the key that the first one names, and then closed.
    let second = new_database().await;
    let moved = copy(home, &url, &second, &["--retire"]);
    assert!(success(&moved).contains("3501 of them new"));
    assert!(text(&moved.stderr).contains(&format!("compare it with one from elsewhere: {key}")));
    assert_eq!(
        head(&url)
            .await
            .get_document("closed")
            .unwrap()
            .get_str("why")
            .unwrap(),
        "moved"
    );
    failure(
        &copy(home, &url, "third", &[]),
        3,
        &["was moved to mongodb://"],
    );
    // What was closed is opened by moving the log back.
    success(&copy(home, &second, &url, &["--retire"]));
    assert!(head(&url).await.get("closed").is_none());
}

/// Killed at several moments, in both directions: nobody goes on with what is there, and the next
/// run does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_was_killed_goes_on() {
    let (home, key) = log(5).await;
    let (home, url) = (home.path(), new_database().await);
    let spawn = |from: &str, to: &str| {
        let mut copy = command(BINARY);
        copy.args(["copy", "--from", from, "--to", to, "--key", &key]);
        copy.current_dir(home)
            .stderr(Stdio::null())
            .stdout(Stdio::null());
        copy.spawn().unwrap()
    };
    // After the first commit, and then at once after one more.
    for beyond in [0, 2_000] {
        let mut child = spawn("audittrail-data", &url);
        while count(&url).await <= beyond && child.try_wait().unwrap().is_none() {}
        child.kill().unwrap();
        child.wait().unwrap();
        // Nobody need wait for the lease of the one that is gone, but for one run that shows it.
        if beyond == 0 {
            let heads = database(&url).await.collection::<Document>("head");
            let ended = doc! { "$unset": { "lease": "" } };
            heads.update_one(doc! {}, ended).await.unwrap();
        }
    }
    let closed = head(&url).await;
    if let Ok(closed) = closed.get_document("closed") {
        assert_eq!(closed.get_str("why").unwrap(), "copying");
        failure(
            &copy(home, &url, "elsewhere", &["--key", &key]),
            3,
            &["was not finished"],
        );
        let worker = run(
            home,
            &[
                "copy",
                "--from",
                "audittrail-data",
                "--to",
                &url,
                "--key",
                &key,
                "--json",
            ],
        );
        assert_eq!(summary(&worker)["entries"], 5000);
    } else {
        assert_eq!(closed.get_i64("size").unwrap(), 5000);
    }
    assert_eq!(count(&url).await, 5000);

    let segments = |to: &str| -> u64 {
        let log = std::fs::read_dir(home.join(to).join("log"));
        let files = log.into_iter().flatten().flatten();
        files
            .map(|file| file.metadata().map_or(0, |file| file.len()))
            .sum()
    };
    let mut closed = 0;
    for beyond in [0, 100, 1_000_000] {
        let mut child = spawn(&url, "back");
        while segments("back") <= beyond && child.try_wait().unwrap().is_none() {}
        child.kill().unwrap();
        child.wait().unwrap();
        if home.join("back/backup").exists() {
            closed += 1;
            let why = refused(home, &[("AUDITTRAIL_DATA", "back")]);
            failure(&why, 3, &["was not finished", "audittrail copy"]);
        }
    }
    assert!(closed > 0, "none was killed in the middle");
    success(&copy(home, &url, "back", &["--key", &key]));
    bring_keys(home, "audittrail-data", "back");
    assert_eq!(
        records(&home.join("audittrail-data")),
        records(&home.join("back"))
    );
    assert!(!home.join("back/backup").exists());
    let said = success(&run(home, &["fsck", "--data", "back"]));
    assert!(said.contains("everything verifies"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_verify_is_not_copied() {
    let (home, key) = log(1).await;
    let (home, url) = (home.path(), new_database().await);
    success(&copy(home, "audittrail-data", &url, &[]));

    // In MongoDB: a leaf, a sealed part, a signature, an entry that is gone. Each is named, and what
    // stands before it is copied.
    let entries = database(&url).await.collection::<Document>("entries");
    let original = entries
        .find_one(doc! { "_id": 701_i64 })
        .await
        .unwrap()
        .unwrap();
    let names: Vec<&String> = original.keys().collect();
    let binaries = original
        .iter()
        .filter(|(_, value)| value.as_null().is_none());
    let binaries: Vec<String> = binaries
        .filter(|(name, value)| {
            let kind = value.element_type();
            *name != "id" && kind == mongodb::bson::spec::ElementType::Binary
        })
        .map(|(name, _)| name.clone())
        .collect();
    assert!(binaries.len() >= 3, "{names:?}");
    let signing = std::fs::read_to_string(home.join("audittrail-data/keys/signing.key")).unwrap();
    let with_key = |to: &str| {
        let mut copy = command(BINARY);
        copy.args(["copy", "--from", &url, "--to", to, "--key", &key]);
        copy.env("LOG_SIGNING_KEY", signing.trim());
        copy.current_dir(home).output().unwrap()
    };
    for (n, name) in binaries.iter().enumerate() {
        let mut changed = original.clone();
        let Some(mongodb::bson::Bson::Binary(binary)) = changed.get_mut(name) else {
            panic!("{name}");
        };
        binary.bytes[0] ^= 1;
        let replace = entries.replace_one(doc! { "_id": 701_i64 }, &changed);
        let into = format!("d{n}");
        replace.await.unwrap();
        let output = with_key(&into);
        failure(
            &output,
            1,
            &["entry 701 of --from does not verify", "run this again"],
        );
        failure(
            &refused(home, &[("AUDITTRAIL_DATA", &into)]),
            3,
            &["was not finished"],
        );
    }
    entries
        .replace_one(doc! { "_id": 701_i64 }, &original)
        .await
        .unwrap();
    // It is put back, and the copy goes on behind what there is.
    let on = with_key("d0");
    assert!(
        success(&on).contains("299 of them new"),
        "{}",
        text(&on.stdout)
    );

    // Another signing key, another verifier key, and none that fits.
    let mut other = command(BINARY);
    other.args(["copy", "--from", "audittrail-data", "--to", "no", "--json"]);
    other.env("LOG_SIGNING_KEY", "another key of thirty-two bytes or so");
    failure(
        &other.current_dir(home).output().unwrap(),
        1,
        &["entry 0 of --from"],
    );
    let (elsewhere, foreign) = log(1).await;
    failure(
        &copy(home, "audittrail-data", "no2", &["--key", &foreign]),
        3,
        &["audittrail-data"],
    );
    failure(
        &copy(home, &url, "no2", &["--key", &foreign]),
        3,
        &["has the log"],
    );

    // A target with another log, in either place, and one that is something else.
    let from = elsewhere.path().join("audittrail-data");
    let from = from.to_str().unwrap();
    failure(&copy(home, from, &url, &[]), 3, &["has the log"]);
    failure(&copy(home, from, "d0", &[]), 3, &["d0"]);
    std::fs::create_dir(home.join("thesis")).unwrap();
    std::fs::write(home.join("thesis/chapter"), "1").unwrap();
    failure(
        &copy(home, from, "thesis", &[]),
        3,
        &["neither empty nor", "chapter"],
    );
    failure(&copy(home, "thesis", "no3", &[]), 3, &["there is no key"]);
    let nothing = new_database().await;
    failure(&copy(home, &nothing, "no3", &[]), 3, &["there is no log"]);
    failure(&copy(home, &url, &url, &[]), 2, &["itself"]);
    failure(&copy(home, "d0", "d0/inside", &[]), 2, &["in the other"]);

    // A damaged data directory: the entry is named as well.
    let (damaged, _) = log(1).await;
    let segment = damaged.path().join("audittrail-data/log");
    let segment = std::fs::read_dir(segment)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let output = copy(damaged.path(), "audittrail-data", &nothing, &[]);
    failure(&output, 1, &["entry ", "of --from does not verify"]);
    assert_eq!(
        head(&nothing)
            .await
            .get_document("closed")
            .unwrap()
            .get_str("why")
            .unwrap(),
        "copying"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_use_is_waited_for_and_passwords_are_not_shown() {
    let (home, server) = start();
    post(&server, 1).await;
    let url = new_database().await;
    let home_path: PathBuf = home.path().to_owned();
    let home = home_path.as_path();
    // A server has the data directory.
    failure(
        &copy(home, "audittrail-data", &url, &[]),
        3,
        &["is using", "stop it first"],
    );
    server.stop();
    success(&copy(home, "audittrail-data", &url, &[]));

    // Another process leads: it is waited for a bit longer than a lease, and then named.
    let heads = database(&url).await.collection::<Document>("head");
    let lead = doc! { "$set": { "lease": { "owner": mongodb::bson::Binary {
    subtype: mongodb::bson::spec::BinarySubtype::Generic, bytes: vec![7; 16] },
    "until": mongodb::bson::DateTime::from_millis(i64::from(i32::MAX) * 1000) } } };
    heads.update_one(doc! {}, lead).await.unwrap();
    failure(
        &copy(home, "audittrail-data", &url, &[]),
        3,
        &["led by another process", "Stop"],
    );

    // A server that is not there, with a password in each way it can be given.
    let away = "mongodb://127.0.0.1:1/log?directConnection=true";
    let with = "mongodb://auditor:s%40cret-word@127.0.0.1:1/log?directConnection=true";
    for (to, name, password) in [
        (with, None, None),
        (away, Some("auditor"), Some("s@cret-word")),
        (
            "mongodb://auditor:s%40cret-word@127.0.0.1:x/log",
            None,
            None,
        ),
        ("https://auditor:s%40cret-word@127.0.0.1", None, None),
        (with, Some("eve"), None),
    ] {
        let mut copy = command(BINARY);
        copy.args(["copy", "--from", "audittrail-data", "--to", to]);
        name.map(|name| copy.env("MONGO_USERNAME", name));
        password.map(|password| copy.env("MONGO_PASSWORD", password));
        let output = copy.current_dir(home).output().unwrap();
        assert!(!output.status.success());
        for said in [text(&output.stdout), text(&output.stderr)] {
            assert!(!said.contains("cret-word"), "{to}: {said}");
        }
    }
}
