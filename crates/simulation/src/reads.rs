//! Clients that read. What they see is compared with the log when that has been read as a whole.

use std::collections::BTreeMap;
use std::rc::Rc;

use audittrail_store::Order;
use axum::http::Request;
use bytes::Bytes;
use serde_json::Value;

use crate::content::{ADMIN, CLIENTS, READERS, USERS};
use crate::ledger::{Seen, Sight};
use crate::network::Answer;
use crate::proofs;
use crate::world::World;

const ORDERS: [Order; 4] = [
    Order::NewestFirst,
    Order::OldestFirst,
    Order::IndexAscending,
    Order::IndexDescending,
];

/// Asks for a path; none if there was no answer, or one that says to come again.
async fn get(world: &Rc<World>, token: usize, path: &str) -> Result<Option<Answer>, String> {
    world.trace.event(&format!("get {path}"));
    let request = Request::get(path)
        .header(
            "authorization",
            format!("Bearer {}", CLIENTS[token].token()?),
        )
        .body(Bytes::new())
        .map_err(|error| format!("{path}: {error}"))?;
    match world.network.send(request, None).await {
        Err(_) => Ok(None),
        Ok(answer) => match answer.status {
            200 => Ok(Some(answer)),
            503 | 504 => Ok(None),
            status => {
                let body = String::from_utf8_lossy(&answer.body);
                Err(format!("{path} was answered {status}: {body}"))
            }
        },
    }
}

fn json(answer: &Answer) -> Result<Value, String> {
    serde_json::from_slice(&answer.body).map_err(|error| format!("no JSON: {error}"))
}

fn number(value: &Value, member: &str) -> Result<u64, String> {
    let number = value.get(member).and_then(Value::as_u64);
    number.ok_or_else(|| format!("no {member} in {value}"))
}

