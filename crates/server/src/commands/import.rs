//! `audittrail import`

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal as _, Read, Write};
use std::path::Path;
use std::time::Duration;

use reqwest::StatusCode;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::Failure;
use crate::cli::ImportArguments;
use crate::commands::inputs::Inputs;
use crate::commands::remote;
use crate::settings::Settings;

/// A request stays below this, far from the server's bound.
const REQUEST_BYTES: usize = 8 << 20;
/// A line that is longer is no entry.
const LINE_BYTES: usize = 4 << 20;
const TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_secs(1);

fn failed(message: impl Into<String>) -> Failure {
    Failure::Failed(message.into())
}

pub(crate) fn run(_: &Settings, arguments: &ImportArguments) -> Result<(), Failure> {
    let token = remote::token(arguments.token.as_deref(), "writer")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(format!("the runtime cannot be started: {error}")))?;
    runtime.block_on(import(arguments, token))
}

async fn import(arguments: &ImportArguments, token: &str) -> Result<(), Failure> {
    let (source, input) = open(&arguments.file)?;
    let mut url = remote::url(&arguments.url, "/logs/create/")?;
    url.set_query(Some("on_error=skip&receipts=none"));
    let reject = open_reject(arguments)?;
    let client = remote::client()
        .timeout(Duration::from_secs(120))
        .build()
        .map_err(|error| failed(format!("no HTTP client: {error}")))?;
    let mut import = Import {
        client,
        url,
        token,
        reject,
        sent: 0,
        stored: 0,
        refused: 0,
    };
    let mut lines = Lines {
        input: BufReader::with_capacity(1 << 20, input),
        number: 0,
    };
    let mut batch = Batch::default();
    while let Some(line) = lines.next()? {
        match line {
            Err((number, reason, text)) => {
                import.sent += 1;
                import.refuse(number, &reason, &text)?;
            }
            Ok((_, text)) if text.trim_ascii().is_empty() => {}
            Ok((number, text)) => {
                batch.push(&source, number, text);
                let full = batch.lines.len() >= arguments.batch as usize;
                if full || batch.bytes.len() >= REQUEST_BYTES {
                    import.send(&mut batch).await?;
                }
            }
        }
    }
    import.send(&mut batch).await?;
    import.finish()
}

/// The reject file, empty. It is never the file that is read.
fn open_reject(arguments: &ImportArguments) -> Result<Option<File>, Failure> {
    let Some(path) = &arguments.reject else {
        return Ok(None);
    };
    let mut inputs = Inputs::default();
    if arguments.file == Path::new("-") {
        inputs.add_stdin();
    } else {
        inputs.add_path(&arguments.file);
    }
    inputs.refuse("--reject", path)?;
    let file = File::create(path)
        .map_err(|error| Failure::Usage(format!("{} cannot be made: {error}", path.display())))?;
    Ok(Some(file))
}

fn open(path: &Path) -> Result<(String, Box<dyn Read>), Failure> {
    if path == Path::new("-") {
        return Ok(("-".to_owned(), Box::new(std::io::stdin())));
    }
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let file = File::open(path)
        .map_err(|error| Failure::Usage(format!("{} cannot be read: {error}", path.display())))?;
    Ok((name, Box::new(file)))
}

struct Lines<R> {
    input: R,
    number: u64,
}

/// A line with its number, or one that cannot be sent, with the reason.
type Line = Result<(u64, Vec<u8>), (u64, String, Vec<u8>)>;

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Result<Option<Line>, Failure> {
        let mut line = Vec::new();
        let bounded = &mut (&mut self.input).take(LINE_BYTES as u64 + 1);
        let read = bounded.read_until(b'\n', &mut line);
        let read = read.map_err(|error| failed(format!("the file cannot be read: {error}")))?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.len() > LINE_BYTES {
            self.skip_line()?;
            let reason = format!("the line is longer than {LINE_BYTES} bytes");
            return Ok(Some(Err((self.number, reason, Vec::new()))));
        }
        Ok(Some(Ok((self.number, line))))
    }

    fn skip_line(&mut self) -> Result<(), Failure> {
        loop {
            let buffer = self.input.fill_buf();
            let buffer =
                buffer.map_err(|error| failed(format!("the file cannot be read: {error}")))?;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(buffer.len(), |at| at + 1);
            let done = end.is_some() || buffer.is_empty();
            self.input.consume(used);
            if done {
                return Ok(());
            }
        }
    }
}

/// Gives an entry without an id one that is the same each time, so that sending it again
/// stores nothing twice. A line that is no JSON object is left for the server to refuse.
fn with_id<'a>(source: &str, number: u64, line: &'a [u8]) -> Cow<'a, [u8]> {
    #[derive(Deserialize)]
    struct Id<'a> {
        #[serde(borrow, default, deserialize_with = "given")]
        id: Option<&'a RawValue>,
    }
    // A null, too, is given: it has to be found.
    fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<&'de RawValue>, D::Error> {
        <&RawValue>::deserialize(value).map(Some)
    }
    let start = line.iter().position(|byte| *byte == b'{');
    let (Some(start), Ok(Id { id })) = (start, serde_json::from_slice(line)) else {
        return line.into();
    };
    if id.is_some_and(|id| id.get() != "null") {
        return line.into();
    }
    let mut digest = Sha256::new();
    // Lengths first, so that no two sources and lines give the same bytes.
    digest.update((source.len() as u64).to_be_bytes());
    digest.update(source.as_bytes());
    digest.update(number.to_be_bytes());
    digest.update(line);
    let made = audittrail_entry::uuid_v8(&digest.finalize());
    if let Some(null) = id {
        // It is a part of the line, so that its address says where.
        let at = null.get().as_ptr().addr() - line.as_ptr().addr();
        let (before, after) = (&line[..at], &line[at + null.get().len()..]);
        return [before, format!("\"{made}\"").as_bytes(), after]
            .concat()
            .into();
    }
    let rest = line[start + 1..].trim_ascii_start();
    let comma = if rest.first() == Some(&b'}') { "" } else { "," };
    let mut with = format!("{{\"id\":\"{made}\"{comma}").into_bytes();
    with.extend(rest);
    with.into()
}

