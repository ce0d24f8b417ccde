//! `audittrail monitor`
//!
//! The log's word is not taken for anything that hashes can show. What is decided without
//! network, clock and disk is in the crate `audittrail-monitor`.

mod check;
mod fetch;
mod files;
mod finding;
mod keeper;
mod measure;
mod mirror;
mod webhook;

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use audittrail_checkpoint::VerifierKey;
use audittrail_entry::Clock as _;
use audittrail_monitor::LogKeys;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

use self::check::Monitor;
use self::fetch::Log;
use self::finding::Report;
use self::keeper::Keeper;
use self::mirror::Mirror;
use self::webhook::{Courier, Webhook};
use crate::Failure;
use crate::ambient::SystemClock;
use crate::cli::MonitorArguments;
use crate::lifecycle::Signals;
use crate::http::{self, Bounds};
use crate::settings::{address, time};

/// Where a server on the same machine is not.
const METRICS_EXAMPLE: &str = "127.0.0.1:9465";
/// Alerts that are on their way have so long when the monitor is stopped.
const FAREWELL: Duration = Duration::from_secs(10);

/// The mirror has a checkpoint of its own, which names what it holds and not what was seen last.
fn apart(state: &Path, mirror: &Path) -> Result<(), Failure> {
    let above = state.parent().filter(|at| !at.as_os_str().is_empty());
    let above = above.unwrap_or(Path::new(".")).canonicalize();
    match (above, mirror.canonicalize()) {
        (Ok(above), Ok(mirror)) if above == mirror => Err(Failure::Usage(format!(
            "state is {}, in the directory of the mirror, which keeps its own files there; name a \
             file elsewhere",
            state.display()
        ))),
        _ => Ok(()),
    }
}

pub(crate) fn run(arguments: &MonitorArguments) -> Result<(), Failure> {
    let seconds = Duration::from_secs;
    let given = |name, text: &Option<String>, default| time(name, text.as_deref(), default);
    let interval = given("interval", &arguments.interval, seconds(60))?;
    let limit = given("timeout", &arguments.timeout, seconds(30))?;
    let patience = given(
        "unreachable-after",
        &arguments.unreachable_after,
        seconds(600),
    )?;
    let max_age = arguments.max_age.as_deref();
    let max_age = max_age.map(|text| time("max-age", Some(text), interval));
    let max_age = max_age.transpose()?;
    let metrics = arguments.metrics_listen.as_deref();
    let metrics = metrics_address(metrics.filter(|_| !arguments.once))?;
    let keys = keys(&arguments.key)?;
    let log = Log::new(&arguments.url, arguments.token.as_deref(), limit)?;
    let webhook = arguments.webhook.as_deref().map(webhook::start);
    let (webhook, courier) = webhook.transpose()?.unzip();
    let mirror = arguments.mirror.as_deref();
    if let Some(directory) = mirror {
        apart(&arguments.state, directory)?;
    }
    let monitor = Monitor {
        keeper: Keeper::open(&arguments.state, &keys, SystemClock.now())?,
        mirror: mirror
            .map(|directory| Mirror::open(directory, &keys))
            .transpose()?,
        keys,
        log,
        max_age,
        unreachable_after: (!arguments.once).then_some(patience),
        away_since: None,
    };
    let watch = Watch {
        monitor,
        webhook,
        json: arguments.json,
        times: !arguments.once,
        found: None,
        away: None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("the runtime cannot be started: {error}")))?;
    runtime.block_on(async {
        if arguments.once {
            watch.once(courier).await
        } else {
            watch.on(courier, interval, metrics).await
        }
    })
}

/// `none` and `same` are what the variable can say to a server.
fn metrics_address(given: Option<&str>) -> Result<Option<std::net::SocketAddr>, Failure> {
    let given = given.filter(|text| !matches!(*text, "none" | "same"));
    let parsed = given.map(|text| address("metrics-listen", Some(text), METRICS_EXAMPLE));
    parsed.transpose()
}

fn keys(texts: &[String]) -> Result<LogKeys, Failure> {
    let parsed = texts.iter().map(|text| VerifierKey::parse(text));
    let parsed: Result<Vec<_>, _> = parsed.collect();
    let parsed = parsed.map_err(|error| {
        Failure::Usage(format!("key: {error}; `audittrail keys show` prints it"))
    })?;
    LogKeys::new(parsed).map_err(|error| Failure::Usage(format!("key: {error}")))
}

