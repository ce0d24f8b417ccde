//! Proofs of entries and between sizes, checked by an implementation that is not ours.

use std::time::Duration;

use audittrail_api::ApiSettings;
use audittrail_auth::{Role, Scope};
use audittrail_merkle::Hash;
use audittrail_store::Store as _;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::Response;
use serde_json::{Value, json};
use signed_note::{StandardVerifier, VerifierList};
use tlog_tiles::{Hash as TheirHash, check_record, check_tree, record_hash};

use crate::support::{Served, signer, token};

async fn held(size: usize) -> Served {
    let served = Served::start_held(ApiSettings::default()).await;
    served.post(&entries(size)).await;
    served
}

fn entries(size: usize) -> Value {
    let entry = |number: usize| {
        let tenant = ["acme", "globex"][number % 2];
        let user = ["alice", "bob"][number / 2 % 2];
        json!({"action": "door.open", "tenant": tenant, "user_id": user, "details": {"n": number}})
    };
    Value::Array((0..size).map(entry).collect())
}

async fn ids(served: &Served, size: usize) -> Vec<String> {
    let path = format!("/logs/list/?order=index&page_size={size}");
    let page: Value = served
        .get(&path)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let results = page["results"].as_array().unwrap();
    assert_eq!(results.len(), size);
    let ids = results
        .iter()
        .map(|one| one["id"].as_str().unwrap().to_owned());
    ids.collect()
}

