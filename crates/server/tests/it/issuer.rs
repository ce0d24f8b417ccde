//! Tokens of an issuer: the binary with a JWKS, by URL and by file. The tokens are in
//! testdata/tokens; they do not end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode as Status;
use axum::routing::get;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::support::{Server, answer, command, repository, spawn, success};

fn fixtures() -> Value {
    let file = std::fs::read(repository("testdata/tokens/tokens.json")).unwrap();
    serde_json::from_slice(&file).unwrap()
}

/// An issuer on the loopback, whose keys are what it was told last.
struct Issuer {
    url: String,
    answer: Arc<Mutex<(Status, String)>>,
    requests: Arc<AtomicUsize>,
}

impl Issuer {
    async fn start(status: Status, body: &Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let issuer = Self {
            url,
            answer: Arc::new(Mutex::new((status, body.to_string()))),
            requests: Arc::default(),
        };
        let (answer, requests) = (Arc::clone(&issuer.answer), Arc::clone(&issuer.requests));
        let handler = move || {
            requests.fetch_add(1, Ordering::SeqCst);
            let answer = answer.lock().unwrap().clone();
            async move { answer }
        };
        let router = Router::new().route("/jwks.json", get(handler));
        tokio::spawn(async move { axum::serve(listener, router).await });
        issuer
    }

