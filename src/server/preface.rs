//! Visitors that come through a load balancer: a PROXY protocol header before their first byte says who they are.
//!
//! Each is read aside, in a task with a deadline, so that one that says nothing keeps nobody waiting. The header is
//! looked at where it lies and then taken off to its last byte: what follows is the visitor's.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use crate::config::Network;
use crate::limits::{MAX_PROXY_HEADERS, PROXY_HEADER, PROXY_HEADER_TIME};
use crate::net::proxy_protocol::{Malformed, parse};
use crate::net::socket::Socket;
use crate::net::task::Owned;
use crate::proto::Visit;

use super::Server;
use super::public::admit;
use super::services::Service;

/// Whether a connection comes from one of `balancers`, which say first whom they bring.
pub fn is_due(balancers: &[Network], visit: Visit) -> bool {
    visit
        .from
        .is_some_and(|from| balancers.iter().any(|network| network.contains(from.ip())))
}

/// The visitors of one service whose header is awaited. Dropping it closes them.
#[derive(Default)]
pub struct Prefaces {
    tasks: VecDeque<Owned>,
}

impl Prefaces {
    /// Admits a visitor once its header is there. When too many are waited for, the oldest gives way.
    pub fn await_header(&mut self, server: &Rc<Server>, service: &Rc<Service>, socket: Socket, visit: Visit) {
        let (server, service) = (server.clone(), service.clone());
        self.tasks.retain(|task| !task.is_over());
        if self.tasks.len() >= MAX_PROXY_HEADERS {
            self.tasks.pop_front();
        }
        self.tasks.push_back(Owned::spawn(async move {
            match receive(&socket).await {
                Ok(told) if told.from.is_some() => admit(&server, &service, socket, told),
                Ok(_) => admit(&server, &service, socket, visit),
                Err(Absent::Left) => {}
                Err(absent) => server.turn_away(&service, &socket, visit, absent.words()),
            }
        }));
    }
}

/// Why there is no header.
enum Absent {
    /// The other end went away, as health checks do.
    Left,
    Late,
    Malformed(Malformed),
}

impl Absent {
    fn words(&self) -> &'static str {
        match self {
            Absent::Left => "it left before its PROXY protocol header was complete",
            Absent::Late => "no PROXY protocol header came in time",
            Absent::Malformed(malformed) => malformed.words(),
        }
    }
}

/// Takes the header off `socket`. Whom it names is nobody if the sender speaks for itself.
async fn receive(socket: &Socket) -> Result<Visit, Absent> {
    let read = async {
        let mut place = vec![0; PROXY_HEADER];
        let header = socket.peek(&mut place, &|bytes| parse(bytes).transpose()).await?;
        Ok(match header {
            Err(malformed) => Err(malformed),
            Ok(header) => {
                socket.read_exact(place.split_at_mut(header.length).0).await?;
                Ok(header.visit)
            }
        })
    };
    let read: Result<io::Result<_>, _> = tokio::time::timeout(Duration::from_secs(PROXY_HEADER_TIME), read).await;
    match read {
        Err(_) => Err(Absent::Late),
        Ok(Err(_)) => Err(Absent::Left),
        Ok(Ok(read)) => read.map_err(Absent::Malformed),
    }
}
