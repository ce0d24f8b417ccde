//! Policies, and the bodies between a log and its witnesses. More cosignatures never make a
//! policy unmet, and a note meets it by the witnesses that cosigned it, and only as it was signed.
#![no_main]

use std::collections::HashSet;
use std::sync::LazyLock;

use audittrail_checkpoint::{
    AddCheckpoint, Cosigner, Note, POLICY_BYTES_MAX, Policy, SIZE_MEDIA_TYPE, parse_conflict,
    parse_cosignatures,
};
use audittrail_fuzz::{SIGNED, is_signed, keys};
use audittrail_merkle::TreeHead;
use libfuzzer_sys::fuzz_target;

/// When the witnesses saw the checkpoint.
const SEEN: u64 = 1_767_225_600;

/// The seeds have the keys of four; these two have cosigned.
static COSIGNERS: LazyLock<[Cosigner; 2]> = LazyLock::new(|| {
    [1, 2].map(|seed| {
        let name = format!("witness-{seed}.example");
        Cosigner::from_seed(&name, [seed; 32]).expect("the name is a key's")
    })
});

/// The leaves' checkpoint with their cosignatures.
static COSIGNED: LazyLock<Note> = LazyLock::new(|| {
    let mut note = Note::parse(SIGNED[0].as_bytes()).expect("it is a golden note");
    let lines: Vec<_> = COSIGNERS
        .iter()
        .map(|one| one.cosign(&note.text, SEEN))
        .collect();
    note.signatures.extend(lines);
    note
});

/// Another size above the same signatures.
static FORGED: LazyLock<String> = LazyLock::new(|| {
    let mut note = COSIGNED.clone();
    note.text = note.text.replace("\n8\n", "\n9\n");
    note.to_string()
});

fn policy(data: &[u8]) {
    let Ok(policy) = Policy::parse(data) else {
        return;
    };
    assert!(data.len() <= POLICY_BYTES_MAX);
    let spaced = [b"# \xff\n\t \n", data, b" #\n"].concat();
    assert_eq!(Policy::parse(&spaced).as_ref(), Ok(&policy));
    // One witness more at a time, in turn from nobody to all.
    let count = policy.witnesses().len();
    let mut witnesses = HashSet::new();
    let mut met = policy.met_by(&witnesses);
    assert_eq!(met, !policy.has_quorum());
    for step in 0..count {
        witnesses.insert((step + data.len()) % count);
        let now = policy.met_by(&witnesses);
        assert!(
            now || !met,
            "one witness more, and it is not met any longer"
        );
        met = now;
    }
    assert!(met, "all witnesses do not meet it");
    let listed = policy.witnesses().iter().enumerate();
    let cosigned = listed.filter(|(_, witness)| {
        let mut cosigners = COSIGNERS.iter();
        cosigners.any(|cosigner| *cosigner.verifier() == witness.key)
    });
    let cosigned: HashSet<usize> = cosigned.map(|(at, _)| at).collect();
    let keys = keys();
    let known = policy.logs().is_empty() || policy.logs().iter().any(|log| log.key == keys[0]);
    let found = policy.check(COSIGNED.to_string().as_bytes(), &keys);
    assert_eq!(found.is_ok(), known && policy.met_by(&cosigned));
    if let Ok(found) = found {
        assert_eq!(found.cosigned.len(), cosigned.len());
        assert!(found.cosigned.iter().all(|(_, time)| *time == SEEN));
    }
    assert!(policy.check(FORGED.as_bytes(), &keys).is_err());
}

fn answers(data: &[u8]) {
    if let Ok(lines) = parse_cosignatures(data) {
        assert!(!lines.is_empty());
        let written: String = lines.iter().map(|line| format!("{line}\n")).collect();
        assert_eq!(written.as_bytes(), data);
    }
    if let Some(size) = parse_conflict(Some(SIZE_MEDIA_TYPE), data) {
        assert_eq!(format!("{size}\n").as_bytes(), data);
    }
}

fn request(data: &[u8]) {
    let Ok(request) = AddCheckpoint::parse(data) else {
        return;
    };
    assert_eq!(request.to_string().as_bytes(), data);
    for latest in [TreeHead::EMPTY, audittrail_fuzz::head()] {
        if let Ok((note, checkpoint)) = request.check(&keys(), &latest) {
            assert!(is_signed(&note.text), "it would cosign what nobody signed");
            assert_eq!(checkpoint.to_string(), note.text);
            assert!(checkpoint.head.size >= latest.size && request.old == latest.size);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    policy(data);
    answers(data);
    request(data);
});
