//! What witnesses may answer, and that none of it does harm.

use std::path::Path;
use std::sync::{Arc, Mutex};

use audittrail_checkpoint::{AddCheckpoint, Checkpoint, Cosigner, Note, Policy, Signer};
use audittrail_entry::Clock as _;
use audittrail_merkle::{Hash, TreeHead};
use audittrail_store::KeptCheckpoint;
use audittrail_store_embedded::disk::{Disk, RealDisk, SimulatedDisk, SyncPoint};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::ask::Answer;
use super::watermark::Watermark;
use super::*;
use crate::ambient::SystemClock;

const ORIGIN: &str = "example.com/log";

fn log() -> Signer {
    Signer::from_seed(ORIGIN, [1; 32]).unwrap()
}

fn witness(number: u8) -> Cosigner {
    Cosigner::from_seed(&format!("w{number}.example"), [number; 32]).unwrap()
}

fn kept(size: u64) -> KeptCheckpoint {
    let head = TreeHead {
        size,
        root: Hash([size as u8; 32]),
    };
    let checkpoint = Checkpoint {
        origin: ORIGIN.to_owned(),
        head,
        extensions: Vec::new(),
    };
    let note = checkpoint.sign(&[&log()]).unwrap();
    KeptCheckpoint { head, note }
}

fn now() -> u64 {
    (SystemClock.now().nanos() / 1_000_000_000) as u64
}

fn text_of(kept: &KeptCheckpoint) -> String {
    Note::parse(kept.note.as_bytes()).unwrap().text
}

/// A witness that answers each request with the same bytes, as they are. `None` hangs.
async fn scripted(answer: Option<Vec<u8>>) -> (Asker, Arc<Mutex<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/add-checkpoint", listener.local_addr().unwrap());
    let count = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            *counted.lock().unwrap() += 1;
            tokio::spawn(answer_with(stream, answer.clone()));
        }
    });
    let url = Url::parse(&url).unwrap();
    let asker = Asker::new(
        ask::client().unwrap(),
        url,
        "w".into(),
        witness(1).verifier().clone(),
    );
    (asker, count)
}

async fn answer_with(mut stream: TcpStream, answer: Option<Vec<u8>>) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    // The request's last line is the log's signature.
    while !request.windows(4).any(|end| end == b"\r\n\r\n") || !request.ends_with(b"=\n") {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => request.extend_from_slice(&buffer[..read]),
        }
    }
    match answer {
        Some(answer) => {
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
            // What the client still sends, until it has closed.
            while matches!(stream.read(&mut buffer).await, Ok(read) if read > 0) {}
        }
        None => std::future::pending().await,
    }
}

fn http(status: u16, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

async fn outcome(answer: Vec<u8>) -> String {
    let (asker, _) = scripted(Some(answer)).await;
    let request = AddCheckpoint {
        old: 0,
        proof: Vec::new(),
        checkpoint: kept(8).note,
    };
    match asker.ask(&request).await {
        Ok(Answer::Cosigned(_)) => "success".to_owned(),
        Ok(Answer::Conflict(size)) => format!("conflict {size}"),
        Err(error) => error.outcome().to_owned(),
    }
}

#[tokio::test]
async fn each_answer_has_its_meaning() {
    let plain = "text/plain";
    let size = "text/x.tlog.size";
    let line = |witness: &Cosigner, text: &str, time| format!("{}\n", witness.cosign(text, time));
    let text = text_of(&kept(8));
    let (own, other) = (witness(1), witness(2));
    let good = line(&own, &text, now());
    let other_line = line(&other, &text, now());
    let mut spoilt = own.cosign(&text, now());
    spoilt.signature[30] ^= 1;
    let mut reused = own.cosign(&text, now());
    reused.signature[..8].copy_from_slice(&(now() - 100).to_be_bytes());
    let same_name = Cosigner::from_seed("w1.example", [9; 32]).unwrap();
    let mut borrowed = same_name.cosign(&text, now());
    borrowed.id = own.verifier().id();
    let two_lines = format!("{other_line}{good}");
    for (answer, expected) in [
        (http(200, plain, &good), "success"),
        (http(200, plain, &two_lines), "success"),
        (
            http(200, plain, &format!("{good}{good}{other_line}")),
            "success",
        ),
        // Lies.
        (http(200, plain, &other_line), "invalid"),
        (
            http(200, plain, &line(&own, &text_of(&kept(9)), now())),
            "invalid",
        ),
        (http(200, plain, &format!("{spoilt}\n")), "invalid"),
        (http(200, plain, &format!("{good}{spoilt}\n")), "invalid"),
        (http(200, plain, &format!("{reused}\n")), "invalid"),
        (http(200, plain, &format!("{borrowed}\n")), "invalid"),
        (http(200, plain, &line(&same_name, &text, now())), "invalid"),
        (http(200, plain, &line(&own, &text, now() + 3_600)), "time"),
        (http(200, plain, &line(&own, &text, now() - 3_600)), "time"),
        (http(200, plain, &line(&own, &text, 0)), "time"),
        (http(200, plain, ""), "invalid"),
        (http(200, plain, "OK"), "invalid"),
        (http(200, plain, good.trim_end()), "invalid"),
        (http(200, plain, &other_line.repeat(129)), "invalid"),
        // The other answers of the specification, and some that are none.
        (http(404, plain, ""), "unknown-log"),
        (http(403, plain, ""), "unsigned"),
        (http(400, plain, ""), "malformed"),
        (http(422, plain, ""), "unproven"),
        (http(409, size, "5\n"), "conflict 5"),
        (http(409, plain, "5\n"), "conflict"),
        (http(409, size, "05\n"), "conflict"),
        (http(409, size, "5"), "conflict"),
        (http(409, size, "many\n"), "conflict"),
        (http(409, size, &"9".repeat(1_000)), "conflict"),
        (http(500, plain, ""), "status"),
        (http(201, plain, &good), "status"),
        (http(204, plain, ""), "status"),
        (
            b"HTTP/1.1 307 X\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".to_vec(),
            "redirect",
        ),
        // Floods, and what breaks off.
        (http(200, plain, &"x".repeat(1 << 20)), "too-large"),
        (http(409, size, &"1".repeat(1 << 20)), "too-large"),
        (
            b"HTTP/1.1 200 X\r\nContent-Length: 500\r\n\r\nx".to_vec(),
            "unreachable",
        ),
        (b"\0\0\0".to_vec(), "unreachable"),
        (Vec::new(), "unreachable"),
    ] {
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(300)]).into_owned();
        assert_eq!(outcome(answer).await, expected, "{shown}");
    }
    // An answer without an end.
    let endless = format!(
        "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        format!("1000\r\n{}\r\n", "x".repeat(0x1000)).repeat(100)
    );
    assert_eq!(outcome(endless.into_bytes()).await, "too-large");
}

