//! `audittrail verify --html`: the page around a file, written while the file is checked.

use std::io::{self, Read, Write as _};
use std::path::Path;

use audittrail_verifier::{REPORT_BYTES_SENSIBLE, ReportPage};

use crate::Failure;
use crate::commands::inputs::Inputs;
use crate::commands::partial::Partial;

/// A page under way; it appears under its name when it is whole.
pub(crate) struct Page {
    partial: Partial,
    page: ReportPage,
    bytes: u64,
    /// The first error, told at the end: the check goes on without the page.
    written: io::Result<()>,
}

impl Page {
    pub(crate) fn open(target: &Path, inputs: &Inputs) -> Result<Self, Failure> {
        let mut partial = Partial::open(target, "--html", inputs)?;
        let mut out = Vec::new();
        let page = ReportPage::begin(&mut out);
        let written = partial.file().write_all(&out);
        Ok(Self {
            partial,
            page,
            bytes: 0,
            written,
        })
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.written.is_ok() {
            let mut out = Vec::new();
            self.page.evidence(bytes, &mut out);
            self.bytes += bytes.len() as u64;
            self.written = self.partial.file().write_all(&out);
        }
    }

    pub(crate) fn finish(self) -> Result<(), Failure> {
        let Self {
            mut partial,
            page,
            bytes,
            written,
        } = self;
        let mut out = Vec::new();
        page.end(&mut out);
        written
            .and_then(|()| partial.file().write_all(&out))
            .map_err(|error| Failure::Failed(format!("--html: it cannot be written: {error}")))?;
        let path = partial.finish()?;
        if bytes > REPORT_BYTES_SENSIBLE {
            crate::note!(
                "{} has {} MiB of evidence: a browser needs minutes and much memory for more than \
                 {} MiB, and may give up; export fewer entries for a page that people open",
                path.display(),
                bytes >> 20,
                REPORT_BYTES_SENSIBLE >> 20
            );
        }
        Ok(())
    }
}

/// Gives the page every byte that is read.
pub(crate) struct Copied<'p, R> {
    pub(crate) file: R,
    pub(crate) page: Option<&'p mut Page>,
}

impl<R: Read> Read for Copied<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read(into)?;
        if let (Some(page), Some(bytes)) = (&mut self.page, into.get(..len)) {
            page.take(bytes);
        }
        Ok(len)
    }
}
