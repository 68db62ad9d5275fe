//! The registry by hand.

mod ports;
mod simulation;
mod spread;

use std::net::Ipv4Addr;

use super::*;
use crate::proto::terms::key_hash;
use crate::proto::{Check, Membership};
use crate::server::group::News;

const NOW: Time = Time(0);

const ONE: ServiceId = ServiceId(1);
const TWO: ServiceId = ServiceId(2);

fn claim(registry: &mut Registry, service: ServiceId, member: Member) -> Claim {
    registry.claim(NOW, service, member, "web", &Terms::default())
}

fn pick(registry: &Registry, service: ServiceId) -> Option<Member> {
    registry.pick(service, None, 0, &[])
}

/// Terms of a member of the group of that name.
fn group(name: &str, key: &str) -> Terms {
    Terms {
        group: Some(Membership {
            name: name.into(),
            key: key_hash(key.as_bytes()),
            weight: 1,
            is_sticky: false,
            count: 0,
        }),
        ..Terms::default()
    }
}

/// The same with a check.
fn checked(webhook: &str) -> Terms {
    Terms {
        check: Some(Check::Http),
        webhook: webhook.into(),
        ..group("pool", "key")
    }
}

fn join(registry: &mut Registry, member: Member, terms: &Terms) -> Claim {
    registry.claim(NOW, ONE, member, "web", terms)
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.add(ONE, None);
    registry.add(TWO, None);
    registry
}

fn member(link: LinkId, client: u8) -> Member {
    Member {
        link,
        instance: [client; 16],
        id: 0,
    }
}

#[test]
fn the_first_client_has_the_service_until_it_leaves() {
    let mut registry = registry();
    assert_eq!(claim(&mut registry, TWO, member(1, 1)), Claim::Granted);
    assert_eq!(pick(&registry, TWO), Some(member(1, 1)));
    assert_eq!(pick(&registry, ONE), None);
    assert_eq!(registry.leave(NOW, 1).empty, [TWO]);
    assert_eq!(claim(&mut registry, TWO, member(2, 2)), Claim::Granted);
}

#[test]
fn a_client_that_comes_back_replaces_its_own_stale_link() {
    let mut registry = registry();
    claim(&mut registry, ONE, member(1, 1));
    assert_eq!(claim(&mut registry, ONE, member(2, 1)), Claim::Replaced(member(1, 1)));
    assert_eq!(registry.leave(NOW, 1).empty, []);
    assert_eq!(pick(&registry, ONE), Some(member(2, 1)));
}

#[test]
fn another_client_gets_the_place_of_a_dead_one_only() {
    let mut registry = registry();
    claim(&mut registry, ONE, member(1, 1));
    assert_eq!(claim(&mut registry, ONE, member(2, 2)), Claim::Contested(member(1, 1)));
    assert_eq!(claim(&mut registry, ONE, member(3, 3)), Claim::Busy);
    assert!(!registry.settle(NOW, ONE, (member(1, 1), true), member(2, 2), ("web", &Terms::default())));
    assert_eq!(claim(&mut registry, ONE, member(3, 3)), Claim::Contested(member(1, 1)));
    assert!(registry.settle(
        NOW,
        ONE,
        (member(1, 1), false),
        member(3, 3),
        ("web", &Terms::default())
    ));
    assert_eq!(pick(&registry, ONE), Some(member(3, 3)));
}

#[test]
fn a_contest_is_void_when_somebody_else_has_come_meanwhile() {
    let mut registry = registry();
    claim(&mut registry, ONE, member(1, 1));
    claim(&mut registry, ONE, member(2, 2));
    registry.leave(NOW, 1);
    claim(&mut registry, ONE, member(3, 3));
    assert!(!registry.settle(
        NOW,
        ONE,
        (member(1, 1), false),
        member(2, 2),
        ("web", &Terms::default())
    ));
    assert_eq!(pick(&registry, ONE), Some(member(3, 3)));
}

