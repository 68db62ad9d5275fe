//! The configurations in `tests/examples`, which people begin with: all of them are taken, and the two ends of each fit.
//!
//! `NAME-server.toml` and `NAME-client.toml` belong together; a file with another name, or a client alone, stands for
//! itself. The files that they name are made here.

mod rig;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rig::{Role, TempDir, Transport, certificates, pinhole, program, transport};

/// Files in `tests/examples`: one that is lost, or not found, is noticed.
const EXAMPLES: usize = 33;

#[test]
fn every_example_is_taken() {
    let Some(dir) = examples() else { return };
    let files = files(dir.path());
    assert_eq!(files.len(), EXAMPLES);
    for file in &files {
        let verdict = check(file);
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name in ASCII");
        for role in [Role::Server, Role::Client] {
            let is_meant = name.ends_with(&format!("-{role}.toml")) || name == "unified.toml";
            assert_eq!(
                verdict.contains(&format!("ok ({role}, ")),
                is_meant,
                "{name}: {verdict}"
            );
        }
    }
}

/// What the program says of a file that is right.
fn check(file: &Path) -> String {
    let mut command = pinhole(Role::Server);
    command.arg("check").arg(file);
    let output = program::output(command.env("WEB_TOKEN", "hunter2").env("PKCS12_PASSWORD", "hunter2"));
    let [verdict, errors] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("UTF-8"));
    assert_eq!(output.status.code(), Some(0), "{}: {errors}", file.display());
    verdict
}

#[test]
fn both_ends_of_an_example_fit() {
    let Some(dir) = examples() else { return };
    let mut pairs = 0;
    for server in files(dir.path()) {
        let Some(name) = server.to_str().and_then(|path| path.strip_suffix("-server.toml")) else {
            continue;
        };
        let client = PathBuf::from(format!("{name}-client.toml"));
        let [server, client] = [(&server, "bind_addr"), (&client, "local_addr")].map(|(file, key)| services(file, key));
        assert!(!client.is_empty(), "{name}");
        for (service, keys) in client {
            assert_eq!(server.get(&service), Some(&keys), "{name}: {service}");
        }
        pairs += 1;
    }
    assert!(pairs >= 14, "{pairs} pairs");
}

/// The services of a file with what both ends must say alike: the lines of `type` and `token`. Each must have `address`.
fn services(file: &Path, address: &str) -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(file).expect("an example");
    let tables = text.split("\n[").filter_map(|table| table.split_once("]\n"));
    let services = tables.filter_map(|(head, body)| Some((head.split_once(".services.")?.1, body)));
    services
        .map(|(name, body)| {
            assert!(
                body.lines().any(|line| line.starts_with(address)),
                "{}: {name}",
                file.display()
            );
            let alike = |line: &&str| line.starts_with("type ") || line.starts_with("token ");
            (name.to_owned(), body.lines().filter(alike).map(str::to_owned).collect())
        })
        .collect()
}

/// A copy of the examples with the files that they name. `None`, and a word about it: this build, or this machine, lacks
/// something.
fn examples() -> Option<TempDir> {
    if Transport::available().count() < Transport::ALL.len() {
        program::skip("this build has not all transports");
        return None;
    }
    let dir = TempDir::new();
    for file in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/examples")) {
        fs::copy(&file, dir.path().join(file.file_name().expect("a name"))).expect("a copy");
    }
    certificates::usual(dir.path());
    certificates::issue(dir.path(), "ca", "client", "DNS:client.test");
    certificates::run(
        dir.path(),
        &[
            "pkcs12",
            "-export",
            "-in",
            "server.pem",
            "-inkey",
            "server.key",
            "-out",
            "server.p12",
            "-passout",
            "pass:hunter2",
        ],
    );
    dir.write("noise.key", transport::SERVER.private);
    dir.write("shared.key", transport::PSK);
    dir.write("token.txt", "a token");
    Some(dir)
}

/// The examples in `dir`, in order.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .collect();
    files.sort();
    files
}
