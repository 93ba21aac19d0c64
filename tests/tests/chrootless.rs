//! The core cases without root: real dpkg on a directory, scripts that find it in `DPKG_ROOT`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::path::{Path, PathBuf};

use common::{ADMIN, TRIAL, V1, V2, dpkg, version};
use rig::ours::{INTERFACES, NAME, STATE, like_a_pve_node, manifest, put_rust_write, snapshots};
use rig::{Chrootless, DebBuilder, Machine, Output};

/// Where a script that forgot `DPKG_ROOT` would leave its traces on the host.
const OUTSIDE: [&str; 7] = [
    STATE,
    "/etc/network/interfaces",
    "/etc/pve",
    "/etc/debseal/override",
    "/var/backups/pve-network-rs",
    "/var/log/pve-network",
    "/etc/systemd/system/multi-user.target.wants/pve-network-rs.service",
];

/// A node's files, and what the payload depends on.
fn bare() -> Chrootless {
    let machine = Chrootless::new();
    like_a_pve_node(&machine);
    machine.write("/etc/hostname", "pve1\n");
    for name in ["libc6", "libgcc-s1"] {
        machine.install(&DebBuilder::new(name, "999").build()).ok();
    }
    put_rust_write(&machine, env!("CARGO_BIN_EXE_rust-write"));
    machine
}

fn installed() -> Chrootless {
    let machine = bare();
    dpkg(&machine, &["-i"], &V1).ok();
    machine
}

fn rust_write(machine: &Chrootless, words: &[&str]) -> Output {
    let program = machine.path("/usr/local/bin/rust-write");
    let words = std::iter::once(program.into_os_string()).chain(words.iter().map(Into::into));
    machine.call(words).env("DPKG_ROOT", machine.root()).run()
}

/// What lies outside of the machine at the places that the scripts know.
fn outside() -> Vec<(PathBuf, Option<std::time::SystemTime>)> {
    let changed = |path: &Path| std::fs::symlink_metadata(path).and_then(|m| m.modified()).ok();
    OUTSIDE.iter().map(|path| (PathBuf::from(path), changed(Path::new(path)))).collect()
}

#[test]
fn installed_upgraded_removed_and_purged_inside_the_root_only() {
    let before_outside = outside();
    let machine = bare();
    let before = machine.tree().without(&["/var/lib/dpkg", "/root", "/tmp"]);
    dpkg(&machine, &["-i"], &V1).ok().says("captured ");
    assert_eq!(machine.state_of(NAME), "ii");
    let all = snapshots(&machine);
    assert_eq!(all.len(), 1);
    assert_eq!(manifest(&machine, &all[0])["node"], "pve1");
    assert_eq!(machine.text(&format!("{STATE}/backups/{}/interfaces", all[0])), INTERFACES);
    assert_eq!(machine.text(&format!("{STATE}/backups/{}/sdn/zones.cfg", all[0])), "simple: lab\n");
    assert_eq!(machine.text(&format!("{STATE}/ceiling")).trim(), "perl-only");
    assert!(machine.text("/etc/pve/network/migration.toml").contains("phase = \"perl-only\""));
    dpkg(&machine, &["-i"], &V2).ok();
    assert_eq!((machine.state_of(NAME).as_str(), version(&machine).as_str()), ("ii", "0.2.0-1"));
    assert_eq!(snapshots(&machine).len(), 2);
    dpkg(&machine, &["-i"], &V1).ok();
    assert_eq!(version(&machine), "0.1.0-1", "a downgrade");
    machine.run(["dpkg", "-r", NAME]).ok();
    assert_eq!(machine.state_of(NAME), "rc");
    machine.run(["dpkg", "-P", NAME]).ok();
    assert_eq!(machine.state_of(NAME), "un");
    before.assert_same(&machine.tree().without(&["/var/lib/dpkg", "/root", "/tmp"]));
    assert_eq!(outside(), before_outside);
}

