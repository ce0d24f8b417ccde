//! Encoded request bodies: gzip (RFC 1952) and zstd (RFC 8878), decoded as they arrive.

use std::io::Write as _;

use axum::http::{HeaderMap, header};
use flate2::write::MultiGzDecoder;
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use crate::problem::{Problem, Slug};

/// The codings that are read, as `Accept-Encoding` lists them.
const READ: &str = "gzip, zstd";
/// RFC 9659: as a content coding zstd has windows of up to 8 MiB.
const WINDOW_LOG: u32 = 23;
/// zstd gives so much at once.
const STEP: usize = 64 << 10;

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Identity,
    Gzip,
    Zstd,
}

impl Coding {
    /// The one coding that the headers name. Two, even two of the same, are not read: each
    /// would multiply what a byte can grow to.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut coding = Self::Identity;
        for value in headers.get_all(header::CONTENT_ENCODING) {
            let names = value.to_str().map_err(|_| not_read())?.split(',');
            for name in names.map(str::trim).filter(|name| !name.is_empty()) {
                let named = match name.to_ascii_lowercase().as_str() {
                    "identity" => continue,
                    "gzip" | "x-gzip" => Self::Gzip,
                    "zstd" => Self::Zstd,
                    _ => return Err(not_read()),
                };
                if coding != Self::Identity {
                    return Err(not_read());
                }
                coding = named;
            }
        }
        Ok(coding)
    }
}

fn not_read() -> Problem {
    let detail = "The body is encoded in a way that is not read here; send it as it is, or with \
                  one Content-Encoding of gzip or zstd.";
    Problem::new(Slug::UnsupportedMediaType, detail).with_header(header::ACCEPT_ENCODING, READ)
}

/// Why a body cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undecodable {
    /// It decodes to more than the bound.
    TooLarge,
    /// Not what its coding says, or a zstd window above the bound.
    Corrupt,
    /// It ends before its end.
    Truncated,
}

/// Decodes a body piece by piece. What was decoded never exceeds the bound given to `new`.
pub(crate) enum Decoder {
    Identity(Sink),
    Gzip(Box<MultiGzDecoder<Sink>>),
    Zstd(Box<Zstd>),
}

pub(crate) struct Zstd {
    context: DCtx<'static>,
    sink: Sink,
    /// Between two frames, with at least one behind.
    at_end: bool,
}

impl Decoder {
    pub(crate) fn new(coding: Coding, most: usize) -> Result<Self, Undecodable> {
        let sink = Sink::new(most);
        Ok(match coding {
            Coding::Identity => Self::Identity(sink),
            Coding::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(sink))),
            Coding::Zstd => {
                let mut context = DCtx::create();
                context
                    .set_parameter(DParameter::WindowLogMax(WINDOW_LOG))
                    .map_err(|_| Undecodable::Corrupt)?;
                Self::Zstd(Box::new(Zstd {
                    context,
                    sink,
                    at_end: false,
                }))
            }
        })
    }

    /// Takes the next bytes of the body. They may decode to a thousandfold: give few at once.
    pub(crate) fn push(&mut self, input: &[u8]) -> Result<(), Undecodable> {
        match self {
            Self::Identity(sink) => sink.take(input),
            Self::Gzip(decoder) => match decoder.write_all(input) {
                Ok(()) => Ok(()),
                Err(_) if decoder.get_ref().full => Err(Undecodable::TooLarge),
                Err(_) => Err(Undecodable::Corrupt),
            },
            Self::Zstd(decoder) => decoder.push(input),
        }
    }

    /// Bytes held: what was decoded, and what decoding needs.
    pub(crate) fn held(&self) -> usize {
        match self {
            Self::Identity(sink) => sink.bytes.len(),
            Self::Gzip(decoder) => decoder.get_ref().bytes.len(),
            Self::Zstd(decoder) => decoder.sink.bytes.len() + decoder.context.sizeof(),
        }
    }

    /// The whole body, once nothing more comes.
    pub(crate) fn finish(self) -> Result<Vec<u8>, Undecodable> {
        match self {
            Self::Identity(sink) => Ok(sink.bytes),
            Self::Gzip(mut decoder) => match decoder.try_finish() {
                Ok(()) => Ok(std::mem::take(&mut decoder.get_mut().bytes)),
                Err(_) if decoder.get_ref().full => Err(Undecodable::TooLarge),
                Err(_) => Err(Undecodable::Truncated),
            },
            Self::Zstd(decoder) if decoder.at_end => Ok(decoder.sink.bytes),
            Self::Zstd(_) => Err(Undecodable::Truncated),
        }
    }
}

