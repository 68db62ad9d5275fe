//! Programs that people run through tunnels: web servers, measurements, shells.

mod rig;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use rig::json::Json;
use rig::program::{find, run};
use rig::ssh::Sshd;
use rig::{Kind, PATIENCE, Payload, Process, TempDir, Tunnel, address, eventually, visitor};

const LARGE: usize = 20_000_000;

#[test]
fn nginx_under_wrk() {
    let (Some(nginx), Some(wrk)) = (find("nginx", "nginx"), find("wrk", "wrk")) else {
        return;
    };
    let web = Web::start(&nginx);
    for page in ["small", "medium"] {
        let url = format!("http://{}/{page}", web.tunnel.public("web"));
        let report = run(&wrk, &["-t2", "-c100", "-d5s", "--timeout", "10s", &url]);
        // wrk has these lines only if there is something to complain about.
        assert!(!report.contains("Socket errors"), "{report}");
        assert!(!report.contains("Non-2xx"), "{report}");
        assert!(requests(&report) > 100, "hardly any requests: {report}");
    }
}

#[test]
fn curl_downloads_and_uploads() {
    let (Some(nginx), Some(curl)) = (find("nginx", "nginx"), find("curl", "curl")) else {
        return;
    };
    let web = Web::start(&nginx);
    let large = format!("http://{}/large", web.tunnel.public("web"));
    let copy = web.dir.path().join("copy");
    let copy_name = copy.to_str().expect("ASCII");
    run(
        &curl,
        &[
            "--silent",
            "--show-error",
            "--fail",
            "--noproxy",
            "*",
            "--output",
            copy_name,
            &large,
        ],
    );
    assert!(
        fs::read(&copy).expect("what curl received") == Payload::bytes(1, LARGE),
        "the download differs"
    );

    let upload = format!("http://{}/put/uploaded", web.tunnel.public("web"));
    run(
        &curl,
        &[
            "--silent",
            "--show-error",
            "--fail",
            "--noproxy",
            "*",
            "--upload-file",
            copy_name,
            &upload,
        ],
    );
    let uploaded = fs::read(web.dir.path().join("put/uploaded")).expect("what nginx received");
    assert!(uploaded == Payload::bytes(1, LARGE), "the upload differs");
}

#[test]
fn iperf3_both_directions() {
    let Some(iperf) = find("iperf3", "iperf3") else { return };
    let local = address::free_port(address::own());
    let mut command = Command::new(&iperf);
    command.args([
        "--server",
        "--forceflush",
        "--bind",
        &local.ip().to_string(),
        "--port",
        &local.port().to_string(),
    ]);
    let server = Process::start("iperf3", command);
    server.wait_for("Server listening");
    let tunnel = Tunnel::builder().service("iperf", Kind::Tcp, local).start();
    let public = tunnel.public("iperf");
    for direction in [
        &[][..],
        &["--reverse"],
        &["--parallel", "8"],
        &["--parallel", "8", "--reverse"],
    ] {
        let mark = server.log().mark();
        let (host, port) = (public.ip().to_string(), public.port().to_string());
        let fixed = ["--json", "--time", "2", "--client", &host, "--port", &port];
        let report = Json::parse(&run(&iperf, &[&fixed, direction].concat()));
        let rate = report.get("end").get("sum_received").get("bits_per_second").number();
        assert!(rate > 0.0, "nothing received with {direction:?}: {report:?}");
        server.log().wait_after(mark, "Server listening");
    }
}

#[test]
fn ssh_and_scp() {
    let (Some(ssh), Some(scp)) = (find("ssh", "openssh-client"), find("scp", "openssh-client")) else {
        return;
    };
    let Some(sshd) = Sshd::start() else { return };
    let tunnel = Tunnel::builder().service("ssh", Kind::Tcp, sshd.address()).start();
    let public = tunnel.public("ssh");
    eventually("sshd answers", PATIENCE, || greets(public));

    let options = sshd.options(public.port());
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let host = public.ip().to_string();
    assert_eq!(
        run(&ssh, &[&options[..], &[&host, "echo over ssh"]].concat()),
        "over ssh\n"
    );

    let path = |name: &str| sshd.dir.path().join(name).to_str().expect("ASCII").to_owned();
    let original = sshd.dir.write("original", Payload::bytes(2, LARGE));
    let there = format!("{host}:{}", path("there"));
    run(
        &scp,
        &[&options[..], &[original.to_str().expect("ASCII"), &there]].concat(),
    );
    run(&scp, &[&options[..], &[&there, &path("back")]].concat());
    assert!(
        fs::read(path("back")).expect("the copy") == Payload::bytes(2, LARGE),
        "the copy differs"
    );
}

/// Whether an SSH server answers at `address`.
fn greets(address: SocketAddr) -> bool {
    let mut greeting = [0; 4];
    let read = std::io::Read::read_exact(&mut visitor::connect(address), &mut greeting);
    read.is_ok() && &greeting == b"SSH-"
}

/// An nginx with pages of three sizes, behind a tunnel.
struct Web {
    tunnel: Tunnel,
    dir: TempDir,
    _nginx: Process,
}

impl Web {
    fn start(nginx: &Path) -> Web {
        let dir = TempDir::new();
        for (page, length) in [("small", 600), ("medium", 100_000), ("large", LARGE)] {
            dir.write(page, Payload::bytes(1, length));
        }
        let local = address::free_port(address::own());
        let mut command = Command::new(nginx);
        command
            .arg("-p")
            .arg(dir.path())
            .arg("-e")
            .arg("stderr")
            .arg("-c")
            .arg(dir.write("nginx.conf", config(local)));
        let process = Process::start("nginx", command);
        eventually("nginx listens", PATIENCE, || !visitor::is_refused(local));
        let tunnel = Tunnel::builder().service("web", Kind::Tcp, local).start();
        Web {
            tunnel,
            dir,
            _nginx: process,
        }
    }
}

/// One process in the foreground, everything below its prefix.
fn config(local: SocketAddr) -> String {
    format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr warn;
         events {{ worker_connections 1024; }}
         http {{
             access_log off; client_max_body_size 0;
             client_body_temp_path temporary; proxy_temp_path temporary; fastcgi_temp_path temporary;
             uwsgi_temp_path temporary; scgi_temp_path temporary;
             server {{
                 listen {local};
                 root .;
                 location /put/ {{ dav_methods PUT; create_full_put_path on; }}
             }}
         }}\n"
    )
}

/// The number of requests in a report of wrk.
fn requests(report: &str) -> u64 {
    let line = report
        .lines()
        .find(|line| line.contains(" requests in "))
        .expect("wrk's count of requests");
    line.split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .expect("a number of requests")
}
