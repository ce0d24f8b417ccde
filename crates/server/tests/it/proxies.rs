//! Behind proxies: paths, addresses, and how often a caller may ask.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::{BINARY, Server, command, success};

fn with(settings: &[(&str, &str)]) -> (tempfile::TempDir, Server) {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start_with(home.path(), settings);
    (home, server)
}

async fn page(server: &Server, path: &str, fields: &[(&str, &str)]) -> Value {
    let mut request = server.request(Method::GET, path);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    response.json().await.unwrap()
}

async fn location(server: &Server, path: &str) -> String {
    let request = server
        .request(Method::POST, path)
        .json(&json!({ "action": "a" }));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 201, "{path}");
    response.headers()["location"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn below_a_base_path() {
    let (_home, server) = with(&[("AUDITTRAIL_BASE_PATH", "/audit/v1/")]);
    let first = location(&server, "/audit/v1/logs/create/").await;
    assert!(first.starts_with("/audit/v1/logs/0"), "{first}");
    location(&server, "/audit/v1/logs/create").await;
    let one = page(&server, &first, &[]).await;
    assert_eq!(one["action"], "a");
    let mut list = page(&server, "/audit/v1/logs/list/?page_size=1", &[]).await;
    let next = list["next"].as_str().unwrap().to_owned();
    assert!(
        next.starts_with(&format!("{}/audit/v1/logs/list/?", server.url)),
        "{next}"
    );
    list = page(&server, next.strip_prefix(&server.url).unwrap(), &[]).await;
    assert_eq!(list["results"][0]["id"], one["id"]);
    // Only health is at both.
    for (path, status) in [
        ("/logs/list/", 404),
        ("/audit/v1", 404),
        ("/audit/v1x/logs/list/", 404),
        ("/audit/logs/list/", 404),
        ("/health/live", 200),
        ("/audit/v1/health/ready/", 200),
    ] {
        assert_eq!(server.get(path).await.0, status, "{path}");
    }
    let delete = server.request(Method::DELETE, "/audit/v1/logs/list/");
    let response = delete.send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["allow"]),
        (405, &"GET,HEAD".parse().unwrap())
    );
    let (status, problem) = server.get("/audit/v1/nothing").await;
    assert_eq!(
        (status.as_u16(), &problem["type"]),
        (404, &"urn:audittrail:problem:not-found".into())
    );
}

#[tokio::test]
async fn under_a_public_url() {
    let (_home, server) = with(&[
        ("AUDITTRAIL_PUBLIC_URL", "https://example.org/logs-of-us/"),
        ("AUDITTRAIL_BASE_PATH", "/inner"),
        ("AUDITTRAIL_TRUSTED_PROXIES", "127.0.0.1"),
    ]);
    for _ in 0..2 {
        let location = location(&server, "/inner/logs/").await;
        assert!(
            location.starts_with("https://example.org/logs-of-us/logs/0"),
            "{location}"
        );
    }
    let list = page(
        &server,
        "/inner/logs/list/?page_size=1",
        &[("x-forwarded-host", "b.example")],
    )
    .await;
    let next = list["next"].as_str().unwrap();
    assert!(
        next.starts_with("https://example.org/logs-of-us/logs/list/?"),
        "{next}"
    );
}

#[tokio::test]
async fn only_a_trusted_proxy_is_believed() {
    let told = [
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "audit.example.org"),
    ];
    let standard = [(
        "forwarded",
        "for=203.0.113.9;proto=https;host=audit.example.org",
    )];
    for (trusted, believed) in [
        ("127.0.0.0/8,::1", true),
        ("10.0.0.0/8", false),
        ("", false),
    ] {
        let (_home, server) = with(&[("AUDITTRAIL_TRUSTED_PROXIES", trusted)]);
        for _ in 0..2 {
            location(&server, "/logs/").await;
        }
        for fields in [&told[..], &standard] {
            let list = page(&server, "/logs/list/?page_size=1", fields).await;
            let next = list["next"].as_str().unwrap();
            let wanted = if believed {
                "https://audit.example.org"
            } else {
                &server.url
            };
            assert!(
                next.starts_with(&format!("{wanted}/logs/list/?")),
                "{trusted}: {next}"
            );
        }
    }
}

async fn ask(server: &Server, token: Option<&str>, client: &str) -> Response {
    let url = format!("{}/logs/list/", server.url);
    let mut request = server.client().get(url).header("x-forwarded-for", client);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn each_caller_has_a_rate() {
    let (_home, server) = with(&[
        ("AUDITTRAIL_RATE_LIMIT", "3/h"),
        ("AUDITTRAIL_TRUSTED_PROXIES", "127.0.0.1"),
    ]);
    let [alice, again, bob] =
        ["alice", "alice", "bob"].map(|name| server.token(&["--sub", name, "--role", "admin"]));
    for _ in 0..3 {
        assert_eq!(ask(&server, Some(&alice), "192.0.2.1").await.status(), 200);
    }
    // The same subject with another token, from elsewhere.
    let refused = ask(&server, Some(&again), "192.0.2.2").await;
    assert_eq!(refused.status(), 429);
    let wait: u64 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1_100..=1_200).contains(&wait), "{wait}");
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["type"], "urn:audittrail:problem:rate-limited");
    assert_eq!(ask(&server, Some(&bob), "192.0.2.1").await.status(), 200);
    // Without a valid token it is the address that counts.
    for token in [None, Some("nonsense"), None] {
        assert_eq!(ask(&server, token, "192.0.2.1").await.status(), 401);
    }
    assert_eq!(ask(&server, None, "192.0.2.1").await.status(), 429);
    assert_eq!(ask(&server, None, "192.0.2.2").await.status(), 401);
    // Who has a valid one is not kept out by others at the same address.
    assert_eq!(ask(&server, Some(&bob), "192.0.2.1").await.status(), 200);
    for _ in 0..10 {
        assert_eq!(server.get("/health/ready").await.0, 200);
    }
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    for (name, value, says) in [
        ("AUDITTRAIL_BASE_PATH", "audit", "base-path"),
        ("AUDITTRAIL_TRUSTED_PROXIES", "10.0.0.0/8,proxy", "proxy"),
        ("AUDITTRAIL_RATE_LIMIT", "fast", "rate-limit"),
        ("AUDITTRAIL_MAX_CONNECTIONS", "0", "max-connections"),
        ("AUDITTRAIL_HEAD_TIMEOUT", "0s", "head-timeout"),
        ("AUDITTRAIL_SHUTDOWN_TIMEOUT", "soon", "shutdown-timeout"),
    ] {
        let output = command(BINARY)
            .arg("serve")
            .env(name, value)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(says), "{error}");
    }
    assert!(
        success(&command(BINARY).args(["serve", "--help"]).output().unwrap())
            .contains("--rate-limit")
    );
}