#[test]
fn a_contest_ends_with_its_claimant() {
    let mut registry = registry();
    claim(&mut registry, ONE, member(1, 1));
    assert_eq!(claim(&mut registry, ONE, member(2, 2)), Claim::Contested(member(1, 1)));
    assert_eq!(registry.leave(NOW, 2).empty, []);
    assert_eq!(claim(&mut registry, ONE, member(3, 3)), Claim::Contested(member(1, 1)));
    assert_eq!(registry.unregister(NOW, 3, 0), Left::default());
    assert!(!registry.settle(
        NOW,
        ONE,
        (member(1, 1), false),
        member(3, 3),
        ("web", &Terms::default())
    ));
    assert_eq!(pick(&registry, ONE), Some(member(1, 1)));
    assert_eq!(claim(&mut registry, ONE, member(4, 4)), Claim::Contested(member(1, 1)));
}

#[test]
fn one_link_cannot_hold_a_service_twice() {
    let mut registry = registry();
    claim(&mut registry, ONE, member(1, 1));
    assert_eq!(claim(&mut registry, ONE, Member { id: 7, ..member(1, 1) }), Claim::Busy);
}

#[test]
fn a_service_that_is_removed_has_no_place() {
    let mut registry = registry();
    claim(&mut registry, ONE, member(1, 1));
    assert_eq!(registry.remove(ONE), [member(1, 1)]);
    assert_eq!(registry.remove(ONE), []);
    assert_eq!(pick(&registry, ONE), None);
    assert_eq!(claim(&mut registry, ONE, member(1, 1)), Claim::Busy);
    assert_eq!(registry.leave(NOW, 1).empty, []);
}

#[test]
fn a_service_that_is_vacated_is_free() {
    let mut registry = registry();
    claim(&mut registry, ONE, member(1, 1));
    assert_eq!(registry.vacate(ONE), [member(1, 1)]);
    assert_eq!(registry.vacate(ONE), []);
    assert_eq!(claim(&mut registry, ONE, member(2, 2)), Claim::Granted);
}

#[test]
fn a_contest_is_void_when_the_service_is_vacated() {
    let mut registry = registry();
    claim(&mut registry, ONE, member(1, 1));
    assert_eq!(claim(&mut registry, ONE, member(2, 2)), Claim::Contested(member(1, 1)));
    registry.vacate(ONE);
    let won = registry.settle(
        NOW,
        ONE,
        (member(1, 1), false),
        member(2, 2),
        ("web", &Terms::default()),
    );
    assert!(!won, "it has proven another token");
    assert_eq!(pick(&registry, ONE), None);
}

#[test]
fn a_registration_is_withdrawn_by_its_number() {
    let mut registry = registry();
    let second = Member { id: 7, ..member(1, 1) };
    claim(&mut registry, ONE, member(1, 1));
    claim(&mut registry, TWO, second);
    assert!(registry.unregister(NOW, 1, 9).empty.is_empty());
    assert!(registry.unregister(NOW, 2, 7).empty.is_empty());
    assert_eq!(registry.unregister(NOW, 1, 7).empty, [TWO]);
    let mut left = Left::default();
    assert!(!registry.withdraw(NOW, TWO, second, &mut left) && registry.withdraw(NOW, ONE, member(1, 1), &mut left));
    assert_eq!(left.empty, [ONE]);
}

#[test]
fn members_of_a_group_share_and_nobody_else_gets_in() {
    let mut registry = registry();
    assert_eq!(join(&mut registry, member(1, 1), &group("pool", "key")), Claim::Granted);
    assert_eq!(join(&mut registry, member(2, 2), &group("pool", "key")), Claim::Granted);
    assert_eq!(
        join(&mut registry, member(3, 3), &group("pool", "other")),
        Claim::WrongKey
    );
    assert_eq!(
        join(&mut registry, member(3, 3), &group("swamp", "key")),
        Claim::WrongKey
    );
    assert_eq!(join(&mut registry, member(3, 3), &Terms::default()), Claim::InUse);
    assert_eq!(registry.members(ONE), [member(1, 1), member(2, 2)]);
    assert_eq!(registry.leave(NOW, 1), Left::default());
    assert_eq!(
        join(&mut registry, member(3, 3), &group("pool", "other")),
        Claim::WrongKey
    );
    assert_eq!(registry.leave(NOW, 2).empty, [ONE]);
    assert_eq!(
        join(&mut registry, member(3, 3), &group("swamp", "other")),
        Claim::Granted
    );
}

