//! Evidence files, docs/formats.md "Evidence, version 1": writing their lines, and checking them
//! with nothing but the log's verifier key.
//!
//! Nothing here opens a file, asks a clock or starts a thread. [`verify`] reads a file from
//! beginning to end in constant memory. Who has several cores does the same in three steps:
//! [`Parts`] cuts the file, [`Verifier::check`] checks parts in any order and on any thread, and
//! [`Tally::take`] takes the results in the order of the file. The report is the same.
//!
//! ```
//! # fn check(file: &[u8], keys: Vec<audittrail_checkpoint::VerifierKey>) -> std::io::Result<()> {
//! let trust = audittrail_verifier::Trust { keys, signing: None, policy: None };
//! let report = audittrail_verifier::verify(file, trust)?;
//! if report.verified() {
//!     println!("{} entries are in the log", report.entries);
//! }
//! # Ok(())
//! # }
//! ```

mod check;
mod erasure;
mod format;
mod line;
mod parts;
mod report;
mod scan;
mod tally;

pub use check::{CheckedPart, Trust, Verifier};
pub use erasure::{ERASURE, erased_ranges};
pub use format::{
    EntryLine, Header, HeaderError, MEDIA_TYPE, WHOLE_EVERY, write_end, write_failed,
};
pub use parts::{HEADER_BYTES_MAX, LINE_BYTES_MAX, Part, Parts};
pub use report::{Check, FINDINGS_KEPT, Finding, Report, shown};
pub use tally::Tally;

/// Checks a file from beginning to end on this thread.
///
/// # Errors
/// Only if it cannot be read; what does not verify is in the report.
pub fn verify(file: impl std::io::BufRead, trust: Trust) -> std::io::Result<Report> {
    let mut parts = Parts::new(file);
    let (verifier, mut tally) = match Verifier::begin(&parts.header()?, trust) {
        Ok(begun) => begun,
        Err(report) => return Ok(*report),
    };
    while let Some(part) = parts.next_part()? {
        tally.take(verifier.check(&part));
    }
    Ok(tally.finish())
}
