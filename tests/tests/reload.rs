//! A reload at the daemon's API, on a booted node with real ifupdown2: the daemon asks, a unit of its own carries it out.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;
#[path = "apply/desk.rs"]
#[allow(dead_code, reason = "made for the tests of pvenet apply")]
mod desk;

use std::time::{Duration, Instant};

use desk::*;
use rig::cables::plug;
use rig::ours::{INTERFACES, NAME, STATE, UNITS, like_a_pve_node};
use rig::{Machine, Node, Output, Suite, need_root};

use common::{V1, dpkg};

const NETWORK: &str = "/api2/json/nodes/pve1/network";
const SOCKET: &str = "pve-network-reload.socket";
const HELPER: &str = "/usr/bin/pvenet reload";

/// Booted, with the daemon at work and cables plugged in.
fn served(suite: Suite) -> Node {
    let node = Node::with_packages(suite, &["curl", "ifupdown2"]).named("pve1");
    like_a_pve_node(&node);
    // Booting would bring up what is not plugged in yet.
    node.sh("rm -f /etc/systemd/system/*/networking.service /etc/systemd/system/*/*/networking.service").ok();
    node.write("/etc/hosts", "127.0.0.1 localhost\n192.0.2.10 pve1.example pve1\n");
    dpkg(&node, &["-i"], &V1).ok();
    let node = node.boot();
    node.write("/etc/pve/network/migration.toml", "phase = \"rust-basic-write\"\nfeatures = { rust_daemon = true }\n");
    node.write(&format!("{STATE}/ceiling"), "rust-basic-write\n");
    node.write("/etc/pve/qemu-server/100.conf", "net0: virtio=BC:24:11:00:00:01,bridge=vmbr0\n");
    plug(&node);
    node.systemctl(["start", UNITS[0]]).ok();
    node
}

fn curl(method: &str, path: &str, id: &str) -> String {
    format!(
        "curl -si --max-time 120 --unix-socket /run/pve-network-rs/api.sock -X {method} \
         -H 'pve-network-operation: {id}' http://x{path}"
    )
}

/// `PUT …/network` under this id.
fn reload(node: &Node, id: &str) -> Output {
    node.sh(&curl("PUT", NETWORK, id)).ok()
}

/// The same in the background: what came is in `/run/said`.
fn reload_meanwhile(node: &Node, id: &str) {
    begin(node, &curl("PUT", NETWORK, id));
}

fn fate(node: &Node, id: &str) -> String {
    node.sh(&curl("GET", &format!("/operations/{id}"), "x")).stdout
}

#[track_caller]
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < SOON, "not within {SOON:?}: {what}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// A good change during which ifreload takes its time.
fn slow() -> String {
    good().replace("address 198.51.100.1/24", "address 198.51.100.1/24\n\tpost-up sleep 6")
}

fn journal(node: &Node) -> String {
    node.text(&format!("{STATE}/operations.jsonl"))
}

/// The log of a task, by the answer that names it.
fn task_log(node: &Node, answer: &Output) -> String {
    let from = answer.stdout.find("UPID:").unwrap_or_else(|| panic!("no UPID in {}", answer.stdout));
    let upid = answer.stdout[from..].split('"').next().unwrap();
    let started = upid.split(':').nth(4).unwrap();
    let path = format!("/var/log/pve/tasks/{}/{upid}", &started[7..]);
    let owner = node.run(["stat", "-c", "%U %a", &path]).ok().stdout;
    assert_eq!(owner, "www-data 640\n");
    node.text(&path)
}

