//! The checks that need all lines, done in the order of the file.

use audittrail_merkle::{ChainError, ProofChain, TreeHead};

use crate::check::{CheckedEntry, CheckedLine, CheckedPart, include};
use crate::erasure::Missing;
use crate::parts::{LINE_BYTES_MAX, PartEnd};
use crate::report::{Check, FINDINGS_KEPT, Finding, Report};

/// Puts the results of parts together.
#[derive(Debug, Clone)]
pub struct Tally {
    report: Report,
    size: u64,
    /// The state of proofs after the last part.
    chain: ProofChain,
    /// The highest index that was proven so far.
    last: Option<u64>,
    /// The next index of the range that is claimed to be complete.
    next: u64,
    /// How many of that range are not there.
    absent: u64,
    missing: Missing,
    /// What the last line says.
    count: Option<u64>,
    /// Nothing more is looked at.
    over: bool,
}

impl Tally {
    pub(crate) fn new(report: Report, head: TreeHead) -> Self {
        Self {
            next: report.claimed.map_or(0, |(first, _)| first),
            report,
            size: head.size,
            chain: ProofChain::new(head),
            last: None,
            absent: 0,
            missing: Missing::default(),
            count: None,
            over: false,
        }
    }

    /// Takes the result of the next part.
    pub fn take(&mut self, part: CheckedPart) {
        let mut lines = part.lines;
        match part.chain {
            Some(chain) => self.chain = chain,
            None => include(&mut lines, &mut self.chain),
        }
        let mut number = part.first;
        for line in lines {
            // The header is line 1.
            self.line(number + 2, line);
            number += 1;
        }
        if part.end == PartEnd::TooLong {
            let detail = format!(
                "the line is longer than {LINE_BYTES_MAX} bytes; neither it nor what follows was \
                 read"
            );
            self.find(Some(number + 2), None, Check::Line, detail);
        }
        if part.end != PartEnd::Line && self.count.is_some() {
            self.after_end(number + 2);
        }
    }

    fn after_end(&mut self, number: u64) {
        if !self.over {
            self.over = true;
            let detail = "something follows the last line; it was not looked at";
            self.find(Some(number), None, Check::End, detail.to_owned());
        }
    }

    fn find(&mut self, line: Option<u64>, index: Option<u64>, check: Check, detail: String) {
        self.report.push(Finding {
            line,
            index,
            check,
            detail,
        });
    }

    fn line(&mut self, number: u64, line: CheckedLine) {
        if self.count.is_some() {
            return self.after_end(number);
        }
        if let CheckedLine::End { count } = line {
            self.count = Some(count);
            if count != self.report.entries {
                let detail = format!(
                    "the last line says that {count} lines precede it, there are {}",
                    self.report.entries
                );
                self.find(Some(number), None, Check::Count, detail);
            }
            return;
        }
        self.report.entries += 1;
        let (index, outcome) = match line {
            CheckedLine::Entry(entry) => (Some(entry.index), self.entry(number, entry)),
            CheckedLine::Failed { index, error } => {
                let outcome = self.place(index).and_then(|()| {
                    self.present(number, index, false);
                    Err((
                        Check::Server,
                        format!("the server exported it as failed: {error}"),
                    ))
                });
                (Some(index), outcome)
            }
            CheckedLine::Malformed(what) => (None, Err((Check::Line, what))),
            CheckedLine::End { .. } => return,
        };
        if let Err((check, detail)) = outcome {
            self.report.failed += 1;
            self.find(Some(number), index, check, detail);
        }
    }

    /// That an index comes after those that were proven.
    fn place(&self, index: u64) -> Result<(), (Check, String)> {
        if index >= self.size {
            let detail = format!("the log of the checkpoint has {} entries", self.size);
            return Err((Check::Inclusion, detail));
        }
        match self.last {
            Some(last) if index == last => {
                Err((Check::Duplicate, "the index is there twice".to_owned()))
            }
            Some(last) if index < last => {
                Err((Check::Order, format!("the index comes after index {last}")))
            }
            _ => Ok(()),
        }
    }

