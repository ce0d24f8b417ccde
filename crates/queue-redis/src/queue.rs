//! The queue.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use audittrail_queue::{
    Bounds, Delivery, DeliveryId, Depth, Outcome, Queue, QueueError, Request, SubmitError, Take,
    Waiter,
};
use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisResult, Value};
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use crate::answer::{decode_answers, encode_answer};
use crate::check::Check;
use crate::held::Item;
use crate::keys::{GROUP, Keys, is_node};
use crate::link::{CallError, Link, Pause};
use crate::message::encode_request;
use crate::receiving::{Dead, Receiving};
use crate::scripts::{self, Script};
use crate::server::{ConnectError, Connector, Report, inspect, not_durable};
use crate::settings::RedisSettings;
use crate::value::{self, StreamId};
use crate::waiting::Waiting;

/// Requests from this size on have a connection of their own: others do not wait behind them.
const LARGE: usize = 256 << 10;
/// What a connection carries at least, in bytes a second: larger requests may take longer.
const SLOWEST: usize = 4 << 20;
/// So many requests are settled in one step of Redis, which does nothing else meanwhile.
const SETTLED_AT_ONCE: usize = 256;
/// A node's stream of answers keeps about so many entries, of many answers each.
const ANSWERS_KEPT: usize = 8_192;
/// How long Redis holds a question for answers open.
const BLOCK: Duration = Duration::from_secs(1);
/// How often the depth is read, connections are tried, and those that wait too long let go.
const TICK: Duration = Duration::from_secs(1);
/// How often, in ticks, Redis is asked again how it keeps what it takes.
const SETTINGS_TICKS: u64 = 10;

/// What a queue in Redis is used for, and its bounds in size and time.
#[derive(Debug, Clone)]
pub struct Options {
    /// Begins every key of the log: `audittrail:<origin>`, or one of your own.
    pub prefix: String,
    /// Names this process, and no other one, ever: one to 64 of A–Z, a–z, 0–9, `-`, `_` and `.`.
    pub node: String,
    /// How much may be submitted and not settled, by all nodes together.
    pub bounds: Bounds,
    /// What a worker has had for so long without settling it passes to the one that leads.
    pub idle_time: Duration,
    /// Redis answers within this time, or the connection is given up.
    pub command_time: Duration,
    /// Who has waited for an outcome for so long learns that it is unknown.
    pub answer_time: Duration,
}

impl Options {
    /// The options for the log of that origin: bounds as [`Bounds::default`], 15 seconds until a
    /// dead worker's requests are taken over, 3 for a command, 60 for an outcome.
    pub fn new(origin: &str, node: impl Into<String>) -> Self {
        Self {
            prefix: format!("audittrail:{origin}"),
            node: node.into(),
            bounds: Bounds::default(),
            idle_time: Duration::from_secs(15),
            command_time: Duration::from_secs(3),
            answer_time: Duration::from_secs(60),
        }
    }

    fn check(&self) -> Result<(), ConnectError> {
        if self.prefix.is_empty() || self.prefix.contains(char::is_whitespace) {
            return Err(ConnectError::Options(
                "the prefix of keys in Redis is empty or has spaces; leave it out for the log's name",
            ));
        }
        if !is_node(&self.node) {
            return Err(ConnectError::Options(
                "the name of a node is 1 to 64 letters, digits, -, _ and .",
            ));
        }
        if self.idle_time < Duration::from_millis(100) {
            return Err(ConnectError::Options(
                "requests cannot be taken over from a worker after less than 100 ms",
            ));
        }
        Ok(())
    }
}

pub(crate) struct Scripts {
    submit: Script,
    settle: Script,
    pub(crate) bury: Script,
    depth: Script,
    pub(crate) forget_consumers: Script,
    suspect: Script,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    requests: u64,
    entries: u64,
    bytes: u64,
    /// Counts changes: of two answers the one with more is the later one.
    number: u64,
}

pub(crate) struct Inner {
    pub(crate) connector: Connector,
    pub(crate) options: Options,
    pub(crate) keys: Keys,
    pub(crate) check: Check,
    pub(crate) scripts: Scripts,
    pub(crate) receiving: Receiving,
    small: Link,
    large: Link,
    control: Link,
    waiting: Waiting,
    counted: Mutex<Counted>,
    durable: AtomicBool,
    closed: AtomicBool,
    submits: AtomicBool,
    submitted: Notify,
}

/// A queue in Redis; the crate's documentation says how it is used.
#[derive(Clone)]
pub struct RedisQueue(Arc<Inner>);

