//! What the operator is told at the end of a copy. Names of settings, never their values.

use audittrail_store_embedded::Identity;
use serde_json::json;

use super::Summary;
use super::at::At;
use crate::cli::CopyArguments;
use crate::log_keys::{CHECKPOINT_KEY, SIGNING_KEY};
use crate::settings::Settings;

pub(super) fn summary(summary: &Summary, identity: &Identity, to: &At, as_json: bool) {
    let (extent, copied) = (&summary.extent, &summary.copied);
    let seconds = summary.time.as_secs_f64();
    if as_json {
        let object = json!({
            "origin": identity.origin,
            "to": to.shown(),
            "entries": extent.head.size,
            "new_entries": copied.entries,
            "new_bytes": copied.bytes,
            "seconds": (seconds * 1_000.0).round() / 1_000.0,
            "root": extent.head.root.to_string(),
            "checkpoint_size": extent.checkpoint.head.size,
            "checkpoint_root": extent.checkpoint.head.root.to_string(),
        });
        crate::out!("{object}");
        return;
    }
    crate::out!(
        "{}: {} entries of {}, {} of them new ({} bytes) in {seconds:.1} s; checkpoint of size {}",
        to.shown(),
        extent.head.size,
        identity.origin,
        copied.entries,
        copied.bytes,
        extent.checkpoint.head.size
    );
}

/// What has to be done before the log goes on.
pub(super) fn what_is_next(
    settings: &Settings,
    arguments: &CopyArguments,
    identity: &Identity,
    from: &At,
    to: &At,
) {
    let from_keys = match from {
        At::Directory(path) => Some(path.join("keys").display().to_string()),
        At::Mongo(_) => None,
    };
    match to {
        At::Mongo(_) => {
            let whence = from_keys.map_or_else(
                || "as the processes of the other database have them".to_owned(),
                |keys| {
                    format!(
                        "from signing.key, checkpoint.key and jwt.secret in {keys}, or as the settings \
                         there have them"
                    )
                },
            );
            crate::note!(
                "what goes on with the log there needs AUDITTRAIL_STORE, AUDITTRAIL_ORIGIN={}, \
                 LOG_SIGNING_KEY, AUDITTRAIL_CHECKPOINT_KEY and AUDITTRAIL_JWT_SECRET, and \
                 AUDITTRAIL_EARLIER_SIGNING_KEYS where there are such: {whence}",
                identity.origin
            );
        }
        At::Directory(path) => {
            let secrets = &settings.secrets;
            let keys = path.join("keys");
            let missing: Vec<&str> = [
                (SIGNING_KEY, secrets.signing_key.is_some()),
                (CHECKPOINT_KEY, secrets.checkpoint_key.is_some()),
            ]
            .into_iter()
            .filter(|(name, given)| !given && !keys.join(name).exists())
            .map(|(name, _)| name)
            .collect();
            if !missing.is_empty() {
                crate::note!(
                    "before the server starts put {} into {}, a line each, from {}, or give \
                     LOG_SIGNING_KEY and AUDITTRAIL_CHECKPOINT_KEY by the settings",
                    missing.join(" and "),
                    keys.display(),
                    from_keys.unwrap_or_else(|| "where the log's keys are kept".to_owned())
                );
            }
        }
    }
    if arguments.retire {
        crate::note!(
            "{} is retired: no server goes on with the log there",
            from.shown()
        );
    } else {
        crate::note!(
            "the log must go on at one of the two places only: a server at each makes a second history. \
             Run this again with --retire when the old one is stopped: what is new is copied, and no \
             server starts there any more"
        );
    }
}

pub(super) fn what_was_not_checked(identity: &Identity, as_it_says: bool, signatures: bool) {
    if as_it_says {
        let keys = identity.keys.iter().map(ToString::to_string);
        crate::note!(
            "verified with the key that --from names: compare it with one from elsewhere: {}",
            keys.collect::<Vec<_>>().join(" ")
        );
    }
    if !signatures {
        crate::note!(
            "signatures of entries were not checked: their key, LOG_SIGNING_KEY, is not here"
        );
    }
}
