//! Our package on the nodes of one cluster: each node has a phase of its own, and whatever the
//! cluster does, no dpkg call is blocked, nothing is lost and no phase is raised by accident.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::{Duration, Instant};

use phase::{Migration, Phase};
use rig::ours::{INTERFACES, NAME, STATE, like_a_pve_node, put_rust_write, sealing};
use rig::{Deb, Machine, Node, Output, Pmxcfs, Suite, need_fuse};

const RUST_WRITE: &str = env!("CARGO_BIN_EXE_rust-write");
const FILE: &str = "network/migration.toml";
const NAMES: [&str; 3] = ["a", "b", "c"];
/// Far more than any of these calls takes when nobody makes it wait, and than the cluster's lock
/// may make it wait.
const NEVER_BLOCKED: Duration = Duration::from_secs(60);

fn member(suite: Suite, cluster: &Pmxcfs, name: &str) -> Node {
    let node = Node::of(suite).named(name).in_cluster(cluster, name);
    like_a_pve_node(&node);
    node
}

fn three(deb: &Deb) -> (Pmxcfs, [Node; 3]) {
    let cluster = Pmxcfs::with(NAMES);
    let nodes = NAMES.map(|name| member(Suite::Bookworm, &cluster, name));
    for node in &nodes {
        node.install(deb).ok();
    }
    (cluster, nodes)
}

fn one() -> (Pmxcfs, Node) {
    let cluster = Pmxcfs::with(NAMES);
    let node = member(Suite::Bookworm, &cluster, "a");
    (cluster, node)
}

fn set(node: &Node, phase: &str) -> Output {
    node.run(["migration-ctl", "phase", "set", phase])
}

fn get(node: &Node) -> String {
    node.run(["migration-ctl", "phase", "get"]).ok().stdout.trim().to_owned()
}

fn file(cluster: &Pmxcfs) -> Migration {
    Migration::parse(&cluster.text(FILE), FILE).unwrap()
}

fn line(cluster: &Pmxcfs, node: &str) -> Option<Phase> {
    file(cluster).nodes.get(node).copied()
}

fn dpkg(node: &Node, how: &str) -> Output {
    let begin = Instant::now();
    let out = node.run(["dpkg", how, NAME]);
    assert!(begin.elapsed() < NEVER_BLOCKED, "dpkg {how} took {:?}", begin.elapsed());
    out
}

#[test]
fn the_file_is_made_once_and_each_node_has_its_own_phase() {
    if !need_fuse() {
        return;
    }
    let (cluster, [a, b, c]) = three(&sealing().build());
    let renames = |name: &str| cluster.on(name).log().iter().filter(|call| call.ends_with(FILE)).count();
    assert_eq!(NAMES.map(renames), [1, 0, 0], "the first makes it, the others find it");
    assert_eq!(cluster.ls("network"), ["migration.toml"]);
    assert_eq!(file(&cluster).phase, Phase::PerlOnly);

    set(&a, "rust-read-only").ok();
    set(&a, "rust-basic-write").ok().says("node a is at rust-basic-write");
    set(&b, "rust-read-only").ok().says("node a is at rust-basic-write");
    set(&b, "rust-advanced").code(3);
    assert_eq!([&a, &b, &c].map(get), ["rust-basic-write", "rust-read-only", "perl-only"]);
    set(&a, "perl-only").ok();
    assert_eq!([&a, &b, &c].map(get), ["perl-only", "rust-read-only", "perl-only"]);
    // An operator's comment, written on another node by an editor, stays.
    let text = format!("# by the operator on c\n{}", cluster.text(FILE));
    cluster.on("c").writes(FILE, &text);
    set(&a, "rust-read-only").ok();
    assert!(cluster.text(FILE).starts_with("# by the operator on c\n"));
    assert_eq!(line(&cluster, "b"), Some(Phase::RustReadOnly));
    for name in NAMES {
        let log = cluster.on(name).log();
        let ours = |c: &&String| c.contains("network") && c.starts_with("ch");
        assert_eq!(log.iter().find(ours), None, "never chmod or chown");
    }
}

