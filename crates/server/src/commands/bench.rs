//! `audittrail bench`

use std::path::PathBuf;
use std::time::Duration;

use audittrail_bench::{
    BenchError, Budgets, Embedded, Entries, Figures, Growth, Kind, Limits, Pace, Plan, Row,
    Scenario, Settings, Sizes, Stage, Target, empty_handler, growth_table, synced_appends, table,
};
use serde::Serialize;

use crate::Failure;
use crate::cli::{BenchArguments, BenchKind, BenchScenario};
use crate::commands::remote;
use crate::lifecycle::asked_to_stop;
use crate::settings::time;

/// Of a server of its own, reads need something to read.
const PRELOAD: u64 = 100_000;
/// A tenth of what the budgets name, for a run of some minutes.
const ENTRIES: u64 = 1_000_000;
/// No limit of the machine is measured longer.
const LIMIT: Duration = Duration::from_secs(2);

fn failed(error: &BenchError) -> Failure {
    Failure::Failed(error.to_string())
}

/// What a run gave, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Results {
    version: &'static str,
    cores: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scenarios: Vec<Figures>,
    /// What the machine allows, measured in the same run.
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<MachineLimits>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    budgets: Vec<Row>,
    /// One log at several sizes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    growth: Vec<Stage>,
}

#[derive(Debug, Serialize)]
struct MachineLimits {
    /// Single entries to a handler that does nothing.
    empty_handler: Figures,
    /// Bodies of the same sizes, appended to a file and synced one by one.
    synced_appends: Vec<Limits>,
}

pub(crate) fn run(arguments: &BenchArguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("the runtime cannot be started: {error}")))?;
    runtime.block_on(async {
        // A server of its own ends with what measures it.
        tokio::select! {
            done = measure(arguments) => done,
            () = asked_to_stop() => Err(Failure::Failed("it was stopped".to_owned())),
        }
    })
}

async fn measure(arguments: &BenchArguments) -> Result<(), Failure> {
    let progress = |what: &str| crate::note!("{what} …");
    let mut results = Results {
        version: env!("CARGO_PKG_VERSION"),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        scenarios: Vec::new(),
        limits: None,
        budgets: Vec::new(),
        growth: Vec::new(),
    };
    if arguments.budgets {
        let budgets = budgets(arguments)?;
        results.budgets = budgets
            .run(&progress)
            .await
            .map_err(|error| failed(&error))?;
    } else if !arguments.growth.is_empty() {
        results.growth = growth(arguments)?
            .run(&progress)
            .await
            .map_err(|error| failed(&error))?;
    } else {
        scenarios(arguments, &mut results, &progress).await?;
    }
    if arguments.json {
        let json = serde_json::to_string_pretty(&results)
            .map_err(|error| Failure::Failed(format!("no JSON can be made: {error}")))?;
        crate::out!("{json}");
    } else {
        show(&results);
    }
    if Budgets::missed(&results.budgets) {
        return Err(Failure::Unverified("a budget was missed".to_owned()));
    }
    Ok(())
}

fn show(results: &Results) {
    if !results.budgets.is_empty() {
        crate::out!("{}", table(&results.budgets).trim_end());
    }
    if !results.growth.is_empty() {
        crate::out!("{}", growth_table(&results.growth).trim_end());
    }
    for figures in &results.scenarios {
        crate::out!("{figures}");
    }
    let Some(limits) = &results.limits else {
        return;
    };
    crate::out!("limits of this machine, measured beside it:");
    crate::out!("{}", limits.empty_handler);
    for limit in &limits.synced_appends {
        crate::out!(
            "append and fdatasync of {} bytes: {:.0} a second, {:.1} MB/s, p50 {:.3} ms, p99 {:.3} ms",
            limit.append_bytes,
            limit.appends_per_second,
            limit.mb_per_second,
            limit.latency_ms.p50,
            limit.latency_ms.p99
        );
    }
    for (name, ratio) in ratios(results, limits) {
        crate::out!("{name}: {ratio:.3} of the limit");
    }
}

/// What each scenario of writing reached of its limit.
fn ratios(results: &Results, limits: &MachineLimits) -> Vec<(String, f64)> {
    let of = |figures: &Figures| match figures.scenario.as_str() {
        "post" => Some(figures.requests_per_second / limits.empty_handler.requests_per_second),
        "batch" => {
            let limit = limits.synced_appends.last()?;
            Some(figures.sent_mb_per_second() / limit.mb_per_second)
        }
        _ => None,
    };
    let named = |figures: &Figures| Some((figures.scenario.clone(), of(figures)?));
    results.scenarios.iter().filter_map(named).collect()
}

fn within(arguments: &BenchArguments) -> PathBuf {
    arguments.dir.clone().unwrap_or_else(std::env::temp_dir)
}

fn own_binary() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::Failed(format!("this program cannot be found: {error}")))
}

fn of_file(arguments: &BenchArguments) -> Result<Option<Entries>, Failure> {
    let file = arguments.file.as_deref().map(Entries::of_file);
    file.transpose()
        .map_err(|error| Failure::Usage(error.to_string()))
}

