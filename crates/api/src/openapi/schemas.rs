//! The shapes of bodies, for the document. Handlers write and read JSON themselves, faster and
//! stricter than a derived form; the tests compare what they write with what is said here.

#![expect(dead_code, reason = "they describe, nothing is made of them")]
#![allow(unused_qualifications, reason = "the derive writes them")]

use serde_json::json;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, OneOfBuilder, SchemaType};
use utoipa::openapi::{KnownFormat, ObjectBuilder, Ref, RefOr, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

/// An entry to store. `null` is the same as absent.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "action": "user.login", "user_id": "alice", "outcome": "success", "source_ip": "192.0.2.7",
    "details": {"method": "password"}
}))]
pub(crate) struct NewEntry {
    /// What was done, in at most 256 bytes. What begins with `audittrail.` is the log's own.
    #[schema(
        min_length = 1,
        max_length = 256,
        pattern = r"^(?!audittrail\.)[^\x00-\x1F\x7F-\x9F]+$"
    )]
    action: String,
    /// Who did it, in at most 256 bytes; by default the token's subject. Another's only with the
    /// scope `logs:write`.
    #[schema(
        min_length = 1,
        max_length = 256,
        pattern = r"^[^\x00-\x1F\x7F-\x9F]+$"
    )]
    user_id: Option<String>,
    /// When it happened: RFC 3339, any offset, up to nanoseconds, years 1970 to 2261, at most 24
    /// hours ahead of the server. By default when the server received it.
    #[schema(format = DateTime)]
    timestamp: Option<String>,
    /// What was acted on, in at most 1,024 bytes.
    #[schema(
        min_length = 1,
        max_length = 1024,
        pattern = r"^[^\x00-\x1F\x7F-\x9F]+$"
    )]
    resource: Option<String>,
    #[schema(schema_with = outcome_or_null)]
    outcome: Option<Outcome>,
    /// From where: an IPv4 or IPv6 address, without zone and port.
    #[schema(schema_with = address_or_null)]
    source_ip: Option<String>,
    /// Whose log it is in, in at most 128 bytes. A token with a tenant writes to that one only.
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = r"^[^\x00-\x1F\x7F-\x9F]+$"
    )]
    tenant: Option<String>,
    /// Anything else, at most 32 levels deep. No NUL characters; integers from -2^63 to 2^64-1,
    /// and other numbers that a double holds exactly as they are written. All members but
    /// `action`, `outcome`, `tenant`, `timestamp` and `id` take at most 256 KiB.
    #[schema(schema_with = details)]
    details: Option<()>,
    /// Sent again with the same content, the entry is stored once. By default a new UUIDv7; never
    /// the nil UUID.
    #[schema(format = "uuid")]
    id: Option<String>,
}

/// What can be sent as JSON.
pub(crate) struct NewEntries;

impl PartialSchema for NewEntries {
    fn schema() -> RefOr<Schema> {
        let array = ArrayBuilder::new()
            .items(Ref::from_schema_name("NewEntry"))
            .min_items(Some(1))
            .max_items(Some(crate::ApiSettings::default().batch_entries));
        OneOfBuilder::new()
            .item(Ref::from_schema_name("NewEntry"))
            .item(array)
            .description(Some(
                "One entry, or several, which are stored together or not at all.",
            ))
            .into()
    }
}

impl ToSchema for NewEntries {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("NewEntry".to_owned(), NewEntry::schema()));
        NewEntry::schemas(schemas);
    }
}

/// Bytes as they are.
pub(crate) struct Octets;

impl PartialSchema for Octets {
    fn schema() -> RefOr<Schema> {
        let binary = SchemaFormat::KnownFormat(KnownFormat::Binary);
        let octets = ObjectBuilder::new().schema_type(Type::String);
        octets.format(Some(binary)).into()
    }
}

impl ToSchema for Octets {}

/// How an action ended.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Success,
    Failure,
    Denied,
    Unknown,
}

