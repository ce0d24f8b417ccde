//! Clients that write, and what they conclude from the answers.

use std::rc::Rc;
use std::time::Duration;

use axum::http::Request;
use bytes::Bytes;
use serde_json::Value;

use crate::content::{CLIENTS, new_batch, written};
use crate::ledger::{Batch, Form};
use crate::network::{Answer, Broken};
use crate::proofs;
use crate::world::World;

const ACKS: [&str; 4] = ["committed", "committed", "published", "queued"];

/// What an attempt asks for beside its entries.
struct Asked {
    ack: &'static str,
    skip: bool,
}

/// New entries.
pub(crate) async fn write_new(world: &Rc<World>, conflict: bool) -> Result<(), String> {
    let batch = new_batch(world, &mut world.ledger.borrow_mut(), conflict);
    attempt(world, batch).await
}

/// A request again of which every entry has an id by which it is known.
pub(crate) async fn write_again(world: &Rc<World>) -> Result<(), String> {
    let again = {
        let ledger = world.ledger.borrow();
        let named = |batch: &Batch| {
            let mut entries = batch.entries.iter();
            batch.key.is_some() || entries.all(|entry| ledger.sent[*entry].id().is_some())
        };
        let conflicts = |batch: &Batch| {
            let mut entries = batch.entries.iter();
            entries.any(|entry| ledger.sent[*entry].conflicts_with.is_some())
        };
        let batches = ledger.batches.iter().enumerate();
        let known: Vec<usize> = batches
            .filter(|(_, batch)| named(batch) && !conflicts(batch))
            .map(|(number, _)| number)
            .collect();
        if known.is_empty() {
            return Ok(());
        }
        *world.dice.pick(&known)
    };
    attempt(world, again).await
}

/// Something that is no entry.
pub(crate) async fn write_nonsense(world: &Rc<World>) -> Result<(), String> {
    const NONSENSE: [&str; 5] = [
        "{\"action\":",
        "{\"action\":\"\"}",
        "[{\"action\":\"a\"},{\"action\":7}]",
        "{\"action\":\"audittrail.export\"}",
        "",
    ];
    let body = Bytes::from_static(world.dice.pick(&NONSENSE).as_bytes());
    let request = Request::post("/logs/")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {}", CLIENTS[0].token()?))
        .body(body)
        .map_err(|error| error.to_string())?;
    world.trace.event("nonsense");
    match world.network.send(request, None).await {
        Ok(answer) if answer.status != 400 && answer.status != 503 => {
            Err(format!("nonsense was answered {}", answer.status))
        }
        _ => Ok(()),
    }
}

async fn attempt(world: &Rc<World>, number: usize) -> Result<(), String> {
    let batch = world.ledger.borrow().batches[number].clone();
    let dice = &world.dice;
    let asked = Asked {
        ack: ACKS[dice.place(ACKS.len())],
        skip: batch.form != Form::One && dice.percent(30),
    };
    let body = {
        let mut ledger = world.ledger.borrow_mut();
        ledger.begin(&batch.entries);
        ledger.counts.requests += 1;
        written(&ledger, &batch)
    };
    let on_error = if asked.skip { "skip" } else { "abort" };
    let uri = format!("/logs/create/?ack={}&on_error={on_error}", asked.ack);
    let kind = match batch.form {
        Form::Lines => "application/x-ndjson",
        Form::One | Form::Array => "application/json",
    };
    let mut request = Request::post(&uri).header("content-type", kind).header(
        "authorization",
        format!("Bearer {}", CLIENTS[batch.token].token()?),
    );
    if let Some(key) = &batch.key {
        request = request.header("idempotency-key", key);
    }
    let request = request.body(Bytes::from(body)).map_err(|e| e.to_string())?;
    world
        .trace
        .event(&format!("write {number} {:?} {uri}", batch.entries));
    // A client that goes away, at once or later.
    let patience = dice
        .percent(10)
        .then(|| Duration::from_millis(dice.below(0..60)));
    let outcome = world.network.send(request, patience).await;
    let concluded = match outcome {
        Err(Broken::Unreachable) => {
            world.ledger.borrow_mut().end(&batch.entries);
            Ok(())
        }
        // Nobody knows, and the attempt stays open.
        Err(Broken::Off) => {
            world.ledger.borrow_mut().counts.unknown += 1;
            Ok(())
        }
        Ok(answer) => conclude(world, &batch, &asked, &answer),
    };
    concluded.map_err(|why| format!("write {number}: {why}"))
}

