//! The JSON that lines are made of: no value but whole numbers, `true`, strings and one array of
//! strings, so that neither depth nor size needs a bound beside the line's.

use std::borrow::Cow;

/// What is wrong, and the byte of the line where.
pub(crate) type Scanned<T> = Result<T, (&'static str, usize)>;

pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(crate) fn fail<T>(&self, what: &'static str) -> Scanned<T> {
        Err((what, self.at))
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Takes a byte, if it comes next.
    pub(crate) fn next_is(&mut self, byte: u8) -> bool {
        self.space();
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    pub(crate) fn expect(&mut self, byte: u8, what: &'static str) -> Scanned<()> {
        if self.next_is(byte) {
            Ok(())
        } else {
            self.fail(what)
        }
    }

    pub(crate) fn end(&mut self) -> Scanned<()> {
        self.space();
        if self.at == self.text.len() {
            Ok(())
        } else {
            self.fail("something follows the JSON object")
        }
    }

    pub(crate) fn is_true(&mut self) -> Scanned<()> {
        self.space();
        if self.text.as_bytes()[self.at..].starts_with(b"true") {
            self.at += 4;
            Ok(())
        } else {
            self.fail("true is missing")
        }
    }

    /// A whole number from 0 to 2^64−1 in digits alone.
    pub(crate) fn whole(&mut self) -> Scanned<u64> {
        self.space();
        let rest = &self.text.as_bytes()[self.at..];
        let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let digits = &self.text[self.at..self.at + len];
        let leading_zero = len > 1 && digits.starts_with('0');
        match digits.parse() {
            Ok(number) if !leading_zero => {
                self.at += len;
                Ok(number)
            }
            _ => self.fail("a whole number from 0 to 2^64-1 is missing"),
        }
    }

    pub(crate) fn string(&mut self) -> Scanned<Cow<'a, str>> {
        self.expect(b'"', "a string is missing")?;
        let plain = self.plain();
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = String::with_capacity(2 * plain.len() + 512);
        text.push_str(plain);
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
                _ => return self.fail("a string has no end or a control character"),
            }
            text.push_str(self.plain());
        }
    }

    /// Goes to the next quote, escape or control character.
    fn plain(&mut self) -> &'a str {
        let rest = &self.text.as_bytes()[self.at..];
        let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
        let len = rest.iter().position(special).unwrap_or(rest.len());
        let plain = &self.text[self.at..self.at + len];
        self.at += len;
        plain
    }

    fn escape(&mut self) -> Scanned<char> {
        let escape = self.peek();
        let unescaped = match escape {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b't') => '\t',
            Some(b'n') => '\n',
            Some(b'f') => '\u{c}',
            Some(b'r') => '\r',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return self.fail("there is no such escape in JSON"),
        };
        self.at += 1;
        Ok(unescaped)
    }

    fn unicode(&mut self) -> Scanned<char> {
        let first = self.hex()?;
        let code = if (0xd800..0xdc00).contains(&first) {
            if !self.text.as_bytes()[self.at..].starts_with(b"\\u") {
                return self.fail("a surrogate stands alone");
            }
            self.at += 2;
            match self.hex()? {
                second @ 0xdc00..=0xdfff => 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00),
                _ => return self.fail("a surrogate stands alone"),
            }
        } else {
            first
        };
        match char::from_u32(code) {
            Some(c) => Ok(c),
            None => self.fail("a surrogate stands alone"),
        }
    }

    fn hex(&mut self) -> Scanned<u32> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let code = digits.and_then(|digits| {
            digits.iter().try_fold(0, |code, digit| {
                Some(code * 16 + char::from(*digit).to_digit(16)?)
            })
        });
        match code {
            Some(code) => {
                self.at += 4;
                Ok(code)
            }
            None => self.fail("\\u needs four hexadecimal digits"),
        }
    }
}
