//! Problem documents, for the document.

use std::collections::BTreeMap;

use serde_json::json;
use utoipa::openapi::schema::{AdditionalProperties, AllOfBuilder, ArrayBuilder};
use utoipa::openapi::{
    ContentBuilder, Header, HeaderBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder,
    Schema, SchemaFormat, Type,
};

use crate::problem::Slug;

/// Where the schema of all problems is.
pub(crate) const SCHEMA: &str = "Problem";

/// The `type` of a problem.
pub(crate) fn urn(slug: Slug) -> String {
    format!("urn:audittrail:problem:{}", slug.as_str())
}

/// The members that problems have.
pub(crate) fn schema() -> RefOr<Schema> {
    let slugs = Slug::ALL.iter().copied();
    let list: Vec<String> = slugs.clone().map(described).collect();
    let kind = string()
        .enum_values(Some(slugs.map(urn)))
        .description(Some(list.join("\n")));
    let status = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(400))
        .maximum(Some(599));
    ObjectBuilder::new()
        .description(Some(
            "What went wrong and what to do about it (RFC 9457), `application/problem+json`.",
        ))
        .property("type", kind)
        .required("type")
        .property("title", string())
        .required("title")
        .property("status", status)
        .required("status")
        .property("detail", string().description(Some("What to do.")))
        .required("detail")
        .property(
            "instance",
            string()
                .format(Some(SchemaFormat::Custom("uri".to_owned())))
                .description(Some("Names the request by the id that `X-Request-Id` has.")),
        )
        .required("instance")
        .property(
            "errors",
            ArrayBuilder::new()
                .items(Ref::from_schema_name("ProblemError"))
                .max_items(Some(crate::problem::ERRORS_LISTED)),
        )
        .property(
            "rejected",
            ArrayBuilder::new()
                .items(Ref::from_schema_name("Rejected"))
                .description(Some("With `on_error=skip`, where nothing could be stored.")),
        )
        .property(
            "scope",
            string().description(Some("With `forbidden`: the scope that the token lacks.")),
        )
        .property(
            "indices",
            ArrayBuilder::new()
                .items(ObjectBuilder::new().schema_type(Type::Integer))
                .description(Some(
                    "With `damaged`: the entries that are, where that is known.",
                )),
        )
        .property(
            "ids",
            ArrayBuilder::new()
                .items(string().format(Some(SchemaFormat::Custom("uuid".to_owned()))))
                .description(Some(
                    "With `outcome-unknown`: ids to send the entries again with.",
                )),
        )
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .into()
}

fn described(slug: Slug) -> String {
    format!(
        "- `{}` ({}): {}",
        urn(slug),
        slug.status().as_u16(),
        slug.title()
    )
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// The answers of problems, one for each status.
pub(crate) fn responses(slugs: &[Slug]) -> Vec<(u16, Response)> {
    let mut by_status = BTreeMap::<u16, Vec<Slug>>::new();
    for slug in slugs {
        by_status
            .entry(slug.status().as_u16())
            .or_default()
            .push(*slug);
    }
    let responses = by_status.into_iter();
    responses
        .map(|(status, slugs)| (status, response(&slugs)))
        .collect()
}

/// The answer of problems that have one status.
pub(crate) fn response(slugs: &[Slug]) -> Response {
    let status = slugs.first().map_or(500, |slug| slug.status().as_u16());
    let narrowed = ObjectBuilder::new()
        .property(
            "type",
            string().enum_values(Some(slugs.iter().copied().map(urn))),
        )
        .property(
            "status",
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .enum_values(Some([json!(status)])),
        );
    let schema = AllOfBuilder::new()
        .item(Ref::from_schema_name(SCHEMA))
        .item(narrowed);
    let titles: Vec<String> = slugs
        .iter()
        .map(|slug| format!("`{}`: {}.", slug.as_str(), slug.title()))
        .collect();
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let response = ResponseBuilder::new()
        .description(titles.join(" "))
        .content("application/problem+json", content);
    let header_of = match status {
        401 | 403 => Some(("WWW-Authenticate", "The scheme, and why (RFC 6750).")),
        405 => Some(("Allow", "The methods that the path takes.")),
        415 => Some(("Accept-Encoding", "The codings of bodies that are read.")),
        429 | 503 => Some(("Retry-After", "Seconds to wait.")),
        _ => None,
    };
    match header_of {
        Some((name, meaning)) => response.header(name, header(meaning)).build(),
        None => response.build(),
    }
}

/// A header of answers.
pub(crate) fn header(meaning: &str) -> Header {
    HeaderBuilder::new()
        .schema(Some(string()))
        .description(Some(meaning))
        .build()
}
