//! `host::Cluster` on the stand-in for pmxcfs: compare-and-swap against other nodes, and nothing
//! lost, littered or overwritten whatever the cluster does meanwhile.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::Path;
use std::time::{Duration, Instant};

use host::{Cluster, Error, Kind, Root};
use rig::{Fault, MAX_FILE_SIZE, Machine, Node, Pmxcfs, need_fuse};
use rustix::io::Errno;

const FILE: &str = "network/migration.toml";
const LOCK: &str = "pve-network-rs";

/// What a replacement asks pmxcfs for, once its folder is there.
const CALLS: [&str; 7] = ["mkdir", "create", "write", "utime", "rename", "rmdir", ""];

fn cluster() -> (Pmxcfs, Node) {
    let cluster = Pmxcfs::with(["a", "b", "c"]);
    let node = Node::bookworm().named("a").in_cluster(&cluster, "a");
    cluster.on("b").writes(FILE, "1");
    (cluster, node)
}

fn replace(node: &Node, expected: Option<&'static str>, bytes: impl Into<Vec<u8>>) -> host::Result<()> {
    let bytes = bytes.into();
    node.inside(move |root| {
        let path = Path::new("/etc/pve").join(FILE);
        Cluster::new(root, "a").replace(&path, expected.map(str::as_bytes), &bytes)
    })
}

fn remove(node: &Node, expected: &'static str) -> host::Result<()> {
    node.inside(move |root| Cluster::new(root, "a").remove(&Path::new("/etc/pve").join(FILE), expected.as_bytes()))
}

/// It says "not now": exit code 5.
#[track_caller]
fn not_now(done: host::Result<()>, why: &str) -> Error {
    let error = done.unwrap_err();
    assert_eq!(error.kind(), Kind::ClusterNotWritable, "{error}");
    assert!(error.to_string().contains(why), "{error}");
    error
}

#[track_caller]
fn someone_else(done: host::Result<()>) {
    let error = done.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused, "{error}");
    assert!(error.to_string().contains("changed by someone else"), "{error}");
}

/// Nothing is left beside the file, and no lock.
#[track_caller]
fn clean(cluster: &Pmxcfs) {
    assert_eq!(cluster.ls("network"), ["migration.toml"]);
    assert!(cluster.ls("priv/lock").is_empty());
}

fn took(done: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    done();
    begin.elapsed()
}

#[test]
fn the_recipe_is_these_calls_and_never_chmod_or_chown() {
    if !need_fuse() {
        return;
    }
    let (cluster, node) = cluster();
    replace(&node, Some("1"), "2").unwrap();
    let calls = cluster.on("a").log();
    let verbs: Vec<&str> = calls.iter().map(|c| c.split(' ').next().unwrap()).collect();
    assert_eq!(verbs, CALLS[..6], "{calls:?}");
    assert_eq!(calls[0], format!("mkdir priv/lock/{LOCK}"));
    assert_eq!(cluster.text(FILE), "2");
    clean(&cluster);
    remove(&node, "2").unwrap();
    assert!(cluster.content(FILE).is_none());
    // A first write makes the folder as well.
    cluster.on("b").removes("network");
    replace(&node, None, "3").unwrap();
    clean(&cluster);
    assert!(!cluster.on("a").log().iter().any(|c| c.starts_with("ch")));
}

#[test]
fn another_nodes_write_is_seen_whenever_it_comes() {
    if !need_fuse() {
        return;
    }
    for (number, call) in (1..).zip(&CALLS[..5]) {
        let (cluster, node) = cluster();
        cluster.on("a").before_call(number, |cluster| cluster.on("b").writes(FILE, "by b"));
        let done = replace(&node, Some("1"), "2");
        if *call == "rename" {
            // Not by any of ours: b would have to take the lock, which a has.
            done.unwrap();
            continue;
        }
        someone_else(done);
        assert_eq!(cluster.text(FILE), "by b", "before {call}");
        clean(&cluster);
    }
    for number in 1..=2 {
        let (cluster, node) = cluster();
        cluster.on("a").before_call(number, |cluster| cluster.on("b").writes(FILE, "by b"));
        someone_else(remove(&node, "1"));
        assert_eq!(cluster.text(FILE), "by b");
        clean(&cluster);
    }
    let (cluster, node) = cluster();
    someone_else(replace(&node, None, "2"));
    someone_else(replace(&node, Some("0"), "2"));
    cluster.on("b").removes(FILE);
    someone_else(replace(&node, Some("1"), "2"));
    someone_else(remove(&node, "1"));
}

