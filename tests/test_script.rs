//! `scripts/test`: which tests have one more try. The cargo that it calls is a shell's function here.

mod rig;

use std::process::Command;

use rig::TempDir;
use rig::program::{find, output};

/// What `scripts/test tests` ends with, and whether it is content, if `cargo test` says `first`, and `again` of the one test
/// that it is asked for.
fn verdict(first: &str, again: &str) -> Option<(String, bool)> {
    let bash = find("bash", "bash")?;
    let dir = TempDir::new();
    let script = "cargo() {
            case $* in
            *--exact*) echo \"$AGAIN\" && [[ $AGAIN = *' ok.'* ]] ;;
            *) echo \"$FIRST\" && false ;;
            esac
        }
        export -f cargo
        scripts/test tests";
    let mut command = Command::new(bash);
    command
        .args(["-c", script])
        .env("FIRST", first)
        .env("AGAIN", again)
        .env("CARGO_TARGET_DIR", dir.path());
    let output = output(&mut command);
    let said = String::from_utf8_lossy(&output.stdout);
    let is_last = |line: &&str| line.starts_with("UNSTEADY") || line.starts_with("FAILED") || line.ends_with("skipped");
    let last: Vec<&str> = said.lines().filter(is_last).collect();
    Some((last.join("\n"), output.status.success()))
}

/// What a program with tests says in which `failed` fail.
fn log(program: &str, failed: &[&str]) -> String {
    let lines: Vec<String> = failed.iter().map(|name| format!("test {name} ... FAILED")).collect();
    format!(
        "     Running {program} (target/debug/deps/some)\ntest fine ... ok\n{}\ntest result: FAILED. 1 passed; {} failed; 0 \
         ignored; 0 measured; 0 filtered out\n",
        lines.join("\n"),
        failed.len()
    )
}

const PASSED: &str = "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out";
const FAILED: &str = "test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 9 filtered out";

#[test]
fn process_tests_have_one_more_try_and_are_named() {
    let udp = log("tests/udp.rs", &["one", "two"]);
    let Some(steady) = verdict(&udp, PASSED) else { return };
    let words = "UNSTEADY udp one\nUNSTEADY udp two\n3 passed, 0 failed, 0 skipped";
    assert_eq!(steady, (words.to_owned(), true));
    let failed = |n| format!("FAILED tests\n1 passed, {n} failed, 0 skipped");
    assert_eq!(verdict(&udp, FAILED), Some((failed(2), false)));
    // A name that no test has.
    assert_eq!(
        verdict(&udp, "test result: ok. 0 passed; 0 failed;"),
        Some((failed(2), false))
    );
    let many = log("tests/udp.rs", &["one", "two", "three", "four"]);
    assert_eq!(verdict(&many, PASSED), Some((failed(4), false)));
}

#[test]
fn what_is_the_same_each_time_has_one() {
    let failed = "FAILED tests\n1 passed, 1 failed, 0 skipped";
    let unit = log("unittests src/lib.rs", &["proto::session"]);
    let Some(verdict) = verdict(&unit, PASSED) else { return };
    assert_eq!(verdict, (failed.to_owned(), false));
}
