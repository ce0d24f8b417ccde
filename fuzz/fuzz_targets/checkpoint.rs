//! Checkpoints: the text is a fixed point, and only the one that was signed opens.
#![no_main]

use audittrail_checkpoint::Checkpoint;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(checkpoint) = Checkpoint::parse_text(text)
    {
        assert_eq!(checkpoint.to_string(), text);
    }
    if let Ok(checkpoint) = Checkpoint::open(data, &audittrail_fuzz::keys()) {
        assert_eq!(checkpoint.origin, audittrail_fuzz::ORIGIN);
        assert!(audittrail_fuzz::is_signed(&checkpoint.to_string()));
    }
});
