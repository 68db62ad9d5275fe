//! What the server is doing, for [`crate::status`].

use crate::net::visitor::Counters;
use crate::status::{Service, Snapshot};

use super::Server;

impl Server {
    /// As it is now.
    pub fn snapshot(&self) -> Snapshot {
        let budget = &self.process.budget;
        Snapshot {
            role: "server",
            uptime: self.process.uptime(),
            links: self.clients().iter().map(|link| link.snapshot()).collect(),
            services: (0..self.services.len())
                .filter_map(|number| self.service_snapshot(number))
                .collect(),
            streams: (budget.streams(), budget.max_streams()),
            last_error: String::new(),
        }
    }

    fn service_snapshot(&self, number: usize) -> Option<Service> {
        let service = self.services.get(number)?;
        let public = service.public.borrow();
        let member = self.registry.borrow().pick(number);
        let link = member.and_then(|member| self.link(member.link));
        let Counters {
            visitors,
            open,
            read,
            written,
            refused,
            dropped,
        } = &*service.counters;
        Some(Service {
            name: service.config.name.clone(),
            kind: service.config.kind.name(),
            up: public.is_some(),
            public: public
                .as_ref()
                .map(|public| public.address.to_string())
                .unwrap_or_default(),
            target: link.map(|link| link.peer.to_string()).unwrap_or_default(),
            open: open.get(),
            total: visitors.get(),
            refused: refused.get(),
            dropped: dropped.get(),
            inward: read.get(),
            outward: written.get(),
            last_error: service.last_error.borrow().clone(),
        })
    }
}
