//! What the server is doing, for [`crate::status`].

use crate::control::Reporting;
use crate::net::visitor::Counters;
use crate::proto::{KeyHash, Time};
use crate::status::{Change, Group, Member, Service, Snapshot};

use super::Server;
use super::group::{self, News, Seated};
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
        let registry = self.registry.borrow();
        let (members, group) = (registry.members(service.id), registry.group(service.id));
        let links = members.iter().filter_map(|member| self.link(member.link));
        let targets: Vec<String> = links.map(|link| link.peer.to_string()).collect();
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
            target: targets.join(","),
            open: open.get(),
            total: visitors.get(),
            refused: refused.get(),
            dropped: dropped.get(),
            inward: read.get(),
            outward: written.get(),
            healthy: group.and_then(group::Group::lone_health),
            last_error: service.last_error.borrow().clone(),
            group: group.and_then(|group| self.group_snapshot(group)),
        }
    }

    fn group_snapshot(&self, group: &group::Group) -> Option<Group> {
        let (identity, now) = (group.identity.as_ref()?, self.process.now());
        Some(Group {
            name: identity.name.clone(),
            key: short(&identity.key),
            dispatched: group.dispatched,
            failures: group.failures,
            members: group.seats().iter().map(|seat| self.member_snapshot(seat)).collect(),
            changes: group.changes().map(|change| change_snapshot(change, now)).collect(),
        })
    }

    fn member_snapshot(&self, seat: &Seated) -> Member {
        let link = self.link(seat.member.link);
        Member {
            number: seat.number,
            client: link.map(|link| link.peer.to_string()).unwrap_or_default(),
            healthy: seat.is_healthy,
            check: seat.check.map_or("none", |check| check.name()),
            weight: seat.weight,
            dispatched: seat.dispatched,
        }
    }
}

fn change_snapshot(change: &group::Change, now: Time) -> Change {
    Change {
        ago: now.since(change.at) / 1_000_000,
        number: change.number,
        healthy: change.is_healthy(),
        reason: match change.what {
            News::Registered => "registered".into(),
            News::Awaited => "registered (awaiting first probe)".into(),
            News::Recovered => "recovered".into(),
            News::Failed(count) => format!("{count} consecutive probe failures"),
            News::Left => "left".into(),
        },
    }
}

/// The first eight digits of a key's hash: enough to tell one from another.
fn short(key: &KeyHash) -> String {
    crate::config::hex(&key[..4])
}
