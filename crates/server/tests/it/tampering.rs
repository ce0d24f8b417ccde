//! Somebody edits the files. Nothing of it stays unseen, whatever keys they have.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{Server, spawn, start, text};

/// A record in a segment, found as docs/formats.md describes it.
struct Record {
    at: usize,
    leaf: std::ops::Range<usize>,
    sealed: std::ops::Range<usize>,
}

/// A segment in memory, as an attacker would hold it.
struct Segment {
    path: PathBuf,
    bytes: Vec<u8>,
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

impl Segment {
    fn read(data: &Path) -> Self {
        let path = data.join("log/00000000000000000000.seg");
        Self {
            bytes: std::fs::read(&path).unwrap(),
            path,
        }
    }

    fn write(&self) {
        std::fs::write(&self.path, &self.bytes).unwrap();
    }

    fn number(&self, at: usize) -> usize {
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().unwrap()) as usize
    }

    fn record(&self, wanted: u64) -> Record {
        let (mut at, mut index) = (88, 0);
        loop {
            let (count, end) = (self.number(at + 12), at + 72 + self.number(at + 8));
            at += 72;
            for _ in 0..count {
                let leaf = at + 84..at + 84 + self.number(at);
                let sealed = leaf.end..leaf.end + self.number(at + 4);
                let next = sealed.end;
                if index == wanted {
                    return Record { at, leaf, sealed };
                }
                (at, index) = (next, index + 1);
            }
            assert_eq!(at, end);
        }
    }

    /// Replaces text by other text of the same length.
    fn replace(&mut self, range: std::ops::Range<usize>, from: &str, to: &str) {
        assert_eq!(from.len(), to.len());
        let found = self.bytes[range.clone()]
            .windows(from.len())
            .position(|part| part == from.as_bytes())
            .unwrap();
        let at = range.start + found;
        self.bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }

