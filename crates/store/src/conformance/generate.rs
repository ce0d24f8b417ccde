//! Entries that follow from a seed: few values for each member, so that filters meet some
//! and miss others, with timestamps that tie and clocks that step back.

use std::borrow::Cow;
use std::net::IpAddr;

use audittrail_entry::{
    Limits, NewEntry, Outcome, Record, SealWith, SigningKey, Submitter, Timestamp,
};
use uuid::Uuid;

use super::vocabulary;

/// The name of the log that the suite writes.
pub const ORIGIN: &str = "log.example/conformance";
/// 2026-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp::from_nanos(1_767_225_600_000_000_000);
const KEY: &[u8] = b"the key that signs what the suite of stores writes";

pub(super) const ACTIONS: [&str; 12] = [
    "user.login",
    "user.logout",
    "user",
    "User.Login",
    "document.read",
    "document.readers",
    "a,b\\c",
    "größe.ändern",
    "ΣΑΣ.Σας",
    "aaaa",
    "登録.削除",
    "x",
];
pub(super) const TENANTS: [&str; 3] = ["acme", "globex", "initech"];
pub(super) const USERS: [&str; 5] = ["alice", "bob", "carol", "dave", "success"];
pub(super) const RESOURCES: [&str; 15] = [
    "doc/1",
    "doc/2",
    "doc/10",
    "Doc/1",
    "größe, \"quoted\"",
    "GRÖSSE, größe",
    "aaa",
    "aaaa aab",
    "abcabcabd",
    "arn:aws:s3:::Reports/2026/Q1-final.pdf",
    "İstanbul/ıssız",
    "報告書/東京/2026",
    "ab",
    "a",
    "ȺȾ-ⱥⱦ",
];
pub(super) const ADDRESSES: [&str; 9] = [
    "192.0.2.1",
    "192.0.2.130",
    "192.0.3.1",
    "198.51.100.7",
    "255.255.255.255",
    "2001:db8::1",
    "2001:db8:1::1",
    "::1",
    "::",
];
pub(super) const OUTCOMES: [Outcome; 4] = [
    Outcome::Success,
    Outcome::Failure,
    Outcome::Denied,
    Outcome::Unknown,
];

/// The key that signs the suite's entries.
///
/// # Panics
/// Never: the key is long enough.
pub fn signing_key() -> SigningKey {
    SigningKey::new(KEY).expect("the key has more than 32 bytes")
}

/// Numbers that follow from a seed (xorshift64*).
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Numbers {
    /// The sequence of that seed.
    pub fn new(seed: u64) -> Self {
        // Zero is the one state that never changes.
        let mut numbers = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        numbers.next();
        numbers
    }

    /// The next number.
    #[expect(
        clippy::should_implement_trait,
        reason = "it never ends, so nobody needs it as an iterator"
    )]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// An id.
    pub fn id(&mut self) -> Uuid {
        let (high, low) = (u128::from(self.next()), u128::from(self.next()));
        uuid::Builder::from_random_bytes((high << 64 | low).to_be_bytes()).into_uuid()
    }

    fn maybe<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        if self.one_in(4) {
            None
        } else {
            Some(self.pick(choices))
        }
    }
}

/// Makes entries.
#[derive(Debug, Clone)]
pub struct Generator {
    /// Where choices come from.
    pub numbers: Numbers,
    key: SigningKey,
    received_at: i64,
}

impl Generator {
    /// The entries of that seed.
    pub fn new(seed: u64) -> Self {
        Self {
            numbers: Numbers::new(seed),
            key: signing_key(),
            received_at: START.nanos(),
        }
    }

