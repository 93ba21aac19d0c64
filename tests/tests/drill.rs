//! The fault drill: our package passes it, and it is able to fail. What may be taken for a passed
//! drill is only as good as the defects that it has found; so each defect that a maintainer script
//! could well have is made on purpose, and the drill has to see it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::Path;
use std::process::{Command, Output};

use rig::{dist, need_root, ours};

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
    let arguments = ["--hooks", hooks.to_str().unwrap(), "--flow", "install", "--flow", "upgrade"];
    let output = drill(deb.path(), &[&arguments[..], &["--fault", "enospc-from", "--sample", "30"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    // Its sed lowers every node's phase, in every case; which snapshots it breaks depends on the sample.
    assert!(told(&output).contains("other nodes' phases were"), "{}", told(&output));
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
