//! A server of one's own, in a directory that is removed with it.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::{BenchError, Target};

/// A server process. Dropped, it is killed and its directory removed.
#[derive(Debug)]
pub struct Embedded {
    child: Child,
    home: TempDir,
    binary: PathBuf,
    /// Where to send to.
    pub target: Target,
}

impl Embedded {
    /// Starts `binary serve` with its data in a new directory below `within`.
    ///
    /// # Errors
    /// If it does not start; what it said is part of the error.
    pub fn start(binary: &Path, within: &Path) -> Result<Self, BenchError> {
        let home = tempfile::Builder::new()
            .prefix("audittrail-bench-")
            .tempdir_in(within)
            .map_err(BenchError::because(format!(
                "no directory can be made in {}",
                within.display()
            )))?;
        let (child, url) = spawn(binary, home.path())?;
        let mut server = Self {
            target: Target::new(&url, "", Some(child.id()))?,
            child,
            home,
            binary: binary.to_owned(),
        };
        server.target = Target::new(&url, &server.token()?, Some(server.child.id()))?;
        Ok(server)
    }

    /// Where its data is.
    pub fn directory(&self) -> &Path {
        self.home.path()
    }

    /// Kills the process (SIGKILL) and starts another on the same data.
    ///
    /// # Errors
    /// If it does not start.
    pub fn restart_after_kill(&mut self) -> Result<(), BenchError> {
        self.end();
        let (child, url) = spawn(&self.binary, self.home.path())?;
        self.child = child;
        self.target = Target::new(&url, &self.token()?, Some(self.child.id()))?;
        Ok(())
    }

    fn token(&self) -> Result<String, BenchError> {
        let what = "no token can be made for the server";
        let mut command = command(&self.binary, "token", self.home.path());
        command.args(["--sub", "bench", "--role", "admin", "--ttl", "30d"]);
        let output = command.output().map_err(BenchError::because(what))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(BenchError::new(format!("{what}: {said}")));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Bytes of all files in the data directory.
    pub(crate) fn data_bytes(&self) -> u64 {
        size_of(&self.home.path().join("data"))
    }

    /// Bytes of all files in a directory of the data directory.
    pub(crate) fn bytes_below(&self, name: &str) -> u64 {
        size_of(&self.home.path().join("data").join(name))
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.end();
    }
}

fn size_of(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// A command of the binary that sees none of this process's settings.
fn command(binary: &Path, name: &str, home: &Path) -> Command {
    let mut command = Command::new(binary);
    for (variable, _) in std::env::vars_os() {
        let text = variable.to_string_lossy();
        if text.starts_with("AUDITTRAIL_") || text.starts_with("LOG_SIGNING_KEY") {
            command.env_remove(variable);
        }
    }
    command.arg(name).arg("--data").arg(home.join("data"));
    command
}

fn spawn(binary: &Path, home: &Path) -> Result<(Child, String), BenchError> {
    let what = "the server cannot be started";
    let path = home.join("server.log");
    let log = File::options().create(true).append(true).open(&path);
    let mut child = command(binary, "serve", home)
        .args(["--listen", "127.0.0.1:0", "--metrics-listen", "same"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.map_err(BenchError::because(what))?)
        .spawn()
        .map_err(BenchError::because(what))?;
    let mut first = String::new();
    if let Some(out) = child.stdout.take() {
        let _ = BufReader::new(out).read_line(&mut first);
    }
    match first.trim_end().strip_prefix("listening on ") {
        Some(url) => Ok((child, url.to_owned())),
        None => {
            let _ = child.kill();
            let _ = child.wait();
            let said = std::fs::read_to_string(&path).unwrap_or_default();
            Err(BenchError::new(format!("{what}: {first}{said}")))
        }
    }
}
