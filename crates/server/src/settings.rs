//! Settings: flags over environment over file, made into one resolved form here and nowhere
//! else.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use crate::Failure;
use crate::commands::scrub::Pace;
use crate::jwks::Source;

mod edge;
mod topology;
pub(crate) use edge::{Edge, time};
pub(crate) use topology::{QueueAt, StoreAt, Topology};

/// Settings as they are given. In a file the names are those of the flags, with `_` for `-`.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawSettings {
    /// A TOML file with settings.
    #[arg(long, global = true, value_name = "FILE", env = "AUDITTRAIL_CONFIG")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Where to listen; port 0 picks one. [default: 127.0.0.1:8000]
    #[arg(long, global = true, value_name = "ADDRESS", env = "AUDITTRAIL_LISTEN")]
    listen: Option<String>,
    /// The data directory. [default: ./audittrail-data]
    #[arg(long, global = true, value_name = "DIR", env = "AUDITTRAIL_DATA")]
    data: Option<PathBuf>,
    /// Where entries are kept: `embedded`, in the data directory, or a mongodb:// or
    /// mongodb+srv:// URL of a replica set. [default: embedded]
    #[arg(
        long,
        global = true,
        value_name = "STORE",
        env = "AUDITTRAIL_STORE",
        hide_env_values = true
    )]
    store: Option<String>,
    /// How entries reach the sequencer: `in-process`, or a redis://, rediss:// or redis+sentinel://
    /// URL, which needs MongoDB as the store. [default: in-process]
    #[arg(
        long,
        global = true,
        value_name = "QUEUE",
        env = "AUDITTRAIL_QUEUE",
        hide_env_values = true
    )]
    queue: Option<String>,
    /// Whether `serve` also sequences: `in-process`, or `none` where `audittrail worker` does.
    /// [default: in-process]
    #[arg(long, global = true, value_name = "WHERE", env = "AUDITTRAIL_WORKER")]
    worker: Option<String>,
    /// Certificates of the authorities that Redis's certificate may be from, as PEM.
    /// [default: those of the system]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "AUDITTRAIL_REDIS_CA"
    )]
    redis_ca: Option<PathBuf>,
    /// The certificate that is shown to Redis, as PEM, with --redis-key.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "AUDITTRAIL_REDIS_CERTIFICATE"
    )]
    redis_certificate: Option<PathBuf>,
    /// The key of the certificate that is shown to Redis, as PEM.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "AUDITTRAIL_REDIS_KEY"
    )]
    redis_key: Option<PathBuf>,
    /// The log's name, fixed at first start. [default: made from its key]
    #[arg(long, global = true, value_name = "NAME", env = "AUDITTRAIL_ORIGIN")]
    origin: Option<String>,
    /// What success means where a client does not say: queued, committed or published.
    /// [default: committed]
    #[arg(long, global = true, value_name = "LEVEL", env = "AUDITTRAIL_ACK")]
    ack: Option<String>,
    /// Where metrics are served; `same` for the API's address, `none` for nowhere.
    /// [default: 127.0.0.1:9464]
    #[arg(
        long,
        global = true,
        value_name = "ADDRESS",
        env = "AUDITTRAIL_METRICS_LISTEN"
    )]
    metrics_listen: Option<String>,
    /// Who may have checkpoints and tiles: `private`, who may have proofs of everything;
    /// `public`, anybody, without a token. Tiles show action, tenant, outcome and times of every
    /// entry. [default: private]
    #[arg(long, global = true, value_name = "WHO", env = "AUDITTRAIL_TILES")]
    tiles: Option<String>,
    /// The witnesses of the log: a C2SP policy file. Each published checkpoint is sent to those
    /// that have a URL there, and served with their cosignatures.
    #[arg(long, global = true, value_name = "FILE", env = "AUDITTRAIL_WITNESSES")]
    witnesses: Option<PathBuf>,
    /// A file on another volume that keeps the newest checkpoint: a data directory that was put
    /// back from a copy is recognised by it at start.
    #[arg(long, global = true, value_name = "FILE", env = "AUDITTRAIL_WATERMARK")]
    watermark: Option<PathBuf>,
    /// How fast the background check reads the log again, in MiB a second. [default: 20]
    #[arg(long, global = true, value_name = "N", env = "AUDITTRAIL_SCRUB_RATE")]
    scrub_rate: Option<u64>,
    /// The pause between two rounds of the background check. [default: 10m]
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        env = "AUDITTRAIL_SCRUB_PAUSE"
    )]
    scrub_pause: Option<String>,
    /// How fast files of the log that are full are compressed, in MiB a second; 0 leaves them as
    /// they are. [default: 32]
    #[arg(long, global = true, value_name = "N", env = "AUDITTRAIL_PACK_RATE")]
    pack_rate: Option<u64>,
    /// The address of the API's root as clients see it, for `next` links and `Location`.
    #[arg(long, global = true, value_name = "URL", env = "AUDITTRAIL_PUBLIC_URL")]
    public_url: Option<String>,
    /// What stands before every path, such as /audit, where a proxy does not remove it.
    #[arg(long, global = true, value_name = "PATH", env = "AUDITTRAIL_BASE_PATH")]
    pub(crate) base_path: Option<String>,
    /// Proxies whose Forwarded and X-Forwarded-* are believed: addresses and blocks, comma-separated.
    #[arg(
        long,
        global = true,
        value_name = "CIDRS",
        env = "AUDITTRAIL_TRUSTED_PROXIES"
    )]
    pub(crate) trusted_proxies: Option<String>,
    /// How often one caller may ask, like 50/s, 600/m or 10000/h. [default: no limit]
    #[arg(
        long,
        global = true,
        value_name = "RATE",
        env = "AUDITTRAIL_RATE_LIMIT"
    )]
    pub(crate) rate_limit: Option<String>,
    /// Connections at once; more wait. [default: 8192]
    #[arg(
        long,
        global = true,
        value_name = "N",
        env = "AUDITTRAIL_MAX_CONNECTIONS"
    )]
    pub(crate) max_connections: Option<usize>,
    /// Streams of new entries at once; one caller has up to an eighth of them. [default: 1024]
    #[arg(long, global = true, value_name = "N", env = "AUDITTRAIL_MAX_STREAMS")]
    max_streams: Option<usize>,
    /// The time for the head of a request to arrive. [default: 15s]
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        env = "AUDITTRAIL_HEAD_TIMEOUT"
    )]
    pub(crate) head_timeout: Option<String>,
    /// The longest pause within the body of a request. [default: 10s]
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        env = "AUDITTRAIL_BODY_TIMEOUT"
    )]
    pub(crate) body_timeout: Option<String>,
    /// The time for a request, exports and streams excepted. [default: 30s]
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        env = "AUDITTRAIL_REQUEST_TIMEOUT"
    )]
    pub(crate) request_timeout: Option<String>,
    /// The time that a connection stays open between requests. [default: 60s]
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        env = "AUDITTRAIL_IDLE_TIMEOUT"
    )]
    pub(crate) idle_timeout: Option<String>,
    /// The time for a client to take the next part of an answer. [default: 60s]
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        env = "AUDITTRAIL_WRITE_TIMEOUT"
    )]
    pub(crate) write_timeout: Option<String>,
    /// The time for requests under way to finish when the server is stopped. [default: 20s]
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        env = "AUDITTRAIL_SHUTDOWN_TIMEOUT"
    )]
    pub(crate) shutdown_timeout: Option<String>,
    /// The public keys of an issuer: a file or a URL. Needs an issuer and an audience.
    #[arg(long, global = true, value_name = "FILE|URL", env = "AUDITTRAIL_JWKS")]
    jwks: Option<String>,
    /// The accepted algorithms of tokens, separated by commas.
    /// [default: HS256, with --jwks also RS256, ES256 and EdDSA]
    #[arg(
        long,
        global = true,
        value_name = "LIST",
        env = "AUDITTRAIL_JWT_ALGORITHMS"
    )]
    jwt_algorithms: Option<String>,
    /// The issuer that tokens must name.
    #[arg(
        long,
        global = true,
        value_name = "ISSUER",
        env = "AUDITTRAIL_JWT_ISSUER"
    )]
    jwt_issuer: Option<String>,
    /// The audience that tokens must name.
    #[arg(
        long,
        global = true,
        value_name = "AUDIENCE",
        env = "AUDITTRAIL_JWT_AUDIENCE"
    )]
    jwt_audience: Option<String>,
    /// The role of a token that has none.
    #[arg(
        long,
        global = true,
        value_name = "ROLE",
        env = "AUDITTRAIL_DEFAULT_ROLE"
    )]
    default_role: Option<String>,
    /// What is logged: a level, or a filter such as info,audittrail_sequencer=debug.
    /// [default: info]
    #[arg(long, global = true, value_name = "FILTER", env = "AUDITTRAIL_LOG")]
    log: Option<String>,
    /// text or json. [default: text on a terminal, else json]
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        env = "AUDITTRAIL_LOG_FORMAT"
    )]
    log_format: Option<String>,
}

