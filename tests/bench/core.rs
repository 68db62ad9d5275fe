//! What the core costs in memory alone, without sockets and clocks: frames, sessions, records of Noise.
//!
//! `cargo bench --bench core` prints the time of each operation. `core NAME TIMES` does one so often and prints nothing,
//! `core --list` names them, each with the bytes of payload that it carries: `scripts/counts` has callgrind count the
//! instructions. The work is the same each time, so the counts are, too.

mod operations;

use std::env;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use operations::{Operation, operations};

/// How long an operation is repeated.
const ENOUGH: Duration = Duration::from_millis(300);

fn main() -> ExitCode {
    // Cargo says `--bench`.
    let words: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => operations().iter_mut().for_each(time),
        ["--list"] => operations()
            .iter()
            .for_each(|one| println!("{}\t{}", one.bytes, one.name)),
        [name, times] => return repeat(name, times),
        _ => return usage(),
    }
    ExitCode::SUCCESS
}

/// Prints ns of the operation, and of each KiB that it carries.
fn time(one: &mut Operation) {
    let begin = Instant::now();
    let mut times = 0;
    while begin.elapsed() < ENOUGH {
        (one.run)();
        times += 1;
    }
    let nanoseconds = begin.elapsed().as_nanos() as f64 / f64::from(times);
    print!("{:44} {nanoseconds:12.0} ns", one.name);
    match one.bytes {
        0 => println!(),
        bytes => println!(" {:10.1} ns/KiB", nanoseconds * 1024.0 / bytes as f64),
    }
}

fn repeat(name: &str, times: &str) -> ExitCode {
    let mut all = operations();
    let (Some(one), Ok(times)) = (all.iter_mut().find(|one| one.name == name), times.parse::<u32>()) else {
        return usage();
    };
    (0..times).for_each(|_| (one.run)());
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: core [--list | NAME TIMES]");
    ExitCode::from(2)
}
