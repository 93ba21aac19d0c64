//! `pvenet apply` over real ifupdown2: whatever happens, the network is the old one or the new one, never between.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::time::{Duration, Instant};

use common::{V1, V2, dpkg};
use rig::cables::plug;
use rig::ours::{INTERFACES, NAME, STATE, like_a_pve_node};
use rig::{Machine, Node, Output, Suite, need_root};
use serde_json::Value;

const MAIN: &str = "/etc/network/interfaces";
const NEW: &str = "/etc/network/interfaces.new";

/// Longer than a way back takes on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// A good change: one bridge more, with an address.
fn good() -> String {
    INTERFACES.replace(
        "\nsource",
        "\nauto vmbr1\niface vmbr1 inet static\n\taddress 198.51.100.1/24\n\tbridge-ports none\n\tbridge-stp off\n\tbridge-fd 0\n\nsource",
    )
}

/// Its first bridge comes up; its second gets a group's hardware address, which no kernel takes.
fn half_way() -> String {
    let second = "\nauto vmbr2\niface vmbr2 inet manual\n\tbridge-ports none\n\thwaddress ether 01:00:5e:00:00:01\n";
    good().replace("\nsource", &format!("{second}\nsource"))
}

/// A node with the package, at a phase in which Rust applies: its card is a cable to a router, a guest's tap and a
/// container's veth hang at its bridge, and ifupdown2 has brought all of it up.
fn furnished(node: Node) -> Node {
    like_a_pve_node(&node);
    node.write("/etc/hosts", "127.0.0.1 localhost\n192.0.2.10 pve1.example pve1\n");
    dpkg(&node, &["-i"], &V1).ok();
    node.write("/etc/pve/network/migration.toml", "phase = \"rust-basic-write\"\nfeatures = { rust_cli = true }\n");
    node.write(&format!("{STATE}/ceiling"), "rust-basic-write\n");
    node.write("/etc/pve/qemu-server/100.conf", "net0: virtio=BC:24:11:00:00:01,bridge=vmbr0\n");
    node
}

fn with(packages: &[&str]) -> Node {
    let node = Node::with_packages(Suite::Bookworm, packages).named("pve1").with_sys();
    let node = furnished(node);
    plug(&node);
    node
}

fn node() -> Node {
    with(&["ifupdown2"])
}

/// What the kernel has, without numbers and names that differ from run to run.
fn kernel(node: &Node) -> Vec<String> {
    let json = |arguments: &str| -> Value {
        serde_json::from_str(&node.sh(&format!("ip -json {arguments}")).ok().stdout).unwrap_or(Value::Null)
    };
    let mut out = Vec::new();
    for link in json("address show").as_array().into_iter().flatten() {
        let up = link["flags"].as_array().unwrap().iter().any(|flag| flag == "UP");
        let mut addresses: Vec<String> = link["addr_info"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|a| a["scope"] != "link")
            .map(|a| format!("{}/{}", a["local"].as_str().unwrap(), a["prefixlen"]))
            .collect();
        addresses.sort();
        out.push(format!("{} up={up} mtu={} master={} {addresses:?}", link["ifname"], link["mtu"], link["master"]));
    }
    for route in json("route show default").as_array().into_iter().flatten() {
        out.push(format!("default {} {}", route["gateway"], route["dev"]));
    }
    out.sort();
    out
}

/// Kernel and files.
#[derive(Debug, PartialEq, Eq)]
struct Network {
    kernel: Vec<String>,
    main: String,
    pending: bool,
}

fn network(node: &Node) -> Network {
    Network { kernel: kernel(node), main: node.text(MAIN), pending: node.exists(NEW) }
}

fn guests_are_plugged_in(node: &Node, place: &str) {
    for port in ["tap100i0", "veth101i0"] {
        let link = node.run(["ip", "link", "show", port]).ok().stdout;
        assert!(link.contains("master vmbr0") && link.contains("UP"), "{place}: {link}");
    }
}

fn record(node: &Node) -> Value {
    let path = format!("{STATE}/apply.json");
    if !node.exists(&path) {
        return Value::Null;
    }
    serde_json::from_str(&node.text(&path)).unwrap()
}

fn state(node: &Node) -> String {
    record(node)["state"].as_str().unwrap_or_default().to_owned()
}

