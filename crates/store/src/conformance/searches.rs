//! Questions about what entries hold, as clients write them: most are taken from an entry,
//! so that they find it, and some are bent a little.

use audittrail_entry::Entry;
use audittrail_entry::json::Value;

use super::Numbers;
use super::generate::{ACTIONS, ADDRESSES, RESOURCES};
use crate::details::literal;
use crate::text::words;
use crate::{Filter, Member, searched_strings};

/// What a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// A scalar at a path in details.
    Value,
    /// Something at a path.
    Exists,
    /// Nothing at a path.
    Absent,
    /// One word.
    Word,
    /// Several words.
    Words,
    /// One or two characters of a text.
    ShortPart,
    /// Three characters or more.
    LongPart,
    /// The beginning of the action.
    Prefix,
    /// A block of addresses.
    Block,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Value,
        Self::Exists,
        Self::Absent,
        Self::Word,
        Self::Words,
        Self::ShortPart,
        Self::LongPart,
        Self::Prefix,
        Self::Block,
    ];
}

/// Paths that lead nowhere, or to no scalar, or that look like another path.
const ODD_PATHS: [&str; 10] = [
    "absent",
    "user.absent",
    "n.0",
    "tags.0",
    "user",
    "items.items.items.items",
    r"a\\.b",
    "a.b",
    "ROLE",
    "x",
];
const ODD_VALUES: [&str; 14] = [
    "5",
    "5.0",
    "1e3",
    "-0",
    "0",
    "100000000000000000000",
    "9007199254740992",
    "true",
    "null",
    "\"5\"",
    "[]",
    "ADMIN",
    "X\0\0srole",
    "",
];
const ODD_TEXTS: [&str; 9] = [
    "absent",
    "search",
    "42",
    "admin root",
    "東京",
    "京東",
    "i\u{307}stanbul",
    "σας",
    "12",
];

/// A path as a parameter's name has it.
fn escaped(names: &[&str]) -> String {
    let names = names
        .iter()
        .map(|name| name.replace('\\', r"\\").replace('.', r"\."));
    names.collect::<Vec<_>>().join(".")
}

type Found = (String, Option<String>);

/// The paths below a value to which a parameter can lead, with the scalars there.
fn paths<'v>(value: &'v Value<'_>, names: &mut Vec<&'v str>, found: &mut Vec<Found>) {
    match value {
        Value::Object(members) => {
            // Nothing is called by an empty name.
            for (name, inner) in members.iter().filter(|(name, _)| !name.is_empty()) {
                names.push(name);
                found.push((escaped(names), None));
                paths(inner, names, found);
                names.pop();
            }
        }
        Value::Array(elements) => elements.iter().for_each(|one| paths(one, names, found)),
        scalar => {
            let text = scalar.as_str().or(literal(scalar));
            found.push((escaped(names), text.map(str::to_owned)));
        }
    }
}

fn paths_of(entry: &Entry<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    let details = entry.sealed.as_ref().and_then(|part| part.details.as_ref());
    if let Some(details) = details {
        paths(details, &mut Vec::new(), &mut found);
    }
    found
}

fn pick_of<'t, T>(numbers: &mut Numbers, choices: &'t [T]) -> Option<&'t T> {
    let at = numbers.below(choices.len().max(1) as u64) as usize;
    choices.get(at)
}

fn path(numbers: &mut Numbers, entry: &Entry<'_>, with_value: bool) -> (String, String) {
    let mut all = paths_of(entry);
    all.retain(|(_, value)| value.is_some() == with_value);
    match pick_of(numbers, &all) {
        Some((path, value)) if !numbers.one_in(6) => {
            let value = match numbers.one_in(8) {
                true => numbers.pick(&ODD_VALUES).to_owned(),
                false => value.clone().unwrap_or_default(),
            };
            (path.clone(), value)
        }
        _ => (
            numbers.pick(&ODD_PATHS).to_owned(),
            numbers.pick(&ODD_VALUES).to_owned(),
        ),
    }
}

