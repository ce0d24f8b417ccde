//! What was measured of one scenario.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Latencies in milliseconds, each a value that so many requests did not exceed, with three
/// significant digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Latencies {
    /// Half of them.
    pub p50: f64,
    /// 90 in 100.
    pub p90: f64,
    /// 99 in 100.
    pub p99: f64,
    /// 999 in 1,000.
    pub p999: f64,
    /// All.
    pub max: f64,
}

impl Latencies {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let ms = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e6;
        Self {
            p50: ms(0.5),
            p90: ms(0.9),
            p99: ms(0.99),
            p999: ms(0.999),
            max: histogram.max() as f64 / 1e6,
        }
    }
}

/// What was measured of one scenario, without its warm-up.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Figures {
    /// What was done.
    pub scenario: String,
    /// Connections that were kept.
    pub connections: usize,
    /// The fixed rate in requests a second, or absent where each connection waits for its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed_rate: Option<f64>,
    /// How long it was measured.
    pub seconds: f64,
    /// Requests answered with success.
    pub requests: u64,
    /// The same, a second.
    pub requests_per_second: f64,
    /// Entries in them: sent, or received where they were read.
    pub entries: u64,
    /// The same, a second.
    pub entries_per_second: f64,
    /// Bytes of the bodies sent.
    pub sent_bytes: u64,
    /// Bytes of the bodies received.
    pub received_bytes: u64,
    /// From the start of each request, or where a rate is fixed from when it should have started,
    /// to the last byte of its answer.
    pub latency_ms: Latencies,
    /// Requests that were not answered with success, by what happened.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub failures: BTreeMap<String, u64>,
    /// CPU seconds of the server, user and system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu_seconds: Option<f64>,
    /// The server's greatest anonymous resident memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_anonymous_bytes: Option<u64>,
}

impl Figures {
    /// How many requests did not succeed.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Megabytes of the bodies sent in a second.
    pub fn sent_mb_per_second(&self) -> f64 {
        self.sent_bytes as f64 / 1e6 / self.seconds.max(1e-9)
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let latency = &self.latency_ms;
        let pace = match self.fixed_rate {
            Some(rate) => format!("{rate:.0} requests a second"),
            None => "as fast as answered".to_owned(),
        };
        writeln!(
            f,
            "{}, {} connections, {pace}, {:.1} s",
            self.scenario, self.connections, self.seconds
        )?;
        writeln!(
            f,
            "  {:.0} requests/s, {:.0} entries/s, {:.1} MB/s sent, {:.1} MB/s received",
            self.requests_per_second,
            self.entries_per_second,
            self.sent_mb_per_second(),
            self.received_bytes as f64 / 1e6 / self.seconds.max(1e-9),
        )?;
        write!(
            f,
            "  ms: p50 {:.3}, p90 {:.3}, p99 {:.3}, p99.9 {:.3}, most {:.3}",
            latency.p50, latency.p90, latency.p99, latency.p999, latency.max
        )?;
        if let (Some(cpu), Some(memory)) = (self.server_cpu_seconds, self.server_anonymous_bytes) {
            let megabytes = memory as f64 / 1e6;
            write!(
                f,
                "\n  server: {cpu:.2} s of CPU, {megabytes:.0} MB anonymous memory"
            )?;
        }
        for (what, count) in &self.failures {
            write!(f, "\n  {count} failed: {what}")?;
        }
        Ok(())
    }
}