#[test]
fn a_group_has_so_many_members() {
    let mut registry = registry();
    let terms = group("pool", "key");
    let last = MAX_MEMBERS as u16;
    let of = |id: u16| Member { id, ..member(1, 1) };
    for id in 0..last {
        assert_eq!(
            registry.claim(NOW, ONE, of(id), &id.to_string(), &terms),
            Claim::Granted
        );
    }
    assert_eq!(registry.claim(NOW, ONE, of(last), "more", &terms), Claim::Crowded);
    let newer = Member { link: 2, ..of(0) };
    assert_eq!(registry.claim(NOW, ONE, newer, "0", &terms), Claim::Replaced(of(0)));
    assert!(registry.leave(NOW, 2).empty.is_empty());
    assert_eq!(registry.claim(NOW, ONE, of(last), "more", &terms), Claim::Granted);
}

#[test]
fn a_fall_tells_so_many() {
    let mut registry = registry();
    for id in 0..MAX_MEMBERS as u16 {
        let member = Member { id, ..member(1, 1) };
        let terms = checked(&format!("http://a/{id}"));
        registry.claim(NOW, ONE, member, &id.to_string(), &terms);
    }
    registry.report(NOW, 1, 0, true, 0);
    let report = registry.report(NOW, 1, 0, false, 1).expect("news");
    assert_eq!(report.fall.expect("a fall").webhooks.len(), crate::limits::MAX_ALERTS);
}

#[test]
fn a_group_does_not_displace_one_that_is_alone() {
    let mut registry = registry();
    claim(&mut registry, ONE, member(1, 1));
    assert_eq!(
        join(&mut registry, member(2, 2), &group("pool", "key")),
        Claim::WrongKey
    );
    assert_eq!(pick(&registry, ONE), Some(member(1, 1)));
    assert_eq!(
        join(&mut registry, member(3, 1), &group("pool", "key")),
        Claim::Replaced(member(1, 1))
    );
    assert_eq!(join(&mut registry, member(2, 2), &group("pool", "key")), Claim::Granted);
    assert_eq!(join(&mut registry, member(4, 1), &Terms::default()), Claim::InUse);
}

#[test]
fn keys_can_be_rotated_where_the_server_lists_them() {
    let mut registry = registry();
    let [old, new] = [key_hash(b"old"), key_hash(b"new")];
    assert!(registry.configure(ONE, &[old], false).is_empty());
    assert_eq!(
        join(&mut registry, member(1, 1), &group("pool", "new")),
        Claim::WrongKey
    );
    assert_eq!(join(&mut registry, member(1, 1), &group("pool", "old")), Claim::Granted);
    assert!(registry.configure(ONE, &[old, new], false).is_empty());
    assert_eq!(join(&mut registry, member(2, 2), &group("pool", "new")), Claim::Granted);
    assert_eq!(registry.configure(ONE, &[new], false), [member(1, 1)]);
}

#[test]
fn a_member_with_a_check_waits_for_its_first_good_probe() {
    let mut registry = registry();
    join(&mut registry, member(1, 1), &checked(""));
    assert_eq!(pick(&registry, ONE), None);
    join(&mut registry, member(2, 2), &group("pool", "key"));
    assert!((0..100).all(|n| registry.pick(ONE, None, n << 25, &[]) == Some(member(2, 2))));
    let report = registry.report(Time(7), 1, 0, true, 0).expect("news");
    assert_eq!((report.healthy, report.members, report.fall), (2, 2, None));
    assert!((0..100).any(|n| registry.pick(ONE, None, n << 25, &[]) == Some(member(1, 1))));
    assert_eq!(registry.report(NOW, 1, 0, true, 0), None);
    assert_eq!(registry.report(NOW, 2, 0, false, 3), None, "it has no check");
    assert_eq!(registry.report(NOW, 9, 0, false, 3), None, "nobody has this link");
}

