//! Removal and purge: what is on trial goes back, what others wrote stays, nothing is lost.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use rig::ours::{INTERFACES, NAME, STATE, like_a_pve_node, put_rust_write, sealing, snapshots};
use rig::{Machine, Node, Output, Suite, need_root};

const RUST_WRITE: &str = env!("CARGO_BIN_EXE_rust-write");
const TRIAL: &str = "auto lo\niface lo inet loopback\n\nauto vmbr0\niface vmbr0 inet static\n\taddress 192.0.2.10/24\n\tgateway 192.0.2.1\n\tbridge-ports none\n";

fn node_of(suite: Suite) -> Node {
    let node = Node::of(suite).named("pve1");
    like_a_pve_node(&node);
    node.install(&sealing().build()).ok();
    put_rust_write(&node, RUST_WRITE);
    node
}

fn node() -> Node {
    node_of(Suite::Bookworm)
}

fn rust_writes(node: &Node, path: &str, content: &str) {
    node.run(["rust-write", path, content]).ok();
}

/// Runs the command that a line of the output ends with.
fn run_printed(node: &Node, out: &Output, after: &str) {
    let line =
        out.stderr.lines().find(|l| l.contains(after)).unwrap_or_else(|| panic!("no {after:?} in {}", out.stderr));
    let command = &line[line.find(after).unwrap() + after.len()..];
    node.run(["sh", "-ec", command]).ok();
}

#[test]
fn the_trial_is_undone_and_the_admins_work_kept() {
    for suite in [Suite::Bookworm, Suite::Trixie] {
        if !need_root() {
            return;
        }
        let node = node_of(suite);
        rust_writes(&node, "/etc/network/interfaces", TRIAL);
        node.write("/etc/network/interfaces.d/admin", "# changed later\n");
        let out = node.run(["dpkg", "-r", NAME]).ok();
        assert_eq!(node.text("/etc/network/interfaces"), INTERFACES);
        assert_eq!(node.text("/etc/network/interfaces.d/admin"), "# changed later\n");
        out.says("restore /etc/network/interfaces from ")
            .says("keep /etc/network/interfaces.d/admin: ")
            .says("ifreload -a");
    }
}

#[test]
fn the_printed_commands_work_also_after_purge() {
    if !need_root() {
        return;
    }
    let node = node();
    rust_writes(&node, "/etc/network/interfaces", TRIAL);
    rust_writes(&node, "/etc/pve/sdn/zones.cfg", "simple: trial\n");
    node.write("/etc/network/interfaces.d/admin", "# changed later\n");
    node.write("/etc/network/interfaces.d/a b", "# new, with a space\n");
    let out = node.run(["dpkg", "-r", NAME]).ok();
    assert_eq!(node.text("/etc/pve/sdn/zones.cfg"), "simple: trial\n", "a removal never changes cluster files");
    node.run(["dpkg", "-P", NAME]).ok();
    assert!(!node.exists(STATE));
    run_printed(&node, &out, "backup's /etc/network/interfaces.d/admin instead: ");
    assert_eq!(node.text("/etc/network/interfaces.d/admin"), "# by the admin\n");
    run_printed(&node, &out, "backup's /etc/network/interfaces.d/a b instead: ");
    assert!(!node.exists("/etc/network/interfaces.d/a b"));
    run_printed(&node, &out, "backup's /etc/pve/sdn/zones.cfg instead: ");
    assert_eq!(node.text("/etc/pve/sdn/zones.cfg"), "simple: lab\n");
    let replaced = out.stderr.lines().find_map(|l| l.split_once("what was replaced is kept in ")).unwrap().1;
    assert_eq!(node.text(&format!("{replaced}/etc/network/interfaces")), TRIAL);
}

#[test]
fn purge_leaves_no_trace_where_nothing_is_unique() {
    for suite in [Suite::Bookworm, Suite::Trixie] {
        if !need_root() {
            return;
        }
        let node = Node::of(suite);
        let before = node.tree().without(&["/var/lib/dpkg", "/var/log", "/var/cache", "/root"]);
        node.install(&sealing().build()).ok();
        node.run(["dpkg", "-P", NAME]).ok();
        before.assert_same(&node.tree().without(&["/var/lib/dpkg", "/var/log", "/var/cache", "/root"]));
    }
}

