//! `GET /openapi.json`: the interface as OpenAPI 3.1, made of the annotations of handlers, of the
//! list of endpoints, and of the words and slugs that the code itself works with.

pub(crate) mod parameters;
pub(crate) mod problems;
pub(crate) mod schemas;
#[cfg(test)]
mod tests;

use audittrail_auth::{Role, Scope};
use audittrail_merkle::leaf_hash;
use axum::extract::State as FromState;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, Paths};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, PathItem, RefOr, ServerBuilder};
use utoipa_axum::router::UtoipaMethodRouter;

use crate::problem::Slug;
use crate::routes::{Endpoint, Needs};
use crate::settings::ApiSettings;
use crate::{State, routes};

const BEARER: &str = "bearer";
const REQUEST_ID: &str = "X-Request-Id";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "AuditTrail",
        description = "An audit log whose entries cannot be changed unnoticed. Every path but \
            `/checkpoint` and those of tiles works with and without its trailing slash. Errors are problem documents (RFC 9457). Answers \
            of a kilobyte and more are compressed where `Accept-Encoding` asks for it.",
        license(name = "MIT", identifier = "MIT")
    ),
    tags(
        (name = "entries", description = "Sending and reading entries"),
        (name = "proofs", description = "What shows to anybody that nothing was changed"),
        (name = "health", description = "For container health checks and Prometheus"),
        (name = "description", description = "This description")
    ),
    components(schemas(
        schemas::NewEntry, schemas::Entry, schemas::Receipt, schemas::BatchReceipt,
        schemas::ShortReceipt, schemas::Queued, schemas::QueuedBatch, schemas::QueuedId,
        schemas::Rejected, schemas::ProblemError
    ))
)]
struct Base;

/// The document of a server with these settings.
pub(crate) fn document(settings: &ApiSettings) -> Document {
    let mut document = Base::openapi();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    document.servers = Some(vec![server(settings)]);
    let mut components = document.components.take().unwrap_or_default();
    let mut paths = Paths::new();
    for endpoint in routes::endpoints(settings) {
        let Endpoint {
            handler: (schemas, own, _),
            ..
        } = &endpoint;
        components.schemas.extend(schemas.iter().cloned());
        for (path, item) in &own.paths {
            let completed = complete(item.clone(), &endpoint);
            if let Some(alias) = endpoint.alias {
                paths
                    .paths
                    .insert(alias.to_owned(), aliased(completed.clone(), path));
            }
            paths.paths.insert(path.clone(), completed);
        }
    }
    if settings.serves_metrics {
        let (_, own, _): UtoipaMethodRouter<()> = utoipa_axum::routes!(metrics);
        let outside =
            (!settings.base_path.is_empty()).then(|| vec![ServerBuilder::new().url("/").build()]);
        for (path, item) in own.paths {
            let mut item = item;
            item.servers.clone_from(&outside);
            paths.paths.insert(path, item);
        }
    }
    document.paths = paths;
    components
        .schemas
        .insert(problems::SCHEMA.to_owned(), problems::schema());
    for slug in Slug::ALL {
        let response = problems::response(&[*slug]);
        components
            .responses
            .insert(slug.as_str().to_owned(), response.into());
    }
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some(scheme_description()))
        .build();
    components
        .security_schemes
        .insert(BEARER.to_owned(), SecurityScheme::Http(scheme).into());
    document.components = Some(components);
    document
}

fn server(settings: &ApiSettings) -> utoipa::openapi::Server {
    let root = crate::address::root(settings);
    let url = if root.is_empty() { "/" } else { root };
    ServerBuilder::new().url(url).build()
}

/// A table of roles, as the code has them.
fn scheme_description() -> String {
    let mut text = String::from(
        "A JWT; `audittrail token` makes one. A token with a `tenant` claim sees and writes that \
         tenant alone.\n\n| role | scopes |\n|---|---|\n",
    );
    for role in Role::ALL {
        let scopes: Vec<String> = role
            .scopes()
            .iter()
            .map(|scope| format!("`{scope}`"))
            .collect();
        text.push_str(&format!("| {role} | {} |\n", scopes.join(", ")));
    }
    text
}

