//! Ways to the server through proxies: those of the tests, which say anything, and real ones.

mod rig;

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use rig::program::find;
use rig::ssh::Sshd;
use rig::{Builder, Kind, Local, PATIENCE, Process, Role, TempDir, Tunnel, address, eventually, local, visitor};

/// A name that no resolver knows: the proxy alone can.
const NOWHERE: &str = "server.invalid";

#[test]
fn http_with_credentials() {
    let echo = Local::serve(local::echo);
    let proxy = Fake::start(address::own());
    let url = format!("http://m%40e:p%3Aw%2F%C3%BC@{}", proxy.address());
    let tunnel = Tunnel::builder().remote_host(NOWHERE).log_filter("trace");
    let tunnel = proxy.carry(tunnel.service("echo", Kind::Tcp, echo.address()), &url, |control| {
        let to = format!("{NOWHERE}:{}", control.port());
        // "m@e:p:w/ü"
        let login = "Proxy-Authorization: Basic bUBlOnA6dy/DvA==";
        let asked = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{login}\r\n\r\n");
        let answer = "HTTP/1.0 200 Connection established\r\nProxy-Agent: a test\r\n\r\n";
        let (talk, way) = (owned(&[(asked.as_bytes(), answer.as_bytes())]), Some(control));
        vec![Plan { talk, way }]
    });
    visitor::echo(&tunnel.visit("echo"), b"through CONNECT");
    tunnel
        .client()
        .wait_for(&format!("connected server={NOWHERE}: .. proxy={} ", proxy.address()));
    assert_hides(&tunnel, &["p%3Aw", "p:w/", "bUBlOnA6dy"]);
}

#[test]
fn socks_with_credentials() {
    let echo = Local::serve(local::echo);
    let proxy = Fake::start(address::own());
    let url = format!("socks5h://m%40e:p%3Aw@{}", proxy.address());
    let tunnel = Tunnel::builder().remote_host(NOWHERE).log_filter("trace");
    let tunnel = proxy.carry(tunnel.service("echo", Kind::Tcp, echo.address()), &url, |control| {
        let talk = owned(&[
            (b"\x05\x02\x00\x02", b"\x05\x02"),
            (b"\x01\x03m@e\x03p:w", b"\x01\x00"),
            (&request(control), b"\x05\x00\x00\x03\x04nameaa"),
        ]);
        let way = Some(control);
        vec![Plan { talk, way }]
    });
    visitor::echo(&tunnel.visit("echo"), b"through SOCKS 5");
    assert_hides(&tunnel, &["p%3Aw", "p:w"]);
}

#[test]
fn a_proxy_by_name_without_credentials() {
    let echo = Local::serve(local::echo);
    let proxy = Fake::start(Ipv4Addr::LOCALHOST.into());
    let url = format!("socks5://localhost:{}", proxy.address().port());
    let tunnel = Tunnel::builder().remote_host(NOWHERE);
    let tunnel = proxy.carry(tunnel.service("echo", Kind::Tcp, echo.address()), &url, |control| {
        let (talk, way) = (socks(control), Some(control));
        vec![Plan { talk, way }]
    });
    visitor::echo(&tunnel.visit("echo"), b"by name twice");
}

#[test]
fn what_an_http_proxy_refuses_is_said() {
    let answers: [(&[u8], &str); 6] = [
        (
            b"HTTP/1.1 407 Who are you\r\n\r\n",
            "user and password: 407 Who are you",
        ),
        (
            b"HTTP/1.1 403 Not there\r\n\r\n<html>",
            "does not connect to the server: 403 Not there",
        ),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "502 Bad Gateway"),
        (b"\x05\xff", "the proxy does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello?", "the proxy said more than an answer"),
        (
            &[&b"HTTP/1.1 200 OK\r\nA: "[..], &[b'x'; 9000]].concat(),
            "the proxy's answer is too long",
        ),
    ];
    refuse("http", &answers, http);
}

