//! Upgrade from the release before, as it was: its own programs and scripts, not ours under a lower number.
//! `make upgrade` builds that release and runs this (`scripts/previous.sh`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::PathBuf;

use rig::ours::{INTERFACES, NAME, STATE, like_a_pve_node, put_program, snapshots};
use rig::{Deb, Machine, Node, Suite, Tree, dist, need_root};
use serde_json::Value;

const MAIN: &str = "/etc/network/interfaces";
const TRIAL: &str = "auto lo\niface lo inet loopback\n\nauto vmbr0\niface vmbr0 inet static\n\taddress 192.0.2.10/24\n\tgateway 192.0.2.1\n\tbridge-ports none\n";
/// What its user would miss: each line of these was written by the release before.
const RECORDS: [&str; 2] = ["operations.jsonl", "phase-history.jsonl"];

fn built(name: &str) -> PathBuf {
    let path = dist::target_dir().join("previous").join(name);
    assert!(path.exists(), "no {}: run make upgrade", path.display());
    path
}

/// A canary on the release before: at a phase, a snapshot by hand, a write accepted and one on trial.
fn canary(suite: Suite, deb: &Deb) -> Node {
    let node = Node::of(suite).named("pve1");
    like_a_pve_node(&node);
    node.install(deb).ok();
    put_program(&node, &built("rust-write"), "/usr/local/bin/rust-write");
    for phase in ["rust-read-only", "rust-basic-write"] {
        node.run(["migration-ctl", "phase", "set", phase]).ok();
    }
    node.run(["migration-ctl", "snapshot", "take", "--reason", "by hand"]).ok();
    node.run(["rust-write", "/etc/network/interfaces.d/rust", "# accepted\n"]).ok();
    node.run(["rust-write", "--accept", "/etc/network/interfaces.d/rust"]).ok();
    node.run(["rust-write", MAIN, TRIAL]).ok();
    node
}

fn phase(node: &Node) -> String {
    node.run(["migration-ctl", "phase", "get"]).ok().stdout
}

fn json(node: &Node, words: &[&str]) -> Value {
    let words = ["migration-ctl"].iter().chain(words).chain(&["--output", "json"]).copied();
    serde_json::from_str(&node.run(words).ok().stdout).unwrap()
}

fn version(node: &Node) -> String {
    node.run(["dpkg-query", "-W", "-f", "${Version}", NAME]).ok().stdout
}

/// The captured files, and the phase file among them.
fn configuration(node: &Node) -> [Tree; 2] {
    ["/etc/network", "/etc/pve"].map(|folder| node.tree_below(folder))
}

/// What one version knows and the next must not lose.
struct Kept {
    configuration: [Tree; 2],
    phase: String,
    changes: Vec<Value>,
    records: [String; 2],
    snapshots: Vec<(String, Tree)>,
}

impl Kept {
    fn of(node: &Node) -> Self {
        let below = |id: String| (id.clone(), node.tree_below(&format!("{STATE}/backups/{id}")));
        let kept = Self {
            configuration: configuration(node),
            phase: phase(node),
            changes: json(node, &["phase", "history"])["changes"].as_array().unwrap().clone(),
            records: RECORDS.map(|name| node.text(&format!("{STATE}/{name}"))),
            snapshots: snapshots(node).into_iter().map(below).collect(),
        };
        // Or there would be nothing to lose.
        assert_eq!(kept.phase, "rust-basic-write\n");
        assert!(kept.changes.len() >= 3 && kept.snapshots.len() >= 2, "{:?}", kept.changes);
        assert!(kept.records.iter().all(|text| text.lines().count() >= 2), "{:?}", kept.records);
        kept
    }

    #[track_caller]
    fn is_still_there(&self, node: &Node) {
        assert_eq!(node.state_of(NAME), "ii");
        assert_eq!(phase(node), self.phase);
        for (before, now) in self.configuration.iter().zip(configuration(node)) {
            before.assert_same(&now);
        }
        let changes = json(node, &["phase", "history"])["changes"].as_array().unwrap().clone();
        assert!(changes.starts_with(&self.changes), "{changes:#?}\nhave lost some of\n{:#?}", self.changes);
        for (name, before) in RECORDS.iter().zip(&self.records) {
            let now = node.text(&format!("{STATE}/{name}"));
            assert!(now.starts_with(before), "{name} lost lines:\n{now}\nwas\n{before}");
        }
        for (id, before) in &self.snapshots {
            before.assert_same(&node.tree_below(&format!("{STATE}/backups/{id}")));
        }
        node.run(["migration-ctl", "phase", "history", "--verify"]).ok();
        let verified = node.run(["migration-ctl", "snapshot", "verify"]).ok();
        for (id, _) in &self.snapshots {
            assert!(verified.stdout.contains(&format!("{id} ok")), "{}", verified.stdout);
        }
        assert!(!node.exists(&format!("{STATE}/transaction.json")), "a transaction is open");
        node.run(["dpkg", "--audit"]).ok().quiet();
        node.run(["migration-ctl", "status"]).ok().says("rust-basic-write");
    }
}

/// After a removal the node is Perl's, with what was accepted and without what was on trial.
fn is_perls(node: &Node) {
    assert_eq!(node.state_of(NAME), "rc");
    assert_eq!(node.text(MAIN), INTERFACES, "what was on trial went back");
    assert_eq!(node.text("/etc/network/interfaces.d/rust"), "# accepted\n");
    assert_eq!(node.text("/etc/network/interfaces.d/admin"), "# by the admin\n");
    assert_eq!(node.text(&format!("{STATE}/ceiling")), "perl-only\n");
    assert!(node.text("/etc/pve/network/migration.toml").contains("phase = \"perl-only\""));
    node.run(["dpkg", "-P", NAME]).ok();
    assert!(!node.exists(STATE), "purge leaves nothing");
}

#[test]
#[ignore = "needs the release before: make upgrade builds it, and runs this"]
fn the_release_before_is_upgraded_and_removed() {
    if !need_root() {
        return;
    }
    let (before, now) = (Deb::at(built("pve-network-rs.deb")), dist::package());
    for suite in Suite::ALL {
        let node = canary(suite, &before);
        let (kept, old) = (Kept::of(&node), version(&node));
        node.install(&now).ok();
        assert_ne!(version(&node), old);
        kept.is_still_there(&node);
        assert!(snapshots(&node).len() > kept.snapshots.len(), "an upgrade takes a snapshot");
        node.run(["dpkg", "-r", NAME]).ok();
        is_perls(&node);
    }
}

#[test]
#[ignore = "needs the release before: make upgrade builds it, and runs this"]
fn an_upgrade_can_be_taken_back_to_the_release_before() {
    if !need_root() {
        return;
    }
    let (before, now) = (Deb::at(built("pve-network-rs.deb")), dist::package());
    let node = canary(Suite::Bookworm, &before);
    let (kept, old) = (Kept::of(&node), version(&node));
    node.install(&now).ok();
    // Something that the release before did not write and has to read.
    node.run(["migration-ctl", "snapshot", "take", "--reason", "by the new one"]).ok();
    node.install(&before).ok();
    assert_eq!(version(&node), old);
    kept.is_still_there(&node);
    node.install(&now).ok();
    kept.is_still_there(&node);
    node.install(&before).ok();
    node.run(["dpkg", "-r", NAME]).ok();
    is_perls(&node);
}