    /// Looks for gaps in the range that is claimed to be complete.
    fn present(&mut self, number: u64, index: u64, is_erasure: bool) {
        let Some((first, last)) = self.report.claimed else {
            return;
        };
        if index < first || index > last {
            // The erasures that cover what was erased come with it.
            if !is_erasure {
                let detail = format!("it is not within {first} to {last}, which the header names");
                self.absent += 1;
                self.find(Some(number), Some(index), Check::Complete, detail);
            }
            return;
        }
        self.gap(Some(number), index);
        self.next = index + 1;
    }

    /// Says that the entries from the next one up to an index are missing.
    fn gap(&mut self, line: Option<u64>, until: u64) {
        let absent = until.saturating_sub(self.next);
        if absent > 0 {
            let detail = format!(
                "the header says that no entry is left out, but {} to {} are missing here",
                self.next,
                until - 1
            );
            self.absent += absent;
            // The entry before which they are missing.
            self.find(line, line.map(|_| until), Check::Complete, detail);
        }
    }

    fn entry(&mut self, number: u64, entry: CheckedEntry) -> Result<(), (Check, String)> {
        let index = entry.index;
        self.place(index)?;
        let included = match entry.inclusion {
            Some(Ok(())) => Ok(()),
            Some(Err(why)) => Err(explain(why)),
            None => Err("its proof was not looked at".to_owned()),
        };
        let sound = entry.itself.is_ok() && included.is_ok();
        if included.is_ok() {
            // Only what is proven says where in the log the file is.
            self.last = Some(index);
            let (first, _) = self.report.indices.unwrap_or((index, index));
            self.report.indices = Some((first, index));
        }
        self.present(number, index, entry.is_erasure && sound);
        // A leaf that is no leaf says more than a proof that does not fit.
        match entry.itself {
            Err(leaf @ (Check::Leaf, _)) => return Err(leaf),
            itself => {
                included.map_err(|detail| (Check::Inclusion, detail))?;
                itself?;
            }
        }
        if entry.has_sealed {
            self.report.proven += 1;
        } else if self.report.withholds {
            self.report.withheld += 1;
        } else if !self.missing.add(index) {
            let detail = "too many sealed parts are missing, apart from each other, to look for \
                          their erasures; check a smaller export";
            return Err((Check::Erasure, detail.to_owned()));
        }
        for (first, last) in entry.erases {
            self.report.erased += self.missing.cover(first, last);
        }
        Ok(())
    }

    /// The report, when there are no more parts.
    pub fn finish(mut self) -> Report {
        let missing = std::mem::take(&mut self.missing);
        self.report.failed += missing.count();
        for index in missing.indices().take(FINDINGS_KEPT) {
            let detail = "its sealed part is missing, and no erasure that is proven here covers it";
            self.find(None, Some(index), Check::Erasure, detail.to_owned());
        }
        self.report.found += missing.count().saturating_sub(FINDINGS_KEPT as u64);
        if self.count.is_none() {
            let detail = format!(
                "the file was cut short: its last line is missing after {} entries",
                self.report.entries
            );
            self.find(None, None, Check::End, detail);
        }
        self.report.whole = self.count == Some(self.report.entries) && !self.over;
        if let Some((_, last)) = self.report.claimed
            && last < self.size
        {
            self.gap(None, last + 1);
        }
        let sound = self.report.verified() && self.absent == 0;
        self.report.complete = self.report.claimed.filter(|_| sound);
        self.report
    }
}

fn explain(error: ChainError) -> String {
    match error {
        ChainError::Length { .. } => format!(
            "{error}: the line before it is missing or failed, or index or proof was changed"
        ),
        ChainError::Root => {
            format!("{error}: the leaf, the index or the proof was changed")
        }
        _ => error.to_string(),
    }
}
