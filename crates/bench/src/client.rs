//! One keep-alive connection, driven by the task that uses it.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::BenchError;

/// A server that takes no connection within this is not there.
const CONNECT: Duration = Duration::from_secs(10);

/// A server to send to.
#[derive(Debug, Clone)]
pub struct Target {
    host: String,
    port: u16,
    /// What stands before every path; empty, or beginning with `/`.
    base: String,
    authorization: String,
    /// The server's process, where it is known: what it costs is read in `/proc`.
    pub pid: Option<u32>,
}

/// An answer, its body counted.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    /// Line ends in the body, where these were asked for.
    pub(crate) lines: u64,
    /// The body, where it was asked for or the status is no success; of the latter its first part.
    pub(crate) body: Vec<u8>,
}

/// Whether an answer's body is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    Count,
    Lines,
    Keep,
}

/// Of a refusal so much is kept.
const REFUSAL_BYTES: usize = 4 << 10;

impl Target {
    /// The server at `url`, with a token for it.
    ///
    /// # Errors
    /// If the address is none of plain http.
    pub fn new(url: &str, token: &str, pid: Option<u32>) -> Result<Self, BenchError> {
        let unusable = || {
            BenchError::new(format!(
                "url is {url}; write it like http://127.0.0.1:8000. The load is sent by plain http"
            ))
        };
        let uri: Uri = url.trim_end_matches('/').parse().map_err(|_| unusable())?;
        let host = uri.host().ok_or_else(unusable)?;
        if uri.scheme_str() != Some("http") || uri.query().is_some() {
            return Err(unusable());
        }
        Ok(Self {
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(80),
            base: uri.path().trim_end_matches('/').to_owned(),
            authorization: format!("Bearer {token}"),
            pid,
        })
    }

    pub(crate) fn post(&self, path: &str, media_type: &str, body: Vec<u8>) -> Request<Full<Bytes>> {
        let mut request = self.request(Method::POST, path, body);
        if let Ok(value) = media_type.parse() {
            request.headers_mut().insert(CONTENT_TYPE, value);
        }
        request
    }

    pub(crate) fn get(&self, path: &str) -> Request<Full<Bytes>> {
        self.request(Method::GET, path, Vec::new())
    }

    /// A request; what cannot be sent as one asks for the root, and is refused by the server.
    fn request(&self, method: Method, path: &str, body: Vec<u8>) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = method;
        if let Ok(uri) = format!("{}{path}", self.base).parse() {
            *request.uri_mut() = uri;
        }
        let headers = [
            (HOST, format!("{}:{}", self.host, self.port)),
            (AUTHORIZATION, self.authorization.clone()),
        ];
        for (name, value) in headers {
            if let Ok(value) = value.parse() {
                request.headers_mut().insert(name, value);
            }
        }
        request
    }

    /// Opens a connection and gives it to `work`. Both run in this task, so that no request
    /// goes from one thread to another on its way.
    pub(crate) async fn with_connection<T>(
        &self,
        work: impl AsyncFnOnce(Sender) -> T,
    ) -> Result<T, BenchError> {
        let address = (self.host.trim_matches(['[', ']']), self.port);
        let what = || format!("{}:{} cannot be reached", self.host, self.port);
        let connect = tokio::time::timeout(CONNECT, TcpStream::connect(address)).await;
        let stream = connect
            .map_err(BenchError::because(what()))?
            .map_err(BenchError::because(what()))?;
        stream
            .set_nodelay(true)
            .map_err(BenchError::because(what()))?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(BenchError::because(what()))?;
        let work = pin!(work(Sender(sender)));
        match select(work, pin!(connection)).await {
            Either::Left((done, _)) => Ok(done),
            // The connection has ended; the work notices with what it does next.
            Either::Right((_, work)) => Ok(work.await),
        }
    }

    /// One request on a connection of its own, its body kept.
    pub(crate) async fn once(&self, request: Request<Full<Bytes>>) -> Result<Answer, BenchError> {
        self.with_connection(async |mut sender| sender.exchange(request, Body::Keep).await)
            .await?
    }
}

/// The sending side of a connection.
#[derive(Debug)]
pub(crate) struct Sender(SendRequest<Full<Bytes>>);

impl Sender {
    /// Sends a request and reads the whole answer.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        keep: Body,
    ) -> Result<Answer, BenchError> {
        let lost = || BenchError::because("the connection was lost");
        self.0.ready().await.map_err(lost())?;
        let response = self.0.send_request(request).await.map_err(lost())?;
        let status = response.status();
        let lines = keep == Body::Lines;
        let (keep, most) = match keep {
            Body::Keep => (true, usize::MAX),
            Body::Count | Body::Lines => (!status.is_success(), REFUSAL_BYTES),
        };
        let mut answer = Answer {
            status: status.as_u16(),
            bytes: 0,
            lines: 0,
            body: Vec::new(),
        };
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame.map_err(lost())?.into_data() {
                answer.bytes += data.len() as u64;
                if lines {
                    let ends = data.iter().filter(|byte| **byte == b'\n').count();
                    answer.lines += ends as u64;
                }
                if keep && answer.body.len() < most {
                    answer.body.extend_from_slice(&data);
                }
            }
        }
        Ok(answer)
    }
}

impl Answer {
    /// The body of a success as JSON.
    pub(crate) fn json(&self, what: &str) -> Result<serde_json::Value, BenchError> {
        if !(200..300).contains(&self.status) {
            return Err(BenchError::new(format!(
                "{what}: {}",
                refusal(self.status, &self.body)
            )));
        }
        serde_json::from_slice(&self.body).map_err(BenchError::because(format!("{what}: no JSON")))
    }
}

/// What a refusal says.
pub(crate) fn refusal(status: u16, body: &[u8]) -> String {
    let problem: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let detail = problem.get("detail").and_then(serde_json::Value::as_str);
    format!("{status}: {}", detail.unwrap_or("it does not say why"))
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn only_plain_http_is_taken() {
        for url in [
            "http://127.0.0.1:8000",
            "http://[::1]:8000/audit/",
            "http://example.org",
        ] {
            assert!(Target::new(url, "t", None).is_ok(), "{url}");
        }
        for url in [
            "https://example.org",
            "127.0.0.1:8000",
            "http://",
            "http://a/?b=c",
        ] {
            assert!(Target::new(url, "t", None).is_err(), "{url}");
        }
    }
}
