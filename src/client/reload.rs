//! A new configuration for a client that runs: only what is different is touched.
//!
//! A service comes and goes over the link that is there. Another server, or other keys, need another link: it is made
//! first, and the old one lives on until its visitors have left.

use std::rc::Rc;

use log::{info, warn};

use crate::config::diff::Change;
use crate::config::{self, ClientService, Config};
use crate::proto::End;
use crate::reload::{Reloading, Running};
use crate::transport;

use super::Client;
use super::services::Service;

impl Running for Client {
    fn reload(self: Rc<Self>, new: Config, changes: Vec<Change>) -> Reloading {
        Box::pin(async move {
            let Config::Client(mut new) = new else { return new };
            self.apply(&mut new, &changes);
            Config::Client(new)
        })
    }

    /// What is there is left once the new link is, and at once if it no longer answers.
    fn reconnect(&self) {
        info!("a new link is asked for");
        self.wanted.raise();
    }
}

impl Client {
    /// Makes `new` hold, in which what cannot be done is put right.
    fn apply(&self, new: &mut config::Client, changes: &[Change]) {
        self.protect(new);
        *self.config.borrow_mut() = Rc::new(new.clone());
        for change in changes {
            match change {
                Change::Removed(name) => self.remove(name),
                Change::Added(name) => named(new, name).for_each(|service| self.add(service)),
                Change::Changed(name) => named(new, name).for_each(|service| self.change(service)),
                _ => {}
            }
        }
        let needs_link = |change: &Change| matches!(change, Change::RemoteAddr | Change::Links);
        // Without a link, whatever is different may be what was wrong.
        if changes.iter().any(needs_link) || self.seat().is_none() && !changes.is_empty() {
            self.wanted.raise();
        }
    }

    fn add(&self, config: &ClientService) {
        let service = Service::new(config);
        self.services.borrow_mut().push(service.clone());
        if let Some(seat) = self.seat() {
            seat.register(&service);
        }
    }

    /// Its visitors stay.
    fn remove(&self, name: &str) {
        let Some(service) = self.service(name) else { return };
        self.services.borrow_mut().retain(|other| !Rc::ptr_eq(other, &service));
        self.withdraw(&service);
        info!("service is withdrawn service={name}");
    }

    /// Asks for it anew if the server has to know, or if it was refused and might now be right.
    fn change(&self, new: &ClientService) {
        let Some(service) = self.service(&new.name) else { return };
        let old = service.configure(new);
        let is_other =
            old.remote_port != new.remote_port || old.group != new.group || old.health_check != new.health_check;
        if old.token != new.token || old.kind != new.kind || is_other {
            self.withdraw(&service);
        }
        if let Some(seat) = self.seat() {
            seat.register(&service);
        }
    }

    fn withdraw(&self, service: &Rc<Service>) {
        service.on_withdrawn();
        self.seats().iter().for_each(|seat| seat.unregister(service));
    }

    fn service(&self, name: &str) -> Option<Rc<Service>> {
        let services = self.services.borrow();
        services.iter().find(|service| service.config().name == name).cloned()
    }

    /// New links are protected as `new` says.
    fn protect(&self, new: &mut config::Client) {
        if self.config().transport == new.transport {
            return;
        }
        match transport::setup(&new.transport, End::Client) {
            Ok(setup) => *self.setup.borrow_mut() = Rc::new(setup),
            Err(unfit) => {
                warn!("links stay protected as they are: {unfit}");
                new.transport = self.config().transport.clone();
            }
        }
    }
}

fn named<'a>(config: &'a config::Client, name: &'a str) -> impl Iterator<Item = &'a ClientService> {
    config.services.iter().filter(move |service| service.name == name)
}
