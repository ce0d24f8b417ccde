//! What clients get wrong, and what each is told. None of it is a 500, none of it stores
//! anything, none of it panics.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use reqwest::Method;
use serde_json::Value;

use crate::support::{Server, start, text};

struct Bad {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    status: u16,
    slug: &'static str,
    /// Part of the pointer, the parameter or the detail.
    says: &'static str,
}

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

fn post(body: impl Into<Vec<u8>>, status: u16, slug: &'static str, says: &'static str) -> Bad {
    sent(JSON, "/logs/create/", body, status, slug, says)
}

fn sent(
    media_type: &str,
    path: &str,
    body: impl Into<Vec<u8>>,
    status: u16,
    slug: &'static str,
    says: &'static str,
) -> Bad {
    let headers = vec![("content-type", media_type.to_owned())];
    Bad {
        method: "POST",
        path: path.to_owned(),
        headers,
        body: body.into(),
        status,
        slug,
        says,
    }
}

fn get(path: &str, status: u16, slug: &'static str, says: &'static str) -> Bad {
    let (path, headers) = (path.to_owned(), Vec::new());
    Bad {
        method: "GET",
        path,
        headers,
        body: Vec::new(),
        status,
        slug,
        says,
    }
}

fn with(mut bad: Bad, name: &'static str, value: &str) -> Bad {
    bad.headers.push((name, value.to_owned()));
    bad
}

