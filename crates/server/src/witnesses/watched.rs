//! All that stands outside and remembers the log: its witnesses and its watermark.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use audittrail_api::Witnessed;
use audittrail_merkle::TreeHead;
use audittrail_checkpoint::{Checkpoint, VerifierKey};
use audittrail_store::{KeptCheckpoint, Reader, Store};
use audittrail_store_embedded::disk::RealDisk;
use tokio::sync::watch;

use super::watermark::Watermark;
use super::{Board, History, Witnesses, board};
use crate::Failure;
use crate::log_keys::LogKeys;
use crate::settings::Settings;

/// How long a proof waits for a quorum of witnesses.
const QUORUM_WAIT: Duration = Duration::from_secs(2);

/// The witnesses and the watermark of a log that were compared with it.
pub(crate) struct Watched {
    /// Where the cosigned checkpoint is kept, if anywhere.
    data: Option<PathBuf>,
    vkey: VerifierKey,
    pub(crate) history: Arc<History>,
    pub(crate) watermark: Option<Watermark>,
    witnesses: Option<Told>,
}

/// Compares the log with what this process, or the watermark, knows of it.
pub(crate) struct BeforeSigning {
    vkey: VerifierKey,
    history: Arc<History>,
    watermark: Option<Watermark>,
}

impl BeforeSigning {
    /// # Errors
    /// If the log of this head does not extend the one of `known`, which this process showed, or
    /// that of the watermark.
    pub(crate) async fn compare(&self, head: &TreeHead, known: &TreeHead) -> Result<(), Failure> {
        self.continues(head, known).await?;
        self.compare_watermark(head).await
    }

    /// # Errors
    /// If the log of this head does not extend the one of `known`, or cannot be read.
    pub(crate) async fn continues(&self, head: &TreeHead, known: &TreeHead) -> Result<(), Failure> {
        let another = || {
            Failure::Failed(format!(
                "the log has {} entries and does not continue the {} that this process has shown: an \
                 older copy or another history was put in its place, and nothing is signed. Put the \
                 newest data back",
                head.size, known.size
            ))
        };
        if known.size > head.size {
            return Err(another());
        }
        let then = self.history.head_at(known.size, head).await;
        let then = then.map_err(|error| {
            Failure::Failed(format!("the log cannot be compared with its past: {error}"))
        })?;
        if then == *known {
            Ok(())
        } else {
            Err(another())
        }
    }

    /// # Errors
    /// If the log of this head does not extend what the watermark holds, or cannot be read.
    pub(crate) async fn compare_watermark(&self, head: &TreeHead) -> Result<(), Failure> {
        match &self.watermark {
            Some(watermark) => {
                let keys = std::slice::from_ref(&self.vkey);
                watermark.compare(keys, head, &self.history).await
            }
            None => Ok(()),
        }
    }
}

struct Told {
    witnesses: Witnesses,
    board: Arc<Board>,
    /// What each of them knows.
    known: Vec<u64>,
}

/// The settings of both, read before anything is made on disk.
pub(crate) struct Outside {
    witnesses: Option<Witnesses>,
    watermark: Option<Watermark>,
}

impl Outside {
    /// # Errors
    /// If the policy cannot be used, or the watermark cannot be where it is said to be.
    pub(crate) fn read(settings: &Settings) -> Result<Self, Failure> {
        let witnesses = settings.witnesses.as_deref().map(Witnesses::read);
        let watermark = settings.watermark.as_deref();
        let watermark =
            watermark.map(|path| Watermark::at(Arc::new(RealDisk), path, &settings.data));
        Ok(Self {
            witnesses: witnesses.transpose()?,
            watermark: watermark.transpose()?,
        })
    }
}

impl Watched {
    /// Compares the log with what stands outside, before anything is signed.
    ///
    /// # Errors
    /// If either has seen more of the log or another history, or its file cannot be used.
    pub(crate) async fn of(
        outside: Outside,
        data: Option<PathBuf>,
        keys: &LogKeys,
        store: &Arc<dyn Store>,
        reader: &Arc<Reader>,
    ) -> Result<Self, Failure> {
        let Outside {
            witnesses,
            watermark,
        } = outside;
        let history = Arc::new(History::new(Arc::clone(reader)));
        let vkey = keys.vkey.clone();
        if let Some(watermark) = &watermark {
            let head = store.head().await;
            let head = head.map_err(|error| Failure::Failed(error.to_string()))?;
            let keys = std::slice::from_ref(&vkey);
            watermark.compare(keys, &head, &history).await?;
        }
        let witnesses = match witnesses {
            None => None,
            Some(witnesses) => {
                witnesses.are_of(&vkey)?;
                let known = witnesses.compare(store, &history, keys.signer.as_ref()).await?;
                let board = witnesses.board();
                let kept = data.as_deref();
                if let Some(note) = kept.and_then(|data| board::read(&RealDisk, data)) {
                    let kept = own(&note, keys, store, &history).await;
                    kept.iter().for_each(|kept| board.put_back(kept));
                }
                Some(Told {
                    witnesses,
                    board,
                    known,
                })
            }
        };
        Ok(Self {
            data,
            vkey,
            history,
            watermark,
            witnesses,
        })
    }

    /// What has to hold before this process signs, whenever it takes the lead.
    pub(crate) fn before_signing(&self) -> BeforeSigning {
        BeforeSigning {
            vkey: self.vkey.clone(),
            history: Arc::clone(&self.history),
            watermark: self.watermark.clone(),
        }
    }

    /// What the interface shows of the witnesses.
    pub(crate) fn witnessed(&self) -> watch::Receiver<Witnessed> {
        match &self.witnesses {
            Some(told) => told.board.witnessed(),
            // Its sender is gone: nothing ever changes.
            None => watch::channel(Witnessed::default()).1,
        }
    }

    /// How long a proof waits for a quorum, where the policy asks for one.
    pub(crate) fn quorum_wait(&self) -> Option<Duration> {
        let told = self.witnesses.as_ref();
        let quorum = told.is_some_and(|told| told.witnesses.has_quorum());
        quorum.then_some(QUORUM_WAIT)
    }

    /// Tells what stands outside of each checkpoint, for ever.
    pub(crate) async fn run(self, published: watch::Receiver<KeptCheckpoint>) {
        let Self {
            data,
            vkey: _,
            history,
            watermark,
            witnesses,
        } = self;
        let following = {
            let published = published.clone();
            async move {
                if let Some(watermark) = watermark {
                    watermark.follow(published).await;
                }
            }
        };
        let gathering = async move {
            if let Some(told) = witnesses {
                let witnessed = told.board.witnessed();
                let keeping = async {
                    if let Some(data) = data {
                        board::keep(data, witnessed).await;
                    }
                };
                let gathering = told
                    .witnesses
                    .gather(told.board, history, published, told.known);
                tokio::join!(keeping, gathering);
            }
        };
        tokio::join!(following, gathering);
    }
}

/// A checkpoint that an earlier life kept with its cosignatures, if it is one of this log as it
/// stands.
async fn own(
    note: &[u8],
    keys: &LogKeys,
    store: &Arc<dyn Store>,
    history: &History,
) -> Option<KeptCheckpoint> {
    let checkpoint = Checkpoint::open(note, std::slice::from_ref(&keys.vkey)).ok()?;
    let published = store.checkpoint().await.ok()??;
    let mark = checkpoint.head;
    if mark.size > published.head.size {
        return None;
    }
    let same = history.head_at(mark.size, &published.head).await.ok()? == mark;
    let note = String::from_utf8(note.to_vec()).ok()?;
    same.then_some(KeptCheckpoint { head: mark, note })
}
