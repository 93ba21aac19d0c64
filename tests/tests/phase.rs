//! Phases on booted machines: services that follow, and what maintainer scripts leave in the history.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use common::{V1, V2, bare, dpkg, node_of};
use rig::ours::{NAME, STATE, UNITS, like_a_pve_node, sealing};
use rig::{Machine, Node, Suite, need_root};
use serde_json::Value;

fn history(node: &Node, program: &str) -> Value {
    serde_json::from_str(&node.run([program, "phase", "history", "--output", "json"]).ok().stdout).unwrap()
}

/// Who did what, a line for each change: `postinst configure: first install done`.
fn story(node: &Node, program: &str) -> Vec<String> {
    let told = history(node, program);
    let text = |value: &Value| value.as_str().unwrap_or("interrupted").to_owned();
    let line = |c: &Value| {
        let tool = text(&c["by"]["tool"]);
        let words: Vec<&str> = tool.split(' ').take(2).collect();
        format!("{}: {} {}", words.join(" "), text(&c["why"]), text(&c["outcome"]))
    };
    told["changes"].as_array().unwrap().iter().map(line).collect()
}

#[test]
fn restarting_makes_the_services_follow() {
    if !need_root() {
        return;
    }
    let node = Node::bookworm().named("pve1").boot();
    like_a_pve_node(&node);
    node.install(&sealing().build()).ok();
    node.run(["migration-ctl", "phase", "set", "rust-read-only", "--restart"])
        .ok()
        .says("restarted pve-network-migration.service");
    node.systemctl(["is-active", UNITS[0]]).says("active");
    node.systemctl(["is-active", UNITS[1]]).says("active");
    node.run(["migration-ctl", "phase", "set", "perl-only", "--restart"]).ok();
    node.systemctl(["is-active", UNITS[0]]).says("inactive");
    node.systemctl(["is-active", UNITS[1]]).says("active");
    // A unit that can't be started is said, and the phase is set all the same.
    node.systemctl(["mask", "--runtime", "--now", UNITS[1]]).ok();
    node.run(["migration-ctl", "phase", "set", "rust-read-only", "--restart"])
        .code(1)
        .says("the phase is set, but pve-network-migration.service did not restart: ");
    assert_eq!(node.run(["migration-ctl", "phase", "get"]).ok().stdout, "rust-read-only\n");
    node.run(["migration-ctl", "phase", "history", "--verify"]).ok();
}

#[test]
fn every_change_by_a_maintainer_script_is_in_the_history() {
    if !need_root() {
        return;
    }
    let node = node_of(Suite::Bookworm);
    node.sh("cp /usr/bin/migration-ctl /usr/local/bin/ctl").ok();
    node.run(["ctl", "phase", "set", "rust-read-only"]).ok();
    dpkg(&node, &["--path-exclude=/usr/bin/migration-ctl", "-i"], &V2).code(1);
    node.sh("dpkg-deb -x /root/x.deb /root/x && cp -a /root/x/usr/bin/migration-ctl /usr/bin/").ok();
    node.run(["dpkg", "--configure", "-a"]).ok();
    node.run(["ctl", "phase", "resume"]).ok();
    node.run(["dpkg", "-r", NAME]).ok();
    assert_eq!(
        story(&node, "ctl"),
        [
            "postinst configure: first install done",
            "migration-ctl: set by hand done",
            "postinst configure: configure failed done",
            "migration-ctl: what a failed configure took away done",
            "prerm remove: the package is removed done",
        ]
    );
    node.run(["ctl", "phase", "history", "--verify"]).ok();
    dpkg(&node, &["-i"], &V1).ok();
    node.run(["ctl", "phase", "history", "--verify"]).ok();
    assert_eq!(story(&node, "ctl").len(), 5, "a reinstall finds everything as it should be");
    node.run(["dpkg", "-P", NAME]).ok();
    assert!(!node.exists(STATE), "purge leaves nothing");
}

#[test]
fn a_history_that_cannot_be_written_never_stops_a_removal() {
    if !need_root() {
        return;
    }
    let node = node_of(Suite::Bookworm);
    node.run(["migration-ctl", "phase", "set", "rust-read-only"]).ok();
    node.sh(&format!("rm {STATE}/phase-history.jsonl && mkdir {STATE}/phase-history.jsonl")).ok();
    node.run(["migration-ctl", "phase", "set", "rust-basic-write"]).code(1).says("could not be recorded");
    node.run(["dpkg", "-r", NAME]).ok().says("the phase is set all the same");
    assert_eq!(node.state_of(NAME), "rc");
    assert_eq!(node.text(&format!("{STATE}/ceiling")).trim(), "perl-only");
    node.run(["dpkg", "-P", NAME]).ok();
    assert!(!node.exists(STATE));
}

#[test]
fn a_reinstall_into_a_cluster_that_says_rust_full_starts_at_perl_only() {
    if !need_root() {
        return;
    }
    let node = bare(Suite::Bookworm);
    node.write("/etc/pve/network/migration.toml", "phase = \"rust-full\"\n");
    dpkg(&node, &["-i"], &V1).ok();
    assert_eq!(node.run(["migration-ctl", "phase", "get"]).ok().stdout, "perl-only\n");
    assert_eq!(node.text("/etc/pve/network/migration.toml"), "phase = \"rust-full\"\n");
    node.run(["migration-ctl", "phase", "set", "rust-basic-write"]).code(3);
}
