//! What counts as a word and as the same text, in every store.

use std::borrow::Cow;

/// The text without differences of case: each character's lower-case form, by Unicode's
/// mapping without regard to language.
pub fn fold(text: &str) -> Cow<'_, str> {
    let folded = |byte: u8| byte.is_ascii() && !byte.is_ascii_uppercase();
    if text.bytes().all(folded) {
        return Cow::Borrowed(text);
    }
    if text.is_ascii() {
        return Cow::Owned(text.to_ascii_lowercase());
    }
    Cow::Owned(text.chars().flat_map(char::to_lowercase).collect())
}

/// The words of a text, folded: longest runs of letters and digits, but each character of a
/// script that is written without spaces (Chinese, Japanese) is a word of its own.
pub fn words(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let mut rest = text;
    let ascii = text.is_ascii();
    std::iter::from_fn(move || {
        if ascii {
            // The same as below, for most texts.
            let start = rest.bytes().position(|byte| byte.is_ascii_alphanumeric())?;
            let from = &rest[start..];
            let end = from.bytes().position(|byte| !byte.is_ascii_alphanumeric());
            let (word, after) = from.split_at(end.unwrap_or(from.len()));
            rest = after;
            return Some(fold(word));
        }
        let start = rest.find(char::is_alphanumeric)?;
        let from = &rest[start..];
        let mut chars = from.char_indices();
        let first = chars.next().map_or('\0', |(_, c)| c);
        let end = if is_unspaced(first) {
            first.len_utf8()
        } else {
            chars
                .find(|(_, c)| !c.is_alphanumeric() || is_unspaced(*c))
                .map_or(from.len(), |(at, _)| at)
        };
        rest = &from[end..];
        Some(fold(&from[..end]))
    })
}

/// CJK radicals to unified ideographs with the Japanese syllabaries, the compatibility
/// ideographs, and the supplementary planes of ideographs (Unicode, Blocks.txt).
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{2E80}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}
