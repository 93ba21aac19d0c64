//! A canary's week, judged on the node by the real gate, with a real Prometheus that promtool has back-filled.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;
mod week;

use common::{V1, dpkg};
use phase::Phase;
use rig::dist::workspace;
use rig::{Machine, Node, Suite, need_root};
use week::{LOG, STATE, Week, after};

#[test]
fn a_clean_week_is_judged_promoted_and_judged_again_elsewhere() {
    if !need_root() {
        return;
    }
    let node = after(&Week::until_now(Phase::RustBasicWrite), &V1);
    let verdict = node.run(["canary", "gate", "--explain"]).ok().stdout;
    assert!(verdict.starts_with("pass: node pve1 may go from rust-basic-write to rust-advanced"), "{verdict}");
    // What was Prometheus' and what was the log's, shown.
    assert!(verdict.contains("coverage: ") && verdict.contains("migration.log"), "{verdict}");

    each_panel_has_data(&node);

    // Each witness taken away in turn.
    for (take, back, check) in [
        (format!("mv {LOG} /root/log"), format!("mv /root/log {LOG}"), "decisions"),
        (format!("mv {STATE}/operations.jsonl /root/j"), format!("mv /root/j {STATE}/operations.jsonl"), "journal"),
        ("systemctl stop prometheus".into(), "systemctl start prometheus".into(), "scrape"),
        (
            "mv /var/log/pve-network/contract-test.json /root/c".into(),
            "mv /root/c /var/log/pve-network/contract-test.json".into(),
            "contract",
        ),
    ] {
        node.sh(&take).ok();
        let said = node.run(["canary", "gate"]).code(4);
        assert!(said.stderr.contains(check) && said.stderr.contains("says inconclusive"), "{take}: {}", said.stderr);
        node.run(["migration-ctl", "promote"]).code(4);
        node.sh(&back).ok();
    }
    node.sh("for i in $(seq 50); do canary gate >/dev/null 2>&1 && exit 0; sleep 0.2; done; canary gate").ok();

    // Evidence, judged on another machine, which has neither node nor Prometheus.
    node.run(["canary", "evidence", "-o", "/root/evidence.jsonl"]).ok();
    let other = Node::bookworm().named("workstation");
    other.write("/root/evidence.jsonl", node.read("/root/evidence.jsonl"));
    dpkg(&other, &["-i"], &V1).ok();
    let again = other.run(["canary", "judge", "--unsigned", "/root/evidence.jsonl"]).ok().stdout;
    assert!(again.starts_with("pass: node pve1"), "{again}");
    other.sh("sed -i 's/\"ms\\\\\":407/\"ms\\\\\":307/' /root/evidence.jsonl").ok();
    other.run(["canary", "judge", "--unsigned", "/root/evidence.jsonl"]).code(6);

    let page = node.run(["canary", "report", "--html", "/root/report.html"]).ok().stdout;
    assert!(page.contains("applies: 30 by Rust"), "{page}");

    let said = node.run(["migration-ctl", "promote"]).ok();
    assert!(said.stderr.contains("node pve1 is at rust-advanced (was rust-basic-write)"), "{}", said.stderr);
    assert!(said.stderr.contains("accepted /etc/network/interfaces"), "{}", said.stderr);
    node.run(["migration-ctl", "phase", "history", "--verify"]).ok();
    let status = node.run(["migration-ctl", "status"]).stdout;
    assert!(!status.contains("is on trial"), "{status}");
    // The next step needs another week.
    let said = node.run(["migration-ctl", "promote"]).code(4);
    assert!(said.stdout.contains("7 d are needed"), "{}", said.stdout);
}

/// Every query of the shipped dashboard, asked of the very Prometheus.
fn each_panel_has_data(node: &Node) {
    let text = std::fs::read(workspace().join("debian/prometheus/dashboard.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 10);
    for panel in panels {
        for target in panel["targets"].as_array().unwrap() {
            let expr = target["expr"].as_str().unwrap().replace("$node", ".+");
            let answer = node.run(["promtool", "query", "instant", "http://127.0.0.1:9090", &expr]).ok().stdout;
            assert!(answer.contains("=>"), "{}: {expr}: {answer}", panel["title"]);
        }
    }
}

#[test]
fn rules_and_routes_are_what_promtool_and_amtool_take() {
    if !need_root() {
        return;
    }
    let node = Node::with_packages(Suite::Bookworm, &["prometheus", "prometheus-alertmanager"]);
    for name in ["rules.yml", "rules-test.yml", "scrape.yml", "alertmanager.yml"] {
        node.write(&format!("/root/{name}"), std::fs::read(workspace().join("debian/prometheus").join(name)).unwrap());
    }
    node.sh("cd /root && promtool check rules rules.yml && promtool test rules rules-test.yml && promtool check config scrape.yml").ok();
    node.sh("amtool check-config /root/alertmanager.yml").ok();
}
