//! Several addresses where one is enough, and local services at unix sockets.

mod rig;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;
use std::{fs, io};

use socket2::SockRef;

use rig::visitor::{self, End};
use rig::{Kind, Local, PATIENCE, Process, Role, Service, TempDir, Tunnel, address, eventually, local, receive, send};

const LENGTH: u64 = 3_000_000;

/// The same port of all addresses of both families.
fn everywhere() -> Option<[SocketAddr; 2]> {
    address::ipv6()?;
    let port = address::free_everywhere();
    let families: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    Some(families.map(|address| SocketAddr::new(address, port)))
}

fn loopbacks(port: u16) -> [SocketAddr; 2] {
    let families: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    families.map(|address| SocketAddr::new(address, port))
}

#[test]
fn server_listens_at_every_address_of_a_list() {
    let (Some([v4, v6]), Some(ip)) = (everywhere(), address::ipv6()) else {
        return eprintln!("SKIP server_listens_at_every_address_of_a_list: no IPv6");
    };
    let echo = Local::serve(local::echo);
    let control = address::free_port(ip);
    let tunnel = Tunnel::builder()
        .with(Service::new("echo", Kind::Tcp, echo.address()).at(v4).also_at(v6))
        .also_control(control)
        .through(control)
        .start();
    for address in loopbacks(v4.port()) {
        visitor::echo(&visitor::connect(address), b"either way");
    }
    let line = tunnel.server().wait_for("service is up service=echo");
    assert!(line.contains(&format!("{v4},{v6}")), "{line}");
}

/// All of a service's addresses or none: a port that is taken is named.
#[test]
fn one_address_that_is_taken_is_named() {
    let echo = Local::serve(local::echo);
    let own = address::own();
    let (free, taken) = (address::free_port(own), address::listen(own));
    let taken_at = taken.local_addr().expect("its own address");
    let mut tunnel = Tunnel::builder()
        .with(
            Service::new("echo", Kind::Tcp, echo.address())
                .at(free)
                .also_at(taken_at),
        )
        .build();
    tunnel.start_server();
    tunnel.start_client();
    let line = tunnel.server().wait_for("service=echo");
    assert!(line.contains(&taken_at.to_string()), "{line}");
    eventually("the free one is let go of", PATIENCE, || visitor::is_refused(free));
    drop(taken);
    tunnel.wait_until_up();
    for address in [free, taken_at] {
        visitor::echo(&visitor::connect(address), b"now both");
    }
}

/// In order; and back to the first one when it answers again, while visitors stay where they are.
#[test]
fn client_prefers_the_first_server_of_a_list() {
    let echo = Local::serve(local::echo);
    let build = || Tunnel::builder().service("echo", Kind::Tcp, echo.address()).build();
    let (mut first, mut second) = (build(), build());
    let text = fs::read_to_string(second.file(Role::Client)).expect("a file");
    let [one, two] = [&first, &second].map(|tunnel| format!("\"{}\"", tunnel.control()));
    let file = second
        .dir()
        .write("list.toml", text.replace(&two, &format!("[{one}, {two}]")));
    second.start_server();
    let mut command = rig::pinhole(Role::Client);
    command.arg("-c").arg(file);
    let _client = Process::start("client", command);
    second.wait_until_up();
    let visitor = second.visit("echo");
    visitor::echo(&visitor, b"the second");

    first.start_server();
    eventually("the client is back", 3 * PATIENCE, || {
        visitor::echoes(first.public("echo"))
    });
    eventually("the second has no service", PATIENCE, || {
        visitor::is_refused(second.public("echo"))
    });
    visitor::echo(&visitor, b"still here");

    first.process(Role::Server).kill();
    eventually("the second has it again", PATIENCE, || {
        visitor::echoes(second.public("echo"))
    });
    visitor::echo(&visitor, b"still here");
}

// ---- unix sockets ---------------------------------------------------------------------------------------------------

/// A service at a unix socket in a folder of its own; each connection is `handle`d in a thread.
struct UnixLocal {
    folder: TempDir,
}

impl UnixLocal {
    fn new() -> UnixLocal {
        UnixLocal { folder: TempDir::new() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("service.sock")
    }

    fn service(&self) -> Service {
        Service::new("unix", Kind::Tcp, ([127, 0, 0, 1], 1).into()).local(&format!("unix:{}", self.path().display()))
    }

    fn listen(&self) -> UnixListener {
        UnixListener::bind(self.path()).expect("a unix socket")
    }

    fn serve(&self, handle: fn(UnixStream)) {
        let listener = self.listen();
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                thread::spawn(move || handle(stream));
            }
        });
    }
}

fn echo(stream: UnixStream) {
    let _ = io::copy(&mut &stream, &mut &stream);
    let _ = stream.shutdown(Shutdown::Write);
}

#[test]
fn service_at_a_unix_socket() {
    let local = UnixLocal::new();
    let tunnel = Tunnel::builder().with(local.service()).start();
    assert_eq!(visitor::fate(tunnel.public("unix")), End::Reset, "nobody is there");
    tunnel.client().wait_for("cannot connect to unix:/");

    local.serve(echo);
    let visitor = tunnel.visit("unix");
    let (sent, received) = thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let sent = send(&visitor, 5, LENGTH);
            visitor.shutdown(Shutdown::Write).expect("a half-close");
            sent
        });
        let received = receive(&visitor, LENGTH);
        (sending.join().expect("the sending thread"), received)
    });
    assert_eq!(sent.expect("all sent"), received.expect("all received"));
    assert_eq!(visitor::end(&visitor), End::Closed);
}

/// The kernel refuses who comes to a full queue of a unix socket, where TCP would let it wait.
#[test]
fn crowd_at_a_unix_socket_waits() {
    let local = UnixLocal::new();
    let tunnel = Tunnel::builder().with(local.service()).log_filter("debug").start();
    let listener = local.listen();
    SockRef::from(&listener).listen(1).expect("a short queue");
    let visitors: Vec<_> = (0..8).map(|_| tunnel.visit("unix")).collect();
    // All have come, and no more than two of them are in the queue.
    eventually("all are there", PATIENCE, || {
        tunnel.client().log().all("visitor service=unix").len() == visitors.len()
    });
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            thread::spawn(move || echo(stream));
        }
    });
    visitors.iter().for_each(|visitor| visitor::echo(visitor, b"at last"));
}
