//! What a real Prometheus makes of the exporter: each series is there from the first scrape on, at 0, what happens is
//! seen, whoever did it, and nothing that a caller sends becomes a label.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::{V1, dpkg};
use rig::ours::{NAME, UNITS, like_a_pve_node};
use rig::{Authority, Machine, Node, Suite, cables, need_root, perl};
use serde_json::Value;

const PVESH: &str = include_str!("../stand-ins/pvesh");
const MAIN: &str = "/etc/network/interfaces";
const NEW: &str = "/etc/network/interfaces.new";
const LIST: &str = "/api2/json/nodes/pve1/network";

/// Longer than a busy machine takes to be scraped.
const SOON: Duration = Duration::from_secs(60);

const PROMETHEUS: &str = "\
global: { scrape_interval: 1s, scrape_timeout: 1s }
scrape_configs:
  - job_name: pve-network
    static_configs: [ { targets: ['127.0.0.1:9187'] } ]
";

/// The same with the alerts that are shipped, and the label that they go by.
const WITH_RULES: &str = "\
global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }
rule_files: [rules.yml]
scrape_configs:
  - job_name: pve-network
    static_configs: [ { targets: ['127.0.0.1:9187'], labels: { node: pve1 } } ]
";

/// Written down here once more: what alerts and dashboards rely on.
const OPERATIONS: [&str; 9] =
    ["list", "get", "create", "update", "delete", "revert", "reload", "sdn-read", "sdn-write"];
const REASONS: [&str; 7] = ["refused", "overload", "timeout", "reset", "garbled", "server-error", "declined"];
const BACKENDS: [&str; 3] = ["rust", "legacy", "restore"];

