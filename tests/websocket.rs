//! WebSocket as others speak it: proxies before the server, programs that ping, strangers that speak plain HTTP.

mod rig;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;

use rig::local;
use rig::program::find;
use rig::visitor::{self, End};
use rig::{
    Builder, Kind, Local, PATIENCE, Process, Role, TempDir, Transport, Tunnel, address, certificates, eventually,
    receive, send,
};

fn has(transport: Transport) -> bool {
    Transport::available().any(|found| found == transport)
}

/// A tunnel to `local` whose two ends have these keys in `[*.transport]`; the client goes to `proxy`, if there is one.
fn tunnel(local: SocketAddr, proxy: Option<SocketAddr>, server: &str, client: &str) -> Builder {
    let builder = Tunnel::builder().bare().service("service", Kind::Tcp, local);
    let builder = match proxy {
        Some(proxy) => builder.through(proxy),
        None => builder,
    };
    let tables = |keys: &str| format!("transport = {{ type = \"websocket\", {keys} }}");
    builder
        .line(Role::Server, &tables(server))
        .line(Role::Client, &tables(client))
}

// ---- behind nginx -------------------------------------------------------------------------------------------------

/// An nginx that passes `/tunnel` on to whoever listens at `upstream`, by TLS if `front` or `back` says so.
struct Nginx {
    address: SocketAddr,
    dir: TempDir,
    _process: Process,
}

impl Nginx {
    fn start(upstream: SocketAddr, front: bool, back: bool) -> Option<Nginx> {
        let nginx = find("nginx", "nginx")?;
        let dir = TempDir::new();
        certificates::usual(dir.path());
        let address = address::free_port(address::own());
        let mut command = Command::new(nginx);
        let config = dir.write("nginx.conf", config(address, upstream, front, back));
        command
            .arg("-p")
            .arg(dir.path())
            .arg("-e")
            .arg("stderr")
            .arg("-c")
            .arg(config);
        let process = Process::start("nginx", command);
        eventually("nginx listens", PATIENCE, || !visitor::is_refused(address));
        Some(Nginx {
            address,
            dir,
            _process: process,
        })
    }

    /// The table that lets a client trust it.
    fn tls(&self) -> String {
        let root = self.dir.path().join("ca.pem");
        format!(
            "tls = {{ trusted_root = \"{}\", hostname = \"server.test\" }}",
            root.display()
        )
    }
}

/// As nginx's own documentation has it for WebSocket.
fn config(address: SocketAddr, upstream: SocketAddr, front: bool, back: bool) -> String {
    let ssl = if front { "ssl" } else { "" };
    let scheme = if back { "https" } else { "http" };
    format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr warn;
         events {{ worker_connections 256; }}
         http {{
             access_log off;
             client_body_temp_path temporary; proxy_temp_path temporary; fastcgi_temp_path temporary;
             uwsgi_temp_path temporary; scgi_temp_path temporary;
             server {{
                 listen {address} {ssl};
                 ssl_certificate server.pem;
                 ssl_certificate_key server.key;
                 location /tunnel {{
                     if ($http_x_key != hunter2) {{ return 403; }}
                     proxy_pass {scheme}://{upstream};
                     proxy_http_version 1.1;
                     proxy_set_header Upgrade $http_upgrade;
                     proxy_set_header Connection upgrade;
                     proxy_read_timeout 1h;
                 }}
             }}
         }}\n"
    )
}

const PATH: &str = "path = \"/tunnel\"";
const KEY: &str = "headers = { X-Key = \"hunter2\" }";

#[test]
fn behind_nginx() {
    if !has(Transport::WebsocketTls) {
        return;
    }
    for is_tls in [false, true] {
        let door = Local::door();
        let upstream = address::free_port(address::own());
        let Some(nginx) = Nginx::start(upstream, is_tls, false) else {
            return;
        };
        let client = format!("websocket = {{ tls = {is_tls}, {PATH}, {KEY} }}, {}", nginx.tls());
        let server = format!("websocket = {{ {PATH} }}");
        let mut tunnel = tunnel(door.address(), Some(nginx.address), &server, &client)
            .control(upstream)
            .build();
        tunnel.start_client();
        tunnel
            .client()
            .wait_for("WARN  client: .. answers HTTP 502: a proxy is there, and the server behind it is not");
        tunnel.start_server();
        tunnel.wait_until_up();
        half_close(&tunnel, &door);
        large(&tunnel, &door);
        assert!(!tunnel.client().log().text().contains("hunter2"));
    }
}

