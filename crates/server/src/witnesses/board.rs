//! The cosignatures that have come, of the newest checkpoints.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use audittrail_api::Witnessed;
use audittrail_checkpoint::{Note, NoteSignature, Policy};
use audittrail_store::KeptCheckpoint;
use audittrail_store_embedded::disk::{Disk, Mode, RealDisk, read_file};
use tokio::sync::watch;

/// Cosignatures are still taken for so many checkpoints: a slow witness answers late.
const CHECKPOINTS_MAX: usize = 64;
/// In the data directory, beside `checkpoint`.
pub(crate) const FILE: &str = "cosigned";

/// A checkpoint and who cosigned it, by their places in the policy.
struct Cosigned {
    kept: KeptCheckpoint,
    lines: BTreeMap<usize, NoteSignature>,
}

/// Puts cosignatures to their checkpoints.
pub(crate) struct Board {
    policy: Policy,
    /// By size; of one log there is one of each size.
    recent: Mutex<BTreeMap<u64, Cosigned>>,
    shown: watch::Sender<Witnessed>,
}

impl Board {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            policy,
            recent: Mutex::default(),
            shown: watch::channel(Witnessed::default()).0,
        }
    }

    /// What is there to be shown, and a way to wait for more.
    pub(crate) fn witnessed(&self) -> watch::Receiver<Witnessed> {
        self.shown.subscribe()
    }

    /// Takes a cosignature that was checked. Of one witness the last counts.
    pub(crate) fn add(&self, kept: &KeptCheckpoint, witness: usize, line: NoteSignature) {
        let mut recent = self.recent();
        let cosigned = recent.entry(kept.head.size).or_insert_with(|| Cosigned {
            kept: kept.clone(),
            lines: BTreeMap::new(),
        });
        cosigned.lines.insert(witness, line);
        let (note, met) = (cosigned.note(), self.meets(cosigned));
        while recent.len() > CHECKPOINTS_MAX {
            recent.pop_first();
        }
        let head = kept.head;
        self.show(&KeptCheckpoint { head, note }, met);
    }

    /// Takes the checkpoint that an earlier life kept, if it is one of this log's and still meets
    /// the policy.
    pub(crate) fn put_back(&self, kept: &KeptCheckpoint) {
        let Ok(note) = Note::parse(kept.note.as_bytes()) else {
            return;
        };
        if let Ok(by) = self.policy.cosigned(&note) {
            let by: HashSet<usize> = by.into_keys().collect();
            let met = !by.is_empty() && self.policy.met_by(&by);
            self.show(kept, met);
        }
    }

    fn meets(&self, cosigned: &Cosigned) -> bool {
        let by: HashSet<usize> = cosigned.lines.keys().copied().collect();
        self.policy.met_by(&by)
    }

    fn show(&self, kept: &KeptCheckpoint, met: bool) {
        let newer = |than: &Option<KeptCheckpoint>| {
            let than = than.as_ref();
            than.is_none_or(|than| than.head.size <= kept.head.size)
        };
        self.shown.send_if_modified(|shown| {
            let newest = newer(&shown.newest);
            if newest {
                shown.newest = Some(kept.clone());
            }
            let met = met && newer(&shown.met);
            if met {
                shown.met = Some(kept.clone());
                #[expect(clippy::cast_precision_loss, reason = "metrics are floating-point")]
                metrics::gauge!("audittrail_cosigned_entries").set(kept.head.size as f64);
            }
            newest || met
        });
    }

    fn recent(&self) -> MutexGuard<'_, BTreeMap<u64, Cosigned>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cosigned {
    /// The checkpoint with its cosignatures, in the order of the policy.
    fn note(&self) -> String {
        let lines = self.lines.values().map(|line| format!("{line}\n"));
        std::iter::once(self.kept.note.clone())
            .chain(lines)
            .collect()
    }
}

/// Keeps the newest checkpoint that meets the policy, for ever. It is not synced: a start reads
/// it with mistrust, and without it the witnesses are asked again.
#[expect(
    clippy::disallowed_methods,
    reason = "the server moves what blocks aside"
)]
pub(crate) async fn keep(data: PathBuf, mut witnessed: watch::Receiver<Witnessed>) {
    let mut last: Option<KeptCheckpoint> = None;
    loop {
        let met = witnessed.borrow_and_update().met.clone();
        if let Some(met) = met.filter(|met| last.as_ref() != Some(met)) {
            let (data, note) = (data.clone(), met.note.clone());
            let written = tokio::task::spawn_blocking(move || write(&RealDisk, &data, &note)).await;
            let written = written.unwrap_or_else(|error| Err(std::io::Error::other(error)));
            if let Err(error) = written {
                tracing::warn!(%error, "the cosigned checkpoint could not be kept");
            }
            last = Some(met);
        }
        if witnessed.changed().await.is_err() {
            return;
        }
    }
}

fn write(disk: &dyn Disk, data: &Path, note: &str) -> std::io::Result<()> {
    let temporary = data.join(format!("{FILE}.tmp"));
    let file = disk.open(&temporary, Mode::Replace)?;
    file.write_at(note.as_bytes(), 0)?;
    disk.rename(&temporary, &data.join(FILE))
}

/// What an earlier life kept; nothing is believed of it.
pub(crate) fn read(disk: &dyn Disk, data: &Path) -> Option<Vec<u8>> {
    match read_file(disk, &data.join(FILE)) {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, "the cosigned checkpoint cannot be read; it is made anew");
            None
        }
    }
}
