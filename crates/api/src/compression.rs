//! Compressed answers, where the client asks for them: zstd or gzip, streams included.

use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::{Buf as _, Bytes};
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body::Frame;

/// Shorter answers fit in one packet as they are.
const SHORTEST: u64 = 1_024;
/// So much is compressed before another task gets its turn.
const TURN: usize = 256 << 10;
/// Output is passed on in pieces of about this size.
const PIECE: usize = 16 << 10;
/// Fast and still about a fifth of the size: entries repeat their member names.
const ZSTD_LEVEL: i32 = 1;
const GZIP_LEVEL: u32 = 2;

/// An extension of answers that gain by compression although their media type does not tell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compressible;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Zstd,
}

/// Compresses the answer if the client takes that and its body gains by it.
pub(crate) async fn compress(request: Request, next: Next) -> Response {
    let coding = negotiate(request.headers());
    let response = next.run(request).await;
    if !is_text(&response) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // The same request with another Accept-Encoding has another answer, and caches have to know.
    vary(&mut parts.headers);
    let short = body.size_hint().upper().is_some_and(|len| len < SHORTEST);
    let Some(coding) = coding.filter(|_| !short) else {
        return Response::from_parts(parts, body);
    };
    let encoder = match coding {
        Coding::Gzip => Encoder::gzip(),
        Coding::Zstd => match Encoder::zstd() {
            Ok(encoder) => encoder,
            Err(error) => {
                tracing::warn!(%error, "an answer is not compressed");
                return Response::from_parts(parts, body);
            }
        },
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::ACCEPT_RANGES);
    let name = match coding {
        Coding::Gzip => "gzip",
        Coding::Zstd => "zstd",
    };
    let name = HeaderValue::from_static(name);
    parts.headers.insert(header::CONTENT_ENCODING, name);
    weaken(&mut parts.headers);
    let body = Compressed {
        body,
        encoder: Some(encoder),
        input: Bytes::new(),
        unflushed: false,
    };
    Response::from_parts(parts, Body::new(body))
}

/// A whole answer of text that is not encoded yet.
fn is_text(response: &Response) -> bool {
    let headers = response.headers();
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim();
    let text = match media_type.split_once('/') {
        _ if response.extensions().get::<Compressible>().is_some() => true,
        Some(("text", subtype)) => subtype != "event-stream",
        Some(("application", subtype)) => {
            ["json", "x-ndjson"].contains(&subtype) || subtype.ends_with("+json")
        }
        _ => false,
    };
    let whole = ![StatusCode::PARTIAL_CONTENT, StatusCode::NO_CONTENT].contains(&response.status())
        && response.status() != StatusCode::NOT_MODIFIED;
    let fixed = headers.get_all(header::CACHE_CONTROL).iter().any(|value| {
        value
            .as_bytes()
            .windows(12)
            .any(|part| part == b"no-transform")
    });
    text && whole && !fixed && !headers.contains_key(header::CONTENT_ENCODING)
}

fn vary(headers: &mut HeaderMap) {
    let named = headers.get_all(header::VARY).iter().any(|value| {
        let names = value.to_str().unwrap_or_default().split(',').map(str::trim);
        names
            .into_iter()
            .any(|name| name == "*" || name.eq_ignore_ascii_case("accept-encoding"))
    });
    if !named {
        headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
}

/// RFC 9110 section 8.8.1: a strong validator is of these bytes, and they change.
fn weaken(headers: &mut HeaderMap) {
    let strong = headers
        .get(header::ETAG)
        .filter(|etag| !etag.as_bytes().starts_with(b"W/"));
    let weak =
        strong.and_then(|etag| HeaderValue::from_bytes(&[b"W/", etag.as_bytes()].concat()).ok());
    if let Some(weak) = weak {
        headers.insert(header::ETAG, weak);
    }
}

/// Whether the client takes gzip at all.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    weights(headers).gzip > 0.0
}

/// The coding that the client likes best, zstd where it likes both the same; none where it
/// prefers the answer as it is.
fn negotiate(headers: &HeaderMap) -> Option<Coding> {
    let Weights {
        zstd,
        gzip,
        identity,
    } = weights(headers);
    let (coding, weight) = if zstd >= gzip {
        (Coding::Zstd, zstd)
    } else {
        (Coding::Gzip, gzip)
    };
    (weight > 0.0 && weight >= identity).then_some(coding)
}

/// How much a client wants each coding, from 0 to 1.
struct Weights {
    zstd: f32,
    gzip: f32,
    identity: f32,
}

/// RFC 9110 section 12.5.3.
fn weights(headers: &HeaderMap) -> Weights {
    let (mut gzip, mut zstd, mut any, mut identity) = (None, None, None, None);
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    for item in values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
    {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let weight = weight.map_or(Some(1.0), |q| q.parse::<f32>().ok());
        // A weight that cannot be read is no wish.
        let weight = weight.filter(|q| (0.0..=1.0).contains(q)).unwrap_or(0.0);
        match name.as_str() {
            "gzip" | "x-gzip" => gzip = Some(weight),
            "zstd" => zstd = Some(weight),
            "*" => any = Some(weight),
            "identity" => identity = Some(weight),
            _ => {}
        }
    }
    let [zstd, gzip] = [zstd, gzip].map(|weight| weight.or(any).unwrap_or(0.0));
    let identity = identity.unwrap_or(0.0);
    Weights {
        zstd,
        gzip,
        identity,
    }
}

