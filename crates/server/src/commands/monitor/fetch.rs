//! Reading from a log that may be hostile: bounded in time and size, redirects not followed.

use std::io::Read as _;
use std::time::Duration;

use audittrail_merkle::{BundleId, Hash, TILE_WIDTH, TileId};
use audittrail_monitor::{BUNDLE_BYTES_MAX, first_entries, tile_hashes};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use reqwest::{Client, Response, StatusCode, Url};

use super::finding::{Finding, Kind, Trouble};
use crate::Failure;
use crate::commands::remote;

/// A signed note is no longer.
const NOTE_BYTES: usize = 1 << 20;
const TILE_BYTES: usize = 32 * TILE_WIDTH as usize;

/// A log that is read by HTTP.
pub(super) struct Log {
    client: Client,
    base: String,
    token: Option<String>,
    limit: Duration,
}

/// An answer that says something about the log.
enum Answer {
    Found(Vec<u8>),
    NotFound,
}

pub(super) fn client(limit: Duration) -> Result<Client, Failure> {
    // A redirect could lead anywhere, and take the token with it.
    let client = remote::client()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(limit)
        .user_agent(concat!("audittrail/", env!("CARGO_PKG_VERSION")))
        .build();
    client.map_err(|error| Failure::Failed(format!("no HTTP client: {error}")))
}

impl Log {
    pub(super) fn new(url: &str, token: Option<&str>, limit: Duration) -> Result<Self, Failure> {
        remote::url(url, "/checkpoint")?;
        Ok(Self {
            client: client(limit)?,
            base: url.trim_end_matches('/').to_owned(),
            token: token.filter(|token| !token.is_empty()).map(str::to_owned),
            limit,
        })
    }

    /// The newest checkpoint.
    pub(super) async fn checkpoint(&self) -> Result<Vec<u8>, Trouble> {
        match self.get("checkpoint", NOTE_BYTES).await? {
            Answer::Found(note) => Ok(note),
            Answer::NotFound => Err(Trouble::Away(format!(
                "{}/checkpoint is not found; give the URL below which the log has its checkpoint \
                 and its tiles",
                self.base
            ))),
        }
    }

    /// A tile's hashes. A log may have the full tile alone by now where a part is asked for.
    pub(super) async fn tile(&self, id: TileId) -> Result<Vec<Hash>, Trouble> {
        let (mut path, mut width) = (id.path(), id.width);
        let mut answer = self.get(&path, TILE_BYTES).await?;
        if matches!(answer, Answer::NotFound) && id.width != TILE_WIDTH as u16 {
            width = TILE_WIDTH as u16;
            path = TileId { width, ..id }.path();
            answer = self.get(&path, TILE_BYTES).await?;
        }
        let Answer::Found(bytes) = answer else {
            return Err(missing(&id.path()).into());
        };
        let mut hashes = tile_hashes(&bytes, width).ok_or_else(|| {
            let bytes = bytes.len();
            let detail = format!("{path} has {bytes} bytes, not {width} hashes of 32");
            Finding::new(Kind::Content, &path, detail)
        })?;
        hashes.truncate(usize::from(id.width));
        Ok(hashes)
    }

    /// A bundle of entries, unchecked.
    pub(super) async fn bundle(&self, id: BundleId) -> Result<Vec<u8>, Trouble> {
        if let Answer::Found(bytes) = self.get(&id.path(), BUNDLE_BYTES_MAX).await? {
            return Ok(bytes);
        }
        let full = BundleId {
            width: TILE_WIDTH as u16,
            ..id
        };
        if full != id
            && let Answer::Found(bytes) = self.get(&full.path(), BUNDLE_BYTES_MAX).await?
        {
            let first = first_entries(&bytes, id.width).map(<[u8]>::to_vec);
            let short = || Finding::new(Kind::Content, full.path(), "the bundle is cut short");
            return first.ok_or_else(|| short().into());
        }
        Err(missing(&id.path()).into())
    }

    async fn get(&self, path: &str, limit: usize) -> Result<Answer, Trouble> {
        let url = Url::parse(&format!("{}/{path}", self.base))
            .map_err(|error| Trouble::Away(format!("{path}: {error}")))?;
        // Bundles get smaller by it, and other logs have them in no other form.
        let mut request = self.client.get(url).header(ACCEPT_ENCODING, "gzip");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request
            .send()
            .await
            .map_err(|error| self.silent(path, &error))?;
        match response.status() {
            StatusCode::OK => self.body(path, response, limit).await.map(Answer::Found),
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(Answer::NotFound),
            _ => Err(refused(path, response).await),
        }
    }

    fn silent(&self, path: &str, error: &reqwest::Error) -> Trouble {
        Trouble::Away(if error.is_timeout() && !error.is_connect() {
            let seconds = self.limit.as_secs_f32();
            format!("{path}: the log did not answer in full within {seconds} s")
        } else {
            format!("{path}: the log does not answer: {}", remote::chain(error))
        })
    }

    async fn body(
        &self,
        path: &str,
        mut response: Response,
        limit: usize,
    ) -> Result<Vec<u8>, Trouble> {
        let wrong = |detail: String| Finding::new(Kind::Content, path, format!("{path} {detail}"));
        let long = || wrong(format!("is longer than {limit} bytes, and was not read on"));
        let encoding = response.headers().get(CONTENT_ENCODING);
        let encoding = encoding.map(|value| value.as_bytes().to_ascii_lowercase());
        let gzip = match encoding.as_deref() {
            None | Some(b"" | b"identity") => false,
            Some(b"gzip") => true,
            Some(_) => {
                return Err(wrong("came in an encoding that was not asked for".to_owned()).into());
            }
        };
        let mut bytes = Vec::new();
        let broken = |error: reqwest::Error| self.silent(path, &error);
        while let Some(part) = response.chunk().await.map_err(broken)? {
            bytes.extend_from_slice(&part);
            if bytes.len() > limit {
                return Err(long().into());
            }
        }
        if !gzip {
            return Ok(bytes);
        }
        let mut whole = Vec::new();
        let mut decoder =
            flate2::read::MultiGzDecoder::new(bytes.as_slice()).take(limit as u64 + 1);
        let read = decoder.read_to_end(&mut whole);
        read.map_err(|error| wrong(format!("is not the gzip that it says: {error}")))?;
        if whole.len() > limit {
            return Err(long().into());
        }
        Ok(whole)
    }
}

fn missing(path: &str) -> Finding {
    let detail = format!("{path} is not there, though the checkpoint covers it");
    Finding::new(Kind::Missing, path, detail)
}

/// A status that is neither 200 nor 404.
async fn refused(path: &str, response: Response) -> Trouble {
    let status = response.status();
    if status.is_redirection() {
        return Trouble::Away(format!(
            "{path}: the log answered with a redirect, which is not followed: give the URL that it \
             leads to"
        ));
    }
    let problem = remote::problem(response).await;
    let detail = remote::detail_of(&problem);
    if problem["type"] == "urn:audittrail:problem:damaged" {
        let detail = format!("{path} is damaged, the log says: {detail}");
        return Finding::new(Kind::Damaged, path, detail).into();
    }
    Trouble::Away(format!("{path}: the log answered {status}: {detail}"))
}
