//! The failure table: each fault as a row, persisted and not, with what each client is told,
//! how the loop goes on or ends, and the whole log checked afterwards.

use std::sync::Arc;

use audittrail_queue::{Outcome, Queue, SubmitError};
use audittrail_sequencer::SequencerError;
use audittrail_store::{Fault, MemoryStore, StoreErrorKind};

use crate::support::{
    CLIENT, CLIENT_WITHOUT_TIME, Known, Life, SERVER, Sent, request, run_beside, start,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Committed, and not before.
    New,
    /// Committed by an earlier attempt.
    Retried,
    Refused,
    Unknown,
}
use Answer::{New, Refused, Retried, Unknown};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// A request after the fault is committed, and the loop ends when the queue is closed.
    GoesOn,
    Lost,
    Commit,
    Store,
    Inconsistent,
}

fn end_of(outcome: &Result<(), SequencerError>) -> End {
    match outcome {
        Ok(()) => End::GoesOn,
        Err(SequencerError::Lost(_)) => End::Lost,
        Err(SequencerError::Commit(_)) => End::Commit,
        Err(SequencerError::Store(_)) => End::Store,
        Err(SequencerError::Inconsistent(_)) => End::Inconsistent,
        Err(other) => panic!("the loop ended with {other}"),
    }
}

struct Row {
    faults: &'static [Fault],
    /// Whether another leader commits an entry first.
    rival: bool,
    /// What the senders are told of two entries with the server's ids, of one with its own
    /// id, and of one that is in the log already.
    answers: [Answer; 3],
    end: End,
    /// Whether the first request is in the log after it, and the second unless it was refused.
    stored: bool,
}

const fn row(faults: &'static [Fault], answers: [Answer; 3], end: End, stored: bool) -> Row {
    Row {
        faults,
        rival: false,
        answers,
        end,
        stored,
    }
}

const AWAY: StoreErrorKind = StoreErrorKind::Unavailable;
const BUILDING: StoreErrorKind = StoreErrorKind::Building;
const FATAL: StoreErrorKind = StoreErrorKind::Fatal;
const INVALID: StoreErrorKind = StoreErrorKind::Invalid;
const LED: StoreErrorKind = StoreErrorKind::Led;
const NOT: bool = false;

