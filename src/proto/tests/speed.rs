//! What sessions make of a link: windows, shares, waits, heartbeats.

use super::super::sim::{CLIENT, Plan, Reader, Rng, SERVER, Talk, Wire, World};
use super::*;

const SECOND: Duration = Duration::from_secs(1);
/// Bytes that take longer than any test.
const ENDLESS: u64 = 1 << 40;
/// At steps of 1 ms on average, and two looks at a user in each: 40 kB a second.
const SLOW: Reader = Reader::Slow(20);

/// µs of delay and bytes a millisecond each way, `capacity` bytes under way.
fn world(plan: Plan, delay: u64, rate: u64, capacity: usize) -> World {
    let wires = [(); 2].map(|()| Wire::new(delay, rate, capacity));
    World::new(plan, wires, Rng::new(1))
}

fn received(world: &World, talk: usize, from: usize) -> u64 {
    world.stage.talks[talk].flows[from].received
}

fn set_reader(world: &mut World, talk: usize, from: usize, reader: Reader) {
    world.stage.talks[talk].flows[from].reader = reader;
}

#[test]
fn bulk_shares_evenly() {
    for (quantum, delay) in [(1448, 1_000), (limits::QUANTUM, 1_000), (limits::QUANTUM, 50)] {
        let plan = Plan {
            quantum,
            buffer: 32 * 1024,
            ..Plan::calm()
        };
        let mut world = world(plan, delay, 10_000, 40_000);
        let talks: Vec<usize> = (0..6).map(|_| world.visit(Talk::new(0, ENDLESS))).collect();
        world.run(SECOND);
        let before: Vec<u64> = talks.iter().map(|&talk| received(&world, talk, SERVER)).collect();
        world.run(2 * SECOND);
        let shares: Vec<u64> = talks
            .iter()
            .zip(before)
            .map(|(&talk, n)| received(&world, talk, SERVER) - n)
            .collect();
        let whole: u64 = shares.iter().sum();
        assert!(whole > 18_000_000, "the link is not used: {whole}");
        for share in &shares {
            assert!((share * 6).abs_diff(whole) < whole / 50, "{shares:?}");
        }
    }
}

#[test]
fn a_keystroke_overtakes_bulk() {
    let plan = Plan {
        quantum: 4096,
        buffer: 8192,
        ..Plan::calm()
    };
    let mut world = world(plan, 1_000, 1_000, 10_000);
    for _ in 0..6 {
        world.visit(Talk::new(0, ENDLESS));
    }
    let typist = world.visit(Talk {
        ..Talk::new(0, ENDLESS)
    });
    world.stage.talks[typist].flows[SERVER].pace = 0;
    world.run(SECOND);
    for n in 1..50 {
        world.stage.talks[typist].flows[SERVER].given += 50;
        let began = world.stage.now;
        world.until(SECOND, |world| received(world, typist, SERVER) == n * 50);
        // Behind one write that is gathered and what the wire holds already, and never behind a round of bulk.
        let waited = world.stage.now.since(began);
        assert!(waited < 1_000 + (8_192 + 10_000) + 1_000, "{waited} µs");
        world.run(Duration::from_millis(7 * n));
    }
}

#[test]
fn a_reader_that_is_stuck_blocks_itself_alone() {
    let mut world = world(Plan::calm(), 5_000, 10_000, 1 << 20);
    let stuck: Vec<usize> = (0..40).map(|_| world.visit(Talk::new(ENDLESS, ENDLESS))).collect();
    for &talk in &stuck {
        set_reader(&mut world, talk, SERVER, Reader::Stuck);
        set_reader(&mut world, talk, CLIENT, Reader::Stuck);
    }
    let well = world.visit(Talk::new(10_000_000, 10_000_000));
    world.until(5 * SECOND, |world| {
        received(world, well, SERVER) == 10_000_000 && received(world, well, CLIENT) == 10_000_000
    });
    world.run(SECOND / 10);
    for &talk in &stuck {
        assert_eq!(received(&world, talk, SERVER), limits::INITIAL_WINDOW.into());
        assert_eq!(received(&world, talk, CLIENT), limits::INITIAL_WINDOW.into());
    }
    assert_eq!(world.nodes[SERVER].session.streams(), 40, "the other is over");
}

