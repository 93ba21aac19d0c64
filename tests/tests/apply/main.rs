//! `pvenet apply` over real ifupdown2: whatever happens, the network is the old one or the new one, never between.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../common/mod.rs"]
mod common;
mod desk;
mod killed;
mod left_open;

use std::time::{Duration, Instant};

use desk::*;
use rig::cables::plug;
use rig::ours::{INTERFACES, STATE};
use rig::{Machine, Node, Suite, need_root};

#[test]
fn a_good_change_becomes_the_running_network_and_can_be_undone() {
    if !need_root() {
        return;
    }
    for suite in [Suite::Bookworm, Suite::Trixie] {
        let node = furnished(Node::with_packages(suite, &["ifupdown2"]).named("pve1").with_sys());
        plug(&node);
        let old = network(&node);
        node.write(NEW, good());
        node.run(["pvenet", "apply", "--yes"]).ok().says("changed /etc/network/interfaces\n");
        let new = network(&node);
        assert_eq!((new.main.as_str(), new.pending), (good().as_str(), false));
        assert!(new.kernel.iter().any(|l| l.contains("vmbr1") && l.contains("198.51.100.1/24")), "{new:#?}");
        guests_are_plugged_in(&node, "after an apply");
        node.run(["pvenet", "status"]).ok().says("confirmed").says("running    what is configured");
        let journal = node.text(&format!("{STATE}/operations.jsonl"));
        assert!(journal.contains("\"backend\":\"rust\"") && journal.contains("\"outcome\":\"done\""), "{journal}");
        node.run(["pvenet", "rollback", "--list"]).ok().says("pvenet writes");
        node.run(["pvenet", "rollback", "--to", "latest", "--dry-run"])
            .ok()
            .says("write /etc/network/interfaces (snapshot 2");
        node.run(["pvenet", "rollback", "--to", "nosuch", "--yes"]).code(3).says("there is no snapshot \"nosuch\"");
        node.run(["pvenet", "rollback", "--yes"]).ok();
        assert_eq!(network(&node), old);
        guests_are_plugged_in(&node, "after a rollback");
    }
}

#[test]
fn a_dry_run_shows_plan_and_patch_and_changes_nothing() {
    if !need_root() {
        return;
    }
    let node = node();
    let said = node.run(["pvenet", "apply", "--dry-run"]).ok();
    said.says("write no file (the files as they are, since nothing is pending)").never_says("+++");
    node.run(["pvenet", "apply", "--confirm", "2m"])
        .code(2)
        .says("a number of seconds from 1 to 86400, without a unit");
    node.write(NEW, good());
    node.run(["migration-ctl", "status"]).ok().says("changes      wait to be applied in /etc/network/interfaces.new");
    let (before, tree) = (network(&node), node.tree());
    node.run(["pvenet", "apply", "--dry-run", "--confirm", "30"])
        .ok()
        .says("see to it that these stay: tap100i0 on vmbr0, veth101i0 on vmbr0")
        .says("see whether the default gateway 192.0.2.1 can be reached")
        .says("wait 30 s for pvenet confirm")
        .says("+auto vmbr1\n");
    tree.assert_same(&node.tree());
    assert_eq!(network(&node), before);
    // Nobody there to be asked is no yes.
    node.run(["pvenet", "apply"]).code(2).says("--yes");
    assert_eq!(network(&node), before);
}

#[test]
fn what_would_cut_the_node_off_or_is_wrong_is_refused_before_anything_happens() {
    if !need_root() {
        return;
    }
    let node = node();
    for (bad, code) in [
        (INTERFACES.replace("192.0.2.10", "192.0.2.99"), "PVN046"),
        (INTERFACES.replace("auto lo\niface lo inet loopback\n", ""), "PVN043"),
        (INTERFACES.replace("gateway 192.0.2.1", "gateway 203.0.113.1"), "PVN045"),
    ] {
        node.write(NEW, &bad);
        let before = network(&node);
        node.run(["pvenet", "apply", "--yes"]).code(3).says(code);
        assert_eq!(network(&node), before);
        assert_eq!(state(&node), "");
    }
}

#[test]
fn what_ifreload_rejects_half_way_goes_back() {
    if !need_root() {
        return;
    }
    let node = node();
    let old = network(&node);
    node.write(NEW, half_way());
    node.run(["pvenet", "apply", "--yes"]).code(1).says("ifreload -a failed with exit code 1").says("as it was");
    assert_eq!(network(&node), old);
    guests_are_plugged_in(&node, "after a reload that failed");
    assert_eq!(state(&node), "rolled-back");
    // What was to be applied is not lost.
    let snapshot = record(&node)["snapshot"].as_str().unwrap().to_owned();
    assert_eq!(node.text(&format!("{STATE}/backups/{snapshot}/interfaces.new")), half_way());
}

