//! `details` that follow from a seed: every kind of value, and names and texts in which
//! characters stand that have a meaning somewhere.

use std::fmt::Write as _;

use audittrail_entry::json::{Value, parse};

use super::Numbers;

/// Names, as JSON writes them. The last is empty: no path leads to it, nor through it.
const NAMES: [&str; 14] = [
    r#""user""#,
    r#""role""#,
    r#""tags""#,
    r#""items""#,
    r#""n""#,
    r#""a.b""#,
    r#""a\\b""#,
    r#""two words""#,
    r#""größe""#,
    r#""nul\u0000""#,
    r#""one\u0001""#,
    r#""x__y""#,
    r#""Role""#,
    r#""""#,
];

/// Scalars, as clients write them. Numbers that are one and the same are written in several
/// ways, and texts look like numbers, words of JSON, dates, and terms of an index.
const SCALARS: [&str; 46] = [
    "5",
    "5.0",
    "0.5e1",
    "1000",
    "1e3",
    "-0",
    "0",
    "-0.0",
    "-5",
    "0.1",
    "1e21",
    "1e300",
    "9007199254740993",
    "18446744073709551615",
    "-9223372036854775808",
    "1e20",
    "true",
    "false",
    "null",
    r#""""#,
    r#""5""#,
    r#""5.0""#,
    r#"" 5""#,
    r#""-0""#,
    r#""true""#,
    r#""null""#,
    r#""NULL""#,
    r#""admin""#,
    r#""Admin""#,
    r#""ADMIN root""#,
    r#""a,b\\c""#,
    r#""2026-01-01T00:00:00Z""#,
    r#""the quick-brown fox, 42 times""#,
    r#""İstanbul ıssız STRASSE straße""#,
    r#""ΣΑΣ Σας σας""#,
    r#""全文検索 search 東京""#,
    r#""ひらがな カタカナ 한국어""#,
    r#""𠀀𠀁 𝒳""#,
    r#""e\u0301t\u00e9""#,
    r#""U+0000 \u0000 and \u0001""#,
    r#""X\u0000\u0000srole""#,
    r#""\u0000""#,
    r#""\ud83d\ude00 smile""#,
    r#""x_y x-y x.y""#,
    r#""١٢٣ ½ Ⅷ""#,
    r#""O'Brien""#,
];

fn write_value(numbers: &mut Numbers, depth: u32, out: &mut String) {
    match numbers.below(if depth == 0 { 14 } else { 22 }) {
        // Below it lies nothing.
        0 => out.push_str("{}"),
        1 => out.push_str("[]"),
        2..14 => out.push_str(numbers.pick(&SCALARS)),
        14..19 => {
            out.push('[');
            for position in 0..1 + numbers.below(3) {
                if position > 0 {
                    out.push(',');
                }
                write_value(numbers, depth - 1, out);
            }
            out.push(']');
        }
        _ => write_object(numbers, depth - 1, out),
    }
}

fn write_object(numbers: &mut Numbers, depth: u32, out: &mut String) {
    let first = numbers.below(NAMES.len() as u64) as usize;
    out.push('{');
    for position in 0..1 + numbers.below(4) as usize {
        if position > 0 {
            out.push(',');
        }
        // Five steps round the names come to each once: no name is there twice.
        out.push_str(NAMES[(first + 5 * position) % NAMES.len()]);
        out.push(':');
        write_value(numbers, depth, out);
    }
    out.push('}');
}

/// The next details. One in many has a text that is longer than a term of an index can be.
pub(super) fn details(numbers: &mut Numbers) -> String {
    let mut text = String::new();
    match numbers.below(12) {
        0 => text.push_str("{}"),
        1 => {
            // Around the lengths at which a store may keep a hash instead.
            let len = 180 + numbers.below(30) as usize;
            let (name, value) = ("n".repeat(len), "v".repeat(len + 3));
            let _ = write!(text, r#"{{"long":{{"{name}":"{value} end"}}}}"#);
        }
        2 if numbers.one_in(6) => {
            let value = "long ".repeat(13_200 + numbers.below(3) as usize);
            let _ = write!(text, r#"{{"long":{{"text":"{value}"}},"n":5}}"#);
        }
        2 => {
            let value = "w".repeat(180 + numbers.below(200) as usize);
            let _ = write!(text, r#"{{"tags":["{value}","{value}x y"]}}"#);
        }
        _ => write_object(numbers, 3, &mut text),
    }
    text
}

/// The value that such a text stands for.
pub(super) fn value_of(text: &str) -> Value<'_> {
    parse(text.as_bytes(), 32).expect("the vocabulary is JSON without repeated names")
}
