//! The keys of a log that several processes share: all of them are given, and none is made.

use audittrail_checkpoint::Signer;
use audittrail_entry::KeyRing;

use crate::Failure;
use crate::log_keys;
use crate::settings::Settings;

/// What a process does for the log, which says what keys it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// Whether it answers clients.
    pub(crate) serves: bool,
    /// Whether it sequences.
    pub(crate) sequences: bool,
}

/// Keys, and the log's name.
pub(crate) struct GivenKeys {
    pub(crate) origin: String,
    pub(crate) signer: Option<Signer>,
    pub(crate) entries: KeyRing,
    pub(crate) jwt_secret: Vec<u8>,
}

impl GivenKeys {
    /// # Errors
    /// If any is missing or cannot be used; all that are missing are named.
    pub(crate) fn read(settings: &Settings, part: Part) -> Result<Self, Failure> {
        let secrets = &settings.secrets;
        let needs_secret = part.serves && settings.accepts_secret();
        let needed = [
            (
                settings.origin.is_none(),
                "AUDITTRAIL_ORIGIN, the log's name, such as audit.example.org/main",
            ),
            (
                secrets.signing_key.is_none(),
                "LOG_SIGNING_KEY, which `openssl rand -hex 32` makes",
            ),
            (
                part.sequences && secrets.checkpoint_key.is_none(),
                "AUDITTRAIL_CHECKPOINT_KEY, which `audittrail keys new --origin NAME` makes",
            ),
            (
                needs_secret && secrets.jwt_secret.is_none(),
                "AUDITTRAIL_JWT_SECRET, which `openssl rand -hex 32` makes",
            ),
        ];
        let missing: Vec<&str> = needed
            .iter()
            .filter_map(|(missing, name)| missing.then_some(*name))
            .collect();
        let (Some(origin), Some(signing_key), true) =
            (&settings.origin, &secrets.signing_key, missing.is_empty())
        else {
            return Err(Failure::Usage(format!(
                "with MongoDB several processes share the log's keys, and none is made: set {}; the \
                 same in each process, directly or as a file that the name with _FILE says",
                missing.join("; and ")
            )));
        };
        let key = secrets
            .checkpoint_key
            .as_ref()
            .filter(|_| part.sequences);
        let signer = key.map(|key| log_keys::signer(settings, key)).transpose()?;
        Ok(Self {
            origin: origin.clone(),
            signer,
            entries: log_keys::ring(settings, signing_key)?,
            jwt_secret: secrets.jwt_secret.clone().unwrap_or_default(),
        })
    }
}