/// ifupdown2 goes on, and exits with 0.
#[test]
fn a_command_in_the_file_that_fails_is_told() {
    if !need_root() {
        return;
    }
    for suite in Suite::ALL {
        let node = furnished(Node::with_packages(suite, &["ifupdown2"]).named("pve1").with_sys());
        plug(&node);
        node.write(NEW, good().replace("address 198.51.100.1/24", "address 198.51.100.1/24\n\tpost-up /bin/false"));
        node.run(["pvenet", "apply", "--yes"]).ok().says("/bin/false");
        let notes = record(&node)["notes"].to_string();
        assert!(notes.contains("ifreload: ") && notes.contains("/bin/false"), "{notes}");
        node.run(["pvenet", "status", "--verbose"]).ok().says("/bin/false");
    }
}

#[test]
fn what_cuts_the_gateway_goes_back() {
    if !need_root() {
        return;
    }
    let node = node();
    let old = network(&node);
    node.write(NEW, INTERFACES.replace("bridge-ports eno1", "bridge-ports none"));
    node.run(["pvenet", "apply", "--yes"]).code(1).says("the default gateway 192.0.2.1 does not answer");
    assert_eq!(network(&node), old);
    guests_are_plugged_in(&node, "after a gateway was cut");
    // One that did not answer before is no reason to go back: then nothing could be mended any more.
    node.sh("ip -n router link set r0 down").ok();
    node.write(NEW, good().replace("gateway 192.0.2.1\n", ""));
    node.run(["pvenet", "apply", "--yes"]).ok();
}

#[test]
fn the_other_end_of_ssh_and_the_clusters_nodes_have_to_stay_reachable() {
    if !need_root() {
        return;
    }
    let node = node();
    node.sh("ip -n router address add 192.0.2.7/24 dev r0; ip -n router address add 192.0.2.8/24 dev r0").ok();
    let without = INTERFACES.replace("\tgateway 192.0.2.1\n", "");
    node.write(NEW, &without);
    node.run(["pvenet", "apply", "--yes"]).ok();
    let old = network(&node);
    let cut = without.replace("bridge-ports eno1", "bridge-ports none");
    node.write(NEW, &cut);
    node.call(["pvenet", "apply", "--yes"])
        .env("SSH_CONNECTION", "192.0.2.7 50000 192.0.2.10 22")
        .run()
        .code(1)
        .says("the other end of this SSH session, 192.0.2.7 does not answer");
    assert_eq!(network(&node), old);
    node.write(
        "/etc/pve/corosync.conf",
        "nodelist {\n  node {\n    name: pve1\n    ring0_addr: 192.0.2.10\n  }\n  node {\n    name: pve2\n    ring0_addr: 192.0.2.8\n  }\n}\n",
    );
    node.write(NEW, &cut);
    node.run(["pvenet", "apply", "--yes"]).code(1).says("the cluster's node 192.0.2.8 does not answer");
    assert_eq!(network(&node), old);
    guests_are_plugged_in(&node, "after a peer was cut");
}

#[test]
fn unconfirmed_it_goes_back_in_time_and_confirmed_it_stays() {
    if !need_root() {
        return;
    }
    let node = node();
    let old = network(&node);
    node.write(NEW, good());
    let began = Instant::now();
    node.run(["pvenet", "apply", "--yes", "--confirm", "2"]).code(1).says("nobody confirmed it in time");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(network(&node), old);
    guests_are_plugged_in(&node, "unconfirmed");
    node.run(["pvenet", "confirm"]).code(1).says("no apply waits");

    waits(&node, 300);
    node.run(["pvenet", "status"]).ok().says("waiting (under way)").says(" s left: pvenet confirm keeps it");
    // Another session is told the same, and no command that would take it back by the way.
    node.run(["migration-ctl", "status"])
        .ok()
        .says("waits for pvenet confirm and goes back in ")
        .says("next         pvenet status\n")
        .never_says("dpkg-reconfigure");
    let health: serde_json::Value =
        serde_json::from_str(&node.run(["migration-ctl", "health", "--output", "json"]).stdout).unwrap();
    let pending = health["checks"].as_array().unwrap().iter().find(|check| check["name"] == "pending").unwrap();
    assert_eq!((&pending["state"], &pending["mend"]), (&"warning".into(), &"pvenet status".into()), "{pending}");
    node.run(["pvenet", "confirm"]).ok().says("changed /etc/network/interfaces");
    ended(&node).ok();
    assert_eq!(node.text(MAIN), good());
    let new = network(&node);

    node.write(NEW, INTERFACES);
    begin(&node, "pvenet apply --yes --confirm 300");
    reaches(&node, &["waiting"]);
    node.run(["pvenet", "rollback"]).ok().says("has been taken back");
    ended(&node).code(1).says("somebody asked for it");
    assert_eq!(network(&node), new);
    guests_are_plugged_in(&node, "taken back by hand");
}

