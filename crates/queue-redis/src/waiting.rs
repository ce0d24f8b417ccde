//! Those that wait for the outcome of what this node submitted.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use audittrail_queue::{Outcome, Waiter};
use tokio::sync::oneshot;

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<u64, (oneshot::Sender<Outcome>, u32)>,
    next_token: u64,
    tick: u32,
}

/// Each by the token that its message carries and its answer brings back.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<State>);

impl Waiting {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self) -> (u64, Waiter) {
        let (answer, waiter) = Waiter::new();
        let mut state = self.state();
        let token = state.next_token;
        state.next_token += 1;
        let tick = state.tick;
        state.waiting.insert(token, (answer, tick));
        (token, waiter)
    }

    pub(crate) fn remove(&self, token: u64) {
        self.state().waiting.remove(&token);
    }

    /// An answer for a token that nobody waits under, or waits under no more, is dropped.
    pub(crate) fn answer(&self, token: u64, outcome: Outcome) {
        let waiter = self.state().waiting.remove(&token);
        if let Some((waiter, _)) = waiter {
            let _ = waiter.send(outcome);
        }
    }

    /// Lets those go that have waited for more than `most` ticks: they learn that the outcome is
    /// unknown. Who does not wait any more goes too.
    pub(crate) fn tick(&self, most: u32) {
        let mut state = self.state();
        state.tick = state.tick.wrapping_add(1);
        let now = state.tick;
        state
            .waiting
            .retain(|_, (waiter, since)| !waiter.is_closed() && now.wrapping_sub(*since) <= most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_too_long_learns_that_the_outcome_is_unknown() {
        let waiting = Waiting::default();
        let (_, early) = waiting.add();
        waiting.tick(1);
        let (token, late) = waiting.add();
        waiting.tick(1);
        assert_eq!(early.outcome().await, Outcome::Unknown);
        waiting.answer(token, Outcome::Conflict(vec![1]));
        assert_eq!(late.outcome().await, Outcome::Conflict(vec![1]));
        assert!(waiting.state().waiting.is_empty());
    }

    #[test]
    fn who_went_away_is_not_kept() {
        let waiting = Waiting::default();
        drop(waiting.add());
        let (token, waiter) = waiting.add();
        waiting.tick(10);
        assert_eq!(waiting.state().waiting.len(), 1);
        waiting.remove(token);
        drop(waiter);
        assert!(waiting.state().waiting.is_empty());
    }
}
