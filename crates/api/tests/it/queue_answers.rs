//! What a client is told where the queue did not take its request, or does not say.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use audittrail_queue::{
    Delivery, DeliveryId, Depth, Outcome, Queue, QueueError, Request, SubmitError, Take, Waiter,
};
use serde_json::json;

use crate::support::Served;

/// A queue whose answers to `submit` can be lost.
pub(crate) struct Lossy {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) lost: Arc<AtomicBool>,
}

#[async_trait]
impl Queue for Lossy {
    async fn submit(&self, request: Request) -> Result<Waiter, SubmitError> {
        let waiter = self.queue.submit(request).await?;
        if self.lost.load(Ordering::SeqCst) {
            return Err(SubmitError::Unknown("its answer was lost".to_owned()));
        }
        Ok(waiter)
    }

    async fn receive(&self, take: Take) -> Result<Vec<Delivery>, QueueError> {
        self.queue.receive(take).await
    }

    async fn settle(&self, outcomes: Vec<(DeliveryId, Outcome)>) -> Result<(), QueueError> {
        self.queue.settle(outcomes).await
    }

    async fn reclaim(&self) -> Result<(), QueueError> {
        self.queue.reclaim().await
    }

    fn is_durable(&self) -> bool {
        self.queue.is_durable()
    }

    fn depth(&self) -> Depth {
        self.queue.depth()
    }

    fn close(&self) {
        self.queue.close();
    }
}

/// The ids in the answer make it harmless to send the same again.
#[tokio::test]
async fn a_queue_that_does_not_say_is_answered_with_the_ids() {
    let served = Served::start().await;
    let url = format!("http://{}/logs/", served.address);
    let post = async |body: &serde_json::Value| {
        let request = served.client.post(&url).bearer_auth(&served.token);
        let response = request.json(body).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json::<serde_json::Value>().await.unwrap())
    };
    served.lost.store(true, Ordering::SeqCst);
    let (status, problem) = post(&json!([{"action": "a"}, {"action": "b"}])).await;
    assert_eq!(status, 504, "{problem}");
    assert_eq!(problem["type"], "urn:audittrail:problem:outcome-unknown");
    let ids = problem["ids"].as_array().unwrap();
    assert_eq!(ids.len(), 2);
    served.lost.store(false, Ordering::SeqCst);
    let again = json!([{"action": "a", "id": ids[0]}, {"action": "b", "id": ids[1]}]);
    let (status, receipt) = post(&again).await;
    assert_eq!(
        (status, &receipt["last_index"]),
        (201, &json!(1)),
        "{receipt}"
    );
}