async fn text(served: &Served, id: &str) -> String {
    let response = served
        .get(&format!("/logs/{id}/proof/"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    response.text().await.unwrap()
}

async fn line(served: &Served, id: &str, token: &str) -> Response {
    let url = format!("http://{}/logs/{id}/proof/", served.address);
    let request = served.client.get(url).bearer_auth(token);
    request
        .header("accept", "application/json")
        .send()
        .await
        .unwrap()
}

/// Size and root of a note that the log's key signed, by another implementation.
fn their_checkpoint(note: &str) -> (u64, TheirHash) {
    let key = StandardVerifier::new(&signer().verifier().to_string()).unwrap();
    let note = signed_note::Note::from_bytes(note.as_bytes()).unwrap();
    let (known, unknown) = note
        .verify(&VerifierList::new(vec![Box::new(key)]))
        .unwrap();
    assert_eq!((known.len(), unknown.len()), (1, 0));
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!(checkpoint.origin(), crate::support::ORIGIN);
    (checkpoint.size(), *checkpoint.hash())
}

/// The index of a tlog-proof that holds for this leaf, by another implementation and the form of
/// the specification alone.
fn their_verdict(proof: &str, leaf_hash: TheirHash) -> u64 {
    let (head, note) = proof.split_once("\n\n").unwrap();
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("c2sp.org/tlog-proof@v1"));
    let index = lines.next().unwrap().strip_prefix("index ").unwrap();
    let index = index.parse().unwrap();
    let path: Vec<TheirHash> = lines
        .map(|line| TheirHash::parse_hash(line).unwrap())
        .collect();
    let (size, root) = their_checkpoint(note);
    check_record(&path, size, root, index, leaf_hash).unwrap();
    let other = record_hash(b"another leaf");
    assert!(check_record(&path, size, root, index, other).is_err());
    index
}

/// In both forms, of every entry, at sizes that end where tiles end and elsewhere.
#[tokio::test]
async fn proofs_hold_for_another_implementation() {
    let served = held(600).await;
    let ids = ids(&served, 600).await;
    for size in [1_u64, 2, 255, 256, 257, 600] {
        let published = served.show(size).await;
        for index in [0, 1, 3, 127, 255, 256, 511, size - 1] {
            if index >= size {
                continue;
            }
            let id = &ids[usize::try_from(index).unwrap()];
            let response = line(&served, id, &served.token).await;
            assert_eq!(response.headers()["content-type"], "application/json");
            let line: Value = response.json().await.unwrap();
            assert_eq!(line["index"], index);
            assert_eq!(line["checkpoint"], published.note.as_str());
            assert_eq!(line["vkey"], signer().verifier().to_string());
            let leaf = line["leaf"].as_str().unwrap();
            assert!(leaf.contains(id.as_str()), "{leaf}");
            let proof = text(&served, id).await;
            assert_eq!(their_verdict(&proof, record_hash(leaf.as_bytes())), index);
            let hashes: Vec<&str> = line["proof"]
                .as_array()
                .unwrap()
                .iter()
                .map(|hash| hash.as_str().unwrap())
                .collect();
            let head = proof.split("\n\n").next().unwrap();
            assert!(head.lines().skip(2).eq(hashes), "{size} {index}");
        }
    }
}

/// The other parts of a line of evidence are those that are stored.
#[tokio::test]
async fn a_line_of_evidence_is_what_is_stored() {
    let served = held(3).await;
    served.show(3).await;
    let ids = ids(&served, 3).await;
    let line: Value = line(&served, &ids[1], &served.token)
        .await
        .json()
        .await
        .unwrap();
    let stored = served.store.records(&[1]).await.unwrap();
    let record = stored[0].record.as_ref().unwrap();
    let sealed = record.sealed.as_ref().unwrap();
    assert_eq!(line["leaf"].as_str().unwrap().as_bytes(), record.leaf);
    assert_eq!(line["sealed"].as_str().unwrap().as_bytes(), sealed.bytes);
    assert_eq!(line["salt"], URL_SAFE_NO_PAD.encode(sealed.salt));
    let signature: String = record
        .signature
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(line["signature"], signature);
    assert_eq!(line["key_id"], record.key_id.to_string());
    let members: Vec<&String> = line.as_object().unwrap().keys().collect();
    assert_eq!(members.len(), 9, "{members:?}");
}

#[tokio::test]
async fn a_receipt_of_what_is_published_has_the_proof() {
    let served = Served::start().await;
    served.post(&entries(300)).await;
    let url = format!("http://{}/logs/?ack=published", served.address);
    let request = served.client.post(url).bearer_auth(&served.token);
    let response = request.json(&json!({"action": "a"})).send().await.unwrap();
    assert_eq!(response.status(), 201);
    let receipt: Value = response.json().await.unwrap();
    assert_eq!(receipt["ack"], "published");
    let leaf_hash = TheirHash::parse_hash(receipt["leaf_hash"].as_str().unwrap()).unwrap();
    let index = their_verdict(receipt["proof"].as_str().unwrap(), leaf_hash);
    assert_eq!(receipt["index"], index);
    assert_eq!(index, 300);
}

/// It is stored and published all the same; an error would say that nothing was.
#[tokio::test]
async fn without_a_proof_a_receipt_says_what_is_known() {
    let served = Served::start().await;
    served.post(&entries(2)).await;
    served.store.alter_hash(0, 1, Hash([7; 32]));
    served.store.damage(1, "the disk lost it");
    let url = format!("http://{}/logs/?ack=published", served.address);
    let request = served.client.post(url).bearer_auth(&served.token);
    let response = request.json(&json!({"action": "a"})).send().await.unwrap();
    assert_eq!(response.status(), 202);
    let receipt: Value = response.json().await.unwrap();
    assert_eq!(receipt["ack"], "committed");
    assert_eq!(receipt["index"], 2);
    assert!(receipt["proof"].is_null());
}

#[tokio::test]
async fn what_is_answered_depends_on_accept() {
    let served = held(1).await;
    served.show(1).await;
    let id = ids(&served, 1).await.remove(0);
    for (accept, media_type) in [
        ("*/*", "text/plain; charset=utf-8"),
        ("text/plain", "text/plain; charset=utf-8"),
        ("application/json", "application/json"),
        ("application/json, text/plain, */*", "application/json"),
    ] {
        let path = format!("/logs/{id}/proof");
        let got = served
            .get(&path)
            .header("accept", accept)
            .send()
            .await
            .unwrap();
        assert_eq!(got.headers()["content-type"], media_type, "{accept}");
        let vary: Vec<_> = got.headers().get_all("vary").iter().collect();
        assert!(vary.contains(&&"accept".parse().unwrap()), "{vary:?}");
        let file = got.headers().get("content-disposition");
        let named = format!("attachment; filename=\"{id}.tlog-proof\"");
        let expected = (media_type != "application/json").then_some(named.as_str());
        assert_eq!(file.map(|file| file.to_str().unwrap()), expected);
    }
    let path = format!("/logs/{id}/proof/");
    let got = served
        .get(&path)
        .header("accept", "image/png")
        .send()
        .await
        .unwrap();
    assert_eq!(got.status(), 406);
    let got = served.get(&format!("{path}?x=1")).send().await.unwrap();
    assert_eq!(got.status(), 400);
    for (path, expected) in [
        ("/logs/0198c0de-0000-7000-8000-000000000000/proof/", 404),
        ("/logs/nonsense/proof/", 404),
        ("/logs/%ff/proof/", 404),
    ] {
        assert_eq!(
            served.get(path).send().await.unwrap().status(),
            expected,
            "{path}"
        );
    }
}

fn scoped(sub: &str, scopes: &[Scope]) -> String {
    // A token whose scopes no role has: the claims as an issuer would write them.
    crate::support::token_of(&json!({
        "sub": sub, "exp": crate::support::NOW + 3_600,
        "scope": scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" "),
    }))
}