#[test]
fn without_quorum_the_ceiling_demotes_and_the_line_follows_later() {
    if !need_fuse() {
        return;
    }
    let (cluster, [a, b, c]) = three(&sealing().build());
    set(&a, "rust-read-only").ok();
    set(&c, "rust-read-only").ok();
    cluster.on("c").loses_quorum();
    set(&c, "rust-basic-write").code(5).says("the cluster has no quorum");
    assert_eq!(get(&c), "rust-read-only");
    set(&c, "perl-only").ok().says("this node's own ceiling holds meanwhile");
    assert_eq!(get(&c), "perl-only");
    assert_eq!(line(&cluster, "c"), Some(Phase::RustReadOnly), "nobody could write it");
    // Meanwhile the others go on, and c does not undo what they wrote when it is back.
    set(&a, "rust-basic-write").ok();
    cluster.on("c").has_quorum_again();
    assert_eq!(get(&c), "perl-only", "what the file still says raises nothing");
    set(&c, "perl-only").ok();
    assert_eq!(line(&cluster, "c"), Some(Phase::PerlOnly));
    assert_eq!([&a, &b, &c].map(get), ["rust-basic-write", "perl-only", "perl-only"]);
    // A daemon that died, a cluster that is not mounted: the ceiling alone.
    for gone in [true, false] {
        if gone {
            cluster.on("a").dies();
        } else {
            cluster.on("a").unmounts();
        }
        assert_eq!(get(&a), "rust-basic-write");
        set(&a, "rust-advanced").code(5);
        set(&a, "rust-read-only").says("this node's own ceiling holds meanwhile");
        assert_eq!(get(&a), "rust-read-only");
        assert!(gone || cluster.on("a").beneath().is_empty());
        cluster.on("a").starts().unwrap();
        assert_eq!(get(&a), "rust-read-only");
        set(&a, "rust-basic-write").ok();
    }
}

#[test]
fn purge_on_one_leaves_the_rest_and_a_reinstall_starts_at_perl_only() {
    if !need_fuse() {
        return;
    }
    let deb = sealing().build();
    let (cluster, [a, b, c]) = three(&deb);
    for node in [&a, &b] {
        set(node, "rust-read-only").ok();
        set(node, "rust-basic-write").ok();
    }
    dpkg(&a, "-P").ok();
    assert_eq!(a.state_of(NAME), "un");
    assert!(!a.exists(STATE));
    assert_eq!(line(&cluster, "a"), Some(Phase::PerlOnly));
    assert_eq!(line(&cluster, "b"), Some(Phase::RustBasicWrite));
    assert_eq!([&b, &c].map(get), ["rust-basic-write", "perl-only"]);
    // The cluster as a whole is at rust-full by now.
    cluster.on("b").writes(FILE, "phase = \"rust-full\"\n");
    a.install(&deb).ok();
    assert_eq!(get(&a), "perl-only");
    assert_eq!(cluster.text(FILE), "phase = \"rust-full\"\n", "an installation writes nothing there");
    set(&a, "rust-read-only").ok();
    assert_eq!(file(&cluster).phase, Phase::RustFull);
    assert_eq!(line(&cluster, "a"), Some(Phase::RustReadOnly));
}

/// What befalls a's cluster.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    NoQuorum,
    Unmounted,
    Dead,
    Busy,
}

impl Trouble {
    const ALL: [Trouble; 4] = [Trouble::NoQuorum, Trouble::Unmounted, Trouble::Dead, Trouble::Busy];

    fn begins(self, cluster: &Pmxcfs) {
        let a = cluster.on("a");
        match self {
            Trouble::NoQuorum => a.loses_quorum(),
            Trouble::Unmounted => a.unmounts(),
            Trouble::Dead => a.dies(),
            Trouble::Busy => a.is_busy_for(u32::MAX),
        }
    }

    /// Ends it. Whatever was written meanwhile must not keep pmxcfs from starting.
    fn ends(self, cluster: &Pmxcfs) {
        let a = cluster.on("a");
        match self {
            Trouble::NoQuorum => a.has_quorum_again(),
            Trouble::Busy => a.is_busy_for(0),
            Trouble::Unmounted => {
                assert!(a.beneath().is_empty(), "{:?}", a.beneath());
                a.starts().unwrap();
            }
            Trouble::Dead => a.starts().unwrap(),
        }
    }
}

