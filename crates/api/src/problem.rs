//! Problem documents, RFC 9457.

use std::fmt::Write as _;

use audittrail_auth::{AuthError, Denied};
use audittrail_entry::Violation;
use audittrail_store::{ParameterError, StoreError, StoreErrorKind};
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

/// An answer lists so many errors at most.
pub(crate) const ERRORS_LISTED: usize = 100;

macro_rules! slugs {
    ($($name:ident $slug:literal $status:ident $title:literal)*) => {
        /// The kinds of problems; docs/api.md has the same table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Slug { $($name,)* }

        impl Slug {
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];

            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }

            pub(crate) fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            pub(crate) fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

slugs! {
    MalformedRequest "malformed-request" BAD_REQUEST "The request is no proper HTTP"
    InvalidEntry "invalid-entry" BAD_REQUEST "The entries cannot be taken as they are"
    InvalidParameter "invalid-parameter" BAD_REQUEST "A parameter cannot be used"
    InvalidHeader "invalid-header" BAD_REQUEST "A header cannot be used"
    IncompleteBody "incomplete-body" BAD_REQUEST "The body did not arrive"
    InvalidEncoding "invalid-encoding" BAD_REQUEST "The body cannot be decoded"
    Unauthenticated "unauthenticated" UNAUTHORIZED "A valid token is needed"
    Forbidden "forbidden" FORBIDDEN "The token does not allow this"
    NotFound "not-found" NOT_FOUND "There is no such thing"
    MethodNotAllowed "method-not-allowed" METHOD_NOT_ALLOWED "The path does not take this method"
    NotAcceptable "not-acceptable" NOT_ACCEPTABLE "The answer has no accepted form"
    IdConflict "id-conflict" CONFLICT "An id is taken"
    BodyTooLarge "body-too-large" PAYLOAD_TOO_LARGE "The body is too large"
    UriTooLong "uri-too-long" URI_TOO_LONG "The path is too long"
    UnsupportedMediaType "unsupported-media-type" UNSUPPORTED_MEDIA_TYPE "The body has a form that is not read here"
    KeyReused "idempotency-key-reused" UNPROCESSABLE_ENTITY "The Idempotency-Key was used for another entry"
    Damaged "damaged" INTERNAL_SERVER_ERROR "What is kept of the log is damaged here"
    RateLimited "rate-limited" TOO_MANY_REQUESTS "Too many requests"
    TooManyStreams "too-many-streams" TOO_MANY_REQUESTS "The caller has too many streams open"
    StreamsFull "streams-full" SERVICE_UNAVAILABLE "Too many streams are open"
    IntakeFull "intake-full" SERVICE_UNAVAILABLE "The intake is full"
    Unavailable "unavailable" SERVICE_UNAVAILABLE "The server cannot do this now"
    KeysUnavailable "keys-unavailable" SERVICE_UNAVAILABLE "The token cannot be checked now"
    NotReady "not-ready" SERVICE_UNAVAILABLE "The server is not ready"
    OutcomeUnknown "outcome-unknown" GATEWAY_TIMEOUT "It is not known whether the entries were stored"
}

/// One error of several.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ErrorItem {
    /// JSON pointer, from the root of the body or of its line.
    pub(crate) pointer: Option<String>,
    pub(crate) parameter: Option<String>,
    /// The line of an NDJSON body, from 1.
    pub(crate) line: Option<usize>,
    pub(crate) detail: String,
}

