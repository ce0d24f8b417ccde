//! `audittrail copy`: a log from one store to another.

mod at;
mod entries;
mod place;
mod plan;
mod tell;

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use audittrail_entry::{Clock as _, KeyRing};
use audittrail_store_embedded::Identity;

use self::at::At;
use self::entries::{Copied, Copy};
use self::place::Place;
use self::plan::Extent;
use crate::Failure;
use crate::ambient::SystemClock;
use crate::cli::CopyArguments;
use crate::lifecycle::{asked_to_stop, failed};
use crate::settings::Settings;

const PROGRESS_EVERY: u64 = 20_000;

/// What a copy came to.
struct Summary {
    extent: Extent,
    copied: Copied,
    time: Duration,
}

pub(crate) fn run(settings: &Settings, arguments: &CopyArguments) -> Result<(), Failure> {
    let from = At::parse("--from", &arguments.from, settings)?;
    let to = At::parse("--to", &arguments.to, settings)?;
    at::check_apart(&from, &to)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| failed("the runtime cannot be started")(&error))?;
    runtime.block_on(copy(settings, arguments, &from, &to))
}

async fn copy(
    settings: &Settings,
    arguments: &CopyArguments,
    from: &At,
    to: &At,
) -> Result<(), Failure> {
    let (identity, as_it_says) = at::identity(settings, from, &arguments.key).await?;
    let keys = at::entry_keys(settings, from)?;
    let source = Place::source(from, &identity, &to.shown()).await?;
    let outcome = async {
        if arguments.retire {
            // From here on nobody adds to it.
            source.lead().await?;
        }
        let extent = Extent::of(source.store(), &identity).await?;
        let target = Place::target(to, &identity).await?;
        let both = Both {
            source: &source,
            target: &target,
            identity: &identity,
            keys: keys.as_ref(),
        };
        let copied = both.copy(extent, to, arguments.retire).await;
        target.close().await;
        copied
    };
    let outcome = outcome.await;
    source.close().await;
    let summary = outcome?;
    tell::summary(&summary, &identity, to, arguments.json);
    tell::what_is_next(settings, arguments, &identity, from, to);
    tell::what_was_not_checked(&identity, as_it_says, keys.is_some());
    Ok(())
}

/// The two places of a copy.
struct Both<'c> {
    source: &'c Place,
    target: &'c Place,
    identity: &'c Identity,
    keys: Option<&'c KeyRing>,
}

impl Both<'_> {
    async fn copy(&self, extent: Extent, to: &At, retire: bool) -> Result<Summary, Failure> {
        let begun = SystemClock.now();
        let stop = AtomicBool::new(false);
        let stopping = async {
            asked_to_stop().await;
            stop.store(true, Ordering::Release);
            std::future::pending::<()>().await;
        };
        let copied = tokio::select! {
            copied = self.entries(&extent, to, retire, &stop) => copied,
            lost = self.target.keep_lead() => Err(lost),
            lost = self.source.keep_lead(), if retire => Err(lost),
            () = stopping => unreachable_stop(),
        };
        Ok(Summary {
            copied: copied?,
            extent,
            time: Duration::from_nanos(
                u64::try_from(SystemClock.now().nanos().saturating_sub(begun.nanos())).unwrap_or(0),
            ),
        })
    }

    async fn entries(
        &self,
        extent: &Extent,
        to: &At,
        retire: bool,
        stop: &AtomicBool,
    ) -> Result<Copied, Failure> {
        let (source, target) = (self.source.store(), self.target.store());
        let edge = self.target.lead().await?;
        let shown = to.shown();
        extent.check_prefix(source, &edge.head(), &shown).await?;
        let there = extent.check_checkpoint(target, &shown).await?;
        extent.prove(source, &edge).await?;
        if !there || edge.head() != extent.head {
            self.target.begin().await?;
        }
        let copy = Copy {
            source,
            target,
            extent,
            origin: &self.identity.origin,
            keys: self.keys,
            stop,
        };
        let (size, mut told) = (extent.head.size, edge.size());
        let (terminal, mut shown_any) = (std::io::stderr().is_terminal(), false);
        let mut progress = |done: u64| {
            if terminal && done >= told + PROGRESS_EVERY {
                (told, shown_any) = (done, true);
                let _ = write!(std::io::stderr(), "\rcopied {done} of {size} entries");
            }
        };
        let copied = copy.all(edge, &mut progress).await;
        if shown_any {
            let _ = writeln!(std::io::stderr());
        }
        let copied = copied?;
        // In this order: there is no moment at which the log could go on in both places.
        if retire {
            self.source.retire(&shown, size).await?;
        }
        self.target.finish().await?;
        Ok(copied)
    }
}

/// What waits for a signal never ends by itself.
fn unreachable_stop() -> Result<Copied, Failure> {
    Err(Failure::Failed("interrupted: run this again".to_owned()))
}
