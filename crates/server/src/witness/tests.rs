//! What is cosigned survives whatever the disk does, and of each log there is one history.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use audittrail_checkpoint::{AddCheckpoint, Checkpoint, Cosigner, Policy, Signer};
use audittrail_entry::{Clock, Timestamp};
use audittrail_merkle::{Edge, Hash, TileId, TreeHead, consistency_proof, leaf_hash};
use audittrail_store_embedded::disk::{
    Disk, FaultMode, Mode, Operation, RealDisk, SimulatedDisk, SyncPoint,
};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::state::{Refused, State, origin_hash};
use super::*;

const ORIGIN: &str = "example.com/log";
const DATA: &str = "/data";
/// Up to here the two histories are one.
const FORK: u64 = 5;

struct At(i64);

impl Clock for At {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.0 * 1_000_000_000)
    }
}

fn log() -> Signer {
    Signer::from_seed(ORIGIN, [1; 32]).unwrap()
}

fn cosigner() -> Cosigner {
    Cosigner::from_seed("witness.example/w", [2; 32]).unwrap()
}

fn open(disk: &Arc<dyn Disk>, data: &Path) -> Result<State, Failure> {
    let policy = format!("log {}\nquorum none\n", log().verifier());
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    let clock = Arc::new(At(1_700_000_000));
    State::open(Arc::clone(disk), data, &policy, cosigner(), clock)
}

fn leaves(history: u8, size: u64) -> Vec<Hash> {
    let leaf = |at: u64| leaf_hash(&[at as u8, if at < FORK { 0 } else { history }]);
    (0..size).map(leaf).collect()
}

fn head(history: u8, size: u64) -> TreeHead {
    let mut edge = Edge::new();
    leaves(history, size)
        .into_iter()
        .for_each(|leaf| edge.push(leaf));
    edge.head()
}

/// Fewer than 256 leaves: one tile holds the tree.
fn request(history: u8, old: u64, new: u64) -> Vec<u8> {
    let tile = TileId {
        level: 0,
        index: 0,
        width: new as u16,
    };
    let tiles = std::collections::HashMap::from([(tile, leaves(history, new))]);
    let proof = match old {
        0 => Vec::new(),
        old => consistency_proof(old, new, &tiles).unwrap(),
    };
    let checkpoint = Checkpoint {
        origin: ORIGIN.to_owned(),
        head: head(history, new),
        extensions: Vec::new(),
    };
    let checkpoint = checkpoint.sign(&[&log()]).unwrap();
    let request = AddCheckpoint {
        old,
        proof,
        checkpoint,
    };
    request.to_string().into_bytes()
}

/// All that was ever answered with a cosignature, by size.
type Answered = BTreeMap<u64, Hash>;

/// One seed: lives of a witness with faults, kills and power cuts, whose log shows it two
/// histories. What went wrong, if anything did.
fn live(seed: u64, left_out: Option<SyncPoint>) -> Result<usize, String> {
    let simulated = SimulatedDisk::new(seed);
    let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
    let data = Path::new(DATA);
    disk.create_directory(data).unwrap();
    disk.sync_directory(Path::new("/"), SyncPoint::DataDirectory)
        .unwrap();
    left_out
        .into_iter()
        .for_each(|point| simulated.leave_out(point));
    let mut rng = StdRng::seed_from_u64(seed ^ 0x77);
    let mut answered = Answered::new();
    for life in 0..5 {
        if rng.random_bool(0.5) && life < 4 {
            simulated.end_after(rng.random_range(0..40));
        }
        for _ in 0..rng.random_range(0..3) {
            let operations = [
                Operation::Open,
                Operation::Write,
                Operation::SyncData,
                Operation::Rename,
                Operation::SyncDirectory,
            ];
            let operation = operations[rng.random_range(0..operations.len())];
            let modes = [FaultMode::NotDone, FaultMode::Done, FaultMode::Partly];
            simulated.fail(
                operation,
                rng.random_range(0..6),
                modes[rng.random_range(0..3)],
            );
        }
        if let Ok(state) = open(&disk, data) {
            one_life(&state, &mut rng, &mut answered)?;
        } else if life == 4 {
            simulated.heal();
            simulated.kill();
            if open(&disk, data).is_err() {
                return Err("it does not start on a sound disk".to_owned());
            }
        }
        simulated.heal();
        if rng.random_bool(0.3) {
            simulated.kill();
        } else {
            simulated.cut_power();
        }
    }
    let state = open(&disk, data).map_err(|error| error.to_string())?;
    let (_, size) = state.sizes().next().unwrap();
    match answered.keys().next_back() {
        Some(last) if size < *last => Err(format!("size {last} was cosigned, {size} is known")),
        _ => Ok(answered.len()),
    }
}