#[rustfmt::skip]
const TABLE: &[Row] = &[
    row(&[], [New, New, Retried], End::GoesOn, true),
    // Refused: never persisted. What is in the log already is said to be.
    row(&[Fault::CommitRefused], [Refused, Refused, Retried], End::GoesOn, NOT),
    // Lost: never persisted by this leader.
    row(&[Fault::CommitLost], [Unknown; 3], End::Lost, NOT),
    Row { rival: true, ..row(&[], [Unknown; 3], End::Lost, NOT) },
    // Unknown: looked up, and committed if it is not there.
    row(&[Fault::CommitUnknown { persisted: NOT }], [New, New, Retried], End::GoesOn, true),
    row(&[Fault::CommitUnknown { persisted: true }], [Retried; 3], End::GoesOn, true),
    row(&[Fault::CommitUnknown { persisted: NOT }, Fault::CommitUnknown { persisted: true }],
        [Retried; 3], End::GoesOn, true),
    row(&[Fault::CommitUnknown { persisted: NOT }, Fault::CommitRefused],
        [Refused, Refused, Retried], End::GoesOn, NOT),
    row(&[Fault::CommitUnknown { persisted: NOT }, Fault::CommitLost], [Unknown; 3], End::Lost, NOT),
    row(&[Fault::CommitUnknown { persisted: NOT }, Fault::CommitFatal { persisted: true }],
        [Unknown; 3], End::Commit, true),
    // The store is away for a while after it.
    row(&[Fault::CommitUnknown { persisted: NOT }, Fault::Lead(AWAY), Fault::Lead(AWAY)],
        [New, New, Retried], End::GoesOn, true),
    row(&[Fault::CommitUnknown { persisted: true }, Fault::Lead(AWAY), Fault::Lead(AWAY)],
        [Retried; 3], End::GoesOn, true),
    // Or for good.
    row(&[Fault::CommitUnknown { persisted: NOT }, Fault::Lead(FATAL)], [Unknown; 3], End::Store, NOT),
    row(&[Fault::CommitUnknown { persisted: true }, Fault::Lead(FATAL)], [Unknown; 3], End::Store, true),
    // Or another process has taken the lead meanwhile.
    row(&[Fault::CommitUnknown { persisted: NOT }, Fault::Lead(LED)], [Unknown; 3], End::Store, NOT),
    // Or comes back without what was acknowledged.
    row(&[Fault::CommitUnknown { persisted: NOT }, Fault::LeadOfEmpty],
        [Unknown; 3], End::Inconsistent, NOT),
    row(&[Fault::CommitUnknown { persisted: true }, Fault::Lead(AWAY), Fault::LeadOfEmpty],
        [Unknown; 3], End::Inconsistent, true),
    // Or cannot give the hashes that show it, for a while.
    row(&[Fault::CommitUnknown { persisted: true }, Fault::Hashes(AWAY)],
        [Retried; 3], End::GoesOn, true),
    // Fatal: the process ends, and a restart finds the batch or does not.
    row(&[Fault::CommitFatal { persisted: NOT }], [Unknown; 3], End::Commit, NOT),
    row(&[Fault::CommitFatal { persisted: true }], [Unknown; 3], End::Commit, true),
    // Ids cannot be looked up: what needs that is refused, the rest is committed.
    row(&[Fault::Find(AWAY)], [New, Refused, Refused], End::GoesOn, true),
    row(&[Fault::Find(BUILDING)], [New, Refused, Refused], End::GoesOn, true),
    row(&[Fault::Find(INVALID)], [New, Refused, Refused], End::GoesOn, true),
    row(&[Fault::Find(FATAL)], [Unknown; 3], End::Store, NOT),
    row(&[Fault::Records(AWAY)], [New, Refused, Refused], End::GoesOn, true),
    row(&[Fault::Records(FATAL)], [Unknown; 3], End::Store, NOT),
    // A checkpoint that cannot be kept delays nobody, and comes with the next tick.
    row(&[Fault::CheckpointUnavailable { persisted: NOT }], [New, New, Retried], End::GoesOn, true),
    row(&[Fault::CheckpointUnavailable { persisted: true }], [New, New, Retried], End::GoesOn, true),
];

const BEFORE: [u128; 3] = [1, 2, 3];

/// The three requests of each row.
fn requests(retry: bool) -> [Vec<Sent>; 3] {
    // Whoever sends again brings the ids it was given.
    let origin = if retry { CLIENT } else { SERVER };
    let before = Sent {
        at: 5_000,
        ..Sent::new(BEFORE[1], CLIENT_WITHOUT_TIME)
    };
    [
        vec![Sent::new(10, origin), Sent::new(11, origin)],
        vec![Sent::new(20, CLIENT)],
        vec![before],
    ]
}

fn ids(sent: &[Sent]) -> Vec<u128> {
    sent.iter().map(|one| one.id).collect()
}

/// What one client was told, taken into what all of them know.
fn told(known: &mut Known, ids: &[u128], outcome: &Outcome) -> Answer {
    match outcome {
        Outcome::Committed(placed) => {
            assert_eq!(placed.len(), ids.len());
            for (placed, id) in placed.iter().zip(ids) {
                let earlier = known.acknowledged.insert(placed.index, *id);
                assert!(
                    earlier.is_none_or(|earlier| earlier == *id),
                    "an index twice"
                );
                known.refused.remove(id);
            }
            let new = placed
                .windows(2)
                .all(|two| two[0].index + 1 == two[1].index);
            assert!(new, "the entries of one request are not consecutive");
            let retried = placed.iter().filter(|one| one.retried).count();
            assert!(retried == 0 || retried == placed.len());
            if retried == 0 { New } else { Retried }
        }
        Outcome::Refused(_) => {
            let fresh = ids.iter().filter(|id| !BEFORE.contains(id));
            known.refused.extend(fresh);
            Refused
        }
        Outcome::Unknown => Unknown,
        Outcome::Conflict(at) => panic!("a conflict at {at:?}"),
    }
}

