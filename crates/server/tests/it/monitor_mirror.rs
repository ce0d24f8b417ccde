//! `audittrail monitor --mirror`: everything in it was proven, and it goes on where it was killed.

use std::process::Stdio;

use audittrail_checkpoint::{Checkpoint, Signer};
use audittrail_merkle::{BundleId, Edge, Hash, TileId, leaf_hash, tile_root};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde_json::json;
use tokio::sync::mpsc;

use crate::monitoring::{Between, Monitor, Way, files, publish, serve_files, silence};
use crate::support::start;

const MIRROR: [&str; 2] = ["--mirror", "mirror"];

type Change = fn(Vec<u8>) -> Vec<u8>;

/// The last byte is another.
fn change(mut bytes: Vec<u8>) -> Vec<u8> {
    *bytes.last_mut().unwrap() ^= 0x10;
    bytes
}

/// It has one byte less.
fn cut(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.pop();
    bytes
}

/// What was changed on its way is reported and not stored; the next check takes what is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_on_its_way_is_not_stored() {
    let (_home, server) = start();
    publish(&server, 700, "door.open").await;
    let honest = tempfile::tempdir().unwrap();
    let monitor = Monitor::of(&server, honest.path());
    monitor.good(&MIRROR).await;
    let whole = files(&honest.path().join("mirror"));
    let cases: [(&str, Change, &str, &str); 9] = [
        ("tile/0/000", change, "tile", "tile/0/000"),
        ("tile/0/001", cut, "content", "8191 bytes"),
        (
            "tile/0/002.p/188",
            change,
            "unproven",
            "do not give the root",
        ),
        ("tile/1/000.p/2", change, "unproven", "do not give the root"),
        ("tile/entries/000", change, "entry", "entry 255"),
        ("tile/entries/001", cut, "entry", "entry 511"),
        ("tile/entries/001", |_| Vec::new(), "entry", "entry 256"),
        ("tile/entries/002.p/188", change, "entry", "entry 699"),
        (
            "tile/entries/002.p/188",
            |body| [body, vec![0]].concat(),
            "entry",
            "entry, 699",
        ),
    ];
    for (place, changed, kind, says) in cases {
        let between = Between::new(&server.url, move |path| {
            if path == place {
                Way::Change(changed)
            } else {
                Way::Pass
            }
        });
        let between = between.await;
        let work = tempfile::tempdir().unwrap();
        let monitor = Monitor::of(&server, work.path());
        let finding = monitor.before(&between.url).finds(kind, &MIRROR).await;
        let detail = finding["detail"].as_str().unwrap();
        assert!(detail.contains(says), "{place}: {detail}");
        assert!(between.asked().contains(&place.to_owned()));
        let stored = files(&work.path().join("mirror"));
        assert!(
            !stored.contains_key("checkpoint") && !stored.contains_key(place),
            "{place}"
        );
        for (name, bytes) in &stored {
            assert!(
                whole[name] == *bytes,
                "{place}: {name} is not as the log has it"
            );
        }
        // That the log grew is known all the same; and on the next way all comes as it is.
        assert!(monitor.state().exists());
        monitor.good(&MIRROR).await;
        assert!(files(&work.path().join("mirror")) == whole, "{place}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_it_goes_on() {
    let (_home, server) = start();
    publish(&server, 1_600, "door.open").await;
    let work = tempfile::tempdir().unwrap();
    let monitor = Monitor::of(&server, work.path());
    // The sixth bundle is asked for when the second is stored.
    let (reached, mut reach) = mpsc::unbounded_channel();
    let between = Between::new(&server.url, move |path| {
        if path == "tile/entries/005" {
            reached.send(()).unwrap();
            return Way::Answer(silence());
        }
        Way::Pass
    });
    let stalled = monitor.before(&between.await.url);
    let mut child = stalled
        .command(&["--once", "--mirror", "mirror"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    reach.recv().await.unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let mirror = work.path().join("mirror");
    let left = files(&mirror);
    assert!(left.contains_key("tile/entries/001") && !left.contains_key("tile/entries/005"));
    assert!(!left.contains_key("checkpoint"));

    // What it left is checked again: one that was damaged meanwhile is fetched anew.
    std::fs::write(
        mirror.join("tile/entries/000"),
        change(left["tile/entries/000"].clone()),
    )
    .unwrap();
    // And the log has grown.
    publish(&server, 5, "door.open").await;
    let between = Between::new(&server.url, |_| Way::Pass).await;
    let said = monitor.before(&between.url).good(&MIRROR).await;
    assert_eq!(
        (&said["previous_size"], &said["mirrored_entries"]),
        (&json!(1_600), &json!(1_605))
    );
    let asked = between.asked();
    let was_asked = |path: &str| asked.iter().any(|asked| asked == path);
    assert!(
        was_asked("tile/entries/000") && !was_asked("tile/entries/001"),
        "{asked:?}"
    );
    assert!(
        was_asked("tile/entries/005") && was_asked("tile/entries/006.p/69"),
        "{asked:?}"
    );
    let fresh = tempfile::tempdir().unwrap();
    Monitor::of(&server, fresh.path()).good(&MIRROR).await;
    assert!(files(&mirror) == files(&fresh.path().join("mirror")));
}

/// A log of other leaves than ours, as files; the leaves' hashes.
fn write_log(directory: &std::path::Path, size: u64, signer: &Signer) {
    let write = |path: String, bytes: Vec<u8>| {
        let path = directory.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let leaf = |at: u64| format!("{at}").repeat((at % 4) as usize).into_bytes();
    let mut edge = Edge::new();
    let mut row: Vec<Hash> = (0..size).map(|at| leaf_hash(&leaf(at))).collect();
    row.iter().for_each(|hash| edge.push(*hash));
    for index in 0..size.div_ceil(256) {
        let width = (size - index * 256).min(256);
        let mut bundle = Vec::new();
        for at in index * 256..index * 256 + width {
            bundle.extend(u16::try_from(leaf(at).len()).unwrap().to_be_bytes());
            bundle.extend(leaf(at));
        }
        let width = u16::try_from(width).unwrap();
        write(BundleId { index, width }.path(), bundle);
    }
    for level in 0.. {
        for (index, hashes) in (0..).zip(row.chunks(256)) {
            let width = u16::try_from(hashes.len()).unwrap();
            let id = TileId {
                level,
                index,
                width,
            };
            write(id.path(), hashes.iter().flat_map(|hash| hash.0).collect());
        }
        row = row.chunks_exact(256).filter_map(tile_root).collect();
        if row.is_empty() {
            break;
        }
    }
    let checkpoint = Checkpoint {
        origin: signer.verifier().name().to_owned(),
        head: edge.head(),
        extensions: vec!["of another program".to_owned()],
    };
    write(
        "checkpoint".to_owned(),
        checkpoint.sign(&[signer]).unwrap().into_bytes(),
    );
}

/// Any static tlog-tiles log will do, with tiles of three levels and full tiles alone where parts
/// are asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_another_program() {
    let log = tempfile::tempdir().unwrap();
    let signer = Signer::from_seed("log.example/static", [7; 32]).unwrap();
    let key = signer.verifier().to_string();
    write_log(log.path(), 65_000, &signer);
    let url = serve_files(log.path()).await;
    let work = tempfile::tempdir().unwrap();
    let monitor = Monitor::at(&url, &key, work.path());
    monitor.good(&MIRROR).await;
    let mirror = work.path().join("mirror");
    assert!(files(&mirror) == files(log.path()));
    write_log(log.path(), 65_700, &signer);
    // The log shows no parts any more; those that it needs are in tiles that are full.
    let (before, after) = ("tile/0/256.p/164", "tile/entries/256.p/164");
    let hidden = Between::new(&url, move |path| {
        if path == before || path == after {
            return Way::Answer(StatusCode::NOT_FOUND.into_response());
        }
        Way::Pass
    });
    let hidden = hidden.await;
    let finding = monitor.before(&hidden.url).finds("unproven", &MIRROR).await;
    assert!(finding["detail"].as_str().unwrap().contains("is not there"));
    monitor.good(&MIRROR).await;
    let names = |of| {
        files(of)
            .into_keys()
            .filter(|name| !name.contains(".p/"))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&mirror), names(log.path()));
    assert!(mirror.join("tile/2/000.p/1").exists() && mirror.join("tile/1/000").exists());
    // Parts of tiles that are full by now are gone.
    assert!(!mirror.join("tile/0/253.p").exists() && !mirror.join("tile/1/000.p").exists());

    // While it is read, a log may grow past what is read of it.
    let (early, late) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_log(early.path(), 300, &signer);
    write_log(late.path(), 300, &signer);
    write_log(late.path(), 512, &signer);
    for full in ["tile/0/001.p", "tile/entries/001.p"] {
        std::fs::remove_dir_all(late.path().join(full)).unwrap();
    }
    let url = serve_files(late.path()).await;
    let note = std::fs::read(early.path().join("checkpoint")).unwrap();
    let behind = Between::new(&url, move |path| match path {
        "checkpoint" => Way::Answer(note.clone().into_response()),
        _ => Way::Pass,
    });
    let work = tempfile::tempdir().unwrap();
    let monitor = Monitor::at(&behind.await.url, &key, work.path());
    assert_eq!(monitor.good(&MIRROR).await["mirrored_entries"], 300);
    assert!(files(&work.path().join("mirror")) == files(early.path()));
}
