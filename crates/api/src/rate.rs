//! How often a caller may ask: the generic cell rate algorithm, one time kept for each caller.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use audittrail_auth::Principal;
use lru::LruCache;

use crate::problem::{Problem, Slug};

const SECOND: i64 = 1_000_000_000;
/// So many callers are remembered; the one not seen for longest is forgotten.
const CALLERS: NonZeroUsize = NonZeroUsize::new(100_000).expect("not zero");

/// Requests in a time, all of them at once or spread over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    requests: i64,
    per: i64,
}

impl Rate {
    /// Reads `50/s`, `600/m`, `10000/h`.
    pub fn parse(text: &str) -> Option<Self> {
        let (requests, unit) = text.split_once('/')?;
        let requests: u32 = requests.trim().parse().ok().filter(|number| *number > 0)?;
        let seconds = match unit.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            _ => return None,
        };
        Some(Self {
            requests: requests.into(),
            per: seconds * SECOND,
        })
    }

    /// From one request to the next where they are spread evenly.
    fn interval(self) -> i64 {
        (self.per / self.requests).max(1)
    }
}

/// What callers have used up.
pub(crate) struct Rates {
    rate: Rate,
    hasher: RandomState,
    /// Apart, so that many addresses cannot push subjects out.
    subjects: Mutex<LruCache<u64, i64>>,
    addresses: Mutex<LruCache<u64, i64>>,
}

impl Rates {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            hasher: RandomState::new(),
            subjects: Mutex::new(LruCache::new(CALLERS)),
            addresses: Mutex::new(LruCache::new(CALLERS)),
        }
    }

    /// A request of a subject at `now`, in nanoseconds.
    pub(crate) fn subject(&self, principal: &Principal, now: i64) -> Result<(), Problem> {
        let key = (&principal.issuer, &principal.subject);
        self.take(&self.subjects, key, now)
    }

    /// A request without a valid token. Who has one IPv6 address has its /64.
    pub(crate) fn address(&self, address: Option<IpAddr>, now: i64) -> Result<(), Problem> {
        let key = address.map(|address| match address {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64 | 1 << 63,
        });
        self.take(&self.addresses, key, now)
    }

    fn take(
        &self,
        callers: &Mutex<LruCache<u64, i64>>,
        key: impl Hash,
        now: i64,
    ) -> Result<(), Problem> {
        let key = self.hasher.hash_one(key);
        let mut callers = callers.lock().unwrap_or_else(PoisonError::into_inner);
        let full = callers.get(&key).copied();
        // When all would be there again. Later than that is possible only where the clock
        // stepped back: then nothing is held against anybody.
        let full = full
            .filter(|full| *full <= now + self.rate.per)
            .unwrap_or(now)
            .max(now);
        let next = full + self.rate.interval();
        let wait = next - now - self.rate.per;
        if wait > 0 {
            return Err(too_many(wait));
        }
        callers.put(key, next);
        Ok(())
    }
}

fn too_many(wait: i64) -> Problem {
    let seconds = (wait + SECOND - 1) / SECOND;
    let detail = format!("Too many requests in a short time; wait {seconds} seconds.");
    Problem::new(Slug::RateLimited, detail)
        .with_header(axum::http::header::RETRY_AFTER, &seconds.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000 * SECOND;

    fn granted(rates: &Rates, address: &str, now: i64) -> bool {
        rates.address(address.parse().ok(), now).is_ok()
    }

    #[test]
    fn as_many_as_the_rate_says() {
        let rates = Rates::new(Rate::parse("3/s").unwrap());
        let at = |now| granted(&rates, "192.0.2.1", now);
        assert!(at(NOW) && at(NOW) && at(NOW));
        assert!(!at(NOW) && !at(NOW + SECOND / 3 - 1_000));
        assert!(granted(&rates, "192.0.2.2", NOW), "everybody has their own");
        assert!(at(NOW + SECOND / 3));
        assert!(!at(NOW + SECOND / 3));
        let spread = (1..1_000)
            .filter(|n| at(NOW + SECOND + n * SECOND / 100))
            .count();
        assert!((30..=33).contains(&spread), "{spread} in ten seconds");
    }

    #[test]
    fn one_network_of_ipv6_is_one_caller() {
        let rates = Rates::new(Rate::parse("1/m").unwrap());
        assert!(granted(&rates, "2001:db8::1", NOW));
        assert!(!granted(&rates, "2001:db8::2", NOW));
        assert!(granted(&rates, "2001:db8:0:1::1", NOW));
    }

    #[test]
    fn a_clock_that_steps_back_locks_nobody_out() {
        let rates = Rates::new(Rate::parse("1/m").unwrap());
        assert!(granted(&rates, "192.0.2.1", NOW));
        assert!(!granted(&rates, "192.0.2.1", NOW + 59 * SECOND));
        assert!(granted(&rates, "192.0.2.1", NOW - 3_600 * SECOND));
    }

    #[test]
    fn rates() {
        for text in ["", "5", "/s", "0/s", "5/d", "-1/s", "5/s/s"] {
            assert_eq!(Rate::parse(text), None, "{text}");
        }
    }
}
