//! Reading key sets: what is used, what is left out, what is refused.

use audittrail_auth::{
    AuthConfig, AuthConfigError, Authenticator, JwkSet, JwksError, MAX_JWKS_BYTES, MAX_JWKS_KEYS,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{base64url, config};

fn parse(value: &Value) -> Result<JwkSet, JwksError> {
    JwkSet::parse(value.to_string().as_bytes())
}

fn refused(text: &str) -> JwksError {
    JwkSet::parse(text.as_bytes()).unwrap_err()
}

/// An RSA key whose modulus has so many bits.
fn rsa(bits: usize) -> Value {
    let mut modulus = vec![0xff; bits.div_ceil(8)];
    modulus[0] >>= modulus.len() * 8 - bits;
    json!({"kty": "RSA", "n": base64url(modulus), "e": "AQAB"})
}

fn ec() -> Value {
    json!({"kty": "EC", "crv": "P-256", "x": base64url([1; 32]), "y": base64url([2; 32])})
}

fn ed() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": base64url([3; 32])})
}

fn with(mut key: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        key[name] = value.clone();
    }
    key
}

/// Why the one key of a set is not used; `None` if it is.
fn reason(key: Value) -> Option<&'static str> {
    let set = parse(&json!({ "keys": [key] })).unwrap();
    assert_eq!(set.len() + set.ignored().len(), 1);
    set.ignored().first().map(|ignored| ignored.reason)
}

