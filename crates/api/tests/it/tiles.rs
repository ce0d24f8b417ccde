//! The log as tlog clients read it.

use audittrail_api::ApiSettings;
use audittrail_auth::Role;
use audittrail_merkle::{Hash, leaf_hash, tile_root};
use audittrail_store::Store as _;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Served, token};

/// A log of so many entries, of which none is published.
pub(crate) async fn held(size: usize) -> Served {
    let served = Served::start_held(ApiSettings::default()).await;
    let entry = |number| json!({"action": "door.open", "details": {"n": number}});
    let entries: Vec<Value> = (0..size).map(entry).collect();
    served.post(&json!(entries)).await;
    served
}

pub(crate) async fn bytes(served: &Served, path: &str) -> Vec<u8> {
    let response = served.get(path).send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    response.bytes().await.unwrap().to_vec()
}

pub(crate) async fn status(served: &Served, path: &str) -> StatusCode {
    served.get(path).send().await.unwrap().status()
}

async fn hashes(served: &Served, level: u8, range: std::ops::Range<u64>) -> Vec<Hash> {
    served.store.hashes(8 * level, range).await.unwrap()
}

fn joined(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// Entries of a bundle: two bytes of length before each.
fn leaves(mut bundle: &[u8]) -> Vec<Vec<u8>> {
    let mut leaves = Vec::new();
    while let Some((length, rest)) = bundle.split_first_chunk::<2>() {
        let (leaf, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
        leaves.push(leaf.to_vec());
        bundle = rest;
    }
    assert!(bundle.is_empty());
    leaves
}

fn part(path: &str, width: u64) -> String {
    if width == 256 {
        path.to_owned()
    } else {
        format!("{path}.p/{width}")
    }
}

/// Partial tiles are there for every size that was published, and stay; nothing is shown that no
/// checkpoint covers.
#[tokio::test]
async fn tiles_of_every_published_size() {
    let served = held(600).await;
    assert_eq!(status(&served, "/tile/0/000.p/1").await, 404);
    assert_eq!(status(&served, "/tile/entries/000.p/1").await, 404);
    let mut sizes = Vec::new();
    for size in [1_u64, 2, 255, 256, 257, 511, 512, 513, 590] {
        served.show(size).await;
        sizes.push(size);
        for size in &sizes {
            let (at, width) = ((size - 1) / 256, (size - 1) % 256 + 1);
            let expected = hashes(&served, 0, 256 * at..*size).await;
            let tile = part(&format!("/tile/0/00{at}"), width);
            assert_eq!(bytes(&served, &tile).await, joined(&expected), "{tile}");
            let bundle = part(&format!("/tile/entries/00{at}"), width);
            let leaves = leaves(&bytes(&served, &bundle).await);
            let found: Vec<Hash> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
            assert_eq!(found, expected, "{bundle}");
        }
        // One more is committed, and not published.
        let (at, width) = (size / 256, size % 256 + 1);
        for kind in ["0", "entries"] {
            let beyond = part(&format!("/tile/{kind}/00{at}"), width);
            assert_eq!(status(&served, &beyond).await, 404, "{size}: {beyond}");
        }
        let full = size / 256;
        for width in 1..=3 {
            let above = status(&served, &format!("/tile/1/000.p/{width}")).await;
            assert_eq!(above == 200, width <= full, "{size}: {width} at level 1");
        }
        assert_eq!(status(&served, "/tile/2/000.p/1").await, 404);
    }
    let below = hashes(&served, 0, 256..512).await;
    let above = bytes(&served, "/tile/1/000.p/2").await;
    assert_eq!(above[32..], tile_root(&below).unwrap().0);
}

/// Sends what no client library would, and gives the status line and the head.
async fn raw(served: &Served, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        served.token
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.split("\r\n\r\n").next().unwrap().to_owned()
}

#[tokio::test]
async fn paths_that_are_not_exactly_right_are_404() {
    let served = held(300).await;
    served.show(300).await;
    for path in [
        "/checkpoint",
        "/tile/0/000",
        "/tile/0/001.p/44",
        "/tile/entries/001.p/44",
    ] {
        let head = raw(&served, "GET", path).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
    }
    let mut wrong: Vec<String> = [
        "/checkpoint/",
        "//checkpoint",
        "/checkpoint//",
        "/Checkpoint",
        "/%63heckpoint",
        "/tile",
        "/tile/",
        "/tile//",
        "/tile/0",
        "/tile/0/",
        "/tile//000",
        "//tile/0/000",
        "/%74ile/0/000",
        "/tile/%30/000",
        "/tile/0/%30%30%30",
        "/tile/0/00%30",
        "/tile%2F0%2F000",
        "/tile/0%2F000",
        "/tile/entries",
        "/tile/entries/",
        "/tile/Entries/000",
        "/tile/entrie%73/000",
        "/tile/data/000",
        "/tile/00/000",
        "/tile/+0/000",
        "/tile/-0/000",
        "/tile/64/000",
        "/tile/256/000",
        "/tile/18446744073709551616/000",
        "/tile/0x0/000",
        "/tile/8/000",
        "/tile/63/000",
        "/tile/7/000.p/1",
        "/./tile/0/000",
        "/x/../tile/0/000",
    ]
    .map(str::to_owned)
    .to_vec();
    for kind in ["/tile/0/", "/tile/entries/"] {
        wrong.extend(
            [
                "0",
                "00",
                "0000",
                "+00",
                "-01",
                "%2001",
                "000/",
                "000//",
                "/000",
                "x000/000",
                "x00/001",
                "x001",
                "x001/",
                "x001//000",
                "X001/000",
                "001/002",
                "001/x002",
                "x000/x000/000",
                "..",
                "../0/000",
                "000.p",
                "000.p/",
                "000.p/0",
                "000.p/00",
                "000.p/01",
                "000.p/+1",
                "000.p/-1",
                "000.p/256",
                "000.p/257",
                "000.p/65537",
                "000.p/18446744073709551617",
                "000.p/1/",
                "000.p/1/2",
                "000.p/1.p/1",
                "000.P/1",
                "000%2Ep/1",
                "000.p%2F1",
                "000.p/%31",
                "000.p//1",
                "000.q/1",
                "000;a",
                "x001.p/1/000",
                // Beyond the log, beyond 64 bits of entries, and beyond 64 bits of tiles.
                "002",
                "001",
                "001.p/45",
                "x018/x446/x744/x073/x709/x551/615",
                "x072/x057/x594/x037/x927/936",
                "x018/x446/x744/x073/x709/x551/616",
                "x999/x999/x999/x999/x999/x999/x999/999",
            ]
            .map(|rest| format!("{kind}{rest}")),
        );
    }
    let deep = "x999/".repeat(2_000);
    wrong.push(format!("/tile/0/{deep}000"));
    assert!(wrong.len() > 120);
    for path in &wrong {
        for method in ["GET", "HEAD"] {
            let head = raw(&served, method, path).await;
            assert!(head.starts_with("HTTP/1.1 404"), "{method} {path}: {head}");
        }
    }
    let head = raw(&served, "GET", "/tile/0/000?x=1").await;
    assert!(head.starts_with("HTTP/1.1 400"), "{head}");
    let head = raw(&served, "POST", "/tile/0/000").await;
    assert!(head.starts_with("HTTP/1.1 405"), "{head}");
    // What is not there yet may be there in a moment.
    let head = raw(&served, "GET", "/tile/0/001.p/45").await;
    assert!(head.contains("cache-control: no-store"), "{head}");
    // The log still stands.
    assert_eq!(status(&served, "/tile/0/000").await, 200);
}

const PATHS: [&str; 4] = [
    "/checkpoint",
    "/checkpoint/consistency/?from=1&to=2",
    "/tile/0/000.p/2",
    "/tile/entries/000.p/2",
];

#[tokio::test]
async fn tiles_are_for_who_may_have_all_of_them() {
    let served = held(2).await;
    served.show(2).await;
    for path in PATHS {
        let url = format!("http://{}{path}", served.address);
        let without = served.client.get(&url).send().await.unwrap();
        assert_eq!(without.status(), 401, "{path}");
        for (role, tenant, expected) in [
            (Role::User, None, 403),
            (Role::Writer, None, 403),
            (Role::Reader, None, 403),
            (Role::Auditor, None, 200),
            (Role::Admin, None, 200),
            (Role::Auditor, Some("acme"), 403),
            (Role::Admin, Some("acme"), 403),
        ] {
            let request = served.client.get(&url);
            let request = request.bearer_auth(token("somebody", role, tenant));
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), expected, "{path} {role} {tenant:?}");
            let kept = answer.headers().get("cache-control");
            let kept = kept.map(|kept| kept.to_str().unwrap());
            assert!(
                !kept.unwrap_or_default().contains("public"),
                "{path}: {kept:?}"
            );
        }
    }
}