#[test]
fn what_a_socks_proxy_refuses_is_said() {
    let answers: [(&[u8], &str); 4] = [
        (b"\x05\xff", "the proxy wants another login"),
        (b"HTTP/1.1 400 Bad\r\n\r\n", "the proxy does not speak SOCKS 5"),
        (b"\x05\x02", "the proxy wants another login"),
        (b"\x05\x00\x05", "the proxy said more than an answer"),
    ];
    refuse("socks5", &answers, socks);
}

#[test]
fn the_codes_of_a_socks_proxy_are_words() {
    let route = Route::start("socks5", |control| {
        let refusal = |code| {
            let mut talk = socks(control);
            talk[1].1 = vec![5, code, 0, 1, 0, 0, 0, 0, 0, 0];
            Plan { talk, way: None }
        };
        let good = Plan {
            talk: socks(control),
            way: Some(control),
        };
        [2, 3, 4, 5].map(refusal).into_iter().chain([good]).collect()
    });
    for words in [
        "not allowed by its rules",
        "network unreachable",
        "host unreachable",
        "connection refused",
    ] {
        route.expect(&format!("the proxy does not connect to the server: {words}"));
    }
    visitor::echo(&route.tunnel.visit("echo"), b"at last");
}

#[test]
fn an_http_proxy_that_closes_at_every_byte() {
    close_at_every_byte("http", http);
}

#[test]
fn a_socks_proxy_that_closes_at_every_byte() {
    close_at_every_byte("socks5", socks);
}

#[test]
fn a_silent_proxy_is_left_in_time() {
    let silence = Local::door();
    let echo = Local::serve(local::echo);
    let mut tunnel = Tunnel::builder()
        .service("echo", Kind::Tcp, echo.address())
        .link_line(Role::Client, &format!("tcp.proxy = \"http://{}\"", silence.address()))
        .build();
    tunnel.start_server();
    tunnel.start_client();
    let _arrival = silence.arrival();
    tunnel
        .client()
        .wait_for("link is down .. the proxy did not answer in time");
}

#[test]
fn tinyproxy() {
    let Some(program) = find("tinyproxy", "tinyproxy") else {
        return;
    };
    let (dir, at) = (TempDir::new(), address::free_port(address::own()));
    let config = format!(
        "Port {}\nListen {}\nAllow 127.0.0.0/8\nBasicAuth user pass_word\nTimeout 600\nLogLevel Connect\n",
        at.port(),
        at.ip()
    );
    let mut command = Command::new(program);
    command.arg("-d").arg("-c").arg(dir.write("tinyproxy.conf", config));
    let _proxy = Process::start("tinyproxy", command);
    eventually("tinyproxy listens", PATIENCE, || !visitor::is_refused(at));
    carries(&format!("http://user:pass%5Fword@{at}"));
    refuses(
        &format!("http://user:wrong@{at}"),
        "the proxy does not connect to the server: 401 Unauthorized",
    );
    refuses(
        &format!("http://{at}"),
        "the proxy wants another user and password: 407 Proxy Authentication Required",
    );
}

#[test]
fn microsocks() {
    let Some(program) = find("microsocks", "microsocks") else {
        return;
    };
    let at = address::free_port(address::own());
    let mut command = Command::new(program);
    command.args([
        "-i",
        &at.ip().to_string(),
        "-p",
        &at.port().to_string(),
        "-u",
        "user",
        "-P",
        "pass%word",
    ]);
    let _proxy = Process::start("microsocks", command);
    eventually("microsocks listens", PATIENCE, || !visitor::is_refused(at));
    carries(&format!("socks5://user:pass%25word@{at}"));
    refuses(
        &format!("socks5://user:wrong@{at}"),
        "the proxy does not accept user and password",
    );
    refuses(
        &format!("socks5://{at}"),
        "the proxy wants another login than its URL has",
    );
}

#[test]
fn ssh_as_a_socks_proxy() {
    let Some(ssh) = find("ssh", "openssh-client") else {
        return;
    };
    let Some(sshd) = Sshd::start() else { return };
    let at = address::free_port(address::own());
    let mut command = Command::new(ssh);
    command
        .args(sshd.options(sshd.address().port()))
        .args(["-N", "-D", &at.to_string()]);
    command.arg(sshd.address().ip().to_string());
    let _proxy = Process::start("ssh -D", command);
    eventually("ssh listens", PATIENCE, || !visitor::is_refused(at));
    carries(&format!("socks5://{at}"));
}

