//! The daemon as its unit runs it, in its sandbox, on a booted node with a kernel's links.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use rig::ours::{NAME, UNITS, like_a_pve_node, sealing};
use rig::{Machine, Node, Output, Suite, need_root};

const MAIN: &str = "/etc/network/interfaces";
const NEW: &str = "/etc/network/interfaces.new";
const NETWORK: &str = "/api2/json/nodes/pve1/network";

/// As a program on the node asks it.
fn ask(node: &Node, method: &str, path: &str, form: &str) -> Output {
    let script = r#"
        use IO::Socket::UNIX;
        my ($method, $path, $form) = @ARGV;
        my $socket = IO::Socket::UNIX->new(Peer => "/run/pve-network-rs/api.sock") or die "no socket: $!";
        print $socket "$method $path HTTP/1.1\r\nHost: x\r\nConnection: close\r\npve-network-operation: op-1\r\n",
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ", length $form, "\r\n\r\n$form";
        print while <$socket>;
    "#;
    node.run(["perl", "-e", script, method, path, form]).ok()
}

fn served(suite: Suite) -> Node {
    let node = Node::of(suite).named("pve1");
    like_a_pve_node(&node);
    node.install(&sealing().build()).ok();
    let node = node.boot();
    for phase in ["rust-read-only", "rust-basic-write", "rust-advanced"] {
        node.run(["migration-ctl", "phase", "set", phase]).ok();
    }
    node.run(["migration-ctl", "feature", "enable", "rust_daemon"]).ok();
    node.systemctl(["start", UNITS[0]]).ok();
    node
}

#[test]
fn in_its_sandbox_it_reads_and_writes_what_it_is_for() {
    if !need_root() {
        return;
    }
    for suite in [Suite::Bookworm, Suite::Trixie] {
        let node = served(suite);
        ask(&node, "GET", NETWORK, "").says("200 OK").says("\"iface\":\"vmbr0\"");
        let main = node.text(MAIN);
        ask(&node, "POST", NETWORK, "iface=vmbr7&type=bridge&autostart=1")
            .says("200 OK")
            .says("pve-network-touched: done");
        assert!(node.text(NEW).contains("auto vmbr7\niface vmbr7 inet manual"), "{}", node.text(NEW));
        assert_eq!(node.text(MAIN), main, "only pending");
        node.run(["stat", "-c", "%a %U:%G", NEW]).ok().says("644 root:root");
        ask(&node, "GET", NETWORK, "").says("+iface vmbr7 inet manual");
        ask(&node, "GET", "/operations/op-1", "").says("\"state\":\"done\"");
        // What it may not touch it can't.
        node.run(["systemctl", "show", "-P", "CapabilityBoundingSet", UNITS[0]]).ok();
        let pid = node.systemctl(["show", "-P", "MainPID", UNITS[0]]).ok().stdout.trim().to_owned();
        node.run(["nsenter", "-t", &pid, "-m", "sh", "-c", "touch /etc/x 2>&1 || true"]).says("Read-only file system");
        // A removal takes the pending change of Rust's back, and nobody writes any more.
        node.run(["dpkg", "-r", NAME]).ok();
        assert!(!node.exists(NEW), "a pending change by Rust that nobody accepted");
        assert_eq!(node.text(MAIN), main);
    }
}

#[test]
fn it_is_asked_by_root_alone() {
    if !need_root() {
        return;
    }
    let node = served(Suite::Bookworm);
    let script =
        "use IO::Socket::UNIX; IO::Socket::UNIX->new(Peer => '/run/pve-network-rs/api.sock') or die qq{refused: $!\\n}";
    node.run(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "perl", "-e", script])
        .fails()
        .says("Permission denied");
}
