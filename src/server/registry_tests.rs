//! The registry by hand, and thousands of simulated ones against a model that is too simple to be wrong.

use std::collections::BTreeMap;
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

// ---- spread -------------------------------------------------------------------------------------------------------

/// xorshift64*
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) as u32
    }

    fn below(&mut self, n: u32) -> u32 {
        self.next() % n
    }
}

/// Three members of these weights, and how often each gets one of `count` visitors that `choose` picks for.
fn spread(weights: [u16; 3], count: u32, choose: impl Fn(&Registry, u32) -> Option<Member>) -> [f64; 3] {
    let mut registry = registry();
    for (client, weight) in (1..).zip(weights) {
        let mut terms = group("pool", "key");
        terms.group.as_mut().expect("a group").weight = weight;
        join(&mut registry, member(client, client as u8), &terms);
    }
    let mut got = [0.0; 3];
    for n in 0..count {
        let member = choose(&registry, n).expect("a member");
        got[member.link as usize - 1] += 1.0;
    }
    got
}

fn chi_square(got: [f64; 3], weights: [u16; 3]) -> f64 {
    let (all, sum): (f64, u16) = (got.iter().sum(), weights.iter().sum());
    let expected = weights.map(|weight| all * f64::from(weight) / f64::from(sum));
    got.iter()
        .zip(expected)
        .map(|(got, expected)| (got - expected).powi(2) / expected)
        .sum()
}

/// With two degrees of freedom, one in a thousand is beyond this.
const CRITICAL: f64 = 13.8;

#[test]
fn visitors_are_spread_by_weight() {
    for weights in [[1, 1, 1], [1, 2, 3], [1, 10, 100]] {
        let rng = std::cell::RefCell::new(Rng(42));
        let got = spread(weights, 30_000, |registry, _| {
            registry.pick(ONE, None, rng.borrow_mut().next(), &[])
        });
        assert!(chi_square(got, weights) < CRITICAL, "{weights:?} {got:?}");
    }
}

fn source(n: u32) -> Option<IpAddr> {
    Some(Ipv4Addr::from(0x0a00_0000 ^ n).into())
}

#[test]
fn sources_stick_and_are_spread_by_weight() {
    for weights in [[1, 1, 1], [1, 2, 3], [1, 10, 100]] {
        let sticky = |registry: &Registry, n| {
            let first = registry.group(ONE).expect("a group").pick(source(n), n, &[]);
            assert_eq!(registry.group(ONE).expect("a group").pick(source(n), !n, &[]), first);
            first
        };
        let got = spread(weights, 30_000, sticky);
        assert!(chi_square(got, weights) < CRITICAL, "{weights:?} {got:?}");
    }
}

#[test]
fn only_the_sources_of_a_member_that_goes_get_another_one() {
    let mut registry = registry();
    registry.configure(ONE, &[], true);
    (1..=5).for_each(|client| {
        join(&mut registry, member(client, client as u8), &group("pool", "key"));
    });
    let all = |registry: &Registry| -> Vec<_> { (0..1000).map(|n| registry.pick(ONE, source(n), 0, &[])).collect() };
    let before = all(&registry);
    registry.leave(NOW, 3);
    for (was, is) in before.iter().zip(all(&registry)) {
        assert!(*was == Some(member(3, 3)) || *was == is);
    }
}

// ---- ports --------------------------------------------------------------------------------------------------------

#[test]
fn a_tunnel_tries_its_wish_and_then_every_port_once() {
    let range = Ports {
        first: 65_534,
        last: 65_535,
    };
    let any = |port, is_must, name: &str| candidates(range, Wish { port, is_must }, name).collect::<Vec<_>>();
    for name in ["a", "b", "c", "d"] {
        let mut all = any(0, false, name);
        assert_eq!(all, any(0, false, name));
        assert_eq!(any(65_535, false, name)[0], 65_535);
        all.sort_unstable();
        assert_eq!(all, [65_534, 65_535]);
    }
    assert_eq!(any(65_535, true, "a"), [65_535]);
    assert!(any(7, true, "a").is_empty() && any(7, false, "a").len() == 2);
    let first: Vec<_> = ('a'..='z').map(|name| any(0, false, &name.to_string())[0]).collect();
    assert!(first.contains(&65_534) && first.contains(&65_535));
}

