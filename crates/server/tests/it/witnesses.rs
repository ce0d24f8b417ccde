//! Witnesses of a running server: honest ones, hostile ones, and a data directory that was put
//! back from a copy.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use audittrail_checkpoint::{CosignerKey, Met, Note, Policy, TlogProof, VerifierKey};
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::support::{BINARY, DEADLINE, Server, command, repository, start, success, text};
use crate::watching::{Witness, copy, policy, refused, vkey};

async fn post(server: &Server, count: usize) -> String {
    let entries: Vec<Value> = (0..count)
        .map(|n| json!({"action": "a", "details": {"n": n}}))
        .collect();
    let (status, answer) = server.post("/logs/?ack=published", &json!(entries)).await;
    assert_eq!(
        (status.as_u16(), &answer["ack"]),
        (201, &json!("published")),
        "{answer}"
    );
    answer["results"][0]["id"].as_str().unwrap().to_owned()
}

async fn get(server: &Server, path: &str) -> String {
    let answer = server.request(Method::GET, path).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.unwrap()
}

/// Asks again until the answer is one that is waited for.
async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(began.elapsed() < DEADLINE, "{what} did not come");
        tokio::task::yield_now().await;
    }
}

/// A log with one witness; the server runs with the policy that both are in.
struct Watched {
    home: TempDir,
    server: Server,
    witness: Witness,
    policy: PathBuf,
    key: VerifierKey,
}

impl Watched {
    fn new() -> Self {
        let (home, server) = start();
        server.stop();
        let log = vkey(home.path());
        let witness = Witness::start(home.path(), &[&log]);
        let lines = format!("witness w {} {}\nquorum w\n", witness.vkey, witness.url);
        let policy = policy(home.path(), &[&log], "policy", &lines);
        let server = Server::start_with(home.path(), &[witnesses(&policy)]);
        Self {
            key: VerifierKey::parse(&log).unwrap(),
            home,
            server,
            witness,
            policy,
        }
    }

    fn met(&self, note: &str) -> Option<Met> {
        let policy = Policy::parse(&std::fs::read(&self.policy).unwrap()).unwrap();
        policy
            .check(note.as_bytes(), std::slice::from_ref(&self.key))
            .ok()
    }

    /// The checkpoint of this size, once the witness has cosigned it.
    async fn cosigned(&self, size: u64) -> String {
        until("the cosignature", async || {
            let note = get(&self.server, "/checkpoint").await;
            let met = self.met(&note)?;
            (met.checkpoint.head.size == size).then_some(note)
        })
        .await
    }
}

