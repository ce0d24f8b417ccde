//! One request to one witness. Whatever it answers is bounded in size and time.

use std::error::Error as _;
use std::time::Duration;

use audittrail_checkpoint::{
    AddCheckpoint, COSIGNATURES_BYTES_MAX, CosignerKey, Note, NoteSignature, parse_conflict,
    parse_cosignatures,
};
use audittrail_entry::Clock as _;
use reqwest::{Client, StatusCode, Url, header};

use crate::Failure;
use crate::ambient::SystemClock;

/// The time for all of an answer.
const LIMIT: Duration = Duration::from_secs(10);
/// A cosignature's time may be so far from our own.
const CLOCKS_APART: Duration = Duration::from_secs(600);

/// Why there is no cosignature.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("it did not answer in full within {} s", LIMIT.as_secs())]
    Timeout,
    #[error("it could not be reached: {0}")]
    Unreachable(String),
    #[error("it answered with a redirect, which is not followed: write the URL that it leads to")]
    Redirect,
    #[error("it answered with the status {0}")]
    Status(StatusCode),
    #[error("it says that the request is malformed (400)")]
    Malformed,
    #[error("it does not trust the log's key (403)")]
    Unsigned,
    #[error("it does not know the log (404): its operator has to add the log's verifier key")]
    UnknownLog,
    #[error(
        "it says that the log does not extend what it cosigned (422): it saw another history, or \
         it does not speak the truth"
    )]
    Unproven,
    #[error("it says that it cosigned another size (409), and not legibly which")]
    UnreadableConflict,
    #[error("it says again and again that it cosigned another size (409)")]
    Conflicts,
    #[error("it says that it cosigned size {0}, which this log does not have")]
    Ahead(u64),
    #[error("its answer is longer than {COSIGNATURES_BYTES_MAX} bytes")]
    TooLarge,
    #[error("its answer has no cosignature of its key that holds: {0}")]
    Invalid(String),
    #[error("its cosignature says {0} seconds since 1970, too far from this clock")]
    Time(u64),
    #[error("no proof for it: {0}")]
    Unproved(String),
}

impl AskError {
    /// Its name in metrics.
    pub(crate) fn outcome(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unreachable(_) => "unreachable",
            Self::Redirect => "redirect",
            Self::Status(_) => "status",
            Self::Malformed => "malformed",
            Self::Unsigned => "unsigned",
            Self::UnknownLog => "unknown-log",
            Self::Unproven => "unproven",
            Self::UnreadableConflict | Self::Conflicts => "conflict",
            Self::Ahead(_) => "ahead",
            Self::TooLarge => "too-large",
            Self::Invalid(_) => "invalid",
            Self::Time(_) => "time",
            Self::Unproved(_) => "no-proof",
        }
    }
}

/// What a witness says that can be gone on with.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Its cosignature, which holds.
    Cosigned(NoteSignature),
    /// It cosigned this size last.
    Conflict(u64),
}

/// A client for all witnesses.
///
/// # Errors
/// Where the system has no certificates to check a witness's with.
pub(crate) fn client() -> Result<Client, Failure> {
    // A redirect could lead anywhere: to plain http, or to a service within.
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(1)
        .user_agent(concat!("audittrail/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Failure::Failed(format!("no HTTP client for the witnesses: {error}")))
}

/// Asks one witness.
pub(crate) struct Asker {
    client: Client,
    url: Url,
    /// Its name in the policy.
    pub(crate) label: String,
    key: CosignerKey,
}

impl Asker {
    pub(crate) fn new(client: Client, url: Url, label: String, key: CosignerKey) -> Self {
        Self {
            client,
            url,
            label,
            key,
        }
    }

    /// Sends a request, and checks what comes back.
    pub(crate) async fn ask(&self, request: &AddCheckpoint) -> Result<Answer, AskError> {
        let answer = tokio::time::timeout(LIMIT, self.exchange(request)).await;
        let answer = answer.unwrap_or(Err(AskError::Timeout));
        let outcome = match &answer {
            Ok(Answer::Cosigned(_)) => "success",
            Ok(Answer::Conflict(_)) => "conflict",
            Err(error) => error.outcome(),
        };
        let labels = [
            ("witness", self.label.clone()),
            ("outcome", outcome.to_owned()),
        ];
        metrics::counter!("audittrail_witness_requests_total", &labels).increment(1);
        answer
    }

    async fn exchange(&self, request: &AddCheckpoint) -> Result<Answer, AskError> {
        let response = self.client.post(self.url.clone());
        let response = response.body(request.to_string()).send().await;
        let mut response = response.map_err(unreachable)?;
        let status = response.status();
        let refused = match status.as_u16() {
            200 | 409 => None,
            300..=399 => Some(AskError::Redirect),
            400 => Some(AskError::Malformed),
            403 => Some(AskError::Unsigned),
            404 => Some(AskError::UnknownLog),
            422 => Some(AskError::Unproven),
            _ => Some(AskError::Status(status)),
        };
        if let Some(refused) = refused {
            return Err(refused);
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if bytes.len() + chunk.len() > COSIGNATURES_BYTES_MAX {
                return Err(AskError::TooLarge);
            }
            bytes.extend_from_slice(&chunk);
        }
        if status == StatusCode::OK {
            return self.cosignature(&request.checkpoint, &bytes);
        }
        let media_type = response.headers().get(header::CONTENT_TYPE);
        let media_type = media_type.and_then(|value| value.to_str().ok());
        let size = parse_conflict(media_type, &bytes).ok_or(AskError::UnreadableConflict)?;
        Ok(Answer::Conflict(size))
    }

    /// The newest cosignature of this witness's key. Those of other keys do not count; one of
    /// this key that does not hold makes all of the answer worthless.
    fn cosignature(&self, checkpoint: &str, answer: &[u8]) -> Result<Answer, AskError> {
        let invalid = |error: &dyn std::fmt::Display| AskError::Invalid(error.to_string());
        let lines = parse_cosignatures(answer).map_err(|error| invalid(&error))?;
        let note = Note::parse(checkpoint.as_bytes()).map_err(|error| invalid(&error))?;
        let mut newest: Option<(u64, NoteSignature)> = None;
        for line in lines.into_iter().filter(|line| self.key.made(line)) {
            let time = self.key.verify(&note.text, &line.signature);
            let time = time.ok_or_else(|| invalid(&"a signature of its key does not hold"))?;
            if newest.as_ref().is_none_or(|(than, _)| time > *than) {
                newest = Some((time, line));
            }
        }
        let (time, line) = newest.ok_or_else(|| invalid(&"no signature is of its key"))?;
        let now = SystemClock.now().nanos() / 1_000_000_000;
        let apart = now.abs_diff(i64::try_from(time).unwrap_or(i64::MAX));
        if time == 0 || apart > CLOCKS_APART.as_secs() {
            return Err(AskError::Time(time));
        }
        Ok(Answer::Cosigned(line))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn unreachable(error: reqwest::Error) -> AskError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    AskError::Unreachable(text)
}
