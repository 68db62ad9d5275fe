//! Backend of the `log` crate: one line, one write, to stderr.
//!
//! ```text
//! 2026-11-22T01:51:17.123456Z INFO  server: message
//! ```
//!
//! `RUST_LOG` is read as env_logger reads it: `info`, `debug,pinhole::proto=trace`, `off`; the longest matching prefix of a
//! target decides. Unlike there, `pinhole::` may be left out, targets that no part names stay at `info` (a daemon that
//! hides its warnings because one module is being watched helps nobody), and a word that is no level is not taken for a
//! module. Text that comes from peers ends up in messages, so control characters
//! are escaped: a line of the log is a line of ours. Nothing here fails: a closed
//! stderr or a full disk costs lines, never the tunnel.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use log::{LevelFilter, Log, Metadata, Record};

use crate::limits;
use crate::net::sys;

const CRATE: &str = "pinhole";
const LEVELS: &str = "off, error, warn, info, debug, trace";

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Starts logging as `filter` (the text of `RUST_LOG`) says; empty means `info`. What it does not understand is reported
/// in a warning. A second call changes nothing.
pub fn init(filter: &str) {
    let (filter, unknown) = Filter::parse(filter);
    let max = filter.max();
    if log::set_logger(LOGGER.get_or_init(|| Logger { filter })).is_ok() {
        log::set_max_level(max);
        for part in unknown {
            log::warn!("RUST_LOG: `{part}` is ignored; a part is LEVEL or MODULE=LEVEL, the levels are {LEVELS}");
        }
    }
}

struct Logger {
    filter: Filter,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.filter.level(metadata.target())
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = line(SystemTime::now(), record);
            write(line);
        }
    }

    fn flush(&self) {}
}

/// Writes a line unless nobody takes it: a pipe that is not read, a terminal that was stopped. A tunnel does not wait
/// for its log.
fn write(line: String) {
    static LOST: AtomicU32 = AtomicU32::new(0);
    let mut stderr = io::stderr();
    if !sys::takes_more(&stderr) {
        LOST.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let lost = LOST.swap(0, Ordering::Relaxed);
    if lost > 0 {
        let _ = writeln!(stderr, "{lost} lines of the log are lost: nobody has read them");
    }
    for piece in line.as_bytes().chunks(PIECE) {
        if sys::takes_more(&stderr) {
            // A closed or full stderr has no better place to be reported than stderr.
            let _ = stderr.write_all(piece);
        }
    }
}

/// Bytes that a pipe takes at once when it takes any: PIPE_BUF of Linux less some.
const PIECE: usize = 2048;

fn line(now: SystemTime, record: &Record<'_>) -> String {
    let mut line = String::new();
    // Writing into a String fails only if a message's own Display does; what came before it is still worth a line.
    let _ = write!(
        line,
        "{} {:<5} {}: ",
        Timestamp(now),
        record.level(),
        layer(record.target())
    );
    let _ = Escaped(&mut line).write_fmt(*record.args());
    line.push('\n');
    line
}

/// Which part of the program speaks: its layer, without the files below it.
fn layer(target: &str) -> &str {
    let module = short(target);
    if module.len() == target.len() {
        target
    } else {
        module.split("::").next().unwrap_or(module)
    }
}

/// A target of ours without the crate's name.
fn short(target: &str) -> &str {
    match target.strip_prefix(CRATE).and_then(|rest| rest.strip_prefix("::")) {
        Some(module) => module,
        None => target,
    }
}

/// Which levels of which targets are shown.
struct Filter {
    default: LevelFilter,
    modules: Vec<(String, LevelFilter)>,
}

impl Filter {
    /// The filter, and the parts of `text` that are none.
    fn parse(text: &str) -> (Filter, Vec<&str>) {
        let mut filter = Filter {
            default: LevelFilter::Info,
            modules: Vec::new(),
        };
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let unknown = parts.filter(|part| !filter.add(part)).collect();
        (filter, unknown)
    }

    /// Whether the part makes sense; of two about the same, the later one wins.
    fn add(&mut self, part: &str) -> bool {
        match directive(part) {
            Some((None, level)) => self.default = level,
            Some((Some(module), level)) => self.modules.push((short(module).to_owned(), level)),
            None => return false,
        }
        true
    }

    fn level(&self, target: &str) -> LevelFilter {
        let matching = self.modules.iter().filter(|(module, _)| covers(module, target));
        matching
            .max_by_key(|(module, _)| if module == CRATE { 0 } else { module.len() })
            .map_or(self.default, |(_, level)| *level)
    }

    fn max(&self) -> LevelFilter {
        self.modules
            .iter()
            .map(|(_, level)| *level)
            .fold(self.default, std::cmp::max)
    }
}

/// The module (none: all others) and the level that a part is about.
fn directive(part: &str) -> Option<(Option<&str>, LevelFilter)> {
    match part.split_once('=') {
        Some((module, level)) if is_module(module.trim()) => Some((Some(module.trim()), level.trim().parse().ok()?)),
        Some(_) => None,
        None if part.starts_with(CRATE) => Some((Some(part), LevelFilter::Trace)),
        None => Some((None, part.parse().ok()?)),
    }
}

/// `pinhole` itself covers every module of ours, with or without its name before it.
fn covers(module: &str, target: &str) -> bool {
    let is_prefix = |target: &str| {
        target
            .strip_prefix(module)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    is_prefix(target) || is_prefix(short(target))
}

fn is_module(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'-'))
}

