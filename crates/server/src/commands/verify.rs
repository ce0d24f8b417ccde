//! `audittrail verify`

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError, mpsc};

use audittrail_checkpoint::VerifierKey;
use audittrail_entry::{KeyRing, SigningKey, Timestamp};
use audittrail_verifier::{CheckedPart, Part, Parts, Report, Trust, Verifier, shown};
use serde_json::json;

use crate::Failure;
use crate::cli::VerifyArguments;
use crate::log_keys::without_line_end;
use crate::witnesses::read_policy;

/// Fewer and larger reads than the default.
const BUFFER_BYTES: usize = 256 << 10;
/// Parts under way for each thread: one is checked while the next is read. Each has up to 8 MiB.
const PARTS_EACH: u64 = 2;
/// Progress is shown each time so many bytes were checked.
const PROGRESS_BYTES: u64 = 16 << 20;

pub(crate) fn run(arguments: &VerifyArguments) -> Result<(), Failure> {
    let trust = trust(arguments)?;
    let threads = arguments
        .threads
        .map(usize::from)
        .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
        .unwrap_or(1);
    let report = if arguments.file.as_os_str() == "-" {
        let stdin = BufReader::with_capacity(BUFFER_BYTES, io::stdin().lock());
        check(stdin, trust, threads, None)
    } else {
        File::open(&arguments.file).and_then(|file| {
            let size = file.metadata().map(|about| about.len()).ok();
            let file = BufReader::with_capacity(BUFFER_BYTES, file);
            check(file, trust, threads, size)
        })
    };
    let report = report.map_err(|error| {
        Failure::Failed(format!(
            "{} cannot be read: {error}",
            arguments.file.display()
        ))
    })?;
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

/// Checks on several threads; the report does not depend on how many.
fn check(
    file: impl BufRead,
    trust: Trust,
    threads: usize,
    size: Option<u64>,
) -> io::Result<Report> {
    let mut parts = Parts::new(file);
    let (verifier, mut tally) = match Verifier::begin(&parts.header()?, trust) {
        Ok(begun) => begun,
        Err(report) => return Ok(*report),
    };
    let mut progress = Progress::new(size);
    let (work, waiting) = mpsc::channel();
    let (done, results) = mpsc::channel();
    let waiting = Mutex::new(waiting);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (done, waiting, verifier) = (done.clone(), &waiting, &verifier);
            scope.spawn(move || work_off(waiting, &done, verifier));
        }
        // Dropped on the way out, which ends the threads.
        let work = work;
        drop(done);
        let (mut sent, mut taken, mut ended) = (0, 0, false);
        let mut early = BTreeMap::new();
        loop {
            while !ended && sent - taken < PARTS_EACH * threads as u64 {
                match parts.next_part()? {
                    Some(part) => {
                        // A thread that is gone shows below.
                        let _ = work.send((sent, part));
                        sent += 1;
                    }
                    None => ended = true,
                }
            }
            if taken == sent {
                break;
            }
            let (number, bytes, checked) = results.recv().map_err(io::Error::other)?;
            early.insert(number, (bytes, checked));
            while let Some((bytes, checked)) = early.remove(&taken) {
                tally.take(checked);
                taken += 1;
                progress.show(bytes);
            }
        }
        progress.end();
        Ok(tally.finish())
    })
}

type Numbered = (u64, usize, CheckedPart);

fn work_off(
    waiting: &Mutex<mpsc::Receiver<(u64, Part)>>,
    done: &mpsc::Sender<Numbered>,
    verifier: &Verifier,
) {
    loop {
        let next = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok((number, part)) = next else { return };
        let checked = verifier.check(&part);
        if done.send((number, part.size_bytes(), checked)).is_err() {
            return;
        }
    }
}

/// A line on the terminal that says how far it got.
struct Progress {
    size: Option<u64>,
    bytes: u64,
    shown: u64,
    terminal: bool,
}

impl Progress {
    fn new(size: Option<u64>) -> Self {
        Self {
            size,
            bytes: 0,
            shown: 0,
            terminal: io::stderr().is_terminal(),
        }
    }

    fn show(&mut self, bytes: usize) {
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

    fn end(&self) {
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
