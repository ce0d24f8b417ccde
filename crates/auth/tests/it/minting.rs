//! Tokens of our own: accepted by ourselves, and refused where they would not be.

use audittrail_auth::{
    AuthConfig, Authenticator, ClaimNames, Claims, MintError, Role, mint, mint_named,
};

use crate::support::{NOW, SECRET, authenticator, config};

fn claims() -> Claims {
    Claims {
        sub: "ada".to_owned(),
        roles: vec![Role::Reader, Role::Writer],
        tenant: Some("acme".to_owned()),
        iss: Some("audittrail".to_owned()),
        aud: vec!["logs".to_owned()],
        iat: NOW,
        exp: NOW + 3600,
    }
}

#[test]
fn what_is_minted_is_accepted() {
    for aud in [
        vec!["logs".to_owned()],
        vec!["shop".to_owned(), "logs".to_owned()],
    ] {
        let token = mint(SECRET, &Claims { aud, ..claims() }).unwrap();
        let config = AuthConfig {
            issuer: Some("audittrail".to_owned()),
            audience: vec!["logs".to_owned()],
            ..config()
        };
        let principal = Authenticator::new(config)
            .unwrap()
            .authenticate(&token, NOW)
            .unwrap();
        assert_eq!(principal.subject, "ada");
        assert_eq!(principal.tenant.as_deref(), Some("acme"));
        assert_eq!(principal.issuer.as_deref(), Some("audittrail"));
        assert_eq!(
            principal.scopes,
            Role::Reader.scopes().union(Role::Writer.scopes())
        );
    }
}

#[test]
fn what_is_not_said_is_not_there() {
    let bare = Claims {
        roles: Vec::new(),
        tenant: None,
        iss: None,
        aud: Vec::new(),
        ..claims()
    };
    let principal = authenticator()
        .authenticate(&mint(SECRET, &bare).unwrap(), NOW)
        .unwrap();
    assert_eq!((principal.tenant, principal.issuer), (None, None));
    assert!(principal.scopes.is_empty());
}

#[test]
fn a_server_with_names_of_its_own_sees_the_tenant() {
    let names = ClaimNames {
        roles: "/app/roles".to_owned(),
        subject: vec!["uid".to_owned(), "sub".to_owned()],
        tenant: "/app/org".to_owned(),
        ..ClaimNames::default()
    };
    let token = mint_named(SECRET, &claims(), &names).unwrap();
    let auth = Authenticator::new(AuthConfig {
        claims: names,
        ..config()
    })
    .unwrap();
    let principal = auth.authenticate(&token, NOW).unwrap();
    assert_eq!(principal.subject, "ada");
    assert_eq!(principal.tenant.as_deref(), Some("acme"));
    assert_eq!(
        principal.scopes,
        Role::Reader.scopes().union(Role::Writer.scopes())
    );
}

#[test]
fn names_in_each_others_way() {
    let named = |roles: &str, tenant: &str| {
        let (roles, tenant) = (roles.to_owned(), tenant.to_owned());
        mint_named(
            SECRET,
            &claims(),
            &ClaimNames {
                roles,
                tenant,
                ..ClaimNames::default()
            },
        )
    };
    for (roles, tenant) in [
        ("x", "x"),
        ("exp", "x"),
        ("x", "/x/y"),
        ("/x/y", "x"),
        ("x", ""),
    ] {
        assert_eq!(
            named(roles, tenant),
            Err(MintError::ClaimNames),
            "{roles} {tenant}"
        );
    }
    assert!(named("/x/y", "/x/z").is_ok());
}

#[test]
fn tokens_that_would_be_refused_are_not_made() {
    let some = |text: &str| Some(text.to_owned());
    let rows = [
        (
            Claims {
                sub: String::new(),
                ..claims()
            },
            MintError::Subject,
        ),
        (
            Claims {
                sub: "x".repeat(257),
                ..claims()
            },
            MintError::Subject,
        ),
        (
            Claims {
                sub: "a\nb".to_owned(),
                ..claims()
            },
            MintError::Subject,
        ),
        (
            Claims {
                tenant: some(""),
                ..claims()
            },
            MintError::Tenant,
        ),
        (
            Claims {
                tenant: Some("x".repeat(129)),
                ..claims()
            },
            MintError::Tenant,
        ),
        (
            Claims {
                iss: some(""),
                ..claims()
            },
            MintError::Issuer,
        ),
        (
            Claims {
                exp: NOW,
                ..claims()
            },
            MintError::Times,
        ),
        (
            Claims {
                iat: -1,
                ..claims()
            },
            MintError::Times,
        ),
        (
            Claims {
                iat: i64::MIN,
                exp: i64::MAX,
                ..claims()
            },
            MintError::Times,
        ),
        (
            Claims {
                exp: NOW * 1000,
                ..claims()
            },
            MintError::Times,
        ),
        (
            Claims {
                aud: vec!["x".repeat(8192)],
                ..claims()
            },
            MintError::TooLarge,
        ),
    ];
    for (claims, expected) in rows {
        assert_eq!(mint(SECRET, &claims), Err(expected), "{claims:?}");
    }
    assert_eq!(mint(&SECRET[1..], &claims()), Err(MintError::Secret));
}