/// A monitor at work.
struct Watch {
    monitor: Monitor,
    webhook: Option<Webhook>,
    json: bool,
    /// Lines begin with the time.
    times: bool,
    /// The last thing that did not verify.
    found: Option<String>,
    /// Why the last check could not be carried out.
    away: Option<String>,
}

impl Watch {
    async fn once(mut self, courier: Option<Courier>) -> Result<(), Failure> {
        self.look(None).await?;
        if let (Some(webhook), Some(courier)) = (self.webhook.take(), courier) {
            let (told, ()) = tokio::join!(webhook.finish(), courier.run());
            self.monitor.keeper.told(&told)?;
        }
        self.verdict()
    }

    /// Until it is stopped, or this machine cannot go on.
    async fn on(
        mut self,
        courier: Option<Courier>,
        interval: Duration,
        metrics: Option<std::net::SocketAddr>,
    ) -> Result<(), Failure> {
        // From here on: what is printed may be answered by a signal.
        let mut signals = Signals::new()?;
        let mut courier = pin!(async {
            match courier {
                Some(courier) => courier.run().await,
                None => std::future::pending().await,
            }
        });
        let outcome = {
            let metrics = pin!(serve_metrics(metrics));
            let checks = pin!(self.checks(interval));
            tokio::select! {
                () = signals.next() => Ok(()),
                failed = metrics => failed,
                failed = checks => failed,
                () = &mut courier => Ok(()),
            }
        };
        outcome?;
        if let Some(webhook) = self.webhook.take() {
            let rest = async { tokio::join!(webhook.finish(), courier) };
            if let Ok((told, ())) = tokio::time::timeout(FAREWELL, rest).await {
                self.monitor.keeper.told(&told)?;
            }
        }
        self.verdict()
    }

    #[expect(clippy::disallowed_methods, reason = "only the server reads a clock")]
    async fn checks(&mut self, interval: Duration) -> Result<(), Failure> {
        loop {
            let next = Instant::now() + interval;
            self.look(Some(next)).await?;
            tokio::time::sleep_until(next).await;
        }
    }

    /// One check, and all that follows from it.
    async fn look(&mut self, until: Option<Instant>) -> Result<(), Failure> {
        if let Some(webhook) = &mut self.webhook {
            self.monitor.keeper.told(&webhook.delivered())?;
        }
        let report = self.monitor.check(until).await?;
        let untold = self
            .monitor
            .keeper
            .update(&report.findings, self.webhook.is_some())?;
        if let Some(webhook) = &mut self.webhook {
            for finding in untold {
                webhook.tell(self.monitor.keys.origin(), &report, finding);
            }
        }
        measure::count(&report);
        self.show(&report);
        self.away.clone_from(&report.away);
        if let Some(finding) = report.findings.first() {
            self.found = Some(format!("{}: {}", finding.kind.name(), finding.detail));
        }
        Ok(())
    }

    fn show(&self, report: &Report) {
        let origin = self.monitor.keys.origin();
        if self.json {
            crate::out!("{}", report.json(origin));
            return;
        }
        let time = report.time.to_string();
        let time = if self.times {
            format!("{time} ")
        } else {
            String::new()
        };
        for line in report.lines(origin) {
            crate::out!("{time}{line}");
        }
        if let (Some(why), true) = (&report.away, self.times) {
            crate::note!("{time}could not be checked: {why}");
        }
    }

    fn verdict(self) -> Result<(), Failure> {
        match (self.found, self.away) {
            (Some(found), _) => Err(Failure::Unverified(found)),
            (None, Some(why)) => Err(Failure::Failed(why)),
            (None, None) => Ok(()),
        }
    }
}

/// Until it fails; for ever where there is no address.
async fn serve_metrics(address: Option<std::net::SocketAddr>) -> Result<(), Failure> {
    let Some(address) = address else {
        return std::future::pending().await;
    };
    let prometheus = measure::start()?;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::Failed(format!(
            "{address} cannot be listened on: {error}; choose another address with \
             --metrics-listen"
        ))
    })?;
    if let Ok(address) = listener.local_addr() {
        crate::note!("metrics on http://{address}/metrics");
    }
    let (_stop, stopped) = watch::channel(false);
    let router = crate::telemetry::metrics_router(prometheus);
    http::serve(listener, router, Bounds::default(), stopped).await;
    Ok(())
}