#[test]
fn a_reload_becomes_the_running_network_or_goes_back() {
    if !need_root() {
        return;
    }
    for suite in [Suite::Bookworm, Suite::Trixie] {
        let node = served(suite);
        node.run(["stat", "-c", "%a %U", "/run/pve-network-reload.sock"]).ok().says("600 root");
        let old = network(&node);
        node.write(NEW, good());
        let answer =
            reload(&node, "good-1").says("200 OK").says("pve-network-touched: done").says("\"data\":\"UPID:pve1:");
        reaches(&node, &["confirmed"]);
        assert_eq!(record(&node)["id"], "good-1");
        let new = network(&node);
        assert_eq!((new.main.as_str(), new.pending), (good().as_str(), false));
        assert!(new.kernel.iter().any(|l| l.contains("vmbr1") && l.contains("198.51.100.1/24")), "{new:#?}");
        guests_are_plugged_in(&node, "after a reload");
        assert!(fate(&node, "good-1").contains("\"state\":\"done\""));
        until("its task ends", || task_log(&node, &answer).ends_with("TASK OK\n"));
        until("its task is archived", || node.sh("cat /var/log/pve/tasks/index").stdout.contains(" OK\n"));

        // Nothing is pending: it reloads all the same, as Proxmox does.
        node.sh("ip link set vmbr1 down; ip address flush dev vmbr1").ok();
        reload(&node, "empty-1").says("200 OK").says("UPID:");
        until("it ends", || fate(&node, "empty-1").contains("\"state\":\"done\""));
        assert_eq!(network(&node), new);

        // ifreload rejects it.
        node.write(NEW, half_way());
        let answer = reload(&node, "bad-1").says("200 OK").says("UPID:");
        reaches(&node, &["rolled-back"]);
        assert!(fate(&node, "bad-1").contains("\"state\":\"rolled-back\""));
        let now = network(&node);
        assert_eq!((&now.kernel, &now.main), (&new.kernel, &new.main));
        until("its task ends", || task_log(&node, &answer).contains("TASK ERROR: ifreload -a failed"));

        // Refused before anything happens.
        let before = record(&node);
        for (id, bad, code) in [
            ("cut-1", INTERFACES.replace("192.0.2.10", "192.0.2.99"), "PVN046"),
            ("lo-1", good().replace("auto lo\niface lo inet loopback\n", ""), "PVN043"),
        ] {
            node.write(NEW, &bad);
            reload(&node, id).says(" 500 ").says("pve-network-touched: refused").says(code);
            assert!(fate(&node, id).contains("never-begun"));
            assert_eq!((network(&node).kernel, record(&node)), (new.kernel.clone(), before.clone()));
            assert!(network(&node).pending);
        }

        // Who may not: the phase and the feature say so, and Perl is asked.
        node.write("/etc/pve/network/migration.toml", "phase = \"rust-basic-write\"\nfeatures = { rust_cli = true }\n");
        reload(&node, "off-1").says(" 503 ").says("pve-network-touched: nothing");
        node.sh("printf 'off-2\\n' | pvenet reload").code(2).says("standard input is no socket");
        // Its unit away, it is Perl's.
        node.write(
            "/etc/pve/network/migration.toml",
            "phase = \"rust-basic-write\"\nfeatures = { rust_daemon = true }\n",
        );
        node.systemctl(["stop", SOCKET]).ok();
        reload(&node, "none-1").says(" 501 ").says("pve-network-touched: nothing");
        assert!(old.kernel != new.kernel);
    }
}

