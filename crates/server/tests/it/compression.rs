//! Compressed bodies in both directions.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use reqwest::{Method, Response};
use serde_json::Value;

use crate::support::{Server, answer, start};

const LINES: &str = "application/x-ndjson";
const JSON: &str = "application/json";

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 3).unwrap()
}

fn lines(count: usize) -> Vec<u8> {
    let line = |n| format!("{{\"action\":\"door.open\",\"resource\":\"door {n}\"}}\n");
    (0..count).map(line).collect::<String>().into_bytes()
}

async fn send(server: &Server, encoding: &str, media_type: &str, body: Vec<u8>) -> (u16, Value) {
    let request = server
        .request(Method::POST, "/logs/create/")
        .header("content-type", media_type)
        .header("content-encoding", encoding)
        .body(body);
    let (status, body) = answer(request).await;
    (status.as_u16(), body)
}

async fn count(server: &Server) -> u64 {
    let (_, page) = server.get("/logs/list/?page_size=1").await;
    page["count"].as_u64().unwrap()
}

#[tokio::test]
async fn entries_come_in_compressed() {
    let (_home, server) = start();
    let array = br#"[{"action":"a"},{"action":"b"}]"#;
    let members = [gzip(&lines(3)), gzip(&lines(2))].concat();
    let frames = [zstd(&lines(3)), zstd(&lines(2))].concat();
    let mut stored = 0;
    for (encoding, media_type, body, entries) in [
        ("gzip", LINES, gzip(&lines(500)), 500),
        ("zstd", LINES, zstd(&lines(500)), 500),
        ("gzip", JSON, gzip(array), 2),
        ("zstd", JSON, zstd(array), 2),
        ("gzip", LINES, members, 5),
        ("zstd", LINES, frames, 5),
        ("identity", LINES, lines(5), 5),
    ] {
        let (status, answer) = send(&server, encoding, media_type, body).await;
        assert_eq!(
            (status, &answer["count"]),
            (201, &entries.into()),
            "{encoding} {answer}"
        );
        stored += entries;
        assert_eq!(count(&server).await, stored);
    }
}

#[tokio::test]
async fn what_cannot_be_decoded_is_refused() {
    let (_home, server) = start();
    let (gz, zst) = (gzip(&lines(100)), zstd(&lines(100)));
    let mut corrupt = gz.clone();
    let middle = corrupt.len() / 2;
    corrupt[middle..middle + 8].fill(0xff);
    let mut wrong_sum = gz.clone();
    let sum = wrong_sum.len() - 6;
    wrong_sum[sum] ^= 1;
    let mut wide = zstd::Encoder::new(Vec::new(), 1).unwrap();
    wide.window_log(27).unwrap();
    wide.write_all(&lines(100)).unwrap();
    let wide = wide.finish().unwrap();
    let bad = "invalid-encoding";
    for (encoding, body, status, slug) in [
        ("gzip", gz[..gz.len() - 1].to_vec(), 400, bad),
        ("gzip", gz[..gz.len() / 2].to_vec(), 400, bad),
        ("gzip", gz[..5].to_vec(), 400, bad),
        ("gzip", Vec::new(), 400, bad),
        ("gzip", corrupt, 400, bad),
        ("gzip", wrong_sum, 400, bad),
        ("gzip", zst.clone(), 400, bad),
        ("gzip", lines(1), 400, bad),
        ("gzip", [gz.clone(), lines(1)].concat(), 400, bad),
        ("zstd", zst[..zst.len() - 1].to_vec(), 400, bad),
        ("zstd", Vec::new(), 400, bad),
        ("zstd", gz.clone(), 400, bad),
        ("zstd", wide, 400, bad),
        ("gzip, gzip", gzip(&gz), 415, "unsupported-media-type"),
        ("gzip, zstd", zstd(&gz), 415, "unsupported-media-type"),
        ("br", gz.clone(), 415, "unsupported-media-type"),
        ("deflate", gz, 415, "unsupported-media-type"),
    ] {
        let (got, answer) = send(&server, encoding, LINES, body).await;
        assert_eq!(got, status, "{encoding}: {answer}");
        assert_eq!(
            answer["type"],
            format!("urn:audittrail:problem:{slug}"),
            "{answer}"
        );
    }
    assert_eq!(count(&server).await, 0);
    let refused = server
        .request(Method::POST, "/logs/")
        .header("content-type", JSON)
        .header("content-encoding", "br")
        .send()
        .await
        .unwrap();
    assert_eq!(refused.headers()["accept-encoding"], "gzip, zstd");
}

/// The most memory that the server ever had, in bytes.
fn peak_memory(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kibibytes: usize = peak.trim().trim_end_matches(" kB").parse().unwrap();
    kibibytes << 10
}

