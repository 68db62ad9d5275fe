//! TLS with certificates as people make them: what is accepted, what is refused, and in which words.

mod rig;

use std::io::{Read, Write};
use std::path::Path;

use rig::program::output;
use rig::{Builder, Kind, Local, Role, Transport, Tunnel, certificates, local, pinhole, visitor};

/// The table of `role` with `lines`; its links are TLS.
fn tls(builder: Builder, role: Role, lines: &str) -> Builder {
    let tables = format!("transport.type = \"tls\"\ntransport.tls = {{ {lines} }}");
    builder.line(role, &tables)
}

/// A tunnel to an echo whose two ends have these keys; `make` makes the files beside them.
fn tunnel(echo: &Local, server: &str, client: &str, make: impl Fn(&Path)) -> Tunnel {
    let builder = Tunnel::builder().bare().service("echo", Kind::Tcp, echo.address());
    let builder = tls(tls(builder, Role::Server, server), Role::Client, client);
    let tunnel = builder.build();
    certificates::usual(tunnel.dir().path());
    make(tunnel.dir().path());
    tunnel
}

fn works(server: &str, client: &str, make: impl Fn(&Path)) {
    let echo = Local::serve(local::echo);
    let mut tunnel = tunnel(&echo, server, client, make);
    tunnel.start_server();
    tunnel.start_client();
    tunnel.wait_until_up();
    visitor::echo(&tunnel.visit("echo"), b"over TLS");
}

/// The client cannot connect, for `words`, and the server says `at_server`.
fn is_refused(server: &str, client: &str, make: impl Fn(&Path), words: &str, at_server: &str) {
    let echo = Local::serve(local::echo);
    let mut tunnel = tunnel(&echo, server, client, make);
    tunnel.start_server();
    tunnel.start_client();
    tunnel
        .client()
        .wait_for(&format!("WARN  client: link is down .. {words} .. retry in"));
    tunnel
        .server()
        .wait_for(&format!("WARN  server: .. refused, last peer= .. {at_server}"));
    assert!(tunnel.process(Role::Client).is_running() && tunnel.process(Role::Server).is_running());
}

const SERVER: &str = "certificate = 'server.pem', private_key = 'server.key'";
const CLIENT: &str = "trusted_root = 'ca.pem', hostname = 'server.test'";

fn has_tls() -> bool {
    Transport::available().any(|transport| transport == Transport::Tls)
}

#[test]
fn pem() {
    if has_tls() {
        works(SERVER, CLIENT, |_| {});
    }
}

#[test]
fn a_chain_with_an_authority_between() {
    if !has_tls() {
        return;
    }
    works("certificate = 'chain.pem', private_key = 'leaf.key'", CLIENT, |dir| {
        certificates::authority_under(dir, "ca", "between");
        certificates::issue(dir, "between", "leaf", "DNS:server.test");
        let [leaf, between] = ["leaf.pem", "between.pem"].map(|name| std::fs::read(dir.join(name)).expect("a file"));
        std::fs::write(dir.join("chain.pem"), [leaf, between].concat()).expect("a file");
    });
}

#[test]
fn pkcs12_of_current_and_of_old_openssl() {
    if !has_tls() {
        return;
    }
    for options in [&[][..], &["-legacy"], &["-descert"], &["-certfile", "ca.pem"]] {
        works("pkcs12 = 'server.p12', pkcs12_password = 'hunter2'", CLIENT, |dir| {
            pkcs12(dir, "hunter2", options)
        });
    }
    works("pkcs12 = 'server.p12'", CLIENT, |dir| pkcs12(dir, "", &[]));
}

fn pkcs12(dir: &Path, password: &str, options: &[&str]) {
    let password = format!("pass:{password}");
    let files = [
        "-in",
        "server.pem",
        "-inkey",
        "server.key",
        "-out",
        "server.p12",
        "-passout",
        &password,
    ];
    certificates::run(dir, &[&["pkcs12", "-export"], &files[..], options].concat());
}