    /// Makes the leaf commit to the sealed part again.
    fn repair_commitment(&mut self, record: &Record) {
        let salt = self.bytes[record.at + 52..record.at + 84].to_vec();
        let commitment = hmac(&salt, &self.bytes[record.sealed.clone()]);
        let leaf = text(&self.bytes[record.leaf.clone()]);
        let old = leaf
            .split("\"sealed\":\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        let new = URL_SAFE_NO_PAD.encode(commitment);
        self.replace(record.leaf.clone(), old, &new);
    }

    /// Signs with the stolen key.
    fn repair_signature(&mut self, record: &Record, data: &Path) {
        let key = std::fs::read_to_string(data.join("keys/signing.key")).unwrap();
        let note = std::fs::read_to_string(data.join("checkpoint")).unwrap();
        let mut message = b"audittrail/signature/v1\n".to_vec();
        message.extend(note.lines().next().unwrap().as_bytes());
        message.push(b'\n');
        message.extend(&self.bytes[record.leaf.clone()]);
        let signature = hmac(key.trim_end().as_bytes(), &message);
        self.bytes[record.at + 20..record.at + 52].copy_from_slice(&signature);
    }

    fn repair_checksums(&mut self, record: &Record, index: u64) {
        let at = record.at;
        let mut open = index.to_le_bytes().to_vec();
        open.extend(&self.bytes[at..at + 8]);
        open.extend(&self.bytes[at + 16..at + 52]);
        open.extend(&self.bytes[record.leaf.clone()]);
        let mut sealed = self.bytes[at + 52..at + 84].to_vec();
        sealed.extend(&self.bytes[record.sealed.clone()]);
        let checksums = [crc32c::crc32c(&open), crc32c::crc32c(&sealed)];
        for (position, checksum) in checksums.into_iter().enumerate() {
            let at = at + 8 + 4 * position;
            self.bytes[at..at + 4].copy_from_slice(&checksum.to_le_bytes());
        }
    }

    /// Gives every batch the root that its leaves have now, checksums and chain repaired; the
    /// root of the whole.
    fn repair_roots(&mut self) -> Vec<u8> {
        let mut leaves = Vec::new();
        let mut before = (0, Sha256::digest([]).to_vec());
        let mut at = 88;
        while at < self.bytes.len() {
            let (count, end) = (self.number(at + 12), at + 72 + self.number(at + 8));
            let mut record = at + 72;
            for _ in 0..count {
                let leaf = record + 84..record + 84 + self.number(record);
                record = leaf.end + self.number(record + 4);
                let mut hasher = Sha256::new_with_prefix([0]);
                hasher.update(&self.bytes[leaf]);
                leaves.push(hasher.finalize().to_vec());
            }
            let mut head = u64::to_le_bytes(before.0).to_vec();
            head.extend(&before.1);
            let root = root(&leaves);
            self.bytes[at + 24..at + 28].copy_from_slice(&crc32c::crc32c(&head).to_le_bytes());
            self.bytes[at + 40..at + 72].copy_from_slice(&root);
            let checksum = crc32c::crc32c(&self.bytes[at + 8..at + 72]);
            self.bytes[at + 4..at + 8].copy_from_slice(&checksum.to_le_bytes());
            before = (leaves.len() as u64, root);
            at = end;
        }
        before.1
    }
}

/// RFC 6962 section 2.1, word for word.
fn root(leaves: &[Vec<u8>]) -> Vec<u8> {
    if leaves.len() == 1 {
        return leaves[0].clone();
    }
    let split = leaves.len().next_power_of_two() / 2;
    let mut hasher = Sha256::new_with_prefix([1]);
    hasher.update(root(&leaves[..split]));
    hasher.update(root(&leaves[split..]));
    hasher.finalize().to_vec()
}

/// A server with ten entries of alice and bob, all covered by a checkpoint.
async fn filled() -> (tempfile::TempDir, Server, Vec<String>) {
    let (home, server) = start();
    let mut ids = Vec::new();
    for number in 0..10 {
        let user = ["alice", "bobby"][number % 2];
        let entry = json!({"action": "file.read", "user_id": user, "details": {"n": number}});
        let (status, receipt) = server.post("/logs/?ack=published", &entry).await;
        assert_eq!(status, StatusCode::CREATED);
        ids.push(receipt["id"].as_str().unwrap().to_owned());
    }
    (home, server, ids)
}

const EDITED: u64 = 6;

/// What an attacker repairs after the edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Repairs {
    Nothing,
    Checksums,
    Commitment,
    Signature,
}

fn edit(data: &Path, repairs: Repairs) -> usize {
    let mut segment = Segment::read(data);
    let record = segment.record(EDITED);
    segment.replace(
        record.sealed.clone(),
        "\"user_id\":\"alice\"",
        "\"user_id\":\"carol\"",
    );
    if repairs >= Repairs::Commitment {
        segment.repair_commitment(&record);
    }
    if repairs >= Repairs::Signature {
        segment.repair_signature(&record, data);
    }
    if repairs >= Repairs::Checksums {
        segment.repair_checksums(&record, EDITED);
    }
    segment.write();
    record.at
}

fn marked<'v>(results: impl IntoIterator<Item = &'v Value>) -> Vec<u64> {
    let failed = results.into_iter().filter(|result| {
        assert_eq!(
            result["verified"] == false,
            result.get("verification_error").is_some()
        );
        result["verified"] == false
    });
    failed
        .map(|result| result["index"].as_u64().unwrap())
        .collect()
}

