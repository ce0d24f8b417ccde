//! Key names, signatures and key rings, against values made from the documented format.

use audittrail_entry::{KeyError, KeyId, KeyRing, SignatureError, SigningKey, commitment};
use proptest::prelude::*;

use crate::support::{KEY, ORIGIN, hex, hmac_sha256, key, sha256};

#[test]
fn fixed_values() {
    // From Python's hmac and hashlib.
    assert_eq!(key().key_id().to_string(), "9779a93b");
    assert_eq!(
        hex(&key().sign(ORIGIN, b"leaf")),
        "837aad1abe92050900b19cf7b5d5523f98dee4b619aeb62cad6ab0872169dfcf"
    );
    assert_eq!(
        hex(&key().derive("domain", b"message")),
        "2782d3db0c2687aab34dde3e840c7aad379086a1692e0ddc4b8e467f85f6f815"
    );
    assert_eq!(
        hex(&commitment(&[0; 32], b"{}")),
        "22f8eea909400af98adf3681a9f31923ef6b7fcba4abb553d92823a3e9d5c25e"
    );
}

#[test]
fn a_short_key_is_refused() {
    for len in [0, 1, 31] {
        assert_eq!(
            SigningKey::new(&vec![b'k'; len]).unwrap_err(),
            KeyError(len)
        );
    }
    let error = SigningKey::new(b"").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the key has 0 bytes; it needs at least 32"
    );
    for len in [32, 64, 65, 200] {
        assert!(SigningKey::new(&vec![b'k'; len]).is_ok(), "{len}");
    }
}

#[test]
fn a_key_is_its_bytes() {
    // Neither decoded nor trimmed.
    let (plain, spaced) = ("61".repeat(32), format!("{}\n", "61".repeat(32)));
    let ids = [plain.as_bytes(), spaced.as_bytes(), &[b'a'; 32]]
        .map(|bytes| SigningKey::new(bytes).unwrap().key_id());
    assert!(
        ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2],
        "{ids:?}"
    );
}

#[test]
fn a_key_id_keeps_its_leading_zeros() {
    assert_eq!(KeyId([0, 0xa, 0, 0xff]).to_string(), "000a00ff");
}

#[test]
fn debugging_shows_no_key() {
    let secret = "secret-secret-secret-secret-secret";
    let key = SigningKey::new(secret.as_bytes()).unwrap();
    let ring = KeyRing {
        current: key.clone(),
        earlier: vec![key.clone()],
    };
    let shown = format!("{key:?} {ring:?}");
    assert!(shown.contains(&key.key_id().to_string()), "{shown}");
    assert!(!shown.contains("secret-"), "{shown}");
    assert!(
        !shown.contains(&format!("{:?}", &secret.as_bytes()[..4])),
        "{shown}"
    );
}

#[test]
fn earlier_keys_check_and_others_do_not() {
    let [current, earlier, foreign] =
        [[1; 32], [2; 32], [3; 32]].map(|bytes| SigningKey::new(&bytes).unwrap());
    let ring = KeyRing {
        current: current.clone(),
        earlier: vec![earlier.clone()],
    };
    for key in [&current, &earlier] {
        let signature = key.sign(ORIGIN, b"leaf");
        let verify = |origin, leaf| ring.verify(key.key_id(), origin, leaf, &signature);
        assert_eq!(verify(ORIGIN, b"leaf".as_slice()), Ok(()));
        assert_eq!(verify(ORIGIN, b"lea"), Err(SignatureError::Invalid));
        assert_eq!(verify("log.example", b"leaf"), Err(SignatureError::Invalid));
    }
    let signature = earlier.sign(ORIGIN, b"leaf");
    // The name says which key is asked: another of the ring does not help.
    let by_current = ring.verify(current.key_id(), ORIGIN, b"leaf", &signature);
    assert_eq!(by_current, Err(SignatureError::Invalid));
    let signature = foreign.sign(ORIGIN, b"leaf");
    let unknown = SignatureError::UnknownKey(foreign.key_id());
    assert_eq!(
        ring.verify(foreign.key_id(), ORIGIN, b"leaf", &signature),
        Err(unknown)
    );
    assert!(unknown.to_string().contains(&foreign.key_id().to_string()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn as_the_format_says(
        bytes in prop::collection::vec(any::<u8>(), 32..140),
        origin in "[ -~]{1,40}",
        leaf in prop::collection::vec(any::<u8>(), 0..300),
        salt in any::<[u8; 32]>(),
    ) {
        let key = SigningKey::new(&bytes).unwrap();
        let signature = hmac_sha256(
            &bytes,
            &[b"audittrail/signature/v1\n", origin.as_bytes(), b"\n", &leaf],
        );
        prop_assert_eq!(key.sign(&origin, &leaf), signature);
        let derived = hmac_sha256(&bytes, &[origin.as_bytes(), b"\n", &leaf]);
        prop_assert_eq!(key.derive(&origin, &leaf), derived);
        prop_assert_eq!(&key.key_id().0, &sha256(&[b"audittrail/key-id/v1", &bytes])[..4]);
        prop_assert_eq!(commitment(&salt, &leaf), hmac_sha256(&salt, &[&leaf]));
    }
}

#[test]
fn the_test_computes_hmac_right() {
    // RFC 4231, cases 2 and 6.
    let mac = hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
    assert_eq!(
        hex(&mac),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
    let mac = hmac_sha256(
        &[0xaa; 131],
        &[b"Test Using Larger Than Block-Size Key - Hash Key First"],
    );
    assert_eq!(
        hex(&mac),
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
    );
    assert!(KEY.len() > 32);
}
