//! What a process has written so far, and waiting for more of it.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

use super::PATIENCE;

/// The lines of a process, collected by a thread as they come.
#[derive(Default)]
pub struct Log {
    lines: Mutex<Lines>,
    changed: Condvar,
}

/// A place in a [`Log`]: what was written before it does not count.
#[derive(Clone, Copy)]
pub struct Mark(usize);

#[derive(Default)]
struct Lines {
    all: Vec<String>,
    ended: bool,
}

impl Log {
    /// Collects the lines of `source` until its end.
    pub fn follow(source: impl Read + Send + 'static) -> Arc<Log> {
        let log = Arc::new(Log::default());
        let shared = log.clone();
        thread::spawn(move || shared.collect(source));
        log
    }

    /// Waits for a line with `words`, from the beginning of the log on, and returns it.
    ///
    /// ` .. ` in `words` stands for anything: `"refused service=a .. wrong token"`.
    #[track_caller]
    pub fn wait_for(&self, words: &str) -> String {
        self.wait_after(Mark(0), words)
    }

    /// The same from `mark` on.
    #[track_caller]
    pub fn wait_after(&self, mark: Mark, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.lock();
        loop {
            if let Some(line) = lines.all[mark.0..].iter().find(|line| matches(line, words)) {
                return line.clone();
            }
            assert!(!lines.ended, "the log ended without a line with `{words}`");
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no line with `{words}` within {PATIENCE:?}");
            lines = self.changed.wait_timeout(lines, left).expect("the log's lock").0;
        }
    }

    /// The end of the log as it is now.
    pub fn mark(&self) -> Mark {
        Mark(self.lock().all.len())
    }

    /// All lines with `words` so far, as in [`Log::wait_for`].
    pub fn all(&self, words: &str) -> Vec<String> {
        self.lock()
            .all
            .iter()
            .filter(|line| matches(line, words))
            .cloned()
            .collect()
    }

    /// Waits until the process has closed its end, then returns everything.
    #[track_caller]
    pub fn whole(&self) -> String {
        let lines = self.lock();
        let (lines, timeout) = self
            .changed
            .wait_timeout_while(lines, PATIENCE, |lines| !lines.ended)
            .expect("the log's lock");
        assert!(!timeout.timed_out(), "the log did not end within {PATIENCE:?}");
        lines.all.join("\n")
    }

    /// Everything so far.
    pub fn text(&self) -> String {
        self.lock().all.join("\n")
    }

    fn collect(&self, source: impl Read) {
        for line in BufReader::new(source).split(b'\n').map_while(Result::ok) {
            self.lock().all.push(String::from_utf8_lossy(&line).into_owned());
            self.changed.notify_all();
        }
        self.lock().ended = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The value of `key=value` in a line of the log.
#[track_caller]
pub fn field<'a>(line: &'a str, key: &str) -> &'a str {
    line.split_whitespace()
        .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
        .unwrap_or_else(|| panic!("no `{key}=` in the line: {line}"))
}

fn matches(line: &str, words: &str) -> bool {
    let mut rest = line;
    words.split(" .. ").all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}
