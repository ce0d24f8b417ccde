//! Request bodies: bounded each, and bounded together.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::sync::OwnedSemaphorePermit;

use crate::Shared;
use crate::problem::{Problem, Slug};

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
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let detail = "The body is encoded in a way that is not read here; send it as it is.";
        return Err(Problem::new(Slug::UnsupportedMediaType, detail)
            .with_header(header::ACCEPT_ENCODING, "identity"));
    }
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
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
    /// Reads a body. Memory is taken as bytes arrive, never for what is only announced.
    pub(crate) async fn read_body(&self, headers: &HeaderMap, body: Body) -> Result<Held, Problem> {
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
        let reading = self.collect(body, most);
        match tokio::time::timeout(self.api.settings.request_time, reading).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Problem::new(
                Slug::IncompleteBody,
                "The body did not arrive in time; send smaller requests, or faster.",
            )),
        }
    }

    async fn collect(&self, mut body: Body, most: usize) -> Result<Held, Problem> {
        let mut bytes = Vec::new();
        let mut permit: Option<OwnedSemaphorePermit> = None;
        let mut held = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                tracing::debug!(%error, "a body broke off");
                Problem::new(
                    Slug::IncompleteBody,
                    "The body broke off; nothing was stored.",
                )
            })?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if bytes.len() + data.len() > most {
                return Err(too_large(most));
            }
            let kibibytes = (bytes.len() + data.len()).div_ceil(1024);
            let more = u32::try_from(kibibytes - held).unwrap_or(u32::MAX);
            if more > 0 {
                let taken = Arc::clone(&self.bodies).try_acquire_many_owned(more);
                let taken = taken.map_err(|_| {
                    Problem::new(
                        Slug::IntakeFull,
                        "Too much is arriving at once; nothing of this was stored. Send it again.",
                    )
                })?;
                match &mut permit {
                    Some(permit) => permit.merge(taken),
                    None => permit = Some(taken),
                }
                held = kibibytes;
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Held {
            bytes: bytes.into(),
            _permit: permit,
        })
    }
}

fn too_large(most: usize) -> Problem {
    Problem::new(
        Slug::BodyTooLarge,
        format!("The body is larger than {most} bytes; send fewer entries at once."),
    )
}
