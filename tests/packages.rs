//! The packages that `scripts/package` makes: their members, owners and modes, the same bytes each time; the Debian one
//! really installed.

mod rig;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rig::{Role, TempDir, program};

/// Seconds; when everything in the packages was made.
const EPOCH: &str = "1700000000";

/// Programs to pack, and what became of them.
struct Depot {
    dir: TempDir,
}

impl Depot {
    /// With a program for each target in `names`, which nobody runs.
    fn with(names: &[&str]) -> Depot {
        let depot = Depot { dir: TempDir::new() };
        for name in names {
            for profile in ["router", "client", "full"] {
                let folder = depot.dir.path().join("dist").join(profile).join(name);
                fs::create_dir_all(&folder).expect("a folder");
                let text = format!("#!/bin/sh\necho {profile} of {name}\n");
                fs::write(folder.join("pinhole"), text).expect("a program");
            }
        }
        depot
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/package"));
        command
            .args(arguments)
            .env("CARGO_TARGET_DIR", self.dir.path())
            .env("SOURCE_DATE_EPOCH", EPOCH);
        command
    }

    /// Packs, and gives where.
    fn pack(&self, arguments: &[&str]) -> PathBuf {
        let output = program::output(&mut self.command(arguments));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        self.dir.path().join("dist/packages")
    }
}

/// Runs a line of shell in `folder`.
#[track_caller]
fn shell(folder: &Path, line: &str) -> String {
    let mut command = Command::new("sh");
    command.args(["-euc", line]).current_dir(folder).env("TZ", "UTC");
    let output = program::output(&mut command);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Mode, owner and name of each member of a tar archive that `line` writes.
#[track_caller]
fn members(folder: &Path, line: &str) -> Vec<String> {
    let list = shell(folder, &format!("{line} | tar --numeric-owner --full-time -tvf -"));
    let member = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[3..5], ["2023-11-14", "22:13:20"], "{line}");
        format!("{} {} {}", words[0], words[1], words[5])
    };
    list.lines().map(member).collect()
}