#[test]
fn a_trial_write_is_undone_at_removal_and_the_admins_work_kept() {
    let before_outside = outside();
    let machine = installed();
    rust_write(&machine, &["/etc/network/interfaces", TRIAL]).ok();
    assert_eq!(machine.text("/etc/network/interfaces"), TRIAL);
    machine.write(ADMIN, "# changed later\n");
    let out = machine.run(["dpkg", "-r", NAME]).ok();
    assert_eq!(machine.text("/etc/network/interfaces"), INTERFACES);
    assert_eq!(machine.text(ADMIN), "# changed later\n");
    out.says("restore /etc/network/interfaces from ").says(&format!("keep {ADMIN}: "));
    machine.run(["dpkg", "-P", NAME]).ok();
    assert!(!machine.exists(STATE));
    assert!(!machine.ls("/var/backups/pve-network-rs").is_empty(), "what was replaced is kept");
    assert_eq!(outside(), before_outside);
}

#[test]
fn a_failing_configure_goes_back_and_heals() {
    let before_outside = outside();
    let machine = installed();
    dpkg(&machine, &["--path-exclude=/usr/bin/migration-ctl", "--unpack"], &V2).ok();
    rust_write(&machine, &["/etc/network/interfaces", TRIAL]).ok();
    let out = machine.run(["dpkg", "--configure", "-a"]).code(1);
    let lines: Vec<&str> = out.stderr.lines().filter(|l| l.starts_with("pve-network-rs (postinst): ")).collect();
    assert!(lines.len() == 1 && lines[0].contains("/usr/bin/migration-ctl is missing"), "{}", out.stderr);
    assert_eq!(machine.state_of(NAME), "iF");
    assert_eq!(machine.text("/etc/network/interfaces"), INTERFACES);
    for _ in 0..3 {
        machine.run(["dpkg", "--configure", "-a"]).code(1).never_says("restore /etc");
    }
    dpkg(&machine, &["-i"], &V2).ok();
    assert_eq!((machine.state_of(NAME).as_str(), version(&machine).as_str()), ("ii", "0.2.0-1"));
    assert_eq!(machine.text("/etc/network/interfaces"), INTERFACES);
    assert_eq!(outside(), before_outside);
}

#[test]
fn what_cannot_be_read_is_not_upgraded() {
    let machine = bare();
    machine.chmod(ADMIN, 0o000);
    dpkg(&machine, &["-i"], &V1).code(1).says("interfaces.d/admin").says("Permission denied");
    assert!(!machine.exists("/usr/bin/migration-ctl"), "nothing was unpacked");
    assert!(snapshots(&machine).is_empty());
    machine.chmod(ADMIN, 0o640);
    dpkg(&machine, &["-i"], &V1).ok();
    machine.chmod(ADMIN, 0o000);
    dpkg(&machine, &["-i"], &V2).code(1).says("Permission denied");
    assert_eq!((machine.state_of(NAME).as_str(), version(&machine).as_str()), ("ii", "0.1.0-1"));
    assert!(!machine.exists(&format!("{STATE}/transaction.json")));
    // A removal goes on, and says what it could not read.
    rust_write(&machine, &["/etc/pve/sdn/vnets.cfg", "vnet: trial\n"]);
    machine.run(["dpkg", "-r", NAME]).ok();
    assert!(machine.state_of(NAME).ends_with('c'));
}

#[test]
fn links_inside_lead_nowhere_outside() {
    let machine = bare();
    let bait = tempfile::tempdir().unwrap();
    std::fs::write(bait.path().join("secret"), "# the host's\n").unwrap();
    machine.remove("/etc/network/interfaces.d");
    let target = bait.path().to_owned();
    machine.inside(move |root| std::os::unix::fs::symlink(target, root.path("/etc/network/interfaces.d"))).unwrap();
    dpkg(&machine, &["-i"], &V1).ok();
    rust_write(&machine, &["/etc/network/interfaces.d/trial", "# trial\n"]);
    assert!(!bait.path().join("trial").exists(), "a link inside means a place inside");
    machine.run(["dpkg", "-P", NAME]).ok();
    assert_eq!(std::fs::read_dir(bait.path()).unwrap().count(), 1);
}