/// Passes text on with its control characters written out.
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match is_unsafe(c) {
                true => self.0.extend(c.escape_default()),
                false => self.0.push(c),
            }
        }
        Ok(())
    }
}

/// Controls, and what reorders or breaks a line on the reader's screen.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// RFC 3339 in UTC, with microseconds. Before 1970 counts as 1970.
struct Timestamp(SystemTime);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = since.as_secs();
        let (year, month, day) = date(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        let micros = since.subsec_micros();
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z"
        )
    }
}

/// Year, month, day of a day since 1970-01-01: Howard Hinnant's `civil_from_days`, whose years begin in March so that
/// the leap day is the last of its year.
pub(crate) fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_IN_400_YEARS: u64 = 146_097;
    const FROM_YEAR_0_TO_1970: u64 = 719_468;
    let days = days + FROM_YEAR_0_TO_1970;
    let (era, day) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (month_in_year, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (
        era * 400 + year + next_year,
        month_in_year,
        day - (153 * month + 2) / 5 + 1,
    )
}

/// Keeps what happens again and again from filling the log: the first time is a warning, the same again is not.
#[derive(Default)]
pub struct Repeats {
    last: String,
    ration: Ration,
}

/// How often something may be said that others can make happen as often as they like.
#[derive(Default)]
pub struct Ration {
    since: Option<Instant>,
    lines: u32,
}

impl Ration {
    /// Whether there is a line left for it now.
    pub fn spend(&mut self) -> bool {
        let is_over = |since: Instant| since.elapsed() >= Duration::from_secs(limits::LOG_TIME);
        if self.since.is_none_or(is_over) {
            *self = Ration {
                since: Some(Instant::now()),
                lines: limits::LOG_LINES,
            };
        }
        self.lines = match self.lines.checked_sub(1) {
            Some(left) => left,
            None => return false,
        };
        true
    }
}

impl Repeats {
    /// At which level to say that `what` went wrong.
    pub fn level(&mut self, what: &str) -> log::Level {
        if self.last == what {
            return log::Level::Debug;
        }
        what.clone_into(&mut self.last);
        match self.ration.spend() {
            true => log::Level::Warn,
            false => log::Level::Debug,
        }
    }

