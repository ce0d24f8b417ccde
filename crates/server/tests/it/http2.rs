//! HTTP/2 without TLS on the same port, and its bounds.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use reqwest::Method;
use tokio::task::JoinHandle;

use crate::connections::{fill, until_overdue, with_short};
use crate::support::{DEADLINE, Server, start, text};

type Client = (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>);

async fn connect(server: &Server) -> Client {
    let address = server.url.trim_start_matches("http://");
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    (sender, tokio::spawn(connection))
}

fn request(server: &Server, path: &str) -> http::Request<()> {
    let bearer = server.bearer();
    http::Request::builder()
        .method(Method::GET)
        .uri(format!("{}{path}", server.url))
        .header(
            "authorization",
            bearer.trim_end().trim_start_matches("Authorization: "),
        )
        .body(())
        .unwrap()
}

async fn get(sender: &mut SendRequest<Bytes>, request: http::Request<()>) -> (u16, String) {
    let (response, _) = sender.send_request(request, true).unwrap();
    let (parts, mut body) = response.await.unwrap().into_parts();
    let mut read = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        read.extend(data);
    }
    (parts.status.as_u16(), text(&read))
}

#[tokio::test]
async fn many_requests_on_one_connection() {
    let (_home, server) = start();
    fill(&server).await;
    let (mut sender, _connection) = connect(&server).await;
    let (status, body) = get(&mut sender, request(&server, "/logs/list/?page_size=5")).await;
    let page: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &page["count"]), (200, &180.into()));
    let next = page["next"].as_str().unwrap();
    assert!(
        next.starts_with(&format!("{}/logs/list/?", server.url)),
        "{next}"
    );
    let (status, export) = get(&mut sender, request(&server, "/logs/export/?index_to=9")).await;
    let entries: serde_json::Value = serde_json::from_str(&export).unwrap();
    assert_eq!((status, entries.as_array().map(Vec::len)), (200, Some(10)));
    let answers: Vec<_> = (0..50)
        .map(|_| {
            let mut sender = sender.clone();
            let request = request(&server, "/logs/list/?page_size=1");
            tokio::spawn(async move {
                sender = sender.ready().await.unwrap();
                get(&mut sender, request).await.0
            })
        })
        .collect();
    for answer in answers {
        assert_eq!(answer.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn a_client_that_leaves_its_window_shut_is_not_waited_for() {
    let (_home, server) = with_short("WRITE");
    fill(&server).await;
    let (mut sender, connection) = connect(&server).await;
    let (response, _) = sender
        .send_request(request(&server, "/logs/export/"), true)
        .unwrap();
    // It takes nothing out of the window, while the connection itself lives and answers pings.
    let mut body = response.await.unwrap().into_body();
    until_overdue(&server).await;
    let outcome = loop {
        match body.data().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break Err(error),
            None => break Ok(()),
        }
    };
    assert!(outcome.is_err(), "the export came to an end");
    assert!(connection.await.unwrap().is_err() || sender.ready().await.is_err());
}

#[tokio::test]
async fn an_idle_connection_is_told_to_go() {
    let (_home, server) = with_short("IDLE");
    let (mut sender, connection) = connect(&server).await;
    assert_eq!(
        get(&mut sender, request(&server, "/health/live")).await.0,
        200
    );
    let ended = tokio::time::timeout(DEADLINE, connection).await;
    // GOAWAY without an error is a good end.
    ended.expect("the server waits on").unwrap().unwrap();
}

#[tokio::test]
async fn shutdown_says_goaway_and_finishes() {
    let (_home, mut server) = start();
    let (mut sender, connection) = connect(&server).await;
    let mut upload = request(&server, "/logs/");
    *upload.method_mut() = Method::POST;
    let json = http::HeaderValue::from_static("application/json");
    upload.headers_mut().insert("content-type", json);
    let (response, mut body) = sender.send_request(upload, false).unwrap();
    body.send_data(Bytes::from_static(b"{\"action\":"), false)
        .unwrap();
    // An answer to a later request shows that the first one has been begun.
    assert_eq!(
        get(&mut sender, request(&server, "/health/live")).await.0,
        200
    );
    server.terminate();
    let start = Instant::now();
    // No new requests: GOAWAY came.
    loop {
        match sender.clone().ready().await {
            Err(_) => break,
            Ok(mut ready) => {
                let Ok((answer, _)) = ready.send_request(request(&server, "/health/live"), true)
                else {
                    break;
                };
                let _ = answer.await;
            }
        }
        assert!(start.elapsed() < DEADLINE, "no GOAWAY");
    }
    body.send_data(Bytes::from_static(b"\"a\"}"), true).unwrap();
    assert_eq!(response.await.unwrap().status(), 201);
    drop((body, sender));
    connection.await.unwrap().unwrap();
    assert_eq!(server.exit_code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(10));
}

/// A frame, RFC 9113 section 4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET`, `http`, `/health/live` and an authority: RFC 7541, literals without indexing.
const BLOCK: &[u8] = b"\x82\x86\x04\x0c/health/live\x01\x01a";

fn raw(server: &Server) -> TcpStream {
    let mut stream = server.connect();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
    stream
}

/// Frames until the server closes, as kinds and payloads.
fn frames(stream: &mut TcpStream) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    loop {
        let mut head = [0; 9];
        match stream.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("left open: {frames:?}"),
            Err(_) => return frames,
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        if stream.read_exact(&mut payload).is_err() {
            return frames;
        }
        frames.push((head[3], payload));
    }
}

