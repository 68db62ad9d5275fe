//! Networks of a test's own: a home, the router before it, and the world with the server in it.
//!
//! ```text
//! home 192.168.1.2 ── lan ── router, which masquerades ── wan ── world 203.0.113.2
//! ```
//!
//! Each is a network namespace without a name: it vanishes with the last process, socket or handle in it, whatever
//! becomes of the test. Only root may make them, and not everywhere.

use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::process::{self, Command};
use std::thread;

use super::{program, sys};

/// A network namespace.
pub struct Namespace(File);

/// The three of them, and the programs that set them up.
pub struct World {
    /// Where the client lives.
    pub home: Namespace,
    /// What stands between: its `lan` leads home, its `wan` to the world.
    pub router: Namespace,
    /// Where the server lives, and the visitors.
    pub world: Namespace,
    ip: PathBuf,
    nft: PathBuf,
    tc: PathBuf,
}

/// The server's address.
pub const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 2));

/// The router's rules. As routers do, it drops what belongs to no connection that it knows.
const RULES: &str = "table ip nat {
    chain out { type nat hook postrouting priority srcnat; oifname wan masquerade; }
    chain pass { type filter hook forward priority filter; ct state invalid drop; }
}";

impl Namespace {
    fn new() -> io::Result<Namespace> {
        let back = sys::network()?;
        sys::leave_network()?;
        let _back = Back(back);
        sys::network().map(Namespace)
    }

    /// Runs `work` in it. The sockets, threads and processes that `work` makes belong there.
    pub fn inside<T>(&self, work: impl FnOnce() -> T) -> T {
        let _back = Back(sys::network().expect("the namespace of this thread"));
        sys::enter_network(self.0.as_fd()).expect("a namespace to enter");
        work()
    }

    /// Sets `key` under /proc/sys/net.
    #[track_caller]
    pub fn set(&self, key: &str, value: u32) {
        self.try_set(key, value).expect("a key that may be set");
    }

    fn try_set(&self, key: &str, value: u32) -> Result<(), String> {
        let path = format!("/proc/sys/net/{key}");
        self.inside(|| fs::write(&path, value.to_string()))
            .map_err(|error| format!("{path}: {error}"))
    }

    /// Its path, as long as this lives.
    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", process::id(), self.0.as_raw_fd())
    }
}

/// Brings a thread back to where it was.
struct Back(File);

impl Drop for Back {
    fn drop(&mut self) {
        let back = sys::enter_network(self.0.as_fd());
        assert!(back.is_ok() || thread::panicking(), "no way back: {back:?}");
    }
}

impl World {
    /// Makes them. Without the programs, or where this is not allowed, the calling test is skipped.
    pub fn new() -> Option<World> {
        let ip = program::find("ip", "iproute2")?;
        let tc = program::find("tc", "iproute2")?;
        let nft = program::find("nft", "nftables")?;
        if !program::is_root() {
            program::skip("only root may make network namespaces");
            return None;
        }
        let made = Namespace::new().and_then(|home| Ok([home, Namespace::new()?, Namespace::new()?]));
        let laid = made
            .map_err(|error| error.to_string())
            .and_then(|[home, router, world]| {
                let world = World {
                    home,
                    router,
                    world,
                    ip,
                    nft,
                    tc,
                };
                world.lay().map(|()| world)
            });
        laid.map_err(|why| program::skip(&format!("no network namespaces here: {why}")))
            .ok()
    }

    fn lay(&self) -> Result<(), String> {
        let peer =
            |namespace: &Namespace, name| format!("link add lan type veth peer name {name} netns {}", namespace.path());
        self.try_ip(&self.home, &peer(&self.router, "lan"))?;
        self.try_ip(&self.router, &peer(&self.world, "wan").replace("add lan", "add wan"))?;
        for (namespace, link, address) in [
            (&self.home, "lan", "192.168.1.2"),
            (&self.router, "lan", "192.168.1.1"),
            (&self.router, "wan", "203.0.113.1"),
            (&self.world, "wan", "203.0.113.2"),
        ] {
            self.ip(namespace, &format!("address add {address}/24 dev {link}"));
            // What is lost or late is to be a packet, not a train of them.
            self.ip(namespace, &format!("link set {link} gso_max_segs 1 up"));
            self.ip(namespace, "link set lo up");
        }
        self.ip(&self.home, "route add default via 192.168.1.1");
        self.router.try_set("ipv4/ip_forward", 1)?;
        self.try_run(&self.router, &self.nft, &[RULES])?;
        // A connection that the router has forgotten stays forgotten.
        self.router.try_set("netfilter/nf_conntrack_tcp_loose", 0)
    }

    /// Runs `ip` in one of them.
    #[track_caller]
    pub fn ip(&self, namespace: &Namespace, words: &str) {
        self.try_ip(namespace, words).expect("ip may do that");
    }

    /// Adds to the router's rules.
    #[track_caller]
    pub fn nft(&self, rules: &str) {
        self.try_run(&self.router, &self.nft, &[rules])
            .expect("nft may do that");
    }

    /// The router's rules as they are, with their counters.
    pub fn rules(&self) -> String {
        self.router.inside(|| program::run(&self.nft, &["list", "ruleset"]))
    }

    /// Lets the router send `rate` at most, both ways. What waits longer than 400 ms is dropped.
    #[track_caller]
    pub fn throttle(&self, rate: &str) {
        for link in ["lan", "wan"] {
            let words = format!("qdisc add dev {link} root tbf rate {rate} burst 4kb latency 400ms");
            let words: Vec<_> = words.split(' ').collect();
            self.try_run(&self.router, &self.tc, &words).expect("tc may do that");
        }
    }

    fn try_ip(&self, namespace: &Namespace, words: &str) -> Result<(), String> {
        let words: Vec<_> = words.split(' ').collect();
        self.try_run(namespace, &self.ip, &words)
    }

    /// What this machine does not let anybody do is an error; any other failure is the test's.
    #[track_caller]
    fn try_run(&self, namespace: &Namespace, program: &PathBuf, words: &[&str]) -> Result<(), String> {
        let output = namespace.inside(|| program::output(Command::new(program).args(words)));
        let errors = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let impossible = [
            "not permitted",
            "not supported",
            "Unknown device type",
            "kind is unknown",
            "Could not process rule",
        ];
        match output.status.success() {
            true => Ok(()),
            false if impossible.iter().any(|words| errors.contains(words)) => Err(errors),
            false => panic!("{program:?} {words:?}: {errors}"),
        }
    }
}
