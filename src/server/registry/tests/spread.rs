//! How visitors are spread over members.

use super::*;

/// xorshift64*
pub(super) struct Rng(pub u64);

impl Rng {
    pub(super) fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) as u32
    }

    pub(super) fn below(&mut self, n: u32) -> u32 {
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

pub(super) fn source(n: u32) -> Option<IpAddr> {
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
