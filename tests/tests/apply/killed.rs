//! Killed at each step, a power cut at each step, and what the next boot does.

use std::time::{Duration, Instant};

use rig::cables::plug;
use rig::ours::{INTERFACES, NAME, STATE};
use rig::{Machine, Node, Suite, need_root};

use crate::desk::*;

/// Every kind of system call that a step changes something by, or ends with.
const CALLS: [&str; 6] = ["rename", "renameat2", "unlink", "linkat", "fsync", "vfork,clone3,clone"];

/// Kills `pvenet apply` at the Nth call of each kind, N counted up until nothing is left to be killed at. `before` and
/// `after` say what else happens.
fn killed_at_each_step(node: &Node, before: impl Fn(&Node), mut after: impl FnMut(&Node, &str)) {
    let mut cases = 0;
    for calls in CALLS {
        for number in 1.. {
            node.write(NEW, good());
            before(node);
            let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:signal=KILL:when={number}"));
            let words = ["strace", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject, "pvenet", "apply", "--yes"];
            let out = node.run(words);
            let killed = out.status.code() != Some(0);
            after(node, &format!("killed at {calls} number {number}"));
            if !killed {
                break;
            }
            cases += 1;
            assert!(number < 200, "{calls}: it never ends: {}", out.stderr);
        }
    }
    // Fewer would mean that the calls have other names by now.
    assert!(cases >= 20, "only {cases} places to be killed at");
    eprintln!("killed at {cases} places");
}

fn strace_node() -> Node {
    with(&["ifupdown2", "strace"])
}

#[test]
fn killed_at_each_step_it_is_the_old_network_or_the_new_one() {
    if !need_root() {
        return;
    }
    let node = strace_node();
    let old = network(&node);
    let mut ends = std::collections::BTreeMap::new();
    killed_at_each_step(
        &node,
        |_| {},
        |node, place| {
            let began = Instant::now();
            loop {
                // In this order: what is over does not change any more.
                let over = ["", "confirmed", "rolled-back"].contains(&state(node).as_str());
                let now = network(node);
                // Killed before it had started its guardian: nothing has changed, and the next command says so.
                if state(node) == "armed" && began.elapsed() > Duration::from_secs(2) {
                    assert_eq!((&now.main, &now.kernel), (&old.main, &old.kernel), "{place}");
                    node.run(["pvenet", "apply", "--yes"]).code(1).says("was left open");
                    node.write(NEW, good());
                }
                if over {
                    let is_old = now.main == old.main && now.kernel == old.kernel;
                    let is_new = now.main == good() && now.kernel.iter().any(|l| l.contains("198.51.100.1/24"));
                    assert!(is_old || is_new, "{place}: {now:#?} {:#}", record(node));
                    assert_eq!(
                        is_new,
                        state(node) == "confirmed" && record(node)["why"].is_null() && !is_old,
                        "{place}"
                    );
                    *ends.entry(if is_new { "new" } else { "old" }).or_insert(0) += 1;
                    break;
                }
                assert!(began.elapsed() < SOON, "{place}: {} after {SOON:?}: {now:#?}", state(node));
                std::thread::sleep(Duration::from_millis(20));
            }
            guests_are_plugged_in(node, place);
            if network(node).main != old.main {
                node.run(["pvenet", "rollback", "--yes"]).ok();
                assert_eq!(network(node).kernel, old.kernel, "{place}");
            }
        },
    );
    assert!(ends["old"] > 15 && ends["new"] >= CALLS.len(), "{ends:?}");
    // The last ones see the end a moment later, and tidy up.
    guardians(&node, 0);
    let leftovers: Vec<String> = node.ls(STATE).into_iter().filter(|n| n.starts_with("guardian-")).collect();
    assert!(leftovers.len() <= 2, "{leftovers:?}");
}

/// Stops the guardian as soon as there is one: with it stopped, a killed apply is what a power cut leaves.
const STOPPER: &str = r#"#!/usr/bin/perl
my $end = time + 20;
while (time < $end) {
    for my $dir (glob "/proc/[0-9]*") {
        open my $file, "<", "$dir/cmdline" or next;
        my @words = split /\0/, <$file> // "";
        next unless @words > 2 && $words[1] eq "guardian";
        # Not before it watches, or the apply would wait for it.
        open my $lock, "<", "/var/lib/pve-network-rs/guardian-$words[-1].lock" or next;
        next if flock $lock, 6;
        kill STOP => substr $dir, 6;
        exit;
    }
}
"#;

