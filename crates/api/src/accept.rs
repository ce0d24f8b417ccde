//! Which of two forms a client likes better, RFC 9110 section 12.5.1.

use axum::http::{HeaderMap, header};

use crate::problem::{Problem, Slug};

/// How much a client wants a media type: its weight, how exactly it was named (0 for `*/*`, 1
/// for `text/*`, 2), and before how many others it stands.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
struct Wish {
    weight: f32,
    exactness: u8,
    before: usize,
}

/// Whether JSON is to be sent rather than plain text. Text where the client likes both the same;
/// of two that it names, equal in weight, the first.
pub(crate) fn prefers_json(headers: &HeaderMap) -> Result<bool, Problem> {
    let text = wish(headers, "text", "plain");
    let json = wish(headers, "application", "json");
    match (text, json) {
        (None, None) => {
            let detail = "This path answers text/plain or application/json; accept one of them.";
            Err(Problem::new(Slug::NotAcceptable, detail))
        }
        (text, json) => Ok(json > text),
    }
}

/// None where the type is not accepted.
fn wish(headers: &HeaderMap, kind: &str, subtype: &str) -> Option<Wish> {
    let values = headers.get_all(header::ACCEPT).iter();
    let ranges: Vec<&str> = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|range| !range.is_empty())
        .collect();
    if ranges.is_empty() {
        return Some(Wish {
            weight: 1.0,
            exactness: 0,
            before: 0,
        });
    }
    let covering = ranges.iter().enumerate().filter_map(|(at, range)| {
        let mut parts = range.split(';').map(str::trim);
        let (range_kind, range_subtype) = parts.next()?.split_once('/')?;
        let exactness = match (range_kind, range_subtype) {
            ("*", "*") => 0,
            (one, "*") if one.eq_ignore_ascii_case(kind) => 1,
            (one, other) => {
                let named = one.eq_ignore_ascii_case(kind) && other.eq_ignore_ascii_case(subtype);
                named.then_some(2)?
            }
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        // A weight that cannot be read is no wish.
        let weight = weight.map_or(1.0, |q| q.parse().unwrap_or(0.0));
        // Among ranges that cover nothing exactly, their order says nothing.
        let before = if exactness == 0 { 0 } else { ranges.len() - at };
        Some(Wish {
            weight,
            exactness,
            before,
        })
    });
    // The most exact range counts, whatever the weights of others are.
    let mut exactest: Option<Wish> = None;
    for one in covering {
        if exactest.is_none_or(|best| one.exactness > best.exactness) {
            exactest = Some(one);
        }
    }
    exactest.filter(|one| one.weight > 0.0)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn which_form_is_sent() {
        for (accept, json) in [
            ("", Some(false)),
            ("*/*", Some(false)),
            ("text/plain", Some(false)),
            ("text/*", Some(false)),
            ("text/html, */*;q=0.1", Some(false)),
            ("application/json", Some(true)),
            ("Application/JSON", Some(true)),
            ("application/*", Some(true)),
            ("application/json, text/plain, */*", Some(true)),
            ("text/plain, application/json", Some(false)),
            ("application/json;q=0.9, text/plain;q=0.8", Some(true)),
            ("application/json;q=0.8, text/plain;q=0.9", Some(false)),
            ("application/json, */*;q=0.8", Some(true)),
            ("application/json;q=0, */*", Some(false)),
            ("text/plain;q=0, */*", Some(true)),
            ("application/json;q=much", None),
            ("text/html", None),
            ("image/*", None),
            ("nonsense", None),
            ("*/*;q=0", None),
        ] {
            let mut headers = HeaderMap::new();
            if !accept.is_empty() {
                headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(prefers_json(&headers).ok(), json, "{accept}");
        }
    }
}
