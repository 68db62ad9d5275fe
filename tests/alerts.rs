//! Webhooks: who is told that nobody of a group is healthy, what, and how often.

mod rig;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::Command;

use rig::crowd::TOKEN;
use rig::json::Json;
use rig::program::find;
use rig::receiver::TAKEN;
use rig::{
    Crowd, Local, PATIENCE, Process, Receiver, TempDir, Transport, World, address, certificates, eventually, visitor,
};

fn server(balancing: &str) -> Crowd {
    Crowd::new(&text(balancing))
}

fn text(balancing: &str) -> String {
    format!(
        "default_token = \"{TOKEN}\"\nregion = \"here\"\ntcp_port_range = [20000, 20003]\n\
         [server.load_balancing]\nenabled = true\n{balancing}\n[server.services]"
    )
}

/// A member that is looked at twice before it is not well, and wants `webhook` to be told.
fn member(local: SocketAddr, webhook: &str) -> String {
    let webhook = match webhook {
        "" => String::new(),
        url => format!(", alert_webhook = \"{url}\""),
    };
    format!(
        "[client.services.web]\nlocal_addr = \"{local}\"\nremote_port = 20000\nretry_interval = 1\ngroup = \"po\\\"ol\"\n\
         group_key = \"shared-secret\"\n\
         health_check = {{ type = \"tcp\", interval_secs = 1, max_failed = 2{webhook} }}\n"
    )
}

/// A local service that is there, or not.
fn at_door() -> (Local, SocketAddr) {
    let local = Local::serve(|_| {});
    let address = local.address();
    (local, address)
}

fn healthy(crowd: &Crowd, mark: rig::Mark) {
    crowd.server.log().wait_after(mark, "member is healthy service=web ");
}

