//! Connections to the server, and what it says of itself.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo,
    IntoConnectionInfo as _, RedisConnectionInfo, TlsCertificates, Value,
};

use crate::settings::{Credentials, RedisSettings, Server};
use crate::value;

/// Where a connection to one server may take so long at each of its steps.
const CONNECTING: Duration = Duration::from_secs(2);
/// XAUTOCLAIM came with Redis 6.2.
const OLDEST: (u32, u32) = (6, 2);

/// Why Redis cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It cannot be reached now, or does not let us in.
    #[error("Redis at {settings} cannot be used: {source}")]
    Redis {
        /// Where, without user and password.
        settings: String,
        /// What went wrong.
        source: redis::RedisError,
    },
    /// It did not answer in time.
    #[error("Redis at {0} does not answer")]
    Silent(String),
    /// No sentinel named a master that can be reached.
    #[error("no sentinel of {0} names a master that is one: {1}")]
    NoMaster(String, String),
    /// It is not a server that this program can use.
    #[error("Redis at {0} cannot be used: {1}")]
    Unfit(String, String),
    /// What it is to be used for is not well put.
    #[error("{0}")]
    Options(&'static str),
}

impl ConnectError {
    /// Whether the server does not let us in: it will not by itself.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Redis { source, .. } => {
                // What TLS does not accept of the server's certificate.
                // The library keeps it shared.
                type Shared = std::sync::Arc<dyn std::error::Error + Send + Sync>;
                let io = std::error::Error::source(source);
                let io = io.and_then(|io| io.downcast_ref::<Shared>());
                let io = io.and_then(|io| io.downcast_ref::<std::io::Error>());
                io.is_some_and(|io| io.kind() == std::io::ErrorKind::InvalidData)
                    || source.kind() == redis::ErrorKind::AuthenticationFailed
                    || matches!(source.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
            }
            Self::Unfit(..) | Self::Options(_) => true,
            Self::Silent(_) | Self::NoMaster(..) => false,
        }
    }
}

/// What was read of the server when a connection was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its version, as it says; `unknown` if it does not.
    pub version: String,
    /// Why what it takes is not durable; `None` where it is.
    pub not_durable: Option<String>,
    /// Another one after each start of the server; empty if it does not say.
    pub(crate) run: String,
}

/// Makes connections to the server that the settings name, or that the sentinels name now.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    settings: RedisSettings,
}

impl Connector {
    pub(crate) fn new(settings: RedisSettings) -> Self {
        // There is one provider in this program, and rustls has to know it before its first use.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Self { settings }
    }

    /// Where, for messages.
    pub(crate) fn name(&self) -> String {
        self.settings.to_string()
    }

    /// A connection to the master. Answers are waited for without a bound: the caller has one.
    pub(crate) async fn connect(&self) -> Result<MultiplexedConnection, ConnectError> {
        let Some(sentinels) = &self.settings.sentinels else {
            let Some(server) = self.settings.servers.first() else {
                return Err(ConnectError::Silent(self.name()));
            };
            return self
                .open(server, &self.settings.credentials, self.settings.database)
                .await;
        };
        let mut last = "none could be reached".to_owned();
        for sentinel in &self.settings.servers {
            match self
                .ask(sentinel, &sentinels.master, &sentinels.credentials)
                .await
            {
                Ok(master) => {
                    let credentials = &self.settings.credentials;
                    match self
                        .open(&master, credentials, self.settings.database)
                        .await
                    {
                        Ok(mut connection) => match role(&mut connection).await {
                            // Who may not ask finds out at the first write.
                            Some(role) if role != "master" => {
                                last = format!("{master} is a {role}");
                            }
                            _ => return Ok(connection),
                        },
                        Err(error) => last = error.to_string(),
                    }
                }
                Err(why) => last = format!("{sentinel}: {why}"),
            }
        }
        Err(ConnectError::NoMaster(self.name(), last))
    }

    async fn ask(
        &self,
        sentinel: &Server,
        master: &str,
        credentials: &Credentials,
    ) -> Result<Server, String> {
        let connection = self.open(sentinel, credentials, 0).await;
        let mut connection = connection.map_err(|error| error.to_string())?;
        let mut command = redis::cmd("SENTINEL");
        command.arg("get-master-addr-by-name").arg(master);
        let answer = tokio::time::timeout(CONNECTING, command.query_async(&mut connection)).await;
        let answer: Value = answer
            .map_err(|_| "it does not answer".to_owned())?
            .map_err(|error| error.to_string())?;
        let mut parts = value::array(answer).unwrap_or_default().into_iter();
        let host = parts.next().and_then(value::text);
        let port = parts.next().as_ref().and_then(value::number);
        match (host, port.and_then(|port| u16::try_from(port).ok())) {
            (Some(host), Some(port)) => Ok(Server { host, port }),
            _ => Err("it knows no master of this name".to_owned()),
        }
    }