#[test]
fn installed_in_trouble_it_works_and_the_file_comes_with_the_first_phase() {
    if !need_fuse() {
        return;
    }
    let deb = sealing().build();
    for trouble in Trouble::ALL {
        let (cluster, node) = one();
        trouble.begins(&cluster);
        let begin = Instant::now();
        node.install(&deb).ok();
        assert!(begin.elapsed() < NEVER_BLOCKED, "{trouble:?}: {:?}", begin.elapsed());
        assert_eq!(node.state_of(NAME), "ii", "{trouble:?}");
        assert_eq!(get(&node), "perl-only", "{trouble:?}");
        assert!(cluster.content(FILE).is_none(), "{trouble:?}");
        set(&node, "rust-read-only").code(5);
        trouble.ends(&cluster);
        set(&node, "rust-read-only").ok();
        assert_eq!(line(&cluster, "a"), Some(Phase::RustReadOnly), "{trouble:?}");
        assert_eq!(cluster.ls("network"), ["migration.toml"], "{trouble:?}");
        // What was not there to be seen counts as unreadable, never as absent: it survives.
        dpkg(&node, "-P").ok();
        assert_eq!(cluster.text("storage.cfg"), "dir: local\n\tpath /var/lib/vz\n", "{trouble:?}");
        assert_eq!(cluster.text("sdn/zones.cfg"), "simple: lab\n", "{trouble:?}");
    }
}

#[test]
fn removed_and_purged_in_trouble_nothing_is_blocked_or_lost() {
    if !need_fuse() {
        return;
    }
    let deb = sealing().build();
    for trouble in Trouble::ALL {
        for how in ["-r", "-P"] {
            let (cluster, node) = one();
            node.install(&deb).ok();
            put_rust_write(&node, RUST_WRITE);
            set(&node, "rust-read-only").ok();
            set(&node, "rust-basic-write").ok();
            node.run(["rust-write", "/etc/network/interfaces", &INTERFACES.replace("eno1", "none")]).ok();
            cluster.on("b").writes("sdn/zones.cfg", "simple: by b\n");
            trouble.begins(&cluster);
            let out = dpkg(&node, how).ok();
            out.clone().says("this node is at perl-only by its own ceiling");
            if matches!(trouble, Trouble::Unmounted | Trouble::Dead) {
                // What can't be read is not taken for changed; nor is a command printed for it.
                out.never_says("keep /etc/pve/sdn");
            }
            assert_eq!(node.state_of(NAME), if how == "-r" { "rc" } else { "un" }, "{trouble:?} {how}");
            assert_eq!(node.text("/etc/network/interfaces"), INTERFACES, "{trouble:?} {how}: its trial is undone");
            trouble.ends(&cluster);
            assert_eq!(cluster.text("sdn/zones.cfg"), "simple: by b\n", "{trouble:?} {how}");
            assert_eq!(line(&cluster, "a"), Some(Phase::RustBasicWrite), "its line stays: {trouble:?} {how}");
            // It governs nothing: a reinstall starts at perl-only.
            node.install(&deb).ok();
            assert_eq!(get(&node), "perl-only", "{trouble:?} {how}");
        }
    }
}

