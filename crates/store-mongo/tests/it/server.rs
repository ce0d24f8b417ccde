//! A real mongod: one for all tests of this binary, and one of their own for tests that kill it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::ClientOptions;
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::OnceCell;

/// Nothing that a test waits for takes so long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Stops the server when this process ends, however it ends: its end of the pipe is closed then.
/// Removes the files unless it was told to keep them.
const WATCHED: &str = r#"
dir=$1; shift
"$@" >>"$dir/out" 2>&1 </dev/null & pid=$!
echo $pid
told=$(cat)
kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null
[ -n "$told" ] || rm -rf "$dir"
"#;

fn binary() -> PathBuf {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.test-tools/mongod/mongod");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|dir| dir.join("mongod"));
    on_path
        .chain([ours])
        .find(|path| path.is_file())
        .expect("there is no mongod: run tools/test-needs, or set MONGODB_URI")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A server of its own.
pub(crate) struct Mongod {
    pub(crate) port: u16,
    data: PathBuf,
    process: Option<(Child, Pid)>,
    set: bool,
}

impl Mongod {
    /// Starts one: as a replica set of one member, or as none.
    pub(crate) async fn start(set: bool) -> Self {
        let mut mongod = Self {
            port: free_port(),
            data: tempfile::tempdir().unwrap().keep(),
            process: None,
            set,
        };
        mongod.launch();
        if set {
            let client = mongod.client().await;
            let host = format!("127.0.0.1:{}", mongod.port);
            let config = doc! { "_id": "rs0", "members": [{ "_id": 0, "host": host }] };
            let initiate = async || {
                let command = doc! { "replSetInitiate": config.clone() };
                client.database("admin").run_command(command).await.ok()
            };
            until("the replica set is made", initiate).await;
        }
        mongod.wait().await;
        mongod
    }

    fn launch(&mut self) {
        let mut command = Command::new("sh");
        command
            .args(["-c", WATCHED, "sh"])
            .arg(&self.data)
            .arg(binary());
        command.args(["--bind_ip", "127.0.0.1", "--nounixsocket", "--quiet"]);
        command.args(["--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "200"]);
        command.args(["--setParameter", "diagnosticDataCollectionEnabled=false"]);
        command.arg("--dbpath").arg(&self.data);
        command.args(["--port", &self.port.to_string()]);
        if self.set {
            command.args(["--replSet", "rs0"]);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        let pid = Pid::from_raw(line.trim().parse().unwrap()).unwrap();
        self.process = Some((child, pid));
    }

    async fn client(&self) -> Client {
        let url = format!("mongodb://127.0.0.1:{}/?directConnection=true", self.port);
        let mut options = ClientOptions::parse(url).await.unwrap();
        options.server_selection_timeout = Some(Duration::from_secs(1));
        Client::with_options(options).unwrap()
    }

    /// Waits until it can be written to.
    async fn wait(&self) {
        let admin = self.client().await.database("admin");
        let is_primary = async || {
            let hello = admin.run_command(doc! { "hello": 1 });
            let hello: Document = hello.await.ok()?;
            hello.get_bool("isWritablePrimary").ok().filter(|is| *is)
        };
        until("mongod can be written to", is_primary).await;
    }

    /// SIGKILL, and then another one over the same files.
    pub(crate) async fn kill_and_restart(&mut self) {
        self.kill();
        self.launch();
        self.wait().await;
    }

    pub(crate) fn kill(&mut self) {
        let (mut child, pid) = self.process.take().unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        // Its files are needed again.
        child.stdin.take().unwrap().write_all(b"keep").unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn url(&self, database: &str) -> String {
        let Self { port, .. } = self;
        format!("mongodb://127.0.0.1:{port}/{database}?directConnection=true")
    }
}

impl Drop for Mongod {
    fn drop(&mut self) {
        match self.process.take() {
            Some((mut child, _)) => {
                drop(child.stdin.take());
                let _ = child.wait();
            }
            None => {
                let _ = std::fs::remove_dir_all(&self.data);
            }
        }
    }
}

/// Asks until there is an answer.
pub(crate) async fn until<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let answer = tokio::time::timeout(DEADLINE, asking).await;
    answer.unwrap_or_else(|_| panic!("waited for so long: {what}"))
}

/// The URL of a new database, on the server of MONGODB_URI if there is one.
pub(crate) async fn new_database() -> String {
    static SHARED: OnceCell<Mongod> = OnceCell::const_new();
    let database = format!("audittrail_test_{}", rand::random::<u64>());
    if let Ok(given) = std::env::var("MONGODB_URI") {
        let (before, options) = given.split_once('?').unwrap_or((&given, ""));
        let hosts = before.trim_end_matches('/');
        return format!("{hosts}/{database}?{options}");
    }
    let shared = SHARED.get_or_init(async || Mongod::start(true).await).await;
    shared.url(&database)
}