    async fn open(
        &self,
        server: &Server,
        credentials: &Credentials,
        database: u16,
    ) -> Result<MultiplexedConnection, ConnectError> {
        let opening = async {
            let client = self.client(server, credentials, database)?;
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(CONNECTING))
                .set_response_timeout(None)
                .set_pipeline_buffer_size(1_024);
            client
                .get_multiplexed_async_connection_with_config(&config)
                .await
        };
        // The library bounds the connection alone; a server that stands still may not answer AUTH.
        match tokio::time::timeout(2 * CONNECTING, opening).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(source)) => Err(ConnectError::Redis {
                settings: self.name(),
                source,
            }),
            Err(_) => Err(ConnectError::Silent(self.name())),
        }
    }

    fn client(
        &self,
        server: &Server,
        credentials: &Credentials,
        database: u16,
    ) -> Result<Client, redis::RedisError> {
        let address = if self.settings.tls {
            ConnectionAddr::TcpTls {
                host: server.host.clone(),
                port: server.port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(server.host.clone(), server.port)
        };
        let mut redis = RedisConnectionInfo::default().set_db(i64::from(database));
        if let Some(user) = &credentials.user {
            redis = redis.set_username(user);
        }
        if let Some(password) = &credentials.password {
            redis = redis.set_password(password);
        }
        let info: ConnectionInfo = address.into_connection_info()?.set_redis_settings(redis);
        let certificates = &self.settings.certificates;
        if !self.settings.tls || *certificates == crate::settings::Certificates::default() {
            return Client::open(info);
        }
        let client_tls = certificates
            .client
            .as_ref()
            .map(|(certificate, key)| ClientTlsConfig {
                client_cert: certificate.clone(),
                client_key: key.clone(),
            });
        let certificates = TlsCertificates {
            client_tls,
            root_cert: certificates.trusted.clone(),
        };
        Client::build_with_tls(info, certificates)
    }
}

async fn role(connection: &mut MultiplexedConnection) -> Option<String> {
    let command = redis::cmd("ROLE");
    let answer = tokio::time::timeout(CONNECTING, command.query_async::<Value>(connection)).await;
    value::array(answer.ok()?.ok()?)?
        .into_iter()
        .next()
        .and_then(value::text)
}

/// Reads what the server is and how it keeps what it takes.
///
/// # Errors
/// With a sentence if it is one that cannot be used.
pub(crate) async fn inspect(connection: &mut MultiplexedConnection) -> Result<Report, String> {
    // Where INFO is forbidden the server is believed to be fit: what it cannot do it will say.
    let info: String = redis::cmd("INFO")
        .arg("server")
        .query_async(connection)
        .await
        .unwrap_or_default();
    let member = |name: &str| {
        let lines = info.lines().filter_map(|line| line.split_once(':'));
        lines
            .into_iter()
            .find(|(is, _)| *is == name)
            .map(|(_, value)| value.trim().to_owned())
    };
    if member("redis_mode").as_deref() == Some("cluster") {
        return Err(
            "it is part of a Redis Cluster, which is not supported; use one server, with \
                    replicas and Sentinel where it has to survive"
                .to_owned(),
        );
    }
    let version = member("redis_version");
    let run = member("run_id").unwrap_or_default();
    let parts = version.as_deref().and_then(|version| {
        let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
        Some((parts.next()??, parts.next()??))
    });
    if parts.is_some_and(|parts| parts < OLDEST) {
        let version = version.unwrap_or_default();
        return Err(format!(
            "it is version {version}, and 6.2 is the oldest that is supported"
        ));
    }
    Ok(Report {
        version: version.unwrap_or_else(|| "unknown".to_owned()),
        not_durable: not_durable(connection).await,
        run,
    })
}

/// Why what the server takes is not durable once it has said so; `None` where it is.
pub(crate) async fn not_durable(connection: &mut MultiplexedConnection) -> Option<String> {
    // Settings, what they have to be, and what happens otherwise.
    let needed = [
        (
            "appendonly",
            "yes",
            "a restart loses what came since the last snapshot",
        ),
        ("appendfsync", "always", "a power cut loses the last second"),
        (
            "no-appendfsync-on-rewrite",
            "no",
            "a power cut during a rewrite loses what came in it",
        ),
        (
            "maxmemory-policy",
            "noeviction",
            "Redis may throw requests away when memory is short",
        ),
    ];
    for (name, value, otherwise) in needed {
        let mut command = redis::cmd("CONFIG");
        let asked = command
            .arg("GET")
            .arg(name)
            .query_async::<Value>(connection)
            .await;
        let found = match asked {
            Ok(answer) => value::members(answer).unwrap_or_default(),
            Err(error) => {
                return Some(format!(
                    "Redis does not say how it keeps what it takes (CONFIG GET {name}: {error}), \
                     so nothing is said to be durable there"
                ));
            }
        };
        let has = found.into_iter().find(|(is, _)| is == name);
        let has = has.and_then(|(_, value)| value::text(value));
        if has.as_deref() != Some(value) {
            let has = has.as_deref().unwrap_or("not known");
            return Some(format!(
                "{name} is {has} and would have to be {value}: {otherwise}"
            ));
        }
    }
    None
}
