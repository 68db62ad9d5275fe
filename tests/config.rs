//! Configuration files through the library: what is taken, what is said about what is not, and that nothing makes it
//! panic or print a secret.
//!
//! `tests/configs/*.toml` begin with `#role server|client|both|none` (none: the file must decide), and may name
//! transports that they need (`#needs tls`); the errors expected of
//! a file stand at its end as `#> ` lines. `PINHOLE_BLESS=1` writes them, and the README's reference, anew: read the diff.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use pinhole::config::{self, Role};

/// Part of every secret in the files, and of nothing else.
const SECRET: &str = "hunter2";

fn files() -> Vec<(PathBuf, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs");
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 12, "only {} files", paths.len());
    paths
        .into_iter()
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect()
}

fn named<'a>(files: &'a [(PathBuf, String)], name: &str) -> &'a str {
    &files.iter().find(|(path, _)| path.ends_with(name)).unwrap().1
}

fn is_blessing() -> bool {
    std::env::var_os("PINHOLE_BLESS").is_some()
}

#[test]
fn a_file_that_cannot_be_used_is_a_sentence() {
    let sentence = |path: &Path| config::load(path, None).unwrap_err().to_string();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(sentence(directory).contains("is a directory"));
    assert!(sentence(&directory.join("no/such.toml")).contains("cannot be read: No such file"));

    let file = std::env::temp_dir().join(format!("pinhole-config-{}.toml", std::process::id()));
    fs::write(&file, b"[server]\nbind_addr = '\xff'\n").unwrap();
    assert!(sentence(&file).contains(".toml:2:14: not UTF-8"), "{}", sentence(&file));
    fs::write(&file, " ".repeat(1024 * 1024 + 1)).unwrap();
    assert!(sentence(&file).contains("larger than 1 MiB"));
    fs::remove_file(&file).unwrap();
}

/// One wrong character anywhere must not make an error quote the secret beside it.
#[test]
fn a_slip_does_not_print_a_secret() {
    let files = files();
    for text in [named(&files, "good-unified.toml"), named(&files, "bad-syntax.toml")] {
        let is_beside = |at: &usize| text[..*at].ends_with('"') || line(text, *at).contains(SECRET);
        for (at, old) in text.char_indices().filter(|(at, _)| is_beside(at)) {
            for new in ["", "\"", "=", "#", "[", "\n", "\\"] {
                let mut slip = text.to_owned();
                slip.replace_range(at..at + old.len_utf8(), new);
                for errors in every_outcome(&slip) {
                    assert!(!errors.contains(SECRET), "{new:?} for {old:?} at {at}: {errors}");
                }
            }
        }
    }
}

fn line(text: &str, at: usize) -> &str {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    text[start..].lines().next().unwrap_or_default()
}

fn every_outcome(text: &str) -> impl Iterator<Item = String> + use<'_> {
    let roles = [None, Some(Role::Server), Some(Role::Client)];
    roles.into_iter().filter_map(move |role| {
        config::parse(text, "x.toml", role)
            .err()
            .map(|errors| errors.to_string())
    })
}

#[test]
fn no_text_makes_it_panic() {
    let files = files();
    let lines: Vec<&str> = files.iter().flat_map(|(_, text)| text.lines()).collect();
    for seed in 0..3_000 {
        let mut random = Random(seed);
        let mut text = files[random.below(files.len())].1.clone();
        for _ in 0..=random.below(6) {
            mutate(&mut text, &lines, &mut random);
        }
        let outcome = catch_unwind(|| {
            every_outcome(&text).for_each(|errors| assert!(errors.lines().count() <= 21 && !errors.is_empty()))
        });
        assert!(outcome.is_ok(), "seed {seed}:\n{text}");
    }
}