#[test]
fn purge_moves_what_is_unique_and_leaves_manual_backups() {
    if !need_root() {
        return;
    }
    let node = node();
    node.write(&format!("{STATE}/manual-backups/before/interfaces"), "# put aside\n");
    node.write("/etc/network/interfaces.d/admin", "# second thoughts\n");
    rust_writes(&node, "/etc/network/interfaces.d/lost", "# written by Rust\n");
    node.install(&sealing().build()).ok();
    node.remove("/etc/network/interfaces.d/lost");
    node.run(["dpkg", "-P", NAME]).ok().says("holds what is nowhere else");
    assert!(!node.sh("grep -rl 'written by Rust' /var/backups/pve-network-rs").ok().stdout.is_empty());
    assert_eq!(node.text(&format!("{STATE}/manual-backups/before/interfaces")), "# put aside\n");
    assert_eq!(node.ls(STATE), ["manual-backups"]);
    let kept = node.sh("grep -rl 'by the admin' /var/backups/pve-network-rs").ok();
    assert!(!kept.stdout.is_empty());
    node.sh("test $(stat -c %a /var/backups/pve-network-rs) = 700").ok();
    assert!(!node.exists("/etc/pve/network"), "our phase file and its folder go");
    assert!(node.exists("/etc/pve/storage.cfg"));
}

#[test]
fn restore_as_the_admin_says() {
    if !need_root() {
        return;
    }
    // What was accepted stays; `last` takes it back all the same; `never` restores nothing.
    for (choice, trial, admin) in
        [("accepted", INTERFACES, "# later\n"), ("last", TRIAL, "# by the admin\n"), ("never", TRIAL, "# later\n")]
    {
        for how in ["environment", "file", "hooks.toml"] {
            let node = Node::bookworm().named("pve1");
            like_a_pve_node(&node);
            let hooks = format!("restore = \"{choice}\"");
            let deb = if how == "hooks.toml" {
                sealing().hooks("restore = \"accepted\"", &hooks).build()
            } else {
                sealing().build()
            };
            node.install(&deb).ok();
            put_rust_write(&node, RUST_WRITE);
            rust_writes(&node, "/etc/network/interfaces", TRIAL);
            // A later backup, so that "last" and "accepted" differ.
            node.install(&deb).ok();
            node.write("/etc/network/interfaces.d/admin", "# later\n");
            let mut remove = node.call(["dpkg", "-r", NAME]);
            if how == "environment" {
                remove = remove.env("RESTORE", choice);
            } else if how == "file" {
                node.write("/etc/default/pve-network-rs", format!("# ours\nRESTORE={choice}\n"));
            }
            remove.run().ok();
            assert_eq!(node.text("/etc/network/interfaces"), trial, "{choice} by {how}");
            assert_eq!(node.text("/etc/network/interfaces.d/admin"), admin, "{choice} by {how}");
        }
    }
}

#[test]
fn a_wrong_choice_is_said_and_the_packages_own_holds() {
    if !need_root() {
        return;
    }
    let node = node();
    rust_writes(&node, "/etc/network/interfaces", TRIAL);
    node.call(["dpkg", "-r", NAME]).env("RESTORE", "everything").run().ok().says("it must be accepted, last or never");
    assert_eq!(node.text("/etc/network/interfaces"), INTERFACES);
}

#[test]
fn what_was_accepted_or_written_by_perl_stays() {
    if !need_root() {
        return;
    }
    let node = node();
    rust_writes(&node, "/etc/network/interfaces", TRIAL);
    node.run(["rust-write", "--accept", "/etc/network/interfaces"]).ok();
    rust_writes(&node, "/etc/network/interfaces.d/rust", "# trial\n");
    node.run(["rust-write", "--as", "legacy", "/etc/network/interfaces.d/admin", "# by perl\n"]).ok();
    node.run(["dpkg", "-r", NAME]).ok();
    assert_eq!(node.text("/etc/network/interfaces"), TRIAL);
    assert!(!node.exists("/etc/network/interfaces.d/rust"));
    assert_eq!(node.text("/etc/network/interfaces.d/admin"), "# by perl\n");
}

#[test]
fn damage_to_interfaces_is_mended_and_other_files_stay_gone() {
    if !need_root() {
        return;
    }
    for damage in [
        ": > /etc/network/interfaces",
        "rm /etc/network/interfaces",
        "printf '\\0\\0' > /etc/network/interfaces",
        "rm /etc/network/interfaces; mkdir /etc/network/interfaces; echo mine > /etc/network/interfaces/x",
    ] {
        let node = node();
        node.sh(damage).ok();
        node.remove("/etc/network/interfaces.d/admin");
        node.run(["dpkg", "-r", NAME]).ok();
        assert_eq!(node.text("/etc/network/interfaces"), INTERFACES, "{damage}");
        assert!(!node.exists("/etc/network/interfaces.d/admin"), "deleted by someone: it stays gone");
        if damage.contains("mkdir") {
            node.sh("grep -r mine /var/backups/pve-network-rs").ok();
        }
    }
}