enum Encoder {
    Gzip(Box<GzEncoder<Vec<u8>>>),
    Zstd(Box<zstd::Encoder<'static, Vec<u8>>>),
}

impl Encoder {
    fn gzip() -> Self {
        let encoder = GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL));
        Self::Gzip(Box::new(encoder))
    }

    fn zstd() -> std::io::Result<Self> {
        let mut encoder = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
        // What is cut off on its way has to show.
        encoder.include_checksum(true)?;
        Ok(Self::Zstd(Box::new(encoder)))
    }

    fn write(&mut self, input: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.write_all(input),
            Self::Zstd(encoder) => encoder.write_all(input),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }

    fn output(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        }
    }

    fn finish(self) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

/// A body that is compressed as it is sent. One that breaks off breaks off here, too: it gets
/// no end that a decoder would take.
struct Compressed {
    body: Body,
    /// None after the end.
    encoder: Option<Encoder>,
    /// What came and is not compressed yet.
    input: Bytes,
    unflushed: bool,
}

impl HttpBody for Compressed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let Some(encoder) = &mut this.encoder else {
            return Poll::Ready(None);
        };
        let mut done = 0;
        loop {
            if encoder.output().len() >= PIECE {
                let piece = std::mem::take(encoder.output());
                return Poll::Ready(Some(Ok(Frame::data(piece.into()))));
            }
            if done >= TURN {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !this.input.is_empty() {
                let len = this.input.len().min(PIECE);
                encoder
                    .write(&this.input[..len])
                    .map_err(axum::Error::new)?;
                this.input.advance(len);
                this.unflushed = true;
                done += len;
                continue;
            }
            match Pin::new(&mut this.body).poll_frame(context) {
                Poll::Pending if this.unflushed => {
                    // Whoever reads a slow stream gets what there is.
                    encoder.flush().map_err(axum::Error::new)?;
                    this.unflushed = false;
                    let piece = std::mem::take(encoder.output());
                    return Poll::Ready(Some(Ok(Frame::data(piece.into()))));
                }
                poll => match ready!(poll) {
                    Some(frame) => match frame?.into_data() {
                        Ok(data) => this.input = data,
                        Err(_) => continue,
                    },
                    None => break,
                },
            }
        }
        let last = this.encoder.take().map(Encoder::finish);
        let last = last
            .transpose()
            .map_err(axum::Error::new)?
            .unwrap_or_default();
        Poll::Ready(Some(Ok(Frame::data(last.into()))))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::Read as _;

    use http_body_util::BodyExt as _;

    use super::*;

    fn asked(value: &'static str) -> Option<Coding> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
        negotiate(&headers)
    }

    #[test]
    fn what_the_client_likes_best() {
        let (gzip, zstd) = (Some(Coding::Gzip), Some(Coding::Zstd));
        for (value, coding) in [
            ("", None),
            ("br", None),
            ("gzip", gzip),
            ("X-GZIP", gzip),
            ("gzip, deflate, br, zstd", zstd),
            ("gzip;q=1.0, zstd;q=0.5", gzip),
            ("gzip; q=0.2, zstd;q=0.2", zstd),
            ("zstd;q=0, gzip", gzip),
            ("gzip;q=0", None),
            ("*", zstd),
            ("*;q=0", None),
            ("gzip, *;q=0", gzip),
            ("identity", None),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.1, gzip;q=0.5", gzip),
            ("gzip;q=nonsense", None),
            ("gzip;q=7", None),
        ] {
            assert_eq!(asked(value), coding, "{value}");
        }
        assert_eq!(negotiate(&HeaderMap::new()), None);
    }

    /// A body of steps: a piece, a wait (none), or a failure.
    struct Steps(VecDeque<Option<Result<&'static [u8], &'static str>>>);

    impl HttpBody for Steps {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
            match self.0.pop_front() {
                None => Poll::Ready(None),
                Some(None) => {
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
                Some(Some(Ok(piece))) => Poll::Ready(Some(Ok(Frame::data(piece.into())))),
                Some(Some(Err(error))) => Poll::Ready(Some(Err(axum::Error::new(error)))),
            }
        }
    }

    fn compressed(
        encoder: Encoder,
        steps: Vec<Option<Result<&'static [u8], &'static str>>>,
    ) -> Compressed {
        Compressed {
            body: Body::new(Steps(steps.into())),
            encoder: Some(encoder),
            input: Bytes::new(),
            unflushed: false,
        }
    }

    #[tokio::test]
    async fn a_slow_stream_is_flushed_and_a_broken_one_has_no_end() {
        for zstd in [true, false] {
            let encoder = || {
                if zstd {
                    Encoder::zstd().unwrap()
                } else {
                    Encoder::gzip()
                }
            };
            let mut body = compressed(encoder(), vec![Some(Ok(b"one ")), None, Some(Ok(b"two"))]);
            let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
            let mut text = vec![0; 4];
            let mut reader: Box<dyn std::io::Read> = if zstd {
                Box::new(zstd::Decoder::new(&first[..]).unwrap())
            } else {
                Box::new(flate2::read::GzDecoder::new(&first[..]))
            };
            reader.read_exact(&mut text).unwrap();
            assert_eq!(text, b"one ");
            assert!(body.frame().await.unwrap().is_ok() && body.frame().await.is_none());

            let mut broken = compressed(encoder(), vec![Some(Ok(b"one ")), None, Some(Err("no"))]);
            assert!(broken.frame().await.unwrap().is_ok());
            assert!(broken.frame().await.unwrap().is_err());
        }
    }

    #[test]
    fn validators_and_caches() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ETAG, HeaderValue::from_static("\"a\""));
        headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        for _ in 0..2 {
            weaken(&mut headers);
            vary(&mut headers);
        }
        assert_eq!(headers[header::ETAG], "W/\"a\"");
        let vary: Vec<_> = headers.get_all(header::VARY).iter().collect();
        assert_eq!(vary, ["Accept", "accept-encoding"]);
    }
}
