//! Sends requests over a number of connections and measures their answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::Full;
use hyper::Request;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::client::{Answer, Body, Sender, Target, refusal};
use crate::process::{Watch, cpu_ms};
use crate::{BenchError, Figures, Latencies};

/// When the next request is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// When the one before it on the same connection was answered: a closed loop.
    Answered,
    /// So many a second, whatever becomes of those before: an open loop. A request whose time
    /// comes while all connections are busy waits, and its latency counts from its time.
    Fixed(f64),
}

/// How a load is sent.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// When the next request is sent.
    pub pace: Pace,
    /// What is sent before anything counts.
    pub warm_up: Duration,
    /// How long it counts; it ends before, where there is nothing more to send.
    pub duration: Duration,
}

/// What is sent: the request with a number, counted from 0, or nothing more.
pub(crate) trait Work: Send + Sync + 'static {
    fn request(&self, number: u64) -> Option<Request<Full<Bytes>>>;
    /// How many entries there were in an answered request, or in its answer.
    fn entries(&self, number: u64, answer: &Answer) -> u64;
    fn body(&self) -> Body {
        Body::Count
    }
    /// Bytes of each request's body, for the sum that was sent.
    fn sent(&self, request: &Request<Full<Bytes>>) -> u64 {
        hyper::body::Body::size_hint(request.body()).lower()
    }
}

/// From a nanosecond to twenty minutes, with three significant digits.
pub(crate) fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, 1_200_000_000_000, 3)
        .expect("three digits and a range that is not empty are allowed");
    histogram.auto(true);
    histogram
}

/// How requests are counted for which there was no connection in time.
const NEVER_SENT: &str = "no connection was free until long after its time: the rate is too high";

struct Shared<W> {
    target: Target,
    work: W,
    next: AtomicU64,
    begin: Instant,
    measured_from: Instant,
    end: Instant,
    /// What a fixed rate made due and is not sent by then is not sent any more.
    give_up: Instant,
    connections: usize,
    /// Of a fixed rate: one permit for each request whose time has come.
    due: Option<(f64, Semaphore)>,
    stopped: AtomicBool,
}

