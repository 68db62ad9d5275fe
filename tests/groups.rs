//! Clients that share a service: who gets a visitor, and what happens when one of them goes, or is not well.

mod rig;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rig::crowd::TOKEN;
use rig::json::Json;
use rig::{Crowd, Local, PATIENCE, Process, Responder, Role, Signal, datagrams, eventually, field, inspect, visitor};

/// What `shared-secret` hashes to.
const HASH: &str = "d3046ecc8dd3242adf62801a33ef1004003b01b4c8f558df72e637da30321ccd";

const BALANCED: &str = "tcp_port_range = [20000, 20003]\nudp_port_range = [20100, 20103]\nregion = \"here\"\n";

fn server(more: &str) -> Crowd {
    server_with("", more)
}

fn server_with(more: &str, balancing: &str) -> Crowd {
    Crowd::new(&text(more, balancing))
}

fn text(more: &str, balancing: &str) -> String {
    format!(
        "default_token = \"{TOKEN}\"\n{BALANCED}{more}\n[server.load_balancing]\nenabled = true\n{balancing}\n\
         [server.services]"
    )
}

/// A member of the group `pool`.
fn member(local: SocketAddr, more: &str) -> String {
    format!(
        "[client.services.web]\nlocal_addr = \"{local}\"\nremote_port = 0\nretry_interval = 1\ngroup = \"pool\"\n\
         group_key = \"shared-secret\"\n{more}\n"
    )
}

/// A check that finds out fast.
fn check(more: &str) -> String {
    format!("health_check = {{ type = \"http\", path = \"/health\", interval_secs = 1, max_failed = 2{more} }}")
}

#[track_caller]
fn public(client: &Process) -> SocketAddr {
    let line = client.wait_for("INFO  client: service is registered service=web ");
    field(&line, "addr").parse().expect("an address in the log")
}

/// A local service that says its name, and how many it has told; to `GET /health` it answers as well as it is.
struct Backend {
    local: Local,
    told: Arc<AtomicUsize>,
    probes: Arc<AtomicUsize>,
    is_well: Arc<AtomicBool>,
}