fn some_words(numbers: &mut Numbers, entry: &Entry<'_>, count: u64) -> String {
    let mut all: Vec<String> = Vec::new();
    searched_strings(entry, &mut |text| {
        all.extend(words(text).map(std::borrow::Cow::into_owned));
    });
    let mut wanted: Vec<String> = Vec::new();
    for _ in 0..count {
        wanted.extend(pick_of(numbers, &all).cloned());
    }
    if wanted.is_empty() || numbers.one_in(10) {
        wanted.push(numbers.pick(&ODD_TEXTS).to_owned());
    }
    let text = wanted.join(numbers.pick(&[" ", ", ", "-", " / "]));
    match numbers.one_in(3) {
        true => text.to_uppercase(),
        false => text,
    }
}

/// Some characters in a row, perhaps bent so that they no longer are a part.
fn part(numbers: &mut Numbers, text: &str, least: u64, most: u64) -> String {
    let chars: Vec<char> = text.chars().collect();
    let most = most.min(chars.len() as u64);
    let least = least.min(most);
    let len = (least + numbers.below(most - least + 1)) as usize;
    let start = numbers.below((chars.len() - len + 1) as u64) as usize;
    let mut part: Vec<char> = chars[start..start + len].to_vec();
    if numbers.one_in(8) {
        // The parts of the part still occur, but no longer in this order.
        part.rotate_left(len / 2);
    }
    let part: String = part.into_iter().collect();
    match numbers.below(4) {
        0 => part.to_uppercase(),
        1 => part.to_lowercase(),
        _ => part,
    }
}

fn contains(
    numbers: &mut Numbers,
    entry: &Entry<'_>,
    least: u64,
    most: u64,
) -> (&'static str, String) {
    let (member, name, others): (_, _, &[&str]) = match numbers.one_in(2) {
        true => (Member::Action, "action__contains", &ACTIONS),
        false => (Member::Resource, "resource__contains", &RESOURCES),
    };
    let text = member.of(entry).unwrap_or_else(|| numbers.pick(others));
    let text = text.to_owned();
    (name, part(numbers, &text, least, most))
}

fn block(numbers: &mut Numbers, entry: &Entry<'_>) -> String {
    let own = entry.sealed.as_ref().and_then(|part| part.source_ip);
    let address = match own {
        Some(address) if !numbers.one_in(5) => address.to_string(),
        _ => numbers.pick(&ADDRESSES).to_owned(),
    };
    let width = if address.contains(':') { 128 } else { 32 };
    match numbers.one_in(6) {
        true => address,
        false => format!("{address}/{}", numbers.below(width + 1)),
    }
}

/// The parameters of one question about a topic, and the filter that they make.
///
/// # Panics
/// If they make none.
pub fn question(numbers: &mut Numbers, topic: Topic, entry: &Entry<'_>) -> Filter {
    let (name, value) = match topic {
        Topic::Value => {
            let (path, value) = path(numbers, entry, true);
            (format!("details.{path}"), value)
        }
        Topic::Exists | Topic::Absent => {
            let scalar = numbers.one_in(2);
            let (path, _) = path(numbers, entry, scalar);
            let wanted = topic == Topic::Exists;
            (format!("details.{path}__exists"), wanted.to_string())
        }
        Topic::Word => ("q".to_owned(), some_words(numbers, entry, 1)),
        Topic::Words => {
            let count = 2 + numbers.below(3);
            ("q".to_owned(), some_words(numbers, entry, count))
        }
        Topic::ShortPart | Topic::LongPart => {
            let (least, most) = match topic {
                Topic::ShortPart => (1, 2),
                _ => (3, 20),
            };
            let (name, value) = contains(numbers, entry, least, most);
            (name.to_owned(), value)
        }
        Topic::Prefix => {
            let len = 1 + numbers.below(20) as usize;
            let start: String = entry.open.action.chars().take(len).collect();
            let start = match numbers.one_in(6) {
                true => start.to_uppercase(),
                false => start,
            };
            ("action__prefix".to_owned(), start)
        }
        Topic::Block => ("source_ip".to_owned(), block(numbers, entry)),
    };
    Filter::from_parameters([(name.as_str(), value.as_str())]).unwrap()
}

/// Both filters' conditions; of those that there can be one of, the second's.
pub fn both(mut one: Filter, other: Filter) -> Filter {
    one.texts.extend(other.texts);
    one.details.extend(other.details);
    one.words.extend(other.words);
    one.source_ip = other.source_ip.or(one.source_ip);
    one
}
