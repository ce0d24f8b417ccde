//! How much of a store tiles and proofs read.

use serde_json::Value;

use crate::tiles::{bytes, held, status};

/// A tile is one read, none where it was proven before; a bundle is that, and its leaves.
#[tokio::test]
async fn a_tile_is_one_read() {
    let served = held(3_000).await;
    served.show(3_000).await;
    // The right edge is read once for each checkpoint.
    bytes(&served, "/tile/0/005").await;
    served.reads.take();
    for (path, expected) in [
        ("/tile/0/006", (1, 0, 0)),
        ("/tile/0/006", (0, 0, 0)),
        ("/tile/0/006.p/77", (0, 0, 0)),
        ("/tile/0/011.p/184", (0, 0, 0)),
        ("/tile/1/000.p/11", (0, 0, 0)),
        // The first few leaves, then all others.
        ("/tile/entries/007", (1, 2, 0)),
        ("/tile/entries/006.p/9", (0, 1, 0)),
        ("/checkpoint", (0, 0, 0)),
        ("/tile/0/012", (0, 0, 0)),
    ] {
        served.get(path).send().await.unwrap();
        assert_eq!(served.reads.take(), expected, "{path}");
    }
}

/// What a proof reads does not grow with the log, but for a tile for each 256 times of its size.
#[tokio::test]
async fn a_proof_reads_few_tiles() {
    for size in [600, 3_000] {
        let served = held(size).await;
        served.show(size as u64).await;
        let list: Value = served
            .get("/logs/list/?order=index&page_size=2")
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        served.show(size as u64 - 1).await;
        let id = list["results"][0]["id"].as_str().unwrap();
        served.reads.take();
        assert_eq!(status(&served, &format!("/logs/{id}/proof/")).await, 200);
        let cold = served.reads.take();
        assert!(
            cold.0 <= 4 && (cold.1, cold.2) == (0, 1),
            "{size}: {cold:?}"
        );
        assert_eq!(status(&served, &format!("/logs/{id}/proof/")).await, 200);
        assert_eq!(served.reads.take(), (0, 0, 1), "{size}");
        let path = format!("/checkpoint/consistency/?from=257&to={}", size - 1);
        assert_eq!(status(&served, &path).await, 200);
        assert!(served.reads.take().0 <= 2, "{size}");
    }
}
