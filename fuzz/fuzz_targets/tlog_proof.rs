//! tlog-proofs: what is read is written the same, and nothing verifies but the proof there is.
#![no_main]

use audittrail_checkpoint::TlogProof;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(proof) = TlogProof::parse(data) else {
        return;
    };
    assert_eq!(proof.to_string().as_bytes(), data);
    let keys = audittrail_fuzz::keys();
    for (index, leaf) in audittrail_fuzz::leaves().iter().enumerate() {
        if let Ok(checkpoint) = proof.verify(leaf, &keys) {
            assert_eq!(
                proof.index, index as u64,
                "a leaf is proven at another's index"
            );
            assert_eq!(proof.hashes, audittrail_fuzz::path(index));
            assert_eq!(checkpoint.head, audittrail_fuzz::head());
        }
    }
});
