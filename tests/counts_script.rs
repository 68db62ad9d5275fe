//! `scripts/counts`, and the operations of the core that it counts.

mod rig;

#[path = "bench/operations/mod.rs"]
mod operations;

use std::path::Path;

use rig::program::{find, refuses, run};
use rig::{Role, TempDir, pinhole};

#[test]
fn every_operation_can_be_repeated() {
    for mut one in operations::operations() {
        (0..3).for_each(|_| (one.run)());
        assert_eq!(one.name.contains("64 KiB"), one.bytes == 64 * 1024, "{}", one.name);
    }
}

#[test]
fn counts_both_ends_of_a_tunnel() {
    let [Some(python), Some(_)] = ["python3", "valgrind"].map(|name| find(name, name)) else {
        return;
    };
    let program = pinhole(Role::Server);
    let ours = format!("ours={}", program.get_program().to_str().expect("ASCII"));
    let table = run(&python, &[SCRIPT, "--quick", "--only", "down,connection", &ours]);
    let [head, _, down, connection] = table.lines().collect::<Vec<_>>()[..] else {
        panic!("{table}");
    };
    assert_eq!(head, "| instructions per | ours server | client |");
    assert!(numbers(down).iter().all(|&count| count > 0.0), "{table}");
    // A bare connection costs some thousands, wherever it goes through.
    assert!(numbers(connection).iter().all(|&count| count > 1000.0), "{table}");
}

#[test]
fn counts_what_one_more_operation_takes() {
    let [Some(python), Some(_)] = ["python3", "valgrind"].map(|name| find(name, name)) else {
        return;
    };
    let dir = TempDir::new();
    let core = dir.path().join("core");
    let core = core.to_str().expect("ASCII");
    // By another process: what this one, or a child of it, has open for writing cannot be run.
    run(Path::new("/bin/sh"), &["-c", WRITE, core, CORE]);
    let table = run(&python, &[SCRIPT, "--only", "core", "--core", core]);
    let Some(row) = table.lines().find(|line| line.starts_with("| loop |")) else {
        panic!("{table}");
    };
    let [once, per_kib] = numbers(row)[..] else {
        panic!("{row}")
    };
    assert!(once > 10.0 && (once - 2.0 * per_kib).abs() <= 2.0, "{row}");
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let Some(python) = find("python3", "python3") else {
        return;
    };
    for (argument, right) in [
        ("pinhole", "pinhole: a program is named as NAME=PATH"),
        ("pinhole=/nowhere", "a program is named as NAME=PATH"),
        ("--only=all", "the measures are core,up,down,exchange,connection"),
        ("--core=/nowhere", "No such file"),
    ] {
        refuses(&python, &[SCRIPT, argument], right);
    }
}

/// What stands in a row behind its name.
fn numbers(row: &str) -> Vec<f64> {
    let number = |cell: &str| cell.trim().replace(',', "").parse().ok();
    row.split('|').skip(2).filter_map(number).collect()
}

/// Writes $1 into the program $0.
const WRITE: &str = r#"printf %s "$1" >"$0" && chmod 755 "$0""#;

/// A core of one operation that carries 2 KiB.
const CORE: &str = r#"#!/bin/sh
if [ "$1" = --list ]; then
    printf '2048\tloop\n'
else
    n=$2
    while [ "$n" -gt 0 ]; do n=$((n - 1)); done
fi
"#;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/counts");
