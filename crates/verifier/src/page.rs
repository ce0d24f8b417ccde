//! A report that people can read: evidence within a page that checks it when it is opened.
//!
//! The page is the same for every file but for the evidence, which is in it as base64: whatever
//! the bytes are, they cannot end the element they are in. Only what the page's own script has
//! checked is shown.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// The media type of a report.
pub const REPORT_MEDIA_TYPE: &str = "text/html";

/// A report may be larger; a browser then needs minutes, and much memory.
pub const REPORT_BYTES_SENSIBLE: u64 = 64 << 20;

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = concat!(include_str!("page/verify.js"), include_str!("page/show.js"));
const END: &str = "</script>\n</body>\n</html>\n";
/// So many bytes make a line of base64; a multiple of three, so that only the last has padding.
const LINE_BYTES: usize = 48 << 10;

static BEGINNING: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| {
        format!(
            "'sha256-{}'",
            STANDARD.encode(Sha256::digest(text.as_bytes()))
        )
    };
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; base-uri 'none'; form-action 'none'",
        hash(SCRIPT),
        hash(STYLE)
    );
    TEMPLATE
        .replacen("{policy}", &policy, 1)
        .replacen("{style}", STYLE, 1)
        .replacen("{script}", SCRIPT, 1)
});

/// Writes a report around evidence that passes by, in constant memory.
#[derive(Debug, Default)]
pub struct ReportPage {
    /// Fewer bytes than a line has.
    waiting: Vec<u8>,
}

impl ReportPage {
    /// Writes what comes before the evidence.
    pub fn begin(out: &mut Vec<u8>) -> Self {
        out.extend(BEGINNING.as_bytes());
        Self::default()
    }

    /// Writes some of the evidence.
    pub fn evidence(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while self.waiting.len() + bytes.len() >= LINE_BYTES {
            let (now, later) = bytes.split_at(LINE_BYTES - self.waiting.len());
            self.waiting.extend(now);
            bytes = later;
            self.flush(out);
        }
        self.waiting.extend(bytes);
    }

    /// Writes what is waiting, after which nothing more can follow but the end.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        if !self.waiting.is_empty() {
            out.extend(STANDARD.encode(&self.waiting).as_bytes());
            out.push(b'\n');
            self.waiting.clear();
        }
    }

    /// Writes what comes after the evidence.
    pub fn end(mut self, out: &mut Vec<u8>) {
        self.flush(out);
        out.extend(END.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::{BEGINNING, END, LINE_BYTES, ReportPage, SCRIPT, STYLE};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    fn page(evidence: &[u8], cut: usize) -> String {
        let mut out = Vec::new();
        let mut page = ReportPage::begin(&mut out);
        for part in evidence.chunks(cut) {
            page.evidence(part, &mut out);
        }
        page.end(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_in_the_evidence_is_markup() {
        let hostile = b"</script><script>alert(1)</script><!--\xff\0\xe2\x80\xa8-->".repeat(3000);
        let pages = [1, 7, LINE_BYTES, hostile.len()].map(|cut| page(&hostile, cut));
        assert!(pages.iter().all(|one| *one == pages[0]));
        let rest = pages[0].strip_prefix(BEGINNING.as_str()).unwrap();
        let within = rest.strip_suffix(END).unwrap();
        assert!(within.lines().count() > 2);
        let decoded = within.lines().map(|line| STANDARD.decode(line).unwrap());
        assert_eq!(decoded.collect::<Vec<_>>().concat(), hostile);
    }

    #[test]
    fn the_template_has_its_parts_and_they_cannot_end_their_elements() {
        for part in ["{policy}", "{style}", "{script}"] {
            assert!(!BEGINNING.contains(part), "{part}");
        }
        assert!(BEGINNING.contains(SCRIPT) && BEGINNING.contains(STYLE));
        for bad in ["</script", "<!--", "innerHTML", "eval(", "http:", "https:"] {
            assert!(!SCRIPT.contains(bad), "{bad}");
        }
        assert!(!STYLE.contains("</style"));
        assert!(BEGINNING.contains("default-src 'none'; script-src 'sha256-"));
        assert!(!BEGINNING.contains("unsafe"));
    }
}
