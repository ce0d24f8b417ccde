//! HS256 against an HMAC that shares no code with ours, in both directions, and against the
//! example of RFC 7515.

use audittrail_auth::{AuthConfig, AuthError, Authenticator, ClaimNames, Claims, Role, mint};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::Value;

use crate::support::{NOW, base64url, hmac_sha256};

/// RFC 7515, appendix A.1: the key, and the token over line breaks and all.
const KEY: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
const TOKEN: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9\
    .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ\
    .dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const TOKEN_EXP: i64 = 1_300_819_380;

#[test]
fn the_example_of_rfc_7515() {
    let key = URL_SAFE_NO_PAD.decode(KEY).unwrap();
    let (message, signature) = TOKEN.rsplit_once('.').unwrap();
    assert_eq!(base64url(hmac_sha256(&key, message.as_bytes())), signature);
    // It has no subject but an issuer.
    let claims = ClaimNames {
        subject: vec!["iss".to_owned()],
        ..ClaimNames::default()
    };
    let with = |secret: Vec<u8>| {
        let config = AuthConfig {
            secret: Some(secret),
            claims: claims.clone(),
            ..AuthConfig::default()
        };
        Authenticator::new(config).unwrap()
    };
    let principal = with(key.clone())
        .authenticate(TOKEN, TOKEN_EXP - 1)
        .unwrap();
    assert_eq!(principal.subject, "joe");
    assert_eq!(
        with(key.clone()).authenticate(TOKEN, TOKEN_EXP + 60),
        Err(AuthError::Expired)
    );
    let mut other = key;
    other[63] ^= 1;
    assert_eq!(
        with(other).authenticate(TOKEN, TOKEN_EXP - 1),
        Err(AuthError::Signature)
    );
}

fn secrets() -> impl Strategy<Value = Vec<u8>> {
    // Beyond 64 bytes HMAC hashes its key first.
    prop::collection::vec(any::<u8>(), 32..130)
}

proptest! {
    #[test]
    fn the_oracle_verifies_what_we_mint(
        secret in secrets(),
        sub in "[^\\p{Cc}]{1,60}",
        tenant in prop::option::of("[^\\p{Cc}]{1,30}"),
    ) {
        let claims = Claims {
            sub: sub.clone(),
            roles: vec![Role::User],
            tenant: tenant.clone(),
            iss: None,
            aud: Vec::new(),
            iat: NOW,
            exp: NOW + 1,
        };
        let token = mint(&secret, &claims).unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        prop_assert_eq!(base64url(hmac_sha256(&secret, message.as_bytes())), signature);
        let payload = URL_SAFE_NO_PAD.decode(message.split_once('.').unwrap().1).unwrap();
        let payload: Value = serde_json::from_slice(&payload).unwrap();
        prop_assert_eq!(payload["sub"].as_str(), Some(sub.as_str()));
        prop_assert_eq!(payload.get("tenant").and_then(Value::as_str), tenant.as_deref());
        prop_assert_eq!(payload["exp"].as_i64(), Some(NOW + 1));
    }

    #[test]
    fn we_verify_what_the_oracle_signs(secret in secrets(), flip in 0_usize..256) {
        let payload = format!(r#"{{"sub":"ada","exp":{}}}"#, NOW + 1);
        let message = format!("{}.{}", base64url(r#"{"alg":"HS256"}"#), base64url(payload));
        let mut signature = hmac_sha256(&secret, message.as_bytes());
        let config = AuthConfig { secret: Some(secret), ..AuthConfig::default() };
        let auth = Authenticator::new(config).unwrap();
        let good = auth.authenticate(&format!("{message}.{}", base64url(&signature)), NOW);
        prop_assert_eq!(good.map(|principal| principal.subject), Ok("ada".to_owned()));
        signature[flip / 8] ^= 1 << (flip % 8);
        let bad = auth.authenticate(&format!("{message}.{}", base64url(&signature)), NOW);
        prop_assert_eq!(bad, Err(AuthError::Signature));
    }
}
