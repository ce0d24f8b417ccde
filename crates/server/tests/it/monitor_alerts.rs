//! `audittrail monitor`: whom it tells, and how often.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use audittrail_checkpoint::Signer;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::monitoring::{Monitor, files, publish};
use crate::support::{DEADLINE, Server, start};

/// Takes alerts after it has refused some.
#[derive(Clone)]
struct Receiver {
    url: String,
    refuses: usize,
    /// What is not let through hangs.
    gate: Arc<Semaphore>,
    attempts: Arc<AtomicUsize>,
    taken: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    async fn new(refuses: usize, hangs: bool) -> Self {
        let open = if hangs { 0 } else { Semaphore::MAX_PERMITS };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            url: format!("http://{}/hook?key=secret", listener.local_addr().unwrap()),
            refuses,
            gate: Arc::new(Semaphore::new(open)),
            attempts: Arc::default(),
            taken: Arc::default(),
        };
        let router = Router::new().fallback(receive).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        receiver
    }

    fn taken(&self) -> Vec<Value> {
        self.taken.lock().unwrap().clone()
    }
}

async fn receive(State(receiver): State<Receiver>, body: String) -> Response {
    let attempt = receiver.attempts.fetch_add(1, Ordering::SeqCst);
    let _ = receiver.gate.acquire().await.unwrap();
    if attempt < receiver.refuses {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    receiver
        .taken
        .lock()
        .unwrap()
        .push(serde_json::from_str(&body).unwrap());
    StatusCode::NO_CONTENT.into_response()
}

/// A monitor that runs until it is stopped.
struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    fn start(monitor: &Monitor, arguments: &[&str]) -> Self {
        Self::start_every("50ms", monitor, arguments)
    }

    fn start_every(interval: &str, monitor: &Monitor, arguments: &[&str]) -> Self {
        let mut command = monitor.command(arguments);
        let mut child = command
            .args(["--interval", interval])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next check.
    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Checks until one has this outcome.
    fn until(&mut self, outcome: &str) -> Value {
        self.find(|said| said["outcome"] == outcome)
    }

    /// Checks until one is good and says this number.
    fn until_good(&mut self, name: &str, number: u64) {
        self.find(|said| said["outcome"] == "good" && said[name] == number);
    }

    fn find(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let said = self.next();
            if wanted(&said) {
                return said;
            }
            assert!(start.elapsed() < DEADLINE, "not what is waited for: {said}");
        }
    }

    /// SIGTERM; the exit code.
    fn stop(mut self) -> i32 {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        status.code().unwrap_or_else(|| panic!("{status}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A log of the same name and another key, so that every check finds something.
fn with_other_key(monitor: &Monitor) -> Monitor {
    let origin = monitor.key.split('+').next().unwrap();
    let mut other = monitor.clone();
    other.key = Signer::from_seed(origin, [3; 32])
        .unwrap()
        .verifier()
        .to_string();
    other
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_finding_is_told_once() {
    let (_home, server) = start();
    publish(&server, 3, "door.open").await;
    let work = tempfile::tempdir().unwrap();
    let monitor = Monitor::of(&server, work.path());
    let receiver = Receiver::new(2, false).await;
    let hook = ["--webhook", receiver.url.as_str()];
    monitor.good(&hook).await;
    assert_eq!(receiver.attempts.load(Ordering::SeqCst), 0);
    let wrong = with_other_key(&monitor);
    // The status belongs to the state; this one has none.
    std::fs::remove_file(monitor.state()).unwrap();
    for _ in 0..2 {
        wrong.finds("checkpoint", &hook).await;
    }
    assert_eq!(
        receiver.attempts.load(Ordering::SeqCst),
        3,
        "two refused, one taken, no more"
    );
    let taken = receiver.taken();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0]["finding"], "checkpoint");
    assert!(
        taken[0]["text"]
            .as_str()
            .unwrap()
            .contains("none of the known keys")
    );
    // Once it was good in between it is a new one; while the log changes its key both are given.
    let both = [hook.as_slice(), &["--key", &wrong.key]].concat();
    monitor.good(&both).await;
    std::fs::remove_file(monitor.state()).unwrap();
    wrong.finds("checkpoint", &hook).await;
    assert_eq!(receiver.taken().len(), 2);
}

/// A checkpoint that is too old, by the time at which it was first seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_checkpoint_is_told() {
    let (_home, server) = start();
    publish(&server, 3, "door.open").await;
    let work = tempfile::tempdir().unwrap();
    let monitor = Monitor::of(&server, work.path());
    let receiver = Receiver::new(0, false).await;
    let arguments = ["--webhook", receiver.url.as_str(), "--max-age", "1h"];
    monitor.good(&arguments).await;
    let status = work.path().join("state.status");
    let mut kept: Value = serde_json::from_slice(&std::fs::read(&status).unwrap()).unwrap();
    let two_hours = 2 * 3_600 * 1_000_000_000_i64;
    kept["first_seen"] = json!(kept["first_seen"].as_i64().unwrap() - two_hours);
    std::fs::write(&status, kept.to_string()).unwrap();
    let finding = monitor.finds("old", &arguments).await;
    assert!(
        finding["detail"].as_str().unwrap().contains("3 entries"),
        "{finding}"
    );
    assert_eq!(receiver.taken().len(), 1);
    publish(&server, 1, "door.open").await;
    monitor.good(&arguments).await;
}

/// Whoever does not answer is not waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_hangs_holds_nothing_up() {
    let (_home, server) = start();
    publish(&server, 3, "door.open").await;
    let work = tempfile::tempdir().unwrap();
    let monitor = with_other_key(&Monitor::of(&server, work.path()));
    let receiver = Receiver::new(0, true).await;
    let running = Running::start(&monitor, &["--webhook", &receiver.url]);
    let checks = move || {
        let mut running = running;
        for _ in 0..20 {
            assert_eq!(running.next()["outcome"], "finding");
        }
        running
    };
    let running = tokio::task::spawn_blocking(checks).await.unwrap();
    assert!(receiver.taken().is_empty());
    // However many checks there were, and although it is stopped: one alert, once it can be told.
    receiver.gate.add_permits(1_000);
    let code = tokio::task::spawn_blocking(move || running.stop()).await;
    assert_eq!((code.unwrap(), receiver.taken().len()), (1, 1));
}

async fn page(stderr: &mut BufReader<std::process::ChildStderr>) -> String {
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("metrics on ").unwrap().to_owned();
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

fn metric(page: &str, name: &str) -> f64 {
    let line = page.lines().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in\n{page}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Good while the log grows; away, and after a while that is told; good again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_goes_away_and_comes_back() {
    let (home, server) = start();
    publish(&server, 300, "door.open").await;
    let work = tempfile::tempdir().unwrap();
    let monitor = Monitor::of(&server, work.path());
    let receiver = Receiver::new(0, false).await;
    let mut running = Running::start(
        &monitor,
        &[
            "--metrics-listen",
            "127.0.0.1:0",
            "--mirror",
            "mirror",
            "--webhook",
            &receiver.url,
            "--unreachable-after",
            "500ms",
        ],
    );
    assert_eq!(running.next()["outcome"], "good");
    publish(&server, 20, "door.open").await;
    running.until_good("size", 320);
    let mut stderr = BufReader::new(running.child.stderr.take().unwrap());
    let page = page(&mut stderr).await;
    for (name, value) in [
        ("audittrail_monitor_checkpoint_entries ", 320.0),
        ("audittrail_monitor_mirror_entries ", 320.0),
        ("audittrail_monitor_findings ", 0.0),
        ("audittrail_monitor_checks_total{outcome=\"finding\"}", 0.0),
    ] {
        assert!(
            (metric(&page, name) - value).abs() < 0.5,
            "{name} {value}\n{page}"
        );
    }
    assert!(metric(&page, "audittrail_monitor_checks_total{outcome=\"good\"}") >= 2.0);
    assert!(metric(&page, "audittrail_monitor_checkpoint_age_seconds ") >= 0.0);
    let address = server.url.trim_start_matches("http://").to_owned();
    server.kill();
    // At first it is only away.
    assert_eq!(running.until("unreachable")["findings"], json!([]));
    let said = running.until("finding");
    assert_eq!(said["findings"][0]["kind"], "unreachable");
    let server = Server::start_at(home.path(), &address);
    publish(&server, 5, "door.open").await;
    running.until_good("size", 325);
    let code = tokio::task::spawn_blocking(move || running.stop())
        .await
        .unwrap();
    assert_eq!(code, 1, "something was found while it ran");
    let told = receiver.taken();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["finding"], "unreachable");
    // Nothing was found: it ends well.
    let mut running = Running::start(&monitor, &[]);
    running.until("good");
    assert_eq!(running.stop(), 0);
}

/// A log that takes longer to copy than from one check to the next: checkpoints are checked in
/// between, and the mirror goes on with the newest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_log_is_mirrored_between_checks() {
    let (_home, server) = start();
    publish(&server, 1_600, "door.open").await;
    let work = tempfile::tempdir().unwrap();
    let monitor = Monitor::of(&server, work.path());
    let mut running = Running::start_every("1ms", &monitor, &["--mirror", "mirror"]);
    let first = running.next();
    assert_eq!(
        (&first["outcome"], &first["size"]),
        (&json!("good"), &json!(1_600))
    );
    assert!(
        first["mirrored_entries"].as_u64().unwrap() < 1_600,
        "{first}"
    );
    publish(&server, 300, "door.open").await;
    running.until_good("mirrored_entries", 1_900);
    assert_eq!(running.stop(), 0);
    let fresh = tempfile::tempdir().unwrap();
    Monitor::of(&server, fresh.path())
        .good(&["--mirror", "mirror"])
        .await;
    let whole = files(&fresh.path().join("mirror"));
    let copied = files(&work.path().join("mirror"));
    assert!(
        whole
            .iter()
            .all(|(name, bytes)| copied.get(name) == Some(bytes))
    );
}

/// Two would overwrite each other's state.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_monitor_at_a_time() {
    let (_home, server) = start();
    publish(&server, 3, "door.open").await;
    let work = tempfile::tempdir().unwrap();
    let monitor = Monitor::of(&server, work.path());
    let mut running = Running::start(&monitor, &[]);
    running.until("good");
    let output = crate::monitoring::output(monitor.command(&["--once"])).await;
    let said = crate::support::text(&output.stderr);
    assert!(
        output.status.code() == Some(3) && said.contains("another monitor"),
        "{said}"
    );
    assert_eq!(running.stop(), 0);
}
