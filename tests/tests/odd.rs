//! Odd files, odd clocks, odd disks: what real machines hold is captured and comes back as it was.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use common::{ADMIN, TRIAL, V1, V2, bare, dpkg, node_of};
use history::{Snapshot, Store, Why, snapshot};
use host::{Clock, Root, Timestamp};
use rig::ours::{INTERFACES, NAME, STATE, manifest, snapshots};
use rig::{Machine, Node, Output, Suite, need_root};

const FOLDER: &str = "/etc/network/interfaces.d";

fn remove(node: &Node, restore: &str) -> Output {
    node.call(["dpkg", "-r", NAME]).env("RESTORE", restore).run().ok()
}

fn store(root: &Root, clock: Clock) -> Store {
    ctl::policy().unwrap().store(root, clock)
}

fn capture(store: &Store, reason: &str) -> Snapshot {
    let _lock = store.lock(Duration::from_secs(1)).unwrap();
    let why = Why { reason: reason.into(), ..Why::default() };
    snapshot::capture(store, &snapshot::present(store, false).unwrap(), &why).unwrap()
}

fn json(node: &Node, words: &[&str]) -> serde_json::Value {
    let words = ["migration-ctl"].iter().chain(words).chain(&["--output", "json"]);
    let out = node.run(words).ok().quiet();
    let value: serde_json::Value = serde_json::from_str(&out.stdout).unwrap();
    assert_eq!(value["schema_version"], 1, "{}", out.stdout);
    value
}

#[test]
fn what_became_something_else_becomes_what_it_was() {
    if !need_root() {
        return;
    }
    let node = bare(Suite::Bookworm);
    node.sh(&format!(
        "cd {FOLDER}; for f in to-dir to-link to-fifo sub-in-the-way; do echo \"# $f\" >$f; done; : >empty; ln -s admin link; ln -s nowhere dangling;
         mkdir sub; echo deep >sub/file; mkfifo pipe; ln /etc/network/interfaces.d/admin hard"
    ))
    .ok();
    dpkg(&node, &["-i"], &V1).ok(); // a pipe does not hold the capture up
    let before = node.tree_below(FOLDER);
    node.sh(&format!(
        "cd {FOLDER}; rm to-dir; mkdir to-dir; echo mine >to-dir/x; rm to-link; ln -s admin to-link; rm to-fifo; mkfifo to-fifo;
         echo x >empty; rm link; echo x >link; rm dangling; rm -r sub; rm sub-in-the-way; ln -s /nonexistent/x sub-in-the-way"
    ))
    .ok();
    let out = remove(&node, "last").says(&format!("keep {FOLDER}/to-fifo: it is no plain file"));
    out.never_says("pve-network-rs: could not");
    let changes = before.changes(&node.tree_below(FOLDER));
    assert!(changes.len() == 1 && changes[0].contains("to-fifo"), "{changes:#?}");
    node.sh("grep -rx mine /var/backups/pve-network-rs").ok();
}

#[test]
fn in_a_removal_that_goes_by_acceptance_odd_things_are_kept_and_named() {
    if !need_root() {
        return;
    }
    let node = node_of(Suite::Bookworm);
    node.run(["rust-write", "/etc/network/interfaces.d/a", "# trial\n", "/etc/network/interfaces.d/b", "# trial\n"])
        .ok();
    node.sh(&format!("cd {FOLDER}; rm a admin; mkdir a; echo mine >a/x; ln -s /etc/passwd admin")).ok();
    let out = remove(&node, "accepted").says(&format!("keep {FOLDER}/admin: ")).says(&format!("keep {FOLDER}/a"));
    out.never_says("pve-network-rs: could not");
    assert!(!node.exists(&format!("{FOLDER}/b")), "on trial, and it was not there before");
    assert_eq!(node.text(&format!("{FOLDER}/a/x")), "mine\n");
    assert!(node.text("/etc/passwd").contains("root"), "a link is never written through");
}

/// Names that shells, JSON and terminals trip over.
const NAMES: [&[u8]; 8] = [
    b"a b",
    b"new\nline",
    b"\xff\xfe raw",
    b"-dash",
    b"quote'\"",
    b"$(touch pwned)`x`",
    b"\\x41",
    "ü\u{202e}".as_bytes(),
];

fn write_all(node: &Node, content: &'static str) {
    node.inside(move |_| {
        for name in NAMES {
            std::fs::write(PathBuf::from(FOLDER).join(OsStr::from_bytes(name)), content).unwrap();
        }
    });
}

fn read_all(node: &Node) -> Vec<String> {
    node.inside(|_| {
        let read = |name: &[u8]| std::fs::read_to_string(PathBuf::from(FOLDER).join(OsStr::from_bytes(name)));
        NAMES.iter().map(|name| read(name).unwrap_or_default()).collect()
    })
}

