//! Reading with verification.

use std::sync::Arc;

use audittrail_entry::{KeyRing, OpenPart, Record, commitment};
use audittrail_merkle::{Hash, tile_root};
use audittrail_store::conformance::{Generator, Log, ORIGIN, signing_key};
use audittrail_store::{Checked, Fault, MemoryStore, Reader, Store, StoreErrorKind, Verdict};

struct World {
    memory: Arc<MemoryStore>,
    store: Arc<dyn Store>,
    reader: Reader,
    log: Log,
    generator: Generator,
}

fn reader(store: &Arc<dyn Store>) -> Reader {
    let keys = KeyRing {
        current: signing_key(),
        earlier: Vec::new(),
    };
    Reader::new(Arc::clone(store), keys, ORIGIN.to_owned())
}

/// A log of so many entries.
async fn world(size: u64) -> World {
    let memory = Arc::new(MemoryStore::new());
    let store = Arc::clone(&memory) as Arc<dyn Store>;
    let mut world = World {
        reader: reader(&store),
        memory,
        store,
        log: Log::default(),
        generator: Generator::new(50),
    };
    world.grow(size).await;
    world
}

impl World {
    async fn grow(&mut self, count: u64) {
        let entries = (0..count).map(|_| self.generator.small_entry()).collect();
        self.log.commit(&self.store, entries).await;
    }

    async fn read(&self, indices: &[u64]) -> Vec<Checked> {
        let stored = self.store.records(indices).await.unwrap();
        let checked = self.reader.check(stored).await.unwrap();
        assert!(
            checked
                .iter()
                .map(|one| one.index)
                .eq(indices.iter().copied())
        );
        checked
    }

    /// The indices of those that fail, of these.
    async fn failing(&self, indices: &[u64]) -> Vec<u64> {
        let checked = self.read(indices).await;
        let failing = checked
            .iter()
            .filter(|one| one.verdict != Verdict::Verified);
        failing.map(|one| one.index).collect()
    }

    fn known_failed(&self) -> Vec<u64> {
        self.reader.failed().keys().copied().collect()
    }
}

/// What somebody does who has the signing key: another sealed part, with a commitment and a
/// signature that fit.
fn forge(record: &mut Record) {
    let sealed = record.sealed.as_mut().unwrap();
    sealed.bytes = br#"{"submitted_by":{"sub":"somebody else"}}"#.to_vec();
    let mut open = OpenPart::parse(&record.leaf).unwrap();
    open.commitment = commitment(&sealed.salt, &sealed.bytes);
    record.leaf = open.to_leaf();
    record.signature = signing_key().sign(ORIGIN, &record.leaf);
}

fn some_of(size: u64) -> Vec<u64> {
    let all = [
        0, 1, 128, 254, 255, 256, 257, 40_000, 65_535, 65_536, 65_538,
    ];
    let mut some: Vec<u64> = all.into_iter().filter(|index| *index < size).collect();
    some.push(size - 1);
    some.dedup();
    some
}

const SIZES: [u64; 6] = [1, 255, 256, 257, 512, 65_536 + 3];

#[tokio::test]
async fn sound_entries_verify_in_logs_of_many_sizes() {
    for size in SIZES {
        let world = world(size).await;
        let some = some_of(size);
        assert_eq!(world.failing(&some).await, [], "in a log of {size}");
        // And in another order, with the tiles known already.
        let reversed: Vec<u64> = some.iter().rev().copied().collect();
        assert_eq!(world.failing(&reversed).await, [], "in a log of {size}");
        assert_eq!(world.known_failed(), []);
    }
}

#[tokio::test]
async fn entries_verify_while_the_log_grows() {
    let mut world = world(200).await;
    for step in [0, 1, 54, 1, 1, 255, 300] {
        if step > 0 {
            world.grow(step).await;
        }
        let all: Vec<u64> = (0..world.log.size()).collect();
        assert_eq!(world.failing(&all).await, [], "at {}", world.log.size());
    }
}