fn tunnel(client: u8, name: &str, terms: &Terms) -> Tunnel {
    Tunnel::of(Kind::Tcp, [client; 16], name, terms)
}

#[test]
fn tunnels_of_one_name_are_each_their_clients_own_and_groups_are_one() {
    let mut registry = Registry::default();
    let (any, alone) = (
        Wish {
            port: 0,
            is_must: false,
        },
        Terms::default(),
    );
    registry.add(ONE, Some(tunnel(1, "ssh", &alone)));
    registry.assign(ONE, 20_001);
    assert_eq!(registry.tunnel(&tunnel(1, "ssh", &alone), any), Some(ONE));
    assert_eq!(registry.tunnel(&tunnel(2, "ssh", &alone), any), None);
    let must = Wish {
        port: 20_001,
        is_must: true,
    };
    assert_eq!(
        registry.tunnel(&tunnel(2, "ssh", &alone), must),
        Some(ONE),
        "to be settled"
    );
    assert_eq!(registry.tunnel(&tunnel(2, "web", &alone), must), None);
    assert!(!registry.is_free(Kind::Tcp, 20_001) && registry.is_free(Kind::Udp, 20_001));
    registry.add(TWO, Some(tunnel(1, "web", &group("pool", "key"))));
    assert_eq!(
        registry.tunnel(&tunnel(2, "other", &group("pool", "x")), any),
        Some(TWO)
    );
    claim(&mut registry, ONE, member(1, 1));
    join(&mut registry, member(2, 2), &alone);
    assert_eq!((registry.tunnels_of(&[1; 16]), registry.tunnels_of(&[2; 16])), (1, 0));
    registry.leave(NOW, 1);
    assert_eq!(registry.tunnels_of(&[1; 16]), 0);
}

// ---- simulation ---------------------------------------------------------------------------------------------------

/// What a member of the simulated group must be like.
struct Expected {
    is_healthy: bool,
    is_checked: bool,
    dispatched: u64,
}

