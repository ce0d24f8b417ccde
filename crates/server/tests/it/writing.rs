//! Writing and reading, as applications do it.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Server, answer, start};

const ID: &str = "0198c0de-0000-7000-8000-00000000000a";

fn results(page: &Value) -> Vec<&str> {
    let results = page["results"].as_array().unwrap();
    results
        .iter()
        .map(|result| result["action"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn the_same_id_with_the_same_content_gets_the_first_receipt() {
    let (home, server) = start();
    let entry = json!({"id": ID, "action": "pay", "details": {"amount": 12}, "user_id": "alice"});
    let (status, first) = server.post("/logs/", &entry).await;
    assert_eq!(status, StatusCode::CREATED);
    // Member order and white space are not content.
    let same = r#"{ "user_id":"alice", "details":{"amount":1.2e1}, "action":"pay", "id":"ID"}"#;
    let same = same.replace("ID", &ID.to_uppercase());
    let request = server
        .request(Method::POST, "/logs/")
        .header("content-type", "application/json");
    assert_eq!(
        answer(request.body(same)).await,
        (StatusCode::CREATED, first.clone())
    );
    for other in [
        json!({"id": ID, "action": "pay", "details": {"amount": 13}, "user_id": "alice"}),
        json!({"id": ID, "action": "pay", "details": {"amount": 12}, "user_id": "bobby"}),
        json!({"id": ID, "action": "pay", "details": {"amount": 12}, "user_id": "alice", "tenant": "t"}),
        json!({"id": ID, "action": "paid", "details": {"amount": 12}, "user_id": "alice"}),
        json!({"id": ID, "action": "pay", "details": {"amount": 12}, "user_id": "alice", "outcome": "success"}),
        json!({"id": ID, "action": "pay", "details": {"amount": 12}, "user_id": "alice",
               "timestamp": "2020-01-01T00:00:00Z"}),
    ] {
        let (status, problem) = server.post("/logs/", &other).await;
        assert_eq!(status, StatusCode::CONFLICT, "{other}: {problem}");
        assert_eq!(problem["errors"][0]["pointer"], "#/id");
    }
    // Nor is it a retry when somebody else sends it.
    let token = server.token(&["--sub", "mallory", "--role", "admin"]);
    let request = server
        .client()
        .post(format!("{}/logs/", server.url))
        .bearer_auth(token);
    assert_eq!(answer(request.json(&entry)).await.0, StatusCode::CONFLICT);
    // Also after a restart.
    server.kill();
    let server = Server::start(home.path());
    assert_eq!(
        server.post("/logs/", &entry).await,
        (StatusCode::CREATED, first)
    );
    assert_eq!(server.get("/logs/list/").await.1["count"], 1);
}

#[tokio::test]
async fn one_request_with_an_id_twice() {
    let (_home, server) = start();
    let one = json!({"id": ID, "action": "a"});
    let (status, batch) = server.post("/logs/", &json!([one, one])).await;
    assert_eq!(status, StatusCode::CREATED, "{batch}");
    assert_eq!(batch["results"][0], batch["results"][1]);
    let other = json!({"id": "0198c0de-0000-7000-8000-00000000000b", "action": "a"});
    let mut changed = other.clone();
    changed["action"] = json!("b");
    let (status, problem) = server.post("/logs/", &json!([other, changed])).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    assert_eq!(server.get("/logs/list/").await.1["count"], 1);
}

#[tokio::test]
async fn an_idempotency_key_stores_once() {
    let (_home, server) = start();
    let send = |entry: Value, key: &str| {
        answer(
            server
                .request(Method::POST, "/logs/")
                .header("idempotency-key", key)
                .json(&entry),
        )
    };
    let entry = json!({"action": "pay", "details": {"amount": 12}});
    let (status, first) = send(entry.clone(), "key-1").await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(first["id"].as_str().unwrap().as_bytes()[14], b'8');
    assert_eq!(
        send(entry.clone(), "key-1").await,
        (StatusCode::CREATED, first.clone())
    );
    let (status, problem) = send(json!({"action": "pay"}), "key-1").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    assert_eq!(
        problem["type"],
        "urn:audittrail:problem:idempotency-key-reused"
    );
    let (status, second) = send(entry.clone(), "key-2").await;
    assert!(status == StatusCode::CREATED && second["id"] != first["id"]);
    // The key is the caller's own.
    let token = server.token(&["--sub", "other", "--role", "writer"]);
    let request = server
        .client()
        .post(format!("{}/logs/", server.url))
        .bearer_auth(token);
    let (status, third) = answer(request.header("idempotency-key", "key-1").json(&entry)).await;
    assert!(
        status == StatusCode::CREATED && third["id"] != first["id"],
        "{third}"
    );
}

#[tokio::test]
async fn a_batch_is_stored_whole_or_not_at_all() {
    let (_home, server) = start();
    let good = json!({"action": "a"});
    let (status, _) = server
        .post("/logs/", &json!([good, {"action": ""}, good]))
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(server.get("/logs/list/").await.1["count"], 0);
    let batch: Vec<Value> = (0..50)
        .map(|n| json!({"action": format!("a{n}")}))
        .collect();
    let (status, answer_) = server.post("/logs/?ack=published", &json!(batch)).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(
        (
            &answer_["ack"],
            &answer_["count"],
            &answer_["first_index"],
            &answer_["last_index"]
        ),
        (&json!("published"), &json!(50), &json!(0), &json!(49))
    );
    assert_eq!(answer_["results"].as_array().unwrap().len(), 50);
    let (_, none) = server.post("/logs/?receipts=none", &json!([good])).await;
    assert_eq!(
        none,
        json!({"ack": "committed", "count": 1, "first_index": 50, "last_index": 50})
    );
}

#[tokio::test]
async fn with_skip_the_good_ones_are_stored_and_the_others_listed() {
    let (_home, server) = start();
    server
        .post("/logs/", &json!({"id": ID, "action": "first"}))
        .await;
    let batch = json!([
        {"action": "good.1"},
        {"action": ""},
        {"id": ID, "action": "second"},
        {"action": "audittrail.key"},
        {"action": "good.2"},
    ]);
    let (status, answer_) = server.post("/logs/?on_error=skip", &batch).await;
    assert_eq!(
        (status, &answer_["count"]),
        (StatusCode::CREATED, &json!(2)),
        "{answer_}"
    );
    let rejected = answer_["rejected"].as_array().unwrap();
    let mut positions: Vec<_> = rejected
        .iter()
        .map(|one| one["position"].as_u64().unwrap())
        .collect();
    positions.sort_unstable();
    assert_eq!(positions, [1, 2, 3]);
    let (_, page) = server.get("/logs/list/?order=index").await;
    assert_eq!(results(&page), ["first", "good.1", "good.2"]);

    let lines = "{\"action\":\"good.3\"}\n\nnonsense\n{\"action\":\"good.4\"}\n";
    let request = server.request(Method::POST, "/logs/?on_error=skip");
    let request = request
        .header("content-type", "application/x-ndjson")
        .body(lines);
    let (status, answer_) = answer(request).await;
    assert_eq!(
        (status, &answer_["rejected"][0]["line"]),
        (StatusCode::CREATED, &json!(3))
    );
}

#[tokio::test]
async fn who_may_see_and_write_what() {
    let (_home, server) = start();
    let as_one = |token: String, method: Method, path: &str| {
        server
            .client()
            .request(method, format!("{}{path}", server.url))
            .bearer_auth(token)
    };
    let alice = || server.token(&["--sub", "alice", "--role", "user"]);
    let bound = || server.token(&["--sub", "tess", "--role", "admin", "--tenant", "acme"]);
    let write =
        |token: String, entry: Value| answer(as_one(token, Method::POST, "/logs/").json(&entry));

    let (status, own) = write(alice(), json!({"action": "own"})).await;
    assert_eq!(status, StatusCode::CREATED);
    for entry in [
        json!({"action": "a", "user_id": "bobby"}),
        json!({"action": "a", "tenant": "acme"}),
    ] {
        let (status, problem) = write(alice(), entry).await;
        assert_eq!(
            (status, &problem["scope"]),
            (StatusCode::FORBIDDEN, &json!("logs:write"))
        );
    }
    let (status, _) = write(bound(), json!({"action": "acme.1", "user_id": "alice"})).await;
    assert_eq!(status, StatusCode::CREATED);
    let (status, _) = write(bound(), json!({"action": "a", "tenant": "globex"})).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    server
        .post(
            "/logs/",
            &json!({"action": "globex.1", "tenant": "globex", "user_id": "alice"}),
        )
        .await;
    server
        .post("/logs/", &json!({"action": "bobby.1", "user_id": "bobby"}))
        .await;

    let list = |token: String, query: &str| {
        answer(as_one(
            token,
            Method::GET,
            &format!("/logs/list/?order=index&{query}"),
        ))
    };
    assert_eq!(
        results(&list(alice(), "").await.1),
        ["own", "acme.1", "globex.1"]
    );
    let (_, page) = list(alice(), "user_id=bobby").await;
    assert_eq!((&page["count"], results(&page).len()), (&json!(0), 0));
    assert_eq!(results(&list(bound(), "").await.1), ["acme.1"]);
    assert_eq!(results(&list(bound(), "tenant=globex").await.1), [""; 0]);
    let (_, acme) = list(bound(), "").await;
    // An id tells nobody that there is an entry.
    let id = own["id"].as_str().unwrap();
    let (status, hidden) = answer(as_one(bound(), Method::GET, &format!("/logs/{id}/"))).await;
    let (_, missing) = answer(as_one(bound(), Method::GET, &format!("/logs/{ID}/"))).await;
    assert_eq!(
        (status, &hidden["detail"]),
        (StatusCode::NOT_FOUND, &missing["detail"])
    );
    let id = acme["results"][0]["id"].as_str().unwrap();
    assert_eq!(
        answer(as_one(bound(), Method::GET, &format!("/logs/{id}/")))
            .await
            .0,
        StatusCode::OK
    );

    let export = as_one(bound(), Method::GET, "/logs/export/")
        .send()
        .await
        .unwrap();
    let exported: Vec<Value> = export.json().await.unwrap();
    assert_eq!(exported.len(), 1);
    for (role, path, scope) in [
        ("writer", "/logs/list/", "logs:read:own"),
        ("reader", "/logs/export/", "logs:export"),
        ("user", "/logs/export/", "logs:export"),
    ] {
        let token = server.token(&["--sub", "x", "--role", role]);
        let (status, problem) = answer(as_one(token, Method::GET, path)).await;
        assert_eq!(
            (status, &problem["scope"]),
            (StatusCode::FORBIDDEN, &json!(scope)),
            "{role}"
        );
    }
    let token = server.token(&["--sub", "x", "--role", "reader"]);
    assert_eq!(
        write(token, json!({"action": "a"})).await.0,
        StatusCode::FORBIDDEN
    );
}

/// All pages see the log as it was at the first, and a poller misses nothing.
#[tokio::test]
async fn pages_stand_still_while_the_log_grows() {
    let (_home, server) = start();
    let batch: Vec<Value> = (0..30)
        .map(|n| json!({"action": format!("a{n}")}))
        .collect();
    server.post("/logs/", &json!(batch)).await;
    let path = |page: &Value, name: &str| {
        page[name]
            .as_str()
            .map(|url| url.strip_prefix(&server.url).unwrap().to_owned())
    };
    let (_, first) = server.get("/logs/list/?page_size=12&order=-index").await;
    server.post("/logs/", &json!([{"action": "late"}])).await;
    let (_, second) = server.get(&path(&first, "next").unwrap()).await;
    let (_, third) = server.get(&path(&second, "next").unwrap()).await;
    let seen: Vec<&str> = [&first, &second, &third]
        .into_iter()
        .flat_map(results)
        .collect();
    let wanted: Vec<String> = (0..30).rev().map(|n| format!("a{n}")).collect();
    assert_eq!(seen, wanted);
    assert_eq!(
        (&second["count"], &third["next"]),
        (&json!(30), &Value::Null)
    );
    let (_, back) = server.get(&path(&second, "previous").unwrap()).await;
    assert_eq!(back["results"], first["results"]);
    // The number of the first page, where it is asked for.
    assert_eq!([&back["count"], &third["count"]], [&json!(30), &json!(30)]);
    let next = path(&first, "next").unwrap();
    for (count, expected) in [("none", Value::Null), ("exact", json!(30))] {
        let (_, page) = server.get(&format!("{next}&count={count}")).await;
        assert_eq!(page["count"], expected, "{count}");
    }
    // A cursor belongs to its query.
    let stolen = path(&first, "next")
        .unwrap()
        .replace("order=-index", "order=index");
    assert_eq!(server.get(&stolen).await.0, StatusCode::BAD_REQUEST);
    let (_, page) = server
        .get("/logs/list/?page_size=12&order=-index&page=3")
        .await;
    assert_eq!(
        results(&page),
        results(&server.get("/logs/list/?page_size=7&order=index").await.1)
            .into_iter()
            .rev()
            .collect::<Vec<_>>()
    );

    let (_, polled) = server
        .get("/logs/list/?order=index&index_from=25&page_size=1000")
        .await;
    assert_eq!(results(&polled).len(), 6);
    let resume = path(&polled, "resume").unwrap();
    assert_eq!(results(&server.get(&resume).await.1), [""; 0]);
    server
        .post(
            "/logs/",
            &json!([{"action": "later"}, {"action": "latest"}]),
        )
        .await;
    assert_eq!(results(&server.get(&resume).await.1), ["later", "latest"]);
}

#[tokio::test]
async fn an_export_is_recorded_and_names_its_size() {
    let (_home, server) = start();
    server
        .post("/logs/", &json!([{"action": "a"}, {"action": "b"}]))
        .await;
    for (format, media_type) in [
        ("json", "application/json"),
        ("ndjson", "application/x-ndjson"),
    ] {
        let path = format!("/logs/export/?action=a&format={format}");
        let response = server.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], media_type);
        assert!(response.headers().contains_key("x-audittrail-tree-size"));
        let body = response.text().await.unwrap();
        assert!(
            body.contains(r#""action":"a""#) && !body.contains(r#""action":"b""#),
            "{body}"
        );
    }
    let (_, page) = server
        .get("/logs/list/?action=audittrail.export&order=index")
        .await;
    assert_eq!(page["count"], 2);
    let details = json!({"filter": {"action": "a"}, "format": "json", "tree_size": 2});
    assert_eq!(page["results"][0]["details"], details);
    assert_eq!(page["results"][0]["user_id"], "tester");
}

#[tokio::test]
async fn every_answer_names_its_request() {
    let (_home, server) = start();
    let send = |id: &str| {
        server
            .request(Method::GET, "/health/live")
            .header("x-request-id", id)
            .send()
    };
    let id = |response: &reqwest::Response| {
        response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(id(&send("job-17.step:2").await.unwrap()), "job-17.step:2");
    for insane in ["a b", "a\"b", &"x".repeat(129)] {
        assert_ne!(id(&send(insane).await.unwrap()), insane);
    }
    assert_eq!(
        server.get("/health/live").await.1,
        json!({"status": "live"})
    );
    assert_eq!(
        server.get("/health/ready/").await.1,
        json!({"status": "ready"})
    );
}
