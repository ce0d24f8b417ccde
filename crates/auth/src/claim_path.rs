//! Where a claim is found: a top-level name or a JSON pointer (RFC 6901).

use serde_json::{Map, Value};

use crate::AuthConfigError;

/// The names of a claim's place, from the outermost object inwards; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClaimPath(Vec<String>);

impl ClaimPath {
    /// A JSON pointer where `name` begins with `/`, else a top-level name.
    pub(crate) fn new(name: &str) -> Result<Self, AuthConfigError> {
        let wrong = || AuthConfigError::ClaimName(name.to_owned());
        let Some(pointer) = name.strip_prefix('/') else {
            return if name.is_empty() {
                Err(wrong())
            } else {
                Ok(Self(vec![name.to_owned()]))
            };
        };
        let steps = pointer.split('/').map(unescape).collect::<Option<Vec<_>>>();
        steps.map(Self).ok_or_else(wrong)
    }

    /// The value at this path. Where the way there leads through a scalar, or by name into a
    /// list, the answer is `null` and not absence: a restriction such as the tenant must not
    /// vanish because what holds it has an unexpected shape.
    pub(crate) fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let (first, inner) = self.0.split_first()?;
        let mut value = claims.get(first)?;
        for step in inner {
            value = match value {
                Value::Object(object) => object.get(step)?,
                Value::Array(list) => match list_index(step) {
                    Some(index) => list.get(index)?,
                    None => return Some(&Value::Null),
                },
                _ => return Some(&Value::Null),
            };
        }
        Some(value)
    }

    /// Puts `value` at this path. `false`: something else is in the way.
    pub(crate) fn put(&self, claims: &mut Map<String, Value>, value: Value) -> bool {
        let Some((last, outer)) = self.0.split_last() else {
            return false;
        };
        let mut object = claims;
        for step in outer {
            let inner = object
                .entry(step.as_str())
                .or_insert_with(|| Map::new().into());
            let Value::Object(inner) = inner else {
                return false;
            };
            object = inner;
        }
        object.insert(last.clone(), value).is_none()
    }
}

/// RFC 6901, section 4: digits without leading zeros.
fn list_index(step: &str) -> Option<usize> {
    let canonical = step == "0" || !step.starts_with(['0', '+']);
    step.parse().ok().filter(|_| canonical)
}

/// RFC 6901, section 4: `~1` is `/`, `~0` is `~`, and no other `~` may occur.
fn unescape(step: &str) -> Option<String> {
    let mut pieces = step.split('~');
    let mut name = pieces.next()?.to_owned();
    for piece in pieces {
        let (escaped, rest) = match piece.as_bytes().first()? {
            b'0' => ('~', &piece[1..]),
            b'1' => ('/', &piece[1..]),
            _ => return None,
        };
        name.push(escaped);
        name.push_str(rest);
    }
    Some(name)
}
