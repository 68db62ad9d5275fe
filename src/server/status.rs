//! What the server is doing, for [`crate::status`].

use crate::control::Reporting;
use crate::net::visitor::Counters;
use crate::status::{Service, Snapshot};

use super::Server;
use super::port::Port;

impl Reporting for Server {
    fn snapshot(&self) -> Snapshot {
        let budget = &self.process.budget;
        Snapshot {
            role: "server",
            uptime: self.process.uptime(),
            links: self.clients().iter().map(|link| link.snapshot()).collect(),
            services: self
                .services
                .all()
                .iter()
                .map(|service| self.service_snapshot(service))
                .collect(),
            streams: (budget.streams(), budget.max_streams()),
            last_error: String::new(),
        }
    }
}

impl Server {
    fn service_snapshot(&self, service: &super::services::Service) -> Service {
        let config = service.config();
        let port = service.port.borrow();
        let member = self.registry.borrow().pick(service.id);
        let link = member.and_then(|member| self.link(member.link));
        let Counters {
            visitors,
            open,
            read,
            written,
            refused,
            dropped,
        } = &*service.counters;
        Service {
            name: config.name.clone(),
            kind: config.kind.name(),
            up: port.is_some(),
            public: port.as_ref().map(Port::to_string).unwrap_or_default(),
            target: link.map(|link| link.peer.to_string()).unwrap_or_default(),
            open: open.get(),
            total: visitors.get(),
            refused: refused.get(),
            dropped: dropped.get(),
            inward: read.get(),
            outward: written.get(),
            last_error: service.last_error.borrow().clone(),
        }
    }
}