#[tokio::test]
async fn who_hangs_is_left_after_a_while() {
    let (asker, _) = scripted(None).await;
    let request = AddCheckpoint {
        old: 0,
        proof: Vec::new(),
        checkpoint: kept(8).note,
    };
    // With a clock that jumps to what is waited for.
    tokio::time::pause();
    let error = asker.ask(&request).await.unwrap_err();
    assert_eq!(error.outcome(), "timeout");
}

fn policy(quorum: &str) -> Policy {
    let line = |number: u8| format!("witness w{number} {}\n", witness(number).verifier());
    let lines: String = (1..=3).map(line).collect();
    Policy::parse(format!("{lines}group two 2 w1 w2 w3\nquorum {quorum}\n").as_bytes()).unwrap()
}

#[test]
fn the_board_shows_the_newest_and_the_newest_that_meets_the_policy() {
    let board = Board::new(policy("two"));
    let shown = board.witnessed();
    let add = |size: u64, number: u8| {
        let kept = kept(size);
        let line = witness(number).cosign(&text_of(&kept), now());
        board.add(&kept, usize::from(number) - 1, line);
    };
    let sizes = || {
        let shown = shown.borrow().clone();
        let size = |kept: Option<KeptCheckpoint>| kept.map(|kept| kept.head.size);
        (size(shown.newest), size(shown.met))
    };
    assert_eq!(sizes(), (None, None));
    add(10, 1);
    add(10, 1);
    assert_eq!(sizes(), (Some(10), None));
    add(12, 3);
    assert_eq!(sizes(), (Some(12), None));
    add(10, 2);
    assert_eq!(sizes(), (Some(12), Some(10)));
    let met = shown.borrow().met.clone().unwrap();
    let own = [log().verifier()];
    let checked = policy("two").check(met.note.as_bytes(), &own).unwrap();
    assert_eq!(checked.cosigned.len(), 2);
    // An older one that gets its quorum later changes nothing.
    add(9, 1);
    add(9, 2);
    assert_eq!(sizes(), (Some(12), Some(10)));
    add(12, 1);
    assert_eq!(sizes(), (Some(12), Some(12)));
    // Late cosignatures are added to what is shown.
    add(12, 2);
    let met = shown.borrow().met.clone().unwrap();
    let checked = policy("two").check(met.note.as_bytes(), &own).unwrap();
    assert_eq!(checked.cosigned.len(), 3);
    // However many come, memory has a bound.
    (100..1_000).for_each(|size| add(size, 1));
    assert_eq!(sizes(), (Some(999), Some(12)));
}