#[tokio::test]
async fn public_tiles_are_for_anybody_and_entries_are_not() {
    let settings = ApiSettings {
        public_tiles: true,
        ..ApiSettings::default()
    };
    let served = Served::start_held(settings).await;
    served
        .post(&json!([{"action": "a"}, {"action": "b"}]))
        .await;
    served.show(2).await;
    for path in PATHS {
        let url = format!("http://{}{path}", served.address);
        let answer = served.client.get(&url).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let kept = answer.headers()["cache-control"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(kept.starts_with("public, max-age="), "{path}: {kept}");
        assert_eq!(
            kept.contains("immutable"),
            path != "/checkpoint",
            "{path}: {kept}"
        );
    }
    let id = "0198c0de-0000-7000-8000-000000000000";
    for path in [
        "/logs/list/",
        &format!("/logs/{id}/"),
        &format!("/logs/{id}/proof/"),
    ] {
        let url = format!("http://{}{path}", served.address);
        let answer = served.client.get(&url).send().await.unwrap();
        assert_eq!(answer.status(), 401, "{path}");
    }
    let url = format!("http://{}/openapi.json", served.address);
    let document: Value = served
        .client
        .get(url)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let operation = |path: &str| document["paths"][path]["get"].clone();
    assert!(operation("/checkpoint")["security"].is_null());
    assert!(operation("/tile/{level}/{index}.p/{width}")["security"].is_null());
    assert!(operation("/logs/{id}/proof/")["security"].is_array());
}

/// Cheap to ask for without a token, so bounded by address.
#[tokio::test]
async fn public_tiles_have_a_rate() {
    let settings = ApiSettings {
        public_tiles: true,
        rate: audittrail_api::Rate::parse("2/h"),
        ..ApiSettings::default()
    };
    let served = Served::start_held(settings).await;
    let url = format!("http://{}/checkpoint", served.address);
    for expected in [200, 200, 429] {
        assert_eq!(
            served.client.get(&url).send().await.unwrap().status(),
            expected
        );
    }
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn answers_say_what_they_are_and_how_long_they_hold() {
    let served = held(300).await;
    let published = served.show(300).await;
    let long = "private, max-age=31536000, immutable";
    for (path, media_type, kept) in [
        (
            "/checkpoint",
            "text/plain; charset=utf-8",
            "private, max-age=1",
        ),
        ("/tile/0/000", "application/octet-stream", long),
        ("/tile/1/000.p/1", "application/octet-stream", long),
        ("/tile/entries/001.p/44", "application/octet-stream", long),
        (
            "/checkpoint/consistency/?from=7&to=300",
            "application/json",
            long,
        ),
    ] {
        let got = served.get(path).send().await.unwrap();
        assert_eq!(got.status(), 200, "{path}");
        assert_eq!(header(&got, "content-type"), media_type);
        assert_eq!(header(&got, "cache-control"), kept);
        let (etag, length) = (header(&got, "etag").to_owned(), got.content_length());
        assert!(etag.starts_with("W/\""), "{path}: {etag}");
        let url = format!("http://{}{path}", served.address);
        let asked = served
            .client
            .request(Method::HEAD, url)
            .bearer_auth(&served.token);
        let asked = asked.send().await.unwrap();
        assert_eq!(asked.status(), 200);
        assert_eq!(
            header(&asked, "content-length"),
            length.unwrap().to_string()
        );
        assert_eq!(header(&asked, "etag"), etag);
        let again = served
            .get(path)
            .header("if-none-match", &etag)
            .send()
            .await
            .unwrap();
        assert_eq!(again.status(), 304, "{path}");
        assert_eq!(header(&again, "cache-control"), kept);
        assert!(again.bytes().await.unwrap().is_empty());
    }
    let note = bytes(&served, "/checkpoint").await;
    assert_eq!(note, published.note.as_bytes());
}

#[tokio::test]
async fn bundles_are_compressed_and_hashes_are_not() {
    let served = held(300).await;
    served.show(300).await;
    let plain = bytes(&served, "/tile/entries/000").await;
    for (coding, path) in [("gzip", "/tile/entries/000"), ("zstd", "/tile/entries/000")] {
        let got = served
            .get(path)
            .header("accept-encoding", coding)
            .send()
            .await
            .unwrap();
        assert_eq!(header(&got, "content-encoding"), coding);
        assert_eq!(header(&got, "vary"), "accept-encoding");
        let packed = got.bytes().await.unwrap();
        assert!(
            packed.len() < plain.len() / 2,
            "{} of {}",
            packed.len(),
            plain.len()
        );
        let unpacked = match coding {
            "gzip" => {
                let mut unpacked = Vec::new();
                let mut decoder = flate2::read::GzDecoder::new(&packed[..]);
                std::io::Read::read_to_end(&mut decoder, &mut unpacked).unwrap();
                unpacked
            }
            _ => zstd::decode_all(&packed[..]).unwrap(),
        };
        assert!(unpacked == plain);
    }
    let tile = served.get("/tile/0/000").header("accept-encoding", "gzip");
    let tile = tile.send().await.unwrap();
    assert_eq!(header(&tile, "content-encoding"), "");
    assert_eq!(tile.bytes().await.unwrap().len(), 8_192);
}

/// Another leaf, as good as the first by itself.
fn forge(served: &Served, index: u64) {
    served.store.alter(index, |record| {
        let leaf = String::from_utf8(record.leaf.clone()).unwrap();
        record.leaf = leaf.replace("door.open", "door.shut").into_bytes();
    });
}

/// The others would stand at wrong places without it, and it is not sound.
#[tokio::test]
async fn a_damaged_leaf_is_named_and_never_sent() {
    let served = held(300).await;
    served.show(300).await;
    served.store.damage(7, "the disk lost it");
    forge(&served, 258);
    for (path, indices) in [
        ("/tile/entries/000", json!([7])),
        ("/tile/entries/000.p/8", json!([7])),
        ("/tile/entries/001.p/44", json!([258])),
    ] {
        let answer = served.get(path).send().await.unwrap();
        assert_eq!(answer.status(), 500, "{path}");
        assert_eq!(header(&answer, "content-type"), "application/problem+json");
        assert_eq!(header(&answer, "cache-control"), "");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["type"], "urn:audittrail:problem:damaged");
        assert_eq!(problem["indices"], indices, "{path}: {problem}");
    }
    // What lies before it is sound, and so is the tree.
    assert_eq!(status(&served, "/tile/entries/000.p/7").await, 200);
    assert_eq!(status(&served, "/tile/entries/001.p/2").await, 200);
    assert_eq!(status(&served, "/tile/0/000").await, 200);
    // From now on it is known to have failed.
    let page: Value = served
        .get("/logs/list/?verified=false")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(page["failed_entries"], 2);
}

/// Hashes that a disk changed are made anew from the log; caches would keep them for ever.
#[tokio::test]
async fn a_damaged_tile_is_made_anew() {
    for damaged in [3, 290] {
        let served = held(300).await;
        served.show(300).await;
        let sound = hashes(&served, 0, 0..300).await;
        served.store.alter_hash(0, damaged, Hash([7; 32]));
        let (first, second) = (&sound[..9], &sound[256..]);
        assert_eq!(bytes(&served, "/tile/0/000.p/9").await, joined(first));
        assert_eq!(bytes(&served, "/tile/0/001.p/44").await, joined(second));
        for path in ["/tile/entries/000", "/tile/entries/001.p/44"] {
            assert_eq!(status(&served, path).await, 200, "{path}, {damaged}");
        }
    }
}

/// Where the log says what the wrong hash says, nothing is left to tell what was there.
#[tokio::test]
async fn a_tile_that_nothing_proves_is_not_sent() {
    let served = held(300).await;
    served.show(300).await;
    served.store.alter_hash(0, 3, Hash([7; 32]));
    served.store.damage(3, "the disk lost it");
    for path in ["/tile/0/000", "/tile/0/000.p/9", "/tile/entries/000"] {
        let answer = served.get(path).send().await.unwrap();
        assert_eq!(answer.status(), 500, "{path}");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["type"], "urn:audittrail:problem:damaged");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .starts_with("tile/0/000"),
            "{problem}"
        );
    }
    assert_eq!(status(&served, "/tile/0/001.p/44").await, 200);
}

/// Below a base path, tiles are too; nothing of it is in the tile's path.
#[tokio::test]
async fn tiles_below_a_base_path() {
    let settings = ApiSettings {
        base_path: "/audit".to_owned(),
        public_tiles: true,
        ..ApiSettings::default()
    };
    let served = Served::start_held(settings).await;
    for (path, expected) in [
        ("/audit/checkpoint", 200),
        ("/audit/tile/0/000.p/1", 404),
        ("/audit/checkpoint/consistency?from=0&to=0", 200),
        ("/checkpoint", 404),
    ] {
        assert_eq!(status(&served, path).await, expected, "{path}");
    }
}