/// Every way of reading marks the entry; nothing hides it.
async fn is_marked(server: &Server, ids: &[String], says: &str, case: &str) {
    let (status, entry) = server
        .get(&format!("/logs/{}/", ids[EDITED as usize]))
        .await;
    assert_eq!(
        (status, &entry["verified"]),
        (StatusCode::OK, &json!(false)),
        "{case}: {entry}"
    );
    let error = entry["verification_error"].as_str().unwrap();
    assert!(error.contains(says), "{case}: {error}");
    let (_, page) = server.get("/logs/list/?action=file.read").await;
    assert_eq!(page["results"].as_array().unwrap().len(), 10, "{case}");
    assert_eq!(
        marked(page["results"].as_array().unwrap()),
        [EDITED],
        "{case}"
    );
    assert_eq!(page["failed_entries"], 1, "{case}");
    // It is known now: no filter that its new content fails hides it.
    for filter in [
        "user_id=alice",
        "user_id=bobby",
        "verified=false",
        "action=no.such",
    ] {
        let (_, page) = server.get(&format!("/logs/list/?{filter}")).await;
        assert_eq!(
            marked(page["results"].as_array().unwrap()),
            [EDITED],
            "{case}: {filter}"
        );
        assert_eq!(
            page["count"],
            page["results"].as_array().unwrap().len(),
            "{case}: {filter}"
        );
    }
    let export = "/logs/export/?format=ndjson&action=file.read";
    let export = server
        .request(Method::GET, export)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let lines: Vec<Value> = export
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((lines.len(), marked(&lines)), (10, vec![EDITED]), "{case}");
    assert!(
        server.metric("audittrail_failed_entries").await == 1.0,
        "{case}"
    );
    assert!(
        server
            .metric("audittrail_verification_failures_total")
            .await
            >= 3.0,
        "{case}"
    );
}

#[tokio::test]
async fn an_edited_entry_is_marked_everywhere_and_named_by_fsck() {
    for (repairs, says) in [
        (Repairs::Nothing, "checksum"),
        (Repairs::Checksums, "commitment"),
        (Repairs::Commitment, "signature"),
        (Repairs::Signature, "not the one in the tree"),
    ] {
        let (home, server, ids) = filled().await;
        // Under the running server, which has no reason to look twice.
        let offset = edit(&server.data(), repairs);
        is_marked(&server, &ids, says, &format!("{repairs:?}, running")).await;
        let fsck = server.run("fsck").output().unwrap();
        let said = text(&fsck.stdout);
        assert_eq!(fsck.status.code(), Some(1), "{said}");
        let place = format!("00000000000000000000.seg at offset {offset}, entry {EDITED}: ");
        assert!(said.contains(&place), "{repairs:?}: {place} not in {said}");
        server.kill();
        let server = Server::start(home.path());
        is_marked(&server, &ids, says, &format!("{repairs:?}, restarted")).await;
    }
}

/// The background check finds it without anybody asking for the entry.
#[tokio::test]
async fn the_scrub_finds_it_alone() {
    let (home, server, _) = filled().await;
    server.stop();
    edit(&home.path().join("audittrail-data"), Repairs::Signature);
    let server = Server::start(home.path());
    // The metric is all that is read, as often as it takes.
    while server.metric("audittrail_failed_entries").await < 1.0 {}
    let (_, page) = server.get("/logs/list/?action=no.such").await;
    assert_eq!(marked(page["results"].as_array().unwrap()), [EDITED]);
}

/// Damage that comes after the background check has been there is found by its next round: within
/// the time that the log takes at its rate, and its pause.
#[tokio::test]
async fn the_scrub_finds_damage_under_a_running_server() {
    let home = tempfile::tempdir().unwrap();
    let pace = [
        ("AUDITTRAIL_SCRUB_PAUSE", "50ms"),
        ("AUDITTRAIL_SCRUB_RATE", "1"),
    ];
    let server = Server::start_with(home.path(), &pace);
    let entries: Vec<Value> = (0..10)
        .map(|number| json!({"action": "file.read", "user_id": "alice", "details": {"n": number}}))
        .collect();
    let (status, _) = server.post("/logs/?ack=published", &json!(entries)).await;
    assert_eq!(status, StatusCode::CREATED);
    let scrubbed = "audittrail_scrubbed_entries_total";
    // All of it has been read, and is sound.
    while server.metric(scrubbed).await < 10.0 {}
    let sound = "/logs/list/?verified=false";
    let (_, page) = server.get(sound).await;
    assert_eq!(
        (&page["count"], &page["failed_entries"]),
        (&json!(0), &json!(0))
    );
    assert!(server.metric("audittrail_failed_entries").await == 0.0);
    edit(&server.data(), Repairs::Signature);
    // Nobody reads an entry but the check.
    while server.metric("audittrail_failed_entries").await < 1.0 {}
    assert!(
        server
            .metric("audittrail_verification_failures_total")
            .await
            >= 1.0
    );
    let (_, page) = server.get(sound).await;
    assert_eq!(marked(page["results"].as_array().unwrap()), [EDITED]);
    assert_eq!(
        (&page["count"], &page["failed_entries"]),
        (&json!(1), &json!(1))
    );
    // It stays one entry, however often it is found.
    let before = server.metric("audittrail_scrub_rounds_total").await;
    while server.metric("audittrail_scrub_rounds_total").await < before + 2.0 {}
    assert!(server.metric("audittrail_failed_entries").await == 1.0);
}

