//! What tests of `audittrail monitor` have in common: a run of it, and what stands between it and
//! a log.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{BINARY, Server, command, success, text};

/// A monitor of a log, with its files in a directory.
#[derive(Clone)]
pub(crate) struct Monitor {
    pub(crate) url: String,
    pub(crate) key: String,
    pub(crate) home: PathBuf,
    token: String,
}

impl Monitor {
    pub(crate) fn of(server: &Server, home: &Path) -> Self {
        let key = success(&server.run("keys").arg("show").output().unwrap());
        Self {
            url: server.url.clone(),
            key: key.trim().to_owned(),
            home: home.to_owned(),
            token: server.token(&["--sub", "monitor", "--role", "auditor"]),
        }
    }

    /// Of a log that is no server of ours.
    pub(crate) fn at(url: &str, key: &str, home: &Path) -> Self {
        Self {
            url: url.to_owned(),
            key: key.to_owned(),
            home: home.to_owned(),
            token: String::new(),
        }
    }

    pub(crate) fn before(&self, url: &str) -> Self {
        let mut monitor = self.clone();
        url.clone_into(&mut monitor.url);
        monitor
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.home.join("state")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut monitor = command(BINARY);
        monitor
            .args(["monitor", &self.url, "--key", &self.key, "--json"])
            .args(["--state", "state"])
            .args(arguments)
            .env("AUDITTRAIL_TOKEN", &self.token)
            .current_dir(&self.home);
        monitor
    }

    /// One check: the exit code, and what it says.
    pub(crate) async fn once(&self, arguments: &[&str]) -> (i32, Value) {
        let mut run = self.command(&["--once"]);
        run.args(arguments);
        let output = output(run).await;
        let said = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{error}: {}{}", text(&output.stdout), text(&output.stderr))
        });
        (output.status.code().unwrap(), said)
    }

    /// One check that has to end well.
    pub(crate) async fn good(&self, arguments: &[&str]) -> Value {
        let (code, said) = self.once(arguments).await;
        assert_eq!(
            (code, &said["outcome"]),
            (0, &json!("good")),
            "{said} {arguments:?}"
        );
        said
    }

    /// One check that has to end with this finding; the finding.
    pub(crate) async fn finds(&self, kind: &str, arguments: &[&str]) -> Value {
        let (code, said) = self.once(arguments).await;
        assert_eq!((code, &said["outcome"]), (1, &json!("finding")), "{said}");
        let finding = said["findings"][0].clone();
        assert_eq!(finding["kind"], kind, "{said}");
        finding
    }
}

/// Runs beside the test's own servers.
pub(crate) async fn output(mut command: Command) -> Output {
    let run = move || command.output().unwrap();
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// More entries, published.
pub(crate) async fn publish(server: &Server, count: usize, action: &str) {
    let entries: Vec<Value> = (0..count)
        .map(|number| json!({"action": action, "details": {"n": number}}))
        .collect();
    let (status, answer) = server
        .post("/logs/?ack=published&receipts=none", &json!(entries))
        .await;
    assert_eq!(
        (status.as_u16(), &answer["ack"]),
        (201, &json!("published"))
    );
}

/// Answers in place of the log, or lets it answer, or changes what it answers.
pub(crate) enum Way {
    Pass,
    Change(fn(Vec<u8>) -> Vec<u8>),
    Answer(Response),
}

type Choose = Arc<dyn Fn(&str) -> Way + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Between {
    pub(crate) url: String,
    log: String,
    client: reqwest::Client,
    choose: Choose,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Between {
    /// Stands before a log; lives as long as the test's runtime.
    pub(crate) async fn new(
        log: &str,
        choose: impl Fn(&str) -> Way + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let between = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            log: log.to_owned(),
            client: reqwest::Client::new(),
            choose: Arc::new(choose),
            asked: Arc::default(),
        };
        let router = Router::new().fallback(pass).with_state(between.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        between
    }

    /// The paths that were asked for, without the slash at the beginning.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn pass(State(between): State<Between>, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/').to_owned();
    between.asked.lock().unwrap().push(path.clone());
    let change = match (between.choose)(&path) {
        Way::Answer(response) => return response,
        Way::Change(change) => Some(change),
        Way::Pass => None,
    };
    let mut request = between.client.get(format!("{}/{path}", between.log));
    if let Some(token) = headers.get(header::AUTHORIZATION) {
        request = request.header(header::AUTHORIZATION, token);
    }
    let Ok(answer) = request.send().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    let body = answer.bytes().await.unwrap().to_vec();
    let body = change.map_or(body.clone(), |change| change(body));
    (status, body).into_response()
}

/// Nothing comes, and the connection stays.
pub(crate) fn silence() -> Response {
    Response::new(Body::from_stream(futures_util::stream::pending::<
        std::io::Result<Bytes>,
    >()))
}

/// It never ends.
pub(crate) fn flood() -> Response {
    let part = || Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 65_536]));
    let parts = futures_util::stream::repeat_with(part);
    Response::new(Body::from_stream(parts))
}

/// A directory as any web server shows it, with the media types of tlog-tiles.
pub(crate) async fn serve_files(directory: &Path) -> String {
    let directory = directory.to_owned();
    let nowhere = "http://127.0.0.1:1";
    let files = move |path: &str| {
        let kind = if path == "checkpoint" {
            "text/plain; charset=utf-8"
        } else {
            "application/octet-stream"
        };
        Way::Answer(match std::fs::read(directory.join(path)) {
            Ok(bytes) => ([(header::CONTENT_TYPE, kind)], bytes).into_response(),
            Err(_) => StatusCode::NOT_FOUND.into_response(),
        })
    };
    Between::new(nowhere, files).await.url
}

/// All files below a directory, by path; hidden ones left out.
pub(crate) fn files(directory: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(at) = directories.pop() {
        let Ok(entries) = std::fs::read_dir(&at) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(directory).unwrap().to_str().unwrap();
            if path.is_dir() {
                directories.push(path);
            } else if !name.starts_with('.') {
                found.insert(name.to_owned(), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}
