//! Keys, packages and machines of the gate's tests.

use std::process::Command;
use std::sync::LazyLock;

use rig::{Deb, DebBuilder, Keyring, Machine, Node, Output, Suite, Tree, dist};

pub const POLICY: &str = "/etc/debseal/policy.d/demo.toml";

/// Two keys and packages signed by them.
pub struct Desk {
    pub key: Keyring,
    pub other: Keyring,
    /// `demo` 1.0 and 2.0, signed; 2.0 demands 1.5 at least of its successors.
    pub v1: Vec<u8>,
    pub v2: Vec<u8>,
    /// `demo` 2.0, sealed and not signed.
    pub unsigned: Vec<u8>,
    /// `demo` 2.0, signed by the other key.
    pub by_other: Vec<u8>,
    /// `demo` 2.0, as anybody builds it.
    pub plain: Vec<u8>,
}

pub static DESK: LazyLock<Desk> = LazyLock::new(|| {
    let (key, other) = (Keyring::new("release"), Keyring::new("other"));
    let [one, two] = ["1.0", "2.0"].map(|version| demo(version).build());
    let unsigned = seal(&two, &key, &["--minimum-version", "1.5"]);
    Desk {
        v1: sign(seal(&one, &key, &[]), &key),
        v2: sign(unsigned.clone(), &key),
        by_other: sign(unsigned.clone(), &other),
        unsigned,
        plain: std::fs::read(two.path()).unwrap(),
        key,
        other,
    }
});

pub fn demo(version: &str) -> DebBuilder {
    DebBuilder::new("demo", version).file("/usr/bin/demo", format!("#!/bin/sh\necho {version}\n"))
}

pub fn stranger() -> DebBuilder {
    DebBuilder::new("stranger", "1.0").file("/usr/bin/stranger", "#!/bin/sh\n")
}

pub fn seal(payload: &Deb, key: &Keyring, more: &[&str]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let (hooks, cert, out) = (dir.path().join("hooks.toml"), dir.path().join("key.pgp"), dir.path().join("out.deb"));
    std::fs::write(&hooks, "format = 1\npackage = \"demo\"\nstate = \"/var/lib/demo\"\n").unwrap();
    std::fs::write(&cert, key.certificate()).unwrap();
    let mut seal = Command::new(dist::debseal());
    seal.args(["seal", "--hook-elf"]).arg(dist::hook()).arg("--hooks").arg(&hooks).arg("--key").arg(&cert).args(more);
    host_run(seal.arg("--output").arg(&out).arg(payload.path()));
    std::fs::read(out).unwrap()
}

pub fn sign(deb: Vec<u8>, key: &Keyring) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.deb");
    std::fs::write(&file, deb).unwrap();
    host_run(
        Command::new(dist::debseal())
            .env("GNUPGHOME", key.home())
            .args(["sign", "--key", key.fingerprint()])
            .arg(&file),
    );
    std::fs::read(file).unwrap()
}

pub fn host_run(command: &mut Command) {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// A node with package debseal; nothing is named yet.
pub fn with_gate(suite: Suite) -> Node {
    let node = Node::with_packages(suite, &["libgpgme11"]);
    node.install(&dist::debseal_package()).ok();
    node
}

/// The same with the release key trusted for `demo`.
pub fn guarded(suite: Suite) -> Node {
    let node = with_gate(suite);
    node.write("/root/release.pgp", DESK.key.certificate());
    node.run(["debseal", "key", "add", "--package", "demo", "/root/release.pgp"]).ok().says("is trusted");
    node
}

/// Everything but what the test itself writes, and the gate's log.
pub fn disk(node: &Node) -> Tree {
    node.tree().without(&["/root", "/tmp", "/run", "/dev", "/proc", "/var/log/debseal", "/var/log/apt", "/srv"])
}

/// Refused, with its reason in one line, and nothing on disk is other than before.
#[track_caller]
pub fn refused(node: &Node, before: &Tree, what: &str, script: &str, why: &str) -> Output {
    let out = node.sh(script);
    let line = out.stderr.lines().find(|line| line.starts_with("debseal: ") && line.contains(why));
    assert!(
        out.status.code().is_some_and(|c| c != 0) && line.is_some(),
        "{what}: {:?}\n{}{}",
        out.status,
        out.stdout,
        out.stderr
    );
    let changes = before.changes(&disk(node));
    assert!(changes.is_empty(), "{what} left {changes:#?}");
    out
}