/// With every key but the checkpoint's a whole new history can be written. It is not that of
/// the checkpoint.
#[tokio::test]
async fn a_rewritten_history_is_refused() {
    let (home, server, _) = filled().await;
    let data = server.data();
    server.stop();
    edit(&data, Repairs::Signature);
    let mut segment = Segment::read(&data);
    let root = segment.repair_roots();
    segment.write();
    for derived in ["tree", "locations"] {
        std::fs::remove_dir_all(data.join(derived)).unwrap();
    }
    let (mut child, first) = spawn(home.path(), &[]);
    assert_eq!(
        (first.as_str(), child.wait().unwrap().code()),
        ("", Some(3))
    );
    let log = std::fs::read_to_string(home.path().join("server.log")).unwrap();
    assert!(log.contains("checkpoint"), "{log}");
    let fsck = |data: &Path| {
        let mut fsck = crate::support::command(crate::support::BINARY);
        let output = fsck.arg("fsck").arg("--data").arg(data).output().unwrap();
        (output.status.code(), text(&output.stdout))
    };
    let (code, said) = fsck(&data);
    assert!(
        code == Some(1) && said.contains("checkpoint"),
        "{code:?} {said}"
    );

    // A checkpoint with the new root, and the old signature, is none.
    let note = std::fs::read_to_string(data.join("checkpoint")).unwrap();
    let old = note.lines().nth(2).unwrap();
    let root = base64::engine::general_purpose::STANDARD.encode(root);
    std::fs::write(data.join("checkpoint"), note.replace(old, &root)).unwrap();
    let (mut child, first) = spawn(home.path(), &[]);
    assert_eq!(
        (first.as_str(), child.wait().unwrap().code()),
        ("", Some(3))
    );
    assert_ne!(fsck(&data).0, Some(0));
}

/// Entries cut off the end, below the checkpoint, are missed at the start.
#[tokio::test]
async fn a_shortened_log_is_refused() {
    let (home, server, _) = filled().await;
    let data = server.data();
    server.stop();
    let mut segment = Segment::read(&data);
    let cut = segment.record(9).at - 72;
    segment.bytes.truncate(cut);
    segment.write();
    let (mut child, first) = spawn(home.path(), &[]);
    assert_eq!(
        (first.as_str(), child.wait().unwrap().code()),
        ("", Some(3))
    );
}

/// Two entries that changed places are both marked.
#[tokio::test]
async fn entries_that_changed_places_are_marked() {
    let (_home, server, _) = filled().await;
    let mut segment = Segment::read(&server.data());
    let (first, second) = (segment.record(2), segment.record(4));
    let one = segment.bytes[first.at..first.sealed.end].to_vec();
    let other = segment.bytes[second.at..second.sealed.end].to_vec();
    assert_eq!(one.len(), other.len());
    segment.bytes[first.at..first.sealed.end].copy_from_slice(&other);
    segment.bytes[second.at..second.sealed.end].copy_from_slice(&one);
    segment.repair_checksums(&first, 2);
    segment.repair_checksums(&second, 4);
    segment.write();
    let (_, page) = server.get("/logs/list/?order=index").await;
    assert_eq!(marked(page["results"].as_array().unwrap()), [2, 4]);
}
