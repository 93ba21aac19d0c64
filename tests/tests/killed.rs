//! Killed anywhere, or out of room: the next call of dpkg finishes it, and nothing is lost.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use common::{TRIAL, V1, V2};
use rig::ours::{INTERFACES, NAME, STATE, manifest, snapshots};
use rig::{Machine, Node, Output, Suite, need_root};

/// `kill-at MICROSECONDS GLOB SCRIPT COMMAND…`: runs the command, and kills the maintainer script of
/// this name so long after it was seen and something matches the glob. 99: it was over before.
const KILL_AT: &str = r#"#!/usr/bin/perl
my ($late, $mark, $script, @command) = @ARGV;
my $child = fork // die;
if (!$child) { exec @command or die }
my $victim;
while (1) {
    exit 99 if waitpid($child, 1);
    if (!$victim) {
        for my $dir (glob "/proc/[0-9]*") {
            open my $file, "<", "$dir/cmdline" or next;
            my ($name) = split /\0/, <$file> // "";
            $victim = substr $dir, 6 if $name && $name =~ m{[/.]\Q$script\E$};
        }
    }
    last if $victim && (my @found = glob $mark);
}
select undef, undef, undef, $late / 1e6;
my $hit = kill KILL => $victim;
# dpkg holds its lock until it has ended, also when its script was over before the kill.
waitpid $child, 0;
exit($hit ? $? >> 8 : 99);
"#;

/// With enough files that there is a middle to be killed in.
fn bare() -> Node {
    let node = common::bare(Suite::Bookworm);
    node.sh("for i in $(seq 200); do echo \"# $i\" >/etc/network/interfaces.d/f$i; done").ok();
    node.write_program("/usr/local/bin/kill-at", KILL_AT);
    node.write("/root/v1.deb", &*V1);
    node.write("/root/v2.deb", &*V2);
    node
}

fn node() -> Node {
    let node = bare();
    node.run(["dpkg", "-i", "/root/v1.deb"]).ok();
    node
}

