//! Programs that speak in datagrams, through tunnels: name servers, measurements, encryption.

mod rig;

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;

use rig::json::Json;
use rig::program::{self, find, run};
use rig::{Kind, Log, PATIENCE, Process, Service, TempDir, Tunnel, address, eventually};

#[test]
fn dig_asks_unbound() {
    let (Some(unbound), Some(dig)) = (find("unbound", "unbound"), find("dig", "bind9-dnsutils")) else {
        return;
    };
    let (dir, local) = (TempDir::new(), address::free_port(address::own()));
    let _unbound = start_unbound(&unbound, &dir, local);
    let tunnel = Tunnel::builder().service("dns", Kind::Udp, local).start();
    let public = tunnel.public("dns");
    let (server, port) = (format!("@{}", public.ip()), public.port().to_string());
    // Never over TCP, whole or not: what is printed came through the tunnel as it is.
    let fixed = [&server, "-p", &port, "+ignore", "+tries=5", "+time=3", "+bufsize=8000"];
    for _ in 0..30 {
        assert_eq!(
            run(&dig, &[&fixed[..], &["+short", "small.test", "A"]].concat()),
            "192.0.2.7\n"
        );
    }
    for (name, bytes) in [("medium.test", 1500), ("large.test", 4096)] {
        let answer = run(&dig, &[&fixed[..], &[name, "TXT"]].concat());
        assert!(size(&answer) > bytes, "not the whole answer: {answer}");
        assert!(!answer.contains(" tc "), "truncated: {answer}");
    }
}

/// A name server with answers of all sizes.
fn start_unbound(unbound: &Path, dir: &TempDir, local: SocketAddr) -> Process {
    let record = |(name, count)| -> String {
        let text = "x".repeat(240);
        (0..count)
            .map(|n| format!("local-data: '{name}.test. TXT \"{n:03}{text}\"'\n"))
            .collect()
    };
    let texts: String = [("medium", 8), ("large", 20)].map(record).concat();
    let (ip, port) = (local.ip(), local.port());
    let config = format!(
        "server:\ninterface: {ip}\nport: {port}\naccess-control: 127.0.0.0/8 allow\n\
         do-daemonize: no\nuse-syslog: no\nlogfile: \"\"\nverbosity: 1\nchroot: \"\"\nusername: \"\"\n\
         pidfile: \"\"\ndirectory: \"/\"\nedns-buffer-size: 65000\nmax-udp-size: 65000\nmsg-buffer-size: 65552\n\
         local-zone: test. static\nlocal-data: 'small.test. A 192.0.2.7'\n{texts}\
         remote-control:\ncontrol-enable: no\n"
    );
    let mut command = Command::new(unbound);
    command.arg("-d").arg("-c").arg(dir.write("unbound.conf", config));
    let process = Process::start("unbound", command);
    process.wait_for("start of service");
    process
}

/// Bytes of the answer, as dig says.
fn size(answer: &str) -> u32 {
    let words = answer.split_once("rcvd: ").expect("dig's statistics").1;
    words
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .expect("a number of bytes")
}

#[test]
fn iperf3_with_datagrams_both_directions() {
    let Some(iperf) = find("iperf3", "iperf3") else { return };
    let local = address::free_port(address::own());
    let (host, port) = (local.ip().to_string(), local.port().to_string());
    let mut command = Command::new(&iperf);
    command.args(["--server", "--forceflush", "--bind", &host, "--port", &port]);
    let server = Process::start("iperf3", command);
    server.wait_for("Server listening");
    // It talks over TCP about what it sends over UDP, at the same port.
    let public = address::free_port(address::own());
    let tunnel = Tunnel::builder()
        .with(Service::new("talk", Kind::Tcp, local).at(public))
        .with(Service::new("datagrams", Kind::Udp, local).at(public))
        .start();
    let public = tunnel.public("datagrams");
    for direction in [&[][..], &["--reverse"], &["--bidir"], &["--parallel", "4"]] {
        let (host, port) = (public.ip().to_string(), public.port().to_string());
        let fixed = [
            "--udp",
            "--bitrate",
            "20M",
            "--length",
            "1200",
            "--json",
            "--time",
            "2",
            "--client",
            &host,
            "--port",
            &port,
        ];
        // It never asks again for the one datagram that it begins with.
        let report = || {
            let mark = server.log().mark();
            let output = program::output(Command::new(&iperf).args([&fixed, direction].concat()));
            server.log().wait_after(mark, "Server listening");
            output
                .status
                .success()
                .then(|| Json::parse(&String::from_utf8_lossy(&output.stdout)))
        };
        let report = (0..3).find_map(|_| report()).expect("a report");
        let received = report.get("end").get("sum_received").get("bytes").number();
        assert!(received > 0.0, "nothing received with {direction:?}: {report:?}");
    }
}

#[test]
fn dtls_by_openssl() {
    let Some(openssl) = find("openssl", "openssl") else {
        return;
    };
    let dir = TempDir::new();
    let path = |name: &str| dir.path().join(name).to_str().expect("ASCII").to_owned();
    let (key, certificate) = (path("key.pem"), path("certificate.pem"));
    let made = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=dtls.test",
    ];
    run(
        &openssl,
        &[&made[..], &["-keyout", &key, "-out", &certificate]].concat(),
    );

    let local = address::free_port(address::own());
    let (at, files) = (local.to_string(), ["-key", &key, "-cert", &certificate]);
    let mut server = Talker::start(&openssl, &[&["s_server", "-dtls", "-accept", &at], &files[..]].concat());
    server.log.wait_for("ACCEPT");
    let tunnel = Tunnel::builder().service("dtls", Kind::Udp, local).start();
    let public = tunnel.public("dtls").to_string();
    let trust = ["-CAfile", &certificate, "-verify_return_error"];
    let mut client = Talker::start(
        &openssl,
        &[&["s_client", "-dtls", "-connect", &public], &trust[..]].concat(),
    );
    client.log.wait_for("Verify return code: 0 (ok)");
    // What it carries, DTLS says once only.
    eventually("the service hears", PATIENCE, || {
        client.say("from the visitor");
        !server.log.all("from the visitor").is_empty()
    });
    eventually("the visitor hears", PATIENCE, || {
        server.say("from the service");
        !client.log.all("from the service").is_empty()
    });
}

/// A program that one can talk to.
struct Talker {
    child: Child,
    words: ChildStdin,
    log: Arc<Log>,
}

impl Talker {
    fn start(program: &Path, arguments: &[&str]) -> Talker {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("a program that was found");
        let words = child.stdin.take().expect("its stdin");
        let log = Log::follow(child.stdout.take().expect("its stdout"));
        Talker { child, words, log }
    }

    fn say(&mut self, words: &str) {
        writeln!(self.words, "{words}").expect("somebody who listens");
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
