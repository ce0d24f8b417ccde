//! Tokens: the input as a token, which counts only with the right HMAC; and the input as header
//! and claims of one that is signed, so that what lies behind the signature is reached.
#![no_main]

use std::sync::LazyLock;

use audittrail_auth::{AuthConfig, Authenticator};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use libfuzzer_sys::fuzz_target;

const SECRET: &[u8] = b"a secret of more than thirty-two bytes, for this alone";
const NOW: i64 = 1_767_225_600;

fn authenticator(secret: &[u8]) -> Authenticator {
    let config = AuthConfig {
        secret: Some(secret.to_vec()),
        ..AuthConfig::default()
    };
    Authenticator::new(config).expect("the configuration is sound")
}

static OURS: LazyLock<Authenticator> = LazyLock::new(|| authenticator(SECRET));
static OTHERS: LazyLock<Authenticator> =
    LazyLock::new(|| authenticator(b"another secret of more than thirty-two bytes"));

fn hmac(message: &str) -> Vec<u8> {
    let mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET).expect("any length is one");
    mac.chain_update(message).finalize().into_bytes().to_vec()
}

fuzz_target!(|data: &[u8]| {
    if let Ok(token) = std::str::from_utf8(data)
        && OURS.authenticate(token, NOW).is_ok()
    {
        let (message, signature) = token.rsplit_once('.').expect("it was taken for a token");
        assert_eq!(BASE64.decode(signature).as_deref(), Ok(&*hmac(message)));
    }
    let (header, claims) = match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (&br#"{"alg":"HS256"}"#[..], data),
    };
    let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
    let mut signature = hmac(&message);
    let token = format!("{message}.{}", BASE64.encode(&signature));
    if OURS.authenticate(&token, NOW).is_ok() {
        let header: serde_json::Value = serde_json::from_slice(header).expect("it was read");
        assert_eq!(header["alg"], "HS256");
        let claims: serde_json::Value = serde_json::from_slice(claims).expect("it was read");
        assert!(
            claims["exp"]
                .as_f64()
                .is_some_and(|end| end + 60.0 > NOW as f64)
        );
        signature[data.len() % 32] ^= 1;
        let forged = format!("{message}.{}", BASE64.encode(&signature));
        assert!(OURS.authenticate(&forged, NOW).is_err());
    }
    assert!(OTHERS.authenticate(&token, NOW).is_err());
});
