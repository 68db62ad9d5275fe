//! Noise: who does not get through, and what both logs say of it; keys; clients by name.

mod rig;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use rig::transport::{CLIENT, PSK, SERVER};
use rig::{Builder, Kind, Local, Payload, Role, TempDir, Transport, Tunnel, local, program, visitor};

const NK: Transport = Transport::Noise("NK");
const KK: Transport = Transport::Noise("KK");
const XX: Transport = Transport::Noise("XX");

/// What a client reads of a server that closes without a word.
const CLOSED: &str = "the connection was closed before the handshake was complete: both ends need the same transport";

/// Whether the program under test has Noise; a test without it is skipped.
fn has_noise() -> bool {
    let has = Transport::available().any(|transport| transport == NK);
    if !has {
        program::skip("this build has no Noise");
    }
    has
}

fn with_echo(echo: &Local, transport: Transport) -> Builder {
    Tunnel::builder()
        .service("echo", Kind::Tcp, echo.address())
        .transport(transport)
}

/// Starts what cannot work: `server` stands in the server's log and `client` in the client's.
#[track_caller]
fn fails(builder: Builder, server: &str, client: &str) {
    let mut tunnel = builder.log_filter("debug").build();
    tunnel.start_server();
    tunnel.start_client();
    tunnel
        .server()
        .wait_for(&format!("WARN  server: .. strangers refused, last peer= .. {server}"));
    tunnel
        .client()
        .wait_for(&format!("WARN  client: link is down .. {client}"));
    assert_eq!(tunnel.server().log().all("service is up"), [""; 0]);
}

// ---- both ends need the same ----------------------------------------------------------------------------------------

#[test]
fn wrong_keys_are_refused_in_words() {
    if !has_noise() {
        return;
    }
    let echo = Local::serve(local::echo);
    let misfit = "the Noise handshake does not fit";
    let nk = with_echo(&echo, NK).transport_edit(Role::Client, SERVER.public, CLIENT.public);
    fails(nk, misfit, CLOSED);
    let kk = with_echo(&echo, KK).transport_edit(Role::Server, CLIENT.public, SERVER.public);
    fails(kk, misfit, CLOSED);
    let psk = with_echo(&echo, Transport::Noise("NKpsk0")).transport_edit(Role::Client, PSK, CLIENT.public);
    fails(psk, misfit, CLOSED);
    let pinned = format!("remote_public_key = \"{}\"", CLIENT.public);
    let xx = with_echo(&echo, XX).transport_line(Role::Client, &pinned);
    fails(xx, CLOSED, "the server's key is not remote_public_key");
}

#[test]
fn other_patterns_are_refused_in_words() {
    if !has_noise() {
        return;
    }
    let echo = Local::serve(local::echo);
    let other = |client, server| with_echo(&echo, client).transport_at(Role::Server, server);
    fails(other(XX, NK), "a Noise handshake that is not NK", CLOSED);
    fails(other(NK, XX), "a Noise handshake that is not XX", CLOSED);
    fails(other(NK, KK), "the Noise handshake does not fit", CLOSED);
    fails(
        other(Transport::Noise("NN"), XX),
        CLOSED,
        "a Noise handshake that is not NN",
    );
}

#[test]
fn other_transports_are_refused_in_words() {
    if !has_noise() {
        return;
    }
    let echo = Local::serve(local::echo);
    let plain_client = with_echo(&echo, NK).transport_at(Role::Client, Transport::Tcp);
    fails(plain_client, "pinhole without the transport of this end", CLOSED);
    let plain_server = with_echo(&echo, NK).transport_at(Role::Server, Transport::Tcp);
    fails(
        plain_server,
        "what looks like Noise: both ends need the same transport",
        CLOSED,
    );
}

// ---- clients by name ------------------------------------------------------------------------------------------------

#[test]
fn authorized_clients_have_names_and_others_stay_outside() {
    if !has_noise() {
        return;
    }
    let echo = Local::serve(local::echo);
    for transport in [XX, Transport::Noise("IK"), KK] {
        let keys = |key: &str| format!("authorized_keys = {{ laptop = \"{key}\" }}");
        let tunnel = with_echo(&echo, transport)
            .transport_line(Role::Server, &keys(CLIENT.public))
            .start();
        tunnel
            .server()
            .wait_for("INFO  server: service is up service=echo .. client=laptop");
        visitor::echo(&tunnel.visit("echo"), b"by name");

        let refused = with_echo(&echo, transport).transport_line(Role::Server, &keys(SERVER.public));
        fails(
            refused,
            &format!("the client's key is not authorized: {}", CLIENT.public),
            CLOSED,
        );
    }
}

