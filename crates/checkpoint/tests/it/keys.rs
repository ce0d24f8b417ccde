//! Keys: names, their text forms, and what is no key.

use audittrail_checkpoint::{KeyError, Signer, VerifierKey, default_origin};

use crate::support::{log, signer};

const VERIFIER_FORM: KeyError = KeyError::Form("name+8 hex digits+base64");
const SECRET_FORM: KeyError = KeyError::Form("PRIVATE+KEY+name+8 hex digits+base64");

#[test]
fn text_forms_are_read_back() {
    for seed in 0..=255 {
        let signer = signer("example.com/\u{e4}/log", seed);
        let verifier = signer.verifier();
        assert_eq!(
            VerifierKey::parse(&verifier.to_string()).as_ref(),
            Ok(&verifier)
        );
        let again = Signer::parse(&signer.to_secret_text()).unwrap();
        assert_eq!(again.verifier(), verifier);
        assert_eq!(again.sign(b"text\n"), signer.sign(b"text\n"));
    }
}

#[test]
fn base64_with_a_plus_sign_is_read_back() {
    // Only the first two plus signs separate.
    let signer = (0..=255)
        .map(|seed| signer("log", seed))
        .find(|signer| signer.verifier().to_string().matches('+').count() > 2)
        .unwrap();
    let verifier = signer.verifier();
    assert_eq!(VerifierKey::parse(&verifier.to_string()), Ok(verifier));
}

#[test]
fn key_id_depends_on_name_and_key() {
    let ids = [signer("a", 1), signer("b", 1), signer("a", 2)].map(|one| one.verifier().id());
    assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
    assert_eq!(ids[0], signer("a", 1).verifier().id());
}

#[test]
fn illegal_names_are_refused() {
    let public_key = log().verifier().public_key();
    for name in [
        "",
        " ",
        "a b",
        " a",
        "a ",
        "a+b",
        "+",
        "a\nb",
        "a\n",
        "a\tb",
        "a\rb",
        "a\0b",
        "a\u{1}b",
        "a\u{7f}b",
        "a\u{85}b",
        "a\u{a0}b",
        "a\u{2003}b",
        "a\u{2028}b",
        "a\u{3000}b",
    ] {
        assert_eq!(
            VerifierKey::new(name, public_key),
            Err(KeyError::Name),
            "{name:?}"
        );
        assert_eq!(
            Signer::from_seed(name, [1; 32]).unwrap_err(),
            KeyError::Name,
            "{name:?}"
        );
    }
    for name in [
        "a",
        "example.com/log",
        "http://[::1]:80/",
        "\u{2014}",
        "-",
        "=",
        "\u{65e5}",
    ] {
        assert_eq!(VerifierKey::new(name, public_key).unwrap().name(), name);
    }
}

