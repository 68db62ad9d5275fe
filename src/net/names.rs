//! Name look-up. Literal addresses and `localhost` need none; other names go to one thread with a small stack, which is
//! there while somebody waits for it. A thread that cannot be started is a failed look-up, to be tried again.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits;

/// Looks names up.
#[derive(Default)]
pub struct Names {
    asked: Arc<Mutex<Asked>>,
    kept: RefCell<Vec<Kept>>,
}

/// What the thread has to do.
#[derive(Default)]
struct Asked {
    questions: VecDeque<Arc<Question>>,
    /// The thread is there, and looks again before it ends.
    is_attended: bool,
}

struct Question {
    host: String,
    port: u16,
    answer: Mutex<Option<io::Result<Vec<SocketAddr>>>>,
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
        let addresses = match literal(host) {
            Some(ips) => ips.iter().map(|&ip| SocketAddr::new(ip, port)).collect(),
            None => self.ask(host, port).await?,
        };
        Ok(ordered(addresses, prefer_v6))
    }

    /// The same, from what was answered a moment ago if there is such an answer: a visitor does not cost a query.
    pub async fn recall(&self, host: &str, port: u16, prefer_v6: bool) -> io::Result<Vec<SocketAddr>> {
        if literal(host).is_some() {
            return self.resolve(host, port, prefer_v6).await;
        }
        let addresses = match self.kept(host, port) {
            Some(addresses) => addresses,
            None => {
                let addresses = self.resolve(host, port, false).await?;
                self.keep(host, port, &addresses);
                addresses
            }
        };
        Ok(ordered(addresses, prefer_v6))
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
        let mut asked: Option<Arc<Question>> = None;
        poll_fn(|cx| {
            if let Some(question) = &asked {
                return match lock(&question.answer).take() {
                    Some(answer) => Poll::Ready(answer),
                    None => Poll::Pending,
                };
            }
            let question = asked.insert(Arc::new(Question {
                host: host.into(),
                port,
                answer: Mutex::default(),
                waker: cx.waker().clone(),
            }));
            match self.send(question.clone()) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            }
        })
        .await
    }

    fn send(&self, question: Arc<Question>) -> io::Result<()> {
        let mut asked = lock(&self.asked);
        if asked.questions.len() >= limits::MAX_NAMES {
            return Err(io::Error::new(
                io::ErrorKind::WouldBlock,
                "too many names are being looked up",
            ));
        }
        if !asked.is_attended {
            start(self.asked.clone())?;
            asked.is_attended = true;
        }
        asked.questions.push_back(question);
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ordered(mut addresses: Vec<SocketAddr>, prefer_v6: bool) -> Vec<SocketAddr> {
    if prefer_v6 {
        addresses.sort_by_key(SocketAddr::is_ipv4);
    }
    addresses
}

/// A host that is an address already, or this machine.
fn literal(host: &str) -> Option<Vec<IpAddr>> {
    if host == "localhost" {
        return Some(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    host.parse().ok().map(|ip| vec![ip])
}

fn start(asked: Arc<Mutex<Asked>>) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("names".into());
    let thread = thread.stack_size(limits::NAMES_STACK);
    thread.spawn(move || {
        while let Some(question) = next(&asked) {
            answer(&question)
        }
    })?;
    Ok(())
}

/// The next question for the thread, which has to end if there is none.
fn next(asked: &Mutex<Asked>) -> Option<Arc<Question>> {
    let mut asked = lock(asked);
    // Nobody waits any more for what only the queue still has.
    let mut questions = std::iter::from_fn(|| asked.questions.pop_front());
    let question = questions.find(|question| Arc::strong_count(question) > 1);
    asked.is_attended = question.is_some();
    question
}

fn answer(question: &Question) {
    let addresses = (question.host.as_str(), question.port).to_socket_addrs();
    *lock(&question.answer) = Some(addresses.map(Iterator::collect));
    question.waker.wake_by_ref();
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Context;

    use super::*;

    #[test]
    fn nobody_waits_behind_those_who_have_left() {
        let names = Names::default();
        // The thread is busy.
        lock(&names.asked).is_attended = true;
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..limits::MAX_NAMES / 2 {
            assert!(pin!(names.ask("slow.invalid", 80)).poll(&mut cx).is_pending());
        }
        let mut stays = pin!(names.ask("good.invalid", 80));
        assert!(stays.as_mut().poll(&mut cx).is_pending());
        let next = next(&names.asked).expect("a question");
        assert_eq!(next.host, "good.invalid");
    }
}
