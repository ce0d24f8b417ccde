//! Where Redis is, from one URL.

use std::fmt;

use percent_encoding::percent_decode_str;

const PORT: u16 = 6_379;
const SENTINEL_PORT: u16 = 26_379;

/// What is wrong with the URL of a Redis. No message repeats a part of the URL, since any part may
/// be one of a password that was not encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the Redis URL cannot be used: {0}")]
pub struct SettingsError(&'static str);

const FORM: SettingsError = SettingsError(
    "write redis://host:port/database, rediss:// for TLS, or \
     redis+sentinel://host:port,host:port/master-name, with user:password@ before the host where \
     one is needed",
);
const HOST: SettingsError = SettingsError(
    "the host is missing or not a host; /, ?, #, @, : and % of a password are written as %2F, \
     %3F, %23, %40, %3A and %25",
);
const SERVERS: SettingsError =
    SettingsError("several hosts are for redis+sentinel:// only; Redis Cluster is not supported");
const FRAGMENT: SettingsError = SettingsError(
    "it has a #; certificates are always checked, so #insecure is not taken, and a # of a \
     password is written as %23",
);
const ENCODING: SettingsError =
    SettingsError("the user or the password is not UTF-8 in percent-encoding");
const PORT_NUMBER: SettingsError = SettingsError("the port is not a number from 1 to 65535");
const DATABASE: SettingsError = SettingsError("the database is not a number from 0 to 65535");
const MASTER: SettingsError =
    SettingsError("the name of the master is missing: redis+sentinel://host:port/master-name");
const PARAMETER: SettingsError = SettingsError(
    "the only parameters are sentinel_user and sentinel_password, each once, with redis+sentinel://",
);
const NOT_TLS: SettingsError =
    SettingsError("certificates are given, and the URL is without TLS; write rediss://");
const ONE_OF_TWO: SettingsError =
    SettingsError("a client certificate needs its key, and a key its certificate");

const TWO_USERS: SettingsError = SettingsError(
    "the user or the password in the URL is another one than REDIS_USERNAME or REDIS_PASSWORD says: \
     give them once",
);

/// Who one is to a server.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Sentinels {
    pub(crate) master: String,
    pub(crate) credentials: Credentials,
}

/// What TLS connections trust and show, as PEM.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Certificates {
    pub(crate) trusted: Option<Vec<u8>>,
    pub(crate) client: Option<(Vec<u8>, Vec<u8>)>,
}

/// Where Redis is and how it is spoken to. `Debug` and `Display` show no user and no password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisSettings {
    pub(crate) tls: bool,
    pub(crate) servers: Vec<Server>,
    pub(crate) sentinels: Option<Sentinels>,
    pub(crate) credentials: Credentials,
    pub(crate) database: u16,
    pub(crate) certificates: Certificates,
}

