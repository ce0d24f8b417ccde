//! `audittrail export`
//!
//! A file appears under its name only when the whole export is in it and synced.

use std::io::{IsTerminal as _, Write};

use reqwest::header::{CONTENT_TYPE, TRANSFER_ENCODING};
use reqwest::{Response, StatusCode, Version};

use crate::Failure;
use crate::cli::{ExportArguments, Withheld};
use crate::commands::inputs::Inputs;
use crate::commands::partial::Partial;
use crate::commands::remote;
use crate::lifecycle::asked_to_stop;
use crate::commands::whole::{Form, Whole};

/// Progress is shown each time so many bytes have come.
const PROGRESS_BYTES: u64 = 1 << 20;

fn failed(message: impl Into<String>) -> Failure {
    Failure::Failed(message.into())
}

pub(crate) fn run(arguments: &ExportArguments) -> Result<(), Failure> {
    let token = remote::token(arguments.token.as_deref(), "auditor")?;
    let url = url(arguments)?;
    let target = arguments
        .out
        .as_deref()
        .filter(|path| path.as_os_str() != "-");
    let mut partial = target
        .map(|path| Partial::open(path, "--out", &Inputs::default()))
        .transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(format!("the runtime cannot be started: {error}")))?;
    let mut whole = Whole::new(arguments.format);
    let in_file = partial.is_some();
    let size = runtime.block_on(async {
        let transfer = async {
            let response = ask(url, token, arguments.format).await?;
            let size = tree_size(&response);
            match &mut partial {
                Some(partial) => receive(response, &mut whole, partial.file()).await?,
                None => receive(response, &mut whole, &mut std::io::stdout()).await?,
            }
            Ok(size)
        };
        // What was begun is removed where the end cannot come.
        let stopped = async {
            if in_file {
                asked_to_stop().await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            outcome = transfer => outcome,
            () = stopped => Err(failed("stopped before the end")),
        }
    })?;
    if let Some(partial) = partial {
        let path = partial.finish()?;
        if arguments.format == Form::Report {
            crate::out!(
                "a report of a log of {size} written to {}: open it in a browser",
                path.display()
            );
            return Ok(());
        }
        crate::out!(
            "{} entries of a log of {size} written to {}",
            whole.entries(),
            path.display()
        );
    }
    match whole.unverified() {
        0 => Ok(()),
        unverified => Err(Failure::Unverified(format!(
            "{unverified} of {} entries did not verify; the export is complete, and they are marked \
             in it",
            whole.entries()
        ))),
    }
}

fn url(arguments: &ExportArguments) -> Result<reqwest::Url, Failure> {
    let mut url = remote::url(&arguments.url, "/logs/export/")?;
    let mut query = url.query_pairs_mut();
    query.append_pair("format", arguments.format.name());
    if let Some(Withheld::Sealed) = arguments.withhold {
        if !matches!(arguments.format, Form::Evidence | Form::Report) {
            return Err(Failure::Usage(
                "--withhold: only evidence can leave parts out; give --format evidence or report"
                    .to_owned(),
            ));
        }
        query.append_pair("withhold", "sealed");
    }
    for filter in &arguments.filter {
        let Some((name, value)) = filter.split_once('=') else {
            return Err(Failure::Usage(format!(
                "--filter {filter}: write it like --filter user_id=alice"
            )));
        };
        if name == "format" {
            return Err(Failure::Usage(
                "--filter format: the form is chosen with --format".to_owned(),
            ));
        }
        if name == "withhold" {
            return Err(Failure::Usage(
                "--filter withhold: what is left out is chosen with --withhold".to_owned(),
            ));
        }
        query.append_pair(name, value);
    }
    drop(query);
    Ok(url)
}

/// Sends the request; an answer that is a whole export or breaks off visibly.
async fn ask(url: reqwest::Url, token: &str, form: Form) -> Result<Response, Failure> {
    let client = remote::client()
        .build()
        .map_err(|error| failed(format!("no HTTP client: {error}")))?;
    let shown = url.origin().ascii_serialization();
    let request = client.get(url).bearer_auth(token);
    let response = request.send().await.map_err(|error| {
        failed(format!(
            "{shown} does not answer: {}",
            remote::chain(&error)
        ))
    })?;
    let status = response.status();
    if !status.is_success() {
        let message = format!(
            "the server answered {status}: {}",
            remote::detail(response).await
        );
        return Err(match status {
            StatusCode::BAD_REQUEST => Failure::Usage(message),
            _ => Failure::Failed(message),
        });
    }
    let headers = response.headers();
    let media_type = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let media_type = media_type.unwrap_or_default().split(';').next();
    if media_type.map(str::trim) != Some(form.media_type()) {
        return Err(failed(format!(
            "{shown} sent {} instead of {}: is it the address of an AuditTrail server?",
            media_type.unwrap_or("nothing"),
            form.media_type()
        )));
    }
    // RFC 9112 section 6.3: otherwise a closed connection would be the end, whatever closed it.
    let framed = response.version() >= Version::HTTP_2
        || headers.contains_key(TRANSFER_ENCODING)
        || response.content_length().is_some();
    if !framed {
        return Err(failed(
            "the answer does not say where it ends, so that a part of it could not be told from \
             the whole: a proxy between here and the server has to speak HTTP/1.1 or later",
        ));
    }
    Ok(response)
}

fn tree_size(response: &Response) -> String {
    let size = response.headers().get("x-audittrail-tree-size");
    let size = size.and_then(|size| size.to_str().ok());
    size.unwrap_or("unknown size").to_owned()
}

/// Takes everything in, and sees to it that it is everything.
async fn receive(
    mut response: Response,
    whole: &mut Whole,
    to: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    let cut = |why: &str, whole: &Whole| {
        failed(format!(
            "the export broke off after {} entries: {why}; the server's log says more. Run it again",
            whole.entries()
        ))
    };
    let unwritten =
        |error: &std::io::Error| failed(format!("the export cannot be written: {error}"));
    let mut progress = Progress::default();
    loop {
        let part = match response.chunk().await {
            Ok(Some(part)) => part,
            Ok(None) => break,
            Err(error) => {
                progress.end();
                return Err(cut(&remote::chain(&error), whole));
            }
        };
        whole.take(&part);
        to.write_all(&part).map_err(|error| unwritten(&error))?;
        progress.show(part.len() as u64, whole);
    }
    progress.end();
    to.flush().map_err(|error| unwritten(&error))?;
    if !whole.is_whole() {
        return Err(cut("what came is no whole export", whole));
    }
    Ok(())
}

/// A line on the terminal that says how far it got.
#[derive(Default)]
struct Progress {
    bytes: u64,
    shown: u64,
}

impl Progress {
    fn show(&mut self, came: u64, whole: &Whole) {
        self.bytes += came;
        let due = self.shown == 0 || self.bytes - self.shown >= PROGRESS_BYTES;
        let mut stderr = std::io::stderr();
        if due && stderr.is_terminal() {
            self.shown = self.bytes;
            let _ = write!(
                stderr,
                "\r{} entries, {} MiB",
                whole.entries(),
                self.bytes >> 20
            );
        }
    }

    fn end(&self) {
        if self.shown > 0 {
            crate::note!();
        }
    }
}
