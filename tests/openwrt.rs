//! The init script of OpenWrt, in busybox's ash: what it makes of a configuration and what it asks of procd, which
//! `tests/openwrt/rc.common` stands in for.

mod rig;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rig::{Kind, Local, Process, Role, Service, TempDir, Tunnel, program};

const SCRIPT: &str = include_str!("../scripts/package.d/openwrt/pinhole.init");

/// A client that is right.
const HOME: &str = "config client 'home'
    option enabled '1'
    option remote_addr 'server.example:2333'
    option default_token 'secret'
config service 'ssh'
    option instance 'home'
    option local_addr '127.0.0.1:22'
";

/// As much of a router as the script sees.
struct Router {
    dir: TempDir,
    shell: PathBuf,
}

impl Router {
    /// With an /etc/config/pinhole; `None`: there is no ash here.
    fn with(config: &str) -> Option<Router> {
        let shell = program::find("busybox", "busybox")?;
        let router = Router {
            dir: TempDir::new(),
            shell,
        };
        for folder in ["etc", "lib/functions", "sbin", "var"] {
            fs::create_dir_all(router.path(folder)).expect("a folder");
        }
        for file in ["calls", "log", "running", "up", "sbin/ujail", "etc/resolv.conf"] {
            router.write(file, "");
        }
        router.write(
            "etc/passwd",
            "root:x:0:0::/root:/bin/ash\npinhole:x:100:100::/:/bin/false\n",
        );
        router.write("lib/functions/network.sh", NETWORK);
        router.write("init", &router.script());
        let jail = fs::Permissions::from_mode(0o755);
        fs::set_permissions(router.path("sbin/ujail"), jail).expect("a program");
        router.write("etc/config", config);
        Some(router)
    }