/// A proof's siblings are hashes: who may see an entry of the tenant may have its proof. The
/// sealed part goes only to who may read the entry.
#[tokio::test]
async fn who_gets_which_proof() {
    let served = held(4).await;
    served.show(4).await;
    let ids = ids(&served, 4).await;
    let auditor = token("a", Role::Auditor, Some("acme"));
    let prover = scoped("p", &[Scope::Prove]);
    let alice = scoped("alice", &[Scope::Prove, Scope::ReadOwn]);
    for (who, token, expected) in [
        ("reader", token("r", Role::Reader, None), [403; 4]),
        ("user", token("alice", Role::User, None), [403; 4]),
        ("auditor of acme", auditor, [200, 404, 200, 404]),
        ("prover", prover.clone(), [200; 4]),
        ("alice", alice.clone(), [200; 4]),
    ] {
        for (id, expected) in ids.iter().zip(expected) {
            let answer = line(&served, id, &token).await;
            assert_eq!(answer.status(), expected, "{who} {id}");
        }
    }
    for (token, sealed) in [
        (&served.token, [true; 4]),
        (&prover, [false; 4]),
        (&alice, [true, true, false, false]),
    ] {
        for (id, sealed) in ids.iter().zip(sealed) {
            let line: Value = line(&served, id, token).await.json().await.unwrap();
            assert_eq!(line["sealed"].is_string(), sealed, "{line}");
            assert_eq!(line["salt"].is_string(), sealed, "{line}");
            assert!(line["leaf"].is_string());
        }
    }
}

/// What is committed and not published is waited for, within a bound.
#[tokio::test]
async fn a_proof_waits_for_its_checkpoint() {
    let settings = ApiSettings {
        request_time: Duration::from_millis(50),
        ..ApiSettings::default()
    };
    let served = Served::start_held(settings).await;
    served.post(&entries(2)).await;
    served.show(1).await;
    let ids = ids(&served, 2).await;
    let answer = line(&served, &ids[1], &served.token).await;
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["type"], "urn:audittrail:problem:unavailable");
    drop(served);

    let served = held(2).await;
    served.show(1).await;
    let ids = self::ids(&served, 2).await;
    let asking = line(&served, &ids[1], &served.token);
    let (answer, _) = tokio::join!(asking, async {
        // Whether the request comes before this or after: it gets the proof.
        tokio::task::yield_now().await;
        served.show(2).await
    });
    assert_eq!(answer.status(), 200);
    let line: Value = answer.json().await.unwrap();
    assert_eq!(their_checkpoint(line["checkpoint"].as_str().unwrap()).0, 2);
}

