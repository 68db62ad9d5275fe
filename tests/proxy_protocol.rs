//! Who a visitor is, told by PROXY protocol headers: to local services, and by load balancers before the server.

mod rig;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use rig::program::find;
use rig::{End, Kind, Local, PATIENCE, Process, Role, Service, TempDir, Tunnel, address, eventually, local, visitor};

const VERSIONS: [&str; 2] = ["v1", "v2"];

#[test]
fn nginx_sees_the_visitor() {
    let Some(nginx) = Nginx::start() else { return };
    for version in VERSIONS {
        let tunnel = Tunnel::builder().with(nginx.service(version)).start();
        let public = tunnel.public("web");
        let visitor = from(address::own(), public);
        assert_eq!(page(&visitor), seen(&visitor, public));
    }
}

/// Who binds to every address still tells the one that was asked, and an IPv4 visitor is one, whatever the socket.
#[test]
fn nginx_sees_the_address_that_was_asked() {
    let Some(nginx) = Nginx::start() else { return };
    let mut everywhere = vec![IpAddr::from(Ipv4Addr::UNSPECIFIED)];
    everywhere.extend(address::ipv6().map(|_| IpAddr::from(Ipv6Addr::UNSPECIFIED)));
    for bound in everywhere {
        let port = SocketAddr::new(bound, address::free_everywhere());
        let tunnel = Tunnel::builder().with(nginx.service("v2").at(port)).start();
        tunnel.server().wait_for("service is up service=web");
        let asked = SocketAddr::new(address::own(), port.port());
        let visitor = from(address::own(), asked);
        assert_eq!(page(&visitor), seen(&visitor, asked), "bound to {bound}");
    }
    if let Some(loopback) = address::ipv6() {
        let public = address::free_port(loopback);
        let _tunnel = Tunnel::builder().with(nginx.service("v1").at(public)).start();
        let visitor = visitor::connect(public);
        assert_eq!(page(&visitor), seen(&visitor, public));
    }
}

#[test]
fn haproxy_tells_nginx_who_came() {
    let (Some(nginx), Some(haproxy)) = (Nginx::start(), find("haproxy", "haproxy")) else {
        return;
    };
    for (version, option) in [
        ("v1", "send-proxy"),
        ("v2", "send-proxy-v2"),
        ("v2", "send-proxy-v2-ssl-cn"),
    ] {
        let balancer = address::own();
        let tunnel = Tunnel::builder().with(behind(nginx.service(version), balancer)).start();
        let front = address::free_port(balancer);
        let _haproxy = start_haproxy(
            &haproxy,
            front,
            tunnel.public("web"),
            &format!("{option} source {balancer}"),
        );
        let visitor = from(address::own(), front);
        assert_eq!(page(&visitor), seen(&visitor, front), "{option}");
    }
}