fn conclude(
    world: &Rc<World>,
    batch: &Batch,
    asked: &Asked,
    answer: &Answer,
) -> Result<(), String> {
    let ledger = &world.ledger;
    let told: Value = serde_json::from_slice(&answer.body)
        .map_err(|error| format!("the answer is no JSON: {error}"))?;
    let conflicting = {
        let ledger = ledger.borrow();
        let mut entries = batch.entries.iter();
        entries.any(|entry| ledger.sent[*entry].conflicts_with.is_some())
    };
    match answer.status {
        201 | 202 => {
            acknowledged(world, batch, asked, answer.status, &told)?;
        }
        504 => {
            // Ids that the server made are known from here on.
            let mut ledger = ledger.borrow_mut();
            ledger.counts.unknown += 1;
            let ids = told.get("ids").and_then(Value::as_array);
            let ids = ids.ok_or("an unknown outcome without ids")?;
            if ids.len() == batch.entries.len() && batch.key.is_none() {
                for (entry, id) in batch.entries.iter().zip(ids) {
                    let known = ledger.sent[*entry].body.entry("id");
                    if known.or_insert_with(|| id.clone()) != id {
                        return Err(format!("entry {entry} came back as {id}"));
                    }
                }
            }
            // The attempt stays open.
            return Ok(());
        }
        409 | 422 if conflicting && batch.key.is_none() => {
            ledger.borrow_mut().counts.conflicts += 1;
        }
        400 if incomplete(&told) => {
            ledger.borrow_mut().counts.refused += 1;
        }
        503 => ledger.borrow_mut().counts.refused += 1,
        status => return Err(format!("it was answered {status}: {told}")),
    }
    ledger.borrow_mut().end(&batch.entries);
    Ok(())
}

/// Whether a body did not arrive, which slow pieces are for.
fn incomplete(told: &Value) -> bool {
    let slug = told.get("type").and_then(Value::as_str);
    slug == Some("urn:audittrail:problem:incomplete-body")
}

/// Receipts: one for each entry but those that conflict, at consecutive indices.
fn acknowledged(
    world: &Rc<World>,
    batch: &Batch,
    asked: &Asked,
    status: u16,
    told: &Value,
) -> Result<(), String> {
    let mut ledger = world.ledger.borrow_mut();
    let conflicts = |entry: &&usize| ledger.sent[**entry].conflicts_with.is_some();
    let (left_out, taken): (Vec<usize>, Vec<usize>) =
        batch.entries.iter().partition(|entry| conflicts(entry));
    if !left_out.is_empty() && !asked.skip {
        return Err("a conflict was taken".to_owned());
    }
    let ack = told.get("ack").and_then(Value::as_str);
    let reached = match (asked.ack, status) {
        ("published", 201) => "published",
        (_, 201) | ("published", 202) => "committed",
        _ => "nothing of the kind",
    };
    if ack != Some(reached) {
        return Err(format!(
            "{} was asked for, and answered {status} {ack:?}",
            asked.ack
        ));
    }
    let receipts: Vec<&Value> = match told.get("results").and_then(Value::as_array) {
        Some(results) => results.iter().collect(),
        None => vec![told],
    };
    if receipts.len() != taken.len() {
        return Err(format!("{} receipts for {taken:?}", receipts.len()));
    }
    let mut next = None;
    for (entry, receipt) in taken.iter().zip(receipts) {
        let index = receipt.get("index").and_then(Value::as_u64);
        let index = index.ok_or("a receipt without an index")?;
        if next.is_some_and(|next| next != index) {
            return Err(format!(
                "entry {entry} is at {index}, apart from its request"
            ));
        }
        next = Some(index + 1);
        let id = receipt.get("id").cloned().unwrap_or_default();
        ledger.acknowledge(*entry, index)?;
        if batch.key.is_none() {
            let known = ledger.sent[*entry].body.entry("id");
            if *known.or_insert_with(|| id.clone()) != id {
                return Err(format!("entry {entry} came back as {id}"));
            }
        }
        if let Some(proof) = receipt.get("proof").and_then(Value::as_str) {
            let head = proofs::check(proof, index, receipt)?;
            ledger.show(head);
            ledger.counts.proofs += 1;
        }
    }
    Ok(())
}
