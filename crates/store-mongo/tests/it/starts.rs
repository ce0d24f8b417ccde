//! Opening a log.

use std::time::Duration;

use audittrail_checkpoint::Signer;
use audittrail_store::conformance::{Generator, ORIGIN, signer};
use audittrail_store::{Store, StoreErrorKind};
use audittrail_store_mongo::{INDEXES, Identity, MongoStore, Options, StartError, complete};
use tokio::time::Instant;

use crate::server::{Mongod, new_database};
use crate::support::{Dice, commit, identity, open};

async fn refused(url: &str, identity: &Identity) -> StartError {
    match MongoStore::open(url, identity, Options::default(), Dice::new(9)).await {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_begun_once_and_opened_by_its_own_name_and_keys_only() {
    let url = new_database().await;
    let reader = Identity {
        origin: ORIGIN.to_owned(),
        keys: Vec::new(),
    };
    let error = refused(&url, &reader).await;
    assert!(
        error
            .to_string()
            .contains("there is no log in this database yet"),
        "{error}"
    );

    let opened = MongoStore::open(&url, &identity(), Options::default(), Dice::new(1)).await;
    let (store, report) = opened.unwrap();
    assert!(report.begun && report.size == 0);
    assert_eq!(report.keys, [signer().verifier().to_string()]);
    let names: Vec<&str> = INDEXES.iter().map(|(name, _)| *name).collect();
    assert_eq!(report.indexes.made, names);
    assert_eq!(report.indexes.present.len(), names.len() + 1);

    let edge = store.lead().await.unwrap();
    commit(&store, &edge, &[Generator::new(1).entry()])
        .await
        .unwrap();
    let again = MongoStore::open(&url, &reader, Options::default(), Dice::new(2)).await;
    let (again, report) = again.unwrap();
    assert!(!report.begun && report.indexes.made.is_empty());
    assert_eq!(report.size, 1);
    assert_eq!(again.head().await.unwrap(), store.head().await.unwrap());

    let other = Identity {
        origin: "log.example/other".to_owned(),
        keys: Vec::new(),
    };
    let error = refused(&url, &other).await;
    assert!(matches!(error, StartError::Another(_)), "{error}");
    let other = Identity {
        origin: ORIGIN.to_owned(),
        keys: vec![Signer::from_seed(ORIGIN, [8; 32]).unwrap().verifier()],
    };
    let error = refused(&url, &other).await;
    assert!(
        error
            .to_string()
            .contains("the key that the log was begun with"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_begin_one_log() {
    let url = new_database().await;
    let (one, other) = tokio::join!(open(&url, 1), open(&url, 2));
    assert_eq!(one.head().await.unwrap(), other.head().await.unwrap());
    one.lead().await.unwrap();
    assert_eq!(other.lead().await.unwrap_err().kind(), StoreErrorKind::Led);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_said_to_be_away_soon_and_without_the_password() {
    // Nobody listens there, and nothing answers here.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap();
    for host in ["127.0.0.1:1".to_owned(), silent.to_string()] {
        let url = complete(
            &format!("mongodb://{host}/log"),
            Some("audit"),
            Some("s3cr/t"),
        );
        let options = Options {
            away: Duration::from_millis(500),
            ..Options::default()
        };
        let begin = Instant::now();
        let opened = MongoStore::open(&url.unwrap(), &identity(), options, Dice::new(1)).await;
        let Err(StartError::Store(error)) = opened else {
            panic!("it was opened");
        };
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(begin.elapsed() < Duration::from_secs(5));
        let text = error.to_string();
        assert!(!text.contains("s3cr"), "{text}");
        assert!(text.contains(&host), "{text}");
    }
    for url in [
        "mongodb://",
        "mongodb://a:s3cr@:x/",
        "mongodb://audit:s3cr@127.0.0.1:99999/log",
    ] {
        let error = refused(url, &identity()).await;
        assert!(matches!(error, StartError::Address { .. }), "{error}");
        assert!(!error.to_string().contains("s3cr"), "{error}");
    }
}

/// A name that the server does not know.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_refused_without_being_shown() {
    let url = complete(&new_database().await, Some("nobody"), Some("s3cr@t"));
    let error = refused(&url.unwrap(), &identity()).await;
    assert!(error.to_string().contains("uthentication"), "{error}");
    assert!(!error.to_string().contains("s3cr"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_replica_set_is_refused() {
    let mongod = Mongod::start(false).await;
    let error = refused(&mongod.url("log"), &identity()).await;
    assert!(error.to_string().contains("--replSet rs0"), "{error}");
}