fn witnesses(policy: &Path) -> (&'static str, &str) {
    ("AUDITTRAIL_WITNESSES", policy.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_and_proofs_are_cosigned() {
    let watched = Watched::new();
    let server = &watched.server;
    let id = post(server, 300).await;
    let note = watched.cosigned(300).await;
    // From the size that it knows now.
    post(server, 211).await;
    watched.cosigned(511).await;
    let proof = get(server, &format!("/logs/{id}/proof/")).await;
    let proof = TlogProof::parse(proof.as_bytes()).unwrap();
    assert!(
        watched.met(&proof.checkpoint).is_some(),
        "{}",
        proof.checkpoint
    );
    // A client of the specifications alone finds the cosignature, in both.
    let prove = success(&server.run("prove").arg(&id).output().unwrap());
    std::fs::write(watched.home.path().join("proof"), prove).unwrap();
    let mut client = command("python3");
    client
        .arg(repository("testdata/interop/tlog_client.py"))
        .arg(&server.url);
    client.args([
        "--vkey",
        &watched.key.to_string(),
        "--cosigner",
        &watched.witness.vkey,
    ]);
    client
        .args(["--proof", "proof", "--id", &id])
        .current_dir(watched.home.path());
    let token = server.token(&["--sub", "monitor", "--role", "auditor"]);
    client
        .env("TLOG_TOKEN", token)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env_remove("http_proxy");
    let said = success(&client.output().unwrap());
    let name = CosignerKey::parse(&watched.witness.vkey)
        .unwrap()
        .name()
        .to_owned();
    assert!(said.contains(&format!("cosigned by {name}")), "{said}");
    let label = "audittrail_witness_entries{witness=\"w\"}";
    assert_eq!(server.metric(label).await, 511.0);
    assert_eq!(server.metric("audittrail_cosigned_entries").await, 511.0);
    check_restart(watched, &note).await;
}

/// What was cosigned is kept, and losing it loses nothing.
async fn check_restart(watched: Watched, earlier: &str) {
    let kept = watched.server.data().join("cosigned");
    let at_least = |note: &str| watched.met(note).map(|met| met.checkpoint.head.size);
    let on_disk = until("the kept checkpoint", async || {
        let note = std::fs::read_to_string(&kept).ok()?;
        (at_least(&note) == Some(511)).then_some(note)
    })
    .await;
    let Watched {
        home,
        server,
        witness,
        policy,
        key,
    } = watched;
    server.stop();
    // Something else in its place is not believed.
    for bytes in [
        b"nonsense".to_vec(),
        on_disk.replace("511", "512").into_bytes(),
    ] {
        std::fs::write(&kept, bytes).unwrap();
        Server::start_with(home.path(), &[witnesses(&policy)]).stop();
    }
    std::fs::write(&kept, earlier).unwrap();
    witness.stop();
    let mut fsck = command(BINARY);
    success(&fsck.arg("fsck").current_dir(home.path()).output().unwrap());
    // Without its witness the log goes on, and shows what it had.
    let server = Server::start_with(home.path(), &[witnesses(&policy)]);
    assert_eq!(server.metric("audittrail_cosigned_entries").await, 300.0);
    let id = post(&server, 1).await;
    let proof = get(&server, &format!("/logs/{id}/proof/")).await;
    let proof = TlogProof::parse(proof.as_bytes()).unwrap();
    let note = Note::parse(proof.checkpoint.as_bytes()).unwrap();
    assert!(note.verify(&[key]).is_ok() && note.signatures.len() == 1);
    server.stop();
}

/// Two installations, each with a log and a witness of the other's log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_watch_each_other() {
    let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let keys = [0, 1].map(|one: usize| {
        Server::start(homes[one].path()).stop();
        vkey(homes[one].path())
    });
    let watching = [0, 1].map(|one: usize| Witness::start(homes[one].path(), &[&keys[1 - one]]));
    let policies = [0, 1].map(|one: usize| {
        let by = &watching[1 - one];
        let lines = format!("witness other {} {}\nquorum other\n", by.vkey, by.url);
        policy(homes[one].path(), &[&keys[one]], "policy", &lines)
    });
    let servers = [0, 1]
        .map(|one: usize| Server::start_with(homes[one].path(), &[witnesses(&policies[one])]));
    for (one, server) in servers.iter().enumerate() {
        post(server, 3 + one).await;
        let policy = Policy::parse(&std::fs::read(&policies[one]).unwrap()).unwrap();
        let size = until("the other's cosignature", async || {
            let note = get(server, "/checkpoint").await;
            let met = policy.check(note.as_bytes(), &[]).ok()?;
            (met.checkpoint.head.size > 0).then_some(met.checkpoint.head.size)
        })
        .await;
        assert_eq!(size, 3 + one as u64);
    }
    servers.into_iter().for_each(Server::stop);
}

/// Data that was put back from a copy signs no second history.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_backup_is_refused() {
    let watched = Watched::new();
    post(&watched.server, 5).await;
    watched.cosigned(5).await;
    let Watched {
        home,
        server,
        witness,
        policy,
        ..
    } = watched;
    let (data, backup) = (
        home.path().join("audittrail-data"),
        home.path().join("backup"),
    );
    server.stop();
    copy(&data, &backup);
    let mark = home.path().join("mark");
    let marked = ("AUDITTRAIL_WATERMARK", mark.to_str().unwrap());
    let server = Server::start_with(home.path(), &[witnesses(&policy), marked]);
    post(&server, 7).await;
    until("the cosignature", async || {
        let entries = server
            .metric("audittrail_witness_entries{witness=\"w\"}")
            .await;
        (entries == 12.0).then_some(())
    })
    .await;
    server.stop();
    let restore = || {
        std::fs::remove_dir_all(&data).unwrap();
        copy(&backup, &data);
    };
    let says = |settings: &[(&str, &str)], words: &[&str]| {
        let output = refused(home.path(), settings);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{said}");
        words
            .iter()
            .for_each(|word| assert!(said.contains(word), "{word}: {said}"));
    };
    // The newest data starts with both.
    Server::start_with(home.path(), &[witnesses(&policy), marked]).stop();
    restore();
    let before = std::fs::read(data.join("checkpoint")).unwrap();
    says(
        &[witnesses(&policy)],
        &["witness w", "size 12", "only 5 entries", "newest data back"],
    );
    says(
        &[marked],
        &["watermark", "had 12 entries", "only 5", "newest data back"],
    );
    assert_eq!(
        std::fs::read(data.join("checkpoint")).unwrap(),
        before,
        "nothing was signed"
    );
    // With neither it goes on with a second history, which both see from then on: at a size that
    // is not above theirs, and above it.
    for more in [3, 20] {
        let server = Server::start(home.path());
        post(&server, more).await;
        server.stop();
        if more == 20 {
            says(&[witnesses(&policy)], &["witness w", "another history"]);
            says(&[marked], &["watermark", "another history up to size 12"]);
        } else {
            says(&[witnesses(&policy)], &["size 12", "only 8"]);
        }
    }
    // A witness that sees it only later does not cosign it, and the log's readers can tell.
    witness.kill();
    // A watermark that is none.
    std::fs::write(&mark, "nonsense\n").unwrap();
    says(&[marked], &["watermark", "is not a checkpoint of this log"]);
    std::fs::remove_file(&mark).unwrap();
    Server::start_with(home.path(), &[marked]).stop();
    assert!(std::fs::read_to_string(&mark).unwrap().contains("\n28\n"));
}

