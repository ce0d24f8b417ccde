//! Processes of `audittrail witness`, and what they are asked.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use reqwest::StatusCode;

use crate::support::{BINARY, command, success};

/// A running witness. Dropped, it is killed.
pub(crate) struct Witness {
    child: Child,
    pub(crate) url: String,
    pub(crate) vkey: String,
}

impl Witness {
    /// Starts in `home/witness-data`, with a policy that lists these logs.
    pub(crate) fn start(home: &Path, logs: &[&str]) -> Self {
        let policy = policy(home, logs, "witnessed.policy", "quorum none\n");
        let mut child = command(BINARY)
            .args([
                "witness",
                "--listen",
                "127.0.0.1:0",
                "--data",
                "witness-data",
            ])
            .arg("--policy")
            .arg(policy)
            .current_dir(home)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut after = |prefix: &str| {
            let line = lines.next().unwrap().unwrap();
            let rest = line.strip_prefix(prefix);
            rest.unwrap_or_else(|| panic!("{line}")).to_owned()
        };
        Self {
            url: after("listening on "),
            vkey: after("verifier key: "),
            child,
        }
    }

    /// SIGTERM; it has to end well.
    pub(crate) fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Status, media type and text of an answer to a request of these bytes.
    pub(crate) async fn add(&self, body: impl Into<Vec<u8>>) -> (StatusCode, String, String) {
        let client = reqwest::Client::new();
        let request = client.post(format!("{}/add-checkpoint", self.url));
        let answer = request.body(body.into()).send().await.unwrap();
        let status = answer.status();
        let kind = answer.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        (status, kind, answer.text().await.unwrap())
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A policy file with these logs and further lines.
pub(crate) fn policy(home: &Path, logs: &[&str], name: &str, more: &str) -> PathBuf {
    let lines: String = logs.iter().map(|vkey| format!("log {vkey}\n")).collect();
    let path = home.join(name);
    std::fs::write(&path, format!("{lines}{more}")).unwrap();
    path
}

/// The verifier key of the log in a data directory.
pub(crate) fn vkey(home: &Path) -> String {
    let mut keys = command(BINARY);
    let output = keys
        .args(["keys", "show"])
        .current_dir(home)
        .output()
        .unwrap();
    success(&output).trim().to_owned()
}

/// What `serve` says where it does not start. One that starts is killed, and the test fails.
pub(crate) fn refused(home: &Path, settings: &[(&str, &str)]) -> Output {
    let mut serve = command(BINARY);
    serve.envs(settings.iter().copied());
    serve.args(["serve", "--listen", "127.0.0.1:0"]);
    serve.args(["--metrics-listen", "none"]).current_dir(home);
    not_started(serve)
}

/// The same of any command that would not end by itself.
pub(crate) fn not_started(mut command: Command) -> Output {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let out = child.stdout.take().unwrap();
    BufReader::new(out).read_line(&mut first).unwrap();
    if !first.is_empty() {
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(first, "", "it started");
    output
}

/// A copy of a data directory, as a backup has it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &name);
        } else {
            std::fs::copy(entry.path(), name).unwrap();
        }
    }
}
