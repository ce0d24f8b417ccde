//! No input panics, and whatever is accepted meets the rules.

use audittrail_auth::{AuthConfig, AuthError, Authenticator, ClaimNames, bearer_token};
use proptest::prelude::*;
use serde_json::{Map, Value};

use crate::support::{HEADER, NOW, SECRET, authenticator, base64url, config, sign, token};

fn json() -> impl Strategy<Value = Value> {
    let near_now = (NOW - 100..NOW + 100).prop_map(Value::from);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        near_now,
        ".{0,20}".prop_map(Value::from),
        "(user|admin|logs:read|access|a)".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("(a|b|0)", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Objects of the claims that are looked at, with any values.
fn claims() -> impl Strategy<Value = Map<String, Value>> {
    let name = "(sub|user_id|exp|nbf|iss|aud|roles|scope|scp|tenant|token_type|x)";
    prop::collection::btree_map(name, json(), 0..8).prop_map(|claims| {
        let mut claims: Map<_, _> = claims.into_iter().collect();
        claims.entry("sub").or_insert_with(|| "ada".into());
        claims.entry("exp").or_insert_with(|| (NOW + 60).into());
        claims
    })
}

proptest! {
    #[test]
    fn any_text_is_refused(text in any::<String>(), now in any::<i64>()) {
        prop_assert!(authenticator().authenticate(&text, now).is_err());
        if let Ok(token) = bearer_token(&text) {
            prop_assert!(text.contains(token));
        }
    }

    #[test]
    fn any_three_parts_are_refused(
        header in any::<Vec<u8>>(),
        payload in any::<Vec<u8>>(),
        signature in any::<Vec<u8>>(),
        usual in any::<bool>(),
    ) {
        let header = if usual { HEADER.as_bytes().to_vec() } else { header };
        let [header, payload, signature] = [header, payload, signature].map(base64url);
        let text = format!("{header}.{payload}.{signature}");
        prop_assert!(authenticator().authenticate(&text, NOW).is_err());
    }

    #[test]
    fn any_signed_bytes_are_answered(payload in any::<Vec<u8>>()) {
        let answer = authenticator().authenticate(&sign(HEADER, &payload), NOW);
        prop_assert!(matches!(answer, Err(AuthError::Malformed | AuthError::NoExpiry)));
    }

    #[test]
    fn what_is_accepted_meets_the_rules(claims in claims(), now in NOW - 90..NOW + 90) {
        let token = token(&Value::Object(claims.clone()));
        if let Ok(principal) = authenticator().authenticate(&token, now) {
            let plain = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
            prop_assert!(plain(&principal.subject) && principal.subject.len() <= 256);
            prop_assert_eq!(principal.tenant.as_deref(), claims.get("tenant").map(|tenant| {
                tenant.as_str().expect("an accepted tenant is text")
            }));
            prop_assert!(principal.tenant.as_deref().is_none_or(plain));
            prop_assert!(claims["exp"].as_f64().unwrap() > (now - 60) as f64);
            prop_assert!(claims.get("token_type").is_none_or(|kind| kind == "access"));
        }
    }

    #[test]
    fn any_claim_names_are_answered(name in "/?[a-c~/0-2]{0,6}", claims in claims()) {
        let names = ClaimNames { tenant: name, ..ClaimNames::default() };
        let config = AuthConfig { claims: names, secret: Some(SECRET.to_vec()), ..config() };
        if let Ok(auth) = Authenticator::new(config) {
            let first = auth.authenticate(&token(&Value::Object(claims.clone())), NOW);
            let again = auth.authenticate(&token(&Value::Object(claims)), NOW);
            prop_assert_eq!(first, again);
        }
    }
}
