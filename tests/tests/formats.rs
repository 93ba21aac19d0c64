//! The state that other versions leave: format 1 as it was first shipped, and a format 2 that this
//! version can't know. What is not understood bars no removal and is never restored from.
//!
//! `tests/fixtures/state/1` and `/2` are state folders with one of each file: Rust wrote
//! `interfaces` in a transaction that is open, and a restore of an older file is staged.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::path::Path;

use common::{TRIAL, V1, V2, bare, dpkg, node_of};
use rig::ours::{INTERFACES, NAME, STATE};
use rig::{Machine, Node, Output, Suite, dist, need_root};

const MAIN: &str = "/etc/network/interfaces";
/// Every file of a state folder that another version may have written.
const FILES: [&str; 9] = [
    "operations.jsonl",
    "transaction.json",
    "removal.json",
    "resume.json",
    "seal.json",
    "made.json",
    "ceiling",
    "restore",
    "backups",
];

/// Puts a fixture's file or folder where the package keeps it.
fn put(node: &Node, format: u64, name: &str) {
    let from = dist::workspace().join(format!("tests/fixtures/state/{format}")).join(name);
    let to = format!("{STATE}/{name}");
    if node.exists(&to) {
        node.remove(&to);
    }
    put_tree(node, &from, &to);
}

fn put_tree(node: &Node, from: &Path, to: &str) {
    if from.is_dir() {
        for entry in std::fs::read_dir(from).unwrap().flatten() {
            put_tree(node, &entry.path(), &format!("{to}/{}", entry.file_name().to_string_lossy()));
        }
    } else {
        node.put_file(from, to);
    }
}

/// Installed, with these files of the fixture in place and Rust's write in `interfaces`.
fn node(format: u64, names: &[&str]) -> Node {
    let node = node_of(Suite::Bookworm);
    names.iter().for_each(|name| put(&node, format, name));
    node.write(MAIN, TRIAL);
    node
}

/// A configure that fails for a reason of its own.
fn failing_configure(node: &Node) -> Output {
    node.remove("/usr/bin/migration-ctl");
    node.sh(&format!("sed -i '/^Package: {NAME}$/,/^$/s/^Status: .*/Status: install ok unpacked/' /var/lib/dpkg/status"))
        .ok();
    node.run(["dpkg", "--configure", NAME]).code(1)
}

#[test]
fn format_1_is_understood_as_it_was_shipped() {
    if !need_root() {
        return;
    }
    let known = ["operations.jsonl", "backups", "transaction.json"];
    let node = self::node(1, &known);
    node.run(["migration-ctl", "snapshot", "verify"]).ok();
    failing_configure(&node).says("restore /etc/network/interfaces from 20261101-000000");
    assert_eq!(node.text(MAIN), INTERFACES, "the transaction and the journal");

    let node = self::node(1, &["operations.jsonl", "backups"]);
    node.sh(&format!("sed -i '/^Package: {NAME}$/,/^$/s/^Status: .*/Status: deinstall ok config-files/' /var/lib/dpkg/status"))
        .ok();
    put(&node, 1, "removal.json");
    node.run(["dpkg", "-P", NAME]).ok();
    assert_eq!(node.text(MAIN), INTERFACES, "a removal that had begun");

    let node = self::node(1, &["resume.json"]);
    node.run(["migration-ctl", "phase", "resume"]).ok();
    assert_eq!(node.run(["migration-ctl", "phase", "get"]).ok().stdout, "rust-read-only\n");

    let node = self::node(1, &["seal.json"]);
    dpkg(&node, &["-i"], &V1).fails().says("older than 0.1.5-1");
    dpkg(&node, &["-i"], &V2).ok();

    let node = self::node(1, &["made.json"]);
    node.run(["dpkg", "-P", NAME]).ok();
    assert!(!node.exists("/etc/pve/network"));

    let node = self::node(1, &["ceiling"]);
    assert_eq!(node.text(&format!("{STATE}/ceiling")), "rust-read-only\n");
    node.run(["migration-ctl", "phase", "set", "rust-read-only"]).ok();

    let node = self::node(1, &["restore"]);
    dpkg(&node, &["-i"], &V2).ok().says("finished a restore that was interrupted: 1 paths");
    assert!(node.text(MAIN).contains("bridge-fd 2"), "a staged restore");
    node.sh(&format!("test $(stat -c %a {MAIN}) = 640")).ok();
}

#[test]
fn fields_of_a_later_version_are_ignored() {
    if !need_root() {
        return;
    }
    // Format 2's files with the number of format 1: what a later version may add without asking.
    let node = self::node(2, &["operations.jsonl", "transaction.json", "resume.json"]);
    put(&node, 1, "backups");
    node.sh(&format!("sed -i 's/\"format\": 2/\"format\": 1/' {STATE}/*.json")).ok();
    failing_configure(&node).says("restore /etc/network/interfaces from 20261101-000000");
    assert_eq!(node.text(MAIN), INTERFACES);
    node.sh("dpkg-deb -x /root/x.deb /root/x && cp /root/x/usr/bin/migration-ctl /usr/bin/").ok();
    node.run(["dpkg", "--configure", "-a"]).ok();
    node.run(["migration-ctl", "phase", "resume"]).ok();
}

