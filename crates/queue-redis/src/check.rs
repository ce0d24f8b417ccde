//! What is checked of an entry before it is delivered.

use std::sync::Arc;

use audittrail_entry::{KeyRing, OpenPart};
use audittrail_queue::Submission;

/// Says why an entry must not be sequenced.
pub type Check = Arc<dyn Fn(&Submission) -> Result<(), String> + Send + Sync>;

/// Takes entries that a server with one of these keys made for the log of that origin: the leaf's
/// form and id, the commitment and the signature have to hold.
pub fn signed_by(keys: KeyRing, origin: String) -> Check {
    Arc::new(move |entry| {
        let record = &entry.record;
        record
            .check(&keys, &origin)
            .map_err(|error| error.to_string())?;
        match OpenPart::parse(&record.leaf) {
            Ok(open) if open.id == entry.id => Ok(()),
            _ => Err("the leaf has another id".to_owned()),
        }
    })
}