#[test]
fn a_check_of_one_that_is_alone_informs_and_decides_nothing() {
    let mut registry = registry();
    let terms = Terms {
        check: Some(Check::Tcp),
        ..Terms::default()
    };
    join(&mut registry, member(1, 1), &terms);
    assert_eq!(pick(&registry, ONE), Some(member(1, 1)));
    assert!(registry.report(NOW, 1, 0, true, 0).is_some());
    let report = registry.report(NOW, 1, 0, false, 3).expect("news");
    assert_eq!((report.fall, pick(&registry, ONE)), (None, Some(member(1, 1))));
}

#[test]
fn a_group_falls_once_and_tells_each_webhook_once() {
    let mut registry = registry();
    join(&mut registry, member(1, 1), &checked("http://a"));
    join(&mut registry, member(2, 2), &checked("http://a"));
    join(&mut registry, member(3, 3), &checked("http://b"));
    let fall = |registry: &mut Registry, link, is_healthy| {
        let report = registry.report(NOW, link, 0, is_healthy, 3);
        report.and_then(|report| report.fall)
    };
    assert_eq!(fall(&mut registry, 1, false), None, "nobody was healthy before");
    for _ in 0..3 {
        assert_eq!(fall(&mut registry, 1, true), None);
        assert_eq!(fall(&mut registry, 2, true), None);
        assert_eq!(fall(&mut registry, 1, false), None);
        let found = fall(&mut registry, 2, false).expect("a fall");
        assert_eq!((&*found.group, found.members), ("pool", 3));
        assert_eq!(found.webhooks, ["http://a", "http://b"]);
        assert_eq!(fall(&mut registry, 2, false), None);
    }
}

#[test]
fn the_departure_of_the_last_healthy_one_is_a_fall() {
    let mut registry = registry();
    join(&mut registry, member(1, 1), &checked("http://a"));
    join(&mut registry, member(2, 2), &checked("http://b"));
    registry.report(NOW, 1, 0, true, 0);
    let left = registry.leave(NOW, 1);
    assert_eq!((left.falls.len(), left.falls[0].members), (1, 1));
    assert_eq!(left.falls[0].webhooks, ["http://b", "http://a"]);
    assert!(registry.leave(NOW, 2).falls.is_empty(), "it was not healthy");
    join(&mut registry, member(3, 3), &group("pool", "key"));
    assert_eq!(registry.leave(NOW, 3).falls.len(), 1);
    claim(&mut registry, ONE, member(4, 4));
    assert!(registry.leave(NOW, 4).falls.is_empty(), "it was alone");
}

#[test]
fn a_newer_link_of_a_member_is_as_healthy_as_the_older_one() {
    let mut registry = registry();
    join(&mut registry, member(1, 1), &checked(""));
    registry.report(NOW, 1, 0, true, 0);
    registry.count(ONE, member(1, 1), true);
    assert_eq!(
        join(&mut registry, member(2, 1), &checked("")),
        Claim::Replaced(member(1, 1))
    );
    assert_eq!(registry.leave(NOW, 1), Left::default());
    assert_eq!(pick(&registry, ONE), Some(member(2, 1)));
    assert_eq!(registry.group(ONE).expect("a group").seats()[0].dispatched, 1);
}

#[test]
fn the_last_changes_are_kept() {
    let mut registry = registry();
    join(&mut registry, member(1, 1), &group("pool", "key"));
    join(&mut registry, member(2, 2), &checked(""));
    let news = |registry: &Registry| -> Vec<_> {
        let group = registry.group(ONE).expect("a group");
        group
            .changes()
            .map(|change| (change.at.0, change.number, change.what))
            .collect()
    };
    assert_eq!(news(&registry), [(0, 0, News::Registered), (0, 1, News::Awaited)]);
    for n in 0..30 {
        registry.report(Time(2 * n), 2, 0, true, 0);
        registry.report(Time(2 * n + 1), 2, 0, false, 3);
    }
    let last = news(&registry);
    assert_eq!(last.len(), 50);
    assert_eq!(
        (last[0], last[49]),
        ((10, 1, News::Recovered), (59, 1, News::Failed(3)))
    );
}
