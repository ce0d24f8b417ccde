//! What the tests share. The hashes here are written from the documented formats, without the
//! crate and without `hmac`, so that both can be wrong only independently.

use audittrail_entry::{
    KeyRing, Limits, NewEntry, Record, SealWith, SigningKey, Submitter, Timestamp, Violation,
};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// 2026-11-23T08:30:00Z.
pub(crate) const NOW: Timestamp = Timestamp::from_nanos(1_795_422_600_000_000_000);
pub(crate) const ORIGIN: &str = "log.example/audit";
pub(crate) const KEY: &[u8] = b"a signing key of thirty-two bytes or more";
pub(crate) const SALT: [u8; 32] = [0x5a; 32];
pub(crate) const ID: Uuid = Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_002a);
pub(crate) const SUBMITTER: Submitter<'_> = Submitter {
    iss: Some("https://issuer.example"),
    sub: "ada",
};

pub(crate) fn read(bytes: &[u8]) -> Result<NewEntry<'_>, Vec<Violation>> {
    NewEntry::parse(bytes, &Limits::default(), NOW)
}

pub(crate) fn key() -> SigningKey {
    SigningKey::new(KEY).unwrap()
}

pub(crate) fn ring() -> KeyRing {
    KeyRing {
        current: key(),
        earlier: Vec::new(),
    }
}

pub(crate) fn seal(entry: &NewEntry<'_>) -> Result<Record, Violation> {
    seal_with(entry, SALT, &Limits::default())
}

pub(crate) fn seal_with(
    entry: &NewEntry<'_>,
    salt: [u8; 32],
    limits: &Limits,
) -> Result<Record, Violation> {
    entry.seal(SealWith {
        submitter: &SUBMITTER,
        received_at: NOW,
        id: ID,
        salt,
        key: &key(),
        origin: ORIGIN,
        limits,
    })
}

/// Reads and seals.
pub(crate) fn record(json: &str) -> Record {
    seal(&read(json.as_bytes()).unwrap()).unwrap()
}

pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// HMAC-SHA256 as RFC 2104 defines it.
pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut block = [0; 64];
    if key.len() > 64 {
        block[..32].copy_from_slice(&sha256(&[key]));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let message = parts.concat();
    let inner = sha256(&[&block.map(|byte| byte ^ 0x36), &message]);
    sha256(&[&block.map(|byte| byte ^ 0x5c), &inner])
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An object of that many levels, itself included.
pub(crate) fn nested_objects(levels: usize) -> String {
    format!(
        "{}{{}}{}",
        r#"{"a":"#.repeat(levels - 1),
        "}".repeat(levels - 1)
    )
}

/// An object with arrays in it, of that many levels together.
pub(crate) fn nested_arrays(levels: usize) -> String {
    format!(
        r#"{{"a":{}{}}}"#,
        "[".repeat(levels - 1),
        "]".repeat(levels - 1)
    )
}

/// The shortest digits of a double, with an exponent. Of two that are as short and as near,
/// ECMAScript takes the even one and Rust the greater.
pub(crate) fn shortest(value: f64) -> String {
    let greater = format!("{value:e}");
    let mantissa = greater.trim_start_matches('-').split('e').next().unwrap();
    let decimals = mantissa.len().saturating_sub(2);
    let even = format!("{value:.decimals$e}");
    if even.parse() == Ok(value) {
        even
    } else {
        greater
    }
}