fn budgets(arguments: &BenchArguments) -> Result<Budgets, Failure> {
    let (full, entries) = (Sizes::full(), arguments.entries.unwrap_or(ENTRIES));
    Ok(Budgets {
        binary: own_binary()?,
        within: within(arguments),
        sizes: Sizes {
            entries,
            real_entries: (entries / 10).max(1_000),
            burst_seconds: arguments.burst.unwrap_or(full.burst_seconds),
            sustained_seconds: arguments.sustained.unwrap_or(full.sustained_seconds),
            ..full
        },
        seed: arguments.seed,
        real: of_file(arguments)?,
    })
}

fn growth(arguments: &BenchArguments) -> Result<Growth, Failure> {
    if !arguments.growth.is_sorted() {
        let what =
            "the sizes of --growth have to ascend: the log is filled on from each to the next";
        return Err(Failure::Usage(what.to_owned()));
    }
    Ok(Growth {
        binary: own_binary()?,
        within: within(arguments),
        sizes: arguments.growth.clone(),
        pages: Sizes::full().pages,
        seed: arguments.seed,
    })
}

fn settings(arguments: &BenchArguments, own: bool, reads: bool) -> Result<Settings, Failure> {
    let made = Entries::Made {
        kind: match arguments.kind {
            BenchKind::Small => Kind::Small,
            BenchKind::Real => Kind::Real,
        },
        seed: arguments.seed,
    };
    let preload = if own && reads { PRELOAD } else { 0 };
    Ok(Settings {
        entries: of_file(arguments)?.unwrap_or(made),
        connections: arguments.connections as usize,
        batch: u64::from(arguments.batch),
        pace: arguments
            .rate
            .map_or(Pace::Answered, |rate| Pace::Fixed(f64::from(rate))),
        warm_up: time(
            "warm-up",
            arguments.warm_up.as_deref(),
            Duration::from_secs(2),
        )?,
        duration: time(
            "duration",
            arguments.duration.as_deref(),
            Duration::from_secs(10),
        )?,
        preload: arguments.preload.unwrap_or(preload),
    })
}

fn chosen(arguments: &BenchArguments) -> Vec<Scenario> {
    let all = [
        BenchScenario::Post,
        BenchScenario::Batch,
        BenchScenario::List,
        BenchScenario::Get,
        BenchScenario::Export,
    ];
    let chosen = match &arguments.scenarios[..] {
        [] => &all[..],
        some => some,
    };
    let scenario = |chosen: &BenchScenario| match chosen {
        BenchScenario::Post => Scenario::Post,
        BenchScenario::Batch => Scenario::Batch,
        BenchScenario::List => Scenario::List,
        BenchScenario::Get => Scenario::Get,
        BenchScenario::Proof => Scenario::Proof,
        BenchScenario::Export => Scenario::Export,
    };
    chosen.iter().map(scenario).collect()
}

async fn scenarios(
    arguments: &BenchArguments,
    results: &mut Results,
    progress: &dyn Fn(&str),
) -> Result<(), Failure> {
    let sizes = [arguments.entries, arguments.burst, arguments.sustained];
    if sizes.iter().any(Option::is_some) {
        return Err(Failure::Usage(
            "--entries, --burst and --sustained are of --budgets; give that, or leave them out"
                .to_owned(),
        ));
    }
    let chosen = chosen(arguments);
    let writes = |one: &Scenario| matches!(one, Scenario::Post | Scenario::Batch);
    let own = arguments.url.is_none();
    let settings = settings(arguments, own, !chosen.iter().all(writes))?;
    if own {
        results.limits = Some(limits(arguments, &settings, progress).await?);
        let server = Embedded::start(&own_binary()?, &within(arguments));
        let server = server.map_err(|error| failed(&error))?;
        let report = audittrail_bench::run(&server.target, &chosen, &settings, progress).await;
        results.scenarios = report.map_err(|error| failed(&error))?.scenarios;
        return Ok(());
    }
    let url = arguments.url.as_deref().unwrap_or_default();
    let token = remote::token(arguments.token.as_deref(), "admin")?;
    let target = Target::new(url, token, arguments.pid);
    let target = target.map_err(|error| Failure::Usage(error.to_string()))?;
    let report = audittrail_bench::run(&target, &chosen, &settings, progress).await;
    results.scenarios = report.map_err(|error| failed(&error))?.scenarios;
    Ok(())
}

/// What this machine allows; of another machine nothing can be said.
async fn limits(
    arguments: &BenchArguments,
    settings: &Settings,
    progress: &dyn Fn(&str),
) -> Result<MachineLimits, Failure> {
    progress("the limits of this machine");
    let duration = settings.duration.min(LIMIT);
    let plan = Plan {
        connections: settings.connections,
        pace: Pace::Answered,
        warm_up: duration / 2,
        duration,
    };
    let empty_handler = empty_handler(plan, &settings.entries).await;
    let sizes = [1, settings.batch].into_iter();
    let appends = sizes.map(|count| {
        synced_appends(
            &within(arguments),
            &settings.entries.batch(0, count),
            duration,
        )
    });
    Ok(MachineLimits {
        empty_handler: empty_handler.map_err(|error| failed(&error))?,
        synced_appends: appends
            .collect::<Result<_, _>>()
            .map_err(|error| failed(&error))?,
    })
}
