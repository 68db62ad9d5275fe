//! The command line: what is asked for, or what is wrong with the question. Printing and exiting is `main`'s.

mod expose;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use lexopt::{Arg, Parser};

use crate::config::{self, Config, Group, Kind, Role};

pub use expose::Expose;

/// The text of `--help`: one screen.
pub const HELP: &str = "\
pinhole: a reverse tunnel that exposes services behind NAT through a public server

Usage:
  pinhole [-s|-c] CONFIG                    run as CONFIG says
  pinhole check [-s|-c] CONFIG              check CONFIG, both blocks unless -s or -c
  pinhole status [--json] CONFIG|SOCKET     links, services and traffic of a running one
  pinhole tcp|udp PORT --server HOST:PORT   expose one local service, without a CONFIG:
          [--token TOKEN] [--remote-port N] [--local-host HOST] [--noise-key KEY] [--name NAME]
  pinhole --genkey                          a new key pair for the transport noise
  pinhole --hash-key KEY                    the hash of a group's key, for group_keys

Options:
  -s, --server      use the [server] block; -s or -c is needed if CONFIG has both
  -c, --client      use the [client] block
      --json        status for programs
      --help-config every key of CONFIG, with its default
  -h, --help        this text
  -V, --version     version, target and what is compiled in

PINHOLE_TOKEN is the TOKEN unless --token is there. RUST_LOG=LEVEL or
RUST_LOG=LEVEL,MODULE=LEVEL,... sets what is logged to stderr (info).
A CONFIG that is called like a command is given as ./check, ./tcp, ...
Exit status: 0 done, 1 CONFIG is wrong or start-up failed, 2 wrong usage.
";

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Run as `config` says.
    Run {
        /// The file.
        config: PathBuf,
        /// From `-s` or `-c`.
        role: Option<Role>,
    },
    /// Check `config` and exit.
    Check {
        /// The file.
        config: PathBuf,
        /// From `-s` or `-c`; `None` = every block it has.
        role: Option<Role>,
    },
    /// Ask a running pinhole how it is.
    Status {
        /// For programs.
        json: bool,
        /// Its control socket, or the configuration that names it.
        path: PathBuf,
    },
    /// Expose one service.
    Expose(Expose),
    /// Make a key pair for Noise.
    Genkey,
    /// Hash the key of a group.
    HashKey(String),
    /// What is asked for is understood and cannot be done; exit with this.
    Unable(&'static str),
    /// Print every key.
    HelpConfig,
    /// Print [`HELP`].
    Help,
    /// Print [`version`].
    Version,
}

/// What is wrong with the command line, in a sentence. Exit status 2.
#[derive(Debug)]
pub struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; see pinhole --help", self.0)
    }
}

impl std::error::Error for UsageError {}

/// Understands the arguments after the program's name.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    Words::read(Parser::from_args(args))?.command()
}

/// The text of `--version`.
pub fn version() -> String {
    let mut text = format!("pinhole {}\ntarget: {}\n", env!("CARGO_PKG_VERSION"), target());
    for group in [Group::Role, Group::Transport, Group::Service, Group::Feature] {
        text.push_str(&format!("{}s: {}\n", group.name(), config::available(group).join(", ")));
    }
    text
}

/// What `check` prints about a configuration that is right.
pub fn verdict(file: &Path, config: &Config) -> String {
    let count = config.service_count();
    let plural = if count == 1 { "" } else { "s" };
    format!(
        "{}: ok ({}, {count} service{plural})",
        file.display(),
        config.role().name()
    )
}

fn target() -> String {
    let build = option_env!("PINHOLE_TARGET").map(str::to_owned);
    build.unwrap_or_else(|| format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS))
}

/// The arguments, sorted but not yet judged together.
#[derive(Default)]
struct Words {
    role: Option<Role>,
    json: bool,
    genkey: bool,
    /// What needs nothing else.
    whole: Option<Command>,
    /// Asks for a text; whatever else is there does not matter.
    text: Option<Command>,
    plain: Vec<OsString>,
}

