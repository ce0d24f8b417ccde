//! Another signing key: forgotten, changed on purpose, and retries across the change.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{BINARY, Server, answer, command, spawn, start};
use crate::watching::refused;

const NEW_KEY: &str = "another signing key of thirty-two bytes or more";

async fn send(server: &Server, key: &str, action: &str) -> (StatusCode, Value) {
    let request = server
        .request(Method::POST, "/logs/create/")
        .header("idempotency-key", key);
    answer(request.json(&json!({ "action": action }))).await
}

#[tokio::test]
async fn a_key_that_signed_nothing_is_refused_until_the_earlier_one_is_named() {
    let (home, server) = start();
    let (status, before) = send(&server, "order-1", "order.paid").await;
    assert_eq!(status, StatusCode::CREATED);
    let key = std::fs::read_to_string(server.data().join("keys/signing.key")).unwrap();
    let key = key.trim_end().to_owned();
    server.stop();

    let (mut child, said) = spawn(home.path(), &[("LOG_SIGNING_KEY", NEW_KEY)]);
    assert_eq!(child.wait().unwrap().code(), Some(3), "{said}");
    let log = std::fs::read_to_string(home.path().join("server.log")).unwrap();
    for word in [
        "AUDITTRAIL_EARLIER_SIGNING_KEYS",
        "LOG_SIGNING_KEY",
        before["key_id"].as_str().unwrap(),
    ] {
        assert!(log.contains(word), "{log}");
    }

    let changed = [
        ("LOG_SIGNING_KEY", NEW_KEY),
        ("AUDITTRAIL_EARLIER_SIGNING_KEYS", &*key),
    ];
    let server = Server::start_with(home.path(), &changed);
    let (status, again) = send(&server, "order-1", "order.paid").await;
    assert_eq!(status, StatusCode::CREATED, "{again}");
    assert_eq!(
        (&again["id"], &again["index"]),
        (&before["id"], &before["index"])
    );
    let (status, other) = send(&server, "order-1", "order.refused").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{other}");
    let (status, next) = send(&server, "order-2", "order.paid").await;
    assert_eq!((status, &next["index"]), (StatusCode::CREATED, &json!(1)));
    assert_ne!(next["key_id"], before["key_id"]);
    let (_, list) = server.get("/logs/list/").await;
    assert_eq!(
        (&list["count"], &list["failed_entries"]),
        (&json!(2), &json!(0))
    );
    // And the new key's ids are found again as well.
    let (_, again) = send(&server, "order-2", "order.paid").await;
    assert_eq!(again["id"], next["id"]);
    server.stop();
}

/// A changed bit in a key of the log is no key of the log: `fsck` says so, and the server does not
/// start. What `begun` and `jwt.secret` hold is not the log's.
#[tokio::test]
async fn a_changed_key_is_told_of() {
    let (home, server) = start();
    let entry = json!({"action": "door.open"});
    let (status, _) = server.post("/logs/?ack=published", &entry).await;
    assert_eq!(status, 201);
    let keys = server.data().join("keys");
    server.stop();
    let fsck = || {
        let mut fsck = command(BINARY);
        fsck.arg("fsck").current_dir(home.path());
        fsck.output().unwrap().status.code()
    };
    for name in ["signing.key", "checkpoint.key", "jwt.secret", "begun"] {
        let path = keys.join(name);
        let sound = std::fs::read(&path).unwrap();
        let harmless = ["jwt.secret", "begun"].contains(&name);
        // The line end does not count.
        for at in (0..sound.len() - 1).step_by(if harmless { 30 } else { 1 }) {
            let mut changed = sound.clone();
            changed[at] ^= 1 << (at % 8);
            std::fs::write(&path, changed).unwrap();
            assert_eq!(fsck() == Some(0), harmless, "{name} at {at}");
            if !harmless && at % 40 == 0 {
                let output = refused(home.path(), &[]);
                assert!(
                    [2, 3].map(Some).contains(&output.status.code()),
                    "{name} at {at}"
                );
            }
        }
        std::fs::write(&path, &sound[..sound.len() - 1]).unwrap();
        assert_eq!(fsck(), Some(0), "{name} without its line end");
        std::fs::write(&path, sound).unwrap();
    }
    Server::start(home.path()).stop();
}
