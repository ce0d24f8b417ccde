//! The schedule, by a paused clock, and the many ways in which an issuer fails, on the loopback.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use audittrail_auth::{AuthConfig, AuthError, Authenticator, JwksError};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::*;

fn fixtures() -> Value {
    serde_json::from_str(include_str!("../../../../testdata/tokens/tokens.json")).unwrap()
}

fn set(name: &str) -> Vec<u8> {
    fixtures()["sets"][name].to_string().into_bytes()
}

fn authenticator() -> Arc<Authenticator> {
    let fixtures = fixtures();
    let text = |name: &str| fixtures[name].as_str().unwrap().to_owned();
    let config = AuthConfig {
        secret: Some(text("secret").into_bytes()),
        algorithms: ["HS256", "RS256", "ES256", "EdDSA"]
            .map(str::to_owned)
            .into(),
        public_keys: true,
        issuer: Some(text("issuer")),
        audience: vec![text("audience")],
        ..AuthConfig::default()
    };
    Arc::new(Authenticator::new(config).unwrap())
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A refresher over a source that is told what to answer, and how long to take for it.
struct Bench {
    auth: Arc<Authenticator>,
    wanted: mpsc::Sender<oneshot::Sender<()>>,
    script: Script,
    began: Instant,
}

#[derive(Clone, Default)]
struct Script(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    answers: VecDeque<(Duration, Result<Vec<u8>, FetchError>)>,
    /// When the source was read, from the start.
    reads: Vec<Duration>,
    running: usize,
}

impl Bench {
    /// The last answer is repeated as a timeout where there are no more.
    fn start(answers: Vec<(Duration, Result<Vec<u8>, FetchError>)>) -> (Self, Refresher) {
        let auth = authenticator();
        let (wanted, receiver) = mpsc::channel(WAITING);
        let source = Source::parse("https://id.example/jwks").unwrap();
        let refresher = Refresher::new(Arc::clone(&auth), receiver, Schedule::of(&source));
        let script = Script::default();
        script.0.borrow_mut().answers = answers.into();
        let bench = Self {
            auth,
            wanted,
            script,
            began: now(),
        };
        (bench, refresher)
    }

    async fn source(script: Script, began: Instant) -> Result<Vec<u8>, FetchError> {
        let (takes, answer) = {
            let mut state = script.0.borrow_mut();
            state.reads.push(now() - began);
            state.running += 1;
            assert_eq!(state.running, 1, "two reads at a time");
            let next = state.answers.pop_front();
            next.unwrap_or((Duration::ZERO, Err(FetchError::Timeout)))
        };
        tokio::time::sleep(takes).await;
        script.0.borrow_mut().running -= 1;
        answer
    }

    /// What a request does whose token names an unknown key.
    async fn ask(&self) {
        let (answer, answered) = oneshot::channel();
        self.wanted.send(answer).await.unwrap();
        answered.await.unwrap();
    }

    fn outcome(&self, token: &str) -> Result<(), AuthError> {
        let fixtures = fixtures();
        let token = fixtures["forever"][token].as_str().unwrap();
        let now = fixtures["now"].as_i64().unwrap();
        self.auth.authenticate(token, now).map(drop)
    }

    fn reads(&self) -> Vec<u64> {
        let state = self.script.0.borrow();
        state.reads.iter().map(Duration::as_secs).collect()
    }

    /// Runs the refresher beside `steps`.
    async fn run(&self, refresher: Refresher, steps: impl Future<Output = ()>) {
        let (script, began) = (self.script.clone(), self.began);
        tokio::select! {
            () = refresher.run(async || Self::source(script.clone(), began).await) => {}
            () = steps => {}
        }
    }

    async fn until(&self, seconds: u64) {
        // Half a second later than what happens then.
        let at = self.began + seconds as u32 * SECOND + SECOND / 2;
        tokio::time::sleep_until(at).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "the clock of tests is paused")]
fn now() -> Instant {
    Instant::now()
}

fn good(name: &str) -> (Duration, Result<Vec<u8>, FetchError>) {
    (Duration::ZERO, Ok(set(name)))
}

#[tokio::test(start_paused = true)]
async fn keys_are_read_at_once_and_then_every_five_minutes() {
    let (bench, refresher) = Bench::start(vec![good("main"), good("rotated"), good("rotated")]);
    assert_eq!(bench.outcome("rsa"), Err(AuthError::KeysUnavailable));
    let steps = async {
        bench.until(0).await;
        for token in ["rsa", "ec", "ed"] {
            assert_eq!(bench.outcome(token), Ok(()));
        }
        bench.until(299).await;
        assert_eq!(bench.outcome("rsa"), Ok(()));
        bench.until(300).await;
        assert_eq!(bench.outcome("rsa-2"), Ok(()));
        assert_eq!(bench.outcome("rsa"), Err(AuthError::UnknownKey));
        bench.until(600).await;
        assert_eq!(bench.reads(), [0, 300, 600]);
    };
    bench.run(refresher, steps).await;
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_soon_and_keep_the_last_set() {
    let bad = |error| (Duration::ZERO, Err(error));
    let answers = vec![
        bad(FetchError::Unreachable("refused".to_owned())),
        (Duration::ZERO, Ok(b"<html>".to_vec())),
        (Duration::ZERO, Ok(b"{}".to_vec())),
        good("main"),
        bad(FetchError::Redirect),
    ];
    let (bench, refresher) = Bench::start(answers);
    let steps = async {
        bench.until(6).await;
        assert_eq!(bench.outcome("rsa"), Err(AuthError::KeysUnavailable));
        bench.until(7).await;
        assert_eq!(bench.outcome("rsa"), Ok(()));
        bench.until(2_000).await;
        assert_eq!(bench.outcome("rsa"), Ok(()));
        let reads = bench.reads();
        assert_eq!(
            reads[..12],
            [0, 1, 3, 7, 307, 308, 310, 314, 322, 338, 370, 430]
        );
        assert!(reads[11..].windows(2).all(|pair| pair[1] - pair[0] == 60));
        assert!(reads.len() > 30);
    };
    bench.run(refresher, steps).await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_causes_one_read_a_minute_at_most() {
    let answers = (0..10).map(|_| good("main")).collect();
    let (bench, refresher) = Bench::start(answers);
    let steps = async {
        bench.until(0).await;
        // A rotation right after the first read is seen at once.
        for _ in 0..100 {
            bench.ask().await;
        }
        assert_eq!(bench.reads(), [0, 0]);
        for second in 1..=59 {
            bench.until(second).await;
            bench.ask().await;
        }
        assert_eq!(bench.reads(), [0, 0]);
        for second in 60..=150 {
            bench.until(second).await;
            bench.ask().await;
        }
        assert_eq!(bench.reads(), [0, 0, 60, 120]);
        // The schedule goes on from the last read.
        bench.until(421).await;
        assert_eq!(bench.reads(), [0, 0, 60, 120, 420]);
    };
    bench.run(refresher, steps).await;
}

#[tokio::test(start_paused = true)]
async fn failed_reads_count_for_the_minute_too() {
    let (bench, refresher) = Bench::start(vec![good("main")]);
    let steps = async {
        bench.until(0).await;
        for _ in 0..50 {
            bench.ask().await;
        }
        assert_eq!(bench.reads(), [0, 0]);
        assert_eq!(bench.outcome("rsa"), Ok(()));
        bench.until(60).await;
        // By its own schedule: 1, 2, 4 … seconds after each failure.
        assert_eq!(bench.reads(), [0, 0, 1, 3, 7, 15, 31]);
        bench.ask().await;
        assert_eq!(bench.reads()[7..], [60]);
    };
    bench.run(refresher, steps).await;
}

#[tokio::test(start_paused = true)]
async fn all_that_ask_during_a_read_wait_for_that_one() {
    let slow = |name| (3 * SECOND, Ok(set(name)));
    let (bench, refresher) = Bench::start(vec![slow("main"), slow("rotated"), good("main")]);
    let steps = async {
        // Before the first set: these wait for the read that began by itself.
        let all = (0..WAITING).map(|_| bench.ask());
        futures_util::future::join_all(all).await;
        assert_eq!(now() - bench.began, 3 * SECOND);
        assert_eq!(bench.outcome("rsa"), Ok(()));
        // The second read is caused by a token, and is everybody's.
        let all = (0..50).map(|_| bench.ask());
        futures_util::future::join_all(all).await;
        assert_eq!(now() - bench.began, 6 * SECOND);
        assert_eq!(bench.outcome("rsa-2"), Ok(()));
        assert_eq!(bench.reads(), [0, 3]);
    };
    bench.run(refresher, steps).await;
}

#[tokio::test(start_paused = true)]
async fn a_set_that_was_read_before_is_not_read_again_at_once() {
    let (bench, refresher) = Bench::start(vec![good("empty")]);
    let refresher = refresher.starting_with(set("main"));
    assert_eq!(bench.outcome("rsa"), Ok(()));
    let steps = async {
        bench.until(299).await;
        assert!(bench.reads().is_empty());
        // An issuer that withdraws all its keys is believed.
        bench.until(300).await;
        assert_eq!(bench.outcome("rsa"), Err(AuthError::UnknownKey));
    };
    bench.run(refresher, steps).await;
}

/// Answers each connection with what `answer` writes.
async fn issuer<F: Future<Output = ()>>(listener: TcpListener, answer: impl Fn(TcpStream) -> F) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        answer(stream).await;
    }
}

/// What a fetcher gets from an issuer that answers so.
async fn fetched<F: Future<Output = ()>>(
    answer: impl Fn(TcpStream) -> F,
) -> Result<Vec<u8>, FetchError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks?key=value", listener.local_addr().unwrap());
    let fetcher = Fetcher::new(&Source::parse(&url).unwrap()).unwrap();
    tokio::select! {
        () = issuer(listener, answer) => unreachable!(),
        outcome = fetcher.fetch() => outcome,
    }
}

