//! From a query's conditions to the documents of one segment that meet them.

use std::ops::Range;
use std::sync::Arc;

use audittrail_store::details::DetailsTest;
use audittrail_store::{Access, Filter, Member, Test, Window};
use tantivy::index::InvertedIndexReader;
use tantivy::postings::{SegmentPostings, TermInfo};
use tantivy::query::{EnableScoring, PhraseQuery, Query as _, Weight};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocSet, TERMINATED, Term};

use crate::error::IndexError;
use crate::grams;
use crate::schema::Fields;
use crate::segment::{BLOCK, Segment, Times};
use crate::terms::{self, Kind};

/// What a document has to have.
#[derive(Debug, Clone, PartialEq)]
enum Condition {
    /// One of these terms.
    Terms(Vec<Vec<u8>>, Overlap),
    /// A term in this range, both ends included, of which an entry has one at most.
    Range(Vec<u8>, Vec<u8>),
    /// This folded text within a field.
    Contains(Field, String),
}

/// Whether an entry can have more than one of some terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overlap {
    Possible,
    /// Their numbers of documents add up.
    Never,
}

/// A query's conditions in terms of the index; bounds on the index are not among them.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    wanted: Vec<Condition>,
    unwanted: Vec<Condition>,
    timestamp: Window<i64>,
    received: Window<i64>,
}

impl Plan {
    pub(crate) fn new(filter: &Filter, access: &Access, fields: &Fields) -> Self {
        let mut plan = Self {
            wanted: Vec::new(),
            unwanted: Vec::new(),
            timestamp: filter.timestamp,
            received: filter.received,
        };
        for (member, test) in &filter.texts {
            plan.add_text(*member, test, fields);
        }
        let own = [
            (Kind::UserId, &access.user_id),
            (Kind::Tenant, &access.tenant),
        ];
        for (kind, value) in own {
            let terms = value.iter().map(|text| vec![terms::text(kind, text)]);
            plan.wanted
                .extend(terms.map(|terms| Condition::Terms(terms, Overlap::Never)));
        }
        for (path, test) in &filter.details {
            match test {
                DetailsTest::Equals(value) => plan.wanted.push(Condition::Terms(
                    terms::written(path, value),
                    Overlap::Possible,
                )),
                DetailsTest::Exists(wanted) => {
                    let condition = Condition::Terms(vec![terms::exists(path)], Overlap::Never);
                    if *wanted {
                        plan.wanted.push(condition);
                    } else {
                        plan.unwanted.push(condition);
                    }
                }
            }
        }
        let words = filter.words.iter();
        let words = words.map(|word| vec![terms::text(Kind::Word, word)]);
        plan.wanted
            .extend(words.map(|word| Condition::Terms(word, Overlap::Never)));
        if let Some(block) = &filter.source_ip {
            let (from, to) = terms::block(block);
            plan.wanted.push(Condition::Range(from, to));
        }
        plan
    }

    fn add_text(&mut self, member: Member, test: &Test, fields: &Fields) {
        let all = |texts: &[String]| {
            let terms = texts.iter().map(|text| terms::text(member.into(), text));
            let mut terms: Vec<Vec<u8>> = terms.collect();
            terms.sort_unstable();
            terms.dedup();
            Condition::Terms(terms, Overlap::Never)
        };
        match test {
            Test::Equals(text) => self.wanted.push(all(std::slice::from_ref(text))),
            Test::In(texts) => self.wanted.push(all(texts)),
            Test::NotIn(texts) => self.unwanted.push(all(texts)),
            Test::StartsWith(start) => {
                let (from, to) = terms::actions_starting(start);
                self.wanted.push(Condition::Range(from, to));
            }
            Test::Contains(part) => {
                let field = match member {
                    Member::Action => fields.action,
                    _ => fields.resource,
                };
                self.wanted.push(Condition::Contains(field, part.clone()));
            }
        }
    }

