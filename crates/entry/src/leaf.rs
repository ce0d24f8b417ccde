//! Reading a leaf in one pass, without a JSON parser: all of it but its values is known.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::json::plain_len;
use crate::record::hyphenated;
use crate::{OpenPart, Outcome, Timestamp};

/// The bytes of a commitment in base64url.
const COMMITMENT_LEN: usize = 43;

/// The open part of a leaf; `None` if it is no leaf, or one with a text that has to be escaped.
///
/// Each value is one that is written in this way only, so the bytes are those of what is read.
pub(crate) fn read(leaf: &[u8]) -> Option<OpenPart<'_>> {
    let mut rest = Rest(std::str::from_utf8(leaf).ok()?);
    let action = rest.after("{\"action\":\"")?.text()?;
    let id = rest.after(",\"id\":\"")?.text()?;
    let outcome = match rest.after(",\"outcome\":\"") {
        Some(rest) => Some(Outcome::parse(rest.text()?)?),
        None => None,
    };
    let received_at = rest.after(",\"received_at\":\"")?.text()?;
    let sealed = rest.after(",\"sealed\":\"")?.text()?;
    let tenant = match rest.after(",\"tenant\":\"") {
        Some(rest) => Some(Cow::Borrowed(rest.text()?)),
        None => None,
    };
    let timestamp = rest.after(",\"timestamp\":\"")?.text()?;
    (rest.0 == ",\"v\":1}").then_some(OpenPart {
        action: Cow::Borrowed(action),
        id: read_id(id)?,
        outcome,
        received_at: time(received_at)?,
        commitment: commitment(sealed)?,
        tenant,
        timestamp: time(timestamp)?,
    })
}

/// What is still to be read.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Goes past what comes next, if it is this.
    fn after(&mut self, what: &str) -> Option<&mut Self> {
        self.0 = self.0.strip_prefix(what)?;
        Some(self)
    }

    /// Goes past a text and its closing quote.
    fn text(&mut self) -> Option<&'a str> {
        let (text, rest) = self.0.split_at(plain_len(self.0.as_bytes()));
        self.0 = rest.strip_prefix('"')?;
        Some(text)
    }
}

fn read_id(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text).ok()?;
    (hyphenated(&id) == text.as_bytes()).then_some(id)
}

fn time(text: &str) -> Option<Timestamp> {
    let time = Timestamp::parse(text).ok()?;
    (time.to_text() == text.as_bytes()).then_some(time)
}

/// The engine takes no padding and no bits beyond the last byte.
fn commitment(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 33];
    let len = (text.len() == COMMITMENT_LEN)
        .then(|| URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok())
        .flatten()?;
    bytes[..len].try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn open_part() -> impl Strategy<Value = OpenPart<'static>> {
        let text = "[a-z.\"\\\\é\u{7}/]{0,12}";
        let time = || (0..8_000_000_000_000_000_000_i64).prop_map(Timestamp::from_nanos);
        let outcomes = [
            Outcome::Success,
            Outcome::Failure,
            Outcome::Denied,
            Outcome::Unknown,
        ];
        (
            (text, any::<u128>(), proptest::option::of(0..4_usize)),
            (
                time(),
                any::<[u8; 32]>(),
                proptest::option::of(text),
                time(),
            ),
        )
            .prop_map(
                move |((action, id, outcome), (received_at, commitment, tenant, timestamp))| {
                    OpenPart {
                        action: action.into(),
                        id: Uuid::from_u128(id),
                        outcome: outcome.map(|at| outcomes[at]),
                        received_at,
                        commitment,
                        tenant: tenant.map(Into::into),
                        timestamp,
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(open in open_part()) {
            let leaf = open.to_leaf();
            prop_assert_eq!(OpenPart::parse(&leaf), Ok(open.clone()));
            let plain = !leaf.contains(&b'\\');
            prop_assert_eq!(read(&leaf), plain.then_some(open));
        }

        #[test]
        fn what_is_changed_reads_as_by_the_parser(
            open in open_part(),
            at in any::<proptest::sample::Index>(),
            with in prop_oneof![proptest::sample::select(b"\"\\,:{}0aAzZ=-_ T\n".to_vec()), any::<u8>()],
            insert in any::<bool>(),
        ) {
            let mut leaf = open.to_leaf();
            let at = at.index(leaf.len());
            if insert {
                leaf.insert(at, with);
            } else {
                leaf[at] = with;
            }
            let any = OpenPart::parse_any(&leaf);
            if let Some(read) = read(&leaf) {
                prop_assert_eq!(any.as_ref(), Ok(&read));
            }
            prop_assert_eq!(OpenPart::parse(&leaf), any);
        }
    }

    #[test]
    fn a_leaf_with_plain_texts_is_read_in_one_pass() {
        let leaf = br#"{"action":"a.b","id":"0198c0de-0000-7000-8000-000000000000","outcome":"denied","received_at":"2026-01-01T00:00:00.000000001Z","sealed":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","tenant":"t","timestamp":"2026-01-01T00:00:00.000000000Z","v":1}"#;
        assert!(read(leaf).is_some());
        let text = std::str::from_utf8(leaf).unwrap();
        for (what, other) in [
            ("0198c0de", "0198C0DE"),
            (
                ":\"2026-01-01T00:00:00.000000001Z",
                ":\"2026-01-01T00:00:00Z",
            ),
            ("AAA\"", "AAB\""),
            ("AAA\"", "AAA=\""),
            ("\"v\":1", "\"v\":2"),
            ("denied", "Denied"),
            (",\"tenant\":\"t\"", ",\"tenant\":\"t\",\"tenant\":\"t\""),
            ("}", "} "),
        ] {
            let changed = text.replace(what, other);
            assert_ne!(changed, text);
            assert_eq!(read(changed.as_bytes()), None, "{changed}");
            assert!(OpenPart::parse(changed.as_bytes()).is_err(), "{changed}");
        }
    }
}
