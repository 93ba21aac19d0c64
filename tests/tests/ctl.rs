//! `migration-ctl` on a node: what `status` shows is what `dpkg -r` does, a cluster that can't be
//! written, a full disk.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use common::{ADMIN, TRIAL};
use rig::ours::{INTERFACES, NAME, STATE, snapshots};
use rig::{Machine, Node, Output, Suite, need_root};

const I: &str = "/etc/network/interfaces";
const ZONES: &str = "/etc/pve/sdn/zones.cfg";

fn node() -> Node {
    common::node_of(Suite::Bookworm)
}

/// The plan's lines as `status` shows them, to a pipe and as JSON.
fn shown(node: &Node, environment: &[(&str, &str)]) -> Vec<String> {
    let status = |arguments: &[&str]| {
        let mut call = node.call(std::iter::once("migration-ctl").chain(arguments.iter().copied()));
        for (name, value) in environment {
            call = call.env(name, value);
        }
        call.run().ok().stdout
    };
    let text = status(&["status"]);
    let (_, after) = text.split_once(") would log:\n").unwrap_or_else(|| panic!("{text}"));
    let lines: Vec<String> = after.lines().map_while(|l| l.strip_prefix("  ")).map(str::to_owned).collect();
    let json: serde_json::Value = serde_json::from_str(&status(&["status", "--output", "json"])).unwrap();
    let in_json: Vec<String> =
        json["removal"]["lines"].as_array().unwrap().iter().map(|l| l.as_str().unwrap().to_owned()).collect();
    assert!(in_json == lines || (in_json.is_empty() && lines == ["nothing: it would restore nothing"]), "{text}");
    in_json
}

/// The lines of dpkg's output that say what becomes of which path, and why.
fn logged(out: &Output) -> Vec<String> {
    let ours = out.stderr.lines().filter_map(|l| l.strip_prefix("pve-network-rs: "));
    let plan = |line: &&str| {
        ["restore ", "delete ", "keep ", "nothing is restored: ", "snapshot "]
            .iter()
            .any(|begin| line.starts_with(begin))
    };
    ours.filter(plan).map(str::to_owned).collect()
}

type Change = fn(&Node);

#[test]
fn status_shows_what_a_removal_then_logs() {
    if !need_root() {
        return;
    }
    let rust = |node: &Node, path: &str, content: &str| drop(node.run(["rust-write", path, content]).ok());
    type Case<'a> = (&'a str, Change, &'a [(&'a str, &'a str)], usize);
    let cases: &[Case<'_>] = &[
        ("nothing changed", |_| {}, &[], 0),
        ("on trial, and the admin's beside it", |n| n.write(ADMIN, "# later\n"), &[], 2),
        ("interfaces gone", |n| n.remove(I), &[], 1),
        (
            "made, deleted, and the cluster's",
            |n| {
                n.run(["rust-write", "/etc/network/interfaces.d/new", "# new\n", ADMIN, "--delete"]).ok();
                n.run(["rust-write", ZONES, "simple: trial\n"]).ok();
            },
            &[],
            3,
        ),
        ("last, whatever came after", |n| n.write(ADMIN, "# later\n"), &[("RESTORE", "last")], 1),
        ("never", |n| n.remove(I), &[("RESTORE", "never")], 1),
        (
            "a damaged snapshot",
            |n| drop(n.sh(&format!("echo x > {STATE}/backups/$(readlink {STATE}/backups/latest)/manifest.json"))),
            &[],
            1,
        ),
        (
            "refused",
            |n| {
                let moved = TRIAL.replace("192.0.2.10", "192.0.2.20");
                n.run(["rust-write", I, &moved]).ok();
            },
            &[],
            2,
        ),
    ];
    for (name, change, environment, count) in cases {
        let node = node();
        if name.starts_with("on trial") {
            rust(&node, I, TRIAL);
        }
        change(&node);
        let shown = shown(&node, environment);
        let mut removal = node.call(["dpkg", "-r", NAME]);
        for (key, value) in *environment {
            removal = removal.env(key, value);
        }
        let out = removal.run().ok();
        assert_eq!(shown, logged(&out), "{name}");
        assert_eq!(shown.len(), *count, "{name}: {shown:#?}");
    }
}

#[test]
fn status_of_a_booted_node_knows_its_units() {
    if !need_root() {
        return;
    }
    let node = node().boot();
    let out = node.run(["migration-ctl", "status"]).ok();
    assert!(
        out.stdout.contains("pve-network-rs inactive, disabled; pve-network-migration inactive, disabled"),
        "{}",
        out.stdout
    );
    node.run(["migration-ctl", "phase", "set", "rust-read-only"]).ok();
    let out = node.run(["migration-ctl", "status"]).ok();
    assert!(out.stdout.contains("next         systemctl restart pve-network-migration.service"), "{}", out.stdout);
    node.systemctl(["restart", "pve-network-migration.service"]).ok();
    let out = node.run(["migration-ctl", "status"]).ok();
    assert!(out.stdout.contains("pve-network-migration active"), "{}", out.stdout);
}

