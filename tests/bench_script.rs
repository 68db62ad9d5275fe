//! `scripts/bench` from its first process to its last file: one program against itself, whatever its speed.

mod rig;

use std::fs;
use std::path::Path;

use rig::json::Json;
use rig::program::{find, refuses, run};
use rig::{Role, TempDir, pinhole};

#[test]
fn measures_and_shows_the_same_again() {
    let programs = ["python3", "iperf3", "nginx", "wrk"].map(|name| find(name, name));
    let [Some(python), Some(_), Some(_), Some(_)] = programs else {
        return;
    };
    let dir = TempDir::new();
    let [measured, shown] = ["measured", "shown"].map(|name| dir.path().join(name));

    // rathole's configuration is ours, so this program can stand for it, too.
    let [ours, peer] = ["pinhole", "rathole"].map(column);
    let arguments = ["--quick", "--only", "http,rtt,mem", &ours, &peer];
    let table = bench(&python, &measured, &arguments);
    for figure in ["http newconn req/s", "rtt under bulk p99", "client after 2,000"] {
        assert!(table.contains(&format!("| {figure}")), "no {figure}:\n{table}");
    }
    assert!(table.contains(" floors are kept."), "{table}");
    parse_xml(&python, &measured.join("plain.svg"));
    let stored = Json::parse(&read(&measured, "plain.json"));
    assert_eq!(stored.get("transport").text(), "plain");

    let samples = measured.join("plain.json");
    let again = bench(&python, &shown, &["--show", samples.to_str().expect("ASCII")]);
    assert_eq!(again, table);
    for file in ["plain.md", "plain.svg", "plain.json"] {
        assert_eq!(read(&shown, file), read(&measured, file), "{file}");
    }
    assert_eq!(read(&shown, "plain.md"), table);
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let Some(python) = find("python3", "python3") else {
        return;
    };
    for (argument, right) in [
        ("frobnicate=x", "a name is one of pinhole, rathole, frp, direct"),
        ("rathole=/nowhere", "/nowhere is no program"),
        ("--only=all", "the measures are tcp1,tcp8,udp,http,rtt,mem"),
        ("--show=/nowhere", "No such file"),
    ] {
        refuses(&python, &[SCRIPT, argument], right);
    }
}

/// The argument that has the program of this test measured as `name`.
fn column(name: &str) -> String {
    let program = pinhole(Role::Server);
    format!("{name}={}", program.get_program().to_str().expect("ASCII"))
}

/// Runs the script with its files in the folder `out`, and gives the table.
fn bench(python: &Path, out: &Path, arguments: &[&str]) -> String {
    let out = out.to_str().expect("ASCII");
    run(python, &[&[SCRIPT, "--out", out], arguments].concat())
}

fn parse_xml(python: &Path, file: &Path) {
    let parse = "import sys, xml.etree.ElementTree as tree; tree.parse(sys.argv[1])";
    run(python, &["-c", parse, file.to_str().expect("ASCII")]);
}

fn read(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).expect("a file of the script")
}

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/bench");