    /// It came right: the same is news again.
    pub fn forget(&mut self) {
        self.last.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use log::Level;

    use super::*;

    fn shown(filter: &str, target: &str) -> LevelFilter {
        Filter::parse(filter).0.level(target)
    }

    #[test]
    fn what_others_can_repeat_is_said_so_often() {
        let mut ration = Ration::default();
        let said = (0..1000).filter(|_| ration.spend()).count();
        assert_eq!(said, limits::LOG_LINES as usize);
        let mut repeats = Repeats::default();
        let warned = (0..1000)
            .filter(|n| repeats.level(["one", "other"][n % 2]) == Level::Warn)
            .count();
        assert_eq!(warned, limits::LOG_LINES as usize);
    }

    #[test]
    fn the_longest_prefix_decides() {
        let filter = "warn,pinhole=info,pinhole::proto=trace,server::registry=off";
        assert_eq!(shown(filter, "mio"), LevelFilter::Warn);
        assert_eq!(shown(filter, "pinhole"), LevelFilter::Info);
        assert_eq!(shown(filter, "pinhole::net"), LevelFilter::Info);
        assert_eq!(shown(filter, "pinhole::proto::frame"), LevelFilter::Trace);
        assert_eq!(shown(filter, "pinhole::server"), LevelFilter::Info);
        assert_eq!(shown(filter, "pinhole::server::registry"), LevelFilter::Off);
        assert_eq!(
            shown(filter, "pinhole::protocol"),
            LevelFilter::Info,
            "not a module of proto"
        );
    }

    #[test]
    fn both_spellings_of_a_target() {
        for filter in ["server=debug", "pinhole::server=debug"] {
            assert_eq!(shown(filter, "pinhole::server"), LevelFilter::Debug);
            assert_eq!(shown(filter, "server"), LevelFilter::Debug);
            assert_eq!(shown(filter, "client"), LevelFilter::Info);
        }
        assert_eq!(shown("pinhole=debug,net=off", "pinhole::net"), LevelFilter::Off);
    }

    #[test]
    fn defaults_and_levels() {
        assert_eq!(shown("", "x"), LevelFilter::Info);
        assert_eq!(shown("off", "x"), LevelFilter::Off);
        assert_eq!(shown(" DEBUG , x = Error", "x"), LevelFilter::Error);
        assert_eq!(shown("pinhole::x", "pinhole::x::y"), LevelFilter::Trace);
        assert_eq!(shown("x=debug,x=warn", "x"), LevelFilter::Warn, "the later one wins");
        assert_eq!(Filter::parse("warn,x=debug").0.max(), LevelFilter::Debug);
    }

    #[test]
    fn what_is_not_understood_is_named_and_harmless() {
        let (filter, unknown) = Filter::parse("debug,x=loud,verbose,=info,[span]=trace,,");
        assert_eq!(unknown, ["x=loud", "verbose", "=info", "[span]=trace"]);
        assert_eq!(filter.level("x"), LevelFilter::Debug);
    }

    #[test]
    fn dates() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (68_169_600, "1972-02-29T00:00:00.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (951_868_799, "2000-02-29T23:59:59.000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000000Z"),
            (1_709_164_800, "2024-02-29T00:00:00.000000Z"),
            (2_147_483_648, "2038-01-19T03:14:08.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
            (253_402_300_799, "9999-12-31T23:59:59.000000Z"),
        ] {
            assert_eq!(
                Timestamp(UNIX_EPOCH + Duration::from_secs(seconds)).to_string(),
                expected
            );
        }
        assert_eq!(
            Timestamp(UNIX_EPOCH - Duration::from_secs(9)).to_string(),
            "1970-01-01T00:00:00.000000Z"
        );
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = date(0);
        for day in 1..200_000 {
            let (year, month, of_month) = date(day);
            let is_next_day = (year, month, of_month) == (before.0, before.1, before.2 + 1);
            let is_next_month = of_month == 1 && before.2 >= 28 && (year * 12 + month == before.0 * 12 + before.1 + 1);
            assert!(is_next_day || is_next_month, "day {day}");
            before = (year, month, of_month);
        }
    }

    #[test]
    fn a_peer_cannot_write_lines_of_its_own() {
        let now = UNIX_EPOCH + Duration::from_micros(1_000_001);
        let name = "x\n2026 ERROR\r\x1b[31m\u{202e}ü";
        let line = line(
            now,
            &Record::builder()
                .level(Level::Warn)
                .target("pinhole::server")
                .args(format_args!("<{name}>"))
                .build(),
        );
        assert_eq!(
            line,
            "1970-01-01T00:00:01.000001Z WARN  server: <x\\n2026 ERROR\\r\\u{1b}[31m\\u{202e}ü>\n"
        );
    }
}