async fn with_bytes(bytes: impl AsRef<[u8]>) -> Result<Vec<u8>, FetchError> {
    fetched(|mut stream| {
        let bytes = bytes.as_ref().to_vec();
        async move {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
    })
    .await
}

fn response(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}

#[tokio::test]
async fn a_good_answer_is_taken() {
    let body = fixtures()["sets"]["main"].to_string();
    for headers in ["", "content-type: text/html\r\n"] {
        let read = with_bytes(response("200 OK", headers, &body)).await;
        assert_eq!(read.unwrap(), body.as_bytes());
    }
    let chunked = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    assert_eq!(with_bytes(chunked).await.unwrap(), body.as_bytes());
}

#[tokio::test]
async fn bad_answers_are_told_apart() {
    let rows = [
        (response("500 Oops", "", "{}"), "status"),
        (response("404 Not Found", "", r#"{"keys":[]}"#), "status"),
        (response("204 No Content", "", ""), "status"),
        (response("206 Partial", "", r#"{"keys":[]}"#), "status"),
        (
            response("302 Found", "location: http://127.0.0.1:1/\r\n", ""),
            "redirect",
        ),
        (
            response("301 Moved", "location: /other\r\n", ""),
            "redirect",
        ),
        (
            response("308 Moved", "location: file:///etc/passwd\r\n", ""),
            "redirect",
        ),
        ("garbage\r\n\r\n".to_owned(), "unreachable"),
        (String::new(), "unreachable"),
        ("HTTP/1.1 200 OK\r\n".to_owned(), "unreachable"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"keys\":".to_owned(),
            "unreachable",
        ),
        (
            response("200 OK", "", &" ".repeat(256 * 1024 + 1)),
            "too-large",
        ),
    ];
    for (bytes, outcome) in rows {
        let error = with_bytes(&bytes).await.unwrap_err();
        assert_eq!(error.outcome(), outcome, "{bytes:.80}: {error}");
        assert!(FetchError::OUTCOMES.contains(&error.outcome()));
        assert!(!error.to_string().contains("key=value"), "{error}");
    }
}

/// The bound holds for what comes, whatever was said to come.
#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let outcome = fetched(|mut stream| async move {
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
        if stream.write_all(head).await.is_ok() {
            while stream.write_all(chunk.as_bytes()).await.is_ok() {}
        }
    })
    .await;
    assert!(matches!(
        outcome,
        Err(FetchError::Invalid(JwksError::TooLarge))
    ));
}

/// With the clock paused, time passes when nothing else happens.
#[tokio::test(start_paused = true)]
async fn slow_answers_are_given_up() {
    let start = now();
    let silent = fetched(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    assert!(matches!(silent, Err(FetchError::Timeout)));
    let dripping = fetched(|mut stream| async move {
        for byte in response("200 OK", "", &" ".repeat(1_000)).bytes() {
            tokio::time::sleep(SECOND / 100).await;
            if stream.write_u8(byte).await.is_err() {
                return;
            }
        }
    })
    .await;
    assert!(matches!(dripping, Err(FetchError::Timeout)));
    assert!(now() - start <= 10 * SECOND);
}

#[tokio::test]
async fn nobody_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let fetcher = Fetcher::new(&Source::parse(&url).unwrap()).unwrap();
    let error = fetcher.fetch().await.unwrap_err();
    assert_eq!(error.outcome(), "unreachable", "{error}");
}

#[tokio::test]
async fn files() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("jwks.json");
    let source = Source::parse(path.to_str().unwrap()).unwrap();
    assert_eq!(Schedule::of(&source).every, MINUTE);
    let fetcher = Fetcher::new(&source).unwrap();
    let write =
        |bytes: &[u8]| std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), bytes);
    assert_eq!(fetcher.fetch().await.unwrap_err().outcome(), "unreadable");
    assert!(prepare(&source).is_err());
    for name in ["main", "rotated"] {
        write(&set(name)).unwrap();
        assert_eq!(fetcher.fetch().await.unwrap(), set(name));
        assert_eq!(prepare(&source).unwrap().1, Some(set(name)));
    }
    // It is read to one byte beyond the bound, which the set then refuses.
    write(&[b' '; 300 * 1024]).unwrap();
    assert_eq!(fetcher.fetch().await.unwrap().len(), 256 * 1024 + 1);
    let refusal = prepare(&source).err().unwrap().to_string();
    assert!(refusal.contains("jwks.json") && refusal.contains("262144"));
    let directory = Source::parse(home.path().to_str().unwrap()).unwrap();
    let error = Fetcher::new(&directory).unwrap().fetch().await.unwrap_err();
    assert!(error.to_string().contains("not a file"), "{error}");
}

