//! Published vectors: RFC 6962 proofs that have to pass or to fail (transparency-dev/merkle), and
//! a C2SP tlog-tiles log at each of its sizes (transparency-dev/tessera).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use audittrail_merkle::{
    Hash, TileId, TreeHead, consistency_proof, edge_from_tiles, inclusion_proof, leaf_hash,
    verify_consistency, verify_inclusion,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::oracle;
use crate::support::edge;

/// `AUDITTRAIL_VECTORS`, from the workspace's root where it is relative.
fn directory() -> PathBuf {
    let directory = env::var_os("AUDITTRAIL_VECTORS").expect("AUDITTRAIL_VECTORS is set");
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(directory)
}

/// Every JSON file below a directory.
fn cases(directory: &Path, found: &mut Vec<(PathBuf, Value)>) {
    let entries = fs::read_dir(directory).expect("the directory of the vectors can be read");
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            cases(&path, found);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, serde_json::from_str(&text).unwrap()));
        }
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::Null => Vec::new(),
        value => STANDARD.decode(value.as_str().unwrap()).unwrap(),
    }
}

/// Some hashes do not have 32 bytes. Those that are only compared or hashed get another hash
/// in their place, one for each text: padded, with their length at the end.
fn hash(value: &Value) -> Hash {
    let bytes = bytes(value);
    let mut hash = [0xee; 32];
    hash[31] = bytes.len() as u8;
    assert!(bytes.len() <= 32, "{value} is too long");
    hash[..bytes.len()].copy_from_slice(&bytes);
    Hash(hash)
}

fn hashes(value: &Value) -> Vec<Hash> {
    match value {
        Value::Null => Vec::new(),
        value => value.as_array().unwrap().iter().map(hash).collect(),
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn inclusion(case: &Value) -> bool {
    // The vectors have a leaf hash of another length refused even where it is the root.
    let Ok(leaf) = bytes(&case["leafHash"]).try_into().map(Hash) else {
        return false;
    };
    let (index, size) = (number(&case["leafIdx"]), number(&case["treeSize"]));
    let (proof, root) = (hashes(&case["proof"]), hash(&case["root"]));
    verify_inclusion(index, size, &leaf, &proof, &root).is_ok()
}

fn consistency(case: &Value) -> bool {
    let (from, to) = (number(&case["size1"]), number(&case["size2"]));
    let (old, new) = (hash(&case["root1"]), hash(&case["root2"]));
    verify_consistency(from, to, &hashes(&case["proof"]), &old, &new).is_ok()
}

/// The numbers of cases that have to pass and that have to fail.
fn run(folder: &str, verdict: fn(&Value) -> bool) -> (usize, usize) {
    let mut all = Vec::new();
    cases(&directory().join("merkle").join(folder), &mut all);
    let (mut passing, mut failing) = (0, 0);
    for (path, case) in &all {
        let expected = !case["wantErr"].as_bool().unwrap();
        assert_eq!(verdict(case), expected, "{}", path.display());
        *if expected { &mut passing } else { &mut failing } += 1;
    }
    (passing, failing)
}

#[test]
#[cfg_attr(
    not(audittrail_vectors),
    ignore = "set AUDITTRAIL_VECTORS to the directory of the test vectors"
)]
fn inclusion_vectors() {
    assert_eq!(run("inclusion", inclusion), (6, 92));
}

#[test]
#[cfg_attr(
    not(audittrail_vectors),
    ignore = "set AUDITTRAIL_VECTORS to the directory of the test vectors"
)]
fn consistency_vectors() {
    assert_eq!(run("consistency", consistency), (6, 92));
}

/// Size and root of a checkpoint; whether it is signed is for another crate to say.
fn head(path: &Path) -> TreeHead {
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let root = STANDARD.decode(lines[2]).unwrap().try_into().unwrap();
    TreeHead {
        size: lines[1].parse().unwrap(),
        root: Hash(root),
    }
}

/// Entries of a bundle: two bytes of length before each.
fn entries(mut bundle: &[u8]) -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    while let Some((length, rest)) = bundle.split_first_chunk::<2>() {
        let (entry, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
        entries.push(entry.to_vec());
        bundle = rest;
    }
    assert!(bundle.is_empty());
    entries
}

#[test]
#[cfg_attr(
    not(audittrail_vectors),
    ignore = "set AUDITTRAIL_VECTORS to the directory of the test vectors"
)]
fn tessera_log() {
    let log = directory().join("tessera-log");
    let newest = head(&log.join("checkpoint"));
    assert_eq!(newest.size, 15);
    assert_eq!(head(&log.join("checkpoint.0")), TreeHead::EMPTY);
    let bundle = fs::read(log.join("tile/entries/000.p/15")).unwrap();
    let data = entries(&bundle);
    assert_eq!(data.len(), 15);
    let leaves: Vec<Hash> = data.iter().map(|entry| leaf_hash(entry)).collect();

    let (mut inclusions, mut consistencies) = (0, 0);
    for size in 1..=newest.size {
        let head = head(&log.join(format!("checkpoint.{size}")));
        assert_eq!(head.size, size);
        assert_eq!(edge(&leaves[..size as usize]).head(), head);
        assert_eq!(oracle::mth(&data[..size as usize]), head.root);

        // The log's tile, under the path that the crate gives it.
        let id = TileId {
            level: 0,
            index: 0,
            width: size as u16,
        };
        let bytes = fs::read(log.join(id.path())).unwrap();
        let (chunks, rest) = bytes.as_chunks::<32>();
        assert!(rest.is_empty());
        let tile: Vec<Hash> = chunks.iter().map(|bytes| Hash(*bytes)).collect();
        assert_eq!(tile, leaves[..size as usize]);
        let tiles = BTreeMap::from([(id, tile)]);
        assert_eq!(edge_from_tiles(size, &tiles).unwrap().head(), head);

        for index in 0..size {
            let proof = inclusion_proof(index, size, &tiles).unwrap();
            let leaf = &leaves[index as usize];
            assert_eq!(
                verify_inclusion(index, size, leaf, &proof, &head.root),
                Ok(())
            );
            inclusions += 1;
        }
        for from in 1..=size {
            let old = self::head(&log.join(format!("checkpoint.{from}"))).root;
            let proof = consistency_proof(from, size, &tiles).unwrap();
            assert_eq!(
                verify_consistency(from, size, &proof, &old, &head.root),
                Ok(())
            );
            consistencies += 1;
        }
    }
    // checkpoint.15 and checkpoint are of the same tree.
    assert_eq!(head(&log.join("checkpoint.15")), newest);
    assert_eq!((inclusions, consistencies), (120, 120));
}