/// What one connection saw.
struct Tally {
    latency: Histogram<u64>,
    requests: u64,
    entries: u64,
    sent: u64,
    received: u64,
    failures: BTreeMap<String, u64>,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Tally {
    fn new() -> Self {
        Self {
            latency: histogram(),
            requests: 0,
            entries: 0,
            sent: 0,
            received: 0,
            failures: BTreeMap::new(),
            first: None,
            last: None,
        }
    }

    fn add(&mut self, other: Self) {
        // Both have the same bounds or grow by themselves.
        let _ = self.latency.add(other.latency);
        self.requests += other.requests;
        self.entries += other.entries;
        self.sent += other.sent;
        self.received += other.received;
        for (what, count) in other.failures {
            *self.failures.entry(what).or_default() += count;
        }
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.last = self.last.max(other.last);
    }
}

/// Sends `work` as planned.
pub(crate) async fn run<W: Work>(
    name: &str,
    target: &Target,
    plan: Plan,
    work: W,
) -> Result<Figures, BenchError> {
    let begin = Instant::now();
    let measured_from = begin + plan.warm_up;
    let shared = Arc::new(Shared {
        target: target.clone(),
        work,
        next: AtomicU64::new(0),
        begin,
        measured_from,
        end: measured_from + plan.duration,
        give_up: measured_from + plan.duration * 2,
        connections: plan.connections.max(1),
        due: match plan.pace {
            Pace::Answered => None,
            Pace::Fixed(rate) => Some((rate, Semaphore::new(0))),
        },
        stopped: AtomicBool::new(false),
    });
    let pacer = shared.due.is_some().then(|| {
        let shared = Arc::clone(&shared);
        std::thread::spawn(move || pace(&shared))
    });
    let mut connections = JoinSet::new();
    for _ in 0..plan.connections.max(1) {
        connections.spawn(connection(Arc::clone(&shared)));
    }
    let watch = target.pid.map(Watch::start);
    tokio::time::sleep_until(measured_from.into()).await;
    let cpu_before = target.pid.and_then(cpu_ms);
    let mut all = Tally::new();
    while let Some(tally) = connections.join_next().await {
        all.add(tally.map_err(BenchError::because("a connection's task failed"))??);
    }
    let cpu_after = target.pid.and_then(cpu_ms);
    shared.stopped.store(true, Ordering::Relaxed);
    if let Some(pacer) = pacer {
        let _ = pacer.join();
    }
    let took = all.first.zip(all.last).map(|(first, last)| last - first);
    let seconds = took.unwrap_or_default().as_secs_f64();
    let cpu = cpu_before.zip(cpu_after);
    Ok(Figures {
        scenario: name.to_owned(),
        connections: plan.connections,
        fixed_rate: match plan.pace {
            Pace::Answered => None,
            Pace::Fixed(rate) => Some(rate),
        },
        seconds,
        requests: all.requests,
        requests_per_second: all.requests as f64 / seconds.max(1e-9),
        entries: all.entries,
        entries_per_second: all.entries as f64 / seconds.max(1e-9),
        sent_bytes: all.sent,
        received_bytes: all.received,
        latency_ms: Latencies::of(&all.latency),
        failures: all.failures,
        server_cpu_seconds: cpu.map(|(before, after)| (after - before) as f64 / 1e3),
        server_anonymous_bytes: watch.map(|watch| watch.most()),
    })
}

/// Wakes up for each request's time: a thread of its own, as the runtime's timers are coarser
/// than what is measured.
fn pace<W>(shared: &Shared<W>) {
    let Some((rate, due)) = &shared.due else {
        return;
    };
    let mut given = 0;
    while !shared.stopped.load(Ordering::Relaxed) {
        let now = Instant::now();
        let until = now
            .min(shared.end)
            .duration_since(shared.begin)
            .as_secs_f64();
        // The first is due at once.
        let wanted = (until * rate) as u64 + 1;
        due.add_permits(usize::try_from(wanted - given).unwrap_or(usize::MAX));
        given = wanted;
        if now >= shared.end {
            break;
        }
        let next = shared.begin + Duration::from_secs_f64(given as f64 / rate);
        std::thread::sleep(
            next.min(shared.end)
                .saturating_duration_since(Instant::now()),
        );
    }
    // Each connection, once it has taken what was due, is let go, and finds that the time is over.
    due.add_permits(shared.connections);
}

async fn connection<W: Work>(shared: Arc<Shared<W>>) -> Result<Tally, BenchError> {
    let mut tally = Tally::new();
    // A connection that was lost is opened again; what it cost is among the failures.
    loop {
        let work = async |sender| send(&shared, sender, &mut tally).await;
        if shared.target.with_connection(work).await? {
            return Ok(tally);
        }
    }
}

/// Sends until there is nothing more to send; false if the connection was lost before.
async fn send<W: Work>(shared: &Shared<W>, mut sender: Sender, tally: &mut Tally) -> bool {
    loop {
        let (number, start) = match &shared.due {
            None => (shared.next.fetch_add(1, Ordering::Relaxed), Instant::now()),
            Some((rate, due)) => {
                let Ok(permit) = due.acquire().await else {
                    return true;
                };
                permit.forget();
                let number = shared.next.fetch_add(1, Ordering::Relaxed);
                let after = Duration::from_secs_f64(number as f64 / rate);
                (number, shared.begin + after)
            }
        };
        // In a closed loop each connection has one request that counts, however long those of the
        // warm-up took.
        let counted = tally.last.is_some() || shared.due.is_some();
        if start >= shared.end && counted {
            return true;
        }
        if shared.due.is_some() && Instant::now() >= shared.give_up {
            if start >= shared.measured_from {
                *tally.failures.entry(NEVER_SENT.to_owned()).or_default() += 1;
            }
            continue;
        }
        let Some(request) = shared.work.request(number) else {
            return true;
        };
        let sent = shared.work.sent(&request);
        let answer = sender.exchange(request, shared.work.body()).await;
        let done = Instant::now();
        if start < shared.measured_from {
            match answer {
                Ok(_) => continue,
                Err(_) => return false,
            }
        }
        tally.first = tally.first.or(Some(start));
        tally.last = tally.last.max(Some(done));
        match answer {
            Ok(answer) if (200..300).contains(&answer.status) => {
                let took = u64::try_from((done - start).as_nanos()).unwrap_or(u64::MAX);
                tally.latency.saturating_record(took);
                tally.requests += 1;
                tally.entries += shared.work.entries(number, &answer);
                tally.sent += sent;
                tally.received += answer.bytes;
            }
            Ok(answer) => {
                let what = refusal(answer.status, &answer.body);
                *tally.failures.entry(what).or_default() += 1;
            }
            Err(error) => {
                *tally.failures.entry(error.to_string()).or_default() += 1;
                return false;
            }
        }
    }
}
