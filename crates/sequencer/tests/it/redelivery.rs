//! What was delivered before may be stored: it is never refused without a look.

use std::sync::Arc;
use std::time::Duration;

use audittrail_queue::{Delivery, InProcessQueue, Outcome, Placed, Queue, Take};
use audittrail_store::{Fault, MemoryStore, StoreErrorKind};

use crate::support::{CLIENT, Known, SERVER, Sent, request, run_beside, start};

const ALL: Take = Take {
    entries: usize::MAX,
    bytes: usize::MAX,
};

fn placed(index: u64, retried: bool) -> Outcome {
    Outcome::Committed(vec![Placed { index, retried }])
}

/// What is received before the clock, which jumps while everything waits, says that nothing comes.
pub(crate) async fn receive(queue: &InProcessQueue) -> Vec<Delivery> {
    let received = tokio::time::timeout(Duration::from_secs(60), queue.receive(ALL)).await;
    received.expect("something is received").unwrap()
}

/// A batch was stored and its answer lost; then the store cannot look ids up for a while.
#[tokio::test(start_paused = true)]
async fn while_ids_cannot_be_looked_up_it_waits() {
    for persisted in [false, true] {
        for away in [Fault::Find, Fault::Records] {
            let store = Arc::new(MemoryStore::new());
            let life = start(&store).await;
            let queue = Arc::clone(&life.queue);
            store.inject(Fault::CommitUnknown { persisted });
            // Without something stored, no record is read.
            if persisted || away(StoreErrorKind::Fatal) == Fault::Find(StoreErrorKind::Fatal) {
                store.inject(away(StoreErrorKind::Unavailable));
                store.inject(away(StoreErrorKind::Unavailable));
            }
            let entry = Sent::new(1, SERVER);
            let waiter = queue.submit(request(&[entry])).await.unwrap();
            let clients = async {
                let outcome = waiter.outcome().await;
                queue.close();
                outcome
            };
            let (end, outcome) = run_beside(life, clients).await;
            end.unwrap();
            assert_eq!(outcome, placed(0, persisted));
            assert_eq!(store.faults(), []);
            assert_eq!(Known::default().check_closed(&store).await, [1]);
        }
    }
}

/// New requests beside it need not wait.
#[tokio::test(start_paused = true)]
async fn a_new_request_beside_it_is_refused_at_once() {
    let store = Arc::new(MemoryStore::new());
    let mut life = start(&store).await;
    store.inject(Fault::CommitUnknown { persisted: true });
    let old = life.queue.submit(request(&[Sent::new(1, SERVER)])).await;
    let deliveries = receive(&life.queue).await;
    life.sequencer.sequence(&deliveries).await.unwrap();

    let new = life.queue.submit(request(&[Sent::new(2, CLIENT)])).await;
    store.inject(Fault::Find(StoreErrorKind::Unavailable));
    let deliveries = receive(&life.queue).await;
    assert_eq!(deliveries.len(), 2);
    life.sequencer.sequence(&deliveries).await.unwrap();
    assert!(matches!(new.unwrap().outcome().await, Outcome::Refused(_)));

    let deliveries = receive(&life.queue).await;
    assert_eq!(deliveries.len(), 1, "only the old one comes again");
    life.sequencer.sequence(&deliveries).await.unwrap();
    assert_eq!(old.unwrap().outcome().await, placed(0, true));
    assert_eq!(Known::default().check(&store).await, [1]);
}

/// A batch that is refused says nothing about what was stored before it.
#[tokio::test(start_paused = true)]
async fn what_is_stored_is_not_refused_with_what_is_not() {
    let store = Arc::new(MemoryStore::new());
    let mut life = start(&store).await;
    store.inject(Fault::CommitUnknown { persisted: true });
    let old = life.queue.submit(request(&[Sent::new(1, SERVER)])).await;
    let deliveries = receive(&life.queue).await;
    life.sequencer.sequence(&deliveries).await.unwrap();

    let new = life.queue.submit(request(&[Sent::new(2, SERVER)])).await;
    // One entry of it is stored and the other is not: as a whole it is not.
    let half = [Sent::new(1, CLIENT), Sent::new(3, CLIENT)];
    let half = life.queue.submit(request(&half)).await;
    store.inject(Fault::CommitRefused);
    let deliveries = receive(&life.queue).await;
    assert_eq!(deliveries.len(), 3);
    life.sequencer.sequence(&deliveries).await.unwrap();
    assert_eq!(old.unwrap().outcome().await, placed(0, true));
    assert!(matches!(new.unwrap().outcome().await, Outcome::Refused(_)));
    assert!(matches!(half.unwrap().outcome().await, Outcome::Refused(_)));
    assert_eq!(Known::default().check(&store).await, [1]);
}
