//! Query parameters: taken one by one, none of them silently ignored.

use audittrail_store::ParameterError;
use axum::http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

use crate::problem::Problem;

/// All that RFC 3986 does not call unreserved, but for what reads better as it is.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b',')
    .remove(b'/');

/// The parameters of a request, in the order sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads `name=value` pairs as forms write them.
    pub(crate) fn of(uri: &Uri) -> Result<Self, Problem> {
        let mut pairs = Vec::new();
        for pair in uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
        {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).map_err(|why| Problem::parameter(name, why))?;
            let value = decode(value).map_err(|why| Problem::parameter(&name, why))?;
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// Takes out the one value of a parameter.
    pub(crate) fn take(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let mut values = self
            .0
            .extract_if(.., |(found, _)| found == name)
            .map(|(_, value)| value);
        let value = values.next();
        if values.next().is_some() {
            return Err(Problem::parameter(name, "is given twice; give it once"));
        }
        Ok(value)
    }

    /// Takes out a parameter that is one of a few words.
    pub(crate) fn take_word<T>(
        &mut self,
        name: &str,
        words: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(value) = self.take(name)? else {
            return Ok(None);
        };
        match parse(&value) {
            Some(parsed) => Ok(Some(parsed)),
            None => Err(Problem::parameter(name, format!("is not one of {words}"))),
        }
    }

    /// Takes out a whole number within bounds.
    pub(crate) fn take_number(
        &mut self,
        name: &str,
        from: usize,
        to: usize,
    ) -> Result<Option<usize>, Problem> {
        let Some(value) = self.take(name)? else {
            return Ok(None);
        };
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| value.parse().ok()).flatten();
        match number.filter(|number| (from..=to).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let detail = format!("is not a whole number from {from} to {to}");
                Err(Problem::parameter(name, detail))
            }
        }
    }

    /// Adds one.
    pub(crate) fn push(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// Drops one.
    pub(crate) fn remove(&mut self, name: &str) {
        self.0.retain(|(found, _)| found != name);
    }

    /// What is left.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// That nothing is left.
    pub(crate) fn end(&self) -> Result<(), Problem> {
        if self.0.is_empty() {
            return Ok(());
        }
        let unknown = self.0.iter().map(|(name, _)| ParameterError {
            parameter: name.clone(),
            detail: "is not a parameter of this path; docs/api.md lists them".to_owned(),
        });
        Err(Problem::parameters(&unknown.collect::<Vec<_>>()))
    }

    /// The parameters as a query again, others added.
    pub(crate) fn to_query(&self, added: &[(&str, &str)]) -> String {
        let mut query = String::new();
        for (name, value) in self.iter().chain(added.iter().copied()) {
            query.push(if query.is_empty() { '?' } else { '&' });
            query.extend(utf8_percent_encode(name, ESCAPED));
            query.push('=');
            query.extend(utf8_percent_encode(value, ESCAPED));
        }
        query
    }
}

/// Percent-decoding that refuses what it cannot decode.
fn decode(text: &str) -> Result<String, &'static str> {
    let bytes = text.as_bytes();
    let broken = bytes.iter().enumerate().any(|(at, byte)| {
        let hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
        *byte == b'%' && !(hex(at + 1) && hex(at + 2))
    });
    if broken {
        return Err("has a % that no two hexadecimal digits follow; write %25 for a %");
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode(spaced.as_bytes()).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| "is not UTF-8")
}