#[test]
fn a_rollback_by_hand_while_an_apply_waits_says_who_reloads() {
    if !need_root() {
        return;
    }
    let node = node();
    let old = network(&node);
    node.write(NEW, good());
    begin(&node, "pvenet apply --yes --confirm 300");
    reaches(&node, &["waiting"]);
    node.run(["migration-ctl", "rollback"])
        .ok()
        .says("an apply was under way: if these are its files it goes back, and reloads the network itself")
        .never_says("the running network is unchanged");
    ended(&node).code(1).says("its files were changed or taken back by somebody else");
    assert_eq!(network(&node), old);
}

/// Whoever looks at the countdown is told what each answer does; any other word changes nothing.
#[test]
fn on_a_terminal_yes_and_no_are_asked_for_and_nothing_else_counts() {
    if !need_root() {
        return;
    }
    let node = node();
    let old = network(&node);
    node.write(NEW, good());
    let typed = format!(
        "sleep 1; echo y; until grep -qs '\"waiting\"' {STATE}/apply.json; do sleep 0.1; done; echo y; sleep 1; echo no; sleep 5"
    );
    begin(&node, &format!("({typed}) | script -qec 'pvenet apply --confirm 300' /dev/null"));
    reaches(&node, &["rolled-back"]);
    let said = node.text("/run/said");
    for words in [
        "guardian started; if pvenet ends before it is through (Ctrl-C, a lost session), all goes back",
        "no or Ctrl-C takes it back",
        "that is neither yes nor no",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(network(&node), old);
}

#[test]
fn a_second_apply_is_refused_while_one_is_under_way() {
    if !need_root() {
        return;
    }
    let node = node();
    waits(&node, 300);
    node.write(NEW, INTERFACES);
    node.run(["pvenet", "apply", "--yes"]).code(3).says("is under way (waiting)").says("pvenet confirm");
    node.run(["pvenet", "rollback", "--to", record(&node)["snapshot"].as_str().unwrap(), "--yes"]).code(3);
    node.run(["pvenet", "confirm"]).ok();
    ended(&node).ok();
    assert_eq!(node.text(MAIN), good());
    assert_eq!(node.text(NEW), INTERFACES, "what somebody wrote meanwhile is still pending");
    // Proxmox's own writers hold their lock; nothing is read half-written.
    node.sh("(flock /etc/network/.pve-interfaces.lock sleep 15) >/dev/null 2>&1 & sleep 0.3").ok();
    node.run(["pvenet", "apply", "--yes"]).code(1).says(".pve-interfaces.lock is held by another process");
    assert_eq!(node.text(MAIN), good());
}

#[test]
fn the_phase_decides_who_applies() {
    if !need_root() {
        return;
    }
    let node = node();
    node.write_program("/usr/bin/pvesh", include_str!("../../stand-ins/pvesh"));
    for (phase, feature) in [("rust-read-only", true), ("rust-basic-write", false)] {
        node.write(
            "/etc/pve/network/migration.toml",
            format!("phase = \"{phase}\"\nfeatures = {{ rust_cli = {feature} }}\n"),
        );
        node.write(NEW, good());
        node.run(["pvenet", "apply", "--yes", "--confirm", "5"]).code(3).says("Perl waits for no confirmation");
        node.run(["pvenet", "apply", "--yes"]).ok().says("applied through Perl").says("applied by Perl in");
        assert_eq!(node.text(MAIN), good());
        assert_eq!(state(&node), "", "Rust had no part in it");
        node.write(MAIN, INTERFACES);
    }
}

#[test]
fn guests_that_come_and_go_meanwhile_are_left_alone() {
    if !need_root() {
        return;
    }
    let node = node();
    let old = network(&node);
    waits(&node, 300);
    // A container is started, another one stopped, a third moved to the new bridge.
    node.sh("ip link add veth200i0 type veth peer name gveth200i0
         ip link set veth200i0 master vmbr0 up
         ip link delete veth101i0
         ip link add veth300i0 type veth peer name gveth300i0
         ip link set veth300i0 master vmbr1 up")
        .ok();
    node.run(["pvenet", "rollback"]).ok();
    let now = kernel(&node);
    assert!(now.iter().any(|l| l.contains("veth200i0") && l.contains("vmbr0") && l.contains("up=true")), "{now:#?}");
    assert!(!now.iter().any(|l| l.contains("\"veth101i0\"")), "{now:#?}");
    assert!(
        now.iter().any(|l| l.contains("\"veth300i0\"") && l.contains("master=null")),
        "its bridge is gone: {now:#?}"
    );
    assert_eq!(network(&node).main, old.main);
    assert!(kernel(&node).iter().any(|l| l.contains("tap100i0") && l.contains("vmbr0")));
}