/// As the next boot finds the kernel: without what the configuration makes.
fn reboot(node: &Node) {
    node.sh("for bridge in vmbr0 vmbr1 vmbr2; do ip link delete $bridge 2>/dev/null || :; done
         ip link set eno1 down
         umount /proc/sys/kernel/random/boot_id 2>/dev/null || :
         cat /proc/sys/kernel/random/uuid >/run/boot_id
         mount --bind /run/boot_id /proc/sys/kernel/random/boot_id
         find /run/network -type f -delete")
        .ok();
}

#[test]
fn after_a_power_cut_at_each_step_the_boot_takes_it_back() {
    if !need_root() {
        return;
    }
    let node = strace_node();
    node.write_program("/usr/local/bin/stopper", STOPPER);
    let old = network(&node);
    let mut open = 0;
    killed_at_each_step(
        &node,
        |node| drop(node.sh("stopper >/dev/null 2>&1 & :")),
        |node, place| {
            // What was just being born as well: a power cut leaves nobody.
            while kill(node, " guardian ") + kill(node, "pvenet apply") > 0 {}
            kill(node, "stopper");
            let confirmed = state(node) == "confirmed" && node.text(MAIN) == good();
            open += usize::from(!["", "confirmed", "rolled-back"].contains(&state(node).as_str()));
            reboot(node);
            node.run(["pvenet", "recover"]).ok();
            // What networking.service does then.
            node.sh("ifreload -a; for port in tap100i0 veth101i0; do ip link set $port master vmbr0 up; done").ok();
            let now = network(node);
            if confirmed {
                assert_eq!(now.main, good(), "{place}");
                node.run(["pvenet", "rollback", "--yes"]).ok();
            } else {
                assert_eq!((&now.main, &now.kernel), (&old.main, &old.kernel), "{place}");
            }
            assert!(["", "confirmed", "rolled-back"].contains(&state(node).as_str()), "{place}: {}", state(node));
        },
    );
    assert!(open >= 8, "only {open} cuts left an apply open");
}

#[test]
fn systemd_starts_a_killed_guardian_anew() {
    if !need_root() {
        return;
    }
    let node = furnished(Node::with_packages(Suite::Bookworm, &["ifupdown2"]).named("pve1")).boot();
    plug(&node);
    let old = network(&node);
    waits(&node, 300);
    node.sh("systemctl list-units --no-legend 'pvenet-guardian-*' | grep -q running").ok();
    assert_eq!(kill(&node, " guardian "), 1);
    let began = Instant::now();
    while !node.sh("systemctl list-units --no-legend 'pvenet-guardian-*' | grep -q running").status.success() {
        assert!(began.elapsed() < SOON);
    }
    std::thread::sleep(Duration::from_secs(3)); // longer than the apply would go on without one
    assert_eq!(state(&node), "waiting", "{}", node.text("/run/said"));
    node.sh("kill -KILL $(cat /run/pid)").ok();
    reaches(&node, &["rolled-back"]);
    assert_eq!(network(&node), old);
    guests_are_plugged_in(&node, "under systemd");
    // Removed while it waits: what the transient service runs is not the package's file.
    waits(&node, 300);
    node.sh(&format!("dpkg -r {NAME} & kill -KILL $(cat /run/pid); wait")).ok();
    reaches(&node, &["rolled-back"]);
    assert_eq!(network(&node), old);
}

#[test]
fn the_boot_takes_an_open_apply_back_before_the_network_comes_up() {
    if !need_root() {
        return;
    }
    let node = node();
    waits(&node, 300);
    node.sh("tar -C / -cf /root/disk.tar etc/network var/lib/pve-network-rs").ok();
    let disk = node.read("/root/disk.tar");
    drop(node);
    let next = furnished(Node::with_packages(Suite::Bookworm, &["ifupdown2"]).named("pve1"));
    next.write("/root/disk.tar", disk);
    next.sh("tar -C / -xf /root/disk.tar
         cat /proc/sys/kernel/random/uuid >/etc/boot_id
         mount --bind /etc/boot_id /proc/sys/kernel/random/boot_id
         ip link add eno1 type veth peer name r0
         ip link set r0 up")
        .ok();
    assert_eq!((state(&next).as_str(), next.text(MAIN)), ("waiting", good()));
    let next = next.boot();
    assert_eq!(state(&next), "rolled-back");
    assert_eq!(next.text(MAIN), INTERFACES);
    assert!(!next.exists(NEW), "Proxmox VE would apply it now");
    next.sh("systemctl is-active networking.service").ok();
    let kernel = kernel(&next);
    assert!(kernel.iter().any(|l| l.contains("192.0.2.10/24")), "{kernel:#?}");
    assert!(!kernel.iter().any(|l| l.contains("vmbr1")), "it never came up: {kernel:#?}");
    next.run(["pvenet", "status"]).ok().says("the machine went down before it was confirmed");
}
