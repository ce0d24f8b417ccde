//! From a filter to a question of MongoDB.
//!
//! What the server selects is what [`Filter::matches`] says, or more: where it can be more, each
//! entry is looked at here. Bounds on the index, and what is damaged, are no part of it.

use std::ops::Range;

use audittrail_store::details::DetailsTest;
use audittrail_store::{Access, Filter, IpBlock, Member, Order, Test, Window};
use mongodb::bson::{Bson, Document, doc};

use crate::document::{field, folded_field, octets};
use crate::head::{binary, number};
use crate::terms::{self, MANY, Something};

/// A part that is longer stands in no resource or action, which have 1,024 bytes at most. It is
/// left to the definition, so that nothing hangs on that.
const LONGEST_PART: usize = 4_096;

/// The conditions of a filter, all of which must hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    conditions: Vec<Document>,
    /// Whether each entry that the server selects is one that the filter selects.
    exact: bool,
}

/// The indices to which a filter and the size of the log keep a question; `None` if there are
/// none.
pub(crate) fn window(filter: &Filter, size: u64) -> Option<Range<u64>> {
    let from = filter.index.from.unwrap_or(0);
    let end = filter
        .index
        .to
        .map_or(size, |to| to.saturating_add(1).min(size));
    (from < end).then_some(from..end)
}

impl Plan {
    /// The plan for a filter; `None` if no sound entry meets it. `many` says that there may be
    /// entries with more terms in details than are kept.
    pub(crate) fn new(filter: &Filter, access: &Access, many: bool) -> Option<Self> {
        if filter.failed || contradicts(filter, access) {
            return None;
        }
        let mut plan = Self {
            conditions: Vec::new(),
            exact: true,
        };
        let own = [("user", &access.user_id), ("tenant", &access.tenant)];
        for (field, value) in own {
            plan.conditions
                .extend(value.iter().map(|value| doc! { field: value }));
        }
        for (member, test) in &filter.texts {
            plan.add_text(*member, test)?;
        }
        for (path, test) in &filter.details {
            plan.exact &= !many;
            plan.conditions.push(match test {
                DetailsTest::Equals(value) => {
                    let mut wanted = terms::written(path, value);
                    wanted.extend(many.then(|| MANY.to_owned()));
                    doc! { "d": { "$in": wanted } }
                }
                DetailsTest::Exists(true) if many => {
                    doc! { "$or": [{ "d": has(terms::something(path)) }, { "d": MANY }] }
                }
                DetailsTest::Exists(true) => doc! { "d": has(terms::something(path)) },
                DetailsTest::Exists(false) => doc! { "d": { "$not": has(terms::something(path)) } },
            });
        }
        // Words are not kept.
        plan.exact &= filter.words.is_empty();
        plan.conditions.extend(filter.source_ip.as_ref().map(block));
        plan.conditions.extend(bounds("t", filter.timestamp));
        plan.conditions.extend(bounds("r", filter.received));
        Some(plan)
    }

    /// Whether each entry that the server selects is one that the filter selects.
    pub(crate) fn is_exact(&self) -> bool {
        self.exact
    }

    /// The same, with each entry looked at here.
    pub(crate) fn looked_at_here(mut self) -> Self {
        self.exact = false;
        self
    }

    /// Whether everything is selected.
    pub(crate) fn is_empty(&self) -> bool {
        self.conditions.is_empty() && self.exact
    }

    /// The question for entries of these indices that can be read, with one more condition.
    pub(crate) fn question(&self, indices: &Range<u64>, and: Document) -> Document {
        let mut all = self.conditions.clone();
        all.push(doc! { "_id": { "$gte": number(indices.start), "$lt": number(indices.end) } });
        all.push(doc! { "t": { "$gte": i64::MIN } });
        if !and.is_empty() {
            all.push(and);
        }
        doc! { "$and": all }
    }

    fn add_text(&mut self, member: Member, test: &Test) -> Option<()> {
        let name = field(member);
        match test {
            Test::Equals(text) => self.conditions.push(doc! { name: text }),
            Test::In(texts) => self.conditions.push(doc! { name: { "$in": texts } }),
            Test::NotIn(texts) => self.conditions.push(doc! { name: { "$nin": texts } }),
            Test::StartsWith(start) => {
                let pattern = format!("^{}", escaped(start)?);
                self.conditions.push(doc! { name: { "$regex": pattern } });
            }
            Test::Contains(part) => {
                let pattern = escaped(part)?;
                let Some(folded) = folded_field(member).filter(|_| part.len() <= LONGEST_PART)
                else {
                    self.exact = false;
                    return Some(());
                };
                self.conditions.push(doc! { "$or": [
                    { folded: { "$regex": &pattern } },
                    { folded: Bson::Null, name: { "$regex": &pattern } },
                ] });
            }
        }
        Some(())
    }
}

