//! `audittrail restore`

use std::path::Path;
use std::sync::Arc;

use audittrail_checkpoint::Checkpoint;
use audittrail_store_embedded::disk::{Disk, RealDisk, read_file};
use audittrail_store_embedded::{BackupInput, Earlier, Identity, Purpose, Secrets};

use crate::Failure;
use crate::cli::RestoreArguments;
use crate::commands::copying::{as_json, check_apart, copy, judge};
use crate::commands::fsck::read_since;
use crate::log_keys;
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, arguments: &RestoreArguments) -> Result<(), Failure> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let (from, data) = (&arguments.from, &settings.data);
    check_apart(from, data, "--data")?;
    if !arguments.original_is_gone {
        return Err(Failure::Usage(format!(
            "a server that goes on with a backup while the log goes on elsewhere, or after it has \
             signed more, makes a second history, which its witnesses and readers will not accept. If \
             the log that {} was made of is gone for good, say so with --original-is-gone; to look at \
             a backup, use `audittrail fsck --data {}`",
            from.display(),
            from.display()
        )));
    }
    let identity = log_keys::identity(&*disk, settings, from, &arguments.key)?;
    let earlier = earlier(&*disk, settings, arguments, &identity)?;
    let input = BackupInput {
        disk: &disk,
        from,
        to: data,
        identity: &identity,
        purpose: Purpose::Restore,
        secrets: Secrets::Copied,
        compare: false,
        earlier: &earlier,
    };
    let report = copy(&input)?;
    if arguments.json {
        crate::out!("{}", as_json(&report, &identity.origin, data));
    } else {
        crate::out!(
            "{}: {} entries of {}, checkpoint of size {}",
            data.display(),
            report.entries,
            identity.origin,
            report.checkpoint.size
        );
    }
    tell(settings, arguments, &identity, earlier.is_empty());
    let unread = format!(
        "{} bytes of the backup cannot be read from its disk. All the rest was restored; the server \
         starts if that allows it, and shows what fails verification as failed. Another copy may have \
         what is missing: restore that into another directory",
        report.unreadable_bytes
    );
    judge(
        &report,
        match report.unreadable_bytes {
            0 => {
                "the backup is damaged there. All of it was restored as it is; the server starts if \
                 the rest allows it, and shows what fails verification as failed"
            }
            _ => &unread,
        },
    )
}

/// What the log has to extend: the newest that is known of it.
fn earlier(
    disk: &dyn Disk,
    settings: &Settings,
    arguments: &RestoreArguments,
    identity: &Identity,
) -> Result<Vec<Earlier>, Failure> {
    let mut earlier = Vec::new();
    if let Some(path) = &arguments.since {
        earlier.push(Earlier {
            head: read_since(path, identity)?,
            name: format!("the checkpoint {}", path.display()),
        });
    }
    if let Some(path) = &settings.watermark {
        earlier.extend(watermark(disk, path, identity)?);
    }
    Ok(earlier)
}

fn watermark(
    disk: &dyn Disk,
    path: &Path,
    identity: &Identity,
) -> Result<Option<Earlier>, Failure> {
    let name = format!("the watermark {}", path.display());
    let bytes = read_file(disk, path)
        .map_err(|error| Failure::Failed(format!("{name} cannot be read: {error}")))?;
    let Some(bytes) = bytes else { return Ok(None) };
    let checkpoint = Checkpoint::open(&bytes, &identity.keys).map_err(|error| {
        Failure::Failed(format!(
            "{name} is not a checkpoint of this log: {error}; name the right file with --watermark"
        ))
    })?;
    let head = checkpoint.head;
    Ok(Some(Earlier { head, name }))
}

/// What the operator has to know or to do before the server starts.
fn tell(
    settings: &Settings,
    arguments: &RestoreArguments,
    identity: &Identity,
    nothing_known: bool,
) {
    let secrets = &settings.secrets;
    let missing: Vec<&str> = [
        (log_keys::SIGNING_KEY, secrets.signing_key.is_some()),
        (log_keys::CHECKPOINT_KEY, secrets.checkpoint_key.is_some()),
    ]
    .into_iter()
    .filter(|(name, given)| !given && !settings.data.join("keys").join(name).exists())
    .map(|(name, _)| name)
    .collect();
    if !missing.is_empty() {
        crate::note!(
            "before the server starts put {} into {}, from where the log's keys are kept, or give \
             them by the settings",
            missing.join(" and "),
            settings.data.join("keys").display()
        );
    }
    if arguments.key.is_empty() && missing.contains(&log_keys::CHECKPOINT_KEY) {
        let keys = identity.keys.iter().map(ToString::to_string);
        crate::note!(
            "verified with the key that the backup names: compare it with one from elsewhere: {}",
            keys.collect::<Vec<_>>().join(" ")
        );
    }
    if nothing_known {
        crate::note!(
            "nothing outside the backup says how far the log had come: if it had signed more, \
             whoever saw that will see a second history from now on"
        );
    }
}
