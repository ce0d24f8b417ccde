//! What cannot be delivered.

use audittrail_entry::{KeyRing, Limits, NewEntry, SealWith, SigningKey, Submitter, Timestamp};
use audittrail_merkle::leaf_hash;
use audittrail_queue::conformance::request;
use audittrail_queue::{IdOrigin, Outcome, Queue, Request, Submission};
use audittrail_queue_redis::{encode_request, signed_by};
use redis::Cmd;
use uuid::Uuid;

use crate::server::Server;
use crate::support::{
    anything, ask, beside, committed, connection, open, open_with, options, outcome, receive, until,
};

const ORIGIN: &str = "log.example/signed";

fn key(byte: u8) -> SigningKey {
    SigningKey::new(&[byte; 32]).unwrap()
}

fn signed(id: u128, key: &SigningKey, origin: &str) -> Submission {
    let now = Timestamp::from_nanos(1_800_000_000_000_000_000);
    let limits = Limits::default();
    let entry =
        NewEntry::parse(br#"{"action":"door.open","user_id":"ann"}"#, &limits, now).unwrap();
    let id = Uuid::from_u128(id);
    let submitter = Submitter {
        iss: None,
        sub: "ann",
    };
    let record = entry.seal(SealWith {
        submitter: &submitter,
        received_at: now,
        id,
        salt: [3; 32],
        key,
        origin,
        limits: &limits,
    });
    let record = record.unwrap();
    Submission {
        id,
        origin: IdOrigin::Server,
        leaf_hash: leaf_hash(&record.leaf),
        record,
    }
}

/// The fields of each dead letter, the reason first.
async fn dead(server: &Server, prefix: &str) -> Vec<Vec<Vec<u8>>> {
    let letters: Vec<(String, Vec<Vec<u8>>)> = ask(
        &server.url(),
        &["XRANGE", &format!("{prefix}:dead"), "-", "+"],
    )
    .await;
    letters.into_iter().map(|(_, fields)| fields).collect()
}

fn reason(letter: &[Vec<u8>]) -> String {
    assert_eq!(letter[0], b"reason");
    String::from_utf8(letter[1].clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_its_check_is_kept_with_the_reason() {
    let server = Server::start(&[]);
    let options = options("api");
    let api = open(&server.url(), &options).await;
    let keys = KeyRing {
        current: key(1),
        earlier: vec![key(2)],
    };
    let check = signed_by(keys, ORIGIN.to_owned());
    let (worker, _) = open_with(&server.url(), beside(&options, "worker"), check).await;
    let submit = async |entries| api.submit(Request::new(entries)).await.unwrap();

    let good = signed(1, &key(1), ORIGIN);
    let foreign = signed(2, &key(9), ORIGIN);
    let of_another_log = signed(3, &key(1), "log.example/other");
    let mut resealed = signed(4, &key(1), ORIGIN);
    resealed.record.sealed.as_mut().unwrap().bytes =
        b"{\"submitted_by\":{\"sub\":\"eve\"}}".to_vec();
    let mut renamed = signed(5, &key(1), ORIGIN);
    renamed.id = Uuid::from_u128(99);
    let mut changed = signed(6, &key(1), ORIGIN);
    changed.record.leaf = String::from_utf8(changed.record.leaf)
        .unwrap()
        .replace("door.open", "door.shut")
        .into_bytes();
    let cases = [
        (vec![foreign], "entry 0: no known key"),
        (vec![of_another_log], "entry 0: the signature does not hold"),
        (
            vec![good.clone(), resealed],
            "entry 1: the sealed part does not fit",
        ),
        (vec![renamed], "entry 0: the leaf has another id"),
        (
            vec![good.clone(), good.clone(), changed],
            "entry 2: the signature does not hold",
        ),
    ];
    let mut waiters = Vec::new();
    for (entries, _) in &cases {
        waiters.push(submit(entries.clone()).await);
    }
    let sound = submit(vec![good.clone(), signed(7, &key(2), ORIGIN)]).await;
    let received = receive(&worker).await;
    assert_eq!(received.len(), 1, "a bad one takes no good one with it");
    assert_eq!(received[0].request.entries.len(), 2);
    worker
        .settle(vec![(received[0].id, committed(0))])
        .await
        .unwrap();
    assert_eq!(outcome(sound).await, committed(0));
    for waiter in waiters {
        assert!(matches!(outcome(waiter).await, Outcome::Refused(_)));
    }
    let letters = dead(&server, &options.prefix).await;
    assert_eq!(letters.len(), cases.len());
    for (letter, (entries, expected)) in letters.iter().zip(cases) {
        assert!(reason(letter).starts_with(expected), "{}", reason(letter));
        let message = encode_request(&Request::new(entries)).unwrap();
        assert!(letter.contains(&message), "all of it is kept");
    }
    until("none of them counts", async || api.depth().requests == 0).await;
    assert_eq!((api.depth().entries, api.depth().bytes), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_message_is_kept_with_the_reason() {
    let server = Server::start(&[]);
    let options = options("worker");
    let worker = open(&server.url(), &options).await;
    let mut newer = encode_request(&request(1, 1, 5)).unwrap();
    newer[0] = 2;
    let mut damaged = encode_request(&request(1, 1, 5)).unwrap();
    damaged[40] ^= 1;
    let many: Vec<Vec<u8>> = (0..500).map(|n| format!("field{n}").into_bytes()).collect();
    let cases: [(Vec<Vec<u8>>, &str); 4] = [
        (
            vec![
                b"m".to_vec(),
                newer,
                b"n".to_vec(),
                b"../../x".to_vec(),
                b"t".to_vec(),
                b"1".to_vec(),
            ],
            "the message has version 2",
        ),
        (vec![b"m".to_vec(), damaged], "the message's checksum"),
        (vec![b"e".to_vec(), b"many".to_vec()], "it has no message"),
        (many, "it has no message"),
    ];
    let mut connection = connection(&server.url()).await;
    for (fields, _) in &cases {
        let mut command = Cmd::new();
        command.arg(&["XADD", &format!("{}:requests", options.prefix), "*"]);
        let _: String = command
            .arg(fields)
            .query_async(&mut connection)
            .await
            .unwrap();
    }
    let waiter = worker.submit(request(7, 1, 0)).await.unwrap();
    let received = receive(&worker).await;
    assert_eq!(received.len(), 1);
    worker
        .settle(vec![(received[0].id, committed(0))])
        .await
        .unwrap();
    assert_eq!(outcome(waiter).await, committed(0));
    let letters = dead(&server, &options.prefix).await;
    let reasons: Vec<String> = letters.iter().map(|letter| reason(letter)).collect();
    assert_eq!(reasons.len(), cases.len());
    for (reason, (_, expected)) in reasons.iter().zip(&cases) {
        assert!(reason.starts_with(expected), "{reason}");
    }
    until("nothing is left", async || worker.depth().requests == 0).await;
    let keys: Vec<String> = ask(
        &server.url(),
        &["KEYS", &format!("{}:answers:*", options.prefix)],
    )
    .await;
    assert_eq!(keys, [format!("{}:answers:worker", options.prefix)]);
}

/// What was delivered before may be stored, so that nobody is told that it is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_only_later_is_unknown() {
    let server = Server::start(&[]);
    let options = options("api");
    let api = open(&server.url(), &options).await;
    let waiter = api.submit(request(1, 1, 0)).await.unwrap();
    let (trusting, _) = open_with(&server.url(), beside(&options, "worker-1"), anything()).await;
    assert_eq!(receive(&trusting).await.len(), 1);
    drop(trusting);
    let refusing: audittrail_queue_redis::Check =
        std::sync::Arc::new(|_| Err("its key was forgotten".to_owned()));
    let (worker, _) = open_with(&server.url(), beside(&options, "worker-2"), refusing).await;
    let outcome = tokio::select! {
        _ = worker.receive(crate::support::ALL) => panic!("it was delivered"),
        outcome = outcome(waiter) => outcome,
    };
    assert_eq!(outcome, Outcome::Unknown);
    assert_eq!(dead(&server, &options.prefix).await.len(), 1);
}