impl RedisQueue {
    /// Connects, and reads what the server is and how it keeps what it takes. Nothing is written
    /// but which run of the server this is. `check` decides which entries are delivered.
    ///
    /// [`RedisQueue::run`] has to be polled from now on.
    ///
    /// # Errors
    /// If the server cannot be reached, does not let us in or cannot be used, or the options are
    /// no good.
    pub async fn connect(
        settings: RedisSettings,
        options: Options,
        check: Check,
    ) -> Result<(Self, Report), ConnectError> {
        options.check()?;
        let inner = Inner {
            connector: Connector::new(settings),
            keys: Keys::new(&options.prefix),
            options,
            check,
            scripts: Scripts {
                submit: Script::new(scripts::SUBMIT),
                settle: Script::new(scripts::SETTLE),
                bury: Script::new(scripts::BURY),
                depth: Script::new(scripts::DEPTH),
                forget_consumers: Script::new(scripts::FORGET_CONSUMERS),
                suspect: Script::new(scripts::SUSPECT),
            },
            receiving: Receiving::default(),
            small: Link::default(),
            large: Link::default(),
            control: Link::default(),
            waiting: Waiting::default(),
            counted: Mutex::default(),
            durable: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            submits: AtomicBool::new(false),
            submitted: Notify::new(),
        };
        let mut report = None;
        for link in [&inner.small, &inner.large, &inner.control] {
            let connection = inner.connector.connect().await?;
            if report.is_none() {
                report = Some(inner.inspect(connection.clone()).await?);
            }
            inner.welcome(connection.clone()).await?;
            link.put(connection);
        }
        inner.read_depth().await;
        match report {
            Some(report) => Ok((Self(Arc::new(inner)), report)),
            None => Err(ConnectError::Silent(inner.connector.name())),
        }
    }

    /// What happens in the background: connections that are lost are made anew, requests and
    /// answers come. It never ends; while it is not polled nothing is received and nobody who waits
    /// is answered.
    pub fn run(&self) -> impl Future<Output = ()> + Send + 'static {
        let inner = Arc::clone(&self.0);
        async move {
            let ready = |connection| inner.ready(connection);
            tokio::join!(
                inner.small.keep(&inner.connector, false, ready),
                inner.large.keep(&inner.connector, false, ready),
                inner.control.keep(&inner.connector, true, ready),
                Box::pin(inner.look_around()),
                Box::pin(inner.bring_answers()),
                Box::pin(inner.bring_requests()),
            );
        }
    }

    /// For who has just taken the lead of the log in the store, so that every other one's commits
    /// fail: what others received and did not settle is delivered now, marked, and not only when
    /// they were silent for long.
    pub fn take_over(&self) {
        self.0.receiving.take_over();
    }
}

impl Inner {
    /// How long a command with so many bytes may take.
    pub(crate) fn time_for(&self, bytes: usize) -> Duration {
        self.options.command_time + Duration::from_secs((bytes / SLOWEST) as u64)
    }

    async fn inspect(&self, mut connection: MultiplexedConnection) -> Result<Report, ConnectError> {
        let name = || self.connector.name();
        match tokio::time::timeout(self.options.command_time, inspect(&mut connection)).await {
            Ok(Ok(report)) => Ok(report),
            Ok(Err(why)) => Err(ConnectError::Unfit(name(), why)),
            Err(_) => Err(ConnectError::Silent(name())),
        }
    }

    /// What has to be known before a new connection is used: whether the server behind it is fit
    /// and durable, and up to which id its stream is suspect.
    pub(crate) async fn welcome(
        &self,
        mut connection: MultiplexedConnection,
    ) -> Result<StreamId, ConnectError> {
        let report = self.inspect(connection.clone()).await?;
        self.durable
            .store(report.not_durable.is_none(), Ordering::Relaxed);
        let suspect = self.scripts.suspect.run(&mut connection, |command| {
            command
                .arg(2)
                .arg(&[&self.keys.requests, &self.keys.depth])
                .arg(&report.run);
        });
        let name = || self.connector.name();
        let suspect = tokio::time::timeout(self.options.command_time, suspect).await;
        let suspect = suspect.map_err(|_| ConnectError::Silent(name()))?;
        let suspect = suspect.map_err(|source| ConnectError::Redis {
            settings: name(),
            source,
        })?;
        let suspect = value::bytes(suspect).and_then(|id| StreamId::parse(&id));
        let strange = || ConnectError::Unfit(name(), "its stream has no ids".to_owned());
        suspect.ok_or_else(strange)
    }

