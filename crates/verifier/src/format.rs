//! The lines of an evidence file, as they are written.

use audittrail_entry::KeyId;
use audittrail_entry::json::{Value, parse, write_canonical, write_string};
use audittrail_merkle::Hash;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// The media type of evidence.
pub const MEDIA_TYPE: &str = "application/vnd.audittrail.evidence+jsonl";

/// The first proof is whole, and so is the first in or after every line whose number, counted
/// from 0 after the header, is a multiple of this.
pub const WHOLE_EVERY: u64 = 1_000;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The log's name.
    pub origin: String,
    /// The log's verifier key, which nobody believes because it is here.
    pub vkey: String,
    /// The signed checkpoint that all proofs lead to.
    pub checkpoint: String,
    /// The filter's parameters: names and values.
    pub filter: Vec<(String, String)>,
    /// The first and the last index of a range of which no entry is left out.
    pub complete: Option<(u64, u64)>,
    /// Sealed parts were left out on purpose.
    pub withheld: bool,
}

/// A line that is no header of evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Another format, or none.
    #[error("this is not evidence of version 1: {0}")]
    Form(String),
}

impl Header {
    /// Writes the line.
    pub fn write(&self, out: &mut Vec<u8>) {
        let text = |out: &mut Vec<u8>, name: &str, text: &str| {
            out.extend(format!(",\"{name}\":").as_bytes());
            write_string(text, out);
        };
        out.extend(b"{\"evidence\":1");
        text(out, "origin", &self.origin);
        text(out, "vkey", &self.vkey);
        text(out, "checkpoint", &self.checkpoint);
        out.extend(b",\"filter\":");
        write_canonical(&self.filter(), out);
        match self.complete {
            Some((first, last)) => out.extend(format!(",\"complete\":[{first},{last}]").as_bytes()),
            None => out.extend(b",\"complete\":null"),
        }
        if self.withheld {
            text(out, "withhold", "sealed");
        }
        out.extend(b"}\n");
    }

    fn filter(&self) -> Value<'_> {
        let members = self.filter.iter();
        let members = members.map(|(name, value)| {
            let value = Value::String(value.as_str().into());
            (name.as_str().into(), value)
        });
        Value::Object(members.collect())
    }

    /// Reads the line.
    ///
    /// # Errors
    /// If it has another form.
    pub fn parse(line: &[u8]) -> Result<Self, HeaderError> {
        let form = |what: &str| HeaderError::Form(what.to_owned());
        let value = parse(line, 2).map_err(|why| HeaderError::Form(why.detail))?;
        let Value::Object(members) = &value else {
            return Err(form("the first line is no JSON object"));
        };
        if value.get("evidence") != Some(&Value::Number("1".into())) {
            return Err(form("the first line has no member evidence that is 1"));
        }
        let text = |name: &str| {
            let text = value.get(name).and_then(Value::as_str);
            let text = text.ok_or_else(|| form(&format!("{name} is missing or no string")));
            text.map(str::to_owned)
        };
        let mut header = Self {
            origin: text("origin")?,
            vkey: text("vkey")?,
            checkpoint: text("checkpoint")?,
            filter: Vec::new(),
            complete: None,
            withheld: false,
        };
        let mut has = (false, false);
        for (name, value) in members {
            match (&**name, value) {
                ("evidence" | "origin" | "vkey" | "checkpoint", _) => {}
                ("filter", Value::Object(filter)) => {
                    header.filter = strings(filter).ok_or_else(|| form("filter has no string"))?;
                    has.0 = true;
                }
                ("complete", value) => {
                    let range = range(value).ok_or_else(|| form("complete is no range"))?;
                    header.complete = range;
                    has.1 = true;
                }
                ("withhold", Value::String(what)) if what == "sealed" => header.withheld = true,
                (name, _) => return Err(form(&format!("{name} has another form"))),
            }
        }
        if has == (true, true) {
            Ok(header)
        } else {
            Err(form("filter or complete is missing"))
        }
    }
}

fn strings(members: &[(std::borrow::Cow<'_, str>, Value<'_>)]) -> Option<Vec<(String, String)>> {
    let members = members.iter();
    let member = |(name, value): &(std::borrow::Cow<'_, str>, Value<'_>)| {
        Some((name.clone().into_owned(), value.as_str()?.to_owned()))
    };
    members.map(member).collect()
}

/// `null`, or two whole numbers.
fn range(value: &Value<'_>) -> Option<Option<(u64, u64)>> {
    match value {
        Value::Null => Some(None),
        Value::Array(bounds) => match bounds.as_slice() {
            [first, last] => Some(Some((whole(first)?, whole(last)?))),
            _ => None,
        },
        _ => None,
    }
}

/// A whole number from 0 to 2^64−1, without fraction and exponent.
pub(crate) fn whole(value: &Value<'_>) -> Option<u64> {
    match value {
        Value::Number(text) => text.parse().ok(),
        _ => None,
    }
}

/// The line of an entry that verifies.
#[derive(Debug, Clone, Copy)]
pub struct EntryLine<'a> {
    /// Its place in the log.
    pub index: u64,
    /// The exact text of the leaf.
    pub leaf: &'a str,
    /// The exact text of the sealed part and its salt; none where erased or withheld.
    pub sealed: Option<(&'a str, &'a [u8; 32])>,
    /// The server's HMAC over the leaf.
    pub signature: &'a [u8; 32],
    /// The key that made it.
    pub key_id: KeyId,
    /// What [`audittrail_merkle::ProofChain`] takes.
    pub proof: &'a [Hash],
}

impl EntryLine<'_> {
    /// Writes the line.
    pub fn write(&self, out: &mut Vec<u8>) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        out.extend(format!("{{\"index\":{},\"leaf\":", self.index).as_bytes());
        write_string(self.leaf, out);
        if let Some((sealed, salt)) = self.sealed {
            out.extend(b",\"sealed\":");
            write_string(sealed, out);
            out.extend(b",\"salt\":\"");
            out.extend(URL_SAFE_NO_PAD.encode(salt).as_bytes());
            out.push(b'"');
        }
        out.extend(b",\"signature\":\"");
        for byte in self.signature {
            out.extend([
                DIGITS[usize::from(byte >> 4)],
                DIGITS[usize::from(byte & 15)],
            ]);
        }
        out.extend(format!("\",\"key_id\":\"{}\",\"proof\":[", self.key_id).as_bytes());
        for (at, hash) in self.proof.iter().enumerate() {
            out.extend(if at > 0 { &b",\""[..] } else { b"\"" });
            out.extend(STANDARD.encode(hash.0).as_bytes());
            out.push(b'"');
        }
        out.extend(b"]}\n");
    }
}

/// The line of an entry that the server found not to verify, and why: it says that there is an
/// entry and proves nothing.
pub fn write_failed(index: u64, error: &str, out: &mut Vec<u8>) {
    out.extend(format!("{{\"index\":{index},\"error\":").as_bytes());
    write_string(error, out);
    out.extend(b"}\n");
}

/// The last line; `count` is the number of lines between it and the header.
pub fn write_end(count: u64, out: &mut Vec<u8>) {
    out.extend(format!("{{\"end\":true,\"count\":{count}}}\n").as_bytes());
}
