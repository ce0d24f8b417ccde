//! Canonical JSON: a fixed point, and what an implementation of RFC 8785 that is not ours writes.
#![no_main]

use audittrail_entry::json::{Value, parse, parse_written, write_canonical};
use libfuzzer_sys::fuzz_target;

/// serde_json reads some doubles one unit off, so that only integers are compared, up to 2^53.
fn comparable(value: &Value<'_>) -> bool {
    match value {
        Value::Number(text) => text
            .parse::<i64>()
            .is_ok_and(|n| n.unsigned_abs() <= 1 << 53),
        Value::Array(values) => values.iter().all(comparable),
        Value::Object(members) => members.iter().all(|(_, value)| comparable(value)),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(value) = parse(data, 32) else { return };
    let mut canonical = Vec::new();
    write_canonical(&value, &mut canonical);
    let again = parse_written(&canonical, 32).expect("what was written is read");
    assert_eq!(value, again);
    let theirs: serde_json::Value =
        serde_json::from_slice(data).expect("what we read as JSON is JSON");
    if comparable(&value) {
        let theirs: serde_json::Value = if data.is_empty() { return } else { theirs };
        let mut integers = theirs;
        as_integers(&mut integers);
        let theirs = serde_json_canonicalizer::to_vec(&integers).expect("it is a value");
        assert_eq!(
            String::from_utf8_lossy(&canonical),
            String::from_utf8_lossy(&theirs)
        );
    }
});

/// `1.0` and `1e0` are the integer 1.
fn as_integers(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Number(number) => {
            if let Some(double) = number.as_f64().filter(|double| double.abs() <= 9e15) {
                *value = (double as i64).into();
            }
        }
        serde_json::Value::Array(values) => values.iter_mut().for_each(as_integers),
        serde_json::Value::Object(members) => members.values_mut().for_each(as_integers),
        _ => {}
    }
}
