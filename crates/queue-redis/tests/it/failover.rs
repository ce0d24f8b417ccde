//! A master that dies, and the sentinel that names another one.

use std::fs;

use audittrail_queue::Queue;
use audittrail_queue::conformance::request;

use crate::server::{DURABLE, Server, free_port};
use crate::support::{
    ask, committed, open, options, receive, settle_until_answered, try_connection, until,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_follows_the_master() {
    let mut master = Server::start(DURABLE);
    let port = master.port.to_string();
    let replica = Server::start(&[DURABLE, &["--replicaof", "127.0.0.1", &port]].concat());
    let dir = tempfile::tempdir().unwrap();
    let settings = format!(
        "sentinel monitor the-log 127.0.0.1 {port} 1\n\
         sentinel down-after-milliseconds the-log 400\n\
         sentinel failover-timeout the-log 2000\n"
    );
    #[expect(clippy::disallowed_methods, reason = "the sentinel's, not ours")]
    fs::write(dir.path().join("sentinel.conf"), settings).unwrap();
    let sentinel = Server::start_in(dir, free_port(), &["sentinel.conf", "--sentinel"]);
    until("the sentinel knows the replica", async || {
        let replicas: Vec<redis::Value> =
            ask(&sentinel.url(), &["SENTINEL", "replicas", "the-log"]).await;
        !replicas.is_empty()
    })
    .await;

    // The first sentinel is away.
    let url = format!(
        "redis+sentinel://127.0.0.1:{},127.0.0.1:{}/the-log",
        free_port(),
        sentinel.port
    );
    let queue = open(&url, &options("one")).await;
    assert!(queue.is_durable());
    let waiter = queue.submit(request(1, 1, 0)).await.unwrap();
    until("the replica has it", async || {
        let keys: Vec<String> = ask(&replica.url(), &["KEYS", "*:requests"]).await;
        !keys.is_empty()
    })
    .await;
    let received = receive(&queue).await;
    assert!(!received[0].redelivered);
    master.kill();
    until("another one is master", async || {
        // It closes connections when it becomes one.
        let Ok(mut connection) = try_connection(&replica.url()).await else {
            return false;
        };
        let role = redis::cmd("ROLE")
            .query_async::<redis::Value>(&mut connection)
            .await;
        role.is_ok_and(|role| format!("{role:?}").contains("master"))
    })
    .await;
    // The new one knows who has it, or gives it again.
    let outcomes = vec![(received[0].id, committed(0))];
    queue.settle(outcomes).await.unwrap();
    let answer = settle_until_answered(&queue, &committed(0), waiter).await;
    assert_eq!(answer, committed(0));
    until("submitting goes on", async || {
        queue.submit(request(2, 1, 0)).await.is_ok()
    })
    .await;
    let new = receive(&queue).await;
    assert!(!new[0].redelivered, "it came after the change");
}
