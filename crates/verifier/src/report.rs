//! What a check found.

use std::fmt;

use audittrail_merkle::TreeHead;

/// So many findings are kept one by one; all are counted.
pub const FINDINGS_KEPT: usize = 1_000;

/// Of a text from a file no more is repeated.
const SHOWN_CHARS: usize = 500;

/// A text from a file, fit for a terminal: control characters replaced, and not long.
pub fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut shown: String = text.chars().take(SHOWN_CHARS).map(plain).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// What did not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// The first line is a header of evidence, version 1.
    Header,
    /// The checkpoint is signed by one of the given keys, under its own name.
    Checkpoint,
    /// The header names the log that the checkpoint is of.
    Origin,
    /// The header names one of the given keys.
    HeaderKey,
    /// The checkpoint is cosigned by witnesses as the given policy asks.
    Policy,
    /// A line has the form of one, and is not too long.
    Line,
    /// Indices ascend.
    Order,
    /// No index is there twice.
    Duplicate,
    /// The entry verified when the server exported it.
    Server,
    /// The leaf is canonical, of version 1.
    Leaf,
    /// The leaf is in the tree of the checkpoint at its index.
    Inclusion,
    /// The sealed part is the one that the leaf commits to.
    Commitment,
    /// The server's HMAC, where a signing key is given.
    Signature,
    /// A missing sealed part was erased by an entry that is proven here.
    Erasure,
    /// No entry of the range that the header calls complete is missing.
    Complete,
    /// The file has its last line, and nothing after it.
    End,
    /// The last line counts the lines.
    Count,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Checkpoint => "checkpoint",
            Self::Origin => "origin",
            Self::HeaderKey => "header-key",
            Self::Policy => "policy",
            Self::Line => "line",
            Self::Order => "order",
            Self::Duplicate => "duplicate",
            Self::Server => "server",
            Self::Leaf => "leaf",
            Self::Inclusion => "inclusion",
            Self::Commitment => "commitment",
            Self::Signature => "signature",
            Self::Erasure => "erasure",
            Self::Complete => "complete",
            Self::End => "end",
            Self::Count => "count",
        })
    }
}

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The line of the file, from 1; none where the file as a whole is meant.
    pub line: Option<u64>,
    /// The entry's index, where one can be read.
    pub index: Option<u64>,
    /// What did not hold.
    pub check: Check,
    /// In a sentence.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.index, self.line) {
            (Some(index), Some(line)) => write!(f, "entry {index} (line {line}): ")?,
            (Some(index), None) => write!(f, "entry {index}: ")?,
            (None, Some(line)) => write!(f, "line {line}: ")?,
            (None, None) => {}
        }
        write!(f, "{}: {}", self.check, self.detail)
    }
}

/// What a file proves, and what in it does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The log that the checkpoint is of; empty where none is believed.
    pub origin: String,
    /// The checkpoint's tree head; none where it is not believed.
    pub head: Option<TreeHead>,
    /// The given keys that signed it.
    pub signed_by: Vec<String>,
    /// The witnesses of the given policy that cosigned it, by their names there, each with the
    /// time in seconds since 1970. None where no policy is given or it is not met.
    pub cosigned_by: Option<Vec<(String, u64)>>,
    /// The filter, as the file says: nothing proves that it is the one that was used.
    pub filter: Vec<(String, String)>,
    /// The file says that sealed parts were left out.
    pub withholds: bool,
    /// The range that the file says is complete.
    pub claimed: Option<(u64, u64)>,
    /// The range of which every entry is here and proven. None: the file is a selection, which
    /// shows that its entries are in the log, not that none was left out.
    pub complete: Option<(u64, u64)>,
    /// The file has its end; otherwise it was cut short.
    pub whole: bool,
    /// Lines between header and end.
    pub entries: u64,
    /// The first and the last index that were proven.
    pub indices: Option<(u64, u64)>,
    /// Proven with their sealed part.
    pub proven: u64,
    /// The open part is proven, and that the sealed part was erased.
    pub erased: u64,
    /// The open part is proven, the sealed part is not here.
    pub withheld: u64,
    /// Not proven.
    pub failed: u64,
    /// The server's HMACs were checked, too.
    pub signatures_checked: bool,
    /// The first [`FINDINGS_KEPT`], in the order of the file; those that only its end shows last.
    pub findings: Vec<Finding>,
    /// How many there are.
    pub found: u64,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self {
            origin: String::new(),
            head: None,
            signed_by: Vec::new(),
            cosigned_by: None,
            filter: Vec::new(),
            withholds: false,
            claimed: None,
            complete: None,
            whole: false,
            entries: 0,
            indices: None,
            proven: 0,
            erased: 0,
            withheld: 0,
            failed: 0,
            signatures_checked: false,
            findings: Vec::new(),
            found: 0,
        }
    }

    /// Whether all of the file holds.
    pub fn verified(&self) -> bool {
        self.found == 0
    }

    pub(crate) fn find(&mut self, check: Check, detail: impl Into<String>) {
        self.push(Finding {
            line: None,
            index: None,
            check,
            detail: detail.into(),
        });
    }

    pub(crate) fn push(&mut self, finding: Finding) {
        self.found += 1;
        if self.findings.len() < FINDINGS_KEPT {
            self.findings.push(finding);
        }
    }
}