impl Backend {
    fn new(name: char) -> Backend {
        let (told, probes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let is_well = Arc::new(AtomicBool::new(true));
        let (count, probed, well) = (told.clone(), probes.clone(), is_well.clone());
        let local = Local::serve(move |mut stream| {
            let mut bytes = [0; 1024];
            let Ok(n @ 1..) = stream.read(&mut bytes) else { return };
            if bytes[..n].starts_with(b"GET /health HTTP/1.0\r\n") {
                probed.fetch_add(1, Ordering::SeqCst);
                let status = if well.load(Ordering::SeqCst) {
                    "200 OK"
                } else {
                    "503 No"
                };
                let _ = write!(stream, "HTTP/1.0 {status}\r\n\r\n");
                return;
            }
            count.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(&[name as u8]);
            let _ = stream.write_all(&bytes[..n]);
        });
        Backend {
            local,
            told,
            probes,
            is_well,
        }
    }

    fn told(&self) -> usize {
        self.told.load(Ordering::SeqCst)
    }

    fn set_well(&self, is_well: bool) {
        self.is_well.store(is_well, Ordering::SeqCst);
    }
}

/// Who answers a visitor that says something at once; `None`: nobody.
fn answer(at: SocketAddr) -> Option<char> {
    let mut stream = visitor::connect(at);
    stream.write_all(b"hello").ok()?;
    stream.shutdown(Shutdown::Write).ok()?;
    let mut all = Vec::new();
    stream.read_to_end(&mut all).ok()?;
    (all.get(1..) == Some(b"hello")).then(|| all[0] as char)
}

/// How many of `count` visitors each of `a` and `b` gets; nobody is left alone.
#[track_caller]
fn answers(at: SocketAddr, count: usize) -> [usize; 2] {
    let mut got = [0; 2];
    for _ in 0..count {
        let who = answer(at).expect("an answer");
        got[usize::from(who == 'b')] += 1;
    }
    got
}

#[test]
fn two_clients_share_a_port_and_one_left_serves_all() {
    let crowd = server("");
    let (a, b) = (Backend::new('a'), Backend::new('b'));
    let mut one = crowd.client("one", &member(a.local.address(), ""));
    let at = public(&one);
    let two = crowd.client("two", &member(b.local.address(), ""));
    assert_eq!(public(&two), at);
    assert_eq!(inspect::listeners(&crowd.server, at), 1);
    let got = answers(at, 200);
    assert!(got.iter().all(|n| (40..=160).contains(n)), "{got:?}");
    assert_eq!([a.told(), b.told()], got);
    one.signal(Signal::Terminate);
    one.exit();
    eventually("the other one has all", PATIENCE, || answer(at) == Some('b'));
    assert_eq!(answers(at, 20), [0, 20]);
    drop(two);
    eventually("the port is closed", PATIENCE, || visitor::is_refused(at));
}

#[test]
fn another_key_another_name_and_a_lone_wolf_are_kept_out_of_a_defined_service() {
    let crowd = Crowd::new(&format!(
        "default_token = \"{TOKEN}\"\n[server.load_balancing]\nenabled = true\n\
         [server.services.web]\nbind_addr = \"ADDR:20000\""
    ));
    let a = Backend::new('a');
    let local = a.local.address();
    let defined = |more: &str| format!("[client.services.web]\nlocal_addr = \"{local}\"\nretry_interval = 1\n{more}\n");
    let own = "group = \"pool\"\ngroup_key = \"shared-secret\"";
    let first = crowd.client("first", &defined(own));
    public(&first);
    let second = crowd.client("second", &defined(own));
    assert_eq!(public(&second), crowd.at(20_000));
    let other = crowd.client("other", &defined("group = \"pool\"\ngroup_key = \"shared-secrets\""));
    other.wait_for("service is refused service=web reason=\"group key does not match\"");
    let another = crowd.client("another", &defined("group = \"swamp\"\ngroup_key = \"shared-secret\""));
    another.wait_for("service is refused service=web reason=\"group key does not match\"");
    let wolf = crowd.client("wolf", &defined(""));
    wolf.wait_for("service is refused service=web reason=\"service 'web' is already in use\"");
    assert_eq!(answer(crowd.at(20_000)), Some('a'));
    // Those who were refused ask again, and must not be the first.
    drop((other, another, wolf, first, second));
    crowd.server.wait_for("service is down service=web ");
    let wolf = crowd.client("lone", &defined(""));
    public(&wolf);
    let late = crowd.client("late", &defined(own));
    late.wait_for("service is refused service=web reason=\"group key does not match\"");
    let words = crowd.server.log().text();
    assert!(
        !words.contains("shared-secret") && !words.contains(&HASH[..16]),
        "{words}"
    );
}

#[test]
fn without_balancing_groups_are_ignored_and_that_is_said() {
    let crowd = Crowd::new(&format!("default_token = \"{TOKEN}\"\n{BALANCED}[server.services]"));
    let a = Backend::new('a');
    let lines = member(a.local.address(), &check(""));
    let (one, two) = (crowd.client("one", &lines), crowd.client("two", &lines));
    assert_ne!(public(&one), public(&two));
    one.wait_for("the server does not balance: this client is alone with its service service=web");
    crowd.server.wait_for("member is healthy service=web ");
    a.set_well(false);
    // It is not well, and is served all the same.
    crowd.server.wait_for("is not healthy service=web");
    assert_eq!(answer(public(&one)), Some('a'));
}

#[test]
fn neither_key_nor_hash_is_on_the_wire() {
    let crowd = server("");
    let (control, seen) = (crowd.control(), Arc::new(Mutex::new(Vec::new())));
    let record = seen.clone();
    let tap = Local::serve(move |stream| {
        let server = TcpStream::connect(control).expect("the server");
        let (back, record) = (stream.try_clone().expect("a descriptor"), record.clone());
        let from = server.try_clone().expect("a descriptor");
        let other = record.clone();
        let answers = thread::spawn(move || copy(&from, &back, &other));
        copy(&stream, &server, &record);
        let _ = answers.join();
    });
    let a = Backend::new('a');
    let client = crowd.client_through("client", tap.address(), &member(a.local.address(), ""));
    public(&client);
    let seen = seen.lock().expect("whole bytes").clone();
    assert!(seen.windows(4).any(|window| window == b"pool"));
    let hash: Vec<u8> = (0..32)
        .map(|n| u8::from_str_radix(&HASH[2 * n..2 * n + 2], 16).expect("hex"))
        .collect();
    for secret in [
        b"shared-secret",
        &hash[..],
        HASH.as_bytes(),
        &HASH.as_bytes()[..16],
        TOKEN.as_bytes(),
    ] {
        assert!(!seen.windows(secret.len()).any(|window| window == secret));
    }
}

/// Passes bytes on, and keeps them.
fn copy(mut from: &TcpStream, mut to: &TcpStream, record: &Mutex<Vec<u8>>) {
    let mut bytes = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        record.lock().expect("whole bytes").extend_from_slice(&bytes[..n]);
        if to.write_all(&bytes[..n]).is_err() {
            return;
        }
    }
}