#[test]
fn pending_changes_are_deleted_never_recreated() {
    if !need_root() {
        return;
    }
    let node = node();
    rust_writes(&node, "/etc/network/interfaces.new", "# trial\n");
    node.run(["dpkg", "-r", NAME]).ok();
    assert!(!node.exists("/etc/network/interfaces.new"));
    let node = self::node();
    node.write("/etc/network/interfaces.new", "# pending\n");
    node.install(&sealing().version("0.2.0-1").build()).ok();
    node.remove("/etc/network/interfaces.new");
    node.call(["dpkg", "-r", NAME]).env("RESTORE", "last").run().ok();
    assert!(!node.exists("/etc/network/interfaces.new"));
}

#[test]
fn nothing_is_restored_that_would_cut_the_node_off() {
    if !need_root() {
        return;
    }
    let node = node();
    let moved = TRIAL.replace("192.0.2.10", "192.0.2.20");
    rust_writes(&node, "/etc/network/interfaces", &moved);
    node.run(["dpkg", "-r", NAME]).ok().says("nothing is restored: ").says("192.0.2.20");
    assert_eq!(node.text("/etc/network/interfaces"), moved);
    let node = self::node();
    rust_writes(
        &node,
        "/etc/network/interfaces",
        &format!("{TRIAL}\nauto vmbr7\niface vmbr7 inet manual\n\tbridge-ports none\n"),
    );
    node.write("/etc/pve/lxc/100.conf", "net0: name=eth0,bridge=vmbr7\n");
    node.run(["dpkg", "-r", NAME]).ok().says("nothing is restored: ").says("vmbr7");
    assert!(node.text("/etc/network/interfaces").contains("vmbr7"));
}

#[test]
fn removal_and_purge_work_whatever_became_of_our_state() {
    if !need_root() {
        return;
    }
    let faults: [(&str, &str); 7] = [
        ("no snapshot", "rm -rf /var/lib/pve-network-rs/backups"),
        ("corrupt snapshot", "for f in /var/lib/pve-network-rs/backups/*/interfaces; do echo x >> $f; done"),
        ("corrupt manifest", "for f in /var/lib/pve-network-rs/backups/*/manifest.json; do echo x > $f; done"),
        ("no journal", "rm /var/lib/pve-network-rs/operations.jsonl"),
        ("state gone", "rm -rf /var/lib/pve-network-rs"),
        ("state is a file", "rm -rf /var/lib/pve-network-rs; echo > /var/lib/pve-network-rs"),
        (
            "broken transaction",
            "echo '{' > /var/lib/pve-network-rs/transaction.json; echo '{' > /var/lib/pve-network-rs/removal.json",
        ),
    ];
    for (name, fault) in faults {
        for purge in [false, true] {
            let node = node();
            rust_writes(&node, "/etc/network/interfaces", TRIAL);
            node.sh(fault).ok();
            node.run(["apt-get", "-qy", if purge { "purge" } else { "remove" }, NAME]).ok();
            assert_eq!(node.state_of(NAME), if purge { "un" } else { "rc" }, "{name}");
            let now = node.text("/etc/network/interfaces");
            assert!(now == TRIAL || now == INTERFACES, "{name}: old or new, never between");
            node.run(["dpkg", "-P", NAME]);
            assert_eq!(node.state_of(NAME), "un", "{name}");
        }
    }
}

#[test]
fn a_read_only_cluster_blocks_nothing() {
    if !need_root() {
        return;
    }
    let node = node();
    node.run(["migration-ctl", "phase", "set", "rust-read-only"]).ok();
    rust_writes(&node, "/etc/network/interfaces", TRIAL);
    node.sh("mount --bind /etc/pve /etc/pve && mount -o remount,bind,ro /etc/pve").ok();
    node.run(["dpkg", "-r", NAME]).ok().says("stays for now");
    assert_eq!(node.text("/etc/network/interfaces"), INTERFACES);
    assert_eq!(node.text(&format!("{STATE}/ceiling")).trim(), "perl-only");
    node.run(["dpkg", "-P", NAME]).ok();
    assert_eq!(node.state_of(NAME), "un");
}

#[test]
fn going_back_can_be_undone() {
    if !need_root() {
        return;
    }
    let node = node();
    rust_writes(&node, "/etc/network/interfaces", TRIAL);
    node.run(["dpkg", "-r", NAME]).ok();
    assert_eq!(node.text("/etc/network/interfaces"), INTERFACES);
    node.install(&sealing().build()).ok();
    let undo = snapshots(&node).into_iter().find(|id| rig::ours::manifest(&node, id)["undo"] == true).unwrap();
    let out = node.run(["migration-ctl", "rollback", "--to", &undo, "--dry-run"]).ok();
    assert!(out.stdout.contains("restore /etc/network/interfaces"), "{}", out.stdout);
    assert_eq!(node.text("/etc/network/interfaces"), INTERFACES);
    node.run(["migration-ctl", "rollback", "--to", &undo]).ok();
    assert_eq!(node.text("/etc/network/interfaces"), TRIAL);
}