#[test]
fn authorized_clients_may_stand_in_a_file() {
    if !has_noise() {
        return;
    }
    let (dir, echo) = (TempDir::new(), Local::serve(local::echo));
    let text = format!("# who may come\n\nnas {}\nlaptop\t{}\n", SERVER.public, CLIENT.public);
    let path = dir.write("clients", text);
    let line = format!("authorized_keys = \"{}\"", path.display());
    let tunnel = with_echo(&echo, XX).transport_line(Role::Server, &line).start();
    tunnel
        .server()
        .wait_for("INFO  server: service is up service=echo .. client=laptop");
}

// ---- keys -----------------------------------------------------------------------------------------------------------

#[test]
fn generated_keys_work() {
    if !has_noise() {
        return;
    }
    let (private, public) = generated();
    assert_ne!(generated().0, private);
    let echo = Local::serve(local::echo);
    let tunnel = with_echo(&echo, NK)
        .transport_edit(Role::Server, SERVER.private, &private)
        .transport_edit(Role::Client, SERVER.public, &public)
        .start();
    visitor::echo(&tunnel.visit("echo"), b"new keys");
}

/// A private and a public key, as rathole prints them.
fn generated() -> (String, String) {
    let output = program::output(rig::pinhole(Role::Server).arg("--genkey"));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines: Vec<&str> = text.split('\n').collect();
    let ["Private Key:", private, "", "Public Key:", public, ""] = lines[..] else {
        panic!("other lines than rathole's: {text}");
    };
    assert!(output.status.success() && private.len() == 44 && public.len() == 44);
    (private.to_owned(), public.to_owned())
}

#[test]
fn there_are_no_keys_for_other_curves() {
    if !has_noise() {
        return;
    }
    for (curve, code) in [("x448", 1), ("ed25519", 2), ("file.toml", 2)] {
        let output = program::output(rig::pinhole(Role::Server).args(["--genkey", curve]));
        assert_eq!(output.status.code(), Some(code), "{curve}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{curve}");
    }
}

#[test]
fn keys_may_stand_in_files() {
    if !has_noise() {
        return;
    }
    let (dir, echo) = (TempDir::new(), Local::serve(local::echo));
    let mut builder = with_echo(&echo, Transport::Noise("NKpsk0"));
    let files = [
        (Role::Server, "local_private_key", SERVER.private),
        (Role::Server, "psk", PSK),
        (Role::Client, "psk", PSK),
    ];
    for (role, key, value) in files {
        let path = dir.write(&format!("{role}-{key}"), format!("{value}\n"));
        let (old, new) = (
            format!("{key} = \"{value}\""),
            format!("{key}_file = \"{}\"", path.display()),
        );
        builder = builder.transport_edit(role, &old, &new);
    }
    visitor::echo(&builder.start().visit("echo"), b"from files");
}

#[test]
fn client_without_a_key_of_its_own_has_a_new_one() {
    if !has_noise() {
        return;
    }
    let echo = Local::serve(local::echo);
    let line = format!("local_private_key = \"{}\"\n", CLIENT.private);
    let tunnel = with_echo(&echo, XX).transport_edit(Role::Client, &line, "").start();
    visitor::echo(&tunnel.visit("echo"), b"nobody's key");
}

/// rathole takes them.
#[test]
fn keys_without_meaning_are_a_warning() {
    if !has_noise() {
        return;
    }
    let echo = Local::serve(local::echo);
    let tunnel = with_echo(&echo, NK)
        .transport_line(Role::Client, &format!("local_private_key = \"{}\"", CLIENT.private))
        .transport_line(Role::Server, &format!("remote_public_key = \"{}\"", CLIENT.public))
        .start();
    tunnel
        .client()
        .wait_for("WARN  .. local_private_key is of no use: the pattern NK");
    tunnel
        .server()
        .wait_for("WARN  .. remote_public_key is of no use: the pattern NK");
    visitor::echo(&tunnel.visit("echo"), b"all the same");
}

#[test]
fn log_never_has_a_key() {
    if !has_noise() {
        return;
    }
    let echo = Local::serve(local::echo);
    for transport in [KK, Transport::Noise("XXpsk3")] {
        let tunnel = with_echo(&echo, transport).log_filter("trace").start();
        visitor::echo(&tunnel.visit("echo"), b"hello");
        for process in [tunnel.server(), tunnel.client()] {
            for secret in [SERVER.private, CLIENT.private, PSK, rig::TOKEN] {
                assert_eq!(process.log().all(secret), [""; 0]);
            }
        }
    }
}

// ---- strangers ------------------------------------------------------------------------------------------------------

