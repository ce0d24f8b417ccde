//! The server's address: a `mongodb://` or `mongodb+srv://` URL, completed and never shown with
//! its password.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What stands unescaped in user names and passwords.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Scheme, what stands before the `@`, and the rest.
fn parts(url: &str) -> Option<(&str, Option<&str>, &str)> {
    let scheme = ["mongodb://", "mongodb+srv://"]
        .into_iter()
        .find(|scheme| url.starts_with(scheme))?;
    let rest = &url[scheme.len()..];
    // An `@` of a password is escaped; one in the options comes after the hosts.
    let hosts = rest.find(['/', '?']).unwrap_or(rest.len());
    match rest[..hosts].rfind('@') {
        Some(at) => Some((scheme, Some(&rest[..at]), &rest[at + 1..])),
        None => Some((scheme, None, rest)),
    }
}

/// Puts user name and password into a URL that has none of its own.
///
/// # Errors
/// If it is no URL of MongoDB, names another user, or there is a password and nobody whose it
/// is. The message does not have the password.
pub fn complete(
    url: &str,
    username: Option<&str>,
    password: Option<&str>,
) -> Result<String, String> {
    let Some((scheme, own, rest)) = parts(url) else {
        return Err("it is not a mongodb:// or mongodb+srv:// URL, such as \
             mongodb://db1.example,db2.example/audittrail?replicaSet=rs0&tls=true"
            .to_owned());
    };
    if rest.is_empty() || rest.starts_with(['/', '?', ',', ':']) {
        return Err("its URL names no host".to_owned());
    }
    let (own_name, own_password) = match own.map(|own| own.split_once(':').unwrap_or((own, ""))) {
        Some((name, password)) => (
            Some(decoded(name)?),
            Some(password).filter(|p| !p.is_empty()),
        ),
        None => (None, None),
    };
    let name = match (own_name, username) {
        (Some(own), Some(other)) if own != other => {
            return Err(format!(
                "the URL names the user {own:?}, MONGO_USERNAME {other:?}: give one of them"
            ));
        }
        (Some(own), _) => Some(own),
        (None, other) => other.map(str::to_owned),
    };
    let escaped = |text: &str| utf8_percent_encode(text, ESCAPED).to_string();
    let password = match own_password {
        Some(own) => Some(own.to_owned()),
        None => password.map(escaped),
    };
    match (name, password) {
        (Some(name), Some(password)) => Ok(format!("{scheme}{}:{password}@{rest}", escaped(&name))),
        (Some(name), None) => Ok(format!("{scheme}{}@{rest}", escaped(&name))),
        (None, Some(_)) => {
            Err("MONGO_PASSWORD is set, but neither the URL nor MONGO_USERNAME has a user".into())
        }
        (None, None) => Ok(url.to_owned()),
    }
}

fn decoded(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| "the user name in the URL is not UTF-8".to_owned())
}

/// The URL as it can be shown: without what stands before the `@`, and without options.
pub fn shown(url: &str) -> String {
    match parts(url) {
        Some((scheme, _, rest)) => {
            let end = rest.find('?').unwrap_or(rest.len());
            format!("{scheme}{}", &rest[..end])
        }
        None => "a URL of another kind".to_owned(),
    }
}

/// A message without the password of the URL, escaped or not.
pub(crate) fn without_password(message: &str, url: &str) -> String {
    let own = parts(url).and_then(|(_, own, _)| own?.split_once(':'));
    let Some((_, password)) = own.filter(|(_, password)| !password.is_empty()) else {
        return message.to_owned();
    };
    let plain = percent_decode_str(password)
        .decode_utf8_lossy()
        .into_owned();
    message.replace(password, "…").replace(&plain, "…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_put_in_escaped() {
        let url = "mongodb://a.example:27017,b.example/log?replicaSet=rs0";
        assert_eq!(
            complete(url, Some("au:dit"), Some("p@ss/wörd")).unwrap(),
            "mongodb://au%3Adit:p%40ss%2Fw%C3%B6rd@a.example:27017,b.example/log?replicaSet=rs0"
        );
        assert_eq!(complete(url, None, None).unwrap(), url);
        let named = "mongodb+srv://audit@cluster.example";
        assert_eq!(
            complete(named, Some("audit"), Some("x y")).unwrap(),
            "mongodb+srv://audit:x%20y@cluster.example"
        );
        // What the URL says itself stays.
        let whole = "mongodb://audit:one@a.example/?authSource=admin";
        assert_eq!(complete(whole, None, Some("two")).unwrap(), whole);
    }

    #[test]
    fn what_cannot_be_completed_is_refused_without_the_password() {
        for (url, name, password) in [
            ("redis://a.example", None, None),
            ("a.example:27017", None, Some("secret")),
            ("mongodb://a.example", None, Some("secret")),
            ("mongodb://audit:secret@a.example", Some("other"), None),
            ("mongodb://", None, None),
            ("mongodb://audit:secret@/log", None, None),
        ] {
            let refused = complete(url, name, password).unwrap_err();
            assert!(!refused.contains("secret"), "{refused}");
        }
    }

    #[test]
    fn nothing_shows_the_password() {
        let url = "mongodb://audit:p%40ss@a.example/log?authSource=admin";
        assert_eq!(shown(url), "mongodb://a.example/log");
        let message = "cannot read \"audit:p%40ss@a.example\" with p@ss";
        let message = without_password(message, url);
        assert!(
            !message.contains("p%40ss") && !message.contains("p@ss"),
            "{message}"
        );
    }
}
