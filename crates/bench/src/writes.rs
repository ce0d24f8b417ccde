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
    /// How many entries there are to send, the last request perhaps with fewer.
    pub(crate) most: Option<u64>,
}

const PATH: &str = "/logs/create/?receipts=none";

impl Writes {
    /// How many entries the request with this number has.
    fn size(&self, number: u64) -> u64 {
        let left = self
            .most
            .map_or(u64::MAX, |most| most.saturating_sub(number * self.batch));
        left.min(self.batch)
    }

    fn first_of(&self, number: u64) -> u64 {
        self.first + number * self.batch
    }
}

impl Work for Writes {
    fn request(&self, number: u64) -> Option<Request<Full<Bytes>>> {
        let (first, size) = (self.first_of(number), self.size(number));
        if size == 0 {
            return None;
        }
        Some(if self.batch == 1 {
            let mut body = Vec::with_capacity(512);
            self.entries.write(first, &mut body);
            self.target.post(PATH, "application/json", body)
        } else {
            let body = self.entries.batch(first, size);
            self.target.post(PATH, "application/x-ndjson", body)
        })
    }

    fn entries(&self, number: u64, _: &Answer) -> u64 {
        self.size(number)
    }
}

/// Requests whose bodies were made before the first was sent, so that the load costs little.
pub(crate) struct Made {
    writes: Writes,
    bodies: Vec<Bytes>,
}

impl Made {
    pub(crate) fn of(writes: Writes) -> Self {
        let count = writes.most.unwrap_or(0).div_ceil(writes.batch);
        let bodies = (0..count).map(|number| {
            let (first, size) = (writes.first_of(number), writes.size(number));
            Bytes::from(writes.entries.batch(first, size))
        });
        Self {
            bodies: bodies.collect(),
            writes,
        }
    }
}

impl Work for Made {
    fn request(&self, number: u64) -> Option<Request<Full<Bytes>>> {
        let body = self.bodies.get(usize::try_from(number).ok()?)?;
        let target = &self.writes.target;
        let mut request = target.post(PATH, "application/x-ndjson", Vec::new());
        *request.body_mut() = Full::new(body.clone());
        Some(request)
    }

    fn entries(&self, number: u64, _: &Answer) -> u64 {
        self.writes.size(number)
    }
}

#[cfg(test)]
mod tests {
    use super::{Made, Work as _, Writes};
    use crate::{Entries, Kind, Target};

    #[test]
    fn the_last_request_has_what_is_left() {
        let writes = |batch| Writes {
            target: Target::new("http://127.0.0.1:1", "t", None).unwrap(),
            entries: Entries::Made {
                kind: Kind::Small,
                seed: 1,
            },
            first: 5,
            batch,
            most: Some(25),
        };
        let sizes: Vec<u64> = (0..4).map(|number| writes(10).size(number)).collect();
        assert_eq!(sizes, [10, 10, 5, 0]);
        assert!(writes(10).request(2).is_some() && writes(10).request(3).is_none());
        assert!(writes(1).request(24).is_some() && writes(1).request(25).is_none());
        let made = Made::of(writes(10));
        let sent = made.bodies.concat();
        assert_eq!(sent, writes(10).entries.batch(5, 25));
        assert!(made.request(2).is_some() && made.request(3).is_none());
    }
}
