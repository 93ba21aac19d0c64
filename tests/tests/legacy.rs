//! `pvenet-legacy`: the way back through Proxmox's own stack. pvesh is a stand-in, ifupdown2 is real.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use common::{V1, dpkg};
use rig::ours::{NAME, STATE, like_a_pve_node, manifest, put_rust_write};
use rig::{Machine, Node, Suite, need_root};
use std::time::{Duration, Instant};

const PVESH: &str = include_str!("../stand-ins/pvesh");
const MAIN: &str = "/etc/network/interfaces";
const NEW: &str = "/etc/network/interfaces.new";

/// What runs: the management address on a bridge without ports, as the rig has no cards.
const RUNNING: &str = "auto lo\niface lo inet loopback\n\nauto vmbr0\niface vmbr0 inet static\n\taddress 192.0.2.10/24\n\tbridge-ports none\n\tbridge-stp off\n\tbridge-fd 0\n\nsource /etc/network/interfaces.d/*\n";

fn pending() -> String {
    RUNNING.replace(
        "\nsource",
        "\nauto vmbr1\niface vmbr1 inet manual\n\tbridge-ports none\n\tbridge-stp off\n\tbridge-fd 0\n\nsource",
    )
}

/// A node with ifupdown2 and pvesh whose pending change adds a bridge.
fn node(suite: Suite) -> Node {
    let node = Node::with_packages(suite, &["ifupdown2"]).named("pve1").with_sys();
    like_a_pve_node(&node);
    node.write(MAIN, RUNNING);
    node.write("/etc/hosts", "127.0.0.1 localhost\n192.0.2.10 pve1.example pve1\n");
    dpkg(&node, &["-i"], &V1).ok();
    node.write_program("/usr/bin/pvesh", PVESH);
    node.mkdir("/run/network"); // networking.service makes it, and ifupdown2 has its lock there
    node.write(NEW, pending());
    node
}

fn fault(node: &Node, fault: &str) {
    node.write("/run/pvesh/fault", fault);
}

/// The lines of the journal of this kind.
fn events(node: &Node, kind: &str) -> Vec<serde_json::Value> {
    let text = node.text(&format!("{STATE}/operations.jsonl"));
    let events = text.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    events.filter(|e| e["event"] == kind).collect()
}

fn runs(node: &Node, name: &str) -> bool {
    node.run(["ip", "link", "show", name]).status.success()
}

#[test]
fn apply_makes_the_pending_the_running_network_and_is_the_baseline() {
    for suite in [Suite::Bookworm, Suite::Trixie] {
        if !need_root() {
            return;
        }
        for elsewhere in [false, true] {
            let node = node(suite);
            if elsewhere {
                node.write("/run/pvesh/elsewhere", "");
            }
            node.run(["pvenet-legacy", "apply"])
                .ok()
                .says("changed /etc/network/interfaces\n")
                .says("applied by Perl in ");
            assert_eq!(node.text(MAIN), pending());
            assert!(!node.exists(NEW));
            assert!(runs(&node, "vmbr0") && runs(&node, "vmbr1"), "ifreload made the bridges");
            node.sh("ip -4 address show vmbr0 | grep -q 192.0.2.10/24").ok();
            let (begin, end) = (events(&node, "begin"), events(&node, "end"));
            assert_eq!(begin[0]["backend"], "legacy");
            assert_eq!(begin[0]["paths"][NEW]["after"], "absent");
            assert_eq!(end[0]["outcome"], "done");
            assert!(end[0]["duration_ms"].as_u64().unwrap() > 0, "{end:?}");
            // What Perl generated was not known beforehand and is recorded all the same.
            assert_eq!(begin[1]["backend"], "legacy");
            assert!(begin[1]["paths"]["/etc/network/interfaces.d/sdn"].is_object(), "{begin:?}");
            let snapshot = begin[0]["snapshot"].as_str().unwrap();
            assert_eq!(manifest(&node, snapshot)["reason"], "pvenet-legacy applies");
            assert_eq!(node.text(&format!("{STATE}/backups/{snapshot}/interfaces")), RUNNING);
            assert_eq!(node.text(&format!("{STATE}/backups/{snapshot}/interfaces.new")), pending());
            // Perl's work is accepted: a removal leaves it alone.
            node.run(["dpkg", "-r", NAME]).ok();
            assert_eq!(node.text(MAIN), pending());
        }
    }
}

#[test]
fn what_rust_left_pending_stays_on_trial() {
    if !need_root() {
        return;
    }
    let node = node(Suite::Bookworm);
    node.remove(NEW);
    put_rust_write(&node, env!("CARGO_BIN_EXE_rust-write"));
    node.run(["rust-write", NEW, &pending()]).ok();
    node.run(["pvenet-legacy", "apply"]).ok();
    assert_eq!(node.text(MAIN), pending());
    node.run(["dpkg", "-r", NAME]).ok().says("restore /etc/network/interfaces from ");
    assert_eq!(node.text(MAIN), RUNNING);
}

#[test]
fn nothing_pending_is_a_reload_and_counts() {
    if !need_root() {
        return;
    }
    let node = node(Suite::Bookworm);
    node.remove(NEW);
    let out = node.run(["pvenet-legacy", "apply", "--output", "json"]).ok();
    let answer: serde_json::Value = serde_json::from_str(&out.stdout).unwrap();
    assert_eq!(answer["schema_version"], 1);
    assert!(answer["task"].as_str().unwrap().starts_with("UPID:pve1:"), "{answer}");
    assert!(runs(&node, "vmbr0"));
    assert_eq!(events(&node, "end")[0]["outcome"], "done");
}