#[test]
fn a_sick_member_gets_nobody_until_it_is_well_again() {
    let crowd = server("");
    let (a, b) = (Backend::new('a'), Backend::new('b'));
    let one = crowd.client("one", &member(a.local.address(), &check("")));
    let at = public(&one);
    let two = crowd.client("two", &member(b.local.address(), &check("")));
    public(&two);
    crowd
        .server
        .wait_for("member is healthy service=web .. healthy=2 members=2");
    let held = visitor::connect(at);
    for round in 0..2 {
        let mark = crowd.server.log().mark();
        a.set_well(false);
        let line = crowd
            .server
            .log()
            .wait_after(mark, "member is not healthy service=web ");
        assert!(
            line.contains("healthy=1 members=2 reason=\"2 consecutive probe failures\""),
            "{line}"
        );
        assert_eq!(answers(at, 50), [0, 50], "round {round}");
        let mark = crowd.server.log().mark();
        a.set_well(true);
        crowd.server.log().wait_after(mark, "member is healthy service=web ");
        assert!(answers(at, 100)[0] > 10, "round {round}");
    }
    // Who was there stays.
    (&held).write_all(b"hello").expect("an open connection");
    let mut words = [0; 6];
    (&held).read_exact(&mut words).expect("an answer");
    assert_eq!(&words[1..], b"hello");
}

#[test]
fn nobody_healthy_is_accepted_and_closed() {
    let crowd = server("");
    let a = Backend::new('a');
    a.set_well(false);
    let client = crowd.client("client", &member(a.local.address(), &check("")));
    let at = public(&client);
    assert_eq!(visitor::end(&visitor::connect(at)), visitor::End::Closed);
    assert_eq!(a.told(), 0);
    a.set_well(true);
    crowd.server.wait_for("member is healthy service=web ");
    assert_eq!(answer(at), Some('a'));
}

#[test]
fn probes_end_with_the_session() {
    let crowd = server("");
    let a = Backend::new('a');
    let mut client = crowd.client("client", &member(a.local.address(), &check("")));
    crowd.server.wait_for("member is healthy service=web ");
    drop(crowd);
    client.wait_for("retry in");
    let before = a.probes.load(Ordering::SeqCst);
    // Another client's probes tell the time.
    let (other, clock) = (server(""), Backend::new('c'));
    let _clock = other.client("clock", &member(clock.local.address(), &check("")));
    eventually("three probes would have come", PATIENCE, || {
        clock.probes.load(Ordering::SeqCst) > 3
    });
    assert!(a.probes.load(Ordering::SeqCst) <= before + 1);
    client.kill();
}

/// Whoever cannot reach its local service, or is frozen, or is killed at any moment, costs no visitor more than time.
#[test]
fn another_member_gets_whom_one_cannot_serve() {
    let crowd = server("");
    let (a, b) = (Backend::new('a'), Backend::new('b'));
    let nobody = rig::address::free_port(rig::address::own());
    let one = crowd.client("one", &member(nobody, ""));
    let at = public(&one);
    let two = crowd.client("two", &member(b.local.address(), ""));
    public(&two);
    assert_eq!(answers(at, 50), [0, 50]);
    drop(one);
    let mut three = crowd.client("three", &member(a.local.address(), ""));
    public(&three);
    three.signal(Signal::Stop);
    let visitors: Vec<TcpStream> = (0..20).map(|_| visitor::connect(at)).collect();
    for mut stream in &visitors {
        stream.write_all(b"hello").expect("room to write");
        stream.shutdown(Shutdown::Write).expect("an open connection");
    }
    three.kill();
    for mut stream in &visitors {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("an answer");
        assert_eq!(all, b"bhello");
    }
}

