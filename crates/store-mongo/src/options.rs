//! What a store over MongoDB is told.

use std::time::Duration;

use audittrail_checkpoint::VerifierKey;

/// Whose log it is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The log's name.
    pub origin: String,
    /// The keys whose checkpoints are accepted. A log is begun with them, and then started with
    /// the same ones only. A process that only reads may give none.
    pub keys: Vec<VerifierKey>,
}

/// Bounds of time, and how long a lead lasts.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// For so long nobody else can take the lead after a leader was last heard of, by the
    /// server's clock.
    pub lease: Duration,
    /// How long to look for a server that can be written to, and to connect.
    pub away: Duration,
    /// The most that one write, or one read by index, may take.
    pub operation: Duration,
    /// The most that a search or statistics may take.
    pub search: Duration,
}

impl Default for Options {
    /// A lease of ten seconds; two seconds to find a server; ten for an operation; 25 for a
    /// search, less than what a request may take.
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(10),
            away: Duration::from_secs(2),
            operation: Duration::from_secs(10),
            search: Duration::from_secs(25),
        }
    }
}
