//! UDP: sockets that receive many datagrams at once, and flows, which are to datagrams what visitors are to bytes.

use std::cell::{Cell, OnceCell, RefCell};
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, SockAddr, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::limits;
use crate::proto::{Cause, StreamId, Time};

use super::bell::Bell;
use super::link::Link;
use super::sys;
use super::task;
use super::visitor::{Counters, add, arrive, close, depart};

/// A UDP socket.
pub struct UdpSocket {
    fd: AsyncFd<socket2::Socket>,
    state: UdpSocketState,
}

/// A datagram as it came.
pub struct Received<'a> {
    /// Who sent it.
    pub from: SocketAddr,
    /// Which of our addresses it was sent to, if the system tells.
    pub to: Option<IpAddr>,
    /// What it says.
    pub bytes: &'a [u8],
}

impl UdpSocket {
    /// A public socket at `address`; `v6_only`: not for IPv4 as well.
    pub fn bind(address: SocketAddr, v6_only: bool) -> io::Result<UdpSocket> {
        let socket = UdpSocket::new(address)?;
        if v6_only {
            socket.fd.get_ref().set_only_v6(true)?;
        }
        socket.fd.get_ref().bind(&SockAddr::from(address))?;
        Ok(socket)
    }

    /// A socket that speaks with `address` alone.
    pub fn connect(address: SocketAddr) -> io::Result<UdpSocket> {
        let socket = UdpSocket::new(address)?;
        socket.fd.get_ref().connect(&SockAddr::from(address))?;
        Ok(socket)
    }

    fn new(address: SocketAddr) -> io::Result<UdpSocket> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        sys::plain_datagrams(&socket, address.is_ipv6());
        let _ = socket.set_recv_buffer_size(limits::UDP_RECEIVE);
        Ok(UdpSocket {
            fd: sys::watch(socket, Interest::READABLE)?,
            state,
        })
    }

    /// Where it is bound; the port is the real one.
    pub fn address(&self) -> io::Result<SocketAddr> {
        let address = self.fd.get_ref().local_addr()?;
        address
            .as_socket()
            .ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }

    /// Hands on what came, some datagrams at a time, by way of `place`.
    ///
    /// An error is what became of a datagram sent before ("connection refused") and is over when it was read; one that
    /// does not go away is left alone until something comes.
    pub fn poll_recv(&self, cx: &mut Context<'_>, place: &mut [u8], take: &mut dyn FnMut(Received<'_>)) -> Poll<()> {
        let mut metas = [RecvMeta::default(); PLACES];
        let mut errors = 0;
        loop {
            let Ok(mut guard) = ready!(self.fd.poll_read_ready(cx)) else {
                return Poll::Pending;
            };
            match self.recv(place, &mut metas) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                Err(_) if errors == limits::BUSY_ROUNDS => guard.clear_ready(),
                Err(_) => errors += 1,
                Ok(count) => {
                    // It was drained: the call that would only say so is saved.
                    if count < PLACES {
                        guard.clear_ready();
                    }
                    let filled = place.chunks(limits::UDP_PLACE).zip(metas).take(count);
                    filled.for_each(|(bytes, meta)| hand_on(bytes, &meta, take));
                    return Poll::Ready(());
                }
            }
        }
    }

    fn recv(&self, place: &mut [u8], metas: &mut [RecvMeta; PLACES]) -> io::Result<usize> {
        let mut chunks = place.chunks_mut(limits::UDP_PLACE);
        let mut slices = [(); PLACES].map(|()| io::IoSliceMut::new(chunks.next().unwrap_or_default()));
        self.state.recv(UdpSockRef::from(self.fd.get_ref()), &mut slices, metas)
    }

    /// Sends datagrams of `size` bytes, the last one maybe shorter, to `to`, from our address `from` if that is known.
    /// What cannot leave at once is lost, as datagrams are.
    fn send_to(&self, to: SocketAddr, from: Option<IpAddr>, bytes: &[u8], size: usize) -> io::Result<()> {
        let transmit = Transmit {
            destination: to,
            ecn: None,
            contents: bytes,
            segment_size: (bytes.len() > size).then_some(size),
            src_ip: from,
        };
        self.state.try_send(UdpSockRef::from(self.fd.get_ref()), &transmit)
    }

    /// Sends one datagram of both parts to the connected address. An error may be an earlier one's: it is tried twice.
    fn send(&self, preface: &[u8], bytes: &[u8]) -> io::Result<()> {
        let (socket, parts) = (self.fd.get_ref(), [preface, bytes].map(IoSlice::new));
        let send = || socket.send_vectored(&parts);
        send().or_else(|_| send()).map(drop)
    }
}

