//! What is built for routers: the files in targets/, cross.toml, the table of sizes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Every file in targets/, by its name, as keys and values.
fn targets() -> BTreeMap<String, BTreeMap<String, String>> {
    let files = fs::read_dir(root().join("targets")).expect("targets/").flatten();
    files
        .map(|file| {
            let text = fs::read_to_string(file.path()).expect("a target");
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            let pairs = lines.map(|line| line.split_once('=').expect(line));
            let values = pairs.map(|(key, value)| (key.into(), value.trim_matches('"').into()));
            (file.file_name().to_string_lossy().into(), values.collect())
        })
        .collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).expect(name)
}

#[test]
fn every_target_says_what_is_needed() {
    let needed = [
        "triple",
        "cpu",
        "zig_target",
        "zig_cpu",
        "openwrt",
        "debian",
        "qemu",
        "qemu_cpu",
        "budget_client",
        "budget_router",
    ];
    let optional = ["mips16", "target_features"];
    for (name, values) in targets() {
        for key in needed {
            assert!(values.contains_key(key), "targets/{name} lacks {key}");
        }
        let unknown: Vec<_> = values
            .keys()
            .filter(|key| !needed.contains(&key.as_str()) && !optional.contains(&key.as_str()))
            .collect();
        assert!(unknown.is_empty(), "targets/{name}: {unknown:?}");
        for key in ["budget_client", "budget_router"] {
            assert!(values[key].parse::<u64>().is_ok(), "targets/{name}: {key}");
        }
    }
}

#[test]
fn no_architecture_of_openwrt_has_two_targets() {
    let mut seen = BTreeSet::new();
    for (name, values) in targets() {
        for arch in values["openwrt"].split_whitespace() {
            assert!(
                seen.insert(arch.to_owned()),
                "targets/{name}: {arch} is another target's"
            );
        }
    }
}

#[test]
fn cross_serves_every_triple_that_it_can() {
    let cross = read("cross.toml");
    let head = |line: &str| Some(line.strip_prefix("[target.")?.strip_suffix(']')?.to_owned());
    let served: BTreeSet<_> = cross.lines().filter_map(head).collect();
    let ours: BTreeSet<_> = targets().values().map(|values| values["triple"].clone()).collect();
    let (mips, others): (BTreeSet<_>, _) = ours.into_iter().partition(|triple| triple.starts_with("mips"));
    assert!(!mips.is_empty());
    assert_eq!(served, others);
    let std_is_built = cross.matches(r#"build-std = ["std", "panic_abort"]"#).count();
    assert_eq!(std_is_built, served.len(), "as scripts/build has it");
}

#[test]
fn sizes_are_of_targets_that_exist() {
    let targets = targets();
    let rows = read("scripts/sizes");
    for row in rows.lines().filter(|row| !row.starts_with('#')) {
        let [profile, target, bytes] = row.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{row}")
        };
        assert!(["client", "router", "server", "full"].contains(&profile), "{row}");
        assert!(targets.contains_key(target), "{row}");
        assert!(bytes.parse::<u64>().is_ok(), "{row}");
    }
}
