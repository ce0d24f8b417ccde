//! The log that another implementation published (transparency-dev/tessera), served by ours: the
//! same bytes under the same paths.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs};

use audittrail_api::ApiSettings;
use audittrail_entry::{KeyId, Record, Sealed};
use audittrail_merkle::{BundleId, Edge, TileId, TreeHead, leaf_hash};
use audittrail_store::{Batch, BatchEntry, KeptCheckpoint, MemoryStore, Store as _};
use uuid::Uuid;

use crate::support::Served;

/// `AUDITTRAIL_VECTORS`, from the workspace's root where it is relative.
fn log() -> PathBuf {
    let directory = env::var_os("AUDITTRAIL_VECTORS").expect("AUDITTRAIL_VECTORS is set");
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(directory)
        .join("tessera-log")
}

/// Every file below a directory, by its path from there.
fn files(root: &Path, directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(root, &path, found);
        } else {
            let path = path.strip_prefix(root).unwrap();
            found.push(path.to_str().unwrap().to_owned());
        }
    }
}

/// A record whose leaf is somebody else's entry.
fn record(leaf: &[u8]) -> Record {
    Record {
        leaf: leaf.to_vec(),
        sealed: Some(Sealed {
            bytes: b"{}".to_vec(),
            salt: [0; 32],
        }),
        signature: [0; 32],
        key_id: KeyId([0; 4]),
    }
}

async fn store(mut bundle: &[u8]) -> (MemoryStore, Vec<TreeHead>) {
    let store = MemoryStore::new();
    let mut edge = Edge::new();
    let mut heads = vec![edge.head()];
    while let Some((length, rest)) = bundle.split_first_chunk::<2>() {
        let (leaf, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
        bundle = rest;
        let (record, expected) = (record(leaf), edge.head());
        edge.push(leaf_hash(leaf));
        let entry = BatchEntry {
            id: Uuid::from_u128(u128::from(edge.size())),
            record: &record,
            leaf_hash: leaf_hash(leaf),
        };
        let batch = Batch {
            first_index: expected.size,
            entries: vec![entry],
            nodes: Vec::new(),
        };
        store.commit(expected, batch, edge.head()).await.unwrap();
        heads.push(edge.head());
    }
    (store, heads)
}

#[tokio::test]
#[cfg_attr(
    not(audittrail_vectors),
    ignore = "set AUDITTRAIL_VECTORS to the directory of the test vectors"
)]
async fn a_published_log_is_served_byte_for_byte() {
    let root = log();
    let bundle = fs::read(root.join("tile/entries/000.p/15")).unwrap();
    let (store, heads) = store(&bundle).await;
    assert_eq!(heads.len(), 16);
    let served = Served::over(Arc::new(store), ApiSettings::default(), true).await;
    let mut paths = Vec::new();
    files(&root, &root.join("tile"), &mut paths);
    assert_eq!(paths.len(), 30);
    let mut equal = 0;
    for (size, head) in heads.iter().enumerate() {
        let note = fs::read_to_string(root.join(format!("checkpoint.{size}"))).unwrap();
        served.publish(KeptCheckpoint {
            head: *head,
            note: note.clone(),
        });
        let got = served.get("/checkpoint").send().await.unwrap();
        assert_eq!(got.text().await.unwrap(), note);
        for path in &paths {
            let width = match path.strip_prefix("tile/entries/") {
                Some(_) => {
                    let id = BundleId::parse_path(path).unwrap();
                    assert_eq!(id.path(), *path);
                    id.width
                }
                None => {
                    let id = TileId::parse_path(path).unwrap();
                    assert_eq!(id.path(), *path);
                    id.width
                }
            };
            let got = served.get(&format!("/{path}")).send().await.unwrap();
            if usize::from(width) > size {
                assert_eq!(got.status(), 404, "{path} at {size}");
                continue;
            }
            assert_eq!(got.status(), 200, "{path} at {size}");
            let got = got.bytes().await.unwrap();
            assert!(
                got == fs::read(root.join(path)).unwrap(),
                "{path} at {size}"
            );
            equal += 1;
        }
    }
    assert_eq!(equal, 2 * (1..=15).sum::<i32>());
}
