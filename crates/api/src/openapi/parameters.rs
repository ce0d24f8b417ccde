//! Query parameters and headers of requests, for the document.

use audittrail_store::{Facet, Filter, Interval, Member};
use serde_json::json;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle};
use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::{KnownFormat, ObjectBuilder, Required, SchemaFormat, Type};

use crate::{Ack, ApiSettings};

/// One value of a list: `\,` is a comma, `\\` a backslash.
const LIST: &str = r"^([^,\\]|\\[,\\])+(,([^,\\]|\\[,\\])+)*$";
const OUTCOMES: &str = "^(success|failure|denied|unknown)(,(success|failure|denied|unknown))*$";
/// Names with dots between them: `\.` is a dot within a name, `\\` a backslash.
const DETAILS: &str = r"^details\.([^.\\]|\\[.\\])+(\.([^.\\]|\\[.\\])+)*$";

/// What selects entries.
pub(crate) struct Filters;
/// What the list takes beside filters.
pub(crate) struct Paging;
/// What the export takes beside filters.
pub(crate) struct Exporting;
/// What statistics take beside filters.
pub(crate) struct Counting;
/// Where a stream goes on.
pub(crate) struct Resuming;
/// What goes with entries that are sent.
pub(crate) struct Sending;
/// A header that every request may have.
pub(crate) struct RequestId;
/// The header of who has the answer already.
pub(crate) struct IfNoneMatch;

/// Two sizes of the log.
pub(crate) struct Sizes;

type Provider = Option<ParameterIn>;

impl IntoParams for Filters {
    fn into_params(_: impl Fn() -> Provider) -> Vec<Parameter> {
        let mut parameters = Vec::new();
        for member in Member::ALL {
            let name = member.as_str();
            let one = if member == Member::Outcome {
                words(&["success", "failure", "denied", "unknown"])
            } else {
                text()
            };
            let several = || match member {
                Member::Outcome => string().pattern(Some(OUTCOMES)),
                _ => text().pattern(Some(LIST)),
            };
            let forms = [
                ("", one, "is this"),
                (
                    "__in",
                    several(),
                    "is one of these: comma-separated, `\\,` for a comma, `\\\\` for a backslash",
                ),
                (
                    "__nin",
                    several(),
                    "is none of these, or absent: comma-separated, `\\,` for a comma, `\\\\` for \
                     a backslash",
                ),
                (
                    "__contains",
                    text().max_length(Some(256)),
                    "has this in it, upper or lower case alike",
                ),
                ("__prefix", text(), "begins with this"),
            ];
            for (suffix, schema, meaning) in forms {
                let parameter = format!("{name}{suffix}");
                if Filter::takes(&parameter) {
                    let meaning = format!("Entries whose `{name}` {meaning}.");
                    parameters.push(query(&parameter, schema, meaning));
                }
            }
        }
        let bounds = [
            ("start_time", "`timestamp` is this or later"),
            ("end_time", "`timestamp` is this or earlier"),
            ("received_from", "`received_at` is this or later"),
            ("received_to", "`received_at` is this or earlier"),
        ];
        for (name, meaning) in bounds {
            let meaning = format!("Entries whose {meaning}: RFC 3339, years 1970 to 2261.");
            let time = string().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
            parameters.push(query(name, time, meaning));
        }
        for (name, meaning) in [("index_from", "or greater"), ("index_to", "or less")] {
            let meaning = format!("Entries whose index is this {meaning}.");
            parameters.push(query(name, index(), meaning));
        }
        let address = string()
            .min_length(Some(1))
            .format(Some(SchemaFormat::Custom("ip-or-cidr".to_owned())))
            .examples(["192.0.2.7", "192.0.2.0/24", "2001:db8::/32"]);
        parameters.extend([
            query(
                "source_ip",
                address,
                "Entries from this address, or from this block of addresses.",
            ),
            query(
                "q",
                string().format(Some(SchemaFormat::Custom("words".to_owned()))),
                "Full text: entries in whose strings all of these words occur, 1 to 100 of them, \
                 upper or lower case alike.",
            ),
            query(
                "verified",
                words(&["false"]),
                "Entries known to have failed verification.",
            ),
            details(),
        ]);
        parameters
    }
}