    async fn ready(&self, connection: MultiplexedConnection) -> Result<(), ConnectError> {
        self.welcome(connection).await?;
        // Counted by what may be another server.
        self.counted().number = 0;
        Ok(())
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What all scripts that change the depth answer: something, then the depth. Gives the first.
    pub(crate) fn hear_depth(&self, answer: Value) -> Option<u64> {
        self.hear(answer, None)
    }

    /// What was counted up to the change `asked` is replaced, although it may seem to be later: all
    /// may have been deleted, and counting begun anew.
    fn hear(&self, answer: Value, asked: Option<u64>) -> Option<u64> {
        let numbers = value::array(answer)?;
        let numbers: Option<Vec<u64>> = numbers.iter().map(value::number).collect();
        let [first, requests, entries, bytes, number] = numbers?.try_into().ok()?;
        let mut counted = self.counted();
        if number >= counted.number || asked == Some(counted.number) {
            *counted = Counted {
                requests,
                entries,
                bytes,
                number,
            };
        }
        Some(first)
    }

    pub(crate) fn depth(&self) -> Depth {
        let counted = *self.counted();
        let size = |number| usize::try_from(number).unwrap_or(usize::MAX);
        let (entries, bytes) = (size(counted.entries), size(counted.bytes));
        let bounds = self.options.bounds;
        let closed = self.closed.load(Ordering::Relaxed);
        Depth {
            requests: size(counted.requests),
            entries,
            bytes,
            open: !closed && entries < bounds.entries && bytes < bounds.bytes,
        }
    }

    /// Group, consumer, and the bounds of a stream of answers, as scripts take them.
    pub(crate) fn answer_arguments(&self, command: &mut Cmd, consumer: &str) {
        // Whoever waits has gone long before.
        let kept_ms = 2 * self.options.answer_time.as_millis() as u64 + 60_000;
        command
            .arg(GROUP)
            .arg(consumer)
            .arg(ANSWERS_KEPT)
            .arg(kept_ms);
    }

    async fn read_depth(&self) {
        let asked = self.counted().number;
        let answer = self
            .control
            .call(self.options.command_time, |mut connection| async move {
                let depth = self.scripts.depth.run(&mut connection, |command| {
                    command.arg(2).arg(&[&self.keys.requests, &self.keys.depth]);
                });
                depth.await
            });
        if let Ok(answer) = answer.await {
            self.hear(answer, Some(asked));
        }
    }

    /// Finds connections that are dead, and reads what others may have changed.
    async fn look_around(&self) {
        let time = self.options.command_time;
        let most = self.options.answer_time.as_secs().max(1);
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ping = async |link: &Link| {
            // Whether it was answered is in the link.
            let _ = link
                .call(time, async |mut connection| {
                    redis::cmd("PING").query_async(&mut connection).await
                })
                .await;
        };
        let mut number = 0;
        loop {
            tick.tick().await;
            self.waiting.tick(most);
            self.receiving.go_on();
            tokio::join!(ping(&self.small), ping(&self.large), self.read_depth());
            number += 1;
            if number % SETTINGS_TICKS == 0 {
                let asked = self.control.call(time, async |mut connection| {
                    let why = not_durable(&mut connection).await;
                    Ok(Value::Boolean(why.is_none()))
                });
                if let Ok(Value::Boolean(durable)) = asked.await {
                    self.durable.store(durable, Ordering::Relaxed);
                }
            }
        }
    }

    /// Brings answers to those that wait, once there can be any.
    async fn bring_answers(&self) {
        while !self.submits.load(Ordering::Acquire) {
            self.submitted.notified().await;
        }
        let mut pause = Pause::default();
        loop {
            let why = match self.connector.connect().await {
                Ok(connection) => self.read_answers(connection, &mut pause).await,
                Err(error) => error.to_string(),
            };
            if pause.is_first() {
                tracing::warn!(error = why, "answers cannot be read; trying again");
            }
            pause.wait().await;
        }
    }

    /// Reads until that fails; the pause is over once it succeeded. From the beginning: what came
    /// while there was no connection is there, and what was read before finds nobody who waits.
    async fn read_answers(
        &self,
        mut connection: MultiplexedConnection,
        pause: &mut Pause,
    ) -> String {
        let key = self.keys.answers(&self.options.node);
        let mut last = StreamId::default();
        loop {
            let mut command = redis::cmd("XREAD");
            command
                .arg("COUNT")
                .arg(256)
                .arg("BLOCK")
                .arg(BLOCK.as_millis() as u64);
            command.arg("STREAMS").arg(&key).arg(last.to_string());
            let time = BLOCK + self.options.command_time;
            let answer = tokio::time::timeout(time, command.query_async(&mut connection)).await;
            let entries = match answer {
                Ok(Ok(answer)) => value::read_entries(answer),
                Ok(Err(error)) => return error.to_string(),
                Err(_) => return "Redis did not answer in time".to_owned(),
            };
            let Some(entries) = entries else {
                return "Redis gave an answer of another form".to_owned();
            };
            *pause = Pause::default();
            for mut entry in entries {
                last = entry.id;
                let entries_of = |token| self.waiting.entries(token);
                let answers = entry.take(b"a");
                let answers = answers.and_then(|bytes| decode_answers(&bytes, entries_of));
                for (token, outcome) in answers.unwrap_or_default() {
                    self.waiting.answer(token, outcome);
                }
            }
        }
    }

    async fn add(&self, request: &Request, token: u64) -> Result<(), SubmitError> {
        let message = encode_request(request);
        let message = message.map_err(|error| SubmitError::Unavailable(error.to_string()))?;
        let link = if message.len() < LARGE {
            &self.small
        } else {
            &self.large
        };
        let bounds = self.options.bounds;
        let script = &self.scripts.submit;
        let answer = link.call(self.time_for(message.len()), |mut connection| async move {
            let add = script.run(&mut connection, |command| {
                command.arg(2).arg(&[&self.keys.requests, &self.keys.depth]);
                command.arg(bounds.entries).arg(bounds.bytes);
                command.arg(request.entries.len()).arg(request.size_bytes);
                command.arg(&self.options.node).arg(token).arg(&message);
            });
            add.await
        });
        match answer.await {
            Ok(answer) => match self.hear_depth(answer) {
                Some(0) => Err(SubmitError::Full),
                Some(_) => Ok(()),
                None => Err(SubmitError::Unknown(
                    "Redis gave an answer of another form".to_owned(),
                )),
            },
            Err(CallError::OutOfMemory) => Err(SubmitError::Full),
            Err(CallError::NotDone(why)) => Err(SubmitError::Unavailable(why)),
            Err(CallError::Unknown(why)) => Err(SubmitError::Unknown(why)),
        }
    }

    /// Moves an acknowledged request whose ids are taken to the dead letters: its client was told
    /// that it is queued, and the sequencer could not commit it under other ids.
    async fn put_aside(
        &self,
        consumer: &str,
        name: DeliveryId,
        id: StreamId,
        waits: Option<(String, u64)>,
        positions: Vec<usize>,
    ) {
        let reason = format!(
            "its client was told that it is queued, and other entries have the ids of its entries \
             {positions:?}"
        );
        tracing::warn!(%id, reason, "a request goes to the dead letters");
        let outcome = Outcome::Conflict(positions);
        let dead = Dead {
            id,
            reason: &reason,
            waits: waits.as_ref(),
            outcome: &outcome,
        };
        let dead = &dead;
        let buried = self
            .control
            .call(self.options.command_time, |mut connection| async move {
                self.run_bury(&mut connection, consumer, dead).await
            });
        let result = match buried.await {
            Ok(answer) => self.hear_depth(answer).is_some(),
            Err(CallError::Unknown(error)) => {
                tracing::warn!(
                    error,
                    "it is not known whether it is there; it may come again"
                );
                false
            }
            Err(error) => {
                tracing::warn!(%error, "Redis refuses a dead letter; trying again later");
                self.receiving.with_held(|held| {
                    if held.consumer == consumer {
                        held.put_off(name);
                    }
                });
                return;
            }
        };
        if !result {
            self.receiving.reset();
            return;
        }
        self.receiving.with_held(|held| {
            if held.consumer == consumer {
                held.settled(name);
            }
        });
    }

    async fn settle_some(
        &self,
        consumer: &str,
        settled: &[(StreamId, Item, Outcome)],
    ) -> Result<(), CallError> {
        let mut nodes: Vec<&str> = Vec::new();
        let mut places = Vec::with_capacity(settled.len());
        for (_, item, _) in settled {
            places.push(item.waits.as_ref().map_or(0, |(node, _)| {
                let known = nodes.iter().position(|known| known == node);
                1 + known.unwrap_or_else(|| {
                    nodes.push(node);
                    nodes.len() - 1
                })
            }));
        }
        let arguments = |command: &mut Cmd| {
            command
                .arg(2 + nodes.len())
                .arg(&[&self.keys.requests, &self.keys.depth]);
            for node in &nodes {
                command.arg(self.keys.answers(node));
            }
            self.answer_arguments(command, consumer);
            for ((id, item, outcome), place) in settled.iter().zip(&places) {
                let token = item.waits.as_ref().map_or(0, |(_, token)| *token);
                command.arg(id.to_string());
                command
                    .arg(item.request.entries.len())
                    .arg(item.request.size_bytes);
                command.arg(*place).arg(encode_answer(token, outcome));
            }
        };
        let call = self
            .control
            .call(self.options.command_time, |mut connection| async move {
                let settle: RedisResult<Value> =
                    self.scripts.settle.run(&mut connection, arguments).await;
                settle
            });
        let strange = || CallError::Unknown("Redis gave an answer of another form".to_owned());
        let count = self.hear_depth(call.await?).ok_or_else(strange)?;
        if count < settled.len() as u64 {
            let others = settled.len() as u64 - count;
            tracing::info!(requests = others, "another worker has taken requests over");
        }
        Ok(())
    }
}

#[async_trait]
impl Queue for RedisQueue {
    async fn submit(&self, request: Request) -> Result<Waiter, SubmitError> {
        let inner = &self.0;
        if inner.closed.load(Ordering::Relaxed) {
            return Err(SubmitError::Closed);
        }
        if !inner.submits.swap(true, Ordering::AcqRel) {
            inner.submitted.notify_one();
        }
        let (token, waiter) = inner.waiting.add(request.entries.len());
        match inner.add(&request, token).await {
            Ok(()) => Ok(waiter),
            Err(error) => {
                inner.waiting.remove(token);
                Err(error)
            }
        }
    }

