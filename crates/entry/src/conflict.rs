//! What is kept of an entry whose id is another's.
//!
//! Nothing here is random: two calls for one record give one leaf, so that whoever does it again
//! finds what was stored. The secret that makes id and salt unpredictable is the record's own salt.

use std::borrow::Cow;

use hmac::Mac as _;
use uuid::Uuid;

use crate::json::Value;
use crate::keys::keyed;
use crate::record::hyphenated;
use crate::{Entry, Limits, NewEntry, Record, RecordError, SealWith, SigningKey, Submitter};

/// Actions that begin so are the log's own: no client may send one.
pub const RESERVED_ACTIONS: &str = "audittrail.";

/// The action of an entry that stands for one whose id was taken.
pub const ID_CONFLICT: &str = "audittrail.id_conflict";

/// So many bytes a sealed part grows by at the most: names, the id, and an action of 256 bytes
/// each of which may have to be escaped.
const GROWS_BYTES: usize = 2 << 10;

/// The id under which [`id_conflict`] keeps a record: a UUIDv8 of HMAC-SHA256(key = the record's
/// salt, "audittrail/id-conflict/id/v1\n" ‖ leaf). It does not depend on the signing key, which may
/// be another one when the record comes again.
///
/// # Errors
/// `SealedMissing` where there is no salt.
pub fn id_of_conflict(original: &Record) -> Result<Uuid, RecordError> {
    let bytes = derived(original, b"audittrail/id-conflict/id/v1\n")?;
    Ok(crate::uuid_v8(&bytes))
}

/// The record that is committed where an entry's id is that of another entry: under the id of
/// [`id_of_conflict`], with the action [`ID_CONFLICT`], and `action`, `details` and `id` of the
/// original in its details. All else is the original's, its times and its submitter included. It may
/// be a little larger than what a client may send.
///
/// # Errors
/// If the original has no sealed part, or one that cannot be read.
pub fn id_conflict(
    original: &Record,
    key: &SigningKey,
    origin: &str,
) -> Result<(Uuid, Record), RecordError> {
    let id = id_of_conflict(original)?;
    let salt = derived(original, b"audittrail/id-conflict/salt/v1\n")?;
    let bytes = original.sealed.as_ref().map(|sealed| &*sealed.bytes);
    let Entry { open, sealed } = Entry::parse(&original.leaf, bytes)?;
    let sealed = sealed.ok_or(RecordError::SealedMissing)?;
    let text = |text: &str| Value::String(Cow::Owned(text.to_owned()));
    let mut details = vec![("action".into(), text(&open.action))];
    details.extend(sealed.details.map(|details| ("details".into(), details)));
    let original_id = String::from_utf8_lossy(&hyphenated(&open.id)).into_owned();
    details.push(("id".into(), text(&original_id)));
    let entry = NewEntry {
        action: ID_CONFLICT.into(),
        user_id: sealed.user_id,
        timestamp: Some(open.timestamp),
        resource: sealed.resource,
        outcome: open.outcome,
        source_ip: sealed.source_ip,
        tenant: open.tenant,
        details: Some(Value::Object(details)),
        id: None,
    };
    let submitter = Submitter {
        iss: sealed.submitted_by.iss.as_deref(),
        sub: &sealed.submitted_by.sub,
    };
    let record = entry.seal(SealWith {
        submitter: &submitter,
        received_at: open.received_at,
        id,
        salt,
        key,
        origin,
        limits: &Limits {
            sealed_bytes: bytes.map_or(0, <[u8]>::len) + GROWS_BYTES,
            ..Limits::default()
        },
    });
    Ok((id, record.map_err(|_| RecordError::Sealed)?))
}

fn derived(original: &Record, domain: &[u8]) -> Result<[u8; 32], RecordError> {
    let sealed = original.sealed.as_ref();
    let salt = &sealed.ok_or(RecordError::SealedMissing)?.salt;
    let mac = keyed(salt).chain_update(domain);
    Ok(mac
        .chain_update(&original.leaf)
        .finalize()
        .into_bytes()
        .into())
}
