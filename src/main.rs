//! The `pinhole` program: arguments → config → runtime → run. The only place that prints and exits.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use pinhole::cli::{self, Command, Expose};
use pinhole::config::{self, Config, Role};
use pinhole::net::{signals, sys};

fn main() -> ExitCode {
    match cli::parse(std::env::args_os().skip(1)) {
        Ok(command) => obey(command),
        Err(error) => fail(2, &error),
    }
}

fn obey(command: Command) -> ExitCode {
    match command {
        Command::Run { config, role } => run(&config, role),
        Command::Check { config, role } => check(&config, role),
        Command::Status { json, path } => status(&path, json),
        Command::Expose(line) => expose(&line),
        Command::HashKey(key) => print(&config::hash_text(key.as_bytes())),
        Command::Genkey => match pinhole::generate_key() {
            Ok(text) => print(&text),
            Err(error) => fail(1, &error),
        },
        Command::Unable(why) => fail(1, &why),
        Command::HelpConfig => {
            let mut text = String::new();
            match config::help(&mut text) {
                Ok(()) => print(&text),
                Err(error) => fail(1, &error),
            }
        }
        Command::Help => print(cli::HELP),
        Command::Version => print(&cli::version()),
    }
}

fn run(file: &Path, role: Option<Role>) -> ExitCode {
    match config::load(file, role) {
        Ok(config) => prepare(config, Some(file)),
        Err(errors) => fail(1, &errors),
    }
}

/// One service, without a file.
fn expose(line: &Expose) -> ExitCode {
    let token = line.token.clone().or_else(|| std::env::var("PINHOLE_TOKEN").ok());
    let Some(token) = token else {
        return fail(
            2,
            &"--token is missing, and PINHOLE_TOKEN is not set; see pinhole --help",
        );
    };
    let random = pinhole::net::random().map(u32::from_ne_bytes).unwrap_or_default();
    match config::parse(&line.config(&line.name(random), &token), "command line", None) {
        Ok(config) => prepare(config, None),
        Err(errors) => fail(1, &errors),
    }
}

fn prepare(config: Config, file: Option<&Path>) -> ExitCode {
    pinhole::log::init(&std::env::var("RUST_LOG").unwrap_or_default());
    std::panic::set_hook(Box::new(|panic| {
        // A daemon that is half alive is worse than one that is restarted.
        log::error!("bug: {panic}");
        std::process::abort();
    }));
    let files = sys::raise_open_files();
    log::debug!("open files: {files}, memory: {} MiB", sys::memory() >> 20);
    match signals::shutdown() {
        Ok(shutdown) => start(config, file, shutdown),
        Err(error) => fail(1, &format_args!("cannot handle signals: {error}")),
    }
}

fn start(config: Config, file: Option<&Path>, shutdown: impl Future<Output = ()>) -> ExitCode {
    let ended = match file {
        Some(file) => pinhole::run_file(config, file, shutdown),
        None => pinhole::run_announced(config, announce, shutdown),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error),
    }
}

/// Whoever started it wants to know where the service is.
fn announce(public: &str) {
    print(public);
}

fn check(file: &Path, role: Option<Role>) -> ExitCode {
    match config::check(file, role) {
        Ok(configs) => {
            let lines: Vec<_> = configs.iter().map(|config| cli::verdict(file, config) + "\n").collect();
            print(&lines.concat())
        }
        Err(errors) => fail(1, &errors),
    }
}

fn status(path: &Path, json: bool) -> ExitCode {
    match pinhole::ask_status(path, json) {
        Ok(text) => print(&text),
        Err(error) => fail(1, &error),
    }
}

fn print(text: &str) -> ExitCode {
    let mut out = std::io::stdout();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    // A reader that has left is no failure of ours.
    let _ = out
        .write_all(text.as_bytes())
        .and_then(|()| out.write_all(end.as_bytes()));
    ExitCode::SUCCESS
}

fn fail(code: u8, what: &dyn std::fmt::Display) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{what}");
    ExitCode::from(code)
}
