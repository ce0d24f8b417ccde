//! `audittrail keys`

use audittrail_store_embedded::disk::RealDisk;

use crate::Failure;
use crate::ambient::SystemRandom;
use crate::cli::KeysAction;
use crate::log_keys;
use crate::settings::Settings;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the keys are the result")]
pub(crate) fn run(settings: &Settings, action: KeysAction) -> Result<(), Failure> {
    match action {
        KeysAction::Show => {
            println!("{}", log_keys::load(&RealDisk, settings)?.signer.verifier());
        }
        KeysAction::New => {
            log_keys::check_origin(settings.origin.as_deref())?;
            let signer = log_keys::new_signer(&SystemRandom, settings.origin.as_deref());
            println!("{}", signer.to_secret_text());
            eprintln!("verifier key: {}", signer.verifier());
        }
    }
    Ok(())
}
