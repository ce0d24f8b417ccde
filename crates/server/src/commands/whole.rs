//! Whether what came is a whole export, how many entries it has, and how many are marked as
//! failed: looked at as it passes, in constant memory.
//!
//! It relies on what the server writes: no space between JSON's tokens, `verified` as the last
//! member of a result and the last column of a row.

use memchr::{memchr2, memchr2_iter};

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Form {
    /// An array of results.
    #[default]
    Json,
    /// A result a line.
    Ndjson,
    /// RFC 4180, safe to open in a spreadsheet.
    Csv,
    /// Entries with their proofs, for `audittrail verify`.
    Evidence,
    /// A page for people with the same within, which checks itself in a browser.
    Report,
}

impl Form {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Evidence => "evidence",
            Self::Report => "report",
        }
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv",
            Self::Evidence => audittrail_verifier::MEDIA_TYPE,
            Self::Report => audittrail_verifier::REPORT_MEDIA_TYPE,
        }
    }

    /// How deep within brackets a result is.
    fn depth(self) -> u32 {
        match self {
            Self::Json => 2,
            Self::Ndjson | Self::Csv | Self::Evidence | Self::Report => 1,
        }
    }
}

/// What a result ends with that did not verify, before its bracket: in the array's place and
/// depth this can be nothing else, since a quote within a string has a backslash before it.
const UNVERIFIED: &[u8] = b"\"verified\":false";
/// The same of a row, before its line feed.
const UNVERIFIED_ROW: &[u8] = b",false\r";
/// Names of members of evidence: in the place of a name these can be nothing else.
const FAILED: &[u8] = b"\"error\"";
const END: &[u8] = b"\"end\"";
/// The end of a report; nothing else in it ends so.
const END_OF_PAGE: &[u8] = b"</html>\n";
/// As long as the longest of these.
const KEPT: usize = 16;

/// What has come so far.
#[derive(Debug)]
pub(crate) struct Whole {
    form: Form,
    /// The last bytes of the parts before.
    last: [u8; KEPT],
    depth: u32,
    /// Within a string, or within a quoted cell.
    quoted: bool,
    /// After a backslash in a string.
    escaped: bool,
    /// After what ends the form: a bracket, a line's end.
    ended: bool,
    /// The header counts as one.
    rows: u64,
    unverified: u64,
    /// Of evidence: the number in the line that ends it, if this is one.
    count: Option<u64>,
}

impl Whole {
    pub(crate) fn new(form: Form) -> Self {
        Self {
            form,
            last: [0; KEPT],
            depth: 0,
            quoted: false,
            escaped: false,
            // No lines are a whole export of nothing.
            ended: form == Form::Ndjson,
            rows: 0,
            unverified: 0,
            count: None,
        }
    }

    pub(crate) fn take(&mut self, bytes: &[u8]) {
        match self.form {
            Form::Csv => self.take_csv(bytes),
            Form::Json | Form::Ndjson | Form::Evidence => self.take_json(bytes),
            Form::Report => self.ended = self.is_before(bytes, bytes.len(), END_OF_PAGE),
        }
        let kept = &bytes[bytes.len().saturating_sub(KEPT)..];
        self.last.rotate_left(kept.len());
        self.last[KEPT - kept.len()..].copy_from_slice(kept);
    }

    /// Whether `end` stands just before a place of this part.
    fn is_before(&self, bytes: &[u8], at: usize, end: &[u8]) -> bool {
        match at.checked_sub(end.len()) {
            Some(start) => bytes[start..at] == *end,
            None => {
                let (before, within) = end.split_at(end.len() - at);
                self.last.ends_with(before) && bytes.starts_with(within)
            }
        }
    }

    fn take_csv(&mut self, bytes: &[u8]) {
        let mut next = 0;
        // What lies between them changes nothing.
        for at in memchr2_iter(b'"', b'\n', bytes) {
            next = at + 1;
            self.ended = false;
            if bytes[at] == b'"' {
                self.quoted = !self.quoted;
            } else if !self.quoted {
                self.ended = true;
                self.rows += 1;
                self.unverified += u64::from(self.is_before(bytes, at, UNVERIFIED_ROW));
            }
        }
        self.ended &= next == bytes.len();
    }