const PIECES: &[&str] = &[
    "\"",
    "'",
    "\"\"\"",
    "[",
    "]",
    "[[",
    "{",
    "}",
    "=",
    ".",
    ",",
    "#",
    "\\",
    "\\u0000",
    "\n",
    "\r\n",
    "\0",
    "\u{feff}",
    "ü",
    "-1",
    "0x",
    "1e400",
    "nan",
    "1979-05-27",
    "18446744073709551616",
    "true",
    "server",
    "client",
    "services",
    "transport",
    "[::]",
    ":0",
];

fn mutate(text: &mut String, lines: &[&str], random: &mut Random) {
    let edges: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let from = edges[random.below(edges.len())];
    let to = edges[random.below(edges.len())].clamp(from, (from + random.below(40)).min(text.len()));
    let to = (to..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap();
    match random.below(5) {
        0 => text.truncate(from),
        1 => text.replace_range(from..to, ""),
        2 => text.insert_str(from, PIECES[random.below(PIECES.len())]),
        3 => text.replace_range(from..to, PIECES[random.below(PIECES.len())]),
        _ => text.insert_str(from, &format!("\n{}\n", lines[random.below(lines.len())])),
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}

#[test]
fn help_names_every_key() {
    let (mut help, mut reference) = (String::new(), String::new());
    config::help(&mut help).unwrap();
    config::readme_reference(&mut reference).unwrap();
    let keys: Vec<&str> = reference
        .lines()
        .skip(2)
        .map(|line| line.split('`').nth(1).unwrap())
        .collect();
    assert!(keys.len() > 40 && keys.contains(&"server.services.NAME.bind_addr"));
    assert!(keys.iter().all(|key| help.contains(key.rsplit('.').next().unwrap())));
}

#[test]
fn the_readme_has_the_reference() {
    if !config::available(config::Group::Feature).contains(&"key-docs") {
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (before, rest) = readme
        .split_once("<!-- keys -->\n")
        .expect("README.md has the line <!-- keys -->");
    let (found, after) = rest
        .split_once("<!-- /keys -->")
        .expect("README.md has the line <!-- /keys -->");
    let mut reference = String::new();
    config::readme_reference(&mut reference).unwrap();
    if is_blessing() {
        fs::write(
            &path,
            format!("{before}<!-- keys -->\n{reference}<!-- /keys -->{after}"),
        )
        .unwrap();
    } else {
        assert!(
            found == reference,
            "README.md is not what src/config/keys.rs says; PINHOLE_BLESS=1 cargo test --test config"
        );
    }
}

/// One file may carry both roles: a build that has one of them runs that and refuses the other.
#[test]
fn a_build_runs_the_roles_it_has() {
    let text = "[server]\nbind_addr = 'x:1'\nservices = {}\n[client]\nremote_addr = 'x:1'\nservices = {}\n";
    let available = config::available(config::Group::Role);
    assert!(!available.is_empty());
    for role in Role::ALL {
        match config::parse(text, "x.toml", Some(role)) {
            Ok(config) => assert!(config.role() == role && available.contains(&role.name())),
            Err(error) => {
                let expected = format!(
                    "x.toml: role `{}` is not in this build, which has: {}",
                    role.name(),
                    available.join(", ")
                );
                assert_eq!(error.to_string(), expected);
            }
        }
    }
}

/// With both roles in the build, which is how the programs are made.
#[cfg(any(
    all(feature = "client", feature = "server"),
    not(any(feature = "client", feature = "server"))
))]
mod both_roles {
    use std::time::Duration;

    use pinhole::config::{Config, Kind, TransportKind};

    use super::*;

    const EXPECTED: &str = "#> ";

    /// The errors for the role that the file's first line names, without the file's name.
    fn errors(path: &Path, text: &str) -> Vec<String> {
        let result = match text.lines().next().and_then(|line| line.strip_prefix("#role ")) {
            Some("server") => config::load(path, Some(Role::Server)).map(drop),
            Some("client") => config::load(path, Some(Role::Client)).map(drop),
            Some("both") => config::check(path, None).map(drop),
            Some("none") => config::load(path, None).map(drop),
            role => panic!("{}: {role:?}", path.display()),
        };
        let text = result.err().map(|errors| errors.to_string()).unwrap_or_default();
        text.lines()
            .map(|line| line.replacen(&*path.to_string_lossy(), "", 1))
            .collect()
    }

