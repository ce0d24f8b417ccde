//! What a monitor remembers: the newest checkpoint, what it has told, and evidence.
//!
//! The state file is the signed note itself, so that `audittrail fsck --since` and other clients
//! can use it. Beside it: `.status`, which only saves repeating alerts, and `.evidence/`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use audittrail_entry::Timestamp;
use audittrail_merkle::TreeHead;
use audittrail_monitor::{LogKeys, Sighting};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::files;
use super::finding::Finding;
use crate::Failure;

const NOTE_BYTES: usize = 1 << 20;
const STATUS_BYTES: usize = 4 << 20;
/// Whoever makes up ever new evidence does not fill the disk with it.
const EVIDENCE_FILES: usize = 1_000;

/// A finding that was still there at the last check.
#[derive(Debug, Serialize, Deserialize)]
struct Open {
    id: String,
    /// The webhook took it, or there is none.
    told: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Status {
    /// Whose `first_seen` it is.
    root: String,
    /// Nanoseconds since the epoch.
    first_seen: i64,
    findings: Vec<Open>,
}

pub(super) struct Keeper {
    path: PathBuf,
    kept: Option<Sighting>,
    status: Status,
    _lock: File,
}

impl Keeper {
    /// # Errors
    /// If there is a state that is none, or not of this log: it is not written over.
    pub(super) fn open(path: &Path, keys: &LogKeys, now: Timestamp) -> Result<Self, Failure> {
        if path.is_dir() {
            let path = path.display();
            return Err(Failure::Usage(format!(
                "state is {path}, a directory; name a file"
            )));
        }
        let lock = files::lock(&files::beside(path, ".lock"))?;
        let kept = checkpoint(path, keys)?;
        let status = files::read(&files::beside(path, ".status"), STATUS_BYTES);
        let status = status.ok().flatten().unwrap_or_default();
        let mut status: Status = serde_json::from_slice(&status).unwrap_or_default();
        if let Some(kept) = &kept {
            let root = root(&kept.checkpoint.head);
            if status.root != root {
                (status.root, status.first_seen) = (root, now.nanos());
            }
        }
        Ok(Self {
            path: path.to_owned(),
            kept,
            status,
            _lock: lock,
        })
    }

    pub(super) fn kept(&self) -> Option<&Sighting> {
        self.kept.as_ref()
    }

    /// How long ago the newest checkpoint was first seen.
    pub(super) fn age_seconds(&self, now: Timestamp) -> Option<u64> {
        self.kept.as_ref()?;
        let nanos = now.nanos().saturating_sub(self.status.first_seen);
        Some(u64::try_from(nanos).unwrap_or(0) / 1_000_000_000)
    }

    /// Takes the place of the checkpoint that was kept, which it extends.
    pub(super) fn keep(&mut self, seen: &Sighting, now: Timestamp) -> Result<(), Failure> {
        if self.kept.as_ref() == Some(seen) {
            return Ok(());
        }
        files::replace(&self.path, seen.note.as_bytes())?;
        let root = root(&seen.checkpoint.head);
        if self.status.root != root {
            (self.status.root, self.status.first_seen) = (root, now.nanos());
            self.save()?;
        }
        self.kept = Some(seen.clone());
        Ok(())
    }

    /// Keeps what shows a finding to others; where it is.
    pub(super) fn evidence(&self, id: &str, evidence: &Value) -> Result<Option<PathBuf>, Failure> {
        let directory = files::beside(&self.path, ".evidence");
        let kind = id.split(' ').next().unwrap_or_default();
        let digest = Sha256::digest(id);
        let digits: String = digest[..6]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let path = directory.join(format!("{kind}-{digits}.json"));
        if path.exists() {
            return Ok(Some(path));
        }
        files::make_directory(&directory)?;
        let there =
            fs::read_dir(&directory).map_err(|error| files::unusable(&directory, &error))?;
        if there.count() >= EVIDENCE_FILES {
            return Ok(None);
        }
        files::replace(&path, format!("{evidence:#}\n").as_bytes())?;
        Ok(Some(path))
    }

    /// The findings of a check take the place of those of the last one. Those that have to be
    /// told.
    pub(super) fn update<'f>(
        &mut self,
        findings: &'f [Finding],
        webhook: bool,
    ) -> Result<Vec<&'f Finding>, Failure> {
        let mut untold = Vec::new();
        let mut open = Vec::new();
        for finding in findings {
            let id = finding.id();
            let known = self.status.findings.iter().find(|open| open.id == id);
            let told = known.map_or(!webhook, |open| open.told);
            if !told {
                untold.push(finding);
            }
            open.push(Open { id, told });
        }
        let ids = |all: &[Open]| -> Vec<String> { all.iter().map(|one| one.id.clone()).collect() };
        let changed = ids(&open) != ids(&self.status.findings);
        self.status.findings = open;
        if changed {
            self.save()?;
        }
        Ok(untold)
    }

    /// The webhook took these.
    pub(super) fn told(&mut self, ids: &[String]) -> Result<(), Failure> {
        let mut changed = false;
        for open in &mut self.status.findings {
            if ids.contains(&open.id) {
                changed |= !open.told;
                open.told = true;
            }
        }
        if changed { self.save() } else { Ok(()) }
    }

    fn save(&self) -> Result<(), Failure> {
        let path = files::beside(&self.path, ".status");
        let status = serde_json::to_vec(&self.status);
        let status = status.map_err(|error| files::unusable(&path, &error.into()))?;
        files::replace(&path, &status)
    }
}

fn root(head: &TreeHead) -> String {
    format!("{} {}", head.size, STANDARD.encode(head.root.0))
}

/// The checkpoint in a file, if there is one.
pub(super) fn checkpoint(path: &Path, keys: &LogKeys) -> Result<Option<Sighting>, Failure> {
    let there = fs::exists(path).map_err(|error| files::unusable(path, &error))?;
    if !there {
        return Ok(None);
    }
    let note = files::read(path, NOTE_BYTES).map_err(|error| files::unusable(path, &error))?;
    let opened = keys.open(&note.unwrap_or_default()).map_err(|refusal| {
        Failure::Usage(format!(
            "{} cannot be used: {refusal}. It is not written over: give the key that signed it \
             with another --key, or name another file",
            path.display()
        ))
    });
    opened.map(Some)
}
