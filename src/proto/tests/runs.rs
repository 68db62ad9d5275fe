//! Thousands of simulated links. `PINHOLE_SEEDS=n` runs so many, `PINHOLE_SEED=n` that one alone.

use super::super::sim::{CLIENT, Rng, SERVER, World};

const SEEDS: u64 = 2000;

/// Runs `body` for each seed; a failing one is named.
fn for_seeds(name: &str, body: fn(u64)) {
    let number = |key: &str| std::env::var(key).ok().and_then(|value| value.parse::<u64>().ok());
    let seeds = match number("PINHOLE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PINHOLE_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        if let Err(panic) = std::panic::catch_unwind(|| body(seed)) {
            std::eprintln!("seed {seed} failed. That one alone: PINHOLE_SEED={seed} cargo test --lib {name}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn everything_at_once() {
    for_seeds("everything_at_once", |seed| {
        let mut world = World::chaos(seed);
        for _ in 0..400 {
            world.step();
        }
        world.settle();
        world.part(if seed % 2 == 0 { CLIENT } else { SERVER });
    });
}

#[test]
fn links_that_break() {
    for_seeds("links_that_break", |seed| {
        let mut world = World::chaos(seed);
        let mut rng = Rng::new(!seed);
        for _ in 0..3 {
            for _ in 0..rng.below(150) {
                world.step();
            }
            world.relink();
        }
        world.settle();
    });
}
