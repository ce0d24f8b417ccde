//! `audittrail verify`

use std::fs::File;
use std::io::{self, BufReader, IsTerminal as _, Read, Write as _};
use std::path::Path;

use audittrail_checkpoint::VerifierKey;
use audittrail_entry::{KeyRing, SigningKey, Timestamp};
use audittrail_verifier::{Report, Trust, shown};
use serde_json::json;

use crate::Failure;
use crate::cli::VerifyArguments;
use crate::commands::inputs::Inputs;
use crate::commands::verify_page::{Copied, Page};
use crate::commands::verify_threads::{CheckError, check};
use crate::log_keys::without_line_end;
use crate::witnesses::read_policy;

/// Fewer and larger reads than the default.
const BUFFER_BYTES: usize = 256 << 10;
/// Progress is shown each time so many bytes were checked.
const PROGRESS_BYTES: u64 = 16 << 20;

pub(crate) fn run(arguments: &VerifyArguments) -> Result<(), Failure> {
    let trust = trust(arguments)?;
    let threads = arguments
        .threads
        .map(usize::from)
        .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
        .unwrap_or(1);
    let failed = |error: CheckError| {
        let file = arguments.file.display();
        Failure::Failed(format!("{file} {error}"))
    };
    let unread = |error: io::Error| failed(error.into());
    let mut inputs = Inputs::default();
    let others = arguments.policy.iter().chain(&arguments.signing_key);
    others.for_each(|path| inputs.add_path(path));
    // Opened first, so that no page is begun where there is nothing to read.
    let (file, size): (Box<dyn Read>, _) = if arguments.file.as_os_str() == "-" {
        inputs.add_stdin();
        (Box::new(io::stdin().lock()), None)
    } else {
        let file = File::open(&arguments.file).map_err(unread)?;
        let about = file.metadata().map_err(unread)?;
        inputs.add(&about);
        (Box::new(file), Some(about.len()))
    };
    let page = arguments.html.as_deref();
    let mut page = page.map(|path| Page::open(path, &inputs)).transpose()?;
    let page_too = page.as_mut();
    let copied = Copied {
        file,
        page: page_too,
    };
    let mut file = BufReader::with_capacity(BUFFER_BYTES, copied);
    let mut progress = Progress::new(size);
    let report = check(&mut file, trust, threads, &mut progress).and_then(|report| {
        // What was not looked at is in the page, too.
        if arguments.html.is_some() {
            io::copy(&mut file, &mut io::sink())?;
        }
        Ok(report)
    });
    let report = report.map_err(failed)?;
    drop(file);
    page.map_or(Ok(()), Page::finish)?;
    if arguments.json {
        crate::out!("{}", as_json(&report));
    } else {
        print(&report);
    }
    match report.found {
        0 => Ok(()),
        found => Err(Failure::Unverified(format!(
            "{found} findings: the evidence does not verify"
        ))),
    }
}

fn trust(arguments: &VerifyArguments) -> Result<Trust, Failure> {
    let key = |text: &String| {
        VerifierKey::parse(text).map_err(|error| {
            Failure::Usage(format!(
                "--key {text}: {error}; `audittrail keys show` prints the key of a log"
            ))
        })
    };
    let keys = arguments.key.iter().map(key).collect::<Result<_, _>>()?;
    let signing = arguments.signing_key.iter().map(|path| signing_key(path));
    let mut signing = signing.collect::<Result<Vec<_>, _>>()?.into_iter();
    let ring = signing.next().map(|current| KeyRing {
        current,
        earlier: signing.collect(),
    });
    let policy = arguments.policy.as_deref().map(read_policy).transpose()?;
    Ok(Trust {
        keys,
        signing: ring,
        policy,
    })
}

fn signing_key(path: &Path) -> Result<SigningKey, Failure> {
    let usage = |why: &dyn std::fmt::Display| {
        Failure::Usage(format!("--signing-key {}: {why}", path.display()))
    };
    let bytes = std::fs::read(path).map_err(|error| usage(&error))?;
    SigningKey::new(&without_line_end(bytes)).map_err(|error| usage(&error))
}

/// A line on the terminal that says how far it got.
pub(super) struct Progress {
    size: Option<u64>,
    bytes: u64,
    shown: u64,
    terminal: bool,
}