#[test]
fn sources_stick_and_weights_count() {
    let crowd = server("");
    let (a, b) = (Backend::new('a'), Backend::new('b'));
    let one = crowd.client("one", &member(a.local.address(), "sticky = \"source\""));
    let at = public(&one);
    let two = crowd.client("two", &member(b.local.address(), "sticky = \"source\""));
    public(&two);
    let first = answer(at).expect("an answer");
    assert!((0..30).all(|_| answer(at) == Some(first)));

    let crowd = server("");
    let one = crowd.client("one", &member(a.local.address(), "weight = 9"));
    let at = public(&one);
    let two = crowd.client("two", &member(b.local.address(), "weight = 1"));
    public(&two);
    let got = answers(at, 200);
    assert!((150..=198).contains(&got[0]), "{got:?}");
}

#[test]
fn a_member_that_ends_drains() {
    let crowd = server("");
    let (a, b) = (Backend::new('a'), Backend::new('b'));
    let mut one = crowd.client("one", &format!("drain_secs = 60\n{}", member(a.local.address(), "")));
    let at = public(&one);
    let held = visitor::connect(at);
    crowd.server.wait_for("service is up service=web ");
    let two = crowd.client("two", &member(b.local.address(), ""));
    public(&two);
    // Taken by the first one before there was another.
    one.signal(Signal::Terminate);
    one.wait_for("draining for up to 60 s");
    eventually("new ones go to the other one", PATIENCE, || answers(at, 10) == [0, 10]);
    assert!(one.is_running());
    (&held).write_all(b"hello").expect("an open connection");
    let mut words = [0; 6];
    (&held).read_exact(&mut words).expect("an answer");
    assert_eq!(&words, b"ahello");
    drop(held);
    one.exit();
}

#[test]
fn flows_stick_to_their_member_and_move_when_it_goes() {
    // Those that move need no more room than they had.
    let crowd = server_with("max_connections_per_service = 40", "");
    let name = |name: &'static [u8]| {
        Responder::serve(move |socket, from, bytes| {
            let _ = socket.send_to(&[name, bytes].concat(), from);
        })
    };
    let (a, b) = (name(b"a"), name(b"b"));
    let lines = |local: SocketAddr| member(local, "type = \"udp\"");
    let mut one = crowd.client("one", &lines(a.address()));
    let at = public(&one);
    let two = crowd.client("two", &lines(b.address()));
    assert_eq!(public(&two), at);
    let visitors: Vec<_> = (0..40).map(|_| datagrams::visit(at)).collect();
    let who = |visitor: &std::net::UdpSocket, tag: &str| {
        let words = datagrams::ask_for(visitor, tag.as_bytes(), |answer| answer.ends_with(tag.as_bytes()));
        words[0] as char
    };
    let first: Vec<char> = visitors.iter().map(|visitor| who(visitor, "first")).collect();
    assert!(first.contains(&'a') && first.contains(&'b'));
    let again: Vec<char> = visitors.iter().map(|visitor| who(visitor, "again")).collect();
    assert_eq!(first, again);
    one.kill();
    crowd.server.wait_for("link is down peer=");
    assert!(visitors.iter().all(|visitor| who(visitor, "after") == 'b'));
}

#[test]
fn keys_are_rotated_where_the_server_lists_them() {
    let lines = |keys: &str| {
        format!(
            "default_token = \"{TOKEN}\"\n[server.load_balancing]\nenabled = true\n\
             [server.services.web]\nbind_addr = \"ADDR:20000\"\ngroup_keys = [{keys}]"
        )
    };
    let crowd = Crowd::new(&lines(&format!("\"{HASH}\"")));
    let a = Backend::new('a');
    let with = |key: &str| {
        let local = a.local.address();
        format!(
            "[client.services.web]\nlocal_addr = \"{local}\"\nretry_interval = 1\ngroup = \"pool\"\ngroup_key = \"{key}\""
        )
    };
    // Who has none of the keys does not get the service, even while nobody serves it.
    let lone = crowd.client(
        "lone",
        &format!("[client.services.web]\nlocal_addr = \"{}\"", a.local.address()),
    );
    lone.wait_for("service is refused service=web reason=\"group key does not match\"");
    let old = crowd.client("old", &with("shared-secret"));
    public(&old);
    let new = crowd.client("new", &with("next"));
    new.wait_for("service is refused service=web reason=\"group key does not match\"");
    let next = rig::program::output(rig::pinhole(Role::Server).args(["--hash-key", "next"]));
    let next = String::from_utf8(next.stdout).expect("a hash");
    crowd.rewrite(&lines(&format!("\"{HASH}\", \"{}\"", next.trim())));
    public(&new);
    let mark = old.log().mark();
    crowd.rewrite(&lines(&format!("\"{}\"", next.trim())));
    old.log().wait_after(mark, "service is refused service=web ");
    assert_eq!(answer(crowd.at(20_000)), Some('a'));
}

