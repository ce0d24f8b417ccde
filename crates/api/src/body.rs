//! Request bodies: bounded each, and bounded together.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Shared;
use crate::encoding::{Coding, Decoder, Undecodable};
use crate::problem::{Problem, Slug};

/// So much of a body is decoded at once: a thousand times this at worst.
const PIECE: usize = 1 << 10;
/// After so many bytes other requests get their turn.
const TURN: usize = 1 << 20;

/// A body in memory. What it counts against the bound is given back when it is dropped.
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    _permit: Option<OwnedSemaphorePermit>,
}

/// How entries are written in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One object, or an array of them.
    Json,
    /// One object a line.
    Lines,
}

/// The form that the headers name.
pub(crate) fn form(headers: &HeaderMap) -> Result<Form, Problem> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let given = types.next().and_then(|value| value.to_str().ok());
    // Two of them may be read in two ways.
    let given = given.filter(|_| types.next().is_none());
    let mut parts = given.unwrap_or_default().split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
    let utf8 = parts.all(|parameter| {
        let Some((name, value)) = parameter.split_once('=') else {
            return parameter.is_empty();
        };
        !name.eq_ignore_ascii_case("charset")
            || value.trim_matches('"').eq_ignore_ascii_case("utf-8")
    });
    match media_type.as_str() {
        "application/json" if utf8 => Ok(Form::Json),
        "application/x-ndjson" if utf8 => Ok(Form::Lines),
        _ => Err(Problem::new(
            Slug::UnsupportedMediaType,
            "Send Content-Type: application/json for an entry or an array of entries, or \
             application/x-ndjson for one entry a line, in UTF-8.",
        )),
    }
}

impl Shared {
    /// Reads a body and decodes it. Memory is taken as bytes arrive, never for what is only
    /// announced.
    pub(crate) async fn read_body(&self, headers: &HeaderMap, body: Body) -> Result<Held, Problem> {
        let coding = Coding::of(headers)?;
        let most = self.api.settings.body_bytes;
        let announced = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok());
        if announced
            .and_then(|len| len.parse::<u64>().ok())
            .is_some_and(|len| len > most as u64)
        {
            return Err(too_large(most));
        }
        let reading = self.collect(body, coding);
        match tokio::time::timeout(self.api.settings.request_time, reading).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Problem::new(
                Slug::IncompleteBody,
                "The body did not arrive in time; send smaller requests, or faster.",
            )),
        }
    }

    async fn collect(&self, mut body: Body, coding: Coding) -> Result<Held, Problem> {
        let settings = &self.api.settings;
        let decoded_most = match coding {
            Coding::Identity => settings.body_bytes,
            Coding::Gzip | Coding::Zstd => settings.decoded_bytes,
        };
        let refused = |why| undecodable(why, coding, decoded_most);
        let mut decoder = Decoder::new(coding, decoded_most).map_err(refused)?;
        let mut place = Place {
            bodies: &self.bodies,
            permit: None,
            held: 0,
        };
        let (mut arrived, mut turn) = (0, 0);
        loop {
            let frame = tokio::time::timeout(settings.body_stall, body.frame()).await;
            let Some(frame) = frame.map_err(|_| stalled(settings.body_stall))? else {
                break;
            };
            let frame = frame.map_err(|error| broken(&error))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            arrived += data.len();
            if arrived > settings.body_bytes {
                return Err(too_large(settings.body_bytes));
            }
            for piece in data.chunks(PIECE) {
                decoder.push(piece).map_err(refused)?;
                place.hold(decoder.held())?;
                if decoder.held() > turn + TURN {
                    turn = decoder.held();
                    tokio::task::yield_now().await;
                }
            }
        }
        Ok(Held {
            bytes: decoder.finish().map_err(refused)?.into(),
            _permit: place.permit,
        })
    }
}

/// A part of the memory for bodies.
struct Place<'a> {
    bodies: &'a Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
    /// Kibibytes.
    held: usize,
}

impl Place<'_> {
    /// Makes it large enough for so many bytes.
    fn hold(&mut self, bytes: usize) -> Result<(), Problem> {
        let kibibytes = bytes.div_ceil(1024);
        let more = u32::try_from(kibibytes.saturating_sub(self.held)).unwrap_or(u32::MAX);
        if more == 0 {
            return Ok(());
        }
        let taken = Arc::clone(self.bodies).try_acquire_many_owned(more);
        let taken = taken.map_err(|_| {
            Problem::new(
                Slug::IntakeFull,
                "Too much is arriving at once; nothing of this was stored. Send it again.",
            )
        })?;
        match &mut self.permit {
            Some(permit) => permit.merge(taken),
            None => self.permit = Some(taken),
        }
        self.held = kibibytes;
        Ok(())
    }
}

fn too_large(most: usize) -> Problem {
    Problem::new(
        Slug::BodyTooLarge,
        format!("The body is larger than {most} bytes; send fewer entries at once."),
    )
}

/// A body that broke off, or whose chunks are none (RFC 9112, section 7.1).
fn broken(error: &axum::Error) -> Problem {
    tracing::debug!(%error, "a body broke off");
    let mut causes = std::iter::successors(std::error::Error::source(error), |one| one.source());
    let malformed = causes.any(|cause| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        matches!(kind, Some(ErrorKind::InvalidInput | ErrorKind::InvalidData))
    });
    if malformed {
        let detail = "The body's chunks are not those of Transfer-Encoding: chunked; nothing of it \
            was stored. Each begins with its size in hexadecimal digits, and ends with CRLF.";
        return Problem::new(Slug::MalformedRequest, detail);
    }
    let detail = "The body broke off; nothing was stored. Send all of it.";
    Problem::new(Slug::IncompleteBody, detail)
}

fn stalled(stall: Duration) -> Problem {
    let detail = format!(
        "Nothing of the body came for {} s, so the rest was not waited for; send all of it again.",
        stall.as_secs_f32()
    );
    Problem::new(Slug::IncompleteBody, detail)
}

fn undecodable(why: Undecodable, coding: Coding, most: usize) -> Problem {
    let name = match coding {
        Coding::Identity => "what it should be",
        Coding::Gzip => "gzip",
        Coding::Zstd => "zstd with windows of up to 8 MiB",
    };
    match why {
        Undecodable::TooLarge if coding == Coding::Identity => too_large(most),
        Undecodable::TooLarge => Problem::new(
            Slug::BodyTooLarge,
            format!(
                "The body is larger than {most} bytes when decoded; send fewer entries at once."
            ),
        ),
        Undecodable::Corrupt => Problem::new(
            Slug::InvalidEncoding,
            format!("The body is not {name}; nothing of it was stored. Encode it again."),
        ),
        Undecodable::Truncated => Problem::new(
            Slug::InvalidEncoding,
            format!(
                "The body ends before its {name} does; nothing of it was stored. Send all of it."
            ),
        ),
    }
}
