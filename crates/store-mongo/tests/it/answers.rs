//! Answers that are lost: the connection ends after a write was sent on, before or after the
//! server has done it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use audittrail_store::conformance::Generator;
use audittrail_store::{CommitErrorKind, Store};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::server::new_database;
use crate::support::{commit, no_lease, open_with, whole};

const NOTHING: u8 = 0;
/// The answer to the next write of entries is lost.
const INSERT: u8 = 1;
/// That to the next write of the head is lost, after the server has given it.
const HEAD: u8 = 2;
/// The connection ends as soon as the write of the head is sent on.
const HEAD_AT_ONCE: u8 = 3;

struct Proxy {
    port: u16,
    cut: Arc<AtomicU8>,
    cuts: Arc<AtomicUsize>,
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

impl Proxy {
    async fn start(to: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            cut: Arc::default(),
            cuts: Arc::default(),
        };
        let (cut, cuts) = (Arc::clone(&proxy.cut), Arc::clone(&proxy.cuts));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&to).await.unwrap();
                tokio::spawn(pass(client, server, Arc::clone(&cut), Arc::clone(&cuts)));
            }
        });
        proxy
    }
}

async fn pass(
    mut client: TcpStream,
    mut server: TcpStream,
    cut: Arc<AtomicU8>,
    cuts: Arc<AtomicUsize>,
) {
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(read @ 1..) = read else { return };
                if server.write_all(&asked[..read]).await.is_err() {
                    return;
                }
                let wanted = cut.load(Ordering::Acquire);
                let found = match wanted {
                    INSERT => contains(&asked[..read], b"insert\0"),
                    HEAD | HEAD_AT_ONCE => contains(&asked[..read], b"batch_id\0"),
                    _ => false,
                };
                let takes = |_| cut.compare_exchange(
                    wanted, NOTHING, Ordering::AcqRel, Ordering::Acquire).ok();
                if found && takes(()).is_some() {
                    cuts.fetch_add(1, Ordering::AcqRel);
                    if wanted == HEAD {
                        // The server has done it; nobody hears of it.
                        let _ = server.read(&mut answered).await;
                    }
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(read @ 1..) = read else { return };
                if client.write_all(&answered[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_lose_nothing_and_repeat_nothing() {
    let url = new_database().await;
    let (scheme, rest) = url.split_once("://").unwrap();
    let (host, database) = rest.split_once('/').unwrap();
    let proxy = Proxy::start(host.to_owned()).await;
    let through = format!("{scheme}://127.0.0.1:{}/{database}", proxy.port);
    let store = open_with(&through, 1, no_lease()).await;
    let mut generator = Generator::new(9);
    let mut edge = store.lead().await.unwrap();
    let mut known = Vec::new();
    let (mut clean, mut found_again) = (0, 0);
    for round in 0..24 {
        let count = 1 + generator.numbers.below(8);
        let entries: Vec<_> = (0..count).map(|_| generator.entry()).collect();
        let ids: Vec<Uuid> = entries.iter().map(|(id, _)| *id).collect();
        proxy.cut.store(
            [NOTHING, INSERT, HEAD, HEAD_AT_ONCE][round % 4],
            Ordering::Release,
        );
        loop {
            match commit(&*store, &edge, &entries).await {
                Ok(after) => {
                    edge = after;
                    clean += 1;
                    break;
                }
                Err(error) => assert_eq!(error.kind(), CommitErrorKind::Unknown, "{error}"),
            }
            edge = store.lead().await.unwrap();
            let found = store.find(&ids).await.unwrap();
            if found[0].is_some() {
                assert!(found.iter().all(Option::is_some));
                found_again += 1;
                break;
            }
        }
        known.extend(entries);
        assert_eq!(store.head().await.unwrap(), edge.head());
    }
    assert_eq!(
        proxy.cuts.load(Ordering::Acquire),
        18,
        "each of them was lost"
    );
    assert!(
        clean + found_again == 24 && clean >= 6,
        "{clean}, {found_again}"
    );
    let records = whole(&*store).await;
    assert!(records.iter().eq(known.iter().map(|(_, record)| record)));
}
