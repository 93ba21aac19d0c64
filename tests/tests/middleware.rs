//! The middleware as its unit runs it: what Prometheus makes of its metrics, and what it may write.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use common::{V1, dpkg};
use rig::ours::like_a_pve_node;
use rig::{Authority, Browser, GOOD, Machine, Node, Suite, TICKET, need_root, perl};

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

/// As docs/middleware.md says it: pveproxy on loopback, the unit with --front on the node's address.
#[test]
fn in_front_of_pveproxy_a_browser_notices_nothing() {
    const CONSOLE: &str = "/api2/json/nodes/pve1/qemu/100/vncwebsocket?port=5900&vncticket=x";
    const LIST: &str = "/api2/json/nodes/pve1/network";
    for suite in [Suite::Bookworm, Suite::Trixie] {
        if !need_root() {
            return;
        }
        let authority = Authority::new("Proxmox Virtual Environment");
        let node = Node::with_packages(suite, &["ifupdown2"]).named("pve1");
        like_a_pve_node(&node);
        // Booting would bring the network up, which this is not about.
        node.sh("rm -f /etc/systemd/system/*/networking.service /etc/systemd/system/*/*/networking.service").ok();
        perl::put(&node, env!("CARGO_BIN_EXE_pveproxy"), &authority, "pve1");
        dpkg(&node, &["-i"], &V1).ok();
        node.write("/etc/default/pve-network-rs", "MIDDLEWARE_OPTIONS=\"--front 192.0.2.10:8006\"\n");
        let node = node.boot();
        perl::start(&node);
        node.sh("ip address add 192.0.2.10/24 dev lo").ok();
        for phase in ["rust-read-only", "rust-basic-write"] {
            node.run(["migration-ctl", "phase", "set", phase]).ok();
        }
        node.run(["migration-ctl", "feature", "enable", "rust_daemon"]).ok();
        node.systemctl(["start", MIDDLEWARE]).ok();

        let pem = authority.pem();
        let (front, echoes) = node.inside(move |_| {
            let cookies = format!("PVELangCookie=de; {TICKET}");
            let mut browser = Browser::open("192.0.2.10:8006".parse().unwrap(), "pve1", &pem, &cookies).unwrap();
            let mut front = Vec::new();
            let mut note = |page: rig::Page| front.push((page.status, page.header("pve-network-backend").to_owned()));
            for _ in 0..3 {
                note(browser.get("/").unwrap());
                note(browser.get(LIST).unwrap());
                note(browser.get("/api2/extjs/nodes/pve1/network").unwrap());
            }
            // Another node's automation, on the same address, with a token: a write by Rust.
            let mut other = Browser::open("192.0.2.10:8006".parse().unwrap(), "pve1", &pem, "").unwrap();
            note(other.ask("POST", LIST, &[("Authorization", GOOD)], "iface=eno7&type=eth").unwrap());
            let mut socket = browser.websocket(CONSOLE).unwrap();
            let echoes = (0..50u8).all(|n| socket.echo(&[n; 1000]).unwrap() == [n; 1000]);
            socket.close().unwrap();
            (front, echoes)
        });
        let by = |who: &str| (200, who.to_owned());
        for three in front[..9].chunks(3) {
            assert_eq!(three, [by(""), by("rust"), by("rust")], "{}", suite.name());
        }
        assert_eq!(front[9], by("rust"));
        assert!(echoes, "a console shows what was sent");
        assert!(node.text("/etc/network/interfaces.new").contains("iface eno7 inet manual"));
        let text = metrics(&node);
        let used = |line: &&str| line.starts_with("pve_network_fallback_total") && !line.ends_with(" 0");
        assert_eq!(text.lines().filter(used).count(), 0, "{text}");
    }
}
