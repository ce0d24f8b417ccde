//! The bytes of a data directory, pinned by files under testdata/golden/data.
//!
//! With `AUDITTRAIL_WRITE_GOLDEN` set, files that are missing are written; none is replaced.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use audittrail_entry::{Limits, NewEntry, SealWith, Submitter, Timestamp};
use audittrail_merkle::leaf_hash;
use audittrail_queue::{Bounds, IdOrigin, InProcessQueue, Queue, Request, Submission, Take};
use audittrail_sequencer::{Config, Sequencer};
use audittrail_store::Store;
use audittrail_store_embedded::disk::{Disk, RealDisk};
use audittrail_store_embedded::{DataDirectory, EmbeddedStore, Inline, Options, write_key};
use uuid::Uuid;

use crate::support::{ORIGIN, START, block_on, identity, signer, signing_key};

/// Two segments: seven batches of one to five entries, the last one beyond the checkpoint.
const BATCHES: [u64; 7] = [1, 2, 5, 3, 1, 4, 2];
const SEGMENT_BYTES: u64 = 8_192;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/golden/data")
}

const FIRST: &str = "log/00000000000000000000.seg";

/// The first segment of it, packed: by a program of its own, written from docs/formats.md.
fn golden_packed() -> PathBuf {
    golden().join("../packed/00000000000000000000.seg")
}

