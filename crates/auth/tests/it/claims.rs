//! Subjects and tenants, and claims under names of one's own.

use audittrail_auth::{AuthConfig, AuthError, Authenticator, ClaimNames, Scope};
use serde_json::{Value, json};

use crate::support::{HEADER, NOW, check, check_under, claims_with, config, good_claims, sign};

#[test]
fn subjects() {
    let of = |claims: Value| check(&claims_with(claims)).map(|principal| principal.subject);
    let ok = |text: &str| Ok(text.to_owned());
    assert_eq!(of(json!({"sub": "bob", "user_id": "eve"})), ok("bob"));
    assert_eq!(of(json!({"sub": null, "user_id": "eve"})), ok("eve"));
    assert_eq!(of(json!({"sub": 17})), ok("17"));
    assert_eq!(of(json!({"sub": -17})), ok("-17"));
    assert_eq!(of(json!({"sub": u64::MAX})), ok("18446744073709551615"));
    assert_eq!(of(json!({"sub": "é".repeat(128)})), Ok("é".repeat(128)));
    for claims in [
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": "", "user_id": "eve"}),
        json!({"sub": true}),
        json!({"sub": ["bob"]}),
        json!({"sub": 1.5}),
        json!({"sub": "x".repeat(257)}),
        json!({"sub": format!("{}é", "x".repeat(255))}),
        json!({"sub": "a\u{0}"}),
        json!({"sub": "a\nb"}),
        json!({"sub": "\u{7f}"}),
        json!({"sub": "\u{85}"}),
    ] {
        assert_eq!(of(claims.clone()), Err(AuthError::Subject), "{claims}");
    }
}

#[test]
fn subjects_that_parsing_would_round_are_refused() {
    let auth = Authenticator::new(config()).unwrap();
    for sub in ["18446744073709551616", "1.0", "1e3", "-0", "null"] {
        let payload = format!(r#"{{"exp":{},"user_id":"eve","sub":{sub}}}"#, NOW + 60);
        let answer = auth.authenticate(&sign(HEADER, payload), NOW);
        assert_eq!(answer, Err(AuthError::Subject), "{sub}");
    }
}

#[test]
fn tenants() {
    let of = |tenant: Value| {
        let mut claims = good_claims();
        claims["tenant"] = tenant;
        check(&claims).map(|principal| principal.tenant)
    };
    assert_eq!(check(&good_claims()).unwrap().tenant, None);
    assert_eq!(of(json!("acme")), Ok(Some("acme".to_owned())));
    assert_eq!(of(json!("x".repeat(128))), Ok(Some("x".repeat(128))));
    for wrong in [
        json!(""),
        json!(null),
        json!(7),
        json!(["acme"]),
        json!({"id": "acme"}),
        json!("x".repeat(129)),
        json!("a\tb"),
        json!("a\u{9b}"),
    ] {
        assert_eq!(of(wrong.clone()), Err(AuthError::Tenant), "{wrong}");
    }
}

fn nested() -> AuthConfig {
    let claims = ClaimNames {
        roles: "/realm/roles".to_owned(),
        scope: vec!["https://example.com/scopes".to_owned()],
        subject: vec!["/who/0/id".to_owned()],
        tenant: "/org~1unit/a~0b".to_owned(),
        token_type: "use".to_owned(),
    };
    AuthConfig { claims, ..config() }
}

#[test]
fn names_and_pointers() {
    let claims = json!({
        "exp": NOW + 60,
        "sub": "not this one",
        "roles": ["admin"],
        "tenant": "not this one",
        "token_type": "refresh",
        "use": "access",
        "realm": {"roles": "reader"},
        "who": [{"id": 4}, {"id": 5}],
        "org/unit": {"a~b": "acme"},
        "https://example.com/scopes": "logs:prove",
    });
    let principal = check_under(nested(), &claims).unwrap();
    assert_eq!(principal.subject, "4");
    assert_eq!(principal.tenant.as_deref(), Some("acme"));
    assert_eq!(
        principal.scopes,
        [Scope::Read, Scope::Prove].into_iter().collect()
    );
}

#[test]
fn a_restriction_does_not_vanish_with_its_container() {
    let with = |org: Value| {
        let claims = json!({"exp": NOW + 60, "who": [{"id": "ada"}], "org/unit": org});
        check_under(nested(), &claims).map(|principal| principal.tenant)
    };
    assert_eq!(with(json!({})), Ok(None));
    for org in [
        json!(null),
        json!("acme"),
        json!(3),
        json!([{"a~b": "acme"}]),
        json!({"a~b": {}}),
    ] {
        assert_eq!(with(org.clone()), Err(AuthError::Tenant), "{org}");
    }
}

#[test]
fn steps_into_lists_are_plain_indices() {
    let at = |step: &str| {
        let claims = ClaimNames {
            tenant: format!("/orgs/{step}"),
            ..ClaimNames::default()
        };
        let orgs = json!({"orgs": ["a", "b"]});
        check_under(AuthConfig { claims, ..config() }, &claims_with(orgs)).map(|who| who.tenant)
    };
    assert_eq!(at("0"), Ok(Some("a".to_owned())));
    assert_eq!(at("1"), Ok(Some("b".to_owned())));
    assert_eq!(at("2"), Ok(None));
    for step in ["", "-", "00", "01", "+1", "-1", "b", "18446744073709551616"] {
        assert_eq!(at(step), Err(AuthError::Tenant), "{step}");
    }
}
