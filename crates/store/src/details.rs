//! Conditions on what lies at a path in `details`.

use audittrail_entry::json::{Value, parse_written};

/// Names from the outside in. Arrays on the way are looked through: any element may hold
/// what follows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DetailsPath(Vec<String>);

impl DetailsPath {
    /// Reads `user.role`; `\.` is a dot within a name and `\\` a backslash. `None` where a
    /// name is empty or a backslash stands before anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut names = vec![String::new()];
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let name = names.last_mut()?;
            match c {
                '\\' => name.push(chars.next().filter(|c| matches!(c, '.' | '\\'))?),
                '.' => names.push(String::new()),
                c => name.push(c),
            }
        }
        names
            .iter()
            .all(|name| !name.is_empty())
            .then_some(Self(names))
    }

    /// The names.
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

/// What has to be found at a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DetailsTest {
    /// A string with this text, or a number, `true`, `false` or `null` so written; an
    /// array's elements count one by one.
    Equals(Written),
    /// Anything, or with `false` nothing.
    Exists(bool),
}

/// A scalar as a query parameter writes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Written {
    /// As a string.
    pub text: String,
    /// In canonical form, if it can also be read as a number, `true`, `false` or `null`.
    pub literal: Option<String>,
}

impl Written {
    /// Reads `admin`, `5`, `5.0` (the number 5, too), `true`, `null`.
    pub fn new(text: &str) -> Self {
        // JSON has blanks around values; what is so written has none.
        let blank =
            text.starts_with([' ', '\t', '\n', '\r']) || text.ends_with([' ', '\t', '\n', '\r']);
        let literal = parse_written(text.as_bytes(), 1)
            .ok()
            .filter(|_| !blank)
            .and_then(|value| literal(&value).map(str::to_owned));
        Self {
            text: text.to_owned(),
            literal,
        }
    }
}

/// The canonical text of a scalar that is not a string.
pub fn literal<'v>(value: &'v Value<'_>) -> Option<&'v str> {
    match value {
        Value::Null => Some("null"),
        Value::Bool(true) => Some("true"),
        Value::Bool(false) => Some("false"),
        Value::Number(number) => Some(number),
        Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

impl DetailsTest {
    /// Whether it holds for an entry's `details`.
    pub fn holds(&self, path: &DetailsPath, details: Option<&Value<'_>>) -> bool {
        let names = path.names();
        match self {
            Self::Exists(wanted) => *wanted == details.is_some_and(|value| exists(value, names)),
            Self::Equals(wanted) => details.is_some_and(|value| equals(value, names, wanted)),
        }
    }
}

fn exists(value: &Value<'_>, names: &[String]) -> bool {
    let Some((name, rest)) = names.split_first() else {
        return true;
    };
    match value {
        Value::Object(_) => value.get(name).is_some_and(|inner| exists(inner, rest)),
        Value::Array(elements) => elements.iter().any(|element| exists(element, names)),
        _ => false,
    }
}

fn equals(value: &Value<'_>, names: &[String], wanted: &Written) -> bool {
    match (value, names.split_first()) {
        (Value::Array(elements), _) => elements
            .iter()
            .any(|element| equals(element, names, wanted)),
        (Value::Object(_), Some((name, rest))) => value
            .get(name)
            .is_some_and(|inner| equals(inner, rest, wanted)),
        (_, Some(_)) | (Value::Object(_), None) => false,
        (Value::String(text), None) => **text == *wanted.text,
        (_, None) => wanted.literal.is_some() && literal(value) == wanted.literal.as_deref(),
    }
}

/// Every string below a value, names excepted.
pub fn strings<'v>(value: &'v Value<'_>, each: &mut impl FnMut(&'v str)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(elements) => elements.iter().for_each(|element| strings(element, each)),
        Value::Object(members) => members.iter().for_each(|(_, inner)| strings(inner, each)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