    fn becomes(&self, status: Status, body: &Value) {
        *self.answer.lock().unwrap() = (status, body.to_string());
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// A server that takes tokens of `jwks`, and the settings that make it one.
fn start(jwks: &str) -> (TempDir, Server) {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start_with(home.path(), &settings(jwks));
    (home, server)
}

fn settings(jwks: &str) -> [(&str, &str); 3] {
    [
        ("AUDITTRAIL_JWKS", jwks),
        ("AUDITTRAIL_JWT_ISSUER", "https://id.example"),
        ("AUDITTRAIL_JWT_AUDIENCE", "audit"),
    ]
}

async fn send(server: &Server, token: &str) -> (StatusCode, Value) {
    let client = server.client();
    let request = client.request(Method::POST, format!("{}/logs/", server.url));
    answer(
        request
            .bearer_auth(token)
            .json(&json!({"action": "door.open"})),
    )
    .await
}

fn problem(slug: &str) -> String {
    format!("urn:audittrail:problem:{slug}")
}

/// The count of an outcome.
async fn refreshes(server: &Server, outcome: &str) -> f64 {
    let name = format!("audittrail_jwks_refresh_total{{outcome=\"{outcome}\"}}");
    server.metric(&name).await
}

#[tokio::test]
async fn a_rotated_key_is_taken_at_once_and_the_old_one_is_refused() {
    let fixtures = fixtures();
    let (sets, tokens) = (&fixtures["sets"], &fixtures["forever"]);
    let token = |name: &str| tokens[name].as_str().unwrap();
    let issuer = Issuer::start(Status::OK, &sets["main"]).await;
    let (_home, server) = start(&issuer.url);
    // The first may come before the keys did, and then waits for them.
    for name in ["rsa", "ec", "ed"] {
        let (status, receipt) = send(&server, token(name)).await;
        assert_eq!(status, StatusCode::CREATED, "{name}: {receipt}");
    }
    let (status, page) = send(&server, token("rsa-2")).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{page}");
    assert_eq!(page["type"], problem("unauthenticated"));
    assert!(page["detail"].as_str().unwrap().contains("not known"));
    drop(server);

    // A server that has not just looked for an unknown key looks for this one.
    let (_home, server) = start(&issuer.url);
    assert_eq!(send(&server, token("rsa")).await.0, StatusCode::CREATED);
    issuer.becomes(Status::OK, &sets["rotated"]);
    assert_eq!(send(&server, token("rsa-2")).await.0, StatusCode::CREATED);
    let asked = issuer.requests();
    for name in ["rsa", "ec", "ed", "unknown", "rsa"] {
        let (status, page) = send(&server, token(name)).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{name}: {page}");
    }
    // Unknown keys as they are, they cause no more requests within the minute.
    assert_eq!(issuer.requests(), asked);
    assert_eq!(send(&server, token("rsa-2")).await.0, StatusCode::CREATED);
    assert!(refreshes(&server, "success").await >= 2.0);
    assert!((server.metric("audittrail_jwks_keys").await - 1.0).abs() < 0.1);
    assert!(
        server
            .log()
            .contains("its modulus is shorter than 2048 bits")
    );
}

#[tokio::test]
async fn an_issuer_that_fails_costs_its_own_tokens_only() {
    let fixtures = fixtures();
    let token = |name: &str| fixtures["forever"][name].as_str().unwrap();
    let issuer = Issuer::start(Status::INTERNAL_SERVER_ERROR, &json!({})).await;
    let (home, server) = start(&issuer.url);
    let response = server
        .client()
        .get(format!("{}/logs/list/", server.url))
        .bearer_auth(token("ec"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
    assert!(!response.headers().contains_key("www-authenticate"));
    let page: Value = response.json().await.unwrap();
    assert_eq!(page["type"], problem("keys-unavailable"));
    // Neither the secret's tokens nor the answers to other bad ones depend on the issuer.
    let ours = command(crate::support::BINARY)
        .args(["token", "--sub", "me", "--role", "admin"])
        .envs(settings(&issuer.url))
        .current_dir(home.path())
        .output()
        .unwrap();
    let ours = success(&ours);
    assert_eq!(send(&server, ours.trim()).await.0, StatusCode::CREATED);
    assert_eq!(send(&server, "x.y.z").await.0, StatusCode::UNAUTHORIZED);
    let ready = answer(server.client().get(format!("{}/health/ready", server.url))).await;
    assert_eq!(ready.0, StatusCode::OK);
    assert!(refreshes(&server, "status").await >= 1.0);
    // The server goes on trying by itself.
    issuer.becomes(Status::OK, &fixtures["sets"]["main"]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while refreshes(&server, "success").await < 1.0 {
        assert!(Instant::now() < deadline, "{}", server.log());
        tokio::task::yield_now().await;
    }
    assert_eq!(send(&server, token("ec")).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn a_file_is_read_again() {
    let fixtures = fixtures();
    let token = |name: &str| fixtures["forever"][name].as_str().unwrap();
    let keys = tempfile::tempdir().unwrap();
    let path = keys.path().join("jwks.json");
    let write = |set: &str| std::fs::write(&path, fixtures["sets"][set].to_string()).unwrap();
    write("main");
    let (_home, server) = start(path.to_str().unwrap());
    assert_eq!(send(&server, token("ed")).await.0, StatusCode::CREATED);
    write("rotated");
    assert_eq!(send(&server, token("rsa-2")).await.0, StatusCode::CREATED);
    assert_eq!(send(&server, token("ed")).await.0, StatusCode::UNAUTHORIZED);
}

/// Settings that would accept too much, or nothing, are refused before anything is made.
#[test]
fn bad_settings_are_refused() {
    let jwks = repository("testdata/tokens/tokens.json");
    let jwks = jwks.to_str().unwrap();
    let [url, issuer, audience] = settings("http://127.0.0.1:9/jwks");
    let algorithms = |list| ("AUDITTRAIL_JWT_ALGORITHMS", list);
    let table: [(&[(&str, &str)], &str); 9] = [
        (&[url], "AUDITTRAIL_JWT_ISSUER"),
        (&[url, issuer], "AUDITTRAIL_JWT_AUDIENCE"),
        (&[url, audience], "every token of that issuer would do"),
        (
            &[url, issuer, audience, algorithms("HS256")],
            "would not be used",
        ),
        (
            &[url, issuer, audience, algorithms("RS256,none")],
            "list some of",
        ),
        (&[algorithms("RS256")], "set AUDITTRAIL_JWKS"),
        (&[algorithms("")], "list some of"),
        // A file that is none, and one that holds no set.
        (
            &[("AUDITTRAIL_JWKS", "/no/such/file"), issuer, audience],
            "could not be read",
        ),
        (
            &[("AUDITTRAIL_JWKS", jwks), issuer, audience],
            "no list of keys",
        ),
    ];
    for (settings, says) in table {
        let home = tempfile::tempdir().unwrap();
        let (mut child, first) = spawn(home.path(), settings);
        let status = child.wait().unwrap();
        let log = std::fs::read_to_string(home.path().join("server.log")).unwrap();
        assert_eq!(
            (first.as_str(), status.code()),
            ("", Some(2)),
            "{settings:?}\n{log}"
        );
        assert!(log.contains(says), "{settings:?}: {log}");
        assert!(!home.path().join("audittrail-data").exists());
    }
}

/// A server for an issuer's tokens alone accepts no other, and makes none.
#[tokio::test]
async fn the_secret_can_be_left_out() {
    let fixtures = fixtures();
    let keys = tempfile::tempdir().unwrap();
    let path = keys.path().join("jwks.json");
    std::fs::write(&path, fixtures["sets"]["main"].to_string()).unwrap();
    let home = tempfile::tempdir().unwrap();
    let [jwks, issuer, audience] = settings(path.to_str().unwrap());
    let only = ("AUDITTRAIL_JWT_ALGORITHMS", "ES256");
    let server = Server::start_with(home.path(), &[jwks, issuer, audience, only]);
    let ours = command(crate::support::BINARY)
        .args(["token", "--sub", "me", "--role", "admin"])
        .envs([jwks, issuer, audience])
        .current_dir(home.path())
        .output()
        .unwrap();
    let ours = success(&ours);
    let token = |name: &str| fixtures["forever"][name].as_str().unwrap();
    for (token, status) in [
        (token("ec"), StatusCode::CREATED),
        (token("rsa"), StatusCode::UNAUTHORIZED),
        (ours.trim(), StatusCode::UNAUTHORIZED),
    ] {
        assert_eq!(send(&server, token).await.0, status, "{token}");
    }
    let refused = command(crate::support::BINARY)
        .args(["token", "--sub", "me", "--role", "admin"])
        .envs([jwks, issuer, audience, only])
        .current_dir(home.path())
        .output()
        .unwrap();
    let says = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2));
    assert!(says.contains("does not list HS256"), "{says}");
}
