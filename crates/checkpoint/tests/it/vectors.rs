//! The checkpoints of a published log (transparency-dev/tessera), with its key and its tiles.

use std::path::{Path, PathBuf};
use std::{env, fs};

use audittrail_checkpoint::{Checkpoint, CheckpointError, Note, NoteError, VerifierKey};
use audittrail_merkle::{Edge, Hash, TileId};

const KEY: &str = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx";

/// `AUDITTRAIL_VECTORS`, from the workspace's root where it is relative.
fn log() -> PathBuf {
    let directory = env::var_os("AUDITTRAIL_VECTORS").expect("AUDITTRAIL_VECTORS is set");
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(directory)
        .join("tessera-log")
}

#[test]
#[cfg_attr(
    not(audittrail_vectors),
    ignore = "set AUDITTRAIL_VECTORS to the directory of the test vectors"
)]
fn tessera_checkpoints() {
    let log = log();
    let key = VerifierKey::parse(KEY).unwrap();
    assert_eq!(key.to_string(), KEY);
    let other = VerifierKey::new("example.com/log/other", key.public_key()).unwrap();
    let keys = [key];

    let mut edge = Edge::new();
    let tile = fs::read(
        log.join(
            TileId {
                level: 0,
                index: 0,
                width: 15,
            }
            .path(),
        ),
    )
    .unwrap();
    let (leaves, rest) = tile.as_chunks::<32>();
    assert!(rest.is_empty());
    let mut heads = vec![edge.head()];
    for leaf in leaves {
        edge.push(Hash(*leaf));
        heads.push(edge.head());
    }
    assert_eq!(heads.len(), 16);

    let numbered = (0..16).map(|size| (size, format!("checkpoint.{size}")));
    let mut opened = 0;
    for (size, name) in numbered.chain([(15, "checkpoint".to_owned())]) {
        let note = fs::read(log.join(&name)).unwrap();
        let checkpoint = Checkpoint::open(&note, &keys).unwrap();
        assert_eq!(checkpoint.origin, "example.com/log/testdata");
        assert_eq!(checkpoint.head, heads[size], "{name}");
        assert_eq!(checkpoint.extensions, [""; 0]);
        assert_eq!(Note::parse(&note).unwrap().to_string().as_bytes(), note);

        let unknown = Checkpoint::open(&note, std::slice::from_ref(&other));
        assert_eq!(unknown, Err(CheckpointError::Note(NoteError::Unknown)));
        let mut forged = note.clone();
        let at = forged.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        forged[at] = if forged[at] == b'9' { b'8' } else { b'9' };
        assert!(Checkpoint::open(&forged, &keys).is_err(), "{name}");
        opened += 1;
    }
    assert_eq!(opened, 17);
}