    /// Looks the terms up in a segment; `None` if nothing in it can meet the conditions.
    pub(crate) fn for_segment<'s>(
        &self,
        segment: &'s Segment,
        fields: &Fields,
    ) -> Result<Option<SegmentPlan<'s>>, IndexError> {
        let mut wanted = Vec::new();
        for condition in &self.wanted {
            match resolve(condition, segment, fields)? {
                Found::Nothing => return Ok(None),
                found => wanted.push(found),
            }
        }
        let mut unwanted = Vec::new();
        for condition in &self.unwanted {
            match resolve(condition, segment, fields)? {
                Found::Nothing => {}
                found => unwanted.push(found),
            }
        }
        // The rarest leads.
        wanted.sort_by_key(|found| found.extent(segment.len).most);
        Ok(Some(SegmentPlan {
            segment,
            wanted,
            unwanted,
            timestamp: self.timestamp,
            received: self.received,
        }))
    }
}

/// A condition's terms as a segment has them.
enum Found {
    Nothing,
    One(Arc<InvertedIndexReader>, TermInfo),
    Several(Arc<InvertedIndexReader>, Vec<TermInfo>, Overlap),
    Phrase(Box<dyn Weight>, u64),
}

/// How many documents there are, as far as it is known without looking at them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Extent {
    pub(crate) least: u64,
    pub(crate) most: u64,
}

impl Extent {
    fn exactly(documents: u64) -> Self {
        Self {
            least: documents,
            most: documents,
        }
    }

    /// Those of `all` documents that are not among these.
    fn others(self, all: u64) -> Self {
        Self {
            least: all.saturating_sub(self.most),
            most: all.saturating_sub(self.least),
        }
    }
}

impl Found {
    /// How many of a segment's `len` documents there are.
    fn extent(&self, len: u32) -> Extent {
        let all = u64::from(len);
        match self {
            Self::Nothing => Extent::default(),
            Self::One(_, info) => Extent::exactly(u64::from(info.doc_freq)),
            Self::Several(_, infos, overlap) => {
                let each = || infos.iter().map(|info| u64::from(info.doc_freq));
                let sum = each().sum::<u64>();
                match overlap {
                    Overlap::Never => Extent::exactly(sum),
                    Overlap::Possible => Extent {
                        least: each().max().unwrap_or(0),
                        most: sum.min(all),
                    },
                }
            }
            Self::Phrase(_, rarest) => Extent {
                least: 0,
                most: *rarest,
            },
        }
    }

    fn of(reader: &Arc<InvertedIndexReader>, mut infos: Vec<TermInfo>, overlap: Overlap) -> Self {
        match infos.len() {
            0 => Self::Nothing,
            1 => Self::One(Arc::clone(reader), infos.remove(0)),
            _ => Self::Several(Arc::clone(reader), infos, overlap),
        }
    }
}

fn resolve(condition: &Condition, segment: &Segment, fields: &Fields) -> Result<Found, IndexError> {
    match condition {
        Condition::Terms(terms, overlap) => {
            let mut infos = Vec::new();
            for term in terms {
                infos.extend(segment.terms.terms().get(term)?);
            }
            Ok(Found::of(&segment.terms, infos, *overlap))
        }
        Condition::Range(from, to) => {
            let mut infos = Vec::new();
            let mut stream = segment
                .terms
                .terms()
                .range()
                .ge(from)
                .le(to)
                .into_stream()?;
            while let Some((_, info)) = stream.next() {
                infos.push(info.clone());
            }
            Ok(Found::of(&segment.terms, infos, Overlap::Never))
        }
        Condition::Contains(field, part) => {
            // Where there are few actions, looking at each is faster than at their parts.
            if *field == fields.action
                && let Some(actions) = segment.actions()?
            {
                let with = actions.iter().filter(|(action, _)| action.contains(part));
                let infos = with.map(|(_, info)| info.clone()).collect();
                return Ok(Found::of(&segment.terms, infos, Overlap::Never));
            }
            containing(*field, part, segment)
        }
    }
}

/// Documents whose field has a folded text within it.
fn containing(field: Field, part: &str, segment: &Segment) -> Result<Found, IndexError> {
    let reader = segment.reader.inverted_index(field)?;
    if part.chars().count() < grams::LENGTH {
        let mut infos = Vec::new();
        let mut stream = reader.terms().range().ge(part).into_stream()?;
        while let Some((gram, info)) = stream.next() {
            if !gram.starts_with(part.as_bytes()) {
                break;
            }
            infos.push(info.clone());
        }
        return Ok(Found::of(&reader, infos, Overlap::Possible));
    }
    let cover = grams::cover(part);
    let mut infos = Vec::new();
    for (_, gram) in &cover {
        match reader.terms().get(gram)? {
            Some(info) => infos.push(info),
            None => return Ok(Found::Nothing),
        }
    }
    if infos.len() == 1 {
        return Ok(Found::of(&reader, infos, Overlap::Possible));
    }
    let rarest = infos.iter().map(|info| u64::from(info.doc_freq)).min();
    let terms = cover
        .into_iter()
        .map(|(at, gram)| (at, Term::from_field_text(field, &gram)))
        .collect();
    let weight = PhraseQuery::new_with_offset(terms)
        .weight(EnableScoring::disabled_from_schema(segment.reader.schema()))?;
    Ok(Found::Phrase(weight, rarest.unwrap_or(0)))
}

