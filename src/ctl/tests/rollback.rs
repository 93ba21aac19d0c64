//! Every way of going back by hand (docs/going-back.md), dry and real, and undone by the snapshot
//! that it took first.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod rig;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use rig::{INTERFACES, Node, STATE};

const I: &str = "/etc/network/interfaces";
const OTHER: &str = "auto lo\niface lo inet loopback\n\nauto vmbr0\niface vmbr0 inet static\n\taddress 192.0.2.10/24\n\tgateway 192.0.2.1\n\tbridge-ports eno2\n";

struct Case {
    name: &'static str,
    change: fn(&Node),
    arguments: &'static [&'static str],
    /// Beginnings of the plan's lines, in their order.
    plan: &'static [&'static str],
    /// What the undo can't bring back, because going back never recreates it.
    lost: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        name: "a file edited",
        change: |m| m.write(I, OTHER),
        arguments: &[],
        plan: &["restore /etc/network/interfaces from "],
        lost: &[],
    },
    Case {
        name: "a mode changed",
        change: |m| fs::set_permissions(m.path(I), fs::Permissions::from_mode(0o600)).unwrap(),
        arguments: &[],
        plan: &["restore /etc/network/interfaces from "],
        lost: &[],
    },
    Case {
        name: "edited, gone, and made since: one set",
        change: |m| {
            m.write(I, OTHER);
            m.remove("/etc/network/interfaces.d/admin");
            m.write("/etc/network/interfaces.d/new", "# new\n");
        },
        arguments: &[],
        plan: &[
            "restore /etc/network/interfaces from ",
            "restore /etc/network/interfaces.d/admin from ",
            "delete /etc/network/interfaces.d/new, ",
        ],
        lost: &[],
    },
    Case {
        name: "a Rust write on trial goes back too",
        change: |m| drop(m.rust_writes(I, Some(OTHER))),
        arguments: &["--to", "FIRST"],
        plan: &["restore /etc/network/interfaces from "],
        lost: &[],
    },
    Case {
        name: "only a path",
        change: |m| {
            m.write(I, OTHER);
            m.write("/etc/network/interfaces.d/admin", "# again\n");
        },
        arguments: &["--path", "/etc/network/interfaces.d"],
        plan: &["restore /etc/network/interfaces.d/admin from "],
        lost: &[],
    },
    Case {
        name: "the cluster's files are named only",
        change: |m| {
            m.write(I, OTHER);
            m.write("/etc/pve/sdn/zones.cfg", "simple: other\n");
        },
        arguments: &[],
        plan: &["restore /etc/network/interfaces from ", "keep /etc/pve/sdn/zones.cfg: it belongs to the cluster"],
        lost: &[],
    },
    Case {
        name: "the cluster's files as well",
        change: |m| {
            m.write(I, OTHER);
            m.write("/etc/pve/sdn/zones.cfg", "simple: other\n");
            m.write("/etc/pve/sdn/vnets.cfg", "vnet: new\n");
        },
        arguments: &["--cluster"],
        plan: &[
            "restore /etc/network/interfaces from ",
            "delete /etc/pve/sdn/vnets.cfg, ",
            "restore /etc/pve/sdn/zones.cfg from ",
        ],
        lost: &[],
    },
    Case {
        name: "pending changes are deleted, never recreated",
        change: |m| m.write("/etc/network/interfaces.new", "# pending\n"),
        arguments: &[],
        plan: &["delete /etc/network/interfaces.new, "],
        lost: &["/etc/network/interfaces.new"],
    },
    Case {
        name: "interfaces gone",
        change: |m| m.remove(I),
        arguments: &[],
        plan: &["restore /etc/network/interfaces from "],
        lost: &[],
    },
    Case {
        name: "interfaces replaced by a link",
        change: |m| {
            m.remove(I);
            symlink("interfaces.d/admin", m.path(I)).unwrap();
        },
        arguments: &["--to", "latest"],
        plan: &["restore /etc/network/interfaces from "],
        lost: &[],
    },
    Case {
        name: "the beginning of a name",
        change: |m| m.write(I, OTHER),
        arguments: &["--to", "PREFIX"],
        plan: &["restore /etc/network/interfaces from "],
        lost: &[],
    },
    Case {
        name: "a backup made by hand",
        change: |m| {
            m.write(&format!("{STATE}/manual-backups/mine/interfaces"), OTHER);
            m.write(&format!("{STATE}/manual-backups/mine/sdn/zones.cfg"), "simple: by hand\n");
        },
        arguments: &["--to", "manual-backups/mine", "--cluster"],
        plan: &[
            "restore /etc/network/interfaces from manual-backups/mine",
            "restore /etc/pve/sdn/zones.cfg from manual-",
        ],
        lost: &[],
    },
    Case {
        name: "evidence is never written",
        change: |m| {
            m.write("/etc/pve/storage.cfg", "dir: other\n");
            m.write(I, OTHER);
        },
        arguments: &["--cluster"],
        plan: &["restore /etc/network/interfaces from "],
        lost: &[],
    },
];

