//! Programs that people run, several of them behind one port.

mod rig;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use rig::crowd::TOKEN;
use rig::program::{find, run};
use rig::{Crowd, PATIENCE, Process, Signal, TempDir, address, eventually, visitor};

fn server() -> Crowd {
    Crowd::new(&format!(
        "default_token = \"{TOKEN}\"\nheartbeat_interval = 1\nheartbeat_timeout = 4\ntcp_port_range = [20000, 20000]\nudp_port_range = [20100, 20100]\n\
         [server.load_balancing]\nenabled = true\n[server.services]"
    ))
}

fn member(local: SocketAddr, kind: &str, check: &str) -> String {
    format!(
        "[client.services.web]\ntype = \"{kind}\"\nlocal_addr = \"{local}\"\nremote_port = 0\ngroup = \"pool\"\n\
         group_key = \"shared-secret\"\nhealth_check = {{ interval_secs = 1, max_failed = 1, {check} }}\n"
    )
}

/// A web server at `local` whose every answer ends its connection: each request is a visitor.
fn nginx(program: &Path, dir: &TempDir, local: SocketAddr) -> Process {
    let config = format!(
        "daemon off; master_process off; pid nginx-{port}.pid; error_log stderr warn;
         events {{ worker_connections 1024; }}
         http {{
             access_log off; keepalive_timeout 0;
             client_body_temp_path temporary; proxy_temp_path temporary; fastcgi_temp_path temporary;
             uwsgi_temp_path temporary; scgi_temp_path temporary;
             server {{ listen {local}; location / {{ return 200 hello; }} }}
         }}\n",
        port = local.port()
    );
    let mut command = Command::new(program);
    let file = dir.write(&format!("nginx-{}.conf", local.port()), config);
    command.arg("-p").arg(dir.path()).args(["-e", "stderr", "-c"]).arg(file);
    let process = Process::start("nginx", command);
    eventually("nginx listens", PATIENCE, || !visitor::is_refused(local));
    process
}

/// Errors of any kind that a report of wrk has.
fn errors(report: &str) -> u32 {
    let line = report.lines().find(|line| line.contains("Socket errors"));
    let words = line.into_iter().flat_map(|line| line.split([' ', ',']));
    words.filter_map(|word| word.parse::<u32>().ok()).sum()
}

const VISITORS: u32 = 20;

#[test]
fn nginx_thrice_under_wrk_while_one_is_sick_one_is_stopped_and_one_is_killed() {
    let (Some(program), Some(wrk)) = (find("nginx", "nginx"), find("wrk", "wrk")) else {
        return;
    };
    let (crowd, dir) = (server(), TempDir::new());
    let at = address::free_ports(address::own(), 3);
    let mut webs: Vec<Process> = at.iter().map(|&at| nginx(&program, &dir, at)).collect();
    let check = "type = \"http\", path = \"/\"";
    let clients = ["one", "two", "three"].into_iter().zip(&at);
    let mut clients: Vec<Process> = clients
        .map(|(name, &at)| crowd.client(name, &member(at, "tcp", check)))
        .collect();
    crowd
        .server
        .wait_for("member is healthy service=web .. healthy=3 members=3");
    let url = format!("http://{}/", crowd.at(20_000));
    let connections = format!("-c{VISITORS}");
    let visit = |seconds: &str, meanwhile: &mut dyn FnMut()| {
        let mut command = Command::new(&wrk);
        command.args(["-t1", &connections, "-d", seconds, "--timeout", "30s", &url]);
        let mut wrk = Process::start("wrk", command);
        meanwhile();
        wrk.exit_within(PATIENCE);
        let report = wrk.log().whole();
        assert!(!report.contains("Non-2xx"), "{report}");
        assert!(report.contains(" requests in "), "{report}");
        errors(&report)
    };
    let wait = |words: &str, act: &mut dyn FnMut()| {
        let mark = crowd.server.log().mark();
        act();
        crowd.server.log().wait_after(mark, words);
    };
    // It answers nobody any more, before it is known to be sick; those whom it was just answering notice.
    let hurt = visit("6s", &mut || {
        wait("member is not healthy service=web .. healthy=2 members=3", &mut || {
            webs[0].kill()
        });
        wait("member is healthy service=web .. healthy=3 members=3", &mut || {
            webs[0] = nginx(&program, &dir, at[0]);
        });
    });
    assert!(hurt <= VISITORS, "{hurt} errors when one was sick");
    // It answers nobody, and its connections are still there: its link is dead when it has been silent for long enough.
    let hurt = visit("8s", &mut || {
        wait("link is down peer=", &mut || clients[1].signal(Signal::Stop));
        wait("member is healthy service=web .. healthy=3 members=3", &mut || {
            clients[1].signal(Signal::Continue)
        });
    });
    assert!(hurt <= VISITORS, "{hurt} errors when one was stopped");
    let hurt = visit("4s", &mut || wait("link is down peer=", &mut || clients[0].kill()));
    assert!(hurt <= VISITORS, "{hurt} errors when one was killed");
    assert_eq!(visit("1s", &mut || {}), 0);
}

#[test]
fn two_name_servers_and_one_left() {
    let (Some(unbound), Some(dig)) = (find("unbound", "unbound"), find("dig", "bind9-dnsutils")) else {
        return;
    };
    let (crowd, dir) = (server(), TempDir::new());
    let at = address::free_ports(address::own(), 2);
    let serve = |(n, at): (u32, &SocketAddr)| {
        let config = format!(
            "server:\ninterface: {}\nport: {}\naccess-control: 127.0.0.0/8 allow\ndo-daemonize: no\nuse-syslog: no\n\
             logfile: \"\"\nverbosity: 1\nchroot: \"\"\nusername: \"\"\npidfile: \"\"\ndirectory: \"/\"\n\
             local-zone: test. static\nlocal-data: 'small.test. A 192.0.2.{n}'\nremote-control:\ncontrol-enable: no\n",
            at.ip(),
            at.port()
        );
        let mut command = Command::new(&unbound);
        command
            .arg("-d")
            .arg("-c")
            .arg(dir.write(&format!("unbound-{n}.conf"), config));
        let process = Process::start("unbound", command);
        process.wait_for("start of service");
        process
    };
    let _servers: Vec<Process> = (1..).zip(&at).map(serve).collect();
    // A name server takes connections, too: that tells how it is.
    let client = |name: &str, at: SocketAddr| {
        let check = format!("type = \"tcp\", addr = \"{at}\"");
        crowd.client(name, &member(at, "udp", &check))
    };
    let mut one = client("one", at[0]);
    let _two = client("two", at[1]);
    crowd
        .server
        .wait_for("member is healthy service=web .. healthy=2 members=2");
    let server = format!("@{}", crowd.ip());
    let ask = || {
        run(
            &dig,
            &[
                &server,
                "-p",
                "20100",
                "+tries=5",
                "+time=3",
                "+short",
                "small.test",
                "A",
            ],
        )
    };
    let answers: Vec<String> = (0..40).map(|_| ask()).collect();
    assert!(
        answers.contains(&"192.0.2.1\n".into()) && answers.contains(&"192.0.2.2\n".into()),
        "{answers:?}"
    );
    one.kill();
    crowd.server.wait_for("link is down peer=");
    assert!((0..20).all(|_| ask() == "192.0.2.2\n"));
}
