//! Entries: limits, canonical JSON, sealing, leaves and signing keys.
//!
//! Nothing here reads, writes, waits, asks a clock or makes a random number.

mod conflict;
pub mod json;
mod keys;
mod leaf;
mod new_entry;
mod number;
mod record;
mod time;
mod violation;

pub use conflict::{ID_CONFLICT, RESERVED_ACTIONS, id_conflict, id_of_conflict};
pub use keys::{KeyError, KeyId, KeyRing, SignatureError, SigningKey};
pub use new_entry::{Limits, NewEntry, Outcome, SealWith, Submitter, parse_array, parse_lines};
pub use record::{
    Entry, OpenPart, Record, RecordError, Sealed, SealedPart, SubmittedBy, commitment, is_retry_of,
};
pub use time::{Clock, Random, TimeError, Timestamp, uuid_v7, uuid_v8};
pub use violation::Violation;
