//! What a monitor finds, and what it says.

use std::path::PathBuf;

use audittrail_entry::Timestamp;
use audittrail_merkle::TreeHead;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::Failure;

/// What is wrong. docs/api.md has the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// What came is not what was asked for.
    Content,
    /// The checkpoint is not one that the log's key signed.
    Checkpoint,
    /// The log is smaller than it was.
    Smaller,
    /// The log has another history than it had. This is proven.
    Fork,
    /// The tiles are not those of the checkpoint.
    Unproven,
    /// A tile is not the one in the tree.
    Tile,
    /// An entry is not the one in the tree.
    Entry,
    /// The log does not show what its checkpoint covers.
    Missing,
    /// The log says itself that it is damaged.
    Damaged,
    /// There was no new checkpoint for too long.
    Old,
    /// The log could not be reached for too long.
    Unreachable,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Checkpoint => "checkpoint",
            Self::Smaller => "smaller",
            Self::Fork => "fork",
            Self::Unproven => "unproven",
            Self::Tile => "tile",
            Self::Entry => "entry",
            Self::Missing => "missing",
            Self::Damaged => "damaged",
            Self::Old => "old",
            Self::Unreachable => "unreachable",
        }
    }
}

/// Something that is not as it should be.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    pub(super) kind: Kind,
    /// What it is about: a finding is new if none of its kind is known about the same.
    pub(super) subject: String,
    pub(super) detail: String,
    /// What shows it to others.
    pub(super) evidence: Option<Value>,
    /// Where that is kept.
    pub(super) kept: Option<PathBuf>,
}

impl Finding {
    pub(super) fn new(kind: Kind, subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            kind,
            subject: subject.into(),
            detail: detail.into(),
            evidence: None,
            kept: None,
        }
    }

    pub(super) fn with(mut self, evidence: Value) -> Self {
        self.evidence = Some(evidence);
        self
    }

    pub(super) fn id(&self) -> String {
        format!("{} {}", self.kind.name(), self.subject)
    }

    pub(super) fn json(&self) -> Value {
        json!({ "kind": self.kind.name(), "detail": self.detail, "evidence": self.kept })
    }
}

/// Why a check did not come to its end.
pub(super) enum Trouble {
    /// It could not be found out whether the log is good.
    Away(String),
    /// The log is not good.
    Wrong(Finding),
    /// This machine cannot go on.
    Here(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Here(failure)
    }
}

impl From<Finding> for Trouble {
    fn from(finding: Finding) -> Self {
        Self::Wrong(finding)
    }
}

/// What came of one check.
pub(super) struct Report {
    pub(super) time: Timestamp,
    /// The size of the newest checkpoint that was kept before.
    pub(super) previous: Option<u64>,
    /// The newest checkpoint that is kept now.
    pub(super) head: Option<TreeHead>,
    pub(super) age_seconds: Option<u64>,
    /// The size of the mirror's checkpoint.
    pub(super) mirrored: Option<u64>,
    /// The mirror is not there yet, and goes on with the next check.
    pub(super) paused: bool,
    pub(super) away: Option<String>,
    pub(super) findings: Vec<Finding>,
}

impl Report {
    pub(super) const OUTCOMES: [&str; 3] = ["good", "finding", "unreachable"];

    pub(super) fn outcome(&self) -> &'static str {
        match (self.findings.is_empty(), &self.away) {
            (false, _) => "finding",
            (true, Some(_)) => "unreachable",
            (true, None) => "good",
        }
    }

    pub(super) fn json(&self, origin: &str) -> Value {
        let findings: Vec<Value> = self.findings.iter().map(Finding::json).collect();
        json!({
            "time": self.time.to_string(),
            "origin": origin,
            "outcome": self.outcome(),
            "size": self.head.map(|head| head.size),
            "root": self.head.map(|head| STANDARD.encode(head.root.0)),
            "previous_size": self.previous,
            "age_seconds": self.age_seconds,
            "mirrored_entries": self.mirrored,
            "findings": findings,
            "unreachable": self.away,
        })
    }

    /// For people, a line each.
    pub(super) fn lines(&self, origin: &str) -> Vec<String> {
        let mut lines = Vec::new();
        if let (Some(head), "good") = (self.head, self.outcome()) {
            let size = head.size;
            let since = match self.previous {
                None => "the first checkpoint seen".to_owned(),
                Some(previous) if previous == size => "as before".to_owned(),
                Some(previous) => format!("extends the log of {previous} seen before"),
            };
            let mirrored = match self.mirrored {
                Some(mirrored) if self.paused => {
                    format!("; {mirrored} entries mirrored, it goes on")
                }
                Some(mirrored) => format!("; {mirrored} entries mirrored, each in the tree"),
                None => String::new(),
            };
            lines.push(format!("good: {origin}, {size} entries, {since}{mirrored}"));
        }
        for finding in &self.findings {
            let kept = finding.kept.as_ref();
            let kept = kept.map_or(String::new(), |path| {
                format!("; the evidence is in {}", path.display())
            });
            let (kind, detail) = (finding.kind.name(), &finding.detail);
            lines.push(format!("{kind}: {origin}: {detail}{kept}"));
        }
        lines
    }
}
