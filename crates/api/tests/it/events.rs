//! A client of server-sent events that keeps everything it was sent.

use std::time::Duration;

use reqwest::Response;
use serde_json::Value;

use crate::support::Served;

/// Longer than anything takes here.
const LONG: Duration = Duration::from_secs(30);

/// What stands between two empty lines.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) data: Value,
    pub(crate) retry: Option<u64>,
    pub(crate) comment: bool,
}

impl Event {
    pub(crate) fn is_entry(&self) -> bool {
        self.name.as_deref() == Some("entry")
    }

    pub(crate) fn index(&self) -> u64 {
        self.data["index"].as_u64().unwrap()
    }
}

pub(crate) struct Events {
    pub(crate) response: Response,
    /// What came since the last empty line, and up to where there is none in it.
    rest: Vec<u8>,
    looked: usize,
    /// All whole events that came, as text.
    pub(crate) all: String,
    /// What a browser would send when it connects again.
    pub(crate) last_id: String,
}

/// A stream of the administrator.
pub(crate) async fn open(served: &Served, query: &str) -> Events {
    open_as(served, query, &served.token, None).await
}

pub(crate) async fn open_as(
    served: &Served,
    query: &str,
    token: &str,
    last: Option<&str>,
) -> Events {
    let response = ask(served, query, token, last).await;
    let status = response.status();
    if status != 200 {
        panic!("{status}: {}", response.text().await.unwrap());
    }
    Events {
        response,
        rest: Vec::new(),
        looked: 0,
        all: String::new(),
        last_id: last.unwrap_or_default().to_owned(),
    }
}

pub(crate) async fn ask(served: &Served, query: &str, token: &str, last: Option<&str>) -> Response {
    let url = format!("http://{}/logs/stream/?{query}", served.address);
    let mut request = served.client.get(url).bearer_auth(token);
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    request.send().await.unwrap()
}

impl Events {
    /// The next event, whatever it is; none at the end.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            let end = self.rest[self.looked..]
                .windows(2)
                .position(|pair| pair == b"\n\n");
            if let Some(end) = end {
                let block: Vec<u8> = self.rest.drain(..self.looked + end + 2).collect();
                self.looked = 0;
                let block = String::from_utf8(block).unwrap();
                let event = parse(block.trim_end_matches('\n'));
                self.all.push_str(&block);
                if let Some(id) = &event.id {
                    self.last_id.clone_from(id);
                }
                return Some(event);
            }
            self.looked = self.rest.len().saturating_sub(1);
            let chunk = tokio::time::timeout(LONG, self.response.chunk()).await;
            let Some(chunk) = chunk.expect("nothing came").unwrap() else {
                assert!(self.rest.is_empty(), "the stream ended within an event");
                return None;
            };
            self.rest.extend(chunk);
        }
    }

    /// The next entry; comments and positions are passed over.
    pub(crate) async fn entry(&mut self) -> Value {
        loop {
            let event = self.next().await.expect("an event");
            if event.is_entry() {
                assert_eq!(event.id, Some(event.index().to_string()));
                return event.data;
            }
            assert_eq!(event.name, None, "{event:?}");
        }
    }

    pub(crate) async fn entries(&mut self, count: usize) -> Vec<Value> {
        let mut entries = Vec::new();
        while entries.len() < count {
            entries.push(self.entry().await);
        }
        entries
    }

    /// Waits for a comment.
    pub(crate) async fn comment(&mut self) -> Event {
        loop {
            let event = self.next().await.expect("an event");
            if event.comment {
                return event;
            }
        }
    }
}

fn parse(block: &str) -> Event {
    let mut event = Event::default();
    for line in block.lines() {
        let (field, value) = line.split_once(':').expect("a field");
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => event.comment = true,
            "id" => event.id = Some(value.to_owned()),
            "event" => event.name = Some(value.to_owned()),
            "data" => event.data = serde_json::from_str(value).unwrap(),
            "retry" => event.retry = Some(value.parse().unwrap()),
            other => panic!("an unknown field {other}"),
        }
    }
    event
}
