//! Canonical JSON of any value, against another implementation.

use std::fmt::Write as _;

use audittrail_entry::json::{parse, parse_written, write_canonical};
use proptest::prelude::*;
use serde_json::Value;

use crate::support::shortest;

/// A value to be written in many ways.
#[derive(Debug, Clone)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// Up to 2^53, where both implementations are the same.
    Integer(i64),
    Double(f64),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The value for the other implementation. It never reads our text: serde_json reads some
    /// doubles one unit off.
    fn value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Integer(value) => (*value).into(),
            Self::Double(value) => (*value).into(),
            Self::String(value) => value.as_str().into(),
            Self::Array(values) => values.iter().map(Self::value).collect(),
            Self::Object(members) => members
                .iter()
                .map(|(name, value)| (name.clone(), value.value()))
                .collect(),
        }
    }

    /// The other implementation's canonical text.
    pub(crate) fn canonical(&self) -> String {
        serde_json_canonicalizer::to_string(&self.value()).unwrap()
    }

    /// JSON text with spaces, escapes and number forms that follow from the dice.
    fn write(&self, dice: &mut Dice, out: &mut String) {
        dice.space(out);
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => write!(out, "{value}").unwrap(),
            Self::Integer(value) => match dice.roll(3) {
                0 => write!(out, "{value}.0").unwrap(),
                1 if *value != 0 => write!(out, "{value}000E-3").unwrap(),
                _ => write!(out, "{value}").unwrap(),
            },
            Self::Double(value) => match dice.roll(3) {
                0 => out.push_str(&shortest(*value).to_uppercase()),
                1 if value.abs() < 1e9 && (value * 100.0).fract() == 0.0 => {
                    write!(out, "{value:?}").unwrap();
                }
                _ => out.push_str(&shortest(*value)),
            },
            Self::String(text) => write_text(text, dice, out),
            Self::Array(values) => {
                out.push('[');
                for (position, value) in values.iter().enumerate() {
                    out.push_str(if position > 0 { "," } else { "" });
                    value.write(dice, out);
                }
                dice.space(out);
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (position, (name, value)) in members.iter().enumerate() {
                    out.push_str(if position > 0 { "," } else { "" });
                    dice.space(out);
                    write_text(name, dice, out);
                    dice.space(out);
                    out.push(':');
                    value.write(dice, out);
                }
                dice.space(out);
                out.push('}');
            }
        }
        dice.space(out);
    }

    pub(crate) fn text(&self, seed: u64) -> String {
        let mut out = String::new();
        self.write(&mut Dice(seed), &mut out);
        out
    }
}

/// A linear congruential generator: the same text for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % sides
    }

    fn space(&mut self, out: &mut String) {
        out.push_str(["", "", "", " ", "\n", "\t\r "][self.roll(6) as usize]);
    }
}

fn write_text(text: &str, dice: &mut Dice, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match (character, dice.roll(4)) {
            ('"' | '\\', _) => write!(out, "\\{character}").unwrap(),
            ('/', 0) => out.push_str("\\/"),
            ('\0'..='\u{1f}', _) | (_, 0) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").unwrap();
                }
            }
            (_, 1) if character > '\u{ffff}' => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04X}").unwrap();
                }
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

fn text() -> impl Strategy<Value = String> {
    // No NUL: details do not take it. Private use and beyond, where orders differ.
    prop_oneof![
        "[a-c]{0,2}",
        "[\u{1}-\u{7f}]{0,8}",
        "[a\u{e000}\u{ffff}\u{10000}\u{10ffff}]{0,3}",
        any::<String>().prop_map(|text| text.replace('\0', "")),
    ]
}

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        any::<u64>().prop_map(f64::from_bits),
        (-1e22..1e22),
        (-1e-5..1e-5),
        (-1_000_000..1_000_000_i32).prop_map(|cents| f64::from(cents) / 100.0),
    ]
    .prop_filter("a number of JSON", |value| value.is_finite())
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        (-(1_i64 << 53)..=1 << 53).prop_map(Json::Integer),
        double().prop_map(Json::Double),
        text().prop_map(Json::String),
    ];
    leaf.prop_recursive(4, 40, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::Array),
            members(inner).prop_map(Json::Object),
        ]
    })
}

