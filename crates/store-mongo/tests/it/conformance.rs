//! The store passes the suite of stores. Two tests share it, since either mostly waits for the
//! server.

use std::sync::Arc;

use audittrail_store::Store;
use audittrail_store::conformance;

use crate::support::new_log;

async fn share(share: usize) {
    conformance::run_share(share, 2, async |_| new_log().await.1 as Arc<dyn Store>).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_half_on_a_real_server() {
    share(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_half_on_a_real_server() {
    share(1).await;
}