fn one_life(state: &State, rng: &mut StdRng, answered: &mut Answered) -> Result<(), String> {
    for _ in 0..rng.random_range(1..6) {
        let history = rng.random_range(0..2);
        let (_, size) = state.sizes().next().unwrap();
        let old = size;
        let new = rng.random_range(old..old + 4).max(1);
        match state.add(&request(history, old, new)) {
            Ok(_) => {
                let root = head(history, new).root;
                if answered
                    .insert(new, root)
                    .is_some_and(|other| other != root)
                {
                    return Err(format!("two roots of size {new} are cosigned"));
                }
                // All that was cosigned is of one history.
                let of = |history| {
                    answered
                        .iter()
                        .all(|(size, root)| head(history, *size).root == *root)
                };
                if !of(0) && !of(1) {
                    return Err("two histories are cosigned".to_owned());
                }
                if answered.keys().next_back() != Some(&new) {
                    return Err(format!("size {new} is cosigned after a larger one"));
                }
            }
            Err(Refused::By(Refusal::Unproven(_)) | Refused::NotKept(_)) => {}
            Err(Refused::By(other)) => return Err(format!("{other}")),
        }
    }
    Ok(())
}

#[test]
fn one_history_whatever_the_disk_forgets() {
    let mut answered = 0;
    for seed in 0..1_000 {
        answered += live(seed, None).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    }
    assert!(
        answered > 2_000,
        "{answered} cosignatures are too few to say anything"
    );
}

/// Each sync is needed: without it, some seed cosigns what it must not, or forgets what it did.
#[test]
fn leaving_out_any_sync_is_noticed() {
    let points = [
        SyncPoint::WitnessedDirectory,
        SyncPoint::WitnessedFile,
        SyncPoint::WitnessedName,
    ];
    for point in points {
        let noticed = (0..5_000).any(|seed| live(seed, Some(point)).is_err());
        assert!(noticed, "{point:?} can be left out and nobody notices");
    }
}

#[test]
fn of_requests_at_once_one_is_cosigned() {
    let directory = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let state = open(&disk, directory.path()).unwrap();
    state.add(&request(0, 0, 10)).unwrap();
    let cosigned = std::thread::scope(|scope| {
        let ask = |new: u64| {
            let state = &state;
            scope.spawn(move || match state.add(&request(0, 10, new)) {
                Ok(_) => 1,
                Err(Refused::By(Refusal::Conflict(size))) if size > 10 => 0,
                Err(other) => panic!("{other}"),
            })
        };
        let asked: Vec<_> = (11..27).map(ask).collect();
        asked
            .into_iter()
            .map(|one| one.join().unwrap())
            .sum::<u32>()
    });
    assert_eq!(cosigned, 1);
}

/// The same checkpoint again gets a cosignature again: the first may have been lost on its way.
#[test]
fn what_was_not_heard_is_asked_for_again() {
    let directory = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let state = open(&disk, directory.path()).unwrap();
    state.add(&request(0, 0, 7)).unwrap();
    drop(state);
    let state = open(&disk, directory.path()).unwrap();
    let again = state.add(&request(0, 0, 7));
    assert!(matches!(again, Err(Refused::By(Refusal::Conflict(7)))));
    let line = state.add(&request(0, 7, 7)).unwrap();
    let kept = state.latest(&origin_hash(ORIGIN)).unwrap();
    assert!(kept.ends_with(&line), "{kept}");
    assert!(state.latest("0").is_none());
    // Another root of that size is another history.
    let other = state.add(&request(1, 7, 7));
    assert!(matches!(other, Err(Refused::By(Refusal::Unproven(_)))));
}

#[test]
fn a_damaged_file_is_not_started_with() {
    let directory = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    open(&disk, directory.path())
        .unwrap()
        .add(&request(0, 0, 7))
        .unwrap();
    let path = directory.path().join("witnessed").join(origin_hash(ORIGIN));
    let sound = std::fs::read(&path).unwrap();
    let write = |bytes: &[u8]| {
        let file = disk.open(&path, Mode::Replace).unwrap();
        file.write_at(bytes, 0).unwrap();
    };
    let text = String::from_utf8(sound.clone()).unwrap();
    let unsigned = text
        .lines()
        .take(5)
        .map(|line| format!("{line}\n"))
        .collect::<String>();
    let bad = [
        b"".to_vec(),
        sound[..sound.len() - 1].to_vec(),
        text.replacen("\n7\n", "\n5\n", 1).into_bytes(),
        unsigned.into_bytes(),
    ];
    for bytes in bad {
        write(&bytes);
        let refused = open(&disk, directory.path()).err().unwrap().to_string();
        assert!(refused.contains("second history"), "{refused}");
    }
    write(&sound);
    open(&disk, directory.path()).unwrap();
}
