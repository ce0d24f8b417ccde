//! Where a log is copied from and to, and whose log it is.

use std::path::{Path, PathBuf};

use audittrail_entry::KeyRing;
use audittrail_store_embedded::disk::RealDisk;
use audittrail_store_embedded::{Identity, read_key};
use audittrail_store_mongo::{MongoStore, Options};

use crate::Failure;
use crate::commands::copying;
use crate::log_keys;
use crate::mongo;
use crate::settings::{Settings, StoreAt};

/// A place that a log is in, or is to be in.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum At {
    Directory(PathBuf),
    /// The URL with user and password, never to be shown.
    Mongo(String),
}

impl At {
    /// Reads `--from` or `--to`.
    pub(super) fn parse(flag: &str, given: &str, settings: &Settings) -> Result<Self, Failure> {
        // Anything with a scheme may have a password in it.
        if !given.contains("://") {
            return Ok(Self::Directory(PathBuf::from(given)));
        }
        match StoreAt::mongo(flag, given, &settings.secrets)? {
            StoreAt::Mongo(url) => Ok(Self::Mongo(url)),
            StoreAt::Embedded => Err(Failure::Usage(format!("{flag}: name a directory or a URL"))),
        }
    }

    /// As it can be shown, and as a place that was left names it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Directory(path) => {
                let absolute = path.canonicalize().or_else(|_| std::path::absolute(path));
                absolute
                    .unwrap_or_else(|_| path.clone())
                    .display()
                    .to_string()
            }
            Self::Mongo(url) => audittrail_store_mongo::shown(url),
        }
    }
}

/// Refuses two places of which one is, or is in, the other.
pub(super) fn check_apart(from: &At, to: &At) -> Result<(), Failure> {
    match (from, to) {
        (At::Directory(from), At::Directory(to)) => copying::check_apart(from, to, "--to"),
        (At::Mongo(_), At::Mongo(_)) if from.shown() == to.shown() => Err(Failure::Usage(format!(
            "--to is {}, which is --from itself: name another database",
            to.shown()
        ))),
        _ => Ok(()),
    }
}

/// Whose log is at the source, and whether only the source itself says so.
pub(super) async fn identity(
    settings: &Settings,
    from: &At,
    given: &[String],
) -> Result<(Identity, bool), Failure> {
    match from {
        At::Directory(path) => {
            log_keys::identity(&RealDisk, settings, path, given).map(|identity| (identity, false))
        }
        At::Mongo(_) if !given.is_empty() || settings.secrets.checkpoint_key.is_some() => {
            // Known before any directory is looked at.
            let nowhere = Path::new("");
            log_keys::identity(&RealDisk, settings, nowhere, given).map(|known| (known, false))
        }
        At::Mongo(url) => {
            let found = MongoStore::identity_at(url, Options::default()).await;
            let found = found.map_err(|error| match error {
                audittrail_store_mongo::StartError::NoLog => {
                    Failure::Failed(format!("there is no log in {}", from.shown()))
                }
                other => mongo::failed(other),
            })?;
            let (origin, keys) = (found.origin, found.keys);
            Ok((Identity { origin, keys }, true))
        }
    }
}

/// The keys that entries are signed with, from the settings or from the source's directory; none if
/// they are in neither.
pub(super) fn entry_keys(settings: &Settings, from: &At) -> Result<Option<KeyRing>, Failure> {
    let key = match (&settings.secrets.signing_key, from) {
        (Some(key), _) => Some(key.clone()),
        (None, At::Directory(path)) => read_key(&RealDisk, path, log_keys::SIGNING_KEY)
            .map_err(|error| Failure::Failed(error.to_string()))?
            .map(log_keys::without_line_end),
        (None, At::Mongo(_)) => None,
    };
    key.map(|key| log_keys::ring(settings, &key)).transpose()
}
