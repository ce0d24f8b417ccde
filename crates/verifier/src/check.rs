//! The checks that need no other line than those since the last whole proof: done for a part of
//! the file, on any thread.

use audittrail_checkpoint::{Checkpoint, Note, Policy, VerifierKey};
use audittrail_entry::{Entry as Parsed, KeyRing, OpenPart, commitment};
use audittrail_merkle::{ChainError, Hash, ProofChain, TreeHead, leaf_hash};

use crate::erasure::{ERASURE, erased_ranges};
use crate::format::{Header, WHOLE_EVERY};
use crate::line::{Entry, Line};
use crate::parts::{HEADER_BYTES_MAX, Part, PartEnd};
use crate::report::{Check, Report, shown};
use crate::tally::Tally;

/// What is believed without the file.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The log's verifier keys; one of them has to have signed the checkpoint.
    pub keys: Vec<VerifierKey>,
    /// Checks the server's HMACs, where given. Whoever has these keys can also forge.
    pub signing: Option<KeyRing>,
    /// Which witnesses have to have cosigned the checkpoint, where given.
    pub policy: Option<Policy>,
}

/// Checks the entries of one file.
#[derive(Debug, Clone)]
pub struct Verifier {
    pub(crate) origin: String,
    pub(crate) head: TreeHead,
    signing: Option<KeyRing>,
}

/// An entry with what could be said about it by itself.
#[derive(Debug)]
pub(crate) struct CheckedEntry {
    pub(crate) index: u64,
    leaf_hash: Hash,
    proof: Vec<Hash>,
    /// Known once the proofs before it are.
    pub(crate) inclusion: Option<Result<(), ChainError>>,
    /// Whether leaf, commitment and signature hold; if not, the first that does not.
    pub(crate) itself: Result<(), (Check, String)>,
    pub(crate) has_sealed: bool,
    pub(crate) is_erasure: bool,
    /// Erased by this entry, if it is proven.
    pub(crate) erases: Vec<(u64, u64)>,
}

#[derive(Debug)]
pub(crate) enum CheckedLine {
    Entry(CheckedEntry),
    Failed { index: u64, error: String },
    End { count: u64 },
    Malformed(String),
}

/// The result of a part. Results are put together in the order of the file.
#[derive(Debug)]
pub struct CheckedPart {
    pub(crate) first: u64,
    pub(crate) lines: Vec<CheckedLine>,
    pub(crate) end: PartEnd,
    /// The state after the part, where it began with a whole proof.
    pub(crate) chain: Option<ProofChain>,
}

impl Verifier {
    /// Reads the header and checks the checkpoint in it.
    ///
    /// # Errors
    /// A report that nothing in the file is proven, and why.
    pub fn begin(line: &[u8], trust: Trust) -> Result<(Self, Tally), Box<Report>> {
        let mut report = Report::new();
        let mut nothing = |check, detail: String| {
            report.find(check, detail);
            Box::new(report.clone())
        };
        let Some(line) = line.strip_suffix(b"\n") else {
            let (check, detail) = match line.len() {
                HEADER_BYTES_MAX => (Check::Header, "the first line is longer than a header"),
                0 => (Check::End, "the file is empty"),
                _ => (Check::End, "the file ends within its first line"),
            };
            return Err(nothing(check, detail.to_owned()));
        };
        let header =
            Header::parse(line).map_err(|why| nothing(Check::Header, shown(&why.to_string())))?;
        let note_bytes = header.checkpoint.as_bytes();
        let opened = Checkpoint::open(note_bytes, &trust.keys)
            .and_then(|checkpoint| Ok((checkpoint, Note::parse(note_bytes)?)))
            .map_err(|why| nothing(Check::Checkpoint, shown(&why.to_string())))?;
        let (checkpoint, note) = opened;
        let signed_by = note.verify(&trust.keys).unwrap_or_default();
        report.signed_by = signed_by.iter().map(ToString::to_string).collect();
        report.origin.clone_from(&checkpoint.origin);
        report.head = Some(checkpoint.head);
        report.signatures_checked = trust.signing.is_some();
        check_header(&header, &checkpoint, &trust.keys, &mut report);
        if let Some(policy) = &trust.policy {
            check_policy(policy, note_bytes, &trust.keys, &mut report);
        }
        report.filter = header.filter;
        report.claimed = header.complete;
        report.withholds = header.withheld;
        let verifier = Self {
            origin: checkpoint.origin,
            head: checkpoint.head,
            signing: trust.signing,
        };
        let tally = Tally::new(report, checkpoint.head);
        Ok((verifier, tally))
    }

