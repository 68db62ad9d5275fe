//! Alerts: nobody of a group is healthy any more, and the operator and its members want to know.
//!
//! Each is one POST in the background, once, of a body that is the same for all. A member must not use this server to
//! reach what only the server can: unless the configuration says otherwise, its webhook is at a public address, which is
//! looked at once its name is resolved, and is the one that is connected to; and not one of this machine.

use std::cell::{OnceCell, RefCell};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use log::{debug, warn};
use socket2::{Domain, Type};

use crate::config::{self, MemberWebhooks, Tls, Url};
use crate::json::Json;
use crate::limits;
use crate::link::Setup;
use crate::net::http;
use crate::net::names::Names;
use crate::net::socket::Socket;
use crate::net::task::Owned;
use crate::net::wire::Wire;
use crate::proto::End;
use crate::transport;

use super::Server;
use super::port::Port;
use super::registry::Fall;
use super::services::Service;

/// Those that are under way. Members' take neither place nor time from the operator's: their names may lead to a server
/// that does not answer.
#[derive(Default)]
pub struct Alerts {
    operator: Post,
    members: Post,
}

/// Alerts of one kind.
#[derive(Default)]
struct Post {
    means: Rc<Means>,
    under_way: RefCell<Vec<Owned>>,
}

/// What it takes to reach somebody.
#[derive(Default)]
struct Means {
    names: Names,
    tls: OnceCell<Setup>,
}

/// Why a member's webhook cannot be told, for its client.
pub fn refusal(webhook: &str, allowed: MemberWebhooks) -> Option<String> {
    if webhook.is_empty() || allowed == MemberWebhooks::Off {
        return None;
    }
    match Url::parse(webhook) {
        Err(text) => Some(format!("alert_webhook {text}")),
        Ok(url) if url.is_tls && !config::available(config::Group::Transport).contains(&"tls") => {
            Some("alert_webhook is https, and this server is built without tls".to_owned())
        }
        Ok(_) => None,
    }
}

impl Server {
    /// Says so, to all who want to know.
    pub(super) fn alert(&self, fall: &Fall) {
        warn!(
            "group has no healthy member group={} members={}",
            fall.group, fall.members
        );
        let Some(service) = self.services.get(fall.service) else {
            return;
        };
        let balancing = &self.config().balancing;
        let body = body(fall, &service, &balancing.region);
        let mut told: Vec<&Url> = balancing.webhook.iter().collect();
        told.iter()
            .for_each(|url| self.alerts.operator.send((*url).clone(), body.clone(), true));
        let members: Vec<Url> = fall.webhooks.iter().filter_map(|url| Url::parse(url).ok()).collect();
        for url in &members {
            if balancing.member_webhooks != MemberWebhooks::Off && !told.contains(&url) {
                told.push(url);
                let is_free = balancing.member_webhooks == MemberWebhooks::Any;
                self.alerts.members.send(url.clone(), body.clone(), is_free);
            }
        }
    }
}

impl Post {
    fn send(&self, url: Url, body: String, is_free: bool) {
        let means = self.means.clone();
        let mut alerts = self.under_way.borrow_mut();
        alerts.retain(|alert| !alert.is_over());
        if alerts.len() >= limits::MAX_ALERTS {
            return warn!("alert is lost url={url}: too many are under way");
        }
        alerts.push(Owned::spawn(async move {
            let time = Duration::from_secs(limits::ALERT_TIME);
            match tokio::time::timeout(time, tell(&means, &url, &body, is_free)).await {
                Ok(Ok(status @ 200..300)) => debug!("alert was taken url={url} status={status}"),
                Ok(Ok(status)) => warn!("alert was not taken url={url} status={status}"),
                Ok(Err(error)) => warn!("alert is lost url={url}: {error}"),
                Err(_) => warn!("alert is lost url={url}: no answer in {} s", limits::ALERT_TIME),
            }
        }));
    }
}

