//! What the commands have in common that talk to a server.

use std::error::Error as _;
use std::time::Duration;

use reqwest::{ClientBuilder, Response, Url};

use crate::Failure;

/// Connecting takes no longer than this.
const CONNECT: Duration = Duration::from_secs(10);
/// A server that is gone is noticed by the connection itself, however long an answer takes.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// More of an error's body is not read.
const DETAIL_BYTES: usize = 64 << 10;
/// More characters of it are not shown.
const DETAIL_SHOWN: usize = 2_000;

/// The token given, or what to do about it.
pub(crate) fn token<'a>(given: Option<&'a str>, role: &str) -> Result<&'a str, Failure> {
    given.filter(|token| !token.is_empty()).ok_or_else(|| {
        Failure::Usage(format!(
            "no token: set AUDITTRAIL_TOKEN or give --token; `audittrail token --sub {role} --role \
             {role}` makes one"
        ))
    })
}

/// A path of a server.
pub(crate) fn url(server: &str, path: &str) -> Result<Url, Failure> {
    let unusable = || {
        Failure::Usage(format!(
            "url is {server}; write it like http://127.0.0.1:8000"
        ))
    };
    let url = Url::parse(&format!("{}{path}", server.trim_end_matches('/')));
    url.ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .filter(|url| url.query().is_none() && url.fragment().is_none())
        .ok_or_else(unusable)
}

/// A client that gives up on a server that is not there.
pub(crate) fn client() -> ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .tcp_keepalive(KEEP_ALIVE)
}

/// An error with its causes, the address left out: it may be long, and what was asked for is
/// known.
pub(crate) fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&said);
        }
        cause = error.source();
    }
    if text.is_empty() {
        error.to_string()
    } else {
        text
    }
}

/// What a problem document says, or that there is none.
pub(crate) async fn detail(response: Response) -> String {
    detail_of(&problem(response).await)
}

/// A problem document; null where the answer is none.
pub(crate) async fn problem(mut response: Response) -> serde_json::Value {
    let mut body = Vec::new();
    while let Ok(Some(part)) = response.chunk().await {
        body.extend(part);
        if body.len() > DETAIL_BYTES {
            break;
        }
    }
    serde_json::from_slice(&body).unwrap_or_default()
}

/// What it says.
pub(crate) fn detail_of(problem: &serde_json::Value) -> String {
    let detail = problem.get("detail").and_then(serde_json::Value::as_str);
    let detail = detail.unwrap_or("it does not say why");
    // It comes from elsewhere, and goes to a terminal.
    let shown = detail.chars().filter(|one| !one.is_control());
    shown.take(DETAIL_SHOWN).collect()
}