/// A tunnel through the real proxy at `url` works, with the server's address and with its name.
#[track_caller]
fn carries(url: &str) {
    let echo = Local::serve(local::echo);
    let service = |builder: Builder| builder.service("echo", Kind::Tcp, echo.address());
    for builder in [
        service(Tunnel::builder()),
        service(
            Tunnel::builder()
                .address(Ipv4Addr::LOCALHOST.into())
                .remote_host("localhost"),
        ),
    ] {
        let tunnel = builder
            .link_line(Role::Client, &format!("tcp.proxy = \"{url}\""))
            .start();
        visitor::echo(&tunnel.visit("echo"), b"by way of a real one");
    }
}

/// The real proxy at `url` does not let the client through, and the log says why.
#[track_caller]
fn refuses(url: &str, words: &str) {
    let echo = Local::serve(local::echo);
    let mut tunnel = Tunnel::builder()
        .service("echo", Kind::Tcp, echo.address())
        .link_line(Role::Client, &format!("tcp.proxy = \"{url}\""))
        .build();
    tunnel.start_server();
    tunnel.start_client();
    tunnel
        .client()
        .wait_for(&format!("WARN  client: link is down .. {words}"));
}

/// One attempt after the other meets one of `answers`; then `good` lets the client through.
#[track_caller]
fn refuse(scheme: &str, answers: &[(&[u8], &str)], good: fn(SocketAddr) -> Talk) {
    let route = Route::start(scheme, |control| {
        let talk = good(control);
        let refusal = |answer: &[u8]| Plan {
            talk: vec![(talk[0].0.clone(), answer.to_vec())],
            way: None,
        };
        let refusals: Vec<Plan> = answers.iter().map(|(answer, _)| refusal(answer)).collect();
        let way = Some(control);
        refusals.into_iter().chain([Plan { talk, way }]).collect()
    });
    answers.iter().for_each(|(_, words)| route.expect(words));
    visitor::echo(&route.tunnel.visit("echo"), b"at last");
}

/// At each attempt the proxy closes the connection one byte later, then no more.
#[track_caller]
fn close_at_every_byte(scheme: &str, good: fn(SocketAddr) -> Talk) {
    let route = Route::start(scheme, |control| {
        let talk = good(control);
        let length = talk.iter().map(|(_, answer)| answer.len()).sum();
        let mut plans: Vec<Plan> = (0..length).map(|at| cut(&talk, at)).collect();
        let way = Some(control);
        plans.push(Plan { talk, way });
        plans
    });
    route.expect("the proxy closed the connection before its answer was complete");
    visitor::echo(&route.tunnel.visit("echo"), b"whole");
}

/// A tunnel to an echo by way of a proxy that does as planned, one attempt after the other.
struct Route {
    tunnel: Tunnel,
    _proxy: Fake,
    _echo: Local,
}

impl Route {
    #[track_caller]
    fn start(scheme: &str, plans: impl FnOnce(SocketAddr) -> Vec<Plan>) -> Route {
        let (echo, proxy) = (Local::serve(local::echo), Fake::start(address::own()));
        let url = format!("{scheme}://{}", proxy.address());
        let builder = Tunnel::builder()
            .remote_host(NOWHERE)
            .line(Role::Client, "retry_interval = 0")
            .service("echo", Kind::Tcp, echo.address());
        Route {
            tunnel: proxy.carry(builder, &url, plans),
            _proxy: proxy,
            _echo: echo,
        }
    }

    /// The client says why it did not come through.
    #[track_caller]
    fn expect(&self, words: &str) {
        let line = format!("WARN  client: link is down .. {words}");
        self.tunnel.client().wait_for(&line);
    }
}

/// Neither process has written one of `secrets`.
#[track_caller]
fn assert_hides(tunnel: &Tunnel, secrets: &[&str]) {
    for process in [tunnel.server(), tunnel.client()] {
        let text = process.log().text();
        assert!(
            secrets.iter().all(|secret| !text.contains(secret)),
            "a secret in the log"
        );
    }
}