#[test]
fn every_way_dry_real_and_undone() {
    for (case, by_restore) in CASES.iter().flat_map(|c| [(c, false), (c, true)]) {
        let machine = Node::installed();
        let first = machine.snapshots()[0].clone();
        (case.change)(&machine);
        let words: Vec<&str> = case
            .arguments
            .iter()
            .map(|word| match *word {
                "FIRST" => first.as_str(),
                "PREFIX" => &first[..12],
                word => word,
            })
            .collect();
        // `snapshot restore ID` is the same by another name.
        let mut command = vec!["rollback"];
        if by_restore {
            let Some(at) = words.iter().position(|w| *w == "--to") else { continue };
            command = vec!["snapshot", "restore", words[at + 1]];
            command.extend(words.iter().enumerate().filter(|(n, _)| *n != at && *n != at + 1).map(|(_, w)| *w));
        } else {
            command.extend(words);
        }
        let changed = machine.etc();
        let snapshots = machine.snapshots();

        let dry = machine.ctl(&[&command[..], &["--dry-run"]].concat()).ok();
        assert_eq!(machine.etc(), changed, "{}: a dry run changes nothing", case.name);
        assert_eq!(machine.snapshots(), snapshots, "{}", case.name);
        let lines: Vec<&str> = dry.out.lines().collect();
        assert_eq!(lines.len(), case.plan.len(), "{}: {dry:#?}", case.name);
        for (line, begin) in lines.iter().zip(case.plan) {
            assert!(line.starts_with(begin), "{}: {line} does not begin with {begin}", case.name);
        }

        let real = machine.ctl(&command).ok();
        assert_eq!(real.out, dry.out, "{}: it does what it showed", case.name);
        assert_ne!(machine.etc(), changed, "{}", case.name);
        // By now the beginning of its name fits the undo's as well.
        let whole = command.iter().map(|w| if *w == &first[..12] { first.as_str() } else { *w });
        let again = machine.ctl(&whole.collect::<Vec<_>>()).ok();
        assert!(again.err.contains("nothing to restore"), "{}: {again:#?}", case.name);

        machine.runs_printed(&real, "to undo: ").ok();
        let mut expected = changed;
        expected.retain(|path, _| !case.lost.iter().any(|l| *path == machine.path(l)));
        assert_eq!(machine.etc(), expected, "{}: undone", case.name);
    }
}

#[test]
fn what_would_cut_the_node_off_needs_force_and_is_written_down() {
    let machine = Node::installed();
    machine.write(I, INTERFACES.replace("192.0.2.10", "192.0.2.20"));
    let before = machine.etc();
    let refused = machine.ctl(&["rollback"]).code(3).says("lose the node's management address 192.0.2.20/24");
    assert!(refused.err.contains("--force"), "{refused:#?}");
    assert_eq!(machine.etc(), before);
    let dry = machine.ctl(&["rollback", "--force", "--dry-run"]).ok().says("FORCED, though the result would lose");
    assert_eq!(machine.etc(), before);
    let done = machine.ctl(&["rollback", "--force"]).ok();
    assert_eq!(done.out, dry.out);
    assert_eq!(machine.text(I), INTERFACES);
    let journal = machine.text(&format!("{STATE}/operations.jsonl"));
    assert!(
        journal.contains("\"event\":\"note\"") && journal.contains("forced though the result would lose"),
        "{journal}"
    );
    let undo = machine.snapshots().pop().unwrap();
    let manifest = machine.text(&format!("{STATE}/backups/{undo}/manifest.json"));
    assert!(manifest.contains("forced though"), "{manifest}");
    machine.ctl(&["rollback", "--to", &undo, "--force"]).ok();
    assert_eq!(machine.etc(), before);
}

#[test]
fn a_guests_bridge_and_a_broken_result_are_refused() {
    let machine = Node::installed();
    machine.write(I, format!("{INTERFACES}\nauto vmbr7\niface vmbr7 inet manual\n\tbridge-ports none\n"));
    machine.write("/etc/pve/qemu-server/100.conf", "net0: virtio=00:00:00:00:00:01,bridge=vmbr7\n");
    machine.ctl(&["rollback"]).code(3).says("vmbr7");
    assert!(machine.text(I).contains("vmbr7"));
    machine.write(&format!("{STATE}/manual-backups/bad/interfaces"), "iface\n\0");
    machine.ctl(&["rollback", "--to", "manual-backups/bad"]).code(3).says("would not parse");
}