#[tokio::test]
async fn a_forged_entry_fails_though_its_signature_holds() {
    for size in SIZES {
        for target in [0, size / 2, size - 1] {
            let world = world(size.min(600)).await;
            let target = target.min(world.log.size() - 1);
            world.memory.alter(target, forge);
            let record = world
                .store
                .records(&[target])
                .await
                .unwrap()
                .remove(0)
                .record;
            let keys = KeyRing {
                current: signing_key(),
                earlier: Vec::new(),
            };
            record.unwrap().check(&keys, ORIGIN).unwrap();
            let all: Vec<u64> = (0..world.log.size()).collect();
            assert_eq!(world.failing(&all).await, [target]);
            assert_eq!(world.known_failed(), [target]);
        }
    }
}

/// The forger repairs the leaf's hash as well: then the tile no longer gives the root, and
/// none of its entries can be shown as sound.
#[tokio::test]
async fn a_forged_entry_fails_with_a_forged_tile() {
    for (size, target) in [(3, 1), (256, 9), (300, 270), (300, 9)] {
        let world = world(size).await;
        world.memory.alter(target, forge);
        let record = world
            .store
            .records(&[target])
            .await
            .unwrap()
            .remove(0)
            .record;
        let hash = audittrail_merkle::leaf_hash(&record.unwrap().leaf);
        world.memory.alter_hash(0, target, hash);
        let all: Vec<u64> = (0..size).collect();
        let failing = world.failing(&all).await;
        assert!(failing.contains(&target), "{failing:?}");
        let tile = target / 256;
        assert!(failing.iter().all(|index| index / 256 == tile || tile == 1));
    }
}

#[tokio::test]
async fn each_part_of_a_record_counts() {
    type Change = fn(&mut Record);
    let changes: [(&str, Change); 7] = [
        ("the signature", |record| record.signature[0] ^= 1),
        ("the key's name", |record| record.key_id.0[0] ^= 1),
        ("the salt", |record| {
            record.sealed.as_mut().unwrap().salt[31] ^= 1;
        }),
        ("the sealed part", |record| {
            record.sealed.as_mut().unwrap().bytes.push(b' ');
        }),
        ("no sealed part", |record| record.sealed = None),
        ("the leaf", |record| record.leaf[12] ^= 1),
        ("the leaf's end", |record| record.leaf.push(b'\n')),
    ];
    for (what, change) in changes {
        let world = world(300).await;
        world.memory.alter(280, change);
        assert_eq!(world.failing(&[0, 280, 299]).await, [280], "{what}");
        // What could be read is shown, marked.
        assert!(world.read(&[280]).await[0].record.is_some(), "{what}");
    }
}

#[tokio::test]
async fn an_entry_in_another_place_fails() {
    let world = world(300).await;
    let (one, other) = (
        world.log.entries[5].1.clone(),
        world.log.entries[6].1.clone(),
    );
    world.memory.alter(5, |record| *record = other);
    world.memory.alter(6, |record| *record = one);
    assert_eq!(world.failing(&[4, 5, 6, 7]).await, [5, 6]);
}

#[tokio::test]
async fn a_damaged_record_is_reported_and_remembered() {
    let world = world(300).await;
    world.memory.damage(7, "log/0 at offset 99: a bad checksum");
    let checked = world.read(&[6, 7, 8]).await;
    assert!(checked[1].record.is_none());
    let expected = Verdict::Failed("log/0 at offset 99: a bad checksum".to_owned());
    assert_eq!(checked[1].verdict, expected);
    assert_eq!(checked[0].verdict, Verdict::Verified);
    assert_eq!(checked[2].verdict, Verdict::Verified);
    let failed = world.reader.failed();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[&7], "log/0 at offset 99: a bad checksum");
    // The first reason stays, and others are added.
    let found = [
        (7, "another reason".to_owned()),
        (9, "found by a scrub".to_owned()),
    ];
    world.reader.report(&found);
    let failed = world.reader.failed();
    assert_eq!(failed[&7], "log/0 at offset 99: a bad checksum");
    assert_eq!(failed[&9], "found by a scrub");
}

