//! A server to test with: the real binary, on a free port, with its data in a new directory.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_audittrail");

/// Nothing that a test waits for takes so long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A path from the root of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

/// A command that sees none of this process's settings.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let ours = name.to_string_lossy();
        if ["AUDITTRAIL_", "LOG_SIGNING_KEY", "MONGO_"]
            .iter()
            .any(|one| ours.starts_with(one))
        {
            command.env_remove(name);
        }
    }
    command.env("AUDITTRAIL_LOG", "info,audittrail=debug");
    command
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a command printed, which has to have ended well.
pub(crate) fn success(output: &Output) -> String {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    out
}

/// A running server. Dropped, it is killed.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    pub(crate) home: PathBuf,
    client: reqwest::Client,
    token: String,
}

/// A directory for a server's data, and the server that uses it first.
pub(crate) fn start() -> (TempDir, Server) {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(home.path());
    (home, server)
}

impl Server {
    /// Starts on the data in `home`, and waits until it listens.
    pub(crate) fn start(home: &Path) -> Self {
        Self::start_with(home, &[])
    }

    pub(crate) fn start_with(home: &Path, settings: &[(&str, &str)]) -> Self {
        Self::of(home, spawn(home, settings))
    }

    /// Starts where an earlier one was.
    pub(crate) fn start_at(home: &Path, address: &str) -> Self {
        Self::start_with(home, &[("AUDITTRAIL_LISTEN", address)])
    }

    /// Starts in a shell, after a command of its.
    pub(crate) fn start_after(home: &Path, before: &str) -> Self {
        let mut shell = command("sh");
        shell.args(["-c", &format!("{before} && exec \"$0\" \"$@\""), BINARY]);
        Self::of(home, spawn_by(shell, home))
    }

    fn of(home: &Path, (child, first): (Child, String)) -> Self {
        let Some(url) = first.trim_end().strip_prefix("listening on ") else {
            panic!("the server did not start: {first}\n{}", log_of(home));
        };
        let mut server = Self {
            child,
            url: url.to_owned(),
            home: home.to_owned(),
            client: reqwest::Client::new(),
            token: String::new(),
        };
        server.token = server.token(&["--sub", "tester", "--role", "admin"]);
        server
    }

    /// A token made by the command.
    pub(crate) fn token(&self, arguments: &[&str]) -> String {
        let output = self.run("token").args(arguments).output().unwrap();
        success(&output).trim().to_owned()
    }

    /// A command of the binary on this server's data.
    pub(crate) fn run(&self, name: &str) -> Command {
        let mut command = command(BINARY);
        command.arg(name).current_dir(&self.home);
        if !self.token.is_empty() {
            command
                .env("AUDITTRAIL_TOKEN", &self.token)
                .env("AUDITTRAIL_URL", &self.url);
        }
        command
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.home.join("audittrail-data")
    }

    pub(crate) fn client(&self) -> reqwest::Client {
        self.client.clone()
    }

    /// A request with the token of an administrator.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        answer(self.request(Method::POST, path).json(body)).await
    }

    /// The value of a metric without labels.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let url = format!("{}/metrics", self.url);
        let page = self
            .client
            .get(url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let line = page
            .lines()
            .find(|line| line.split(' ').next() == Some(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in\n{page}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `Authorization` with the token of an administrator.
    pub(crate) fn bearer(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.token)
    }

    /// A connection of its own.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.url.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// SIGTERM, without waiting.
    pub(crate) fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// The exit code, once the process has ended.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; the server has to end well.
    pub(crate) fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}\n{}", self.log());
    }

    /// What the server logged, in all its lives in this directory.
    pub(crate) fn log(&self) -> String {
        log_of(&self.home)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            let log = self.log();
            assert!(!log.contains("panicked"), "{log}");
        }
    }
}

fn log_of(home: &Path) -> String {
    let mut log = String::new();
    let _ = File::open(home.join("server.log")).and_then(|mut file| file.read_to_string(&mut log));
    log
}

/// Starts `serve`; the process and its first line, empty if it ended without one.
pub(crate) fn spawn(home: &Path, settings: &[(&str, &str)]) -> (Child, String) {
    let mut binary = command(BINARY);
    binary.envs(settings.iter().copied());
    spawn_by(binary, home)
}

fn spawn_by(mut command: Command, home: &Path) -> (Child, String) {
    let log = File::options()
        .create(true)
        .append(true)
        .open(home.join("server.log"))
        .unwrap();
    for (listen, at) in [
        ("AUDITTRAIL_LISTEN", "127.0.0.1:0"),
        ("AUDITTRAIL_METRICS_LISTEN", "same"),
    ] {
        let given = command
            .get_envs()
            .any(|(name, value)| name == listen && value.is_some());
        if !given {
            command.env(listen, at);
        }
    }
    let mut child = command
        .arg("serve")
        .current_dir(home)
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    (child, first)
}

/// The status and the JSON of an answer; null where the body is none.
pub(crate) async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let body = response.bytes().await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}