    /// An empty answer also comes of a closed queue whose server is away: what is in it stays
    /// there.
    async fn receive(&self, take: Take) -> Result<Vec<Delivery>, QueueError> {
        Ok(self.0.receiving.next(take).await)
    }

    /// Where Redis is away, or does not say whether it did it, the requests come again, marked: what
    /// is stored is found by its ids then, and whoever waits is answered. So do acknowledged ones
    /// that are refused, once a second; those in conflict go to the dead letters.
    async fn settle(&self, outcomes: Vec<(DeliveryId, Outcome)>) -> Result<(), QueueError> {
        let inner = &self.0;
        let mut names = Vec::with_capacity(outcomes.len());
        let mut conflicts = Vec::new();
        let (consumer, mut settled) = inner.receiving.with_held(|held| {
            let mut settled = Vec::with_capacity(outcomes.len());
            for (name, outcome) in outcomes {
                let Some((id, item)) = held.given(name) else {
                    continue;
                };
                match outcome {
                    Outcome::Refused(_) | Outcome::Unknown if item.request.acknowledged => {
                        held.put_off(name);
                    }
                    Outcome::Conflict(positions) if item.request.acknowledged => {
                        conflicts.push((name, *id, item.waits.clone(), positions));
                    }
                    outcome => {
                        names.push(name);
                        settled.push((*id, item.clone(), outcome));
                    }
                }
            }
            (held.consumer.clone(), settled)
        });
        if settled.is_empty() && conflicts.is_empty() {
            return Ok(());
        }
        // After a restart of Redis requests may come before this connection is made anew.
        inner.control.wait(inner.options.command_time).await;
        // As the script wants them.
        settled.sort_by_key(|(id, _, _)| *id);
        let parts = settled.chunks(SETTLED_AT_ONCE);
        let parts = parts.map(|part| inner.settle_some(&consumer, part));
        let results = join_all(parts).await;
        for (name, id, waits, positions) in conflicts {
            inner.put_aside(&consumer, name, id, waits, positions).await;
        }
        match results.into_iter().find_map(Result::err) {
            Some(error) => {
                tracing::warn!(%error, "requests could not be settled and will come again");
                inner.receiving.reset();
            }
            None => inner.receiving.with_held(|held| {
                if held.consumer == consumer {
                    names.into_iter().for_each(|name| held.settled(name));
                }
            }),
        }
        Ok(())
    }

    /// What other workers left for longer than [`Options::idle_time`] comes too.
    async fn reclaim(&self) -> Result<(), QueueError> {
        self.0.receiving.reclaim();
        Ok(())
    }

    /// Whether the server said, when the newest connection was made or a few seconds ago, that it
    /// syncs every command before it answers, and throws nothing away.
    fn is_durable(&self) -> bool {
        self.0.durable.load(Ordering::Relaxed)
    }

    /// As of the last command, or of a second ago.
    fn ready(&self) -> Result<(), QueueError> {
        let links = [&self.0.small, &self.0.large, &self.0.control];
        let why = links.into_iter().find_map(Link::why_down);
        why.map_or(Ok(()), |why| Err(QueueError(why)))
    }

    /// As of this process's last submission or settlement, or a second ago.
    fn depth(&self) -> Depth {
        self.0.depth()
    }

    fn close(&self) {
        self.0.closed.store(true, Ordering::Relaxed);
        self.0.receiving.close();
    }
}
