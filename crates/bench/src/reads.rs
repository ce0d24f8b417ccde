//! Requests that read.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use serde_json::Value;

use crate::BenchError;
use crate::client::{Answer, Body, Target};
use crate::load::Work;
use crate::random::Random;

/// Requests for some paths, each with the same chance.
pub(crate) struct Gets {
    pub(crate) target: Target,
    pub(crate) paths: Vec<String>,
    /// How many requests there are.
    pub(crate) most: Option<u64>,
    /// Entries in each answer, where every answer has the same number.
    pub(crate) entries: u64,
}

impl Work for Gets {
    fn request(&self, number: u64) -> Option<Request<Full<Bytes>>> {
        if self.most.is_some_and(|most| number >= most) || self.paths.is_empty() {
            return None;
        }
        let at = Random::of(1, number).below(self.paths.len() as u64);
        Some(self.target.get(&self.paths[usize::try_from(at).ok()?]))
    }

    fn entries(&self, _: u64, _: &Answer) -> u64 {
        self.entries
    }
}

/// Whole exports as NDJSON, whose lines are counted.
pub(crate) struct Exports {
    pub(crate) target: Target,
    pub(crate) most: Option<u64>,
}

impl Work for Exports {
    fn request(&self, number: u64) -> Option<Request<Full<Bytes>>> {
        if self.most.is_some_and(|most| number >= most) {
            return None;
        }
        Some(self.target.get("/logs/export/?format=ndjson"))
    }

    fn entries(&self, _: u64, answer: &Answer) -> u64 {
        answer.lines
    }

    fn body(&self) -> Body {
        Body::Lines
    }
}

/// A page of the list as JSON.
pub(crate) async fn page(target: &Target, query: &str) -> Result<Value, BenchError> {
    let answer = target
        .once(target.get(&format!("/logs/list/?{query}")))
        .await?;
    answer.json(&format!("the list of {query}"))
}

/// The results of a page.
pub(crate) fn results(page: &Value) -> &[Value] {
    page["results"].as_array().map_or(&[], Vec::as_slice)
}

/// The path and query of the next page.
pub(crate) fn next(page: &Value) -> Option<String> {
    let url: hyper::Uri = page["next"].as_str()?.parse().ok()?;
    Some(url.path_and_query()?.to_string())
}

/// Ids of entries, from all over a log of `size` entries.
pub(crate) async fn ids(target: &Target, size: u64) -> Result<Vec<String>, BenchError> {
    const PLACES: u64 = 20;
    let mut ids = Vec::new();
    for place in 0..PLACES.min(size) {
        let from = size / PLACES.min(size) * place;
        let query = format!("order=index&index_from={from}&page_size=100&count=none");
        let page = page(target, &query).await?;
        let found = results(&page).iter().filter_map(|one| one["id"].as_str());
        ids.extend(found.map(str::to_owned));
    }
    if ids.is_empty() {
        return Err(BenchError::new("the log holds no entries to read"));
    }
    Ok(ids)
}

/// The number of entries in the log.
pub(crate) async fn size(target: &Target) -> Result<u64, BenchError> {
    let newest = page(target, "order=-index&page_size=1&count=none").await?;
    Ok(results(&newest)
        .first()
        .and_then(|one| one["index"].as_u64())
        .map_or(0, |index| index + 1))
}

/// Whether a server gives proofs at a path of their own.
pub(crate) async fn has_proofs(target: &Target, id: &str) -> Result<bool, BenchError> {
    let answer = target
        .once(target.get(&format!("/logs/{id}/proof/")))
        .await?;
    Ok(answer.status == 200)
}
