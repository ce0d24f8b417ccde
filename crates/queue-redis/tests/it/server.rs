//! A redis-server of a test's own.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longer than any step takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Syncs every command, and throws nothing away.
pub(crate) const DURABLE: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

/// A server on a port of the loopback, stopped with this.
pub(crate) struct Server {
    child: Child,
    arguments: Vec<String>,
    dir: TempDir,
    pub(crate) port: u16,
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl Server {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::start_in(dir, free_port(), arguments)
    }

    pub(crate) fn start_in(dir: TempDir, port: u16, arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let child = launch(dir.path(), port, &arguments);
        let server = Self {
            child,
            arguments,
            dir,
            port,
        };
        server.wait();
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on what it had, with other arguments if some are given.
    pub(crate) fn start_again(&mut self, arguments: Option<&[&str]>) {
        if let Some(arguments) = arguments {
            self.arguments = arguments.iter().map(ToString::to_string).collect();
        }
        self.child = launch(self.dir.path(), self.port, &self.arguments);
        self.wait();
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(status.success());
    }

    /// Until it answers as one that is ready, or asks who we are.
    fn wait(&self) {
        let until = Instant::now() + PATIENCE;
        let port = self.arguments.iter().position(|one| one == "--tls-port");
        if port.is_some() {
            while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
                assert!(Instant::now() < until, "redis-server does not start");
                std::thread::yield_now();
            }
            return;
        }
        loop {
            let answer = TcpStream::connect(("127.0.0.1", self.port)).and_then(|mut stream| {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.write_all(b"PING\r\n")?;
                let mut answer = [0; 5];
                stream.read_exact(&mut answer)?;
                Ok(answer)
            });
            match answer {
                Ok(answer) if answer == *b"+PONG" || answer == *b"-NOAU" => return,
                _ => assert!(Instant::now() < until, "redis-server does not start"),
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(dir: &Path, port: u16, arguments: &[String]) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(dir.join("log"))
        .unwrap();
    let mut command = Command::new("redis-server");
    if let Some(file) = arguments.first().filter(|first| first.ends_with(".conf")) {
        command.arg(dir.join(file));
    }
    let rest = arguments.iter().filter(|one| !one.ends_with(".conf"));
    if !arguments.iter().any(|one| one == "--tls-port") {
        command.arg("--port").arg(port.to_string());
    }
    command.args(["--bind", "127.0.0.1"]).arg("--dir").arg(dir);
    if !arguments.iter().any(|one| one == "--sentinel") {
        command.args(["--save", ""]);
    }
    let child = command
        .args(rest)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(Stdio::null())
        .spawn();
    child.expect("redis-server is installed; `tools/test-needs` does that")
}
