//! A client that was written from public specifications alone reads a running server, and sees
//! each lie.

use std::path::PathBuf;
use std::process::Output;

use audittrail_checkpoint::{Checkpoint, Signer, VerifierKey};
use audittrail_merkle::{Hash, TreeHead};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::liar;
use crate::support::{Server, command, repository, start, success, text};

/// A run of the client.
#[derive(Clone)]
struct Client {
    url: String,
    vkey: String,
    token: Option<String>,
    more: Vec<String>,
}

impl Client {
    fn new(server: &Server) -> Self {
        Self {
            url: server.url.clone(),
            vkey: success(&server.run("keys").output().unwrap())
                .trim()
                .to_owned(),
            token: Some(server.token(&["--sub", "monitor", "--role", "auditor"])),
            more: Vec::new(),
        }
    }

    fn with(&self, name: &str, value: impl Into<String>) -> Self {
        let mut client = self.clone();
        client.more.extend([name.to_owned(), value.into()]);
        client
    }

    fn at(&self, url: &str) -> Self {
        let mut client = self.clone();
        url.clone_into(&mut client.url);
        client
    }

    async fn run(self) -> Output {
        let run = move || {
            let mut client = command("python3");
            client.arg(repository("testdata/interop/tlog_client.py"));
            client
                .args([&self.url, "--vkey", &self.vkey])
                .args(&self.more);
            client
                .env_remove("http_proxy")
                .env("PYTHONDONTWRITEBYTECODE", "1");
            if let Some(token) = &self.token {
                client.env("TLOG_TOKEN", token);
            }
            client.output().unwrap()
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    }
}

/// Entries, published; their ids.
async fn publish(server: &Server, count: usize) -> Vec<String> {
    let entry = |number: usize| json!({"action": "door.open", "user_id": "alice", "details": {"n": number}});
    let entries: Vec<Value> = (0..count).map(entry).collect();
    let (status, answer) = server.post("/logs/?ack=published", &json!(entries)).await;
    assert_eq!(status, 201, "{answer}");
    assert_eq!(answer["ack"], "published");
    let results = answer["results"].as_array().unwrap();
    results
        .iter()
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .collect()
}

/// A server with a log that grew from 300 to 630 entries, and what was kept on the way.
struct World {
    home: TempDir,
    server: Server,
    client: Client,
    ids: Vec<String>,
}

impl World {
    async fn new() -> Self {
        let (home, server) = start();
        let client = Client::new(&server);
        let mut ids = publish(&server, 300).await;
        let old = home.path().join("old");
        let saved = client.with("--save", old.to_str().unwrap()).run().await;
        assert!(success(&saved).contains("300 entries give the root"));
        ids.extend(publish(&server, 330).await);
        Self {
            home,
            server,
            client,
            ids,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A file of that name; its path.
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn prove(&self, index: usize) -> String {
        let path = self.path(&format!("{index}.tlog-proof"));
        let mut prove = self.server.run("prove");
        prove.arg(&self.ids[index]).arg("--out").arg(&path);
        success(&prove.args(["--key", &self.client.vkey]).output().unwrap());
        std::fs::read_to_string(path).unwrap()
    }

    /// Who signs the log's checkpoints, as one who stole the key would.
    fn signer(&self) -> Signer {
        let key = std::fs::read_to_string(self.server.data().join("keys/checkpoint.key")).unwrap();
        Signer::parse(key.trim()).unwrap()
    }
}

/// A witness, which signs with type 04.
struct Witness(Signer);

impl Witness {
    fn new() -> Self {
        Self(Signer::from_seed("witness.example/w", [3; 32]).unwrap())
    }

    fn key(&self) -> Vec<u8> {
        [&[4], &self.0.verifier().public_key()[..]].concat()
    }

    fn id(&self) -> [u8; 4] {
        let named = [b"witness.example/w\n", &self.key()[..]].concat();
        let digest = Sha256::digest(named);
        [digest[0], digest[1], digest[2], digest[3]]
    }

    fn vkey(&self) -> String {
        let id = u32::from_be_bytes(self.id());
        format!("witness.example/w+{id:08x}+{}", STANDARD.encode(self.key()))
    }

    /// The note with a cosignature over `signed_time` that says `time`.
    fn cosign(&self, note: &[u8], time: u64, signed_time: u64) -> Vec<u8> {
        let note = String::from_utf8(note.to_vec()).unwrap();
        let (body, _) = note.rsplit_once("\n\n").unwrap();
        let message = format!("cosignature/v1\ntime {signed_time}\n{body}\n");
        let signature = self.0.sign(message.as_bytes());
        let blob = [&self.id()[..], &time.to_be_bytes(), &signature].concat();
        format!(
            "{note}\u{2014} witness.example/w {}\n",
            STANDARD.encode(blob)
        )
        .into_bytes()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_the_specifications_reads_the_log() {
    let world = World::new().await;
    let proof = world.prove(629);
    let client = world
        .client
        .with("--old", world.path("old").to_str().unwrap())
        .with("--proof", world.file("proof", &proof))
        .with("--id", &world.ids[0])
        .with("--id", &world.ids[299]);
    let said = success(&client.run().await);
    for line in [
        "630 entries, root ",
        "hash tiles of 2 levels give the root",
        "630 entries give the root",
        "extends the checkpoint of 300 entries",
        "entry 629 is in the log of 630 entries",
        &format!(
            "entry 299, {}, is in the log of 630 entries",
            world.ids[299]
        ),
        "everything holds",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    // What `ack=published` answered stands under a checkpoint of its own.
    let (_, receipt) = world
        .server
        .post("/logs/?ack=published", &json!({"action": "a"}))
        .await;
    let proof = world.file("receipt", receipt["proof"].as_str().unwrap());
    let said = success(&world.client.with("--proof", proof).run().await);
    assert!(
        said.contains("entry 630 is in the log of 631 entries"),
        "{said}"
    );
}

/// Nothing but the address and the key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn public_tiles_need_no_token() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start_with(home.path(), &[("AUDITTRAIL_TILES", "public")]);
    publish(&server, 3).await;
    let mut client = Client::new(&server);
    client.token = None;
    assert!(success(&client.clone().run().await).contains("3 entries give the root"));
    let (_home, private) = start();
    publish(&private, 3).await;
    let output = client.at(&private.url).run().await;
    assert!(
        text(&output.stderr).contains("status 401"),
        "{}",
        text(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cosignature_is_checked() {
    let (_home, server) = start();
    publish(&server, 2).await;
    let witness = Witness::new();
    let client = Client::new(&server).with("--cosigner", witness.vkey());
    let cosigned = |time, signed_time| {
        let witness = Witness::new();
        move |path: &str, body: Vec<u8>| match path {
            "/checkpoint" => witness.cosign(&body, time, signed_time),
            _ => body,
        }
    };
    let honest = liar::before(&server.url, cosigned(1_700_000_000, 1_700_000_000)).await;
    let said = success(&client.at(&honest).run().await);
    assert!(
        said.contains("cosigned by witness.example/w at 1700000000"),
        "{said}"
    );
    // Who does not ask for it does not mind it.
    success(&Client::new(&server).at(&honest).run().await);
    let other_time = liar::before(&server.url, cosigned(1_700_000_001, 1_700_000_000)).await;
    for (url, why) in [
        (
            &other_time,
            "the cosignature of witness.example/w does not hold",
        ),
        (
            &server.url,
            "witness.example/w did not cosign the checkpoint",
        ),
    ] {
        let output = client.at(url).run().await;
        let said = text(&output.stderr);
        assert!(
            output.status.code() == Some(1) && said.contains(why),
            "{said}"
        );
    }
}

type Change = fn(&str, Vec<u8>) -> Vec<u8>;

fn replaced(body: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(text.contains(from), "{text}");
    text.replacen(from, to, 1).into_bytes()
}

/// The lines of a proof or of hashes in JSON, changed.
fn with_hashes(body: &[u8], change: fn(&mut Vec<Value>)) -> Vec<u8> {
    let mut answer: Value = serde_json::from_slice(body).unwrap();
    change(answer["proof"].as_array_mut().unwrap());
    answer.to_string().into_bytes()
}

/// On the way from the server: what is asked for, how it is changed, what the client says.
const LIES: [(&str, Change, &str); 15] = [
    (
        "/checkpoint",
        |_, b| replaced(&b, "\n630\n", "\n629\n"),
        "signature does not hold",
    ),
    (
        "/checkpoint",
        |_, b| replaced(&b, "\n630\n", "\n0630\n"),
        "signature does not hold",
    ),
    (
        "/checkpoint",
        |_, b| replaced(&b, "\n\n\u{2014} ", "\n\n\u{2014} x"),
        "did not sign",
    ),
    ("/checkpoint", |_, b| b[..b.len() - 1].to_vec(), "or no end"),
    (
        "/tile/0/001",
        |_, mut b| {
            b[77] ^= 1;
            b
        },
        "the hash tiles do not give the root",
    ),
    (
        "/tile/0/002.p/118",
        |_, b| b[32..].to_vec(),
        "has 3744 bytes",
    ),
    (
        "/tile/1/000.p/2",
        |_, mut b| {
            b.swap(0, 32);
            b
        },
        "the tiles of level 1 are not",
    ),
    (
        "/tile/entries/000",
        |_, b| swapped_action(b),
        "the entries are not those of the tree",
    ),
    (
        "/tile/entries/001",
        |_, b| exchanged(&b),
        "the entries are not those of the tree",
    ),
    (
        "/tile/entries/002.p/118",
        |_, b| b[..b.len() - 1].to_vec(),
        "ends within an entry",
    ),
    (
        "/tile/entries/002.p/118",
        |_, b| b[..0].to_vec(),
        "has 0 entries",
    ),
    (
        "/checkpoint/consistency/",
        |_, b| with_hashes(&b, |h| h.swap(0, 1)),
        "does not give the",
    ),
    (
        "/checkpoint/consistency/",
        |_, b| with_hashes(&b, |h| drop(h.pop())),
        "too short",
    ),
    (
        "/checkpoint/consistency/",
        |_, b| with_hashes(&b, Vec::clear),
        "is empty",
    ),
    (
        "/proof/",
        |_, b| replaced(&b, "\nindex 7\n", "\nindex 6\n"),
        "does not give the root",
    ),
];

fn swapped_action(mut bundle: Vec<u8>) -> Vec<u8> {
    let at = bundle
        .windows(9)
        .position(|part| part == b"door.open")
        .unwrap();
    bundle[at..at + 9].copy_from_slice(b"door.shut");
    bundle
}

/// The first two entries, each for the other.
fn exchanged(bundle: &[u8]) -> Vec<u8> {
    let length = |at: usize| 2 + usize::from(u16::from_be_bytes([bundle[at], bundle[at + 1]]));
    let first = length(0);
    let (one, rest) = bundle.split_at(first);
    let (other, rest) = rest.split_at(length(first));
    [other, one, rest].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_lie_on_the_way_is_seen() {
    let world = World::new().await;
    let old = world.path("old");
    let client = world
        .client
        .with("--old", old.to_str().unwrap())
        .with("--id", &world.ids[7]);
    success(&client.clone().run().await);
    let mut runs = JoinSet::new();
    for (asked, change, why) in LIES {
        let url = liar::before(&world.server.url, move |path, body| {
            let is_asked = path
                .split('?')
                .next()
                .is_some_and(|path| path.ends_with(asked));
            if is_asked { change(path, body) } else { body }
        });
        let client = client.at(&url.await);
        runs.spawn(async move { (asked, why, client.run().await) });
    }
    let mut seen = 0;
    while let Some(run) = runs.join_next().await {
        let (asked, why, output) = run.unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{asked}: {said}");
        assert!(said.contains(why), "{asked}: {why}: {said}");
        seen += 1;
    }
    assert_eq!(seen, LIES.len());
}

/// What the client kept, or was given by somebody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_lie_in_a_file_is_seen() {
    let world = World::new().await;
    let (proof, other) = (world.prove(7), world.prove(8));
    let (head, note) = proof.split_once("\n\n").unwrap();
    let mut lines: Vec<&str> = head.lines().collect();
    let whole = lines.clone();
    lines.swap(2, 3);
    let swapped = format!("{}\n\n{note}", lines.join("\n"));
    let cut = format!("{}\n\n{note}", whole[..whole.len() - 1].join("\n"));
    let long = format!("{head}\n{}\n\n{note}", whole[2]);
    let other_path = other.replacen("index 8", "index 7", 1);
    // Another history under the log's own key.
    let head_of_300 = TreeHead {
        size: 300,
        root: Hash([7; 32]),
    };
    let forged = Checkpoint {
        origin: world.signer().verifier().name().to_owned(),
        head: head_of_300,
        extensions: Vec::new(),
    };
    let forged = forged.sign(&[&world.signer()]).unwrap();
    let (_home, stranger) = start();
    publish(&stranger, 2).await;
    let foreign = std::fs::read(stranger.data().join("checkpoint")).unwrap();
    let stolen_name = VerifierKey::new(world.signer().verifier().name(), [9; 32]);
    let other_key = stolen_name.unwrap_or_else(|_| Witness::new().0.verifier());
    let mut wrong_key = world.client.clone();
    wrong_key.vkey = other_key.to_string();
    let given =
        |name: &str, file: &str, content: &[u8]| world.client.with(name, world.file(file, content));
    let cases = [
        (
            given("--proof", "swapped", swapped.as_bytes()),
            "does not give the root",
        ),
        (given("--proof", "cut", cut.as_bytes()), "too short"),
        (given("--proof", "long", long.as_bytes()), "too long"),
        (
            given("--proof", "other", other_path.as_bytes()),
            "does not give the root",
        ),
        (
            given("--proof", "none", head.as_bytes()),
            "has no checkpoint",
        ),
        (
            given("--old", "forged", forged.as_bytes()),
            "does not extend",
        ),
        (given("--old", "foreign", &foreign), "did not sign"),
        (wrong_key, "did not sign"),
    ];
    let mut runs = JoinSet::new();
    for (client, why) in cases {
        runs.spawn(async move { (why, client.run().await) });
    }
    while let Some(run) = runs.join_next().await {
        let (why, output) = run.unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{why}: {said}");
        assert!(said.contains(why), "{why}: {said}");
    }
}