/// Datagrams, or runs of them from one sender, that are received in one go.
const PLACES: usize = limits::READ_BUFFER / limits::UDP_PLACE;

/// The kernel may have put several datagrams of one sender into one place.
fn hand_on(bytes: &[u8], meta: &RecvMeta, take: &mut dyn FnMut(Received<'_>)) {
    let bytes = bytes.get(..meta.len).unwrap_or_default();
    each(bytes, meta.stride, &mut |bytes| {
        take(Received {
            from: meta.addr,
            to: meta.dst_ip,
            bytes,
        });
    });
}

/// The datagrams of `size` bytes in `run`, of which the last one may be shorter.
fn each(run: &[u8], size: usize, take: &mut dyn FnMut(&[u8])) {
    match run {
        [] => take(run),
        _ => run.chunks(size.max(1)).for_each(take),
    }
}

/// One visitor's datagrams: its stream on a link, and where answers go.
pub struct Flow {
    stream: StreamId,
    link: Rc<Link>,
    counters: Rc<Counters>,
    way: OnceCell<Way>,
    /// What came before the way was known.
    early: RefCell<Vec<Box<[u8]>>>,
    last: Cell<Time>,
    /// Something came back over the link; and after that something from the visitor.
    answered: Cell<bool>,
    assured: Cell<bool>,
    gone: Cell<bool>,
    bell: Bell,
}

/// Where a flow's datagrams leave this process.
pub enum Way {
    /// On a server: through the public socket, to the visitor, from the address that it asked.
    Visitor(Rc<UdpSocket>, SocketAddr, Option<IpAddr>),
    /// On a client: through a socket of its own, each behind the header that tells who the visitor is.
    Service {
        /// Connected to the local service.
        socket: UdpSocket,
        /// Its address.
        to: SocketAddr,
        /// The header, often empty.
        preface: Vec<u8>,
    },
}

impl Way {
    fn send(&self, bytes: &[u8], size: usize) -> io::Result<()> {
        match self {
            Way::Visitor(socket, to, from) => socket.send_to(*to, *from, bytes, size),
            Way::Service { socket, to, .. } if bytes.len() > size => socket.send_to(*to, None, bytes, size),
            Way::Service { socket, preface, .. } => socket.send(preface, bytes),
        }
    }

    /// Datagrams that the system sends in one go.
    fn most(&self) -> usize {
        match self {
            Way::Visitor(socket, ..) => socket.state.max_gso_segments(),
            Way::Service { socket, preface, .. } if preface.is_empty() => socket.state.max_gso_segments(),
            Way::Service { .. } => 1,
        }
    }
}

impl Flow {
    /// Of a stream that was just opened.
    pub fn new(link: &Rc<Link>, stream: StreamId, counters: &Rc<Counters>) -> Rc<Flow> {
        arrive(link, counters);
        Rc::new(Flow {
            stream,
            link: link.clone(),
            counters: counters.clone(),
            way: OnceCell::new(),
            early: RefCell::default(),
            last: Cell::new(link.process.now()),
            answered: Cell::new(false),
            assured: Cell::new(false),
            gone: Cell::new(false),
            bell: Bell::default(),
        })
    }

    /// Its stream.
    pub fn stream(&self) -> StreamId {
        self.stream
    }

    /// Says where its datagrams go; those that came before follow now, in order.
    pub fn set_way(&self, way: Way) {
        if self.way.set(way).is_ok() {
            let early = self.early.take();
            self.link.early.set(self.link.early.get() - total(&early));
            early.iter().for_each(|datagram| self.deliver(datagram, datagram.len()));
        }
    }

    /// A datagram from the visitor, or from the local service, for the link.
    pub fn take(&self, now: Time, datagram: &[u8]) {
        self.last.set(now);
        self.assured.set(self.answered.get());
        add(&self.counters.read, datagram.len() as u64);
        let dropped = self.link.send_datagram(now, self.stream, datagram);
        add(&self.counters.dropped, dropped);
    }

    /// Datagrams of `size` bytes, the last one maybe shorter, from the link.
    fn deliver(&self, run: &[u8], size: usize) {
        self.last.set(self.link.process.now());
        self.answered.set(true);
        let Some(way) = self.way.get() else {
            return each(run, size, &mut |datagram| self.keep_early(datagram));
        };
        if run.len() > size && way.send(run, size).is_ok() {
            return add(&self.counters.written, run.len() as u64);
        }
        each(run, size, &mut |datagram| match way.send(datagram, datagram.len()) {
            Ok(()) => add(&self.counters.written, datagram.len() as u64),
            Err(_) => add(&self.counters.dropped, 1),
        });
    }

    fn keep_early(&self, datagram: &[u8]) {
        let mut early = self.early.borrow_mut();
        let (own, all) = (total(&early) + datagram.len(), self.link.early.get() + datagram.len());
        if early.len() < limits::EARLY_COUNT && own <= limits::FLOW_BYTES && all <= limits::LINK_DATAGRAMS {
            self.link.early.set(all);
            early.push(datagram.into());
        } else {
            add(&self.counters.dropped, 1);
        }
    }

    /// When a datagram went through it last, either way.
    pub fn last(&self) -> Time {
        self.last.get()
    }

    /// Whether its visitor has gone on after an answer: it is hardly one whose address somebody else made up.
    pub fn is_assured(&self) -> bool {
        self.assured.get()
    }

    /// Whether its stream is over.
    pub fn is_gone(&self) -> bool {
        self.gone.get()
    }

    /// Ends its stream.
    pub fn end(&self, cause: Cause) {
        self.link.reset(self.stream, cause);
        self.link.forget_flow(self.stream);
        self.cut();
    }

    /// Link: the stream is over.
    pub fn cut(&self) {
        // A server keeps it until its visitor says something, or would have been forgotten.
        if !self.gone.replace(true) {
            close(&self.counters);
        }
        self.bell.ring();
    }

    /// Client: takes the local service's datagrams for the link until the flow is over.
    pub async fn serve(self: Rc<Self>) {
        std::future::poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.bell.hang(cx);
        let Some(Way::Service { socket, .. }) = self.way.get() else {
            return Poll::Ready(());
        };
        let now = self.link.process.now();
        let mut place = self.link.process.received.borrow_mut();
        for _ in 0..limits::BUSY_ROUNDS {
            if self.gone.get() {
                return Poll::Ready(());
            }
            if socket
                .poll_recv(cx, &mut place, &mut |datagram| self.take(now, datagram.bytes))
                .is_pending()
            {
                return Poll::Pending;
            }
        }
        task::yield_now(cx);
        Poll::Pending
    }
}

fn total(datagrams: &[Box<[u8]>]) -> usize {
    datagrams.iter().map(|datagram| datagram.len()).sum()
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.link.early.set(self.link.early.get() - total(&self.early.borrow()));
        self.cut();
        depart(&self.link);
    }
}