#[test]
fn streams_that_grew_and_stuck_leave_progress_to_the_others() {
    let plan = Plan {
        budget: limits::MIN_BUDGET,
        ..Plan::calm()
    };
    let mut world = world(plan, 20_000, 20_000, 4 << 20);
    let mut talks = Vec::new();
    for _ in 0..30 {
        talks.push(world.visit(Talk::new(0, ENDLESS)));
        world.run(SECOND / 2);
        set_reader(&mut world, *talks.last().unwrap(), SERVER, Reader::Stuck);
    }
    assert!(world.nodes[CLIENT].budget.grown() > limits::MIN_BUDGET / 3);
    let last = world.visit(Talk::new(0, 200_000));
    world.until(10 * SECOND, |world| received(world, last, SERVER) == 200_000);
}

#[test]
fn a_window_grows_to_what_the_path_holds() {
    // 10 MB/s, 40 ms: 400 kB under way.
    let mut world = world(Plan::calm(), 20_000, 10_000, 2 << 20);
    let talk = world.visit(Talk::new(0, ENDLESS));
    world.run(SECOND);
    let before = received(&world, talk, SERVER);
    world.run(2 * SECOND);
    let rate = (received(&world, talk, SERVER) - before) / 2;
    assert!(rate > 9_500_000, "{rate} bytes a second");
    let grown = world.nodes[CLIENT].budget.grown();
    assert!((400_000..1_700_000).contains(&grown), "{grown}");
    assert_eq!(world.nodes[SERVER].budget.grown(), 0, "nothing went the other way");
}

#[test]
fn a_window_grows_soon_on_a_long_path_and_on_one_whose_delay_is_not_steady() {
    for (delay, jitter) in [(100_000, 0), (1_000, 20_000), (100, 5_000)] {
        let wires = [(); 2].map(|()| Wire::new(delay, 5_000, 4 << 20).unsteady(jitter));
        let mut world = World::new(Plan::calm(), wires, Rng::new(1));
        let talk = world.visit(Talk::new(0, ENDLESS));
        world.run(3 * SECOND);
        let before = received(&world, talk, SERVER);
        world.run(SECOND);
        let rate = received(&world, talk, SERVER) - before;
        assert!(rate > 4_700_000, "{rate} bytes a second at {delay} and {jitter} µs");
    }
}

#[test]
fn a_slow_reader_keeps_a_small_window() {
    let mut world = world(
        Plan {
            step: 2_000,
            ..Plan::calm()
        },
        20_000,
        10_000,
        2 << 20,
    );
    let talk = world.visit(Talk::new(0, ENDLESS));
    set_reader(&mut world, talk, SERVER, SLOW);
    world.run(5 * SECOND);
    assert!(received(&world, talk, SERVER) > 150_000);
    assert!(world.nodes[CLIENT].budget.grown() < 16_000);
    set_reader(&mut world, talk, SERVER, Reader::Eager);
    world.run(SECOND);
    assert!(world.nodes[CLIENT].budget.grown() > 400_000, "it may grow later");
}

#[test]
fn a_window_that_is_not_used_shrinks() {
    let mut world = world(
        Plan {
            step: 2_000,
            ..Plan::calm()
        },
        20_000,
        10_000,
        2 << 20,
    );
    let talk = world.visit(Talk::new(0, ENDLESS));
    world.run(2 * SECOND);
    let grown = world.nodes[CLIENT].budget.grown();
    set_reader(&mut world, talk, SERVER, SLOW);
    world.run(60 * SECOND);
    assert!(world.nodes[CLIENT].budget.grown() < grown / 10);
}

#[test]
fn the_round_trip_is_measured() {
    let mut world = world(Plan::calm(), 30_000, 10_000, 2 << 20);
    assert_eq!(world.nodes[SERVER].session.round_trip(), None);
    world.run(SECOND);
    for node in &world.nodes {
        let trip = node.session.round_trip().unwrap();
        assert!((60_000..61_000).contains(&trip), "{trip}");
    }
}

#[test]
fn a_dead_peer_is_noticed_in_time_and_a_quiet_one_is_not_dead() {
    let timeout = 2 * SECOND;
    let mut world = world(
        Plan {
            timeout,
            ..Plan::calm()
        },
        30_000,
        10_000,
        2 << 20,
    );
    world.run(20 * SECOND);
    assert!(world.nodes.iter().all(|node| !node.is_dead));
    world.wires[CLIENT].stalled = true;
    let heard = world.nodes[SERVER].session.heard();
    assert!(world.stage.now.since(heard) < 700_000);
    world.until(timeout, |world| world.nodes[SERVER].is_dead);
    let silent = world.stage.now.since(heard);
    assert!((2_000_000..2_001_000).contains(&silent), "{silent}");
    assert!(!world.nodes[CLIENT].is_dead);
}
