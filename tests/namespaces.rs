//! Networks as homes have them: a NAT that forgets, lines that are cut, lose packets or are slow, a server that moves.
//!
//! Everything is in namespaces of the test's own: see [`rig::World`].

mod rig;

use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rig::{
    Builder, Kind, Local, PATIENCE, Process, Responder, Role, Service, TempDir, Tunnel, World, eventually, local,
    namespace, visitor,
};

/// Where the server listens for everybody.
const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// An echo at home, and a tunnel to it whose ends notice within six seconds that the other one is gone.
struct Home {
    world: World,
    _echo: Local,
    tunnel: Tunnel,
}

impl Home {
    fn new() -> Option<Home> {
        let world = World::new()?;
        let echo = world.home.inside(|| Local::serve(local::echo));
        let service = Service::new("echo", Kind::Tcp, echo.address());
        let builder = Tunnel::builder()
            .with(service)
            .line(Role::Server, "heartbeat_interval = 1")
            .line(Role::Server, "heartbeat_timeout = 6")
            .line(Role::Client, "heartbeat_timeout = 6");
        let tunnel = start(&world, builder);
        Some(Home {
            world,
            _echo: echo,
            tunnel,
        })
    }

    /// A visitor that has been answered and stays.
    fn busy_visitor(&self) -> TcpStream {
        self.world.world.inside(|| {
            let visitor = self.tunnel.visit("echo");
            visitor::echo(&visitor, b"hello");
            visitor
        })
    }

    fn echoes(&self) -> bool {
        self.world.world.inside(|| visitor::echoes(self.tunnel.public("echo")))
    }

    /// Breaks the link by `harm`, and mends what it did: the visitor is told, and the tunnel comes back by itself.
    fn survives(&self, harm: impl FnOnce(&World), mend: impl FnOnce(&World)) {
        let visitor = self.busy_visitor();
        let mark = self.tunnel.client().log().mark();
        harm(&self.world);
        let log = self.tunnel.client().log();
        log.wait_after(mark, "WARN  client: link is down .. retry in");
        mend(&self.world);
        eventually("the tunnel is back", PATIENCE, || self.echoes());
        visitor::end(&visitor);
    }
}

/// Starts the server in the world and the client at home.
fn start(world: &World, builder: Builder) -> Tunnel {
    let mut tunnel = world.world.inside(|| builder.address(namespace::SERVER).build());
    world.world.inside(|| tunnel.start_server());
    world.home.inside(|| tunnel.start_client());
    tunnel.wait_until_up();
    tunnel
}

#[test]
fn nat_that_forgets_an_idle_connection() {
    let Some(home) = Home::new() else { return };
    let timeout = |world: &World, seconds| {
        world
            .router
            .set("netfilter/nf_conntrack_tcp_timeout_established", seconds)
    };
    // Shorter than the pause between two heartbeats.
    home.survives(|world| timeout(world, 0), |world| timeout(world, 3600));
}

#[test]
fn heartbeats_keep_a_nat_from_forgetting() {
    let Some(home) = Home::new() else { return };
    home.world
        .router
        .set("netfilter/nf_conntrack_tcp_timeout_established", 5);
    let visitor = home.busy_visitor();
    let start = Instant::now();
    eventually("the NAT could have forgotten twice", PATIENCE, || {
        start.elapsed() > Duration::from_secs(11)
    });
    home.world.world.inside(|| visitor::echo(&visitor, b"still here"));
    assert_eq!(home.tunnel.client().log().all("link is down"), [""; 0]);
}

#[test]
fn line_that_is_cut_and_restored() {
    let Some(home) = Home::new() else { return };
    let set = |world: &World, state| world.ip(&world.router, &format!("link set wan {state}"));
    home.survives(|world| set(world, "down"), |world| set(world, "up"));
    // As after a new dial: the NAT knows nothing, and has another address.
    let dial = |world: &World| {
        world.ip(&world.router, "address flush dev wan");
        world.ip(&world.router, "address add 203.0.113.77/24 dev wan");
    };
    let mark = home.tunnel.server().log().mark();
    home.survives(
        |world| set(world, "down"),
        |world| {
            set(world, "up");
            dial(world);
        },
    );
    let log = home.tunnel.server().log();
    log.wait_after(mark, "service is up service=echo .. 203.0.113.77:");
}

#[test]
fn server_that_moves_is_found_under_its_name() {
    let Some(world) = World::new() else { return };
    let echo = world.home.inside(|| Local::serve(local::echo));
    let builder = Tunnel::builder().service("echo", Kind::Tcp, echo.address());
    let builder = builder.line(Role::Client, "heartbeat_timeout = 6");
    let control = world.world.inside(|| rig::address::free_port(ANY));
    let builder = builder.control(control).address(ANY).remote_host("server.test");
    let mut tunnel = world.world.inside(|| builder.build());
    world.world.inside(|| tunnel.start_server());

    let dir = TempDir::new();
    let hosts = dir.write("hosts", "203.0.113.2 server.test\n");
    let client = world.home.inside(|| client_that_sees(&tunnel, &hosts, "/etc/hosts"));
    client.wait_for("INFO  client: connected server=203.0.113.2:");
    client.wait_for("INFO  client: service is registered service=echo");
    world.ip(&world.world, "address delete 203.0.113.2/24 dev wan");
    world.ip(&world.world, "address add 203.0.113.3/24 dev wan");
    dir.write("hosts", "203.0.113.3 server.test\n");
    client.wait_for("INFO  client: connected server=203.0.113.3:");
    let public = tunnel.public("echo");
    eventually("the tunnel is back", PATIENCE, || {
        world.world.inside(|| visitor::echoes(public))
    });
}

