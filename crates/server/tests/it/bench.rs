//! `audittrail bench` with a server of its own and with another.

use serde_json::Value;

use crate::support::{BINARY, command, start, success, text};

fn figures(output: &std::process::Output) -> Value {
    serde_json::from_str(&success(output)).unwrap()
}

/// Each scenario did what it says, without a failure.
fn check(results: &Value, names: &[&str]) {
    let scenarios = results["scenarios"].as_array().unwrap();
    assert_eq!(scenarios.len(), names.len());
    for (figures, name) in scenarios.iter().zip(names) {
        assert_eq!(figures["scenario"], *name);
        assert_eq!(figures["failures"], Value::Null, "{figures}");
        let number = |name: &str| figures[name].as_f64().unwrap();
        assert!(number("requests") >= 1.0, "{figures}");
        let latency = |part: &str| figures["latency_ms"][part].as_f64().unwrap();
        assert!(
            latency("p50") > 0.0 && latency("p50") <= latency("p99"),
            "{figures}"
        );
        assert!(latency("p99") <= latency("p999") && latency("p999") <= latency("max"));
        let rate = number("requests") / number("seconds");
        assert!((rate / number("requests_per_second") - 1.0).abs() < 0.01);
        let anonymous = number("server_anonymous_bytes");
        assert!(anonymous > 1e6, "{figures}");
    }
}

#[test]
fn a_server_of_its_own_is_measured_and_removed() {
    let within = tempfile::tempdir().unwrap();
    let run = command(BINARY)
        .args(["bench", "post", "batch", "list", "get", "export", "--json"])
        .args([
            "--duration",
            "200ms",
            "--warm-up",
            "100ms",
            "--connections",
            "4",
        ])
        .args(["--preload", "1300", "--batch", "20", "--kind", "real"])
        .arg("--dir")
        .arg(within.path())
        .output()
        .unwrap();
    let results = figures(&run);
    check(&results, &["post", "batch", "list", "get", "export"]);
    let batch = &results["scenarios"][1];
    assert_eq!(
        batch["entries"].as_u64(),
        batch["requests"].as_u64().map(|n| n * 20)
    );
    // Every export holds at least what was written before it.
    let export = &results["scenarios"][4];
    let written = results["scenarios"][0]["requests"].as_u64().unwrap() + 1_300;
    let exported = export["entries"].as_u64().unwrap() / export["requests"].as_u64().unwrap();
    assert!(exported >= written, "{export}");
    let limits = &results["limits"];
    assert!(limits["empty_handler"]["requests"].as_u64().unwrap() > 0);
    assert_eq!(limits["synced_appends"].as_array().unwrap().len(), 2);
    assert_eq!(within.path().read_dir().unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_server_gets_what_the_bench_says_it_sent() {
    let (_home, server) = start();
    let pid = server.pid().to_string();
    let mut bench = server.run("bench");
    bench
        .args([
            "post",
            "--rate",
            "100",
            "--duration",
            "400ms",
            "--warm-up",
            "100ms",
        ])
        .args([
            "--connections",
            "2",
            "--json",
            "--url",
            &server.url,
            "--pid",
            &pid,
        ]);
    let results = figures(&bench.output().unwrap());
    check(&results, &["post"]);
    // Ten in the warm-up, forty in the time that counts.
    assert_eq!(results["scenarios"][0]["requests"], 40);
    let (_, page) = server.get("/logs/list/?page_size=1&count=exact").await;
    assert_eq!(page["count"], 50);
    assert_eq!(page["results"][0]["submitted_by"]["sub"], "tester");
    server.stop();
}

#[test]
fn a_log_is_measured_as_it_grows() {
    let run = command(BINARY)
        .args(["bench", "--growth", "1000,2500", "--json"])
        .output()
        .unwrap();
    let stages = figures(&run)["growth"].as_array().cloned().unwrap();
    let sizes: Vec<_> = stages.iter().map(|stage| &stage["entries"]).collect();
    assert_eq!(sizes, [1_000, 2_500]);
    for stage in &stages {
        // What an entry costs on disk is at least what was sent for it and less than ten times it,
        // and its parts are not more than the whole.
        let figure = |name: &str| stage[name].as_f64().unwrap();
        let parts = ["log_bytes", "index_bytes", "tree_bytes", "locations_bytes"];
        let parts: f64 = parts.into_iter().map(figure).sum();
        let (json, disk) = (figure("json_bytes"), figure("disk_bytes"));
        assert!(
            json < parts && parts <= disk && disk < 10.0 * json,
            "{stage}"
        );
        for times in ["first_page_ms", "last_pages_ms", "get_ms", "proof_ms"] {
            let (p50, p99) = (&stage[times]["p50"], &stage[times]["p99"]);
            assert!(
                p50.as_f64() > Some(0.0) && p50.as_f64() <= p99.as_f64(),
                "{stage}"
            );
        }
    }
    // 25 full pages, and one of the entries that tell of the server's starts.
    assert_eq!(stages[1]["last_page"], 26);
}

#[test]
fn what_cannot_be_measured_is_said() {
    for (arguments, said) in [
        (
            &["post", "--url", "https://example.org", "--token", "t"][..],
            "plain http",
        ),
        (
            &["post", "--url", "http://127.0.0.1:9", "--token", "t"],
            "cannot be reached",
        ),
        (&["post", "--duration", "10"], "duration is 10"),
        (&["post", "--file", "/nonexistent"], "cannot be read"),
        (
            &["--budgets", "--url", "http://127.0.0.1:9"],
            "cannot be used with",
        ),
        (&["post", "--entries", "5000"], "--budgets"),
        (&["--growth", "2000,1000"], "have to ascend"),
    ] {
        let run = command(BINARY)
            .arg("bench")
            .args(arguments)
            .output()
            .unwrap();
        let error = text(&run.stderr);
        assert!(
            !run.status.success() && error.contains(said),
            "{arguments:?}: {error}"
        );
    }
}
