//! Which checkpoints are believed: C2SP tlog-policy.

use std::collections::{BTreeMap, HashSet};

use crate::policy_lines::Reading;
use crate::{Checkpoint, CheckpointError, CosignerKey, KeyError, Note, NoteError, VerifierKey};

/// Longer files are refused.
pub const POLICY_BYTES_MAX: usize = 1 << 20;

/// Why a policy file cannot be used: the line, from 1, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct PolicyError {
    /// From 1; one more than there are where something is missing.
    pub line: usize,
    /// What is wrong.
    pub what: PolicyFault,
}

/// What is wrong with a line of a policy file. Names are shown with what is no UTF-8 replaced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFault {
    /// The file.
    #[error("the file is longer than 1 MiB")]
    TooLong,
    /// The file.
    #[error("the last line has no end: the file may have been cut short")]
    CutShort,
    /// An octet that no policy file has.
    #[error("it has a control character")]
    Character,
    /// Its first word.
    #[error("{0} is none of log, witness, group and quorum")]
    Keyword(String),
    /// What it should look like.
    #[error("write it as {0}")]
    Form(&'static str),
    /// A verifier key.
    #[error("the key cannot be used: {0}")]
    Key(#[from] KeyError),
    /// `none`.
    #[error("none is no name of a witness or a group")]
    None,
    /// A name that an earlier line defines.
    #[error("{0} is defined already")]
    Defined(String),
    /// A key that an earlier line has, perhaps under another name.
    #[error("the key of {0} stands in an earlier line")]
    DuplicateKey(String),
    /// A name that no earlier line defines.
    #[error("{0} is not defined in a line before this one")]
    Unknown(String),
    /// A member of two groups, or twice of one.
    #[error("{0} is a member of a group already")]
    MemberTwice(String),
    /// A threshold.
    #[error("the threshold has to be any, all or a number from 1 to that of the members")]
    Threshold,
    /// A second quorum line.
    #[error("there is a quorum line already")]
    QuorumTwice,
    /// No quorum line.
    #[error("the quorum line is missing; quorum none asks for no cosignatures")]
    NoQuorum,
}

/// Why a note does not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyRefusal {
    /// The checkpoint is not one of a known log, or a signature does not hold.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Too few have cosigned it.
    #[error("the policy asks for more cosignatures; there are those of {}", shown(.0))]
    Quorum(Vec<String>),
}

fn shown(names: &[String]) -> String {
    if names.is_empty() {
        "nobody".to_owned()
    } else {
        names.join(", ")
    }
}

/// A log that a policy knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyLog {
    /// Its key, whose name is its origin.
    pub key: VerifierKey,
    /// Where it is, where the file says so.
    pub url: Option<String>,
}

/// A witness that a policy knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyWitness {
    /// Its name within the policy, which may be any octets.
    pub name: Vec<u8>,
    /// Its key.
    pub key: CosignerKey,
    /// The prefix of its submission URL, where the file says it.
    pub url: Option<String>,
}

impl PolicyWitness {
    /// Its name, to be shown.
    pub fn label(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }
}

/// A witness or a group, by its place in the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Member {
    Witness(usize),
    Group(usize),
}

/// A group, met by so many of its members. These stand before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) threshold: usize,
    pub(crate) members: Vec<Member>,
}

/// A policy: logs, witnesses, and how many of these have to have cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub(crate) logs: Vec<PolicyLog>,
    pub(crate) witnesses: Vec<PolicyWitness>,
    pub(crate) groups: Vec<Group>,
    pub(crate) quorum: Option<Member>,
}