async fn tell(means: &Means, url: &Url, body: &str, is_free: bool) -> io::Result<u16> {
    let found = means.names.resolve(&url.address.host, url.address.port, false).await?;
    let is_fit = |at: &SocketAddr| is_free || is_public(at.ip()) && !is_own(*at);
    let address = found.into_iter().find(is_fit);
    let wrong = "it is not at a public address of another machine (member_webhooks)";
    let address = address.ok_or_else(|| io::Error::other(wrong))?;
    let mut wire = connect(means, url, address).await?;
    let mut request = b"POST ".to_vec();
    request.extend_from_slice(url.path.as_bytes());
    let (host, length) = (&url.host, body.len());
    request.extend_from_slice(
        format!(
            " HTTP/1.1\r\nHost: {host}\r\nUser-Agent: pinhole\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .as_bytes(),
    );
    http::ask(&mut wire, &request).await
}

async fn connect(means: &Means, url: &Url, address: SocketAddr) -> io::Result<Wire> {
    let setup = match url.is_tls {
        true => means.tls()?,
        false => &Setup::Plain,
    };
    let socket = Socket::connect(address, &transport::visitor_options(true)).await?;
    let cover = setup.cover(End::Client, &url.address.host, url.address.port)?;
    Ok(Wire::new(socket, cover))
}

impl Means {
    /// Made once: the system's roots are some hundred files.
    fn tls(&self) -> io::Result<&Setup> {
        if self.tls.get().is_none() {
            let setup = Setup::tls(&Tls::default(), End::Client).map_err(|unfit| io::Error::other(unfit.text))?;
            let _ = self.tls.set(setup);
        }
        self.tls.get().ok_or_else(|| io::ErrorKind::Unsupported.into())
    }
}

fn body(fall: &Fall, service: &Rc<Service>, region: &str) -> String {
    let port = service.port.borrow().as_ref().map_or(0, Port::number);
    let mut out = Json::default();
    out.raw("{")
        .text("event", "group_zero_healthy")
        .text("region_id", region)
        .text("protocol", service.config().kind.name())
        .text("label", &port.to_string())
        .text("group_name", &fall.group)
        .text("key_hash_short", &config::hex(&fall.key[..4]))
        .number("member_count", fall.members as u64)
        .text("at", &moment(SystemTime::now()))
        .raw("}");
    out.into_text()
}

/// RFC 3339 in UTC.
fn moment(now: SystemTime) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (year, month, day) = crate::log::date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+00:00")
}

/// Whether it is this machine's, where more may be reached from here than from elsewhere. Nothing is sent.
fn is_own(address: SocketAddr) -> bool {
    let from = || {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
        socket.connect(&address.into())?;
        socket.local_addr()
    };
    let from = from().ok().and_then(|from| from.as_socket());
    from.is_some_and(|from| from.ip() == address.ip())
}

/// Whether everyone on the internet reaches the same host there, as far as the address tells.
fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let is_shared = matches!(
        ip.octets(),
        [0 | 240..=255, ..] | [100, 64..=127, ..] | [198, 18 | 19, ..] | [192, 0, 0, _]
    );
    let is_local = ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_multicast();
    !is_shared && !is_local && !ip.is_documentation()
}

/// Of what is global unicast, not what carries an IPv4 address or stands in books.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    match ip.segments() {
        // 6to4, Teredo and others of 2001::/23, documentation
        [0x2002, ..] | [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, ..] => false,
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        let is_public = |text: &str| is_public(text.parse().expect(text));
        for own in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "fc00::1",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(!is_public(own), "{own}");
        }
        for other in [
            "1.1.1.1",
            "100.128.0.1",
            "172.32.0.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
        ] {
            assert!(is_public(other), "{other}");
        }
    }

    #[test]
    fn moments_are_as_the_body_has_them() {
        let at = UNIX_EPOCH + Duration::from_secs(68_169_600 + 3_723);
        assert_eq!(moment(at), "1972-02-29T01:02:03+00:00");
    }

    #[test]
    fn what_cannot_be_told_is_refused_before() {
        assert_eq!(refusal("", MemberWebhooks::Any), None);
        assert_eq!(refusal("http://x/hunter2", MemberWebhooks::Public), None);
        let refused = refusal("ftp://x/hunter2", MemberWebhooks::Public).expect("a refusal");
        assert!(refused.starts_with("alert_webhook has a scheme") && !refused.contains("hunter2"));
        assert_eq!(refusal("ftp://x/hunter2", MemberWebhooks::Off), None);
        let has_tls = config::available(config::Group::Transport).contains(&"tls");
        assert_eq!(refusal("https://x/", MemberWebhooks::Any).is_none(), has_tls);
    }
}
