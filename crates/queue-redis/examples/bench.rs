//! Rate and latency from `submit` to the answer, through a Redis that REDIS_URL names, or one of
//! our own that syncs every command. The worker checks nothing and stores nothing.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement ends where something is not as it should be, and reads the clock"
)]

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use audittrail_queue::conformance::request;
use audittrail_queue::{Outcome, Placed, Queue as _, Take};
use audittrail_queue_redis::{Options, RedisQueue, RedisSettings};
use futures_util::future::join_all;

/// As the sequencer's.
const TAKE: Take = Take {
    entries: 16_384,
    bytes: 16 << 20,
};
/// Bytes of a sealed part, so that an entry has about as many as a small one of ours.
const SEALED: usize = 200;
const TIME: Duration = Duration::from_secs(5);

struct Own(Child);

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(dir: &std::path::Path) -> (Own, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut command = Command::new("redis-server");
    command.args([
        "--port",
        &port.to_string(),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
    ]);
    command
        .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
        .arg(dir);
    let own = Own(command.stdout(Stdio::null()).spawn().unwrap());
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        std::thread::sleep(Duration::from_millis(5));
    }
    (own, format!("redis://127.0.0.1:{port}"))
}

async fn open(url: &str, log: &str, node: &str) -> RedisQueue {
    let settings = RedisSettings::parse(url).unwrap();
    let options = Options::new(log, node);
    let (queue, report) = RedisQueue::connect(settings, options, Arc::new(|_| Ok(())))
        .await
        .unwrap();
    if let Some(why) = report.not_durable {
        println!("not durable: {why}");
    }
    tokio::spawn(queue.run());
    queue
}

async fn work(queue: RedisQueue) {
    let mut index = 0;
    loop {
        let deliveries = queue.receive(TAKE).await.unwrap();
        let outcomes = deliveries.iter().map(|one| {
            let placed = one.request.entries.iter().map(|_| {
                index += 1;
                Placed {
                    index,
                    retried: false,
                }
            });
            (one.id, Outcome::Committed(placed.collect()))
        });
        queue.settle(outcomes.collect()).await.unwrap();
    }
}

async fn measure(url: &str, submitters: usize, entries: usize) {
    let log = format!("bench/{submitters}-{entries}-{}", std::process::id());
    let api = open(url, &log, "api").await;
    let worker = tokio::spawn(work(open(url, &log, "worker").await));
    let ids = AtomicU64::new(0);
    let began = Instant::now();
    let submitting = (0..submitters).map(|_| async {
        let mut times = Vec::new();
        while began.elapsed() < TIME {
            let id = ids.fetch_add(entries as u64, Ordering::Relaxed);
            let request = request(u128::from(id), entries, SEALED);
            let sent = Instant::now();
            let waiter = api.submit(request).await.unwrap();
            let taken = sent.elapsed();
            let outcome = waiter.outcome().await;
            assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
            times.push((taken, sent.elapsed()));
        }
        times
    });
    let times = join_all(submitting).await.concat();
    let seconds = began.elapsed().as_secs_f64();
    worker.abort();
    let quantiles = |mut times: Vec<Duration>| {
        times.sort_unstable();
        [50, 99].map(|percent| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1_000.0)
    };
    let [taken_50, taken_99] = quantiles(times.iter().map(|one| one.0).collect());
    let [settled_50, settled_99] = quantiles(times.iter().map(|one| one.1).collect());
    println!(
        "{submitters:>3} submitters of {entries:>5}: {:>8.0} requests/s {:>8.0} entries/s; taken p50 \
         {taken_50:.2} ms, p99 {taken_99:.2} ms; answered p50 {settled_50:.2} ms, p99 {settled_99:.2} ms",
        times.len() as f64 / seconds,
        (times.len() * entries) as f64 / seconds,
    );
}

#[tokio::main]
async fn main() {
    let dir = tempfile::tempdir().unwrap();
    let (_own, url) = match std::env::var("REDIS_URL") {
        Ok(url) => (None, url),
        Err(_) => {
            let (own, url) = start(dir.path());
            (Some(own), url)
        }
    };
    for (submitters, entries) in [(1, 1), (64, 1), (512, 1), (8, 1_000)] {
        measure(&url, submitters, entries).await;
    }
}