/// Documents in ascending order.
enum Docs {
    Postings(Box<SegmentPostings>),
    Scorer(Box<dyn tantivy::query::Scorer>),
    /// A bit for each document of a range.
    Bits {
        start: u32,
        bits: Vec<u64>,
        at: u32,
    },
}

impl Docs {
    /// Those of `found` from the start of `range` on; beyond its end they need not be whole.
    fn open(found: &Found, segment: &Segment, range: &Range<u32>) -> Result<Self, IndexError> {
        match found {
            Found::Nothing => Ok(Self::Bits {
                start: range.start,
                bits: Vec::new(),
                at: TERMINATED,
            }),
            Found::One(reader, info) => {
                let mut postings =
                    reader.read_postings_from_terminfo(info, IndexRecordOption::Basic)?;
                seek(&mut postings, range.start);
                Ok(Self::Postings(Box::new(postings)))
            }
            Found::Several(reader, infos, _) => union(reader, infos, range),
            Found::Phrase(weight, _) => {
                let mut scorer = weight.scorer(&segment.reader, 1.0)?;
                seek(&mut *scorer, range.start);
                Ok(Self::Scorer(scorer))
            }
        }
    }

    /// Goes to the first document from `target` on.
    fn seek(&mut self, target: u32) -> u32 {
        match self {
            Self::Postings(postings) => seek(&mut **postings, target),
            Self::Scorer(scorer) => seek(&mut **scorer, target),
            Self::Bits { at, .. } if *at >= target => *at,
            Self::Bits { start, bits, at } => {
                *at = next_bit(bits, target - *start).map_or(TERMINATED, |bit| *start + bit);
                *at
            }
        }
    }
}

/// Goes to the first document from `target` on, never back: the library's own seek takes no
/// target behind it.
fn seek(docs: &mut (impl DocSet + ?Sized), target: u32) -> u32 {
    match docs.doc() {
        doc if doc >= target => doc,
        _ => docs.seek(target),
    }
}

fn union(
    reader: &InvertedIndexReader,
    infos: &[TermInfo],
    range: &Range<u32>,
) -> Result<Docs, IndexError> {
    let mut bits = vec![0_u64; (range.len()).div_ceil(64)];
    for info in infos {
        let mut postings = reader.read_postings_from_terminfo(info, IndexRecordOption::Basic)?;
        let mut doc = seek(&mut postings, range.start);
        while doc < range.end {
            let bit = doc - range.start;
            bits[bit as usize / 64] |= 1 << (bit % 64);
            doc = postings.advance();
        }
    }
    let at = next_bit(&bits, 0).map_or(TERMINATED, |bit| range.start + bit);
    Ok(Docs::Bits {
        start: range.start,
        bits,
        at,
    })
}

/// The first set bit from one on.
fn next_bit(bits: &[u64], from: u32) -> Option<u32> {
    let mut word = from as usize / 64;
    let mut rest = bits.get(word)? & (u64::MAX << (from % 64));
    while rest == 0 {
        word += 1;
        rest = *bits.get(word)?;
    }
    Some(word as u32 * 64 + rest.trailing_zeros())
}

/// A plan with the terms of one segment.
pub(crate) struct SegmentPlan<'s> {
    segment: &'s Segment,
    wanted: Vec<Found>,
    unwanted: Vec<Found>,
    timestamp: Window<i64>,
    received: Window<i64>,
}

/// How a block's times lie to the bounds asked for.
enum Fit {
    Outside,
    /// Each document has to be looked at.
    Partly,
    Within,
}

fn is_unbounded(window: &Window<i64>) -> bool {
    window.from.is_none() && window.to.is_none()
}