#[tokio::test]
async fn nothing_is_proven_of_what_failed() {
    let served = held(4).await;
    served.show(4).await;
    let ids = ids(&served, 4).await;
    served.store.alter(1, |record| {
        let leaf = String::from_utf8(record.leaf.clone()).unwrap();
        record.leaf = leaf.replace("door.open", "door.shut").into_bytes();
    });
    served.store.damage(2, "the disk lost it");
    for (index, status) in [(0, 200), (1, 500), (2, 500), (3, 200)] {
        let answer = line(&served, &ids[index], &served.token).await;
        assert_eq!(answer.status(), status, "{index}");
        if status == 500 {
            let problem: Value = answer.json().await.unwrap();
            assert_eq!(problem["indices"], json!([index]));
        }
    }
    // The tree is sound: a hash that the disk changed is made anew.
    served.store.alter_hash(0, 3, Hash([7; 32]));
    let served = held(300).await;
    served.show(300).await;
    let ids = self::ids(&served, 300).await;
    served.store.alter_hash(0, 1, Hash([7; 32]));
    let leaf = line(&served, &ids[0], &served.token).await;
    let leaf: Value = leaf.json().await.unwrap();
    let leaf_hash = record_hash(leaf["leaf"].as_str().unwrap().as_bytes());
    assert_eq!(their_verdict(&text(&served, &ids[0]).await, leaf_hash), 0);
}

async fn root(served: &Served, size: u64) -> TheirHash {
    their_checkpoint(&served.show(size).await.note).1
}

#[tokio::test]
async fn consistency_holds_for_another_implementation() {
    let served = held(600).await;
    let sizes = [1_u64, 2, 3, 128, 255, 256, 257, 511, 512, 513, 599, 600];
    let mut roots = Vec::new();
    for size in sizes {
        roots.push(root(&served, size).await);
    }
    let mut checked = 0;
    for (to, to_root) in sizes.iter().zip(&roots) {
        for (from, from_root) in sizes.iter().zip(&roots) {
            if from > to {
                continue;
            }
            let path = format!("/checkpoint/consistency/?from={from}&to={to}");
            let answer: Value = served
                .get(&path)
                .send()
                .await
                .unwrap()
                .json()
                .await
                .unwrap();
            assert_eq!((&answer["from"], &answer["to"]), (&json!(from), &json!(to)));
            let proof: Vec<TheirHash> = answer["proof"]
                .as_array()
                .unwrap()
                .iter()
                .map(|hash| {
                    TheirHash(
                        STANDARD
                            .decode(hash.as_str().unwrap())
                            .unwrap()
                            .try_into()
                            .unwrap(),
                    )
                })
                .collect();
            if from == to {
                assert!(proof.is_empty());
                continue;
            }
            check_tree(&proof, *to, *to_root, *from, *from_root).unwrap();
            assert!(check_tree(&proof, *to, *from_root, *from, *to_root).is_err());
            checked += 1;
        }
    }
    assert_eq!(checked, 66);
}

#[tokio::test]
async fn sizes_that_cannot_be_compared() {
    let served = held(10).await;
    served.show(8).await;
    for (query, status) in [
        ("from=0&to=0", 200),
        ("from=0&to=8", 200),
        ("from=8&to=8", 200),
        // Committed, and not published.
        ("from=8&to=9", 404),
        ("from=1&to=18446744073709551615", 404),
        ("from=5&to=4", 400),
        ("from=5", 400),
        ("to=5", 400),
        ("", 400),
        ("from=1&to=2&to=3", 400),
        ("from=1&to=2&x=3", 400),
        ("from=%2B1&to=2", 400),
        ("from=-1&to=2", 400),
        ("from=&to=2", 400),
        ("from=1.0&to=2", 400),
        ("from=1&to=18446744073709551616", 400),
    ] {
        let path = format!("/checkpoint/consistency/?{query}");
        let answer = served.get(&path).send().await.unwrap();
        assert_eq!(answer.status(), status, "{query}");
        if status == 200 {
            let answer: Value = answer.json().await.unwrap();
            assert_eq!(answer["proof"], json!([]), "{query}");
        }
    }
}