/// What a policy finds in a note that meets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The witnesses of the policy that cosigned it, by their names in it, each with the time
    /// of its newest cosignature in seconds since 1970.
    pub cosigned: Vec<(String, u64)>,
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// If it is not exactly as the specification has it, is longer than [`POLICY_BYTES_MAX`], or
    /// has a key of a type other than 01 for a log and 04 for a witness.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        let whole = |what| PolicyError { line: 1, what };
        if bytes.len() > POLICY_BYTES_MAX {
            return Err(whole(PolicyFault::TooLong));
        }
        let mut reading = Reading::default();
        let mut number = 0;
        if !bytes.is_empty() {
            let cut = bytes.strip_suffix(b"\n");
            let lines: Vec<&[u8]> = cut.unwrap_or(bytes).split(|byte| *byte == b'\n').collect();
            for line in &lines {
                number += 1;
                let read = reading.line(line);
                read.map_err(|what| PolicyError { line: number, what })?;
            }
            if cut.is_none() {
                let what = PolicyFault::CutShort;
                return Err(PolicyError { line: number, what });
            }
        }
        reading.end().map_err(|what| PolicyError {
            line: number + 1,
            what,
        })
    }

    /// The logs.
    pub fn logs(&self) -> &[PolicyLog] {
        &self.logs
    }

    /// The witnesses.
    pub fn witnesses(&self) -> &[PolicyWitness] {
        &self.witnesses
    }

    /// Whether it asks for any cosignature.
    pub fn has_quorum(&self) -> bool {
        self.quorum.is_some()
    }

    /// Whether a note is a checkpoint of one of the policy's logs, or, where it lists none, one
    /// that these keys signed, and meets the quorum.
    ///
    /// # Errors
    /// If it does not; also if a signature or cosignature of a known key does not hold, whatever
    /// others there are.
    pub fn check(&self, note: &[u8], log_keys: &[VerifierKey]) -> Result<Met, PolicyRefusal> {
        let note = Note::parse(note).map_err(CheckpointError::from)?;
        let checkpoint = Checkpoint::parse_text(&note.text)?;
        let listed = self.logs.iter().map(|log| &log.key);
        let known: Vec<&VerifierKey> = if self.logs.is_empty() {
            log_keys.iter().collect()
        } else {
            listed.collect()
        };
        // A log's key has the log's name: others do not count, whatever they signed.
        let own = known
            .into_iter()
            .filter(|key| key.name() == checkpoint.origin);
        let own: Vec<VerifierKey> = own.cloned().collect();
        note.verify(&own).map_err(CheckpointError::from)?;
        let cosigned = self.cosigned(&note).map_err(CheckpointError::from)?;
        let witnesses: HashSet<usize> = cosigned.keys().copied().collect();
        let name = |(at, time): (usize, u64)| (self.witnesses[at].label(), time);
        let cosigned: Vec<(String, u64)> = cosigned.into_iter().map(name).collect();
        if self.met_by(&witnesses) {
            Ok(Met {
                checkpoint,
                cosigned,
            })
        } else {
            let names = cosigned.into_iter().map(|(name, _)| name);
            Err(PolicyRefusal::Quorum(names.collect()))
        }
    }

    /// The witnesses that cosigned a note, by their places in [`Policy::witnesses`], each with the
    /// time of its newest cosignature.
    ///
    /// # Errors
    /// If a cosignature of one of them does not hold.
    pub fn cosigned(&self, note: &Note) -> Result<BTreeMap<usize, u64>, NoteError> {
        let mut cosigned = BTreeMap::new();
        for (at, witness) in self.witnesses.iter().enumerate() {
            if let Some(time) = witness.key.cosigned(note)? {
                cosigned.insert(at, time);
            }
        }
        Ok(cosigned)
    }

    /// Whether these witnesses, by their places in [`Policy::witnesses`], are a quorum.
    pub fn met_by(&self, witnesses: &HashSet<usize>) -> bool {
        let mut groups: Vec<bool> = Vec::with_capacity(self.groups.len());
        let met = |groups: &[bool], member: &Member| match member {
            Member::Witness(at) => witnesses.contains(at),
            Member::Group(at) => groups.get(*at).copied().unwrap_or(false),
        };
        // Members of a group stand before it, so that this ends.
        for group in &self.groups {
            let of = group.members.iter().filter(|one| met(&groups, one)).count();
            groups.push(of >= group.threshold);
        }
        self.quorum.is_none_or(|quorum| met(&groups, &quorum))
    }
}
