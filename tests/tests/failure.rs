//! A configure that fails: what it changed goes back once, this node is safe, one command heals.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use common::{ADMIN, TRIAL, V1, V2, bare, bytes, dpkg};
use rig::ours::{INTERFACES, NAME, STATE, UNITS, manifest, sealing, snapshots};
use rig::{Deb, Machine, Node, Output, Suite, dist, need_root};

/// No script can see dpkg's command line, so what this leaves out is a missing file to the package.
const WITHOUT: &str = "--path-exclude=/usr/bin/migration-ctl";

/// A node with version 0.1.0-1 in phase rust-read-only, and a copy of `migration-ctl` that stays.
fn node_of(suite: Suite) -> Node {
    let node = common::node_of(suite);
    node.sh("cp /usr/bin/migration-ctl /usr/local/bin/ctl").ok();
    node.run(["ctl", "phase", "set", "rust-read-only"]).ok();
    node
}

/// Unpacks or installs without the one program.
fn without(node: &Node, how: &str, deb: &[u8]) -> Output {
    dpkg(node, &[WITHOUT, how], deb)
}

/// Puts the missing file where it belongs, as an admin might who has read the message.
fn mend(node: &Node) {
    node.sh("dpkg-deb -x /root/x.deb /root/x && cp -a /root/x/usr/bin/migration-ctl /usr/bin/ && rm -r /root/x").ok();
}

fn configure(node: &Node) -> Output {
    node.run(["dpkg", "--configure", "-a"])
}

fn phase(node: &Node) -> String {
    node.run(["ctl", "phase", "get"]).ok().stdout.trim().to_owned()
}

/// The script's own error: one line, and no other.
fn the_line(out: &Output) -> String {
    let lines: Vec<&str> = out.stderr.lines().filter(|l| l.starts_with("pve-network-rs (postinst): ")).collect();
    assert_eq!(lines.len(), 1, "one line names the failure:\n{}", out.stderr);
    lines[0].to_owned()
}

#[test]
fn a_failing_configure_leads_back_and_says_how_to_go_on() {
    if !need_root() {
        return;
    }
    for suite in Suite::ALL {
        let node = node_of(suite);
        without(&node, "--unpack", &V2).ok();
        node.run(["rust-write", "/etc/network/interfaces", TRIAL]).ok();
        node.run(["rust-write", "/etc/pve/sdn/zones.cfg", "simple: trial\n"]).ok();
        node.write(ADMIN, "# by the admin, while it was unpacked\n");
        let out = configure(&node).code(1);
        let line = the_line(&out);
        assert!(line.contains("/usr/bin/migration-ctl is missing"), "{line}");
        assert!(line.contains("perl-only") && line.ends_with("dpkg --configure -a"), "{line}");
        assert_eq!(node.state_of(NAME), "iF");
        assert_eq!(node.text("/etc/network/interfaces"), INTERFACES);
        assert_eq!(node.text("/etc/pve/sdn/zones.cfg"), "simple: lab\n", "the cluster's file goes back as well");
        assert_eq!(node.text(ADMIN), "# by the admin, while it was unpacked\n");
        assert_eq!(phase(&node), "perl-only");
        assert_eq!(node.text(&format!("{STATE}/ceiling")).trim(), "perl-only");
        mend(&node);
        configure(&node).ok();
        assert_eq!(node.state_of(NAME), "ii");
        assert!(!node.exists(&format!("{STATE}/transaction.json")));
        assert_eq!(phase(&node), "perl-only", "healing does not raise a phase");
        node.run(["migration-ctl", "phase", "resume"]).ok();
        assert_eq!(phase(&node), "rust-read-only");
        node.run(["migration-ctl", "phase", "resume"]).code(3);
    }
}

#[test]
fn the_printed_command_is_enough_after_a_plain_dpkg_i() {
    if !need_root() {
        return;
    }
    for suite in Suite::ALL {
        let node = node_of(suite);
        let before = node.tree_below("/etc/network");
        let out = without(&node, "-i", &V2).code(1);
        the_line(&out);
        assert_eq!(node.state_of(NAME), "iF");
        assert_eq!(phase(&node), "perl-only");
        before.assert_same(&node.tree_below("/etc/network"));
        // The other way out: the same package again, whole.
        node.run(["dpkg", "-i", "/root/x.deb"]).ok();
        assert_eq!(node.state_of(NAME), "ii");
        before.assert_same(&node.tree_below("/etc/network"));
        node.run(["migration-ctl", "phase", "resume"]).ok();
        assert_eq!(phase(&node), "rust-read-only");
    }
}

