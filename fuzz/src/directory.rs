//! What the targets share that start on a damaged data directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use audittrail_checkpoint::Signer;
use audittrail_entry::{KeyRing, Record, SigningKey, Timestamp};
use audittrail_store::{Reader, Store, Verdict};
use audittrail_store_embedded::disk::{Disk, Mode, SimulatedDisk};
use audittrail_store_embedded::{
    DataDirectory, EmbeddedStore, FsckInput, Identity, Inline, Options, StartError, fsck,
};

const ORIGIN: &str = "log.example/test";
/// Where the data directory is on the disk.
pub const ROOT: &str = "/data";

/// Names below the data directory, and content.
pub type Files = Vec<(&'static str, Vec<u8>)>;

macro_rules! golden {
    ($($name:literal),*) => {
        [$(($name, include_bytes!(concat!("../../testdata/golden/data/", $name)) as &[u8])),*]
    };
}

const GOLDEN: [(&str, &[u8]); 7] = golden![
    "log/00000000000000000000.seg",
    "log/00000000000000000012.seg",
    "checkpoint",
    "locations/00000000000000000000.loc",
    "locations/00000000000000000012.loc",
    "tree/00",
    "keys/signing.key"
];

/// The golden data directory.
pub fn golden() -> Files {
    GOLDEN.map(|(name, bytes)| (name, bytes.to_vec())).to_vec()
}

/// The same log, its first segment packed.
pub fn packed() -> Files {
    let mut files = golden();
    files[0].1 = include_bytes!("../../testdata/golden/packed/00000000000000000000.seg").to_vec();
    files
}

/// Six bytes each: which file, what is done, a place in it, and two numbers.
pub fn change(files: &mut Files, instruction: &[u8; 6]) {
    let [file, what, low, high, one, two] = *instruction;
    if files.is_empty() {
        return;
    }
    let at = usize::from(file) % files.len();
    let place = usize::from(u16::from_le_bytes([low, high]));
    let other = files[usize::from(one) % files.len()].1.clone();
    let bytes = &mut files[at].1;
    let place = place.min(bytes.len());
    match what % 9 {
        0 => bytes
            .iter_mut()
            .skip(place)
            .take(1)
            .for_each(|byte| *byte ^= one),
        1 => bytes
            .iter_mut()
            .skip(place)
            .take(usize::from(one))
            .for_each(|byte| *byte = two),
        2 => bytes.truncate(place),
        3 => drop(bytes.drain(place..bytes.len().min(place + usize::from(one)))),
        4 => drop(bytes.splice(place..place, vec![two; usize::from(one)])),
        5 => drop(files.remove(at)),
        6 => *bytes = other,
        7 => {
            // The record or the batch at this place, with checksums that fit.
            if let Some(header) = bytes.get(place..place + 72) {
                let sum = crc32c::crc32c(&header[8..]).to_le_bytes();
                bytes[place + 4..place + 8].copy_from_slice(&sum);
            }
        }
        _ => {
            if let Some(header) = bytes.get(..88) {
                let sum = crc32c::crc32c_append(crc32c::crc32c(&header[..12]), &header[16..]);
                bytes[12..16].copy_from_slice(&sum.to_le_bytes());
            }
        }
    }
}

/// A disk in memory with these files.
pub fn disk_of(files: &Files) -> Arc<dyn Disk> {
    let disk = SimulatedDisk::new(1);
    for name in ["", "log", "locations", "tree", "keys"] {
        disk.create_directory(&Path::new(ROOT).join(name))
            .expect("the disk is sound");
    }
    for (name, bytes) in files {
        let path: PathBuf = Path::new(ROOT).join(name);
        let file = disk.open(&path, Mode::Replace).expect("the disk is sound");
        file.write_at(bytes, 0).expect("the disk is sound");
    }
    Arc::new(disk)
}

/// Whose log it is.
pub fn identity() -> Identity {
    let signer = Signer::from_seed(ORIGIN, [7; 32]).expect("the name is a key's");
    Identity {
        origin: ORIGIN.to_owned(),
        keys: vec![signer.verifier()],
    }
}

/// What signed its entries.
pub fn keys() -> KeyRing {
    let key = SigningKey::new(b"a signing key of thirty-two bytes or more");
    KeyRing {
        current: key.expect("it is long enough"),
        earlier: Vec::new(),
    }
}

/// Records by their indices, verified or not.
pub fn read(disk: &Arc<dyn Disk>) -> Result<Vec<Option<Record>>, StartError> {
    let directory = DataDirectory::open(Arc::clone(disk), Path::new(ROOT))?;
    let now = Timestamp::from_nanos(1_767_225_600_000_000_000);
    let inline = Arc::new(Inline);
    let opened = EmbeddedStore::open(directory, &identity(), Options::default(), now, inline)?;
    let store: Arc<dyn Store> = Arc::new(opened.0);
    let reader = Reader::new(Arc::clone(&store), keys(), ORIGIN.to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("it needs nothing");
    let checked = runtime.block_on(async {
        let size = store.head().await.expect("the disk is sound").size;
        let indices: Vec<u64> = (0..size.min(1_000)).collect();
        let stored = store.records(&indices).await.expect("the disk is sound");
        reader.check(stored).await
    });
    // A tree that cannot be made anew is an answer, too: nothing counts as verified then.
    let checked = checked.unwrap_or_default();
    let records = checked
        .into_iter()
        .map(|one| one.record.filter(|_| one.verdict == Verdict::Verified));
    Ok(records.collect())
}

/// Starts on changed files, twice, and looks at them with `fsck`: what is read as verified is what
/// was written there.
pub fn start(mut files: Files, written: &[Record], instructions: &[u8]) {
    for instruction in instructions.as_chunks::<6>().0.iter().take(8) {
        change(&mut files, instruction);
    }
    let disk = disk_of(&files);
    let (identity, keys) = (identity(), keys());
    let input = FsckInput {
        identity: &identity,
        keys: Some(&keys),
        since: None,
    };
    let _ = fsck(&disk, Path::new(ROOT), &input, &mut |_, _| {});
    let Ok(records) = read(&disk) else { return };
    let first: Vec<_> = records.iter().map(Option::is_some).collect();
    for (index, record) in records.iter().enumerate() {
        if let Some(record) = record {
            assert_eq!(
                Some(record),
                written.get(index),
                "{index} is verified and was changed"
            );
        }
    }
    // A second start finds what the first one left, and shows no less.
    let Ok(again) = read(&disk) else {
        panic!("a second start is refused")
    };
    assert_eq!(first, again.iter().map(Option::is_some).collect::<Vec<_>>());
}

/// All records of files that were not changed.
pub fn written(files: &Files) -> Vec<Record> {
    let records = read(&disk_of(files)).expect("the golden directory is sound");
    let records = records.into_iter();
    records
        .map(|record| record.expect("the golden directory is sound"))
        .collect()
}
