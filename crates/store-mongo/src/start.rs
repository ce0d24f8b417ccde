//! Opening a log: the server has to be fit for it, and the log has to be the one that is meant.

use std::sync::Arc;

use audittrail_checkpoint::VerifierKey;
use audittrail_entry::Random;
use audittrail_store::{StoreError, StoreErrorKind};
use mongodb::bson::{Document, doc};

use crate::failure::{described, is_duplicate, keeps_out, silent, unavailable};
use crate::head::{self, Head};
use crate::network::Network;
use crate::{Identity, IndexReport, MongoStore, Options, address, indexes};

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The URL cannot be used. The message does not have its password.
    #[error("the store's URL {url} cannot be used: {why}")]
    Address {
        /// The URL without user, password and options.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The server is not one that a log can be kept on.
    #[error("{0}")]
    Unfit(String),
    /// No log was begun there, and no key was given to begin one.
    #[error(
        "there is no log in this database yet: start a process that sequences first, with a \
         checkpoint key"
    )]
    NoLog,
    /// The database has another log.
    #[error("{0}")]
    Another(String),
    /// The server cannot be reached, or what it holds cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StartError {
    pub(crate) fn address(url: &str, why: &str) -> Self {
        Self::Address {
            url: address::shown(url),
            why: address::without_password(why, url),
        }
    }
}

/// What a start found and made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartReport {
    /// The number of entries.
    pub size: u64,
    /// Whether the log was begun now.
    pub begun: bool,
    /// The verifier keys of the log, as texts.
    pub keys: Vec<String>,
    /// The indexes.
    pub indexes: IndexReport,
}

impl MongoStore {
    /// Opens the log in the database that the URL names, `audittrail` if it names none, and
    /// begins it if there is none and keys are given. The URL comes from [`crate::complete`].
    ///
    /// # Errors
    /// If the URL cannot be used, no server answers, it is not a member of a replica set, or
    /// the database has the log of another origin or other keys.
    pub async fn open(
        url: &str,
        identity: &Identity,
        options: Options,
        random: Arc<dyn Random>,
    ) -> Result<(Self, StartReport), StartError> {
        let network = Network::connect(url, options).await?;
        check_fit(&network, url).await?;
        let (head, begun) = find_or_begin(&network, identity).await?;
        check_identity(&head, identity)?;
        let indexes = indexes::make(&network.entries)
            .await
            .map_err(|error| unavailable("indexes cannot be made", &error))?;
        let report = StartReport {
            size: head.edge.size(),
            begun,
            keys: head.keys.clone(),
            indexes,
        };
        Ok((Self::new(network, head.tree_head(), random), report))
    }
}

impl MongoStore {
    /// Whose log is in the database that the URL names, as it says itself: who has to know better
    /// compares the keys with what is known from elsewhere. Nothing is begun there.
    ///
    /// # Errors
    /// As for [`MongoStore::open`], and if there is no log or a key of it cannot be read.
    pub async fn identity_at(url: &str, options: Options) -> Result<Identity, StartError> {
        let network = Network::connect(url, options).await?;
        let found = identity_in(&network, url).await;
        network.database.client().clone().shutdown().await;
        found
    }
}

async fn identity_in(network: &Network, url: &str) -> Result<Identity, StartError> {
    check_fit(network, url).await?;
    let find = network.head.find_one(doc! { "_id": head::ID });
    let found = network.bounded("the head cannot be read", find).await?;
    let head = Head::read(&found.ok_or(StartError::NoLog)?)?;
    let keys = head.keys.iter().map(|key| VerifierKey::parse(key));
    let keys = keys.collect::<Result<Vec<_>, _>>().map_err(|error| {
        StartError::Another(format!(
            "a verifier key that the database names for the log {} cannot be read: {error}",
            head.origin
        ))
    })?;
    Ok(Identity {
        origin: head.origin,
        keys,
    })
}

/// A password is in no error.
async fn check_fit(network: &Network, url: &str) -> Result<(), StartError> {
    check_server(network).await.map_err(|error| match error {
        StartError::Store(error) => {
            let why = address::without_password(&error.to_string(), url);
            StartError::Store(StoreError::new(error.kind(), why))
        }
        other => other,
    })
}

/// Without a replica set there is no majority, and a read may show what a crash takes back.
async fn check_server(network: &Network) -> Result<(), StartError> {
    let hello = network.database.run_command(doc! { "hello": 1 });
    let what = "the server does not answer";
    let time = network.options.operation;
    let hello: Document = match tokio::time::timeout(time, hello.into_future()).await {
        Ok(Ok(hello)) => hello,
        Ok(Err(error)) if keeps_out(&error) => {
            let why = described(&error);
            return Err(StartError::Unfit(format!(
                "MongoDB does not let this user in: {why}. User and password come from the URL, or \
                 from MONGO_USERNAME and MONGO_PASSWORD; authSource in the URL names the database that \
                 knows the user"
            )));
        }
        Ok(Err(error)) => return Err(unavailable(what, &error).into()),
        Err(_) => return Err(silent(what, time).into()),
    };
    if hello.contains_key("setName") || hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid") {
        return Ok(());
    }
    Err(StartError::Unfit(
        "this MongoDB server is not a member of a replica set, without which nothing says what a \
         crash keeps. One server can be a set: start it with --replSet rs0, and run \
         rs.initiate() once in mongosh"
            .to_owned(),
    ))
}

async fn find_or_begin(network: &Network, identity: &Identity) -> Result<(Head, bool), StartError> {
    let find = || network.head.find_one(doc! { "_id": head::ID });
    if let Some(found) = network.bounded("the head cannot be read", find()).await? {
        return Ok((Head::read(&found)?, false));
    }
    if identity.keys.is_empty() {
        return Err(StartError::NoLog);
    }
    let keys: Vec<String> = identity.keys.iter().map(ToString::to_string).collect();
    let begin = network
        .head
        .update_one(
            doc! { "_id": head::ID },
            doc! { "$setOnInsert": head::empty(&identity.origin, &keys) },
        )
        .upsert(true);
    let what = "the log cannot be begun";
    match tokio::time::timeout(network.options.operation, begin.into_future()).await {
        Ok(Ok(_)) => {}
        // Another process was faster.
        Ok(Err(error)) if is_duplicate(&error) => {}
        Ok(Err(error)) => return Err(unavailable(what, &error).into()),
        Err(_) => return Err(silent(what, network.options.operation).into()),
    }
    let found = network.bounded("the head cannot be read", find()).await?;
    let found = found.ok_or_else(|| StoreError::new(StoreErrorKind::Unavailable, what))?;
    Ok((Head::read(&found)?, true))
}

fn check_identity(head: &Head, identity: &Identity) -> Result<(), StartError> {
    if head.origin != identity.origin {
        return Err(StartError::Another(format!(
            "the database has the log {}, not {}: set AUDITTRAIL_ORIGIN to the former, or name \
             another database in AUDITTRAIL_STORE",
            head.origin, identity.origin
        )));
    }
    let sorted = |keys: &mut Vec<String>| keys.sort();
    let (mut pinned, mut given) = (head.keys.clone(), Vec::new());
    given.extend(identity.keys.iter().map(ToString::to_string));
    sorted(&mut pinned);
    sorted(&mut given);
    if !given.is_empty() && pinned != given {
        return Err(StartError::Another(format!(
            "the log {} has the verifier keys {}, and the checkpoint key given here is that of \
             {}: give the key that the log was begun with",
            head.origin,
            pinned.join(", "),
            given.join(", ")
        )));
    }
    Ok(())
}