macro_rules! fall_back {
    ($to:ident, $from:ident: $($field:ident)*) => {
        $( if $to.$field.is_none() { $to.$field = $from.$field; } )*
    };
}

/// Where metrics are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetricsListen {
    None,
    Same,
    Address(SocketAddr),
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Settings that can be used as they are.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) topology: Topology,
    pub(crate) data: PathBuf,
    pub(crate) origin: Option<String>,
    pub(crate) ack: String,
    pub(crate) metrics_listen: MetricsListen,
    pub(crate) max_streams: usize,
    pub(crate) public_tiles: bool,
    pub(crate) witnesses: Option<PathBuf>,
    pub(crate) watermark: Option<PathBuf>,
    pub(crate) scrub: Pace,
    /// How many bytes of closed segments are packed in a second at the most; with 0 none.
    pub(crate) pack_bytes_per_second: u64,
    pub(crate) public_url: Option<String>,
    pub(crate) edge: Edge,
    pub(crate) jwks: Option<Source>,
    /// At least one; others than HS256 only with a JWKS.
    pub(crate) jwt_algorithms: Vec<String>,
    pub(crate) jwt_issuer: Option<String>,
    pub(crate) jwt_audience: Option<String>,
    pub(crate) default_role: Option<String>,
    pub(crate) log: String,
    pub(crate) log_format: Option<LogFormat>,
    pub(crate) secrets: Secrets,
}