/// Entry `number`, with nothing random in it.
fn submission(number: u64) -> Submission {
    let id = Uuid::from_u64_pair(0x0198_c0de_0000_7000, 0x8000_0000_0000_0000 | number);
    let filler = "x".repeat(number as usize * 37 % 900);
    let json = format!(r#"{{"action":"golden.{number}","details":{{"filler":"{filler}"}}}}"#);
    let received_at = Timestamp::from_nanos(START.nanos() + number as i64 * 1_000_000_001);
    let limits = Limits::default();
    let entry = NewEntry::parse(json.as_bytes(), &limits, received_at).unwrap();
    let record = entry
        .seal(SealWith {
            submitter: &Submitter {
                iss: None,
                sub: "golden",
            },
            received_at,
            id,
            salt: [number as u8; 32],
            key: &signing_key(),
            origin: ORIGIN,
            limits: &limits,
        })
        .unwrap();
    let leaf_hash = leaf_hash(&record.leaf);
    Submission {
        id,
        origin: IdOrigin::Server,
        record,
        leaf_hash,
    }
}

/// Makes the directory that is pinned.
async fn make(data: &Path) {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let directory = DataDirectory::open(Arc::clone(&disk), data).unwrap();
    let key = b"a signing key of thirty-two bytes or more";
    write_key(&*disk, data, "signing.key", key).unwrap();
    let signer = signer([7; 32]);
    let options = Options {
        segment_bytes: SEGMENT_BYTES,
        ..Options::default()
    };
    let opened = EmbeddedStore::open(
        directory,
        &identity(&signer),
        options,
        START,
        Arc::new(Inline),
    );
    let store = Arc::new(opened.unwrap().0);
    let queue = Arc::new(InProcessQueue::new(Bounds::default()));
    let mut sequencer = Sequencer::start(
        Arc::clone(&store) as Arc<dyn Store>,
        Arc::clone(&queue) as Arc<dyn Queue>,
        ORIGIN.to_owned(),
        vec![signer],
        Config::default(),
    )
    .await
    .unwrap();
    let mut number = 0;
    for (at, size) in BATCHES.into_iter().enumerate() {
        if at + 1 == BATCHES.len() {
            sequencer.publish().await.unwrap();
        }
        let entries = (number..number + size).map(submission).collect();
        number += size;
        let _waiter = queue.submit(Request::new(entries)).await.unwrap();
        let take = Take {
            entries: 100,
            bytes: 1 << 20,
        };
        sequencer
            .sequence(&queue.receive(take).await.unwrap())
            .await
            .unwrap();
    }
}

/// All files below a directory whose bytes are ours, by their names from there. The lock's content
/// is nobody's, and the search index is its library's, made anew where it is of another version.
fn files(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut found, mut open) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = open.pop() {
        for file in std::fs::read_dir(directory).unwrap() {
            let path = file.unwrap().path();
            if path.ends_with("LOCK") || path == root.join("index") {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_owned();
                found.push((name, std::fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    for (name, bytes) in files(from) {
        let path = to.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

#[test]
fn the_bytes_of_a_data_directory_are_pinned() {
    let made = tempfile::tempdir().unwrap();
    block_on(make(made.path()));
    if std::env::var_os("AUDITTRAIL_WRITE_GOLDEN").is_some() && !golden().exists() {
        copy(made.path(), &golden());
    }
    let (made, pinned) = (files(made.path()), files(&golden()));
    let names = |files: &[(PathBuf, Vec<u8>)]| -> Vec<_> {
        files.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(&made), names(&pinned));
    assert!(
        names(&made)
            .iter()
            .filter(|name| name.starts_with("log"))
            .count()
            > 1
    );
    for ((name, made), (_, pinned)) in made.iter().zip(&pinned) {
        assert!(made == pinned, "{} has other bytes", name.display());
    }
}

/// What was written once is read for ever, and derived files come out as they were.
#[test]
fn a_pinned_directory_is_opened() {
    for (derived_too, packed) in [(true, false), (false, false), (true, true), (false, true)] {
        let data = tempfile::tempdir().unwrap();
        copy(&golden(), data.path());
        if packed {
            std::fs::copy(golden_packed(), data.path().join(FIRST)).unwrap();
        }
        if !derived_too {
            std::fs::remove_dir_all(data.path().join("tree")).unwrap();
            std::fs::remove_dir_all(data.path().join("locations")).unwrap();
        }
        let directory = DataDirectory::open(Arc::new(RealDisk), data.path()).unwrap();
        let identity = identity(&signer([7; 32]));
        let options = Options {
            segment_bytes: SEGMENT_BYTES,
            ..Options::default()
        };
        let opened = EmbeddedStore::open(directory, &identity, options, START, Arc::new(Inline));
        let (store, report) = opened.unwrap();
        let size: u64 = BATCHES.iter().sum();
        assert_eq!(
            (report.size, report.beyond_checkpoint, report.cut),
            (size, 2, None)
        );
        assert_eq!(report.tree_rebuilt, !derived_too);
        let stored = block_on(store.scan(0..size, usize::MAX)).unwrap();
        for (number, stored) in (0..).zip(stored) {
            let submission = submission(number);
            assert_eq!(stored.record, Ok(submission.record));
            assert_eq!(
                block_on(store.find(&[submission.id])).unwrap(),
                [Some(number)]
            );
        }
    }
}

/// An independent reader finds in the pinned bytes what docs/formats.md says.
#[test]
fn the_pinned_bytes_are_those_of_the_document() {
    let script = golden().join("../../read_log.py");
    // Those of `make test` have the package that packed segments take.
    let venv = golden().join("../../../.test-tools/venv/bin/python3");
    let python = if venv.exists() {
        venv
    } else {
        "python3".into()
    };
    let read = |data: &Path| {
        let mut command = Command::new(&python);
        let output = command.arg(&script).arg(data).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        (output.status.success(), said)
    };
    let (sound, said) = read(&golden());
    assert!(sound && said.starts_with("size 18 root "), "{said}");
    // It is not blind: any byte of the log that changes is noticed.
    let data = tempfile::tempdir().unwrap();
    copy(&golden(), data.path());
    let log = data.path().join("log/00000000000000000000.seg");
    let bytes = std::fs::read(&log).unwrap();
    for at in [9, 20, 60, 90, 100, 130, 161, 200, 300, 700] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        std::fs::write(&log, changed).unwrap();
        assert!(!read(data.path()).0, "a change at {at} is not noticed");
    }
    // What this program packs, and what the other one did.
    std::fs::write(&log, bytes).unwrap();
    let directory = DataDirectory::open(Arc::new(RealDisk), data.path()).unwrap();
    let (identity, options) = (identity(&signer([7; 32])), Options::default());
    let opened = EmbeddedStore::open(directory, &identity, options, START, Arc::new(Inline));
    let packing = opened.unwrap().0.pack_next(0, &mut || true);
    assert!(packing.outcome.unwrap().unwrap().kept);
    let ours = std::fs::read(&log).unwrap();
    for packed in [ours, std::fs::read(golden_packed()).unwrap()] {
        std::fs::write(&log, &packed).unwrap();
        let (sound, told) = read(data.path());
        if told.contains("pip install zstandard") {
            assert!(!sound);
            println!("without zstandard packed segments are not read: {told}");
            return;
        }
        assert!(sound && told == said, "{told}");
        for at in [9, 13, 20, 29, 40, 500, packed.len() - 40, packed.len() - 1] {
            let mut changed = packed.clone();
            changed[at] ^= 1;
            std::fs::write(&log, changed).unwrap();
            assert!(!read(data.path()).0, "a change at {at} is not noticed");
        }
    }
}
