//! Telling somebody. It never holds up a check: whatever the receiver does, it is waited for
//! beside them, for a bounded time.

use std::time::Duration;

use reqwest::{Client, Url};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::fetch::client;
use super::finding::{Finding, Report};
use crate::Failure;
use crate::commands::remote;

/// For one attempt.
const LIMIT: Duration = Duration::from_secs(10);
const ATTEMPTS: u32 = 6;
/// Before the second attempt; doubled before each further one.
const BACKOFF: Duration = Duration::from_millis(500);
/// Alerts that wait; more are told after a later check.
const WAITING: usize = 64;

/// One alert.
struct Alert {
    id: String,
    body: Value,
}

/// Where alerts are put.
pub(super) struct Webhook {
    to: mpsc::Sender<Alert>,
    told: mpsc::UnboundedReceiver<(String, bool)>,
    /// On their way.
    pending: Vec<String>,
}

/// What delivers them.
pub(super) struct Courier {
    client: Client,
    url: Url,
    alerts: mpsc::Receiver<Alert>,
    told: mpsc::UnboundedSender<(String, bool)>,
}

pub(super) fn start(url: &str) -> Result<(Webhook, Courier), Failure> {
    let parsed = Url::parse(url).ok();
    let url = parsed
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| {
            Failure::Usage("webhook is no URL; write it like https://host/path".to_owned())
        })?;
    let (to, alerts) = mpsc::channel(WAITING);
    let (tell, told) = mpsc::unbounded_channel();
    let courier = Courier {
        client: client(LIMIT)?,
        url,
        alerts,
        told: tell,
    };
    let pending = Vec::new();
    Ok((Webhook { to, told, pending }, courier))
}

impl Webhook {
    /// Puts an alert on its way, unless it is there already.
    pub(super) fn tell(&mut self, origin: &str, report: &Report, finding: &Finding) {
        let id = finding.id();
        if self.pending.contains(&id) {
            return;
        }
        let evidence = finding.evidence.as_ref();
        let note = |name: &str| evidence.map(|evidence| evidence[name].clone());
        let body = json!({
            // Chat servers show this.
            "text": format!("{} in the log {origin}: {}", finding.kind.name(), finding.detail),
            "time": report.time.to_string(),
            "origin": origin,
            "finding": finding.kind.name(),
            "detail": finding.detail,
            "evidence": finding.kept,
            "earlier": note("earlier"),
            "later": note("later"),
        });
        if self
            .to
            .try_send(Alert {
                id: id.clone(),
                body,
            })
            .is_ok()
        {
            self.pending.push(id);
        }
    }

    /// Alerts that have been delivered since this was asked last.
    pub(super) fn delivered(&mut self) -> Vec<String> {
        let mut delivered = Vec::new();
        while let Ok((id, taken)) = self.told.try_recv() {
            self.pending.retain(|one| *one != id);
            if taken {
                delivered.push(id);
            }
        }
        delivered
    }

    /// Waits until all alerts are delivered or given up.
    pub(super) async fn finish(mut self) -> Vec<String> {
        let mut delivered = self.delivered();
        drop(self.to);
        while let Some((id, taken)) = self.told.recv().await {
            if taken {
                delivered.push(id);
            }
        }
        delivered
    }
}

impl Courier {
    /// Runs until there can be no more alerts.
    pub(super) async fn run(mut self) {
        while let Some(alert) = self.alerts.recv().await {
            let taken = self.deliver(&alert).await;
            let outcome = if taken { "delivered" } else { "failed" };
            metrics::counter!("audittrail_monitor_webhooks_total", "outcome" => outcome)
                .increment(1);
            if self.told.send((alert.id, taken)).is_err() {
                return;
            }
        }
    }

    async fn deliver(&self, alert: &Alert) -> bool {
        let mut why = String::new();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(BACKOFF * 2_u32.pow(attempt - 1)).await;
            }
            // What it answers is not read.
            match self
                .client
                .post(self.url.clone())
                .json(&alert.body)
                .send()
                .await
            {
                Ok(answer) if answer.status().is_success() => return true,
                Ok(answer) => why = format!("it answered {}", answer.status()),
                Err(error) => why = remote::chain(&error.without_url()),
            }
        }
        // The rest of its address may be a secret.
        let shown = self.url.origin().ascii_serialization();
        crate::note!("the webhook at {shown} did not take an alert in {ATTEMPTS} attempts: {why}");
        false
    }
}
