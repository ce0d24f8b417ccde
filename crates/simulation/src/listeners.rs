//! Clients that listen to new entries, and go on where they were when a stream ends.

use std::rc::Rc;
use std::time::Duration;

use axum::http::Request;
use bytes::Bytes;
use serde_json::Value;

use crate::content::{ADMIN, CLIENTS};
use crate::ledger::Listened;
use crate::reads::{filter, query, shown};
use crate::world::World;

/// Listens until the end.
pub(crate) async fn listener(world: Rc<World>) {
    let parameters = filter(&world, 0);
    let place = {
        let mut ledger = world.ledger.borrow_mut();
        ledger.listened.push(Listened {
            parameters,
            start: None,
            passed: -1,
            got: Vec::new(),
        });
        ledger.listened.len() - 1
    };
    while !world.closing.get() {
        let pause = Duration::from_millis(world.dice.below(1..300));
        tokio::time::sleep(pause).await;
        if world.network.is_connected()
            && let Err(why) = listen(&world, place).await
        {
            world.violated(format!("listener {place}: {why}"));
        }
    }
}

/// One connection.
async fn listen(world: &Rc<World>, place: usize) -> Result<(), String> {
    let mut path = "/logs/stream/?".to_owned();
    {
        let ledger = world.ledger.borrow();
        let listened = &ledger.listened[place];
        path.push_str(query(&listened.parameters).trim_start_matches('&'));
        if listened.start.is_some() {
            path.push_str(&format!("&last_event_id={}", listened.passed));
        }
    }
    world.trace.event(&format!("listen {path}"));
    let request = Request::get(path.replace("?&", "?"))
        .header(
            "authorization",
            format!("Bearer {}", CLIENTS[ADMIN].token()?),
        )
        .body(Bytes::new())
        .map_err(|error| format!("{path}: {error}"))?;
    let time = Duration::from_millis(world.dice.below(1..2_000));
    let Ok((status, text)) = world.network.listen(request, time).await else {
        return Ok(());
    };
    let text = String::from_utf8_lossy(&text);
    match status {
        200 => {}
        503 => return Ok(()),
        status => return Err(format!("{path} was answered {status}: {text}")),
    }
    let mut ledger = world.ledger.borrow_mut();
    // What comes after the last empty line has not arrived as a whole.
    let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
    for event in whole.split("\n\n") {
        take(&mut ledger.listened[place], event)?;
    }
    ledger.counts.streams += 1;
    Ok(())
}

fn take(listened: &mut Listened, event: &str) -> Result<(), String> {
    let field = |name: &str| {
        let mut lines = event.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    if field("event") == Some("end") {
        return Ok(());
    }
    let Some(id) = field("id") else {
        return Ok(());
    };
    let id: i64 = id.parse().map_err(|_| format!("an event's id is {id}"))?;
    if id < listened.passed {
        return Err(format!("after {} came {id}", listened.passed));
    }
    listened.start.get_or_insert(id + 1);
    if let Some(data) = field("data") {
        let result: Value = serde_json::from_str(data).map_err(|error| error.to_string())?;
        let (index, _) = shown(&result)?;
        listened.got.push(index);
    }
    listened.passed = id;
    Ok(())
}