/// A filter that selects some of what clients send.
pub(crate) fn filter(world: &World, log: u64) -> Vec<(&'static str, String)> {
    let dice = &world.dice;
    let mut parameters = Vec::new();
    let members: [(&'static str, &[&str]); 9] = [
        ("action", &["door.open", "file.read", "audittrail.export"]),
        ("action__prefix", &["door.", "audittrail."]),
        ("user_id", &USERS),
        ("outcome__in", &["success,denied", "failure"]),
        ("resource__contains", &["RO", "b c"]),
        ("tenant", &["blue", "red"]),
        ("tenant__nin", &["blue"]),
        ("q", &["door", "front failure", "somebody"]),
        ("details.format", &["ndjson"]),
    ];
    for (name, values) in members {
        if dice.percent(12) {
            parameters.push((name, (*dice.pick(values)).to_owned()));
        }
    }
    for name in ["index_from", "index_to"] {
        if log > 0 && dice.percent(15) {
            parameters.push((name, dice.below(0..log).to_string()));
        }
    }
    parameters
}

pub(crate) fn query(parameters: &[(&'static str, String)]) -> String {
    let pairs = parameters.iter().map(|(name, value)| {
        let value = value.replace(' ', "%20").replace(',', "%2C");
        format!("&{name}={value}")
    });
    pairs.collect()
}

/// What a result shows of its place, and that it verified.
pub(crate) fn shown(result: &Value) -> Result<(u64, String), String> {
    if result.get("verified") != Some(&Value::Bool(true)) {
        return Err(format!("an entry did not verify: {result}"));
    }
    let id = result.get("id").and_then(Value::as_str);
    let id = id.ok_or("an entry without an id")?;
    Ok((number(result, "index")?, id.to_owned()))
}

/// The first pages of a list.
pub(crate) async fn list(world: &Rc<World>) -> Result<(), String> {
    let dice = world.dice.clone();
    let (token, order) = (*dice.pick(&READERS), *dice.pick(&ORDERS));
    let Some(before) = world.size() else {
        return Ok(());
    };
    let parameters = filter(world, before);
    let page_size = dice.below(1..30);
    let mut path = format!(
        "/logs/list/?order={}&page_size={page_size}{}",
        order.as_str(),
        query(&parameters)
    );
    let (mut indices, mut ids, mut count, mut after) = (Vec::new(), Vec::new(), None, before);
    let mut whole = false;
    for page in 0..3 {
        let Some(answer) = get(world, token, &path).await? else {
            if page == 0 {
                return Ok(());
            }
            break;
        };
        let body = json(&answer)?;
        if page == 0 {
            // A process that is gone since may have committed more meanwhile.
            after = world.size().unwrap_or(u64::MAX);
            count = body.get("count").and_then(Value::as_u64);
        }
        if number(&body, "failed_entries")? != 0 {
            return Err(format!("failed entries in {path}"));
        }
        let results = body.get("results").and_then(Value::as_array);
        for result in results.ok_or("a page without results")? {
            let (index, id) = shown(result)?;
            indices.push(index);
            ids.push(id);
        }
        let next = body.get("next").and_then(Value::as_str);
        let Some(next) = next.and_then(|next| next.find("/logs/").map(|at| &next[at..])) else {
            whole = true;
            break;
        };
        path = next.to_owned();
    }
    let what = Sight::List {
        order,
        indices,
        ids,
        whole,
        count,
    };
    let sizes = (before, after);
    world.see(sizes, parameters, token, what);
    Ok(())
}

/// Numbers.
pub(crate) async fn stats(world: &Rc<World>) -> Result<(), String> {
    let token = *world.dice.pick(&READERS);
    let Some(before) = world.size() else {
        return Ok(());
    };
    let parameters = filter(world, before);
    let path = format!("/logs/stats/?by=action&top=100{}", query(&parameters));
    let Some(answer) = get(world, token, &path).await? else {
        return Ok(());
    };
    let body = json(&answer)?;
    let size = number(&body, "tree_size")?;
    world.within(size, before)?;
    let count = Sight::Count(number(&body, "count")?);
    world.see((size, size), parameters.clone(), token, count);
    let mut actions = BTreeMap::new();
    let values = body.pointer("/by/action/values").and_then(Value::as_array);
    for value in values.ok_or("no numbers by action")? {
        let name = value.get("value").and_then(Value::as_str);
        let name = name.ok_or("a number of nothing")?;
        actions.insert(name.to_owned(), number(value, "count")?);
    }
    world.see((size, size), parameters, token, Sight::Actions(actions));
    Ok(())
}

/// Everything that a filter selects.
pub(crate) async fn export(world: &Rc<World>) -> Result<(), String> {
    let Some(before) = world.size() else {
        return Ok(());
    };
    let parameters = filter(world, before);
    let path = format!("/logs/export/?format=ndjson{}", query(&parameters));
    world.ledger.borrow_mut().exports.0 += 1;
    let Some(answer) = get(world, ADMIN, &path).await? else {
        return Ok(());
    };
    world.ledger.borrow_mut().exports.1 += 1;
    let size = answer.headers.get("x-audittrail-tree-size");
    let size = size.and_then(|size| size.to_str().ok()?.parse().ok());
    let size: u64 = size.ok_or("an export without a size")?;
    world.within(size, before)?;
    let (mut indices, mut ids) = (Vec::new(), Vec::new());
    for line in answer.body.split(|byte| *byte == b'\n') {
        if line.is_empty() {
            continue;
        }
        let result: Value = serde_json::from_slice(line)
            .map_err(|error| format!("a line of an export is no JSON: {error}"))?;
        let (index, id) = shown(&result)?;
        indices.push(index);
        ids.push(id);
    }
    let what = Sight::List {
        order: Order::IndexAscending,
        indices,
        ids,
        whole: true,
        count: None,
    };
    world.see((size, size), parameters, ADMIN, what);
    Ok(())
}

/// An entry that was acknowledged: its index and id.
fn acknowledged(world: &World) -> Option<(u64, String)> {
    let ledger = world.ledger.borrow();
    let known = ledger
        .sent
        .iter()
        .filter_map(|sent| Some((sent.acknowledged?, sent.id()?.to_owned())));
    let known: Vec<_> = known.collect();
    (!known.is_empty()).then(|| world.dice.pick(&known).clone())
}

/// One entry, which has to be found.
pub(crate) async fn entry(world: &Rc<World>) -> Result<(), String> {
    let Some((index, id)) = acknowledged(world) else {
        return Ok(());
    };
    let Some(answer) = get(world, ADMIN, &format!("/logs/{id}/")).await? else {
        return Ok(());
    };
    let (found, its_id) = shown(&json(&answer)?)?;
    if (found, &its_id) != (index, &id) {
        return Err(format!("{id} at {index} was shown as {its_id} at {found}"));
    }
    Ok(())
}

/// The proof of one entry.
pub(crate) async fn proof(world: &Rc<World>) -> Result<(), String> {
    let Some((index, id)) = acknowledged(world) else {
        return Ok(());
    };
    let Some(answer) = get(world, ADMIN, &format!("/logs/{id}/proof/")).await? else {
        return Ok(());
    };
    let text = String::from_utf8(answer.body.to_vec()).map_err(|error| error.to_string())?;
    let what = Sight::Proof { index, text };
    world.see((index + 1, index + 1), Vec::new(), ADMIN, what);
    world.ledger.borrow_mut().counts.proofs += 1;
    Ok(())
}

/// The newest checkpoint: never an older one than somebody saw before.
pub(crate) async fn checkpoint(world: &Rc<World>) -> Result<(), String> {
    let newest = world.ledger.borrow().newest_shown;
    let Some(answer) = get(world, ADMIN, "/checkpoint").await? else {
        return Ok(());
    };
    let head = proofs::head(&answer.body)?;
    if head.size < newest {
        return Err(format!(
            "the checkpoint of size {} was shown after that of {newest}",
            head.size
        ));
    }
    world.ledger.borrow_mut().show(head);
    Ok(())
}

impl World {
    /// Something that a client saw.
    fn see(
        &self,
        sizes: (u64, u64),
        parameters: Vec<(&'static str, String)>,
        token: usize,
        what: Sight,
    ) {
        let mut ledger = self.ledger.borrow_mut();
        ledger.counts.reads += 1;
        ledger.seen.push(Seen {
            sizes,
            parameters,
            token,
            what,
        });
    }

    /// That an answer is of the log as it was between a moment and now.
    fn within(&self, size: u64, before: u64) -> Result<(), String> {
        let now = self.size().unwrap_or(u64::MAX);
        if (before..=now).contains(&size) {
            return Ok(());
        }
        Err(format!(
            "an answer of size {size}, not between {before} and {now}"
        ))
    }
}
