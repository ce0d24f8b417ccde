//! What can be measured of one server, and the measuring of it.

use std::time::Duration;

use serde::Serialize;

use crate::client::Target;
use crate::load::{Pace, Plan};
use crate::reads::{self, Exports, Gets};
use crate::writes::{Cursor, Made, Writes};
use crate::{BenchError, Entries, Figures, load};

/// One kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// POST of one entry.
    Post,
    /// POST of several entries as NDJSON.
    Batch,
    /// First pages of the list, under filters that select much, little and nothing.
    List,
    /// Entries by id.
    Get,
    /// Inclusion proofs by id.
    Proof,
    /// Whole exports as NDJSON, one at a time.
    Export,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Post,
        Self::Batch,
        Self::List,
        Self::Get,
        Self::Proof,
        Self::Export,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Post => "post",
            Self::Batch => "batch",
            Self::List => "list",
            Self::Get => "get",
            Self::Proof => "proof",
            Self::Export => "export",
        }
    }
}

/// How the scenarios of a run are measured.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is sent.
    pub entries: Entries,
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// Entries in a request of [`Scenario::Batch`].
    pub batch: u64,
    /// When the next request is sent.
    pub pace: Pace,
    /// What is sent before anything counts.
    pub warm_up: Duration,
    /// How long each scenario is measured.
    pub duration: Duration,
    /// Entries that are written before the first scenario.
    pub preload: u64,
}

impl Settings {
    fn plan(&self) -> Plan {
        Plan {
            connections: self.connections,
            pace: self.pace,
            warm_up: self.warm_up,
            duration: self.duration,
        }
    }
}

/// What a run gave.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// A row for each scenario, in their order.
    pub scenarios: Vec<Figures>,
}

/// Entries in a request, and connections, where only filling the log matters.
const FILL_BATCH: u64 = 1_000;
const FILL_CONNECTIONS: usize = 4;

/// Measures scenarios one after the other. Entries are sent from position `first` on.
///
/// # Errors
/// If the server cannot be reached, or the log holds nothing to read.
pub async fn run(
    target: &Target,
    scenarios: &[Scenario],
    settings: &Settings,
    progress: &dyn Fn(&str),
) -> Result<Report, BenchError> {
    let cursor = Cursor::default();
    if settings.preload > 0 {
        progress(&format!("writing {} entries", settings.preload));
        fill(
            target,
            &settings.entries,
            settings.preload,
            FILL_BATCH,
            &cursor,
        )
        .await?;
    }
    let mut report = Report::default();
    for scenario in scenarios {
        progress(&format!("measuring {}", scenario.as_str()));
        report
            .scenarios
            .push(measure(*scenario, target, settings, &cursor).await?);
    }
    Ok(report)
}

async fn measure(
    scenario: Scenario,
    target: &Target,
    settings: &Settings,
    cursor: &Cursor,
) -> Result<Figures, BenchError> {
    let (name, plan) = (scenario.as_str(), settings.plan());
    let writes = |batch| Writes {
        target: target.clone(),
        entries: settings.entries.clone(),
        // Nobody knows how many will be sent; nobody sends so many.
        first: cursor.take(1 << 30),
        batch,
        most: None,
    };
    match scenario {
        Scenario::Post => load::run(name, target, plan, writes(1)).await,
        Scenario::Batch => load::run(name, target, plan, writes(settings.batch.max(2))).await,
        Scenario::List => {
            let queries = filters(target).await?;
            let paths = queries.into_iter().map(|(_, query)| list_path(&query));
            load::run(name, target, plan, gets(target, paths.collect())).await
        }
        Scenario::Get | Scenario::Proof => {
            let ids = reads::ids(target, reads::size(target).await?).await?;
            let proof = scenario == Scenario::Proof;
            if proof && !reads::has_proofs(target, &ids[0]).await? {
                return Err(BenchError::new(
                    "this server gives no proofs at /logs/{id}/proof/, or the token does not \
                     allow it; leave the scenario out",
                ));
            }
            load::run(name, target, plan, gets(target, entry_paths(&ids, proof))).await
        }
        Scenario::Export => {
            let work = Exports {
                target: target.clone(),
                most: None,
            };
            let plan = Plan {
                connections: 1,
                ..plan
            };
            load::run(name, target, plan, work).await
        }
    }
}

