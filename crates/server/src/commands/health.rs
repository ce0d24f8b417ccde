//! `audittrail health`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::Failure;
use crate::cli::HealthArguments;
use crate::commands::remote;
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, arguments: &HealthArguments) -> Result<(), Failure> {
    let path = if arguments.live {
        "/health/live"
    } else {
        "/health/ready"
    };
    let server = match &arguments.url {
        Some(url) => url.clone(),
        None => format!("http://{}", reachable(settings.listen)?),
    };
    let url = remote::url(&server, path)?;
    let failed = |what: String| Failure::Failed(what);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(format!("the runtime cannot be started: {error}")))?;
    runtime.block_on(async {
        // It asks this machine; a proxy would ask another.
        let client = remote::client()
            .no_proxy()
            .timeout(Duration::from_secs(arguments.timeout))
            .build()
            .map_err(|error| failed(format!("no HTTP client: {error}")))?;
        let response = client.get(url).send().await.map_err(|error| {
            failed(format!(
                "{server} does not answer: {}",
                remote::chain(&error)
            ))
        })?;
        let status = response.status();
        if status.is_success() {
            crate::out!("{}", path.trim_start_matches("/health/"));
            return Ok(());
        }
        Err(Failure::Unverified(format!(
            "{server} answered {status}: {}",
            remote::detail(response).await
        )))
    })
}

/// Where this machine reaches a server that listens there.
fn reachable(listen: SocketAddr) -> Result<SocketAddr, Failure> {
    if listen.port() == 0 {
        return Err(Failure::Usage(
            "the server listens on a port of its own choice; give its address with --url"
                .to_owned(),
        ));
    }
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(SocketAddr::new(ip, listen.port()))
}