#[test]
fn what_cannot_be_understood_bars_nothing_and_is_not_restored_from() {
    if !need_root() {
        return;
    }
    for damage in ["format 2", "cut off", "empty", "a folder"] {
        for name in FILES {
            for how in ["-r", "-P"] {
                let node = bare(Suite::Bookworm);
                dpkg(&node, &["-i"], &V1).ok();
                put(&node, 2, name);
                let file = match name {
                    "restore" => "restore/intent.json",
                    "backups" => "backups/20261101-000000/manifest.json",
                    name => name,
                };
                let path = format!("{STATE}/{file}");
                match damage {
                    "cut off" => drop(node.sh(&format!("truncate -s 20 {path}")).ok()),
                    "empty" => node.write(&path, ""),
                    "a folder" => drop(node.sh(&format!("rm {path} && mkdir {path} && touch {path}/x")).ok()),
                    _ => {}
                }
                node.write(MAIN, TRIAL);
                let what = format!("{name}, {damage}, {how}");
                node.call(["dpkg", how, NAME]).run().ok();
                assert_eq!(node.text(MAIN), TRIAL, "{what}: nobody can tell who wrote it");
                assert_eq!(node.state_of(NAME), if how == "-r" { "rc" } else { "un" }, "{what}");
                assert_eq!(node.exists(STATE), how == "-r", "{what}");
                node.run(["dpkg", "-P", NAME]).ok();
                assert!(!node.exists(STATE), "{what}");
                if how == "-r" {
                    dpkg(&node, &["-i"], &V1).ok();
                    assert_eq!(node.text(MAIN), TRIAL, "{what}");
                }
            }
        }
    }
}

#[test]
fn a_removal_of_another_format_is_not_done_again_by_purge() {
    if !need_root() {
        return;
    }
    let node = node_of(Suite::Bookworm);
    node.run(["dpkg", "-r", NAME]).ok();
    put(&node, 2, "removal.json");
    node.write(MAIN, TRIAL);
    node.call(["dpkg", "-P", NAME]).env("RESTORE", "last").run().ok().says("has format 2").never_says("restore /");
    assert_eq!(node.text(MAIN), TRIAL);
}

#[test]
fn a_transaction_of_another_format_is_left_to_who_understands_it() {
    if !need_root() {
        return;
    }
    let node = node(2, &["transaction.json"]);
    let before = node.text(&format!("{STATE}/transaction.json"));
    // A writer can't say whether its write belongs to it, so it does not write.
    node.run(["rust-write", "/etc/network/interfaces.d/x", "# x\n"]).fails().says("has format 2");
    node.run(["dpkg-reconfigure", NAME]).ok();
    assert!(!node.exists(&format!("{STATE}/transaction.json")), "ours was opened and closed instead");
    node.write(&format!("{STATE}/transaction.json"), &before);
    node.call(["dpkg", "-r", NAME]).env("RESTORE", "never").run().ok().says("has format 2");
    assert_eq!(node.text(MAIN), TRIAL);
}

#[test]
fn a_seal_of_another_format_is_no_way_round_the_keys() {
    if !need_root() {
        return;
    }
    for (damage, said) in [("", "a signed version is installed"), ("x", "is damaged")] {
        let node = node(2, &["seal.json"]);
        node.sh(&format!("printf '{damage}' >>{STATE}/seal.json")).ok();
        let out = dpkg(&node, &["-i"], &V2).fails().says(said);
        let way_out = out.stderr.lines().find_map(|l| l.split_once("all the same: ")).unwrap().1.to_owned();
        node.run(["sh", "-ec", &way_out]).ok();
        dpkg(&node, &["-i"], &V2).ok();
        if damage.is_empty() {
            assert!(node.text(&format!("{STATE}/seal.json")).contains("\"of\": \"version 2\""), "nothing is dropped");
        }
        node.run(["dpkg", "-P", NAME]).ok();
    }
}

#[test]
fn a_staged_restore_of_another_format_is_put_aside_and_bars_no_other() {
    if !need_root() {
        return;
    }
    let node = node_of(Suite::Bookworm);
    node.run(["rust-write", MAIN, TRIAL]).ok();
    put(&node, 2, "restore");
    node.run(["dpkg", "-r", NAME]).ok().says("it was moved to /var/backups/pve-network-rs/stage-");
    assert_eq!(node.text(MAIN), INTERFACES, "by the journal, not by the stage");
    node.sh("grep -q 'bridge-fd 2' /var/backups/pve-network-rs/stage-*/0").ok();
}

#[test]
fn a_snapshot_of_another_format_is_listed_never_restored_and_survives_purge() {
    if !need_root() {
        return;
    }
    let node = node(2, &["backups"]);
    node.run(["migration-ctl", "snapshot", "list"]).says("20261101-000000");
    node.run(["migration-ctl", "rollback", "--to", "20261101-000000"]).code(3);
    node.call(["dpkg", "-r", NAME]).env("RESTORE", "last").run().ok().says("has format 2");
    assert_eq!(node.text(MAIN), TRIAL);
    node.run(["dpkg", "-P", NAME]).ok();
    assert_eq!(node.text("/var/backups/pve-network-rs/snapshot-20261101-000000/interfaces"), INTERFACES);
}

#[test]
fn a_ceiling_of_another_format_means_perl_only() {
    if !need_root() {
        return;
    }
    let node = node(2, &["ceiling"]);
    node.sh("sed -i 's/^phase = .*/phase = \"rust-full\"/' /etc/pve/network/migration.toml").ok();
    assert_eq!(node.run(["migration-ctl", "phase", "get"]).stdout, "perl-only\n");
    dpkg(&node, &["-i"], &V2).ok();
    assert_eq!(node.run(["migration-ctl", "phase", "get"]).stdout, "perl-only\n");
}
