//! dpkg turns back half-way: the old version stays, and nothing of the attempt is left.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::sync::LazyLock;

use common::{ADMIN, Shared, TRIAL, V1, V2, bare, bytes, dpkg, node_of, version};
use rig::ours::{INTERFACES, NAME, STATE, UNITS, manifest, sealing, snapshots};
use rig::{Deb, DebBuilder, Machine, Node, Output, Suite, dist, need_root};

const CHOICES: [&str; 3] = ["accepted", "last", "never"];

/// Version 0.2.0-1 with one file more, which package `rival` owns already: unpacking must fail.
static CLASHING: Shared = LazyLock::new(|| {
    let payload = dist::payload().altered(|tree| std::fs::write(tree.join("usr/bin/zzz"), "ours\n"));
    bytes(&sealing().version("0.2.0-1").build_of(&payload))
});

fn with_rival(node: Node) -> Node {
    node.install(&DebBuilder::new("rival", "1").file("/usr/bin/zzz", "rival's\n").build()).ok();
    node
}

/// Installs, and stops dpkg while the transaction is open to do something else first.
fn install_and_meanwhile(node: &Node, deb: &[u8], restore: &str, work: &str) -> Output {
    node.write("/root/x.deb", deb);
    let script = format!(
        "dpkg -i /root/x.deb & pid=$!
         until [ -e {STATE}/transaction.json ]; do
           read -r _ _ state _ <\"/proc/$pid/stat\"
           [ \"$state\" != Z ] || {{ echo 'dpkg was quicker'; exit 99; }}
         done
         kill -STOP $pid
         {work}
         kill -CONT $pid
         wait $pid"
    );
    node.call(["sh", "-euc", &script]).env("RESTORE", restore).run()
}

fn closed(node: &Node) {
    assert!(!node.exists(&format!("{STATE}/transaction.json")), "the abort closed the transaction");
    assert!(!node.exists(&format!("{STATE}/removal.json")));
    assert!(!node.exists(&format!("{STATE}/fence")));
    assert!(!node.exists(&format!("{STATE}/restore")));
    node.run(["dpkg", "--audit"]).ok().quiet();
}

#[test]
fn a_clash_of_files_keeps_the_old_version_and_takes_back_what_was_written_meanwhile() {
    if !need_root() {
        return;
    }
    for suite in Suite::ALL {
        for choice in CHOICES {
            let node = with_rival(node_of(suite));
            let work = format!("rust-write /etc/network/interfaces '{TRIAL}'; echo '# later' >{ADMIN}");
            install_and_meanwhile(&node, &CLASHING, choice, &work).code(1).says("trying to overwrite '/usr/bin/zzz'");
            assert_eq!((node.state_of(NAME).as_str(), version(&node).as_str()), ("ii", "0.1.0-1"), "{choice}");
            assert_eq!(node.text("/usr/bin/zzz"), "rival's\n");
            let (interfaces, admin) = match choice {
                "accepted" => (INTERFACES, "# later\n"),
                "last" => (INTERFACES, "# by the admin\n"),
                _ => (TRIAL, "# later\n"),
            };
            assert_eq!(node.text("/etc/network/interfaces"), interfaces, "{choice}");
            assert_eq!(node.text(ADMIN), admin, "{choice}");
            closed(&node);
            node.run(["migration-ctl", "snapshot", "verify"]).ok();
            // Nothing stands in the way of the next one.
            dpkg(&node, &["-i"], &V2).ok();
            assert_eq!(node.text("/etc/network/interfaces"), interfaces, "not taken back twice, nor put again");
        }
    }
}

#[test]
fn a_clash_at_the_first_install_leaves_the_node_without_the_package() {
    if !need_root() {
        return;
    }
    let node = bare(Suite::Bookworm);
    let before = node.tree_below("/etc");
    let node = with_rival(node);
    dpkg(&node, &["-i"], &CLASHING).code(1).says("trying to overwrite");
    assert!(node.state_of(NAME).ends_with('n'), "not installed");
    before.assert_same(&node.tree_below("/etc"));
    closed(&node);
    assert_eq!(snapshots(&node).len(), 1);
    // The next attempt is still the first install, and what was captured is still from before it.
    dpkg(&node, &["-i"], &V1).ok();
    assert!(snapshots(&node).iter().any(|id| manifest(&node, id)["first"] == true));
    node.run(["dpkg", "-P", NAME]).ok();
    node.run(["dpkg", "-P", "rival"]).ok();
    before.assert_same(&node.tree_below("/etc"));
}

#[test]
fn a_preinst_that_fails_after_capturing_takes_back_what_was_written_meanwhile() {
    if !need_root() {
        return;
    }
    let node = bare(Suite::Bookworm);
    let real = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(real.path(), &*V1).unwrap();
    node.put_file(real.path(), "/root/real.deb");
    node.sh("dpkg-deb --control /root/real.deb /opt/c").ok();
    node.write("/root/trial", TRIAL);
    let script = "#!/bin/sh\n/opt/c/preinst \"$@\" || exit 7\nrust-write /etc/network/interfaces \"$(cat /root/trial)\" || exit 8\nexit 1\n";
    let deb = Deb::at(real.path()).altered(|tree| std::fs::write(tree.join("DEBIAN/preinst"), script));
    node.install(&deb).code(1).says("restore /etc/network/interfaces from ");
    assert_eq!(node.text("/etc/network/interfaces"), INTERFACES);
    assert!(node.state_of(NAME).ends_with('n'), "not installed");
    closed(&node);
}

#[test]
fn what_cannot_be_captured_is_not_upgraded() {
    if !need_root() {
        return;
    }
    let huge = "/etc/network/interfaces.d/huge";
    let node = bare(Suite::Bookworm);
    node.sh(&format!("truncate -s 67108865 {huge}")).ok();
    dpkg(&node, &["-i"], &V1).code(1).says(huge).says("larger than 64 MiB");
    assert!(node.state_of(NAME).ends_with('n'), "not installed");
    assert!(!node.exists("/usr/bin/migration-ctl"), "nothing was unpacked");
    assert!(snapshots(&node).is_empty());
    node.remove(huge);
    dpkg(&node, &["-i"], &V1).ok();
    node.run(["rust-write", "/etc/network/interfaces", TRIAL]).ok();
    node.sh(&format!("truncate -s 67108865 {huge}")).ok();
    let count = snapshots(&node).len();
    dpkg(&node, &["-i"], &V2).code(1).says(huge);
    assert_eq!((node.state_of(NAME).as_str(), version(&node).as_str()), ("ii", "0.1.0-1"));
    assert_eq!(node.text("/etc/network/interfaces"), TRIAL, "an earlier trial is none of the failure's business");
    assert_eq!(snapshots(&node).len(), count);
    closed(&node);
    // A removal goes on without what can't be captured.
    node.run(["dpkg", "-r", NAME]).ok();
    assert_eq!(node.text("/etc/network/interfaces"), INTERFACES);
}

/// A package that takes our place; its preinst fails as long as `/refuse` is there.
fn rival(relation: &str) -> Deb {
    let deb = DebBuilder::new("rival", "1.0").field("Replaces", NAME).field(relation, NAME);
    deb.script("preinst", "#!/bin/sh\n[ ! -e /refuse ]\n").file("/usr/bin/zzz", "rival's\n").build()
}

#[test]
fn an_aborted_removal_leaves_trial_phases_and_units_as_before() {
    if !need_root() {
        return;
    }
    for suite in Suite::ALL {
        for choice in CHOICES {
            let node = node_of(suite).boot();
            node.run(["migration-ctl", "phase", "set", "rust-read-only"]).ok();
            node.systemctl(["start", UNITS[0], UNITS[1]]).ok();
            node.systemctl(["enable", UNITS[1]]).ok();
            node.run(["rust-write", "/etc/network/interfaces", TRIAL]).ok();
            node.write(ADMIN, "# later\n");
            node.write("/refuse", "");
            let before = node.tree_below("/etc");
            let phase_file = node.text("/etc/pve/network/migration.toml");
            node.put_file(rival("Conflicts").path(), "/root/rival.deb");
            let out = node.call(["dpkg", "-i", "/root/rival.deb"]).env("RESTORE", choice).run().code(1);
            if choice != "never" {
                out.says("restore /etc/network/interfaces"); // so there was something to undo
            }
            assert_eq!(node.state_of(NAME), "ii", "{choice}");
            assert_eq!(node.text("/etc/network/interfaces"), TRIAL, "{choice}");
            assert_eq!(node.text("/etc/pve/network/migration.toml"), phase_file, "{choice}");
            before.assert_same(&node.tree_below("/etc"));
            assert_eq!(node.run(["migration-ctl", "phase", "get"]).ok().stdout, "rust-read-only\n", "{choice}");
            node.systemctl(["is-active", UNITS[0], UNITS[1]]).ok();
            node.systemctl(["is-enabled", UNITS[1]]).says("enabled");
            closed(&node);
            node.run(["rust-write", "/etc/network/interfaces", INTERFACES]).ok(); // no fence is left
            node.run(["rust-write", "/etc/network/interfaces", TRIAL]).ok();
            // What came back is on trial still: a removal that does happen undoes it.
            node.remove("/refuse");
            node.run(["dpkg", "-i", "/root/rival.deb"]).ok();
            assert!(node.state_of(NAME).ends_with('c'), "removed: {choice}");
            assert_eq!(node.text("/etc/network/interfaces"), INTERFACES, "{choice}");
            node.run(["dpkg", "-P", NAME]).ok();
            assert_eq!(node.text("/etc/network/interfaces"), INTERFACES, "{choice}");
            assert!(!node.exists(STATE), "{choice}");
        }
    }
}

#[test]
fn an_aborted_removal_in_perl_only_is_undone_as_well() {
    if !need_root() {
        return;
    }
    let node = node_of(Suite::Bookworm);
    node.write("/refuse", "");
    let before = node.tree_below("/etc");
    node.install(&rival("Conflicts")).code(1);
    assert_eq!(node.state_of(NAME), "ii");
    before.assert_same(&node.tree_below("/etc"));
    closed(&node);
}

#[test]
fn deconfigured_through_breaks_and_back() {
    if !need_root() {
        return;
    }
    let node = node_of(Suite::Bookworm).boot();
    node.systemctl(["start", UNITS[1]]).ok();
    node.run(["rust-write", "/etc/network/interfaces", TRIAL]).ok();
    node.write("/refuse", "");
    node.put_file(rival("Breaks").path(), "/root/rival.deb");
    let before = node.tree_below("/etc");
    node.run(["dpkg", "--auto-deconfigure", "-i", "/root/rival.deb"]).code(1);
    assert_eq!(node.state_of(NAME), "ii", "abort-deconfigure");
    closed(&node);
    node.remove("/refuse");
    // dpkg tries to configure ours at the end, and says why it can't.
    node.run(["dpkg", "--auto-deconfigure", "-i", "/root/rival.deb"]).code(1).says("breaks pve-network-rs");
    assert_eq!((node.state_of("rival").as_str(), node.state_of(NAME).as_str()), ("ii", "iF"));
    node.systemctl(["is-active", UNITS[1]]).says("active");
    node.run(["dpkg", "-P", "rival"]).ok();
    node.run(["dpkg", "--configure", "-a"]).ok();
    assert_eq!(node.state_of(NAME), "ii");
    before.assert_same(&node.tree_below("/etc"));
    closed(&node);
}

#[test]
fn a_package_that_replaces_every_file_makes_ours_disappear_and_changes_nothing_else() {
    if !need_root() {
        return;
    }
    let node = node_of(Suite::Bookworm);
    node.run(["rust-write", "/etc/network/interfaces", TRIAL]).ok();
    let before = node.tree_below("/etc/network");
    let heir = dist::payload().altered(|tree| {
        let control = tree.join("DEBIAN/control");
        let text = std::fs::read_to_string(&control)?.replace(&format!("Package: {NAME}"), "Package: heir");
        std::fs::write(control, format!("{}\nReplaces: {NAME}\n", text.trim_end()))
    });
    node.install(&heir).ok().says("disappearance of pve-network-rs");
    assert_eq!(node.state_of("heir"), "ii");
    assert_ne!(node.state_of(NAME), "ii");
    before.assert_same(&node.tree_below("/etc/network"));
    assert!(!snapshots(&node).is_empty(), "what was captured stays");
}