#[test]
fn token_and_keys_are_rotated_in_one_go() {
    let lines = |token: &str, key: &str| {
        format!(
            "[server.load_balancing]\nenabled = true\n\
             [server.services.web]\nbind_addr = \"ADDR:20000\"\ntoken = \"{token}\"\ngroup_keys = [\"{key}\"]"
        )
    };
    let next = rig::program::output(rig::pinhole(Role::Server).args(["--hash-key", "next"]));
    let next = String::from_utf8(next.stdout).expect("a hash");
    let mut crowd = Crowd::new(&lines("one", HASH));
    let a = Backend::new('a');
    let with = |token: &str, key: &str| {
        let local = a.local.address();
        format!(
            "[client.services.web]\nlocal_addr = \"{local}\"\nretry_interval = 1\ntoken = \"{token}\"\n\
             group = \"pool\"\ngroup_key = \"{key}\""
        )
    };
    public(&crowd.client("old", &with("one", "shared-secret")));
    crowd.reload(&lines("two", next.trim()));
    let revoked = crowd.client("revoked", &with("two", "shared-secret"));
    revoked.wait_for("service is refused service=web reason=\"group key does not match\"");
    public(&crowd.client("new", &with("two", "next")));
}

#[test]
fn balancing_is_switched_off_and_on_by_a_reload() {
    let off = text("", "").replace("enabled = true", "enabled = false");
    let (mut crowd, a, b) = (server(""), Backend::new('a'), Backend::new('b'));
    let one = crowd.client("one", &member(a.local.address(), ""));
    let at = public(&one);
    let two = crowd.client("two", &member(b.local.address(), ""));
    assert_eq!(public(&two), at);
    // From now on each has a port of its own.
    let marks = [&one, &two].map(|client| client.log().mark());
    let addresses = |marks: [rig::Mark; 2]| {
        [(&one, marks[0]), (&two, marks[1])].map(|(client, mark)| {
            let line = client
                .log()
                .wait_after(mark, "client: service is registered service=web ");
            field(&line, "addr").parse::<SocketAddr>().expect("an address")
        })
    };
    crowd.reload(&off);
    let [first, second] = addresses(marks);
    assert_ne!(first, second);
    eventually("each has its own", PATIENCE, || {
        (answer(first), answer(second)) == (Some('a'), Some('b'))
    });
    one.wait_for("the server does not balance: this client is alone with its service service=web");
    // And now they share one again, and nobody who is there is cut.
    let mut visitor = visitor::connect(second);
    visitor.write_all(b"hel").expect("room to send");
    let marks = [&one, &two].map(|client| client.log().mark());
    crowd.reload(&text("", ""));
    let [first, second] = addresses(marks);
    assert_eq!(first, second);
    eventually("both are asked", PATIENCE, || {
        a.told() > 0 && answer(first) == Some('a')
    });
    eventually("both are asked", PATIENCE, || {
        b.told() > 0 && answer(first) == Some('b')
    });
    assert_eq!(
        rig::receive(&visitor, 4).expect("an answer"),
        rig::receive(&b"bhel"[..], 4).expect("bytes")
    );
}