impl Progress {
    pub(super) fn new(size: Option<u64>) -> Self {
        Self {
            size,
            bytes: 0,
            shown: 0,
            terminal: io::stderr().is_terminal(),
        }
    }

    pub(super) fn show(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if !self.terminal || (self.shown > 0 && self.bytes - self.shown < PROGRESS_BYTES) {
            return;
        }
        self.shown = self.bytes;
        let _ = write!(io::stderr(), "\rchecked {} MiB", self.bytes >> 20);
        if let Some(size) = self.size {
            let _ = write!(io::stderr(), " of {} MiB", size >> 20);
        }
    }

    pub(super) fn end(&self) {
        if self.shown > 0 {
            crate::note!();
        }
    }
}

fn print(report: &Report) {
    if let Some(head) = report.head {
        crate::out!(
            "{} entries of {}, under its checkpoint of {} entries",
            report.entries,
            shown(&report.origin),
            head.size
        );
        for key in &report.signed_by {
            crate::out!("signed by {key}");
        }
        for (name, time) in report.cosigned_by.iter().flatten() {
            crate::out!("cosigned by {name}, at {}", utc(*time));
        }
        print_range(report);
        crate::out!(
            "proven {}, erased {}, withheld {}, failed {}",
            report.proven,
            report.erased,
            report.withheld,
            report.failed
        );
        if !report.signatures_checked {
            crate::out!("the server's own signatures were not checked: that takes --signing-key");
        }
    }
    for finding in &report.findings {
        crate::out!("{finding}");
    }
    match report.found - report.findings.len() as u64 {
        0 => {}
        more => crate::out!("and {more} more"),
    }
    if report.verified() {
        crate::out!("everything verifies");
    }
}

fn utc(seconds: u64) -> String {
    let nanos = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| seconds.checked_mul(1_000_000_000));
    nanos.map_or_else(
        || format!("{seconds} s since 1970"),
        |nanos| Timestamp::from_nanos(nanos).to_string(),
    )
}

fn print_range(report: &Report) {
    let filter: Vec<String> = report
        .filter
        .iter()
        .map(|(name, value)| shown(&format!("{name}={value}")))
        .collect();
    if !filter.is_empty() {
        crate::out!("the filter, as the file says: {}", filter.join(" "));
    }
    match (report.complete, report.claimed) {
        (Some((first, last)), _) => {
            crate::out!("complete: every entry from {first} to {last} is here");
        }
        (None, Some((first, last))) => {
            crate::out!("not complete, although the file says so of {first} to {last}");
        }
        (None, None) => crate::out!(
            "a selection: it shows that these entries are in the log, not that none was left out"
        ),
    }
    if report.withholds {
        crate::out!("the sealed parts were left out on purpose, the file says");
    }
}

fn as_json(report: &Report) -> serde_json::Value {
    let findings = report.findings.iter().map(|finding| {
        json!({
            "line": finding.line,
            "index": finding.index,
            "check": finding.check.to_string(),
            "detail": finding.detail,
        })
    });
    let filter = report.filter.iter();
    let filter: serde_json::Map<_, _> = filter
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    let cosigned = report.cosigned_by.as_ref().map(|by| {
        let by = by.iter();
        by.map(|(name, time)| json!({ "witness": name, "time": time }))
            .collect::<Vec<_>>()
    });
    json!({
        "verified": report.verified(),
        "whole": report.whole,
        "origin": report.origin,
        "tree_size": report.head.map(|head| head.size),
        "root": report.head.map(|head| head.root.to_string()),
        "signed_by": report.signed_by,
        "cosigned_by": cosigned,
        "filter": filter,
        "withhold": report.withholds.then_some("sealed"),
        "claimed_complete": report.claimed.map(|(first, last)| [first, last]),
        "complete": report.complete.map(|(first, last)| [first, last]),
        "first_index": report.indices.map(|(first, _)| first),
        "last_index": report.indices.map(|(_, last)| last),
        "entries": report.entries,
        "proven": report.proven,
        "erased": report.erased,
        "withheld": report.withheld,
        "failed": report.failed,
        "signatures_checked": report.signatures_checked,
        "findings": findings.collect::<Vec<_>>(),
        "findings_total": report.found,
    })
}
