//! What `/openapi.json` says, and what the server does.

use std::collections::BTreeSet;

use audittrail_auth::Role;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response};
use serde_json::Value;

use crate::support::{Served, token};

const METHODS: [Method; 6] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::TRACE,
];

fn client() -> Client {
    Client::builder().redirect(Policy::none()).build().unwrap()
}

async fn document(served: &Served) -> Value {
    let url = format!("http://{}/openapi.json", served.address);
    client()
        .get(url)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap()
}

/// With something in place of parameters.
fn filled(path: &str) -> String {
    path.replace("{id}", "0198c0de-0000-7000-8000-000000000000")
        .replace("{level}", "0")
        .replace("{index}", "000")
        .replace("{width}", "1")
        .replace("{file}", "page.css")
}

/// The parameters that it does not do without.
fn wanted(path: &str) -> &'static str {
    if path == "/checkpoint/consistency/" {
        "?from=0&to=0"
    } else {
        ""
    }
}

async fn ask(served: &Served, method: Method, path: &str, token: Option<&str>) -> Response {
    let url = format!("http://{}{path}", served.address);
    let request = client().request(method, url);
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    request.send().await.unwrap()
}

/// C2SP tlog-tiles has one form of each path.
fn is_exact(path: &str) -> bool {
    path == "/checkpoint" || path.starts_with("/tile/")
}

/// Each documented operation is there, with and without the slash, and nothing else is.
#[tokio::test]
async fn the_paths_are_those_that_are_served() {
    let served = Served::start().await;
    let document = document(&served).await;
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 10, "{paths:?}");
    for (path, item) in paths {
        let bare = path.trim_end_matches('/').to_owned();
        for method in &METHODS {
            let documented = item[method.as_str().to_ascii_lowercase()].is_object();
            for (form, served_there) in
                [(bare.clone(), true), (format!("{bare}/"), !is_exact(path))]
            {
                let answer = ask(&served, method.clone(), &filled(&form), None).await;
                let there = answer.status() != 404 && answer.status() != 405;
                let expected = documented && served_there;
                assert_eq!(there, expected, "{method} {form}: {}", answer.status());
            }
        }
    }
    for path in [
        "/",
        "/logs/list/x/",
        "/health/",
        "/docs/nothing.js",
        "/swagger/",
        "/metrics",
    ] {
        assert_eq!(
            ask(&served, Method::GET, path, None).await.status(),
            404,
            "{path}"
        );
    }
}

/// Routes come from the list that the document is made of; one that does not is not described.
#[test]
fn no_route_is_added_elsewhere() {
    let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut pending = vec![sources];
    let mut found = BTreeSet::new();
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let source = std::fs::read_to_string(&path).unwrap();
                if source.contains(".route(") || source.contains(".route_service(") {
                    found.insert(path.file_name().unwrap().to_str().unwrap().to_owned());
                }
            }
        }
    }
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["routes.rs"]);
}

/// Who may not is who is not said to.
#[tokio::test]
async fn the_roles_are_those_that_are_let_in() {
    let served = Served::start().await;
    let document = document(&served).await;
    let (mut open, mut closed) = (0, 0);
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap();
            let path = filled(path) + wanted(path);
            let without = ask(&served, method.clone(), &path, None).await.status();
            let Some(security) = operation["security"].as_array() else {
                assert!(without.is_success(), "{method} {path}: {without}");
                open += 1;
                continue;
            };
            assert_eq!(security.len(), 1);
            assert!(security[0]["bearer"].is_array());
            assert_eq!(without, 401, "{method} {path}");
            let text = operation["description"].as_str().unwrap();
            let (_, named) = text.split_once("; the roles ").unwrap();
            let named = named.strip_suffix(" have it.").unwrap();
            let named: Vec<&str> = named.split(", ").collect();
            for role in Role::ALL {
                let token = token("tester", role, None);
                let answer = ask(&served, method.clone(), &path, Some(&token)).await;
                let refused = answer.status() == 403;
                assert_eq!(
                    !refused,
                    named.contains(&role.as_str()),
                    "{method} {path} {role}"
                );
            }
            closed += 1;
        }
    }
    assert!(open >= 5 && closed >= 5, "{open} and {closed}");
}

/// The page's files come compressed or not, as the client can read them, and forbid whatever
/// would leave the host.
#[tokio::test]
async fn the_files_of_the_page() {
    let served = Served::start().await;
    let page = ask(&served, Method::GET, "/docs", None).await;
    assert_eq!(page.status(), 308);
    assert_eq!(page.headers()[LOCATION], "docs/");
    let page = ask(&served, Method::GET, "/docs/", None).await;
    let policy = page.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';"),
        "{policy}"
    );
    assert!(
        !policy.contains("unsafe") && !policy.contains("http"),
        "{policy}"
    );
    let html = page.text().await.unwrap();
    let linked = html
        .split('"')
        .filter(|part| part.contains('.') && !part.contains(' '));
    let mut files: Vec<&str> = linked.filter(|part| !part.starts_with("..")).collect();
    files.retain(|part| !part.starts_with("width"));
    assert_eq!(files.len(), 5, "{files:?}");
    for file in files {
        let url = format!("http://{}/docs/{file}", served.address);
        let get = |encoding: &str| client().get(&url).header(ACCEPT_ENCODING, encoding).send();
        let plain = get("identity").await.unwrap();
        assert_eq!(plain.status(), 200, "{file}");
        assert_eq!(plain.headers()["content-security-policy"], policy.as_str());
        assert!(!plain.headers().contains_key(CONTENT_ENCODING));
        let kind = plain.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        let end = file.rsplit('.').next().unwrap();
        assert!(
            kind.contains(if end == "js" { "javascript" } else { end }),
            "{file}: {kind}"
        );
        let plain = plain.bytes().await.unwrap();
        assert!(!plain.starts_with(b"\x1f\x8b"), "{file}");
        let gzipped = get("gzip").await.unwrap();
        if end == "js" && plain.len() > 1_024 {
            assert_eq!(gzipped.headers()[CONTENT_ENCODING], "gzip", "{file}");
            assert!(
                gzipped.bytes().await.unwrap().len() < plain.len() / 2,
                "{file}"
            );
        }
    }
}