/// Waits until the apply is in one of these states.
#[track_caller]
fn reaches(node: &Node, states: &[&str]) -> String {
    let begin = Instant::now();
    loop {
        let now = state(node);
        if states.contains(&now.as_str()) {
            return now;
        }
        let said = if node.exists("/run/said") { node.text("/run/said") } else { String::new() };
        assert!(begin.elapsed() < SOON, "it is {now:?} and not {states:?} after {SOON:?}; it said: {said}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Starts an apply that goes on in the background; what it says is in `/run/said`, its process in `/run/pid`.
fn begin(node: &Node, command: &str) {
    node.sh(&format!("rm -f /run/said /run/code; (set +e; {command}; echo $? >/run/code) >/run/said 2>&1 & :")).ok();
}

/// Kills every process with these words in its command line; how many there were.
fn kill(node: &Node, word: &str) -> usize {
    signal(node, "KILL", word)
}

fn signal(node: &Node, signal: &str, word: &str) -> usize {
    let script = format!(
        "for p in /proc/[0-9]*; do
           [ $p != /proc/$$ ] || continue
           case \" $(tr '\\0' ' ' <$p/cmdline 2>/dev/null) \" in *\"{word}\"*) kill -{signal} ${{p#/proc/}} && echo sent;; esac
         done; :"
    );
    node.sh(&script).stdout.lines().count()
}

/// Waits until so many guardians are left.
fn guardians(node: &Node, number: usize) {
    let begin = Instant::now();
    while signal(node, "0", " guardian ") != number {
        assert!(begin.elapsed() < SOON, "not {number} guardians: {}", node.sh("ps -ef").stdout);
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn ended(node: &Node) -> Output {
    let begin = Instant::now();
    while !node.exists("/run/code") {
        assert!(begin.elapsed() < SOON, "it goes on: {}", node.text("/run/said"));
        std::thread::sleep(Duration::from_millis(10));
    }
    node.sh("cat /run/said; exit $(cat /run/code)")
}

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
    node.write(NEW, good());
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

    node.write(NEW, good());
    begin(&node, "pvenet apply --yes --confirm 300");
    reaches(&node, &["waiting"]);
    node.run(["pvenet", "status"]).ok().says("waiting (under way)");
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
fn a_second_apply_is_refused_while_one_is_under_way() {
    if !need_root() {
        return;
    }
    let node = node();
    node.write(NEW, good());
    begin(&node, "pvenet apply --yes --confirm 300");
    reaches(&node, &["waiting"]);
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
fn its_terminal_or_its_guardian_gone_it_goes_back() {
    if !need_root() {
        return;
    }
    let node = node();
    let old = network(&node);
    for signal in ["HUP", "INT", "TERM", "KILL"] {
        node.write(NEW, good());
        begin(&node, "pvenet apply --yes --confirm 300 & echo $! >/run/pid; wait $!");
        reaches(&node, &["waiting"]);
        assert!(network(&node) != old, "{signal}: nothing was applied that could go back");
        // A shell has its background children ignore the interrupt key's signal.
        let signal = if signal == "INT" { "TERM" } else { signal };
        node.sh(&format!("kill -{signal} $(cat /run/pid)")).ok();
        reaches(&node, &["rolled-back"]);
        assert_eq!(network(&node), old, "{signal}");
        guests_are_plugged_in(&node, signal);
        node.run(["pvenet", "status"]).ok().says("the pvenet that applied it was ended");
    }
    node.write(NEW, good());
    begin(&node, "pvenet apply --yes --confirm 300");
    reaches(&node, &["waiting"]);
    assert_eq!(kill(&node, " guardian "), 1);
    ended(&node).code(1).says("its guardian was ended");
    assert_eq!(network(&node), old);
    guests_are_plugged_in(&node, "without a guardian");

    // Both at once, where no systemd starts the guardian anew: whoever comes next finishes it, in the one direction.
    for next in [&["pvenet", "apply", "--yes"][..], &["pvenet", "rollback"], &["pvenet", "recover"]] {
        node.write(NEW, good());
        begin(&node, "pvenet apply --yes --confirm 300");
        reaches(&node, &["waiting"]);
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
    node.write(NEW, good());
    begin(&node, "pvenet apply --yes --confirm 300");
    reaches(&node, &["waiting"]);
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
    node.write(NEW, good());
    begin(&node, "pvenet apply --yes --confirm 1 & echo $! >/run/pid; wait $!");
    reaches(&node, &["waiting"]);
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
        node.write(NEW, good());
        begin(&node, "pvenet apply --yes --confirm 300");
        reaches(&node, &["waiting"]);
        match how {
            "upgrade" => node.run(["dpkg", "-i", "/root/v2.deb"]).ok(),
            "remove" => node.run(["dpkg", "-r", NAME]).ok(),
            _ => node.run(["dpkg", "-P", NAME]).ok(),
        };
        assert_eq!(node.exists("/usr/bin/pvenet"), how == "upgrade");
        ended(&node).code(1).says("going back");
        assert_eq!(network(&node), old, "{how}");
        guests_are_plugged_in(&node, how);
        if how == "purge" {
            assert!(!node.exists(STATE), "{:?}", node.ls(STATE));
        }
    }
    // The same with the applying process killed first: the guardian has nothing but itself left.
    let node = node();
    let old = network(&node);
    node.write(NEW, good());
    begin(&node, "pvenet apply --yes --confirm 300 & echo $! >/run/pid; wait $!");
    reaches(&node, &["waiting"]);
    node.sh(&format!("dpkg -P {NAME} & kill -KILL $(cat /run/pid); wait")).ok();
    // Not until the network looks right: halfway through ifreload it does so for a moment.
    guardians(&node, 0);
    assert_eq!(network(&node), old);
    guests_are_plugged_in(&node, "purged and killed");
}

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
            kill(node, " guardian ");
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
    node.write(NEW, good());
    begin(&node, "pvenet apply --yes --confirm 300 & echo $! >/run/pid; wait $!");
    reaches(&node, &["waiting"]);
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
    node.write(NEW, good());
    begin(&node, "pvenet apply --yes --confirm 300 & echo $! >/run/pid; wait $!");
    reaches(&node, &["waiting"]);
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
    node.write(NEW, good());
    begin(&node, "pvenet apply --yes --confirm 300");
    reaches(&node, &["waiting"]);
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

#[test]
fn the_phase_decides_who_applies() {
    if !need_root() {
        return;
    }
    let node = node();
    node.write_program("/usr/bin/pvesh", include_str!("../stand-ins/pvesh"));
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
    node.write(NEW, good());
    begin(&node, "pvenet apply --yes --confirm 300");
    reaches(&node, &["waiting"]);
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
