//! The services of the configuration, and what is there of each now.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use log::Level;

use crate::config::{self, Kind};
use crate::log::{Ration, Repeats};
use crate::net::visitor::Counters;
use crate::proto::sorted::SortedMap;

use super::port::Port;
use super::rate::Rate;
use super::registry::ServiceId;

/// All services, by an id that outlives every reload.
#[derive(Default)]
pub struct Services {
    list: RefCell<SortedMap<ServiceId, Rc<Service>>>,
    next: Cell<u64>,
}

/// How much is said of what clients can make happen as often as they like. A service of the configuration has its own;
/// those that only clients name have that of their first member's link: one that comes and goes is a new one each time.
#[derive(Default)]
pub struct Voice {
    /// In the log: that it is up or down, or well.
    pub lines: RefCell<Ration>,
    /// To those who want to know that nobody of its group is healthy.
    pub alerts: RefCell<Ration>,
    /// In the log: that there can be no such service.
    pub refusals: RefCell<Repeats>,
}

/// One service.
pub struct Service {
    /// Its place in the registry.
    pub id: ServiceId,
    /// Its figures.
    pub counters: Rc<Counters>,
    /// Where visitors come, while somebody serves them.
    pub port: RefCell<Option<Port>>,
    /// Why the last registration failed.
    pub last_error: RefCell<String>,
    /// Why the last visitor was not let in.
    pub refusals: RefCell<Repeats>,
    /// Why the last registration was refused.
    pub declines: RefCell<Repeats>,
    /// How much is said of it.
    pub voice: Rc<Voice>,
    /// How many may come.
    pub rate: RefCell<Rate>,
    /// Only clients name it.
    pub is_tunnel: bool,
    config: RefCell<Rc<config::ServerService>>,
}

impl Services {
    /// One more; `voice`: of the link whose client names it.
    pub fn add(&self, config: &config::ServerService, voice: Option<&Rc<Voice>>) -> Rc<Service> {
        let id = ServiceId(self.next.replace(self.next.get() + 1));
        let service = Rc::new(Service {
            id,
            counters: Rc::default(),
            port: RefCell::default(),
            last_error: RefCell::default(),
            refusals: RefCell::default(),
            declines: RefCell::default(),
            voice: voice.cloned().unwrap_or_default(),
            rate: RefCell::default(),
            is_tunnel: voice.is_some(),
            config: RefCell::new(Rc::new(config.clone())),
        });
        self.list.borrow_mut().insert(id, service.clone());
        service
    }

    /// Takes one off the list.
    pub fn remove(&self, id: ServiceId) {
        self.list.borrow_mut().remove(&id);
    }

    /// The service `id`, unless it was removed.
    pub fn get(&self, id: ServiceId) -> Option<Rc<Service>> {
        self.list.borrow().get(&id).cloned()
    }

    /// The service of the configuration that has this name.
    pub fn named(&self, name: &str) -> Option<Rc<Service>> {
        let list = self.list.borrow();
        let mut own = list.values().filter(|service| !service.is_tunnel);
        own.find(|service| service.config().name == name).cloned()
    }

    /// Whether a service of the configuration is, or would be, at this port.
    pub fn reserves(&self, kind: Kind, port: u16) -> bool {
        let list = self.list.borrow();
        let mut own = list.values().filter(|service| !service.is_tunnel);
        own.any(|service| {
            let config = service.config();
            config.kind == kind && config.bind_addr.iter().any(|at| at.port == port)
        })
    }

    /// All of them, the oldest first.
    pub fn all(&self) -> Vec<Rc<Service>> {
        self.list.borrow().values().cloned().collect()
    }
}

impl Service {
    /// What the configuration says of it.
    pub fn config(&self) -> Rc<config::ServerService> {
        self.config.borrow().clone()
    }

    /// Nobody comes any more. Gives the port, which closes when that is dropped.
    pub fn close(&self) -> Option<Port> {
        let port = self.port.borrow_mut().take()?;
        let name = &self.config().name;
        log::log!(self.level(), "service is down service={name} addr={port}");
        Some(port)
    }

    /// At which level to say what its clients have made happen.
    pub fn level(&self) -> Level {
        match self.voice.lines.borrow_mut().spend() {
            true => Level::Info,
            false => Level::Debug,
        }
    }

    /// From now on it says this.
    pub fn configure(&self, config: config::ServerService) {
        *self.config.borrow_mut() = Rc::new(config);
    }
}
