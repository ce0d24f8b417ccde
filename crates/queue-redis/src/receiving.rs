//! The way from the stream to who sequences.
//!
//! One loop asks Redis, over a connection of its own, and only while somebody calls `receive`: who
//! stands by takes nothing away from who leads. Each new connection is a new consumer that first
//! takes over what the one before had, so that nothing that was sent over a lost connection can
//! settle a request that is delivered again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use audittrail_queue::{Delivery, Outcome, Request, Take};
use futures_util::FutureExt as _;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use crate::answer::encode_answer;
use crate::held::{Held, Item};
use crate::keys::{GROUP, is_node};
use crate::link::Pause;
use crate::message::decode_request;
use crate::queue::Inner;
use crate::value::{self, StreamEntry, StreamId};

/// How long Redis holds a question for requests open; a closed queue is seen that late.
const BLOCK: Duration = Duration::from_millis(500);
/// The most requests that one question asks for.
const MOST_REQUESTS: usize = 1_024;
/// So many are claimed at once.
const CLAIMED: usize = 64;
/// After so many requests others on this thread get their turn.
const TURN: usize = 64;
/// Consumers that have nothing and were silent for so long are forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3_600);

/// What other consumers have is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Claim {
    /// Where they were silent about it for long.
    Abandoned,
    /// All of it: they lead no more.
    Everything,
}

#[derive(Debug, Default)]
struct State {
    held: Held,
    /// What the newest `receive` may take.
    take: Option<Take>,
    receivers: usize,
    /// Whether a `receive` began since the last question to Redis.
    granted: bool,
    /// What Redis knows and what is held may differ.
    reset: bool,
    claim: Option<Claim>,
    closed: bool,
    drained: bool,
}

/// The state that `receive`, `settle` and the loop share.
#[derive(Debug, Default)]
pub(crate) struct Receiving {
    state: Mutex<State>,
    /// Something is ready, or it is over.
    arrived: Notify,
    /// There is something to do for the loop.
    wanted: Notify,
}

/// A `receive` that waits.
struct Receiver<'r>(&'r Receiving);

impl Drop for Receiver<'_> {
    fn drop(&mut self) {
        self.0.state().receivers -= 1;
    }
}

impl Receiving {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn next(&self, take: Take) -> Vec<Delivery> {
        {
            let mut state = self.state();
            state.take = Some(take);
            state.receivers += 1;
            state.granted = true;
        }
        let _receiver = Receiver(self);
        self.wanted.notify_one();
        loop {
            // A permit is kept for one who comes later, so nothing is missed in between.
            {
                let mut state = self.state();
                let deliveries = state.held.take(take);
                if !deliveries.is_empty() || (state.closed && state.drained) {
                    return deliveries;
                }
            }
            self.arrived.notified().await;
        }
    }

    /// With what is held, and the consumer that it belongs to.
    pub(crate) fn with_held<T>(&self, with: impl FnOnce(&mut Held) -> T) -> T {
        with(&mut self.state().held)
    }

    pub(crate) fn reclaim(&self) {
        let mut state = self.state();
        state.held.reclaim();
        state.claim = state.claim.or(Some(Claim::Abandoned));
        drop(state);
        self.arrived.notify_one();
        self.wanted.notify_one();
    }

    pub(crate) fn take_over(&self) {
        self.state().claim = Some(Claim::Everything);
        self.wanted.notify_one();
    }

    /// What is held has to be compared with what Redis has.
    pub(crate) fn reset(&self) {
        self.state().reset = true;
        self.wanted.notify_one();
    }

    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.arrived.notify_one();
        self.wanted.notify_one();
    }

    /// What a question to Redis may take, once one is to be asked.
    async fn wanted(&self) -> Take {
        loop {
            {
                let mut state = self.state();
                let over = state.closed && state.drained;
                if let Some(take) = state.take
                    && (state.receivers > 0 || state.granted)
                    && (state.held.has_room(take) || state.reset)
                    && (!over || state.reset)
                {
                    state.granted = false;
                    return take;
                }
            }
            self.wanted.notified().await;
        }
    }

    fn is_closed(&self) -> bool {
        self.state().closed
    }

    fn drained(&self) {
        self.state().drained = true;
        self.arrived.notify_one();
    }
}

