//! Strict JSON in, canonical JSON out.
//!
//! Canonical JSON is RFC 8785 with one exception: an integer literal from −2^63 to 2^64−1 is
//! kept digit for digit, so that 64-bit ids survive. Whatever would be changed or is
//! ambiguous is refused: duplicate names, lone surrogates, numbers that no double holds.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::Violation;
use crate::number::{canonical_number, is_written_double};

/// A JSON value; the members of an object stand in canonical order.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number in its canonical text.
    Number(Cow<'a, str>),
    /// A string, its escapes resolved.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Value<'a>>),
    /// An object: names are unique and sorted by UTF-16 code units.
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// A member of an object.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        let Self::Object(members) = self else {
            return None;
        };
        members
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
}

/// RFC 8785 section 3.2.3: names are compared by their UTF-16 code units.
pub fn compare_names(a: &str, b: &str) -> Ordering {
    if a.is_ascii() || b.is_ascii() {
        // UTF-8 order is UTF-16 order unless both have characters above U+D7FF at the first
        // difference.
        return a.as_bytes().cmp(b.as_bytes());
    }
    a.encode_utf16().cmp(b.encode_utf16())
}

/// Reads one JSON text. Containers nest at most `max_depth` deep.
///
/// # Errors
/// At the first place that cannot be taken as it is.
pub fn parse(bytes: &[u8], max_depth: usize) -> Result<Value<'_>, Violation> {
    read(bytes, max_depth, false)
}

/// Reads what [`write_canonical`] wrote. A double from 2^64 to 10^21 is written there as an
/// integer, which [`parse`] refuses; otherwise both are the same.
///
/// # Errors
/// At the first place that cannot be taken as it is.
pub fn parse_written(bytes: &[u8], max_depth: usize) -> Result<Value<'_>, Violation> {
    read(bytes, max_depth, true)
}

fn read(bytes: &[u8], max_depth: usize, written: bool) -> Result<Value<'_>, Violation> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        Violation::new(
            "",
            format!("byte {at} is not UTF-8; send JSON encoded as UTF-8"),
        )
    })?;
    let mut parser = Parser {
        text,
        at: 0,
        path: Vec::new(),
        max_depth,
        written,
    };
    let value = parser.value()?;
    parser.space();
    if parser.at < text.len() {
        return Err(parser.error("there is something after the end of the JSON value"));
    }
    Ok(value)
}