impl RedisSettings {
    /// Reads one of
    ///
    /// ```text
    /// redis://[[user]:password@]host[:port][/database]
    /// redis+sentinel://[[user]:password@]host[:port][,host[:port]…]/master-name[/database]
    ///     [?sentinel_user=…&sentinel_password=…]
    /// ```
    ///
    /// and the same with `rediss` for TLS, to sentinels too. Users and passwords are
    /// percent-encoded. Ports are 6379 and 26379 where none is given, the database 0.
    ///
    /// # Errors
    /// With a sentence that says what to write instead, and no part of the URL.
    pub fn parse(url: &str) -> Result<Self, SettingsError> {
        let (scheme, rest) = url.trim().split_once("://").ok_or(FORM)?;
        let (tls, by_sentinels) = match scheme {
            "redis" => (false, false),
            "rediss" => (true, false),
            "redis+sentinel" => (false, true),
            "rediss+sentinel" => (true, true),
            _ => return Err(FORM),
        };
        if rest.contains('#') {
            return Err(FRAGMENT);
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if path.contains('@') || query.contains('@') {
            return Err(HOST);
        }
        let (credentials, hosts) = match authority.rsplit_once('@') {
            Some((user_info, hosts)) => (Credentials::parse(user_info)?, hosts),
            None => (Credentials::default(), authority),
        };
        let default_port = if by_sentinels { SENTINEL_PORT } else { PORT };
        let servers = hosts
            .split(',')
            .map(|host| Server::parse(host, default_port));
        let servers = servers.collect::<Result<Vec<_>, _>>()?;
        if servers.len() > 1 && !by_sentinels {
            return Err(SERVERS);
        }
        let (master, database) = if by_sentinels {
            path.split_once('/').unwrap_or((path, ""))
        } else {
            ("", path)
        };
        let sentinels = if by_sentinels {
            let master = decoded(master).ok_or(MASTER)?;
            if master.is_empty() {
                return Err(MASTER);
            }
            let credentials = sentinel_credentials(query)?;
            Some(Sentinels {
                master,
                credentials,
            })
        } else if query.is_empty() {
            None
        } else {
            return Err(PARAMETER);
        };
        Ok(Self {
            tls,
            servers,
            sentinels,
            credentials,
            database: match database {
                "" => 0,
                digits => digits.parse().map_err(|_| DATABASE)?,
            },
            certificates: Certificates::default(),
        })
    }

    /// The same for that user with that password, where the URL has none of its own.
    ///
    /// # Errors
    /// If the URL has another user or another password.
    pub fn with_credentials(
        mut self,
        user: Option<&str>,
        password: Option<&str>,
    ) -> Result<Self, SettingsError> {
        for (own, other) in [
            (&mut self.credentials.user, user),
            (&mut self.credentials.password, password),
        ] {
            match (&own, other) {
                (Some(own), Some(other)) if own != other => return Err(TWO_USERS),
                (None, Some(other)) => *own = Some(other.to_owned()),
                _ => {}
            }
        }
        Ok(self)
    }

    /// Trusts these authorities (PEM) in place of the system's, and shows a client certificate
    /// (PEM) with its key where one is given.
    ///
    /// # Errors
    /// If the URL is without TLS, or one of certificate and key is missing.
    pub fn with_certificates(
        mut self,
        trusted: Option<Vec<u8>>,
        client_certificate: Option<Vec<u8>>,
        client_key: Option<Vec<u8>>,
    ) -> Result<Self, SettingsError> {
        let client = match (client_certificate, client_key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(ONE_OF_TWO),
        };
        if !self.tls && (trusted.is_some() || client.is_some()) {
            return Err(NOT_TLS);
        }
        self.certificates = Certificates { trusted, client };
        Ok(self)
    }
}

impl Credentials {
    fn parse(user_info: &str) -> Result<Self, SettingsError> {
        let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
        let part = |text: &str| match decoded(text) {
            Some(text) if text.is_empty() => Ok(None),
            Some(text) => Ok(Some(text)),
            None => Err(ENCODING),
        };
        Ok(Self {
            user: part(user)?,
            password: part(password)?,
        })
    }
}

impl Server {
    fn parse(text: &str, default_port: u16) -> Result<Self, SettingsError> {
        let (host, port) = if let Some(inside) = text.strip_prefix('[') {
            let (address, after) = inside.split_once(']').ok_or(HOST)?;
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(HOST);
            }
            match after.strip_prefix(':') {
                Some(port) => (address, Some(port)),
                None if after.is_empty() => (address, None),
                None => return Err(HOST),
            }
        } else {
            match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        if host.is_empty() || !host.bytes().all(plain) {
            return Err(HOST);
        }
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port > 0),
            None => Some(default_port),
        };
        Ok(Self {
            host: host.to_owned(),
            port: port.ok_or(PORT_NUMBER)?,
        })
    }
}

fn sentinel_credentials(query: &str) -> Result<Credentials, SettingsError> {
    let mut credentials = Credentials::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(PARAMETER)?;
        let place = match name {
            "sentinel_user" => &mut credentials.user,
            "sentinel_password" => &mut credentials.password,
            _ => return Err(PARAMETER),
        };
        if place.replace(decoded(value).ok_or(ENCODING)?).is_some() {
            return Err(PARAMETER);
        }
    }
    Ok(credentials)
}

fn decoded(text: &str) -> Option<String> {
    let text = percent_decode_str(text).decode_utf8().ok()?;
    (!text.contains('\0')).then(|| text.into_owned())
}

impl fmt::Display for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "rediss" } else { "redis" };
        let way = self.sentinels.as_ref().map_or("", |_| "+sentinel");
        write!(f, "{scheme}{way}://")?;
        for (at, server) in self.servers.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{server}")?;
        }
        if let Some(sentinels) = &self.sentinels {
            write!(f, "/{}", sentinels.master)?;
        }
        write!(f, "/{}", self.database)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisSettings({self})")
    }
}