/// Frames that abuse the connection end it, with the code ENHANCE_YOUR_CALM.
fn ends_calmly(server: &Server, abuse: &[u8]) {
    let mut stream = raw(server);
    let _ = stream.write_all(abuse);
    let frames = frames(&mut stream);
    let goaway = frames.iter().rfind(|(kind, _)| *kind == GOAWAY);
    let (_, payload) = goaway.unwrap_or_else(|| panic!("no GOAWAY in {frames:?}"));
    assert_eq!(
        payload[4..8],
        11_u32.to_be_bytes(),
        "{}",
        text(&payload[8..])
    );
}

#[tokio::test]
async fn the_server_says_its_bounds() {
    let (_home, server) = start();
    let mut stream = raw(&server);
    stream.write_all(&frame(GOAWAY, 0, 0, &[0; 8])).unwrap();
    let frames = frames(&mut stream);
    let settings = &frames.iter().find(|(kind, _)| *kind == SETTINGS).unwrap().1;
    let value = |id: u16| {
        let mut pairs = settings.chunks(6);
        let pair = pairs.find(|pair| pair[..2] == id.to_be_bytes()).unwrap();
        u32::from_be_bytes(pair[2..].try_into().unwrap())
    };
    // SETTINGS_MAX_CONCURRENT_STREAMS and SETTINGS_MAX_HEADER_LIST_SIZE.
    assert_eq!((value(3), value(6)), (100, 65_536));
}

/// CVE-2023-44487.
#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let (_home, server) = start();
    let abuse: Vec<u8> = (0..10_000)
        .flat_map(|number| {
            let stream = 2 * number + 1;
            let begin = frame(HEADERS, END_STREAM | END_HEADERS, stream, BLOCK);
            [begin, frame(RESET, 0, stream, &8_u32.to_be_bytes())].concat()
        })
        .collect();
    ends_calmly(&server, &abuse);
    assert_eq!(server.get("/health/live").await.0, 200);
}

/// CVE-2024-27316: a head that never ends.
#[tokio::test]
async fn endless_continuations_end_the_connection() {
    let (_home, server) = start();
    let mut abuse = frame(HEADERS, END_STREAM, 1, BLOCK);
    // A literal field of a new name, over and over.
    let field = [&b"\0\x03x-a\x7f\x01"[..], &[b'b'; 128]]
        .concat()
        .repeat(100);
    for _ in 0..1_000 {
        abuse.extend(frame(CONTINUATION, 0, 1, &field));
    }
    ends_calmly(&server, &abuse);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let (_home, server) = start();
    let (mut sender, _connection) = connect(&server).await;
    let mut large = request(&server, "/health/live");
    for number in 0..30 {
        let name: http::HeaderName = format!("x-{number}").parse().unwrap();
        large
            .headers_mut()
            .insert(name, "a".repeat(3_000).parse().unwrap());
    }
    let (response, _) = sender.send_request(large, true).unwrap();
    match response.await {
        Ok(response) => assert_eq!(response.status(), 431),
        // The client knows the bound from the settings.
        Err(error) => assert!(error.is_reset() || error.is_library(), "{error}"),
    }
    let long = format!("/logs/list/?q={}", "a".repeat(20_000));
    assert_eq!(get(&mut sender, request(&server, &long)).await.0, 414);
}

#[tokio::test]
async fn streams_beyond_the_bound_are_refused() {
    let (_home, server) = start();
    let mut stream = raw(&server);
    // Requests whose bodies never come, as far as the bound; then one more.
    let block = [b"\x83\x86\x04\x06/logs/\x01\x01a\x0f\x08", &b"\x7f"[..]].concat();
    let mut block = block;
    let bearer = server.bearer();
    let value = bearer.trim_end().trim_start_matches("Authorization: ");
    // RFC 7541 section 5.1: an integer above the prefix, then the text.
    let mut rest = value.len() - 127;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
    block.extend(value.as_bytes());
    block.extend(b"\x0f\x10\x10application/json");
    for number in 0..101 {
        stream
            .write_all(&frame(HEADERS, END_HEADERS, 2 * number + 1, &block))
            .unwrap();
    }
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).unwrap();
        if head[3] == RESET {
            // REFUSED_STREAM, of the one beyond the bound.
            assert_eq!(payload, 7_u32.to_be_bytes());
            assert_eq!(head[5..9], 201_u32.to_be_bytes());
            return;
        }
        assert_ne!(head[3], HEADERS, "answered: {}", text(&payload));
    }
}
