//! A connection that is made anew whenever it is lost.

use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::sync::Notify;

use crate::server::{ConnectError, Connector};

/// The first pause after a connection could not be made; it doubles up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What a command came to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// It was not sent, or the server refused it before it did anything.
    #[error("{0}")]
    NotDone(String),
    /// The server has no memory for it.
    #[error("Redis has no memory left")]
    OutOfMemory,
    /// Nobody knows whether it was done.
    #[error("{0}")]
    Unknown(String),
}

#[derive(Debug, Default)]
struct State {
    connection: Option<MultiplexedConnection>,
    /// Counts connections, so that nobody throws away one that he did not use.
    number: u64,
    /// Why there is none.
    why: String,
}

/// Many commands at once over one connection.
#[derive(Debug, Default)]
pub(crate) struct Link {
    state: Mutex<State>,
    lost: Notify,
    made: Notify,
}

impl Link {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn put(&self, connection: MultiplexedConnection) {
        let mut state = self.state();
        state.connection = Some(connection);
        state.number += 1;
        drop(state);
        self.made.notify_waiters();
    }

    /// Waits for a connection where there is none, but no longer than that.
    pub(crate) async fn wait(&self, time: Duration) {
        let up = async {
            loop {
                let mut made = pin!(self.made.notified());
                made.as_mut().enable();
                if self.is_up() {
                    return;
                }
                made.await;
            }
        };
        let _ = tokio::time::timeout(time, up).await;
    }

    /// Runs commands on the connection, if there is one, within a time. A connection on which that
    /// fails is given up.
    pub(crate) async fn call<F>(
        &self,
        time: Duration,
        commands: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<Value, CallError>
    where
        F: Future<Output = RedisResult<Value>>,
    {
        let (connection, number) = {
            let state = self.state();
            let Some(connection) = state.connection.clone() else {
                return Err(CallError::NotDone(state.why.clone()));
            };
            (connection, state.number)
        };
        match tokio::time::timeout(time, commands(connection)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                let (error, keep) = classify(&error);
                if !keep {
                    self.give_up(number, &error.to_string());
                }
                Err(error)
            }
            Err(_) => {
                let why = "Redis did not answer in time".to_owned();
                self.give_up(number, &why);
                Err(CallError::Unknown(why))
            }
        }
    }

    fn give_up(&self, number: u64, why: &str) {
        let mut state = self.state();
        if state.number == number && state.connection.is_some() {
            state.connection = None;
            state.why = why.to_owned();
            self.lost.notify_one();
        }
    }

    /// Whether there is a connection, as far as one knows.
    pub(crate) fn is_up(&self) -> bool {
        self.state().connection.is_some()
    }

    /// Why there is no connection.
    pub(crate) fn why_down(&self) -> Option<String> {
        let state = self.state();
        state.connection.is_none().then(|| state.why.clone())
    }

    /// Makes the connection anew whenever it is lost, for as long as it is polled. `ready` may
    /// refuse a connection. Of several links to one server one tells that it is away, and back.
    pub(crate) async fn keep<F>(
        &self,
        connector: &Connector,
        tells: bool,
        ready: impl Fn(MultiplexedConnection) -> F,
    ) where
        F: Future<Output = Result<(), ConnectError>>,
    {
        let mut pause = Pause::default();
        loop {
            if self.is_up() {
                self.lost.notified().await;
                continue;
            }
            let made = async {
                let connection = connector.connect().await?;
                ready(connection.clone()).await?;
                Ok::<_, ConnectError>(connection)
            };
            match made.await {
                Ok(connection) => {
                    self.put(connection);
                    if tells && !pause.is_first() {
                        tracing::info!("Redis is back");
                    }
                    pause = Pause::default();
                }
                Err(error) => {
                    let why = error.to_string();
                    if tells && pause.is_first() {
                        tracing::warn!(error = why, "Redis is away; trying again");
                    }
                    self.state().why = why;
                    pause.wait().await;
                }
            }
        }
    }
}

/// Pauses that grow.
#[derive(Debug)]
pub(crate) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(SHORTEST_PAUSE)
    }
}

impl Pause {
    pub(crate) fn is_first(&self) -> bool {
        self.0 == SHORTEST_PAUSE
    }

    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (2 * self.0).min(LONGEST_PAUSE);
    }
}

/// What an error says of the command, and whether the connection is still good for others.
fn classify(error: &RedisError) -> (CallError, bool) {
    let text = error.to_string();
    let known = match error.kind() {
        // The connection's other end is no master any more, or not ours.
        ErrorKind::Server(
            ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::Moved,
        ) => Some(false),
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::NoPerm
            | ServerErrorKind::NoScript
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::CrossSlot
            | ServerErrorKind::TryAgain,
        ) => Some(true),
        ErrorKind::AuthenticationFailed => Some(false),
        _ => match error.code() {
            Some("OOM") => return (CallError::OutOfMemory, true),
            // Each is said before a script does anything.
            Some("NOAUTH" | "WRONGPASS") => Some(false),
            Some("NOTADDED" | "MISCONF" | "NOREPLICAS" | "BUSY" | "WRONGTYPE" | "NOGROUP") => {
                Some(true)
            }
            _ => None,
        },
    };
    match known {
        Some(keep) => (CallError::NotDone(text), keep),
        None => (CallError::Unknown(text), error.code().is_some()),
    }
}
