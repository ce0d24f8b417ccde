//! The public inputs and outputs of RFC 8785.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use audittrail_entry::json::{parse, write_canonical};

/// The directory of the vectors. A relative one is seen from the root of the workspace.
fn directory() -> PathBuf {
    let directory = std::env::var_os("AUDITTRAIL_VECTORS").expect("AUDITTRAIL_VECTORS is set");
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(directory)
        .join("jcs")
}

fn files(kind: &str) -> BTreeMap<String, Vec<u8>> {
    let directory = directory().join(kind);
    let entries = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    let file = |path: PathBuf| {
        (
            path.file_name().unwrap().to_str().unwrap().to_owned(),
            std::fs::read(&path).unwrap(),
        )
    };
    paths.map(file).collect()
}

fn canonical(input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_canonical(&parse(input, 33).unwrap(), &mut out);
    out
}

#[test]
#[cfg_attr(
    not(audittrail_vectors),
    ignore = "set AUDITTRAIL_VECTORS to the directory of the test vectors"
)]
fn inputs_give_their_outputs() {
    let (inputs, outputs) = (files("input"), files("output"));
    assert!(inputs.keys().eq(outputs.keys()), "each input has an output");
    assert!(inputs.len() >= 6, "{} vectors", inputs.len());
    for (name, mut input) in inputs {
        if name == "values.json" {
            // It has a number that RFC 8785 rounds; here that is refused, and nothing else is.
            let violation = parse(&input, 33).unwrap_err();
            assert_eq!(violation.pointer, "/numbers/0");
            assert!(violation.detail.contains("would be rounded"), "{violation}");
            let text = String::from_utf8(input).unwrap();
            input = text
                .replace("333333333.33333329", "333333333.3333333")
                .into_bytes();
        }
        // Some of the files end with a line feed that is no part of the text.
        let output = outputs[&name]
            .strip_suffix(b"\n")
            .unwrap_or(&outputs[&name]);
        assert_eq!(canonical(&input), output, "{name}");
        assert_eq!(
            canonical(output),
            output,
            "{name}: canonical text stays as it is"
        );
    }
}
