//! `audittrail keys`

use audittrail_store_embedded::disk::RealDisk;

use crate::Failure;
use crate::ambient::SystemRandom;
use crate::cli::KeysAction;
use crate::log_keys;
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, action: KeysAction) -> Result<(), Failure> {
    match action {
        KeysAction::Show => {
            crate::out!("{}", log_keys::load(&RealDisk, settings)?.vkey);
        }
        KeysAction::New => {
            log_keys::check_origin(settings.origin.as_deref())?;
            let signer = log_keys::new_signer(&SystemRandom, settings.origin.as_deref());
            crate::out!("{}", signer.to_secret_text());
            crate::note!("verifier key: {}", signer.verifier());
        }
    }
    Ok(())
}
