//! Exports that cannot go on.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::time::Duration;

use audittrail_store::{Fault, StoreErrorKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::Served;

/// More than two sockets hold on any machine, so that the server cannot be at the end while
/// nobody reads.
const ENTRIES: usize = 240;
const ENTRY_BYTES: usize = 200_000;

fn mark(format: &str) -> &'static str {
    match format {
        "csv" => "\r\n\"broken off: this export is incomplete",
        "json" => "}{\"broken_off\":\"this export is incomplete",
        _ => "\n{\"broken_off\":\"this export is incomplete",
    }
}

/// What is in a page that has no end.
fn evidence_within(page: &str) -> String {
    let (head, lines) = page.split_once("id=\"evidence\">\n").unwrap();
    assert!(head.starts_with("<!DOCTYPE html>"));
    let lines = lines.lines().map(|line| STANDARD.decode(line).unwrap());
    String::from_utf8(lines.collect::<Vec<_>>().concat()).unwrap()
}

/// The client meets an error, not an end; what it has is no JSON, or ends in what is no entry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_fails_midway_breaks_the_export_off() {
    let served = Served::start().await;
    served.fill(ENTRIES, ENTRY_BYTES).await;
    for format in ["json", "ndjson", "csv", "evidence", "report"] {
        let path = format!("/logs/export/?format={format}");
        let mut response = served.get(&path).send().await.unwrap();
        assert_eq!(response.status(), 200);
        served
            .store
            .inject(Fault::Scan(StoreErrorKind::Unavailable));
        let mut came = Vec::new();
        let error = loop {
            match response.chunk().await {
                Ok(Some(part)) => came.extend(part),
                Ok(None) => panic!("{format}: the export ended as if it were whole"),
                Err(error) => break error,
            }
        };
        assert!(served.store.faults().is_empty(), "{format}: {error}");
        assert!(came.len() > 1_000_000, "{format}: {error}");
        assert!(came.len() < ENTRIES * ENTRY_BYTES, "{format}: all came");
        let came = String::from_utf8(came).unwrap();
        let came = if format == "report" {
            evidence_within(&came)
        } else {
            came
        };
        let end = &came[came.len() - 100..];
        assert!(came.ends_with(mark(format)), "{format}: {end}");
        assert!(serde_json::from_str::<serde_json::Value>(&came).is_err());
        let last = came.rsplit('\n').next().unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(last).is_err());
    }
}

/// The same on the wire: a chunked body without its last chunk, and the connection closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_last_chunk_follows_what_broke_off() {
    let served = Served::start().await;
    served.fill(ENTRIES, ENTRY_BYTES).await;
    for fails in [true, false] {
        let mut socket = TcpStream::connect(served.address).await.unwrap();
        let request = format!(
            "GET /logs/export/?format=ndjson HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
             Authorization: Bearer {}\r\n\r\n",
            served.token
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut came = vec![0; 100_000];
        socket.read_exact(&mut came).await.unwrap();
        if fails {
            served
                .store
                .inject(Fault::Scan(StoreErrorKind::Unavailable));
        }
        let end = tokio::time::timeout(Duration::from_secs(60), socket.read_to_end(&mut came));
        end.await.unwrap().unwrap();
        let came = String::from_utf8_lossy(&came);
        assert!(came.contains("transfer-encoding: chunked"));
        assert_eq!(came.ends_with("\r\n0\r\n\r\n"), !fails, "fails: {fails}");
    }
}

/// Nothing was sent yet, so that there is a proper answer.
#[tokio::test]
async fn an_export_that_cannot_begin_is_a_problem() {
    let served = Served::start().await;
    served.fill(3, 10).await;
    for fault in [
        Fault::Scan(StoreErrorKind::Unavailable),
        Fault::Scan(StoreErrorKind::Fatal),
    ] {
        served.store.inject(fault);
        let response = served.get("/logs/export/?format=csv").send().await.unwrap();
        assert_eq!(response.status(), 503, "{fault:?}");
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
        let after = response.text().await.unwrap();
        assert!(
            after.contains("urn:audittrail:problem:unavailable"),
            "{after}"
        );
    }
    let response = served.get("/logs/export/?format=csv").send().await.unwrap();
    let whole = response.text().await.unwrap();
    // Three entries, and the two exports that were recorded and did not begin, and this one
    // is not in it.
    assert_eq!(whole.lines().count(), 1 + 3 + 2, "{whole}");
}

/// HEAD has the headers of GET and leaves no trace, since nothing leaves the log.
#[tokio::test]
async fn head_records_no_export() {
    let served = Served::start().await;
    served.fill(3, 10).await;
    let head = |path: &str| {
        let url = format!("http://{}{path}", served.address);
        served.client.head(url).bearer_auth(&served.token).send()
    };
    for path in ["/logs/export/?format=csv", "/logs/export?format=csv"] {
        let response = head(path).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["x-audittrail-tree-size"], "3", "{path}");
        assert!(!response.headers().contains_key("content-length"), "{path}");
    }
    assert_eq!(
        head("/logs/export/?format=pdf").await.unwrap().status(),
        400
    );
    let response = served.get("/logs/export/?format=csv").send().await.unwrap();
    assert_eq!(response.headers()["x-audittrail-tree-size"], "3");
    response.text().await.unwrap();
    // That one was recorded.
    let response = head("/logs/export/").await.unwrap();
    assert_eq!(response.headers()["x-audittrail-tree-size"], "4");
}
