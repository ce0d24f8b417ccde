//! The functions that every entry goes through, in the order in which it does.

use std::collections::HashMap;
use std::hint::black_box;

use audittrail_bench::Kind;
use audittrail_benches::{ORIGIN, deliveries, key, now, parsed, sealed, sent};
use audittrail_entry::json::{parse, write_canonical};
use audittrail_entry::{Entry, Limits, NewEntry, Submitter, commitment};
use audittrail_merkle::{Edge, Hash, leaf_hash};
use audittrail_sequencer::plan;
use audittrail_store::Filter;
use audittrail_store_embedded::append_batch;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const KINDS: [(Kind, &str); 2] = [(Kind::Small, "small"), (Kind::Real, "real")];
/// Entries that a bench goes through, so that the next one is never in the nearest cache.
const COUNT: u64 = 1_000;
/// Entries of one commit.
const BATCH: u64 = 1_000;

/// Goes round the entries of both kinds, one in each iteration.
fn each<T>(
    criterion: &mut Criterion,
    name: &str,
    make: impl Fn(Kind) -> Vec<T>,
    mut work: impl FnMut(&T),
) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(1));
    for (kind, label) in KINDS {
        let items = make(kind);
        let mut next = 0;
        group.bench_function(label, |bencher| {
            bencher.iter(|| {
                work(&items[next]);
                next = (next + 1) % items.len();
            });
        });
    }
    group.finish();
}

fn records(kind: Kind) -> Vec<audittrail_entry::Record> {
    let key = key();
    let lines = sent(kind, COUNT);
    let lines = lines.iter().enumerate();
    lines
        .map(|(at, line)| sealed(&parsed(line), at as u128, &key))
        .collect()
}

fn entries(criterion: &mut Criterion) {
    let (limits, key) = (Limits::default(), key());
    let lines = |kind| sent(kind, COUNT);
    each(criterion, "parse", lines, |line: &Vec<u8>| {
        black_box(NewEntry::parse(black_box(line), &limits, now()).is_ok());
    });
    each(criterion, "parse and canonicalise", lines, |line| {
        let value = parse(black_box(line), 33).expect("made-up entries are JSON");
        let mut out = Vec::with_capacity(line.len());
        write_canonical(&value, &mut out);
        black_box(out);
    });
    each(criterion, "parse and seal", lines, |line| {
        black_box(sealed(&parsed(black_box(line)), 1, &key));
    });
    each(criterion, "sealed part", lines, |line| {
        let submitter = Submitter {
            iss: None,
            sub: "bench",
        };
        black_box(parsed(black_box(line)).sealed_bytes(&submitter));
    });
}

fn hashes(criterion: &mut Criterion) {
    let key = key();
    each(criterion, "leaf hash", records, |record| {
        black_box(leaf_hash(black_box(&record.leaf)));
    });
    each(criterion, "signature (HMAC)", records, |record| {
        black_box(key.sign(ORIGIN, black_box(&record.leaf)));
    });
    each(criterion, "commitment (HMAC)", records, |record| {
        if let Some(sealed) = &record.sealed {
            black_box(commitment(&sealed.salt, black_box(&sealed.bytes)));
        }
    });
    let mut group = criterion.benchmark_group("edge");
    group.throughput(Throughput::Elements(1));
    let mut edge = Edge::new();
    group.bench_function("append", |bencher| {
        bencher.iter(|| edge.push(black_box(Hash([9; 32]))));
    });
    group.bench_function("root", |bencher| bencher.iter(|| black_box(&edge).root()));
    group.finish();
}

fn filters(criterion: &mut Criterion) {
    for (name, parameters) in [
        ("action", &[("action", "document.update")][..]),
        (
            "resource__contains",
            &[("resource__contains", "documents/00000099")],
        ),
        ("details", &[("details.region", "eu-west-3")]),
        ("q", &[("q", "mobile tenant")]),
    ] {
        let filter = Filter::from_parameters(parameters.iter().copied());
        let filter = filter.expect("the parameters are good");
        each(
            criterion,
            &format!("Filter::matches, {name}"),
            records,
            |record| {
                let sealed = record.sealed.as_ref().map(|sealed| &*sealed.bytes);
                let entry =
                    Entry::parse(&record.leaf, sealed).expect("a record is one of an entry");
                black_box(filter.matches(1, black_box(&entry)));
            },
        );
    }
}

fn batches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("commit of 1,000 entries");
    group.throughput(Throughput::Elements(BATCH));
    for (kind, label) in KINDS {
        for each in [1, 1_000] {
            let deliveries = deliveries(kind, BATCH, each);
            let edge = Edge::new();
            let known = HashMap::new();
            group.bench_function(format!("plan, {label}, requests of {each}"), |bencher| {
                bencher.iter(|| plan(&edge, black_box(&deliveries), &known));
            });
        }
        let deliveries = deliveries(kind, BATCH, 1_000);
        let planned = plan(&Edge::new(), &deliveries, &HashMap::new());
        let mut out = Vec::new();
        group.bench_function(format!("encode, {label}"), |bencher| {
            bencher.iter(|| {
                out.clear();
                let before = Edge::new().head();
                append_batch(&before, planned.head, &planned.batch, &mut out)
                    .expect("the batch is small enough");
                black_box(out.len())
            });
        });
    }
    group.finish();
}

criterion_group!(hot, entries, hashes, filters, batches);
criterion_main!(hot);
