//! Before anything is signed: whether a witness has seen more of this log than there is here. A
//! data directory that was put back from a copy would go on with a second history.

use std::sync::Arc;
use std::time::Duration;

use audittrail_checkpoint::{AddCheckpoint, Checkpoint, Signer};
use audittrail_merkle::TreeHead;
use audittrail_store::{KeptCheckpoint, Store};
use tokio::task::JoinSet;

use super::ask::Answer;
use super::{AskError, Asker, History, Witnesses};
use crate::Failure;

/// A start waits so long for what the witnesses say, at the most.
const LIMIT: Duration = Duration::from_secs(5);

/// What one witness knows.
enum Knows {
    /// This size, of this log as far as it can be told.
    Size(u64),
    /// More than there is here.
    Ahead(u64),
    /// Another history.
    Another,
}

/// The log as it stands before anything is signed.
#[derive(Clone)]
struct Standing {
    head: TreeHead,
    /// The newest checkpoint kept; before the first, one of the tree without leaves, which
    /// every history begins with.
    kept: KeptCheckpoint,
}

impl Witnesses {
    /// Asks all witnesses what they know. The sizes, in the order in which they are told of new
    /// checkpoints; 0 for those that could not be asked, which the start does not wait for.
    ///
    /// # Errors
    /// If one says that it cosigned a larger log, or another one.
    pub(crate) async fn compare(
        &self,
        store: &Arc<dyn Store>,
        history: &Arc<History>,
        signer: Option<&Signer>,
    ) -> Result<Vec<u64>, Failure> {
        let standing = standing(store, signer).await?;
        let mut asked = JoinSet::new();
        for (place, (_, asker)) in self.askers.iter().enumerate() {
            let (asker, standing) = (Arc::clone(asker), standing.clone());
            let history = Arc::clone(history);
            asked.spawn(async move {
                let knows = what_it_knows(&asker, &standing, &history);
                let knows = tokio::time::timeout(LIMIT, knows).await;
                (place, knows.unwrap_or(Err(AskError::Timeout)))
            });
        }
        let mut known = vec![0; self.askers.len()];
        while let Some(answered) = asked.join_next().await {
            let Ok((place, knows)) = answered else {
                continue;
            };
            let label = &self.askers[place].1.label;
            match knows {
                Ok(Knows::Size(size)) => known[place] = size,
                Ok(Knows::Ahead(size)) => {
                    let saw = format!(
                        "it has cosigned this log at size {size}, and there are only {} entries",
                        standing.head.size
                    );
                    return Err(self.refusal(label, &saw));
                }
                Ok(Knows::Another) => {
                    let saw = "what it has cosigned of this log is another history";
                    return Err(self.refusal(label, saw));
                }
                Err(error) => tracing::warn!(
                    witness = label,
                    reason = %error,
                    "the witness could not be compared with; the log starts without"
                ),
            }
        }
        Ok(known)
    }

    fn refusal(&self, label: &str, saw: &str) -> Failure {
        Failure::Failed(format!(
            "the witness {label} says that {saw}: this data directory is an older copy or another \
             history, and nothing is signed. Put the newest data back. If it is lost, start a new \
             log in an empty directory under a new name; this witness will never cosign this one \
             again. If you know that the witness is wrong, take its line out of {}",
            self.path.display()
        ))
    }
}

async fn standing(store: &Arc<dyn Store>, signer: Option<&Signer>) -> Result<Standing, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
    let head = store.head().await.map_err(|error| failed(&error))?;
    let kept = store.checkpoint().await.map_err(|error| failed(&error))?;
    if let Some(kept) = kept {
        return Ok(Standing { head, kept });
    }
    let Some(signer) = signer else {
        return Err(Failure::Failed(
            "the log has no checkpoint yet: start a process that sequences it first".to_owned(),
        ));
    };
    let empty = Checkpoint {
        origin: signer.verifier().name().to_owned(),
        head: TreeHead::EMPTY,
        extensions: Vec::new(),
    };
    let note = empty.sign(&[signer]).map_err(|error| failed(&error))?;
    let kept = KeptCheckpoint {
        head: TreeHead::EMPTY,
        note,
    };
    Ok(Standing { head, kept })
}

async fn what_it_knows(
    asker: &Asker,
    standing: &Standing,
    history: &History,
) -> Result<Knows, AskError> {
    let kept = &standing.kept;
    let mut request = AddCheckpoint {
        old: 0,
        proof: Vec::new(),
        checkpoint: kept.note.clone(),
    };
    let size = match asker.ask(&request).await? {
        Answer::Cosigned(_) => return Ok(Knows::Size(kept.head.size)),
        Answer::Conflict(size) => size,
    };
    if size > standing.head.size {
        return Ok(Knows::Ahead(size));
    }
    if size == 0 || size > kept.head.size {
        return Ok(Knows::Size(size));
    }
    request.old = size;
    let proof = history.consistency(size, &kept.head).await;
    request.proof = proof.map_err(AskError::Unproved)?;
    match asker.ask(&request).await {
        Ok(Answer::Cosigned(_)) => Ok(Knows::Size(kept.head.size)),
        Ok(Answer::Conflict(size)) if size > standing.head.size => Ok(Knows::Ahead(size)),
        Ok(Answer::Conflict(_)) => Err(AskError::Conflicts),
        Err(AskError::Unproven) => Ok(Knows::Another),
        Err(error) => Err(error),
    }
}
