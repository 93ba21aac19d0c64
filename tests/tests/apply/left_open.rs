//! Whoever applied is gone, stuck, or its package is: the guardian takes it back.

use std::time::{Duration, Instant};

use rig::ours::{NAME, STATE};
use rig::{Machine, need_root};

use crate::common::V2;
use crate::desk::*;

#[test]
fn its_terminal_or_its_guardian_gone_it_goes_back() {
    if !need_root() {
        return;
    }
    let node = node();
    let old = network(&node);
    for signal in ["HUP", "INT", "TERM", "KILL"] {
        waits(&node, 300);
        assert!(network(&node) != old, "{signal}: nothing was applied that could go back");
        // A shell has its background children ignore the interrupt key's signal.
        let signal = if signal == "INT" { "TERM" } else { signal };
        node.sh(&format!("kill -{signal} $(cat /run/pid)")).ok();
        reaches(&node, &["rolled-back"]);
        assert_eq!(network(&node), old, "{signal}");
        guests_are_plugged_in(&node, signal);
        node.run(["pvenet", "status"]).ok().says("the pvenet that applied it was ended");
    }
    waits(&node, 300);
    assert_eq!(kill(&node, " guardian "), 1);
    ended(&node).code(1).says("its guardian was ended");
    assert_eq!(network(&node), old);
    guests_are_plugged_in(&node, "without a guardian");

    // Both at once, where no systemd starts the guardian anew: whoever comes next finishes it, in the one direction.
    for next in [&["pvenet", "apply", "--yes"][..], &["pvenet", "rollback"], &["pvenet", "recover"]] {
        waits(&node, 300);
        assert_eq!(signal(&node, "STOP", " guardian "), 1);
        assert_eq!(kill(&node, "pvenet apply --yes"), 2, "the shell and the program");
        assert_eq!(kill(&node, " guardian "), 1);
        assert_eq!(state(&node), "waiting");
        node.run(["pvenet", "status"]).ok().says("left open");
        let out = node.run(next);
        if next[1] == "apply" {
            out.code(1).says("was left open").says("has been taken back");
        } else {
            out.ok();
        }
        assert_eq!(network(&node), old, "{next:?}");
        guests_are_plugged_in(&node, next[1]);
    }
}

#[test]
fn a_guardian_that_comes_late_leaves_the_next_apply_alone() {
    if !need_root() {
        return;
    }
    let node = node();
    waits(&node, 300);
    // It saw the apply wait, and sleeps through all the rest.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(signal(&node, "STOP", " guardian "), 1);
    node.run(["pvenet", "confirm"]).ok();
    ended(&node).ok();
    node.write(NEW, good().replace("198.51.100.1", "198.51.100.2"));
    node.run(["pvenet", "apply", "--yes"]).ok();
    let (new, last) = (network(&node), record(&node));
    // The second apply's own guardian sees its end a moment later.
    guardians(&node, 1);
    assert_eq!(signal(&node, "CONT", " guardian "), 1);
    guardians(&node, 0);
    assert_eq!((network(&node), record(&node)), (new, last));
}

#[test]
fn an_apply_that_hangs_is_ended_and_taken_back() {
    if !need_root() {
        return;
    }
    let node = node();
    let old = network(&node);
    waits(&node, 1);
    node.sh("kill -STOP $(cat /run/pid)").ok();
    let began = Instant::now();
    reaches(&node, &["rolled-back"]);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(network(&node), old);
    node.run(["pvenet", "status"]).ok().says("did not get on and was ended");
}

#[test]
fn the_package_upgraded_removed_or_purged_meanwhile_takes_it_back() {
    if !need_root() {
        return;
    }
    for how in ["upgrade", "remove", "purge"] {
        let node = node();
        let old = network(&node);
        node.write("/root/v2.deb", &*V2);
        waits(&node, 300);
        match how {
            "upgrade" => node.run(["dpkg", "-i", "/root/v2.deb"]).ok(),
            "remove" => node.run(["dpkg", "-r", NAME]).ok(),
            _ => node.run(["dpkg", "-P", NAME]).ok(),
        };
        assert_eq!(node.exists("/usr/bin/pvenet"), how == "upgrade");
        let said = ended(&node).code(1).says("going back").stdout;
        assert_eq!(network(&node), old, "{how}: {said}");
        guests_are_plugged_in(&node, how);
        if how == "purge" {
            assert!(!node.exists(STATE), "{:?}", node.ls(STATE));
        }
    }
    // The same with the applying process killed first: the guardian has nothing but itself left.
    let node = node();
    let old = network(&node);
    waits(&node, 300);
    node.sh(&format!("dpkg -P {NAME} & kill -KILL $(cat /run/pid); wait")).ok();
    // Not until the network looks right: halfway through ifreload it does so for a moment.
    guardians(&node, 0);
    assert_eq!(network(&node), old);
    guests_are_plugged_in(&node, "purged and killed");
}

#[test]
fn who_slept_through_a_purge_takes_the_network_back_without_the_package() {
    if !need_root() {
        return;
    }
    for backup in [false, true] {
        let node = node();
        let old = network(&node);
        if backup {
            // The operator's own: it keeps the state folder, where everything else in it goes.
            node.write(&format!("{STATE}/manual-backups/mine"), "by hand\n");
        }
        waits(&node, 300);
        for who in ["pvenet apply --yes", " guardian "] {
            assert!(signal(&node, "STOP", who) > 0, "{who}");
        }
        node.run(["dpkg", "-P", NAME]).ok();
        let left = if backup { vec!["manual-backups"] } else { Vec::new() };
        assert_eq!(if node.exists(STATE) { node.ls(STATE) } else { Vec::new() }, left);
        assert!(network(&node) != old, "they did not sleep");
        for who in ["pvenet apply --yes", " guardian "] {
            signal(&node, "CONT", who);
        }
        ended(&node).code(1).says("the package is being removed").says("the network is as it was");
        guardians(&node, 0);
        assert_eq!(network(&node), old, "backup: {backup}");
        guests_are_plugged_in(&node, "asleep");
        assert_eq!(if node.exists(STATE) { node.ls(STATE) } else { Vec::new() }, left);
    }
}