/// Bodies.
fn entries() -> Vec<Bad> {
    let entry = "invalid-entry";
    let long = format!(r#"{{"action":"{}"}}"#, "a".repeat(257));
    let deep = format!(
        r#"{{"action":"a","details":{}1{}}}"#,
        "{\"d\":".repeat(40),
        "}".repeat(40)
    );
    let bomb = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let many = format!("[{}{{}}]", r#"{"action":"a"},"#.repeat(10_000));
    let big = format!(
        r#"{{"action":"a","details":{{"d":"{}"}}}}"#,
        "d".repeat(300_000)
    );
    vec![
        post("", 400, entry, "no entry"),
        post("   ", 400, entry, "no entry"),
        post("[]", 400, entry, "no entry"),
        post("{}", 400, entry, "#/action"),
        post("null", 400, entry, "object"),
        post("17", 400, entry, "object"),
        post("{", 400, entry, "(byte 1)"),
        post(r#"{"action":"a"} x"#, 400, entry, "JSON"),
        post(r#"{"action":"a",}"#, 400, entry, "(byte 14)"),
        post(b"{\"action\":\"\xff\"}".to_vec(), 400, entry, "UTF-8"),
        post(r#"{"action":""}"#, 400, entry, "empty"),
        post(r#"{"action":17}"#, 400, entry, "#/action"),
        post(r#"{"action":null}"#, 400, entry, "#/action"),
        post(long, 400, entry, "257"),
        post(r#"{"action":"a\u0000"}"#, 400, entry, "control"),
        post(r#"{"action":"a","action":"b"}"#, 400, entry, "twice"),
        post(r#"{"action":"\ud800"}"#, 400, entry, "surrogate"),
        post(r#"{"action":"a","who":"me"}"#, 400, entry, "#/who"),
        post(
            r#"{"action":"audittrail.erasure"}"#,
            400,
            entry,
            "audittrail.",
        ),
        post(
            r#"{"action":"a","timestamp":"yesterday"}"#,
            400,
            entry,
            "#/timestamp",
        ),
        post(
            r#"{"action":"a","timestamp":"2999-01-01T00:00:00Z"}"#,
            400,
            entry,
            "#/timestamp",
        ),
        post(
            r#"{"action":"a","timestamp":"2200-01-01T00:00:00Z"}"#,
            400,
            entry,
            "24 hours",
        ),
        post(
            r#"{"action":"a","outcome":"maybe"}"#,
            400,
            entry,
            "#/outcome",
        ),
        post(
            r#"{"action":"a","source_ip":"192.0.2.7:80"}"#,
            400,
            entry,
            "#/source_ip",
        ),
        post(r#"{"action":"a","id":"17"}"#, 400, entry, "#/id"),
        post(r#"{"action":"a","details":[]}"#, 400, entry, "#/details"),
        post(
            r#"{"action":"a","details":{"n":1e400}}"#,
            400,
            entry,
            "#/details/n",
        ),
        post(
            r#"{"action":"a","details":{"n":18446744073709551616}}"#,
            400,
            entry,
            "#/details/n",
        ),
        post(
            r#"{"action":"a","details":{"n":0.1234567890123456789}}"#,
            400,
            entry,
            "#/details/n",
        ),
        post(deep, 400, entry, "deep"),
        post(bomb, 400, entry, "deep"),
        post(many, 400, entry, "10000"),
        post(big, 400, entry, "262144"),
        post(
            r#"[{"action":"a"},{"action":""}]"#,
            400,
            entry,
            "#/1/action",
        ),
        post(r#"[{"action":"a"},17]"#, 400, entry, "#/1"),
        sent(
            LINES,
            "/logs/",
            "{\"action\":\"a\"}\n{}\n",
            400,
            entry,
            "line 2",
        ),
        sent(LINES, "/logs/", "\n\n", 400, entry, "no entry"),
        sent(
            LINES,
            "/logs/",
            "[{\"action\":\"a\"}]",
            400,
            entry,
            "object",
        ),
        sent(
            LINES,
            "/logs/?on_error=skip",
            "{}\n{}",
            400,
            entry,
            "#/action",
        ),
    ]
}

/// Heads.
fn heads() -> Vec<Bad> {
    let media = "unsupported-media-type";
    let one = r#"{"action":"a"}"#;
    let sent_as = |media_type: &str| sent(media_type, "/logs/", one, 415, media, "Content-Type");
    let (header, auth) = ("invalid-header", "unauthenticated");
    vec![
        sent_as("application/x-www-form-urlencoded"),
        sent_as("text/plain"),
        sent_as("application/json; charset=latin1"),
        sent_as(""),
        with(post(one, 415, media, "encoded"), "content-encoding", "br"),
        with(
            post(one, 400, header, "Idempotency-Key"),
            "idempotency-key",
            "",
        ),
        with(
            post(one, 400, header, "Idempotency-Key"),
            "idempotency-key",
            &"k".repeat(256),
        ),
        with(
            post(format!("[{one}]"), 400, header, "one entry"),
            "idempotency-key",
            "k",
        ),
        with(
            post(
                r#"{"action":"a","id":"0198c0de-0000-7000-8000-000000000000"}"#,
                400,
                "invalid-entry",
                "#/id",
            ),
            "idempotency-key",
            "k",
        ),
        with(
            get("/logs/list/", 406, "not-acceptable", "json"),
            "accept",
            "text/csv",
        ),
        with(
            get("/logs/list/", 406, "not-acceptable", "json"),
            "accept",
            "application/json;q=0",
        ),
        with(
            get("/logs/list/", 401, auth, "required"),
            "authorization",
            "Basic YTpi",
        ),
        with(
            get("/logs/list/", 401, auth, "JWT"),
            "authorization",
            "Bearer x.y.z",
        ),
        with(
            get("/logs/list/", 401, auth, "8192"),
            "authorization",
            &long_token(),
        ),
        with(
            get("/logs/list/", 401, auth, "algorithm"),
            "authorization",
            // {"alg":"none"} and {"sub":"x","exp":99999999999}, unsigned.
            "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4IiwiZXhwIjo5OTk5OTk5OTk5OX0.",
        ),
    ]
}

fn long_token() -> String {
    format!("Bearer {}", "a".repeat(9_000))
}

/// Paths, methods and parameters.
fn paths() -> Vec<Bad> {
    let parameter = "invalid-parameter";
    let bad = |query: &str, says| get(&format!("/logs/list/?{query}"), 400, parameter, says);
    let method = |method, path: &str| Bad {
        method,
        ..get(path, 405, "method-not-allowed", "Allow")
    };
    vec![
        get("/", 404, "not-found", "path"),
        get("/logs/17/", 404, "not-found", "UUID"),
        get("/logs/%ff/", 404, "not-found", ""),
        get(
            "/logs/0198c0de-0000-7000-8000-000000000000/",
            404,
            "not-found",
            "no entry",
        ),
        get(
            "/logs/0198c0de-0000-7000-8000-000000000000/?x=1",
            400,
            parameter,
            "x",
        ),
        get("/logs/list/more", 404, "not-found", ""),
        get("/health/live/../../etc/passwd", 404, "not-found", ""),
        method("DELETE", "/logs/0198c0de-0000-7000-8000-000000000000/"),
        method("PUT", "/logs/list/"),
        method("GET", "/logs/create/"),
        method("GET", "/logs/"),
        method("POST", "/health/live"),
        bad("colour=red", "colour"),
        bad("user_id=a&user_id=b", "user_id"),
        bad("user_id=", "user_id"),
        bad("user_id=%zz", "user_id"),
        bad("user_id=%ff", "UTF-8"),
        bad("outcome=maybe", "outcome"),
        bad("action__in=a,", "action__in"),
        bad("action__in=a%5C", "backslash"),
        bad("source_ip=192.0.2.0/33", "source_ip"),
        bad("start_time=yesterday", "start_time"),
        bad("index_from=-1", "index_from"),
        bad("index_to=99999999999999999999", "index_to"),
        bad("verified=true", "verified"),
        bad("page_size=0", "page_size"),
        bad("page_size=1001", "page_size"),
        bad("page_size=ten", "page_size"),
        bad("page=0", "page"),
        bad("page=501&page_size=20", "page"),
        bad("order=random", "order"),
        bad("order=index&ordering=index", "ordering"),
        bad("cursor=x", "cursor"),
        bad(
            "cursor=AQAAIdzcI23Eo9UY6tz4fUlyowAAAAAAAAACAAAAAAAA0iw",
            "cursor",
        ),
        bad("count=all", "count"),
        get("/logs/export/?format=xml", 400, parameter, "format"),
        get("/logs/export/?page=1", 400, parameter, "page"),
        sent(
            JSON,
            "/logs/?ack=soon",
            r#"{"action":"a"}"#,
            400,
            parameter,
            "ack",
        ),
        sent(
            JSON,
            "/logs/?on_error=ignore",
            r#"{"action":"a"}"#,
            400,
            parameter,
            "on_error",
        ),
        sent(
            JSON,
            "/logs/?receipts=some",
            r#"{"action":"a"}"#,
            400,
            parameter,
            "receipts",
        ),
        sent(
            JSON,
            "/logs/?wait=1",
            r#"{"action":"a"}"#,
            400,
            parameter,
            "wait",
        ),
    ]
}

async fn check(server: &Server, bad: &Bad) {
    let method = Method::from_bytes(bad.method.as_bytes()).unwrap();
    let own_token = bad.headers.iter().any(|(name, _)| *name == "authorization");
    let mut request = if own_token {
        server
            .client()
            .request(method, format!("{}{}", server.url, bad.path))
    } else {
        server.request(method, &bad.path)
    };
    for (name, value) in &bad.headers {
        request = request.header(*name, value);
    }
    let response = request.body(bad.body.clone()).send().await.unwrap();
    let case = format!("{} {} {:.60}", bad.method, bad.path, text(&bad.body));
    assert_eq!(response.status().as_u16(), bad.status, "{case}");
    let header = |name: &str| {
        response
            .headers()
            .get(name)
            .map(|v| v.to_str().unwrap().to_owned())
    };
    assert_eq!(
        header("content-type").as_deref(),
        Some("application/problem+json"),
        "{case}"
    );
    assert_eq!(
        header("www-authenticate").is_some(),
        bad.status == 401,
        "{case}"
    );
    assert_eq!(header("allow").is_some(), bad.status == 405, "{case}");
    let id = header("x-request-id").unwrap();
    let problem: Value = response.json().await.unwrap();
    let slug = format!("urn:audittrail:problem:{}", bad.slug);
    assert_eq!(problem["type"], slug, "{case}: {problem}");
    assert_eq!(problem["status"], bad.status, "{case}");
    assert_eq!(
        problem["instance"],
        format!("urn:audittrail:request:{id}"),
        "{case}"
    );
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|detail| detail.len() > 10),
        "{case}"
    );
    assert!(problem.to_string().contains(bad.says), "{case}: {problem}");
}

#[tokio::test]
async fn each_is_told_what_is_wrong() {
    let (_home, server) = start();
    let table: Vec<Bad> = [entries(), heads(), paths()]
        .into_iter()
        .flatten()
        .collect();
    assert!(table.len() >= 40);
    for bad in &table {
        check(&server, bad).await;
    }
    let (_, page) = server.get("/logs/list/").await;
    assert_eq!(page["count"], 0, "{page}");
    println!("{} bad requests", table.len());
}

/// Sends bytes and gives back what comes until the server closes.
fn raw(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    text(&answer)
}

/// What no HTTP library sends.
#[tokio::test]
async fn broken_http_does_no_harm() {
    let (_home, server) = start();
    let token = server.token(&["--sub", "raw", "--role", "admin"]);
    let head = format!(
        "POST /logs/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: {JSON}\r\n"
    );
    let cases = [
        ("GARBAGE\r\n\r\n".to_owned(), "400"),
        ("GET /logs/list/ HTTP/9.9\r\n\r\n".to_owned(), "400"),
        (
            format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000)),
            "4",
        ),
        (
            format!("GET / HTTP/1.1\r\n{}\r\n", "X-A: b\r\n".repeat(5_000)),
            "431",
        ),
        // A length that the body does not have.
        (
            format!("{head}Content-Length: 100\r\n\r\n{{\"action\":\"a\"}}"),
            "",
        ),
        (format!("{head}Content-Length: -1\r\n\r\n"), "400"),
        (
            format!("{head}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
            "400",
        ),
        (format!("{head}Content-Length: 99999999999\r\n\r\n"), "413"),
        (
            format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
            "",
        ),
        (
            format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"act"),
            "",
        ),
        ("\0\0\0\0\0\0".to_owned(), ""),
        (
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x09\0\0\0\0\0garbage".to_owned(),
            "",
        ),
    ];
    for (bytes, status) in &cases {
        let answer = raw(&server, bytes.as_bytes());
        let wanted = format!("HTTP/1.1 {status}");
        assert!(
            status.is_empty() || answer.starts_with(&wanted),
            "{bytes:.80}: {answer:.80}"
        );
        assert!(
            !answer.contains("HTTP/1.1 5") && !answer.contains("HTTP/1.1 2"),
            "{answer}"
        );
    }
    let (_, page) = server.get("/logs/list/").await;
    assert_eq!(page["count"], 0, "{page}");
}

/// A body above the limit is refused whether or not it says so at its head.
#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let (_home, server) = start();
    let body = vec![b' '; (32 << 20) + 1];
    let chunks: Vec<Result<_, std::io::Error>> = body
        .chunks(1 << 20)
        .map(|chunk| Ok(chunk.to_vec()))
        .collect();
    let streamed = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    for body in [reqwest::Body::from(body), streamed] {
        let request = server
            .request(Method::POST, "/logs/")
            .header("content-type", JSON);
        // The server may close before all of it was sent.
        if let Ok(response) = request.body(body).send().await {
            assert_eq!(response.status().as_u16(), 413);
        }
    }
    let (_, page) = server.get("/logs/list/").await;
    assert_eq!(page["count"], 0);
}
