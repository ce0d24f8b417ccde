//! The task that tells one witness of new checkpoints.

use std::sync::Arc;
use std::time::Duration;

use audittrail_checkpoint::AddCheckpoint;
use audittrail_store::KeptCheckpoint;
use tokio::sync::watch;

use super::ask::Answer;
use super::{AskError, Asker, Board, History};

/// A witness says which size it knows; sizes that change from answer to answer are not followed
/// for longer.
const REQUESTS_MAX: u32 = 3;

/// Tells one witness.
pub(crate) struct Teller {
    /// The witness's place in the policy.
    witness: usize,
    asker: Arc<Asker>,
    history: Arc<History>,
    board: Arc<Board>,
    /// The size that the witness is believed to know.
    known: u64,
    pause: Pause,
}

/// How long to leave a witness alone after it failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pause {
    first: Duration,
    last: Duration,
}

impl Default for Pause {
    /// A second at first, five minutes at the most.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            last: Duration::from_secs(300),
        }
    }
}

impl Pause {
    /// After so many failures in a row, one at least. Each doubles it.
    pub(crate) fn after(self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.last)
    }
}

impl Teller {
    pub(crate) fn new(
        witness: usize,
        asker: Arc<Asker>,
        history: Arc<History>,
        board: Arc<Board>,
        known: u64,
    ) -> Self {
        Self {
            witness,
            asker,
            history,
            board,
            known,
            pause: Pause::default(),
        }
    }

    /// Tells the witness of each checkpoint that is held out, the newest only, until there are
    /// no more.
    pub(crate) async fn run(mut self, mut targets: watch::Receiver<KeptCheckpoint>) {
        let mut failures = 0_u32;
        loop {
            match self.tell(&mut targets).await {
                Ok(()) => {
                    if failures > 0 {
                        tracing::info!(witness = self.asker.label, "the witness cosigns again");
                    }
                    failures = 0;
                    if targets.changed().await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    let witness = &self.asker.label;
                    // A witness that is ahead or saw another history is more than a nuisance.
                    if matches!(error, AskError::Unproven | AskError::Ahead(_)) {
                        tracing::error!(witness, failures, reason = %error, "no cosignature");
                    } else {
                        tracing::warn!(witness, failures, reason = %error, "no cosignature");
                    }
                    tokio::time::sleep(self.pause.after(failures)).await;
                    if targets.has_changed().is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Gets a cosignature of what is held out now.
    async fn tell(
        &mut self,
        targets: &mut watch::Receiver<KeptCheckpoint>,
    ) -> Result<(), AskError> {
        let told = self.exchange(targets).await;
        if matches!(
            told,
            Err(AskError::Unproven | AskError::Ahead(_) | AskError::Conflicts)
        ) {
            // What it said is not believed: the next request asks anew.
            self.known = 0;
        }
        told
    }

    async fn exchange(
        &mut self,
        targets: &mut watch::Receiver<KeptCheckpoint>,
    ) -> Result<(), AskError> {
        for _ in 0..REQUESTS_MAX {
            let kept = targets.borrow_and_update().clone();
            if self.known > kept.head.size {
                return Err(AskError::Ahead(self.known));
            }
            let proof = self.history.consistency(self.known, &kept.head).await;
            let request = AddCheckpoint {
                old: self.known,
                proof: proof.map_err(AskError::Unproved)?,
                checkpoint: kept.note.clone(),
            };
            match self.asker.ask(&request).await? {
                Answer::Cosigned(line) => {
                    self.known = kept.head.size;
                    self.cosigned(&kept, line);
                    return Ok(());
                }
                Answer::Conflict(size) if size == self.known => return Err(AskError::Conflicts),
                Answer::Conflict(size) => self.known = size,
            }
        }
        Err(AskError::Conflicts)
    }

    fn cosigned(&self, kept: &KeptCheckpoint, line: audittrail_checkpoint::NoteSignature) {
        let label = self.asker.label.clone();
        #[expect(clippy::cast_precision_loss, reason = "metrics are floating-point")]
        metrics::gauge!("audittrail_witness_entries", "witness" => label)
            .set(kept.head.size as f64);
        self.board.add(kept, self.witness, line);
    }
}
