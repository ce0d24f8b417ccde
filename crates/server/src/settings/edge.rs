//! Settings of the HTTP server: proxies, rates, bounds on connections.

use std::time::Duration;

use audittrail_api::Rate;
use audittrail_store::IpBlock;

use super::{RawSettings, usage};
use crate::Failure;
use crate::http::Bounds;

/// How the server meets its clients.
#[derive(Debug)]
pub(crate) struct Edge {
    /// Empty, or with a slash at its beginning and none at its end.
    pub(crate) base_path: String,
    pub(crate) trusted_proxies: Vec<IpBlock>,
    pub(crate) rate: Option<Rate>,
    pub(crate) bounds: Bounds,
    pub(crate) body_stall: Duration,
    pub(crate) request_time: Duration,
}

pub(super) fn resolve(raw: &RawSettings) -> Result<Edge, Failure> {
    let bounds = Bounds::default();
    let connections = raw.max_connections.unwrap_or(bounds.connections);
    if !(1..=1_000_000).contains(&connections) {
        return Err(usage(format!(
            "max-connections is {connections}; use a number from 1 to 1000000"
        )));
    }
    let rate = raw.rate_limit.as_deref().map(|text| {
        Rate::parse(text).ok_or_else(|| {
            usage(format!(
                "rate-limit is {text}; write a number of requests by s, m or h, like 50/s"
            ))
        })
    });
    Ok(Edge {
        base_path: base_path(raw.base_path.as_deref().unwrap_or_default())?,
        trusted_proxies: trusted(raw.trusted_proxies.as_deref().unwrap_or_default())?,
        rate: rate.transpose()?,
        bounds: Bounds {
            connections,
            head: time("head-timeout", raw.head_timeout.as_deref(), bounds.head)?,
            idle: time("idle-timeout", raw.idle_timeout.as_deref(), bounds.idle)?,
            write: time("write-timeout", raw.write_timeout.as_deref(), bounds.write)?,
            shutdown: time(
                "shutdown-timeout",
                raw.shutdown_timeout.as_deref(),
                bounds.shutdown,
            )?,
        },
        body_stall: time(
            "body-timeout",
            raw.body_timeout.as_deref(),
            Duration::from_secs(10),
        )?,
        request_time: time(
            "request-timeout",
            raw.request_timeout.as_deref(),
            Duration::from_secs(30),
        )?,
    })
}

fn base_path(text: &str) -> Result<String, Failure> {
    let path = text.trim_end_matches('/');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let good = path.starts_with('/') && path.bytes().all(plain) && !path.contains("//");
    if path.is_empty() || good {
        Ok(path.to_owned())
    } else {
        Err(usage(format!(
            "base-path is {text}; write it like /audit, of letters, digits and -._~"
        )))
    }
}

fn trusted(text: &str) -> Result<Vec<IpBlock>, Failure> {
    let blocks = text.split(',').map(str::trim).filter(|one| !one.is_empty());
    let parsed = blocks.map(|one| {
        IpBlock::parse(one).ok_or_else(|| {
            usage(format!(
                "trusted-proxies has {one}; write addresses and CIDR blocks, like 10.0.0.0/8,::1"
            ))
        })
    });
    parsed.collect()
}

/// A number with ms, s, m or h, more than zero.
pub(crate) fn time(
    name: &str,
    given: Option<&str>,
    default: Duration,
) -> Result<Duration, Failure> {
    let Some(text) = given else {
        return Ok(default);
    };
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let number = digits.parse::<u32>().ok().filter(|number| *number > 0);
    match (number, unit) {
        (Some(number), Some(unit)) => Ok(Duration::from_millis(u64::from(number) * unit)),
        _ => Err(usage(format!(
            "{name} is {text}; write a number with ms, s, m or h, like 15s"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let parse = |text| time("t", Some(text), Duration::ZERO).ok();
        assert_eq!(parse("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse("2m"), Some(Duration::from_secs(120)));
        for text in ["", "5", "s", "0s", "-1s", "1.5s", "1d", "99999999999s"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn base_paths() {
        for (text, path) in [("", Some("")), ("/", Some("")), ("/a/b/", Some("/a/b"))] {
            assert_eq!(base_path(text).ok().as_deref(), path);
        }
        for text in ["audit", "/a//b", "/{a}", "/a?b", "/a b", "https://a"] {
            assert!(base_path(text).is_err(), "{text}");
        }
    }
}