#[test]
fn every_header_is_taken_off_whole() {
    let echo = Local::serve(local::echo);
    let (balancer, service) = (address::own(), Service::new("echo", Kind::Tcp, echo.address()));
    let tunnel = Tunnel::builder()
        .with(behind(service, balancer))
        .log_filter("debug")
        .start();
    let headers: [(&[u8], &str); 4] = [
        (b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", "192.0.2.1:56324"),
        (b"PROXY TCP6 2001:db8::1 ::1 4 443\r\n", "[2001:db8::1]:4"),
        (
            &binary(0x21, b"\xc0\x00\x02\x07\xc0\x00\x02\x01\x00\x05\x00\x50\x04\x00\x01x"),
            "192.0.2.7:5",
        ),
        (&binary(0x20, b""), "balancer"),
    ];
    for (header, named) in headers {
        for size in [1, 7, header.len() + 5] {
            let mark = tunnel.server().log().mark();
            let mut stream = from(balancer, tunnel.public("echo"));
            stream.set_nodelay(true).expect("an option");
            let own = stream.local_addr().expect("its own address").to_string();
            let named = if named == "balancer" { &own } else { named };
            for piece in [header, b"hello"].concat().chunks(size) {
                stream.write_all(piece).expect("a piece of the header");
            }
            let mut answer = [0; 5];
            stream.read_exact(&mut answer).expect("an echo");
            assert_eq!(&answer, b"hello");
            let line = tunnel.server().log().wait_after(mark, "visitor service=echo peer=");
            assert!(line.ends_with(&format!("peer={named}")), "{line}");
            visitor::echo(&stream, b"and more");
        }
    }
}

#[test]
fn a_balancer_that_says_something_else_is_reset() {
    let echo = Local::serve(local::echo);
    let (balancer, service) = (address::own(), Service::new("echo", Kind::Tcp, echo.address()));
    let tunnel = Tunnel::builder().with(behind(service, balancer)).start();
    let public = tunnel.public("echo");
    let silent = from(balancer, public);
    let words: [(&[u8], &str); 4] = [
        (
            b"GET / HTTP/1.1\r\n\r\n",
            "it does not begin with a PROXY protocol header",
        ),
        (
            b"PROXY TCP4 1.2.3.4\r\n",
            "its PROXY protocol header (v1) is not in order",
        ),
        (
            &binary(0x21, b"short"),
            "its PROXY protocol header (v2) is not in order",
        ),
        (
            &[&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat(),
            "its PROXY protocol header is too long",
        ),
    ];
    for (said, why) in words {
        let mut stream = from(balancer, public);
        stream.write_all(said).expect("some bytes");
        assert_eq!(visitor::end(&stream), End::Reset, "{why}");
        tunnel.server().wait_for(&format!(
            "WARN  server: visitor is refused service=echo peer={balancer}: .. {why}"
        ));
    }
    // A health check that only connects is nobody's fault.
    drop(from(balancer, public));
    let mut late = from(balancer, public);
    late.write_all(b"PROXY UNKNOWN\r\nhi").expect("a header");
    late.read_exact(&mut [0; 2])
        .expect("an echo, whoever is silent beside it");
    assert_eq!(visitor::end(&silent), End::Reset);
    tunnel.server().wait_for("no PROXY protocol header came in time");
    assert!(tunnel.server().log().all("before its PROXY").is_empty());
}

#[test]
fn a_header_from_somebody_else_is_data() {
    let echo = Local::serve(local::echo);
    let (balancer, service) = (address::own(), Service::new("echo", Kind::Tcp, echo.address()));
    let tunnel = Tunnel::builder()
        .with(behind(service, balancer))
        .log_filter("debug")
        .start();
    let stranger = from(address::own(), tunnel.public("echo"));
    visitor::echo(&stranger, b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n");
    let own = stranger.local_addr().expect("its own address");
    tunnel.server().wait_for(&format!("visitor service=echo peer={own}"));
    tunnel.client().wait_for(&format!("visitor service=echo peer={own}"));
}

#[test]
fn each_datagram_tells_the_visitor() {
    let local = UdpSocket::bind((address::own(), 0)).expect("a local service");
    local
        .set_read_timeout(Some(Duration::from_millis(500)))
        .expect("a time-out");
    let at = local.local_addr().expect("its own address");
    let service = Service::new("dns", Kind::Udp, at).line_at(Role::Client, "proxy_protocol = \"v2\"");
    let tunnel = Tunnel::builder().with(service).start();
    let public = tunnel.public("dns");
    let visitor = UdpSocket::bind((address::own(), 0)).expect("a visitor");
    visitor.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let own = visitor.local_addr().expect("its own address");
    for words in [&b"one"[..], b"", b"three"] {
        let mut ends = [octets(own.ip()), octets(public.ip())].concat();
        ends.extend([own.port().to_be_bytes(), public.port().to_be_bytes()].concat());
        let mut header = binary(0x21, &ends);
        header[13] = 0x12;
        let expected = [&header, words].concat();
        let (mut place, mut back) = ([0; 100], None);
        // One that waits for long on a busy machine is dropped; an earlier one that was sent twice may come once more.
        eventually("a datagram comes", PATIENCE, || {
            visitor.send_to(words, public).expect("a datagram");
            let came = local.recv_from(&mut place).ok();
            back = came
                .filter(|&(length, _)| place[..length] == expected)
                .map(|(_, from)| from);
            back.is_some()
        });
        let back = back.expect("a datagram");
        local.send_to(b"answer", back).expect("an answer");
        assert_eq!(visitor.recv(&mut place).expect("the answer"), 6);
        assert_eq!(&place[..6], b"answer");
    }
}

/// A binary header over IPv4.
fn binary(what: u8, rest: &[u8]) -> Vec<u8> {
    [b"\r\n\r\n\0\r\nQUIT\n", &[what, 0x11, 0, rest.len() as u8][..], rest].concat()
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// A visitor with the address `own`.
fn from(own: IpAddr, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).expect("a socket");
    socket
        .bind(&SocketAddr::new(own, 0).into())
        .expect("an address of this machine");
    socket
        .connect(&to.into())
        .unwrap_or_else(|error| panic!("no connection to {to}: {error}"));
    visitor::patient(socket.into())
}

/// `service` behind a balancer at `address`.
fn behind(service: Service, address: IpAddr) -> Service {
    let from = format!("proxy_protocol_from = [\"2001:db8::/32\", \"{address}/32\"]");
    service
        .line_at(Role::Server, "accept_proxy_protocol = true")
        .line_at(Role::Server, &from)
}

fn start_haproxy(program: &std::path::Path, front: SocketAddr, back: SocketAddr, options: &str) -> Process {
    let dir = TempDir::new();
    let config = format!(
        "global\n  log stderr format raw local0\n\
         defaults\n  mode tcp\n  timeout connect 30s\n  timeout client 60s\n  timeout server 60s\n\
         listen front\n  bind {front}\n  server back {back} {options}\n"
    );
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(dir.write("haproxy.cfg", config));
    let process = Process::start("haproxy", command);
    eventually("haproxy listens", PATIENCE, || !visitor::is_refused(front));
    process
}

/// An nginx that answers with the addresses that a PROXY protocol header told.
struct Nginx {
    local: SocketAddr,
    _dir: TempDir,
    _process: Process,
}

impl Nginx {
    fn start() -> Option<Nginx> {
        let program = find("nginx", "nginx")?;
        let (dir, local) = (TempDir::new(), address::free_port(address::own()));
        let config = format!(
            "daemon off; master_process off; pid nginx.pid; error_log stderr warn;
             events {{ worker_connections 100; }}
             http {{
                 access_log off;
                 client_body_temp_path temporary; proxy_temp_path temporary; fastcgi_temp_path temporary;
                 uwsgi_temp_path temporary; scgi_temp_path temporary;
                 server {{
                     listen {local} proxy_protocol;
                     return 200 '$proxy_protocol_addr $proxy_protocol_port to $proxy_protocol_server_addr $proxy_protocol_server_port';
                 }}
             }}\n"
        );
        let mut command = Command::new(program);
        command.arg("-p").arg(dir.path()).arg("-e").arg("stderr");
        command.arg("-c").arg(dir.write("nginx.conf", config));
        let process = Process::start("nginx", command);
        eventually("nginx listens", PATIENCE, || !visitor::is_refused(local));
        Some(Nginx {
            local,
            _dir: dir,
            _process: process,
        })
    }

    /// It as a service that is told by `version`.
    fn service(&self, version: &str) -> Service {
        let line = format!("proxy_protocol = \"{version}\"");
        Service::new("web", Kind::Tcp, self.local).line_at(Role::Client, &line)
    }
}

/// The page that a visitor gets.
#[track_caller]
fn page(mut visitor: &TcpStream) -> String {
    visitor.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("a request");
    let mut answer = String::new();
    visitor.read_to_string(&mut answer).expect("an answer");
    let (_, page) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no page: {answer:?}"));
    page.to_owned()
}

/// The page that [`Nginx`] makes of a visitor who asked `asked`.
fn seen(visitor: &TcpStream, asked: SocketAddr) -> String {
    let own = visitor.local_addr().expect("its own address");
    format!("{} {} to {} {}", own.ip(), own.port(), asked.ip(), asked.port())
}