#[test]
fn rsa_keys_in_all_spellings() {
    if !has_tls() {
        return;
    }
    let make = |dir: &Path, options: &[&str]| {
        let files = [
            "-x509",
            "-nodes",
            "-keyout",
            "rsa.pkcs8",
            "-out",
            "rsa.pem",
            "-subj",
            "/CN=a",
            "-days",
            "9",
        ];
        let name = ["-newkey", "rsa:2048", "-addext", "subjectAltName=DNS:server.test"];
        certificates::run(dir, &[&["req"], &files[..], &name].concat());
        certificates::run(
            dir,
            &[&["rsa", "-in", "rsa.pkcs8", "-out", "rsa.key"], options].concat(),
        );
    };
    for options in [&[][..], &["-traditional"]] {
        let server = "certificate = 'rsa.pem', private_key = 'rsa.key'";
        works(server, "trusted_root = 'rsa.pem', hostname = 'server.test'", |dir| {
            make(dir, options)
        });
    }
}

#[test]
fn a_certificate_that_is_its_own_authority() {
    if !has_tls() {
        return;
    }
    let server = "certificate = 'own.pem', private_key = 'own.key'";
    let make = |dir: &Path| certificates::self_signed(dir, "own", "DNS:server.test");
    works(server, "trusted_root = 'own.pem', hostname = 'server.test'", make);
    let other = "trusted_root = 'own.pem', hostname = 'other.test'";
    is_refused(server, other, make, "not for other.test", "the peer does not accept");
    let stranger = |dir: &Path| {
        make(dir);
        certificates::self_signed(dir, "stranger", "DNS:server.test");
    };
    let client = "trusted_root = 'stranger.pem', hostname = 'server.test'";
    is_refused(server, client, stranger, "certificate", "the peer");
}

#[test]
fn the_name_is_the_host_of_remote_addr() {
    if !has_tls() {
        return;
    }
    let echo = Local::serve(local::echo);
    let mut addresses = vec![rig::address::own()];
    addresses.extend(rig::address::ipv6());
    for address in addresses {
        let builder = Tunnel::builder()
            .bare()
            .address(address)
            .service("echo", Kind::Tcp, echo.address());
        let builder = tls(
            tls(builder, Role::Server, SERVER),
            Role::Client,
            "trusted_root = 'ca.pem'",
        );
        let mut tunnel = builder.build();
        certificates::authority(tunnel.dir().path(), "ca");
        certificates::issue(tunnel.dir().path(), "ca", "server", &format!("IP:{address}"));
        tunnel.start_server();
        tunnel.start_client();
        tunnel.wait_until_up();
        visitor::echo(&tunnel.visit("echo"), b"an address in the certificate");
    }
}

#[test]
fn system_roots() {
    if !has_tls() {
        return;
    }
    let echo = Local::serve(local::echo);
    let mut tunnel = tunnel(&echo, SERVER, "hostname = 'server.test'", |_| {});
    tunnel.start_server();
    for (roots, words) in [("server.pem", "is of no authority"), ("ca.pem", "")] {
        let mut command = pinhole(Role::Client);
        command
            .arg("-c")
            .arg(tunnel.file(Role::Client))
            .env("SSL_CERT_FILE", tunnel.dir().path().join(roots));
        let client = rig::Process::start("client", command);
        match words {
            "" => tunnel.wait_until_up(),
            words => drop(client.wait_for(&format!("WARN  client: .. {words}"))),
        }
    }
}

#[test]
fn clients_with_certificates() {
    if !has_tls() {
        return;
    }
    let server = &format!("{SERVER}, client_ca = 'clients.pem'");
    let make = |dir: &Path| {
        certificates::authority(dir, "clients");
        certificates::issue(dir, "clients", "client", "DNS:client.test");
        certificates::issue(dir, "ca", "wrong", "DNS:client.test");
    };
    let with = |name: &str| format!("{CLIENT}, client_certificate = '{name}.pem', client_private_key = '{name}.key'");
    works(server, &with("client"), make);
    is_refused(
        server,
        CLIENT,
        make,
        "wants a client certificate",
        "shows no certificate",
    );
    is_refused(
        server,
        &with("wrong"),
        make,
        "does not trust the authority",
        "of no authority that is trusted",
    );
    // Whoever has one may show it to a server that does not ask.
    works(SERVER, &with("client"), make);
}