/// Whether one member would have to have two values, as where access is to another user than the
/// one asked for.
fn contradicts(filter: &Filter, access: &Access) -> bool {
    let allowed = |member: Member, text: &String| {
        let own = match member {
            Member::UserId => access.user_id.as_ref(),
            Member::Tenant => access.tenant.as_ref(),
            _ => None,
        };
        let mut others = filter.texts.iter().filter(|(other, _)| *other == member);
        own.is_none_or(|own| own == text)
            && others.all(|(_, test)| match test {
                Test::Equals(other) => other == text,
                Test::In(others) => others.contains(text),
                Test::NotIn(others) => !others.contains(text),
                Test::StartsWith(_) | Test::Contains(_) => true,
            })
    };
    filter.texts.iter().any(|(member, test)| match test {
        Test::Equals(text) => !allowed(*member, text),
        Test::In(texts) => !texts.iter().any(|text| allowed(*member, text)),
        _ => false,
    })
}

/// A pattern for this text and nothing else; `None` for one that stands in no member.
fn escaped(text: &str) -> Option<String> {
    if text.contains('\0') {
        return None;
    }
    let mut pattern = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_ascii_punctuation() {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    Some(pattern)
}

fn has(something: Something) -> Document {
    match something {
        Something::Between(from, to) => doc! { "$elemMatch": { "$gte": from, "$lt": to } },
        Something::Is(term) => doc! { "$elemMatch": { "$eq": term } },
    }
}

fn bounds(field: &str, window: Window<i64>) -> Option<Document> {
    let mut condition = Document::new();
    if let Some(from) = window.from {
        condition.insert("$gte", from);
    }
    if let Some(to) = window.to {
        condition.insert("$lte", to);
    }
    (!condition.is_empty()).then(|| doc! { field: condition })
}

fn block(block: &IpBlock) -> Document {
    let mut from = octets(block.address());
    let mut to = from.clone();
    for (at, (low, high)) in from.iter_mut().zip(&mut to).enumerate() {
        // How many bits of this byte are free.
        let fixed = usize::from(block.prefix()).saturating_sub(8 * at).min(8);
        let free = 0xFF_u16.checked_shr(fixed as u32).unwrap_or(0) as u8;
        *low &= !free;
        *high |= free;
    }
    doc! { "ip": { "$gte": binary(from), "$lte": binary(to) } }
}

/// The index that gives the order of pages and that all conditions of equality are in, where a
/// filter has none but these and bounds on the timestamp; else the server chooses.
pub(crate) fn hint(filter: &Filter, access: &Access, order: Order) -> Option<Document> {
    let plain = filter.details.is_empty()
        && filter.source_ip.is_none()
        && filter.received == Window::default()
        && filter
            .texts
            .iter()
            .all(|(_, test)| matches!(test, Test::Equals(_) | Test::NotIn(_)));
    if !plain {
        return None;
    }
    let is_fixed = |member: Member| {
        let by_access = match member {
            Member::UserId => access.user_id.is_some(),
            Member::Tenant => access.tenant.is_some(),
            _ => false,
        };
        let mut texts = filter.texts.iter();
        by_access || texts.any(|(own, test)| *own == member && matches!(test, Test::Equals(_)))
    };
    let fixed: Vec<Member> = [
        Member::UserId,
        Member::Resource,
        Member::Action,
        Member::Tenant,
        Member::Outcome,
    ]
    .into_iter()
    .filter(|member| is_fixed(*member))
    .collect();
    if order.by_index() {
        let bounded = filter.timestamp != Window::default();
        return (fixed.is_empty() && !bounded).then(|| doc! { "_id": 1 });
    }
    let both = [Member::Tenant, Member::UserId];
    if both.iter().all(|member| fixed.contains(member)) {
        return Some(doc! { "tenant": 1, "user": 1, "t": 1, "_id": 1 });
    }
    Some(match fixed.first() {
        Some(member) => doc! { field(*member): 1, "t": 1, "_id": 1 },
        None => doc! { "t": 1, "_id": 1 },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_contradicts_itself_or_the_access_selects_nothing() {
        let alice = Access {
            user_id: Some("alice".to_owned()),
            tenant: None,
        };
        let all = Access::default();
        for (parameters, access, is_some) in [
            (&[("user_id", "alice")][..], &alice, true),
            (&[("user_id", "bob")], &alice, false),
            (&[("user_id", "bob")], &all, true),
            (&[("user_id__in", "bob,alice")], &alice, true),
            (&[("user_id__in", "bob,carol")], &alice, false),
            (&[("tenant", "alice")], &alice, true),
            (
                &[("user_id", "bob"), ("user_id__in", "bob,carol")],
                &all,
                true,
            ),
            (&[("user_id", "bob"), ("user_id__in", "carol")], &all, false),
            (&[("user_id", "bob"), ("user_id__nin", "bob")], &all, false),
            (&[("user_id", "bob"), ("user_id__nin", "carol")], &all, true),
        ] {
            let filter = Filter::from_parameters(parameters.iter().copied()).unwrap();
            let plan = Plan::new(&filter, access, false);
            assert_eq!(plan.is_some(), is_some, "{parameters:?}");
        }
    }
}
