//! What clients send, and who they are.

use audittrail_auth::{Claims, Role, mint};
use audittrail_entry::{Random as _, Timestamp};
use serde_json::{Map, Value, json};

use crate::clock::EPOCH_NANOS;
use crate::ledger::{Batch, Form, Ledger, Sent};
use crate::process::SECRET;
use crate::world::World;

/// Somebody with a token.
pub(crate) struct Client {
    pub(crate) sub: &'static str,
    pub(crate) tenant: Option<&'static str>,
    role: Role,
    /// Whether the token may write for others, and name a tenant.
    pub(crate) for_others: bool,
}

pub(crate) const CLIENTS: [Client; 5] = [
    Client::new("ada", Role::Admin, None, true),
    Client::new("bob", Role::Writer, None, true),
    Client::new("cleo", Role::Writer, Some("blue"), true),
    Client::new("dora", Role::Auditor, Some("blue"), false),
    Client::new("eve", Role::User, None, false),
];
/// Who writes.
pub(crate) const WRITERS: [usize; 4] = [0, 1, 2, 4];
/// Who reads.
pub(crate) const READERS: [usize; 4] = [0, 0, 3, 4];
/// Who has every right.
pub(crate) const ADMIN: usize = 0;

impl Client {
    const fn new(
        sub: &'static str,
        role: Role,
        tenant: Option<&'static str>,
        for_others: bool,
    ) -> Self {
        Self {
            sub,
            tenant,
            role,
            for_others,
        }
    }

    /// What the client may read, in the store's words.
    pub(crate) fn access(&self) -> audittrail_store::Access {
        audittrail_store::Access {
            user_id: (self.role == Role::User).then(|| self.sub.to_owned()),
            tenant: self.tenant.map(str::to_owned),
        }
    }

    /// A token for ten years, so that no step of the clock ends it.
    pub(crate) fn token(&self) -> Result<String, String> {
        let begun = EPOCH_NANOS / 1_000_000_000;
        let claims = Claims {
            sub: self.sub.to_owned(),
            roles: vec![self.role],
            tenant: self.tenant.map(str::to_owned),
            iss: None,
            aud: Vec::new(),
            iat: begun,
            exp: begun + 10 * 365 * 86_400,
        };
        mint(SECRET, &claims).map_err(|error| error.to_string())
    }
}

const ACTIONS: [&str; 4] = ["door.open", "door.close", "user.login", "file.read"];
pub(crate) const USERS: [&str; 3] = ["ada", "eve", "somebody else"];
const RESOURCES: [&str; 3] = ["front", "back", "a/b c"];
const OUTCOMES: [&str; 3] = ["success", "failure", "denied"];
const TENANTS: [&str; 2] = ["blue", "red"];

fn uuid(world: &World) -> String {
    let mut bytes = [0; 16];
    world.dice.fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .to_string()
}

/// A new entry of a client.
fn entry(world: &World, client: &Client, number: usize) -> Sent {
    let dice = &world.dice;
    let mut body = Map::new();
    body.insert("action".to_owned(), json!(dice.pick(&ACTIONS)));
    let note = "n".repeat(dice.below(0..400) as usize);
    body.insert(
        "details".to_owned(),
        json!({"number": number, "note": note}),
    );
    for (member, words, times) in [
        ("resource", &RESOURCES[..], 60),
        ("outcome", &OUTCOMES[..], 50),
        ("user_id", &USERS[..], 50),
        ("tenant", &TENANTS[..], 40),
    ] {
        let others = member == "user_id" || member == "tenant";
        let allowed = client.for_others && (member != "tenant" || client.tenant.is_none());
        if dice.percent(times) && (allowed || !others) {
            body.insert(member.to_owned(), json!(dice.pick(words)));
        }
    }
    if dice.percent(40) {
        // Long ago, so that none lies ahead of a clock that was set back; some are the same.
        let second = i64::try_from(dice.below(0..40)).unwrap_or(0);
        let time = Timestamp::from_nanos(EPOCH_NANOS - (90 * 86_400 + second) * 1_000_000_000);
        body.insert("timestamp".to_owned(), json!(time.to_string()));
    }
    let mut expected = body.clone();
    expected
        .entry("user_id")
        .or_insert_with(|| json!(client.sub));
    if let Some(tenant) = client.tenant {
        expected.insert("tenant".to_owned(), json!(tenant));
    }
    Sent {
        expected,
        body,
        acknowledged: None,
        open: 0,
        conflicts_with: None,
    }
}

/// A request of new entries; one of them perhaps with the id of an entry that is stored.
pub(crate) fn new_batch(world: &World, ledger: &mut Ledger, conflict: bool) -> usize {
    let dice = &world.dice;
    let token = *dice.pick(&WRITERS);
    let client = &CLIENTS[token];
    let form = *dice.pick(&[Form::One, Form::One, Form::Array, Form::Lines]);
    let len = match form {
        Form::One => 1,
        Form::Array | Form::Lines => dice.below(1..7),
    };
    let key = (form == Form::One && !conflict && dice.percent(25)).then(|| uuid(world));
    let own_ids = key.is_none() && dice.percent(60);
    let mut entries = Vec::new();
    for _ in 0..len {
        let number = ledger.sent.len();
        let mut sent = entry(world, client, number);
        if own_ids && dice.percent(80) {
            sent.body.insert("id".to_owned(), json!(uuid(world)));
        }
        ledger.sent.push(sent);
        entries.push(number);
    }
    if conflict {
        let stored = |sent: &Sent| sent.acknowledged.is_some() && sent.id().is_some();
        let known: Vec<usize> = (0..ledger.sent.len())
            .filter(|number| stored(&ledger.sent[*number]))
            .collect();
        if !known.is_empty() {
            let with = *dice.pick(&known);
            let id = ledger.sent[with].body.get("id").cloned();
            let one = &mut ledger.sent[*dice.pick(&entries)];
            one.body.insert("id".to_owned(), id.unwrap_or(Value::Null));
            one.conflicts_with = Some(with);
        }
    }
    ledger.batches.push(Batch {
        entries,
        form,
        key,
        token,
    });
    ledger.batches.len() - 1
}

/// A request as it is sent.
pub(crate) fn written(ledger: &Ledger, batch: &Batch) -> Vec<u8> {
    let bodies = batch
        .entries
        .iter()
        .map(|number| &ledger.sent[*number].body);
    let bodies: Vec<Value> = bodies.cloned().map(Value::Object).collect();
    match batch.form {
        Form::One => bodies.first().map(Value::to_string).unwrap_or_default(),
        Form::Array => Value::Array(bodies).to_string(),
        Form::Lines => bodies.iter().map(|body| format!("{body}\n")).collect(),
    }
    .into_bytes()
}
