//! `GET /logs/stats/`: how many entries a filter selects, when they happened, and which values
//! they have. Everything in an answer is of the log at one size.

use audittrail_entry::json::write_string;
use audittrail_store::{
    Calendar, Facet, Filter, Interval, Stats, StatsQuery, StoreErrorKind, UnknownZone,
};
use axum::extract::State as FromState;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};

use crate::caller::{Caller, access};
use crate::list::accepts_json;
use crate::metering::record_failures;
use crate::openapi::parameters::{Counting, Filters, RequestId};
use crate::openapi::schemas;
use crate::parameters::Parameters;
use crate::problem::{Problem, Slug};
use crate::{Shared, State};

/// The most intervals with entries that one answer has.
pub(crate) const MOST_BUCKETS: usize = 10_000;
pub(crate) const TOP: usize = 10;
pub(crate) const MOST_TOP: usize = 1_000;
/// So many answers are made at once; other requests wait. It bounds the memory they take.
pub(crate) const AT_ONCE: usize = 2;

/// Statistics
///
/// Counts the entries that the filter selects and the caller may see, all of them exactly: in all,
/// by intervals of the calendar, and by their most frequent values. Entries known to have failed
/// verification are counted under every filter, as the list has them, and apart: what they say is
/// not counted.
#[utoipa::path(
    get, path = "/logs/stats/", operation_id = "stats", tag = "entries",
    params(Filters, Counting, RequestId),
    responses((status = 200, description = "The numbers.", body = schemas::Stats))
)]
pub(crate) async fn stats(
    FromState(shared): FromState<State>,
    Caller(principal): Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let access = access(principal.read_access()?);
    accepts_json(&headers)?;
    let mut parameters = Parameters::of(&uri)?;
    let calendar = calendar(&mut parameters)?;
    let by = facets(&mut parameters)?;
    let top = parameters.take_number("top", 1, MOST_TOP)?;
    if top.is_some() && by.is_empty() {
        return Err(Problem::parameter("top", "goes with by; give that, too"));
    }
    let filter = Filter::from_parameters(parameters.iter())
        .map_err(|errors| Problem::parameters(&errors))?;
    let query = StatsQuery {
        filter,
        access,
        size: shared.api.store.head().await?.size,
        failed: shared.api.reader.failed(),
        calendar,
        most_buckets: MOST_BUCKETS,
        by,
        top: top.unwrap_or(TOP),
    };
    let stats = shared.count(&query).await?;
    if !stats.damaged.is_empty() {
        shared.api.reader.report(&stats.damaged);
        record_failures(stats.damaged.len() as u64, shared.api.reader.failed().len());
    }
    let body = written(&query, &stats, shared.api.reader.failed().len());
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

fn calendar(parameters: &mut Parameters) -> Result<Option<Calendar>, Problem> {
    let words = "minute, hour, day, week, month, quarter and year";
    let interval = parameters.take_word("interval", words, Interval::parse)?;
    let zone = parameters.take("time_zone")?;
    let Some(interval) = interval else {
        return match zone {
            None => Ok(None),
            Some(_) => Err(Problem::parameter(
                "time_zone",
                "goes with interval; give that, too",
            )),
        };
    };
    let unknown = |UnknownZone| {
        let detail = "is not the name of a time zone; write it as the tz database does, \
                      like Europe/Berlin or UTC";
        Problem::parameter("time_zone", detail)
    };
    let zone = zone.as_deref().unwrap_or("UTC");
    Calendar::new(interval, zone).map(Some).map_err(unknown)
}

/// The members of `by`, each once, in the order given.
fn facets(parameters: &mut Parameters) -> Result<Vec<Facet>, Problem> {
    let mut facets = Vec::new();
    let Some(by) = parameters.take("by")? else {
        return Ok(facets);
    };
    for name in by.split(',') {
        let Some(facet) = Facet::parse(name) else {
            let known = Facet::ALL.map(Facet::as_str).join(", ");
            let detail = format!("is not a list of some of {known}, with commas between them");
            return Err(Problem::parameter("by", detail));
        };
        if !facets.contains(&facet) {
            facets.push(facet);
        }
    }
    Ok(facets)
}

impl Shared {
    async fn count(&self, query: &StatsQuery) -> Result<Stats, Problem> {
        let counting = async {
            // Never closed.
            let _place = self.stats_places.acquire().await;
            self.api.store.stats(query).await
        };
        match tokio::time::timeout(self.api.settings.request_time, counting).await {
            Ok(Err(error)) if error.kind() == StoreErrorKind::Invalid => {
                let detail = format!(
                    "divides the entries into more than {MOST_BUCKETS} intervals; choose a longer \
                     one, or give start_time and end_time"
                );
                Err(Problem::parameter("interval", detail))
            }
            Ok(stats) => Ok(stats?),
            Err(_) => {
                let detail = "Counting took too long; narrow the filter, by time for example, or \
                              count by fewer members.";
                Err(Problem::new(Slug::Unavailable, detail))
            }
        }
    }
}

fn written(query: &StatsQuery, stats: &Stats, failed_entries: usize) -> Vec<u8> {
    let mut body = format!(
        "{{\"tree_size\":{},\"count\":{},\"failed\":{},\"failed_entries\":{failed_entries}",
        query.size, stats.count, stats.failed
    )
    .into_bytes();
    if let Some(calendar) = &query.calendar {
        let interval = calendar.interval().as_str();
        body.extend(format!(",\"interval\":\"{interval}\",\"time_zone\":").as_bytes());
        write_string(calendar.zone(), &mut body);
        body.extend(b",\"buckets\":[");
        for (number, bucket) in stats.buckets.iter().enumerate() {
            let one = format!(
                "{}{{\"start\":\"{}\",\"end\":\"{}\",\"count\":{}}}",
                if number > 0 { "," } else { "" },
                calendar.text(bucket.span.start),
                calendar.text(bucket.span.end),
                bucket.count
            );
            body.extend(one.as_bytes());
        }
        body.push(b']');
    }
    if !stats.tops.is_empty() {
        body.extend(b",\"by\":{");
        for (number, top) in stats.tops.iter().enumerate() {
            let head = format!(
                "{}\"{}\":{{\"distinct\":{},\"missing\":{},\"values\":[",
                if number > 0 { "," } else { "" },
                top.facet.as_str(),
                top.distinct,
                top.missing
            );
            body.extend(head.as_bytes());
            for (number, (value, count)) in top.values.iter().enumerate() {
                body.extend(if number > 0 {
                    &b",{\"value\":"[..]
                } else {
                    b"{\"value\":"
                });
                write_string(value, &mut body);
                body.extend(format!(",\"count\":{count}}}").as_bytes());
            }
            body.extend(b"]}");
        }
        body.push(b'}');
    }
    body.push(b'}');
    body
}
