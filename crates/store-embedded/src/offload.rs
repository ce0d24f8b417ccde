//! Where reads that block on the disk run. The server decides; nothing here spawns.

use tokio::sync::oneshot;

/// Runs jobs that block.
pub trait Offload: Send + Sync + 'static {
    /// Runs the job soon, on a thread that may block.
    fn run(&self, job: Box<dyn FnOnce() + Send>);
}

/// Runs each job at once, on the calling thread: for tests and for commands that do one
/// thing at a time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Inline;

impl Offload for Inline {
    fn run(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }
}

/// The job's answer; `None` if its thread ended without one.
pub(crate) async fn offload<T: Send + 'static>(
    offload: &dyn Offload,
    job: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = oneshot::channel();
    offload.run(Box::new(move || {
        // Nobody waits any more if the request was given up.
        let _ = sender.send(job());
    }));
    receiver.await.ok()
}