#[tokio::test]
async fn a_damaged_tile_is_computed_anew_from_the_log() {
    // A full tile of leaves, a partial one, one of level 8 and the partial one above it.
    let places = [(0, 3), (0, 65_537), (8, 17), (16, 0), (0, 65_535)];
    let world = world(65_536 + 3).await;
    for (level, index) in places {
        world.memory.alter_hash(level, index, Hash([0xee; 32]));
        // One that has no tiles in memory yet.
        let fresh = reader(&world.store);
        let some = world.store.records(&some_of(65_539)).await.unwrap();
        let checked = fresh.check(some).await.unwrap();
        assert!(
            checked.iter().all(|one| one.verdict == Verdict::Verified),
            "level {level}"
        );
        let kept = world.log.levels[usize::from(level / 8)][index as usize];
        world.memory.alter_hash(level, index, kept);
    }
}

#[tokio::test]
async fn entries_below_a_tile_that_cannot_be_computed_fail_and_no_others() {
    let world = world(600).await;
    world.memory.alter_hash(0, 3, Hash([0xee; 32]));
    world.memory.damage(9, "unreadable");
    let some = [0, 3, 9, 255, 256, 511, 512, 599];
    // The hash that is kept of what cannot be read is as good as any that gives the root.
    assert_eq!(world.failing(&some).await, [9]);
    world.memory.alter_hash(0, 9, Hash([0xee; 32]));
    let fresh = World {
        reader: reader(&world.store),
        ..world
    };
    assert_eq!(fresh.failing(&some).await, [0, 3, 9, 255]);
}

/// Hashes are made anew as far down as they are damaged, whether the levels contradict each
/// other or were changed to fit.
#[tokio::test]
async fn sound_entries_verify_over_a_tree_that_is_damaged_on_two_levels() {
    const SIZE: u64 = 65_536 + 300;
    let world = world(SIZE).await;
    let other = Hash([7; 32]);
    let sound = world.store.hashes(0, 0..256).await.unwrap();
    let sound_root = tile_root(&sound).unwrap();
    // The full tile of level 1 and one below it, each wrong in its own way.
    world.memory.alter_hash(0, 5, other);
    world.memory.alter_hash(8, 0, other);
    assert_eq!(world.failing(&[0, 5, 255, 256]).await, []);
    // The same on the right edge: in the last full tile, and the node above that.
    world.memory.alter_hash(0, 65_536 + 5, other);
    world.memory.alter_hash(8, 256, other);
    let fresh = World {
        reader: reader(&world.store),
        ..world
    };
    assert_eq!(fresh.failing(&[0, 65_536 + 5, SIZE - 1]).await, []);

    // Changed so that each level fits the other.
    let mut forged = sound.clone();
    forged[5] = other;
    fresh.memory.alter_hash(8, 0, tile_root(&forged).unwrap());
    let fresh = World {
        reader: reader(&fresh.store),
        ..fresh
    };
    assert_eq!(fresh.failing(&[0, 5, 256]).await, []);

    // And one that is changed in the log fails still, alone among those of its tile.
    fresh.memory.alter_hash(8, 0, sound_root);
    fresh.memory.alter_hash(0, 5, sound[5]);
    fresh.memory.alter(7, forge);
    fresh.memory.alter_hash(0, 300, other);
    let fresh = World {
        reader: reader(&fresh.store),
        ..fresh
    };
    assert_eq!(fresh.failing(&[5, 7, 8, 300]).await, [7]);
}

#[tokio::test]
async fn a_store_that_is_away_is_an_error_and_no_verdict() {
    let world = world(300).await;
    let stored = world.store.records(&[0]).await.unwrap();
    world
        .memory
        .inject(Fault::Hashes(StoreErrorKind::Unavailable));
    let error = world.reader.check(stored.clone()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert_eq!(world.known_failed(), []);
    let checked = world.reader.check(stored).await.unwrap();
    assert_eq!(checked[0].verdict, Verdict::Verified);
    assert!(world.reader.check(Vec::new()).await.unwrap().is_empty());
}
