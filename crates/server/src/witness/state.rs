//! What a witness knows of each log: the checkpoint that it cosigned last, one file a log.
//!
//! A checkpoint is on disk, synced, before its cosignature leaves this file. A crash before that
//! leaves the one before, and nothing was answered; a crash after it leaves a checkpoint whose
//! cosignature may never have arrived: the log learns its size by a 409 and sends it again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use audittrail_checkpoint::{
    AddCheckpoint, Checkpoint, Cosigner, Note, Policy, Refusal, VerifierKey,
};
use audittrail_entry::Clock;
use audittrail_merkle::TreeHead;
use audittrail_store_embedded::disk::{Disk, SyncPoint, read_file, replace_file};
use sha2::{Digest as _, Sha256};

use crate::Failure;

/// Where the files are, below the data directory.
const DIRECTORY: &str = "witnessed";

/// A log and what was cosigned of it.
struct Log {
    keys: Vec<VerifierKey>,
    path: PathBuf,
    /// Requests for one log are answered one after the other: comparing with what was cosigned
    /// last and keeping what is cosigned next are one step.
    last: Mutex<Last>,
}

#[derive(Clone)]
struct Last {
    head: TreeHead,
    /// The checkpoint with the log's signatures and ours; none if nothing was cosigned yet.
    note: Option<String>,
}

/// Why there is no cosignature.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error(transparent)]
    By(#[from] Refusal),
    #[error("the checkpoint could not be kept: {0}")]
    NotKept(std::io::Error),
}

/// The logs that a witness watches.
pub(crate) struct State {
    disk: Arc<dyn Disk>,
    cosigner: Cosigner,
    clock: Arc<dyn Clock>,
    /// By origin.
    logs: BTreeMap<String, Log>,
}

/// The name of a log's file, and of its place in the monitoring interface.
pub(crate) fn origin_hash(origin: &str) -> String {
    let digest = Sha256::digest(origin.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl State {
    /// Reads what was cosigned of the policy's logs. What is kept of others stays as it is.
    ///
    /// # Errors
    /// If a file cannot be read, or is not what this witness wrote: without it a second history
    /// of that log could be cosigned.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        data: &Path,
        policy: &Policy,
        cosigner: Cosigner,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let directory = data.join(DIRECTORY);
        let unusable = |error: std::io::Error| {
            Failure::Failed(format!("{} cannot be used: {error}", directory.display()))
        };
        disk.create_directory(&directory).map_err(unusable)?;
        let synced = disk.sync_directory(data, SyncPoint::WitnessedDirectory);
        synced.map_err(unusable)?;
        let mut logs: BTreeMap<String, Log> = BTreeMap::new();
        for log in policy.logs() {
            let origin = log.key.name().to_owned();
            if let Some(known) = logs.get_mut(&origin) {
                known.keys.push(log.key.clone());
                continue;
            }
            let path = directory.join(origin_hash(&origin));
            let last = read(&*disk, &path, &origin, &cosigner)?;
            let (keys, last) = (vec![log.key.clone()], Mutex::new(last));
            logs.insert(origin, Log { keys, path, last });
        }
        Ok(Self {
            disk,
            cosigner,
            clock,
            logs,
        })
    }

    /// Answers a request: the line of the cosignature, once the checkpoint is kept. Blocks on the
    /// disk.
    ///
    /// # Errors
    /// Why the checkpoint is not cosigned.
    pub(crate) fn add(&self, body: &[u8]) -> Result<String, Refused> {
        let request = AddCheckpoint::parse(body)?;
        let log = self.logs.get(request.origin()).ok_or(Refusal::UnknownLog)?;
        let mut last = log.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (note, checkpoint) = request.check(&log.keys, &last.head)?;
        let seconds = self.clock.now().nanos() / 1_000_000_000;
        // Of the submitted signatures those of the log are kept, and no others.
        let mut kept = Note {
            signatures: trusted(&note, &log.keys),
            text: note.text,
        };
        let cosignature = self.cosigner.cosign(
            &kept.text,
            u64::try_from(seconds).unwrap_or_default().max(1),
        );
        let line = format!("{cosignature}\n");
        kept.signatures.push(cosignature);
        let kept = kept.to_string();
        // After a failure the file holds the one or the other, and neither is wrong: what was
        // answered so far is still compared with, and the next that is kept replaces it.
        let (content, name) = (SyncPoint::WitnessedFile, SyncPoint::WitnessedName);
        replace_file(&*self.disk, &log.path, kept.as_bytes(), content, name)
            .map_err(|error| Refused::NotKept(error.into()))?;
        *last = Last {
            head: checkpoint.head,
            note: Some(kept),
        };
        Ok(line)
    }

    /// The checkpoint that was cosigned last of the log whose origin has this hash.
    pub(crate) fn latest(&self, origin_hash: &str) -> Option<String> {
        let named = |log: &&Log| log.path.file_name().is_some_and(|name| name == origin_hash);
        let log = self.logs.values().find(named)?;
        let last = log.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.note.clone()
    }

    /// The size that was cosigned last of each log, by origin.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = (&str, u64)> {
        self.logs.iter().map(|(origin, log)| {
            let last = log.last.lock().unwrap_or_else(PoisonError::into_inner);
            (origin.as_str(), last.head.size)
        })
    }
}

fn trusted(note: &Note, keys: &[VerifierKey]) -> Vec<audittrail_checkpoint::NoteSignature> {
    let of_a_key = |line: &&audittrail_checkpoint::NoteSignature| {
        let mut keys = keys.iter();
        keys.any(|key| key.name() == line.name && key.id() == line.id)
    };
    note.signatures.iter().filter(of_a_key).cloned().collect()
}

/// What was cosigned last, by this file. Our own cosignature shows that we wrote it.
fn read(disk: &dyn Disk, path: &Path, origin: &str, cosigner: &Cosigner) -> Result<Last, Failure> {
    let shown = path.display();
    let bytes = read_file(disk, path)
        .map_err(|error| Failure::Failed(format!("{shown} cannot be read: {error}")))?;
    let Some(bytes) = bytes else {
        return Ok(Last {
            head: TreeHead::EMPTY,
            note: None,
        });
    };
    let refused = |why: &dyn std::fmt::Display| {
        Failure::Failed(format!(
            "{shown} is not what this witness cosigned last of {origin}: {why}. Put it back from a \
             copy; without it a second history of the log could be cosigned"
        ))
    };
    let note = Note::parse(&bytes).map_err(|error| refused(&error))?;
    let cosigned = cosigner.verifier().cosigned(&note);
    if cosigned.map_err(|error| refused(&error))?.is_none() {
        return Err(refused(&"it has no cosignature of this witness"));
    }
    let checkpoint = Checkpoint::parse_text(&note.text).map_err(|error| refused(&error))?;
    if checkpoint.origin != origin {
        return Err(refused(&format!("it is of {}", checkpoint.origin)));
    }
    Ok(Last {
        head: checkpoint.head,
        note: Some(note.to_string()),
    })
}
