//! Numbers that stay what they are.

use std::borrow::Cow;

const INTEGER: &str = "an integer outside -2^63 to 2^64-1 would be rounded; send it as a string";
const DECIMAL: &str = "this number would be rounded to the nearest double; send it as a string";

/// The canonical text of a JSON number.
///
/// # Errors
/// If it would stand for another number than it does.
pub(crate) fn canonical_number(literal: &str) -> Result<Cow<'_, str>, &'static str> {
    if !literal
        .bytes()
        .any(|byte| matches!(byte, b'.' | b'e' | b'E'))
    {
        return match literal {
            "-0" => Ok(Cow::Borrowed("0")),
            negative if negative.starts_with('-') => negative
                .parse::<i64>()
                .map(|_| Cow::Borrowed(literal))
                .map_err(|_| INTEGER),
            _ => literal
                .parse::<u64>()
                .map(|_| Cow::Borrowed(literal))
                .map_err(|_| INTEGER),
        };
    }
    let value: f64 = literal.parse().map_err(|_| DECIMAL)?;
    if !value.is_finite() {
        return Err(DECIMAL);
    }
    let mut buffer = ryu_js::Buffer::new();
    let shortest = buffer.format_finite(value);
    if Decimal::read(literal) != Decimal::read(shortest) {
        return Err(DECIMAL);
    }
    Ok(if shortest == literal {
        Cow::Borrowed(literal)
    } else {
        Cow::Owned(shortest.to_owned())
    })
}

/// Whether a literal is what [`canonical_number`] writes of a double. From 2^64 to 10^21 that is
/// an integer, which it refuses from clients: 1e20 becomes 100000000000000000000.
pub(crate) fn is_written_double(literal: &str) -> bool {
    let value = literal
        .parse::<f64>()
        .ok()
        .filter(|value| value.is_finite());
    value.is_some_and(|value| ryu_js::Buffer::new().format_finite(value) == literal)
}

/// A decimal number: digits without zeros at either end, and the power of ten of the last.
/// Equal numbers are equal here, however they are written.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    /// `None` for an exponent that no finite double but zero has.
    exponent: Option<i64>,
}

impl Decimal {
    fn read(literal: &str) -> Self {
        let (negative, rest) = match literal.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, literal),
        };
        let (mantissa, power) = match rest.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, power.parse::<i64>().ok()),
            None => (rest, Some(0)),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        let last = all.iter().rposition(|digit| *digit != b'0');
        let Some(last) = last else {
            return Self {
                negative: false,
                digits: Vec::new(),
                exponent: Some(0),
            };
        };
        let first = all.iter().position(|digit| *digit != b'0').unwrap_or(0);
        let trailing = (all.len() - 1 - last) as i64 - fraction.len() as i64;
        Self {
            negative,
            digits: all[first..=last].to_vec(),
            exponent: power.and_then(|power| power.checked_add(trailing)),
        }
    }
}