/// Any number of parameters whose names begin with `details.`.
fn details() -> Parameter {
    let names = string().pattern(Some(DETAILS)).build();
    let schema = ObjectBuilder::new()
        .property_names(Some(names))
        .additional_properties(Some(AdditionalProperties::from(string())));
    ParameterBuilder::new()
        .name("details.<path>")
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .style(Some(ParameterStyle::Form))
        .explode(Some(true))
        .schema(Some(schema))
        // Who tries it out begins without any.
        .example(Some(json!({})))
        .description(Some(
            "Parameters whose names are `details.` and a path into `details`: names with dots \
             between them, `\\.` for a dot within a name. `details.user.role=admin`: at that path \
             is a string with this text, or a number, `true`, `false` or `null` written so; of an \
             array any element. With `__exists` after the path: `true` if there is anything, \
             `false` if there is nothing.",
        ))
        .build()
}

impl IntoParams for Paging {
    fn into_params(_: impl Fn() -> Provider) -> Vec<Parameter> {
        let orders = ["-timestamp", "timestamp", "-index", "index"];
        let most = ApiSettings::default().page_entries as i64;
        vec![
            query(
                "order",
                words(&orders).default(Some(json!(orders[0]))),
                "In which order.",
            ),
            query(
                "ordering",
                words(&orders),
                "Another name of `order`; give one of them.",
            ),
            query(
                "page_size",
                number(1, most).default(Some(json!(crate::list::PAGE_SIZE))),
                "How many entries a page has. It has fewer where they take 16 MiB.",
            ),
            query(
                "cursor",
                text(),
                "From `next` and `previous`, with the same filters.",
            ),
            query(
                "page",
                number(1, crate::list::BY_PAGE as i64),
                "A page by its number, up to the 10,000th result; not beside `cursor`.",
            ),
            query(
                "count",
                words(&["limited", "exact", "none"]).default(Some(json!("limited"))),
                "`limited`: exact up to 100,000, beyond that 100,000 with `count_exact` false.",
            ),
        ]
    }
}

impl IntoParams for Exporting {
    fn into_params(_: impl Fn() -> Provider) -> Vec<Parameter> {
        let mut formats = crate::export::FORMATS
            .map(crate::export::Format::name)
            .to_vec();
        formats.extend(crate::export_evidence::Form::ALL.map(crate::export_evidence::Form::name));
        vec![
            query(
                "format",
                words(&formats).default(Some(json!(formats[0]))),
                "The form of the answer. `evidence`: entries with proofs under a signed \
                 checkpoint, which `audittrail verify` checks offline. `report`: the same as a page for \
                 people, which checks itself in a browser.",
            ),
            query(
                "withhold",
                words(&["sealed"]),
                "With `format=evidence` and `report` alone: leaves out who, what was acted on, from where and \
                 the details. What is left is proven all the same.",
            ),
        ]
    }
}

impl IntoParams for Counting {
    fn into_params(_: impl Fn() -> Provider) -> Vec<Parameter> {
        let facets = Facet::ALL.map(Facet::as_str).join("|");
        let by = string().pattern(Some(format!("^({facets})(,({facets}))*$")));
        // No defaults here: tools send them, and each of these goes with another.
        let zone = text().format(Some(SchemaFormat::Custom("time-zone".to_owned())));
        let top = number(1, crate::stats::MOST_TOP as i64);
        let given = format!(
            "How many values of each member are given, the most frequent ones; {} by default. With \
             `by`.",
            crate::stats::TOP
        );
        vec![
            query(
                "interval",
                words(&Interval::ALL.map(Interval::as_str)),
                "Counts `timestamp` by intervals of the calendar; weeks begin on Monday. Those \
                 with entries are given, 10,000 at most.",
            ),
            query(
                "time_zone",
                zone,
                "Whose calendar it is: a name of the tz database, like `Europe/Berlin`; `UTC` by \
                 default. With `interval`.",
            ),
            query("by", by, "Counts values of these members: comma-separated."),
            query("top", top, given),
        ]
    }
}

impl IntoParams for Sending {
    fn into_params(_: impl Fn() -> Provider) -> Vec<Parameter> {
        let levels = [Ack::Queued, Ack::Committed, Ack::Published].map(Ack::as_str);
        let key = string()
            .min_length(Some(1))
            .max_length(Some(crate::create::LONGEST_KEY))
            .pattern(Some("^[ -~]+$"));
        vec![
            query(
                "ack",
                words(&levels),
                "What to wait for. `queued`: a durable queue has the entries; `committed`: they \
                 are synced to disk and have their place; `published`: a signed checkpoint covers \
                 them. The default is the operator's choice, usually `committed`.",
            ),
            query(
                "on_error",
                words(&["abort", "skip"]).default(Some(json!("abort"))),
                "`skip`: of several entries store the good ones, and list the others as `rejected`.",
            ),
            query(
                "receipts",
                words(&["all", "none"]).default(Some(json!("all"))),
                "`none`: the answer to several entries has no list of receipts.",
            ),
            header(
                "Idempotency-Key",
                key,
                "For one entry without `id`: sent again by the same caller with the same key, it is stored \
                 once. For several entries give each an `id`.",
            ),
            header(
                "Content-Encoding",
                words(&["identity", "gzip", "zstd"]),
                "How the body is compressed.",
            ),
        ]
    }
}

