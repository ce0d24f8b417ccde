//! `GET /logs/list/`: a page of the entries that a filter selects, each verified.

use audittrail_entry::json::write_string;
use audittrail_store::{
    Access, Checked, Count, CountMode, Cursor, Direction, Filter, Key, Order, Page, Query, Start,
};
use axum::Extension;
use axum::extract::State as FromState;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};

use crate::address::Client;
use crate::caller::{Caller, access};
use crate::metering::record_failures;
use crate::openapi::parameters::{Filters, Paging, RequestId};
use crate::openapi::schemas;
use crate::parameters::Parameters;
use crate::problem::{Problem, Slug};
use crate::render::write_result;
use crate::{Shared, State};

pub(crate) const PAGE_SIZE: usize = 20;
/// `page` reaches so many results; a cursor reaches all.
pub(crate) const BY_PAGE: usize = 10_000;
/// So many entries are read at first, before their size is known.
const CHUNK: usize = 32;

/// The question, and what of it goes into links.
struct Asked {
    query: Query,
    /// What the first page counted, if the cursor says; the query then does not count.
    counted: Option<Count>,
    fingerprint: [u8; 8],
    /// Filter, count and page size, as given.
    repeated: Parameters,
}

/// A page of entries
///
/// Those that the filter selects and the caller may see, each verified. All parameters that are
/// given must hold; an unknown one is refused.
#[utoipa::path(
    get, path = "/logs/list/", operation_id = "list", tag = "entries",
    params(Filters, Paging, RequestId),
    responses((status = 200, description = "A page.", body = schemas::List))
)]
pub(crate) async fn list(
    FromState(shared): FromState<State>,
    Caller(principal): Caller,
    Extension(client): Extension<Client>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let access = access(principal.read_access()?);
    accepts_json(&headers)?;
    let asked = shared.ask(&uri, access).await?;
    let search = shared.api.store.search(&asked.query);
    let mut page = match tokio::time::timeout(shared.api.settings.request_time, search).await {
        Ok(page) => page?,
        Err(_) => {
            let detail = "The search took too long; narrow it, by time for example.";
            return Err(Problem::new(Slug::Unavailable, detail));
        }
    };
    page.count = page.count.or(asked.counted);
    if !page.damaged.is_empty() {
        shared.api.reader.report(&page.damaged);
        record_failures(page.damaged.len() as u64, shared.api.reader.failed().len());
    }
    let checked = shared.read_page(&page.keys).await?;
    let base = client.url(&shared.api.settings, &uri, &headers);
    let body = shared.render(&asked, &page, &checked, &base);
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

impl Shared {
    async fn ask(&self, uri: &Uri, access: Access) -> Result<Asked, Problem> {
        let settings = &self.api.settings;
        let mut parameters = Parameters::of(uri)?;
        let words = "timestamp, -timestamp, index and -index";
        let order = parameters.take_word("order", words, Order::parse)?;
        let alias = parameters.take_word("ordering", words, Order::parse)?;
        if order.is_some() && alias.is_some() {
            return Err(Problem::parameter(
                "ordering",
                "is another name of order; give one",
            ));
        }
        let order = order.or(alias);
        let cursor = parameters.take("cursor")?;
        let page = parameters.take_number("page", 1, BY_PAGE)?;
        let mut repeated = parameters.clone();
        let limit = parameters.take_number("page_size", 1, settings.page_entries)?;
        let count =
            parameters.take_word("count", "limited, exact and none", |word| match word {
                "limited" => Some(CountMode::Limited),
                "exact" => Some(CountMode::Exact),
                "none" => Some(CountMode::None),
                _ => None,
            })?;
        let filter = Filter::from_parameters(parameters.iter())
            .map_err(|errors| Problem::parameters(&errors))?;
        let limit = limit.unwrap_or(PAGE_SIZE);
        let head = self.api.store.head().await?;
        let fingerprint = Cursor::fingerprint(&filter, &access);
        let mut count = count.unwrap_or_default();
        let mut counted = None;
        let (order, size, start) = match (cursor, page) {
            (Some(_), Some(_)) => {
                return Err(Problem::parameter(
                    "page",
                    "is given beside a cursor; give one",
                ));
            }
            (Some(cursor), None) => {
                let cursor = Cursor::decode(&cursor, order, fingerprint, head.size)
                    .map_err(|error| Problem::parameter("cursor", error.to_string()))?;
                counted = cursor.counted(count);
                if counted.is_some() {
                    count = CountMode::None;
                }
                (
                    cursor.order,
                    cursor.size,
                    Start::At(cursor.key, cursor.direction),
                )
            }
            (None, page) => {
                let skip = (page.unwrap_or(1) - 1) * limit;
                if skip + limit > BY_PAGE.max(limit) {
                    let detail = format!("goes beyond result {BY_PAGE}; follow next instead");
                    return Err(Problem::parameter("page", detail));
                }
                (order.unwrap_or_default(), head.size, Start::Skip(skip))
            }
        };
        repeated.push("order", order.as_str());
        let query = Query {
            filter,
            access,
            order,
            size,
            start,
            limit,
            count,
            failed: self.api.reader.failed(),
        };
        Ok(Asked {
            query,
            counted,
            fingerprint,
            repeated,
        })
    }

    /// Reads and verifies entries, at least one, until they fill a page in bytes.
    async fn read_page(&self, keys: &[Key]) -> Result<Vec<Checked>, Problem> {
        let (mut checked, mut bytes) = (Vec::with_capacity(keys.len()), 0);
        let mut rest = keys;
        while !rest.is_empty() {
            // As many more of the same size as fill the page.
            let room = self.api.settings.page_bytes.saturating_sub(bytes);
            let fitting = match bytes.checked_div(checked.len()) {
                Some(each) => (room / each.max(1)).max(CHUNK),
                None => CHUNK,
            };
            let (chunk, after) = rest.split_at(fitting.min(rest.len()));
            rest = after;
            let indices: Vec<u64> = chunk.iter().map(|key| key.index).collect();
            let stored = self.api.store.records(&indices).await?;
            for one in self.check(stored).await? {
                bytes += one.record.as_ref().map_or(0, |record| {
                    record.leaf.len() + record.sealed.as_ref().map_or(0, |s| s.bytes.len())
                });
                if bytes > self.api.settings.page_bytes && !checked.is_empty() {
                    return Ok(checked);
                }
                checked.push(one);
            }
        }
        Ok(checked)
    }

    fn render(&self, asked: &Asked, page: &Page, checked: &[Checked], base: &str) -> Vec<u8> {
        // A page that its bytes cut short ends where it ends, and the next begins there. Going
        // backwards what is left out lies on the far side, too: the page keeps its beginning.
        let keys = &page.keys[..checked.len()];
        let after = page.after || keys.len() < page.keys.len();
        let link = |key: Option<&Key>, direction, there: bool| {
            let key = *key.filter(|_| there)?;
            let Query { order, size, .. } = asked.query;
            let cursor = Cursor {
                order,
                direction,
                key,
                size,
                fingerprint: asked.fingerprint,
                count: page.count,
            };
            Some(format!(
                "{base}{}",
                asked.repeated.to_query(&[("cursor", &cursor.encode())])
            ))
        };
        let next = link(keys.last(), Direction::After, after);
        let previous = link(keys.first(), Direction::Before, page.before);
        let mut body = Vec::with_capacity(1_024 * (checked.len() + 1));
        body.push(b'{');
        if let Some(count) = page.count {
            body.extend(format!("\"count\":{},", count.value).as_bytes());
            if !count.exact {
                body.extend(b"\"count_exact\":false,");
            }
        }
        write_link("next", next.as_deref(), &mut body);
        write_link("previous", previous.as_deref(), &mut body);
        if asked.query.order == Order::IndexAscending {
            let resume = self.resume(asked, keys, after, base);
            write_link("resume", Some(&resume), &mut body);
        }
        let failed = self.api.reader.failed().len();
        body.extend(format!("\"failed_entries\":{failed},\"results\":[").as_bytes());
        for (number, one) in checked.iter().enumerate() {
            if number > 0 {
                body.push(b',');
            }
            write_result(one, &mut body);
        }
        body.extend(b"]}");
        body
    }

    /// Where a poller goes on: it has seen what is below.
    fn resume(&self, asked: &Asked, keys: &[Key], after: bool, base: &str) -> String {
        let from = asked.query.filter.index.from.unwrap_or(0);
        let seen = match keys.last() {
            Some(last) if after => last.index + 1,
            _ => asked.query.size,
        };
        let mut parameters = asked.repeated.clone();
        parameters.remove("index_from");
        let from = seen.max(from).to_string();
        format!("{base}{}", parameters.to_query(&[("index_from", &from)]))
    }
}

fn write_link(name: &str, link: Option<&str>, body: &mut Vec<u8>) {
    body.extend(format!("\"{name}\":").as_bytes());
    match link {
        Some(link) => write_string(link, body),
        None => body.extend(b"null"),
    }
    body.push(b',');
}

/// That the client takes JSON.
pub(crate) fn accepts_json(headers: &HeaderMap) -> Result<(), Problem> {
    accepts(headers, "application", "json")
}

/// That one of the media ranges of `Accept` covers a type, RFC 9110 section 12.5.1.
pub(crate) fn accepts(headers: &HeaderMap, kind: &str, subtype: &str) -> Result<(), Problem> {
    let mut ranges = headers.get_all(header::ACCEPT).iter().peekable();
    if ranges.peek().is_none() {
        return Ok(());
    }
    let ranges = ranges
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let covers = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let (range_kind, range_subtype) = parts.next()?.split_once('/')?;
        let named = |range: &str, name: &str| range == "*" || range.eq_ignore_ascii_case(name);
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        let wanted = weight.is_none_or(|q| q.parse::<f32>().is_ok_and(|q| q > 0.0));
        (named(range_kind, kind) && named(range_subtype, subtype) && wanted).then_some(())
    };
    if ranges.into_iter().any(|range| covers(range).is_some()) {
        return Ok(());
    }
    let detail = format!("This path answers {kind}/{subtype}; accept that.");
    Err(Problem::new(Slug::NotAcceptable, detail))
}