impl Zstd {
    fn push(&mut self, input: &[u8]) -> Result<(), Undecodable> {
        let mut input = InBuffer::around(input);
        let mut step = [0; STEP];
        loop {
            let before = input.pos();
            let mut output = OutBuffer::around(&mut step[..]);
            let left = self.context.decompress_stream(&mut output, &mut input);
            let left = left.map_err(|_| Undecodable::Corrupt)?;
            let (written, read) = (output.pos(), input.pos() - before);
            self.sink.take(&step[..written])?;
            if read > 0 || written > 0 {
                self.at_end = left == 0;
            }
            // What fills the buffer may have more behind it, without any more input.
            if input.pos() == input.src.len() && written < STEP {
                return Ok(());
            }
            if read == 0 && written == 0 {
                return Err(Undecodable::Corrupt);
            }
        }
    }
}

/// Bytes up to a bound.
pub(crate) struct Sink {
    bytes: Vec<u8>,
    most: usize,
    full: bool,
}

impl Sink {
    fn new(most: usize) -> Self {
        Self {
            bytes: Vec::new(),
            most,
            full: false,
        }
    }

    fn take(&mut self, more: &[u8]) -> Result<(), Undecodable> {
        let len = self.bytes.len() + more.len();
        if len > self.most {
            self.full = true;
            return Err(Undecodable::TooLarge);
        }
        if len > self.bytes.capacity() {
            // Doubling, but not beyond the bound.
            let wanted = (2 * self.bytes.capacity()).clamp(len, self.most);
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        self.bytes.extend_from_slice(more);
        Ok(())
    }
}

impl std::io::Write for Sink {
    fn write(&mut self, more: &[u8]) -> std::io::Result<usize> {
        match self.take(more) {
            Ok(()) => Ok(more.len()),
            Err(_) => Err(std::io::ErrorKind::FileTooLarge.into()),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        zstd::encode_all(text, 3).unwrap()
    }

    type Encode = fn(&[u8]) -> Vec<u8>;

    const BOTH: [(Coding, Encode); 2] = [(Coding::Gzip, gzip), (Coding::Zstd, zstd)];

    fn decode(coding: Coding, body: &[u8], step: usize) -> Result<Vec<u8>, Undecodable> {
        let mut decoder = Decoder::new(coding, 1 << 20)?;
        for piece in body.chunks(step) {
            decoder.push(piece)?;
        }
        decoder.finish()
    }

    fn text() -> Vec<u8> {
        let lines = (0..2_000).map(|n| format!("{{\"action\":\"door.open\",\"n\":{}}}\n", n * n));
        lines.collect::<String>().into_bytes()
    }

    #[test]
    fn in_pieces_of_every_size() {
        for (coding, encode) in BOTH {
            let body = encode(&text());
            for step in [1, 2, 7, 100, 4_096, body.len()] {
                assert_eq!(decode(coding, &body, step), Ok(text()), "{coding:?} {step}");
            }
        }
    }

    #[test]
    fn several_members_and_frames_are_one_body() {
        for (coding, encode) in BOTH {
            let body = [encode(b"one"), encode(b""), encode(b"two")].concat();
            for step in [1, 5, body.len()] {
                assert_eq!(decode(coding, &body, step), Ok(b"onetwo".to_vec()));
            }
        }
        // RFC 8878 section 3.1.2: a skippable frame.
        let skipped = [&b"\x50\x2a\x4d\x18\x03\0\0\0abc"[..], &zstd(b"one")].concat();
        assert_eq!(decode(Coding::Zstd, &skipped, 2), Ok(b"one".to_vec()));
    }

    #[test]
    fn every_truncation_is_noticed() {
        for (coding, encode) in BOTH {
            let (one, two) = (encode(b"one, and more than one"), encode(b"two"));
            let body = [&one[..], &two].concat();
            for len in (0..body.len()).filter(|len| *len != one.len()) {
                let outcome = decode(coding, &body[..len], 3);
                assert!(outcome.is_err(), "{coding:?} of {len}: {outcome:?}");
            }
        }
    }

    #[test]
    fn no_flipped_bit_gives_another_text() {
        let checked = {
            let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
            encoder.include_checksum(true).unwrap();
            encoder.write_all(&text()[..600]).unwrap();
            encoder.finish().unwrap()
        };
        for (coding, body) in [
            (Coding::Gzip, gzip(&text()[..600])),
            (Coding::Zstd, checked),
        ] {
            for bit in 0..8 * body.len() {
                let mut bad = body.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                if let Ok(decoded) = decode(coding, &bad, 64) {
                    assert_eq!(decoded, &text()[..600], "{coding:?} bit {bit}");
                }
            }
        }
    }

    #[test]
    fn what_follows_the_end_is_no_padding() {
        for (coding, encode) in BOTH {
            let body = [encode(b"one"), b"garbage, and more of it".to_vec()].concat();
            assert!(decode(coding, &body, 3).is_err(), "{coding:?}");
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_bound() {
        for (coding, encode) in BOTH {
            let bomb = encode(&vec![b' '; 8 << 20]);
            let mut decoder = Decoder::new(coding, 1 << 20).unwrap();
            let mut pieces = bomb.chunks(1_024);
            let outcome = pieces.try_for_each(|piece| decoder.push(piece));
            assert_eq!(outcome, Err(Undecodable::TooLarge), "{coding:?}");
            assert!(
                decoder.held() <= (1 << 20) + (9 << 20),
                "{}",
                decoder.held()
            );
            if coding == Coding::Gzip {
                assert!(pieces.len() > bomb.len() / 1_024 / 2, "it was read on");
            }
        }
    }

    #[test]
    fn exactly_the_bound_is_taken() {
        for (coding, encode) in BOTH {
            let most = vec![b' '; 1 << 20];
            assert_eq!(decode(coding, &encode(&most), 64), Ok(most));
            let more = encode(&vec![b' '; (1 << 20) + 1]);
            assert_eq!(decode(coding, &more, 64), Err(Undecodable::TooLarge));
        }
    }

    #[test]
    fn a_zstd_window_has_a_bound() {
        let with_window = |log| {
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(log).unwrap();
            encoder.write_all(&text()).unwrap();
            encoder.finish().unwrap()
        };
        assert_eq!(decode(Coding::Zstd, &with_window(23), 512), Ok(text()));
        let outcome = decode(Coding::Zstd, &with_window(24), 512);
        assert_eq!(outcome, Err(Undecodable::Corrupt));
    }

    #[test]
    fn one_coding_is_read() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CONTENT_ENCODING, HeaderValue::from_static(value));
            }
            Coding::of(&headers).ok()
        };
        for (values, coding) in [
            (&[][..], Some(Coding::Identity)),
            (&[""], Some(Coding::Identity)),
            (&["identity"], Some(Coding::Identity)),
            (&["GZip"], Some(Coding::Gzip)),
            (&["x-gzip"], Some(Coding::Gzip)),
            (&["identity, zstd"], Some(Coding::Zstd)),
            (&["gzip, gzip"], None),
            (&["gzip", "zstd"], None),
            (&["br"], None),
            (&["deflate"], None),
            (&["gzip;q=1"], None),
        ] {
            assert_eq!(of(values), coding, "{values:?}");
        }
    }
}
