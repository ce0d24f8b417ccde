//! `audittrail backup`

use std::sync::Arc;

use audittrail_store_embedded::disk::{Disk, RealDisk};
use audittrail_store_embedded::{BackupInput, Purpose, Secrets};

use crate::Failure;
use crate::cli::BackupArguments;
use crate::commands::copying::{as_json, check_apart, copy, judge};
use crate::log_keys;
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, arguments: &BackupArguments) -> Result<(), Failure> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let (data, out) = (&settings.data, &arguments.out);
    check_apart(data, out, "--out")?;
    let identity = log_keys::identity(&*disk, settings, data, &arguments.key)?;
    let secrets = match arguments.with_keys {
        true => Secrets::Copied,
        false => Secrets::LeftOut,
    };
    let input = BackupInput {
        disk: &disk,
        from: data,
        to: out,
        identity: &identity,
        purpose: Purpose::Backup,
        secrets,
        compare: arguments.compare,
        earlier: &[],
    };
    let report = copy(&input)?;
    if arguments.json {
        crate::out!("{}", as_json(&report, &identity.origin, out));
    } else {
        crate::out!(
            "{}: {} entries of {}, {} of them new ({} bytes); checkpoint of size {}",
            out.display(),
            report.entries,
            identity.origin,
            report.new_entries,
            report.new_bytes,
            report.checkpoint.size
        );
    }
    let first = report.new_entries == report.entries;
    if first && report.keys.is_empty() {
        crate::note!(
            "the log's secret keys are not in it: keep a copy of {}, or of where the settings have \
             them from, in another place. Without them the log can be read, and not gone on with",
            data.join("keys").display()
        );
    }
    let unread = format!(
        "{} bytes of the log cannot be read from its disk, and are missing in the copy where no earlier \
         run had them; all the rest is in it. Run this again with --compare, which fills in what can \
         be read then, and keep every earlier copy; go on with the log on another disk",
        report.unreadable_bytes
    );
    judge(
        &report,
        match report.unreadable_bytes {
            0 => {
                "the log is damaged there, and `audittrail fsck` says more. All of it was copied as it is"
            }
            _ => &unread,
        },
    )
}
