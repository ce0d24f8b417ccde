//! The log in MongoDB, as commands open it.

use std::sync::Arc;
use std::time::Duration;

use audittrail_store_mongo::{Identity, MongoStore, Options, StartError, StartReport};

use crate::Failure;
use crate::ambient::SystemRandom;

/// Nobody takes over from a leader that was heard of in this time; it is heard of four times in it.
pub(crate) const LEASE: Duration = Duration::from_secs(6);

/// Opens the log at a URL that is complete; one is begun there if the identity has keys.
///
/// # Errors
/// If no server answers now, or what is there is not that log.
pub(crate) async fn open(
    url: &str,
    identity: &Identity,
) -> Result<(MongoStore, StartReport), StartError> {
    let random = Arc::new(SystemRandom);
    let options = Options {
        lease: LEASE,
        ..Options::default()
    };
    MongoStore::open(url, identity, options, random).await
}

/// For who does not try again.
#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
pub(crate) fn failed(error: StartError) -> Failure {
    match error {
        StartError::Address { .. } => Failure::Usage(error.to_string()),
        _ => Failure::Failed(error.to_string()),
    }
}