#[test]
fn names_of_any_bytes_are_captured_listed_and_put_back() {
    if !need_root() {
        return;
    }
    for suite in Suite::ALL {
        let node = bare(suite);
        write_all(&node, "# before\n");
        dpkg(&node, &["-i"], &V1).ok();
        let id = snapshots(&node)[0].clone();
        node.run(["migration-ctl", "snapshot", "verify"]).ok();
        let shown = json(&node, &["snapshot", "show", &id]);
        assert_eq!(
            shown["entries"].as_array().unwrap().iter().filter(|e| e["kind"] == "file").count(),
            NAMES.len() + 5
        );
        let lines = node.run(["migration-ctl", "snapshot", "show", &id]).ok().stdout;
        assert_eq!(lines.lines().count(), shown["entries"].as_array().unwrap().len(), "one line each:\n{lines}");
        write_all(&node, "# after\n");
        node.run(["migration-ctl", "rollback", "--path", FOLDER]).ok();
        assert_eq!(read_all(&node), ["# before\n"; NAMES.len()]);
        write_all(&node, "# after\n");
        remove(&node, "last");
        assert_eq!(read_all(&node), ["# before\n"; NAMES.len()]);
    }
}

#[test]
fn the_printed_commands_work_for_names_of_any_bytes_after_purge() {
    if !need_root() {
        return;
    }
    let node = bare(Suite::Bookworm);
    write_all(&node, "# before\n");
    dpkg(&node, &["-i"], &V1).ok();
    write_all(&node, "# after\n");
    let out = remove(&node, "accepted");
    assert_eq!(read_all(&node), ["# after\n"; NAMES.len()], "the admin's, so they are kept");
    node.run(["dpkg", "-P", NAME]).ok();
    let commands: Vec<&str> = out.stderr.lines().filter_map(|l| l.split_once(" instead: ")).map(|(_, c)| c).collect();
    assert_eq!(commands.len(), NAMES.len(), "{}", out.stderr);
    for command in commands {
        node.run(["sh", "-ec", command]).ok();
    }
    assert_eq!(read_all(&node), ["# before\n"; NAMES.len()]);
    node.sh("! find / -xdev -name pwned | grep .").ok();
}

#[test]
fn owners_modes_times_and_attributes_come_back() {
    if !need_root() {
        return;
    }
    let node = bare(Suite::Bookworm);
    let file = "/etc/network/interfaces";
    node.sh(&format!(
        "chown 33:42 {file}; chmod 0640 {file}; setfattr -n user.note -v 'by hand' {file}; touch -d '2001-02-03 04:05:06.789' {file}"
    ))
    .ok();
    let look = || node.sh(&format!("stat -c '%a %u:%g %s %y' {file}; getfattr -d --absolute-names {file}")).ok().stdout;
    let before = look();
    assert!(before.contains("by hand"), "{before}");
    dpkg(&node, &["-i"], &V1).ok();
    // By hand, from the newest snapshot, as a person would.
    node.sh(&format!("cp -a {STATE}/backups/latest/interfaces /root/copy; stat -c '%a %u:%g %y' /root/copy {file} | uniq | wc -l | grep -qx 1"))
        .ok();
    node.run(["rust-write", file, TRIAL]).ok();
    assert!(look().contains("640 33:42") && look().contains("by hand"), "a Rust write keeps them: {}", look());
    node.sh(&format!("chmod 0600 {file}; chown 1:1 {file}; setfattr -x user.note {file}")).ok();
    remove(&node, "accepted");
    assert_eq!(node.text(file), INTERFACES);
    assert_eq!(look(), before);
}

#[test]
fn snapshots_within_a_second_are_told_apart_and_in_order() {
    if !need_root() {
        return;
    }
    let node = node_of(Suite::Bookworm);
    let ids: Vec<String> = node.inside(|root| {
        let store = store(root, Clock::Fixed(Timestamp::parse_compact("20300101-000000").unwrap()));
        let take = |number: usize| {
            std::fs::write(ADMIN, format!("# {number}\n")).unwrap();
            capture(&store, "twelve in a second").id
        };
        (1..=12).map(take).collect()
    });
    assert_eq!(
        (ids[0].as_str(), ids[1].as_str(), ids[11].as_str()),
        ("20300101-000000", "20300101-000000-2", "20300101-000000-12")
    );
    let listed = json(&node, &["snapshot", "list"]);
    let listed: Vec<&str> = listed["snapshots"].as_array().unwrap().iter().filter_map(|s| s["id"].as_str()).collect();
    assert_eq!(listed[1..], ids, "in the order in which they were taken, -12 after -2");
    node.run(["migration-ctl", "snapshot", "verify"]).ok();
    node.write(ADMIN, "# later\n");
    remove(&node, "last");
    assert_eq!(node.text(ADMIN), "# 12\n");
}