fn gets(target: &Target, paths: Vec<String>) -> Gets {
    Gets {
        target: target.clone(),
        paths,
        most: None,
        entries: 1,
    }
}

pub(crate) fn entry_paths(ids: &[String], proof: bool) -> Vec<String> {
    let end = if proof { "proof/" } else { "" };
    ids.iter().map(|id| format!("/logs/{id}/{end}")).collect()
}

pub(crate) const PAGE: usize = 100;

pub(crate) fn list_path(query: &str) -> String {
    let join = if query.is_empty() { "" } else { "&" };
    format!("/logs/list/?page_size={PAGE}{join}{query}")
}

/// Filters made of values that occur, from the most common to one that never does, each with a
/// name.
pub(crate) async fn filters(target: &Target) -> Result<Vec<(String, String)>, BenchError> {
    let page = reads::page(target, "page_size=100").await?;
    let entry = reads::results(&page)
        .iter()
        .find(|one| one["user_id"].is_string() && one["resource"].is_string())
        .ok_or_else(|| BenchError::new("the newest 100 entries have no user and resource"))?;
    let text = |member: &str| entry[member].as_str().unwrap_or_default().to_owned();
    let (action, user, resource) = (text("action"), text("user_id"), text("resource"));
    let word = action.split(['.', ' ', '-']).next().unwrap_or_default();
    let queries = [
        ("no filter", String::new()),
        ("oldest first", "ordering=timestamp".to_owned()),
        ("by index", "order=-index".to_owned()),
        ("action", format!("action={}", encoded(&action))),
        ("user_id", format!("user_id={}", encoded(&user))),
        ("resource", format!("resource={}", encoded(&resource))),
        (
            "outcome and action",
            format!("outcome=success&action={}", encoded(&action)),
        ),
        (
            "action__prefix",
            format!("action__prefix={}", encoded(word)),
        ),
        ("q", format!("q={}", encoded(word))),
        ("nobody", "user_id=nobody-at-all".to_owned()),
    ];
    Ok(queries
        .into_iter()
        .map(|(name, query)| (name.to_owned(), query))
        .collect())
}

/// Percent-encoded: everything that is no letter, digit or `-._~` (RFC 3986, section 2.3).
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Writes entries in batches and gives what that took; all have to be taken.
pub(crate) async fn fill(
    target: &Target,
    entries: &Entries,
    count: u64,
    batch: u64,
    cursor: &Cursor,
) -> Result<Figures, BenchError> {
    let writes = Writes {
        target: target.clone(),
        entries: entries.clone(),
        first: cursor.take(count),
        batch: batch.min(count).max(1),
        most: Some(count),
    };
    whole(load::run("writing", target, at_once(FILL_CONNECTIONS), writes).await?)
}

/// The same with all requests made before the first is sent.
pub(crate) async fn burst(
    target: &Target,
    entries: &Entries,
    count: u64,
    batch: u64,
    cursor: &Cursor,
) -> Result<Figures, BenchError> {
    let made = Made::of(Writes {
        target: target.clone(),
        entries: entries.clone(),
        first: cursor.take(count),
        batch: batch.min(count).max(1),
        most: Some(count),
    });
    whole(load::run("a burst", target, at_once(FILL_CONNECTIONS), made).await?)
}

/// A plan that ends when everything was sent.
pub(crate) fn at_once(connections: usize) -> Plan {
    Plan {
        connections,
        pace: Pace::Answered,
        warm_up: Duration::ZERO,
        duration: Duration::from_secs(24 * 3_600),
    }
}

/// Figures of which nothing failed.
pub(crate) fn whole(figures: Figures) -> Result<Figures, BenchError> {
    match figures.failures.iter().next() {
        None => Ok(figures),
        Some((what, _)) => Err(BenchError::new(format!(
            "{}: {} of {} requests failed: {what}",
            figures.scenario,
            figures.failed(),
            figures.failed() + figures.requests
        ))),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn text_is_encoded_for_a_query() {
        assert_eq!(super::encoded("a.b/ü&c=d e"), "a.b%2F%C3%BC%26c%3Dd%20e");
    }
}