/// A booted node where Rust may apply, with Perl's API and pvesh, watched by Prometheus before anything of ours runs.
fn watched(config: &str) -> Node {
    let node = Node::with_packages(Suite::Bookworm, &["curl", "ifupdown2", "prometheus"]).named("pve1");
    like_a_pve_node(&node);
    node.write("/etc/hosts", "127.0.0.1 localhost\n192.0.2.10 pve1.example pve1\n");
    node.write("/etc/prometheus/prometheus.yml", config);
    node.write("/etc/prometheus/rules.yml", include_str!("../../debian/prometheus/rules.yml"));
    node.write("/root/token", rig::GOOD.replace("PVEAPIToken", "Authorization: PVEAPIToken"));
    node.write_program("/usr/bin/pvesh", PVESH);
    perl::put(&node, env!("CARGO_BIN_EXE_pveproxy"), &Authority::new("Proxmox Virtual Environment"), "pve1");
    dpkg(&node, &["-i"], &V1).ok();
    // Booting would bring the network up, which this file does itself, and start exporters beside ours.
    node.sh("rm -f /etc/systemd/system/*/networking.service /etc/systemd/system/*/*/networking.service
             rm -f /etc/systemd/system/multi-user.target.wants/prometheus*")
        .ok();
    let node = node.boot();
    cables::plug(&node);
    perl::start(&node);
    node.systemctl(["start", "prometheus.service"]).ok();
    // Until it has read its files it answers with 503.
    let ready = "curl --silent --fail --retry 50 --retry-delay 1 --retry-connrefused http://127.0.0.1:9090/-/ready";
    node.sh(ready).ok();
    for phase in ["rust-read-only", "rust-basic-write"] {
        node.run(["migration-ctl", "phase", "set", phase]).ok();
    }
    node.run(["migration-ctl", "feature", "enable", "rust_cli"]).ok();
    // It is a target that is down until then, so that the first scrape of ours is one of these.
    eventually(&node, "up == 0", "Prometheus looks", |found| found.len() == 1);
    node.systemctl(["start", UNITS[1]]).ok();
    node
}

type Series = BTreeMap<String, String>;

/// What Prometheus has for an expression: labels and value of each series.
fn query(node: &Node, expression: &str) -> Vec<(Series, f64)> {
    let query = format!("query={expression}");
    let url = "http://127.0.0.1:9090/api/v1/query";
    let out = node.run(["curl", "-sS", "--retry", "5", "--retry-connrefused", "--data-urlencode", &query, url]).ok();
    let answer: Value = serde_json::from_str(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", out.stdout));
    assert_eq!(answer["status"], "success", "{expression}: {answer}");
    let series = answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let one = |found: &Value| {
        let labels = serde_json::from_value(found["metric"].clone()).unwrap();
        (labels, found["value"][1].as_str().unwrap().parse().unwrap())
    };
    series.iter().map(one).collect()
}

/// Asks until it is so; what was found then.
#[track_caller]
fn eventually(node: &Node, expression: &str, what: &str, so: impl Fn(&[(Series, f64)]) -> bool) -> Vec<(Series, f64)> {
    let begin = Instant::now();
    loop {
        let found = query(node, expression);
        if so(&found) {
            return found;
        }
        assert!(begin.elapsed() < SOON, "{what}: {expression} is {found:?}\n{}", log(node));
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// The one value of an expression, once it is there and is this.
#[track_caller]
fn becomes(node: &Node, expression: &str, value: f64) {
    eventually(node, expression, "a value", |found| matches!(found, [(_, found)] if *found == value));
}

fn log(node: &Node) -> String {
    node.sh("journalctl --no-pager -n 40 -u prometheus -u 'pve*'").stdout
}

/// Asks the middleware on loopback, as automation with a token does.
fn ask(node: &Node, more: &[&str], target: &str) -> String {
    let url = format!("http://127.0.0.1:8008{target}");
    let words = ["curl", "-sS", "--path-as-is", "-o", "/dev/null", "-w", "%{http_code}", "-H", "@/root/token"];
    node.run(words.iter().copied().chain(more.iter().copied()).chain([url.as_str()])).ok().stdout
}

fn apply(node: &Node, command: &[&str], delay: &str) {
    let now = node.text(MAIN);
    let (head, tail) = now.split_once("bridge-fd ").unwrap();
    let tail = tail.split_once('\n').unwrap().1;
    node.write(NEW, format!("{head}bridge-fd {delay}\n{tail}"));
    node.run(command).ok();
    assert!(node.text(MAIN).contains(&format!("bridge-fd {delay}")));
}

#[test]
fn prometheus_sees_what_happens_and_nothing_else() {
    if !need_root() {
        return;
    }
    let node = watched(PROMETHEUS);
    let fallbacks = "pve_network_fallback_total";
    let applies = "pve_network_apply_duration_seconds_count";
    becomes(&node, "sum_over_time(up[10m]) >= bool 3", 1.0);

    // Both names of the playbook, for every label set, as often as the target was up, and never but 0.
    for (name, expected) in [(fallbacks, OPERATIONS.len() * REASONS.len()), (applies, BACKENDS.len())] {
        let whole = format!("count_over_time({name}[10m]) == on(instance, job) group_left sum_over_time(up[10m])");
        assert_eq!(query(&node, &whole).len(), expected, "{name}: there from the first scrape on");
        let max = query(&node, &format!("max_over_time({name}[10m])"));
        assert_eq!(max.len(), expected, "{name}");
        assert!(max.iter().all(|(_, value)| *value == 0.0), "{max:?}");
    }
    let found = query(&node, fallbacks);
    for (operation, reason) in OPERATIONS.iter().flat_map(|o| REASONS.map(|r| (*o, r))) {
        let one = found.iter().filter(|(labels, _)| labels["operation"] == operation && labels["reason"] == reason);
        assert_eq!(one.count(), 1, "{operation}, {reason}");
    }
    for backend in BACKENDS {
        assert!(query(&node, applies).iter().any(|(labels, _)| labels["backend"] == backend), "{backend}");
    }
    becomes(&node, "pve_network_pending_restore_files", 0.0);
    let series = query(&node, "count({job='pve-network'})")[0].1;

    // Rust answers: no fallback. Its daemon is gone: one, under its reason, and an alert's expression sees it.
    assert_eq!(ask(&node, &[], LIST), "200");
    becomes(&node, "pve_network_requests_total{backend='rust',operation='list',outcome='ok'}", 1.0);
    becomes(&node, &format!("sum({fallbacks})"), 0.0);
    node.systemctl(["stop", UNITS[0]]).ok();
    assert_eq!(ask(&node, &[], LIST), "200");
    becomes(&node, &format!("{fallbacks}{{operation='list',reason='refused'}}"), 1.0);
    let increased = format!("increase({fallbacks}[5m]) > 0");
    let seen = eventually(&node, &increased, "an increase", |found| !found.is_empty());
    assert_eq!((seen.len(), seen[0].0["reason"].as_str()), (1, "refused"), "{seen:?}");
    node.systemctl(["start", UNITS[0]]).ok();

    // Applies, by whomever: none goes through the middleware.
    apply(&node, &["pvenet", "apply", "--yes"], "3");
    becomes(&node, &format!("{applies}{{backend='rust'}}"), 1.0);
    apply(&node, &["pvenet-legacy", "apply"], "4");
    becomes(&node, &format!("{applies}{{backend='legacy'}}"), 1.0);
    becomes(&node, &format!("{applies}{{backend='restore'}}"), 0.0);
    let slow = "histogram_quantile(0.5, sum by (le) (rate(pve_network_apply_duration_seconds_bucket[10m])))";
    let median = eventually(&node, slow, "a median", |found| found.iter().any(|(_, value)| *value > 0.0));
    assert!(median[0].1 > 0.1 && median[0].1 < 60.0, "an apply takes seconds: {median:?}");

    // Whatever callers send: paths, names, methods, headers, tokens. Not one series more, and no label of theirs.
    for number in 0..40 {
        ask(&node, &[], &format!("{LIST}/made-up{number}"));
        ask(&node, &["-X", &format!("BREW{number}")], LIST);
        ask(&node, &["-H", &format!("pve-network-operation: made-up{number}")], &format!("/made-up{number}"));
        ask(&node, &["-d", &format!("type=made-up{number}&iface=made-up{number}")], LIST);
        ask(&node, &[], &format!("/api2/json/nodes/made-up{number}/network"));
        ask(&node, &[], &format!("/api2/json//nodes/pve1/network/made-up{number}"));
        ask(&node, &["-H", &format!("Authorization: PVEAPIToken=made-up{number}")], LIST);
    }
    becomes(&node, "sum(pve_network_requests_total) >= bool 200", 1.0);
    assert_eq!(query(&node, "count({job='pve-network'})")[0].1, series);
    assert!(query(&node, "{job='pve-network'}").iter().all(|(labels, _)| !format!("{labels:?}").contains("made-up")));
    becomes(&node, "scrape_series_added{job='pve-network'}", 0.0);

    // A restart begins its counters anew, and the applies, which are the journal's, are still there.
    node.systemctl(["restart", UNITS[1]]).ok();
    eventually(
        &node,
        "changes(process_start_time_seconds[10m])",
        "the restart",
        |found| matches!(found, [(_, changes)] if *changes == 1.0),
    );
    becomes(&node, &format!("sum({applies})"), 2.0);
    becomes(&node, &format!("sum({fallbacks})"), 0.0);
    node.sh("curl -fsS http://127.0.0.1:9187/metrics | promtool check metrics").ok().quiet();
}

fn phase(node: &Node) -> String {
    node.run(["migration-ctl", "phase", "get"]).ok().stdout.trim().to_owned()
}

#[test]
fn an_alert_takes_the_node_down_once_and_a_silent_prometheus_is_no_quiet_one() {
    if !need_root() {
        return;
    }
    let (timer, service) = ("pve-network-canary.timer", "pve-network-canary.service");
    let node = watched(WITH_RULES);
    node.run(["canary", "watch"]).code(4).says("no Prometheus is named");
    let file = "/etc/pve/network/migration.toml";
    node.write(file, format!("{}\n[canary]\nprometheus = \"http://127.0.0.1:9090\"\n", node.text(file)));
    // Each rule was evaluated, and what was so before the exporter came is over.
    let until = |code: i32| {
        let begin = Instant::now();
        loop {
            let out = node.run(["canary", "watch"]);
            if out.status.code() == Some(code) {
                return out;
            }
            assert!(begin.elapsed() < SOON, "not {code}: {}{}\n{}", out.stdout, out.stderr, log(&node));
            std::thread::sleep(Duration::from_millis(300));
        }
    };
    becomes(&node, "sum_over_time(up[10m]) >= bool 3", 1.0);
    until(0).says("quiet: none of 7 critical rules fires for node pve1");

    node.systemctl(["stop", UNITS[0]]).ok();
    assert_eq!(ask(&node, &[], LIST), "200");
    until(3).says("PveNetworkFallback fires since").says("with --demote this node would go to rust-read-only");
    let json: Value = serde_json::from_str(&node.run(["canary", "watch", "--output", "json"]).code(3).stdout).unwrap();
    assert_eq!((json["verdict"].as_str(), json["demote_to"].as_str()), (Some("firing"), Some("rust-read-only")));
    assert_eq!(phase(&node), "rust-basic-write", "nobody asked for it");

    node.systemctl(["enable", "--now", timer]).ok();
    let begin = Instant::now();
    while phase(&node) != "rust-read-only" {
        assert!(begin.elapsed() < SOON, "{}", node.sh(&format!("journalctl --no-pager -u {service}")).stdout);
        std::thread::sleep(Duration::from_millis(300));
    }
    node.run(["migration-ctl", "phase", "history"]).ok().says("PveNetworkFallback fires since");
    assert!(node.text(file).contains("rust-read-only"), "its line in the cluster's file follows");
    // It goes on firing, and is heard once: neither does it take the node further down, nor against an operator's word.
    until(3);
    node.systemctl(["start", service]).ok();
    assert_eq!(phase(&node), "rust-read-only");
    node.run(["migration-ctl", "phase", "set", "rust-basic-write"]).ok();
    node.systemctl(["start", service]).ok();
    assert_eq!(phase(&node), "rust-basic-write");

    node.systemctl(["stop", "prometheus"]).ok();
    node.run(["canary", "watch", "--demote"]).code(4).says("cannot reach Prometheus");
    node.systemctl(["start", service]).fails(); // it shows that nobody can say
    assert_eq!(phase(&node), "rust-basic-write");

    node.run(["dpkg", "-P", NAME]).ok();
    node.systemctl(["is-active", timer]).fails();
    assert!(!node.exists(&format!("/etc/systemd/system/timers.target.wants/{timer}")));
}