/// An entry as it was stored, with its place, its signature, and whether it can be trusted. Of an
/// entry that failed there is what could be read.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    #[schema(required = false)]
    action: String,
    #[schema(required = false, schema_with = details_there)]
    details: (),
    #[schema(required = false, format = "uuid")]
    id: String,
    /// Its place in the log, from 0.
    index: u64,
    /// Which key signed it.
    #[schema(required = false, pattern = "^[0-9a-f]{8}$")]
    key_id: String,
    #[schema(required = false, inline)]
    outcome: Outcome,
    /// When the server received it.
    #[schema(required = false, format = DateTime, pattern = r"\.[0-9]{9}Z$")]
    received_at: String,
    #[schema(required = false)]
    resource: String,
    /// HMAC-SHA-256 of the leaf.
    #[schema(required = false, pattern = "^[0-9a-f]{64}$")]
    signature: String,
    #[schema(required = false)]
    source_ip: String,
    #[schema(required = false, inline)]
    submitted_by: Submitter,
    #[schema(required = false)]
    tenant: String,
    #[schema(required = false, format = DateTime, pattern = r"\.[0-9]{9}Z$")]
    timestamp: String,
    #[schema(required = false)]
    user_id: String,
    /// What does not verify; there only where `verified` is false.
    #[schema(required = false)]
    verification_error: String,
    /// Whether the checksums, the commitment, the signature and the place in the tree hold.
    verified: bool,
}

/// Whose token sent an entry.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Submitter {
    #[schema(required = false)]
    iss: String,
    sub: String,
}

/// A page of entries.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {
    /// How many entries there are under the filter; absent with `count=none`.
    #[schema(required = false)]
    count: u64,
    /// There, and false, where `count` is only a lower bound.
    #[schema(required = false)]
    count_exact: bool,
    /// The URL of the next page.
    #[schema(required = true)]
    next: Option<String>,
    /// The URL of the page before.
    #[schema(required = true)]
    previous: Option<String>,
    /// With `order=index` the URL of what comes after the entries seen so far.
    #[schema(required = false)]
    resume: String,
    /// How many entries of the whole log are known to have failed verification.
    failed_entries: u64,
    results: Vec<Entry>,
}

/// One line of evidence, with the checkpoint that its proof leads to.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Proven {
    /// Its place in the log, from 0.
    index: u64,
    /// The bytes that are hashed into the tree.
    leaf: String,
    /// What can be erased, as it is stored; there if the caller may read the entry.
    #[schema(required = false)]
    sealed: String,
    /// Base64url, beside `sealed`.
    #[schema(required = false, pattern = "^[A-Za-z0-9_-]{43}$")]
    salt: String,
    #[schema(pattern = "^[0-9a-f]{64}$")]
    signature: String,
    #[schema(pattern = "^[0-9a-f]{8}$")]
    key_id: String,
    /// From the leaf towards the root; base64.
    #[schema(max_items = 64)]
    proof: Vec<String>,
    /// The signed note.
    checkpoint: String,
    /// The key that checks it. Compare it with one from another place.
    vkey: String,
}

/// That a log of `to` entries extends one of `from` entries.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Consistency {
    from: u64,
    to: u64,
    /// RFC 6962, section 2.1.2; base64.
    #[schema(max_items = 64)]
    proof: Vec<String>,
}

/// How many entries there are under the filter, and what they say.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stats {
    /// How many entries the log had; all numbers are of these.
    tree_size: u64,
    /// How many entries there are under the filter.
    count: u64,
    /// How many of these are known to have failed verification. They are in no bucket and under no
    /// value, and not missing either.
    failed: u64,
    /// How many entries of the whole log are known to have failed verification.
    failed_entries: u64,
    /// As asked for; with `interval`, like `time_zone` and `buckets`.
    #[schema(
        required = false,
        pattern = "^(minute|hour|day|week|month|quarter|year)$"
    )]
    interval: String,
    /// The time zone's name.
    #[schema(required = false)]
    time_zone: String,
    /// The intervals that have entries, in order of time.
    #[schema(required = false, max_items = 10_000)]
    buckets: Vec<Bucket>,
    /// The members asked for; with `by`.
    #[schema(required = false, inline)]
    by: By,
}

/// An interval of the calendar that has entries.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bucket {
    /// Its first moment, with the offset from UTC that holds then.
    #[schema(format = DateTime)]
    start: String,
    /// The first moment after it.
    #[schema(format = DateTime)]
    end: String,
    #[schema(minimum = 1)]
    count: u64,
}

/// The most frequent values, by member.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct By {
    #[schema(required = false)]
    action: Values,
    #[schema(required = false)]
    outcome: Values,
    #[schema(required = false)]
    resource: Values,
    #[schema(required = false)]
    source_ip: Values,
    #[schema(required = false)]
    tenant: Values,
    #[schema(required = false)]
    user_id: Values,
}

