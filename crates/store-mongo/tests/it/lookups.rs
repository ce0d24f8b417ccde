//! A look-up by id, during which the head moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use audittrail_store::Store;
use audittrail_store::conformance::Generator;
use audittrail_store_mongo::encode;
use mongodb::bson::RawDocumentBuf;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::server::new_database;
use crate::support::{commit, database, no_lease, open_with};

/// Stands between a store and its server, and holds up the next question for the head.
#[derive(Default)]
struct Gate {
    is_shut: AtomicBool,
    held: Notify,
    opened: Notify,
}

impl Gate {
    async fn start(self: &Arc<Self>, to: String) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let gate = Arc::clone(self);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&to).await.unwrap();
                tokio::spawn(Arc::clone(&gate).pass(client, server));
            }
        });
        port
    }

    async fn pass(self: Arc<Self>, mut client: TcpStream, mut server: TcpStream) {
        // The command as BSON: the string `head` under the name `find`.
        const ASKS: &[u8] = b"find\0\x05\0\0\0head\0";
        let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        loop {
            tokio::select! {
                read = client.read(&mut asked) => {
                    let Ok(read @ 1..) = read else { return };
                    let asks = asked[..read].windows(ASKS.len()).any(|window| window == ASKS);
                    if asks && self.is_shut.swap(false, Ordering::AcqRel) {
                        self.held.notify_one();
                        self.opened.notified().await;
                    }
                    if server.write_all(&asked[..read]).await.is_err() {
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
}

/// The model in crates/commit-model found it: what was seen beyond the head is removed, and another
/// entry is committed in its place, before the head is read.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_is_not_found_where_another_entry_is() {
    let url = new_database().await;
    let leader = open_with(&url, 1, no_lease()).await;
    leader.lead().await.unwrap();
    let (scheme, rest) = url.split_once("://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let gate = Arc::new(Gate::default());
    let port = gate.start(host.to_owned()).await;
    let through = format!("{scheme}://127.0.0.1:{port}/{path}");
    let reader = open_with(&through, 2, no_lease()).await;

    // As a leader leaves it that died before it moved the head.
    let mut generator = Generator::new(11);
    let (left, record) = generator.entry();
    let raw = database(&url).await.collection::<RawDocumentBuf>("entries");
    raw.insert_one(encode(0, 0, left, &record)).await.unwrap();

    let others = [generator.entry(), generator.entry()];
    let ids = [left, others[1].0];
    gate.is_shut.store(true, Ordering::Release);
    let looking = {
        let reader = Arc::clone(&reader);
        tokio::spawn(async move { reader.find(&ids).await })
    };
    gate.held.notified().await;
    let edge = leader.lead().await.unwrap();
    commit(&*leader, &edge, &others).await.unwrap();
    gate.opened.notify_one();
    let found = looking.await.unwrap().unwrap();
    assert_eq!(found[0], None, "another entry is at index 0");
    assert_eq!(reader.find(&ids).await.unwrap(), [None, Some(1)]);
}
