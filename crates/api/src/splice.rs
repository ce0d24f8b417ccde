//! A verified entry as answers show it, from its very bytes: the leaf and the sealed part are
//! canonical JSON, so their members are copied as they stand, without being read.
//!
//! Verified means that the leaf is, byte for byte, what its content gives, and that the sealed
//! part is the one that it commits to, which this server wrote.

use std::io::Write as _;

use audittrail_entry::Record;
use memchr::memchr2;

use crate::render::write_hex;

const LEAF: [&str; 8] = [
    "action",
    "id",
    "outcome",
    "received_at",
    "sealed",
    "tenant",
    "timestamp",
    "v",
];
const SEALED: [&str; 5] = [
    "details",
    "resource",
    "source_ip",
    "submitted_by",
    "user_id",
];

/// Writes the result of a verified record; `None`, with anything written, where its parts do
/// not have the members of an entry in their order.
pub(crate) fn write(record: &Record, index: u64, out: &mut Vec<u8>) -> Option<()> {
    let sealed = record.sealed.as_ref()?;
    let [action, id, outcome, received_at, _, tenant, timestamp, _] = split(&record.leaf, &LEAF)?;
    let [details, resource, source_ip, submitted_by, user_id] = split(&sealed.bytes, &SEALED)?;
    out.push(b'{');
    push("\"action\":", action, out);
    push(",\"details\":", details, out);
    push(",\"id\":", id, out);
    // Writing into memory cannot fail.
    let _ = write!(out, ",\"index\":{index},\"key_id\":\"{}\"", record.key_id);
    push(",\"outcome\":", outcome, out);
    push(",\"received_at\":", received_at, out);
    push(",\"resource\":", resource, out);
    out.extend(b",\"signature\":\"");
    write_hex(&record.signature, out);
    out.push(b'"');
    push(",\"source_ip\":", source_ip, out);
    push(",\"submitted_by\":", submitted_by, out);
    push(",\"tenant\":", tenant, out);
    push(",\"timestamp\":", timestamp, out);
    push(",\"user_id\":", user_id, out);
    out.extend(b",\"verified\":true}");
    Some(())
}

fn push(name: &str, value: Option<&[u8]>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        out.extend(name.as_bytes());
        out.extend(value);
    }
}

/// The values of an object's members as they stand; `None` for an object that has others than
/// these, or in another order.
fn split<'b, const N: usize>(object: &'b [u8], names: &[&str; N]) -> Option<[Option<&'b [u8]>; N]> {
    let mut values = [None; N];
    let mut rest = object.strip_prefix(b"{")?;
    let mut places = 0..N;
    loop {
        let after = rest.strip_prefix(b"\"")?;
        let end = memchr2(b'"', b'\\', after)?;
        let (name, after) = after.split_at(end);
        let value = after.strip_prefix(b"\":")?;
        let place = places.find(|place| names[*place].as_bytes() == name)?;
        let len = value_len(value)?;
        values[place] = Some(&value[..len]);
        match value[len..].split_first()? {
            (b',', next) => rest = next,
            (b'}', []) => return Some(values),
            _ => return None,
        }
    }
}

/// How long the value is that begins here.
fn value_len(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, 0);
    loop {
        match bytes.get(at)? {
            b'"' => at = string_end(bytes, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            _ => at += 1,
        }
        if depth == 0 && matches!(bytes.get(at)?, b',' | b'}') {
            return Some(at);
        }
    }
}

/// The place after the string that begins at a place.
fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use audittrail_store::conformance::Generator;
    use audittrail_store::{Checked, Verdict};

    use super::*;
    use crate::render::{write_parsed, write_result};

    #[test]
    fn what_is_copied_is_what_reading_and_writing_gives() {
        let mut generator = Generator::new(61);
        let mut with_details = 0;
        for index in 0..2_000 {
            let (_, record) = generator.entry();
            let (mut copied, mut written) = (Vec::new(), Vec::new());
            write(&record, index, &mut copied).unwrap();
            let checked = Checked {
                index,
                record: Some(record),
                verdict: Verdict::Verified,
            };
            write_parsed(&checked, &mut written);
            assert_eq!(
                String::from_utf8_lossy(&copied),
                String::from_utf8_lossy(&written)
            );
            with_details += u32::from(written.windows(9).any(|part| part == b"\"details\""));
        }
        assert!(with_details > 100, "{with_details}");
    }

    #[test]
    fn what_is_no_entry_is_not_copied() {
        let (_, mut record) = Generator::new(62).entry();
        for sealed in [
            &b""[..],
            b"{",
            b"{}",
            b"[]",
            br#"{"later":1,"submitted_by":{"sub":"a"}}"#,
            br#"{"user_id":"a","submitted_by":{"sub":"a"}}"#,
            br#"{"submitted_by":{"sub":"a"},"submitted_by":{"sub":"a"}}"#,
            br#"{"submitted_by":{"sub":"a"}"#,
            br#"{"submitted_by":{"sub":"a"}} "#,
            br#"{"submitted_by":"#,
            br#"{"details":{"a":"\"#,
        ] {
            record.sealed.as_mut().unwrap().bytes = sealed.to_vec();
            assert_eq!(write(&record, 0, &mut Vec::new()), None, "{sealed:?}");
            // It still is shown, as far as it can be read.
            let checked = Checked {
                index: 0,
                record: Some(record.clone()),
                verdict: Verdict::Verified,
            };
            let (mut result, mut written) = (Vec::new(), Vec::new());
            write_result(&checked, &mut result);
            write_parsed(&checked, &mut written);
            assert_eq!(result, written);
        }
    }
}