#[test]
fn a_first_install_that_fails_to_configure_heals_too() {
    if !need_root() {
        return;
    }
    let node = bare(Suite::Bookworm);
    let before = node.tree_below("/etc/network");
    the_line(&without(&node, "-i", &V1).code(1));
    assert_eq!(node.state_of(NAME), "iF");
    before.assert_same(&node.tree_below("/etc/network"));
    assert_eq!(node.text(&format!("{STATE}/ceiling")).trim(), "perl-only");
    mend(&node);
    configure(&node).ok();
    assert_eq!(node.state_of(NAME), "ii");
    assert_eq!(node.run(["migration-ctl", "phase", "get"]).ok().stdout, "perl-only\n");
    assert!(node.exists("/etc/pve/network/migration.toml"));
    let first: Vec<String> = snapshots(&node).into_iter().filter(|id| manifest(&node, id)["first"] == true).collect();
    assert_eq!(first.len(), 1, "one snapshot is from before the first install");
    node.run(["dpkg", "-P", NAME]).ok();
    before.assert_same(&node.tree_below("/etc/network"));
}

#[test]
fn a_failed_package_can_be_removed_and_purged() {
    if !need_root() {
        return;
    }
    for how in ["-r", "-P"] {
        let node = node_of(Suite::Bookworm);
        without(&node, "--unpack", &V2).ok();
        node.run(["rust-write", "/etc/network/interfaces", TRIAL]).ok();
        configure(&node).code(1);
        node.run(["dpkg", how, NAME]).ok();
        assert_eq!(node.state_of(NAME), if how == "-r" { "rc" } else { "un" });
        assert_eq!(node.text("/etc/network/interfaces"), INTERFACES);
    }
}

#[test]
fn ten_times_again_restores_nothing_twice() {
    if !need_root() {
        return;
    }
    let node = node_of(Suite::Bookworm);
    without(&node, "--unpack", &V2).ok();
    node.run(["rust-write", "/etc/network/interfaces", TRIAL]).ok();
    configure(&node).code(1);
    // The admin decides for the trial's content, and for something else elsewhere.
    node.write("/etc/network/interfaces", TRIAL);
    node.write(ADMIN, "# decided\n");
    configure(&node).code(1);
    let count = snapshots(&node).len();
    for round in 1..10 {
        let out = configure(&node).code(1).never_says("restore /etc");
        the_line(&out);
        assert_eq!(node.text("/etc/network/interfaces"), TRIAL, "round {round}");
        assert_eq!(node.text(ADMIN), "# decided\n", "round {round}");
        assert_eq!(snapshots(&node).len(), count, "nothing changed, so there is nothing to capture");
    }
    for round in 0..3 {
        let text = format!("# edit {round}\n");
        node.write(ADMIN, &text);
        configure(&node).code(1);
        assert_eq!(node.text(ADMIN), text);
    }
    mend(&node);
    configure(&node).ok();
    assert_eq!((node.text("/etc/network/interfaces").as_str(), node.text(ADMIN).as_str()), (TRIAL, "# edit 2\n"));
    node.run(["migration-ctl", "phase", "resume"]).ok();
    assert_eq!(phase(&node), "rust-read-only", "ten failures at perl-only don't hide the phase from before");
}

#[test]
fn restore_as_the_admin_says_also_in_a_failure() {
    if !need_root() {
        return;
    }
    for (choice, interfaces, admin) in
        [("accepted", INTERFACES, "# later\n"), ("last", INTERFACES, "# by the admin\n"), ("never", TRIAL, "# later\n")]
    {
        for how in ["environment", "file"] {
            let node = node_of(Suite::Bookworm);
            without(&node, "--unpack", &V2).ok();
            node.run(["rust-write", "/etc/network/interfaces", TRIAL]).ok();
            node.run(["rust-write", "/etc/pve/sdn/zones.cfg", "simple: trial\n"]).ok();
            node.write(ADMIN, "# later\n");
            let mut call = node.call(["dpkg", "--configure", "-a"]);
            if how == "environment" {
                call = call.env("RESTORE", choice);
            } else {
                node.write("/etc/default/pve-network-rs", format!("RESTORE=\"{choice}\"\n"));
            }
            call.run().code(1);
            assert_eq!(node.text("/etc/network/interfaces"), interfaces, "{choice} by {how}");
            assert_eq!(node.text(ADMIN), admin, "{choice} by {how}");
            let zones = if choice == "accepted" { "simple: lab\n" } else { "simple: trial\n" };
            assert_eq!(node.text("/etc/pve/sdn/zones.cfg"), zones, "{choice} by {how}");
            assert_eq!(phase(&node), "perl-only", "{choice} by {how}");
            mend(&node);
            configure(&node).ok();
            assert_eq!(node.text("/etc/network/interfaces"), interfaces, "healed, {choice} by {how}");
        }
    }
}

#[test]
fn someone_elses_change_on_top_of_a_failed_write_is_kept_and_named() {
    if !need_root() {
        return;
    }
    let node = node_of(Suite::Bookworm);
    without(&node, "--unpack", &V2).ok();
    node.run(["rust-write", "/etc/network/interfaces", TRIAL]).ok();
    let edited = format!("{TRIAL}# and by hand\n");
    node.write("/etc/network/interfaces", &edited);
    configure(&node).code(1).says("keep /etc/network/interfaces: it was changed by someone else");
    assert_eq!(node.text("/etc/network/interfaces"), edited);
}