#[test]
fn a_clock_that_goes_backwards_changes_no_order() {
    if !need_root() {
        return;
    }
    let node = node_of(Suite::Bookworm);
    node.write(ADMIN, "# in the future\n");
    let future = node.inside(|root| {
        capture(&store(root, Clock::Fixed(Timestamp::parse_compact("21000101-000000").unwrap())), "a wrong clock").id
    });
    node.write(ADMIN, "# the clock is right again\n");
    dpkg(&node, &["-i"], &V2).ok();
    let last = json(&node, &["snapshot", "list"])["snapshots"].as_array().unwrap().last().unwrap()["id"].clone();
    assert_ne!(last, future.as_str());
    let latest = node.sh(&format!("readlink {STATE}/backups/latest")).ok().stdout;
    assert_eq!(latest.trim(), last.as_str().unwrap());
    assert!(manifest(&node, latest.trim())["sequence"].as_u64() > manifest(&node, &future)["sequence"].as_u64());
    node.write(ADMIN, "# at last\n");
    node.run(["migration-ctl", "rollback"]).ok();
    assert_eq!(node.text(ADMIN), "# the clock is right again\n");
    node.write(ADMIN, "# at last\n");
    remove(&node, "last");
    assert_eq!(node.text(ADMIN), "# the clock is right again\n");
    assert_eq!(node.text("/etc/network/interfaces"), INTERFACES);
}

#[test]
fn a_write_before_a_backwards_clock_is_still_on_trial() {
    if !need_root() {
        return;
    }
    let node = node_of(Suite::Bookworm);
    node.inside(|root| {
        let store = store(root, Clock::Fixed(Timestamp::parse_compact("21000101-000000").unwrap()));
        let mut operation =
            history::Operation::begin(&store, history::journal::Backend::Rust, "test", "rust-basic-write").unwrap();
        operation.stage("/etc/network/interfaces", Some(TRIAL.into())).unwrap();
        operation.commit().unwrap();
    });
    assert_eq!(node.text("/etc/network/interfaces"), TRIAL);
    dpkg(&node, &["-i"], &V2).ok();
    remove(&node, "accepted");
    assert_eq!(node.text("/etc/network/interfaces"), INTERFACES);
}

#[test]
fn retention_keeps_twenty_and_the_first_and_what_is_not_ours() {
    if !need_root() {
        return;
    }
    let node = node_of(Suite::Bookworm);
    let first = snapshots(&node)[0].clone();
    node.write(&format!("{STATE}/backups/mine/interfaces"), "# put here by an admin\n");
    node.write(&format!("{STATE}/backups/20200101-000000.bak/interfaces"), "# and this\n");
    for round in 0..25 {
        node.write(ADMIN, format!("# round {round}\n"));
        dpkg(&node, &["-i"], if round % 2 == 0 { &V2 } else { &V1 }).ok();
    }
    let left: Vec<String> = snapshots(&node).into_iter().filter(|n| n != "mine" && !n.ends_with(".bak")).collect();
    assert_eq!(left.len(), 21, "{left:?}");
    assert!(left.contains(&first));
    assert_eq!(node.text(&format!("{STATE}/backups/{first}/interfaces.d/admin")), "# by the admin\n");
    assert!(node.exists(&format!("{STATE}/backups/mine/interfaces")));
    assert!(node.exists(&format!("{STATE}/backups/20200101-000000.bak/interfaces")));
    node.run(["migration-ctl", "snapshot", "verify"]).ok();
    node.write(ADMIN, "# later\n");
    remove(&node, "last");
    assert_eq!(node.text(ADMIN), "# round 24\n");
}

