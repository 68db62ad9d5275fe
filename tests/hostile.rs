//! Clients that have a token and mean harm: what they can make the server say, keep and do stays small, and is theirs.

mod rig;

use std::io::Write;
use std::time::{Duration, Instant};

use pinhole::limits;
use pinhole::proto::terms::key_hash;
use pinhole::proto::{Check, Membership, Terms, Wish};

use rig::crowd::TOKEN;
use rig::receiver::TAKEN;
use rig::{Crowd, Local, PATIENCE, Peer, Receiver, Signal, eventually, field, local, visitor};

/// Terms of a member of a group of its own, at any port.
fn member(webhook: &str) -> Terms {
    Terms {
        wish: Some(Wish {
            port: 0,
            is_must: false,
        }),
        group: Some(Membership {
            name: "pool".into(),
            key: key_hash(b"key"),
            weight: u16::MAX,
            is_sticky: true,
            count: 0,
        }),
        check: None,
        webhook: webhook.into(),
    }
}

fn server(operator: &Receiver, more: &str) -> Crowd {
    let url = operator.url("/");
    Crowd::new(&format!(
        "default_token = \"{TOKEN}\"\ntcp_port_range = [20000, 20009]\n{more}\n[server.load_balancing]\n\
         enabled = true\nmember_webhooks = \"any\"\nalert_webhook_url = \"{url}\"\n[server.services]"
    ))
}

/// How often something may be said since `began`.
fn ration(began: Instant) -> usize {
    limits::LOG_LINES as usize * (1 + began.elapsed().as_secs().div_ceil(limits::LOG_TIME) as usize)
}

#[test]
fn services_that_come_and_go_fill_no_log_and_raise_few_alerts() {
    let (operator, began) = (Receiver::new(TAKEN), Instant::now());
    let crowd = server(&operator, "");
    let mut peer = Peer::meet(crowd.control(), 1);
    for id in 0..200 {
        peer.register(id, "web", TOKEN, &member(""));
        assert_eq!(peer.answer(id), Ok(()));
        peer.unregister(id);
    }
    peer.register(200, "last", "another token", &member(""));
    assert_eq!(peer.answer(200), Err("wrong token".into()));
    let said = |words: &str| crowd.server.log().all(words).len();
    for words in ["service is up", "service is down", "group has no healthy member"] {
        crowd.server.wait_for(words);
        assert!((1..=ration(began)).contains(&said(words)), "{words}: {}", said(words));
    }
    assert!(operator.requests().len() <= ration(began));
}

#[test]
fn the_operator_is_told_whatever_members_want_to_be_told() {
    let (operator, silent) = (Receiver::new(""), Receiver::new(""));
    let crowd = server(&operator, "max_tunnels_per_client = 0");
    let mut peer = Peer::meet(crowd.control(), 1);
    let count = limits::MAX_ALERTS as u16 + 10;
    for id in 0..count {
        let terms = Terms {
            check: Some(Check::Tcp),
            ..member(&silent.url(&format!("/{id}")))
        };
        peer.register(id, &id.to_string(), TOKEN, &terms);
        assert_eq!(peer.answer(id), Ok(()));
    }
    for fall in 1..=3 {
        peer.report(0, true);
        peer.report(0, false);
        eventually("the operator is told", PATIENCE, || operator.requests().len() == fall);
    }
    assert!(silent.requests().len() <= limits::MAX_ALERTS);
}

#[test]
fn who_asks_again_and_again_for_what_another_has_waits_for_the_last_answer() {
    let echo = Local::serve(local::echo);
    let crowd = Crowd::new(&format!(
        "default_token = \"{TOKEN}\"\n[server.services.web]\nbind_addr = \"ADDR:0\""
    ));
    let text = format!("[client.services.web]\nlocal_addr = \"{}\"", echo.address());
    let client = crowd.client("client", &text);
    client.wait_for("service is registered service=web ");
    let mut peer = Peer::meet(crowd.control(), 1);
    for _ in 0..50 {
        peer.register(0, "web", TOKEN, &Terms::default());
        peer.unregister(0);
    }
    let asked = Instant::now();
    peer.register(0, "web", TOKEN, &Terms::default());
    let taken = "another client has this service and is alive";
    assert_eq!(peer.answer(0), Err(taken.into()));
    // What was asked before has no answer.
    assert!(asked.elapsed() >= Duration::from_secs(limits::CONTEST_TIME));
}

#[test]
fn who_gets_what_another_has_left_ends_nothing_else() {
    let echo = Local::serve(local::echo);
    let services = ["web", "stays"].map(|name| format!("[server.services.{name}]\nbind_addr = \"ADDR:0\"\n"));
    let crowd = Crowd::new(&format!("default_token = \"{TOKEN}\"\n{}", services.concat()));
    let line = |name: &str| format!("[client.services.{name}]\nlocal_addr = \"{}\"\n", echo.address());
    let mut client = crowd.client("client", &(line("web") + &line("stays")));
    client.wait_for("service is registered service=web ");
    let told = client.wait_for("service is registered service=stays ");
    let visitor = visitor::connect(field(&told, "addr").parse().expect("an address"));
    visitor::echo(&visitor, b"before");
    let mut peer = Peer::meet(crowd.control(), 1);
    peer.register(0, "web", TOKEN, &Terms::default());
    // Before its time to answer is over the client leaves what the other one wants.
    let head = format!(
        "[client]\nremote_addr = \"{}\"\ndefault_token = \"{TOKEN}\"\n",
        crowd.control()
    );
    crowd.dir().write("client.toml", head + &line("stays"));
    client.signal(Signal::Hangup);
    assert_eq!(peer.answer(0), Ok(()));
    visitor::echo(&visitor, b"after");
    assert!(crowd.server.log().all("a newer link has taken").is_empty());
}

#[test]
fn a_flood_of_health_ends_its_link() {
    let operator = Receiver::new(TAKEN);
    let crowd = server(&operator, "");
    let mut peer = Peer::meet(crowd.control(), 1);
    let terms = Terms {
        check: Some(Check::Tcp),
        ..member("")
    };
    peer.register(0, "web", TOKEN, &terms);
    assert_eq!(peer.answer(0), Ok(()));
    let report = |n: u8| [0, 5, 0x80, 0, 0, 0, 0, 0, n % 2, 0, 0, 0, 1];
    let flood: Vec<u8> = (0..=u8::MAX).cycle().take(100_000).flat_map(report).collect();
    let mut link = peer.raw();
    // The server may close before it has all.
    let _ = link.write_all(&flood);
    crowd.server.wait_for("client has left peer=");
    let mut other = Peer::meet(crowd.control(), 2);
    other.register(0, "web", TOKEN, &terms);
    assert_eq!(other.answer(0), Ok(()));
}