impl ErrorItem {
    pub(crate) fn at(line: Option<usize>, violation: &Violation) -> Self {
        Self {
            pointer: Some(fragment(&violation.pointer)),
            parameter: None,
            line,
            detail: violation.detail.clone(),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut item = Map::new();
        if let Some(line) = self.line {
            item.insert("line".to_owned(), json!(line));
        }
        if let Some(pointer) = &self.pointer {
            item.insert("pointer".to_owned(), json!(pointer));
        }
        if let Some(parameter) = &self.parameter {
            item.insert("parameter".to_owned(), json!(parameter));
        }
        item.insert("detail".to_owned(), json!(self.detail));
        Value::Object(item)
    }
}

/// A JSON pointer as a URI fragment, RFC 6901 section 6.
fn fragment(pointer: &str) -> String {
    let mut text = String::with_capacity(pointer.len() + 1);
    text.push('#');
    for byte in pointer.bytes() {
        // RFC 3986: what may stand in a fragment as it is.
        let plain = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&byte);
        if plain {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// An answer that is no success. It becomes a response when the request's id is known.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    slug: Slug,
    detail: String,
    errors: Vec<ErrorItem>,
    members: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem with a sentence that says what to do.
    pub(crate) fn new(slug: Slug, detail: impl Into<String>) -> Self {
        let mut headers = Vec::new();
        if slug.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.push((header::RETRY_AFTER, HeaderValue::from_static("1")));
        }
        let detail = detail.into();
        Self {
            slug,
            detail,
            errors: Vec::new(),
            members: Map::new(),
            headers,
        }
    }

    /// A parameter that cannot be used.
    pub(crate) fn parameter(name: &str, detail: impl Into<String>) -> Self {
        let error = ParameterError {
            parameter: name.to_owned(),
            detail: detail.into(),
        };
        Self::parameters(&[error])
    }

    /// Parameters that cannot be used.
    pub(crate) fn parameters(errors: &[ParameterError]) -> Self {
        let detail = errors.first().map(ToString::to_string).unwrap_or_default();
        let errors = errors.iter().map(|error| ErrorItem {
            parameter: Some(error.parameter.clone()),
            detail: error.detail.clone(),
            ..ErrorItem::default()
        });
        Self::new(Slug::InvalidParameter, detail).with_errors(errors.collect())
    }

    pub(crate) fn with_errors(mut self, mut errors: Vec<ErrorItem>) -> Self {
        errors.truncate(ERRORS_LISTED);
        self.errors = errors;
        self
    }

    pub(crate) fn slug(&self) -> Slug {
        self.slug
    }

    /// Adds a member of our own.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.members.insert(name.to_owned(), value);
        self
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// The document, without what belongs to an answer of its own.
    pub(crate) fn document(&self) -> Map<String, Value> {
        let mut document = Map::new();
        let slug = self.slug.as_str();
        document.insert(
            "type".to_owned(),
            json!(format!("urn:audittrail:problem:{slug}")),
        );
        document.insert("title".to_owned(), json!(self.slug.title()));
        document.insert("status".to_owned(), json!(self.slug.status().as_u16()));
        document.insert("detail".to_owned(), json!(self.detail));
        if !self.errors.is_empty() {
            let errors = self.errors.iter().map(ErrorItem::to_json).collect();
            document.insert("errors".to_owned(), Value::Array(errors));
        }
        document.extend(self.members.clone());
        document
    }

    /// The response. HTTP/1.1 and HTTP/2 alike, `instance` names the request.
    pub(crate) fn render(&self, request_id: &str) -> Response {
        let mut document = self.document();
        document.insert(
            "instance".to_owned(),
            json!(format!("urn:audittrail:request:{request_id}")),
        );
        let body = Body::from(Value::Object(document).to_string());
        let mut response = (self.slug.status(), body).into_response();
        let headers = response.headers_mut();
        let media_type = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, media_type);
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        response
    }
}

impl IntoResponse for Problem {
    /// Leaves the rendering to the layer that knows the request's id.
    fn into_response(self) -> Response {
        let mut response = self.slug.status().into_response();
        response.extensions_mut().insert(std::sync::Arc::new(self));
        response
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        // RFC 6750 section 3: no error code where there was no token.
        let challenge = match error {
            AuthError::KeysUnavailable => {
                let detail = format!("{error} Try again later; the server's log says why.");
                return Self::new(Slug::KeysUnavailable, detail);
            }
            AuthError::Missing => "Bearer realm=\"audittrail\"".to_owned(),
            _ => format!(
                "Bearer realm=\"audittrail\", error=\"invalid_token\", error_description=\"{error}\""
            ),
        };
        let advice = match error {
            AuthError::Missing => "Send it as: Authorization: Bearer <token>",
            _ => "Send another: one that `audittrail token` made for this server, or its issuer.",
        };
        let detail = format!("{error} {advice}");
        Self::new(Slug::Unauthenticated, detail).with_header(header::WWW_AUTHENTICATE, &challenge)
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let scope = denied.missing.as_str();
        let challenge =
            format!("Bearer realm=\"audittrail\", error=\"insufficient_scope\", scope=\"{scope}\"");
        Self::new(Slug::Forbidden, denied.detail)
            .with("scope", json!(scope))
            .with_header(header::WWW_AUTHENTICATE, &challenge)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        // Paths and causes are for the operator.
        let kind = error.kind();
        tracing::error!(%error, ?kind, "the store did not answer");
        let detail = match kind {
            StoreErrorKind::Building => {
                let message = error.to_string();
                return Self::new(Slug::Unavailable, sentence(&message));
            }
            StoreErrorKind::Invalid => "The log has changed under this request; start it again.",
            StoreErrorKind::Unavailable | StoreErrorKind::Led | StoreErrorKind::Fatal => {
                "The store cannot answer now; try again later. The server's log says why."
            }
        };
        Self::new(Slug::Unavailable, detail)
    }
}

/// A message as the other details are written.
fn sentence(message: &str) -> String {
    let mut chars = message.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_becomes_a_uri_fragment() {
        let violation = Violation::new("/details/a b/ü", "is wrong");
        let item = ErrorItem::at(Some(3), &violation);
        assert_eq!(item.pointer.as_deref(), Some("#/details/a%20b/%C3%BC"));
        assert_eq!(item.line, Some(3));
    }

    #[test]
    fn the_documentation_has_every_slug() {
        let docs = include_str!("../../../docs/api.md");
        for slug in Slug::ALL {
            let row = format!("| `{}` | {} |", slug.as_str(), slug.status().as_u16());
            assert!(docs.contains(&row), "docs/api.md lacks the row {row}");
        }
    }
}