#[test]
fn of_many_writers_on_three_nodes_none_is_lost() {
    if !need_fuse() {
        return;
    }
    let cluster = Pmxcfs::with(["a", "b", "c"]);
    cluster.on("a").writes(FILE, "");
    let nodes = ["a", "b", "c"].map(|n| (n, Node::bookworm().named(n).in_cluster(&cluster, n)));
    std::thread::scope(|scope| {
        for (name, node) in &nodes {
            scope.spawn(move || {
                let name = (*name).to_owned();
                node.inside(move |root| append(root, &name, 5));
            });
        }
    });
    let text = cluster.text(FILE);
    for line in ["a", "b", "c"].iter().flat_map(|n| (0..5).map(move |i| format!("{n}{i}"))) {
        assert_eq!(text.lines().filter(|l| **l == line).count(), 1, "{line} in {text}");
    }
    clean(&cluster);
}

/// Adds lines by compare-and-swap, as the phase's lines are changed.
fn append(root: &Root, name: &str, count: usize) {
    let path = Path::new("/etc/pve").join(FILE);
    for i in 0..count {
        loop {
            let now = host::cluster::read(root, &path, 10_000).unwrap().unwrap();
            let next = [&now, format!("{name}{i}\n").as_bytes()].concat();
            match Cluster::new(root, name).replace(&path, Some(&now), &next) {
                Ok(()) => break,
                Err(error) => assert_eq!(error.kind(), Kind::Refused, "{error}"),
            }
        }
    }
}

#[test]
fn a_held_lock_is_waited_for_and_then_it_is_not_now() {
    if !need_fuse() {
        return;
    }
    let (cluster, node) = cluster();
    assert!(cluster.on("b").locks(LOCK));
    let time = took(|| drop(not_now(replace(&node, Some("1"), "2"), "is held by another node")));
    assert!((9..20).contains(&time.as_secs()), "{time:?}");
    assert_eq!(cluster.text(FILE), "1");
    assert_eq!(cluster.ls("priv/lock"), [LOCK], "it is b's");
    // One that is given back meanwhile.
    let freed = std::thread::spawn({
        let cluster = cluster.clone();
        move || {
            std::thread::sleep(Duration::from_millis(500));
            cluster.on("b").removes(&format!("priv/lock/{LOCK}"));
        }
    });
    replace(&node, Some("1"), "2").unwrap();
    freed.join().unwrap();
    clean(&cluster);
}

#[test]
fn a_dead_nodes_lock_is_taken_over_when_its_time_is_up() {
    if !need_fuse() {
        return;
    }
    let (cluster, node) = cluster();
    cluster.set_lock_timeout(Duration::from_secs(1));
    assert!(cluster.on("b").locks(LOCK));
    let time = took(|| replace(&node, Some("1"), "2").unwrap());
    assert!(time >= Duration::from_secs(1) && time < Duration::from_secs(5), "{time:?}");
    assert_eq!(cluster.text(FILE), "2");
    clean(&cluster);
}

#[test]
fn a_lock_that_was_lost_meanwhile_is_noticed_and_left_to_its_new_holder() {
    if !need_fuse() {
        return;
    }
    // Before each call after the one that takes the lock: paused for long, and b came.
    for number in 2..=4 {
        let (cluster, node) = cluster();
        cluster.on("a").before_call(number, |cluster| {
            cluster.on("b").removes(&format!("priv/lock/{LOCK}"));
            // As far as the seconds of its time tell, b's lock is a later one.
            std::thread::sleep(Duration::from_millis(1100));
            assert!(cluster.on("b").locks(LOCK));
        });
        not_now(replace(&node, Some("1"), "2"), if number == 4 { "cannot keep the lock" } else { "was lost" });
        assert_eq!(cluster.text(FILE), "1");
        assert_eq!(cluster.ls("network"), ["migration.toml"]);
        assert_eq!(cluster.ls("priv/lock"), [LOCK], "it is b's");
    }
    // Lost and not taken by anybody.
    let (cluster, node) = cluster();
    cluster.on("a").before_call(3, |cluster| cluster.on("b").removes(&format!("priv/lock/{LOCK}")));
    not_now(replace(&node, Some("1"), "2"), "was lost");
    clean(&cluster);
}

