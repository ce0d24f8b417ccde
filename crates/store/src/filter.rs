//! What a filter means. [`Filter::matches`] is the definition that every store is tested
//! against.

use std::net::IpAddr;

use audittrail_entry::{Entry, Outcome};

use crate::details::{DetailsPath, DetailsTest, strings};
use crate::text::{fold, words};

/// A member of an entry that holds text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Member {
    /// What was done.
    Action,
    /// How it ended.
    Outcome,
    /// What was acted on.
    Resource,
    /// Whose log it is in.
    Tenant,
    /// Who did it.
    UserId,
}

impl Member {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Action,
        Self::Outcome,
        Self::Resource,
        Self::Tenant,
        Self::UserId,
    ];

    /// The member's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Outcome => "outcome",
            Self::Resource => "resource",
            Self::Tenant => "tenant",
            Self::UserId => "user_id",
        }
    }

    /// The member's text in an entry.
    pub fn of<'e>(self, entry: &'e Entry<'_>) -> Option<&'e str> {
        let sealed = entry.sealed.as_ref();
        match self {
            Self::Action => Some(&entry.open.action),
            Self::Outcome => entry.open.outcome.map(Outcome::as_str),
            Self::Resource => sealed?.resource.as_deref(),
            Self::Tenant => entry.open.tenant.as_deref(),
            Self::UserId => sealed?.user_id.as_deref(),
        }
    }
}

/// A condition on a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Test {
    /// The text is this one.
    Equals(String),
    /// The text is one of these.
    In(Vec<String>),
    /// There is no text, or it is none of these.
    NotIn(Vec<String>),
    /// This folded text is a part of the text, case disregarded.
    Contains(String),
    /// The text begins with this one.
    StartsWith(String),
}

impl Test {
    fn holds(&self, text: Option<&str>) -> bool {
        match self {
            Self::Equals(wanted) => text == Some(wanted),
            Self::In(wanted) => text.is_some_and(|text| wanted.iter().any(|one| one == text)),
            Self::Contains(part) => text.is_some_and(|text| fold(text).contains(part)),
            Self::StartsWith(start) => text.is_some_and(|text| text.starts_with(start)),
            Self::NotIn(unwanted) => text.is_none_or(|text| unwanted.iter().all(|one| one != text)),
        }
    }
}

/// Bounds, both inclusive; absent means unbounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window<T> {
    /// The least value.
    pub from: Option<T>,
    /// The greatest value.
    pub to: Option<T>,
}

impl<T> Default for Window<T> {
    fn default() -> Self {
        Self {
            from: None,
            to: None,
        }
    }
}

impl<T: PartialOrd + Copy> Window<T> {
    /// Whether a value lies within.
    pub fn contains(&self, value: T) -> bool {
        self.from.is_none_or(|from| value >= from) && self.to.is_none_or(|to| value <= to)
    }
}

/// An address, or a CIDR block of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpBlock {
    address: IpAddr,
    prefix: u8,
}

impl IpBlock {
    /// The address as given: an IPv4 address written as IPv6 is one of IPv4 here.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many leading bits count.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Reads `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`. Bits after the prefix are
    /// ignored; an IPv4 address written as IPv6 is taken as IPv4, as in entries.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().ok()?;
        let address = written.to_canonical();
        let width = width(address);
        let prefix = match prefix {
            None => width,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                let bits: u8 = digits.parse().ok()?;
                // ::ffff:192.0.2.0/120 is 192.0.2.0/24.
                bits.checked_sub(self::width(written) - width)?
            }
            Some(_) => return None,
        };
        (prefix <= width).then_some(Self { address, prefix })
    }

    /// Whether an address lies in the block.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (block, one) = match (self.address, address.to_canonical()) {
            (IpAddr::V4(block), IpAddr::V4(one)) => {
                (u128::from(block.to_bits()), u128::from(one.to_bits()))
            }
            (IpAddr::V6(block), IpAddr::V6(one)) => (block.to_bits(), one.to_bits()),
            _ => return false,
        };
        let host_bits = u32::from(width(self.address) - self.prefix);
        (block ^ one).checked_shr(host_bits).unwrap_or(0) == 0
    }
}

impl std::fmt::Display for IpBlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Conditions on an entry, all of which must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Conditions on texts.
    pub texts: Vec<(Member, Test)>,
    /// Conditions on what lies in `details`.
    pub details: Vec<(DetailsPath, DetailsTest)>,
    /// Folded words, all of which occur in the entry's strings.
    pub words: Vec<String>,
    /// The address that the entry names lies in this block.
    pub source_ip: Option<IpBlock>,
    /// Bounds on the timestamp, nanoseconds since the Unix epoch.
    pub timestamp: Window<i64>,
    /// Bounds on received_at, nanoseconds since the Unix epoch.
    pub received: Window<i64>,
    /// Bounds on the index.
    pub index: Window<u64>,
    /// Only entries known to have failed verification.
    pub failed: bool,
}

impl Filter {
    /// Whether a sound entry satisfies every condition.
    pub fn matches(&self, index: u64, entry: &Entry<'_>) -> bool {
        let source_ip = || entry.sealed.as_ref().and_then(|sealed| sealed.source_ip);
        !self.failed
            && self.index.contains(index)
            && self.timestamp.contains(entry.open.timestamp.nanos())
            && self.received.contains(entry.open.received_at.nanos())
            && self
                .texts
                .iter()
                .all(|(member, test)| test.holds(member.of(entry)))
            && self
                .source_ip
                .is_none_or(|block| source_ip().is_some_and(|ip| block.contains(ip)))
            && self.details_hold(entry)
            && self.words_occur(entry)
    }

    fn details_hold(&self, entry: &Entry<'_>) -> bool {
        let details = entry
            .sealed
            .as_ref()
            .and_then(|sealed| sealed.details.as_ref());
        self.details
            .iter()
            .all(|(path, test)| test.holds(path, details))
    }

    fn words_occur(&self, entry: &Entry<'_>) -> bool {
        if self.words.is_empty() {
            return true;
        }
        let mut missing: Vec<&str> = self.words.iter().map(String::as_str).collect();
        searched_strings(entry, &mut |text| {
            if !missing.is_empty() {
                words(text).for_each(|word| missing.retain(|wanted| **wanted != *word));
            }
        });
        missing.is_empty()
    }
}

/// The strings that `q` searches: those that a client sends, but for id and times.
pub fn searched_strings(entry: &Entry<'_>, each: &mut impl FnMut(&str)) {
    for member in Member::ALL {
        if let Some(text) = member.of(entry) {
            each(text);
        }
    }
    if let Some(sealed) = &entry.sealed {
        if let Some(address) = sealed.source_ip {
            each(&address.to_string());
        }
        if let Some(details) = &sealed.details {
            strings(details, &mut |text| each(text));
        }
    }
}
