//! How many streams there are.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use audittrail_auth::Principal;
use axum::http::header;

use super::recent::Recent;
use crate::State;
use crate::problem::{Problem, Slug};

/// One caller has up to so large a part of all places.
const PART: usize = 8;
/// Who is refused comes back after this many seconds.
const RETRY_AFTER: &str = "10";

/// A caller: issuer, subject, tenant.
type Holder = (Option<String>, String, Option<String>);

/// The open streams, and what they share.
pub(crate) struct Streams {
    most: usize,
    holders: Mutex<HashMap<Holder, usize>>,
    open: AtomicUsize,
    pub(super) recent: Recent,
}

impl Streams {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            holders: Mutex::default(),
            open: AtomicUsize::new(0),
            recent: Recent::default(),
        }
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn holders(&self) -> MutexGuard<'_, HashMap<Holder, usize>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place for a stream, free again when it is dropped.
pub(super) struct Place {
    pub(super) shared: State,
    holder: Holder,
}

/// A place for one more stream of a caller.
pub(super) fn take(shared: &State, principal: &Principal) -> Result<Place, Problem> {
    let streams = &shared.streams;
    let mut holders = streams.holders();
    let holder = (
        principal.issuer.clone(),
        principal.subject.clone(),
        principal.tenant.clone(),
    );
    let (open, own) = (streams.open(), holders.get(&holder).copied().unwrap_or(0));
    if open >= streams.most {
        let detail = "The server has as many streams open as it may; try again later.";
        return Err(
            Problem::new(Slug::StreamsFull, detail).with_header(header::RETRY_AFTER, RETRY_AFTER)
        );
    }
    if own >= (streams.most / PART).max(1) {
        let detail = format!("You have {own} streams open; close one, then open another.");
        return Err(Problem::new(Slug::TooManyStreams, detail)
            .with_header(header::RETRY_AFTER, RETRY_AFTER));
    }
    holders.insert(holder.clone(), own + 1);
    streams.open.store(open + 1, Ordering::Relaxed);
    metrics::gauge!("audittrail_streams").increment(1.0);
    let shared = Arc::clone(shared);
    Ok(Place { shared, holder })
}

impl Drop for Place {
    fn drop(&mut self) {
        let streams = &self.shared.streams;
        let mut holders = streams.holders();
        if let Some(own) = holders.get_mut(&self.holder) {
            *own -= 1;
            if *own == 0 {
                holders.remove(&self.holder);
            }
        }
        let open = streams.open() - 1;
        streams.open.store(open, Ordering::Relaxed);
        metrics::gauge!("audittrail_streams").decrement(1.0);
        if open == 0 {
            streams.recent.clear();
        }
    }
}
