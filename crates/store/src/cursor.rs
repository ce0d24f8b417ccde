//! Cursors: where a page stands, in a form that a client can carry.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::{Access, Count, CountMode, Direction, Filter, Key, Order};

/// The place beside which the next or the previous page lies.
///
/// It holds nothing secret and gives no rights: access is checked with each request.
///
/// As text it is base64url without padding of 43 bytes: version 2, order, direction, the
/// first 8 bytes of a SHA-256 over filter and access, then timestamp, index, size and count,
/// each 8 bytes big-endian. The count is twice the number, plus 1 if it is exact; with all bits
/// set there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The order of the pages.
    pub order: Order,
    /// Which way the page lies from the key.
    pub direction: Direction,
    /// The key next to the page.
    pub key: Key,
    /// The size of the log at the first page.
    pub size: u64,
    /// What the pages were filtered by.
    pub fingerprint: [u8; 8],
    /// How many entries match, as the first page found. All pages show the log as it was then,
    /// so none of them counts again. A client that forges it deceives itself.
    pub count: Option<Count>,
}

/// A cursor that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// It was not made by this server, or it was changed.
    #[error("is not a cursor of this server; start again without it")]
    Malformed,
    /// The filter, the order or the reader is another.
    #[error(
        "belongs to another query; send it with the filter and order it came with, or start again without it"
    )]
    OtherQuery,
    /// It names a size that the log does not have.
    #[error("is ahead of the log; start again without it")]
    Ahead,
}

const LENGTH: usize = 43;
const VERSION: u8 = 2;
const NO_COUNT: u64 = u64::MAX;
const ORDERS: [Order; 4] = [
    Order::NewestFirst,
    Order::OldestFirst,
    Order::IndexDescending,
    Order::IndexAscending,
];

impl Cursor {
    /// What ties a cursor to a filter and to what the reader may see.
    pub fn fingerprint(filter: &Filter, access: &Access) -> [u8; 8] {
        let text = format!(
            "{}|{:?}|{:?}",
            filter.canonical(),
            access.user_id,
            access.tenant
        );
        let digest = Sha256::digest(text.as_bytes());
        let mut fingerprint = [0; 8];
        fingerprint.copy_from_slice(&digest[..8]);
        fingerprint
    }

    /// What the cursor answers of what a request asks about the number of matches; `None` if
    /// they have to be counted.
    pub fn counted(&self, asked: CountMode) -> Option<Count> {
        let count = self.count?;
        match asked {
            CountMode::None => None,
            CountMode::Exact => count.exact.then_some(count),
            CountMode::Limited => Some(Count {
                value: count.value.min(Count::LIMIT),
                exact: count.exact && count.value <= Count::LIMIT,
            }),
        }
    }

    /// The cursor as text.
    pub fn encode(&self) -> String {
        let order = ORDERS
            .iter()
            .position(|order| *order == self.order)
            .unwrap_or(0);
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.extend([
            VERSION,
            order as u8,
            u8::from(self.direction == Direction::Before),
        ]);
        bytes.extend(self.fingerprint);
        bytes.extend(self.key.timestamp.to_be_bytes());
        bytes.extend(self.key.index.to_be_bytes());
        bytes.extend(self.size.to_be_bytes());
        let count = self
            .count
            .map_or(NO_COUNT, |count| count.value << 1 | u64::from(count.exact));
        bytes.extend(count.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor and checks that it fits the query and the log.
    ///
    /// # Errors
    /// As [`CursorError`] lists.
    pub fn decode(
        text: &str,
        order: Option<Order>,
        fingerprint: [u8; 8],
        head_size: u64,
    ) -> Result<Self, CursorError> {
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| CursorError::Malformed)?;
        let bytes: [u8; LENGTH] = bytes.try_into().map_err(|_| CursorError::Malformed)?;
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            word
        };
        let direction = match bytes[2] {
            0 => Direction::After,
            1 => Direction::Before,
            _ => return Err(CursorError::Malformed),
        };
        let own_order = *ORDERS
            .get(usize::from(bytes[1]))
            .ok_or(CursorError::Malformed)?;
        if bytes[0] != VERSION {
            return Err(CursorError::Malformed);
        }
        let cursor = Self {
            order: own_order,
            direction,
            fingerprint: word(3),
            key: Key {
                timestamp: i64::from_be_bytes(word(11)),
                index: u64::from_be_bytes(word(19)),
            },
            size: u64::from_be_bytes(word(27)),
            count: match u64::from_be_bytes(word(35)) {
                NO_COUNT => None,
                count => Some(Count {
                    value: count >> 1,
                    exact: count & 1 == 1,
                }),
            },
        };
        if cursor.fingerprint != fingerprint || order.is_some_and(|order| order != cursor.order) {
            return Err(CursorError::OtherQuery);
        }
        if cursor.size > head_size {
            return Err(CursorError::Ahead);
        }
        Ok(cursor)
    }
}