#[tokio::test]
async fn bombs_are_stopped_at_their_bound() {
    let (_home, server) = start();
    let spaces = vec![b' '; 16 << 20];
    // 4 GiB each, in half a megabyte or a few kilobytes.
    let bombs = [
        ("gzip", gzip(&spaces).repeat(256)),
        ("zstd", zstd(&spaces).repeat(256)),
    ];
    drop(spaces);
    let before = peak_memory(&server);
    for (encoding, bomb) in bombs {
        assert!(bomb.len() < 8 << 20, "{}", bomb.len());
        let (status, answer) = send(&server, encoding, LINES, bomb).await;
        assert_eq!(status, 413, "{encoding}: {answer}");
        assert!(
            answer["detail"].as_str().unwrap().contains("134217728"),
            "{answer}"
        );
    }
    let grown = peak_memory(&server) - before;
    // 128 MiB of text, and as much again while it is moved to a larger place.
    assert!(grown < 300 << 20, "{grown} bytes");
    assert_eq!(send(&server, "gzip", LINES, gzip(&lines(2))).await.0, 201);
}

/// More than the bound on what is sent, though it decodes to little more.
#[tokio::test]
async fn what_is_sent_has_a_bound_of_its_own() {
    let (_home, server) = start();
    // Empty members decode to nothing at all.
    let many = gzip(b"").repeat((33 << 20) / 20);
    let chunks: Vec<_> = many
        .chunks(1 << 20)
        .map(|part| Ok::<_, std::io::Error>(part.to_vec()))
        .collect();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    let request = server
        .request(Method::POST, "/logs/")
        .header("content-type", LINES)
        .header("content-encoding", "gzip");
    // Sent to its end though it was refused, the client sees why.
    assert_eq!(request.body(body).send().await.unwrap().status(), 413);
    assert_eq!(count(&server).await, 0);
}

async fn fetch(server: &Server, path: &str, accept: Option<&str>) -> Response {
    let mut request = server.request(Method::GET, path);
    if let Some(accept) = accept {
        request = request.header("accept-encoding", accept);
    }
    request.send().await.unwrap()
}

async fn decoded(response: Response) -> (Option<String>, usize, Vec<u8>) {
    assert_eq!(response.headers()["vary"], "accept-encoding");
    let coding = response
        .headers()
        .get("content-encoding")
        .map(|value| value.to_str().unwrap().to_owned());
    let length = response.content_length();
    let body = response.bytes().await.unwrap();
    if let Some(length) = length {
        assert_eq!(length, body.len() as u64);
    }
    let mut text = Vec::new();
    match coding.as_deref() {
        Some("gzip") => {
            MultiGzDecoder::new(&body[..])
                .read_to_end(&mut text)
                .unwrap();
        }
        Some("zstd") => text = zstd::decode_all(&body[..]).unwrap(),
        None => text.extend(&body),
        Some(other) => panic!("{other}"),
    }
    (coding, body.len(), text)
}

#[tokio::test]
async fn answers_are_compressed_where_asked_for() {
    let (_home, server) = start();
    assert_eq!(send(&server, "identity", LINES, lines(5_000)).await.0, 201);
    for path in [
        "/logs/list/?page_size=1000&count=none",
        "/logs/export/?format=ndjson&index_to=4999",
        "/logs/export/?index_to=4999",
    ] {
        let (coding, len, plain) = decoded(fetch(&server, path, None).await).await;
        assert_eq!((coding, len), (None, plain.len()));
        for accept in [
            "gzip",
            "zstd",
            "gzip, deflate, br, zstd",
            "gzip;q=0.1, zstd;q=0",
        ] {
            let (coding, len, text) = decoded(fetch(&server, path, Some(accept)).await).await;
            let wanted = if accept.starts_with("gzip;") || accept == "gzip" {
                "gzip"
            } else {
                "zstd"
            };
            assert_eq!(coding.as_deref(), Some(wanted), "{accept} {path}");
            assert_eq!(text, plain, "{accept} {path}");
            assert!(len * 3 < plain.len(), "{len} of {}", plain.len());
        }
        for accept in ["identity", "br", "gzip;q=0", ""] {
            let (coding, _, text) = decoded(fetch(&server, path, Some(accept)).await).await;
            assert_eq!((coding, text), (None, plain.clone()), "{accept}");
        }
    }
    // Tiny ones are not worth it.
    let (coding, ..) = decoded(fetch(&server, "/health/live", Some("gzip")).await).await;
    assert_eq!(coding, None);
    // Problems are compressed as anything else.
    let long = format!("/logs/list/?{}=1", "x".repeat(3_000));
    let (coding, _, text) = decoded(fetch(&server, &long, Some("zstd")).await).await;
    let problem: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(
        (coding.as_deref(), &problem["status"]),
        (Some("zstd"), &400.into())
    );
}
