//! Looks whether a local service is well, as long as it is registered, and tells the server when that changes.

use std::io;
use std::rc::Rc;

use log::{info, warn};
use tokio::time::Instant;

use crate::config::HealthCheck;
use crate::link::Cover;
use crate::net::http;
use crate::net::task::Owned;
use crate::net::wire::Wire;
use crate::proto::Check;

use super::Client;
use super::health::Health;
use super::services::{Service, reach};

/// The service was registered: its health is looked after from now on, or what is known of it is told over a new link.
pub fn attend(client: &Rc<Client>, service: &Rc<Service>) {
    if let (Some(_), Some((is_healthy, failures))) = (&*service.probe.borrow(), service.health.get()) {
        return report(client, service, is_healthy, failures);
    }
    let check = service.config().health_check.clone();
    let Some(check) = check.filter(|check| check.kind.is_some()) else {
        return;
    };
    let task = Owned::spawn(look_after(client.clone(), service.clone(), check));
    service.probe.borrow_mut().get_or_insert(task);
}

fn report(client: &Client, service: &Rc<Service>, is_healthy: bool, failures: u32) {
    let Some(seat) = client.seat() else { return };
    let held = seat.held.borrow();
    let number = held.iter().find(|(_, held)| Rc::ptr_eq(held, service));
    if let Some((&number, _)) = number {
        seat.link.report(number, is_healthy, failures);
    }
}

async fn look_after(client: Rc<Client>, service: Rc<Service>, check: HealthCheck) {
    let mut health = Health::new(check.max_failed);
    loop {
        let next = Instant::now() + check.interval;
        let found = tokio::time::timeout(check.timeout, look(&client, &service, &check)).await;
        let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        if let Some((is_healthy, failures)) = health.on_probe(found.is_ok()) {
            note(&service, found.err(), failures);
            report(&client, &service, is_healthy, failures);
        }
        tokio::time::sleep_until(next).await;
    }
}

/// The service is well from now on, or is not, for this reason, which was found so often in a row.
fn note(service: &Service, wrong: Option<io::Error>, failures: u32) {
    let name = &service.config().name;
    service.health.set(Some((wrong.is_none(), failures)));
    match wrong {
        None => {
            info!("local service is well service={name}");
            service.last_error.borrow_mut().clear();
        }
        Some(error) => {
            warn!("local service is not well service={name} failures={failures} ({error})");
            *service.last_error.borrow_mut() = format!("health check: {error}");
        }
    }
}

/// Whether it is well now; the error says why not.
async fn look(client: &Client, service: &Service, check: &HealthCheck) -> io::Result<()> {
    let socket = reach(client, &check.addr, true, service.config().prefer_ipv6).await?;
    if check.kind == Some(Check::Tcp) {
        return Ok(());
    }
    let request = format!(
        "GET {} HTTP/1.0\r\nHost: {}\r\nUser-Agent: pinhole-health-check\r\nConnection: close\r\n\r\n",
        check.path, check.addr
    );
    let mut wire = Wire::new(socket, Cover::Plain);
    let status = http::ask(&mut wire, request.as_bytes()).await?;
    match status {
        200..300 => Ok(()),
        _ if !check.expects_success => Ok(()),
        _ => Err(io::Error::other(format!("the answer is {status}"))),
    }
}