#[test]
fn quorum_that_goes_at_any_call_loses_nothing_and_litter_is_swept() {
    if !need_fuse() {
        return;
    }
    for refusals in [0, 1] {
        for (number, call) in (1..).zip(&CALLS[..6]) {
            let (cluster, node) = cluster();
            cluster.on("a").before_call(number, move |cluster| {
                cluster.on("a").loses_quorum_slowly(refusals, Duration::from_secs(1));
            });
            let done = replace(&node, Some("1"), "2");
            if *call == "rmdir" {
                done.unwrap();
            } else {
                not_now(done, "pvecm status");
                assert_eq!(cluster.text(FILE), "1");
            }
            let left = cluster.ls("network");
            assert!(left.len() <= 2 && left.contains(&"migration.toml".to_owned()), "{call}: {left:?}");
            // What could not be removed goes with the next write, the lock when its time is up.
            cluster.on("a").has_quorum_again();
            cluster.set_lock_timeout(Duration::ZERO);
            let now = if *call == "rmdir" { "2" } else { "1" };
            replace(&node, Some(now), "3").unwrap();
            assert_eq!(cluster.text(FILE), "3");
            clean(&cluster);
        }
    }
    let (cluster, node) = cluster();
    cluster.on("a").loses_quorum();
    not_now(replace(&node, Some("1"), "2"), "the cluster has no quorum");
    not_now(remove(&node, "1"), "the cluster has no quorum");
    assert!(cluster.on("a").log().is_empty(), "it does not even try");
}

#[test]
fn only_this_nodes_litter_of_this_file_is_swept() {
    if !need_fuse() {
        return;
    }
    let (cluster, node) = cluster();
    let b = cluster.on("b");
    b.writes("network/.migration.toml.a.1234.5678", "litter");
    let others =
        [".migration.toml.b.1.2", ".migration.toml.a.x.2", ".other.toml.a.1.2", ".migration.toml.back", "notes.a.1.2"];
    for other in others {
        b.writes(&format!("network/{other}"), "not a's");
    }
    replace(&node, Some("1"), "2").unwrap();
    let mut left = others.to_vec();
    left.push("migration.toml");
    left.sort_unstable();
    assert_eq!(cluster.ls("network"), left);
}

#[test]
fn a_busy_cluster_is_waited_out() {
    if !need_fuse() {
        return;
    }
    for number in 1..=6 {
        let (cluster, node) = cluster();
        cluster.on("a").before_call(number, |cluster| cluster.on("a").is_busy_for(3));
        replace(&node, Some("1"), "2").unwrap();
        assert_eq!(cluster.text(FILE), "2");
        clean(&cluster);
    }
    let (cluster, node) = cluster();
    cluster.on("a").is_busy_for(u32::MAX);
    let time = took(|| drop(not_now(replace(&node, Some("1"), "2"), "syncing")));
    assert!((9..20).contains(&time.as_secs()), "bounded: {time:?}");
    assert_eq!(cluster.text(FILE), "1");
}

#[test]
fn busy_and_done_all_the_same_is_understood() {
    if !need_fuse() {
        return;
    }
    for (number, call) in (1..).zip(&CALLS[..6]) {
        let (cluster, node) = cluster();
        cluster.on("a").at_call(number, Fault::DoneButBusy);
        if *call == "mkdir" {
            // Nobody can tell whose lock it is; it goes when its time is up.
            cluster.set_lock_timeout(Duration::from_millis(500));
        }
        replace(&node, Some("1"), "2").unwrap();
        assert_eq!(cluster.text(FILE), "2", "{call}");
        clean(&cluster);
    }
    let (cluster, node) = cluster();
    cluster.on("a").at_call(2, Fault::DoneButBusy);
    remove(&node, "1").unwrap();
    assert!(cluster.content(FILE).is_none());
}

#[test]
fn any_other_errno_at_any_call_leaves_the_old_or_the_new() {
    if !need_fuse() {
        return;
    }
    for errno in [Errno::IO, Errno::NOSPC, Errno::FBIG] {
        for (number, call) in (1..).zip(&CALLS[..6]) {
            let (cluster, node) = cluster();
            cluster.on("a").at_call(number, Fault::Fails(errno));
            let done = replace(&node, Some("1"), "2");
            assert_eq!(done.is_ok(), *call == "rmdir", "{call}: {done:?}");
            assert_eq!(cluster.text(FILE), if done.is_ok() { "2" } else { "1" });
            assert_eq!(cluster.ls("network"), ["migration.toml"]);
            if *call != "rmdir" {
                clean(&cluster);
            }
        }
    }
}