    /// The next entry, with its id.
    ///
    /// # Panics
    /// Never: what is made is within the limits.
    pub fn entry(&mut self) -> (Uuid, Record) {
        let numbers = &mut self.numbers;
        // Clocks step back now and then.
        self.received_at += numbers.below(2_000_000) as i64 - 200_000;
        let received_at = Timestamp::from_nanos(self.received_at);
        let timestamp = match numbers.below(4) {
            0 => None,
            // Many entries of the same instant, and long before they arrive.
            1 => Some(START.nanos() - 3_600_000_000_000 + numbers.below(5) as i64),
            _ => Some(START.nanos() + numbers.below(1_000_000_000) as i64),
        };
        let details = match numbers.below(3) {
            0 => Some(format!(
                r#"{{"filler":"{}"}}"#,
                "x".repeat(numbers.below(400) as usize)
            )),
            1 => Some(vocabulary::details(numbers)),
            _ => None,
        };
        let address: Option<IpAddr> = numbers.maybe(&ADDRESSES).map(|text| {
            text.parse()
                .expect("the table of addresses holds addresses")
        });
        let entry = NewEntry {
            action: numbers.pick(&ACTIONS).into(),
            user_id: numbers.maybe(&USERS).map(Cow::from),
            timestamp: timestamp.map(Timestamp::from_nanos),
            resource: numbers.maybe(&RESOURCES).map(Cow::from),
            outcome: numbers.maybe(&OUTCOMES),
            source_ip: address,
            tenant: numbers.maybe(&TENANTS).map(Cow::from),
            details: details.as_deref().map(vocabulary::value_of),
            id: None,
        };
        self.seal(&entry, received_at)
    }

    /// The next entry, with its id, for counting: of any year and around changes of clocks, with
    /// values of which there are many, few and long ones.
    ///
    /// # Panics
    /// Never: what is made is within the limits.
    pub fn strange_entry(&mut self) -> (Uuid, Record) {
        let numbers = &mut self.numbers;
        self.received_at += 1_000;
        let user = match numbers.below(4) {
            0 => None,
            1 => Some(numbers.pick(&USERS).to_owned()),
            // The smaller the number the more frequent.
            _ => {
                let most = 1 + numbers.below(60);
                Some(format!("user-{}", numbers.below(most)))
            }
        };
        let resource = match numbers.below(4) {
            0 => None,
            1 => Some(format!("{}{}", "é".repeat(200), numbers.below(9))),
            _ => Some(numbers.pick(&RESOURCES).to_owned()),
        };
        let address: Option<IpAddr> = numbers.maybe(&ADDRESSES).map(|text| {
            text.parse()
                .expect("the table of addresses holds addresses")
        });
        let entry = NewEntry {
            action: numbers.pick(&ACTIONS).into(),
            user_id: user.map(Cow::from),
            timestamp: Some(Timestamp::from_nanos(super::stats::strange_time(numbers))),
            resource: resource.map(Cow::from),
            outcome: numbers.maybe(&OUTCOMES),
            source_ip: address,
            tenant: numbers.maybe(&TENANTS).map(Cow::from),
            details: None,
            id: None,
        };
        self.seal(&entry, Timestamp::from_nanos(self.received_at))
    }

    /// A small entry, for logs of many.
    ///
    /// # Panics
    /// Never: what is made is within the limits.
    pub fn small_entry(&mut self) -> (Uuid, Record) {
        self.received_at += 1_000;
        let entry = NewEntry {
            action: "tick".into(),
            user_id: None,
            timestamp: None,
            resource: None,
            outcome: None,
            source_ip: None,
            tenant: None,
            details: None,
            id: None,
        };
        self.seal(&entry, Timestamp::from_nanos(self.received_at))
    }

    fn seal(&mut self, entry: &NewEntry<'_>, received_at: Timestamp) -> (Uuid, Record) {
        let id = self.numbers.id();
        let mut salt = [0; 32];
        for part in salt.chunks_exact_mut(8) {
            part.copy_from_slice(&self.numbers.next().to_be_bytes());
        }
        let with = SealWith {
            submitter: &Submitter {
                iss: Some("https://issuer.example"),
                sub: "conformance",
            },
            received_at,
            id,
            salt,
            key: &self.key,
            origin: ORIGIN,
            limits: &Limits::default(),
        };
        let record = entry.seal(with);
        (id, record.expect("the entry is within the limits"))
    }
}
