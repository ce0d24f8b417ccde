//! The store passes the suite of stores.

use std::sync::Arc;

use audittrail_store::Store;
use audittrail_store::conformance;

use crate::support::new_log;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_real_server() {
    conformance::run(async |_| new_log().await.1 as Arc<dyn Store>).await;
}