#[test]
fn a_service_that_hangs_is_not_well() {
    let hangs = Arc::new(AtomicBool::new(false));
    let decides = hangs.clone();
    let local = Local::serve(move |mut stream| {
        let mut bytes = [0; 1024];
        let Ok(1..) = stream.read(&mut bytes) else { return };
        match decides.load(Ordering::SeqCst) {
            // Until the other side has enough.
            true => while let Ok(1..) = stream.read(&mut bytes) {},
            false => drop(stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n")),
        }
    });
    let crowd = server("");
    let client = crowd.client("client", &member(local.address(), &check(", timeout_secs = 1")));
    let at = public(&client);
    crowd.server.wait_for("member is healthy service=web .. healthy=1");
    hangs.store(true, Ordering::SeqCst);
    crowd.server.wait_for("member is not healthy service=web .. healthy=0");
    client.wait_for("WARN  client: local service is not well service=web failures=2 (timed out)");
    assert_eq!(visitor::end(&visitor::connect(at)), visitor::End::Closed);
    let mark = crowd.server.log().mark();
    hangs.store(false, Ordering::SeqCst);
    crowd
        .server
        .log()
        .wait_after(mark, "member is healthy service=web .. healthy=1");
}

#[test]
fn the_health_of_a_service_of_one_client_is_told_and_decides_nothing() {
    let a = Backend::new('a');
    let dir = rig::TempDir::new();
    let sockets = [Role::Server, Role::Client].map(|role| dir.path().join(role.to_string()));
    let line = |n: usize| format!("control_socket = \"{}\"\n", sockets[n].display());
    let crowd = server_with(&line(0), "");
    let (local, check) = (a.local.address(), check(""));
    let client = crowd.client(
        "client",
        &format!(
            "{}[client.services.web]\nlocal_addr = \"{local}\"\nremote_port = 0\n{check}\n",
            line(1)
        ),
    );
    let at = public(&client);
    let told = |words: &str| {
        sockets.iter().all(|socket| {
            let output = rig::program::output(rig::pinhole(Role::Server).arg("status").arg("--json").arg(socket));
            String::from_utf8_lossy(&output.stdout).contains(words)
        })
    };
    eventually("both say that it is well", PATIENCE, || told("\"healthy\":true"));
    a.set_well(false);
    client.wait_for("WARN  client: local service is not well service=web failures=2 (the answer is 503)");
    eventually("both say that it is not", PATIENCE, || told("\"healthy\":false"));
    assert_eq!(answer(at), Some('a'));
}

#[test]
fn status_tells_members_health_and_changes() {
    let (a, b) = (Backend::new('a'), Backend::new('b'));
    let dir = rig::TempDir::new();
    let socket = dir.path().join("socket");
    let crowd = server_with(&format!("control_socket = \"{}\"", socket.display()), "");
    let one = crowd.client("one", &member(a.local.address(), ""));
    let at = public(&one);
    let two = crowd.client("two", &member(b.local.address(), &check("")));
    public(&two);
    crowd
        .server
        .wait_for("member is healthy service=web .. healthy=2 members=2");
    answers(at, 50);
    let mut command = rig::pinhole(Role::Server);
    let output = rig::program::output(command.arg("status").arg("--json").arg(&socket));
    let text = String::from_utf8(output.stdout).expect("JSON");
    Json::parse(&text);
    assert!(
        text.contains("\"group\":{\"name\":\"pool\",\"key_hash_short\":\"d3046ecc\",\"dispatched\":50,\"failures\":0")
    );
    assert!(
        text.contains("\"reason\":\"registered (awaiting first probe)\""),
        "{text}"
    );
    assert!(
        text.contains("\"reason\":\"recovered\"") && !text.contains(&HASH[..9]),
        "{text}"
    );
}

#[test]
fn members_count_as_services_of_their_client() {
    let crowd = server_with("max_tunnels_per_client = 1", "");
    let a = Backend::new('a');
    let lines = member(a.local.address(), "");
    let mut client = crowd.client(
        "client",
        &(lines.clone() + &lines.replace("services.web", "services.zeb")),
    );
    public(&client);
    let again = client.log().mark();
    client.wait_for("service is refused service=zeb reason=\"too many tunnels: max_tunnels_per_client is 1\"");
    // What it has it may have over another link.
    client.signal(Signal::User);
    client.log().wait_after(again, "service is registered service=web ");
}

#[test]
fn a_full_range_takes_members_and_no_groups() {
    let crowd = Crowd::new(&text("", "").replace("[20000, 20003]", "[20000, 20000]"));
    let a = Backend::new('a');
    let lines = member(a.local.address(), "");
    let (one, two) = (crowd.client("one", &lines), crowd.client("two", &lines));
    assert_eq!(public(&one), public(&two));
    let other = crowd.client("other", &lines.replace("\"pool\"", "\"swamp\""));
    other.wait_for("service is refused service=web reason=\"no TCP ports available\"");
    let wish = crowd.client("wish", &lines.replace("remote_port = 0", "remote_port = 20001"));
    wish.wait_for("service is refused service=web reason=\"port 20001 is not in tcp_port_range [20000, 20000]\"");
}
