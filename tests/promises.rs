//! `promises.md` and `tunnels.md`: every complaint and every guarantee has an answer, and every test that they name exists.

use std::fs;
use std::path::Path;

/// A row: its number, the complaint, the answer.
type Row = [String; 3];

#[test]
fn every_complaint_has_an_answer() {
    let rows = rows("promises.md");
    let expected = (1..=18).map(|n| n.to_string()).chain(('a'..='u').map(String::from));
    let numbers: Vec<_> = rows.iter().map(|[number, ..]| number.clone()).collect();
    assert_eq!(numbers, expected.collect::<Vec<_>>());
    check_answers(&rows);
}

#[test]
fn every_guarantee_has_an_answer() {
    let rows = rows("tunnels.md");
    let numbers: Vec<_> = rows.iter().flat_map(|[number, ..]| each(number)).collect();
    let numbered = |letter: char, last: u32| (1..=last).map(move |n| format!("{letter}{n}"));
    let expected: Vec<_> = numbered('U', 38).chain(numbered('L', 70)).collect();
    assert_eq!(numbers, expected);
    check_answers(&rows);
}

/// `L67–L70` is four numbers.
fn each(numbers: &str) -> Vec<String> {
    let Some((first, last)) = numbers.split_once('–') else {
        return vec![numbers.to_owned()];
    };
    let number = |text: &str| text[1..].parse::<u32>().expect("a number");
    (number(first)..=number(last))
        .map(|n| format!("{}{n}", &first[..1]))
        .collect()
}

fn check_answers(rows: &[Row]) {
    for [number, complaint, answer] in rows {
        assert!(!complaint.is_empty(), "{number}");
        let has_reason = answer
            .strip_prefix("no test: ")
            .is_some_and(|reason| !reason.is_empty());
        assert!(has_reason || !tests(answer).is_empty(), "{number}: {answer}");
    }
}

#[test]
fn every_test_that_is_named_exists() {
    for [number, _, answer] in rows("promises.md").into_iter().chain(rows("tunnels.md")) {
        for (file, name) in tests(&answer) {
            let path = if file.contains('/') {
                file.to_owned()
            } else {
                format!("tests/{file}.rs")
            };
            assert!(has_test(&read(&path), name), "{number}: {path} has no test {name}");
        }
    }
}

#[test]
fn no_other_name_passes_for_a_test() {
    let text = read("tests/promises.rs");
    assert!(has_test(&text, "every_complaint_has_an_answer"));
    assert!(!has_test(&text, "every_complaint_has_an") && !has_test(&text, "has_test"));
}

fn rows(file: &str) -> Vec<Row> {
    let text = read(&format!("tests/{file}"));
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let cells = rows.map(|row| row.splitn(3, " | ").map(str::to_owned).collect::<Vec<_>>());
    let rows = cells.map(|cells| cells.try_into().expect("three columns"));
    rows.filter(|[number, ..]: &Row| number != "#").collect()
}

/// The files and the names of the tests in an answer.
fn tests(answer: &str) -> Vec<(&str, &str)> {
    let quoted = answer.split('`').skip(1).step_by(2);
    quoted.filter_map(|words| words.split_once("::")).collect()
}

fn has_test(source: &str, name: &str) -> bool {
    let head = format!("fn {name}() {{");
    source
        .split("#[test]\n")
        .skip(1)
        .any(|after| after.trim_start().starts_with(&head))
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