#[test]
fn short_writes_are_continued_and_too_much_is_refused_before() {
    if !need_fuse() {
        return;
    }
    let (cluster, node) = cluster();
    cluster.on("a").at_call(3, Fault::Short(2));
    replace(&node, Some("1"), "12345").unwrap();
    assert_eq!(cluster.text(FILE), "12345");
    clean(&cluster);
    let error = replace(&node, Some("12345"), vec![b'x'; MAX_FILE_SIZE + 1]).unwrap_err();
    assert!(error.to_string().contains("larger than 1 MiB"), "{error}");
    assert_eq!(cluster.text(FILE), "12345");
    clean(&cluster);
    replace(&node, Some("12345"), vec![b'x'; MAX_FILE_SIZE]).unwrap();
    assert_eq!(cluster.content(FILE).unwrap().len(), MAX_FILE_SIZE);
}

#[test]
fn a_daemon_that_dies_at_any_call_is_not_now() {
    if !need_fuse() {
        return;
    }
    for (number, call) in (1..).zip(&CALLS[..6]) {
        let (cluster, node) = cluster();
        cluster.on("a").before_call(number, |cluster| cluster.on("a").dies());
        let done = replace(&node, Some("1"), "2");
        if *call == "rmdir" {
            done.unwrap();
        } else {
            not_now(done, "systemctl restart pve-cluster.service");
        }
        // The call that it died in is carried out or not; what is read is one of both.
        assert!(["1", "2"].contains(&cluster.text(FILE).as_str()), "{call}");
        cluster.on("a").starts().unwrap();
        cluster.set_lock_timeout(Duration::ZERO);
        let now = if cluster.text(FILE) == "1" { "1" } else { "2" };
        replace(&node, Some(now), "3").unwrap();
        clean(&cluster);
    }
    let (cluster, node) = cluster();
    cluster.on("a").dies();
    not_now(replace(&node, Some("1"), "2"), "pve-cluster.service");
    let read = node.inside(|root| host::cluster::read(root, &Path::new("/etc/pve").join(FILE), 10).unwrap_err());
    assert!(read.to_string().contains("pmxcfs has died"), "{read}");
}

#[test]
fn unmounted_it_is_never_written_not_even_if_it_goes_in_between() {
    if !need_fuse() {
        return;
    }
    let (cluster, node) = cluster();
    cluster.on("a").unmounts();
    not_now(replace(&node, Some("1"), "2"), "pmxcfs is not mounted");
    not_now(replace(&node, None, "2"), "pmxcfs is not mounted");
    not_now(remove(&node, "1"), "pmxcfs is not mounted");
    assert!(cluster.on("a").beneath().is_empty());
    for number in 1..=6 {
        let (cluster, node) = self::cluster();
        cluster.on("a").before_call(number, |cluster| cluster.on("a").unmounts());
        // Through the folder that it holds open, the old mount still answers.
        let done = replace(&node, Some("1"), "2");
        assert!(done.is_ok() || done.unwrap_err().kind() == Kind::ClusterNotWritable);
        assert!(cluster.on("a").beneath().is_empty(), "before call {number}");
        cluster.on("a").starts().unwrap();
    }
    // As when the daemon is stopped: unmounted and gone.
    for number in 1..=6 {
        let (cluster, node) = self::cluster();
        cluster.on("a").before_call(number, |cluster| {
            cluster.on("a").unmounts();
            cluster.on("a").dies();
        });
        let done = replace(&node, Some("1"), "2");
        assert!(done.is_ok() || done.unwrap_err().kind() == Kind::ClusterNotWritable);
        assert!(cluster.on("a").beneath().is_empty(), "before call {number}");
        cluster.on("a").starts().unwrap();
    }
}

#[test]
fn a_path_through_the_nodes_own_links_is_the_nodes() {
    if !need_fuse() {
        return;
    }
    let (cluster, node) = cluster();
    let write =
        |path: &'static str| node.inside(move |root| Cluster::new(root, "a").replace(Path::new(path), None, b"x"));
    write("/etc/pve/local/network.toml").unwrap();
    assert_eq!(cluster.text("nodes/a/network.toml"), "x");
    for outside in ["/etc/pve/../passwd", "/etc/passwd.new", "/etc/pve"] {
        assert!(write(outside).is_err(), "{outside}");
    }
}