    fn take_json(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if !self.quoted {
                self.take_token(*byte, bytes, at);
                at += 1;
            } else if self.escaped {
                self.escaped = false;
                at += 1;
            } else if let Some(len) = memchr2(b'"', b'\\', &bytes[at..]) {
                at += len;
                self.escaped = bytes[at] == b'\\';
                self.quoted = self.escaped;
                at += 1;
            } else {
                return;
            }
        }
    }

    fn take_token(&mut self, byte: u8, bytes: &[u8], at: usize) {
        self.ended = false;
        if self.form == Form::Evidence && self.depth == 1 {
            self.take_member(byte, bytes, at);
        }
        match byte {
            b'"' => self.quoted = true,
            b'{' | b'[' => {
                self.depth += 1;
                if self.depth == 1 {
                    self.count = None;
                }
            }
            b'}' | b']' => {
                if byte == b'}' && self.depth == self.form.depth() {
                    self.rows += 1;
                    self.unverified += u64::from(self.is_before(bytes, at, UNVERIFIED));
                }
                self.depth = self.depth.saturating_sub(1);
                self.ended = self.form == Form::Json && byte == b']' && self.depth == 0;
            }
            b'\n' if self.depth == 0 => {
                self.ended = match self.form {
                    Form::Ndjson => true,
                    Form::Evidence => self.count.is_some_and(|count| count == self.entries()),
                    Form::Json | Form::Csv | Form::Report => false,
                };
            }
            _ => {}
        }
    }

    /// Within a line of evidence.
    fn take_member(&mut self, byte: u8, bytes: &[u8], at: usize) {
        match (byte, self.count) {
            (b':', _) if self.is_before(bytes, at, END) => self.count = Some(0),
            (b':', None) if self.is_before(bytes, at, FAILED) => self.unverified += 1,
            (b'0'..=b'9', Some(count)) => {
                let next = count.saturating_mul(10);
                self.count = Some(next.saturating_add(u64::from(byte - b'0')));
            }
            _ => {}
        }
    }

    /// Whether nothing is missing at the end.
    pub(crate) fn is_whole(&self) -> bool {
        self.ended && !self.quoted
    }

    pub(crate) fn entries(&self) -> u64 {
        match self.form {
            Form::Csv => self.rows.saturating_sub(1),
            // Those of a report are counted where it is opened.
            Form::Json | Form::Ndjson | Form::Report => self.rows,
            // Neither the header nor the end.
            Form::Evidence => self
                .rows
                .saturating_sub(1 + u64::from(self.count.is_some())),
        }
    }

    /// How many of them are marked as failed.
    pub(crate) fn unverified(&self) -> u64 {
        self.unverified
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, Whole};

    fn seen(form: Form, text: &str) -> (bool, u64, u64) {
        let mut whole = Whole::new(form);
        // However it is cut into parts.
        for part in text.as_bytes().chunks(3) {
            whole.take(part);
        }
        (whole.is_whole(), whole.entries(), whole.unverified())
    }

    /// Members of a result that imitate what is looked for.
    const SLY: &str =
        r#"{"action":"\"verified\":false}","details":{"verified":false},"verified":true}"#;
    const BAD: &str = r#"{"index":7,"verification_error":"[{","verified":false}"#;

    #[test]
    fn json() {
        assert_eq!(seen(Form::Json, "[]"), (true, 0, 0));
        let text = format!("[{SLY},{BAD},{SLY}]");
        assert_eq!(seen(Form::Json, &text), (true, 3, 1));
        for cut in 0..text.len() {
            assert!(!seen(Form::Json, &text[..cut]).0, "{}", &text[..cut]);
        }
        assert!(!seen(Form::Json, &format!("{text}{{\"broken_off\":\"this")).0);
    }

    #[test]
    fn lines() {
        assert_eq!(seen(Form::Ndjson, ""), (true, 0, 0));
        let text = format!("{SLY}\n{BAD}\n");
        assert_eq!(seen(Form::Ndjson, &text), (true, 2, 1));
        for cut in 1..text.len() {
            let ends_a_line = text[..cut].ends_with('\n');
            assert_eq!(seen(Form::Ndjson, &text[..cut]).0, ends_a_line);
        }
        assert!(!seen(Form::Ndjson, &format!("{text}{{\"broken_off\":\"this")).0);
    }

    #[test]
    fn evidence() {
        assert!(!seen(Form::Evidence, "").0);
        let head =
            r#"{"evidence":1,"checkpoint":"a\n\"end\":\n","filter":{"end":"7"},"complete":[0,2]}"#;
        let end = r#"{"end":true,"count":0}"#;
        let none = format!("{head}\n{end}\n");
        assert_eq!(seen(Form::Evidence, &none), (true, 0, 0));
        let entry = r#"{"index":7,"leaf":"{\"error\":1,\"end\":true}","proof":["a","b"]}"#;
        let failed = r#"{"index":9,"error":"\"error\":"}"#;
        let end = r#"{"end":true,"count":2}"#;
        let text = format!("{head}\n{entry}\n{failed}\n{end}\n");
        assert_eq!(seen(Form::Evidence, &text), (true, 2, 1));
        for cut in 0..text.len() {
            assert!(!seen(Form::Evidence, &text[..cut]).0, "{}", &text[..cut]);
        }
        // Another number; something after the end.
        let text = format!("{head}\n{entry}\n{end}\n");
        assert!(!seen(Form::Evidence, &text).0);
        let text = format!("{none}{{\"broken_off\":\"this");
        assert!(!seen(Form::Evidence, &text).0);
        assert!(!seen(Form::Evidence, &format!("{none}{entry}\n")).0);
    }

    #[test]
    fn report() {
        let text = "<html></html>x</script>\n</html>\n";
        assert_eq!(seen(Form::Report, text), (true, 0, 0));
        for cut in 0..text.len() {
            assert!(!seen(Form::Report, &text[..cut]).0, "{}", &text[..cut]);
        }
    }

    #[test]
    fn csv() {
        assert!(!seen(Form::Csv, "").0);
        assert_eq!(seen(Form::Csv, "index,verified\r\n"), (true, 0, 0));
        let text = "index,verified\r\n1,true\r\n2,\"a,false\r\nb\"\"\",true\r\n3,,false\r\n";
        assert_eq!(seen(Form::Csv, text), (true, 3, 1));
        for cut in 0..text.len() {
            let inside =
                cut > text.find("a,false").unwrap() && cut < text.find(",true\r\n3").unwrap();
            let whole = text[..cut].ends_with("\r\n") && !inside;
            assert_eq!(seen(Form::Csv, &text[..cut]).0, whole, "{cut}");
        }
        assert!(!seen(Form::Csv, &format!("{text}\"broken off: this")).0);
    }
}