/// Submits requests at once, so that they become one batch.
async fn send(life: &Life, sent: &[Vec<Sent>]) -> Vec<audittrail_queue::Waiter> {
    let mut waiters = Vec::new();
    for one in sent {
        waiters.push(life.queue.submit(request(one)).await.unwrap());
    }
    waiters
}

/// A life without faults, in which all requests are answered.
async fn quiet_life(
    store: &Arc<MemoryStore>,
    sent: &[Vec<Sent>],
    known: &mut Known,
) -> Vec<Answer> {
    let life = start(store).await;
    let queue = Arc::clone(&life.queue);
    let waiters = send(&life, sent).await;
    queue.close();
    let (end, ()) = run_beside(life, async {}).await;
    end.unwrap();
    let mut answers = Vec::new();
    for (waiter, sent) in waiters.into_iter().zip(sent) {
        answers.push(told(known, &ids(sent), &waiter.outcome().await));
    }
    known.check_closed(store).await;
    answers
}

async fn rival_commits(store: &Arc<MemoryStore>, known: &mut Known) {
    let rival = vec![Sent::new(90, CLIENT)];
    assert_eq!(quiet_life(store, &[rival], known).await, [New]);
}

async fn check_row(row: &Row) {
    let what = format!("{:?}, rival: {}", row.faults, row.rival);
    let store = Arc::new(MemoryStore::new());
    let mut known = Known::default();
    let before = BEFORE.map(|id| vec![Sent::new(id, CLIENT)]);
    assert_eq!(quiet_life(&store, &before, &mut known).await, [New; 3]);

    let life = start(&store).await;
    let queue = Arc::clone(&life.queue);
    if row.rival {
        rival_commits(&store, &mut known).await;
    }
    row.faults.iter().for_each(|fault| store.inject(*fault));
    let first = requests(false);
    let waiters = send(&life, &first).await;
    let clients = async {
        let mut outcomes = Vec::new();
        for waiter in waiters {
            outcomes.push(waiter.outcome().await);
        }
        let next = match queue.submit(request(&[Sent::new(30, CLIENT)])).await {
            Ok(waiter) => Some(waiter.outcome().await),
            Err(SubmitError::Closed) => None,
            Err(error) => panic!("{error}"),
        };
        // Long enough for a checkpoint to be tried, to fail and to be tried again.
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        queue.close();
        (outcomes, next)
    };
    let (end, (outcomes, next)) = run_beside(life, clients).await;
    assert_eq!(end_of(&end), row.end, "{what}: the end");
    let answers: Vec<Answer> = first
        .iter()
        .zip(&outcomes)
        .map(|(sent, outcome)| told(&mut known, &ids(sent), outcome))
        .collect();
    assert_eq!(answers, row.answers, "{what}: the answers");
    let next = next.map(|next| told(&mut known, &[30], &next));
    let expected = (row.end == End::GoesOn).then_some(New);
    assert_eq!(next, expected, "{what}: the request after the fault");
    assert_eq!(store.faults(), [], "{what}: every fault was met");

    // A new process finds what was persisted, and nothing else.
    store.restart();
    let stored = known.check(&store).await;
    let second = row.stored && row.answers[1] != Refused;
    for (id, expected) in [(10, row.stored), (11, row.stored), (20, second)] {
        assert_eq!(stored.contains(&id), expected, "{what}: entry {id}");
    }
    if row.end == End::GoesOn {
        known.check_closed(&store).await;
    }
    // Sending the same ids again is harmless, and succeeds.
    let mut again = requests(true).to_vec();
    again.push(vec![Sent::new(40, SERVER)]);
    let answers = quiet_life(&store, &again, &mut known).await;
    let expected = |stored| if stored { Retried } else { New };
    assert_eq!(
        answers,
        [expected(row.stored), expected(second), Retried, New],
        "{what}: again"
    );
    for id in [10, 11, 20, 40].iter().chain(&BEFORE) {
        assert!(known.acknowledged.values().any(|known| known == id));
    }
}

#[tokio::test(start_paused = true)]
async fn the_table() {
    for row in TABLE {
        check_row(row).await;
    }
}
