//! Whether what came is a whole export, how many entries it has, and how many are marked as
//! failed: looked at byte by byte as it passes, in constant memory.
//!
//! It relies on what the server writes: no space between JSON's tokens, `verified` as the last
//! member of a result and the last column of a row.

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
}

impl Form {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Evidence => "evidence",
        }
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv",
            Self::Evidence => audittrail_verifier::MEDIA_TYPE,
        }
    }

    /// How deep within brackets a result is.
    fn depth(self) -> u32 {
        match self {
            Self::Json => 2,
            Self::Ndjson | Self::Csv | Self::Evidence => 1,
        }
    }
}

/// What a result ends with that did not verify, before its bracket: in the array's place and
/// depth this can be nothing else, since a quote within a string has a backslash before it.
const UNVERIFIED: u128 = u128::from_be_bytes(*b"\"verified\":false");
/// The same of a row, before its line feed.
const UNVERIFIED_ROW: u128 = u64::from_be_bytes(*b"\0,false\r") as u128;
const ROW_END: u128 = (1 << 56) - 1;
/// Names of members of evidence: in the place of a name these can be nothing else.
const FAILED: u128 = u64::from_be_bytes(*b"\0\"error\"") as u128;
const END: u128 = u64::from_be_bytes(*b"\0\0\0\"end\"") as u128;

/// What has come so far.
#[derive(Debug)]
pub(crate) struct Whole {
    form: Form,
    /// The last sixteen bytes.
    last: u128,
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
            last: 0,
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
        for byte in bytes {
            match self.form {
                Form::Csv => self.take_csv(*byte),
                Form::Json | Form::Ndjson => self.take_json(*byte),
                Form::Evidence => self.take_evidence(*byte),
            }
            self.last = self.last << 8 | u128::from(*byte);
        }
    }

    fn take_csv(&mut self, byte: u8) {
        self.ended = false;
        match byte {
            b'"' => self.quoted = !self.quoted,
            b'\n' if !self.quoted => {
                self.ended = true;
                self.rows += 1;
                self.unverified += u64::from(self.last & ROW_END == UNVERIFIED_ROW);
            }
            _ => {}
        }
    }

    fn take_json(&mut self, byte: u8) {
        if self.quoted {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.quoted = false,
                _ => {}
            }
            return;
        }
        self.ended = false;
        match byte {
            b'"' => self.quoted = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                if byte == b'}' && self.depth == self.form.depth() {
                    self.rows += 1;
                    self.unverified += u64::from(self.last == UNVERIFIED);
                }
                self.depth = self.depth.saturating_sub(1);
                self.ended = self.form == Form::Json && byte == b']' && self.depth == 0;
            }
            b'\n' => self.ended = self.form == Form::Ndjson && self.depth == 0,
            _ => {}
        }
    }

    fn take_evidence(&mut self, byte: u8) {
        if !self.quoted && self.depth == 1 {
            let name = |name: u128, bytes: u32| self.last & ((1 << (8 * bytes)) - 1) == name;
            match (byte, self.count) {
                (b':', _) if name(END, 5) => self.count = Some(0),
                (b':', None) if name(FAILED, 7) => self.unverified += 1,
                (b'0'..=b'9', Some(count)) => {
                    let next = count.saturating_mul(10);
                    self.count = Some(next.saturating_add(u64::from(byte - b'0')));
                }
                _ => {}
            }
        }
        self.take_json(byte);
        if byte == b'{' && self.depth == 1 && !self.quoted {
            self.count = None;
        }
        let is_end = byte == b'\n' && self.depth == 0 && !self.quoted;
        self.ended = is_end && self.count.is_some_and(|count| count == self.entries());
    }

    /// Whether nothing is missing at the end.
    pub(crate) fn is_whole(&self) -> bool {
        self.ended && !self.quoted
    }

    pub(crate) fn entries(&self) -> u64 {
        match self.form {
            Form::Csv => self.rows.saturating_sub(1),
            Form::Json | Form::Ndjson => self.rows,
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
