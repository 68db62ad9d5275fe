//! Name look-up. Literal addresses and `localhost` need none; other names go to one thread with a small stack, started
//! when the first one comes. A thread that cannot be started is a failed look-up, to be tried again.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError, TrySendError};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits;

/// Looks names up.
#[derive(Default)]
pub struct Names {
    thread: RefCell<Option<SyncSender<Question>>>,
    kept: RefCell<Vec<Kept>>,
}

struct Question {
    host: String,
    port: u16,
    answer: SyncSender<io::Result<Vec<SocketAddr>>>,
    waker: Waker,
}

struct Kept {
    host: String,
    port: u16,
    addresses: Vec<SocketAddr>,
    until: Instant,
}

impl Names {
    /// All addresses of `host`, in the order in which to try them; asks anew.
    pub async fn resolve(&self, host: &str, port: u16, prefer_v6: bool) -> io::Result<Vec<SocketAddr>> {
        let mut addresses = match literal(host) {
            Some(ips) => ips.iter().map(|&ip| SocketAddr::new(ip, port)).collect(),
            None => self.ask(host, port).await?,
        };
        if prefer_v6 {
            addresses.sort_by_key(|address| address.is_ipv4());
        }
        Ok(addresses)
    }

    /// The same, from what was answered a moment ago if there is such an answer: a visitor does not cost a query.
    pub async fn recall(&self, host: &str, port: u16, prefer_v6: bool) -> io::Result<Vec<SocketAddr>> {
        if literal(host).is_some() {
            return self.resolve(host, port, prefer_v6).await;
        }
        if let Some(addresses) = self.kept(host, port) {
            return Ok(addresses);
        }
        let addresses = self.resolve(host, port, prefer_v6).await?;
        self.keep(host, port, &addresses);
        Ok(addresses)
    }

    fn kept(&self, host: &str, port: u16) -> Option<Vec<SocketAddr>> {
        let mut kept = self.kept.borrow_mut();
        kept.retain(|kept| kept.until > Instant::now());
        kept.iter()
            .find(|kept| kept.host == host && kept.port == port)
            .map(|kept| kept.addresses.clone())
    }

    fn keep(&self, host: &str, port: u16, addresses: &[SocketAddr]) {
        let mut kept = self.kept.borrow_mut();
        if kept.len() < limits::MAX_NAMES {
            let until = Instant::now() + Duration::from_secs(limits::NAME_TIME);
            kept.push(Kept {
                host: host.into(),
                port,
                addresses: addresses.into(),
                until,
            });
        }
    }

    async fn ask(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let mut asked: Option<Receiver<_>> = None;
        poll_fn(|cx| {
            let answers = match &asked {
                Some(answers) => answers,
                None => {
                    let (answer, answers) = mpsc::sync_channel(1);
                    let question = Question {
                        host: host.into(),
                        port,
                        answer,
                        waker: cx.waker().clone(),
                    };
                    if let Err(error) = self.send(question) {
                        return Poll::Ready(Err(error));
                    }
                    asked.insert(answers)
                }
            };
            match answers.try_recv() {
                Ok(answer) => Poll::Ready(answer),
                Err(TryRecvError::Empty) => Poll::Pending,
                Err(TryRecvError::Disconnected) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        })
        .await
    }

    fn send(&self, question: Question) -> io::Result<()> {
        let mut thread = self.thread.borrow_mut();
        let sender = match &*thread {
            Some(sender) => sender,
            None => thread.insert(start()?),
        };
        sender.try_send(question).map_err(|error| match error {
            TrySendError::Full(_) => io::Error::new(io::ErrorKind::WouldBlock, "too many names are being looked up"),
            TrySendError::Disconnected(_) => io::ErrorKind::BrokenPipe.into(),
        })
    }
}

/// A host that is an address already, or this machine.
fn literal(host: &str) -> Option<Vec<IpAddr>> {
    if host == "localhost" {
        return Some(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    host.parse().ok().map(|ip| vec![ip])
}

/// The thread ends when the sender is dropped.
fn start() -> io::Result<SyncSender<Question>> {
    let (sender, questions) = mpsc::sync_channel::<Question>(limits::MAX_NAMES);
    std::thread::Builder::new()
        .name("names".into())
        .stack_size(limits::NAMES_STACK)
        .spawn(move || {
            for question in questions {
                let answer = (question.host.as_str(), question.port)
                    .to_socket_addrs()
                    .map(Iterator::collect);
                let _ = question.answer.try_send(answer);
                question.waker.wake();
            }
        })?;
    Ok(sender)
}
