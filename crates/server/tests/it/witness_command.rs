//! `audittrail witness`: each answer of C2SP tlog-witness, from a running process.

use std::path::Path;

use audittrail_checkpoint::{AddCheckpoint, Checkpoint, CosignerKey, Note, Signer};
use audittrail_merkle::{Edge, Hash, TreeHead, leaf_hash};
use reqwest::StatusCode;
use sha2::{Digest as _, Sha256};

use crate::support::{BINARY, command, start, text};
use crate::watching::{Witness, not_started, policy};

const ORIGIN: &str = "example.com/log";

fn log(seed: u8) -> Signer {
    Signer::from_seed(ORIGIN, [seed; 32]).unwrap()
}

/// Leaves of one hash: the proofs below are written by hand.
fn head(size: u64) -> TreeHead {
    let mut edge = Edge::new();
    (0..size).for_each(|at| edge.push(leaf_hash(&[at as u8])));
    edge.head()
}

fn leaf(at: u8) -> Hash {
    leaf_hash(&[at])
}

fn signed(head: TreeHead, by: &Signer) -> String {
    let checkpoint = Checkpoint {
        origin: by.verifier().name().to_owned(),
        head,
        extensions: Vec::new(),
    };
    checkpoint.sign(&[by]).unwrap()
}

fn request(old: u64, proof: &[Hash], checkpoint: String) -> String {
    let proof = proof.to_vec();
    AddCheckpoint {
        old,
        proof,
        checkpoint,
    }
    .to_string()
}

#[tokio::test]
async fn every_answer() {
    let home = tempfile::tempdir().unwrap();
    let vkey = log(1).verifier().to_string();
    let witness = Witness::start(home.path(), &[&vkey]);
    let key = CosignerKey::parse(&witness.vkey).unwrap();
    let one = signed(head(1), &log(1));
    let (status, _, body) = witness.add(request(0, &[], one.clone())).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let note = Note::parse(format!("{one}{body}").as_bytes()).unwrap();
    assert!(key.cosigned(&note).unwrap().unwrap() > 1_700_000_000);
    // To two leaves: the path is the second leaf.
    let two = signed(head(2), &log(1));
    let conflict = (
        StatusCode::CONFLICT,
        "text/x.tlog.size".to_owned(),
        "1\n".to_owned(),
    );
    assert_eq!(witness.add(request(0, &[], two.clone())).await, conflict);
    let other = Signer::from_seed("example.com/other", [1; 32]).unwrap();
    for (body, expected) in [
        (request(1, &[leaf(0)], two.clone()), 422),
        (request(1, &[], two.clone()), 422),
        (request(3, &[leaf(1)], two.clone()), 400),
        (request(1, &[leaf(1)], signed(head(2), &log(2))), 403),
        (request(0, &[], signed(head(2), &other)), 404),
        ("old 1\n".to_owned(), 400),
        ("x".repeat(200 << 10), 400),
        (String::new(), 400),
    ] {
        let (status, _, said) = witness.add(body.clone()).await;
        assert_eq!(
            status.as_u16(),
            expected,
            "{}: {said}",
            &body[..body.len().min(300)]
        );
    }
    let (status, _, _) = witness.add(request(1, &[leaf(1)], two.clone())).await;
    assert_eq!(status, StatusCode::OK);
    let get = reqwest::get(format!("{}/add-checkpoint", witness.url))
        .await
        .unwrap();
    assert_eq!(get.status(), 405);
    check_monitoring(&witness, &key).await;
    // What was cosigned stays when the process is killed.
    witness.kill();
    let witness = Witness::start(home.path(), &[&vkey]);
    assert_eq!(witness.vkey, key.to_string());
    let conflict = (
        StatusCode::CONFLICT,
        "text/x.tlog.size".to_owned(),
        "2\n".to_owned(),
    );
    assert_eq!(witness.add(request(1, &[leaf(1)], two)).await, conflict);
    witness.stop();
}

/// `GET <prefix>/<origin hash>/checkpoint`
async fn check_monitoring(witness: &Witness, key: &CosignerKey) {
    let hash = |origin: &str| -> String {
        let digest = Sha256::digest(origin.as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let get = async |origin: &str| {
        let url = format!("{}/{}/checkpoint", witness.url, hash(origin));
        let answer = reqwest::get(url).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, note) = get(ORIGIN).await;
    assert_eq!(status, 200);
    let checkpoint = Checkpoint::open(note.as_bytes(), &[log(1).verifier()]).unwrap();
    assert_eq!(checkpoint.head, head(2));
    let note = Note::parse(note.as_bytes()).unwrap();
    assert!(key.cosigned(&note).unwrap().is_some());
    assert_eq!(get("example.com/other").await.0, 404);
}

fn ends(home: &Path, arguments: &[&str], policy: &Path) -> (Option<i32>, String) {
    let mut witness = command(BINARY);
    witness.args(["witness", "--listen", "127.0.0.1:0", "--policy"]);
    witness.arg(policy).args(arguments).current_dir(home);
    let output = not_started(witness);
    (output.status.code(), text(&output.stderr))
}

#[test]
fn what_it_does_not_start_with() {
    let (home, server) = start();
    server.stop();
    let home = home.path();
    let vkey = log(1).verifier().to_string();
    let good = policy(home, &[&vkey], "good", "quorum none\n");
    let empty = policy(home, &[], "empty", "quorum none\n");
    let broken = policy(home, &[&vkey, &vkey], "broken", "quorum none\n");
    let witness = Witness::start(home, &[&vkey]);
    for (arguments, policy, code, says) in [
        (&["--data", "w"][..], &empty, 2, "lists no log"),
        (&["--data", "w"], &broken, 2, "line 2: the key of"),
        (&["--data", "w"], &home.join("none"), 2, "cannot be read"),
        (&["--data", "w"], &home.to_owned(), 2, "is not a file"),
        (&["--data", "w", "--name", "a b"], &good, 2, "key name"),
        (&["--data", "audittrail-data"], &good, 2, "holds a log"),
        (
            &["--data", "witness-data"],
            &good,
            3,
            "is using witness-data",
        ),
    ] {
        let (ended, said) = ends(home, arguments, policy);
        assert!(
            ended == Some(code) && said.contains(says),
            "{ended:?} {said}"
        );
    }
    witness.stop();
    let renamed = ends(home, &["--data", "witness-data", "--name", "other"], &good);
    assert!(
        renamed.0 == Some(2) && renamed.1.contains("keeps its first name"),
        "{renamed:?}"
    );
}
