//! The queue over real servers, each in a directory of its own.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test ends where something is not as it should be, and reads the clock"
)]

mod access;
mod answers;
mod away;
mod bounds;
mod dead_letters;
mod durability;
mod failover;
mod messages;
mod restarts;
mod sequenced;
mod server;
mod settings;
mod support;
mod workers;

use std::sync::Arc;

use audittrail_queue::Queue;
use audittrail_queue::conformance;

use crate::server::{DURABLE, Server};
use crate::support::{anything, open_with, options};

/// On the server that REDIS_URL names, if it names one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite() {
    let server = Server::start(DURABLE);
    let url = std::env::var("REDIS_URL").unwrap_or_else(|_| server.url());
    conformance::run(async || {
        let mut options = options("one");
        options.bounds = conformance::BOUNDS;
        let (queue, _) = open_with(&url, options, anything()).await;
        Arc::new(queue) as Arc<dyn Queue>
    })
    .await;
}
