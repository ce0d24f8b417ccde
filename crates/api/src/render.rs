//! Entries as answers show them.

use audittrail_entry::json::{write_canonical, write_string};
use audittrail_entry::{Entry, Record};
use audittrail_store::{Checked, Verdict};

/// Writes one result: the entry's members, its place, its signature, and whether it can be
/// trusted. Members come in the order of their names, as far as anything could be read.
pub(crate) fn write_result(checked: &Checked, out: &mut Vec<u8>) {
    match &checked.record {
        Some(record) if checked.verdict == Verdict::Verified => {
            let begun = out.len();
            if crate::splice::write(record, checked.index, out).is_none() {
                out.truncate(begun);
                write_parsed(checked, out);
            }
        }
        _ => write_parsed(checked, out),
    }
}

/// As [`write_result`], for every result.
pub(crate) fn write_parsed(checked: &Checked, out: &mut Vec<u8>) {
    let entry = checked.record.as_ref().and_then(parse);
    out.push(b'{');
    match (&entry, &checked.record) {
        (Some(entry), Some(record)) => write_entry(entry, record, checked, out),
        _ => out.extend(format!("\"index\":{}", checked.index).as_bytes()),
    }
    match &checked.verdict {
        Verdict::Verified => out.extend(b",\"verified\":true}"),
        Verdict::Failed(reason) => {
            out.extend(b",\"verification_error\":");
            write_string(reason, out);
            out.extend(b",\"verified\":false}");
        }
    }
}

/// The entry in a record, where its form allows one.
pub(crate) fn parse(record: &Record) -> Option<Entry<'_>> {
    let sealed = record.sealed.as_ref().map(|sealed| sealed.bytes.as_slice());
    // A sealed part that cannot be read leaves the open part readable.
    Entry::parse(&record.leaf, sealed)
        .or_else(|_| Entry::parse(&record.leaf, None))
        .ok()
}

fn write_entry(entry: &Entry<'_>, record: &Record, checked: &Checked, out: &mut Vec<u8>) {
    let (open, sealed) = (&entry.open, entry.sealed.as_ref());
    let text = |out: &mut Vec<u8>, name: &str, text: Option<&str>| {
        if let Some(text) = text {
            out.extend(format!(",\"{name}\":").as_bytes());
            write_string(text, out);
        }
    };
    out.extend(b"\"action\":");
    write_string(&open.action, out);
    if let Some(details) = sealed.and_then(|sealed| sealed.details.as_ref()) {
        out.extend(b",\"details\":");
        write_canonical(details, out);
    }
    out.extend(format!(",\"id\":\"{}\",\"index\":{}", open.id, checked.index).as_bytes());
    out.extend(format!(",\"key_id\":\"{}\"", record.key_id).as_bytes());
    text(
        out,
        "outcome",
        open.outcome.map(audittrail_entry::Outcome::as_str),
    );
    out.extend(format!(",\"received_at\":\"{}\"", open.received_at).as_bytes());
    text(
        out,
        "resource",
        sealed.and_then(|sealed| sealed.resource.as_deref()),
    );
    out.extend(format!(",\"signature\":\"{}\"", hex(&record.signature)).as_bytes());
    let source_ip = sealed
        .and_then(|sealed| sealed.source_ip)
        .map(|address| address.to_string());
    text(out, "source_ip", source_ip.as_deref());
    if let Some(sealed) = sealed {
        out.extend(b",\"submitted_by\":{");
        if let Some(iss) = &sealed.submitted_by.iss {
            out.extend(b"\"iss\":");
            write_string(iss, out);
            out.push(b',');
        }
        out.extend(b"\"sub\":");
        write_string(&sealed.submitted_by.sub, out);
        out.push(b'}');
    }
    text(out, "tenant", open.tenant.as_deref());
    out.extend(format!(",\"timestamp\":\"{}\"", open.timestamp).as_bytes());
    text(
        out,
        "user_id",
        sealed.and_then(|sealed| sealed.user_id.as_deref()),
    );
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// As [`hex`], at the end of `out`.
pub(crate) fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend(bytes.iter().flat_map(|byte| {
        [
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        ]
    }));
}
