//! Passwords, rights and TLS.

use std::path::Path;
use std::process::{Command, Stdio};

use audittrail_queue::conformance::request;
use audittrail_queue::{Queue, SubmitError};
use audittrail_queue_redis::{ConnectError, RedisQueue, RedisSettings, Report};

use crate::server::{DURABLE, Server, free_port};
use crate::support::{ALL, anything, ask, committed, open, open_with, options, outcome, receive};

async fn refusal(settings: RedisSettings) -> String {
    match RedisQueue::connect(settings, options("one"), anything()).await {
        Ok(_) => panic!("it let us in"),
        Err(error) => error.to_string(),
    }
}

async fn a_request_passes(queue: &crate::support::Open) {
    let waiter = queue.submit(request(1, 2, 3)).await.unwrap();
    let received = receive(queue).await;
    queue
        .settle(vec![(received[0].id, committed(0))])
        .await
        .unwrap();
    assert_eq!(outcome(waiter).await, committed(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_sent_and_never_shown() {
    let server = Server::start(&["--requirepass", "se/cr:et@1"]);
    let at = format!("127.0.0.1:{}", server.port);
    let url = format!("redis://:se%2Fcr%3Aet%401@{at}/3");
    let (queue, _) = open_with(&url, options("one"), anything()).await;
    a_request_passes(&queue).await;
    let keys: usize = ask(&url, &["DBSIZE"]).await;
    assert!(keys > 0, "it is in the database that the URL names");
    for wrong in [format!("redis://{at}"), format!("redis://:wr0ng@{at}")] {
        let why = refusal(RedisSettings::parse(&wrong).unwrap()).await;
        assert!(why.contains(&at), "{why}");
        assert!(!why.contains("wr0ng"), "{why}");
    }
}

/// Exactly what the crate's documentation lists.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_rights_are_enough() {
    let server = Server::start(DURABLE);
    let lines = include_str!("../../src/lib.rs").lines();
    let lines = lines.skip_while(|line| !line.contains("# What Redis is asked for"));
    let list: String = lines.collect();
    let list = list
        .split("where they are allowed")
        .next()
        .unwrap()
        .replace("//!", "");
    let commands = list
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|name| format!("+{}", name.to_lowercase()));
    let mut rule = ["ACL", "SETUSER", "queue", "on", ">secret", "~audittrail:*"]
        .map(str::to_owned)
        .to_vec();
    rule.extend(commands);
    assert!(rule.len() > 20, "{rule:?}");
    let rule: Vec<&str> = rule.iter().map(String::as_str).collect();
    assert!(list.contains("XREADGROUP"), "{list}");
    let _: () = ask(&server.url(), &rule).await;
    let url = format!("redis://queue:secret@127.0.0.1:{}", server.port);
    let (queue, report) = open_with(&url, options("one"), anything()).await;
    let why = report.not_durable.unwrap();
    assert!(
        why.contains("does not say") && why.contains("no permissions"),
        "{why}"
    );
    assert!(!queue.is_durable());
    assert_eq!(report.version, "unknown");
    a_request_passes(&queue).await;
    // The dead letters and the take-over need no more.
    let key = format!("{}:requests", options_of(&server).await);
    let _: String = ask(&server.url(), &["XADD", &key, "*", "what", "ever"]).await;
    queue.queue.take_over();
    let _waiter = queue.submit(request(5, 1, 0)).await.unwrap();
    assert_eq!(receive(&queue).await.len(), 1);

    let _: () = ask(
        &server.url(),
        &["ACL", "SETUSER", "queue", "+config|get", "+info"],
    )
    .await;
    let (queue, report) = open_with(&url, options("one"), anything()).await;
    assert!(queue.is_durable(), "{:?}", report.not_durable);
    let _: () = ask(&server.url(), &["ACL", "SETUSER", "queue", "-xadd"]).await;
    let refused = queue.submit(request(1, 1, 0)).await.unwrap_err();
    assert!(matches!(refused, SubmitError::Unavailable(_)), "{refused}");
}

/// The prefix of the only log that is there.
async fn options_of(server: &Server) -> String {
    let keys: Vec<String> = ask(&server.url(), &["KEYS", "audittrail:*:requests"]).await;
    keys[0].trim_end_matches(":requests").to_owned()
}

fn openssl(dir: &Path, arguments: &str) {
    let mut command = Command::new("openssl");
    let command = command.args(arguments.split(' ')).current_dir(dir);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(
        status.expect("openssl is installed").success(),
        "openssl {arguments}"
    );
}

/// An authority, and a certificate of the server that it signed.
fn certificates(dir: &Path) {
    let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30";
    openssl(
        dir,
        &format!("{new} -keyout ca.key -out ca.pem -subj /CN=authority"),
    );
    openssl(
        dir,
        &format!("{new} -keyout other.key -out other.pem -subj /CN=other"),
    );
    openssl(
        dir,
        &format!(
            "{new} -CA ca.pem -CAkey ca.key -keyout server.key -out server.pem -subj /CN=server \
             -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=CA:FALSE"
        ),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_checks_the_server_and_shows_a_certificate() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let port = free_port();
    let (tls_port, file) = (port.to_string(), |name: &str| dir.path().join(name));
    let read = |name: &str| std::fs::read(file(name)).unwrap();
    let names = ["server.pem", "server.key", "ca.pem"].map(|name| file(name).display().to_string());
    let (ca, certificate, key) = (read("ca.pem"), read("server.pem"), read("server.key"));
    let other = read("other.pem");
    let _server = Server::start_in(
        dir,
        port,
        &[
            "--port",
            "0",
            "--tls-port",
            &tls_port,
            "--tls-cert-file",
            &names[0],
            "--tls-key-file",
            &names[1],
            "--tls-ca-cert-file",
            &names[2],
        ],
    );
    let settings = || RedisSettings::parse(&format!("rediss://127.0.0.1:{port}")).unwrap();
    let whole = settings()
        .with_certificates(Some(ca.clone()), Some(certificate), Some(key))
        .unwrap();
    let connected: Result<(RedisQueue, Report), ConnectError> =
        RedisQueue::connect(whole, options("one"), anything()).await;
    let (queue, _) = connected.unwrap();
    let running = tokio::spawn(queue.run());
    let waiter = queue.submit(request(1, 2, 3)).await.unwrap();
    let received = queue.receive(ALL).await.unwrap();
    queue
        .settle(vec![(received[0].id, committed(0))])
        .await
        .unwrap();
    assert_eq!(outcome(waiter).await, committed(0));
    running.abort();
    // The system's authorities did not sign it, nor did another one.
    for trusted in [None, Some(other)] {
        let settings = settings().with_certificates(trusted, None, None).unwrap();
        let why = refusal(settings).await;
        assert!(why.contains("certificate"), "{why}");
    }
    // The server asks for a certificate.
    refusal(settings().with_certificates(Some(ca), None, None).unwrap()).await;
}

/// Several logs share a server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_do_not_see_each_other() {
    let server = Server::start(&[]);
    let one = open(&server.url(), &options("same")).await;
    let two = open(&server.url(), &options("same")).await;
    let _waiter = one.submit(request(1, 1, 0)).await.unwrap();
    a_request_passes(&two).await;
    assert_eq!(two.depth().requests, 0);
    assert_eq!(one.depth().requests, 1);
    assert_eq!(receive(&one).await.len(), 1);
}
