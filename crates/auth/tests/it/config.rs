//! What a configuration is refused for.

use audittrail_auth::{AuthConfig, AuthConfigError, Authenticator, ClaimNames};

use crate::support::{SECRET, config};

fn refusal(config: AuthConfig) -> Option<AuthConfigError> {
    Authenticator::new(config).err()
}

#[test]
fn secrets() {
    assert_eq!(refusal(config()), None);
    assert_eq!(
        refusal(AuthConfig::default()),
        Some(AuthConfigError::SecretMissing)
    );
    for bytes in [0, 1, 31] {
        let secret = Some(SECRET[..bytes].to_vec());
        let expected = AuthConfigError::SecretTooShort { bytes };
        assert_eq!(refusal(AuthConfig { secret, ..config() }), Some(expected));
    }
}

#[test]
fn algorithms() {
    let with = |names: &[&str]| {
        let algorithms = names.iter().map(|&name| name.to_owned()).collect();
        refusal(AuthConfig {
            algorithms,
            ..config()
        })
    };
    assert_eq!(with(&["HS256", "HS256"]), None);
    assert_eq!(with(&[]), Some(AuthConfigError::NoAlgorithm));
    for name in ["RS256", "ES256", "EdDSA"] {
        let expected = Some(AuthConfigError::KeysMissing(name.to_owned()));
        assert_eq!(with(&["HS256", name]), expected);
    }
    for name in ["none", "hs256", "", "HS512"] {
        let expected = Some(AuthConfigError::UnsupportedAlgorithm(name.to_owned()));
        assert_eq!(with(&["HS256", name]), expected);
    }
}

#[test]
fn empty_names_and_long_leeways() {
    let empty = Some(AuthConfigError::EmptyIssuerOrAudience);
    assert_eq!(
        refusal(AuthConfig {
            issuer: Some(String::new()),
            ..config()
        }),
        empty
    );
    assert_eq!(
        refusal(AuthConfig {
            audience: vec![String::new()],
            ..config()
        }),
        empty
    );
    let expected = Some(AuthConfigError::Leeway { seconds: u64::MAX });
    assert_eq!(
        refusal(AuthConfig {
            leeway_seconds: u64::MAX,
            ..config()
        }),
        expected
    );
}

#[test]
fn claim_names() {
    for wrong in ["", "/a~", "/a~2b", "/~"] {
        let expected = Some(AuthConfigError::ClaimName(wrong.to_owned()));
        for at in 0..5 {
            let mut claims = ClaimNames::default();
            let name = wrong.to_owned();
            match at {
                0 => claims.roles = name,
                1 => claims.scope.push(name),
                2 => claims.subject.push(name),
                3 => claims.tenant = name,
                _ => claims.token_type = name,
            }
            assert_eq!(refusal(AuthConfig { claims, ..config() }), expected);
        }
    }
    let claims = ClaimNames {
        subject: Vec::new(),
        ..ClaimNames::default()
    };
    let expected = Some(AuthConfigError::ClaimName(String::new()));
    assert_eq!(refusal(AuthConfig { claims, ..config() }), expected);
}

#[test]
fn no_secret_is_shown() {
    let secret = "0123456789abcdef0123456789abcdef";
    let config = AuthConfig {
        secret: Some(secret.as_bytes().to_vec()),
        ..config()
    };
    // As text, and as the list of bytes that a derived Debug would give.
    for shown in [
        format!("{config:?}"),
        format!("{:?}", Authenticator::new(config.clone())),
    ] {
        assert!(
            !shown.contains("0123456789") && !shown.contains("48, 49, 50"),
            "{shown}"
        );
    }
}