/// Joins, leaves, newer links, health, visitors that come and come back, in an order that `seed` decides.
fn simulate(seed: u64) {
    let mut rng = Rng(seed * 2 + 1);
    let mut registry = registry();
    let mut model: BTreeMap<(LinkId, u16), Expected> = BTreeMap::new();
    let (mut armed, mut dispatched, mut next_link) = (false, 0, 1);
    for step in 0..200 {
        let now = Time(step);
        let mut falls = Vec::new();
        let anybody = model.keys().nth(rng.below(model.len().max(1) as u32) as usize).copied();
        match (rng.below(10), anybody) {
            (0..=2, _) => {
                let is_checked = rng.below(2) == 0;
                let terms = if is_checked {
                    checked("http://a")
                } else {
                    group("pool", "key")
                };
                let new = Member {
                    link: next_link,
                    instance: [next_link as u8; 16],
                    id: rng.below(3) as u16,
                };
                assert_eq!(registry.claim(now, ONE, new, "web", &terms), Claim::Granted);
                if model.is_empty() {
                    (armed, dispatched) = (false, 0);
                }
                let expected = Expected {
                    is_healthy: !is_checked,
                    is_checked,
                    dispatched: 0,
                };
                model.insert((new.link, new.id), expected);
                next_link += 1;
            }
            (3..=4, Some((link, id))) => {
                let left = match rng.below(2) {
                    0 => registry.leave(now, link),
                    _ => registry.unregister(now, link, id),
                };
                model.remove(&(link, id));
                assert_eq!(left.empty.is_empty(), !model.is_empty());
                falls = left.falls;
            }
            (5..=6, Some((link, id))) => {
                let is_healthy = rng.below(2) == 0;
                let report = registry.report(now, link, id, is_healthy, 3);
                let expected = model.get_mut(&(link, id)).expect("a member");
                let is_news = expected.is_checked && expected.is_healthy != is_healthy;
                assert_eq!(report.is_some(), is_news);
                if is_news {
                    expected.is_healthy = is_healthy;
                }
                falls.extend(report.and_then(|report| report.fall));
            }
            (7, _) => {
                let stranger = member(9999, 255);
                assert_eq!(
                    registry.claim(now, TWO, stranger, "web", &Terms::default()),
                    Claim::Granted
                );
                assert_eq!(registry.leave(now, 9999).empty, [TWO]);
            }
            _ => {
                let mut tried = Vec::new();
                let mut healthy = model.values().filter(|expected| expected.is_healthy).count();
                while let Some(member) = registry.pick(ONE, source(rng.next()), rng.next(), &tried) {
                    let expected = model.get_mut(&(member.link, member.id)).expect("a member");
                    assert!(expected.is_healthy && !tried.contains(&member));
                    tried.push(member);
                    healthy -= 1;
                    registry.count(ONE, member, true);
                    if rng.below(4) > 0 {
                        expected.dispatched += 1;
                        dispatched += 1;
                        break;
                    }
                    registry.count(ONE, member, false);
                    if healthy == 0 {
                        assert_eq!(registry.pick(ONE, None, rng.next(), &tried), None);
                    }
                }
            }
        }
        let healthy = model.values().filter(|expected| expected.is_healthy).count();
        assert_eq!(falls.len(), usize::from(armed && healthy == 0));
        armed = healthy > 0;
        let group = registry.group(ONE).expect("a place");
        assert_eq!((group.seats().len(), group.healthy()), (model.len(), healthy));
        for seat in group.seats() {
            let expected = &model[&(seat.member.link, seat.member.id)];
            assert_eq!(
                (seat.is_healthy, seat.dispatched),
                (expected.is_healthy, expected.dispatched)
            );
        }
        assert!(model.is_empty() || group.dispatched == dispatched);
        assert!(group.changes().count() <= 50);
        // Whoever names no group, or has another key, gets in at no time but between two groups.
        if !model.is_empty() {
            assert_eq!(join(&mut registry, member(9999, 255), &Terms::default()), Claim::InUse);
            assert_eq!(join(&mut registry, member(9999, 255), &group_other()), Claim::WrongKey);
        }
    }
}

fn group_other() -> Terms {
    group("pool", "another key")
}

#[test]
fn simulated_registries() {
    for seed in 0..3000 {
        let run = std::panic::catch_unwind(|| simulate(seed));
        assert!(run.is_ok(), "seed {seed}");
    }
}

/// The last member leaves while another joins, in either order: there is one whole group after it.
#[test]
fn a_join_and_the_last_leave_end_in_one_whole_group() {
    for seed in 1..2000 {
        let (mut rng, mut registry) = (Rng(seed), registry());
        join(&mut registry, member(1, 1), &group("pool", "key"));
        let is_first = rng.below(2) == 0;
        if is_first {
            assert_eq!(registry.leave(NOW, 1).empty, [ONE]);
        }
        assert_eq!(join(&mut registry, member(2, 2), &group("pool", "key")), Claim::Granted);
        if !is_first {
            assert!(registry.leave(NOW, 1).empty.is_empty());
        }
        assert_eq!(registry.members(ONE), [member(2, 2)]);
        assert_eq!(registry.pick(ONE, None, rng.next(), &[]), Some(member(2, 2)));
        assert_eq!(join(&mut registry, member(3, 3), &group("pool", "key")), Claim::Granted);
    }
}