impl Words {
    fn read(mut parser: Parser) -> Result<Words, UsageError> {
        let mut words = Words::default();
        while words.text.is_none() && words.whole.is_none() {
            match parser.next().map_err(|error| UsageError(error.to_string()))? {
                Some(Arg::Short('h') | Arg::Long("help")) => words.text = Some(Command::Help),
                Some(Arg::Short('V') | Arg::Long("version")) => words.text = Some(Command::Version),
                Some(Arg::Long("help-config")) => words.text = Some(Command::HelpConfig),
                Some(Arg::Short('s') | Arg::Long("server")) => words.set_role(Role::Server)?,
                Some(Arg::Short('c') | Arg::Long("client")) => words.set_role(Role::Client)?,
                Some(Arg::Long("json")) => words.json = true,
                Some(Arg::Long("genkey")) => {
                    words.genkey = true;
                    words.plain.extend(parser.optional_value());
                }
                Some(Arg::Long("hash-key")) => {
                    let key = parser.value().map_err(|error| UsageError(error.to_string()))?;
                    words.whole = Some(Command::HashKey(key.to_string_lossy().into_owned()));
                }
                Some(Arg::Short(letter)) => return usage(&format!("unknown option `-{letter}`")),
                Some(Arg::Long(name)) => return usage(&format!("unknown option `--{name}`")),
                Some(Arg::Value(word)) => {
                    match kind(&word).filter(|_| words.plain.is_empty() && words.role.is_none()) {
                        Some(kind) => words.whole = Some(expose::parse(kind, &mut parser)?),
                        None => words.plain.push(word),
                    }
                }
                None => break,
            }
        }
        Ok(words)
    }

    fn set_role(&mut self, role: Role) -> Result<(), UsageError> {
        match self.role.replace(role) {
            Some(before) if before != role => usage("-s and -c exclude each other"),
            _ => Ok(()),
        }
    }

    fn command(self) -> Result<Command, UsageError> {
        if let Some(text) = self.text {
            return Ok(text);
        }
        if let Some(whole) = self.whole {
            return Ok(whole);
        }
        match self.plain.first().and_then(|word| word.to_str()) {
            _ if self.genkey => self.genkey(),
            Some("check") => self.check(),
            Some("status") => self.status(),
            _ => self.run(),
        }
    }

    fn run(self) -> Result<Command, UsageError> {
        self.refuse_json()?;
        match &self.plain[..] {
            [] => usage("CONFIG is missing"),
            [config] => Ok(Command::Run {
                config: config.into(),
                role: self.role,
            }),
            [first, second, ..] => usage(&too_many(&first.to_string_lossy(), &second.to_string_lossy())),
        }
    }

    fn check(self) -> Result<Command, UsageError> {
        self.refuse_json()?;
        match &self.plain[1..] {
            [config] => Ok(Command::Check {
                config: config.into(),
                role: self.role,
            }),
            _ => usage("`check` takes one CONFIG"),
        }
    }

    fn status(self) -> Result<Command, UsageError> {
        if !config::available(Group::Feature).contains(&"status") {
            return usage("`status` is not in this build");
        }
        match &self.plain[1..] {
            _ if self.role.is_some() => {
                usage("`status` takes neither -s nor -c; name the SOCKET if CONFIG has both blocks")
            }
            [path] => Ok(Command::Status {
                json: self.json,
                path: path.into(),
            }),
            _ => usage("`status` takes one CONFIG or SOCKET"),
        }
    }

    /// As rathole is asked: the curve stands behind it, and there is one.
    fn genkey(self) -> Result<Command, UsageError> {
        self.refuse_json()?;
        if !config::available(Group::Transport).contains(&"noise") {
            return usage("--genkey is not in this build, which has no transport with keys");
        }
        match &self.plain[..] {
            [] => Ok(Command::Genkey),
            [curve] if curve == "x25519" => Ok(Command::Genkey),
            [curve] if curve == "x448" => Ok(Command::Unable("there are no keys for x448, only for x25519")),
            _ => usage("--genkey takes nothing, or `x25519`"),
        }
    }

    fn refuse_json(&self) -> Result<(), UsageError> {
        if self.json {
            usage("--json belongs to `status`")
        } else {
            Ok(())
        }
    }
}

fn kind(word: &OsString) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| word == kind.name())
}

fn usage<T>(text: &str) -> Result<T, UsageError> {
    Err(UsageError(text.to_owned()))
}

