//! Signed notes: what is read is written the same, and only what was signed verifies.
#![no_main]

use audittrail_checkpoint::Note;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(note) = Note::parse(data) else { return };
    // Base64 has one spelling and lines one form, so that a note has one, too.
    assert_eq!(note.to_string().as_bytes(), data);
    if note.verify(&audittrail_fuzz::keys()).is_ok() {
        assert!(
            audittrail_fuzz::is_signed(&note.text),
            "a text verifies that nobody signed: {}",
            note.text
        );
    }
});
