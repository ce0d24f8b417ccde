//! One check of a log.

use std::collections::HashMap;
use std::time::Duration;

use audittrail_entry::{Clock as _, Timestamp};
use audittrail_merkle::{Hash, TileId};
use audittrail_monitor::{Growth, LogKeys, Sighting, Standing, Verdict, growth_tiles};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::fetch::Log;
use super::finding::{Finding, Kind, Report, Trouble};
use super::keeper::Keeper;
use super::mirror::{Mirror, Progress};
use crate::Failure;
use crate::ambient::SystemClock;

pub(super) struct Monitor {
    pub(super) keys: LogKeys,
    pub(super) log: Log,
    pub(super) keeper: Keeper,
    pub(super) mirror: Option<Mirror>,
    pub(super) max_age: Option<Duration>,
    /// From when on it is a finding that the log cannot be reached; `None`: never.
    pub(super) unreachable_after: Option<Duration>,
    pub(super) away_since: Option<Timestamp>,
}

impl Monitor {
    /// Looks at the log, and says what came of it; mirrors until the time has come.
    ///
    /// # Errors
    /// If this machine cannot keep what has to be kept.
    pub(super) async fn check(&mut self, until: Option<Instant>) -> Result<Report, Failure> {
        let previous = self.keeper.kept().map(|kept| kept.checkpoint.head.size);
        let (mut paused, mut away, mut findings) = (false, None, Vec::new());
        match self.look(until).await {
            Ok(progress) => paused = progress == Progress::Paused,
            Err(Trouble::Here(failure)) => return Err(failure),
            Err(Trouble::Away(why)) => away = Some(why),
            Err(Trouble::Wrong(finding)) => findings.push(finding),
        }
        let time = SystemClock.now();
        findings.extend(self.too_long_away(time, away.as_deref()));
        findings.extend(self.too_old(time));
        for finding in &mut findings {
            if let Some(evidence) = &finding.evidence {
                finding.kept = self.keeper.evidence(&finding.id(), evidence)?;
            }
        }
        Ok(Report {
            time,
            previous,
            head: self.keeper.kept().map(|kept| kept.checkpoint.head),
            age_seconds: self.keeper.age_seconds(time),
            mirrored: self.mirror.as_ref().map(Mirror::entries),
            paused,
            away,
            findings,
        })
    }

    async fn look(&mut self, until: Option<Instant>) -> Result<Progress, Trouble> {
        let note = self.log.checkpoint().await?;
        let seen = self.keys.open(&note).map_err(|refusal| {
            Finding::new(Kind::Checkpoint, self.keys.origin(), refusal.to_string())
        })?;
        let mirrored = self.mirror.as_ref().and_then(Mirror::checkpoint);
        let mut before: Vec<&Sighting> = self.keeper.kept().into_iter().chain(mirrored).collect();
        before.dedup_by_key(|kept| kept.checkpoint.head);
        for kept in before {
            compare(&self.log, kept, &seen).await?;
        }
        self.keeper.keep(&seen, SystemClock.now())?;
        match &mut self.mirror {
            None => Ok(Progress::Whole),
            Some(mirror) => mirror.advance(&self.log, &seen, until).await,
        }
    }

    fn too_old(&self, now: Timestamp) -> Option<Finding> {
        let (limit, age) = (self.max_age?.as_secs(), self.keeper.age_seconds(now)?);
        let head = self.keeper.kept()?.checkpoint.head;
        (age > limit).then(|| {
            let detail = format!(
                "there was no new checkpoint for {age} s, after that of {} entries; {limit} s are \
                 allowed",
                head.size
            );
            Finding::new(Kind::Old, subject(&head), detail)
        })
    }

    fn too_long_away(&mut self, now: Timestamp, why: Option<&str>) -> Option<Finding> {
        let Some(why) = why else {
            self.away_since = None;
            return None;
        };
        let since = *self.away_since.get_or_insert(now);
        let away = now.nanos().saturating_sub(since.nanos());
        let away = Duration::from_nanos(u64::try_from(away).unwrap_or(0));
        (away >= self.unreachable_after?).then(|| {
            let detail = format!("for {} s it could not be checked: {why}", away.as_secs());
            Finding::new(Kind::Unreachable, self.keys.origin(), detail)
        })
    }
}

fn subject(head: &audittrail_merkle::TreeHead) -> String {
    format!("{} {}", head.size, head.root)
}

/// Proves that a checkpoint extends one that was kept, by tiles and nothing else.
async fn compare(log: &Log, kept: &Sighting, seen: &Sighting) -> Result<(), Trouble> {
    let (earlier, later) = (kept.checkpoint.head, seen.checkpoint.head);
    let finding = |kind, detail: String, proof: Value| {
        Finding::new(kind, subject(&earlier), detail).with(json!({
            "finding": Kind::name(kind),
            "detail": detail_of(&earlier, &later),
            "earlier": kept.note,
            "later": seen.note,
            "proof": proof,
        }))
    };
    let (from, to) = (earlier.size, later.size);
    match Standing::of(&later, &earlier) {
        Standing::Same => return Ok(()),
        Standing::Smaller => {
            let detail = format!(
                "the log has {to} entries and had {from}: it was put back to an earlier state, or \
                 shows different people different logs"
            );
            return Err(finding(Kind::Smaller, detail, Value::Null).into());
        }
        Standing::Contradicts => {
            let detail =
                format!("two checkpoints of {from} entries have different roots: two histories");
            return Err(finding(Kind::Fork, detail, Value::Null).into());
        }
        // Every log extends the empty one.
        Standing::Larger if from == 0 => return Ok(()),
        Standing::Larger => {}
    }
    let unproven = |why: &str| {
        let detail =
            format!("the log of {to} entries is not proven to extend that of {from}: {why}");
        (Kind::Unproven, detail)
    };
    let mut tiles: HashMap<TileId, Vec<Hash>> = HashMap::new();
    for id in growth_tiles(from, to).unwrap_or_default() {
        let hashes = log.tile(id).await.map_err(|trouble| match trouble {
            // The log signed the later checkpoint, and does not stand by it.
            Trouble::Wrong(why) => {
                let (kind, detail) = unproven(&why.detail);
                Trouble::Wrong(finding(kind, detail, Value::Null))
            }
            other => other,
        })?;
        tiles.insert(id, hashes);
    }
    let growth = Growth::from_tiles(from, to, &tiles)
        .map_err(|error| Trouble::Away(format!("the growth cannot be proven: {error}")))?;
    let (kind, detail) = match growth.judge(&earlier, &later) {
        Verdict::Extends => return Ok(()),
        Verdict::OtherTree => unproven("its tiles are not those of its checkpoint"),
        Verdict::Fork => {
            let detail = format!(
                "the log of {to} entries does not begin with the {from} entries seen before: it \
                 has another history"
            );
            (Kind::Fork, detail)
        }
    };
    Err(finding(kind, detail, proof(&growth)).into())
}

fn detail_of(earlier: &audittrail_merkle::TreeHead, later: &audittrail_merkle::TreeHead) -> String {
    format!("{} entries, then {}", earlier.size, later.size)
}

/// The hashes that were judged, in base64.
fn proof(growth: &Growth) -> Value {
    let text = |hash: &Hash| STANDARD.encode(hash.0);
    let texts = |hashes: &[Hash]| -> Vec<String> { hashes.iter().map(text).collect() };
    json!({
        "index": growth.from - 1,
        "leaf_hash": text(&growth.leaf),
        "inclusion": texts(&growth.path),
        "consistency": texts(&growth.consistency),
        "earlier_root_as_proven": text(&growth.earlier_root()),
    })
}
