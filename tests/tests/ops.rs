//! What an operator runs on a node that lives: health, preflight, diagnostics, abort, the watchdog.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::time::{Duration, Instant};

use common::{TRIAL, V1, dpkg};
use rig::ours::{INTERFACES, NAME, STATE, UNITS, like_a_pve_node, put_rust_write, snapshots};
use rig::{Machine, Node, Output, Suite, need_root};

const PVESH: &str = include_str!("../stand-ins/pvesh");
const MIDDLEWARE: &str = "pve-network-migration.service";
const MAIN: &str = "/etc/network/interfaces";

/// What runs: the rig has no cards to put into a bridge.
fn running() -> String {
    INTERFACES.replace("iface eno1 inet manual\n\n", "").replace("bridge-ports eno1", "bridge-ports none")
}

/// A booted node with ifupdown2, the package, `rust-write`, and somebody at Perl's port.
fn booted(suite: Suite) -> Node {
    let node = Node::with_packages(suite, &["ifupdown2"]).named("pve1");
    like_a_pve_node(&node);
    node.write(MAIN, running());
    dpkg(&node, &["-i"], &V1).ok();
    put_rust_write(&node, env!("CARGO_BIN_EXE_rust-write"));
    // Booting would let ifupdown2 bring the network up, which this file is not about.
    node.sh("rm -f /etc/systemd/system/*/networking.service /etc/systemd/system/*/*/networking.service").ok();
    let node = node.boot();
    node.sh("ip link set lo up && systemd-run --quiet --unit=perl-api systemd-socket-activate -l 127.0.0.1:8006 sleep infinity").ok();
    node
}

/// The same at a phase, with both services running.
fn canary(suite: Suite) -> Node {
    let node = booted(suite);
    for phase in ["rust-read-only", "rust-basic-write"] {
        node.run(["migration-ctl", "phase", "set", phase]).ok();
    }
    node.systemctl(["enable", "--now", "--quiet", MIDDLEWARE]).ok();
    assert_eq!(active(&node), ["active", "active"]);
    node
}

/// A canary whose pending apply by Rust is on trial, with Perl's stack there.
fn on_trial(suite: Suite) -> Node {
    let node = canary(suite);
    node.write_program("/usr/bin/pvesh", PVESH);
    node.mkdir("/run/network"); // networking.service makes it, and ifupdown2 has its lock there
    node.run(["rust-write", MAIN, TRIAL]).ok();
    node
}

fn active(node: &Node) -> Vec<String> {
    node.systemctl(["is-active", UNITS[0], UNITS[1]]).stdout.lines().map(str::to_owned).collect()
}