#[test]
fn backups_made_by_hand_are_listed_and_restored() {
    if !need_root() {
        return;
    }
    let node = node_of(Suite::Bookworm);
    let manual = format!("{STATE}/manual-backups");
    node.sh(&format!(
        "mkdir -p '{manual}/before work' {manual}/whole
         rsync -a /etc/network/interfaces /etc/network/interfaces.d /etc/pve/sdn '{manual}/before work/'
         rsync -aR /etc/network /etc/pve/sdn /etc/hostname {manual}/whole/
         cp -a {STATE}/backups/latest/ {manual}/copied"
    ))
    .ok();
    let list = json(&node, &["snapshot", "list"]);
    let names: Vec<&str> = list["manual_backups"].as_array().unwrap().iter().filter_map(|m| m["id"].as_str()).collect();
    assert_eq!(names, ["manual-backups/before work", "manual-backups/copied", "manual-backups/whole"]);
    node.run(["migration-ctl", "snapshot", "list"]).ok().says("manual-backups/before work").says("hostname");
    for id in names {
        json(&node, &["snapshot", "show", id]);
        node.write("/etc/network/interfaces", TRIAL);
        node.write(ADMIN, "# later\n");
        node.write("/etc/network/interfaces.d/new", "# not in the backup\n");
        node.write("/etc/pve/sdn/zones.cfg", "simple: later\n");
        node.run(["migration-ctl", "rollback", "--to", id, "--dry-run"]).ok().says("restore /etc/network/interfaces");
        assert_eq!(node.text("/etc/network/interfaces"), TRIAL);
        node.run(["migration-ctl", "rollback", "--to", id]).ok();
        assert_eq!(node.text("/etc/network/interfaces"), INTERFACES, "{id}");
        assert_eq!(node.text(ADMIN), "# by the admin\n", "{id}");
        // One with a manifest says that this was absent; one without says nothing about it.
        assert_eq!(node.exists("/etc/network/interfaces.d/new"), id != "manual-backups/copied", "{id}");
        assert_eq!(node.text("/etc/pve/sdn/zones.cfg"), "simple: later\n", "the cluster's only if asked: {id}");
        node.run(["migration-ctl", "rollback", "--to", id, "--cluster", "--path", "/etc/pve"]).ok();
        assert_eq!(node.text("/etc/pve/sdn/zones.cfg"), "simple: lab\n", "{id}");
    }
    node.sh(&format!("echo x >>{manual}/copied/interfaces")).ok();
    node.write("/etc/network/interfaces", TRIAL);
    node.run(["migration-ctl", "rollback", "--to", "manual-backups/copied"]).code(3).says("altered");
    assert_eq!(node.text("/etc/network/interfaces"), TRIAL);
    node.run(["migration-ctl", "rollback", "--to", "manual-backups/none"]).fails();
    node.run(["migration-ctl", "rollback", "--to", "manual-backups/../../../etc"]).fails();
    // They are the operator's: purge leaves them.
    node.run(["dpkg", "-P", NAME]).ok();
    assert_eq!(node.ls(&manual), ["before work", "copied", "whole"]);
}

#[test]
fn a_read_only_file_system_bars_no_removal_and_purge_finishes() {
    if !need_root() {
        return;
    }
    for folder in ["/etc/network", STATE] {
        let node = node_of(Suite::Bookworm);
        node.run(["rust-write", "/etc/network/interfaces", TRIAL]).ok();
        node.sh(&format!("mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}")).ok();
        let out = dpkg(&node, &["-i"], &V2);
        if folder == STATE {
            out.code(1).says("Read-only file system");
            assert_eq!(node.state_of(NAME), "ii");
        }
        node.run(["dpkg", "-r", NAME]).ok().says("/etc/network/interfaces");
        assert!(node.state_of(NAME).ends_with('c'), "removed: {folder}");
        assert_eq!(node.text("/etc/network/interfaces"), TRIAL, "{folder}");
        node.sh(&format!("umount {folder}")).ok();
        node.run(["dpkg", "-P", NAME]).ok();
        assert_eq!(node.text("/etc/network/interfaces"), INTERFACES, "what was pending is done: {folder}");
        assert!(!node.exists(STATE));
    }
}

#[test]
fn what_programs_read_is_json_with_a_version() {
    if !need_root() {
        return;
    }
    let node = node_of(Suite::Bookworm);
    let phase = json(&node, &["phase", "get"]);
    assert_eq!((phase["phase"].as_str(), phase["node"].as_str()), (Some("perl-only"), Some("pve1")));
    let id = snapshots(&node)[0].clone();
    let list = json(&node, &["snapshot", "list"]);
    assert_eq!(list["snapshots"][0]["id"], id.as_str());
    assert_eq!(list["snapshots"][0]["first"], true);
    let show = json(&node, &["snapshot", "show", &id]);
    assert!(show["entries"].as_array().unwrap().iter().any(|e| e["path"] == "/etc/network/interfaces"));
    // A damaged one is among the rest, marked, and does not break the list.
    node.sh(&format!("echo x >{STATE}/backups/{id}/manifest.json")).ok();
    dpkg(&node, &["-i"], &V2).ok();
    let list = json(&node, &["snapshot", "list"]);
    assert!(list["snapshots"].as_array().unwrap().iter().any(|s| s["id"] == id.as_str() && s["damaged"].is_string()));
    node.run(["migration-ctl", "snapshot", "verify"]).code(1).says(&id);
    node.write("/etc/pve/network/migration.toml", "phase = \"perl-olny\"\n");
    let phase = json(&node, &["phase", "get"]);
    assert_eq!(phase["phase"], "perl-only");
    assert!(phase["reasons"][0].as_str().unwrap().contains("migration.toml"), "{phase}");
}