/// What is said to an HTTP proxy without a password.
fn http(control: SocketAddr) -> Talk {
    let to = format!("{NOWHERE}:{}", control.port());
    let asked = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n");
    vec![(asked.into(), b"HTTP/1.1 200\r\n\r\n".to_vec())]
}

/// What is said to a SOCKS proxy without a password.
fn socks(control: SocketAddr) -> Talk {
    owned(&[
        (b"\x05\x01\x00", b"\x05\x00"),
        (&request(control), b"\x05\x00\x00\x01aaaapp"),
    ])
}

/// The request for a way to the server by name.
fn request(control: SocketAddr) -> Vec<u8> {
    [
        b"\x05\x01\x00\x03\x0e",
        NOWHERE.as_bytes(),
        &control.port().to_be_bytes(),
    ]
    .concat()
}

/// What a proxy is asked, and what it answers.
type Talk = Vec<(Vec<u8>, Vec<u8>)>;

fn owned(talk: &[(&[u8], &[u8])]) -> Talk {
    talk.iter()
        .map(|(asked, answer)| (asked.to_vec(), answer.to_vec()))
        .collect()
}

/// The talk up to the byte `at` of the answers.
fn cut(talk: &Talk, mut at: usize) -> Plan {
    let mut kept = Talk::new();
    for (asked, answer) in talk {
        kept.push((asked.clone(), answer[..answer.len().min(at)].to_vec()));
        if at < answer.len() {
            break;
        }
        at -= answer.len();
    }
    Plan { talk: kept, way: None }
}

/// A proxy of the test's: each connection goes as planned, the last plan is for all that follow.
struct Fake {
    local: Local,
    plans: Arc<OnceLock<Vec<Plan>>>,
}

/// What is asked and answered on one connection, and where it leads then; to an end if nowhere.
struct Plan {
    talk: Talk,
    way: Option<SocketAddr>,
}

impl Fake {
    fn start(address: IpAddr) -> Fake {
        let plans = Arc::<OnceLock<Vec<Plan>>>::default();
        let (followed, count) = (plans.clone(), AtomicUsize::new(0));
        let local = Local::serve_on(address, move |stream| {
            let number = count.fetch_add(1, Ordering::Relaxed);
            let plans = followed.get().expect("plans");
            // Who asks for something else is not answered, and the test waits in vain.
            let _ = follow(&stream, &plans[number.min(plans.len() - 1)], number);
        });
        Fake { local, plans }
    }

    fn address(&self) -> SocketAddr {
        self.local.address()
    }

    /// Starts a tunnel by way of this proxy, which does what `plans` makes of the server's address.
    #[track_caller]
    fn carry(&self, builder: Builder, url: &str, plans: impl FnOnce(SocketAddr) -> Vec<Plan>) -> Tunnel {
        let line = format!("tcp.proxy = \"{url}\"");
        let mut tunnel = builder.link_line(Role::Client, &line).build();
        assert!(self.plans.set(plans(tunnel.control())).is_ok());
        tunnel.start_server();
        tunnel.start_client();
        tunnel.wait_until_up();
        tunnel
    }
}

/// Answers in pieces that `seed` decides.
fn follow(mut stream: &TcpStream, plan: &Plan, seed: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    for (number, (asked, answer)) in plan.talk.iter().enumerate() {
        let mut heard = vec![0; asked.len()];
        stream.read_exact(&mut heard)?;
        if heard != *asked {
            eprintln!("the proxy was asked: {}", String::from_utf8_lossy(&heard));
            return Ok(());
        }
        for piece in answer.chunks(1 + (seed * 7 + number * 3) % 11) {
            stream.write_all(piece)?;
        }
    }
    match plan.way {
        Some(way) => join(stream, &TcpStream::connect(way)?),
        None => stream.shutdown(Shutdown::Write),
    }
}

fn join(near: &TcpStream, far: &TcpStream) -> io::Result<()> {
    let pump = |mut from: &TcpStream, mut to: &TcpStream| {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    };
    thread::scope(|scope| {
        scope.spawn(|| pump(far, near));
        pump(near, far);
    });
    Ok(())
}
