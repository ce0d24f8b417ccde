//! RS256, ES256 and EdDSA: tokens made by PyJWT and by hand in testdata/tokens, and the examples
//! of the RFCs.

use audittrail_auth::{AuthConfig, AuthError, Authenticator, JwkSet};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::base64url;

#[derive(Deserialize)]
struct Fixtures {
    now: i64,
    issuer: String,
    audience: String,
    secret: String,
    sets: serde_json::Map<String, Value>,
    tokens: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    keys: String,
    token: String,
    /// `ok`, or the names of the refusals that may be the first found.
    expect: String,
}

fn fixtures() -> Fixtures {
    serde_json::from_str(include_str!("../../../../testdata/tokens/tokens.json")).unwrap()
}

fn config(fixtures: &Fixtures) -> AuthConfig {
    AuthConfig {
        secret: Some(fixtures.secret.clone().into_bytes()),
        algorithms: ["HS256", "RS256", "ES256", "EdDSA"]
            .map(str::to_owned)
            .into(),
        public_keys: true,
        issuer: Some(fixtures.issuer.clone()),
        audience: vec![fixtures.audience.clone()],
        ..AuthConfig::default()
    }
}

fn set(value: &Value) -> JwkSet {
    JwkSet::parse(value.to_string().as_bytes()).unwrap()
}

