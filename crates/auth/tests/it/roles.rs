//! The table of roles, and how roles and scopes are read from a token.

use std::str::FromStr;

use audittrail_auth::{AuthConfig, AuthError, Role, Scope, Scopes, UnknownRole};
use serde_json::{Value, json};

use crate::support::{check, check_under, claims_with, config};

const TABLE: [(&str, &[&str]); 5] = [
    ("user", &["logs:write:own", "logs:read:own"]),
    ("writer", &["logs:write"]),
    ("reader", &["logs:read"]),
    ("auditor", &["logs:read", "logs:export", "logs:prove"]),
    (
        "admin",
        &[
            "logs:write:own",
            "logs:write",
            "logs:read:own",
            "logs:read",
            "logs:export",
            "logs:prove",
            "logs:admin",
        ],
    ),
];

fn named(names: &[&str]) -> Scopes {
    names
        .iter()
        .map(|name| Scope::from_name(name).unwrap())
        .collect()
}

fn scopes_of(claims: Value) -> Result<Scopes, AuthError> {
    check(&claims_with(claims)).map(|principal| principal.scopes)
}

#[test]
fn each_role_has_exactly_its_scopes() {
    for (name, scopes) in TABLE {
        let role = Role::from_str(name).unwrap();
        let names = role.scopes().iter().map(Scope::as_str).collect::<Vec<_>>();
        assert_eq!(names, scopes, "{name}");
        assert_eq!(role.to_string(), name);
        assert_eq!(scopes_of(json!({"roles": name})), Ok(named(scopes)));
        assert_eq!(scopes_of(json!({"roles": [name]})), Ok(named(scopes)));
    }
    assert_eq!(Role::ALL.len(), TABLE.len());
    assert_eq!("Admin".parse::<Role>(), Err(UnknownRole));
}

#[test]
fn roles_add_up_and_unknown_ones_are_ignored() {
    let both = named(&["logs:write", "logs:read"]);
    assert_eq!(
        scopes_of(json!({"roles": ["writer", "boss", "reader"]})),
        Ok(both)
    );
    for roles in [
        json!([]),
        json!(""),
        json!("Admin"),
        json!("admin user"),
        json!(["boss"]),
    ] {
        assert_eq!(
            scopes_of(json!({"roles": roles})),
            Ok(Scopes::NONE),
            "{roles}"
        );
    }
}

#[test]
fn scopes_are_read_from_both_claims() {
    let of = |claims: Value| {
        let mut claims = claims_with(claims);
        claims.as_object_mut().unwrap().remove("roles");
        check(&claims).map(|principal| principal.scopes)
    };
    let both = Ok(named(&["logs:read", "logs:prove"]));
    assert_eq!(of(json!({"scope": "openid logs:read  logs:prove "})), both);
    assert_eq!(
        of(json!({"scp": ["logs:read", "logs:prove", "mail"]})),
        both
    );
    assert_eq!(of(json!({"scope": "logs:read", "scp": "logs:prove"})), both);
    assert_eq!(
        of(json!({"scope": "LOGS:READ logs:readx logs logs:*"})),
        Ok(Scopes::NONE)
    );
    assert_eq!(
        of(json!({"scope": "logs:admin"})),
        Ok(named(&["logs:admin"]))
    );
}

#[test]
fn roles_and_scopes_of_another_shape_are_refused() {
    for wrong in [
        json!(1),
        json!(true),
        json!({"admin": true}),
        json!([["admin"]]),
        json!([1]),
    ] {
        assert_eq!(
            scopes_of(json!({"roles": wrong})),
            Err(AuthError::Roles),
            "{wrong}"
        );
        assert_eq!(
            scopes_of(json!({"scope": wrong})),
            Err(AuthError::Scopes),
            "{wrong}"
        );
        assert_eq!(
            scopes_of(json!({"scp": wrong})),
            Err(AuthError::Scopes),
            "{wrong}"
        );
    }
}

#[test]
fn the_default_role_is_for_tokens_without_a_known_role() {
    let of = |default_role, claims: Value| {
        let config = AuthConfig {
            default_role,
            ..config()
        };
        check_under(config, &claims_with(claims)).unwrap().scopes
    };
    let user = Role::User.scopes();
    for roles in [json!(null), json!([]), json!(["boss"]), json!("boss")] {
        assert_eq!(of(None, json!({"roles": roles})), Scopes::NONE);
        assert_eq!(of(Some(Role::User), json!({"roles": roles})), user);
    }
    assert_eq!(
        of(Some(Role::User), json!({"roles": "reader"})),
        Role::Reader.scopes()
    );
    let explicit = json!({"roles": null, "scope": "logs:prove"});
    assert_eq!(
        of(Some(Role::User), explicit),
        user.union(named(&["logs:prove"]))
    );
}

#[test]
fn the_set_holds_what_was_inserted() {
    for scope in Scope::ALL {
        let mut set = Scopes::NONE;
        assert!(set.is_empty() && !set.contains(scope));
        set.insert(scope);
        assert_eq!(set.iter().collect::<Vec<_>>(), [scope]);
        assert_eq!(Scope::from_name(scope.as_str()), Some(scope));
    }
    assert_eq!(Scopes::all().iter().collect::<Vec<_>>(), Scope::ALL);
}