/// Adds what every endpoint has, and what it needs.
fn complete(mut item: PathItem, endpoint: &Endpoint) -> PathItem {
    let mut slugs = endpoint.problems.to_vec();
    slugs.extend([Slug::MalformedRequest, Slug::UriTooLong]);
    if endpoint.needs != Needs::Nothing {
        slugs.extend([
            Slug::Unauthenticated,
            Slug::Forbidden,
            Slug::RateLimited,
            Slug::KeysUnavailable,
        ]);
    }
    for operation in operations(&mut item) {
        for (status, response) in problems::responses(&slugs) {
            let responses = &mut operation.responses.responses;
            responses.insert(status.to_string(), response.into());
        }
        for response in operation.responses.responses.values_mut() {
            if let RefOr::T(response) = response {
                let header = problems::header("The request's id.");
                response
                    .headers
                    .insert(REQUEST_ID.to_owned(), header.into());
            }
        }
        if let Needs::Scopes(scopes) = endpoint.needs {
            let names = scopes.iter().map(|scope| scope.as_str());
            let own = SecurityRequirement::new(BEARER, names.take(1));
            operation.security = Some(vec![own]);
            let text = operation.description.get_or_insert_default();
            text.push_str(&needed(scopes));
        }
    }
    item
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [item.get.as_mut(), item.post.as_mut()]
        .into_iter()
        .flatten()
}

/// Which scopes and roles do.
fn needed(scopes: &[Scope]) -> String {
    let named: Vec<String> = scopes.iter().map(|scope| format!("`{scope}`")).collect();
    let roles = Role::ALL.iter().filter(|role| {
        let held = role.scopes();
        scopes.iter().any(|scope| held.contains(*scope))
    });
    let roles: Vec<&str> = roles.map(|role| role.as_str()).collect();
    format!(
        "\n\nNeeds the scope {}; the roles {} have it.",
        named.join(" or "),
        roles.join(", ")
    )
}

/// The same operations under another path, whose ids have to differ.
fn aliased(mut item: PathItem, path: &str) -> PathItem {
    for operation in operations(&mut item) {
        if let Some(id) = &mut operation.operation_id {
            id.push_str("_alias");
        }
        let text = operation.description.get_or_insert_default();
        *text = format!("Another name of `{path}`. {text}");
    }
    item
}

/// Metrics for Prometheus
///
/// In Prometheus' text format. docs/api.md has their names.
#[utoipa::path(
    get, path = "/metrics", tag = "health",
    responses((status = 200, description = "All metrics.", body = String, content_type = "text/plain"))
)]
async fn metrics() {}

/// Something that does not change while the server runs.
#[derive(Debug, Clone)]
pub(crate) struct Fixed {
    bytes: Bytes,
    etag: HeaderValue,
}

impl Fixed {
    pub(crate) fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let hash = leaf_hash(&bytes).0;
        // Weak: the same whatever the answer's encoding.
        let tag = format!("W/\"{}\"", crate::render::hex(&hash[..16]));
        let etag = HeaderValue::from_str(&tag).expect("hexadecimal can stand in a header");
        Self { bytes, etag }
    }

    /// 304 to who has it, RFC 9110 section 13.1.2.
    pub(crate) fn answer(&self, media_type: &'static str, headers: &HeaderMap) -> Response {
        if self.is_known(headers) {
            return (StatusCode::NOT_MODIFIED, self.validators()).into_response();
        }
        self.with_bytes(self.bytes.clone(), media_type)
    }

    /// The same in another encoding.
    pub(crate) fn with_bytes(&self, bytes: impl Into<Bytes>, media_type: &'static str) -> Response {
        let kind = [(header::CONTENT_TYPE, media_type)];
        (self.validators(), kind, bytes.into()).into_response()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn validators(&self) -> [(HeaderName, HeaderValue); 2] {
        let revalidate = HeaderValue::from_static("no-cache");
        [
            (header::ETAG, self.etag.clone()),
            (header::CACHE_CONTROL, revalidate),
        ]
    }

    fn is_known(&self, headers: &HeaderMap) -> bool {
        let own = self.etag.to_str().unwrap_or_default();
        let sent = headers.get_all(header::IF_NONE_MATCH).iter();
        let mut tags = sent
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        tags.any(|tag| {
            let tag = tag.trim();
            tag == "*" || tag.trim_start_matches("W/") == own.trim_start_matches("W/")
        })
    }
}

/// The document, written.
pub(crate) fn written(settings: &ApiSettings) -> Fixed {
    let text = serde_json::to_vec(&document(settings));
    Fixed::new(text.expect("a document of strings and numbers can be written"))
}

/// This description
///
/// OpenAPI 3.1 of what this server has. No token is needed.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "openapi", tag = "description",
    params(parameters::RequestId, parameters::IfNoneMatch),
    responses(
        (status = 200, description = "The document.", body = Object,
            headers(("ETag" = String, description = "Changes with the document."))),
        (status = 304, description = "The client has it.",
            headers(("ETag" = String, description = "As sent.")))
    )
)]
pub(crate) async fn openapi(FromState(shared): FromState<State>, headers: HeaderMap) -> Response {
    let document = shared
        .document
        .get_or_init(|| written(&shared.api.settings));
    document.answer("application/json", &headers)
}