    /// `#needs` names the transports of a file.
    fn has_needed(text: &str) -> bool {
        let names = text
            .lines()
            .find_map(|line| line.strip_prefix("#needs "))
            .unwrap_or_default();
        names.split_whitespace().all(has_transport)
    }

    fn has_transport(name: &str) -> bool {
        config::available(config::Group::Transport).contains(&name)
    }

    #[test]
    fn every_file_gives_the_errors_it_names() {
        for (path, text) in files().into_iter().filter(|(_, text)| has_needed(text)) {
            let errors = errors(&path, &text);
            let is_good = path.file_name().unwrap().to_string_lossy().starts_with("good");
            assert_eq!(errors.is_empty(), is_good, "{}: {errors:#?}", path.display());
            if is_blessing() {
                bless(&path, &text, &errors);
            } else {
                let expected: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(EXPECTED)).collect();
                assert_eq!(errors, expected, "{}", path.display());
            }
        }
    }

    fn bless(path: &Path, text: &str, errors: &[String]) {
        let kept = text
            .lines()
            .filter(|line| !line.starts_with(EXPECTED))
            .map(|line| format!("{line}\n"));
        let expected = errors.iter().map(|line| format!("{EXPECTED}{line}\n"));
        fs::write(path, kept.chain(expected).collect::<String>()).unwrap();
    }

    fn server(text: &str) -> config::Server {
        match config::parse(text, "x.toml", Some(Role::Server)) {
            Ok(Config::Server(server)) => server,
            other => panic!("{other:?}"),
        }
    }

    fn client(text: &str) -> config::Client {
        match config::parse(text, "x.toml", None) {
            Ok(Config::Client(client)) => client,
            other => panic!("{other:?}"),
        }
    }

    fn error(text: &str) -> String {
        config::parse(text, "x.toml", None).unwrap_err().to_string()
    }

    fn seconds(number: u64) -> Option<Duration> {
        Some(Duration::from_secs(number))
    }

    /// Nor is what would be wrong with something else if it were absent.
    #[test]
    fn one_wrong_value_is_one_mistake() {
        let has_noise = config::available(config::Group::Transport).contains(&"noise");
        for (wrong, is_known) in [
            (
                "services = {}\ntransport = { type = 'noise', noise.pattern = [] }",
                has_noise,
            ),
            ("services = {}\ntransport = { type = 7, noise.psk = 'x' }", true),
            ("services = {}\ndrain_secs = -1", true),
            (
                "services.a = { local_addr = 'y:2', type = [], proxy_protocol = 'v1' }",
                true,
            ),
            ("services.a = { local_addr = ['y:2'] }", true),
            ("services.a = { local_addr = 'y:2', group = [], group_key = 'k' }", true),
            ("services.a = { local_addr = 'y:2', token = 7 }", true),
        ] {
            let error = error(&format!("[client]\nremote_addr = 'x:1'\ndefault_token = 't'\n{wrong}"));
            assert!(error.lines().count() == 1 || !is_known, "{error}");
        }
    }

    #[test]
    fn defaults_are_ratholes() {
        let server = server("[server]\nbind_addr = '[::]:2333'\n[server.services]\n");
        assert_eq!(server.bind_addr.to_string(), "[::]:2333");
        assert_eq!(
            (server.heartbeat_interval, server.heartbeat_timeout),
            (seconds(30), seconds(40))
        );
        assert_eq!((server.services.len(), server.control_socket), (0, None));
        assert_eq!(
            (server.transport.kind, server.transport.tcp.nodelay),
            (TransportKind::Tcp, true)
        );
        assert_eq!(server.transport.tcp.keepalive_secs, seconds(20));
        assert_eq!(server.transport.tcp.keepalive_interval, seconds(8));

        let client = client("[client]\nremote_addr = 'x:1'\n[client.services.a]\nlocal_addr = 'y:2'\ntoken = 't'\n");
        assert_eq!(
            (client.heartbeat_timeout, client.retry_interval),
            (seconds(40), Duration::from_secs(1))
        );
        assert!(!client.prefer_ipv6);
        let service = &client.services[0];
        assert_eq!(
            (service.name.as_str(), service.kind, service.nodelay),
            ("a", Kind::Tcp, true)
        );
        assert_eq!(
            (service.retry_interval, service.prefer_ipv6),
            (Duration::from_secs(1), false)
        );
        assert_eq!(service.token.as_bytes(), b"t");
    }

    #[test]
    fn a_service_inherits_what_it_does_not_say() {
        let text =
            "[client]\nremote_addr = 'x:1'\ndefault_token = 'd'\nretry_interval = 7\ntransport.tcp.nodelay = false
        [client.services.z]\nlocal_addr = 'y:2'
        [client.services.a]\nlocal_addr = 'y:2'\ntoken = 'own'\nnodelay = true\nretry_interval = 0\n";
        let client = client(text);
        let (first, second) = (&client.services[0], &client.services[1]);
        assert_eq!(
            (first.name.as_str(), second.name.as_str()),
            ("z", "a"),
            "the file's order"
        );
        assert_eq!(
            (first.token.as_bytes(), second.token.as_bytes()),
            (&b"d"[..], &b"own"[..])
        );
        assert_eq!((first.nodelay, second.nodelay), (false, true));
        assert_eq!(
            (first.retry_interval, second.retry_interval),
            (Duration::from_secs(7), Duration::ZERO)
        );
    }

    #[test]
    fn zero_turns_off() {
        let zero = |keys: &str| server(&format!("[server]\nbind_addr = 'x:0'\nservices = {{}}\n{keys}"));
        let silent = zero("heartbeat_interval = 0");
        assert_eq!((silent.heartbeat_interval, silent.heartbeat_timeout), (None, None));
        assert_eq!(zero("heartbeat_timeout = 0").heartbeat_timeout, None);
        let tcp = zero("transport.tcp = { keepalive_secs = 0, keepalive_interval = 0 }")
            .transport
            .tcp
            .clone();
        assert_eq!((tcp.keepalive_secs, tcp.keepalive_interval), (None, None));
        assert_eq!(
            zero("heartbeat_interval = 1").heartbeat_timeout,
            Some(Duration::from_secs(4) / 3)
        );
    }

    #[test]
    fn a_service_can_have_any_printable_name() {
        let long = "x".repeat(255);
        for name in ["a.b", "web, inside", "ü", long.as_str()] {
            let text = format!("[server]\nbind_addr='x:1'\n[server.services.'{name}']\nbind_addr='x:2'\ntoken='t'\n");
            assert_eq!(server(&text).services[0].name, name);
        }
        for name in ["''", "\"a\\u0007\"", &format!("{long}x")] {
            let text = format!("[server]\nbind_addr='x:1'\n[server.services.{name}]\nbind_addr='x:2'\ntoken='t'\n");
            assert!(
                error(&text).contains("x.toml:3:18: server.services.\""),
                "{}",
                error(&text)
            );
        }
    }

    #[test]
    fn the_block_decides_unless_there_are_two() {
        let both = "[server]\nbind_addr='x:1'\nservices={}\n[client]\nremote_addr='x:1'\nservices={}\n";
        assert!(error(both).contains("-s or -c"));
        for role in Role::ALL {
            assert_eq!(config::parse(both, "", Some(role)).unwrap().role(), role);
        }
        assert_eq!(error("\u{feff}"), "x.toml: has neither [server] nor [client]");
        assert_eq!(
            config::parse("[client]", "x.toml", Some(Role::Server))
                .unwrap_err()
                .to_string(),
            "x.toml: has no [server], and it is to be a server's"
        );
    }

    #[test]
    fn secrets_are_not_printed() {
        let files = files();
        let text = named(&files, "good-unified.toml");
        let config = config::parse(text, "x.toml", Some(Role::Server)).unwrap();
        assert!(!format!("{config:?}").contains(SECRET) && format!("{config:?}").contains("MASKED"));
        for (path, text) in &files {
            assert!(!errors(path, text).concat().contains(SECRET), "{}", path.display());
        }
    }

    #[test]
    fn a_secret_is_in_a_file_or_in_the_environment() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs/good-secrets.toml");
        let Ok(Config::Server(server)) = config::load(&path, Some(Role::Server)) else {
            panic!()
        };
        let tokens: Vec<_> = server.services.iter().map(|service| service.token.as_bytes()).collect();
        assert_eq!(tokens, [&b"hunter2-in-a-file"[..], b"${NAME} pa$$word pinhole"]);
        assert_eq!(server.services[1].name, "$${NAME}", "a name is no value");
        let inputs: Vec<_> = server
            .inputs
            .iter()
            .map(|input| (&input.path, input.is_secret))
            .collect();
        assert_eq!(inputs, [(&path, false), (&path.with_file_name("token.txt"), true)]);

        let Ok(Config::Client(client)) = config::load(&path, Some(Role::Client)) else {
            panic!()
        };
        assert_eq!(client.services[0].token.as_bytes(), b"hunter2-in-a-file");
    }

    #[test]
    fn a_file_with_a_secret_in_it_is_secret() {
        let is_secret = |token: &str| {
            server(&format!(
                "[server]\nbind_addr = 'x:1'\nservices = {{}}\ndefault_token = '{token}'"
            ))
            .inputs[0]
                .is_secret
        };
        assert!(is_secret("hunter2") && !is_secret("${CARGO_PKG_NAME}"));
    }

    #[test]
    fn what_the_build_lacks_is_refused_where_it_is_used() {
        let text = "[server]\nbind_addr = 'x:1'\nservices = {}\ncontrol_socket = '/run/pinhole.sock'\n";
        match config::available(config::Group::Feature).contains(&"status") {
            true => assert_eq!(server(text).control_socket, Some(PathBuf::from("/run/pinhole.sock"))),
            false => assert!(
                error(text).ends_with("cannot be used: feature `status` is not in this build"),
                "{}",
                error(text)
            ),
        }
        let text = "[server]\nbind_addr = 'x:1'\nservices = {}\n[server.load_balancing]\nenabled = true\n";
        match config::available(config::Group::Feature).contains(&"groups") {
            true => {
                assert!(server(text).balancing.is_enabled);
                let https = format!("{text}alert_webhook_url = 'https://hunter2/'");
                match has_transport("tls") {
                    true => assert!(server(&https).balancing.webhook.is_some()),
                    false => {
                        assert!(error(&https).contains("alert_webhook_url: is https and cannot be used: transport"))
                    }
                }
            }
            false => assert!(
                error(text).contains("server.load_balancing: cannot be used: feature `groups` is not in this build"),
                "{}",
                error(text)
            ),
        }
        let text =
            "[client]\nremote_addr = 'x:1'\nservices = {}\ntransport = { type = 'tls', tls.trusted_root = 'x' }\n";
        match has_transport("tls") {
            true => assert!(error(text).contains("trusted_root: 'x' cannot be read")),
            false => assert!(error(text).contains("transport `tls` is not in this build, which has: tcp")),
        }
    }

    #[test]
    fn a_service_cannot_have_the_control_port() {
        let text = "[server]\nbind_addr = 'x:1'\ndefault_token = 't'\n[server.services.a]\nbind_addr = 'x:1'\n";
        assert!(
            error(text)
                .starts_with("x.toml:5:13: server.services.a.bind_addr: \"x:1\" is already taken by server.bind_addr;"),
            "{}",
            error(text)
        );
    }
}
