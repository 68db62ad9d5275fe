//! `[*.transport.tls]` and `[*.transport.websocket]`. Files are read here, and all of it is tried out, so that what is
//! wrong with a certificate is said at the start and not when the first link comes.

use super::build::Section;
use super::errors::Faults;
use super::{File, Group, Identity, Input, Role, Tls, Transport, TransportKind, Websocket, require, secret};
use crate::link::Unfit;
use crate::proto::End;

/// What `section` says of `transport`, which is one of the two.
pub(super) fn fill(transport: &mut Transport, section: &Section<'_>, role: Role, faults: &mut Faults<'_>) {
    if transport.kind == TransportKind::Websocket {
        transport.websocket = websocket(&section.section("websocket"), faults);
    }
    if transport.kind == TransportKind::Tls || transport.websocket.tls {
        transport.tls = tls(&section.section("tls"), role, faults);
    }
}

fn websocket(section: &Section<'_>, faults: &mut Faults<'_>) -> Websocket {
    let mut websocket = Websocket {
        tls: section.flag("tls"),
        path: section.text("path").map(str::to_owned),
        headers: Vec::new(),
    };
    if let (true, Err(text)) = (websocket.tls, require(Group::Transport, "tls")) {
        section.wrong("tls", &format!("true cannot be used: {text}"), faults);
        websocket.tls = false;
    }
    for (key, value) in section.section("headers").entries() {
        let value = value.get_ref().as_str().unwrap_or_default();
        websocket.headers.push((key.name.to_owned(), value.into()));
    }
    websocket
}

fn tls(section: &Section<'_>, role: Role, faults: &mut Faults<'_>) -> Tls {
    match role {
        Role::Server => Tls {
            identity: server_identity(section, faults),
            client_ca: file(section, "tls.client_ca", faults),
            ..Tls::default()
        },
        Role::Client => Tls {
            hostname: section.text("hostname").map(str::to_owned),
            trusted_root: file(section, "tls.trusted_root", faults),
            identity: pem(section, "tls.client_certificate", "tls.client_private_key", faults),
            client_ca: None,
        },
    }
}

fn server_identity(section: &Section<'_>, faults: &mut Faults<'_>) -> Option<Identity> {
    let has = |key| section.text(key).is_some();
    let has_pem = has("certificate") || has("private_key");
    if has_pem && has("pkcs12") {
        let text = "stands beside `certificate`; a server shows one certificate, from here or from there";
        section.wrong("pkcs12", text, faults);
    }
    if !has_pem && !has("pkcs12") {
        let text = "has no certificate for the server; set `certificate` and `private_key`, or `pkcs12`";
        faults.missing(section.path.at, &section.path, text);
    }
    if has_pem {
        return pem(section, "tls.certificate", "tls.private_key", faults);
    }
    let password = section.text("pkcs12_password").unwrap_or_default();
    file(section, "tls.pkcs12", faults).map(|file| Identity::Pkcs12(file, password.into()))
}

/// Both keys, or neither.
fn pem(
    section: &Section<'_>,
    certificate: &'static str,
    private_key: &'static str,
    faults: &mut Faults<'_>,
) -> Option<Identity> {
    let files = (file(section, certificate, faults), file(section, private_key, faults));
    let [certificate, private_key] = [certificate, private_key].map(name);
    let (there, absent) = match [certificate, private_key].map(|key| section.has(key)) {
        [true, false] => (certificate, private_key),
        [false, true] => (private_key, certificate),
        _ => return Some(Identity::Pem(files.0?, files.1?)),
    };
    let text = format!("is missing; {} needs it", section.path.key(there, 0));
    faults.missing(section.at_value(there), &section.path.key(absent, 0), &text);
    None
}

/// What is in the file that `key` (below `transport`) names.
fn file(section: &Section<'_>, key: &'static str, faults: &mut Faults<'_>) -> Option<File> {
    let path = faults.source.beside(section.text(name(key))?);
    let read = secret::read_whole(&path);
    let is_secret = matches!(name(key), "private_key" | "client_private_key" | "pkcs12");
    faults.inputs.push(Input { path, is_secret });
    let wrong = |text: String| section.wrong_value(name(key), &text, faults);
    read.map_err(wrong).ok().map(|bytes| File { key, bytes })
}

/// Whether links can be protected as `transport` says.
pub(super) fn check(transport: &Transport, section: &Section<'_>, role: Role, faults: &mut Faults<'_>) {
    let end = match role {
        Role::Server => End::Server,
        Role::Client => End::Client,
    };
    if let Err(Unfit { key, text }) = crate::transport::setup(transport, end) {
        match key.split_once('.') {
            Some((table, key)) => section.section(table).wrong_value(key, &text, faults),
            None => section.wrong_value(key, &text, faults),
        }
    }
}

fn name(key: &'static str) -> &'static str {
    key.rsplit('.').next().unwrap_or(key)
}
