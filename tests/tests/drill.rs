//! The fault drill: our package passes it, and it is able to fail. What may be taken for a passed
//! drill is only as good as the defects that it has found; so each defect that a maintainer script
//! could well have is made on purpose, and the drill has to see it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::Path;
use std::process::{Command, Output};

use rig::{DebBuilder, dist, need_fuse, need_root, ours};

fn drill(deb: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(dist::drill());
    command.arg(deb).args(arguments).arg("--roots").arg(rig::roots::home());
    command.output().expect("debseal-drill starts")
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The drill of our package, sabotaged, has to end with 1 and say this.
#[track_caller]
fn finds(defect: &str, arguments: &[&str], said: &str) {
    let deb = ours::sealing().build();
    let honest = drill(deb.path(), arguments);
    assert_eq!(honest.status.code(), Some(0), "without the defect nothing is wrong:\n{}", told(&honest));
    let broken = drill(deb.path(), &[arguments, &["--sabotage", defect]].concat());
    assert_eq!(broken.status.code(), Some(1), "{defect} was not noticed:\n{}", told(&broken));
    assert!(told(&broken).contains(said), "{defect}: not {said:?} in\n{}", told(&broken));
}

#[test]
fn without_fsync_nothing_is_durable() {
    if need_root() {
        finds("skip-fsync", &["--flow", "install", "--sample", "0"], "got its name before");
    }
}

#[test]
fn a_copy_in_place_of_a_rename_is_torn_by_a_kill() {
    if need_root() {
        let points = ["--flow", "write", "--fault", "kill-script", "--site", "renameat2 /etc"];
        finds("copy-for-rename", &points, "is something else, not as in");
    }
}

#[test]
fn a_journal_that_comes_late_loses_who_wrote() {
    if need_root() {
        let points = ["--flow", "write", "--fault", "kill-script", "--site", "renameat2 /etc"];
        finds("journal-late", &points, "torn set");
    }
}

#[test]
fn without_the_lock_others_write_in_between() {
    if need_root() {
        let points = ["--flow", "configure-broken", "--fault", "writer", "--site", "renameat2 /etc"];
        finds("skip-lock", &points, "another writer got the lock");
    }
}

#[test]
fn the_bash_package_of_the_bench_fails() {
    if !need_root() {
        return;
    }
    let key = rig::Keyring::new("Drill <drill@example.invalid>");
    let deb = rig::bash::package(&dist::payload(), &key);
    let hooks = dist::workspace().join("debian/hooks.toml");
    // The list of its files reaches sha256sum by a pipe whose end it doesn't ask about: where that takes
    // nothing more, an empty list of sums is published, and the removal fails at it for ever. rsync's
    // processes race, so a number may strike a call beside the one that it was given for: all such points.
    let arguments = ["--hooks", hooks.to_str().unwrap(), "--flow", "upgrade", "--site", "write output"];
    let output = drill(deb.path(), &[&arguments[..], &["--fault", "enospc-from"]].concat());
    let said = told(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("shows and can't be trusted: SHA256SUMS lists 0 files"), "{said}");
    assert!(said.contains("dpkg -r pve-network-rs is blocked"), "{said}");
    // Its sed lowers every node's phase, in every case.
    assert!(said.contains("other nodes' phases were"), "{said}");
}

#[test]
fn a_purge_that_a_failing_disk_cuts_short_leaves_room_for_a_first_snapshot() {
    if !need_root() {
        return;
    }
    let deb = ours::sealing().build();
    for (fault, site) in [("eio-from", "unlink /var/lib/pve-network-rs/seal.json"), ("eacces-from", "renameat2 /etc")] {
        let points = ["--flow", "purge", "--fault", fault, "--site", site];
        let output = drill(deb.path(), &points);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        assert!(!told(&output).contains(" 0 of "), "no point was tried: {}", told(&output));
    }
}

#[test]
fn a_case_is_run_again_by_its_name() {
    if !need_root() {
        return;
    }
    let deb = ours::sealing().build();
    let output = drill(deb.path(), &["--only", "upgrade/preinst:upgrade#20/kill-script"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(told(&output).contains("preinst:upgrade#20 ") && told(&output).contains("1 of 0 points"));
    let output = drill(deb.path(), &["--only", "fly/preinst:upgrade#20/kill-script"]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
}

#[test]
fn a_lock_that_is_dropped_too_early_loses_another_nodes_write() {
    if need_fuse() {
        let points = ["--cluster", "--flow", "remove", "--fault", "pve-other-node", "--site", " -> /etc/pve"];
        finds("unlock-early", &points, "other nodes' phases were");
    }
}

#[test]
fn a_cluster_that_goes_away_blocks_no_removal() {
    if !need_fuse() {
        return;
    }
    let deb = ours::sealing().build();
    let points = ["--cluster", "--flow", "remove", "--site", " /etc/pve/priv/lock"];
    for fault in ["pve-unmounted", "pve-dead", "pve-no-quorum", "kill-script"] {
        let output = drill(deb.path(), &[&points[..], &["--fault", fault]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        assert!(!told(&output).contains(" 0 of "), "no point was tried: {}", told(&output));
    }
}

#[test]
fn a_conffile_in_a_captured_folder_comes_and_goes_with_its_package() {
    if !need_root() {
        return;
    }
    let hooks = "format = 1\npackage = \"demo\"\nstate = \"/var/lib/demo\"\n\
                 [[capture]]\npath = \"/etc/demo.d\"\nscope = \"node\"\nuse = \"restore\"\n";
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("hooks.toml");
    std::fs::write(&policy, hooks).unwrap();
    let plain = DebBuilder::new("demo", "1.0").conffile("/etc/demo.d/shipped.conf", "# shipped\n");
    let plain = plain.file_with_mode("/usr/bin/demo", "#!/bin/sh\n", 0o755).build();
    let sealed = dir.path().join("sealed.deb");
    let seal = Command::new(dist::debseal())
        .arg("seal")
        .arg(plain.path())
        .arg("--hooks")
        .arg(&policy)
        .arg("--hook-elf")
        .arg(dist::hook())
        .arg("--output")
        .arg(&sealed)
        .output()
        .unwrap();
    assert!(seal.status.success(), "{}", told(&seal));
    let flows = ["--flow", "configure", "--flow", "purge", "--flow", "disappear"];
    let output = drill(&sealed, &[&flows[..], &["--sample", "15", "--seed", "1"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
}
