//! What the client is doing, for [`crate::status`].

use crate::control::Reporting;
use crate::net::visitor::Counters;
use crate::status::{self, Snapshot};

use super::Client;
use super::services::Service;

impl Reporting for Client {
    fn snapshot(&self) -> Snapshot {
        let budget = &self.process.budget;
        Snapshot {
            role: "client",
            uptime: self.process.uptime(),
            links: self.seats().iter().map(|seat| seat.link.snapshot()).collect(),
            services: self
                .services
                .borrow()
                .iter()
                .map(|service| service_snapshot(service))
                .collect(),
            streams: (budget.streams(), budget.max_streams()),
            last_error: self.last_error.borrow().clone(),
        }
    }
}

fn service_snapshot(service: &Service) -> status::Service {
    let (config, public) = (service.config(), service.public.borrow());
    let Counters {
        visitors,
        open,
        read,
        written,
        refused,
        dropped,
    } = &*service.counters;
    status::Service {
        name: config.name.clone(),
        kind: config.kind.name(),
        up: public.is_some(),
        public: public.clone().unwrap_or_default(),
        target: config.local_addr.to_string(),
        open: open.get(),
        total: visitors.get(),
        refused: refused.get(),
        dropped: dropped.get(),
        inward: written.get(),
        outward: read.get(),
        healthy: service.health.get().map(|(is_healthy, _)| is_healthy),
        last_error: service.last_error.borrow().clone(),
        group: None,
    }
}