#[test]
fn strangers_who_ask_for_arithmetic_delay_nobody_for_long() {
    if !has_noise() {
        return;
    }
    let echo = Local::serve(local::echo);
    let mut tunnel = with_echo(&echo, NK).build();
    tunnel.start_server();
    let strangers: Vec<_> = (0..200)
        .map(|seed| {
            let stranger = visitor::connect(tunnel.control());
            // As long as the first message of NK.
            let message = [&[0, 49][..], &Payload::bytes(seed, 49)].concat();
            let _ = (&stranger).write_all(&message);
            stranger
        })
        .collect();
    tunnel.start_client();
    tunnel.wait_until_up();
    visitor::echo(&tunnel.visit("echo"), b"beside strangers");
    let start = Instant::now();
    for stranger in &strangers {
        visitor::end(stranger);
    }
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "strangers stayed {:?}",
        start.elapsed()
    );
}

/// The ciphers of the server's records and the client's over the default handshake; one of them may have it named.
fn ciphers(named: Option<Role>) -> [String; 2] {
    let echo = Local::serve(local::echo);
    let mut builder = with_echo(&echo, NK).log_filter("debug");
    if let Some(role) = named {
        let pattern = "pattern = \"Noise_NK_25519_ChaChaPoly_BLAKE2s\"";
        builder = builder.transport_line(role, pattern);
    }
    let mut tunnel = builder.start();
    visitor::echo(&tunnel.visit("echo"), b"some words");
    [Role::Server, Role::Client].map(|role| {
        let line = tunnel.process(role).wait_for("DEBUG .. Noise records: ");
        line.rsplit(' ').next().unwrap_or_default().to_owned()
    })
}

#[test]
fn records_have_the_quickest_cipher_of_both_ends_unless_one_is_named() {
    if !has_noise() {
        return;
    }
    for role in [Role::Server, Role::Client] {
        assert_eq!(ciphers(Some(role)), ["ChaChaPoly"; 2]);
    }
    let [server, client] = ciphers(None);
    assert_eq!(server, client);
    // A program that is not the one that cargo has just built may lack it.
    if cfg!(all(feature = "noise-ring", target_arch = "x86_64")) && std::env::var_os("PINHOLE_BIN").is_none() {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").expect("this machine's CPU");
        let has = |flag: &str| cpu.split_whitespace().any(|word| word == flag);
        assert_eq!(server == "AESGCM", has("aes") && has("pclmulqdq"), "{server}");
    }
}

/// Whoever has shaken hands and leaves, before a record or inside one, leaves nothing behind.
#[test]
fn peers_that_leave_inside_a_record_are_gone() {
    if !has_noise() {
        return;
    }
    let echo = Local::serve(local::echo);
    for count in [0, 1, 2, 3, 30] {
        let door = Local::door();
        let mut tunnel = with_echo(&echo, NK).through(door.address()).build();
        tunnel.start_server();
        tunnel.start_client();
        let (mut client, mut server) = (door.arrival(), visitor::connect(tunnel.control()));
        pass_message(&client, &server);
        pass_message(&server, &client);
        let mut record = vec![0; count];
        client.read_exact(&mut record).expect("a part of a record");
        server.write_all(&record).expect("the same part");
        server.shutdown(Shutdown::Write).expect("an end");
        visitor::end(&server);
    }
}

/// Passes one message of a handshake on.
fn pass_message(mut from: &TcpStream, mut to: &TcpStream) {
    let mut length = [0; 2];
    from.read_exact(&mut length).expect("a length");
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    from.read_exact(&mut message).expect("a message");
    to.write_all(&[&length[..], &message].concat())
        .expect("the same message");
}

#[test]
fn nonsense_is_survived() {
    if !has_noise() {
        return;
    }
    let echo = Local::serve(local::echo);
    let tunnel = with_echo(&echo, NK).start();
    let visitor = tunnel.visit("echo");
    for length in [1, 2, 3, 49, 50, 51, 1000, 100_000] {
        for first in [
            &[][..],
            &[0, 49],
            &[0xff, 0xff],
            &[0, 0],
            b"GET / HTTP/1.1\r\n\r\n",
            b"pinhole\x01",
        ] {
            let stranger = visitor::connect(tunnel.control());
            let _ = (&stranger).write_all(&[first, &Payload::bytes(1, length)].concat());
            let _ = stranger.shutdown(std::net::Shutdown::Write);
            visitor::end(&stranger);
        }
    }
    visitor::echo(&visitor, b"unharmed");
    assert_eq!(tunnel.client().log().all("link is down"), [""; 0]);
}
