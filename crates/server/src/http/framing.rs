//! Where the requests of an HTTP/1 connection begin and end, followed beside hyper.
//!
//! hyper drops a `Content-Length` beside a `Transfer-Encoding`, and one that comes twice, before
//! anybody sees it. RFC 9112 allows that; but whoever sends such a request makes two parsers
//! disagree about where the next one begins. So each head's fields are seen here as they came in,
//! and the verdict waits until hyper hands the request over. What is malformed otherwise hyper
//! refuses itself, and nothing here is believed after that.

use std::collections::VecDeque;

/// So much of a line is kept: enough for the fields that count here.
const LINE: usize = 64;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// Why a request is refused whose head hyper accepts; none where it is not.
pub(crate) type Verdict = Option<&'static str>;

/// Follows one connection.
#[derive(Debug, Default)]
pub(crate) struct Framing {
    state: State,
    line: Vec<u8>,
    line_len: usize,
    head: Head,
    verdicts: VecDeque<Verdict>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Lines up to an empty one.
    #[default]
    Head,
    /// So many bytes of a body.
    Body(u64),
    ChunkSize,
    /// So many bytes of a chunk and its line end.
    Chunk(u64),
    Trailers,
    Http2,
    /// Not HTTP/1 that can be followed: hyper refuses it.
    Lost,
}

#[derive(Debug, Default)]
struct Head {
    begun: bool,
    lengths: u32,
    length: u64,
    codings: u32,
    hosts: u32,
    http10: bool,
}

impl Framing {
    /// Whether the connection speaks HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        self.state == State::Http2
    }

    /// The verdict on the next request.
    pub(crate) fn verdict(&mut self) -> Verdict {
        self.verdicts.pop_front().flatten()
    }

    /// Takes the bytes that hyper is about to get.
    pub(crate) fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Http2 | State::Lost => return,
                State::Body(left) | State::Chunk(left) => {
                    let taken = (*left).min(bytes.len() as u64);
                    *left -= taken;
                    bytes = &bytes[usize::try_from(taken).unwrap_or(bytes.len())..];
                    match self.state {
                        State::Body(0) => self.state = State::Head,
                        State::Chunk(0) => self.state = State::ChunkSize,
                        _ => {}
                    }
                }
                State::Head | State::ChunkSize | State::Trailers => {
                    let end = bytes.iter().position(|byte| *byte == b'\n');
                    let part = &bytes[..end.unwrap_or(bytes.len())];
                    let kept = part.len().min(LINE - self.line.len());
                    self.line.extend_from_slice(&part[..kept]);
                    self.line_len += part.len();
                    let Some(end) = end else { return };
                    bytes = &bytes[end + 1..];
                    self.end_line();
                }
            }
        }
    }

    fn end_line(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        let whole = self.line_len == line.len();
        self.line_len = 0;
        if whole && line.last() == Some(&b'\r') {
            line.pop();
        }
        match self.state {
            State::Head => self.head_line(&line),
            State::ChunkSize => {
                let digits = line.split(|byte| !byte.is_ascii_hexdigit()).next();
                let size = digits
                    .and_then(|digits| std::str::from_utf8(digits).ok())
                    .and_then(|digits| u64::from_str_radix(digits, 16).ok());
                self.state = match size {
                    Some(0) => State::Trailers,
                    Some(size) => State::Chunk(size.saturating_add(2)),
                    None => State::Lost,
                };
            }
            State::Trailers if line.is_empty() => self.state = State::Head,
            _ => {}
        }
        line.clear();
        self.line = line;
    }

    fn head_line(&mut self, line: &[u8]) {
        if !self.head.begun {
            if line == &PREFACE[..PREFACE.len() - 2] {
                self.state = State::Http2;
            } else if !line.is_empty() {
                // Empty lines before a request are skipped, RFC 9112 section 2.2.
                self.head.begun = true;
                self.head.http10 = line.ends_with(b"HTTP/1.0");
            }
            return;
        }
        if line.is_empty() {
            let head = std::mem::take(&mut self.head);
            self.state = match (head.codings, head.length) {
                (1.., _) => State::ChunkSize,
                (0, 0) => State::Head,
                (0, length) => State::Body(length),
            };
            self.verdicts.push_back(head.verdict());
            return;
        }
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (name, value) = (parts.next(), parts.next().unwrap_or_default());
        match name.unwrap_or_default().to_ascii_lowercase().as_slice() {
            b"content-length" => {
                self.head.lengths += 1;
                let digits = std::str::from_utf8(value.trim_ascii()).ok();
                self.head.length = digits.and_then(|text| text.parse().ok()).unwrap_or(0);
            }
            b"transfer-encoding" => self.head.codings += 1,
            b"host" => self.head.hosts += 1,
            _ => {}
        }
    }
}

impl Head {
    fn verdict(&self) -> Verdict {
        if self.codings > 0 && self.lengths > 0 {
            Some("Content-Length and Transfer-Encoding exclude each other; send one of them")
        } else if self.lengths > 1 {
            Some("Content-Length is there twice; send it once")
        } else if self.codings > 1 {
            Some("Transfer-Encoding is there twice; send it once")
        } else if self.hosts > 1 || (self.hosts == 0 && !self.http10) {
            // RFC 9112 section 3.2.
            Some("a request has exactly one Host; send that")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Verdicts of a stream, the same however it is cut; whether each is a refusal.
    fn refused(stream: &str) -> Vec<bool> {
        let of = |step: usize| {
            let mut framing = Framing::default();
            for piece in stream.as_bytes().chunks(step) {
                framing.read(piece);
            }
            let verdicts = std::mem::take(&mut framing.verdicts);
            verdicts.iter().map(Option::is_some).collect::<Vec<_>>()
        };
        let whole = of(stream.len());
        for step in [1, 2, 3, 7, 64] {
            assert_eq!(of(step), whole, "{step}: {stream}");
        }
        whole
    }

    #[test]
    fn bodies_are_no_heads() {
        let within = "GET / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: x\r\n\r\n";
        let (len, hex) = (within.len(), format!("{:X}", within.len()));
        let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let streams = [
            format!("POST / HTTP/1.1\r\nHost: a\r\ncontent-length: {len}\r\n\r\n{within}"),
            format!("{chunked}{hex};a=b\r\n{within}\r\n0\r\nA: b\r\nContent-Length: 1\r\n\r\n"),
            format!("\r\n{chunked}0\r\n\r\n"),
            format!(
                "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
                "Content-Length: 1, ".repeat(9)
            ),
        ];
        for stream in &streams {
            assert_eq!(refused(stream), [false], "{stream}");
        }
        let all = streams.concat();
        assert_eq!(refused(&all), [false; 4]);
    }

    #[test]
    fn what_is_ambiguous_is_refused() {
        let host = "Host: a\r\n";
        for fields in [
            "Host: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "Host: a\r\nTRANSFER-ENCODING: chunked\r\ncontent-length: 3\r\n",
            "Host: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n",
            "Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Host: a\r\nHost: a\r\n",
            "",
        ] {
            let stream = format!("POST / HTTP/1.1\r\n{fields}\r\n");
            assert_eq!(refused(&stream), [true], "{fields}");
        }
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\n{host}\r\n")), [false]);
        assert_eq!(refused("GET / HTTP/1.0\r\n\r\n"), [false]);
    }

    #[test]
    fn http2_is_seen() {
        let mut framing = Framing::default();
        for byte in PREFACE {
            assert!(!framing.is_http2());
            framing.read(&[*byte]);
        }
        assert!(framing.is_http2());
    }
}
