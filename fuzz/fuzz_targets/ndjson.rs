//! Bodies of lines: every line that is not blank has one answer under its own number, which is
//! that of the line alone; and an array of the same values gives the same entries.
#![no_main]

use audittrail_entry::{Limits, NewEntry, parse_array, parse_lines};
use audittrail_fuzz::NOW;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let limits = Limits::default();
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let answers: Vec<_> = parse_lines(data, &limits, NOW).collect();
    let filled = lines.iter().filter(|line| !line.trim_ascii().is_empty());
    assert_eq!(answers.len(), filled.count());
    for (number, answer) in &answers {
        assert_eq!(*answer, NewEntry::parse(lines[number - 1], &limits, NOW));
    }
    if !answers.is_empty() && answers.iter().all(|(_, answer)| answer.is_ok()) {
        let filled = lines.iter().filter(|line| !line.trim_ascii().is_empty());
        let filled: Vec<&[u8]> = filled.copied().collect();
        let array = [&b"["[..], &filled.join(&b","[..]), &b"]"[..]].concat();
        let elements = parse_array(&array, &limits, NOW, answers.len()).expect("it is an array");
        assert!(elements.iter().eq(answers.iter().map(|(_, answer)| answer)));
    }
});