/// The client of `tunnel`, which sees `file` in the place of another one.
fn client_that_sees(tunnel: &Tunnel, file: &Path, place: &str) -> Process {
    let program = rig::pinhole(Role::Client);
    let mut command = Command::new("unshare");
    // Its own view of the file system: nobody else sees the other file.
    let script = "mount --bind \"$0\" \"$1\" && shift && exec \"$@\"";
    command.args(["--mount", "sh", "-c", script]).arg(file).arg(place);
    command
        .arg(program.get_program())
        .arg("-c")
        .arg(tunnel.file(Role::Client));
    Process::start("client", command)
}

#[test]
fn visitors_do_not_cost_a_query_each() {
    let Some(world) = World::new() else { return };
    let echo = world.home.inside(|| Local::serve(local::echo));
    let queries = Arc::new(AtomicU32::new(0));
    let IpAddr::V4(address) = echo.address().ip() else {
        panic!("not an IPv4 address")
    };
    let names = {
        let queries = queries.clone();
        world.home.inside(|| {
            Responder::serve_at((Ipv4Addr::LOCALHOST, 53).into(), move |socket, from, query| {
                queries.fetch_add(1, Ordering::Relaxed);
                let _ = socket.send_to(&answer(query, address), from);
            })
        })
    };
    let service = Service::new("echo", Kind::Tcp, echo.address()).local_host("nas.test");
    let builder = Tunnel::builder().address(namespace::SERVER).with(service);
    let mut tunnel = world.world.inside(|| builder.build());
    world.world.inside(|| tunnel.start_server());
    let resolver = tunnel.dir().write("resolv.conf", "nameserver 127.0.0.1\n");
    let _client = world
        .home
        .inside(|| client_that_sees(&tunnel, &resolver, "/etc/resolv.conf"));
    tunnel.wait_until_up();
    for _ in 0..100 {
        world.world.inside(|| visitor::echo(&tunnel.visit("echo"), b"by name"));
    }
    // Two for a look-up, one a family; a machine that is slow may need a second and a third.
    let queries = queries.load(Ordering::Relaxed);
    assert!((1..=6).contains(&queries), "{queries} queries for 100 visitors");
    world.home.inside(|| drop(names));
}

/// The answer to a query for one name: `address`, or nothing if it asks for another kind.
fn answer(query: &[u8], address: Ipv4Addr) -> Vec<u8> {
    let (id, rest) = query.split_at(2);
    let name = rest[10..].split_inclusive(|&byte| byte == 0).next().expect("a name");
    let question = &rest[10..][..name.len() + 4];
    let is_address = question.ends_with(&[0, 1, 0, 1]);
    let head = [0x81, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0];
    let record = [&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4][..], &address.octets()].concat();
    [id, &head, question, if is_address { &record } else { &[] }].concat()
}

#[test]
fn transfers_through_loss_arrive_whole() {
    let Some(world) = World::new() else { return };
    let exchange = world.home.inside(|| Local::serve(local::exchange));
    let tunnel = start(
        &world,
        Tunnel::builder().service("exchange", Kind::Tcp, exchange.address()),
    );
    world.nft(
        "table ip loss {
        chain pass { type filter hook forward priority filter; numgen random mod 100 < 3 counter drop; }
    }",
    );
    world.world.inside(|| {
        thread::scope(|scope| {
            for seed in 1..=6 {
                let visitor = tunnel.visit("exchange");
                scope.spawn(move || local::exchange_with(&visitor, seed, 2_000_000).expect("an exchange"));
            }
        });
    });
    assert!(lost(&world.rules()) > 100, "{}", world.rules());
    assert_eq!(tunnel.client().log().all("link is down"), [""; 0]);
}

/// Packets that the rule of above dropped.
fn lost(rules: &str) -> u64 {
    let (_, count) = rules.split_once("counter packets ").expect("a counter");
    count
        .split(' ')
        .next()
        .and_then(|count| count.parse().ok())
        .expect("its count")
}

/// Bytes of each of four transfers, which together fill 2 Mbit/s for four seconds.
const BULK: u64 = 250_000;

#[test]
fn keystrokes_pass_bulk_transfers_on_a_slow_line() {
    let Some(world) = World::new() else { return };
    let [echo, bulk] = [local::echo, local::exchange].map(|service| world.home.inside(|| Local::serve(service)));
    let builder =
        Tunnel::builder()
            .service("echo", Kind::Tcp, echo.address())
            .service("bulk", Kind::Tcp, bulk.address());
    let tunnel = start(&world, builder);
    let beside = world.world.inside(|| Local::serve_on(namespace::SERVER, local::echo));
    world.throttle("2mbit");
    let bare = world.home.inside(|| visitor::connect(beside.address()));
    let (keys, bulk) = world
        .world
        .inside(|| (tunnel.visit("echo"), [0; 4].map(|_| tunnel.visit("bulk"))));

    let start = Instant::now();
    let transfers = bulk.map(|bulk| thread::spawn(move || local::exchange_with(&bulk, 1, BULK).expect("an exchange")));
    let mut trips = [Vec::new(), Vec::new()];
    while transfers.iter().any(|transfer| !transfer.is_finished()) {
        for (connection, trips) in [&keys, &bare].into_iter().zip(&mut trips) {
            let pressed = Instant::now();
            visitor::echo(connection, b"k");
            trips.push(pressed.elapsed());
        }
    }
    transfers
        .into_iter()
        .for_each(|transfer| transfer.join().expect("a transfer"));
    assert!(start.elapsed() > Duration::from_secs(3), "the line is not slow");
    let [through, beside] = trips.map(median);
    assert!(
        through < 2 * beside,
        "a keystroke takes {through:?} through the tunnel, {beside:?} beside it"
    );
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