#[test]
fn validate_and_dry_run_change_nothing() {
    if !need_root() {
        return;
    }
    let node = node(Suite::Bookworm);
    let before = node.tree_below("/etc");
    node.run(["pvenet-legacy", "validate"]).ok().says("interfaces.new: Perl reads 3 interfaces");
    node.run(["pvenet-legacy", "apply", "--dry-run"])
        .ok()
        .says("replace /etc/network/interfaces by ")
        .says("run pvesh set /nodes/pve1/network");
    node.remove("/etc/network/.pve-interfaces.lock");
    before.assert_same(&node.tree_below("/etc"));
    assert!(events(&node, "begin").is_empty());
    assert!(!node.text("/run/pvesh/calls").contains("set"));
    // What would cut the node off is refused, by both, and can be forced.
    node.write(NEW, RUNNING.replace("192.0.2.10", "192.0.2.99"));
    for line in
        [&["pvenet-legacy", "validate"][..], &["pvenet-legacy", "apply"], &["pvenet-legacy", "apply", "--dry-run"]]
    {
        node.run(line).code(3).says("192.0.2.10");
    }
    assert_eq!(node.text(MAIN), RUNNING);
    node.run(["pvenet-legacy", "apply", "--force"]).ok();
    node.sh("ip -4 address show vmbr0 | grep -q 192.0.2.99/24").ok();
}

#[test]
fn without_pvesh_one_line_says_where_it_comes_from() {
    if !need_root() {
        return;
    }
    let node = node(Suite::Bookworm);
    node.remove("/usr/bin/pvesh");
    for verb in ["apply", "validate"] {
        let out = node.run(["pvenet-legacy", verb]).code(1).says("pve-manager").says("ifreload -a");
        assert_eq!(out.stderr.lines().count(), 1, "{}", out.stderr);
    }
    assert!(node.exists(NEW) && events(&node, "begin").is_empty());
}

#[test]
fn an_apply_that_fails_says_what_it_left_and_the_way_back_works() {
    if !need_root() {
        return;
    }
    for elsewhere in [false, true] {
        let node = node(Suite::Bookworm);
        fault(&node, "reload");
        if elsewhere {
            node.write("/run/pvesh/elsewhere", "");
        }
        let out = node
            .run(["pvenet-legacy", "apply"])
            .code(1)
            .says("failed: command 'ifreload -a' failed: exit code 1 (error: vmbr1: netlink: cannot enslave); its log");
        assert_eq!(events(&node, "end")[0]["outcome"], "failed");
        assert_eq!(node.text(MAIN), pending(), "Perl renames before it reloads");
        let back = out.stderr.split("stood there before: ").nth(1).unwrap().split(',').next().unwrap();
        node.sh(back).ok();
        assert_eq!(node.text(MAIN), RUNNING);
    }
    let node = node(Suite::Bookworm);
    fault(&node, "lock");
    node.run(["pvenet-legacy", "apply"]).code(1).says("can't lock file").says("no file was changed");
    assert_eq!((node.text(MAIN), node.text(NEW)), (RUNNING.to_owned(), pending()));
    fault(&node, "");
    node.run(["pvenet-legacy", "apply"]).ok();
}

#[test]
fn an_apply_that_hangs_is_given_up_in_time() {
    if !need_root() {
        return;
    }
    for elsewhere in [false, true] {
        let node = node(Suite::Bookworm);
        fault(&node, "hang");
        if elsewhere {
            node.write("/run/pvesh/elsewhere", "");
        }
        let begin = Instant::now();
        let out = node.run(["pvenet-legacy", "apply", "--timeout", "2"]).code(1);
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
        if elsewhere {
            out.says("still runs after 2 s and is left to itself").says("/log");
        } else {
            out.says("did not end within 2 s and was killed").says("pvesh get /cluster/tasks");
        }
        assert_eq!(events(&node, "end")[0]["outcome"], "failed");
        fault(&node, "");
        node.run(["pvenet-legacy", "apply"]).ok();
    }
}

#[test]
fn how_a_task_ended_may_be_unknowable() {
    if !need_root() {
        return;
    }
    let node = node(Suite::Bookworm);
    fault(&node, "status");
    node.run(["pvenet-legacy", "apply"]).code(1).says("can't be learned").says("tasks/UPID:pve1:");
}

#[test]
fn killed_half_way_the_next_one_closes_it() {
    if !need_root() {
        return;
    }
    let node = node(Suite::Bookworm);
    fault(&node, "kill");
    let out = node.run(["pvenet-legacy", "apply"]);
    assert_eq!(out.status.code(), None, "{}", out.stderr);
    assert!(events(&node, "end").is_empty());
    fault(&node, "");
    node.run(["pvenet-legacy", "apply"]).ok().says("was killed; it is recorded as failed");
    let ends = events(&node, "end");
    assert_eq!(ends[0]["outcome"], "failed");
    assert_eq!(ends.last().unwrap()["outcome"], "done");
    assert_eq!(node.text(MAIN), pending());
}

#[test]
fn proxmoxs_own_lock_is_respected_and_never_held_while_perl_runs() {
    if !need_root() {
        return;
    }
    let node = node(Suite::Bookworm);
    node.sh("(flock /etc/network/.pve-interfaces.lock sleep 12) >/dev/null 2>&1 & sleep 0.3").ok();
    node.run(["pvenet-legacy", "apply"]).code(1).says(".pve-interfaces.lock is held by another process");
    assert!(!node.exists("/run/pvesh/calls"), "Perl was not asked");
    node.sh("flock /etc/network/.pve-interfaces.lock true").ok();
    let begin = Instant::now();
    node.run(["pvenet-legacy", "apply"]).ok();
    assert!(begin.elapsed() < Duration::from_secs(9), "the stand-in would have waited 10 s for us");
}
