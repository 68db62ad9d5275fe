//! Thousands of simulated registries against a model that is too simple to be wrong.

use std::collections::BTreeMap;

use super::spread::{Rng, source};
use super::*;

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