#[test]
fn for_a_daemon_that_is_killed_nothing_begins_and_what_has_begun_goes_on() {
    if !need_root() {
        return;
    }
    let node = served(Suite::Bookworm);
    let old = network(&node);
    node.write(NEW, good());
    // Somebody holds the lock of the journal: the helper waits for it.
    let hold = "open my $lock, '>>', shift or die; flock $lock, 2 or die; sleep 600";
    node.sh(&format!("perl -e \"{hold}\" {STATE}/lock >/dev/null 2>&1 & echo $! >/run/holder; sleep 0.3")
        .replace("$lock", "\\$lock"))
        .ok();
    reload_meanwhile(&node, "dead-1");
    until("the helper waits for the lock", || {
        node.sh(&format!("exec 9>{STATE}/apply.lock && ! flock -n 9")).status.success()
    });
    node.systemctl(["kill", "--signal=KILL", UNITS[0]]).ok();
    until("the daemon is dead", || ended(&node).status.code() != Some(0));
    node.sh("kill $(cat /run/holder)").ok();
    until("the helper is gone", || signal(&node, "0", HELPER) == 0);
    assert_eq!(network(&node), Network { pending: true, ..old });
    assert!(!journal(&node).contains("dead-1"), "{}", journal(&node));
    assert_eq!(state(&node), "");
    // The next daemon: it never began, and never will.
    until("a daemon is there again", || fate(&node, "dead-1").contains("never-begun"));

    // Killed once ifreload runs.
    node.write(NEW, slow());
    reload(&node, "alive-1").says("200 OK").says("UPID:");
    node.systemctl(["kill", "--signal=KILL", UNITS[0]]).ok();
    assert_eq!(state(&node), "reloaded");
    until("a daemon is there again", || fate(&node, "alive-1").contains("\"state\":"));
    reaches(&node, &["confirmed"]);
    assert!(fate(&node, "alive-1").contains("\"state\":\"done\""));
    assert_eq!(node.text(MAIN), slow());
    guests_are_plugged_in(&node, "after the daemon's death");
    // No unit is left behind as failed.
    let failed = node.systemctl(["list-units", "--state=failed", "--plain", "--no-legend", "pve-network-reload*"]);
    assert_eq!(failed.stdout, "");
}

#[test]
fn one_at_a_time_and_the_package_removed_or_upgraded_meanwhile() {
    if !need_root() {
        return;
    }
    let node = served(Suite::Trixie);
    let old = network(&node);
    node.write(NEW, slow());
    reload(&node, "first-1").says("200 OK");
    reload(&node, "second-1").says(" 500 ").says("pve-network-touched: refused").says("is under way");
    assert!(fate(&node, "first-1").contains("\"state\":\"running\""));
    assert!(fate(&node, "second-1").contains("never-begun"));
    // The same version once more: units are restarted, the reload is none of them.
    dpkg(&node, &["-i"], &V1).ok();
    reaches(&node, &["confirmed", "rolled-back"]);
    until("the helper ends", || signal(&node, "0", HELPER) == 0);
    let upgraded = state(&node);
    assert_eq!(network(&node).main == slow(), upgraded == "confirmed", "{}", journal(&node));
    node.systemctl(["is-active", UNITS[0], SOCKET]).ok();
    node.write(NEW, INTERFACES);
    reload(&node, "back-1").says("200 OK");
    until("it ends", || fate(&node, "back-1").contains("\"state\":\"done\""));
    assert_eq!(network(&node), old);

    node.write(NEW, slow());
    reload(&node, "removed-1").says("200 OK");
    assert_eq!(state(&node), "reloaded");
    node.run(["dpkg", "-r", NAME]).ok();
    reaches(&node, &["rolled-back"]);
    until("the helper ends", || signal(&node, "0", HELPER) == 0);
    guardians(&node, 0);
    let now = network(&node);
    assert_eq!((&now.kernel, &now.main), (&old.kernel, &old.main));
    guests_are_plugged_in(&node, "removed");
    assert!(!node.exists("/run/pve-network-reload.sock"));
}

/// As a DHCP client is.
#[test]
fn what_ifreload_leaves_running_goes_on() {
    if !need_root() {
        return;
    }
    let node = served(Suite::Bookworm);
    node.write_program("/usr/local/bin/leave", "#!/bin/sh\nsetsid sleep 4711 >/dev/null 2>&1 </dev/null &\n");
    node.write(NEW, slow().replace("post-up sleep 6", "post-up /usr/local/bin/leave"));
    reload(&node, "left-1").says("200 OK");
    until("it ends", || fate(&node, "left-1").contains("\"state\":\"done\""));
    until("the helper ends", || signal(&node, "0", HELPER) == 0);
    let left = || signal(&node, "0", " sleep 4711 ");
    assert_eq!(left(), 1);
    node.run(["dpkg", "-r", NAME]).ok();
    assert_eq!(left(), 1);
}
