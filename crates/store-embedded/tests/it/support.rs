//! Logs to test with.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use audittrail_checkpoint::Signer;
use audittrail_entry::{Limits, NewEntry, Record, SealWith, SigningKey, Submitter, Timestamp};
use audittrail_merkle::leaf_hash;
use audittrail_queue::{IdOrigin, Submission};
use audittrail_store_embedded::Identity;
use audittrail_store_embedded::disk::{Disk, Mode};
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _};
use uuid::Uuid;

pub(crate) const ORIGIN: &str = "log.example/test";
pub(crate) const START: Timestamp = Timestamp::from_nanos(1_767_225_600_000_000_000);

pub(crate) fn signer(seed: [u8; 32]) -> Signer {
    Signer::from_seed(ORIGIN, seed).unwrap()
}

pub(crate) fn identity(signer: &Signer) -> Identity {
    Identity {
        origin: ORIGIN.to_owned(),
        keys: vec![signer.verifier()],
    }
}

pub(crate) fn signing_key() -> SigningKey {
    SigningKey::new(b"a signing key of thirty-two bytes or more").unwrap()
}

/// A record whose id, content and size follow from the generator.
pub(crate) fn record(rng: &mut StdRng, id: Uuid) -> Record {
    let filler = "x".repeat(rng.random_range(0..600));
    let action = ["door.open", "door.close", "user.login"][rng.random_range(0..3)];
    let json = format!(r#"{{"action":"{action}","details":{{"filler":"{filler}"}}}}"#);
    let now = Timestamp::from_nanos(START.nanos() + rng.random_range(0..1_000_000_000));
    let limits = Limits::default();
    let mut entry = NewEntry::parse(json.as_bytes(), &limits, now).unwrap();
    entry.user_id = Some("alice".into());
    let mut salt = [0; 32];
    rng.fill_bytes(&mut salt);
    let submitter = Submitter {
        iss: None,
        sub: "alice",
    };
    let key = signing_key();
    entry
        .seal(SealWith {
            submitter: &submitter,
            received_at: now,
            id,
            salt,
            key: &key,
            origin: ORIGIN,
            limits: &limits,
        })
        .unwrap()
}

pub(crate) fn submission(rng: &mut StdRng) -> Submission {
    let mut id = [0; 16];
    rng.fill_bytes(&mut id);
    let id = uuid::Builder::from_random_bytes(id).into_uuid();
    let record = record(rng, id);
    let leaf_hash = leaf_hash(&record.leaf);
    Submission {
        id,
        origin: IdOrigin::Server,
        record,
        leaf_hash,
    }
}

/// Runs a future that never waits for anything but other parts of itself.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(future)
}

/// The files below a directory, by their paths below it.
pub(crate) fn files(disk: &Arc<dyn Disk>, root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(below) = waiting.pop() {
        for name in disk.list(&root.join(&below)).unwrap() {
            let path = below.join(name);
            match disk.open(&root.join(&path), Mode::Read) {
                Ok(file) => {
                    let mut bytes = vec![0; file.len().unwrap() as usize];
                    file.read_at(&mut bytes, 0).unwrap();
                    files.insert(path, bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::IsADirectory => waiting.push(path),
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
    }
    files
}

/// Writes files below a directory, which is made with all that they need.
pub(crate) fn write_files(disk: &Arc<dyn Disk>, root: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) {
    disk.create_directory(root).unwrap();
    for (path, bytes) in files {
        let path = root.join(path);
        let parent = path.parent().unwrap();
        let below = parent.strip_prefix(root).unwrap();
        let mut at = root.to_owned();
        for part in below.components() {
            at.push(part);
            disk.create_directory(&at).unwrap();
        }
        let file = disk.open(&path, Mode::Replace).unwrap();
        file.write_at(bytes, 0).unwrap();
    }
}