#[test]
fn an_ipk_is_what_opkg_takes() {
    let folder = Depot::with(&["mips-24kc"]);
    let folder = folder.pack(&["mips-24kc", "--only", "opkg"]).join("opkg/mips_24kc");
    let file = "pinhole_0.1.0-r1_mips_24kc.ipk";
    assert_eq!(
        members(&folder, &format!("gzip -dc {file}")),
        [
            "-rw-r--r-- 0/0 ./debian-binary",
            "-rw-r--r-- 0/0 ./data.tar.gz",
            "-rw-r--r-- 0/0 ./control.tar.gz",
        ]
    );
    assert_eq!(
        members(&folder, &format!("tar -xOzf {file} ./data.tar.gz | gzip -dc")),
        [
            "drwxr-xr-x 0/0 ./",
            "drwxr-xr-x 0/0 ./etc/",
            "drwxr-xr-x 0/0 ./etc/config/",
            "-rw------- 0/0 ./etc/config/pinhole",
            "drwxr-xr-x 0/0 ./etc/init.d/",
            "-rwxr-xr-x 0/0 ./etc/init.d/pinhole",
            "drwxr-xr-x 0/0 ./etc/pinhole/",
            "drwxr-xr-x 0/0 ./lib/",
            "drwxr-xr-x 0/0 ./lib/upgrade/",
            "drwxr-xr-x 0/0 ./lib/upgrade/keep.d/",
            "-rw-r--r-- 0/0 ./lib/upgrade/keep.d/pinhole",
            "drwxr-xr-x 0/0 ./usr/",
            "drwxr-xr-x 0/0 ./usr/bin/",
            "-rwxr-xr-x 0/0 ./usr/bin/pinhole",
        ]
    );
    assert_eq!(
        members(&folder, &format!("tar -xOzf {file} ./control.tar.gz | gzip -dc")),
        [
            "drwxr-xr-x 0/0 ./",
            "-rw-r--r-- 0/0 ./conffiles",
            "-rw-r--r-- 0/0 ./control",
            "-rwxr-xr-x 0/0 ./postinst",
            "-rwxr-xr-x 0/0 ./prerm",
        ]
    );
    let control = |name: &str| {
        let line = format!("tar -xOzf {file} ./control.tar.gz | tar -xOzf - ./{name}");
        shell(&folder, &line)
    };
    assert_eq!(shell(&folder, &format!("tar -xOzf {file} ./debian-binary")), "2.0\n");
    assert_eq!(control("conffiles"), "/etc/config/pinhole\n");
    let text = control("control");
    for line in [
        "Package: pinhole",
        "Version: 0.1.0-r1",
        "Conflicts: pinhole-client",
        "Provides: pinhole-any",
        "Require-User: pinhole:pinhole",
        "Architecture: mips_24kc",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    shell(
        &folder,
        &format!("tar -xOzf {file} ./control.tar.gz | tar -xzf - ./postinst ./prerm"),
    );
    assert_eq!(obeyed(&folder, "postinst configure"), "start ./postinst configure \n");
    assert_eq!(obeyed(&folder, "prerm"), "stop ./prerm\n");
}

#[test]
fn a_feed_has_each_flavour_for_each_architecture_and_an_index() {
    let depot = Depot::with(&["mipsel-24kc"]);
    let packages = depot.pack(&["mipsel-24kc", "--only", "opkg"]);
    for arch in ["mipsel_24kc", "mipsel_74kc"] {
        let folder = packages.join("opkg").join(arch);
        let index = fs::read_to_string(folder.join("Packages")).expect("an index");
        assert_eq!(index, shell(&folder, "gzip -dc Packages.gz"));
        for (name, other) in [("pinhole", "pinhole-client"), ("pinhole-client", "pinhole")] {
            let file = format!("{name}_0.1.0-r1_{arch}.ipk");
            let stanza = index
                .split("\n\n")
                .find(|stanza| stanza.starts_with(&format!("Package: {name}\n")))
                .expect("a stanza");
            let sum = shell(&folder, &format!("sha256sum {file}"));
            let size = fs::metadata(folder.join(&file)).expect("a package").len();
            let place = format!(
                "Filename: {file}\nSize: {size}\nSHA256sum: {}\nDescription: ",
                sum.split(' ').next().unwrap_or_default()
            );
            assert!(stanza.contains(&place), "{place}: {stanza}");
            assert!(stanza.contains(&format!("Conflicts: {other}\n")), "{stanza}");
            let flavour = shell(
                &folder,
                &format!("tar -xOzf {file} ./data.tar.gz | tar -xOzf - ./usr/bin/pinhole"),
            );
            let profile = if name == "pinhole" { "router" } else { "client" };
            assert!(flavour.contains(&format!("echo {profile} of mipsel-24kc")), "{flavour}");
        }
    }
}

#[test]
fn the_same_program_gives_the_same_bytes() {
    let sums = || {
        let depot = Depot::with(&["x86_64", "armv7hf"]);
        let packages = depot.pack(&[
            "x86_64",
            "armv7hf",
            "--only",
            "opkg",
            "--only",
            "deb",
            "--only",
            "container",
            "--only",
            "feed",
        ]);
        shell(&packages, "find . -type f | sort | xargs sha256sum")
    };
    let first = sums();
    assert_eq!(first, sums());
    for name in [
        "./opkg/arm_cortex-a9_vfpv3-d16/pinhole-client_0.1.0-r1_arm_cortex-a9_vfpv3-d16.ipk",
        "./opkg/x86_64/Packages",
        "./deb/pinhole_0.1.0-1_amd64.deb",
        "./container/linux/amd64/pinhole",
        "./container/linux/arm/v7/pinhole",
        "./container/Containerfile",
        "./feed/net/pinhole/Makefile",
        "./feed/net/pinhole/test.sh",
        "./feed/net/pinhole/files/pinhole.init",
    ] {
        assert!(
            first.lines().any(|line| line.ends_with(name)),
            "{name} is missing: {first}"
        );
    }
}

/// apk is in no Debian: what it is given is looked at. The real one takes it.
#[test]
fn apk_is_given_what_openwrt_gives_it() {
    let depot = Depot::with(&["aarch64"]);
    depot.dir.write("apk", APK);
    shell(depot.dir.path(), "chmod 755 apk");
    let path = format!(
        "{}:{}",
        depot.dir.path().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let mut command = depot.command(&["aarch64", "--only", "apk", "--apk-key", "LICENSE"]);
    let output = program::output(command.env("PATH", path).env("DEPOT", depot.dir.path()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = fs::read_to_string(depot.dir.path().join("told")).expect("what apk was told");
    for words in [
        "mkpkg --info name:pinhole --info version:0.1.0-r1 --info arch:aarch64_cortex-a53 ",
        "--info provides:pinhole-any --info depends:!pinhole-client --script post-install:",
        "mkpkg --info name:pinhole-client --info version:0.1.0-r1 --info arch:aarch64_generic ",
        "/LICENSE --output packages.adb ./pinhole-0.1.0-r1.apk ./pinhole-client-0.1.0-r1.apk",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let list = shell(
        depot.dir.path(),
        "tar -xOf pinhole-client.tar ./lib/apk/packages/pinhole-client.list",
    );
    assert_eq!(
        list,
        "/etc/config/pinhole\n/etc/init.d/pinhole\n/lib/upgrade/keep.d/pinhole\n/usr/bin/pinhole\n"
    );
    assert_eq!(
        obeyed(depot.dir.path(), "post-install"),
        "users pinhole-client\nstart pinhole-client \n"
    );
    assert_eq!(
        obeyed(depot.dir.path(), "post-upgrade"),
        "users pinhole-client\nstart pinhole-client 1\n"
    );
    assert_eq!(obeyed(depot.dir.path(), "pre-deinstall"), "stop pinhole-client\n");
    shell(
        depot.dir.path(),
        "tar -tf pinhole.tar | grep -x ./lib/apk/packages/pinhole.conffiles_static",
    );
}

/// What a script of a package makes of OpenWrt's functions.
#[track_caller]
fn obeyed(folder: &Path, script: &str) -> String {
    let functions = "mkdir -p lib; cat >lib/functions.sh <<'END'
add_group_and_user() { echo \"users $pkgname\"; }
default_postinst() { echo \"start ${pkgname:-$*} $PKG_UPGRADE\"; }
default_prerm() { echo \"stop ${pkgname:-$*}\"; }
END";
    shell(folder, functions);
    shell(folder, &format!("IPKG_INSTROOT=$PWD sh ./{script}"))
}

/// Stands in for apk: writes down what it is told, and keeps what it is given.
const APK: &str = r#"#!/bin/sh
[ "$1" != --version ] || { echo "apk-tools 3.0.5, compiled for test."; exit; }
echo "$*" >>"$DEPOT/told"
while [ $# -gt 0 ]; do
    case "$1" in
        --info) case "$2" in name:*) name=${2#name:} ;; esac ;;
        --files) tar -C "$2" -cf "$DEPOT/$name.tar" . ;;
        --script) cp "${2#*:}" "$DEPOT/${2%%:*}" ;;
        --output) : >"$2" ;;
    esac
    shift
done
"#;

#[test]
fn what_is_missing_is_said() {
    let depot = Depot::with(&[]);
    for (arguments, words) in [
        (
            &["x86_64", "--only", "opkg"][..],
            "scripts/build x86_64 --profile router",
        ),
        (&["x86_64", "--only", "deb"], "scripts/build x86_64 --profile full"),
        (&["nowhere"], "Usage: scripts/package"),
        (&["x86_64", "--only", "rpm"], "Usage: scripts/package"),
    ] {
        let output = program::output(&mut depot.command(arguments));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && errors.contains(words),
            "{arguments:?}: {errors}"
        );
    }
}

#[test]
fn the_feeds_test_asks_what_the_program_answers() {
    let test = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/package.d/openwrt/test.sh");
    let dir = TempDir::new();
    let pinhole = rig::pinhole(Role::Client);
    let program = fs::canonicalize(pinhole.get_program()).expect("the program");
    std::os::unix::fs::symlink(program, dir.path().join("pinhole")).expect("a link");
    for (version, is_right) in [(env!("CARGO_PKG_VERSION"), true), ("0.0.0", false)] {
        let line = format!("PATH=\"$PWD:$PATH\"; ! sh {test} pinhole-client {version} || echo right");
        assert_eq!(shell(dir.path(), &line).contains("right"), is_right);
    }
}

#[test]
fn the_shipped_configurations_are_right() {
    for name in ["client", "server"] {
        let file = format!("{}/scripts/package.d/debian/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let mut command = rig::pinhole(Role::Client);
        let output = program::output(command.args(["check", &file]));
        let words = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(words.contains(&format!("ok ({name}, 1 service)")), "{words}");
    }
}

#[test]
fn systemd_takes_the_units() {
    let Some(_) = program::find("systemd-analyze", "systemd") else {
        return;
    };
    let units = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/package.d/debian");
    let dir = TempDir::new();
    let bin = dir.path().join("usr/bin");
    fs::create_dir_all(&bin).expect("a folder");
    let line = format!(
        "cp {units}/pinhole@.service pinhole@client.service
         sed -i \"s|=pinhole |=$PWD/usr/bin/pinhole |\" pinhole@client.service
         printf '#!/bin/sh\\n' >usr/bin/pinhole; chmod 755 usr/bin/pinhole
         systemd-analyze verify --man=no ./pinhole@client.service 2>&1 | grep pinhole || true
         systemd-analyze security --offline=true --threshold=20 ./pinhole@client.service | tail -n 1"
    );
    let words = shell(dir.path(), &line);
    assert!(words.contains("OK") && words.lines().count() == 1, "{words}");
}

/// A Debian that has what the package's scripts use; `None`: nobody may make one here.
fn debian() -> Option<TempDir> {
    if !program::is_root() {
        program::skip("a throwaway Debian needs root");
        return None;
    }
    program::find("dpkg", "dpkg")?;
    let root = TempDir::new();
    let line = "mkdir -p etc tmp var/lib/dpkg/info var/lib/dpkg/updates dev usr/bin usr/sbin usr/lib usr/lib64
        for name in bin sbin lib lib64; do ln -s usr/$name $name; done
        touch var/lib/dpkg/status etc/passwd etc/gshadow etc/login.defs dev/null
        echo root:x:0: >etc/group; printf 'group: files\\n' >etc/nsswitch.conf
        for name in sh getent groupadd stat chgrp rm; do
            file=$(command -v $name); cp -L \"$file\" \"usr/bin/$name\"
            for library in $(ldd \"$file\" | grep -o '/[^ ]*'); do
                mkdir -p \".$(dirname \"$library\")\"; cp -L \"$library\" \".$library\"
            done
        done";
    shell(root.path(), line);
    Some(root)
}

#[test]
fn the_deb_installs_upgrades_and_goes() {
    let Some(root) = debian() else { return };
    let depot = Depot::with(&["x86_64"]);
    let package = depot
        .pack(&["x86_64", "--only", "deb"])
        .join("deb/pinhole_0.1.0-1_amd64.deb");
    let dpkg = |what: &str| {
        let line = format!(
            "PATH=/usr/bin:/usr/sbin:/bin:/sbin dpkg --root=. --force-depends --force-architecture {what} 2>&1"
        );
        shell(root.path(), &line)
    };
    let stat = |file: &str| shell(root.path(), &format!("stat -c '%a %g' {file}"));
    dpkg(&format!("-i {}", package.display()));
    let group = shell(root.path(), "grep ^pinhole: etc/group | cut -d : -f 3");
    assert_eq!(stat("etc/pinhole"), format!("2750 {group}"));
    assert_eq!(stat("etc/pinhole/client.toml"), format!("640 {group}"));
    assert_eq!(stat("usr/bin/pinhole"), "755 0\n");
    assert!(shell(root.path(), "usr/bin/pinhole").contains("full of x86_64"));

    shell(
        root.path(),
        "echo '# mine' >>etc/pinhole/client.toml; chmod 600 etc/pinhole/client.toml",
    );
    let line = format!(
        "dpkg-deb -R {} next; sed -i 's/^Version: .*/Version: 0.1.1-1/' next/DEBIAN/control
        echo '# new' >>next/etc/pinhole/client.toml; echo '# new' >>next/etc/pinhole/server.toml
        dpkg-deb --root-owner-group -b next next.deb",
        package.display()
    );
    shell(root.path(), &line);
    dpkg("--force-confold -i next.deb");
    let last = |file: &str| shell(root.path(), &format!("tail -n 1 {file}"));
    assert_eq!(last("etc/pinhole/client.toml"), "# mine\n");
    assert_eq!(last("etc/pinhole/client.toml.dpkg-dist"), "# new\n");
    assert_eq!(last("etc/pinhole/server.toml"), "# new\n");
    assert_eq!(stat("etc/pinhole/client.toml"), format!("600 {group}"));
    assert_eq!(stat("etc/pinhole/server.toml"), format!("640 {group}"));
    shell(root.path(), "rm etc/pinhole/client.toml.dpkg-dist");

    dpkg("-r pinhole");
    let left = shell(
        root.path(),
        "find usr/bin/pinhole usr/lib/systemd etc/pinhole 2>/dev/null | sort || true",
    );
    assert_eq!(left, "etc/pinhole\netc/pinhole/client.toml\netc/pinhole/server.toml\n");
    let wants = "etc/systemd/system/multi-user.target.wants";
    let line = format!("mkdir -p {wants}; ln -s nothing {wants}/pinhole@client.service");
    shell(root.path(), &line);
    dpkg("-P pinhole");
    assert_eq!(shell(root.path(), "ls etc/pinhole 2>/dev/null || echo gone"), "gone\n");
    assert_eq!(shell(root.path(), &format!("ls {wants}")), "");
}