enum Step<'a> {
    Name(Cow<'a, str>),
    Position(usize),
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    path: Vec<Step<'a>>,
    max_depth: usize,
    /// The text is our own, not a client's.
    written: bool,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// A violation at the place that is being read.
    fn error(&self, what: &str) -> Violation {
        let mut violation = Violation::new("", format!("{what} (byte {})", self.at));
        for step in self.path.iter().rev() {
            violation = match step {
                Step::Name(name) => violation.below(name),
                Step::Position(position) => violation.below(&position.to_string()),
            };
        }
        violation
    }

    fn value(&mut self) -> Result<Value<'a>, Violation> {
        self.space();
        match self.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(_) if self.at == 0 && self.text.starts_with('\u{feff}') => {
                Err(self.error("a byte order mark stands before the JSON; leave it out"))
            }
            Some(_) => Err(self.error("this is not JSON")),
            None => Err(self.error("the JSON ends too early")),
        }
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, Violation> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(self.error("this is not JSON"))
        }
    }

    fn enter(&mut self) -> Result<(), Violation> {
        if self.path.len() >= self.max_depth {
            let what = format!("this is nested more than {} levels deep", self.max_depth);
            return Err(self.error(&what));
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    fn array(&mut self) -> Result<Value<'a>, Violation> {
        self.enter()?;
        let mut values = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(values));
        }
        loop {
            self.path.push(Step::Position(values.len()));
            values.push(self.value()?);
            self.path.pop();
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::Array(values));
                }
                _ => return Err(self.error("a comma or ] is missing")),
            }
        }
    }

    fn object(&mut self) -> Result<Value<'a>, Violation> {
        self.enter()?;
        let mut members: Vec<(Cow<'a, str>, Value<'a>)> = Vec::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(members));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.error("a member's name is missing"));
            }
            let name = self.string()?;
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.error("a colon is missing"));
            }
            self.at += 1;
            self.path.push(Step::Name(name.clone()));
            let value = self.value()?;
            self.path.pop();
            members.push((name, value));
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return self.sorted(members);
                }
                _ => return Err(self.error("a comma or } is missing")),
            }
        }
    }

    fn sorted(&self, mut members: Vec<(Cow<'a, str>, Value<'a>)>) -> Result<Value<'a>, Violation> {
        let follows = |a: &str, b: &str| compare_names(a, b) == Ordering::Less;
        if members.is_sorted_by(|a, b| follows(&a.0, &b.0)) {
            return Ok(Value::Object(members));
        }
        members.sort_by(|a, b| compare_names(&a.0, &b.0));
        match members.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            None => Ok(Value::Object(members)),
            Some(pair) => {
                let mut violation = Violation::new(
                    "",
                    "the member is there twice; keep one of the two".to_owned(),
                )
                .below(&pair[0].0);
                for step in self.path.iter().rev() {
                    violation = match step {
                        Step::Name(name) => violation.below(name),
                        Step::Position(position) => violation.below(&position.to_string()),
                    };
                }
                Err(violation)
            }
        }
    }

    fn number(&mut self) -> Result<Value<'a>, Violation> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let digits = |mut at: usize| {
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            at
        };
        let mut at = start + usize::from(bytes[start] == b'-');
        let whole = digits(at);
        let mut sound = whole > at && (bytes[at] != b'0' || whole == at + 1);
        at = whole;
        if bytes.get(at) == Some(&b'.') {
            let end = digits(at + 1);
            sound &= end > at + 1;
            at = end;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let end = digits(at);
            sound &= end > at;
            at = end;
        }
        if !sound {
            return Err(self.error("this is not a JSON number"));
        }
        let literal = &self.text[start..at];
        let number = canonical_number(literal)
            .or_else(|what| {
                let own = self.written && is_written_double(literal);
                if own {
                    Ok(Cow::Borrowed(literal))
                } else {
                    Err(what)
                }
            })
            .map_err(|what| self.error(what))?;
        self.at = at;
        Ok(Value::Number(number))
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Violation> {
        self.at += 1;
        let start = self.at;
        let plain = self.plain_until();
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                Ok(Cow::Borrowed(plain))
            }
            _ => self.escaped(start),
        }
    }

    /// Goes to the next quote, escape or control character.
    fn plain_until(&mut self) -> &'a str {
        let len = plain_len(&self.text.as_bytes()[self.at..]);
        let plain = &self.text[self.at..self.at + len];
        self.at += len;
        plain
    }

    fn escaped(&mut self, start: usize) -> Result<Cow<'a, str>, Violation> {
        let mut text = self.text[start..self.at].to_owned();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(text));
                }
                Some(b'\\') => {
                    self.at += 1;
                    text.push(self.escape()?);
                }
                Some(_) => {
                    return Err(self.error("a control character has to be written as an escape"));
                }
                None => return Err(self.error("the string has no end")),
            }
            text.push_str(self.plain_until());
        }
    }

    fn escape(&mut self) -> Result<char, Violation> {
        let escape = self.peek();
        self.at += 1;
        Ok(match escape {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b't') => '\t',
            Some(b'n') => '\n',
            Some(b'f') => '\u{c}',
            Some(b'r') => '\r',
            Some(b'u') => return self.unicode(),
            _ => return Err(self.error("there is no such escape in JSON")),
        })
    }

    fn unicode(&mut self) -> Result<char, Violation> {
        let lone = "a surrogate stands alone: it is half a character and no text; leave it out";
        let first = self.hex()?;
        let code = match first {
            0xd800..=0xdbff => {
                if !self.text.as_bytes()[self.at..].starts_with(b"\\u") {
                    return Err(self.error(lone));
                }
                self.at += 2;
                match self.hex()? {
                    second @ 0xdc00..=0xdfff => {
                        0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                    }
                    _ => return Err(self.error(lone)),
                }
            }
            code => code,
        };
        char::from_u32(code).ok_or_else(|| self.error(lone))
    }

    fn hex(&mut self) -> Result<u32, Violation> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let code = digits.and_then(|digits| {
            digits.iter().try_fold(0, |code, digit| {
                Some(code * 16 + char::from(*digit).to_digit(16)?)
            })
        });
        let code = code.ok_or_else(|| self.error("\\u needs four hexadecimal digits"))?;
        self.at += 4;
        Ok(code)
    }
}

/// Writes a value as canonical JSON.
pub fn write_canonical(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend(b"null"),
        Value::Bool(true) => out.extend(b"true"),
        Value::Bool(false) => out.extend(b"false"),
        Value::Number(text) => out.extend(text.as_bytes()),
        Value::String(text) => write_string(text, out),
        Value::Array(values) => {
            out.push(b'[');
            for (position, value) in values.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write_canonical(value, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            for (position, (name, value)) in members.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write_string(name, out);
                out.push(b':');
                write_canonical(value, out);
            }
            out.push(b'}');
        }
    }
}

/// Writes a string with the escapes of RFC 8785 section 3.2.2.2 and no others.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (plain, special) = rest.split_at(plain_len(rest));
        out.extend(plain);
        let Some((byte, after)) = special.split_first() else {
            break;
        };
        rest = after;
        match byte {
            b'"' => out.extend(b"\\\""),
            b'\\' => out.extend(b"\\\\"),
            0x08 => out.extend(b"\\b"),
            b'\t' => out.extend(b"\\t"),
            b'\n' => out.extend(b"\\n"),
            0x0c => out.extend(b"\\f"),
            b'\r' => out.extend(b"\\r"),
            byte => out.extend(format!("\\u{byte:04x}").as_bytes()),
        }
    }
    out.push(b'"');
}

/// How many bytes come before the first that is written as an escape: a quote, a backslash, a
/// control character.
pub(crate) fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    // The highest bit of the first byte that is below a limit of 128 at most is set, and none
    // of the bytes before it.
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGHS;
    let equal = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let (words, rest) = bytes.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let special = below(word, 0x20) | equal(word, b'"') | equal(word, b'\\');
        if special != 0 {
            return number * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    bytes.len() - rest.len() + rest.iter().position(special).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::plain_len;

    proptest! {
        #[test]
        fn the_first_special_byte_is_found(
            bytes in proptest::collection::vec(
                prop_oneof![20 => 0x1f..=0xff_u8, 1 => any::<u8>()],
                0..40,
            ),
        ) {
            let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
            let first = bytes.iter().position(special).unwrap_or(bytes.len());
            prop_assert_eq!(plain_len(&bytes), first);
        }
    }
}