/// Datagrams of one flow and one size, the last one maybe shorter, that came over a link in a row: they leave in one
/// system call.
#[derive(Default)]
pub struct Run {
    flow: Option<Rc<Flow>>,
    size: usize,
    bytes: Vec<u8>,
}

impl Run {
    /// Adds a datagram; before one that does not go with the others those leave.
    pub fn push(&mut self, flow: &Rc<Flow>, datagram: &[u8]) {
        if !self.takes(flow, datagram.len()) {
            self.send();
            self.size = datagram.len();
            self.flow = Some(flow.clone());
        }
        self.bytes.extend_from_slice(datagram);
    }

    fn takes(&self, flow: &Rc<Flow>, n: usize) -> bool {
        let same = self.flow.as_ref().is_some_and(|own| Rc::ptr_eq(own, flow));
        let fits = 0 < n && n <= self.size && self.size <= limits::UDP_SEGMENT;
        let whole = self.bytes.len() + n;
        same && fits
            && self.bytes.len().is_multiple_of(self.size)
            && whole <= limits::MAX_DATAGRAM
            && whole.div_ceil(self.size) <= flow.way.get().map_or(1, Way::most)
    }

    /// What was gathered leaves.
    pub fn send(&mut self) {
        if let Some(flow) = self.flow.take() {
            flow.deliver(&self.bytes, self.size);
            self.bytes.clear();
        }
    }
}
