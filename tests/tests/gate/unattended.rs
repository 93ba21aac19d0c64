//! unattended-upgrades and simulations with the gate in place: what is refused stays, and once it is held the rest comes.

use std::time::Duration;

use rig::{Deb, DebBuilder, Machine, Node, Repo, Suite, dist, need_root};

use crate::desk::{DESK, disk};

#[test]
fn unattended_upgrades_leaves_what_is_refused_and_goes_on_once_it_is_held() {
    if !need_root() {
        return;
    }
    for suite in Suite::ALL {
        let node = Node::with_packages(suite, &["libgpgme11", "unattended-upgrades"]);
        node.install(&dist::debseal_package()).ok();
        node.write("/root/release.pgp", DESK.key.certificate());
        node.run(["debseal", "key", "add", "--package", "demo", "/root/release.pgp"]).ok();
        let other = |version: &str| DebBuilder::new("other", version).file("/usr/bin/other", version).build();
        node.write("/root/v1.deb", &DESK.v1);
        node.run(["dpkg", "-i", "/root/v1.deb"]).ok();
        node.install(&other("1.0")).ok();
        node.write(
            "/etc/apt/apt.conf.d/52rig",
            "Unattended-Upgrade::Origins-Pattern { \"origin=rig\"; };\nAPT::Periodic::Unattended-Upgrade \"1\";\n",
        );
        let publish = |demo: &[u8]| {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("demo_2.0_amd64.deb");
            std::fs::write(&path, demo).unwrap();
            Repo::new(&DESK.other, &[&Deb::at(path), &other("2.0")]).give_to(&node);
            node.sh("apt-get -qq update").ok();
        };
        let run = || node.call(["unattended-upgrade", "--verbose"]).patience(Duration::from_secs(180)).run();
        let version = |package| node.run(["dpkg-query", "-W", "-f", "${Version} ${db:Status-Abbrev}", package]).stdout;

        publish(&DESK.by_other);
        // A simulation asks nobody and writes nothing.
        let before = disk(&node);
        for script in ["apt-get -s upgrade", "apt-get -s install demo other", "apt-get --print-uris -y upgrade"] {
            let out = node.sh(script).ok().never_says("refused");
            assert!(out.stdout.contains("demo"), "{}", out.stdout);
        }
        // A rehearsal of unattended-upgrades lets apt call its hooks, and so tells what would come.
        let out = node.call(["unattended-upgrade", "--dry-run"]).patience(Duration::from_secs(180)).run();
        out.says("which is not trusted");
        before.without(&["/var/cache", "/var/lib/apt", "/var/log"]).assert_same(&disk(&node).without(&[
            "/var/cache",
            "/var/lib/apt",
            "/var/log",
        ]));
        // It ends at the first step that fails, and which one is first is Python's order of a set: `other` may wait.
        let out = run();
        assert_eq!(version("demo"), "1.0 ii ", "{}{}", out.stdout, out.stderr);
        node.run(["apt-mark", "hold", "demo"]).ok();
        let out = run();
        assert_eq!(version("demo"), "1.0 hi ", "{}{}", out.stdout, out.stderr);
        assert_eq!(version("other"), "2.0 ii ", "{}{}", out.stdout, out.stderr);
        node.run(["apt-mark", "unhold", "demo"]).ok();
        let log = node.text("/var/log/debseal/gate.log");
        assert!(log.contains("\"by\":\"apt\"") && log.contains("is not trusted"), "{log}");

        publish(&DESK.v2);
        let out = run();
        assert_eq!(version("demo"), "2.0 ii ", "{}{}", out.stdout, out.stderr);
        node.run(["demo"]).ok().says("2.0");
    }
}
