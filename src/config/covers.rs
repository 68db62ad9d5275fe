//! `[*.transport.tls]` and `[*.transport.websocket]`. Files are read here, and all of it is tried out, so that what is
//! wrong with a certificate is said at the start and not when the first link comes.

use super::build::Section;
use super::errors::Faults;
use super::{
    File, Group, Identity, Input, Role, Secret, Tls, Transport, TransportKind, Websocket, keys, require, secret,
};
use crate::link::Unfit;
use crate::proto::End;

pub(super) fn websocket(transport: &Section<'_>, kind: TransportKind, faults: &mut Faults<'_>) -> Option<Websocket> {
    let section = transport.section("websocket");
    if kind != TransportKind::Websocket {
        return Some(Websocket::default());
    }
    let tls = section.flag("tls")?;
    if let (true, Err(text)) = (tls, require(Group::Transport, "tls")) {
        faults.wrong(
            section.at_value("tls"),
            &section.key("tls"),
            &format!("true cannot be used: {text}"),
        );
        return None;
    }
    let headers = section.section("headers");
    Some(Websocket {
        tls,
        path: section.text("path").map(str::to_owned),
        headers: headers
            .texts()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect(),
    })
}

pub(super) fn tls(transport: &Section<'_>, role: Role, faults: &mut Faults<'_>) -> Option<Tls> {
    let section = &transport.section("tls");
    match role {
        Role::Server => Some(Tls {
            identity: Some(server_identity(section, faults)?),
            client_ca: file(section, "tls.client_ca", faults)?,
            ..Tls::default()
        }),
        Role::Client => Some(Tls {
            hostname: section.text("hostname").map(str::to_owned),
            trusted_root: file(section, "tls.trusted_root", faults)?,
            identity: pem(section, "tls.client_certificate", "tls.client_private_key", faults)?,
            client_ca: None,
        }),
    }
}

fn server_identity(section: &Section<'_>, faults: &mut Faults<'_>) -> Option<Identity> {
    let pem = pem(section, "tls.certificate", "tls.private_key", faults)?;
    let pkcs12 = file(section, "tls.pkcs12", faults)?;
    match (pem, pkcs12) {
        (Some(pem), None) => Some(pem),
        (None, Some(file)) => Some(Identity::Pkcs12(
            file,
            Secret::from(section.text("pkcs12_password").unwrap_or_default()),
        )),
        (Some(_), Some(_)) => {
            let text = "stands beside `certificate`; a server shows one certificate, from here or from there";
            faults.wrong(section.at_value("pkcs12"), &section.key("pkcs12"), text);
            None
        }
        (None, None) => {
            let text = "has no certificate for the server; set `certificate` and `private_key`, or `pkcs12`";
            faults.missing(section.at, &keys::display(&section.path), text);
            None
        }
    }
}

/// Inner `None`: neither key is there.
fn pem(
    section: &Section<'_>,
    certificate: &'static str,
    private_key: &'static str,
    faults: &mut Faults<'_>,
) -> Option<Option<Identity>> {
    match (file(section, certificate, faults)?, file(section, private_key, faults)?) {
        (Some(certificate), Some(key)) => Some(Some(Identity::Pem(certificate, key))),
        (None, None) => Some(None),
        (found, _) => {
            let (there, absent) = if found.is_some() {
                (certificate, private_key)
            } else {
                (private_key, certificate)
            };
            let text = format!("is missing; {} needs it", section.key(name(there)));
            faults.missing(section.at_value(name(there)), &section.key(name(absent)), &text);
            None
        }
    }
}

/// What is in the file that `key` (below `transport`) names. Inner `None`: the key is not there.
fn file(section: &Section<'_>, key: &'static str, faults: &mut Faults<'_>) -> Option<Option<File>> {
    let Some(path) = section.text(name(key)) else {
        return Some(None);
    };
    let path = faults.source.beside(path);
    let read = secret::read_whole(&path);
    let is_secret = matches!(name(key), "private_key" | "client_private_key" | "pkcs12");
    faults.inputs.push(Input { path, is_secret });
    let wrong = |text: String| wrong(section, name(key), &text, faults);
    read.map_err(wrong).ok().map(|bytes| Some(File { key, bytes }))
}

/// Whether links can be protected as `transport` says.
pub(super) fn check(transport: &Transport, role: Role, section: &Section<'_>, faults: &mut Faults<'_>) -> Option<()> {
    let end = match role {
        Role::Server => End::Server,
        Role::Client => End::Client,
    };
    let Err(Unfit { key, text }) = crate::transport::setup(transport, end) else {
        return Some(());
    };
    match key.split_once('.') {
        Some((table, key)) => wrong(&section.section(table), key, &text, faults),
        None => wrong(section, key, &text, faults),
    }
    None
}

fn wrong(section: &Section<'_>, key: &str, text: &str, faults: &mut Faults<'_>) {
    let shown = section.shown(key, faults);
    faults.wrong(section.at_value(key), &section.key(key), &format!("{shown}{text}"));
}

fn name(key: &'static str) -> &'static str {
    key.rsplit('.').next().unwrap_or(key)
}