    /// Checks the lines of a part.
    pub fn check(&self, part: &Part) -> CheckedPart {
        let mut lines: Vec<CheckedLine> = part.lines().map(|line| self.line(line)).collect();
        let chain = part.first.is_multiple_of(WHOLE_EVERY).then(|| {
            let mut chain = ProofChain::new(self.head);
            include(&mut lines, &mut chain);
            chain
        });
        CheckedPart {
            first: part.first,
            lines,
            end: part.end,
            chain,
        }
    }

    fn line(&self, bytes: &[u8]) -> CheckedLine {
        match Line::parse(bytes) {
            Ok(Line::Entry(entry)) => CheckedLine::Entry(self.entry(entry)),
            Ok(Line::Failed { index, error }) => CheckedLine::Failed {
                index,
                error: shown(&error),
            },
            Ok(Line::End { count }) => CheckedLine::End { count },
            Err((what, at)) => CheckedLine::Malformed(format!("{what} (byte {at})")),
        }
    }

    fn entry(&self, entry: Entry<'_>) -> CheckedEntry {
        let mut erases = Vec::new();
        let mut is_erasure = false;
        let itself = self.by_itself(&entry).map(|open| {
            is_erasure = open.action == ERASURE;
        });
        if is_erasure && itself.is_ok() {
            let sealed = entry.sealed.as_ref().map(|(sealed, _)| sealed.as_bytes());
            let parsed = Parsed::parse(entry.leaf.as_bytes(), sealed).ok();
            erases = parsed
                .and_then(|parsed| erased_ranges(entry.index, &parsed))
                .unwrap_or_default();
        }
        CheckedEntry {
            index: entry.index,
            leaf_hash: leaf_hash(entry.leaf.as_bytes()),
            proof: entry.proof,
            inclusion: None,
            itself,
            has_sealed: entry.sealed.is_some(),
            is_erasure,
            erases,
        }
    }

    fn by_itself<'e>(&self, entry: &'e Entry<'_>) -> Result<OpenPart<'e>, (Check, String)> {
        let leaf = entry.leaf.as_bytes();
        let open = OpenPart::parse(leaf).map_err(|why| (Check::Leaf, why.to_string()))?;
        if let Some((sealed, salt)) = &entry.sealed
            && commitment(salt, sealed.as_bytes()) != open.commitment
        {
            let why = "the sealed part does not fit the commitment in the leaf";
            return Err((Check::Commitment, why.to_owned()));
        }
        if let Some(keys) = &self.signing {
            keys.verify(entry.key_id, &self.origin, leaf, &entry.signature)
                .map_err(|why| (Check::Signature, why.to_string()))?;
        }
        Ok(open)
    }
}

/// What the header says and the checkpoint or the keys can refute.
fn check_header(
    header: &Header,
    checkpoint: &Checkpoint,
    keys: &[VerifierKey],
    report: &mut Report,
) {
    if header.origin != checkpoint.origin {
        let detail = format!(
            "the header names the log {}, its checkpoint is of {}",
            shown(&header.origin),
            shown(&checkpoint.origin)
        );
        report.find(Check::Origin, detail);
    }
    if keys.iter().all(|key| key.to_string() != header.vkey) {
        let detail = format!(
            "the header names {} as the log's key, which is none of the keys given; it was not used",
            shown(&header.vkey)
        );
        report.find(Check::HeaderKey, detail);
    }
    let size = checkpoint.head.size;
    if let Some((first, last)) = header.complete
        && (first > last || last >= size)
    {
        let detail = format!("{first} to {last} is no range of a log of {size} entries");
        report.find(Check::Complete, detail);
    }
}

/// Whether witnesses have cosigned the checkpoint as the policy asks.
fn check_policy(policy: &Policy, note: &[u8], keys: &[VerifierKey], report: &mut Report) {
    match policy.check(note, keys) {
        Ok(met) => {
            let cosigned = met.cosigned.into_iter();
            let cosigned = cosigned.map(|(name, time)| (shown(&name), time));
            report.cosigned_by = Some(cosigned.collect());
        }
        Err(why) => report.find(Check::Policy, shown(&why.to_string())),
    }
}

/// Checks the proofs of consecutive lines.
pub(crate) fn include(lines: &mut [CheckedLine], chain: &mut ProofChain) {
    for line in lines {
        if let CheckedLine::Entry(entry) = line {
            let proof = std::mem::take(&mut entry.proof);
            entry.inclusion = Some(chain.take(entry.index, &entry.leaf_hash, &proof));
        }
    }
}