fn name(outcome: &Result<audittrail_auth::Principal, AuthError>) -> String {
    match outcome {
        Ok(_) => "ok".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

#[test]
fn every_row_gets_what_it_should() {
    let fixtures = fixtures();
    let auth = Authenticator::new(config(&fixtures)).unwrap();
    let (mut wrong, mut good) = (Vec::new(), 0);
    for row in &fixtures.tokens {
        auth.replace_public_keys(set(&fixtures.sets[&row.keys]));
        let outcome = auth.authenticate(&row.token, fixtures.now);
        if let Ok(principal) = &outcome {
            good += 1;
            assert_eq!(principal.subject, "ada", "{}", row.name);
            assert_eq!(
                principal.issuer.as_deref(),
                Some(fixtures.issuer.as_str()),
                "{}",
                row.name
            );
        }
        if !row.expect.split('|').any(|one| one == name(&outcome)) {
            wrong.push((&row.name, &row.expect, name(&outcome)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(good >= 20 && fixtures.tokens.len() - good >= 250);
}

/// A key is for its algorithm alone even where each other algorithm is accepted, and only the
/// algorithms that are listed are accepted.
#[test]
fn only_listed_algorithms_are_accepted() {
    let fixtures = fixtures();
    let all = ["HS256", "RS256", "ES256", "EdDSA"];
    for listed in ["RS256", "ES256", "EdDSA"] {
        let mut config = config(&fixtures);
        config.algorithms = vec![listed.to_owned()];
        config.secret = None;
        let auth = Authenticator::new(config).unwrap();
        auth.replace_public_keys(set(&fixtures.sets["main"]));
        for algorithm in all {
            let named = match algorithm {
                "HS256" => "the secret beside the keys".to_owned(),
                public => format!("{public} by kid"),
            };
            let row = fixtures.tokens.iter().find(|row| row.name == named);
            let outcome = auth.authenticate(&row.unwrap().token, fixtures.now);
            let expected = if algorithm == listed {
                "ok"
            } else {
                "Algorithm"
            };
            assert_eq!(name(&outcome), expected, "{algorithm} under {listed}");
        }
    }
}

#[test]
fn until_there_is_a_set_only_the_secret_works() {
    let fixtures = fixtures();
    let auth = Authenticator::new(config(&fixtures)).unwrap();
    let outcome = |named: &str| {
        let row = fixtures.tokens.iter().find(|row| row.name == named);
        name(&auth.authenticate(&row.unwrap().token, fixtures.now))
    };
    for public in ["RS256 by kid", "ES256 without kid", "unknown kid"] {
        assert_eq!(outcome(public), "KeysUnavailable");
    }
    assert_eq!(outcome("the secret beside the keys"), "ok");
    assert_eq!(outcome("the secret, wrong issuer"), "Issuer");
    auth.replace_public_keys(set(&fixtures.sets["main"]));
    assert_eq!(outcome("RS256 by kid"), "ok");
    // A set without keys is a set: its issuer has withdrawn them.
    auth.replace_public_keys(set(&fixtures.sets["empty"]));
    assert_eq!(outcome("RS256 by kid"), "UnknownKey");
}

/// Any one character changed. A signature of one algorithm has one text, so that no other is
/// good; ECDSA has two, which differ in far more than a character.
#[test]
fn no_character_of_a_token_can_be_changed() {
    let fixtures = fixtures();
    let auth = Authenticator::new(config(&fixtures)).unwrap();
    auth.replace_public_keys(set(&fixtures.sets["main"]));
    for named in ["ES256 by kid", "EdDSA by kid", "RS256 by kid"] {
        let row = fixtures.tokens.iter().find(|row| row.name == named);
        let good = &row.unwrap().token;
        for place in 0..good.len() {
            for character in ['A', 'B', 'Q', 'g', 'w', '-', '_', '.', '=', ' '] {
                let mut altered = good.clone();
                altered.replace_range(place..=place, &character.to_string());
                let accepted = auth.authenticate(&altered, fixtures.now).is_ok();
                assert!(altered == *good || !accepted, "{altered}");
            }
        }
    }
}

const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9p\
    c19yb290Ijp0cnVlfQ";
const RSA_SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuH\
    Im4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6\
    xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ\
    1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
const RSA_MODULUS: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4q\
    PCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bS\
    f63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6\
    _I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
const EC_SIGNATURE: &str =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
const ED_SIGNATURE: &str =
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

/// RFC 7515, appendices A.2 and A.3, and RFC 8037, appendix A.4. None of them names an audience
/// (the last has no claims at all), so that what they are refused for in the end tells that the
/// signature before it was good.
#[test]
fn the_examples_of_the_rfcs() {
    let rsa = json!({"kty": "RSA", "n": RSA_MODULUS, "e": "AQAB"});
    let ec = json!({
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    let ed = json!({
        "kty": "OKP",
        "crv": "Ed25519",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    });
    let text = "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let rows = [
        ("RS256", &rsa, PAYLOAD, RSA_SIGNATURE, AuthError::Audience),
        ("ES256", &ec, PAYLOAD, EC_SIGNATURE, AuthError::Audience),
        ("EdDSA", &ed, text, ED_SIGNATURE, AuthError::Malformed),
    ];
    let config = AuthConfig {
        issuer: Some("joe".to_owned()),
        ..config(&fixtures())
    };
    let auth = Authenticator::new(config).unwrap();
    let both = json!({"keys": [rsa, ec, ed]});
    for (alg, key, payload, signature, expected) in rows {
        let header = base64url(format!(r#"{{"alg":"{alg}"}}"#));
        let now = 1_300_819_380 - 1;
        for keys in [json!({"keys": [key]}), both.clone()] {
            auth.replace_public_keys(set(&keys));
            let token = format!("{header}.{payload}.{signature}");
            assert_eq!(auth.authenticate(&token, now), Err(expected), "{alg}");
            let other = format!("{header}.{}.{signature}", payload.replace('F', "G"));
            let forged = auth.authenticate(&other, now);
            assert_eq!(forged, Err(AuthError::UnknownKey), "{alg}");
        }
    }
}

proptest! {
    /// Nothing that stands in a set, a header or a signature panics or is accepted.
    #[test]
    fn any_signature_is_answered(
        signature in prop::collection::vec(any::<u8>(), 0..300),
        alg in "(RS256|ES256|EdDSA)",
        kid in prop::option::of("(rsa|ec|ed|off-curve|x)"),
    ) {
        let fixtures = fixtures();
        let auth = Authenticator::new(config(&fixtures)).unwrap();
        auth.replace_public_keys(set(&fixtures.sets["main"]));
        let mut header = json!({ "alg": alg });
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        let token = format!("{}.e30.{}", base64url(header.to_string()), base64url(signature));
        prop_assert!(auth.authenticate(&token, fixtures.now).is_err());
    }
}
