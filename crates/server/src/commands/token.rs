//! `audittrail token`

use audittrail_auth::{Claims, Role, mint};
use audittrail_entry::{Clock as _, Timestamp};
use audittrail_store_embedded::disk::RealDisk;

use crate::Failure;
use crate::ambient::SystemClock;
use crate::cli::TokenArguments;
use crate::log_keys::load_jwt_secret;
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, arguments: &TokenArguments) -> Result<(), Failure> {
    if !settings.accepts_secret() {
        return Err(Failure::Usage(
            "the server would not accept it: jwt-algorithms does not list HS256; take a token from \
             the issuer, or list it"
                .to_owned(),
        ));
    }
    let secret = load_jwt_secret(&RealDisk, settings)?;
    let seconds = parse_duration(&arguments.ttl)?;
    let role = role(&arguments.role)?;
    let token = make(
        settings,
        &secret,
        &arguments.sub,
        role,
        arguments.tenant.as_deref(),
        seconds,
        SystemClock.now(),
    )?;
    crate::out!("{token}");
    Ok(())
}

/// The role of that name.
pub(crate) fn role(name: &str) -> Result<Role, Failure> {
    Role::from_name(name).ok_or_else(|| {
        Failure::Usage(format!(
            "role is {name}; use user, writer, reader, auditor or admin"
        ))
    })
}

/// A token for this server.
pub(crate) fn make(
    settings: &Settings,
    secret: &[u8],
    sub: &str,
    role: Role,
    tenant: Option<&str>,
    seconds: i64,
    now: Timestamp,
) -> Result<String, Failure> {
    let iat = now.nanos() / 1_000_000_000;
    let claims = Claims {
        sub: sub.to_owned(),
        roles: vec![role],
        tenant: tenant.map(str::to_owned),
        iss: settings.jwt_issuer.clone(),
        aud: settings.jwt_audience.clone().into_iter().collect(),
        iat,
        exp: iat.saturating_add(seconds),
    };
    mint(secret, &claims).map_err(|error| Failure::Failed(format!("no token was made: {error}")))
}

/// `90s`, `15m`, `8h`, `30d`: seconds.
fn parse_duration(text: &str) -> Result<i64, Failure> {
    let unit = match text.as_bytes().last() {
        Some(b's') => 1,
        Some(b'm') => 60,
        Some(b'h') => 3_600,
        Some(b'd') => 86_400,
        _ => 0,
    };
    let number = text.get(..text.len().saturating_sub(1)).unwrap_or_default();
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse::<i64>().ok().filter(|_| digits && unit > 0);
    number
        .and_then(|number| number.checked_mul(unit))
        .filter(|seconds| *seconds > 0)
        .ok_or_else(|| {
            Failure::Usage(format!(
                "ttl is {text}; write a number with s, m, h or d, like 8h"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::parse_duration;

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("90s", 90),
            ("15m", 900),
            ("8h", 28_800),
            ("30d", 2_592_000),
        ] {
            assert_eq!(parse_duration(text).unwrap(), seconds);
        }
        for text in [
            "",
            "h",
            "0h",
            "-1h",
            "1",
            "1w",
            "1.5h",
            "99999999999999999999d",
            "é",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
