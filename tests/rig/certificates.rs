//! Certificates as people make them, with the real openssl: made anew for each test, so that none can expire.

use std::fs;
use std::path::{Path, PathBuf};

use super::program;

/// Where openssl is; without it the calling test is skipped.
pub fn openssl() -> Option<PathBuf> {
    program::find("openssl", "openssl")
}

/// An authority `NAME.pem` with its key `NAME.key` in `dir`.
#[track_caller]
pub fn authority(dir: &Path, name: &str) {
    make(dir, name, "basicConstraints = critical, CA:TRUE", &["-days", "30"]);
}

/// An authority that `over` has signed.
#[track_caller]
pub fn authority_under(dir: &Path, over: &str, name: &str) {
    let (pem, key) = (format!("{over}.pem"), format!("{over}.key"));
    let options = ["-CA", &pem, "-CAkey", &key, "-days", "30"];
    make(dir, name, "basicConstraints = critical, CA:TRUE", &options);
}

/// `NAME.pem` and `NAME.key` in `dir`, signed by `authority`, for `names` such as `DNS:a, IP:::1`.
#[track_caller]
pub fn issue(dir: &Path, authority: &str, name: &str, names: &str) {
    let (pem, key) = (format!("{authority}.pem"), format!("{authority}.key"));
    let extensions = format!("basicConstraints = critical, CA:FALSE\nsubjectAltName = {names}");
    make(dir, name, &extensions, &["-CA", &pem, "-CAkey", &key, "-days", "30"]);
}

/// The same, but it was valid for a day of 2020 alone.
#[track_caller]
pub fn issue_expired(dir: &Path, authority: &str, name: &str, names: &str) {
    issue_between(dir, authority, name, names, ["20200101000000Z", "20200102000000Z"]);
}

/// The same, valid from one time to another. Only `openssl ca` makes such a one.
#[track_caller]
pub fn issue_between(dir: &Path, authority: &str, name: &str, names: &str, [from, to]: [&str; 2]) {
    issue(dir, authority, name, names);
    let (pem, request, out) = (format!("{authority}.pem"), format!("{name}.csr"), format!("{name}.pem"));
    let (key, own_key) = (format!("{authority}.key"), format!("{name}.key"));
    let subject = format!("/CN={name}");
    run(
        dir,
        &["req", "-new", "-key", &own_key, "-subj", &subject, "-out", &request],
    );
    let config = format!(
        "[ca]\ndefault_ca = d\n[d]\ndatabase = index.txt\nserial = serial\nnew_certs_dir = .\ndefault_md = sha256\npolicy = p\n\
         x509_extensions = ext\n[p]\ncommonName = supplied\n[ext]\nsubjectAltName = {names}\n"
    );
    fs::write(dir.join("ca.cnf"), config).expect("a file for openssl");
    for (name, text) in [("index.txt", ""), ("serial", "01")] {
        fs::write(dir.join(name), text).expect("a file for openssl");
    }
    let files = [
        "-config", "ca.cnf", "-cert", &pem, "-keyfile", &key, "-in", &request, "-out", &out,
    ];
    let dates = ["-startdate", from, "-enddate", to];
    run(dir, &[&["ca", "-batch", "-notext"], &files[..], &dates].concat());
}

/// What `openssl req -x509` makes for `names` if left alone: a certificate that is its own authority.
#[track_caller]
pub fn self_signed(dir: &Path, name: &str, names: &str) {
    let extensions = format!("basicConstraints = critical, CA:TRUE\nsubjectAltName = {names}");
    make(dir, name, &extensions, &["-days", "30"]);
}

/// An authority `ca` and a certificate `server` of it for `server.test`.
#[track_caller]
pub fn usual(dir: &Path) {
    authority(dir, "ca");
    issue(dir, "ca", "server", "DNS:server.test");
}

#[track_caller]
fn make(dir: &Path, name: &str, extensions: &str, options: &[&str]) {
    let config = format!("[req]\ndistinguished_name = dn\nprompt = no\n[dn]\nCN = {name}\n[ext]\n{extensions}\n");
    fs::write(dir.join("openssl.cnf"), config).expect("a file for openssl");
    let (pem, key) = (format!("{name}.pem"), format!("{name}.key"));
    let files = [
        "-config",
        "openssl.cnf",
        "-extensions",
        "ext",
        "-keyout",
        &key,
        "-out",
        &pem,
    ];
    let kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    run(dir, &[&["req", "-x509"], &kind[..], &files[..], options].concat());
}

/// Runs openssl in `dir`.
#[track_caller]
pub fn run(dir: &Path, arguments: &[&str]) {
    let openssl = openssl().expect("openssl, which was there before");
    let mut command = std::process::Command::new(openssl);
    let output = program::output(command.current_dir(dir).args(arguments));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {errors}");
}