#[test]
fn certificates_that_clients_refuse() {
    if !has_tls() {
        return;
    }
    let other_name = "trusted_root = 'ca.pem', hostname = 'other.test'";
    is_refused(
        SERVER,
        other_name,
        |_| {},
        "is for .. server.test .. not for other.test",
        "does not accept",
    );
    let other_root = |dir: &Path| certificates::authority(dir, "other");
    let client = "trusted_root = 'other.pem', hostname = 'server.test'";
    is_refused(
        SERVER,
        client,
        other_root,
        "no authority that is trusted here: see trusted_root",
        "does not trust",
    );
    let expired = |dir: &Path| certificates::issue_expired(dir, "ca", "server", "DNS:server.test");
    is_refused(
        SERVER,
        CLIENT,
        expired,
        "has expired on 2020-01-02, and the clock here says 20",
        "has expired",
    );
}

#[test]
fn ends_with_different_transports_say_so() {
    if !has_tls() {
        return;
    }
    let echo = Local::serve(local::echo);
    let builder = || Tunnel::builder().bare().service("echo", Kind::Tcp, echo.address());
    let mut plain_client = tls(builder(), Role::Server, SERVER).build();
    certificates::usual(plain_client.dir().path());
    plain_client.start_server();
    plain_client.start_client();
    plain_client
        .server()
        .wait_for("WARN  server: .. the peer is pinhole without TLS");
    plain_client
        .client()
        .wait_for("WARN  client: .. both ends need the same transport");

    let mut plain_server = tls(builder(), Role::Client, CLIENT).build();
    certificates::usual(plain_server.dir().path());
    plain_server.start_server();
    plain_server.start_client();
    plain_server
        .server()
        .wait_for("WARN  server: .. TLS: both ends need the same transport");
    plain_server.client().wait_for("WARN  client: .. retry in");
}

#[test]
fn strangers_are_told_by_an_alert() {
    if !has_tls() {
        return;
    }
    let echo = Local::serve(local::echo);
    let mut tunnel = tunnel(&echo, SERVER, CLIENT, |_| {});
    tunnel.start_server();
    for words in [
        &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"pinhole\x01",
        &[0x16, 3, 1, 0, 4, 1, 0, 0, 0],
    ] {
        let mut stranger = visitor::connect(tunnel.control());
        stranger.write_all(words).expect("some words");
        let mut answer = Vec::new();
        stranger.read_to_end(&mut answer).expect("the end");
        assert_eq!(answer.first(), Some(&0x15), "an alert: {answer:?}");
    }
    tunnel.start_client();
    tunnel.wait_until_up();
}

#[test]
fn old_and_new_tls() {
    if !has_tls() {
        return;
    }
    let echo = Local::serve(local::echo);
    let mut tunnel = tunnel(&echo, SERVER, CLIENT, |_| {});
    tunnel.start_server();
    let at = tunnel.control().to_string();
    for (version, is_spoken) in [("-tls1_1", false), ("-tls1_2", true), ("-tls1_3", true)] {
        let mut command = std::process::Command::new(certificates::openssl().expect("openssl"));
        let files = [
            "-CAfile",
            "ca.pem",
            "-verify_return_error",
            "-servername",
            "server.test",
        ];
        command
            .current_dir(tunnel.dir().path())
            .args(["s_client", "-connect", &at, version])
            .args(files);
        let output = output(command.stdin(std::process::Stdio::null()));
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(
            text.contains("Verify return code: 0 (ok)") && output.status.success(),
            is_spoken,
            "{version}: {text}"
        );
    }
}

