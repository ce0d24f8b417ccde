//! The issuer's keys: where they come from, and how they stay fresh.
//!
//! One task reads them ([`Refresher`]), so that there is never more than one request to the
//! issuer at a time. Whatever goes wrong, the last good set stays in use.

mod fetch;
mod refresh;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use audittrail_auth::JwkSet;
use reqwest::Url;

pub(crate) use fetch::{FetchError, Fetcher};
pub(crate) use refresh::Refresher;

use crate::Failure;

/// So many requests may wait for keys at one time; more are answered with what is known.
pub(crate) const WAITING: usize = 256;

/// Where a JWKS is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    File(PathBuf),
    Url(Url),
}

impl Source {
    /// A URL where the text begins like one, else the path of a file.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            Failure::Usage(format!(
                "jwks {why}; write the path of a file, or a URL like \
                 https://id.example.org/.well-known/jwks.json"
            ))
        };
        if text.is_empty() {
            return Err(wrong("is empty"));
        }
        let Some((scheme, _)) = text.split_once("://") else {
            return Ok(Self::File(PathBuf::from(text)));
        };
        if !matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") {
            return Err(wrong("is a URL of another kind than http and https"));
        }
        let url = Url::parse(text).map_err(|_| wrong("is not a URL"))?;
        if !url.username().is_empty() || url.password().is_some() {
            // It would stand in logs, and no issuer asks for one.
            return Err(wrong("holds a user name or a password"));
        }
        Ok(Self::Url(url))
    }

    /// Whether anybody on the way could put in keys of their own.
    fn is_exposed(&self) -> bool {
        let Self::Url(url) = self else { return false };
        let host = url.host_str().unwrap_or_default();
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        let local = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        url.scheme() == "http" && !local
    }
}

impl std::fmt::Display for Source {
    /// Without a query, which is nobody's business but the issuer's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Url(url) => {
                let mut url = url.clone();
                url.set_query(None);
                url.set_fragment(None);
                write!(f, "{url}")
            }
        }
    }
}

/// When keys are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    /// After a success.
    pub(crate) every: Duration,
    /// At the most so often because a token names an unknown key. This bounds what strangers
    /// with invented tokens can make the server ask of its issuer.
    pub(crate) for_tokens: Duration,
    /// After the first failure; then twice as long each time.
    pub(crate) first_retry: Duration,
    /// The longest of these.
    pub(crate) last_retry: Duration,
}

impl Schedule {
    pub(crate) fn of(source: &Source) -> Self {
        let every = match source {
            Source::File(_) => Duration::from_secs(60),
            Source::Url(_) => Duration::from_secs(300),
        };
        Self {
            every,
            for_tokens: Duration::from_secs(60),
            first_retry: Duration::from_secs(1),
            last_retry: Duration::from_secs(60),
        }
    }
}

/// Names and meaning of what is counted here, from zero.
pub(crate) fn describe() {
    metrics::describe_counter!(
        "audittrail_jwks_refresh_total",
        "Readings of the JWKS, by outcome"
    );
    metrics::describe_gauge!("audittrail_jwks_keys", "Keys of the JWKS that are in use");
    for outcome in FetchError::OUTCOMES.iter().chain(&[refresh::SUCCESS]) {
        metrics::counter!("audittrail_jwks_refresh_total", "outcome" => *outcome).absolute(0);
    }
    metrics::gauge!("audittrail_jwks_keys").set(0.0);
}

/// A source that can be used, and the set in it where it is a file: one that cannot be read is a
/// mistake to be told at once, while an issuer may start after this server.
pub(crate) fn prepare(source: &Source) -> Result<(Fetcher, Option<Vec<u8>>), Failure> {
    if source.is_exposed() {
        tracing::warn!(
            %source,
            "the JWKS comes by plain http: whoever is on the way can put in keys of their own; use \
             https"
        );
    }
    let fetcher = Fetcher::new(source)?;
    let first = match source {
        Source::Url(_) => None,
        Source::File(path) => {
            let set = fetch::read_file(path).and_then(|bytes| {
                JwkSet::parse(&bytes)?;
                Ok(bytes)
            });
            Some(set.map_err(|error| {
                Failure::Usage(format!("jwks is {source}, which cannot be used: {error}"))
            })?)
        }
    };
    Ok((fetcher, first))
}
