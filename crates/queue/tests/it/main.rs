//! The queue crate from outside.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something is not as it should be"
)]

mod abandoned;
mod bounds;

use std::sync::Arc;

use audittrail_queue::conformance::{self, BOUNDS};
use audittrail_queue::{InProcessQueue, Queue};

#[tokio::test]
async fn the_suite() {
    conformance::run(async || Arc::new(InProcessQueue::new(BOUNDS)) as Arc<dyn Queue>).await;
}

#[test]
fn what_is_in_the_process_is_not_durable() {
    assert!(!InProcessQueue::new(BOUNDS).is_durable());
}
