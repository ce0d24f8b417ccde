//! The keys of a log: from the settings, else from the data directory, else made there.

use std::path::Path;

use audittrail_checkpoint::{Signer, VerifierKey, default_origin};
use audittrail_entry::{KeyId, KeyRing, Random, SigningKey};
use audittrail_store::{Store, StoreError};
use audittrail_store_embedded::disk::Disk;
use audittrail_store_embedded::{
    BackupMarker, DataDirectory, Identity, StartError, read_key, write_key,
};

use crate::Failure;
use crate::settings::{Settings, StoreAt};

pub(crate) const SIGNING_KEY: &str = "signing.key";
pub(crate) const CHECKPOINT_KEY: &str = "checkpoint.key";
pub(crate) const JWT_SECRET: &str = "jwt.secret";
/// Written after the first checkpoint: from then on a missing checkpoint was removed.
const BEGUN: &str = "begun";

/// What a log is signed and read with.
pub(crate) struct LogKeys {
    /// None where another process sequences.
    pub(crate) signer: Option<Signer>,
    pub(crate) vkey: VerifierKey,
    pub(crate) entries: KeyRing,
    pub(crate) jwt_secret: Vec<u8>,
}

impl LogKeys {
    pub(crate) fn identity(&self) -> Identity {
        Identity {
            origin: self.vkey.name().to_owned(),
            keys: vec![self.vkey.clone()],
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn failed(error: StartError) -> Failure {
    Failure::Failed(error.to_string())
}

/// Takes the keys that are there and, where the directory holds no log yet, makes those that
/// are missing. A log that exists never gets a new key by itself: it could no longer be read.
pub(crate) fn load_or_make(
    directory: &DataDirectory,
    settings: &Settings,
    random: &dyn Random,
) -> Result<LogKeys, Failure> {
    let begun = directory.read_key(BEGUN).map_err(failed)?.is_some();
    let has_log = directory.has_log().map_err(failed)?;
    if begun && !has_log {
        return Err(Failure::Failed(format!(
            "{0} held a log whose checkpoint and segments are gone; put them back from a copy, or \
             remove {0} as a whole to start a new log with new keys",
            directory.path().display()
        )));
    }
    let keep = |name: &str, make: &dyn Fn() -> Vec<u8>| -> Result<Vec<u8>, Failure> {
        if let Some(key) = directory.read_key(name).map_err(failed)? {
            return Ok(without_line_end(key));
        }
        if has_log && name != JWT_SECRET {
            return Err(Failure::Failed(format!(
                "{} holds a log, but its key keys/{name} is missing: put it back from a copy, or \
                 give it by the settings",
                directory.path().display()
            )));
        }
        let key = make();
        let mut line = key.clone();
        line.push(b'\n');
        directory.write_key(name, &line).map_err(failed)?;
        Ok(key)
    };
    let secrets = &settings.secrets;
    let signing_key = match &secrets.signing_key {
        Some(key) => key.clone(),
        None => keep(SIGNING_KEY, &|| random_text(random))?,
    };
    let checkpoint_key = match &secrets.checkpoint_key {
        Some(key) => key.clone(),
        None => {
            let make = || new_signer(random, settings.origin.as_deref()).to_secret_text();
            // A name that no key can have is refused before anything is made.
            check_origin(settings.origin.as_deref())?;
            let key = keep(CHECKPOINT_KEY, &|| make().into_bytes())?;
            String::from_utf8_lossy(&key).into_owned()
        }
    };
    let jwt_secret = match &secrets.jwt_secret {
        Some(secret) => secret.clone(),
        None => keep(JWT_SECRET, &|| random_text(random))?,
    };
    assemble(settings, &signing_key, &checkpoint_key, jwt_secret)
}

/// Remembers that the log has a checkpoint.
pub(crate) fn mark_begun(disk: &dyn Disk, data: &Path, origin: &str) -> Result<(), Failure> {
    if read_key(disk, data, BEGUN).map_err(failed)?.is_some() {
        return Ok(());
    }
    write_key(disk, data, BEGUN, format!("{origin}\n").as_bytes()).map_err(failed)
}

/// So many of the newest entries are looked at for a key that is known.
const NEWEST: u64 = 64;

/// Refuses keys that signed none of the newest entries: with them every entry would be shown as
/// failed, and new ones would be signed by a key that is not the log's.
pub(crate) async fn check_newest(
    store: &dyn Store,
    keys: &KeyRing,
    settings: &Settings,
) -> Result<(), Failure> {
    let unreadable = |error: StoreError| Failure::Failed(error.to_string());
    let size = store.head().await.map_err(unreadable)?.size;
    let newest: Vec<u64> = (size.saturating_sub(NEWEST)..size).collect();
    let newest = store.records(&newest).await.map_err(unreadable)?;
    let known = |id: KeyId| {
        let mut keys = std::iter::once(&keys.current).chain(&keys.earlier);
        keys.any(|key| key.key_id() == id)
    };
    // What cannot be read tells nothing, and a log without an entry has no key yet.
    let signed_by = newest.iter().rev();
    let signed_by = signed_by.filter_map(|one| Some(one.record.as_ref().ok()?.key_id));
    let signed_by: Vec<KeyId> = signed_by.collect();
    let Some(last) = signed_by.first() else {
        return Ok(());
    };
    if signed_by.iter().any(|id| known(*id)) {
        return Ok(());
    }
    let (place, key, unset) = match settings.topology.store {
        StoreAt::Embedded => (
            settings.data.display().to_string(),
            format!("LOG_SIGNING_KEY, else keys/{SIGNING_KEY},"),
            ", or leave it unset if that is in keys/",
        ),
        StoreAt::Mongo(_) => ("MongoDB".to_owned(), "LOG_SIGNING_KEY".to_owned(), ""),
    };
    Err(Failure::Failed(format!(
        "the newest entries in {place} are signed by the key with the id {last}, and {key} is the one \
         with the id {}: all entries would be shown as failed. Set LOG_SIGNING_KEY to the key that \
         signed them{unset}; if it was changed on purpose, add the earlier one to \
         AUDITTRAIL_EARLIER_SIGNING_KEYS",
        keys.current.key_id()
    )))
}

/// The keys of a log that another process may be running; nothing is made.
pub(crate) fn load(disk: &dyn Disk, settings: &Settings) -> Result<LogKeys, Failure> {
    let secrets = &settings.secrets;
    let read = |name: &str| -> Result<Vec<u8>, Failure> {
        match read_key(disk, &settings.data, name).map_err(failed)? {
            Some(key) => Ok(without_line_end(key)),
            None => Err(missing(settings, name)),
        }
    };
    let signing_key = match &secrets.signing_key {
        Some(key) => key.clone(),
        None => read(SIGNING_KEY)?,
    };
    let checkpoint_key = match &secrets.checkpoint_key {
        Some(key) => key.clone(),
        None => String::from_utf8_lossy(&read(CHECKPOINT_KEY)?).into_owned(),
    };
    assemble(settings, &signing_key, &checkpoint_key, Vec::new())
}

/// Whose log is in a directory that is only read: as the given verifier keys say, else the
/// checkpoint key of the settings or of the directory, else, in a backup, the backup itself.
pub(crate) fn identity(
    disk: &dyn Disk,
    settings: &Settings,
    directory: &Path,
    given: &[String],
) -> Result<Identity, Failure> {
    if !given.is_empty() {
        return of_vkeys(given);
    }
    let own = match &settings.secrets.checkpoint_key {
        Some(key) => Some(key.clone()),
        None => read_key(disk, directory, CHECKPOINT_KEY)
            .map_err(failed)?
            .map(|key| String::from_utf8_lossy(&key).into_owned()),
    };
    if let Some(key) = own {
        let vkey = signer(settings, &key)?.verifier();
        return Ok(Identity {
            origin: vkey.name().to_owned(),
            keys: vec![vkey],
        });
    }
    let marker = BackupMarker::read(disk, directory).map_err(failed)?;
    marker.map(|marker| marker.identity).ok_or_else(|| {
        Failure::Failed(format!(
            "there is no key {CHECKPOINT_KEY} in {}: name the log's directory, start the server \
             once, or give the log's verifier key with --key",
            directory.join("keys").display()
        ))
    })
}

fn of_vkeys(given: &[String]) -> Result<Identity, Failure> {
    let keys = given.iter().map(|key| {
        VerifierKey::parse(key).map_err(|error| Failure::Usage(format!("--key {key}: {error}")))
    });
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    let origin = keys.first().map(|key| key.name().to_owned());
    let origin = origin.unwrap_or_default();
    match keys.iter().find(|key| key.name() != origin) {
        None => Ok(Identity { origin, keys }),
        Some(other) => Err(Failure::Usage(format!(
            "--key is of two logs, {origin} and {}; give the keys of one",
            other.name()
        ))),
    }
}

/// The keys that entries in a directory are signed with, which a backup may not have.
pub(crate) fn entry_keys(
    disk: &dyn Disk,
    settings: &Settings,
    may_be_missing: bool,
) -> Result<Option<KeyRing>, Failure> {
    let key = match &settings.secrets.signing_key {
        Some(key) => Some(key.clone()),
        None => read_key(disk, &settings.data, SIGNING_KEY)
            .map_err(failed)?
            .map(without_line_end),
    };
    let backup = BackupMarker::read(disk, &settings.data).map_err(failed)?;
    match key {
        Some(key) => ring(settings, &key).map(Some),
        None if may_be_missing || backup.is_some() => Ok(None),
        None => Err(missing(settings, SIGNING_KEY)),
    }
}

fn missing(settings: &Settings, name: &str) -> Failure {
    Failure::Failed(format!(
        "there is no key {name} in {}: name the log's directory with --data, or start the server \
         once",
        settings.data.join("keys").display()
    ))
}

/// The secret that tokens are signed with; nothing is made.
pub(crate) fn load_jwt_secret(disk: &dyn Disk, settings: &Settings) -> Result<Vec<u8>, Failure> {
    if let Some(secret) = &settings.secrets.jwt_secret {
        return Ok(secret.clone());
    }
    match read_key(disk, &settings.data, JWT_SECRET).map_err(failed)? {
        Some(secret) => Ok(without_line_end(secret)),
        None => Err(Failure::Failed(format!(
            "there is no token secret in {}: start the server once with this --data, or set \
             AUDITTRAIL_JWT_SECRET",
            settings.data.join("keys").display()
        ))),
    }
}

fn assemble(
    settings: &Settings,
    signing_key: &[u8],
    checkpoint_key: &str,
    jwt_secret: Vec<u8>,
) -> Result<LogKeys, Failure> {
    let signer = signer(settings, checkpoint_key)?;
    Ok(LogKeys {
        entries: ring(settings, signing_key)?,
        vkey: signer.verifier(),
        signer: Some(signer),
        jwt_secret,
    })
}

fn usage(what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::Usage(format!("{what}: {error}"))
}

/// The key that signs entries, and its predecessors.
pub(crate) fn ring(settings: &Settings, signing_key: &[u8]) -> Result<KeyRing, Failure> {
    let current = SigningKey::new(signing_key).map_err(|e| usage("LOG_SIGNING_KEY", &e))?;
    let earlier = settings
        .secrets
        .earlier_signing_keys
        .iter()
        .map(|key| SigningKey::new(key));
    let earlier = earlier
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| usage("AUDITTRAIL_EARLIER_SIGNING_KEYS", &error))?;
    Ok(KeyRing { current, earlier })
}

/// The key that signs checkpoints, if it is of the log that the settings name.
pub(crate) fn signer(settings: &Settings, checkpoint_key: &str) -> Result<Signer, Failure> {
    let signer = Signer::parse(checkpoint_key.trim())
        .map_err(|error| usage("AUDITTRAIL_CHECKPOINT_KEY", &error))?;
    let name = signer.verifier().name().to_owned();
    if let Some(origin) = settings.origin.as_ref().filter(|origin| **origin != name) {
        return Err(Failure::Usage(format!(
            "origin is {origin}, but the log's key is of {name}: a log keeps its first name; leave \
             --origin out, or name another log's place and key"
        )));
    }
    Ok(signer)
}

/// A new checkpoint key, of that name or of the one that follows from the key.
pub(crate) fn new_signer(random: &dyn Random, origin: Option<&str>) -> Signer {
    let mut seed = [0; 32];
    random.fill(&mut seed);
    let unnamed = Signer::from_seed("unnamed", seed).expect("the name is a legal key name");
    let default = default_origin(&unnamed.verifier().public_key());
    Signer::from_seed(origin.unwrap_or(&default), seed)
        .or_else(|_| Signer::from_seed(&default, seed))
        .expect("a default origin is a legal key name")
}

/// Whether a log can have this name.
pub(crate) fn check_origin(origin: Option<&str>) -> Result<(), Failure> {
    match origin.map(|origin| Signer::from_seed(origin, [0; 32])) {
        Some(Err(error)) => Err(Failure::Usage(format!("origin: {error}"))),
        _ => Ok(()),
    }
}

fn random_text(random: &dyn Random) -> Vec<u8> {
    let mut bytes = [0; 32];
    random.fill(&mut bytes);
    bytes
        .iter()
        .flat_map(|byte| format!("{byte:02x}").into_bytes())
        .collect()
}

pub(crate) fn without_line_end(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    bytes
}
