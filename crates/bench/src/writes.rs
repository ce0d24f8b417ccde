//! Requests that write.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;

use crate::Entries;
use crate::client::{Answer, Target};
use crate::load::Work;

/// Where the next entry is taken from, over all scenarios of a run, so that none is sent twice.
#[derive(Debug, Default)]
pub(crate) struct Cursor(AtomicU64);

impl Cursor {
    /// The first of `count` positions that nobody else gets.
    pub(crate) fn take(&self, count: u64) -> u64 {
        self.0.fetch_add(count, Ordering::Relaxed)
    }
}

/// Entries in requests of `batch` each; of one, as a JSON object.
pub(crate) struct Writes {
    pub(crate) target: Target,
    pub(crate) entries: Entries,
    pub(crate) first: u64,
    pub(crate) batch: u64,
    /// How many entries there are to send; none is sent where fewer than a batch are left.
    pub(crate) most: Option<u64>,
}

const PATH: &str = "/logs/create/?receipts=none";

impl Work for Writes {
    fn request(&self, number: u64) -> Option<Request<Full<Bytes>>> {
        let begin = number * self.batch;
        if self.most.is_some_and(|most| begin + self.batch > most) {
            return None;
        }
        let first = self.first + begin;
        Some(if self.batch == 1 {
            let mut body = Vec::with_capacity(512);
            self.entries.write(first, &mut body);
            self.target.post(PATH, "application/json", body)
        } else {
            let body = self.entries.batch(first, self.batch);
            self.target.post(PATH, "application/x-ndjson", body)
        })
    }

    fn entries(&self, _: &Answer) -> u64 {
        self.batch
    }
}

/// Requests whose bodies were made before the first was sent, so that the load costs little.
pub(crate) struct Made {
    target: Target,
    bodies: Vec<Bytes>,
    batch: u64,
}

impl Made {
    pub(crate) fn of(writes: &Writes) -> Self {
        let count = writes.most.unwrap_or(0) / writes.batch;
        let bodies = (0..count).map(|number| {
            let first = writes.first + number * writes.batch;
            Bytes::from(writes.entries.batch(first, writes.batch))
        });
        Self {
            bodies: bodies.collect(),
            target: writes.target.clone(),
            batch: writes.batch,
        }
    }
}

impl Work for Made {
    fn request(&self, number: u64) -> Option<Request<Full<Bytes>>> {
        let body = self.bodies.get(usize::try_from(number).ok()?)?;
        let mut request = self.target.post(PATH, "application/x-ndjson", Vec::new());
        *request.body_mut() = Full::new(body.clone());
        Some(request)
    }

    fn entries(&self, _: &Answer) -> u64 {
        self.batch
    }
}