#[test]
fn operator_and_members_are_told_once_a_fall() {
    let (operator, members) = (Receiver::new(TAKEN), Receiver::new(TAKEN));
    let crowd = server(&format!(
        "member_webhooks = \"any\"\nalert_webhook_url = \"{}\"",
        operator.url("/hunter2")
    ));
    let (local, at) = at_door();
    let mark = crowd.server.log().mark();
    let _one = crowd.client("one", &member(at, &members.url("/hunter2")));
    healthy(&crowd, mark);
    let _two = crowd.client("two", &member(at, &members.url("/hunter2")));
    crowd
        .server
        .wait_for("member is healthy service=web .. healthy=2 members=2");
    let mark = crowd.server.log().mark();
    drop(local);
    crowd.server.wait_for("group has no healthy member");
    eventually("both are told", PATIENCE, || {
        !operator.requests().is_empty() && !members.requests().is_empty()
    });
    assert_eq!(visitor::end(&visitor::connect(crowd.at(20_000))), visitor::End::Closed);
    // Well again, and gone again: one more each.
    let local = Local::serve_at(at, |_| {});
    healthy(&crowd, mark);
    let mark = crowd.server.log().mark();
    drop(local);
    crowd.server.log().wait_after(mark, "group has no healthy member");
    eventually("both are told again", PATIENCE, || {
        operator.requests().len() > 1 && members.requests().len() > 1
    });
    assert_eq!((operator.requests().len(), members.requests().len()), (2, 2));

    let request = &operator.requests()[0];
    let (head, body) = request.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("POST /hunter2 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("Content-Type: application/json"), "{head}");
    assert_eq!(members.requests()[0].split_once("\r\n\r\n").expect("a body").1, body);
    let json = Json::parse(body);
    let text = |key: &str| json.get(key).text().to_owned();
    assert_eq!(text("event"), "group_zero_healthy");
    assert_eq!(
        (text("region_id"), text("protocol"), text("label")),
        ("here".into(), "tcp".into(), "20000".into())
    );
    assert_eq!(
        (text("group_name"), text("key_hash_short")),
        ("po\"ol".into(), "d3046ecc".into())
    );
    assert_eq!(json.get("member_count").number(), 2.0);
    assert!(
        text("at").ends_with("+00:00") && text("at").len() == 25,
        "{}",
        text("at")
    );
    assert_eq!(body.matches("\":").count(), 8);
    assert!(!crowd.server.log().text().contains("hunter2"));
}

#[test]
fn a_receiver_behind_https_is_told_if_its_certificate_is_good() {
    let has_tls = Transport::available().any(|transport| transport == Transport::Tls);
    let (true, Some(nginx)) = (has_tls, find("nginx", "nginx")) else {
        return;
    };
    let (dir, receiver, ip) = (TempDir::new(), Receiver::new(TAKEN), address::own());
    certificates::authority(dir.path(), "ca");
    certificates::issue(dir.path(), "ca", "good", &format!("IP:{ip}"));
    certificates::issue(dir.path(), "ca", "bad", "DNS:elsewhere.test");
    let fronts = address::free_ports(ip, 2);
    let front = |at: SocketAddr, name: &str| {
        let to = receiver.address();
        format!(
            "server {{ listen {at} ssl; ssl_certificate {name}.pem; ssl_certificate_key {name}.key;
             location / {{ proxy_pass http://{to}; }} }}"
        )
    };
    let config = format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr warn;
         events {{ worker_connections 64; }}
         http {{
             access_log off; proxy_temp_path temporary; client_body_temp_path temporary;
             fastcgi_temp_path temporary; uwsgi_temp_path temporary; scgi_temp_path temporary;
             {} {}
         }}\n",
        front(fronts[0], "good"),
        front(fronts[1], "bad")
    );
    let mut command = Command::new(nginx);
    let file = dir.write("nginx.conf", config);
    command.arg("-p").arg(dir.path()).args(["-e", "stderr", "-c"]).arg(file);
    let _nginx = Process::start("nginx", command);
    eventually("nginx listens", PATIENCE, || !visitor::is_refused(fronts[1]));

    let roots = dir.path().join("ca.pem");
    let balancing = format!(
        "member_webhooks = \"any\"\nalert_webhook_url = \"https://{}/hunter2\"",
        fronts[0]
    );
    let crowd = Crowd::with_variables(&text(&balancing), &[("SSL_CERT_FILE", roots.to_str().expect("ASCII"))]);
    let (local, at) = at_door();
    let mark = crowd.server.log().mark();
    let _client = crowd.client("client", &member(at, &format!("https://{}/hunter2", fronts[1])));
    healthy(&crowd, mark);
    drop(local);
    eventually("it is told", PATIENCE, || !receiver.requests().is_empty());
    crowd.server.wait_for("alert is lost url=https://127. .. certificate");
    let requests = receiver.requests();
    assert!(requests[0].starts_with("POST /hunter2 ") && requests[0].contains("\"group_zero_healthy\""));
    assert_eq!(requests.len(), 1);
    assert!(!crowd.server.log().text().contains("hunter2"));
}

#[test]
fn the_departure_of_the_last_healthy_member_is_told() {
    let operator = Receiver::new(TAKEN);
    let crowd = server(&format!("alert_webhook_url = \"{}\"", operator.url("/")));
    let (_local, at) = at_door();
    let mark = crowd.server.log().mark();
    let mut one = crowd.client("one", &member(at, ""));
    healthy(&crowd, mark);
    let nobody = rig::address::free_port(rig::address::own());
    let two = crowd.client("two", &member(nobody, ""));
    two.wait_for("service is registered service=web ");
    one.kill();
    eventually("it is told", PATIENCE, || !operator.requests().is_empty());
    assert!(operator.requests()[0].contains("\"member_count\":1"));
    drop(two);
    crowd.server.wait_for("service is down service=web ");
    // Who leaves last tells of it only if it was well: the first one here was not.
    let mark = crowd.server.log().mark();
    let mut three = crowd.client("three", &member(at, ""));
    healthy(&crowd, mark);
    three.kill();
    eventually("it is told", PATIENCE, || operator.requests().len() > 1);
    let requests = operator.requests();
    assert!(requests[1].contains("\"member_count\":0") && requests.len() == 2);
}

#[test]
fn a_group_that_never_was_public_does_not_fall() {
    let operator = Receiver::new(TAKEN);
    let lines = text(&format!("alert_webhook_url = \"{}\"", operator.url("/")));
    let crowd = Crowd::with_variables(&lines, &[("RUST_LOG", "debug")]);
    let _held = std::net::TcpListener::bind(crowd.at(20_000)).expect("a free port");
    // Without a check it is healthy from the start.
    let (_local, at) = at_door();
    let lines = member(at, "");
    let lines: Vec<_> = lines.lines().filter(|line| !line.starts_with("health_check")).collect();
    let _client = crowd.client("client", &lines.join("\n"));
    let refused = "server: registration is refused service=web .. port 20000 is taken";
    let mark = crowd.server.log().mark();
    crowd.server.log().wait_after(mark, refused);
    // Asked once more, it has been through all of that.
    let mark = crowd.server.log().mark();
    crowd.server.log().wait_after(mark, refused);
    assert!(crowd.server.log().all("group has no healthy member").is_empty());
    assert!(operator.requests().is_empty());
}

#[test]
fn a_member_does_not_reach_into_the_servers_network() {
    let inner = Receiver::new(TAKEN);
    let crowd = server("");
    let (local, at) = at_door();
    let mark = crowd.server.log().mark();
    let _client = crowd.client("client", &member(at, &inner.url("/hunter2")));
    healthy(&crowd, mark);
    drop(local);
    crowd
        .server
        .wait_for("alert is lost url=http://127. .. it is not at a public address");
    assert!(inner.requests().is_empty());
    assert!(!crowd.server.log().text().contains("hunter2"));
}

#[test]
fn a_member_does_not_reach_the_server_itself() {
    let Some(world) = World::new() else { return };
    let ip = "9.9.9.9";
    world.ip(&world.world, &format!("address add {ip}/32 dev lo"));
    world.world.inside(|| {
        let inner = Local::serve_on(ip.parse().expect("an address"), |_| {});
        let crowd = server("");
        let (local, at) = at_door();
        let mark = crowd.server.log().mark();
        let _client = crowd.client("client", &member(at, &format!("http://{}/", inner.address())));
        healthy(&crowd, mark);
        drop(local);
        crowd
            .server
            .wait_for("alert is lost url=http://9.9.9.9 .. it is not at a public address of another machine");
    });
}

#[test]
fn a_receiver_that_hangs_or_fails_delays_nobody() {
    let (silent, angry) = (Receiver::new(""), Receiver::new("HTTP/1.1 500 No\r\n\r\n"));
    let crowd = server(&format!(
        "member_webhooks = \"any\"\nalert_webhook_url = \"{}\"",
        silent.url("/")
    ));
    let (local, at) = at_door();
    let mark = crowd.server.log().mark();
    let _client = crowd.client("client", &member(at, &angry.url("/")));
    healthy(&crowd, mark);
    let mark = crowd.server.log().mark();
    drop(local);
    eventually("the silent one is told", PATIENCE, || !silent.requests().is_empty());
    // All goes on while it hangs.
    let local = Local::serve_at(at, |mut stream| drop(stream.write_all(b"hello")));
    healthy(&crowd, mark);
    let mut words = String::new();
    let mut stream = visitor::connect(crowd.at(20_000));
    stream.read_to_string(&mut words).expect("an answer");
    assert_eq!(words, "hello");
    crowd
        .server
        .wait_for("alert was not taken url=http://127. .. status=500");
    let lost = "alert is lost url=http://127. .. no answer in 5 s";
    crowd.server.wait_for(lost);
    // Until the next fall, which is told to its end, nothing was tried again.
    let mark = crowd.server.log().mark();
    drop(local);
    crowd.server.log().wait_after(mark, lost);
    assert_eq!((silent.requests().len(), angry.requests().len()), (2, 2));
}

#[test]
fn the_end_of_the_server_and_the_end_of_balancing_are_no_falls() {
    let operator = Receiver::new(TAKEN);
    let url = format!("alert_webhook_url = \"{}\"", operator.url("/"));
    let mut crowd = server(&url);
    let (_local, at) = at_door();
    let mark = crowd.server.log().mark();
    // At any port: the one that it has alone stays taken until its older link has let go of it.
    let client = crowd.client(
        "client",
        &member(at, "").replace("remote_port = 20000", "remote_port = 0"),
    );
    healthy(&crowd, mark);
    let (mark, alone) = (client.log().mark(), crowd.server.log().mark());
    crowd.reload(&text(&url).replace("enabled = true", "enabled = false"));
    client.log().wait_after(mark, "service is registered service=web ");
    healthy(&crowd, alone);
    let mark = crowd.server.log().mark();
    crowd.reload(&text(&url));
    healthy(&crowd, mark);
    crowd.server.signal(rig::Signal::Terminate);
    crowd.server.exit();
    assert!(crowd.server.log().all("group has no healthy member").is_empty());
    assert!(operator.requests().is_empty());
}
