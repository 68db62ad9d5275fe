//! Sockets: the only folder that knows tokio.
//!
//! ```text
//! socket    a stream socket that many may look at; listening, connecting      (sys: calls nobody wraps)
//! wire      a link's socket under its cover                                   (pace: how much to write at once)
//! greet     the handshake on a wire
//! link      a link as the others see it: its session and its visitors
//! pump      a link's task: moves bytes between the wire, the session and the visitors
//! visitor   a visitor's socket, joined to a stream
//! udp       UDP sockets, and flows: a visitor's datagrams
//! names     name look-up on a thread of its own
//! proxy     the way to the server through an HTTP or SOCKS5 proxy
//! proxy_protocol   who a visitor is, told before its first byte                        (pure)
//! http      one request and the status of its answer
//! bell      wakes a task from outside
//! signals   SIGTERM, SIGINT, SIGHUP and SIGUSR1 as futures
//! watch     files that may change
//! control   the status socket
//! ```
//!
//! All on one thread: `Rc` and `Cell`, no locks. No borrow of a `RefCell` lasts across an await.

mod bell;
#[cfg(feature = "status")]
pub mod control;
pub mod greet;
#[cfg(feature = "groups")]
pub mod http;
pub mod link;
#[cfg(feature = "status")]
mod link_status;
pub mod names;
mod pace;
#[cfg(feature = "proxy")]
pub mod proxy;
pub mod proxy_protocol;
pub mod pump;
pub mod signals;
pub mod socket;
pub mod sys;
pub mod task;
#[cfg(feature = "udp")]
pub mod udp;
#[cfg(not(feature = "udp"))]
#[path = "udp_absent.rs"]
pub mod udp;
pub mod visitor;
#[cfg(all(feature = "reload", any(target_os = "linux", target_os = "android")))]
pub mod watch;
#[cfg(not(all(feature = "reload", any(target_os = "linux", target_os = "android"))))]
#[path = "watch_absent.rs"]
pub mod watch;
pub mod wire;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use crate::limits;
use crate::proto::{Budget, Hello, Time, Transmit};

/// What all links of the process share.
pub struct Process {
    /// Bounds what peers can make this process hold.
    pub budget: Rc<Budget>,
    /// Name look-up.
    pub names: names::Names,
    instance: [u8; 16],
    began: Instant,
    /// Visitors whose tasks are not over.
    visitors: Cell<u32>,
    /// The most of them since the system got memory back.
    crowd: Cell<u32>,
    /// Lent within one poll to whoever reads a wire, and to whoever gathers frames for one.
    received: RefCell<Box<[u8]>>,
    transmit: RefCell<Transmit>,
    run: RefCell<udp::Run>,
}

impl Process {
    /// Once per process, inside the runtime.
    pub fn new() -> Result<Rc<Process>, getrandom::Error> {
        Ok(Rc::new(Process {
            budget: Rc::new(Budget::new(limits::budget(sys::memory()))),
            names: names::Names::default(),
            instance: random()?,
            began: Instant::now(),
            visitors: Cell::new(0),
            crowd: Cell::new(0),
            received: RefCell::new(vec![0; limits::READ_BUFFER].into()),
            transmit: RefCell::new(Transmit::new(limits::TRANSMIT_BUFFER)),
            run: RefCell::default(),
        }))
    }

    /// Now, as the protocol counts.
    pub fn now(&self) -> Time {
        Time(u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The same moment, as the runtime counts.
    pub fn instant(&self, time: Time) -> Instant {
        self.began + Duration::from_micros(time.0)
    }

    /// A visitor has come.
    fn on_arrival(&self) {
        let visitors = self.visitors.get() + 1;
        self.visitors.set(visitors);
        self.crowd.set(self.crowd.get().max(visitors));
    }

    /// A visitor's task is over. What a crowd needed goes back to the system as it leaves, each time that half of it has.
    fn on_departure(&self) {
        let visitors = self.visitors.get().saturating_sub(1);
        self.visitors.set(visitors);
        if visitors < self.crowd.get() / 2 && self.crowd.get() >= limits::CROWD {
            self.crowd.set(visitors);
            sys::trim_memory();
        }
    }

    /// Whether visitors come faster than those that left are gone.
    pub fn is_crowded(&self) -> bool {
        self.visitors.get() >= self.budget.max_streams().saturating_mul(limits::VISITORS_PER_STREAM)
    }

    /// Seconds since the start.
    pub fn uptime(&self) -> u64 {
        self.began.elapsed().as_secs()
    }

    /// Lends the place for received bytes.
    pub fn with_place<T>(&self, receive: impl FnOnce(&mut [u8]) -> T) -> T {
        receive(&mut self.received.borrow_mut())
    }

    /// What this end says on a new link.
    pub fn hello(&self, interval: Option<Duration>, timeout: Option<Duration>) -> Result<Hello, getrandom::Error> {
        Ok(Hello {
            nonce: random()?,
            instance: self.instance,
            session: random()?,
            link: 0,
            max_streams: u16::try_from(self.budget.max_streams()).unwrap_or(u16::MAX),
            window: limits::INITIAL_WINDOW,
            interval: interval.unwrap_or_default(),
            timeout: timeout.unwrap_or_default(),
            agent: concat!("pinhole/", env!("CARGO_PKG_VERSION")).into(),
        })
    }
}

/// Numbers that somebody may guess: xorshift64* (Vigna 2016).
pub struct Random(Cell<u64>);

impl Random {
    /// All follows from `seed`.
    pub fn new(seed: u64) -> Random {
        Random(Cell::new(seed | 1))
    }

    /// The next one.
    pub fn next(&self) -> u32 {
        let mut state = self.0.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.0.set(state);
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) as u32
    }
}

/// For what should differ between processes, and need not be secret.
pub fn seed() -> u64 {
    random().map(u64::from_ne_bytes).unwrap_or_default()
}

/// Random bytes.
pub fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