#[test]
fn the_board_takes_back_what_still_meets_the_policy() {
    let mut note = Note::parse(kept(10).note.as_bytes()).unwrap();
    note.signatures.push(witness(1).cosign(&note.text, now()));
    let one = KeptCheckpoint {
        note: note.to_string(),
        ..kept(10)
    };
    note.signatures.push(witness(2).cosign(&note.text, now()));
    let two = KeptCheckpoint {
        note: note.to_string(),
        ..kept(10)
    };
    note.signatures[1].signature[20] ^= 1;
    let spoilt = KeptCheckpoint {
        note: note.to_string(),
        ..kept(10)
    };
    for (kept, quorum, met) in [
        (&one, "two", false),
        (&one, "w1", true),
        (&two, "two", true),
        (&spoilt, "none", false),
        (&one, "none", true),
    ] {
        let board = Board::new(policy(quorum));
        board.put_back(kept);
        assert_eq!(board.witnessed().borrow().met.is_some(), met, "{quorum}");
    }
}

#[test]
fn urls_of_witnesses() {
    for (prefix, url) in [
        ("http://w.example", Some("http://w.example/add-checkpoint")),
        (
            "https://w.example/a/b/",
            Some("https://w.example/a/b/add-checkpoint"),
        ),
        ("ftp://w.example", None),
        ("w.example", None),
        ("https://w.example/?a", None),
        ("https://w.example/#a", None),
        ("file:///etc", None),
    ] {
        let joined = submission(prefix).map(|url| url.to_string());
        assert_eq!(joined.as_deref(), url, "{prefix}");
    }
}

/// A watermark that was said to be kept is there after a power cut, whole.
#[test]
fn a_watermark_survives_and_each_of_its_syncs_is_needed() {
    let live = |seed: u64, left_out: Option<SyncPoint>| {
        let disk = SimulatedDisk::new(seed);
        disk.create_directory(Path::new("/other")).unwrap();
        disk.sync_directory(Path::new("/"), SyncPoint::DataDirectory)
            .unwrap();
        left_out.into_iter().for_each(|point| disk.leave_out(point));
        let path = Path::new("/other/mark");
        let data = Path::new("/data");
        let watermark = Watermark::at(Arc::new(disk.clone()), path, data).unwrap();
        watermark.write(&kept(5)).unwrap();
        watermark.write(&kept(9)).unwrap();
        watermark.write(&kept(7)).unwrap();
        disk.cut_power();
        let found = audittrail_store_embedded::disk::read_file(&disk, path).unwrap();
        found == Some(kept(9).note.into_bytes())
    };
    assert!((0..500).all(|seed| live(seed, None)));
    for point in [SyncPoint::WatermarkFile, SyncPoint::WatermarkName] {
        assert!((0..500).any(|seed| !live(seed, Some(point))), "{point:?}");
    }
}

#[test]
fn pauses_grow_and_end() {
    let pause = tell::Pause::default();
    let seconds: Vec<u64> = [1, 2, 3, 8, 9, 10, 40, u32::MAX]
        .into_iter()
        .map(|failures| pause.after(failures).as_secs())
        .collect();
    assert_eq!(seconds, [1, 2, 4, 128, 256, 300, 300, 300]);
}

/// A target is held out until it has its quorum; what is published meanwhile is skipped.
#[tokio::test(start_paused = true)]
async fn rounds_end_with_a_quorum_or_in_time() {
    let (publish, published) = watch::channel(kept(1));
    let (target, mut targets) = watch::channel(kept(9));
    let (show, witnessed) = watch::channel(Witnessed::default());
    tokio::spawn(rounds(published, target, witnessed));
    let size = async |targets: &mut watch::Receiver<KeptCheckpoint>| {
        targets.changed().await.unwrap();
        targets.borrow_and_update().head.size
    };
    let at = tokio::time::Instant::now;
    assert_eq!(size(&mut targets).await, 1);
    publish.send_replace(kept(2));
    publish.send_replace(kept(3));
    tokio::time::advance(ROUND / 2).await;
    assert!(!targets.has_changed().unwrap());
    let met = Some(kept(1));
    show.send_replace(Witnessed { newest: None, met });
    let before = at();
    assert_eq!(size(&mut targets).await, 3);
    assert!(at() - before < ROUND / 10);
    // Without a quorum the next comes after a round.
    publish.send_replace(kept(4));
    publish.send_replace(kept(5));
    let before = at();
    assert_eq!(size(&mut targets).await, 5);
    assert!(at() - before >= ROUND);
}

#[test]
fn a_watermark_is_not_kept_with_the_data() {
    let home = tempfile::tempdir().unwrap();
    let at = |path: &str| {
        let data = home.path().join("data");
        Watermark::at(Arc::new(RealDisk), &home.path().join(path), &data).is_ok()
    };
    assert!(at("mark") && !at("data/mark") && !at("none/mark"));
}
