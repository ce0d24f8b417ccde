//! Addresses: the client's as proxies report it, and the server's as the client sees it.
//!
//! Who sends `Forwarded` or `X-Forwarded-For` can write anything into them. They count only where
//! the peer is a proxy that the operator trusts, and only as far back as trusted proxies wrote
//! them: the rightmost address that is no trusted proxy is the client's.

use std::net::{IpAddr, SocketAddr};

use audittrail_store::IpBlock;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};

use crate::settings::ApiSettings;

/// Who the server's socket is connected with; an extension of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// The client as far as it can be believed; an extension of requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Client {
    pub(crate) address: Option<IpAddr>,
    /// The protocol and the host that it used, from a trusted proxy.
    https: Option<bool>,
    host: Option<String>,
}

impl Client {
    pub(crate) fn of(peer: Option<Peer>, headers: &HeaderMap, trusted: &[IpBlock]) -> Self {
        let Some(Peer(peer)) = peer else {
            return Self::default();
        };
        let peer = peer.to_canonical();
        let direct = Self {
            address: Some(peer),
            ..Self::default()
        };
        let trusts = |address: IpAddr| trusted.iter().any(|block| block.contains(address));
        if !trusts(peer) {
            return direct;
        }
        let forwarded = headers
            .contains_key(header::FORWARDED)
            .then(|| Self::forwarded(headers, peer, &trusts));
        let legacy = headers
            .contains_key("x-forwarded-for")
            .then(|| Self::legacy(headers, peer, &trusts));
        match (forwarded, legacy) {
            // A proxy writes one of them and may let the client's other one through.
            (Some(one), Some(other)) if one.address != other.address => direct,
            (Some(one), _) | (None, Some(one)) => one,
            (None, None) => Self {
                https: https(last(headers, "x-forwarded-proto")),
                host: host(last(headers, "x-forwarded-host")),
                ..direct
            },
        }
    }

    /// RFC 7239: each proxy appends an element.
    fn forwarded(headers: &HeaderMap, peer: IpAddr, trusts: &impl Fn(IpAddr) -> bool) -> Self {
        let values = headers.get_all(header::FORWARDED).iter();
        let elements: Vec<&str> = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| split(value, b','))
            .collect();
        let mut client = Self {
            address: Some(peer),
            ..Self::default()
        };
        for element in elements.iter().rev() {
            let (mut node, mut protocol, mut name) = (None, None, None);
            for pair in split(element, b';') {
                let (parameter, value) = pair.split_once('=').unwrap_or_default();
                let value = Some(value.trim().trim_matches('"'));
                match parameter.trim().to_ascii_lowercase().as_str() {
                    "for" => node = value,
                    "proto" => protocol = value,
                    "host" => name = value,
                    _ => {}
                }
            }
            let Some(address) = node.and_then(address) else {
                // `unknown`, or a made-up name: who is behind it cannot be said.
                break;
            };
            client = Self {
                address: Some(address),
                https: https(protocol),
                host: host(name),
            };
            if !trusts(address) {
                break;
            }
        }
        client
    }

    fn legacy(headers: &HeaderMap, peer: IpAddr, trusts: &impl Fn(IpAddr) -> bool) -> Self {
        let values = headers.get_all("x-forwarded-for").iter();
        let nodes: Vec<&str> = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        let mut found = peer;
        for node in nodes.iter().rev() {
            let Some(address) = address(node) else { break };
            found = address;
            if !trusts(address) {
                break;
            }
        }
        Self {
            address: Some(found),
            https: https(last(headers, "x-forwarded-proto")),
            host: host(last(headers, "x-forwarded-host")),
        }
    }

    /// The address of a path below the API's root, as the client sees it.
    pub(crate) fn url(&self, settings: &ApiSettings, uri: &Uri, headers: &HeaderMap) -> String {
        let path = uri.path();
        if let Some(url) = &settings.public_url {
            return format!("{}{path}", url.trim_end_matches('/'));
        }
        let scheme = if self.https == Some(true) {
            "https"
        } else {
            "http"
        };
        let own = uri.authority().map(Authority::as_str);
        let sent = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let root = match self.host.as_deref().or(own).or(sent) {
            Some(host) if !host.is_empty() => format!("{scheme}://{host}"),
            _ => String::new(),
        };
        format!("{root}{}{path}", settings.base_path)
    }
}

/// What stands before the API's paths in `Location`.
pub(crate) fn root(settings: &ApiSettings) -> &str {
    let public = settings.public_url.as_deref();
    public.map_or(&settings.base_path, |url| url.trim_end_matches('/'))
}

/// The last of a header's values: the nearest proxy wrote it.
fn last<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim)
}

fn https(protocol: Option<&str>) -> Option<bool> {
    match protocol?.to_ascii_lowercase().as_str() {
        "https" => Some(true),
        "http" => Some(false),
        _ => None,
    }
}