/// A connection with what was found out when it was made.
struct Live {
    connection: MultiplexedConnection,
    consumer: String,
    /// Requests up to this id may have been delivered before.
    suspect: StreamId,
    /// Once the queue is closed: the last request that it still has to deliver.
    last: Option<StreamId>,
}

impl Inner {
    /// Brings requests from Redis for as long as it is polled.
    pub(crate) async fn bring_requests(&self) {
        let mut sweep = tokio::time::interval(self.options.idle_time / 2);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut live, mut generation, mut pause) = (None, 0_u64, Pause::default());
        loop {
            let take = self.receiving.wanted().await;
            if std::mem::take(&mut self.receiving.state().reset) {
                live = None;
            }
            let brought = async {
                let mut current = match live.take() {
                    Some(live) => live,
                    None => {
                        generation += 1;
                        self.open(generation).await?
                    }
                };
                if sweep.tick().now_or_never().is_some() {
                    let mut state = self.receiving.state();
                    state.claim = state.claim.or(Some(Claim::Abandoned));
                }
                self.bring(&mut current, take).await?;
                Ok::<_, String>(current)
            };
            match brought.await {
                Ok(current) => {
                    live = Some(current);
                    pause = Pause::default();
                }
                Err(why) => {
                    if pause.is_first() {
                        tracing::warn!(error = why, "requests cannot be received; trying again");
                    }
                    if self.receiving.is_closed() {
                        // What is in Redis stays there, for whoever comes next.
                        self.receiving.drained();
                    }
                    pause.wait().await;
                    // Whoever waits still waits.
                    self.receiving.wanted.notify_one();
                }
            }
        }
    }

    async fn open(&self, generation: u64) -> Result<Live, String> {
        let connection = self.connector.connect().await;
        let mut connection = connection.map_err(|error| error.to_string())?;
        let suspect = self.welcome(connection.clone()).await;
        let suspect = suspect.map_err(|error| error.to_string())?;
        let consumer = format!("{}/{generation}", self.options.node);
        let mut command = redis::cmd("XGROUP");
        // From the beginning: what was added before there was a group is delivered too.
        command.arg(&["CREATE", &self.keys.requests, GROUP, "0", "MKSTREAM"]);
        match command.query_async::<Value>(&mut connection).await {
            Err(error) if error.code() != Some("BUSYGROUP") => return Err(error.to_string()),
            _ => {}
        }
        self.receiving
            .with_held(|held| held.start_anew(consumer.clone()));
        let mut live = Live {
            connection,
            consumer,
            suspect,
            last: None,
        };
        for earlier in self.earlier_consumers(&mut live).await? {
            self.inherit(&mut live, &earlier).await?;
        }
        Ok(live)
    }

    /// The consumers that this process was before and that have something still.
    async fn earlier_consumers(&self, live: &mut Live) -> Result<Vec<String>, String> {
        let mut command = redis::cmd("XINFO");
        command.arg(&["CONSUMERS", &self.keys.requests, GROUP]);
        let answer = self.ask(live, &command, Duration::ZERO).await?;
        let own = format!("{}/", self.options.node);
        let mut earlier = Vec::new();
        for consumer in value::array(answer).ok_or(STRANGE)? {
            let (mut name, mut pending) = (String::new(), 0);
            for (is, value) in value::members(consumer).ok_or(STRANGE)? {
                match is.as_str() {
                    "name" => name = value::text(value).ok_or(STRANGE)?,
                    "pending" => pending = value::number(&value).ok_or(STRANGE)?,
                    _ => {}
                }
            }
            if pending > 0 && name.starts_with(&own) && name != live.consumer {
                earlier.push(name);
            }
        }
        Ok(earlier)
    }

    async fn inherit(&self, live: &mut Live, earlier: &str) -> Result<(), String> {
        loop {
            let mut command = redis::cmd("XPENDING");
            command.arg(&[&self.keys.requests, GROUP, "-", "+"]);
            command.arg(CLAIMED).arg(earlier);
            let answer = self.ask(live, &command, Duration::ZERO).await?;
            let pending = value::array(answer).ok_or(STRANGE)?.into_iter();
            let ids = pending.map(|one| value::bytes(value::array(one)?.into_iter().next()?));
            let ids: Vec<Vec<u8>> = ids.collect::<Option<_>>().ok_or(STRANGE)?;
            if ids.is_empty() {
                return Ok(());
            }
            let mut command = redis::cmd("XCLAIM");
            command.arg(&[&self.keys.requests, GROUP, &live.consumer, "0"]);
            command.arg(ids);
            let answer = self.ask(live, &command, Duration::ZERO).await?;
            let entries = value::entries(answer).ok_or(STRANGE)?;
            self.take_in(live, entries, true).await?;
        }
    }

    /// Claims what is due, then asks for new requests once.
    async fn bring(&self, live: &mut Live, take: Take) -> Result<(), String> {
        let claim = self.receiving.state().claim.take();
        if let Some(claim) = claim
            && let Err(why) = self.claim(live, claim).await
        {
            // It is still to be done.
            let mut state = self.receiving.state();
            state.claim = state.claim.max(Some(claim));
            return Err(why);
        }
        let closed = self.receiving.is_closed();
        if closed && live.last.is_none() {
            let mut command = redis::cmd("XINFO");
            command.arg(&["STREAM", &self.keys.requests]);
            let stream = self.ask(live, &command, Duration::ZERO).await?;
            let mut stream = value::members(stream).ok_or(STRANGE)?.into_iter();
            let last = stream.find(|(name, _)| name == "last-generated-id");
            let last = last.and_then(|(_, id)| StreamId::parse(&value::bytes(id)?));
            live.last = Some(last.ok_or(STRANGE)?);
        }
        let mut command = redis::cmd("XREADGROUP");
        command.arg(&["GROUP", GROUP, &live.consumer, "COUNT"]);
        command.arg(self.how_many(take));
        let mut wait = Duration::ZERO;
        if !closed && self.receiving.with_held(|held| held.is_empty()) {
            wait = BLOCK;
            command.arg("BLOCK").arg(BLOCK.as_millis() as u64);
        }
        command.arg(&["STREAMS", &self.keys.requests, ">"]);
        let answer = self.ask(live, &command, wait).await?;
        let entries = value::read_entries(answer).ok_or(STRANGE)?;
        let reached = entries.last().map(|entry| entry.id);
        self.take_in(live, entries, false).await?;
        if closed && reached.is_none_or(|reached| Some(reached) >= live.last) {
            self.receiving.drained();
        }
        // A receiver that still waits is asked for again.
        self.receiving.wanted.notify_one();
        Ok(())
    }

    /// As many requests as may be taken, as far as one can tell from what the queue holds.
    fn how_many(&self, take: Take) -> usize {
        let depth = self.depth();
        let size = depth.bytes / depth.requests.max(1);
        let by_bytes = take.bytes / size.max(1);
        take.entries.min(by_bytes).clamp(1, MOST_REQUESTS)
    }

    async fn claim(&self, live: &mut Live, claim: Claim) -> Result<(), String> {
        let idle_ms = match claim {
            Claim::Abandoned => self.options.idle_time.as_millis() as u64,
            Claim::Everything => 0,
        };
        let mut from = b"0-0".to_vec();
        loop {
            let mut command = redis::cmd("XAUTOCLAIM");
            command.arg(&[&self.keys.requests, GROUP, &live.consumer]);
            command.arg(idle_ms).arg(from).arg("COUNT").arg(CLAIMED);
            let answer = self.ask(live, &command, Duration::ZERO).await?;
            let mut parts = value::array(answer).ok_or(STRANGE)?.into_iter();
            from = parts.next().and_then(value::bytes).ok_or(STRANGE)?;
            let entries = parts.next().and_then(value::entries).ok_or(STRANGE)?;
            self.take_in(live, entries, true).await?;
            if from == b"0-0" {
                break;
            }
        }
        let forgotten = FORGOTTEN_AFTER.as_millis() as u64;
        let forget = self
            .scripts
            .forget_consumers
            .run(&mut live.connection, |command| {
                command.arg(1).arg(&self.keys.requests).arg(GROUP);
                command.arg(forgotten).arg(&live.consumer);
            });
        let forget = tokio::time::timeout(self.options.command_time, forget).await;
        forget
            .map_err(|_| SILENT)?
            .map_err(|error| error.to_string())?;
        Ok(())
    }

    /// Checks requests and makes them ready; what cannot be delivered goes to the dead letters.
    async fn take_in(
        &self,
        live: &mut Live,
        entries: Vec<StreamEntry>,
        redelivered: bool,
    ) -> Result<(), String> {
        let mut ready = Vec::with_capacity(entries.len());
        for (number, mut entry) in (1..).zip(entries) {
            let id = entry.id;
            if self.receiving.with_held(|held| held.has(id)) {
                continue;
            }
            let redelivered = redelivered || id <= live.suspect;
            let waits = waits(&mut entry);
            match self.checked(&mut entry) {
                Ok(request) => ready.push((
                    id,
                    Item {
                        request,
                        redelivered,
                        waits,
                    },
                )),
                Err(reason) => self.bury(live, id, &reason, redelivered, waits).await?,
            }
            if number % TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        self.receiving.with_held(|held| {
            for (id, item) in ready {
                held.add(id, item);
            }
        });
        self.receiving.arrived.notify_one();
        Ok(())
    }

    fn checked(&self, entry: &mut StreamEntry) -> Result<Request, String> {
        let message = entry.take(b"m").ok_or("it has no message")?;
        let request = decode_request(&message).map_err(|error| error.to_string())?;
        for (position, one) in request.entries.iter().enumerate() {
            (self.check)(one).map_err(|why| format!("entry {position}: {why}"))?;
        }
        Ok(request)
    }

    async fn bury(
        &self,
        live: &mut Live,
        id: StreamId,
        reason: &str,
        redelivered: bool,
        waits: Option<(String, u64)>,
    ) -> Result<(), String> {
        tracing::error!(%id, reason, "a request cannot be delivered and goes to the dead letters");
        // One that was delivered before may be stored.
        let outcome = if redelivered {
            Outcome::Unknown
        } else {
            Outcome::Refused(format!(
                "the queue gave something else than was sent: {reason}"
            ))
        };
        let answers = waits.as_ref().map(|(node, _)| self.keys.answers(node));
        let token = waits.map_or(0, |(_, token)| token);
        let bury = self.scripts.bury.run(&mut live.connection, |command| {
            command.arg(3 + usize::from(answers.is_some()));
            command.arg(&[&self.keys.requests, &self.keys.depth, &self.keys.dead]);
            if let Some(answers) = &answers {
                command.arg(answers);
            }
            self.answer_arguments(command, &live.consumer);
            command.arg(id.to_string()).arg(reason);
            command.arg(encode_answer(token, &outcome));
        });
        let answer = tokio::time::timeout(self.options.command_time, bury).await;
        let answer = answer
            .map_err(|_| SILENT)?
            .map_err(|error| error.to_string())?;
        self.hear_depth(answer).ok_or(STRANGE)?;
        Ok(())
    }

    async fn ask(&self, live: &mut Live, command: &Cmd, wait: Duration) -> Result<Value, String> {
        let time = wait + self.time_for(self.depth().bytes);
        let answer = tokio::time::timeout(time, command.query_async(&mut live.connection)).await;
        answer
            .map_err(|_| SILENT)?
            .map_err(|error| error.to_string())
    }
}

const SILENT: &str = "Redis did not answer in time";
const STRANGE: &str = "Redis gave an answer of another form";

/// Who waits for a request, as its message says.
fn waits(entry: &mut StreamEntry) -> Option<(String, u64)> {
    let node = String::from_utf8(entry.take(b"n")?).ok()?;
    let token = String::from_utf8(entry.take(b"t")?).ok()?.parse().ok()?;
    is_node(&node).then_some((node, token))
}