#[test]
fn what_is_no_set_is_refused() {
    for text in [
        "",
        "null",
        "[]",
        "{",
        "<html>",
        "{} {}",
        r#"{"keys":[],"keys":[]}"#,
    ] {
        assert_eq!(refused(text), JwksError::NotAnObject, "{text}");
    }
    let twice = r#"{"keys":[{"kty":"RSA","kty":"EC"}]}"#;
    assert_eq!(refused(twice), JwksError::NotAnObject);
    for text in ["{}", r#"{"keys":{}}"#, r#"{"keys":null}"#, r#"{"Keys":[]}"#] {
        assert_eq!(refused(text), JwksError::NoKeys, "{text}");
    }
    let deep = format!(r#"{{"keys":{}{}}}"#, "[".repeat(9000), "]".repeat(9000));
    assert_eq!(refused(&deep), JwksError::NotAnObject);
}

#[test]
fn sets_are_bounded() {
    let empty = r#"{"keys":[]}"#;
    let padded = |bytes: usize| format!("{empty}{}", " ".repeat(bytes - empty.len()));
    assert!(JwkSet::parse(padded(MAX_JWKS_BYTES).as_bytes()).is_ok());
    assert_eq!(refused(&padded(MAX_JWKS_BYTES + 1)), JwksError::TooLarge);
    let many = |count: usize| parse(&json!({ "keys": vec![ed(); count] }));
    assert_eq!(many(MAX_JWKS_KEYS).unwrap().len(), MAX_JWKS_KEYS);
    assert_eq!(many(MAX_JWKS_KEYS + 1).err(), Some(JwksError::TooManyKeys));
    // Keys that are not used do not count.
    let other = json!({"keys": vec![json!({"kty": "oct", "k": "AA"}); MAX_JWKS_KEYS + 1]});
    assert!(parse(&other).unwrap().is_empty());
}

#[test]
fn keys_for_signatures_are_used() {
    for key in [rsa(2048), rsa(2049), rsa(4096), rsa(8192), ec(), ed()] {
        let alg = match key["kty"].as_str() {
            Some("RSA") => "RS256",
            Some("EC") => "ES256",
            _ => "EdDSA",
        };
        for changes in [
            json!({}),
            json!({"kid": "k", "alg": alg, "use": "sig", "key_ops": ["verify"]}),
            json!({"key_ops": ["sign", "verify"], "x5t": 1, "unknown": {"a": []}}),
        ] {
            assert_eq!(reason(with(key.clone(), changes)), None);
        }
    }
    assert_eq!(reason(with(rsa(2048), json!({"e": "Aw"}))), None);
    assert_eq!(reason(with(rsa(2048), json!({"e": "AAEAAQ"}))), None);
}

#[test]
fn other_keys_are_left_out() {
    let rows = [
        (json!(17), "object"),
        (json!([]), "object"),
        (json!({}), "kty"),
        (json!({"kty": "rsa"}), "kty"),
        (json!({"kty": ["RSA"]}), "kty"),
        (json!({"kty": "AKP", "alg": "ML-DSA-44"}), "kty"),
        (json!({"kty": "oct", "k": base64url([1; 32])}), "symmetric"),
        (
            json!({"kty": "oct", "alg": "RS256", "k": base64url([1; 256])}),
            "symmetric",
        ),
        (with(ed(), json!({"kid": 1})), "kid"),
        (with(ed(), json!({"kid": null})), "kid"),
        (rsa(1024), "2048"),
        (rsa(2047), "2048"),
        (rsa(8193), "8192"),
        (
            with(
                rsa(2048),
                json!({"n": base64url([vec![0; 129], vec![0xff; 255]].concat())}),
            ),
            "2048",
        ),
        (with(rsa(2048), json!({"n": ""})), "n is"),
        (with(rsa(2048), json!({"n": "AA"})), "n is"),
        (with(rsa(2048), json!({"n": 17})), "n is"),
        (with(rsa(2048), json!({"n": "+/+/"})), "n is"),
        (with(rsa(2048), json!({"e": null})), "e is"),
        (with(rsa(2048), json!({"e": "AAA"})), "e is"),
        (with(rsa(2048), json!({"e": "AQ"})), "RSA key"),
        (with(rsa(2048), json!({"e": "BA"})), "RSA key"),
        (with(rsa(2048), json!({"e": base64url([1; 8])})), "RSA key"),
        (
            with(
                rsa(2048),
                json!({"n": base64url([vec![0xff; 255], vec![0xfe]].concat())}),
            ),
            "RSA key",
        ),
        (with(ec(), json!({"crv": "P-384"})), "P-256"),
        (with(ec(), json!({"crv": "secp256k1"})), "P-256"),
        (with(ec(), json!({"crv": "Ed25519"})), "P-256"),
        (with(ec(), json!({"x": base64url([1; 31])})), "32 bytes"),
        (with(ec(), json!({"y": base64url([1; 33])})), "32 bytes"),
        (with(ec(), json!({"y": null})), "32 bytes"),
        (with(ed(), json!({"crv": "Ed448"})), "Ed25519"),
        (with(ed(), json!({"crv": "X25519"})), "Ed25519"),
        (with(ed(), json!({"crv": "P-256"})), "Ed25519"),
        (
            with(ed(), json!({"x": format!("{}=", base64url([3; 32]))})),
            "32 bytes",
        ),
        (with(ed(), json!({"d": base64url([3; 32])})), "private part"),
        (with(ec(), json!({"d": null})), "private part"),
        (with(rsa(2048), json!({"p": "AQAB"})), "private part"),
        (with(rsa(2048), json!({"k": "AQAB"})), "private part"),
        (with(rsa(2048), json!({"alg": "PS256"})), "alg"),
        (with(rsa(2048), json!({"alg": "HS256"})), "alg"),
        (with(rsa(2048), json!({"alg": "ES256"})), "alg"),
        (with(rsa(2048), json!({"alg": null})), "alg"),
        (with(ec(), json!({"alg": "RS256"})), "alg"),
        (with(ed(), json!({"alg": "eddsa"})), "alg"),
        (with(ed(), json!({"use": "enc"})), "use"),
        (with(ed(), json!({"use": null})), "use"),
        (with(ed(), json!({"use": ["sig"]})), "use"),
        (with(ed(), json!({"key_ops": []})), "key_ops"),
        (with(ed(), json!({"key_ops": ["sign"]})), "key_ops"),
        (with(ed(), json!({"key_ops": "verify"})), "key_ops"),
    ];
    for (key, says) in rows {
        let shown = key.to_string();
        let reason = reason(key).unwrap_or_else(|| panic!("{shown} is used"));
        assert!(reason.contains(says), "{shown}: {reason}");
    }
}

#[test]
fn a_bad_key_leaves_the_others() {
    let set = parse(&json!({"keys": [rsa(512), ed(), 17, ec()]})).unwrap();
    let ignored: Vec<usize> = set.ignored().iter().map(|one| one.position).collect();
    assert_eq!((set.len(), ignored), (2, vec![0, 2]));
    assert!(format!("{set:?}").len() < 400, "{set:?}");
}

#[test]
fn public_keys_need_an_issuer_an_audience_and_an_algorithm() {
    let refusal = |change: fn(&mut AuthConfig)| {
        let mut config = AuthConfig {
            algorithms: ["HS256", "RS256"].map(str::to_owned).into(),
            public_keys: true,
            issuer: Some("https://id.example".to_owned()),
            audience: vec!["audit".to_owned()],
            ..config()
        };
        change(&mut config);
        Authenticator::new(config).err()
    };
    let missing = Some(AuthConfigError::IssuerOrAudienceMissing);
    assert_eq!(refusal(|_| {}), None);
    assert_eq!(refusal(|config| config.issuer = None), missing);
    assert_eq!(refusal(|config| config.audience.clear()), missing);
    assert_eq!(
        refusal(|config| config.audience = vec![String::new()]),
        Some(AuthConfigError::EmptyIssuerOrAudience)
    );
    assert_eq!(
        refusal(|config| config.algorithms.truncate(1)),
        Some(AuthConfigError::PublicKeysUnused)
    );
    assert_eq!(
        refusal(|config| config.public_keys = false),
        Some(AuthConfigError::KeysMissing("RS256".to_owned()))
    );
    // Without HS256 no secret is needed.
    let without = |config: &mut AuthConfig| {
        config.secret = None;
        config.algorithms = vec!["EdDSA".to_owned()];
    };
    assert_eq!(refusal(without), None);
    assert_eq!(
        refusal(|config| config.secret = None),
        Some(AuthConfigError::SecretMissing)
    );
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in any::<Vec<u8>>()) {
        prop_assert!(JwkSet::parse(&bytes).is_err());
    }

    #[test]
    fn any_members_are_answered(
        kty in "(RSA|EC|OKP|oct)",
        crv in "(P-256|Ed25519)",
        members in prop::collection::btree_map("(n|e|x|y|kid|use|d)", "[A-Za-z0-9_-]{0,400}", 0..5),
    ) {
        let key = with(json!({"kty": kty, "crv": crv}), json!(members));
        let set = parse(&json!({ "keys": [key] })).unwrap();
        prop_assert_eq!(set.len() + set.ignored().len(), 1);
    }
}