#[test]
fn sources() {
    for text in ["jwks.json", "/etc/audittrail/jwks.json", "C:\\keys"] {
        assert!(matches!(Source::parse(text), Ok(Source::File(_))), "{text}");
    }
    for (text, exposed) in [
        ("https://id.example/jwks", false),
        ("HTTPS://id.example/jwks", false),
        ("http://id.example/jwks", true),
        ("http://127.0.0.1.example/jwks", true),
        ("http://localhost:8080/jwks", false),
        ("http://127.0.0.1:1/jwks", false),
        ("http://[::1]:1/jwks", false),
    ] {
        let source = Source::parse(text).unwrap();
        assert!(matches!(source, Source::Url(_)), "{text}");
        assert_eq!(source.is_exposed(), exposed, "{text}");
    }
    let wrong = [
        "",
        "ftp://id.example/jwks",
        "file:///etc/jwks.json",
        "https://",
        "https://a b/",
        "https://user:word@id.example/",
    ];
    for text in wrong {
        let refusal = Source::parse(text).err().unwrap().to_string();
        assert!(refusal.contains("write the path of a file, or a URL"));
        assert!(!refusal.contains("word@"), "{refusal}");
    }
    let source = Source::parse("https://id.example/jwks?token=x#y").unwrap();
    assert_eq!(source.to_string(), "https://id.example/jwks");
}
