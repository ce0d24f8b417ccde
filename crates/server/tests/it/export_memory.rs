//! An export's memory does not grow with the log.

use reqwest::Method;
use serde_json::json;

use crate::support::{Server, start};

const ENTRY_BYTES: usize = 2_000;
/// The 45,000 entries more are 90 MB: an export that keeps what it reads, or what it writes, is
/// far above this.
const MORE_KIB: u64 = 24 << 10;

async fn fill(server: &Server, count: usize) {
    let filler = "x".repeat(ENTRY_BYTES);
    let entry = json!({"action": "a", "details": {"f": filler}});
    let batch = vec![entry; 1_000];
    for _ in 0..count / batch.len() {
        let (status, _) = server.post("/logs/?receipts=none", &json!(batch)).await;
        assert_eq!(status, 201);
    }
}

/// What the process held at most, in KiB, as /proc tells it.
fn peak_kib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn peak_of_exports(server: Server, entries: usize) -> u64 {
    let home = server.home.clone();
    server.stop();
    let server = Server::start(&home);
    for format in ["json", "ndjson", "csv"] {
        let path = format!("/logs/export/?format={format}");
        let mut response = server.request(Method::GET, &path).send().await.unwrap();
        let mut came = 0;
        while let Some(part) = response.chunk().await.unwrap() {
            came += part.len();
        }
        assert!(came > entries * ENTRY_BYTES, "{format}: {came}");
    }
    peak_kib(&server)
}

#[tokio::test]
async fn ten_times_the_entries_take_no_more_memory() {
    let (_few_home, few) = start();
    fill(&few, 5_000).await;
    let few = peak_of_exports(few, 5_000).await;
    let (_many_home, many) = start();
    fill(&many, 50_000).await;
    let many = peak_of_exports(many, 50_000).await;
    println!("peak with 5,000 entries {few} KiB, with 50,000 {many} KiB");
    assert!(many < few + MORE_KIB, "{few} KiB, then {many} KiB");
}
