//! Reading a JWKS once, from a file or from an issuer.

use std::error::Error;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use audittrail_auth::{JwksError, MAX_JWKS_BYTES};
use reqwest::{Client, StatusCode, Url};

use super::Source;
use crate::Failure;

/// The time for all of an answer. Requests with new keys wait as long.
const LIMIT: Duration = Duration::from_secs(5);

/// Why there is no new set. The last one stays in use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("it did not answer in full within {} s", LIMIT.as_secs())]
    Timeout,
    #[error("it could not be reached: {0}")]
    Unreachable(String),
    #[error("it answered with a redirect, which is not followed: name the URL that it leads to")]
    Redirect,
    #[error("it answered with the status {0}")]
    Status(StatusCode),
    #[error("the file could not be read: {0}")]
    Unreadable(#[from] std::io::Error),
    #[error("{0}")]
    Invalid(#[from] JwksError),
}

impl FetchError {
    pub(crate) const OUTCOMES: [&str; 7] = [
        "timeout",
        "unreachable",
        "redirect",
        "status",
        "unreadable",
        "too-large",
        "invalid",
    ];

    /// Its name in metrics.
    pub(crate) fn outcome(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unreachable(_) => "unreachable",
            Self::Redirect => "redirect",
            Self::Status(_) => "status",
            Self::Unreadable(_) => "unreadable",
            Self::Invalid(JwksError::TooLarge) => "too-large",
            Self::Invalid(_) => "invalid",
        }
    }
}

/// Reads a source, again and again.
pub(crate) struct Fetcher(From);

enum From {
    File(PathBuf),
    Url(Url, Client),
}

impl Fetcher {
    /// # Errors
    /// Where the system has no certificates to check an issuer's with.
    pub(crate) fn new(source: &Source) -> Result<Self, Failure> {
        Ok(Self(match source {
            Source::File(path) => From::File(path.clone()),
            Source::Url(url) => {
                // A redirect could lead anywhere: to plain http, or to a service within.
                let client = Client::builder()
                    .redirect(reqwest::redirect::Policy::none())
                    .pool_max_idle_per_host(0)
                    .user_agent(concat!("audittrail/", env!("CARGO_PKG_VERSION")))
                    .build()
                    .map_err(|error| {
                        Failure::Failed(format!(
                            "no HTTP client for the JWKS: {}",
                            with_causes(&error)
                        ))
                    })?;
                From::Url(url.clone(), client)
            }
        }))
    }

    /// The bytes that the source has now, within [`LIMIT`] and [`MAX_JWKS_BYTES`].
    pub(crate) async fn fetch(&self) -> Result<Vec<u8>, FetchError> {
        let read = async {
            match &self.0 {
                From::File(path) => read_file_aside(path.clone()).await,
                From::Url(url, client) => get(client, url).await,
            }
        };
        let bytes = tokio::time::timeout(LIMIT, read).await;
        bytes.map_err(|_| FetchError::Timeout)?
    }
}

async fn get(client: &Client, url: &Url) -> Result<Vec<u8>, FetchError> {
    let unreachable =
        |error: reqwest::Error| FetchError::Unreachable(with_causes(&error.without_url()));
    let request = client
        .get(url.clone())
        .header("accept", "application/jwk-set+json, application/json");
    let mut response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    if status.is_redirection() {
        return Err(FetchError::Redirect);
    }
    if status != StatusCode::OK {
        return Err(FetchError::Status(status));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if bytes.len() + chunk.len() > MAX_JWKS_BYTES {
            return Err(JwksError::TooLarge.into());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// On a thread of its own: a file on a network may take its time.
#[expect(
    clippy::disallowed_methods,
    reason = "the server moves what blocks aside"
)]
async fn read_file_aside(path: PathBuf) -> Result<Vec<u8>, FetchError> {
    let read = tokio::task::spawn_blocking(move || read_file(&path)).await;
    read.unwrap_or_else(|error| Err(std::io::Error::other(error).into()))
}

/// All of a file, if it is one: a pipe could keep the reader for ever.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, FetchError> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is not a file").into());
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(MAX_JWKS_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
