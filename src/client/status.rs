//! What the client is doing, for [`crate::status`].

use crate::net::visitor::Counters;
use crate::status::{self, Snapshot};

use super::Client;
use super::services::Service;

impl Client {
    /// As it is now.
    pub fn snapshot(&self) -> Snapshot {
        let budget = &self.process.budget;
        let link = self.link.borrow();
        Snapshot {
            role: "client",
            uptime: self.process.uptime(),
            links: link.iter().map(|link| link.snapshot()).collect(),
            services: self.services.iter().map(service_snapshot).collect(),
            streams: (budget.streams(), budget.max_streams()),
            last_error: self.last_error.borrow().clone(),
        }
    }
}

fn service_snapshot(service: &Service) -> status::Service {
    let public = service.public.borrow();
    let Counters {
        visitors,
        open,
        read,
        written,
        refused,
        dropped,
    } = &*service.counters;
    status::Service {
        name: service.config.name.clone(),
        kind: service.config.kind.name(),
        up: public.is_some(),
        public: public.clone().unwrap_or_default(),
        target: service.config.local_addr.to_string(),
        open: open.get(),
        total: visitors.get(),
        refused: refused.get(),
        dropped: dropped.get(),
        inward: written.get(),
        outward: read.get(),
        last_error: service.last_error.borrow().clone(),
    }
}
