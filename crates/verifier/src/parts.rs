//! A file in parts of whole lines.

use std::io::{self, BufRead, Read as _};

use crate::format::WHOLE_EVERY;

/// No line is longer, its newline not counted: the largest sealed part is a mebibyte, which
/// escapes may double.
pub const LINE_BYTES_MAX: usize = 4 << 20;
/// No header is longer.
pub const HEADER_BYTES_MAX: usize = 1 << 20;
/// A part takes no further line beyond this.
const PART_BYTES: usize = 4 << 20;

/// How a part ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartEnd {
    /// With a line; others may follow.
    Line,
    /// In a line that the file does not finish.
    Cut,
    /// Before a line that is longer than [`LINE_BYTES_MAX`], which is not read, nor what follows.
    TooLong,
}

/// Consecutive lines. Parts can be checked independently, and are then put together in order.
#[derive(Debug)]
pub struct Part {
    /// The number of the first line, counted from 0 after the header.
    pub(crate) first: u64,
    pub(crate) bytes: Vec<u8>,
    /// Where each line ends, before its newline.
    pub(crate) ends: Vec<usize>,
    pub(crate) end: PartEnd,
}

impl Part {
    /// Without their newlines.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let line = &self.bytes[start..*end];
            start = end + 1;
            line
        })
    }

    /// The size in the file.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// Cuts a file into parts: a part ends where a whole proof is due, or earlier where its lines are
/// long. It holds at most 8 MiB.
#[derive(Debug)]
pub struct Parts<R> {
    file: R,
    line: u64,
    done: bool,
}

impl<R: BufRead> Parts<R> {
    /// From the beginning of a file.
    pub fn new(file: R) -> Self {
        Self {
            file,
            line: 0,
            done: false,
        }
    }

    /// The first line with its newline; no more than [`HEADER_BYTES_MAX`] of it.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn header(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.file).take(HEADER_BYTES_MAX as u64);
        bounded.read_until(b'\n', &mut line)?;
        Ok(line)
    }

    /// The next lines; none after the last.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn next_part(&mut self) -> io::Result<Option<Part>> {
        if self.done {
            return Ok(None);
        }
        let mut part = Part {
            first: self.line,
            bytes: Vec::new(),
            ends: Vec::new(),
            end: PartEnd::Line,
        };
        while part.bytes.len() < PART_BYTES {
            let start = part.bytes.len();
            let mut bounded = (&mut self.file).take(LINE_BYTES_MAX as u64 + 1);
            let len = bounded.read_until(b'\n', &mut part.bytes)?;
            if part.bytes.len() > start && part.bytes.ends_with(b"\n") {
                part.ends.push(part.bytes.len() - 1);
                self.line += 1;
                if self.line.is_multiple_of(WHOLE_EVERY) {
                    break;
                }
                continue;
            }
            self.done = true;
            part.end = match len {
                0 => PartEnd::Line,
                len if len > LINE_BYTES_MAX => PartEnd::TooLong,
                _ => PartEnd::Cut,
            };
            break;
        }
        let nothing = part.bytes.is_empty();
        Ok((!nothing).then_some(part))
    }
}