/// The most frequent values of a member.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Values {
    /// How many different values there are.
    distinct: u64,
    /// How many entries have none.
    missing: u64,
    /// The most frequent first; those of the same count by the order of their UTF-8 bytes.
    #[schema(max_items = 1_000)]
    values: Vec<ValueCount>,
}

/// A value, and how many entries have it.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ValueCount {
    value: String,
    #[schema(minimum = 1)]
    count: u64,
}

/// How far entries got.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Ack {
    Queued,
    Committed,
    Published,
}

/// What one stored entry is answered with.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Receipt {
    #[schema(format = "uuid")]
    id: String,
    index: u64,
    /// Base64.
    #[schema(pattern = "^[A-Za-z0-9+/]{43}=$")]
    leaf_hash: String,
    #[schema(format = DateTime)]
    timestamp: String,
    #[schema(format = DateTime)]
    received_at: String,
    #[schema(pattern = "^[0-9a-f]{64}$")]
    signature: String,
    #[schema(pattern = "^[0-9a-f]{8}$")]
    key_id: String,
    #[schema(inline)]
    ack: Ack,
    /// C2SP tlog-proof: with `ack=published`.
    #[schema(required = false)]
    proof: String,
}

/// What a batch is answered with. The entries that were stored are in the order sent.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchReceipt {
    #[schema(inline)]
    ack: Ack,
    /// How many entries were stored.
    count: u64,
    first_index: u64,
    last_index: u64,
    /// Absent with `receipts=none`.
    #[schema(required = false)]
    results: Vec<ShortReceipt>,
    /// With `on_error=skip`: the entries that were not stored.
    #[schema(required = false)]
    rejected: Vec<Rejected>,
}

/// One entry of a batch.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShortReceipt {
    #[schema(format = "uuid")]
    id: String,
    index: u64,
    /// Base64.
    #[schema(pattern = "^[A-Za-z0-9+/]{43}=$")]
    leaf_hash: String,
}

/// What one entry is answered with that a durable queue has.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Queued {
    #[schema(format = "uuid")]
    id: String,
    #[schema(inline)]
    ack: Ack,
}

/// What a batch is answered with that a durable queue has.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueuedBatch {
    #[schema(inline)]
    ack: Ack,
    count: u64,
    results: Vec<QueuedId>,
    #[schema(required = false)]
    rejected: Vec<Rejected>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueuedId {
    #[schema(format = "uuid")]
    id: String,
}

/// An entry that was not stored.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rejected {
    /// Its place in an array, from 0.
    #[schema(required = false)]
    position: u64,
    /// Its line, from 1.
    #[schema(required = false, minimum = 1)]
    line: u64,
    errors: Vec<ProblemError>,
}

/// One of several things that are wrong.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProblemError {
    /// The line of a body of lines, from 1.
    #[schema(required = false, minimum = 1)]
    line: u64,
    /// JSON pointer as a URI fragment, from the root of the body or of its line.
    #[schema(required = false, pattern = "^#")]
    pointer: String,
    #[schema(required = false)]
    parameter: String,
    detail: String,
}

/// The answers to one entry and to several.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum Stored {
    One(Receipt),
    Batch(BatchReceipt),
}

/// The answers that leave something open.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum Accepted {
    One(Receipt),
    Batch(BatchReceipt),
    Queued(Queued),
    QueuedBatch(QueuedBatch),
}

/// An answer to who asks whether the server is well.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Health {
    #[schema(pattern = "^(live|ready)$")]
    status: String,
}

fn nullable(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([kind, Type::Null]))
}

fn outcome_or_null() -> ObjectBuilder {
    let names = ["success", "failure", "denied", "unknown"].map(|name| json!(name));
    nullable(Type::String)
        .description(Some("How it ended."))
        .enum_values(Some(names.into_iter().chain([json!(null)])))
}

fn address_or_null() -> OneOfBuilder {
    let format = |name: &str| {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::Custom(name.to_owned())))
    };
    OneOfBuilder::new()
        .item(format("ipv4"))
        .item(format("ipv6"))
        .item(ObjectBuilder::new().schema_type(Type::Null))
}

fn details() -> ObjectBuilder {
    nullable(Type::Object).additional_properties(Some(AdditionalProperties::FreeForm(true)))
}

fn details_there() -> ObjectBuilder {
    ObjectBuilder::new().additional_properties(Some(AdditionalProperties::FreeForm(true)))
}