#[test]
fn other_verifier_keys_are_refused() {
    let good = log().verifier().to_string();
    let (name, rest) = good.split_once('+').unwrap();
    let (id, base64) = rest.split_once('+').unwrap();
    assert!(VerifierKey::parse(&format!("{name}+{id}+{base64}")).is_ok());
    for (text, error) in [
        (String::new(), VERIFIER_FORM),
        (name.to_owned(), VERIFIER_FORM),
        (format!("{name}+{id}"), VERIFIER_FORM),
        (format!("{name}+{id}+"), VERIFIER_FORM),
        (format!("{name}+{base64}"), VERIFIER_FORM),
        (format!("+{id}+{base64}"), KeyError::Name),
        (format!("a b+{id}+{base64}"), KeyError::Name),
        (format!("PRIVATE+KEY+{good}"), VERIFIER_FORM),
        // The key ID: eight lower-case digits, and those of this name and key.
        (format!("{name}+{}+{base64}", &id[1..]), VERIFIER_FORM),
        (format!("{name}+0{id}+{base64}"), VERIFIER_FORM),
        (format!("{name}++7499b2d+{base64}"), VERIFIER_FORM),
        (format!("{name}+07499B2D+{base64}"), VERIFIER_FORM),
        (format!("{name}+0x7499b2+{base64}"), VERIFIER_FORM),
        (format!("{name}+07499b2e+{base64}"), KeyError::Id),
        (format!("{name}2+{id}+{base64}"), KeyError::Id),
        // The key: type 1, and 32 bytes in canonical base64.
        (format!("{name}+{id}+{base64}="), VERIFIER_FORM),
        (format!("{name}+{id}+ {base64}"), VERIFIER_FORM),
        (format!("{name}+{id}+{base64}\n"), VERIFIER_FORM),
        (
            format!("{name}+{id}+{}", &base64[..base64.len() - 1]),
            VERIFIER_FORM,
        ),
        (
            format!("{name}+{id}+{}", &base64[..base64.len() - 4]),
            VERIFIER_FORM,
        ),
        (format!("{name}+{id}+{base64}AAAA"), VERIFIER_FORM),
        (
            format!("{name}+{id}+{}", base64.replace('/', "_")),
            VERIFIER_FORM,
        ),
        (
            format!("{name}+{id}+AA{}", &base64[2..]),
            KeyError::Algorithm,
        ),
        (
            format!("{name}+{id}+BA{}", &base64[2..]),
            KeyError::Algorithm,
        ),
    ] {
        assert_eq!(VerifierKey::parse(&text), Err(error), "{text}");
    }
}

#[test]
fn other_secret_keys_are_refused_and_not_repeated() {
    let good = log().to_secret_text();
    let rest = good.strip_prefix("PRIVATE+KEY+").unwrap();
    let other = signer("other", 1).to_secret_text();
    let (_, other_base64) = other.rsplit_once('+').unwrap();
    let (head, base64) = good.rsplit_once('+').unwrap();
    for (text, error) in [
        (String::new(), SECRET_FORM),
        (rest.to_owned(), SECRET_FORM),
        (format!("private+key+{rest}"), SECRET_FORM),
        (format!(" {good}"), SECRET_FORM),
        (format!("{good}\n"), SECRET_FORM),
        (log().verifier().to_string(), SECRET_FORM),
        (
            format!("{head}+{}", &base64[..base64.len() - 4]),
            SECRET_FORM,
        ),
        (format!("{head}+{base64}AAAA"), SECRET_FORM),
        (format!("{head}+Ag{}", &base64[2..]), KeyError::Algorithm),
        (format!("{head}+{other_base64}"), KeyError::Id),
        (good.replace("07499b2d", "07499b2e"), KeyError::Id),
        (good.replace("audit-log", "audit-lag"), KeyError::Id),
        (good.replace("audit-log", "audit log"), KeyError::Name),
    ] {
        let refused = Signer::parse(&text).unwrap_err();
        assert_eq!(refused, error, "{text}");
        assert!(!format!("{refused:?} {refused}").contains(&base64[..8]));
    }
}

#[test]
fn secret_is_not_in_debug_output() {
    let secret = log().to_secret_text();
    let (_, base64) = secret.rsplit_once('+').unwrap();
    let debug = format!("{:?}", log());
    assert_eq!(debug, format!("Signer({}, secret)", log().verifier()));
    assert!(!debug.contains(base64));
}

#[test]
fn bytes_that_are_no_point_are_no_key() {
    // y = 2 is on no point of the curve.
    let mut bytes = [0; 32];
    bytes[0] = 2;
    assert_eq!(VerifierKey::new("log", bytes), Err(VERIFIER_FORM));
}

#[test]
fn logs_without_a_name_are_told_apart() {
    let origins = [1, 2].map(|seed| default_origin(&signer("log", seed).verifier().public_key()));
    assert_ne!(origins[0], origins[1]);
    // It has to be legal as a key's name.
    assert_eq!(signer(&origins[0], 1).verifier().name(), origins[0]);
}
