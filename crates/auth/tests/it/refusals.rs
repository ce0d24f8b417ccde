//! Every reason to refuse a token, as a row.

use audittrail_auth::{AuthError, Authenticator, MAX_TOKEN_BYTES, bearer_token};
use serde_json::{Value, json};

use crate::support::{
    HEADER, NOW, authenticator, base64url, check, check_under, claims_with, config, good_claims,
    hmac_sha256, sign, token,
};

#[track_caller]
fn assert_refused(token: &str, expected: AuthError) {
    assert_eq!(
        authenticator().authenticate(token, NOW),
        Err(expected),
        "{token}"
    );
}

#[test]
fn the_token_the_rows_start_from_is_accepted() {
    assert_eq!(check(&good_claims()).unwrap().subject, "ada");
}

#[test]
fn text_that_is_no_token() {
    let good = token(&good_claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    assert_refused("", AuthError::Missing);
    for text in [
        "garbage",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c",
        "🦀.🦀.🦀",
        "\0.\0.\0",
    ] {
        assert_refused(text, AuthError::Malformed);
    }
    for altered in [
        format!("{good}="),
        format!("{good} "),
        format!(" {good}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!(
            "{message}.{}",
            signature.replace(['-', '_'], "+").replacen('t', "/", 1) + "+"
        ),
    ] {
        assert_refused(&altered, AuthError::Malformed);
    }
}

#[test]
fn parts_that_are_no_json_objects() {
    let good = good_claims().to_string();
    for header in [
        "",
        "null",
        "[]",
        "\"HS256\"",
        "{",
        "{}x",
        "{\"alg\":\"HS256\"} {}",
        "\u{feff}{}",
    ] {
        assert_refused(&sign(header, &good), AuthError::Malformed);
    }
    for payload in [
        "",
        "null",
        "[]",
        "17",
        "{\"sub\":}",
        "{\"exp\":1e999}",
        "{} {}",
    ] {
        assert_refused(&sign(HEADER, payload), AuthError::Malformed);
    }
    assert_refused(&sign(HEADER, b"{\"sub\":\"\xff\"}"), AuthError::Malformed);
    assert_refused(&sign(HEADER, r#"{"sub":"\ud800"}"#), AuthError::Malformed);
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(2000), "]".repeat(2000));
    assert_refused(&sign(HEADER, deep), AuthError::Malformed);
}

#[test]
fn a_token_over_the_limit_is_refused_before_it_is_decoded() {
    assert_refused(&"!".repeat(MAX_TOKEN_BYTES + 1), AuthError::TooLarge);
    assert_refused(&"!".repeat(MAX_TOKEN_BYTES), AuthError::Malformed);
    let padded = |length| token(&claims_with(json!({"pad": "x".repeat(length)})));
    let length = (0..MAX_TOKEN_BYTES)
        .rfind(|&n| padded(n).len() <= MAX_TOKEN_BYTES)
        .unwrap();
    assert!(authenticator().authenticate(&padded(length), NOW).is_ok());
    assert_refused(&padded(length + 2), AuthError::TooLarge);
}

#[test]
fn algorithms_not_in_the_list() {
    let payload = good_claims().to_string();
    for header in [
        "{}",
        r#"{"alg":null}"#,
        r#"{"alg":256}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":""}"#,
        r#"{"alg":"none"}"#,
        r#"{"alg":"None"}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"alg":"HS256 "}"#,
        r#"{"alg":"HS384"}"#,
        r#"{"alg":"HS512"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"alg":"ES256"}"#,
        r#"{"alg":"EdDSA"}"#,
    ] {
        assert_refused(&sign(header, &payload), AuthError::Algorithm);
        let unsigned = format!("{}.{}.", base64url(header), base64url(&payload));
        assert_refused(&unsigned, AuthError::Algorithm);
        // Refused by name alone: the signature is not even decoded.
        assert_refused(&format!("{unsigned}!"), AuthError::Algorithm);
    }
}

#[test]
fn header_parameters() {
    let payload = good_claims().to_string();
    for crit in ["[]", "[\"b64\"]", "[\"exp\"]", "null", "1"] {
        let header = format!(r#"{{"alg":"HS256","crit":{crit}}}"#);
        assert_refused(&sign(header, &payload), AuthError::Critical);
    }
    for ignored in [
        r#""typ":"at+jwt""#,
        r#""typ":1"#,
        r#""kid":"x""#,
        r#""kid":null"#,
    ] {
        let header = format!(r#"{{"alg":"HS256",{ignored}}}"#);
        assert!(
            authenticator()
                .authenticate(&sign(header, &payload), NOW)
                .is_ok(),
            "{ignored}"
        );
    }
}

#[test]
fn names_given_twice() {
    let payload = good_claims().to_string();
    for header in [
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","x":1,"x":1}"#,
        r#"{"alg":"HS256","\u0061lg":"HS256"}"#,
    ] {
        assert_refused(&sign(header, &payload), AuthError::Duplicate);
    }
    let exp = NOW + 60;
    for payload in [
        format!(r#"{{"sub":"ada","exp":{exp},"sub":"bob"}}"#),
        format!(r#"{{"sub":"ada","exp":{exp},"tenant":"a","tenant":"b"}}"#),
        format!(r#"{{"sub":"ada","exp":{exp},"x":null,"x":null}}"#),
        format!(r#"{{"sub":"ada","exp":{exp},"x":[{{"roles":[],"roles":["admin"]}}]}}"#),
    ] {
        assert_refused(&sign(HEADER, payload), AuthError::Duplicate);
    }
}

#[test]
fn wrong_signatures() {
    let good = token(&good_claims());
    let (message, _) = good.rsplit_once('.').unwrap();
    let with = |signature: &[u8]| format!("{message}.{}", base64url(signature));
    let right = hmac_sha256(crate::support::SECRET, message.as_bytes());
    assert_eq!(with(&right), good);
    let mut flipped = right.clone();
    flipped[31] ^= 1;
    assert_refused(&with(&flipped), AuthError::Signature);
    assert_refused(&with(b""), AuthError::Signature);
    assert_refused(&with(&right[..16]), AuthError::Signature);
    assert_refused(&with(&[&right[..], b"\0"].concat()), AuthError::Signature);
    let other_secret = hmac_sha256(b"another secret of two and thirty", message.as_bytes());
    assert_refused(&with(&other_secret), AuthError::Signature);
}

/// Any one character changed: also those whose change leaves the decoded bytes the same, which
/// a lenient base64 decoder would let pass.
#[test]
fn no_character_of_a_token_can_be_changed() {
    let (auth, good) = (authenticator(), token(&good_claims()));
    for place in 0..good.len() {
        for character in ('!'..='~').chain([' ', '\0']) {
            let mut altered = good.clone();
            altered.replace_range(place..=place, &character.to_string());
            assert!(
                altered == good || auth.authenticate(&altered, NOW).is_err(),
                "{altered}"
            );
        }
    }
}

#[test]
fn the_claims_of_a_forged_token_are_not_looked_at() {
    let payload = base64url(r#"{"exp":"never"}"#);
    let forged = format!("{}.{payload}.AAAA", base64url(HEADER));
    assert_refused(&forged, AuthError::Signature);
}

#[test]
fn times() {
    let exp = |exp: Value| check(&claims_with(json!({ "exp": exp }))).err();
    let nbf = |nbf: Value| check(&claims_with(json!({ "nbf": nbf }))).err();
    assert_eq!(exp(Value::Null), Some(AuthError::NoExpiry));
    // RFC 7519, 4.1.4: not on or after exp; the leeway is 60 s.
    assert_eq!(exp(json!(NOW - 59)), None);
    assert_eq!(exp(json!(NOW - 60)), Some(AuthError::Expired));
    assert_eq!(exp(json!(NOW as f64 - 59.5)), None);
    assert_eq!(exp(json!(NOW as f64 - 60.5)), Some(AuthError::Expired));
    assert_eq!(exp(json!(0)), Some(AuthError::Expired));
    assert_eq!(nbf(json!(NOW + 60)), None);
    assert_eq!(nbf(json!(NOW + 61)), Some(AuthError::NotYetValid));
    assert_eq!(nbf(json!(NOW as f64 + 60.5)), Some(AuthError::NotYetValid));
    assert_eq!(nbf(json!(0)), None);
    for wrong in [
        json!("1900000000"),
        json!(true),
        json!([NOW + 60]),
        json!({}),
        json!(-1),
        json!(1e300),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(u64::MAX),
        json!((NOW + 3600) * 1000),
        json!(253_402_300_800_i64),
    ] {
        assert_eq!(exp(wrong.clone()), Some(AuthError::Time("exp")), "{wrong}");
        assert_eq!(nbf(wrong.clone()), Some(AuthError::Time("nbf")), "{wrong}");
    }
    let payload = r#"{"sub":"ada","exp":null}"#;
    assert_refused(&sign(HEADER, payload), AuthError::Time("exp"));
    assert_eq!(exp(json!(253_402_300_799_i64)), None);
}

#[test]
fn the_leeway_is_a_setting_and_no_clock_overflows() {
    let at = |leeway_seconds, now| {
        let auth = Authenticator::new(audittrail_auth::AuthConfig {
            leeway_seconds,
            ..config()
        });
        auth.unwrap()
            .authenticate(&token(&claims_with(json!({"exp": NOW, "nbf": 5}))), now)
            .err()
    };
    assert_eq!(at(0, NOW - 1), None);
    assert_eq!(at(0, NOW), Some(AuthError::Expired));
    assert_eq!(at(600, NOW + 599), None);
    assert_eq!(at(600, NOW + 600), Some(AuthError::Expired));
    assert_eq!(at(0, 4), Some(AuthError::NotYetValid));
    assert_eq!(at(60, i64::MIN), Some(AuthError::NotYetValid));
    assert_eq!(at(60, i64::MAX), Some(AuthError::Expired));
}

#[test]
fn issuers() {
    let under = |issuer: Option<&str>, iss: Value| {
        let config = audittrail_auth::AuthConfig {
            issuer: issuer.map(str::to_owned),
            ..config()
        };
        let token = sign(HEADER, {
            let mut claims = good_claims();
            claims["iss"] = iss;
            claims.to_string()
        });
        Authenticator::new(config)
            .unwrap()
            .authenticate(&token, NOW)
            .map(|p| p.issuer)
    };
    let absent = check_under(
        audittrail_auth::AuthConfig {
            issuer: Some("https://id.example".into()),
            ..config()
        },
        &good_claims(),
    );
    assert_eq!(absent, Err(AuthError::Issuer));
    let named = Ok(Some("https://id.example".to_owned()));
    assert_eq!(
        under(Some("https://id.example"), json!("https://id.example")),
        named
    );
    assert_eq!(under(None, json!("https://id.example")), named);
    assert_eq!(check(&good_claims()).unwrap().issuer, None);
    for iss in [json!("https://id.example/"), json!(["https://id.example"])] {
        assert_eq!(
            under(Some("https://id.example"), iss),
            Err(AuthError::Issuer)
        );
    }
    for iss in [
        json!(""),
        json!(null),
        json!(1),
        json!("a\nb"),
        json!("x".repeat(1025)),
    ] {
        assert_eq!(under(None, iss), Err(AuthError::Issuer));
    }
}

#[test]
fn audiences() {
    let under = |audience: &[&str], aud: Value| {
        let audience = audience.iter().map(|&name| name.to_owned()).collect();
        let config = audittrail_auth::AuthConfig {
            audience,
            ..config()
        };
        check_under(config, &claims_with(json!({ "aud": aud }))).err()
    };
    assert_eq!(under(&["logs"], json!("logs")), None);
    assert_eq!(under(&["logs"], json!(["shop", "logs"])), None);
    assert_eq!(under(&["audit", "logs"], json!("logs")), None);
    assert_eq!(under(&[], json!("shop")), None);
    for aud in [
        Value::Null,
        json!(""),
        json!("shop"),
        json!("logs shop"),
        json!([]),
        json!(["shop"]),
        json!([["logs"]]),
        json!(["logs", 1]),
        json!({"logs": true}),
        json!(true),
    ] {
        assert_eq!(
            under(&["logs"], aud.clone()),
            Some(AuthError::Audience),
            "{aud}"
        );
    }
}

#[test]
fn token_types() {
    let of = |value: &str| {
        let payload = format!(r#"{{"sub":"ada","exp":{},"token_type":{value}}}"#, NOW + 60);
        authenticator()
            .authenticate(&sign(HEADER, payload), NOW)
            .err()
    };
    assert_eq!(of(r#""access""#), None);
    for other in [
        r#""refresh""#,
        r#""id""#,
        r#""Access""#,
        r#""""#,
        "null",
        "1",
        r#"["access"]"#,
    ] {
        assert_eq!(of(other), Some(AuthError::TokenType), "{other}");
    }
}

#[test]
fn messages_fit_a_www_authenticate_header() {
    let all = [
        AuthError::Missing,
        AuthError::TooLarge,
        AuthError::Malformed,
        AuthError::Duplicate,
        AuthError::Algorithm,
        AuthError::Critical,
        AuthError::Signature,
        AuthError::UnknownKey,
        AuthError::KeyAlgorithm,
        AuthError::KeysUnavailable,
        AuthError::NoExpiry,
        AuthError::Expired,
        AuthError::NotYetValid,
        AuthError::Time("exp"),
        AuthError::Issuer,
        AuthError::Audience,
        AuthError::TokenType,
        AuthError::Subject,
        AuthError::Tenant,
        AuthError::Roles,
        AuthError::Scopes,
    ];
    for error in all {
        let text = error.to_string();
        // RFC 6750, section 3: %x20-21 / %x23-5B / %x5D-7E.
        let allowed = |b: u8| (0x20..=0x7e).contains(&b) && b != b'"' && b != b'\\';
        assert!(
            text.bytes().all(allowed) && text.ends_with('.') && text.len() <= 80,
            "{text}"
        );
    }
    assert!(
        AuthError::TooLarge
            .to_string()
            .contains(&MAX_TOKEN_BYTES.to_string())
    );
}

#[test]
fn authorization_headers() {
    for value in ["Bearer abc", "bearer abc", "BEARER   abc ", " Bearer abc"] {
        assert_eq!(bearer_token(value), Ok("abc"), "{value:?}");
    }
    for value in [
        "",
        "Bearer",
        "Bearer ",
        "Basic abc",
        "abc",
        "Bearer\u{a0}abc",
        "Bearerabc x",
    ] {
        assert_eq!(bearer_token(value), Err(AuthError::Missing), "{value:?}");
    }
}