fn fit(window: &Window<i64>, times: &Times, block: u32) -> Fit {
    if is_unbounded(window) {
        return Fit::Within;
    }
    let Some(bounds) = times.bounds().get(block as usize) else {
        return Fit::Partly;
    };
    let outside = window.from.is_some_and(|from| bounds.greatest < from)
        || window.to.is_some_and(|to| bounds.least > to);
    if outside {
        Fit::Outside
    } else if window.contains(bounds.least) && window.contains(bounds.greatest) {
        Fit::Within
    } else {
        Fit::Partly
    }
}

impl SegmentPlan<'_> {
    /// Gives each document of a range that meets the conditions, in order, as long as `each`
    /// says so; whether it did to the end.
    pub(crate) fn for_each(
        &self,
        range: Range<u32>,
        each: &mut impl FnMut(u32) -> bool,
    ) -> Result<bool, IndexError> {
        let open = |found: &Vec<Found>| -> Result<Vec<Docs>, IndexError> {
            let found = found.iter();
            found
                .map(|found| Docs::open(found, self.segment, &range))
                .collect()
        };
        let (mut wanted, mut unwanted) = (open(&self.wanted)?, open(&self.unwanted)?);
        let mut doc = range.start;
        let mut block = u32::MAX;
        let mut partly = false;
        loop {
            doc = meet(&mut wanted, doc);
            if doc >= range.end {
                return Ok(true);
            }
            if doc / BLOCK != block {
                block = doc / BLOCK;
                match self.fit(block) {
                    Fit::Outside => {
                        doc = (block + 1).saturating_mul(BLOCK);
                        continue;
                    }
                    Fit::Partly => partly = true,
                    Fit::Within => partly = false,
                }
            }
            let taken = (!partly || self.in_windows(doc))
                && !unwanted.iter_mut().any(|docs| docs.seek(doc) == doc);
            if taken && !each(doc) {
                return Ok(false);
            }
            doc += 1;
        }
    }

    /// How many documents of a range meet the conditions, as far as the sizes of their parts
    /// tell: none that any part lacks, and all that no part lacks.
    pub(crate) fn extent(&self, range: &Range<u32>) -> Extent {
        let len = self.segment.len;
        let all = u64::from(len);
        let wanted = self.wanted.iter().map(|found| found.extent(len));
        let unwanted = self.unwanted.iter();
        let unwanted = unwanted.map(|found| found.extent(len).others(all));
        let within = [Extent::exactly(range.len() as u64), self.in_time()];
        let mut most = all;
        let mut lacking = 0;
        for part in wanted.chain(unwanted).chain(within) {
            most = most.min(part.most);
            lacking += all - part.least.min(all);
        }
        Extent {
            least: all.saturating_sub(lacking),
            most,
        }
    }

    /// How many documents lie between the bounds on time, by those of their blocks.
    fn in_time(&self) -> Extent {
        let len = self.segment.len;
        if [&self.timestamp, &self.received].map(is_unbounded) == [true, true] {
            return Extent::exactly(u64::from(len));
        }
        let mut extent = Extent::default();
        for block in 0..len.div_ceil(BLOCK) {
            let documents = u64::from((len - block * BLOCK).min(BLOCK));
            match self.fit(block) {
                Fit::Outside => {}
                Fit::Partly => extent.most += documents,
                Fit::Within => {
                    extent.least += documents;
                    extent.most += documents;
                }
            }
        }
        extent
    }

    fn fit(&self, block: u32) -> Fit {
        let timestamp = fit(&self.timestamp, &self.segment.timestamp, block);
        let received = fit(&self.received, &self.segment.received, block);
        match (timestamp, received) {
            (Fit::Outside, _) | (_, Fit::Outside) => Fit::Outside,
            (Fit::Within, Fit::Within) => Fit::Within,
            _ => Fit::Partly,
        }
    }

    fn in_windows(&self, doc: u32) -> bool {
        self.timestamp.contains(self.segment.timestamp.get(doc))
            && self.received.contains(self.segment.received.get(doc))
    }
}

/// The first document from `from` on that all have.
fn meet(wanted: &mut [Docs], from: u32) -> u32 {
    let mut doc = from;
    'candidate: loop {
        for docs in wanted.iter_mut() {
            let next = docs.seek(doc);
            if next > doc {
                if next == TERMINATED {
                    return TERMINATED;
                }
                doc = next;
                continue 'candidate;
            }
        }
        return doc;
    }
}