fn host(name: Option<&str>) -> Option<String> {
    let authority: Authority = name?.parse().ok()?;
    (!authority.as_str().contains('@')).then(|| authority.as_str().to_owned())
}

/// `192.0.2.7`, `192.0.2.7:80`, `2001:db8::7`, `[2001:db8::7]:80`.
fn address(node: &str) -> Option<IpAddr> {
    let node = node.trim();
    let bare = node
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = bare.unwrap_or(node).parse();
    let address = address.or_else(|_| node.parse::<SocketAddr>().map(|both| both.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

/// Splits where no quotes are.
fn split(text: &str, at: u8) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |character: char| {
        quoted ^= character == '"';
        !quoted && character == char::from(at)
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client(peer: &str, fields: &[(&'static str, &'static str)]) -> Client {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let trusted = ["10.0.0.0/8", "2001:db8::/32"].map(|text| IpBlock::parse(text).unwrap());
        Client::of(Some(Peer(peer.parse().unwrap())), &headers, &trusted)
    }

    #[test]
    fn who_the_client_is() {
        const XFF: &str = "x-forwarded-for";
        const F: &str = "forwarded";
        for (peer, fields, address) in [
            // Nobody is believed but a trusted proxy.
            ("192.0.2.1", &[(XFF, "203.0.113.9")][..], "192.0.2.1"),
            ("192.0.2.1", &[(F, "for=203.0.113.9")], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("::ffff:10.0.0.1", &[(XFF, "203.0.113.9")], "203.0.113.9"),
            // The rightmost that is no trusted proxy.
            (
                "10.0.0.1",
                &[(XFF, "1.1.1.1, 203.0.113.9, 10.0.0.2")],
                "203.0.113.9",
            ),
            (
                "10.0.0.1",
                &[(XFF, "1.1.1.1"), (XFF, "203.0.113.9")],
                "203.0.113.9",
            ),
            ("10.0.0.1", &[(XFF, "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            (
                "10.0.0.1",
                &[(XFF, "1.1.1.1, nonsense, 10.0.0.2")],
                "10.0.0.2",
            ),
            ("10.0.0.1", &[(XFF, "")], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "203.0.113.9:4711")], "203.0.113.9"),
            ("2001:db8::1", &[(XFF, "[2001:db9::7]:80")], "2001:db9::7"),
            (
                "10.0.0.1",
                &[(F, "for=1.1.1.1, For=\"[2001:db9::7]:80\";proto=https")],
                "2001:db9::7",
            ),
            (
                "10.0.0.1",
                &[(F, "for=\"a,b\", for=203.0.113.9, for=10.0.0.2")],
                "203.0.113.9",
            ),
            (
                "10.0.0.1",
                &[(F, "for=1.1.1.1, for=unknown, for=10.0.0.2")],
                "10.0.0.2",
            ),
            ("10.0.0.1", &[(F, "for=1.1.1.1, for=_hidden")], "10.0.0.1"),
            // Both, and one of them from the client.
            (
                "10.0.0.1",
                &[(F, "for=203.0.113.9"), (XFF, "203.0.113.9")],
                "203.0.113.9",
            ),
            (
                "10.0.0.1",
                &[(F, "for=1.1.1.1"), (XFF, "203.0.113.9")],
                "10.0.0.1",
            ),
        ] {
            let expected: IpAddr = address.parse().unwrap();
            assert_eq!(
                client(peer, fields).address,
                Some(expected),
                "{peer} {fields:?}"
            );
        }
    }

    #[test]
    fn what_address_the_client_used() {
        let mut settings = ApiSettings::default();
        let uri = Uri::from_static("/logs/list/");
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("inner:8000"));
        let proto = ("x-forwarded-proto", "https");
        let named = ("x-forwarded-host", "evil.example, audit.example.org");
        for (peer, fields, url) in [
            ("10.0.0.1", &[][..], "http://inner:8000"),
            ("10.0.0.1", &[proto, named], "https://audit.example.org"),
            (
                "10.0.0.1",
                &[proto, ("x-forwarded-host", "a@b")],
                "https://inner:8000",
            ),
            (
                "10.0.0.1",
                &[("forwarded", "for=1.1.1.1;host=a.example;proto=https")],
                "https://a.example",
            ),
            ("192.0.2.1", &[proto, named], "http://inner:8000"),
        ] {
            let url_of =
                |settings: &ApiSettings| client(peer, fields).url(settings, &uri, &headers);
            assert_eq!(
                url_of(&settings),
                format!("{url}/logs/list/"),
                "{peer} {fields:?}"
            );
            settings.base_path = "/audit".to_owned();
            assert_eq!(url_of(&settings), format!("{url}/audit/logs/list/"));
            settings.public_url = Some("https://p.example/x/".to_owned());
            assert_eq!(url_of(&settings), "https://p.example/x/logs/list/");
            settings = ApiSettings::default();
        }
    }
}