#[test]
fn no_flag_restores_what_does_not_verify() {
    let machine = Node::installed();
    let id = machine.snapshots()[0].clone();
    machine.write(I, OTHER);
    let before = machine.etc();
    for damage in ["interfaces", "manifest.json", "stray"] {
        let path = machine.path(&format!("{STATE}/backups/{id}/{damage}"));
        let old = fs::read(&path).ok();
        fs::write(&path, "# altered\n").unwrap();
        for force in [false, true] {
            let mut command = vec!["rollback", "--to", &id];
            if force {
                command.push("--force");
            }
            machine.ctl(&command).code(3);
            assert_eq!(machine.etc(), before, "{damage} {force}");
        }
        match old {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
    }
    machine.ctl(&["rollback", "--to", &id]).ok();
}

#[test]
fn names_that_say_too_little_or_nothing() {
    let machine = Node::installed();
    machine.ctl(&["snapshot", "take"]).ok();
    machine.ctl(&["rollback", "--to", "2"]).code(3).says("is the beginning of 2 snapshots");
    machine.ctl(&["rollback", "--to", "19700101-000000"]).code(3).says("there is no snapshot");
    machine.ctl(&["rollback", "--to", "manual-backups/none"]).code(3).says("there is no backup");
    machine.ctl(&["rollback", "--to", "manual-backups/../backups"]).code(2);
    machine.ctl(&["rollback", "--to", ""]).code(3);
    machine.ctl(&["rollback", "--path", "etc/network"]).code(2);
    machine.ctl(&["rollback", "--path", "/etc/passwd"]).code(3).says("is not captured");
    machine.ctl(&["rollback", "--path", "/etc/pve/storage.cfg", "--cluster"]).code(3).says("never restored");
    machine.ctl(&["rollback", "--resume", "--cluster"]).code(2);
    machine.ctl(&["rollback", "--resume"]).ok().says("no restore waits");
}

#[test]
fn an_interrupted_restore_is_shown_and_finished() {
    let machine = Node::installed();
    machine.write(I, OTHER);
    let store = machine.store();
    let dry = machine.ctl(&["rollback", "--dry-run"]).ok();
    // As a kill between stage and rename leaves it.
    let present = history::snapshot::present(&store, true).unwrap();
    let trigger = history::Trigger::ByHand { to: None, only: None, cluster: false };
    let plan = history::restore::decide(&store, &trigger, history::Policy::Last, present, None).unwrap().plan;
    let intent = serde_json::json!({"format": 1, "id": "o", "phase": "perl-only", "actions": plan.actions});
    machine.write(&format!("{STATE}/restore/0"), INTERFACES);
    machine.write(&format!("{STATE}/restore/intent.json"), intent.to_string());
    assert!(dry.out.contains("interfaces"));
    assert_eq!(machine.text(I), OTHER);
    let status = machine.ctl(&["status"]).ok().says("a restore was interrupted: /etc/network/interfaces");
    assert!(status.out.contains("migration-ctl rollback --resume"), "{status:#?}");
    machine.ctl(&["rollback", "--resume", "--dry-run"]).ok().says("finish /etc/network/interfaces from ");
    assert_eq!(machine.text(I), OTHER);
    machine.ctl(&["rollback", "--resume"]).ok().says("1 paths restored");
    assert_eq!(machine.text(I), INTERFACES);
    machine.ctl(&["rollback", "--resume"]).ok().says("no restore waits");
}

#[test]
fn without_pmxcfs_the_cluster_is_not_written() {
    let machine = Node::installed();
    machine.write("/usr/bin/pmxcfs", "");
    machine.write(I, OTHER);
    let before = machine.etc();
    machine.ctl(&["rollback", "--cluster"]).code(5).says("pmxcfs is not mounted");
    assert_eq!(machine.etc(), before);
    machine.ctl(&["rollback"]).ok();
    assert_eq!(machine.text(I), INTERFACES);
}

#[test]
fn a_file_where_a_folder_was_is_no_reason_to_fail() {
    let machine = Node::installed();
    machine.remove(I);
    fs::create_dir(machine.path(I)).unwrap();
    machine.write("/etc/network/interfaces/mine", "# mine\n");
    let done = machine.ctl(&["rollback"]).ok();
    assert_eq!(machine.text(I), INTERFACES);
    // The folder is in /var/backups; its undo says why it leaves the file.
    machine.runs_printed(&done, "to undo: ").ok().says("was a folder and is none any more");
    assert_eq!(machine.text(I), INTERFACES);
}