impl Settings {
    /// Whether tokens signed with the shared secret are accepted.
    pub(crate) fn accepts_secret(&self) -> bool {
        self.jwt_algorithms.iter().any(|name| name == "HS256")
    }
}

/// What must not be shown; from the environment or the files that it names.
#[derive(Default)]
pub(crate) struct Secrets {
    pub(crate) signing_key: Option<Vec<u8>>,
    pub(crate) earlier_signing_keys: Vec<Vec<u8>>,
    pub(crate) checkpoint_key: Option<String>,
    pub(crate) jwt_secret: Option<Vec<u8>>,
    pub(crate) mongo_username: Option<String>,
    pub(crate) mongo_password: Option<String>,
    pub(crate) redis_username: Option<String>,
    pub(crate) redis_password: Option<String>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

/// Makes settings usable, or says which one is not and why.
pub(crate) fn resolve(mut raw: RawSettings) -> Result<Settings, Failure> {
    if let Some(path) = &raw.config {
        let file = read_file(path)?;
        fall_back!(raw, file: listen data store queue worker redis_ca redis_certificate redis_key origin ack metrics_listen tiles witnesses watermark
            max_streams public_url scrub_rate scrub_pause pack_rate
            jwks jwt_algorithms jwt_issuer jwt_audience default_role log log_format base_path
            trusted_proxies rate_limit max_connections head_timeout body_timeout request_timeout
            idle_timeout write_timeout shutdown_timeout);
    }
    let edge = edge::resolve(&raw)?;
    let secrets = read_secrets()?;
    let topology = Topology::resolve(&raw, &secrets)?;
    topology.check(&raw, &secrets)?;
    let ack = raw.ack.unwrap_or_else(|| "committed".to_owned());
    if !["queued", "committed", "published"].contains(&ack.as_str()) {
        return Err(usage(format!(
            "ack is {ack}; use queued, committed or published"
        )));
    }
    let metrics_listen = match raw.metrics_listen.as_deref() {
        Some("none") => MetricsListen::None,
        Some("same") => MetricsListen::Same,
        other => MetricsListen::Address(address("metrics-listen", other, "127.0.0.1:9464")?),
    };
    let public_tiles = match raw.tiles.as_deref() {
        None | Some("private") => false,
        Some("public") => true,
        Some(other) => return Err(usage(format!("tiles is {other}; use private or public"))),
    };
    let log_format = match raw.log_format.as_deref() {
        None => None,
        Some("text") => Some(LogFormat::Text),
        Some("json") => Some(LogFormat::Json),
        Some(other) => return Err(usage(format!("log-format is {other}; use text or json"))),
    };
    let jwks = raw.jwks.as_deref().map(Source::parse).transpose()?;
    if jwks.is_some() && (raw.jwt_issuer.is_none() || raw.jwt_audience.is_none()) {
        return Err(usage(
            "jwks is set without an issuer and an audience: every token of that issuer would do; \
             set AUDITTRAIL_JWT_ISSUER and AUDITTRAIL_JWT_AUDIENCE"
                .to_owned(),
        ));
    }
    Ok(Settings {
        topology,
        jwt_algorithms: algorithms(raw.jwt_algorithms.as_deref(), jwks.is_some())?,
        jwks,
        listen: address("listen", raw.listen.as_deref(), "127.0.0.1:8000")?,
        data: raw.data.unwrap_or_else(|| PathBuf::from("audittrail-data")),
        origin: raw.origin,
        ack,
        metrics_listen,
        public_tiles,
        witnesses: raw.witnesses,
        watermark: raw.watermark,
        scrub: pace(raw.scrub_rate, raw.scrub_pause.as_deref())?,
        pack_bytes_per_second: pack_rate(raw.pack_rate)?,
        max_streams: raw.max_streams.unwrap_or(1_024),
        public_url: raw.public_url.map(|url| public_url(&url)).transpose()?,
        edge,
        jwt_issuer: raw.jwt_issuer,
        jwt_audience: raw.jwt_audience,
        default_role: raw.default_role,
        log: raw.log.unwrap_or_else(|| "info".to_owned()),
        log_format,
        secrets,
    })
}

fn usage(message: String) -> Failure {
    Failure::Usage(message)
}

fn read_file(path: &Path) -> Result<RawSettings, Failure> {
    let text = read_small(path)
        .and_then(|bytes| String::from_utf8(bytes).map_err(std::io::Error::other))
        .map_err(|error| usage(format!("{} cannot be read: {error}", path.display())))?;
    toml::from_str(&text).map_err(|error| usage(format!("{}: {error}", path.display())))
}

/// Without an address given, the one that is the example.
pub(crate) fn address(
    name: &str,
    given: Option<&str>,
    example: &str,
) -> Result<SocketAddr, Failure> {
    let text = given.unwrap_or(example);
    text.parse().map_err(|_| {
        usage(format!(
            "{name} is {text}; write an IP address and a port, like {example}"
        ))
    })
}

/// The accepted algorithms: those that are listed, else all that there are keys for.
fn algorithms(given: Option<&str>, with_jwks: bool) -> Result<Vec<String>, Failure> {
    let text = given.unwrap_or(if with_jwks {
        "HS256,RS256,ES256,EdDSA"
    } else {
        "HS256"
    });
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    for name in &names {
        match name.as_str() {
            "HS256" => {}
            "RS256" | "ES256" | "EdDSA" if with_jwks => {}
            "RS256" | "ES256" | "EdDSA" => {
                return Err(usage(format!(
                    "jwt-algorithms lists {name}, whose keys come from a JWKS: set AUDITTRAIL_JWKS"
                )));
            }
            _ => {
                return Err(usage(format!(
                    "jwt-algorithms is {text}; list some of HS256, RS256, ES256 and EdDSA, \
                     separated by commas"
                )));
            }
        }
    }
    if with_jwks && names.iter().all(|name| name == "HS256") {
        return Err(usage(
            "jwt-algorithms lists none of RS256, ES256 and EdDSA, so that the JWKS would not be \
             used; list one, or leave AUDITTRAIL_JWKS out"
                .to_owned(),
        ));
    }
    Ok(names)
}

/// How fast the background check reads.
fn pace(mib_per_second: Option<u64>, pause: Option<&str>) -> Result<Pace, Failure> {
    let default = Pace::default();
    let rate = mib_per_second.unwrap_or(default.bytes_per_second >> 20);
    if !(1..=100_000).contains(&rate) {
        return Err(usage(format!(
            "scrub-rate is {rate}; use a number of MiB a second, from 1 to 100000"
        )));
    }
    Ok(Pace {
        bytes_per_second: rate << 20,
        pause: time("scrub-pause", pause, default.pause)?,
    })
}

/// In bytes a second.
fn pack_rate(mib_per_second: Option<u64>) -> Result<u64, Failure> {
    match mib_per_second.unwrap_or(32) {
        rate @ 0..=100_000 => Ok(rate << 20),
        rate => Err(usage(format!(
            "pack-rate is {rate}; use a number of MiB a second up to 100000, or 0 to leave the log as \
             it is"
        ))),
    }
}

fn public_url(text: &str) -> Result<String, Failure> {
    let url = reqwest::Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .filter(|url| url.query().is_none() && url.fragment().is_none());
    match url {
        Some(url) => Ok(url.as_str().trim_end_matches('/').to_owned()),
        None => Err(usage(format!(
            "public-url is {text}; write it like https://audit.example.org"
        ))),
    }
}

fn read_secrets() -> Result<Secrets, Failure> {
    let earlier = secret("AUDITTRAIL_EARLIER_SIGNING_KEYS")?.unwrap_or_default();
    Ok(Secrets {
        signing_key: secret("LOG_SIGNING_KEY")?,
        earlier_signing_keys: earlier
            .split(|byte| *byte == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec())
            .filter(|line| !line.is_empty())
            .collect(),
        checkpoint_key: text(secret("AUDITTRAIL_CHECKPOINT_KEY")?),
        jwt_secret: secret("AUDITTRAIL_JWT_SECRET")?,
        mongo_username: text(secret("MONGO_USERNAME")?),
        mongo_password: text(secret("MONGO_PASSWORD")?),
        redis_username: text(secret("REDIS_USERNAME")?),
        redis_password: text(secret("REDIS_PASSWORD")?),
    })
}

fn text(bytes: Option<Vec<u8>>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Keys, checkpoints and settings are far smaller.
const SMALL_FILE_MAX: u64 = 1 << 20;

/// A file that fits in memory, whatever its name leads to; a pipe is read to its end.
pub(crate) fn read_small(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(SMALL_FILE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SMALL_FILE_MAX {
        let what = format!("it has over {SMALL_FILE_MAX} bytes, and none of its kind has");
        return Err(std::io::Error::other(what));
    }
    Ok(bytes)
}

/// A secret from the variable, or from the file that the variable with `_FILE` names, whose
/// last line end does not count.
fn secret(name: &str) -> Result<Option<Vec<u8>>, Failure> {
    let file_name = format!("{name}_FILE");
    let direct = std::env::var_os(name).map(std::os::unix::ffi::OsStringExt::into_vec);
    let path = std::env::var_os(&file_name);
    let value = match (direct, path) {
        (Some(_), Some(_)) => {
            return Err(usage(format!(
                "{name} and {file_name} are both set; set one of them"
            )));
        }
        (direct, None) => direct,
        (None, Some(path)) => {
            let mut bytes = read_small(Path::new(&path)).map_err(|error| {
                usage(format!(
                    "{file_name}: {} cannot be read: {error}",
                    path.to_string_lossy()
                ))
            })?;
            if bytes.last() == Some(&b'\n') {
                bytes.pop();
            }
            Some(bytes)
        }
    };
    match value {
        Some(value) if value.is_empty() => Err(usage(format!("{name} is set but empty"))),
        value => Ok(value),
    }
}
