//! `audittrail prove`
//!
//! What came is checked before anything is written: with the log's key from elsewhere, where it
//! was given, else with the one that the server sent, which then is said.

use std::io::Write as _;
use std::time::Duration;

use audittrail_checkpoint::{Checkpoint, TlogProof, VerifierKey};
use audittrail_entry::{OpenPart, commitment};
use audittrail_merkle::{Hash, leaf_hash};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::StatusCode;
use reqwest::header::ACCEPT;
use serde::Deserialize;

use crate::Failure;
use crate::cli::ProveArguments;
use crate::commands::inputs::Inputs;
use crate::commands::partial::Partial;
use crate::commands::remote;

/// An entry, twice escaped, and its proof stay far below this.
const ANSWER_BYTES: usize = 16 << 20;
/// The server waits for a checkpoint for its request time at the most.
const PATIENCE: Duration = Duration::from_secs(120);

/// A line of evidence with what leads on from it; docs/formats.md has the members.
#[derive(Debug, Deserialize)]
struct Answer {
    index: u64,
    leaf: String,
    sealed: Option<String>,
    salt: Option<String>,
    proof: Vec<String>,
    checkpoint: String,
    vkey: String,
}

fn failed(message: impl Into<String>) -> Failure {
    Failure::Failed(message.into())
}

fn unverified(why: impl std::fmt::Display) -> Failure {
    Failure::Unverified(format!(
        "the proof does not hold, and was not written: {why}"
    ))
}

pub(crate) fn run(arguments: &ProveArguments) -> Result<(), Failure> {
    let token = remote::token(arguments.token.as_deref(), "auditor")?;
    let given = arguments.key.as_deref().map(VerifierKey::parse).transpose();
    let given = given.map_err(|error| Failure::Usage(format!("key: {error}")))?;
    let path = format!("/logs/{}/proof/", arguments.id);
    let url = remote::url(&arguments.url, &path)?;
    let target = arguments
        .out
        .as_deref()
        .filter(|path| path.as_os_str() != "-");
    let partial = target
        .map(|path| Partial::open(path, "--out", &Inputs::default()))
        .transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(format!("the runtime cannot be started: {error}")))?;
    let body = runtime.block_on(ask(url, token))?;
    let answer: Answer = serde_json::from_slice(&body)
        .map_err(|error| failed(format!("the server did not answer with a proof: {error}")))?;
    let (proof, checkpoint) = check(arguments, &answer, given.as_ref())?;
    let mut written = if arguments.json {
        body
    } else {
        proof.to_string().into_bytes()
    };
    if written.last() != Some(&b'\n') {
        written.push(b'\n');
    }
    let said = format!(
        "entry {} is in the log {} of {} entries",
        answer.index, checkpoint.origin, checkpoint.head.size
    );
    let unwritten =
        |error: &std::io::Error| failed(format!("the proof cannot be written: {error}"));
    match partial {
        Some(mut partial) => {
            let outcome = partial.file().write_all(&written);
            outcome.map_err(|error| unwritten(&error))?;
            crate::out!("{said}; the proof is in {}", partial.finish()?.display());
        }
        None => {
            let mut stdout = std::io::stdout();
            let outcome = stdout.write_all(&written).and_then(|()| stdout.flush());
            outcome.map_err(|error| unwritten(&error))?;
            crate::note!("{said}");
        }
    }
    if given.is_none() {
        crate::note!(
            "checked with the key that the server sent; give --key what `audittrail keys show` \
             printed to rely on no server: {}",
            answer.vkey
        );
    }
    Ok(())
}

async fn ask(url: reqwest::Url, token: &str) -> Result<Vec<u8>, Failure> {
    let client = remote::client()
        .timeout(PATIENCE)
        .build()
        .map_err(|error| failed(format!("no HTTP client: {error}")))?;
    let shown = url.origin().ascii_serialization();
    let silent = |error: reqwest::Error| {
        failed(format!(
            "{shown} does not answer: {}",
            remote::chain(&error)
        ))
    };
    let request = client.get(url).bearer_auth(token);
    let request = request.header(ACCEPT, "application/json");
    let mut response = request.send().await.map_err(silent)?;
    let status = response.status();
    if status != StatusCode::OK {
        let detail = remote::detail(response).await;
        let message = format!("the server answered {status}: {detail}");
        // `damaged`: of what failed verification there is no proof.
        let is_damaged = status == StatusCode::INTERNAL_SERVER_ERROR;
        return Err(if is_damaged {
            Failure::Unverified(message)
        } else {
            failed(message)
        });
    }
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(silent)? {
        body.extend(part);
        if body.len() > ANSWER_BYTES {
            return Err(failed("the answer is longer than a proof can be"));
        }
    }
    Ok(body)
}

/// Everything that the answer says, from the leaf to the signature.
fn check(
    arguments: &ProveArguments,
    answer: &Answer,
    given: Option<&VerifierKey>,
) -> Result<(TlogProof, Checkpoint), Failure> {
    let key = match given {
        Some(key) => key.clone(),
        None => VerifierKey::parse(&answer.vkey).map_err(unverified)?,
    };
    let leaf = answer.leaf.as_bytes();
    let open = OpenPart::parse(leaf).map_err(unverified)?;
    if open.id != arguments.id {
        return Err(unverified(format!("it is of the entry {}", open.id)));
    }
    if let Some(sealed) = &answer.sealed {
        let salt = answer.salt.as_deref().unwrap_or_default();
        let salt = URL_SAFE_NO_PAD.decode(salt).ok();
        let salt = salt.and_then(|salt| <[u8; 32]>::try_from(salt).ok());
        let fits = salt.is_some_and(|salt| commitment(&salt, sealed.as_bytes()) == open.commitment);
        if !fits {
            return Err(unverified("the sealed part is not the one in the leaf"));
        }
    }
    let hashes = answer.proof.iter().map(|hash| {
        let bytes = STANDARD.decode(hash).ok()?;
        bytes.try_into().ok().map(Hash)
    });
    let hashes: Option<Vec<Hash>> = hashes.collect();
    let proof = TlogProof {
        extra: None,
        index: answer.index,
        hashes: hashes.ok_or_else(|| unverified("its hashes are not written as hashes"))?,
        checkpoint: answer.checkpoint.clone(),
    };
    let checkpoint = proof
        .verify(&leaf_hash(leaf), std::slice::from_ref(&key))
        .map_err(unverified)?;
    Ok((proof, checkpoint))
}