/// The lines of one request, as they are sent and as they were read.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    lines: Vec<(u64, Vec<u8>)>,
}

impl Batch {
    fn push(&mut self, source: &str, number: u64, line: Vec<u8>) {
        self.bytes.extend(&*with_id(source, number, &line));
        self.bytes.push(b'\n');
        self.lines.push((number, line));
    }
}

struct Import<'a> {
    client: reqwest::Client,
    url: reqwest::Url,
    token: &'a str,
    reject: Option<File>,
    sent: u64,
    stored: u64,
    refused: u64,
}

/// The parts of an answer that count here.
#[derive(Debug, Default, Deserialize)]
struct Answer {
    #[serde(default)]
    count: u64,
    #[serde(default)]
    rejected: Vec<Rejected>,
    #[serde(default)]
    detail: String,
}

#[derive(Debug, Deserialize)]
struct Rejected {
    line: usize,
    #[serde(default)]
    errors: Vec<ErrorItem>,
}

#[derive(Debug, Deserialize)]
struct ErrorItem {
    #[serde(default)]
    pointer: Option<String>,
    #[serde(default)]
    detail: String,
}

impl ErrorItem {
    fn text(&self) -> String {
        match &self.pointer {
            Some(pointer) if pointer != "#" => format!("{pointer}: {}", self.detail),
            _ => self.detail.clone(),
        }
    }
}

impl Import<'_> {
    async fn send(&mut self, batch: &mut Batch) -> Result<(), Failure> {
        if batch.lines.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(batch);
        let (status, answer) = self.post(&batch).await?;
        self.sent += batch.lines.len() as u64;
        // Where no line at all was good the answer is no success, but has the same list.
        if status.is_success() || answer.rejected.len() == batch.lines.len() {
            self.stored += answer.count;
            for rejected in &answer.rejected {
                let reasons: Vec<String> = rejected.errors.iter().map(ErrorItem::text).collect();
                self.refuse_line(&batch, rejected.line, &reasons.join("; "))?;
            }
        } else {
            return Err(failed(format!(
                "the server answered {status}: {} ({} entries were stored before; running this \
                 again is harmless)",
                answer.detail, self.stored
            )));
        }
        self.show_progress();
        Ok(())
    }

    /// Sends until there is an answer that another try would not change. The ids make that
    /// harmless, whatever became of the tries before.
    async fn post(&self, batch: &Batch) -> Result<(StatusCode, Answer), Failure> {
        let mut last = String::new();
        for _ in 0..TRIES {
            let request = self
                .client
                .post(self.url.clone())
                .bearer_auth(self.token)
                .header("content-type", "application/x-ndjson")
                .body(batch.bytes.clone());
            let mut pause = PAUSE;
            match request.send().await {
                Err(error) => last = remote::chain(&error),
                Ok(response) => {
                    let status = response.status();
                    let after = response.headers().get("retry-after");
                    let after = after.and_then(|value| value.to_str().ok()?.parse().ok());
                    pause = after.map_or(PAUSE, Duration::from_secs);
                    match response.bytes().await {
                        Err(error) => last = remote::chain(&error),
                        Ok(body) => {
                            let answer: Answer = serde_json::from_slice(&body).unwrap_or_default();
                            let again = matches!(status.as_u16(), 202 | 429 | 503 | 504);
                            if !again {
                                return Ok((status, answer));
                            }
                            last = format!("{status}: {}", answer.detail);
                        }
                    }
                }
            }
            tokio::time::sleep(pause.min(Duration::from_secs(30))).await;
        }
        Err(failed(format!(
            "gave up after {TRIES} tries: {last} ({} entries were stored before; running this again \
             is harmless)",
            self.stored
        )))
    }

    fn refuse_line(&mut self, batch: &Batch, line: usize, reason: &str) -> Result<(), Failure> {
        match line.checked_sub(1).and_then(|at| batch.lines.get(at)) {
            Some((number, text)) => self.refuse(*number, reason, text),
            None => self.refuse(0, reason, b""),
        }
    }

    fn refuse(&mut self, number: u64, reason: &str, line: &[u8]) -> Result<(), Failure> {
        self.refused += 1;
        let Some(file) = &mut self.reject else {
            crate::note!("line {number}: {reason}");
            return Ok(());
        };
        let entry = String::from_utf8_lossy(line);
        let row = serde_json::json!({ "line": number, "reason": reason, "entry": entry });
        writeln!(file, "{row}")
            .map_err(|error| failed(format!("the reject file cannot be written: {error}")))
    }

    fn show_progress(&self) {
        let mut stderr = std::io::stderr();
        if stderr.is_terminal() {
            let _ = write!(
                stderr,
                "\r{} entries sent, {} refused",
                self.sent, self.refused
            );
        }
    }

    fn finish(mut self) -> Result<(), Failure> {
        if std::io::stderr().is_terminal() {
            crate::note!();
        }
        if let Some(file) = &mut self.reject {
            file.sync_all()
                .map_err(|error| failed(format!("the reject file cannot be written: {error}")))?;
        }
        crate::out!(
            "{} entries sent: {} stored, {} refused",
            self.sent,
            self.stored,
            self.refused
        );
        match self.refused {
            0 => Ok(()),
            refused => Err(Failure::Unverified(format!("{refused} lines were refused"))),
        }
    }
}