/// Where to kill: how long after what has appeared.
struct Point(u32, &'static str);

impl Point {
    fn kills(&self, node: &Node, script: &str, command: &[&str]) -> Output {
        let mark = if self.1.is_empty() { "/".to_owned() } else { format!("{STATE}/{}", self.1) };
        let words = ["kill-at".to_owned(), self.0.to_string(), mark, script.to_owned()];
        node.run(words.into_iter().chain(command.iter().map(|w| (*w).to_owned())))
    }
}

/// Points of time after the start, besides those that a file marks.
fn sweep() -> impl Iterator<Item = Point> {
    [0, 500, 1000, 2000, 3000, 4000, 6000, 8000, 12000].into_iter().map(|late| Point(late, ""))
}

/// `dpkg --configure -a`, and where that can't (reinst-required), the package again.
fn heal(node: &Node, deb: &str, place: &str) {
    node.run(["dpkg", "--configure", "-a"]);
    if node.state_of(NAME) != "ii" {
        node.run(["dpkg", "-i", deb]).ok();
    }
    assert_eq!(node.state_of(NAME), "ii", "{place}");
    tidy(node, place);
}

/// Nothing half-way is left, and every snapshot that shows can be trusted.
fn tidy(node: &Node, place: &str) {
    for litter in ["transaction.json", "removal.json", "restore", ".restore.new", "fence"] {
        assert!(!node.exists(&format!("{STATE}/{litter}")), "{litter} is left: {place}");
    }
    let hidden: Vec<String> =
        node.ls(&format!("{STATE}/backups")).into_iter().filter(|name| name.starts_with('.')).collect();
    assert!(hidden.is_empty(), "{hidden:?} is left: {place}");
    node.run(["migration-ctl", "snapshot", "verify"]).ok();
    node.run(["rust-write", "/etc/network/interfaces.d/after", "# writers are let in\n"]).ok();
}

#[test]
fn preinst_killed_at_the_first_install() {
    if !need_root() {
        return;
    }
    let marked = [
        Point(0, "backups/.new.*"),
        Point(1000, "backups/.new.*"),
        Point(0, "backups/2*"),
        Point(0, "transaction.json"),
    ];
    let mut hits = 0;
    for point in sweep().chain(marked) {
        let node = bare();
        let before = node.tree_below("/etc/network");
        let place = format!("{} us after {:?}", point.0, point.1);
        let out = point.kills(&node, "preinst", &["dpkg", "-i", "/root/v1.deb"]);
        hits += usize::from(out.status.code() != Some(99));
        before.assert_same(&node.tree_below("/etc/network"));
        heal(&node, "/root/v1.deb", &place);
        let first: Vec<_> = snapshots(&node).into_iter().filter(|id| manifest(&node, id)["first"] == true).collect();
        assert!(!first.is_empty(), "the state before the first install is never lost: {place}");
        assert_eq!(node.text(&format!("{STATE}/backups/{}/interfaces", first[0])), INTERFACES, "{place}");
    }
    assert!(hits >= 4, "only {hits} times was there anything to kill");
}

#[test]
fn preinst_killed_in_an_upgrade_with_a_write_in_the_open_transaction() {
    if !need_root() {
        return;
    }
    let marked = [Point(0, "backups/.new.*"), Point(0, "transaction.json")];
    let mut hits = 0;
    for point in sweep().step_by(3).chain(marked) {
        let node = node();
        let place = format!("{} us after {:?}", point.0, point.1);
        let out = point.kills(&node, "preinst", &["dpkg", "-i", "/root/v2.deb"]);
        hits += usize::from(out.status.code() != Some(99));
        let open = node.exists(&format!("{STATE}/transaction.json"));
        node.run(["rust-write", "/etc/network/interfaces", TRIAL]).ok();
        heal(&node, "/root/v2.deb", &place);
        let expected = if open { INTERFACES } else { TRIAL };
        assert_eq!(node.text("/etc/network/interfaces"), expected, "{place}");
        node.run(["dpkg", "-P", NAME]).ok();
        assert_eq!(node.text("/etc/network/interfaces"), INTERFACES, "{place}");
    }
    assert!(hits >= 2, "only {hits} times was there anything to kill");
}

#[test]
fn postinst_killed_in_a_configure_that_works() {
    if !need_root() {
        return;
    }
    let mut hits = 0;
    for point in sweep() {
        let node = node();
        node.run(["dpkg", "--unpack", "/root/v2.deb"]).ok();
        let out = point.kills(&node, "postinst", &["dpkg", "--configure", "-a"]);
        hits += usize::from(out.status.code() != Some(99));
        node.run(["dpkg", "--configure", "-a"]).ok();
        assert_eq!(node.state_of(NAME), "ii", "configure again is enough after {} us", point.0);
        tidy(&node, &format!("{} us", point.0));
        assert_eq!(node.text("/etc/network/interfaces"), INTERFACES);
    }
    assert!(hits >= 2, "only {hits} times was there anything to kill");
}

#[test]
fn postinst_killed_while_it_goes_back() {
    if !need_root() {
        return;
    }
    let marked = [
        Point(0, "restore/intent.json"),
        Point(300, "restore/intent.json"),
        Point(0, ".restore.new"),
        Point(0, "resume.json"),
    ];
    let mut hits = 0;
    for point in sweep().chain(marked) {
        let node = node();
        let place = format!("{} us after {:?}", point.0, point.1);
        node.sh("cp /usr/bin/migration-ctl /usr/local/bin/ctl; ctl phase set rust-read-only").ok();
        node.run(["dpkg", "--path-exclude=/usr/bin/migration-ctl", "--unpack", "/root/v2.deb"]).ok();
        node.run(["rust-write", "/etc/network/interfaces", TRIAL, "/etc/network/interfaces.d/admin", "# trial\n"]).ok();
        let out = point.kills(&node, "postinst", &["dpkg", "--configure", "-a"]);
        hits += usize::from(out.status.code() != Some(99));
        let now = node.text("/etc/network/interfaces");
        assert!(now == TRIAL || now == INTERFACES, "old or new, never between: {place}");
        // Still broken: what the killed run began is finished, and this node is safe.
        node.run(["dpkg", "--configure", "-a"]).code(1);
        assert_eq!(node.text("/etc/network/interfaces"), INTERFACES, "{place}");
        assert_eq!(node.text("/etc/network/interfaces.d/admin"), "# by the admin\n", "{place}");
        assert_eq!(node.run(["ctl", "phase", "get"]).ok().stdout, "perl-only\n", "{place}");
        heal(&node, "/root/v2.deb", &place);
        assert_eq!(node.text("/etc/network/interfaces"), INTERFACES, "{place}");
        node.run(["ctl", "phase", "resume"]).ok();
        assert_eq!(node.run(["ctl", "phase", "get"]).ok().stdout, "rust-read-only\n", "{place}");
    }
    assert!(hits >= 4, "only {hits} times was there anything to kill");
}

#[test]
fn a_removal_killed_anywhere_is_finished_by_the_next() {
    if !need_root() {
        return;
    }
    let marked = [
        Point(0, "fence"),
        Point(0, "removal.json"),
        Point(0, ".restore.new"),
        Point(0, "restore/intent.json"),
        Point(300, "restore/intent.json"),
    ];
    let mut hits = 0;
    for (number, point) in sweep().chain(marked).enumerate() {
        let node = node();
        let place = format!("{} us after {:?}", point.0, point.1);
        node.run(["rust-write", "/etc/network/interfaces", TRIAL, "/etc/network/interfaces.d/admin", "# trial\n"]).ok();
        let how = if number % 2 == 0 { "-r" } else { "-P" };
        let out = point.kills(&node, "prerm", &["dpkg", how, NAME]);
        hits += usize::from(out.status.code() != Some(99));
        node.run(["dpkg", how, NAME]);
        assert_eq!(node.state_of(NAME), if how == "-r" { "rc" } else { "un" }, "{place}");
        assert_eq!(node.text("/etc/network/interfaces"), INTERFACES, "{place}");
        assert_eq!(node.text("/etc/network/interfaces.d/admin"), "# by the admin\n", "{place}");
        node.sh("grep -rqx 'address 192.0.2.10/24' /var/backups/pve-network-rs || grep -rq 'bridge-ports none' /var/backups/pve-network-rs").ok();
        node.run(["dpkg", "-P", NAME]);
        assert!(!node.exists(STATE), "{place}");
    }
    assert!(hits >= 4, "only {hits} times was there anything to kill");
}

#[test]
fn a_purge_killed_anywhere_is_finished_by_the_next() {
    if !need_root() {
        return;
    }
    let mut hits = 0;
    for point in sweep() {
        let node = node();
        node.write("/etc/network/interfaces.d/f7", "# second thoughts, so the backup's is unique\n");
        node.run(["dpkg", "-r", NAME]).ok();
        let out = point.kills(&node, "postrm", &["dpkg", "-P", NAME]);
        hits += usize::from(out.status.code() != Some(99));
        node.run(["dpkg", "-P", NAME]);
        assert_eq!(node.state_of(NAME), "un", "{} us", point.0);
        assert!(!node.exists(STATE), "{} us", point.0);
        node.sh("grep -rqx '# 7' /var/backups/pve-network-rs").ok();
    }
    assert!(hits >= 2, "only {hits} times was there anything to kill");
}

#[test]
fn no_room_means_not_installed_and_no_broken_snapshot() {
    if !need_root() {
        return;
    }
    for size in ["size=8k", "size=64m,nr_inodes=6"] {
        let node = bare();
        node.sh(&format!("mkdir {STATE} && mount -t tmpfs -o {size} tmpfs {STATE}")).ok();
        node.run(["dpkg", "-i", "/root/v1.deb"]).code(1).says("no room for a snapshot");
        assert!(!node.exists("/usr/bin/migration-ctl"), "nothing was unpacked");
        assert!(snapshots(&node).is_empty(), "{size}");
        node.sh(&format!("umount {STATE}")).ok();
        heal(&node, "/root/v1.deb", size);
    }
}

#[test]
fn no_room_for_an_upgrade_keeps_the_old_version_and_its_snapshots() {
    if !need_root() {
        return;
    }
    let node = bare();
    node.sh(&format!("mkdir {STATE} && mount -t tmpfs -o size=8m tmpfs {STATE}")).ok();
    node.run(["dpkg", "-i", "/root/v1.deb"]).ok();
    let before = snapshots(&node);
    node.sh(&format!("head -c 16000000 /dev/zero >{STATE}/ballast; true"));
    node.run(["dpkg", "-i", "/root/v2.deb"]).code(1).says("no room for a snapshot");
    assert_eq!(node.state_of(NAME), "ii");
    assert_eq!(snapshots(&node), before);
    node.run(["migration-ctl", "snapshot", "verify"]).ok();
    node.remove(&format!("{STATE}/ballast"));
    node.run(["dpkg", "-i", "/root/v2.deb"]).ok();
}

#[test]
fn removal_and_purge_work_without_room_for_a_byte() {
    if !need_root() {
        return;
    }
    for how in ["-r", "-P"] {
        let node = bare();
        node.sh(&format!("mkdir {STATE} && mount -t tmpfs -o size=8m tmpfs {STATE}")).ok();
        node.run(["dpkg", "-i", "/root/v1.deb"]).ok();
        node.run(["rust-write", "/etc/network/interfaces", TRIAL]).ok();
        node.sh(&format!("head -c 16000000 /dev/zero >{STATE}/ballast; true"));
        let out = node.run(["dpkg", how, NAME]).ok();
        assert_eq!(node.state_of(NAME), if how == "-r" { "rc" } else { "un" });
        let now = node.text("/etc/network/interfaces");
        assert!(now == INTERFACES || now == TRIAL, "old or new, never between");
        if now == TRIAL {
            out.says("/etc/network/interfaces");
        }
        if how == "-r" {
            // With room again, purge finishes what the removal could not.
            node.remove(&format!("{STATE}/ballast"));
            node.run(["dpkg", "-P", NAME]).ok();
            assert_eq!(node.text("/etc/network/interfaces"), INTERFACES);
        }
    }
}