fn members(value: impl Strategy<Value = Json>) -> impl Strategy<Value = Vec<(String, Json)>> {
    // In an order of hashing, so by no rule of the text.
    prop::collection::hash_map(text(), value, 0..8).prop_map(|map| map.into_iter().collect())
}

/// An object for `details`, at most six deep.
pub(crate) fn object() -> impl Strategy<Value = Json> {
    members(json()).prop_map(|members| {
        // What has more than 64 bits without an exponent is refused from clients.
        Json::Object(
            members
                .into_iter()
                .filter(|(_, value)| sendable(value))
                .collect(),
        )
    })
}

/// Whether the canonical text of a value is also one that a client may send.
fn sendable(value: &Json) -> bool {
    match value {
        Json::Double(value) => !(9e18..1e21).contains(&value.abs()),
        Json::Array(values) => values.iter().all(sendable),
        Json::Object(members) => members.iter().all(|(_, value)| sendable(value)),
        _ => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_value_in_any_spelling_has_one_canonical_text(value in json(), seed in any::<u64>()) {
        let expected = value.canonical();
        let text = value.text(seed);
        let read = parse(text.as_bytes(), 33).map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
        let mut out = Vec::new();
        write_canonical(&read, &mut out);
        prop_assert_eq!(std::str::from_utf8(&out).unwrap(), expected.as_str(), "{}", text);
        // Reading it back gives the same value, and the same text.
        let again = parse_written(&out, 33).unwrap();
        prop_assert_eq!(&again, &read);
        let mut twice = Vec::new();
        write_canonical(&again, &mut twice);
        prop_assert_eq!(twice, out);
    }

    #[test]
    fn integers_of_64_bits_keep_their_digits(signed in any::<i64>(), unsigned in any::<u64>()) {
        let text = format!("[{signed},{unsigned}]");
        let mut out = Vec::new();
        write_canonical(&parse(text.as_bytes(), 1).unwrap(), &mut out);
        prop_assert_eq!(String::from_utf8(out).unwrap(), text);
    }

    #[test]
    fn integers_beyond_are_refused(low in any::<u64>(), high in 1..1_000_u64, negative in any::<bool>()) {
        let beyond = (u128::from(high) << 64) + u128::from(low);
        let sign = if negative { "-" } else { "" };
        let error = parse(format!("{sign}{beyond}").as_bytes(), 0).unwrap_err();
        prop_assert!(error.detail.contains("an integer outside"));
    }

    #[test]
    fn a_name_that_comes_twice_is_found(value in members(json()), seed in any::<u64>(), at in any::<prop::sample::Index>()) {
        prop_assume!(!value.is_empty());
        let mut members = value;
        let name = members[at.index(members.len())].0.clone();
        members.insert(at.index(members.len() + 1), (name.clone(), Json::Null));
        let text = Json::Array(vec![Json::Object(members)]).text(seed);
        let error = parse(text.as_bytes(), 33).unwrap_err();
        prop_assert!(error.detail.contains("there twice"), "{}: {}", text, error);
        prop_assert_eq!(error.pointer, format!("/0/{}", name.replace('~', "~0").replace('/', "~1")));
    }
}

#[test]
fn where_the_other_implementation_rounds() {
    // It writes integers as doubles, as RFC 8785 says; ours stay.
    let integer = 9_007_199_254_740_993_u64;
    let theirs = serde_json_canonicalizer::to_string(&Value::from(integer)).unwrap();
    assert_eq!(theirs, "9007199254740992");
    let mut ours = Vec::new();
    write_canonical(
        &parse(integer.to_string().as_bytes(), 0).unwrap(),
        &mut ours,
    );
    assert_eq!(ours, integer.to_string().as_bytes());
}
