//! Receipts of what is stored, where the store cannot be read.

use serde_json::{Value, json};

use crate::support::Served;

const FIRST: &str = "0b5b3c1e-5a35-4f3e-8a3d-0c6f0a6a0001";
const SECOND: &str = "0b5b3c1e-5a35-4f3e-8a3d-0c6f0a6a0002";

async fn send(served: &Served, entries: &Value) -> (u16, Value) {
    let url = format!("http://{}/logs/", served.address);
    let request = served.client.post(url).bearer_auth(&served.token);
    let response = request.json(entries).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// 503 says that nothing was stored. Here one entry is repeated and the other was stored, and the
/// times of the first cannot be read.
#[tokio::test]
async fn what_was_stored_is_not_said_to_be_refused_where_a_receipt_cannot_be_read() {
    let served = Served::start().await;
    let (first, second) = (
        json!({"action": "a", "id": FIRST}),
        json!({"action": "b", "id": SECOND}),
    );
    assert_eq!(send(&served, &first).await.0, 201);
    // The sequencer looks the first one up, then its receipt is read.
    served.reads.fail_records(2);
    let (status, problem) = send(&served, &json!([first, second])).await;
    assert_eq!(status, 504, "{problem}");
    assert_eq!(problem["type"], "urn:audittrail:problem:outcome-unknown");
    assert_eq!(problem["ids"], json!([FIRST, SECOND]));
    let (status, receipt) = send(&served, &json!([first, second])).await;
    assert_eq!((status, &receipt["last_index"]), (201, &json!(1)));
}

/// New entries need no reading for their receipts.
#[tokio::test]
async fn receipts_of_new_entries_read_nothing() {
    let served = Served::start().await;
    served.reads.take();
    assert_eq!(
        send(&served, &json!([{"action": "a"}, {"action": "b"}]))
            .await
            .0,
        201
    );
    assert_eq!(served.reads.take().2, 0);
}