fn check(out: &Output, name: &str) -> serde_json::Value {
    let report: serde_json::Value = serde_json::from_str(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", out.stdout));
    let found = report["checks"].as_array().unwrap().iter().find(|c| c["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {report}")).clone()
}

fn health(node: &Node) -> Output {
    node.run(["migration-ctl", "health", "--output", "json"])
}

#[test]
fn a_rust_phase_with_disabled_units_is_a_failure_and_its_command_mends_it() {
    for suite in [Suite::Bookworm, Suite::Trixie] {
        if !need_root() {
            return;
        }
        let node = booted(suite);
        let out = node.run(["migration-ctl", "health"]).ok().quiet();
        for line in out.stdout.lines().filter(|l| !l.starts_with("          > ")) {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert!(!out.stdout.contains("CRITICAL") && !out.stdout.contains('\x1b'), "{}", out.stdout);
        node.run(["migration-ctl", "phase", "set", "rust-read-only"]).ok();
        let units = check(&health(&node).code(1), "units");
        assert_eq!(units["state"], "critical");
        node.run(["migration-ctl", "health", "--nagios"])
            .code(2)
            .says("PVE-NETWORK-RS CRITICAL - units: ")
            .says(" | phase=1");
        node.sh(units["mend"].as_str().unwrap()).ok();
        assert_eq!(check(&health(&node).ok(), "units")["state"], "ok");
        node.run(["migration-ctl", "health", "--nagios"]).code(0);
        // Perl's API gone: from here on there is nothing to fall back on.
        node.systemctl(["stop", "perl-api"]).ok();
        assert_eq!(check(&health(&node).code(1), "perl-api")["state"], "critical");
    }
}

#[test]
fn what_waits_or_is_damaged_is_found() {
    if !need_root() {
        return;
    }
    let node = booted(Suite::Bookworm);
    for (name, harm, words) in [
        ("pending", "touch /var/lib/pve-network-rs/fence", "shut out"),
        ("snapshots", "echo x >> /var/lib/pve-network-rs/backups/latest/interfaces", "can't be trusted"),
        ("package", "echo x >> /usr/bin/pvenet-legacy", "/usr/bin/pvenet-legacy"),
        ("phase", "echo 'phase = \"rust\"' > /etc/pve/network/migration.toml", "migration.toml:1"),
    ] {
        node.sh(harm).ok();
        let found = check(&health(&node).code(1), name);
        assert_eq!(found["state"], "critical", "{found}");
        assert!(found["line"].as_str().unwrap().contains(words), "{found}");
    }
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    if !need_root() {
        return;
    }
    let node = booted(Suite::Bookworm);
    let shown = |variables: &str| node.sh(&format!("{variables} script -qec 'migration-ctl health' /dev/null")).stdout;
    assert!(shown("TERM=xterm").contains("\x1b["));
    // Without TERM nobody knows what the terminal can.
    for off in ["TERM=xterm NO_COLOR=1", "TERM=dumb", "env -u TERM"] {
        assert!(!shown(off).contains('\x1b'), "{off}");
    }
}

#[test]
fn preflight_names_what_stands_in_the_way() {
    if !need_root() {
        return;
    }
    let node = booted(Suite::Bookworm);
    let preflight = || node.run(["migration-ctl", "preflight", "--output", "json"]);
    assert!(check(&preflight().code(3), "tools")["line"].as_str().unwrap().contains("pvesh (pve-manager)"));
    node.write_program("/usr/bin/pvesh", PVESH);
    assert_eq!(check(&preflight().ok(), "baseline")["state"], "warning");
    node.write("/etc/cron.d/net", "# x\n* * * * * root pvesh set /nodes/pve1/network\n");
    let automation = check(&preflight().ok(), "automation");
    assert!(automation["line"].as_str().unwrap().contains("/etc/cron.d/net:2: "), "{automation}");
    node.sh("systemd-run --quiet --unit=other systemd-socket-activate -l 127.0.0.1:9187 sleep infinity").ok();
    node.sh("until ss -ltn | grep -q 9187; do sleep 0.1; done").ok();
    let out = node.run(["migration-ctl", "preflight"]).code(3).says("port 9187 is taken by another program");
    for line in out.stdout.lines().filter(|l| !l.starts_with("          > ")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn a_bundle_of_a_living_node_has_what_one_asks_for_and_no_secret() {
    if !need_root() {
        return;
    }
    let node = canary(Suite::Bookworm);
    node.write(
        "/etc/systemd/system/pve-network-rs.service.d/x.conf",
        "[Service]\nEnvironment=API_TOKEN=plantedinunit\n",
    );
    node.sh("systemctl daemon-reload; systemctl restart pve-network-migration.service").ok();
    node.sh("systemd-run --quiet --wait --unit=pvenetcommit.service sh -c 'echo password=plantedinjournal'").ok();
    node.write("/etc/pve/sdn/ipams.cfg", "netbox: nb\n\turl https://nb.example/api\n\ttoken plantedinipam\n");
    node.write(
        "/var/log/pve-network/migration.log",
        "{\"op\":\"read\",\"headers\":{\"Authorization\":\"plantedinlog\"}}\n",
    );
    let out = node.sh("cd /root && migration-ctl diagnostics").ok();
    let file = out.stdout.trim();
    assert!(file.starts_with("pve-network-rs-pve1-") && file.ends_with(".tar.zst"), "{file}");
    node.sh(&format!("test $(stat -c %a /root/{file}) = 600")).ok();
    // The host's own tar and zstd read it.
    let host = tempfile::tempdir().unwrap();
    let bundle = node.read(&format!("/root/{file}"));
    std::fs::write(host.path().join("b.tar"), unzstd(&bundle)).unwrap();
    let tar = std::process::Command::new("tar").arg("-xf").arg("b.tar").current_dir(&host).status().unwrap();
    assert!(tar.success());
    let top = host.path().join(file.strip_suffix(".tar.zst").unwrap());
    let read = |name: &str| std::fs::read_to_string(top.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert!(read("files/etc/network/interfaces").contains("address 192.0.2.10/24"));
    assert!(read("commands/journal.txt").contains("rust-basic-write"));
    assert!(read("commands/show-pve-network-rs.service.txt").contains("ActiveState=active"));
    assert!(read("commands/dpkg-status.txt").contains("Status: install ok installed"));
    assert!(read("commands/apt-policy.txt").contains("pve-network-rs:"));
    assert!(read("state/ceiling").contains("rust-basic-write"));
    assert!(read("log/migration.log").contains("[removed]"));
    assert!(read("MISSING.txt").contains("commands/pveversion.txt: cannot run pveversion: it is not installed"));
    let grep = std::process::Command::new("grep").args(["-r", "planted"]).current_dir(&host).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&grep.stdout), "");
}

fn unzstd(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut child = std::process::Command::new("zstd")
        .args(["-dc"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("zstd is installed (make deps-test)");
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let feed = std::thread::spawn(move || stdin.write_all(&bytes));
    let out = child.wait_with_output().unwrap();
    feed.join().unwrap().unwrap();
    assert!(out.status.success());
    out.stdout
}

#[test]
fn abort_leads_all_the_way_back() {
    for suite in [Suite::Bookworm, Suite::Trixie] {
        if !need_root() {
            return;
        }
        let node = on_trial(suite);
        let before = node.tree_below("/etc/network");
        let plan = node.run(["migration-ctl", "abort", "--dry-run"]).ok();
        plan.says("restore /etc/network/interfaces from ")
            .says("stop pve-network-rs.service, pve-network-migration.service");
        before.assert_same(&node.tree_below("/etc/network"));
        assert_eq!(active(&node), ["active", "active"]);
        assert!(!node.exists(&format!("{STATE}/abort.json")));

        let out = node.run(["migration-ctl", "abort"]).ok();
        assert_eq!(out.stdout.matches('✓').count(), 5, "{}", out.stdout);
        aborted(&node);
        let calls = node.text("/run/pvesh/calls");
        assert!(calls.contains("set /nodes/pve1/network"), "{calls}");

        // Once more, and once more: nothing is undone twice, nothing fails.
        let again = node.run(["migration-ctl", "abort"]).ok();
        again.says("nothing of Rust's is on trial").says("no service of ours runs");
        aborted(&node);
        node.run(["migration-ctl", "abort", "--resume"]).ok().says("is complete");
        // And what went back can be undone.
        let undo = out.stdout.lines().find(|l| l.starts_with("  to undo that: migration-ctl rollback --to ")).unwrap();
        let undo = undo.trim_start_matches("  to undo that: ").to_owned();
        assert!(!out.stdout.contains("  > "), "nothing is left to run: {}", out.stdout);
        node.sh(&undo).ok();
        assert_eq!(node.text(MAIN), TRIAL);
    }
}

/// Everything that an abort promises.
fn aborted(node: &Node) {
    assert_eq!(node.text(&format!("{STATE}/ceiling")).trim(), "perl-only");
    node.run(["migration-ctl", "phase", "get"]).ok().says("perl-only");
    assert_eq!(active(node), ["inactive", "inactive"]);
    assert_eq!(node.text(MAIN), running());
    assert!(node.ls("/var/log/pve-network").iter().any(|f| f.ends_with(".tar.zst")));
    assert!(!node.exists(&format!("{STATE}/restore")));
}

#[test]
fn abort_without_a_writable_cluster_holds_by_the_ceiling() {
    if !need_root() {
        return;
    }
    let node = on_trial(Suite::Bookworm);
    node.sh("mount --bind /etc/pve /etc/pve && mount -o remount,bind,ro /etc/pve").ok();
    node.run(["migration-ctl", "abort"]).ok().says("its line in migration.toml stays for now");
    aborted(&node);
    node.sh("grep -q rust-basic-write /etc/pve/network/migration.toml").ok();
}

#[test]
fn killed_anywhere_it_is_resumed() {
    if !need_root() {
        return;
    }
    let node = on_trial(Suite::Bookworm);
    // Killed by Perl's own process, with the reload half done.
    node.write("/run/pvesh/fault", "kill");
    assert_eq!(node.run(["migration-ctl", "abort"]).status.code(), None);
    node.write("/run/pvesh/fault", "");
    let pending = check(&health(&node).code(1), "pending");
    assert_eq!(pending["mend"], "migration-ctl abort --resume");
    let out = node.sh(pending["mend"].as_str().unwrap()).ok();
    assert_eq!(out.stdout.matches('✓').count(), 2, "only what was left: {}", out.stdout);
    aborted(&node);

    // Killed after so many milliseconds, wherever that may be.
    let mut interrupted = 0;
    for delay in [2, 5, 10, 20, 40, 60, 90, 130, 200, 300, 450, 700, 1000] {
        let node = on_trial(Suite::Bookworm);
        node.sh(&format!(
            "migration-ctl abort >/dev/null 2>&1 & p=$!; sleep {}.{:03}; kill -9 $p 2>/dev/null || :; wait",
            delay / 1000,
            delay % 1000
        ))
        .ok();
        if node.exists(&format!("{STATE}/abort.json")) {
            let resumed = node.run(["migration-ctl", "abort", "--resume"]).ok();
            interrupted += usize::from(resumed.stdout.contains('✓'));
        } else {
            node.run(["migration-ctl", "abort", "--resume"]).code(3).says("there is no abort to resume");
            node.run(["migration-ctl", "abort"]).ok();
        }
        aborted(&node);
        assert_eq!(check(&health(&node), "pending")["state"], "ok", "after {delay} ms");
    }
    assert!(interrupted > 1, "the delays hit nothing");
}

/// `--resume` must not take an older abort for one that a full disk kept from being recorded, and call it complete.
#[test]
fn an_abort_that_could_not_be_recorded_is_begun_anew_and_not_resumed() {
    if !need_root() {
        return;
    }
    let node = on_trial(Suite::Bookworm);
    node.run(["migration-ctl", "abort"]).ok();
    for phase in ["rust-read-only", "rust-basic-write"] {
        node.run(["migration-ctl", "phase", "set", phase]).ok();
    }
    node.run(["migration-ctl", "abort", "--resume"])
        .code(3)
        .says("this node is at rust-basic-write again")
        .says("'migration-ctl abort' begins a new one");
    node.sh(&format!(
        "mkdir /tmp/s && cp -a {STATE}/. /tmp/s && mount -t tmpfs -o size=8m,mode=700 none {STATE} && cp -a /tmp/s/. {STATE}/
         dd if=/dev/zero of={STATE}/full bs=4k 2>/dev/null || :"
    ))
    .ok();
    node.run(["migration-ctl", "status"]).ok().says("next         df -h /var/lib; df -i /var/lib\n");
    node.run(["migration-ctl", "phase", "set", "perl-only"])
        .code(1)
        .says("No space left on device; look at 'df -h /var/lib'")
        .says("systemctl stop pve-network-migration.service pve-network-rs.service");
    let out = node.run(["migration-ctl", "abort"]).code(1).says("then: migration-ctl abort\n");
    assert_eq!(out.stderr.matches("its steps can't be recorded").count(), 1, "once: {}", out.stderr);
    let resumed = node.run(["migration-ctl", "abort", "--resume"]).never_says("is complete");
    assert_ne!(resumed.status.code(), Some(0));
    node.remove(&format!("{STATE}/full"));
    node.run(["migration-ctl", "abort"]).ok();
    aborted(&node);
}

/// What can't be read would count as missing: "perl-only, no snapshot" is worse than no answer.
#[test]
fn nobody_but_root_is_answered() {
    if !need_root() {
        return;
    }
    let node = Node::bookworm();
    like_a_pve_node(&node);
    dpkg(&node, &["-i"], &V1).ok();
    for phase in ["rust-read-only", "rust-basic-write"] {
        node.run(["migration-ctl", "phase", "set", phase]).ok();
    }
    let asked =
        |command: &str| node.sh(&format!("cd / && setpriv --reuid=65534 --regid=65534 --clear-groups {command}"));
    for command in [
        "migration-ctl status",
        "migration-ctl phase get",
        "migration-ctl health",
        "migration-ctl abort --dry-run",
        "migration-ctl snapshot list",
        "pvenet status",
        "pvenet list",
        "pvenet validate",
        "pvenet apply --yes",
        "pvenet-legacy apply",
        "canary gate",
        "canary report",
    ] {
        let out = asked(command).code(3).says("only root can read this node's phase").says("with sudo");
        assert_eq!(out.stdout, "", "{command}");
    }
    let out = asked("migration-ctl health --nagios").code(3);
    assert!(out.stdout.starts_with("PVE-NETWORK-RS UNKNOWN - only root can read"), "{}", out.stdout);
    // What asks nothing of the node is anybody's.
    asked("migration-ctl --help").ok();
    asked("canary keys").ok();
    node.write("/tmp/migration.toml", "phase = \"perl-only\"\n");
    asked("migration-ctl config check /tmp/migration.toml").ok();
}

#[test]
fn what_fails_is_said_and_the_rest_is_done() {
    if !need_root() {
        return;
    }
    let node = on_trial(Suite::Bookworm);
    // The snapshot that holds what stood there before is damaged: nothing may be restored, hence
    // nothing applied; all the rest is done.
    let ids = snapshots(&node);
    let hurt = ids.iter().map(|id| format!("{STATE}/backups/{id}/interfaces")).collect::<Vec<_>>();
    for path in &hurt {
        let text = node.text(path);
        node.write(&format!("/root/kept{path}"), &text);
        node.write(path, text + "x");
    }
    let out =
        node.run(["migration-ctl", "abort"]).code(1).says("nothing is restored: ").says("2 of 5 steps are not done");
    assert_eq!(out.stdout.matches('✓').count(), 3, "{}", out.stdout);
    assert!(out.stdout.contains("✗ reapply      not tried"), "{}", out.stdout);
    assert_eq!(node.text(MAIN), TRIAL);
    assert_eq!(active(&node), ["inactive", "inactive"]);
    assert!(!node.exists("/run/pvesh/calls"), "Perl was not asked to apply what could not be put right");
    for path in &hurt {
        let text = node.text(&format!("/root/kept{path}"));
        node.write(path, text);
    }
    let out = node.run(["migration-ctl", "abort", "--resume"]).ok();
    assert_eq!(out.stdout.matches('✓').count(), 2, "{}", out.stdout);
    aborted(&node);
}

#[test]
fn what_is_not_ours_to_apply_is_left_with_its_command() {
    if !need_root() {
        return;
    }
    // Somebody's pending changes are not applied along with it.
    let node = on_trial(Suite::Bookworm);
    node.write("/etc/network/interfaces.new", "# the admin's, not ready\n");
    node.run(["migration-ctl", "abort"]).code(1).says("! reapply").says("  > ifreload -a");
    aborted(&node);
    assert_eq!(node.text("/etc/network/interfaces.new"), "# the admin's, not ready\n");
    assert!(!node.exists("/run/pvesh/calls"));
    // Without pvesh there is only the command.
    let node = canary(Suite::Bookworm);
    node.run(["rust-write", MAIN, TRIAL]).ok();
    node.run(["migration-ctl", "abort"]).code(1).says("pvesh is not installed").says("  > ifreload -a");
    aborted(&node);
    assert_eq!(check(&health(&node), "pending")["state"], "ok", "it is the operator's, and does not wait");
    node.run(["dpkg", "-r", NAME]).ok();
}

#[test]
fn the_watchdog_starts_a_stopped_service_anew() {
    for suite in [Suite::Bookworm, Suite::Trixie] {
        if !need_root() {
            return;
        }
        let node = canary(suite);
        // The shipped unit has a watchdog; the test only makes it impatient.
        node.sh("systemctl show -p WatchdogUSec --value pve-network-rs.service | grep -qx 30s").ok();
        for unit in UNITS {
            node.write(
                &format!("/etc/systemd/system/{unit}.d/quick.conf"),
                "[Service]\nWatchdogSec=1\nTimeoutAbortSec=1\nRestartSec=100ms\n",
            );
        }
        node.sh("systemctl daemon-reload; systemctl restart pve-network-migration.service").ok();
        std::thread::sleep(Duration::from_secs(3));
        for unit in UNITS {
            let property = |name: &str| node.systemctl(["show", "-p", name, "--value", unit]).stdout.trim().to_owned();
            assert_eq!(property("NRestarts"), "0", "{unit} lives, and the watchdog knows");
            let stopped = property("MainPID");
            node.sh(&format!("kill -STOP {stopped}")).ok();
            let deadline = Instant::now() + Duration::from_secs(15);
            while property("NRestarts") == "0" || property("ActiveState") != "active" {
                assert!(Instant::now() < deadline, "{unit} is not started anew: {}", property("SubState"));
                std::thread::sleep(Duration::from_millis(100));
            }
            assert_ne!(property("MainPID"), stopped);
            node.sh(&format!("journalctl -u {unit} | grep -q -i watchdog")).ok();
        }
    }
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units_and_little_exposed() {
    for suite in [Suite::Bookworm, Suite::Trixie] {
        if !need_root() {
            return;
        }
        let node = Node::of(suite);
        dpkg(&node, &["-i"], &V1).ok();
        for unit in UNITS {
            let path = format!("/usr/lib/systemd/system/{unit}");
            node.run(["systemd-analyze", "verify", "--man=no", &path]).ok().quiet();
            // In tenths: docs/operators-guide.md says what it is.
            let most = if unit == "pve-network-rs.service" { "--threshold=13" } else { "--threshold=17" };
            node.run(["systemd-analyze", "security", "--offline=true", most, unit]).ok();
        }
        let socket = "/usr/lib/systemd/system/pve-network-reload.socket";
        node.run(["systemd-analyze", "verify", "--man=no", socket]).ok().quiet();
    }
}
