//! Queues of tests, and the least of a sequencer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use audittrail_queue::{
    Delivery, DeliveryId, Depth, Outcome, Placed, Queue, QueueError, Request, SubmitError, Take,
    Waiter,
};
use audittrail_queue_redis::{Check, Options, RedisQueue, RedisSettings, Report};
use redis::aio::MultiplexedConnection;
use redis::{Client, Cmd, FromRedisValue};
use tokio::task::JoinHandle;

use crate::server::PATIENCE;

pub(crate) const ALL: Take = Take {
    entries: usize::MAX,
    bytes: usize::MAX,
};

/// A queue whose background runs until it is dropped, as that of a process that is killed.
pub(crate) struct Open {
    pub(crate) queue: RedisQueue,
    task: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[async_trait]
impl Queue for Open {
    async fn submit(&self, request: Request) -> Result<Waiter, SubmitError> {
        self.queue.submit(request).await
    }
    async fn receive(&self, take: Take) -> Result<Vec<Delivery>, QueueError> {
        self.queue.receive(take).await
    }
    async fn settle(&self, outcomes: Vec<(DeliveryId, Outcome)>) -> Result<(), QueueError> {
        self.queue.settle(outcomes).await
    }
    async fn reclaim(&self) -> Result<(), QueueError> {
        self.queue.reclaim().await
    }
    fn is_durable(&self) -> bool {
        self.queue.is_durable()
    }
    fn depth(&self) -> Depth {
        self.queue.depth()
    }
    fn close(&self) {
        self.queue.close();
    }
}

/// The options of a log that no other test has, and short times.
pub(crate) fn options(node: &str) -> Options {
    static LOGS: AtomicU64 = AtomicU64::new(0);
    let log = LOGS.fetch_add(1, Ordering::Relaxed);
    let mut options = Options::new(&format!("log.example/{}-{log}", std::process::id()), node);
    options.idle_time = Duration::from_millis(300);
    options
}

/// The same log for another node.
pub(crate) fn beside(options: &Options, node: &str) -> Options {
    Options {
        node: node.to_owned(),
        ..options.clone()
    }
}

pub(crate) fn anything() -> Check {
    Arc::new(|_| Ok(()))
}

pub(crate) async fn open_with(url: &str, options: Options, check: Check) -> (Open, Report) {
    let settings = RedisSettings::parse(url).unwrap();
    let (queue, report) = RedisQueue::connect(settings, options, check).await.unwrap();
    let task = tokio::spawn(queue.run());
    (Open { queue, task }, report)
}

pub(crate) async fn open(url: &str, options: &Options) -> Open {
    open_with(url, options.clone(), anything()).await.0
}

pub(crate) async fn receive(queue: &Open) -> Vec<Delivery> {
    let received = tokio::time::timeout(PATIENCE, queue.receive(ALL)).await;
    received.expect("there is something to receive").unwrap()
}

pub(crate) async fn outcome(waiter: Waiter) -> Outcome {
    let outcome = tokio::time::timeout(PATIENCE, waiter.outcome()).await;
    outcome.expect("whoever waits is answered")
}

/// Settles what comes again until somebody is answered: after a server was away it may take more
/// than one attempt.
pub(crate) async fn settle_until_answered(worker: &Open, as_: &Outcome, waiter: Waiter) -> Outcome {
    let working = async {
        loop {
            let again = receive(worker).await;
            assert!(again.iter().all(|one| one.redelivered));
            let outcomes = again.iter().map(|one| (one.id, as_.clone()));
            worker.settle(outcomes.collect()).await.unwrap();
        }
    };
    tokio::select! {
        () = working => unreachable!(),
        outcome = outcome(waiter) => outcome,
    }
}

pub(crate) fn first_id(request: &Request) -> u128 {
    request.entries[0].id.as_u128()
}

pub(crate) fn committed(index: u64) -> Outcome {
    Outcome::Committed(vec![Placed {
        index,
        retried: false,
    }])
}

/// Until something holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "it never came to be that {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A connection of the test's own.
pub(crate) async fn connection(url: &str) -> MultiplexedConnection {
    try_connection(url).await.unwrap()
}

pub(crate) async fn try_connection(url: &str) -> redis::RedisResult<MultiplexedConnection> {
    Client::open(url)?.get_multiplexed_async_connection().await
}

pub(crate) async fn ask<T: FromRedisValue>(url: &str, command: &[&str]) -> T {
    let mut cmd = Cmd::new();
    cmd.arg(command);
    cmd.query_async(&mut connection(url).await).await.unwrap()
}

/// A log in memory that outlives its workers. An id that is there is looked up only where a
/// sequencer would: of what was delivered before.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) entries: Mutex<HashMap<u128, u64>>,
    pub(crate) twice: AtomicU64,
}

impl Log {
    fn place(&self, delivery: &Delivery) -> Outcome {
        let mut log = self.entries.lock().unwrap();
        let mut placed = Vec::new();
        for entry in delivery.request.entries.iter() {
            let (next, id) = (log.len() as u64, entry.id.as_u128());
            let known = log.get(&id).copied();
            match known {
                Some(index) if delivery.redelivered => placed.push(Placed {
                    index,
                    retried: true,
                }),
                _ => {
                    if known.is_some() {
                        self.twice.fetch_add(1, Ordering::Relaxed);
                    }
                    log.insert(id, next);
                    placed.push(Placed {
                        index: next,
                        retried: false,
                    });
                }
            }
        }
        Outcome::Committed(placed)
    }

    /// Receives and settles for as long as it is polled.
    pub(crate) async fn work(&self, queue: &Open) {
        let take = Take {
            entries: 500,
            bytes: 1 << 20,
        };
        loop {
            let deliveries = queue.receive(take).await.unwrap();
            let outcomes = deliveries.iter().map(|one| (one.id, self.place(one)));
            queue.settle(outcomes.collect()).await.unwrap();
        }
    }

    pub(crate) fn has(&self, id: u128) -> bool {
        self.entries.lock().unwrap().contains_key(&id)
    }
}
