//! Entries as rows of CSV, RFC 4180: a header, CRLF, quotes where they are needed.
//!
//! The columns are fixed; docs/api.md has them. An empty cell is a member that the entry does
//! not have: no text of an entry is empty.
//!
//! A spreadsheet takes a cell that begins with `=` and the like for a formula, so such a cell
//! gets an apostrophe in front. So does one that begins with an apostrophe: who drops the first
//! apostrophe of every cell that begins with one has the values back.

use std::borrow::Cow;

use audittrail_entry::json::write_canonical;
use audittrail_entry::{Entry, Outcome};
use audittrail_store::{Checked, Verdict};

use crate::render::{hex, parse};

/// The columns, in order.
pub(crate) const COLUMNS: [&str; 17] = [
    "index",
    "id",
    "timestamp",
    "received_at",
    "action",
    "outcome",
    "user_id",
    "resource",
    "source_ip",
    "tenant",
    "details",
    "submitted_by.iss",
    "submitted_by.sub",
    "key_id",
    "signature",
    "verification_error",
    "verified",
];

/// Rows in memory.
pub(crate) struct Rows(csv::Writer<Vec<u8>>);

impl Rows {
    /// Rows that are appended to `out`.
    pub(crate) fn after(out: Vec<u8>) -> Self {
        let mut builder = csv::WriterBuilder::new();
        Self(
            builder
                .terminator(csv::Terminator::CRLF)
                // What follows is in memory already.
                .buffer_capacity(1 << 16)
                .from_writer(out),
        )
    }

    /// Adds the header.
    pub(crate) fn header(&mut self) -> csv::Result<()> {
        self.0.write_record(COLUMNS)
    }

    /// Adds one entry, as far as anything of it could be read.
    pub(crate) fn push(&mut self, checked: &Checked) -> csv::Result<()> {
        let entry = checked.record.as_ref().and_then(parse);
        let entry = entry.as_ref().zip(checked.record.as_ref());
        let (open, sealed) = match &entry {
            Some((Entry { open, sealed, .. }, _)) => (Some(open), sealed.as_ref()),
            None => (None, None),
        };
        let made = |text: Option<String>| Cow::Owned(text.unwrap_or_default());
        let free = |text: Option<&str>| made(text.map(|text| guarded(text).into_owned()));
        let details = sealed.and_then(|sealed| sealed.details.as_ref());
        let details = details.map(|details| {
            let mut text = Vec::new();
            write_canonical(details, &mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let by = sealed.map(|sealed| &sealed.submitted_by);
        let (error, verified) = match &checked.verdict {
            Verdict::Verified => (None, "true"),
            Verdict::Failed(reason) => (Some(reason.as_str()), "false"),
        };
        let cells: [Cow<'_, str>; COLUMNS.len()] = [
            made(Some(checked.index.to_string())),
            made(open.map(|open| open.id.to_string())),
            made(open.map(|open| open.timestamp.to_string())),
            made(open.map(|open| open.received_at.to_string())),
            free(open.map(|open| &*open.action)),
            open.and_then(|open| open.outcome)
                .map_or(Cow::Borrowed(""), |outcome| Outcome::as_str(outcome).into()),
            free(sealed.and_then(|sealed| sealed.user_id.as_deref())),
            free(sealed.and_then(|sealed| sealed.resource.as_deref())),
            made(sealed.and_then(|sealed| Some(sealed.source_ip?.to_string()))),
            free(open.and_then(|open| open.tenant.as_deref())),
            made(details),
            free(by.and_then(|by| by.iss.as_deref())),
            free(by.map(|by| &*by.sub)),
            made(entry.map(|(_, record)| record.key_id.to_string())),
            made(entry.map(|(_, record)| hex(&record.signature))),
            free(error),
            verified.into(),
        ];
        self.0
            .write_record(cells.iter().map(|cell| cell.as_bytes()))
    }

    /// The bytes, those that were there before first.
    pub(crate) fn into_bytes(self) -> csv::Result<Vec<u8>> {
        self.0.into_inner().map_err(|error| {
            let error: std::io::Error = error.into_error();
            error.into()
        })
    }
}

/// The text, with an apostrophe in front where a spreadsheet would take it for a formula.
fn guarded(text: &str) -> Cow<'_, str> {
    // Blanks and marks without width in front of a formula do not stop every program.
    let skipped = |c: char| {
        c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2060}')
    };
    let first = text.trim_start_matches(skipped).chars().next();
    let formula = matches!(
        first,
        // As they are, full width, and small.
        Some('=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' | '﹦' | '﹢' | '﹣' | '﹫')
            // The minus of mathematics.
            | Some('\u{2212}')
    );
    if formula || text.starts_with(['\'', '\t', '\r', '\n']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_a_formula_is_guarded_and_can_be_had_back() {
        for formula in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "\n1",
            "\t",
            " =1",
            "\u{a0}=1",
            "\u{3000}＝1",
            "＝1",
            "＋1",
            "－1",
            "＠a",
            "﹦1",
            "\u{2212}1",
            "\u{feff}=1",
            "\u{200b}@a",
            "'=1",
            "'",
            "''",
        ] {
            let cell = guarded(formula);
            assert_eq!(cell.strip_prefix('\''), Some(formula), "{formula:?}");
        }
        for plain in [
            "",
            "a=b",
            "user-1",
            "192.0.2.7",
            " a",
            "{\"a\":1}",
            "a'b",
            "é",
            "\u{feff}a",
        ] {
            assert_eq!(guarded(plain), plain);
        }
    }

    #[test]
    fn the_documentation_has_the_columns() {
        let docs = include_str!("../../../docs/api.md");
        let listed = COLUMNS.map(|name| format!("`{name}`")).join(", ");
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words(docs).contains(&listed), "docs/api.md lacks {listed}");
    }
}