#[test]
fn weeks_of_earlier_writes_are_not_the_failures_business() {
    if !need_root() {
        return;
    }
    let node = node_of(Suite::Bookworm);
    node.run(["rust-write", "/etc/network/interfaces", TRIAL]).ok();
    without(&node, "-i", &V2).code(1);
    assert_eq!(node.text("/etc/network/interfaces"), TRIAL, "written before this transaction");
    mend(&node);
    configure(&node).ok();
    node.run(["dpkg", "-r", NAME]).ok();
    assert_eq!(node.text("/etc/network/interfaces"), INTERFACES, "but still on trial");
}

#[test]
fn damage_to_interfaces_while_unpacked_is_mended() {
    if !need_root() {
        return;
    }
    for damage in [": > /etc/network/interfaces", "rm /etc/network/interfaces"] {
        let node = node_of(Suite::Bookworm);
        without(&node, "--unpack", &V2).ok();
        node.sh(damage).ok();
        node.remove(ADMIN);
        configure(&node).code(1);
        assert_eq!(node.text("/etc/network/interfaces"), INTERFACES, "{damage}");
        assert!(!node.exists(ADMIN), "deleted by someone: it stays gone");
    }
}

#[test]
fn a_read_only_cluster_holds_no_failure_up() {
    if !need_root() {
        return;
    }
    let node = node_of(Suite::Bookworm);
    without(&node, "--unpack", &V2).ok();
    node.run(["rust-write", "/etc/network/interfaces", TRIAL]).ok();
    node.sh("mount --bind /etc/pve /etc/pve && mount -o remount,bind,ro /etc/pve").ok();
    the_line(&configure(&node).code(1));
    assert_eq!(node.text("/etc/network/interfaces"), INTERFACES);
    assert_eq!(phase(&node), "perl-only", "by its own ceiling");
    node.sh("umount /etc/pve").ok();
    mend(&node);
    configure(&node).ok();
    node.run(["migration-ctl", "phase", "resume"]).ok();
    assert_eq!(phase(&node), "rust-read-only");
}

#[test]
fn a_daemon_that_does_not_start_again_fails_the_upgrade_and_heals() {
    if !need_root() {
        return;
    }
    let good = bytes(&sealing().version("0.3.0-1").build());
    for suite in Suite::ALL {
        let broken = dist::payload().altered(|tree| {
            std::fs::write(
                tree.join("usr/bin/pve-network-rs-daemon"),
                "#!/bin/sh\necho the daemon is broken >&2\nexit 1\n",
            )
        });
        let broken = sealing().version("0.2.0-1").build_of(&broken);
        let node = node_of(suite).boot();
        node.systemctl(["start", UNITS[0], UNITS[1]]).ok();
        node.systemctl(["is-active", UNITS[0], UNITS[1]]).ok();
        dpkg(&node, &["--unpack"], &bytes(&broken)).ok();
        node.run(["rust-write", "/etc/network/interfaces", TRIAL]).ok();
        let line = the_line(&configure(&node).code(1));
        assert!(line.contains("systemctl") && line.contains(UNITS[0]), "names the cause: {line}");
        assert_eq!(node.state_of(NAME), "iF");
        assert_eq!(node.text("/etc/network/interfaces"), INTERFACES);
        assert_eq!(phase(&node), "perl-only");
        // In perl-only the daemon is not needed, and its new start is refused rather than failing.
        configure(&node).ok();
        assert_eq!(node.state_of(NAME), "ii");
        node.systemctl(["is-active", UNITS[0]]).says("inactive");
        dpkg(&node, &["-i"], &good).ok();
        assert_eq!(node.state_of(NAME), "ii");
        node.run(["migration-ctl", "phase", "resume"]).ok();
        node.systemctl(["restart", UNITS[1]]).ok();
        node.systemctl(["is-active", UNITS[0], UNITS[1]]).ok();
        assert_eq!(phase(&node), "rust-read-only");
    }
}

#[test]
fn altered_payload_is_noticed_after_unpacking() {
    if !need_root() {
        return;
    }
    let node = node_of(Suite::Bookworm);
    // prerm and preinst see the control files only, and those are genuine.
    let genuine = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(genuine.path(), &*V2).unwrap();
    let altered = Deb::at(genuine.path()).altered(|tree| {
        let program = tree.join("usr/bin/pve-network-migration");
        let mut bytes = std::fs::read(&program)?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(program, bytes)
    });
    let line = the_line(&node.install(&altered).code(1));
    assert!(line.contains("/usr/bin/pve-network-migration is altered"), "{line}");
    assert_eq!(node.state_of(NAME), "iF");
    assert_eq!(phase(&node), "perl-only");
    dpkg(&node, &["-i"], &V2).ok();
    assert_eq!(node.state_of(NAME), "ii");
}
