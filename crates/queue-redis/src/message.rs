//! A request as bytes: docs/formats.md, "Queue message, version 1".

use audittrail_entry::{KeyId, Record, Sealed};
use audittrail_merkle::leaf_hash;
use audittrail_queue::{IdOrigin, Request, Submission};
use crc32c::crc32c;
use uuid::Uuid;

const VERSION: u8 = 1;
/// Version, count of entries, checksum.
const FIXED: usize = 1 + 4 + 4;
/// Flags, id, key id, signature, length of the leaf.
const ENTRY: usize = 1 + 16 + 4 + 32 + 4;
/// Salt, length of the sealed part.
const SEALED: usize = 32 + 4;

const CLIENT_ID: u8 = 1;
const TIMESTAMP_GIVEN: u8 = 2;
const HAS_SEALED: u8 = 4;

/// Why bytes are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Another version wrote it.
    #[error("the message has version {0}, and this program reads version 1: update the workers")]
    Version(u8),
    /// Bytes were changed or are missing.
    #[error("the message's checksum does not hold")]
    Checksum,
    /// The bytes are not what anything of this version writes.
    #[error("the message is malformed")]
    Malformed,
}

/// The bytes of a request.
///
/// # Errors
/// [`MessageError::Malformed`] if a part of it has 4 GiB, which no request has.
pub fn encode_request(request: &Request) -> Result<Vec<u8>, MessageError> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(|_| MessageError::Malformed);
    let count = u32::try_from(request.entries.len()).map_err(|_| MessageError::Malformed)?;
    let of_entries = request.entries.iter().map(|entry| {
        let sealed = entry.record.sealed.as_ref();
        ENTRY + sealed.map_or(0, |_| SEALED) + entry.record.size_bytes()
    });
    let mut bytes = Vec::with_capacity(FIXED + of_entries.sum::<usize>());
    bytes.push(VERSION);
    bytes.extend(count.to_le_bytes());
    for entry in request.entries.iter() {
        let record = &entry.record;
        bytes.push(flags(entry));
        bytes.extend(entry.id.as_bytes());
        bytes.extend(record.key_id.0);
        bytes.extend(record.signature);
        bytes.extend(length(&record.leaf)?.to_le_bytes());
        bytes.extend(&record.leaf);
        if let Some(sealed) = &record.sealed {
            bytes.extend(sealed.salt);
            bytes.extend(length(&sealed.bytes)?.to_le_bytes());
            bytes.extend(&sealed.bytes);
        }
    }
    bytes.extend(crc32c(&bytes).to_le_bytes());
    Ok(bytes)
}

fn flags(entry: &Submission) -> u8 {
    let origin = match entry.origin {
        IdOrigin::Server => 0,
        IdOrigin::Client {
            timestamp_given: false,
        } => CLIENT_ID,
        IdOrigin::Client {
            timestamp_given: true,
        } => CLIENT_ID | TIMESTAMP_GIVEN,
    };
    origin | entry.record.sealed.as_ref().map_or(0, |_| HAS_SEALED)
}

/// The request of these bytes. Leaf hashes are computed from the leaves. Memory is bounded by
/// the length of the bytes.
///
/// # Errors
/// If they are not, byte for byte, what [`encode_request`] writes.
pub fn decode_request(bytes: &[u8]) -> Result<Request, MessageError> {
    match bytes.first() {
        Some(&VERSION) => {}
        Some(&other) => return Err(MessageError::Version(other)),
        None => return Err(MessageError::Malformed),
    }
    let (body, sum) = bytes
        .split_last_chunk::<4>()
        .ok_or(MessageError::Malformed)?;
    if crc32c(body) != u32::from_le_bytes(*sum) {
        return Err(MessageError::Checksum);
    }
    entries(&body[1..]).ok_or(MessageError::Malformed)
}

fn entries(mut rest: &[u8]) -> Option<Request> {
    let count = take_length(&mut rest)?;
    if count == 0 || count > rest.len() / ENTRY {
        return None;
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        entries.push(entry(&mut rest)?);
    }
    rest.is_empty().then(|| Request::new(entries))
}

fn entry(rest: &mut &[u8]) -> Option<Submission> {
    let [flags] = take(rest)?;
    let origin = match flags & !HAS_SEALED {
        0 => IdOrigin::Server,
        CLIENT_ID => IdOrigin::Client {
            timestamp_given: false,
        },
        other if other == CLIENT_ID | TIMESTAMP_GIVEN => IdOrigin::Client {
            timestamp_given: true,
        },
        _ => return None,
    };
    let id = Uuid::from_bytes(take(rest)?);
    let key_id = KeyId(take(rest)?);
    let signature = take(rest)?;
    let leaf = take_bytes(rest)?;
    let sealed = if flags & HAS_SEALED == 0 {
        None
    } else {
        let salt = take(rest)?;
        let bytes = take_bytes(rest)?;
        Some(Sealed { bytes, salt })
    };
    Some(Submission {
        id,
        origin,
        leaf_hash: leaf_hash(&leaf),
        record: Record {
            leaf,
            sealed,
            signature,
            key_id,
        },
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*first)
}

fn take_length(rest: &mut &[u8]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(take(rest)?)).ok()
}

fn take_bytes(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let length = take_length(rest)?;
    let (first, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(first.to_vec())
}