/// A witness that answers whatever this gives, for ever.
async fn hostile(answer: impl Fn(usize) -> Response + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = std::sync::atomic::AtomicUsize::new(0);
    let shared = Arc::new((answer, count));
    let respond = move || {
        let number = shared.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let response = (shared.0)(number);
        async move { response }
    };
    let router = Router::new().fallback(respond);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

fn size(size: impl std::fmt::Display) -> Response {
    let kind = [("content-type", "text/x.tlog.size")];
    (StatusCode::CONFLICT, kind, format!("{size}\n")).into_response()
}

/// Knows nothing at the server's start, and from then on takes requests and answers nothing.
async fn hanging() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let respond = move || {
        let first = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        async move {
            if !first {
                std::future::pending::<()>().await;
            }
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    let router = Router::new().fallback(respond);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hostile_witnesses_do_no_harm() {
    let (home, server) = start();
    // Checkpoints that a size hint can be about.
    post(&server, 10).await;
    server.stop();
    let log = vkey(home.path());
    let good = Witness::start(home.path(), &[&log]);
    let flood = || "\u{2014} w AAAAAAAA\n".repeat(1 << 16).into_response();
    let urls = [
        ("hangs", hanging().await),
        ("floods", hostile(move |_| flood()).await),
        ("hints", hostile(|number| size(1 + number % 2)).await),
        ("repeats", hostile(|_| size(3)).await),
        (
            "unreadable",
            hostile(|_| (StatusCode::CONFLICT, "5\n").into_response()).await,
        ),
        (
            "unknown",
            hostile(|_| StatusCode::NOT_FOUND.into_response()).await,
        ),
        (
            "untrusting",
            hostile(|_| StatusCode::FORBIDDEN.into_response()).await,
        ),
        (
            "broken",
            hostile(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()).await,
        ),
        (
            "elsewhere",
            hostile(|_| (StatusCode::FOUND, [("location", "/x")]).into_response()).await,
        ),
        ("empty", hostile(|_| StatusCode::OK.into_response()).await),
        ("nobody", "http://127.0.0.1:1".to_owned()),
    ];
    let mut lines = format!("witness good {} {}/\n", good.vkey, good.url);
    for (number, (name, url)) in urls.iter().enumerate() {
        let key = audittrail_checkpoint::Cosigner::from_seed(name, [number as u8 + 1; 32]).unwrap();
        lines.push_str(&format!("witness {name} {} {url}\n", key.verifier()));
    }
    let policy = policy(
        home.path(),
        &[&log],
        "policy",
        &format!("{lines}quorum good\n"),
    );
    let server = Server::start_with(home.path(), &[witnesses(&policy)]);
    // Entries are taken and published while some of them hang.
    let mut id = String::new();
    for _ in 0..4 {
        let entries = json!([{"action": "a"}, {"action": "b"}]);
        for _ in 0..20 {
            let (status, answer) = server.post("/logs/", &entries).await;
            assert_eq!(status, 201, "{answer}");
        }
        id = post(&server, 5).await;
    }
    let policy = Policy::parse(&std::fs::read(&policy).unwrap()).unwrap();
    let note = until("the good cosignature", async || {
        let note = get(&server, "/checkpoint").await;
        policy.check(note.as_bytes(), &[]).is_ok().then_some(note)
    })
    .await;
    // The log's signature and one cosignature: nothing of the others got in.
    assert_eq!(Note::parse(note.as_bytes()).unwrap().signatures.len(), 2);
    let proof = get(&server, &format!("/logs/{id}/proof/")).await;
    let proof = TlogProof::parse(proof.as_bytes()).unwrap();
    assert!(policy.check(proof.checkpoint.as_bytes(), &[]).is_ok());
    for (witness, outcome) in [
        ("floods", "too-large"),
        ("hints", "conflict"),
        ("repeats", "conflict"),
        ("unreadable", "conflict"),
        ("unknown", "unknown-log"),
        ("untrusting", "unsigned"),
        ("broken", "status"),
        ("elsewhere", "redirect"),
        ("empty", "invalid"),
        ("nobody", "unreachable"),
    ] {
        let labels = format!("witness=\"{witness}\",outcome=\"{outcome}\"");
        let count = server
            .metric(&format!("audittrail_witness_requests_total{{{labels}}}"))
            .await;
        // Three answers at start and three for a checkpoint at most, then a pause.
        assert!(count >= 1.0, "{labels} {count}");
    }
    server.stop();
}

#[test]
fn policies_that_are_not_of_this_log() {
    let (home, server) = start();
    server.stop();
    let home = home.path();
    let own = vkey(home);
    let other = audittrail_checkpoint::Signer::from_seed("other", [1; 32]).unwrap();
    let other = other.verifier().to_string();
    let w = audittrail_checkpoint::Cosigner::from_seed("w", [1; 32]).unwrap();
    let line = |url: &str| format!("witness w {} {url}\nquorum w\n", w.verifier());
    let bad = [
        (
            policy(home, &[&other], "a", "quorum none\n"),
            "none of them",
        ),
        (
            policy(home, &[&own], "b", &line("w.example")),
            "submission prefix",
        ),
        (
            policy(home, &[&own], "c", "quorum w\n"),
            "line 2: w is not defined",
        ),
        (home.join("none"), "cannot be read"),
    ];
    for (path, says) in bad {
        let output = refused(home, &[witnesses(&path)]);
        let said = text(&output.stderr);
        assert!(
            output.status.code() == Some(2) && said.contains(says),
            "{said}"
        );
    }
    for logs in [
        vec![],
        vec![own.as_str()],
        vec![other.as_str(), own.as_str()],
    ] {
        let path = policy(home, &logs, "good", &line(""));
        Server::start_with(home, &[witnesses(&path)]).stop();
    }
}

/// One that claims to have seen more is named, and the way out works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_that_claims_more_is_named() {
    let (home, server) = start();
    post(&server, 3).await;
    server.stop();
    let key = audittrail_checkpoint::Cosigner::from_seed("w", [1; 32]).unwrap();
    for (says, url) in [
        ("size 4, and there are only 3", hostile(|_| size(4)).await),
        (
            "another history",
            hostile(|number| match number {
                0 => size(2),
                _ => StatusCode::UNPROCESSABLE_ENTITY.into_response(),
            })
            .await,
        ),
    ] {
        let lines = format!("witness liar {} {url}\nquorum none\n", key.verifier());
        let path = policy(home.path(), &[], "policy", &lines);
        let output = refused(home.path(), &[witnesses(&path)]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(
            said.contains("witness liar") && said.contains(says),
            "{said}"
        );
        let path = policy(home.path(), &[], "policy", "quorum none\n");
        Server::start_with(home.path(), &[witnesses(&path)]).stop();
    }
}
