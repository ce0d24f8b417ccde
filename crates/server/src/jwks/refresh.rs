//! The task that keeps the issuer's keys fresh.

use std::sync::Arc;

use audittrail_auth::{Authenticator, JwkSet};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::{FetchError, Schedule};

pub(super) const SUCCESS: &str = "success";

/// Reads keys on a schedule and when a token names one that is not known.
pub(crate) struct Refresher {
    authenticator: Arc<Authenticator>,
    /// From requests whose token names an unknown key.
    wanted: mpsc::Receiver<oneshot::Sender<()>>,
    schedule: Schedule,
    /// What the set in use was read from.
    last: Option<Vec<u8>>,
    /// Failures since the last success.
    failures: u32,
}

impl Refresher {
    pub(crate) fn new(
        authenticator: Arc<Authenticator>,
        wanted: mpsc::Receiver<oneshot::Sender<()>>,
        schedule: Schedule,
    ) -> Self {
        Self {
            authenticator,
            wanted,
            schedule,
            last: None,
            failures: 0,
        }
    }

    /// Begins with a set that was read already.
    pub(crate) fn starting_with(mut self, bytes: Vec<u8>) -> Self {
        self.take(Ok(bytes));
        self
    }

    /// Runs for ever. `fetch` reads the source; one call ends before the next begins.
    pub(crate) async fn run(mut self, mut fetch: impl AsyncFnMut() -> Result<Vec<u8>, FetchError>) {
        if self.last.is_none() {
            self.read(&mut fetch, None).await;
        }
        let mut due = now() + self.pause();
        let mut for_token: Option<Instant> = None;
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(due) => self.read(&mut fetch, None).await,
                Some(answer) = self.wanted.recv() => {
                    let recent = |at: Instant| now() - at < self.schedule.for_tokens;
                    if for_token.is_some_and(recent) {
                        let _ = answer.send(());
                        continue;
                    }
                    for_token = Some(now());
                    self.read(&mut fetch, Some(answer)).await;
                }
            }
            due = now() + self.pause();
        }
    }

    /// Reads once, and answers who asked for it. Who asked meanwhile gets the same answer.
    async fn read(
        &mut self,
        fetch: &mut impl AsyncFnMut() -> Result<Vec<u8>, FetchError>,
        asked: Option<oneshot::Sender<()>>,
    ) {
        let outcome = fetch().await;
        self.take(outcome);
        let meanwhile = std::iter::from_fn(|| self.wanted.try_recv().ok());
        for answer in asked.into_iter().chain(meanwhile) {
            let _ = answer.send(());
        }
    }

    fn pause(&self) -> std::time::Duration {
        let Schedule {
            every,
            first_retry,
            last_retry,
            ..
        } = self.schedule;
        match self.failures {
            0 => every,
            failures => first_retry
                .saturating_mul(1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX))
                .min(last_retry),
        }
    }

    /// Puts a good set in place of the last one, and keeps that one otherwise.
    fn take(&mut self, outcome: Result<Vec<u8>, FetchError>) {
        let read = outcome.and_then(|bytes| Ok((JwkSet::parse(&bytes)?, bytes)));
        let name = match read {
            Ok((set, bytes)) => {
                self.failures = 0;
                if self.last.as_ref() != Some(&bytes) {
                    self.last = Some(bytes);
                    self.install(set);
                }
                SUCCESS
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                tracing::warn!(
                    reason = %error,
                    failures = self.failures,
                    "the JWKS could not be read; the last good one, if there was one, stays in use"
                );
                error.outcome()
            }
        };
        metrics::counter!("audittrail_jwks_refresh_total", "outcome" => name).increment(1);
    }

    fn install(&self, set: JwkSet) {
        if set.is_empty() {
            tracing::warn!(?set, "the JWKS has no key that can be used");
        } else {
            tracing::info!(?set, "the keys of the JWKS are in use");
        }
        #[expect(clippy::cast_precision_loss, reason = "metrics are floating-point")]
        metrics::gauge!("audittrail_jwks_keys").set(set.len() as f64);
        self.authenticator.replace_public_keys(set);
    }
}

#[expect(clippy::disallowed_methods, reason = "the server reads clocks")]
fn now() -> Instant {
    Instant::now()
}
