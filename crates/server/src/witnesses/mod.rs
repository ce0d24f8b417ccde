//! The log's witnesses: what they know of it at start, and their cosignatures as it grows.
//!
//! Nothing here is waited for by a commit or by a publication: a task for each witness follows
//! the published checkpoints and asks for a cosignature of the newest one.

mod ask;
mod board;
mod history;
mod start;
mod tell;
mod watched;
pub(crate) mod watermark;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests spawn what they talk to")]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use audittrail_api::Witnessed;
use audittrail_checkpoint::{Policy, VerifierKey};
use audittrail_merkle::TreeHead;
use audittrail_store::KeptCheckpoint;
use reqwest::Url;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use self::watched::{BeforeSigning, Outside, Watched};

use self::ask::{AskError, Asker};
use self::board::Board;
use self::history::History;
use self::tell::Teller;
use crate::Failure;

/// A checkpoint is held out to all witnesses for so long, if the quorum does not come before:
/// those that answer slowly have to meet the others at one checkpoint.
const ROUND: Duration = Duration::from_secs(5);
/// More witnesses would be more metrics than anybody looks at.
const WITNESSES_MAX: usize = 64;

/// Names and meaning of what is counted here.
pub(crate) fn describe() {
    metrics::describe_gauge!(
        "audittrail_witness_entries",
        "Size of the newest checkpoint that a witness cosigned"
    );
    metrics::describe_counter!(
        "audittrail_witness_requests_total",
        "Requests to witnesses, by witness and outcome"
    );
    metrics::describe_gauge!(
        "audittrail_cosigned_entries",
        "Size of the newest checkpoint whose cosignatures meet the policy"
    );
}

/// Reads a policy file.
pub(crate) fn read_policy(path: &Path) -> Result<Policy, Failure> {
    let shown = path.display();
    let unreadable = |error| Failure::Usage(format!("{shown} cannot be read: {error}"));
    let is_file = std::fs::metadata(path).map_err(unreadable)?.is_file();
    if !is_file {
        return Err(Failure::Usage(format!("{shown} is not a file")));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    Policy::parse(&bytes).map_err(|error| Failure::Usage(format!("{shown}: {error}")))
}

/// The witnesses of the settings' policy.
pub(crate) struct Witnesses {
    policy: Policy,
    /// Where the policy is, for messages.
    path: PathBuf,
    /// Those that can be asked, by their places in the policy.
    askers: Vec<(usize, Arc<Asker>)>,
}

impl Witnesses {
    /// Reads the policy of a log.
    ///
    /// # Errors
    /// If it cannot be used.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let policy = read_policy(path)?;
        if policy.witnesses().len() > WITNESSES_MAX {
            return Err(Failure::Usage(format!(
                "{shown} lists more than {WITNESSES_MAX} witnesses"
            )));
        }
        let client = ask::client()?;
        let mut askers = Vec::new();
        for (at, witness) in policy.witnesses().iter().enumerate() {
            let label = witness.label();
            let Some(url) = &witness.url else {
                tracing::warn!(
                    witness = label,
                    "the policy has no URL of it: it is not asked"
                );
                continue;
            };
            let url = submission(url).ok_or_else(|| {
                Failure::Usage(format!(
                    "{shown}: the URL of {label} is {url}; write the witness's submission prefix \
                     like https://witness.example.org/prefix"
                ))
            })?;
            metrics::gauge!("audittrail_witness_entries", "witness" => label.clone()).set(0.0);
            let asker = Asker::new(client.clone(), url, label, witness.key.clone());
            askers.push((at, Arc::new(asker)));
        }
        metrics::gauge!("audittrail_cosigned_entries").set(0.0);
        Ok(Self {
            policy,
            path: path.to_owned(),
            askers,
        })
    }

    /// Whether the policy is one of the log with this key.
    ///
    /// # Errors
    /// If it is of other logs.
    pub(crate) fn are_of(&self, vkey: &VerifierKey) -> Result<(), Failure> {
        let logs = self.policy.logs();
        if logs.is_empty() || logs.iter().any(|log| log.key == *vkey) {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "{} lists logs, and this is none of them: add the line `log {vkey}`, or leave log lines \
             out",
            self.path.display()
        )))
    }

    pub(crate) fn has_quorum(&self) -> bool {
        self.policy.has_quorum()
    }

    pub(crate) fn board(&self) -> Arc<Board> {
        Arc::new(Board::new(self.policy.clone()))
    }

    /// Gathers cosignatures of what is published, for ever. `known` are the sizes that the
    /// witnesses know, as far as they told at start.
    pub(crate) async fn gather(
        self,
        board: Arc<Board>,
        history: Arc<History>,
        published: watch::Receiver<KeptCheckpoint>,
        known: Vec<u64>,
    ) {
        let first = published.borrow().clone();
        let (target, targets) = watch::channel(first);
        let mut tellers = JoinSet::new();
        for ((at, asker), known) in self.askers.into_iter().zip(known) {
            let (history, board) = (Arc::clone(&history), Arc::clone(&board));
            let teller = Teller::new(at, asker, history, board, known);
            tellers.spawn(teller.run(targets.clone()));
        }
        rounds(published, target, board.witnessed()).await;
        drop(tellers);
    }
}

/// Holds out the newest checkpoint until it has its quorum, or for a round; then the next. Those
/// published meanwhile are skipped, all but the last.
async fn rounds(
    mut published: watch::Receiver<KeptCheckpoint>,
    target: watch::Sender<KeptCheckpoint>,
    mut witnessed: watch::Receiver<Witnessed>,
) {
    loop {
        let newest = published.borrow_and_update().clone();
        let TreeHead { size, .. } = newest.head;
        target.send_replace(newest);
        let met = witnessed.wait_for(|witnessed| {
            let met = witnessed.met.as_ref();
            met.is_some_and(|met| met.head.size >= size)
        });
        let _ = tokio::time::timeout(ROUND, met).await;
        if published.changed().await.is_err() {
            return;
        }
    }
}

/// The URL that requests go to.
fn submission(prefix: &str) -> Option<Url> {
    let url = Url::parse(prefix).ok()?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.has_host();
    let web = matches!(url.scheme(), "http" | "https");
    let joined = format!("{}/add-checkpoint", url.as_str().trim_end_matches('/'));
    (plain && web).then(|| Url::parse(&joined).ok()).flatten()
}