/// What is wrong with a file is said at the start.
#[test]
fn files_that_are_not_usable() {
    if !has_tls() {
        return;
    }
    let echo = Local::serve(local::echo);
    let make = |dir: &Path| {
        certificates::issue(dir, "ca", "other", "DNS:server.test");
        pkcs12(dir, "hunter2", &[]);
        std::fs::write(dir.join("half.pem"), "-----BEGIN CERTIFICATE-----\nMIIB").expect("a file");
        std::fs::write(
            dir.join("junk.pem"),
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        )
        .expect("a file");
        let password = ["-aes256", "-passout", "pass:hunter2"];
        certificates::run(
            dir,
            &[&["ec", "-in", "server.key", "-out", "locked.sec1"], &password[..]].concat(),
        );
        let files = [
            "pkcs8",
            "-topk8",
            "-in",
            "server.key",
            "-out",
            "locked.key",
            "-passout",
            "pass:hunter2",
        ];
        certificates::run(dir, &files);
    };
    for (keys, key, words) in [
        (
            "certificate = 'none.pem', private_key = 'server.key'",
            "certificate",
            "'none.pem' cannot be read: No such",
        ),
        (
            "certificate = '.', private_key = 'server.key'",
            "certificate",
            "not a file",
        ),
        (
            "certificate = 'server.key', private_key = 'server.key'",
            "certificate",
            "has no certificate in it",
        ),
        (
            "certificate = 'half.pem', private_key = 'server.key'",
            "certificate",
            "END line is missing",
        ),
        (
            "certificate = 'junk.pem', private_key = 'server.key'",
            "certificate",
            "has a certificate that cannot be read",
        ),
        (
            "certificate = 'server.pem', private_key = 'server.pem'",
            "private_key",
            "has no private key in it",
        ),
        (
            "certificate = 'server.pem', private_key = 'other.key'",
            "private_key",
            "is not the key of the first certificate",
        ),
        (
            "certificate = 'server.pem', private_key = 'locked.key'",
            "private_key",
            "is encrypted",
        ),
        (
            "certificate = 'server.pem'",
            "private_key",
            "is missing; server.transport.tls.certificate needs it",
        ),
        ("private_key = 'server.key'", "certificate", "is missing"),
        (
            "pkcs12 = 'server.p12', pkcs12_password = 'hunter3'",
            "pkcs12_password",
            "does not open the file",
        ),
        ("pkcs12 = 'server.p12'", "pkcs12_password", "does not open the file"),
        (
            "pkcs12 = 'server.pem', pkcs12_password = 'hunter2'",
            "pkcs12",
            "is not a PKCS#12 file",
        ),
        (&format!("{SERVER}, pkcs12 = 'server.p12'"), "pkcs12", "one certificate"),
        (
            &format!("{SERVER}, client_ca = 'server.key'"),
            "client_ca",
            "has no certificate in it",
        ),
        ("", "tls", "has no certificate for the server"),
    ] {
        let tunnel = tunnel(&echo, keys, CLIENT, make);
        let mut command = pinhole(Role::Server);
        let output = output(command.arg("-s").arg(tunnel.file(Role::Server)));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{keys}: {errors}");
        let is_said = |line: &str| line.contains(&format!("{key}: ")) && line.contains(words);
        assert!(errors.lines().any(is_said), "{keys} {words}: {errors}");
        assert!(errors.lines().count() == 1 && !errors.contains("hunter"), "{errors}");
        assert!(errors.contains("server.toml:"), "{errors}");
    }
    for (keys, words) in [
        ("trusted_root = 'none.pem'", "trusted_root: 'none.pem' cannot be read"),
        (
            "trusted_root = 'server.key'",
            "trusted_root: 'server.key' has no certificate",
        ),
        (
            &format!("{CLIENT}, client_private_key = 'server.key'"),
            "client_certificate: is missing",
        ),
        (
            "trusted_root = 'ca.pem', hostname = 'a b'",
            "hostname: 'a b' is neither a host name nor an address",
        ),
    ] {
        let tunnel = tunnel(&echo, SERVER, keys, make);
        let output = output(pinhole(Role::Client).arg("-c").arg(tunnel.file(Role::Client)));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(1) && errors.contains(words),
            "{keys} {words}: {errors}"
        );
    }
}
