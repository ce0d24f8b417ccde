//! A fixed rate makes a server's pause show in every request that should have been sent in it.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test ends where something is not as it should be; the stub is a thread that sleeps"
)]

use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use audittrail_bench::{Entries, Kind, Pace, Scenario, Settings, Target, run};

const PAUSE: Duration = Duration::from_millis(600);

/// Answers every request at once, but for the tenth, before which it pauses. What it got is told
/// by its answers' status: 201 to a whole entry, else 400.
fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut requests = BufReader::new(stream.try_clone().unwrap());
        for number in 0.. {
            let Some(body) = request(&mut requests) else {
                return;
            };
            if number == 10 {
                std::thread::sleep(PAUSE);
            }
            let good = serde_json::from_slice::<serde_json::Value>(&body).is_ok();
            let status = if good {
                "201 Created"
            } else {
                "400 Bad Request"
            };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}");
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    url
}

/// The body of the next request; `None` where there is none.
fn request(stream: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_until(b'\n', &mut head).ok()? == 0 {
            return None;
        }
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(
        head.starts_with("post /logs/create/?receipts=none http/1.1\r\n"),
        "{head}"
    );
    assert!(head.contains("authorization: bearer t\r\n"), "{head}");
    let length = head.split("content-length: ").nth(1).unwrap();
    let length = length.split("\r\n").next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

#[tokio::test]
async fn a_pause_makes_all_requests_late_that_were_due_in_it() {
    let target = Target::new(&server(), "t", None).unwrap();
    let settings = Settings {
        entries: Entries::Made {
            kind: Kind::Small,
            seed: 1,
        },
        connections: 1,
        batch: 10,
        pace: Pace::Fixed(100.0),
        warm_up: Duration::ZERO,
        duration: Duration::from_secs(2),
        preload: 0,
    };
    let report = run(&target, &[Scenario::Post], &settings, &|_| ())
        .await
        .unwrap();
    let figures = &report.scenarios[0];
    assert!(figures.failures.is_empty(), "{figures}");
    // One each 10 ms from the first moment on, and none at the end.
    assert_eq!(figures.requests, 200);
    assert_eq!(
        figures.sent_bytes / 200 / 10,
        35,
        "entries of about 351 bytes"
    );
    // 60 of 200 were due within the pause, so that more than a tenth waited half of it or longer;
    // without the requests that were due and not sent it would be one.
    assert!(figures.latency_ms.p90 > 250.0, "{figures}");
    assert!(figures.latency_ms.max >= 600.0, "{figures}");
}

#[tokio::test]
async fn requests_that_found_no_connection_are_counted_as_failed() {
    let target = Target::new(&server(), "t", None).unwrap();
    let settings = Settings {
        entries: Entries::Made {
            kind: Kind::Small,
            seed: 1,
        },
        connections: 1,
        batch: 10,
        pace: Pace::Fixed(100.0),
        warm_up: Duration::from_millis(50),
        // All over while the server makes its pause.
        duration: Duration::from_millis(100),
        preload: 0,
    };
    let report = run(&target, &[Scenario::Post], &settings, &|_| ())
        .await
        .unwrap();
    let figures = &report.scenarios[0];
    // Those with the numbers 5 to 14 were due in the time that counts; the pause begins with 10.
    assert_eq!(figures.requests + figures.failed(), 10, "{figures}");
    assert!(figures.failed() >= 4, "{figures}");
    let what = figures.failures.keys().next().unwrap();
    assert!(what.contains("the rate is too high"), "{what}");
}
