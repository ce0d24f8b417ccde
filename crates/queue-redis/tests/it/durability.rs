//! When a request that was taken is durable.

use audittrail_queue::Queue;

use crate::server::{DURABLE, Server};
use crate::support::{anything, open_with, options, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_server_that_syncs_and_evicts_nothing_is_durable() {
    let cases: [(&[&str], Option<&str>); 5] = [
        (&[], None),
        (
            &["--appendfsync", "everysec"],
            Some("appendfsync is everysec"),
        ),
        (&["--appendonly", "no"], Some("appendonly is no")),
        (
            &["--maxmemory-policy", "allkeys-lru"],
            Some("maxmemory-policy is allkeys-lru"),
        ),
        (
            &["--no-appendfsync-on-rewrite", "yes"],
            Some("no-appendfsync-on-rewrite is yes"),
        ),
    ];
    for (arguments, expected) in cases {
        let server = Server::start(&[DURABLE, arguments].concat());
        let (queue, report) = open_with(&server.url(), options("one"), anything()).await;
        assert_eq!(queue.is_durable(), expected.is_none(), "{arguments:?}");
        let why = report.not_durable.unwrap_or_default();
        assert!(why.starts_with(expected.unwrap_or_default()), "{why}");
        assert!(
            report
                .version
                .starts_with(|first: char| first.is_ascii_digit())
        );
    }
}

/// Each connection asks again: it may lead to another server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_came_back_otherwise_is_not_durable_any_more() {
    let mut server = Server::start(DURABLE);
    let (queue, _) = open_with(&server.url(), options("one"), anything()).await;
    assert!(queue.is_durable());
    server.kill();
    server.start_again(Some(&["--appendonly", "yes", "--appendfsync", "everysec"]));
    until("it is not durable", async || !queue.is_durable()).await;
}