    /// The script, whose absolute paths lead here.
    fn script(&self) -> String {
        let root = self.dir.path().display();
        let pinhole = rig::pinhole(Role::Client);
        let program = Path::new(pinhole.get_program()).display().to_string();
        let mut script = SCRIPT.replace("/usr/bin/pinhole", &program);
        for path in [
            "/var/",
            "/lib/functions/",
            "/etc/passwd",
            "/sbin/ujail",
            "/etc/resolv.conf",
        ] {
            assert!(script.contains(path), "the script does not use {path}");
            script = script.replace(path, &format!("{root}{path}"));
        }
        script
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        self.dir.write(name, text);
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The generated file of an instance; empty if there is none.
    fn toml(&self, instance: &str) -> String {
        self.read(&format!("var/etc/pinhole-{instance}.toml"))
    }

    /// Runs an action; gives its exit status, what it printed, and what it asked of procd.
    fn run(&self, action: &[&str]) -> (i32, String, String) {
        self.write("calls", "");
        let rc = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openwrt/rc.common");
        let mut command = Command::new(&self.shell);
        command.args(["ash", rc]).arg(self.path("init")).args(action);
        let output = program::output(command.env("ROOT", self.dir.path()));
        let root = self.dir.path().display().to_string();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(errors, "", "{action:?}");
        (
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            self.read("calls").replace(&root, ""),
        )
    }

    /// Starts, and gives what was asked of procd.
    fn start(&self) -> String {
        self.run(&["start"]).2
    }

    /// The log, without where this is.
    fn log(&self) -> String {
        self.read("log").replace(&self.dir.path().display().to_string(), "")
    }
}

/// Stands in for OpenWrt's network.sh.
const NETWORK: &str = r#"network_flush_cache() { :; }
value_of() { awk -v name="$1" -v column="$2" '$1 == name { print $column }' "$ROOT/up"; }
network_get_uptime() { eval "$1=\$(value_of \"\$2\" 2); [ -n \"\$$1\" ]"; }
network_get_ipaddr() { eval "$1=\$(value_of \"\$2\" 3)"; }
network_get_ipaddr6() { eval "$1="; }
network_get_device() { eval "$1=\$(value_of \"\$2\" 4)"; }
"#;

#[test]
fn what_is_shipped_starts_nothing() {
    let config = include_str!("../scripts/package.d/openwrt/pinhole.config");
    let Some(router) = Router::with(config) else { return };
    let (_, words, calls) = router.run(&["start"]);
    assert!(words.contains("nothing is enabled"), "{words}");
    assert!(!calls.contains("procd_open_instance"), "{calls}");
    assert_eq!(router.log(), "");
    assert!(router.run(&["status"]).1.contains("nothing is enabled"));
    router.write("etc/config", &config.replace("enabled '0'", "enabled '1'"));
    assert!(!router.start().contains("procd_open_instance"));
    assert!(router.log().contains("remote_public_key"), "{}", router.log());
}

#[test]
fn an_instance_is_what_procd_wants_of_one() {
    let Some(router) = Router::with(HOME) else { return };
    let calls = router.start();
    let program = rig::pinhole(Role::Client).get_program().to_string_lossy().into_owned();
    let wanted = format!(
        "procd_open_instance home
procd_set_param command {program} --client /var/etc/pinhole-home.toml
procd_set_param file /var/etc/pinhole-home.toml
procd_set_param reload_signal SIGHUP
procd_set_param respawn 3600 5 0
procd_set_param term_timeout 5
procd_set_param stdout 1
procd_set_param stderr 1
procd_set_param no_new_privs 1
procd_set_param user pinhole
procd_set_param group pinhole
procd_add_jail pinhole-home
procd_add_jail_mount /var/etc /etc/pinhole /etc/hosts /etc/resolv.conf /etc/ssl/certs
procd_add_jail_mount_rw /var/run/pinhole
procd_close_instance
procd_add_reload_trigger pinhole
procd_add_interface_trigger interface.update wan /etc/init.d/pinhole reconnect wan
procd_add_interface_trigger interface.update wan6 /etc/init.d/pinhole reconnect wan6
"
    );
    assert!(calls.ends_with(&wanted), "{calls}");
    assert!(calls.contains("chown pinhole /var/etc/.pinhole-home.toml"), "{calls}");
    let file = fs::metadata(router.path("var/etc/pinhole-home.toml")).expect("the file");
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    assert_eq!(router.log(), "");
}

/// Words that mean something to a shell, to UCI, to TOML or to pinhole.
const NASTY: &str = r##"a "b\" \n $HOME ${HOME} $${HOME} ${ ${1} `id` $(id) #[x] = é % * ~ & ; | 'q'"##;

#[test]
fn a_nasty_value_arrives_as_it_is() {
    let echo = Local::serve(rig::local::echo);
    let service = Service::new("echo", Kind::Tcp, echo.address()).missing_at(Role::Client);
    let tunnel = Tunnel::builder().with(service).build();
    let file = tunnel.path(Role::Server);
    let plain = fs::read_to_string(tunnel.file(Role::Server)).expect("the server's file");
    let escaped = NASTY
        .replace("${HOME}", "$${HOME}")
        .replace('\\', "\\\\")
        .replace('"', "\\\"");
    let text = plain.replace(rig::TOKEN, &escaped);
    assert_ne!(text, plain);
    fs::write(&file, text).expect("the server's file");
    let mut command = rig::pinhole(Role::Server);
    command.arg("-s").arg(&file);
    let server = Process::start("server", command);
    server.wait_for("listening for clients");

    let config = format!(
        "config client 'home'
    option enabled '1'
    option remote_addr '{}'
    option default_token '{}'
    option heartbeat_timeout '7'
    option prefer_ipv6 'on'
    option transport_tcp_nodelay '0'
config service 'one'
    option name 'echo'
    option local_addr '{}'
",
        tunnel.control(),
        NASTY.replace('\'', r"'\''"),
        echo.address()
    );
    let Some(router) = Router::with(&config) else { return };
    assert!(router.start().contains("procd_open_instance home"), "{}", router.log());
    let text = router.toml("home");
    for line in [
        "heartbeat_timeout = 7",
        "prefer_ipv6 = true",
        "transport.tcp.nodelay = false",
    ] {
        assert!(text.lines().any(|found| found == line), "{text}");
    }
    let mut command = rig::pinhole(Role::Client);
    command.arg(router.path("var/etc/pinhole-home.toml"));
    let client = Process::start("client", command);
    client.wait_for("service is registered service=echo");
}

#[test]
fn what_is_wrong_is_named_and_harms_no_other() {
    for (wrong, words) in [
        (
            "option default_token 'a\nb'",
            "default_token of 'bad' has a control character",
        ),
        (
            "option default_token 'a\u{7f}b'",
            "default_token of 'bad' has a control character",
        ),
        ("option remote_adr 'x:1'", "remote_adr"),
        ("option retry_interval '5x'", "client.retry_interval"),
        ("option transport_tcp_nodelay 'maybe'", "client.transport.tcp.nodelay"),
        ("list transport_type 'tcp'", "client.transport.type"),
        ("option transport_type 'carrier pigeon'", "carrier pigeon"),
        ("option remote_addr 'nowhere'", "nowhere"),
    ] {
        let bad = format!(
            "config client 'bad'\n option enabled 1\n option remote_addr 'a:1'\n option default_token 'x'\n {wrong}\n"
        );
        let Some(router) = Router::with(&(bad + HOME)) else {
            return;
        };
        let calls = router.start();
        assert!(!calls.contains("procd_open_instance bad"), "{wrong}: {calls}");
        assert!(calls.contains("procd_open_instance home"), "{wrong}: {calls}");
        let log = router.log();
        assert!(
            log.contains(words) && log.contains("client 'bad' is not applied"),
            "{wrong}: {log}"
        );
        // That file is gone.
        assert!(!log.contains(".pinhole-bad.toml"), "{wrong}: {log}");
        assert_eq!(router.toml("bad"), "", "{wrong}");
    }
}

/// A key of the README by its option's name, and a value of each kind as TOML has it.
#[test]
fn every_key_is_written_as_what_it_is() {
    let Some(router) = Router::with("") else { return };
    let rows = include_str!("../README.md").lines().filter_map(|line| {
        let (key, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        let key = [
            "client.services.NAME.",
            "server.services.NAME.",
            "client.",
            "server.",
            "*.",
        ]
        .iter()
        .find_map(|table| key.strip_prefix(table))?;
        Some((key, rest.split(" | ").next()?))
    });
    let rows = rows.filter(|(key, _)| !key.contains("NAME"));
    let mut count = 0;
    for (key, form) in rows {
        let (value, written) = match form {
            "true or false" => ("1", "true"),
            "[first, last]" => ("20000-20001", "[20000, 20001]"),
            "string" | "path" | "URL, never shown" => ("1", "\"1\""),
            _ if form.starts_with("number,") || form.starts_with("seconds,") => ("7", "7"),
            _ => continue,
        };
        let lines = ". \"$0\"; key=\"$(key \"$1\")\"; echo \"$key = $(value \"$key\" \"$2\")\"";
        let mut command = Command::new(&router.shell);
        command.args(["ash", "-c", lines]).arg(router.path("init"));
        let output = program::output(command.args([&*key.replace('.', "_"), value]));
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{key} = {written}\n"));
        count += 1;
    }
    assert!(count > 40, "only {count} keys stand in the README");
}

#[test]
fn numbers_tables_and_ranges_reach_the_program() {
    let config = format!(
        "{HOME}config service 'web'
    option instance 'home'
    option local_addr '127.0.0.1:80'
    option remote_port '20080'
    option group 'web'
    option group_key 'x'
    option weight '2'
    option health_check_type 'http'
    option health_check_path '/'
    option health_check_max_failed '2'
config server 'hub'
    option enabled '1'
    option bind_addr '0.0.0.0:2333'
    option default_token 'x'
    option tcp_port_range '20000-20099'
    option max_tunnels_per_client '5'
    option load_balancing_enabled '1'
    option firewall 'wan'
"
    );
    let Some(router) = Router::with(&config) else { return };
    let calls = router.start();
    let has = |feature: &str| {
        let output = program::output(rig::pinhole(Role::Client).arg("--version"));
        String::from_utf8_lossy(&output.stdout).contains(feature)
    };
    if has("groups") && has("server") {
        assert_eq!(router.log(), "");
        assert!(calls.contains("procd_open_instance home") && calls.contains("procd_open_instance hub"));
        assert!(router.toml("home").contains("health_check.max_failed = 2\n"));
        assert!(router.toml("hub").contains("load_balancing.enabled = true\n"));
        assert!(
            calls.contains("json_add_string proto tcp\njson_add_string dest_port 20000-20099\n"),
            "{calls}"
        );
    }
}

#[test]
fn a_service_is_of_the_instance_that_it_names_or_of_each() {
    let config = format!(
        "{HOME}config client 'other'
    option enabled '1'
    list remote_addr 'a.example:1'
    list remote_addr 'b.example:1'
    option default_token 'x'
config service 'everywhere'
    option name 'every-where'
    option local_addr 'unix:/run/app/sock'
"
    );
    let Some(router) = Router::with(&config) else { return };
    let calls = router.start();
    let (home, other) = (router.toml("home"), router.toml("other"));
    assert!(home.contains("[client.services.\"ssh\"]") && home.contains("[client.services.\"every-where\"]"));
    assert!(
        !other.contains("ssh") && other.contains("[client.services.\"every-where\"]"),
        "{other}"
    );
    assert!(
        other.contains("remote_addr = [\"a.example:1\", \"b.example:1\"]"),
        "{other}"
    );
    assert!(calls.contains("procd_add_jail_mount_rw /run/app\n"), "{calls}");
}

#[test]
fn a_service_of_nobody_is_named() {
    let config = format!("{HOME}config service 'lost'\n option instance 'hone'\n option local_addr 'a:1'\n");
    let Some(router) = Router::with(&config) else { return };
    assert!(router.start().contains("procd_open_instance home"));
    let log = router.log();
    assert!(
        log.contains("service 'lost' is nobody's") && log.contains("'hone'"),
        "{log}"
    );
}

#[test]
fn a_server_opens_the_firewall_if_told_and_is_root_for_low_ports() {
    let server = |public: &str, more: &str| {
        format!(
            "config server 'hub'
    option enabled '1'
    option bind_addr '0.0.0.0:2333'
    option default_token 'x'
    {more}
config service 'web'
    option type 'udp'
    option bind_addr '{public}'
"
        )
    };
    let Some(router) = Router::with(&server("0.0.0.0:53", "option firewall 'wan'")) else {
        return;
    };
    let calls = router.start();
    assert!(!calls.contains("procd_set_param user"), "{calls}");
    for (protocol, port) in [("tcp", 2333), ("udp", 53)] {
        let rule = format!(
            "json_add_string src wan\njson_add_string proto {protocol}\njson_add_string dest_port {port}\njson_add_string target ACCEPT\n"
        );
        assert!(calls.contains(&rule), "{calls}");
    }
    assert!(calls.ends_with("procd_set_config_changed firewall\n"), "{calls}");

    router.write("etc/config", &server("[::]:5353", ""));
    let calls = router.start();
    assert!(calls.contains("procd_set_param user pinhole"), "{calls}");
    assert!(!calls.contains("firewall") && !calls.contains("json_"), "{calls}");
}

#[test]
fn a_file_of_ones_own_is_used_as_it_is() {
    let Some(router) = Router::with("") else { return };
    let good = "[client]\nremote_addr = 'a:1'\ndefault_token = 'x'\n[client.services]\n";
    router.write("good.toml", good);
    router.write("bad.toml", "[client]\n");
    let section = |name: &str| {
        let file = router.path(&format!("{name}.toml"));
        format!(
            "config client '{name}'\n option enabled 1\n option log debug\n option config '{}'\n",
            file.display()
        )
    };
    router.write("etc/config", &(section("bad") + &section("good")));
    let calls = router.start();
    assert!(
        calls.contains(" --client /good.toml\n") && !calls.contains("open_instance bad"),
        "{calls}"
    );
    assert!(calls.contains("procd_set_param env RUST_LOG=debug\n"), "{calls}");
    assert!(!calls.contains("jail") && !calls.contains("param user"), "{calls}");
    assert!(
        router.log().contains("client 'bad' is refused: /bad.toml"),
        "{}",
        router.log()
    );
    assert_eq!(router.read("good.toml"), good);
}

#[test]
fn a_reload_restarts_only_what_runs_another_way() {
    let Some(router) = Router::with(HOME) else { return };
    router.start();
    router.write("running", "home\n");
    router.write("etc/config", &HOME.replace("'secret'", "'another'"));
    let calls = router.run(&["reload"]).2;
    assert!(!calls.contains("procd_kill"), "{calls}");
    assert!(calls.contains("procd_open_instance home"), "{calls}");
    assert!(router.toml("home").contains("another"));

    router.write("etc/config", &HOME.replace("'1'\n", "'1'\n option log 'debug'\n"));
    let calls = router.run(&["reload"]).2;
    assert!(calls.starts_with("procd_kill pinhole home\n"), "{calls}");
    assert!(calls.contains("procd_open_instance home"), "{calls}");
}

#[test]
fn a_wrong_reload_leaves_what_runs_as_it_is() {
    let Some(router) = Router::with(HOME) else { return };
    router.start();
    router.write("running", "home\n");
    let before = router.toml("home");
    router.write("etc/config", &HOME.replace("remote_addr", "remote_adr"));
    let calls = router.run(&["reload"]).2;
    assert!(calls.contains("procd_open_instance home"), "{calls}");
    assert!(router.log().contains("remote_adr"), "{}", router.log());
    assert_eq!(router.toml("home"), before);

    let (_, _, calls) = router.run(&["stop"]);
    assert!(!calls.contains("firewall"), "{calls}");
    assert_eq!(router.toml("home"), "");
    assert!(!router.start().contains("procd_open_instance"));
}

#[test]
fn only_a_changed_interface_is_a_new_wan() {
    const SIGNAL: &str = "procd_send_signal pinhole * USR1\n";
    let Some(router) = Router::with(HOME) else { return };
    router.write("up", "wan 100 192.0.2.1 eth0\n");
    router.start();
    let step = |up: &str| {
        router.write("up", up);
        router.run(&["reconnect", "wan"]).2
    };
    for (up, is_new, what) in [
        ("wan 200 192.0.2.1 eth0\n", false, "a renewed lease"),
        ("wan 300 192.0.2.7 eth0\n", true, "another address"),
        ("wan 400 192.0.2.7 eth0\n", false, "a renewed lease again"),
        ("", false, "it is down"),
        ("wan 0 192.0.2.7 eth0\n", true, "it is up again"),
        ("wan 10 192.0.2.7 wwan0\n", true, "another device"),
    ] {
        assert_eq!(step(up) == SIGNAL, is_new, "{what}");
    }
    assert_eq!(router.run(&["reconnect"]).2, SIGNAL);
}

#[test]
fn status_says_who_runs_and_what_of_it_is_connected() {
    let Some(router) = Router::with(HOME) else { return };
    router.start();
    let (code, text, _) = router.run(&["status"]);
    assert_eq!((code, text.as_str()), (3, "client 'home':\nnot running\n"));

    fs::create_dir_all(router.path("var/run/pinhole")).expect("a folder");
    let mut command = rig::pinhole(Role::Client);
    command.arg(router.path("var/etc/pinhole-home.toml"));
    let _client = Process::start("client", command);
    rig::eventually("it can be asked", rig::PATIENCE, || {
        router.path("var/run/pinhole/home.sock").exists()
    });
    router.write("running", "home\n");
    let (code, text, _) = router.run(&["status"]);
    assert!(
        code == 0 && text.contains("client up") && text.contains("service ssh (tcp) down"),
        "{text}"
    );
}
