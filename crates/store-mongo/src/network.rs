//! The connection: collections with the concerns that the log needs, and a bound on every wait.

use std::time::Duration;

use audittrail_store::StoreError;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use mongodb::error::Result as Answer;
use mongodb::options::{
    Acknowledgment, ClientOptions, CollectionOptions, ReadConcern, ReadPreference,
    SelectionCriteria, WriteConcern,
};
use mongodb::{Client, Collection, Database};

use crate::Options;
use crate::failure::{described, silent, unavailable};
use crate::head::{self, Head};
use crate::start::StartError;

/// The database of a URL that names none.
const DATABASE: &str = "audittrail";

/// What all parts of the store talk to.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) entries: Collection<RawDocumentBuf>,
    pub(crate) tiles: Collection<RawDocumentBuf>,
    pub(crate) head: Collection<Document>,
    pub(crate) database: Database,
    pub(crate) options: Options,
}

/// A majority of the servers has it in its journal.
pub(crate) fn durable() -> WriteConcern {
    WriteConcern::builder()
        .w(Acknowledgment::Majority)
        .journal(true)
        .build()
}

impl Network {
    /// Reads the URL, looks up its names where it is an `srv` one, and starts to connect.
    pub(crate) async fn connect(url: &str, options: Options) -> Result<Self, StartError> {
        let mut wanted = tokio::time::timeout(options.operation, ClientOptions::parse(url))
            .await
            .map_err(|_| StartError::address(url, "its names were not resolved in time"))?
            .map_err(|error| StartError::address(url, &described(&error).to_string()))?;
        wanted
            .app_name
            .get_or_insert_with(|| "audittrail".to_owned());
        wanted.server_selection_timeout = Some(options.away);
        wanted.connect_timeout = Some(options.away);
        // A write that failed is never sent again as it is: the lead is taken anew.
        wanted.retry_writes = Some(false);
        // Whatever the URL says, the log is read and written so.
        wanted.read_concern = Some(ReadConcern::majority());
        wanted.write_concern = Some(durable());
        wanted.selection_criteria =
            Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        let name = wanted.default_database.clone();
        let client = Client::with_options(wanted)
            .map_err(|error| StartError::address(url, &described(&error).to_string()))?;
        let database = client.database(name.as_deref().unwrap_or(DATABASE));
        let concerns = CollectionOptions::builder()
            .read_concern(ReadConcern::majority())
            .write_concern(durable())
            .build();
        Ok(Self {
            entries: database.collection_with_options("entries", concerns.clone()),
            tiles: database.collection_with_options("tiles", concerns.clone()),
            head: database.collection_with_options("head", concerns),
            database,
            options,
        })
    }

    /// An answer, or why there is none, within the time that an operation may take.
    pub(crate) async fn bounded<T>(
        &self,
        what: &str,
        operation: impl IntoFuture<Output = Answer<T>>,
    ) -> Result<T, StoreError> {
        within(self.options.operation, what, operation).await
    }

    /// The head, and whether the lease of whoever leads has not been over for `grace`, by the
    /// server's clock.
    pub(crate) async fn read_head_and_lead(
        &self,
        grace: Duration,
    ) -> Result<(Head, bool), StoreError> {
        let grace = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
        let mut fields: Document = head::MEMBERS
            .iter()
            .map(|name| ((*name).to_owned(), Bson::Int32(1)))
            .collect();
        fields.insert(
            "led",
            doc! { "$gt": [{ "$add": ["$lease.until", grace] }, "$$NOW"] },
        );
        let find = self.head.find_one(doc! { "_id": head::ID });
        let find = find.projection(fields);
        let document = self.bounded("the head cannot be read", find).await?;
        let document = document.ok_or_else(gone)?;
        let led = document.get_bool("led").unwrap_or(false);
        Ok((Head::read(&document)?, led))
    }

    /// The head, as a majority of the servers has it.
    pub(crate) async fn read_head(&self) -> Result<Head, StoreError> {
        let find = self.head.find_one(doc! { "_id": head::ID });
        let document = self.bounded("the head cannot be read", find).await?;
        Head::read(&document.ok_or_else(gone)?)
    }
}

fn gone() -> StoreError {
    crate::failure::broken("the document `head` is gone; put it back from a backup")
}

/// An answer, or why there is none, within a time.
pub(crate) async fn within<T>(
    time: Duration,
    what: &str,
    operation: impl IntoFuture<Output = Answer<T>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(time, operation.into_future()).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(unavailable(what, &error)),
        Err(_) => Err(silent(what, time)),
    }
}