#[test]
fn cluster_files_wait_until_they_can_be_written() {
    if !need_root() {
        return;
    }
    let node = node();
    node.write(I, TRIAL);
    node.write(ZONES, "simple: other\n");
    node.sh("mount --bind /etc/pve /etc/pve && mount -o remount,bind,ro /etc/pve").ok();
    node.run(["migration-ctl", "rollback", "--cluster"])
        .code(5)
        .says("/etc/pve/sdn/zones.cfg wait to be restored: ")
        .says("migration-ctl rollback --resume");
    assert_eq!(node.text(I), INTERFACES, "this node's files need no cluster");
    assert_eq!(node.text(ZONES), "simple: other\n");
    let status = node.run(["migration-ctl", "status"]).ok();
    assert!(status.stdout.contains("to be restored in the cluster: /etc/pve/sdn/zones.cfg"), "{}", status.stdout);
    node.run(["migration-ctl", "rollback", "--resume"]).code(5);
    // It holds up nothing else, and nobody but a person finishes it.
    node.write(ADMIN, "# later\n");
    node.run(["migration-ctl", "rollback", "--path", ADMIN]).ok();
    assert_eq!(node.text(ADMIN), "# by the admin\n");
    node.sh("mount -o remount,bind,rw /etc/pve").ok();
    node.run(["dpkg-reconfigure", NAME]);
    assert_eq!(node.text(ZONES), "simple: other\n");
    node.run(["migration-ctl", "rollback", "--resume"]).ok();
    assert_eq!(node.text(ZONES), "simple: lab\n");
    node.run(["migration-ctl", "rollback", "--resume"]).ok().says("no restore waits");
}

#[test]
fn what_another_node_wrote_meanwhile_is_left_alone() {
    if !need_root() {
        return;
    }
    let node = node();
    node.write(ZONES, "simple: other\n");
    node.sh("mount --bind /etc/pve /etc/pve && mount -o remount,bind,ro /etc/pve").ok();
    node.run(["migration-ctl", "rollback", "--cluster"]).code(5);
    node.sh("mount -o remount,bind,rw /etc/pve").ok();
    node.write(ZONES, "simple: by another node\n");
    node.run(["migration-ctl", "rollback", "--resume"]).code(1).says("was changed by someone else");
    assert_eq!(node.text(ZONES), "simple: by another node\n");
    node.run(["migration-ctl", "rollback", "--resume"]).ok().says("no restore waits");
}

#[test]
fn a_full_disk_changes_nothing_or_all() {
    if !need_root() {
        return;
    }
    for room in ["nr_inodes=12", "size=16k", "size=64k", "size=300k", "size=340k", "nr_inodes=60", "nr_inodes=70"] {
        let node = node();
        node.write(I, TRIAL);
        // The state as it is, on a file system that is nearly full.
        node.sh(&format!("mkdir /tmp/s && cp -a {STATE}/. /tmp/s && mount -t tmpfs -o {room} none {STATE}")).ok();
        node.sh(&format!("cp -a /tmp/s/. {STATE}/ 2>/dev/null || true"));
        let before = snapshots(&node);
        for command in [
            &["migration-ctl", "snapshot", "take"][..],
            &["migration-ctl", "accept"],
            &["migration-ctl", "snapshot", "prune"],
            &["migration-ctl", "status"],
            &["migration-ctl", "rollback"],
        ] {
            let out = node.run(command);
            assert!(!out.stderr.contains("panicked"), "{room}: {command:?}: {}", out.stderr);
            if command[1] == "status" {
                let out = out.ok();
                assert!(out.stdout.contains("next "), "{room}: {}", out.stdout);
            }
        }
        let now = node.text(I);
        assert!(now == TRIAL || now == INTERFACES, "{room}: old or new, never between");
        // Each snapshot that is there is whole; what was damaged by the copy above was so before.
        for id in snapshots(&node).iter().filter(|id| !before.contains(id)) {
            node.run(["migration-ctl", "snapshot", "verify", id]).ok();
        }
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    if !need_root() {
        return;
    }
    let node = node();
    let out = node.run(["bash", "-c", "set -o pipefail; migration-ctl status | head -1; echo ${PIPESTATUS[0]}"]);
    assert!(out.stdout.ends_with("\n0\n") && out.stderr.is_empty(), "{} {}", out.stdout, out.stderr);
    // Nor does it change a verdict, or stop what is being done.
    for command in ["preflight", "health", "abort"] {
        let heard = node.run(["bash", "-c", &format!("migration-ctl {command} >/dev/null 2>&1; echo $?")]);
        let unheard = format!("exec 3> >(exec true); wait $!; migration-ctl {command} >&3 2>&3; echo $?");
        let unheard = node.run(["bash", "-c", &unheard]);
        assert_eq!(unheard.stdout, heard.stdout, "{command}");
        assert_ne!(unheard.stdout, "0\n", "{command}");
    }
    node.run(["migration-ctl", "abort", "--resume"]).ok().says(" is complete");
}
