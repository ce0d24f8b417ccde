//! `GET /docs/`: a page that shows the interface and lets one try it.
//!
//! It is Swagger UI, within the binary: the page loads nothing from another host, and its content
//! security policy lets it send nothing there. Whoever pastes a token into it gives it to this
//! server alone.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read as _;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as FromState};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use flate2::read::GzDecoder;
use utoipa_swagger_ui::{Config, serve};

use crate::State;
use crate::compression::takes_gzip;
use crate::openapi::Fixed;
use crate::openapi::parameters::{IfNoneMatch, RequestId};
use crate::problem::{Problem, Slug};

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// Files of our own, and their media types.
const OWN: [(&str, &str, &[u8]); 3] = [
    (PAGE, HTML, include_bytes!("docs_page/index.html")),
    ("start.js", SCRIPT, include_bytes!("docs_page/start.js")),
    ("page.css", STYLE, include_bytes!("docs_page/page.css")),
];
/// Files of Swagger UI.
const THEIRS: [(&str, &str); 3] = [
    ("swagger-ui-bundle.js", SCRIPT),
    ("swagger-ui.css", STYLE),
    ("favicon-32x32.png", "image/png"),
];
const PAGE: &str = "index.html";

/// Sent with every file. Icons of the style sheet are `data:` images.
const GUARDS: [(HeaderName, &str); 3] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// The files of the page.
pub(crate) struct Page(HashMap<&'static str, File>);

struct File {
    media_type: &'static str,
    body: Fixed,
    gzipped: bool,
}

impl Page {
    pub(crate) fn new() -> Self {
        let config = Arc::new(Config::default());
        let own = OWN.into_iter().map(|(name, media_type, bytes)| {
            let body = Fixed::new(bytes);
            (
                name,
                File {
                    media_type,
                    body,
                    gzipped: false,
                },
            )
        });
        let theirs = THEIRS.into_iter().filter_map(|(name, media_type)| {
            let file = serve(name, Arc::clone(&config)).ok().flatten()?;
            let gzipped = file.bytes.starts_with(b"\x1f\x8b");
            let body = match file.bytes {
                Cow::Borrowed(bytes) => Fixed::new(bytes),
                Cow::Owned(bytes) => Fixed::new(bytes),
            };
            Some((
                name,
                File {
                    media_type,
                    body,
                    gzipped,
                },
            ))
        });
        Self(own.chain(theirs).collect())
    }

    fn answer(&self, name: &str, headers: &HeaderMap) -> Result<Response, Problem> {
        let Some(file) = self.0.get(name) else {
            let detail = "The page has no such file; it is at /docs/.";
            return Err(Problem::new(Slug::NotFound, detail));
        };
        let answer = file.body.answer(file.media_type, headers);
        let answer = match file.gzipped && answer.status() == StatusCode::OK {
            false => answer,
            true if takes_gzip(headers) => {
                let coding = [
                    (header::CONTENT_ENCODING, "gzip"),
                    (header::VARY, "accept-encoding"),
                ];
                (coding, answer).into_response()
            }
            true => file
                .body
                .with_bytes(unzipped(file.body.bytes()), file.media_type),
        };
        Ok((GUARDS, answer).into_response())
    }
}

/// What the build compressed.
fn unzipped(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let read = GzDecoder::new(bytes).read_to_end(&mut plain);
    read.expect("the build compressed it");
    plain
}

/// A page to read and to try this on
///
/// It needs no token itself.
#[utoipa::path(
    get, path = "/docs/", operation_id = "docs", tag = "description",
    params(RequestId, IfNoneMatch),
    responses(
        (status = 200, description = "The page.", body = String, content_type = "text/html",
            headers(("ETag" = String, description = "Changes with the page."))),
        (status = 304, description = "The client has it.",
            headers(("ETag" = String, description = "As sent."))),
        (status = 308, description = "The page is at the path with the slash.",
            headers(("Location" = String, description = "The page.")))
    )
)]
pub(crate) async fn page(
    FromState(shared): FromState<State>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if uri.path().ends_with('/') {
        return shared.page.get_or_init(Page::new).answer(PAGE, &headers);
    }
    // Relative, so that it holds whatever stands before it; the page's links need the slash.
    let to = [(header::LOCATION, "docs/")];
    Ok((StatusCode::PERMANENT_REDIRECT, to).into_response())
}

/// A file of that page
#[utoipa::path(
    get, path = "/docs/{file}", operation_id = "docs_file", tag = "description",
    params(
        ("file" = String, Path, description = "Its name.", example = "start.js"),
        RequestId, IfNoneMatch
    ),
    responses(
        (status = 200, description = "The file.", content(
            (String = "text/html"), (String = "text/javascript"), (String = "text/css"),
            (String = "image/png")
        ), headers(("ETag" = String, description = "Changes with the file."))),
        (status = 304, description = "The client has it.",
            headers(("ETag" = String, description = "As sent.")))
    )
)]
pub(crate) async fn file(
    FromState(shared): FromState<State>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let name = path.map(|Path(name)| name).unwrap_or_default();
    shared.page.get_or_init(Page::new).answer(&name, &headers)
}