/// The visitor is done first; only then does the service answer.
fn half_close(tunnel: &Tunnel, door: &rig::Door) {
    let near = tunnel.visit("service");
    let far = door.arrival();
    let sent = send(&near, 1, 100_000).expect("a question");
    near.shutdown(Shutdown::Write).expect("a half-close");
    assert_eq!(receive(&far, 100_000).expect("a question"), sent);
    assert_eq!(visitor::end(&far), End::Closed);
    let sent = send(&far, 2, 100_000).expect("an answer");
    far.shutdown(Shutdown::Write).expect("a close");
    assert_eq!(receive(&near, 100_000).expect("an answer"), sent);
    assert_eq!(visitor::end(&near), End::Closed);
}

fn large(tunnel: &Tunnel, door: &rig::Door) {
    let near = tunnel.visit("service");
    let far = door.arrival();
    std::thread::scope(|scope| {
        scope.spawn(|| local::exchange(far));
        local::exchange_with(&near, 7, 100_000_000).expect("100 MB each way");
    });
}

#[test]
fn what_nginx_refuses_is_a_sentence() {
    if !has(Transport::WebsocketTls) {
        return;
    }
    let upstream = address::free_port(address::own());
    let Some(nginx) = Nginx::start(upstream, true, false) else {
        return;
    };
    for (keys, words) in [
        (
            format!("tls = true, {KEY}"),
            "answers HTTP 404: nothing is at this path: see websocket.path",
        ),
        (format!("tls = true, {PATH}"), "answers HTTP 403: it wants credentials"),
        (format!("{PATH}, {KEY}"), "answers HTTP 400"),
    ] {
        let client = format!("websocket = {{ {keys} }}, {}", nginx.tls());
        let mut tunnel = tunnel(upstream, Some(nginx.address), "", &client).build();
        tunnel.start_client();
        tunnel.client().wait_for(&format!("WARN  client: .. {words}"));
    }
}

/// A server that speaks TLS itself is reached by TLS all the way, or not at all.
#[test]
fn tls_that_ends_before_a_server_with_tls() {
    if !has(Transport::WebsocketTls) {
        return;
    }
    let upstream = address::free_port(address::own());
    let Some(nginx) = Nginx::start(upstream, true, true) else {
        return;
    };
    let server = "websocket = { tls = true }, tls = { certificate = \"server.pem\", private_key = \"server.key\" }";
    let client = format!("websocket = {{ tls = true, {PATH}, {KEY} }}, {}", nginx.tls());
    let mut tunnel = tunnel(upstream, Some(nginx.address), server, &client)
        .control(upstream)
        .build();
    certificates::usual(tunnel.dir().path());
    tunnel.start_server();
    tunnel.start_client();
    tunnel
        .client()
        .wait_for("WARN  client: .. TLS ends before the server, which speaks TLS itself");
}

// ---- other peers --------------------------------------------------------------------------------------------------

#[test]
fn a_proxy_without_its_server_is_survived() {
    if !has(Transport::Websocket) {
        return;
    }
    let echo = Local::serve(local::echo);
    let mut tunnel = tunnel(echo.address(), None, "", "").build();
    let proxy = Local::serve_at(tunnel.control(), |mut stream: TcpStream| {
        let mut head = [0; 1024];
        let _ = stream.read(&mut head);
        let _ = stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbad\n");
    });
    tunnel.start_client();
    tunnel
        .client()
        .wait_for("WARN  client: link is down .. answers HTTP 502: .. retry in");
    drop(proxy);
    tunnel.start_server();
    tunnel.wait_until_up();
    visitor::echo(&tunnel.visit("service"), b"after the 502");
}

