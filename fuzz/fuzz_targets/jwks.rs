//! JWKS documents: bounds hold, each key is either used or ignored, and a set of any kind lets
//! no token pass that it has no key for.
#![no_main]

use std::sync::LazyLock;

use audittrail_auth::{AuthConfig, Authenticator, JwkSet, MAX_JWKS_BYTES, MAX_JWKS_KEYS};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use libfuzzer_sys::fuzz_target;

static CHECKS: LazyLock<Authenticator> = LazyLock::new(|| {
    let config = AuthConfig {
        algorithms: ["RS256", "ES256", "EdDSA"].map(str::to_owned).to_vec(),
        public_keys: true,
        issuer: Some("https://issuer.example".to_owned()),
        audience: vec!["audittrail".to_owned()],
        ..AuthConfig::default()
    };
    Authenticator::new(config).expect("the configuration is sound")
});

fuzz_target!(|data: &[u8]| {
    let Ok(set) = JwkSet::parse(data) else { return };
    assert!(data.len() <= MAX_JWKS_BYTES && set.len() <= MAX_JWKS_KEYS);
    let value: serde_json::Value = serde_json::from_slice(data).expect("it was read as JSON");
    let members = value["keys"].as_array().expect("it has keys");
    assert_eq!(set.len() + set.ignored().len(), members.len());
    CHECKS.replace_public_keys(set);
    for (algorithm, length) in [("RS256", 256), ("ES256", 64), ("EdDSA", 64)] {
        for kid in [None, members.first().and_then(|key| key["kid"].as_str())] {
            let header = serde_json::json!({"alg": algorithm, "kid": kid.unwrap_or("a")});
            let message = BASE64.encode(header.to_string());
            // A signature of a fixed pattern is nobody's.
            let signature = BASE64.encode(vec![0x5a; length]);
            let token = format!("{message}.{}.{signature}", BASE64.encode("{}"));
            assert!(CHECKS.authenticate(&token, 1_767_225_600).is_err());
        }
    }
});
