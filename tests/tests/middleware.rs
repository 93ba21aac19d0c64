//! The middleware as its unit runs it: what Prometheus makes of its metrics, and what it may write.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use common::{V1, dpkg};
use rig::ours::like_a_pve_node;
use rig::{Machine, Node, Suite, need_root};

const MIDDLEWARE: &str = "pve-network-migration.service";
const CEILING: &str = "/var/lib/pve-network-rs/ceiling";

/// What root asks over the Unix socket, with what comes in the image: bash has no Unix sockets, perl has.
const ASK: &str = r#"perl -MIO::Socket::UNIX -e '
    my $s = IO::Socket::UNIX->new(Peer => "/run/pve-network-migration/api.sock") or die $!;
    print $s "GET $ARGV[0] HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"; print while <$s>;' "#;

/// What is served at the exporter's port.
fn metrics(node: &Node) -> String {
    let ask = "exec 3<>/dev/tcp/127.0.0.1/9187 && printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3";
    let out = node.run(["bash", "-c", ask]).ok().stdout;
    out.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{out}")).1.to_owned()
}

fn running(suite: Suite, packages: &[&str]) -> Node {
    let node = Node::with_packages(suite, packages).named("pve1");
    like_a_pve_node(&node);
    dpkg(&node, &["-i"], &V1).ok();
    let node = node.boot();
    node.sh("ip link set lo up 2>/dev/null || true");
    node.run(["migration-ctl", "phase", "set", "rust-read-only"]).ok();
    node.systemctl(["start", MIDDLEWARE]).ok();
    node
}

#[test]
fn promtool_has_nothing_to_say_about_the_metrics() {
    for suite in [Suite::Bookworm, Suite::Trixie] {
        if !need_root() {
            return;
        }
        let node = running(suite, &["prometheus"]);
        let text = metrics(&node);
        for name in ["pve_network_fallback_total{", "pve_network_apply_duration_seconds_bucket{", "pve_network_phase 1"]
        {
            assert!(text.lines().any(|line| line.starts_with(name)), "{name}: {text}");
        }
        node.write("/tmp/metrics", text);
        node.sh("promtool check metrics < /tmp/metrics").ok().quiet();
    }
}

#[test]
fn under_its_unit_it_logs_and_lowers_the_ceiling() {
    for suite in [Suite::Bookworm, Suite::Trixie] {
        if !need_root() {
            return;
        }
        let node = running(suite, &[]);
        // Nobody listens there: each read fails, and one a second counts.
        node.systemctl(["stop", "pve-network-rs.service"]).ok();
        for _ in 0..5 {
            let out = node.sh(&format!("{ASK} /api2/json/nodes/pve1/network"));
            assert!(out.stdout.contains(" 503 ") || out.stdout.contains(" 502 "), "{}", out.stdout);
            std::thread::sleep(std::time::Duration::from_millis(1100));
        }
        node.sh(&format!("for i in $(seq 50); do grep -q perl-only {CEILING} && exit 0; sleep 0.1; done; exit 1")).ok();
        let status = node.run(["migration-ctl", "status"]).stdout;
        assert!(status.contains("the middleware took this node from rust-read-only to perl-only"), "{status}");
        let log = node.sh("cat /var/log/pve-network/migration.log").ok().stdout;
        assert!(log.lines().count() >= 5 && log.contains("\"reason\":\"refused\""), "{log}");
        assert!(metrics(&node).contains("pve_network_breaker_opened_total 1"));
    }
}