/// A request as a browser sends it, with more lines.
fn request(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: here\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

fn read_until(stream: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end) {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a byte");
        bytes.extend(byte);
    }
    bytes
}

#[test]
fn the_server_takes_what_the_rfc_allows() {
    if !has(Transport::Websocket) {
        return;
    }
    let echo = Local::serve(local::echo);
    let mut tunnel = tunnel(echo.address(), None, "", "").build();
    tunnel.start_server();
    for (frames, answer) in [
        (&b"\x89\x83\0\0\0\0abc"[..], &b"\x8a\x03abc"[..]),
        (b"\x8a\x80\0\0\0\0\x89\x80\0\0\0\0", b"\x8a\x00"),
        (
            b"\x02\x84\0\0\0\0pinh\x89\x81\0\0\0\0!\x00\x82\0\0\0\0ol\x80\x80\0\0\0\0",
            b"\x8a\x01!",
        ),
        (b"\x88\x82\0\0\0\0\x03\xe8", b"\x88\x02\x03\xe8"),
        (b"\x81\x82\0\0\0\0hi", b"\x88\x02\x03\xeb"),
        (b"\x82\x02hi", b"\x88\x02\x03\xea"),
        (b"\x82\xff\xff\0\0\0\0\0\0\0", b"\x88\x02\x03\xea"),
    ] {
        let mut stranger = visitor::connect(tunnel.control());
        stranger
            .write_all(request("/any", "Origin: http://here\r\n").as_bytes())
            .expect("a request");
        let head = read_until(&mut stranger, b"\r\n\r\n");
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        assert!(String::from_utf8_lossy(&head).contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        stranger.write_all(frames).expect("frames");
        let mut found = vec![0; answer.len()];
        stranger.read_exact(&mut found).expect("an answer");
        assert_eq!(found, answer, "to {frames:?}");
    }
}

#[test]
fn plain_http_gets_a_short_answer() {
    if !has(Transport::Websocket) {
        return;
    }
    let echo = Local::serve(local::echo);
    let mut tunnel = tunnel(
        echo.address(),
        None,
        "websocket = { path = \"/tunnel\" }",
        "websocket = { path = \"/tunnel\" }",
    )
    .build();
    tunnel.start_server();
    for (asked, status) in [
        ("GET /tunnel HTTP/1.1\r\nHost: here\r\n\r\n".to_owned(), "426"),
        ("GET / HTTP/1.1\r\nHost: here\r\n\r\n".to_owned(), "404"),
        (request("/other", ""), "404"),
        ("HEAD / HTTP/1.0\r\n\r\n".to_owned(), "400"),
        ("\u{16}\u{3}\u{1}\0\0\0\0".to_owned(), "400"),
        ("SSH-2.0-x\r\n".to_owned(), "400"),
        (request("/tunnel", &format!("X: {}\r\n", "x".repeat(20_000))), "431"),
    ] {
        let mut stranger = visitor::connect(tunnel.control());
        stranger.write_all(asked.as_bytes()).expect("a request");
        let mut answer = String::new();
        stranger.read_to_string(&mut answer).expect("an answer and its end");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{asked}: {answer}");
        assert!(answer.ends_with("\r\n\r\n") && answer.len() < 300, "{answer}");
    }
    tunnel.start_client();
    tunnel.wait_until_up();
    visitor::echo(&tunnel.visit("service"), b"unharmed");
}

/// A proxy that pings the client, as some do to keep the connection alive.
#[test]
fn the_client_answers_pings() {
    if !has(Transport::Websocket) {
        return;
    }
    let (echo, proxy) = (Local::serve(local::echo), Local::door());
    let mut tunnel = tunnel(echo.address(), Some(proxy.address()), "", "").build();
    tunnel.start_server();
    tunnel.start_client();
    let mut client = proxy.arrival();
    let mut server = visitor::connect(tunnel.control());
    let head = read_until(&mut client, b"\r\n\r\n");
    let text = String::from_utf8_lossy(&head).into_owned();
    assert!(text.starts_with("GET / HTTP/1.1\r\n"), "{text}");
    assert!(text.contains(&format!("\r\nHost: {}\r\n", proxy.address())), "{text}");
    server.write_all(&head).expect("the request");
    let head = read_until(&mut server, b"\r\n\r\n");
    client.write_all(&head).expect("the answer");
    client.write_all(b"\x89\x03yes").expect("a ping");
    while frame(&mut client, &mut server) != (0x8a, b"yes".to_vec()) {}
    std::thread::scope(|scope| {
        let (mut near, mut far) = (&client, &server);
        scope.spawn(move || std::io::copy(&mut near, &mut far));
        let (mut near, mut far) = (&client, &server);
        scope.spawn(move || std::io::copy(&mut far, &mut near));
        tunnel.wait_until_up();
        visitor::echo(&tunnel.visit("service"), b"with pings between");
        client.shutdown(Shutdown::Both).expect("the end");
        server.shutdown(Shutdown::Both).expect("the end");
    });
}

/// Passes a client's next frame on; gives its first byte and its payload.
fn frame(from: &mut TcpStream, to: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut header = [0; 2];
    from.read_exact(&mut header).expect("a frame");
    assert!(header[1] & 0x80 != 0, "a client's frame is masked");
    let mut rest = vec![0; if header[1] == 0xfe { 2 } else { 0 }];
    from.read_exact(&mut rest).expect("a length");
    let length = rest.iter().fold(0, |length, &byte| length << 8 | usize::from(byte));
    let length = if rest.is_empty() {
        usize::from(header[1] & 0x7f)
    } else {
        length
    };
    let (mut mask, mut payload) = ([0; 4], vec![0; length]);
    from.read_exact(&mut mask).expect("a mask");
    from.read_exact(&mut payload).expect("a payload");
    assert_ne!(mask, [0; 4]);
    to.write_all(&[&header[..], &rest, &mask, &payload].concat())
        .expect("the same frame");
    payload
        .iter_mut()
        .zip(mask.iter().cycle())
        .for_each(|(byte, key)| *byte ^= key);
    (header[0], payload)
}

/// Not when the first client comes.
#[test]
fn server_with_tls_and_no_certificate_does_not_start() {
    if !has(Transport::WebsocketTls) {
        return;
    }
    let upstream = address::free_port(address::own());
    for tls in ["", ", tls = {}", ", tls = { trusted_root = \"ca.pem\" }"] {
        let server = format!("websocket = {{ tls = true }}{tls}");
        let tunnel = tunnel(upstream, None, &server, "").build();
        let output = rig::program::output(rig::pinhole(Role::Server).arg("-s").arg(tunnel.file(Role::Server)));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{tls}: {errors}");
        assert!(errors.contains("certificate"), "{tls}: {errors}");
    }
}

/// What is wrong with a key is said at the start.
#[test]
fn keys_that_are_not_usable() {
    if !has(Transport::Websocket) {
        return;
    }
    for (keys, words) in [
        ("path = \"x\"", "client.transport.websocket.path: \"x\" is not a path"),
        (
            "path = \"/a b\"",
            "client.transport.websocket.path: \"/a b\" is not a path",
        ),
        (
            "headers = { Upgrade = \"hunter2\" }",
            "client.transport.websocket.headers: has Upgrade, which pinhole sets itself",
        ),
        (
            "headers = { \"a b\" = \"hunter2\" }",
            "headers: has \"a b\", which is no name",
        ),
        (
            "headers = { a = \"hunter2\\r\\nb: c\" }",
            "headers: has a control character in a",
        ),
        (
            "headers = { a = 1 }",
            "client.transport.websocket.headers.a: expected a string",
        ),
    ] {
        let tunnel = tunnel(
            address::free_port(address::own()),
            None,
            "",
            &format!("websocket = {{ {keys} }}"),
        )
        .build();
        let output = rig::program::output(rig::pinhole(Role::Client).arg("-c").arg(tunnel.file(Role::Client)));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(1) && errors.contains(words),
            "{keys}: {errors}"
        );
        assert!(!errors.contains("hunter2"), "{errors}");
    }
}