/// Two words without a command: a mistyped one, or two files.
fn too_many(first: &str, second: &str) -> String {
    let near = ["check", "status", "tcp", "udp"]
        .into_iter()
        .find(|command| config::distance(first, command) <= 2);
    match near {
        Some(command) => format!("`{first}` is not a command; did you mean `{command}`?"),
        None if first.contains(['.', '/']) => format!("one CONFIG at a time; `{second}` is one too many"),
        None => format!("`{first}` is not a command; there are `check`, `status`, `tcp` and `udp`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
    }

    fn run(config: &str, role: Option<Role>) -> Result<Command, String> {
        Ok(Command::Run {
            config: config.into(),
            role,
        })
    }

    #[test]
    fn as_rathole_is_called() {
        assert_eq!(parsed("x.toml"), run("x.toml", None));
        assert_eq!(parsed("-s x.toml"), run("x.toml", Some(Role::Server)));
        assert_eq!(parsed("x.toml --client"), run("x.toml", Some(Role::Client)));
        assert_eq!(parsed("-- -s"), run("-s", None));
        assert_eq!(parsed("./check"), run("./check", None));
    }

    #[test]
    fn commands() {
        assert_eq!(
            parsed("check x -c"),
            Ok(Command::Check {
                config: "x".into(),
                role: Some(Role::Client)
            })
        );
        assert_eq!(parsed("-s -V"), Ok(Command::Version));
        assert_eq!(parsed("--help nonsense --more"), Ok(Command::Help));
        assert_eq!(parsed("--help-config"), Ok(Command::HelpConfig));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, expected) in [
            ("", "CONFIG is missing"),
            ("-s", "CONFIG is missing"),
            ("check", "`check` takes one CONFIG"),
            ("check a b", "`check` takes one CONFIG"),
            ("chekc x.toml", "did you mean `check`?"),
            ("start x.toml", "there are `check`, `status`, `tcp` and `udp`"),
            ("a.toml b.toml", "`b.toml` is one too many"),
            ("-s -c x", "exclude each other"),
            ("--genkey file.toml", "--genkey"),
            ("--genkey x25519 file.toml", "--genkey"),
            ("--genkey=x25518", "--genkey"),
            ("--json x", "belongs to `status`"),
            ("--daemon x", "unknown option `--daemon`"),
            ("-x", "unknown option `-x`"),
            ("--server=x", "--server"),
            ("tcp", "`tcp` takes the PORT"),
            ("udp 53", "--server HOST:PORT is missing"),
            ("tcp x --server y", "`x` is no port"),
            ("tcp 22 23", "23"),
            ("tcp 22 --remote-port 65536", "`65536` is no port"),
            ("tcp 22 --token", "--token"),
            ("tcp 22 --what", "--what"),
            ("--hash-key", "--hash-key"),
        ] {
            let error = parsed(line).expect_err(line);
            assert!(
                error.contains(expected) && error.ends_with("; see pinhole --help"),
                "{line}: {error}"
            );
        }
    }

    #[test]
    fn keys_are_made_if_there_is_a_transport_for_them() {
        let has_noise = config::available(Group::Transport).contains(&"noise");
        for line in ["--genkey", "--genkey x25519", "--genkey=x25519"] {
            match parsed(line) {
                Ok(command) => assert!(has_noise && command == Command::Genkey, "{line}"),
                Err(error) => assert!(!has_noise && error.contains("not in this build"), "{line}: {error}"),
            }
        }
    }

    #[test]
    fn one_line_is_a_configuration() {
        let command = parsed("udp 53 --server x:1 --token a\"b${HOME}\\ --remote-port 7 --local-host ::1 --name n");
        let Ok(Command::Expose(line)) = command else {
            panic!("not understood")
        };
        let text = line.config(&line.name(0), line.token.as_deref().unwrap_or_default());
        if !config::available(Group::Role).contains(&"client") || !config::available(Group::Service).contains(&"udp") {
            return;
        }
        let Ok(Config::Client(client)) = config::parse(&text, "x", None) else {
            panic!("{text}")
        };
        let service = &client.services[0];
        assert_eq!(
            (&*service.name, service.kind, service.remote_port),
            ("n", Kind::Udp, Some(7))
        );
        assert_eq!(service.local_addr.to_string(), "[::1]:53");
        assert_eq!(service.token.as_bytes(), b"a\"b${HOME}\\");
        assert_eq!(parsed("--hash-key k"), Ok(Command::HashKey("k".into())));
    }

    #[test]
    fn help_is_one_screen() {
        assert!(HELP.lines().count() <= 28 && HELP.lines().all(|line| line.chars().count() <= 99));
    }

    #[test]
    fn version_names_what_is_compiled_in() {
        let version = version();
        assert!(
            version.starts_with(concat!("pinhole ", env!("CARGO_PKG_VERSION"), "\ntarget: ")),
            "{version}"
        );
        assert!(version.contains("\ntransports: tcp"), "{version}");
    }
}
