//! Batches: what is refused as a whole, and what of each entry.

use audittrail_entry::{Limits, parse_array};

use crate::refusals::assert_refused;
use crate::support::NOW;

#[test]
fn batches() {
    let limits = Limits::default();
    let parse = |input: &'static str, max| parse_array(input.as_bytes(), &limits, NOW, max);
    for (input, pointer, detail) in [
        ("{}", "", "a batch is a JSON array"),
        ("null", "", "a batch is a JSON array"),
        (r#"[{"action":"a"}"#, "", "a comma or ] is missing"),
        (r#"[{"action":"a"},]"#, "/1", "not JSON"),
        (r#"[{"action":"a"}] x"#, "", "after the end"),
        (
            r#"[{},{"action":"a","action":"b"}]"#,
            "/1/action",
            "there twice",
        ),
        (
            r#"[{},{},{"details":{"a":[01]}}]"#,
            "/2/details/a/0",
            "not a JSON number",
        ),
        ("[1,2,3,4]", "", "4 entries; send at most 3 at once"),
    ] {
        assert_refused(
            input,
            &[parse(input, 3).expect_err(input)],
            &[(pointer, detail)],
        );
    }
    assert_eq!(parse("[]", 0).unwrap(), []);
    // One bad entry does not spoil the others, and each fault is at its place.
    let input = r#"[{"action":"a"},{"action":"","x/y":1},7,{"action":"b"},{}]"#;
    let entries = parse(input, 5).unwrap();
    assert_eq!(entries.len(), 5);
    assert_eq!(entries[0].as_ref().unwrap().action, "a");
    assert_eq!(entries[3].as_ref().unwrap().action, "b");
    let refused = |position: usize| entries[position].as_ref().unwrap_err().as_slice();
    let expected: &[(&str, &str)] = &[("/1/action", "is empty"), ("/1/x~1y", "no such member")];
    assert_refused(input, refused(1), expected);
    assert_refused(input, refused(2), &[("/2", "an entry is a JSON object")]);
    assert_refused(input, refused(4), &[("/4/action", "is missing")]);
}
