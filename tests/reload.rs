//! Reload: what is different is applied to processes that run, and nothing else is touched.
//!
//! A build that does not watch files is sent SIGHUP, so that all but the tests of watching hold for it too.

mod rig;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use rig::transport::{CLIENT, SERVER};
use rig::visitor::{self, is_refused};
use rig::{
    Kind, Local, Mark, PATIENCE, Payload, Process, Responder, Role, Service, Signal, TempDir, Transport, Tunnel,
    address, certificates, datagrams, eventually, inspect, local, program,
};

const RELOADED: &str = ": configuration is reloaded file=";
const REFUSED: &str = ": configuration is not applied: ";

/// Whether the program under test watches its files.
fn has_watch() -> bool {
    let output = program::output(rig::pinhole(Role::Server).arg("--version"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .any(|line| line.starts_with("features: ") && line.contains("reload"))
}

/// Whether it has Noise, and TLS.
fn has(transport: Transport) -> bool {
    let has = Transport::available().any(|available| available == transport);
    if !has {
        program::skip("this build has no such transport");
    }
    has
}

/// Makes a process notice what was written after `mark`, and returns its line with `words`.
#[track_caller]
fn noticed(process: &mut Process, mark: Mark, words: &str) -> String {
    if !has_watch() {
        process.signal(Signal::Hangup);
    }
    process.log().wait_after(mark, words)
}

/// Rewrites the file of `role` in place and waits for a line with `words`.
#[track_caller]
fn rewrite(tunnel: &mut Tunnel, role: Role, words: &str, change: impl FnOnce(String) -> String) -> String {
    let path = tunnel.path(role);
    let text = change(fs::read_to_string(&path).expect("a file"));
    let process = tunnel.process(role);
    let mark = process.log().mark();
    fs::write(path, text).expect("the file again");
    noticed(process, mark, words)
}

/// The same with another text for `old`, until it counts.
#[track_caller]
fn edit(tunnel: &mut Tunnel, role: Role, old: &str, new: &str) -> String {
    rewrite(tunnel, role, RELOADED, |text| {
        assert!(text.contains(old), "no `{old}` in:\n{text}");
        text.replacen(old, new, 1)
    })
}

/// One more service in the files of both.
#[track_caller]
fn add(tunnel: &mut Tunnel, service: &Service) {
    for role in [Role::Server, Role::Client] {
        rewrite(tunnel, role, RELOADED, |text| text + &service.table(role));
    }
}

/// A service in a fixed place, so that its part of a file is known.
fn service(name: &str, local: SocketAddr) -> Service {
    Service::new(name, Kind::Tcp, local).at(address::free_port(address::own()))
}

fn public(service: &Service) -> SocketAddr {
    service.public.expect("a public address")
}

/// A visitor that has been answered and stays.
#[track_caller]
fn busy_visitor(address: SocketAddr) -> TcpStream {
    let visitor = visitor::connect(address);
    visitor::echo(&visitor, b"hello");
    visitor
}

#[track_caller]
fn is_up(address: SocketAddr) {
    eventually("the service is up", PATIENCE, || visitor::echoes(address));
}

#[track_caller]
fn is_down(address: SocketAddr) {
    eventually("the port is closed", PATIENCE, || is_refused(address));
}

/// That neither lost its link.
#[track_caller]
fn unharmed(tunnel: &Tunnel) {
    assert_eq!(tunnel.client().log().all("client: connected server=").len(), 1);
    assert_eq!(tunnel.client().log().all("link is down"), [""; 0]);
}

// ---- how a file changes ---------------------------------------------------------------------------------------------

/// A server with no services, from the file `path`; it is ready.
#[track_caller]
fn server_of(path: &Path) -> Process {
    let mut command = rig::pinhole(Role::Server);
    command.env("RUST_LOG", "debug").arg("-s").arg(path);
    let server = Process::start("server", command);
    // From here on, whatever changes is a change.
    server.wait_for("configuration is unchanged");
    server
}

fn empty_server() -> String {
    let at = address::free_port(address::own());
    format!("[server]\nbind_addr = \"{at}\"\ndefault_token = \"t\"\n[server.services]\n")
}

fn with_services(text: &str, count: usize) -> String {
    let services = (0..count).map(|n| format!("[server.services.s{n}]\nbind_addr = \"127.0.0.1:0\"\n"));
    text.to_owned() + &services.collect::<String>()
}

#[test]
fn file_is_written_in_place() {
    let (dir, text) = (TempDir::new(), empty_server());
    let mut server = server_of(&dir.write("server.toml", &text));
    for count in [1, 2, 3] {
        let mark = server.log().mark();
        dir.write("server.toml", with_services(&text, count));
        noticed(
            &mut server,
            mark,
            "server: configuration is reloaded .. added=1 removed=0 changed=0",
        );
    }
}

#[test]
fn file_is_replaced_by_another() {
    let (dir, text) = (TempDir::new(), empty_server());
    let path = dir.write("server.toml", &text);
    let mut server = server_of(&path);
    for count in [1, 2, 3] {
        let mark = server.log().mark();
        let other = dir.write("server.toml.new", with_services(&text, count));
        fs::rename(other, &path).expect("a new file in its place");
        noticed(
            &mut server,
            mark,
            "configuration is reloaded .. added=1 removed=0 changed=0",
        );
    }
}

#[test]
fn file_is_away_for_a_while() {
    let (dir, text) = (TempDir::new(), empty_server());
    let path = dir.write("server.toml", &text);
    let mut server = server_of(&path);
    let mark = server.log().mark();
    fs::rename(&path, dir.path().join("server.toml.old")).expect("the file out of the way");
    dir.write("server.toml", with_services(&text, 1));
    noticed(
        &mut server,
        mark,
        "configuration is reloaded .. added=1 removed=0 changed=0",
    );
}

/// As Kubernetes does: the file is a link into a folder that is a link, which is replaced.
#[test]
fn link_on_the_way_to_the_file_is_swapped() {
    let (dir, text) = (TempDir::new(), empty_server());
    let version = |count: usize| {
        let folder = dir.path().join(format!("v{count}"));
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("server.toml"), with_services(&text, count)).expect("a file");
        symlink(format!("v{count}"), dir.path().join("..new")).expect("a link");
        fs::rename(dir.path().join("..new"), dir.path().join("..data")).expect("the link in its place");
    };
    version(0);
    symlink("..data/server.toml", dir.path().join("server.toml")).expect("a link");
    let mut server = server_of(&dir.path().join("server.toml"));
    for count in [1, 2, 3] {
        let mark = server.log().mark();
        version(count);
        noticed(
            &mut server,
            mark,
            "configuration is reloaded .. added=1 removed=0 changed=0",
        );
    }
}

#[test]
fn hangup_is_answered_even_if_nothing_is_different() {
    let echo = Local::serve(local::echo);
    let mut tunnel = Tunnel::with_echo(echo.address());
    let visitor = busy_visitor(tunnel.public("echo"));
    for role in [Role::Server, Role::Client] {
        let process = tunnel.process(role);
        process.signal(Signal::Hangup);
        process.wait_for(&format!("INFO  {role}: configuration is unchanged file="));
    }
    visitor::echo(&visitor, b"still here");
    unharmed(&tunnel);
}

/// Reading a pipe again would wait for a writer, and all else with it.
#[test]
fn configuration_from_a_pipe_cannot_be_read_again() {
    let dir = TempDir::new();
    let path = dir.path().join("server.toml");
    program::run(Path::new("mkfifo"), &[path.to_str().expect("ASCII")]);
    let text = empty_server();
    let at = text.split('"').nth(1).expect("an address").parse().expect("an address");
    let mut command = rig::pinhole(Role::Server);
    command.arg("-s").arg(&path);
    let mut server = Process::start("server", command);
    fs::write(&path, text).expect("a reader of the pipe");
    server.wait_for("listening for clients");
    server.signal(Signal::Hangup);
    server.wait_for("configuration is not applied: .. is not a file");
    drop(visitor::connect(at));
    server.signal(Signal::Terminate);
    assert_eq!(server.exit().code(), Some(0));
}

/// As much of it as is there would be right.
#[test]
fn half_of_a_file_is_not_applied() {
    if !has_watch() {
        return program::skip("this build does not watch its files");
    }
    let echo = Local::serve(local::echo);
    let mut tunnel = Tunnel::with_echo(echo.address());
    // Twice: who watches knows a writer only from what happened before.
    for name in ["second", "third"] {
        let last = service(name, echo.address());
        add(&mut tunnel, &last);
        eventually("it is there", PATIENCE, || {
            visitor::echoes(last.public.expect("an address"))
        });
        write_slowly(&tunnel, &last);
    }
    unharmed(&tunnel);
}

/// Writes the server's file anew, with a pause before the table of `last`.
fn write_slowly(tunnel: &Tunnel, last: &Service) {
    let path = tunnel.path(Role::Server);
    let text = fs::read_to_string(&path).expect("a file");
    let table = last.table(Role::Server);
    let half = text.strip_suffix(&table).expect("a service at the end");
    let before = tunnel.server().log().all("configuration is").len();

    let mut file = File::create(&path).expect("the file, empty");
    file.write_all(half.as_bytes()).expect("half of it");
    let begun = Instant::now();
    eventually("the writer takes its time", PATIENCE, || {
        begun.elapsed() > Duration::from_secs(2)
    });
    is_up(public(last));
    assert_eq!(tunnel.server().log().all("configuration is").len(), before);

    let mark = tunnel.server().log().mark();
    file.write_all((table + "nodelay = false\n").as_bytes())
        .expect("the rest");
    drop(file);
    let words = "configuration is reloaded .. added=0 removed=0 changed=1";
    tunnel.server().log().wait_after(mark, words);
}

#[test]
fn wrong_file_changes_nothing_and_says_why() {
    let echo = Local::serve(local::echo);
    let mut tunnel = Tunnel::with_echo(echo.address());
    let visitor = busy_visitor(tunnel.public("echo"));
    for role in [Role::Server, Role::Client] {
        let path = tunnel.path(role);
        let sound = fs::read_to_string(&path).expect("a file");
        let line = rewrite(&mut tunnel, role, REFUSED, |text| text + "[nonsense]\n");
        let number = sound.lines().count() + 1;
        assert!(line.contains(&format!("WARN  {role}: ")), "{line}");
        assert!(line.contains(&format!("{}:{number}:2: ", path.display())), "{line}");
        for wrong in ["", "[server", "[server]\nbind_addr = 5\n[client]\nremote_addr = 5\n"] {
            rewrite(&mut tunnel, role, REFUSED, |_| wrong.to_owned());
        }
        visitor::echo(&visitor, b"still here");
        visitor::echo(&tunnel.visit("echo"), b"and so is the service");
        // Right again, it is what it was.
        rewrite(&mut tunnel, role, RELOADED, |_| {
            sound + &service("new", echo.address()).table(role)
        });
    }
    unharmed(&tunnel);
}

#[test]
fn secret_in_a_file_of_its_own_is_followed() {
    let (echo, secrets) = (Local::serve(local::echo), TempDir::new());
    let token = secrets.write("token", "one\n");
    let line = format!("token_file = \"{}\"", token.display());
    let service = service("echo", echo.address())
        .line_at(Role::Server, &line)
        .line_at(Role::Client, &line);
    let mut tunnel = Tunnel::builder().with(service).start();
    let visitor = busy_visitor(tunnel.public("echo"));
    let marks = [Role::Server, Role::Client].map(|role| (role, tunnel.process(role).log().mark()));
    secrets.write("token", "two\n");
    for (role, mark) in marks {
        noticed(
            tunnel.process(role),
            mark,
            "configuration is reloaded .. added=0 removed=0 changed=1",
        );
    }
    is_up(tunnel.public("echo"));
    visitor::echo(&visitor, b"still here");
}

#[test]
fn secret_that_comes_after_the_file_that_names_it() {
    let (echo, secrets) = (Local::serve(local::echo), TempDir::new());
    let mut tunnel = Tunnel::with_echo(echo.address());
    let file = secrets.path().join("token");
    let line = format!("token_file = \"{}\"\n", file.display());
    let complaint = rewrite(&mut tunnel, Role::Server, REFUSED, |text| text + &line);
    assert!(complaint.contains("cannot be read"), "{complaint}");
    let server = tunnel.process(Role::Server);
    let mark = server.log().mark();
    secrets.write("token", "another");
    noticed(server, mark, RELOADED);
    tunnel.client().wait_for("service is refused service=echo");
}

// ---- services -------------------------------------------------------------------------------------------------------

#[test]
fn service_is_added() {
    let echo = Local::serve(local::echo);
    let mut tunnel = Tunnel::with_echo(echo.address());
    let visitor = busy_visitor(tunnel.public("echo"));
    let late = service("late", echo.address());
    add(&mut tunnel, &late);
    is_up(public(&late));
    visitor::echo(&visitor, b"still here");
    unharmed(&tunnel);
}

#[test]
fn first_service_brings_the_link() {
    let echo = Local::serve(local::echo);
    let mut tunnel = Tunnel::builder().build();
    tunnel.start_server();
    tunnel.start_client();
    tunnel.client().wait_for("no services are configured");
    let late = service("late", echo.address());
    add(&mut tunnel, &late);
    is_up(public(&late));
}

#[test]
fn visitors_of_a_removed_service_may_finish() {
    let echo = Local::serve(local::echo);
    for role in [Role::Server, Role::Client] {
        let (kept, gone) = (service("kept", echo.address()), service("gone", echo.address()));
        let mut tunnel = Tunnel::builder().with(kept.clone()).with(gone.clone()).start();
        let visitors = [busy_visitor(public(&gone)), busy_visitor(public(&kept))];
        edit(&mut tunnel, role, &gone.table(role), "");
        is_down(public(&gone));
        for visitor in &visitors {
            visitor::echo(visitor, &Payload::bytes(7, 300_000));
        }
        // It comes back as it was, for those who come then.
        rewrite(&mut tunnel, role, RELOADED, |text| text + &gone.table(role));
        is_up(public(&gone));
        visitors
            .iter()
            .for_each(|visitor| visitor::echo(visitor, b"still here"));
        unharmed(&tunnel);
    }
}

#[test]
fn udp_service_is_removed_and_added() {
    let echo = Responder::echo();
    let service = Service::new("udp", Kind::Udp, echo.address()).at(address::free_port(address::own()));
    if program::output(rig::pinhole(Role::Server).arg("--version"))
        .stdout
        .windows(3)
        .all(|word| word != b"udp")
    {
        return program::skip("this build has no UDP");
    }
    let mut tunnel = Tunnel::builder().with(service.clone()).start();
    let visitor = datagrams::visit(public(&service));
    datagrams::ask(&visitor, b"hello");
    for role in [Role::Server, Role::Client] {
        let mark = tunnel.server().log().mark();
        edit(&mut tunnel, role, &service.table(role), "");
        tunnel.server().log().wait_after(mark, "service is down service=udp");
        let mark = tunnel.server().log().mark();
        rewrite(&mut tunnel, role, RELOADED, |text| text + &service.table(role));
        tunnel.server().log().wait_after(mark, "service is up service=udp");
        datagrams::ask(&visitor, b"again");
    }
    unharmed(&tunnel);
}

/// Sends until told to stop and gives the hash.
fn pour(mut to: &TcpStream, stop: &AtomicBool) -> Vec<u8> {
    let (mut payload, mut hash) = (Payload::new(3), Sha256::new());
    while !stop.load(Ordering::Relaxed) {
        let piece = payload.next_piece();
        hash.update(piece);
        to.write_all(piece).expect("a piece to the other end");
    }
    to.shutdown(std::net::Shutdown::Write).expect("the end");
    hash.finalize().to_vec()
}

/// Reads to the end, counts meanwhile, and gives the hash.
fn swallow(mut from: &TcpStream, count: &AtomicU64) -> Vec<u8> {
    let (mut place, mut hash) = (vec![0; 64 * 1024], Sha256::new());
    loop {
        match from.read(&mut place).expect("the bytes of the other end") {
            0 => return hash.finalize().to_vec(),
            n => {
                hash.update(&place[..n]);
                count.fetch_add(n as u64, Ordering::Relaxed);
            }
        }
    }
}

#[test]
fn bulk_of_a_service_that_stays_the_same_is_not_disturbed() {
    let (echo, door) = (Local::serve(local::echo), Local::door());
    let other = service("other", echo.address());
    let mut tunnel = Tunnel::builder()
        .service("bulk", Kind::Tcp, door.address())
        .with(other.clone())
        .start();
    let near = tunnel.visit("bulk");
    let far = door.arrival();
    let (stop, counts) = (AtomicBool::new(false), [AtomicU64::new(0), AtomicU64::new(0)]);
    thread::scope(|scope| {
        let sending = [&near, &far].map(|from| scope.spawn(|| pour(from, &stop)));
        let [out, back] = &counts;
        let receiving = [(&far, out), (&near, back)].map(|(at, count)| scope.spawn(move || swallow(at, count)));
        let moves = |what: &str| {
            let before = counts.each_ref().map(|count| count.load(Ordering::Relaxed));
            eventually(&format!("bytes flow after: {what}"), PATIENCE, || {
                counts
                    .iter()
                    .zip(before)
                    .all(|(count, before)| count.load(Ordering::Relaxed) > before)
            });
        };
        for role in [Role::Server, Role::Client] {
            let table = other.table(role);
            edit(&mut tunnel, role, &table, &(table.clone() + "token = \"another\"\n"));
            moves("another token");
            edit(&mut tunnel, role, "token = \"another\"\n", "");
            moves("the old token");
            edit(&mut tunnel, role, &table, "");
            moves("the other one is gone");
            rewrite(&mut tunnel, role, RELOADED, |text| text + &table);
            moves("the other one is back");
        }
        stop.store(true, Ordering::Relaxed);
        let sent = sending.map(|thread| thread.join().expect("all sent"));
        let received = receiving.map(|thread| thread.join().expect("all received"));
        assert!(sent == received, "what arrived is not what was sent");
    });
    is_up(public(&other));
    unharmed(&tunnel);
}

#[test]
fn changed_token_has_to_be_proven() {
    let echo = Local::serve(local::echo);
    let (safe, same) = (service("safe", echo.address()), service("same", echo.address()));
    for first in [Role::Server, Role::Client] {
        let mut tunnel = Tunnel::builder().with(safe.clone()).with(same.clone()).start();
        let visitors = [busy_visitor(public(&safe)), busy_visitor(public(&same))];
        let new_token = |tunnel: &mut Tunnel, role| {
            let table = safe.table(role);
            edit(tunnel, role, &table, &(table.clone() + "token = \"changed\"\n"));
        };
        new_token(&mut tunnel, first);
        tunnel
            .client()
            .wait_for("service is refused service=safe reason=\"wrong token\"");
        tunnel
            .server()
            .wait_for("registration is refused service=safe .. wrong token");
        is_down(public(&safe));
        let second = if first == Role::Server {
            Role::Client
        } else {
            Role::Server
        };
        new_token(&mut tunnel, second);
        is_up(public(&safe));
        visitors
            .iter()
            .for_each(|visitor| visitor::echo(visitor, b"still here"));
        unharmed(&tunnel);
    }
}

#[test]
fn service_moves_to_another_port() {
    let echo = Local::serve(local::echo);
    let mut tunnel = Tunnel::with_echo(echo.address());
    let (old, new) = (tunnel.public("echo"), address::free_port(address::own()));
    let visitor = busy_visitor(old);
    edit(&mut tunnel, Role::Server, &old.to_string(), &new.to_string());
    visitor::echo(&visitor::connect(new), b"here now");
    is_down(old);
    tunnel
        .client()
        .wait_for(&format!("service is registered service=echo addr={new}"));
    visitor::echo(&visitor, b"still here");
    unharmed(&tunnel);
}

/// The first wants the port that the second leaves in the same moment; the third widens its own.
#[test]
fn services_move_into_each_others_places() {
    let echo = Local::serve(local::echo);
    let [one, two] = ["one", "two"].map(|name| service(name, echo.address()));
    let at = SocketAddr::new(address::own(), address::free_everywhere());
    let three = Service::new("three", Kind::Tcp, echo.address()).at(at);
    let services = [one, two, three];
    let builder = services
        .iter()
        .cloned()
        .fold(Tunnel::builder(), |builder, service| builder.with(service));
    let mut tunnel = builder.start();
    let [one, two, three] = services.each_ref().map(public);
    let free = address::free_port(address::own());
    let wide = SocketAddr::new([0, 0, 0, 0].into(), three.port());
    let visitor = busy_visitor(three);
    rewrite(&mut tunnel, Role::Server, RELOADED, |text| {
        let text = text.replace(&two.to_string(), &free.to_string());
        let text = text.replace(&one.to_string(), &two.to_string());
        text.replace(&three.to_string(), &wide.to_string())
    });
    let server = tunnel.server().log();
    assert_eq!(server.all("stays where it is"), [""; 0]);
    for (name, address) in [("one", two), ("two", free), ("three", wide)] {
        server.wait_for(&format!("service is up service={name} addr={address}"));
    }
    for address in [two, free, three] {
        visitor::echo(&visitor::connect(address), b"moved");
    }
    is_down(one);
    visitor::echo(&visitor, b"still here");
    unharmed(&tunnel);
}

/// As `change` of their two addresses and a free one says.
fn moved(change: impl FnOnce(String, [SocketAddr; 3]) -> String) -> (Tunnel, [SocketAddr; 3]) {
    let echo = Local::serve(local::echo);
    let services = ["one", "two"].map(|name| service(name, echo.address()));
    let [one, two] = services.clone();
    let mut tunnel = Tunnel::builder().with(one).with(two).start();
    let [one, two] = services.each_ref().map(public);
    let addresses = [one, two, address::free_port(address::own())];
    rewrite(&mut tunnel, Role::Server, RELOADED, |text| change(text, addresses));
    (tunnel, addresses)
}

#[test]
fn a_service_moves_into_the_place_that_another_one_leaves() {
    let (tunnel, [one, two, free]) = moved(|text, [one, two, free]| {
        let text = text.replace(&two.to_string(), &free.to_string());
        text.replace(&one.to_string(), &two.to_string())
    });
    assert_eq!(tunnel.server().log().all("stays where it is"), [""; 0]);
    for (name, address) in [("one", two), ("two", free)] {
        tunnel
            .server()
            .wait_for(&format!("service is up service={name} addr={address}"));
    }
    is_down(one);
    unharmed(&tunnel);
}

/// One of the new addresses is in the way of the old one, and the other nobody has.
#[test]
fn addresses_of_which_one_cannot_be_had_change_nothing() {
    let echo = Local::serve(local::echo);
    let mut tunnel = Tunnel::with_echo(echo.address());
    let (control, public) = (tunnel.control(), tunnel.public("echo"));
    rewrite(&mut tunnel, Role::Server, RELOADED, |text| {
        [control, public].iter().fold(text, |text, at| {
            let (old, port) = (format!("\"{at}\""), at.port());
            assert!(text.contains(&old), "{text}");
            text.replace(&old, &format!("[\"0.0.0.0:{port}\", \"192.0.2.1:{port}\"]"))
        })
    });
    let server = tunnel.server();
    server.wait_for("WARN  server: clients come where they came: cannot listen at .. 192.0.2.1");
    server.wait_for("WARN  server: service stays where it is service=echo: cannot listen at .. 192.0.2.1");
    drop(visitor::connect(control));
    visitor::echo(&tunnel.visit("echo"), b"still here");
    unharmed(&tunnel);
}

#[test]
fn service_whose_new_port_is_taken_stays() {
    let echo = Local::serve(local::echo);
    let mut tunnel = Tunnel::with_echo(echo.address());
    let old = tunnel.public("echo");
    let holder = address::listen(address::own());
    let taken = holder.local_addr().expect("the address that is taken");
    edit(&mut tunnel, Role::Server, &old.to_string(), &taken.to_string());
    let line = tunnel
        .server()
        .wait_for("WARN  server: service stays where it is service=echo");
    assert!(line.contains(&taken.to_string()) && line.contains("in use"), "{line}");
    visitor::echo(&tunnel.visit("echo"), b"still here");
    assert_eq!(tunnel.server().log().all("service is down"), [""; 0]);

    // Asked again, it tries again.
    drop(holder);
    let server = tunnel.process(Role::Server);
    let mark = server.log().mark();
    server.signal(Signal::Hangup);
    server.log().wait_after(mark, RELOADED);
    visitor::echo(&visitor::connect(taken), b"at last");
    is_down(old);
    unharmed(&tunnel);
}

#[test]
fn changed_local_address_is_for_new_visitors() {
    let (echo, door) = (Local::serve(local::echo), Local::door());
    let mut tunnel = Tunnel::with_echo(echo.address());
    let visitor = busy_visitor(tunnel.public("echo"));
    edit(
        &mut tunnel,
        Role::Client,
        &echo.address().to_string(),
        &door.address().to_string(),
    );
    let mut near = tunnel.visit("echo");
    near.write_all(b"to the other one").expect("words");
    let mut words = [0; 16];
    door.arrival().read_exact(&mut words).expect("words at the new service");
    assert_eq!(&words, b"to the other one");
    visitor::echo(&visitor, b"still here");
    assert_eq!(tunnel.server().log().all("service is up").len(), 1);
    unharmed(&tunnel);
}

// ---- links ----------------------------------------------------------------------------------------------------------

#[test]
fn server_moves_and_its_links_stay() {
    let echo = Local::serve(local::echo);
    let mut tunnel = Tunnel::with_echo(echo.address());
    let visitor = busy_visitor(tunnel.public("echo"));
    let (old, new) = (tunnel.control(), address::free_port(address::own()));
    edit(&mut tunnel, Role::Server, &old.to_string(), &new.to_string());
    is_down(old);
    drop(visitor::connect(new));

    let holder = address::listen(address::own());
    let taken = holder.local_addr().expect("the address that is taken");
    edit(&mut tunnel, Role::Server, &new.to_string(), &taken.to_string());
    let line = tunnel.server().wait_for("WARN  server: clients come where they came");
    assert!(line.contains(&taken.to_string()), "{line}");
    drop(visitor::connect(new));
    visitor::echo(&visitor, b"still here");
    visitor::echo(&tunnel.visit("echo"), b"and so is the service");

    // Tried again without being asked.
    let mark = tunnel.server().log().mark();
    drop(holder);
    eventually("the port is tried again", 2 * PATIENCE, || {
        !tunnel
            .server()
            .log()
            .all(&format!("listening for clients addr={taken}"))
            .is_empty()
    });
    tunnel
        .server()
        .log()
        .wait_after(mark, "INFO  server: configuration is reloaded");
    drop(visitor::connect(taken));
    unharmed(&tunnel);
}

#[test]
fn client_goes_to_another_server() {
    let echo = Local::serve(local::echo);
    let mut tunnel = Tunnel::with_echo(echo.address());
    let mut other = Tunnel::builder().service("echo", Kind::Tcp, echo.address()).build();
    other.start_server();
    let visitor = busy_visitor(tunnel.public("echo"));
    let (old, new) = (tunnel.control(), other.control());

    // Nobody is there: what is, stays.
    let nobody = address::free_port(address::own());
    edit(&mut tunnel, Role::Client, &old.to_string(), &nobody.to_string());
    tunnel.client().wait_for("WARN  client: there is no new link server=");
    visitor::echo(&tunnel.visit("echo"), b"still here");

    edit(&mut tunnel, Role::Client, &nobody.to_string(), &new.to_string());
    is_up(other.public("echo"));
    is_down(tunnel.public("echo"));
    visitor::echo(&visitor, b"still here");
    drop(visitor);
    tunnel.server().wait_for("client has left peer=");
}

/// The old link serves until the client has the new key too, and its visitors after that.
#[test]
fn changed_keys_are_for_new_links() {
    if !has(Transport::Noise("NK")) {
        return;
    }
    let echo = Local::serve(local::echo);
    let mut tunnel = Tunnel::builder()
        .service("echo", Kind::Tcp, echo.address())
        .transport(Transport::Noise("NK"))
        .start();
    let visitor = busy_visitor(tunnel.public("echo"));
    let line = edit(&mut tunnel, Role::Server, SERVER.private, CLIENT.private);
    assert!(line.contains("also=transport"), "{line}");
    tunnel.client().wait_for("INFO  client: the server asks for a new link");
    tunnel.client().wait_for("WARN  client: there is no new link");
    visitor::echo(&tunnel.visit("echo"), b"over the old link");

    let mark = tunnel.client().log().mark();
    edit(&mut tunnel, Role::Client, SERVER.public, CLIENT.public);
    tunnel.client().log().wait_after(mark, "client: connected server=");
    tunnel
        .client()
        .log()
        .wait_after(mark, "service is registered service=echo");
    visitor::echo(&tunnel.visit("echo"), b"over the new link");
    visitor::echo(&visitor, b"over the old link");
    drop(visitor);
    tunnel.server().wait_for("INFO  server: client has left peer=");
    eventually("the old link is closed", PATIENCE, || {
        inspect::connections(tunnel.client(), tunnel.control()) == 1
    });
}

#[test]
fn another_transport_is_for_new_links() {
    if !has(Transport::Noise("NK")) {
        return;
    }
    let echo = Local::serve(local::echo);
    let mut tunnel = Tunnel::with_echo(echo.address());
    let visitor = busy_visitor(tunnel.public("echo"));
    let mark = tunnel.client().log().mark();
    for role in [Role::Server, Role::Client] {
        let [old, new] = [Transport::Tcp, Transport::Noise("NK")].map(|transport| transport.table(role));
        edit(&mut tunnel, role, &old, &new);
    }
    tunnel
        .client()
        .log()
        .wait_after(mark, "service is registered service=echo");
    visitor::echo(&tunnel.visit("echo"), b"over Noise");
    visitor::echo(&visitor, b"over TCP");
}

#[test]
fn certificate_is_replaced_on_disk() {
    if !has(Transport::Tls) {
        return;
    }
    let echo = Local::serve(local::echo);
    let mut tunnel = Tunnel::builder()
        .service("echo", Kind::Tcp, echo.address())
        .transport(Transport::Tls)
        .start();
    let visitor = busy_visitor(tunnel.public("echo"));
    let dir = tunnel.dir().path().to_owned();
    let mark = tunnel.server().log().mark();
    certificates::authority(&dir, "other");
    certificates::issue(&dir, "other", "server", "DNS:server.test");
    noticed(
        tunnel.process(Role::Server),
        mark,
        "configuration is reloaded .. also=transport",
    );
    // The new certificate is shown: the client does not trust it yet.
    tunnel.client().wait_for("WARN  client: there is no new link");
    visitor::echo(&tunnel.visit("echo"), b"over the old link");

    let mark = tunnel.client().log().mark();
    fs::copy(dir.join("other.pem"), dir.join("ca.pem")).expect("the new authority");
    noticed(
        tunnel.process(Role::Client),
        mark,
        "configuration is reloaded .. also=transport",
    );
    tunnel
        .client()
        .log()
        .wait_after(mark, "service is registered service=echo");
    visitor::echo(&tunnel.visit("echo"), b"over the new link");
    visitor::echo(&visitor, b"over the old link");
}

#[test]
fn revoked_key_is_cut_at_once_and_no_other() {
    if !has(Transport::Noise("XX")) {
        return;
    }
    let echo = Local::serve(local::echo);
    let (mine, theirs) = (service("mine", echo.address()), service("theirs", echo.address()));
    let keys = TempDir::new();
    let (laptop, nas) = (
        format!("laptop {}\n", CLIENT.public),
        format!("nas {}\n", SERVER.public),
    );
    let file = keys.write("clients", laptop + &nas);
    let mut tunnel = Tunnel::builder()
        .with(mine.clone())
        .with(theirs.clone().missing_at(Role::Client))
        .transport(Transport::Noise("XX"))
        .transport_line(Role::Server, &format!("authorized_keys = \"{}\"", file.display()))
        .start();
    let text = fs::read_to_string(tunnel.path(Role::Client)).expect("a file");
    let text = text.replace(CLIENT.private, SERVER.private);
    let text = text.replace(&mine.table(Role::Client), &theirs.table(Role::Client));
    let mut command = rig::pinhole(Role::Client);
    command.arg("-c").arg(keys.write("nas.toml", text));
    let other = Process::start("nas", command);
    tunnel.server().wait_for("service is up service=theirs .. client=nas");
    let [cut, kept] = [&mine, &theirs].map(|service| busy_visitor(public(service)));

    let mark = tunnel.server().log().mark();
    keys.write("clients", &nas);
    noticed(
        tunnel.process(Role::Server),
        mark,
        "configuration is reloaded .. also=authorized_keys",
    );
    tunnel
        .server()
        .wait_for("INFO  server: client is cut peer= .. client=laptop: its key is no longer authorized");
    visitor::end(&cut);
    is_down(public(&mine));
    tunnel.client().wait_for("this key is no longer authorized");
    tunnel
        .server()
        .wait_for("strangers refused .. the client's key is not authorized");
    visitor::echo(&kept, b"still here");
    visitor::echo(&visitor::connect(public(&theirs)), b"and so is the service");
    assert_eq!(other.log().all("client: connected server=").len(), 1);

    let mark = tunnel.server().log().mark();
    keys.write("clients", format!("laptop {}\n{nas}", CLIENT.public));
    noticed(
        tunnel.process(Role::Server),
        mark,
        "configuration is reloaded .. also=authorized_keys",
    );
    is_up(public(&mine));
    visitor::echo(&kept, b"still here");
}

#[test]
fn control_socket_moves() {
    let (dir, echo) = (TempDir::new(), Local::serve(local::echo));
    if program::output(rig::pinhole(Role::Server).arg("--version"))
        .stdout
        .windows(6)
        .all(|word| word != b"status")
    {
        return program::skip("this build has no status");
    }
    let [one, two] = ["one", "two"].map(|name| dir.path().join(name));
    let line = |path: &Path| format!("control_socket = \"{}\"", path.display());
    let mut tunnel = Tunnel::builder()
        .service("echo", Kind::Tcp, echo.address())
        .line(Role::Client, &line(&one))
        .start();
    edit(&mut tunnel, Role::Client, &line(&one), &line(&two));
    assert!(!one.exists() && two.exists());
    edit(
        &mut tunnel,
        Role::Client,
        &line(&two),
        &line(&dir.path().join("no/such")),
    );
    tunnel.client().wait_for("WARN  client: cannot open control_socket");
    assert!(two.exists());
    edit(&mut tunnel, Role::Client, &line(&dir.path().join("no/such")), "");
    eventually("the socket is gone", PATIENCE, || !two.exists());
    unharmed(&tunnel);
}

// ---- over and over --------------------------------------------------------------------------------------------------

/// Links at most that a client has to one server: the one in use, and those that drain.
const MOST_LINKS: usize = 9;

#[test]
fn links_that_drain_are_few() {
    let echo = Local::serve(local::echo);
    let mut tunnel = Tunnel::builder()
        .service("echo", Kind::Tcp, echo.address())
        .line(Role::Client, "heartbeat_timeout = 100")
        .start();
    let mut visitors = Vec::new();
    for timeout in 100..112 {
        visitors.push(busy_visitor(tunnel.public("echo")));
        let mark = tunnel.client().log().mark();
        let [old, new] = [timeout, timeout + 1].map(|timeout| format!("heartbeat_timeout = {timeout}"));
        edit(&mut tunnel, Role::Client, &old, &new);
        tunnel
            .client()
            .log()
            .wait_after(mark, "service is registered service=echo");
    }
    eventually("the oldest links are gone", PATIENCE, || {
        inspect::connections(tunnel.client(), tunnel.control()) <= MOST_LINKS
    });
    visitor::end(&visitors[0]);
    visitor::echo(visitors.last().expect("the last visitor"), b"still here");
    visitors.clear();
    eventually("all old links are gone", PATIENCE, || {
        inspect::connections(tunnel.client(), tunnel.control()) == 1
    });
}

#[test]
fn hundreds_of_reloads_leave_nothing_behind() {
    let echo = Local::serve(local::echo);
    let other = service("other", echo.address());
    let mut tunnel = Tunnel::builder()
        .service("echo", Kind::Tcp, echo.address())
        .with(other.clone())
        .start();
    let visitor = busy_visitor(tunnel.public("echo"));
    let mut round = |number: usize| {
        for role in [Role::Server, Role::Client] {
            let table = other.table(role);
            let changed = table.clone() + &format!("token = \"{number}\"\n");
            match number % 3 {
                0 => edit(&mut tunnel, role, &table, &changed),
                1 => edit(
                    &mut tunnel,
                    role,
                    &(table.clone() + &format!("token = \"{}\"\n", number - 1)),
                    "",
                ),
                _ => rewrite(&mut tunnel, role, RELOADED, |text| text + &table),
            };
        }
        [Role::Server, Role::Client].map(|role| {
            let process = tunnel.process(role);
            (inspect::descriptors(process), inspect::memory(process))
        })
    };
    let before = (0..30).map(&mut round).last().expect("thirty rounds");
    let after = (30..120).map(&mut round).last().expect("ninety more");
    for ((files, memory), (files_before, memory_before)) in after.into_iter().zip(before) {
        assert!(files <= files_before + 2, "{files_before} descriptors became {files}");
        assert!(memory <= memory_before + 1024, "{memory_before} KiB became {memory}");
    }
    visitor::echo(&visitor, b"still here");
    is_up(public(&other));
    unharmed(&tunnel);
}
