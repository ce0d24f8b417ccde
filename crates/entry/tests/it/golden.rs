//! Golden files: the bytes of two entries, which are for ever.
//!
//! With `AUDITTRAIL_WRITE_GOLDEN` set, files that are missing are written; none is replaced.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use audittrail_entry::{Limits, NewEntry, Record, SealWith, SigningKey, Submitter, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{hex, sha256};

const ORIGIN: &str = "log.example/golden";
const KEY: &[u8] = b"golden signing key, not a secret: 0123456789";
const RECEIVED_AT: &str = "2026-11-23T08:30:00.123456789Z";

struct Golden {
    name: &'static str,
    entry: &'static str,
    id: Uuid,
    salt: [u8; 32],
    submitter: Submitter<'static>,
}

const FULL: Golden = Golden {
    name: "entry-full",
    entry: r#"{
  "action": "patient.record.read",
  "user_id": "ada \"the first\"",
  "timestamp": "2026-11-23T09:29:59.5+01:00",
  "resource": "patients/4711/größe",
  "outcome": "success",
  "source_ip": "::ffff:192.0.2.7",
  "tenant": "klinik-süd",
  "details": {
    "ticket": 18446744073709551615,
    "Reason": "line one\nline \u0002 \u20ac",
    "empty": {},
    "list": [1, 2.5, true, null, -7, "/"]
  },
  "id": "0198C0DE-0000-7000-8000-00000000002A"
}
"#,
    id: Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_002a),
    salt: [0xa5; 32],
    submitter: Submitter {
        iss: Some("https://issuer.example"),
        sub: "service-7",
    },
};

const MINIMAL: Golden = Golden {
    name: "entry-minimal",
    entry: "{\"action\": \"door.open\"}\n",
    id: Uuid::from_u128(0x0198_c0de_0001_7000_8000_0000_0000_0001),
    salt: *b"\0\x01\x02\x03\x04\x05\x06\x07 a salt of 32 bytes \xfc\xfd\xfe\xff",
    submitter: Submitter {
        iss: None,
        sub: "ada",
    },
};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/golden")
}

fn seal(golden: &Golden) -> Record {
    let limits = Limits::default();
    let received_at = Timestamp::parse(RECEIVED_AT).unwrap();
    let entry = NewEntry::parse(golden.entry.as_bytes(), &limits, received_at).unwrap();
    assert_eq!(entry.id.unwrap_or(golden.id), golden.id);
    entry
        .seal(SealWith {
            submitter: &golden.submitter,
            received_at,
            id: golden.id,
            salt: golden.salt,
            key: &SigningKey::new(KEY).unwrap(),
            origin: ORIGIN,
            limits: &limits,
        })
        .unwrap()
}

/// The values beside leaf and sealed part, for readers that are not this crate.
fn values(golden: &Golden, record: &Record) -> Value {
    let sealed = record.sealed.as_ref().unwrap();
    json!({
        "origin": ORIGIN,
        "key": std::str::from_utf8(KEY).unwrap(),
        "key_id": record.key_id.to_string(),
        "id": golden.id.to_string(),
        "received_at": RECEIVED_AT,
        "iss": golden.submitter.iss,
        "sub": golden.submitter.sub,
        "salt": URL_SAFE_NO_PAD.encode(sealed.salt),
        "commitment": hex(&audittrail_entry::commitment(&sealed.salt, &sealed.bytes)),
        "signature": hex(&record.signature),
        "leaf_hash": hex(&sha256(&[&[0], &record.leaf])),
    })
}

#[test]
fn entries_have_their_golden_bytes() {
    for golden in [FULL, MINIMAL] {
        let record = seal(&golden);
        let mut values = serde_json::to_vec_pretty(&values(&golden, &record)).unwrap();
        values.push(b'\n');
        for (file, bytes) in [
            ("entry.json", golden.entry.as_bytes()),
            ("leaf.json", &record.leaf),
            ("sealed.json", &record.sealed.as_ref().unwrap().bytes),
            ("record.json", &values),
        ] {
            let path = directory().join(golden.name).join(file);
            if std::env::var_os("AUDITTRAIL_WRITE_GOLDEN").is_some() && !path.exists() {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::File::create_new(&path)
                    .unwrap()
                    .write_all(bytes)
                    .unwrap();
            }
            let kept = std::fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
            if file == "record.json" {
                // The order of its members says nothing.
                let kept: Value = serde_json::from_slice(&kept).unwrap();
                assert_eq!(
                    kept,
                    serde_json::from_slice::<Value>(bytes).unwrap(),
                    "{path:?}"
                );
                continue;
            }
            let (kept, made) = (
                String::from_utf8_lossy(&kept),
                String::from_utf8_lossy(bytes),
            );
            assert_eq!(kept, made, "{path:?}");
        }
    }
}

/// Runs the check that shares no code with this crate.
fn check(directory: &Path) -> Output {
    let script = self::directory().join("check_entry.py");
    let output = Command::new("python3")
        .arg("-B")
        .arg(script)
        .arg(directory)
        .output();
    output.expect("python3 runs")
}

#[test]
fn another_implementation_agrees() {
    for golden in [FULL, MINIMAL] {
        let output = check(&directory().join(golden.name));
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn another_implementation_sees_each_change() {
    for (file, from, to, reason) in [
        (
            "leaf.json",
            "patient.record.read",
            "patient.record.rear",
            "leaf",
        ),
        ("leaf.json", "\"v\":1", "\"v\":2", "leaf"),
        ("sealed.json", "192.0.2.7", "192.0.2.8", "sealed"),
        (
            "sealed.json",
            "18446744073709551615",
            "18446744073709552000",
            "sealed",
        ),
        (
            "record.json",
            "golden signing key",
            "golden sighing key",
            "key_id",
        ),
        (
            "record.json",
            "log.example/golden",
            "log.example/silver",
            "signature",
        ),
        (
            "record.json",
            "\"salt\": \"pa",
            "\"salt\": \"qa",
            "commitment",
        ),
        ("record.json", "\"service-7\"", "\"service-8\"", "sealed"),
        ("record.json", "00.123456789Z", "00.123456788Z", "leaf"),
        ("entry.json", "59.5+01:00", "59.5+02:00", "leaf"),
    ] {
        let copy = tempfile::tempdir().unwrap();
        for name in ["entry.json", "leaf.json", "sealed.json", "record.json"] {
            let text = std::fs::read_to_string(directory().join(FULL.name).join(name)).unwrap();
            let changed = if name == file {
                text.replacen(from, to, 1)
            } else {
                text.clone()
            };
            assert_eq!(name == file, changed != text, "{file}: {from}");
            let mut kept = std::fs::File::create_new(copy.path().join(name)).unwrap();
            kept.write_all(changed.as_bytes()).unwrap();
        }
        let output = check(copy.path());
        assert_eq!(output.status.code(), Some(1), "{file}: {from}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.lines().any(|line| line.starts_with(reason)),
            "{file}: {from}: {said}"
        );
    }
}