impl IntoParams for RequestId {
    fn into_params(_: impl Fn() -> Provider) -> Vec<Parameter> {
        vec![header(
            "X-Request-Id",
            string(),
            "The request's id in answers and in the server's log: up to 128 letters, digits and \
             `-_.:`. Without it, or with anything else in it, the server makes one.",
        )]
    }
}

impl IntoParams for IfNoneMatch {
    fn into_params(_: impl Fn() -> Provider) -> Vec<Parameter> {
        let meaning = "The `ETag` of an answer that the client has: 304 if it still holds.";
        vec![header("If-None-Match", string(), meaning)]
    }
}

impl IntoParams for Sizes {
    fn into_params(_: impl Fn() -> Provider) -> Vec<Parameter> {
        let required = |name: &str, meaning: &str| {
            let mut parameter = query(name, index(), meaning);
            parameter.required = Required::True;
            parameter
        };
        vec![
            required("from", "The size of the earlier checkpoint."),
            required("to", "The size of the later one, which is not smaller."),
        ]
    }
}

impl IntoParams for Resuming {
    fn into_params(_: impl Fn() -> Provider) -> Vec<Parameter> {
        let meaning = "The id of the last event that the client has: the stream goes on after it. \
                       Without it and without `index_from` it begins at the present end.";
        vec![
            header("Last-Event-ID", index(), meaning),
            query(
                "last_event_id",
                index(),
                "The same, for clients that cannot set headers.",
            ),
        ]
    }
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn text() -> ObjectBuilder {
    string().min_length(Some(1))
}

fn words(words: &[&str]) -> ObjectBuilder {
    string().enum_values(Some(words.iter().copied()))
}

fn number(least: i64, greatest: i64) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(least))
        .maximum(Some(greatest))
}

/// 64 bits without a sign.
fn index() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::Custom("uint64".to_owned())))
        .minimum(Some(0_u64))
        .maximum(Some(u64::MAX))
}

fn query(name: &str, schema: ObjectBuilder, meaning: impl Into<String>) -> Parameter {
    parameter(ParameterIn::Query, name, schema, meaning)
}

fn header(name: &str, schema: ObjectBuilder, meaning: impl Into<String>) -> Parameter {
    parameter(ParameterIn::Header, name, schema, meaning)
}

fn parameter(
    place: ParameterIn,
    name: &str,
    schema: ObjectBuilder,
    meaning: impl Into<String>,
) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .schema(Some(schema))
        .description(Some(meaning))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(parameters: &[Parameter]) -> Vec<&str> {
        parameters.iter().map(|one| one.name.as_str()).collect()
    }

    /// What the code takes is what is documented: every form of every member, and nothing else.
    #[test]
    fn every_filter_is_documented() {
        let parameters = Filters::into_params(|| None);
        let documented = names(&parameters);
        for name in &documented {
            assert!(Filter::takes(name), "{name} is documented and not taken");
        }
        let docs = include_str!("../../../../docs/api.md");
        let quoted = docs.split('`').skip(1).step_by(2);
        let mut taken = 0;
        for name in quoted.filter(|name| Filter::takes(name.split('=').next().unwrap())) {
            let name = name.split('=').next().unwrap();
            let form_of_details = name.starts_with("details.");
            assert!(
                form_of_details || documented.contains(&name),
                "{name} is not documented"
            );
            taken += 1;
        }
        assert!(taken > 10, "docs/api.md names filters");
        assert!(documented.contains(&"action__prefix") && documented.contains(&"tenant__nin"));
    }

    #[test]
    fn the_words_are_those_that_the_code_reads() {
        let all = [Paging::into_params(|| None), Sending::into_params(|| None)].concat();
        let words = |name: &str| -> Vec<String> {
            let one = all.iter().find(|one| one.name == name).unwrap();
            let schema = serde_json::to_value(&one.schema).unwrap();
            let words = schema["enum"].as_array().unwrap();
            words
                .iter()
                .map(|word| word.as_str().unwrap().to_owned())
                .collect()
        };
        assert!(
            words("order")
                .iter()
                .all(|word| audittrail_store::Order::parse(word).is_some())
        );
        assert!(words("ack").iter().all(|word| Ack::parse(word).is_some()));
        assert_eq!(
            audittrail_store::Order::default().as_str(),
            words("order")[0]
        );
    }
}
