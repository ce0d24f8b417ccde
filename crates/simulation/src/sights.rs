//! What clients saw, against the log.

use std::collections::BTreeMap;

use audittrail_store::{Filter, Order};

use crate::check::Log;
use crate::content::{ADMIN, CLIENTS};
use crate::ledger::{Listened, Seen, Sight};
use crate::proofs;

/// Whether it was true of the log at one of the sizes that it may be of.
pub(crate) fn check(seen: &Seen, log: &Log<'_>) -> Result<(), String> {
    let (from, mut to) = seen.sizes;
    if to == u64::MAX {
        to = log.leaves.len() as u64;
    }
    if from.max(to) > log.leaves.len() as u64 {
        return Err(format!(
            "a client saw {} entries, of {}",
            from.max(to),
            log.leaves.len()
        ));
    }
    let selected = selected(&seen.parameters, seen.token, log)?;
    if (from..=to).any(|size| holds(&seen.what, &below(&selected, size), log)) {
        return Ok(());
    }
    Err(format!(
        "a client saw {seen:?}; selected are {:?}",
        below(&selected, to)
    ))
}

/// Whether a client heard everything that it had to hear, once and in order.
pub(crate) fn check_heard(listened: &Listened, log: &Log<'_>) -> Result<(), String> {
    let Some(start) = listened.start else {
        return Ok(());
    };
    if listened.passed >= log.leaves.len() as i64 {
        return Err(format!(
            "a client heard of {}, which is not there",
            listened.passed
        ));
    }
    let selected = selected(&listened.parameters, ADMIN, log)?;
    let heard = |index: &&u64| (start..=listened.passed).contains(&(**index as i64));
    if selected.iter().filter(heard).eq(&listened.got) {
        return Ok(());
    }
    Err(format!(
        "a client heard {listened:?}; selected are {selected:?}"
    ))
}

/// The indices of the entries that a filter selects and a client may see.
fn selected(
    parameters: &[(&'static str, String)],
    token: usize,
    log: &Log<'_>,
) -> Result<Vec<u64>, String> {
    let parameters = parameters.iter();
    let parameters = parameters.map(|(name, value)| (*name, value.as_str()));
    let filter = Filter::from_parameters(parameters).map_err(|errors| format!("{errors:?}"))?;
    let access = CLIENTS[token].access();
    let selects = |index, entry| {
        let within = filter.index.contains(index);
        within && access.admits(Some(entry)) && filter.matches(index, entry)
    };
    let entries = (0..).zip(&log.entries);
    let selected = entries.filter(|(index, entry)| selects(*index, entry));
    Ok(selected.map(|(index, _)| index).collect())
}

fn below(selected: &[u64], size: u64) -> Vec<u64> {
    let below = selected.iter().filter(|index| **index < size);
    below.copied().collect()
}

fn holds(what: &Sight, selected: &[u64], log: &Log<'_>) -> bool {
    match what {
        Sight::List {
            order,
            indices,
            ids,
            whole,
            count,
        } => {
            let sorted = sorted(*order, selected, log);
            let begins = sorted.starts_with(indices) && (!whole || sorted.len() == indices.len());
            let counted = count.is_none_or(|count| count == sorted.len() as u64);
            let mut named = indices.iter().zip(ids);
            begins && counted && named.all(|(index, id)| id_of(*index, log).as_ref() == Some(id))
        }
        Sight::Count(count) => *count == selected.len() as u64,
        Sight::Actions(actions) => {
            let mut counted: BTreeMap<String, u64> = BTreeMap::new();
            for index in selected {
                if let Some(entry) = log.entries.get(*index as usize) {
                    *counted.entry(entry.open.action.to_string()).or_default() += 1;
                }
            }
            counted == *actions
        }
        Sight::Proof { index, text } => {
            let hash = log.leaves.get(*index as usize).copied();
            let head = hash.and_then(|hash| proofs::check_hash(text, *index, hash).ok());
            head.is_some_and(|head| log.roots.get(head.size as usize) == Some(&head.root))
        }
    }
}

fn id_of(index: u64, log: &Log<'_>) -> Option<String> {
    let entry = log.entries.get(index as usize)?;
    Some(entry.open.id.to_string())
}

fn sorted(order: Order, selected: &[u64], log: &Log<'_>) -> Vec<u64> {
    let mut keyed: Vec<((i64, u64), u64)> = selected
        .iter()
        .filter_map(|index| {
            let timestamp = log.entries.get(*index as usize)?.open.timestamp;
            Some((order.rank(order.key(timestamp, *index)), *index))
        })
        .collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, index)| index).collect()
}
