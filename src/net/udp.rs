//! UDP: sockets that receive many datagrams at once, and flows, which are to datagrams what visitors are to bytes.

use std::cell::{Cell, OnceCell, RefCell};
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, SockAddr, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::limits;
use crate::proto::{Cause, StreamId, Time};

use super::link::Link;
use super::sys;
use super::visitor::{Counters, add};

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
        let _ = socket.fd.get_ref().set_recv_buffer_size(limits::UDP_RECEIVE);
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
        // The crate is made for QUIC and forbids fragments; a datagram here is as large as its sender made it.
        sys::allow_fragments(&socket, address.is_ipv6());
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
    pub fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        place: &mut [u8],
        take: &mut dyn FnMut(Received<'_>),
    ) -> Poll<io::Result<()>> {
        let mut metas = [RecvMeta::default(); PLACES];
        loop {
            let mut guard = std::task::ready!(self.fd.poll_read_ready(cx))?;
            match self.recv(place, &mut metas) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                Err(error) => return Poll::Ready(Err(error)),
                Ok(count) => {
                    let filled = place.chunks(limits::UDP_PLACE).zip(metas).take(count);
                    filled.for_each(|(bytes, meta)| split(bytes, &meta, take));
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    fn recv(&self, place: &mut [u8], metas: &mut [RecvMeta; PLACES]) -> io::Result<usize> {
        let mut chunks = place.chunks_mut(limits::UDP_PLACE);
        let mut slices = [(); PLACES].map(|()| io::IoSliceMut::new(chunks.next().unwrap_or_default()));
        self.state.recv(UdpSockRef::from(self.fd.get_ref()), &mut slices, metas)
    }

    /// Sends one datagram to `to`, from our address `from` if that is known. What cannot leave at once is lost, as
    /// datagrams are.
    pub fn send_to(&self, to: SocketAddr, from: Option<IpAddr>, bytes: &[u8]) -> io::Result<()> {
        let transmit = Transmit {
            destination: to,
            ecn: None,
            contents: bytes,
            segment_size: None,
            src_ip: from,
        };
        self.state.try_send(UdpSockRef::from(self.fd.get_ref()), &transmit)
    }

    /// Sends one datagram of both parts to the connected address. An error may be an earlier one's: it is tried twice.
    pub fn send(&self, preface: &[u8], bytes: &[u8]) -> io::Result<()> {
        let (socket, parts) = (self.fd.get_ref(), [preface, bytes].map(IoSlice::new));
        let send = || socket.send_vectored(&parts);
        send().or_else(|_| send()).map(drop)
    }
}

/// Datagrams, or runs of them from one sender, that are received in one go.
const PLACES: usize = limits::READ_BUFFER / limits::UDP_PLACE;

/// The kernel may have put several datagrams of one sender into one place.
fn split(bytes: &[u8], meta: &RecvMeta, take: &mut dyn FnMut(Received<'_>)) {
    let bytes = bytes.get(..meta.len).unwrap_or_default();
    let mut one = |bytes| {
        take(Received {
            from: meta.addr,
            to: meta.dst_ip,
            bytes,
        });
    };
    match bytes {
        [] => one(bytes),
        _ => bytes.chunks(meta.stride.max(1)).for_each(one),
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
    gone: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// Where a flow's datagrams leave this process.
pub enum Way {
    /// On a server: through the public socket, to the visitor, from the address that it asked.
    Visitor(Rc<UdpSocket>, SocketAddr, Option<IpAddr>),
    /// On a client: through a socket of its own, each behind the header that tells who the visitor is.
    Service(UdpSocket, Vec<u8>),
}

impl Flow {
    /// Of a stream that was just opened.
    pub fn new(link: &Rc<Link>, stream: StreamId, counters: &Rc<Counters>) -> Rc<Flow> {
        add(&counters.visitors, 1);
        counters.open.set(counters.open.get() + 1);
        Rc::new(Flow {
            stream,
            link: link.clone(),
            counters: counters.clone(),
            way: OnceCell::new(),
            early: RefCell::default(),
            last: Cell::new(link.process.now()),
            gone: Cell::new(false),
            waker: RefCell::default(),
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
            early.iter().for_each(|datagram| self.deliver(datagram));
        }
    }

    /// A datagram from the visitor, or from the local service, for the link.
    pub fn take(&self, now: Time, datagram: &[u8]) {
        self.last.set(now);
        match self.link.send_datagram(now, self.stream, datagram) {
            true => add(&self.counters.read, datagram.len() as u64),
            false => add(&self.counters.dropped, 1),
        }
    }

    /// A datagram from the link.
    pub fn deliver(&self, datagram: &[u8]) {
        self.last.set(self.link.process.now());
        let sent = match self.way.get() {
            Some(Way::Visitor(socket, to, from)) => socket.send_to(*to, *from, datagram).is_ok(),
            Some(Way::Service(socket, preface)) => socket.send(preface, datagram).is_ok(),
            None => return self.keep_early(datagram),
        };
        match sent {
            true => add(&self.counters.written, datagram.len() as u64),
            false => add(&self.counters.dropped, 1),
        }
    }

    fn keep_early(&self, datagram: &[u8]) {
        let mut early = self.early.borrow_mut();
        let bytes: usize = early.iter().map(|kept| kept.len()).sum();
        if early.len() < limits::FLOW_COUNT && bytes + datagram.len() <= limits::FLOW_BYTES {
            early.push(datagram.into());
        } else {
            add(&self.counters.dropped, 1);
        }
    }

    /// When a datagram went through it last, either way.
    pub fn last(&self) -> Time {
        self.last.get()
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
        self.gone.set(true);
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Client: takes the local service's datagrams for the link until the flow is over.
    pub async fn serve(self: Rc<Self>) {
        std::future::poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        *self.waker.borrow_mut() = Some(cx.waker().clone());
        let Some(Way::Service(socket, _)) = self.way.get() else {
            return Poll::Ready(());
        };
        let now = self.link.process.now();
        let mut place = self.link.process.received.borrow_mut();
        for _ in 0..limits::BUSY_ROUNDS {
            if self.gone.get() {
                return Poll::Ready(());
            }
            // An error is the local service's, as "connection refused": the flow lives on for when it is back.
            if socket
                .poll_recv(cx, &mut place, &mut |datagram| self.take(now, datagram.bytes))
                .is_pending()
            {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.counters.open.set(self.counters.open.get().saturating_sub(1));
    }
}
