//! Evidence: whatever is in a file, no entry counts as proven that is not in the golden files,
//! whose log nobody else can sign.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use audittrail_checkpoint::VerifierKey;
use audittrail_verifier::{Trust, verify};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const FILES: [&str; 2] = [
    include_str!("../../testdata/golden/evidence/complete.evidence.jsonl"),
    include_str!("../../testdata/golden/evidence/selection.evidence.jsonl"),
];

/// What is known of the log.
struct Log {
    key: VerifierKey,
    leaves: BTreeMap<u64, String>,
    /// Sealed parts and salts, as their lines have them.
    sealed: BTreeSet<(u64, String)>,
}

static LOG: LazyLock<Log> = LazyLock::new(|| {
    let key = include_str!("../../testdata/golden/evidence/key.txt");
    let mut log = Log {
        key: VerifierKey::parse(key.trim()).expect("it is a key"),
        leaves: BTreeMap::new(),
        sealed: BTreeSet::new(),
    };
    for line in FILES.iter().flat_map(|file| file.lines()) {
        let value: Value = serde_json::from_str(line).expect("it is JSON");
        let (Some(index), Some(leaf)) = (value["index"].as_u64(), value["leaf"].as_str()) else {
            continue;
        };
        log.leaves.insert(index, leaf.to_owned());
        if let Some(sealed) = value["sealed"].as_str() {
            log.sealed.insert((index, sealed.to_owned()));
        }
    }
    log
});

fuzz_target!(|data: &[u8]| {
    let trust = Trust {
        keys: vec![LOG.key.clone()],
        signing: None,
        policy: None,
    };
    let report = verify(data, trust).expect("memory can be read");
    let shown = report.proven + report.erased + report.withheld;
    assert!(shown <= report.entries);
    let (mut known, mut known_sealed) = (0, 0);
    for line in data.split(|byte| *byte == b'\n') {
        let Ok(value) = serde_json::from_slice::<Value>(line) else {
            continue;
        };
        let (Some(index), Some(leaf)) = (value["index"].as_u64(), value["leaf"].as_str()) else {
            continue;
        };
        if LOG.leaves.get(&index).is_some_and(|known| known == leaf) {
            known += 1;
            if let Some(sealed) = value["sealed"].as_str()
                && LOG.sealed.contains(&(index, sealed.to_owned()))
            {
                known_sealed += 1;
            }
        }
    }
    assert!(
        shown <= known,
        "an entry is proven that is not in the log: {report:?}"
    );
    assert!(
        report.proven <= known_sealed,
        "a sealed part is proven that is another: {report:?}"
    );
    if let Some((first, last)) = report.complete {
        // The golden range is from 2 to 8; no other is known without a gap.
        assert!(first <= last && last - first < shown, "{report:?}");
    }
    assert!(report.verified() || report.found > 0);
});
