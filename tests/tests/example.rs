//! The package in `examples/`: no Rust of its own, no phase, sealed as docs/packaging.md says. What
//! the toolkit promises holds for it as well.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::process::Command;
use std::sync::LazyLock;

use rig::{Deb, Machine, Node, Suite, dist, need_root};

const NAME: &str = "chrony-site";
const STATE: &str = "/var/lib/chrony-site";
const ADMIN: &str = "/etc/chrony/conf.d/admin.conf";
const OURS: &str = "/etc/chrony/sources.d/site.sources";
const TIMER: &str = "chrony-site-check.timer";

struct Built {
    _dir: tempfile::TempDir,
    v1: Deb,
    v2: Deb,
}

/// Two versions, by the example's own script.
static BUILT: LazyLock<Built> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let build = |version: &str| {
        let out = Command::new(dist::workspace().join("examples/chrony-site/build.sh"))
            .arg(dir.path())
            .arg(version)
            .env("DEBSEAL", dist::debseal())
            .env("HOOK", dist::hook())
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        Deb::at(String::from_utf8(out.stdout).unwrap().trim())
    };
    let (v1, v2) = (build("1.0-1"), build("1.1-1"));
    Built { _dir: dir, v1, v2 }
});

fn machine(suite: Suite) -> Node {
    let node = Node::of(suite).named("a");
    node.write(ADMIN, "# by the admin\n");
    node.write("/etc/chrony/chrony.conf", "confdir /etc/chrony/conf.d\nsourcedir /etc/chrony/sources.d\n");
    node
}

fn both(test: impl Fn(Suite)) {
    if need_root() {
        [Suite::Bookworm, Suite::Trixie].into_iter().for_each(test);
    }
}

fn snapshots(node: &Node) -> Vec<String> {
    let names = node.ls(&format!("{STATE}/backups"));
    names.into_iter().filter(|n| n != "latest" && !n.starts_with('.')).collect()
}

#[test]
fn installed_it_has_captured_and_starts_nothing() {
    both(|suite| {
        let node = machine(suite).boot();
        node.install(&BUILT.v1).ok().says("chrony-site: captured ");
        assert_eq!(node.state_of(NAME), "ii");
        let all = snapshots(&node);
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!(node.text(&format!("{STATE}/backups/{}/conf.d/admin.conf", all[0])), "# by the admin\n");
        let manifest: serde_json::Value =
            serde_json::from_str(&node.text(&format!("{STATE}/backups/{}/manifest.json", all[0]))).unwrap();
        assert_eq!((manifest["first"].as_bool(), &manifest["phase"]), (Some(true), &serde_json::Value::Null));
        for unit in [TIMER, "chrony-site-check.service"] {
            node.systemctl(["is-active", unit]).says("inactive");
        }
        node.systemctl(["is-enabled", TIMER]).says("disabled");
        // Nothing of phases, and nothing of another package.
        for foreign in [&format!("{STATE}/ceiling"), "/etc/pve", "/var/lib/pve-network-rs"] {
            assert!(!node.exists(foreign), "{foreign}");
        }
    });
}

#[test]
fn an_upgrade_keeps_what_the_admin_set() {
    both(|suite| {
        let node = machine(suite).boot();
        node.install(&BUILT.v1).ok();
        node.systemctl(["enable", "--now", TIMER]).ok();
        let since = |node: &Node| node.systemctl(["show", "-P", "ActiveEnterTimestampMonotonic", TIMER]).ok().stdout;
        let started = since(&node);
        node.write(OURS, "# edited here\n");
        node.write(ADMIN, "# second thoughts\n");
        node.install(&BUILT.v2).ok();
        assert_eq!(node.state_of(NAME), "ii");
        node.systemctl(["is-enabled", TIMER]).says("enabled");
        node.systemctl(["is-active", TIMER]).says("active");
        assert_ne!(since(&node), started, "what runs is restarted");
        assert_eq!(node.text(OURS), "# edited here\n", "a conffile is dpkg's");
        assert_eq!(node.text(ADMIN), "# second thoughts\n");
        let all = snapshots(&node);
        assert_eq!(all.len(), 2, "{all:?}");
        // By hand, as README says.
        node.sh(&format!("cp -a {STATE}/backups/{}/conf.d/admin.conf {ADMIN}", all[0])).ok();
        assert_eq!(node.text(ADMIN), "# by the admin\n");
    });
}

#[test]
fn a_failed_upgrade_leaves_all_as_it_was_and_heals() {
    both(|suite| {
        let node = machine(suite);
        node.install(&BUILT.v1).ok();
        let before = node.tree_below("/etc");
        let altered = BUILT.v2.altered(|tree| std::fs::write(tree.join("usr/lib/chrony-site/check"), "#!/bin/sh\n"));
        node.install(&altered).fails().says("/usr/lib/chrony-site/check").never_says("perl-only");
        assert_eq!(node.state_of(NAME), "iF");
        before.assert_same(&node.tree_below("/etc"));
        node.install(&BUILT.v2).ok();
        assert_eq!(node.state_of(NAME), "ii");
        assert!(!node.exists(&format!("{STATE}/transaction.json")));
        node.run(["dpkg", "--audit"]).ok().quiet();
    });
}

#[test]
fn removed_it_stops_and_takes_nothing_that_others_wrote() {
    both(|suite| {
        let node = machine(suite).boot();
        node.install(&BUILT.v1).ok();
        node.systemctl(["start", TIMER]).ok();
        node.write(ADMIN, "# second thoughts\n");
        node.run(["dpkg", "-r", NAME]).ok();
        node.systemctl(["is-active", TIMER]).says("inactive");
        assert_eq!(node.text(ADMIN), "# second thoughts\n");
        assert!(node.exists(OURS), "conffiles stay until purge");
        node.run(["dpkg", "-P", NAME]).ok();
        assert_eq!(node.text(ADMIN), "# second thoughts\n");
        let kept = node.sh("grep -rl 'by the admin' /var/backups/chrony-site").ok();
        assert!(!kept.stdout.is_empty(), "what is nowhere else is put aside");
        assert!(!node.exists(STATE) && !node.exists(OURS));
    });
}

#[test]
fn last_goes_back_to_the_last_backup() {
    if !need_root() {
        return;
    }
    let node = machine(Suite::Bookworm);
    node.install(&BUILT.v1).ok();
    node.write(ADMIN, "# second thoughts\n");
    node.write("/etc/chrony/conf.d/more.conf", "# added\n");
    node.call(["dpkg", "-r", NAME]).env("RESTORE", "last").run().ok();
    assert_eq!(node.text(ADMIN), "# by the admin\n");
    assert!(!node.exists("/etc/chrony/conf.d/more.conf"));
}

#[test]
fn purged_it_leaves_no_trace() {
    both(|suite| {
        let node = machine(suite);
        let tree = |node: &Node| node.tree().without(&["/var/lib/dpkg", "/var/log", "/var/cache", "/root"]);
        let before = tree(&node);
        node.install(&BUILT.v1).ok();
        node.install(&BUILT.v2).ok();
        node.run(["dpkg", "-P", NAME]).ok();
        before.assert_same(&tree(&node));
    });
}
