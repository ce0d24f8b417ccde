//! `audittrail monitor` before a server that means harm: it ends in time, says what was wrong, and
//! keeps nothing of it.

use std::io::Write as _;
use std::path::Path;

use audittrail_checkpoint::{Checkpoint, Signer};
use audittrail_merkle::{Hash, TreeHead};
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use crate::monitoring::{Between, Monitor, Way, flood, publish, silence};
use crate::support::{DEADLINE, start};

fn signer(name: &str, seed: u8) -> Signer {
    Signer::from_seed(name, [seed; 32]).unwrap()
}

fn note(signer: &Signer, size: u64) -> String {
    let checkpoint = Checkpoint {
        origin: signer.verifier().name().to_owned(),
        head: TreeHead {
            size,
            root: Hash([9; 32]),
        },
        extensions: Vec::new(),
    };
    checkpoint.sign(&[signer]).unwrap()
}

/// 64 MiB in few bytes.
fn bomb() -> Response {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![b'0'; 1 << 20];
    for _ in 0..64 {
        packed.write_all(&zeros).unwrap();
    }
    encoded("gzip", packed.finish().unwrap())
}

fn encoded(encoding: &'static str, bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_ENCODING, encoding)], bytes).into_response()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn redirect() -> Response {
    (StatusCode::FOUND, [(header::LOCATION, "/elsewhere")]).into_response()
}

/// One check of a log that answers so to one path, and to none other.
async fn check(
    path: &'static str,
    answer: impl Fn() -> Response + Send + Sync + 'static,
    work: &Path,
) -> (i32, Value, Between) {
    let key = signer("log.test", 1);
    let seen = note(&key, 300);
    let between = Between::new("http://127.0.0.1:1", move |asked| {
        Way::Answer(if asked == path {
            answer()
        } else if asked == "checkpoint" {
            seen.clone().into_response()
        } else {
            StatusCode::NOT_FOUND.into_response()
        })
    });
    let between = between.await;
    let monitor = Monitor::at(&between.url, &key.verifier().to_string(), work);
    let arguments = ["--timeout", "2s", "--mirror", "mirror"];
    let ended = tokio::time::timeout(DEADLINE, monitor.once(&arguments)).await;
    let (code, said) = ended.expect("it is bounded");
    (code, said, between)
}

fn why(said: &Value) -> String {
    let finding = said["findings"][0]["detail"].as_str();
    finding.or(said["unreachable"].as_str()).unwrap().to_owned()
}

/// The exit code, the kind of a finding (empty: none), what it says.
type Case = (fn() -> Response, i32, &'static str, &'static str);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_of_a_hostile_server() {
    let cases: [Case; 17] = [
        (silence, 3, "", "did not answer in full within 2 s"),
        (flood, 1, "content", "longer than 1048576 bytes"),
        (bomb, 1, "content", "longer than 1048576 bytes"),
        (redirect, 3, "", "redirect"),
        (
            || encoded("gzip", b"x".to_vec()),
            1,
            "content",
            "not the gzip",
        ),
        (|| encoded("zstd", b"x".to_vec()), 1, "content", "encoding"),
        (
            || "hello".into_response(),
            1,
            "checkpoint",
            "not a signed note",
        ),
        (|| "".into_response(), 1, "checkpoint", "not a signed note"),
        (
            || vec![0xff_u8; 99].into_response(),
            1,
            "checkpoint",
            "UTF-8",
        ),
        (
            || note(&signer("log.test", 2), 5).into_response(),
            1,
            "checkpoint",
            "none of the known keys",
        ),
        (
            || note(&signer("log.other", 1), 5).into_response(),
            1,
            "checkpoint",
            "of the log \"log.other\"",
        ),
        (
            || {
                note(&signer("log.test", 1), 5)
                    .replace("\n5\n", "\n6\n")
                    .into_response()
            },
            1,
            "checkpoint",
            "does not hold",
        ),
        (
            || note(&signer("log.test", 1), 1 << 63).into_response(),
            1,
            "checkpoint",
            "more than a log can have",
        ),
        (
            || {
                note(&signer("log.test", 1), 5)
                    .replace("\n5\n", "\n99999999999999999999\n")
                    .into_response()
            },
            1,
            "checkpoint",
            "does not hold",
        ),
        (
            || StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            3,
            "",
            "500",
        ),
        (
            || StatusCode::NOT_FOUND.into_response(),
            3,
            "",
            "is not found",
        ),
        (|| StatusCode::UNAUTHORIZED.into_response(), 3, "", "401"),
    ];
    for (answer, code, kind, says) in cases {
        let work = tempfile::tempdir().unwrap();
        let (ended, said, between) = check("checkpoint", answer, work.path()).await;
        assert_eq!(ended, code, "{says}: {said}");
        assert_eq!(
            said["findings"][0]["kind"].as_str().unwrap_or_default(),
            kind,
            "{said}"
        );
        assert!(why(&said).contains(says), "{says}: {said}");
        assert_eq!(between.asked(), ["checkpoint"]);
        assert!(!work.path().join("state").exists(), "{says}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tiles_of_a_hostile_server() {
    let cases: [Case; 9] = [
        (silence, 3, "", "did not answer in full within 2 s"),
        (flood, 1, "content", "longer than 8192 bytes"),
        (bomb, 1, "content", "longer than 8192 bytes"),
        (redirect, 3, "", "redirect"),
        (
            || vec![0_u8; 44 * 32].into_response(),
            1,
            "missing",
            "tile/1/000.p/1 is not there",
        ),
        (
            || encoded("gzip", gzip(&[0; 44 * 32])),
            1,
            "missing",
            "tile/1/000.p/1 is not there",
        ),
        (
            || "".into_response(),
            1,
            "content",
            "0 bytes, not 44 hashes",
        ),
        (
            || StatusCode::NOT_FOUND.into_response(),
            1,
            "missing",
            "tile/0/001.p/44 is not there",
        ),
        (damaged, 1, "damaged", "the log says: Entry 7 is gone"),
    ];
    for (answer, code, kind, says) in cases {
        let work = tempfile::tempdir().unwrap();
        let (ended, said, between) = check("tile/0/001.p/44", answer, work.path()).await;
        assert_eq!(ended, code, "{says}: {said}");
        assert_eq!(
            said["findings"][0]["kind"].as_str().unwrap_or_default(),
            kind,
            "{said}"
        );
        assert!(why(&said).contains(says), "{says}: {said}");
        assert!(!between.asked().contains(&"elsewhere".to_owned()));
        let stored = crate::monitoring::files(&work.path().join("mirror"));
        assert!(stored.is_empty(), "{says}: {:?}", stored.keys());
    }
}

fn damaged() -> Response {
    let body = r#"{"type":"urn:audittrail:problem:damaged","detail":"Entry 7\u0007 is gone"}"#;
    (StatusCode::INTERNAL_SERVER_ERROR, Body::from(body)).into_response()
}

/// A log that cannot be reached is no good log and no bad one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_there() {
    let (_home, server) = start();
    publish(&server, 3, "door.open").await;
    let work = tempfile::tempdir().unwrap();
    let monitor = Monitor::of(&server, work.path());
    monitor.good(&[]).await;
    let kept = std::fs::read(monitor.state()).unwrap();
    server.kill();
    let (code, said) = monitor.once(&[]).await;
    assert_eq!(
        (code, said["outcome"].as_str()),
        (3, Some("unreachable")),
        "{said}"
    );
    assert_eq!(said["size"], 3);
    assert_eq!(std::fs::read(monitor.state()).unwrap(), kept);
}
