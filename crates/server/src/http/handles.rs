//! Connections take file handles, and so do the log's files: these must not run short.

use rustix::process::{Resource, getrlimit, setrlimit};

use super::Bounds;

/// Kept for the store, the listeners and what the runtime opens.
const OURS: u64 = 128;

/// Raises the process's limit as far as it may, and lowers the bound on connections to it.
pub(crate) fn fit(bounds: &mut Bounds) {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit on file handles could not be raised");
    }
    let Some(handles) = getrlimit(Resource::Nofile).current else {
        return;
    };
    let most = handles.saturating_sub(OURS).max(handles / 2).max(1);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    if bounds.connections > most {
        tracing::warn!(
            handles,
            "at most {most} connections at once, not {}: raise the limit on open files, or set \
             max-connections",
            bounds.connections
        );
        bounds.connections = most;
    }
}