#[test]
fn trouble_that_begins_half_way_leaves_the_old_or_the_new() {
    if !need_fuse() {
        return;
    }
    let deb = sealing().build();
    for (trouble, number) in Trouble::ALL.into_iter().zip([2, 4, 5, 3]).chain([
        (Trouble::NoQuorum, 1),
        (Trouble::NoQuorum, 5),
        (Trouble::NoQuorum, 6),
        (Trouble::Dead, 3),
    ]) {
        for how in ["install", "-r", "-P"] {
            let what = format!("{trouble:?} before call {number} of {how}");
            let (cluster, node) = one();
            if how != "install" {
                node.install(&deb).ok();
                set(&node, "rust-read-only").ok();
            }
            cluster.on("a").before_call(number, move |cluster| trouble.begins(cluster));
            let begin = Instant::now();
            if how == "install" {
                node.install(&deb).ok()
            } else {
                dpkg(&node, how).ok()
            };
            assert!(begin.elapsed() < NEVER_BLOCKED, "{what}: {:?}", begin.elapsed());
            let state = match how {
                "install" => "ii",
                "-r" => "rc",
                _ => "un",
            };
            assert_eq!(node.state_of(NAME), state, "{what}");
            trouble.ends(&cluster);
            if let Some(text) = cluster.content(FILE) {
                let now = Migration::parse(&String::from_utf8(text).unwrap(), FILE).unwrap();
                let line = now.nodes.get("a").copied();
                assert!([None, Some(Phase::PerlOnly), Some(Phase::RustReadOnly)].contains(&line), "{what}");
            }
            // A lock or a part of a file that stayed goes with the next write.
            cluster.set_lock_timeout(Duration::ZERO);
            node.install(&deb).ok();
            assert_eq!(get(&node), "perl-only", "{what}");
            set(&node, "rust-read-only").ok();
            set(&node, "rust-basic-write").ok();
            assert_eq!(cluster.ls("network"), ["migration.toml"], "{what}");
            assert!(cluster.ls("priv/lock").is_empty(), "{what}");
        }
    }
}

#[test]
fn booted_nodes_of_both_releases_share_a_cluster() {
    if !need_fuse() {
        return;
    }
    let deb = sealing().build();
    let cluster = Pmxcfs::with(["a", "b"]);
    let a = member(Suite::Bookworm, &cluster, "a").boot();
    let b = member(Suite::Trixie, &cluster, "b").boot();
    for node in [&a, &b] {
        node.install(&deb).ok();
        set(node, "rust-read-only").ok();
    }
    cluster.on("b").loses_quorum();
    dpkg(&b, "-P").ok();
    cluster.on("b").has_quorum_again();
    dpkg(&a, "-P").ok();
    assert_eq!(line(&cluster, "a"), Some(Phase::PerlOnly));
    assert_eq!(line(&cluster, "b"), Some(Phase::RustReadOnly));
    assert_eq!(cluster.ls("network"), ["migration.toml"]);
}

#[test]
fn one_command_for_all_nodes_lowers_each_and_raises_only_where_it_is_given() {
    if !need_fuse() {
        return;
    }
    let (cluster, [a, b, c]) = three(&sealing().build());
    let all = |node: &Node, phase: &str| node.run(["migration-ctl", "phase", "set", phase, "--all-nodes"]);
    let wanted = |node: &str| file(&cluster).node_phase(node);

    all(&a, "rust-read-only").ok().says("node a is at rust-read-only");
    assert_eq!(NAMES.map(wanted), [Phase::RustReadOnly; 3]);
    assert_eq!([&a, &b, &c].map(get), ["rust-read-only", "perl-only", "perl-only"], "ceilings are each node's own");
    set(&b, "rust-read-only").ok();
    set(&c, "rust-read-only").ok();
    assert_eq!([&a, &b, &c].map(get), ["rust-read-only"; 3]);
    all(&a, "rust-advanced").code(3).says("one step up at a time");
    assert_eq!(NAMES.map(wanted), [Phase::RustReadOnly; 3], "refused as a whole");

    // One other node by name: its line and nobody else's.
    a.run(["migration-ctl", "phase", "set", "perl-only", "--node", "b"]).ok();
    assert_eq!([&a, &b, &c].map(get), ["rust-read-only", "perl-only", "rust-read-only"]);
    a.run(["migration-ctl", "phase", "set", "perl-only", "--node", "nobody"]).code(2).says("no node 'nobody'");

    // A node without quorum sees nothing of what the others agree on, and goes down by itself.
    cluster.on("c").loses_quorum();
    all(&a, "perl-only").ok();
    assert_eq!(NAMES.map(wanted), [Phase::PerlOnly; 3]);
    set(&c, "perl-only");
    assert_eq!([&a, &b, &c].map(get), ["perl-only"; 3]);
    cluster.on("c").has_quorum_again();
    assert_eq!([&a, &b, &c].map(get), ["perl-only"; 3]);
    for node in [&a, &b, &c] {
        node.run(["migration-ctl", "phase", "history", "--verify"]).ok();
    }
}
