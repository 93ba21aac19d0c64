//! What comes back comes back as it was; what stays is a printed command away, in any shell, also
//! when the package is long gone; and what is needed for either is not forgotten.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use common::{ADMIN, TRIAL, V1, V2, bare, dpkg, node_of};
use rig::ours::{INTERFACES, NAME, STATE, snapshots};
use rig::{Machine, Node, Output, Suite, need_root};

const FOLDER: &str = "/etc/network/interfaces.d";
const MAIN: &str = "/etc/network/interfaces";

fn remove(node: &Node, restore: &str) -> Output {
    node.call(["dpkg", "-r", NAME]).env("RESTORE", restore).run().ok().never_says("could not")
}

/// A node with folders in the captured folder, of modes and owners of their own.
fn with_folders() -> Node {
    let node = bare(Suite::Bookworm);
    node.sh(&format!(
        "mkdir -p {FOLDER}/sub/deep; echo '# s' >{FOLDER}/sub/s; echo '# d' >{FOLDER}/sub/deep/d
         chown 33:42 {FOLDER}/sub; chmod 2750 {FOLDER}/sub; setfattr -n user.note -v kept {FOLDER}/sub; chmod 0700 {FOLDER}/sub/deep"
    ))
    .ok();
    dpkg(&node, &["-i"], &V1).ok();
    node
}

#[test]
fn a_deleted_folder_comes_back_with_its_own_mode_owner_and_attributes() {
    if !need_root() {
        return;
    }
    for how in ["dpkg -r", "rollback"] {
        let node = with_folders();
        let look = || {
            node.sh(&format!("cd {FOLDER}; stat -c '%n %a %u:%g' sub sub/deep sub/s sub/deep/d; getfattr -d sub")).ok().stdout
        };
        let (before, tree) = (look(), node.tree_below(FOLDER));
        assert!(before.contains("sub 2750 33:42") && before.contains("kept"), "{before}");
        node.sh(&format!("rm -r {FOLDER}/sub")).ok();
        match how {
            "dpkg -r" => drop(remove(&node, "last")),
            _ => drop(node.run(["migration-ctl", "rollback"]).ok()),
        }
        assert_eq!(look(), before, "{how}");
        tree.assert_same(&node.tree_below(FOLDER));
    }
}

#[test]
fn what_took_a_folders_place_stays_and_nothing_is_written_through_it() {
    if !need_root() {
        return;
    }
    for replace in ["echo mine >sub", "mkdir /home/bait; ln -s /home/bait sub", "mkfifo sub"] {
        let node = with_folders();
        node.sh(&format!("cd {FOLDER}; rm -r sub; {replace}; echo '# later' >admin")).ok();
        let out = remove(&node, "last").says(&format!("keep {FOLDER}/sub/s: {FOLDER}/sub was a folder"));
        assert_eq!(node.text(ADMIN), "# by the admin\n", "{replace}: the rest goes back");
        node.sh(&format!("test ! -d {FOLDER}/sub -o -L {FOLDER}/sub")).ok();
        assert!(node.ls("/home/bait").is_empty(), "nothing is written through a link");
        let at = out.stderr.lines().find_map(|l| l.split_once(&format!("backup's {FOLDER}/sub/deep/d is in "))).unwrap().1;
        assert_eq!(node.text(at), "# d\n", "{replace}");
    }
}

/// Everything that an admin may have done to files, and what each printed command must mend.
#[test]
fn each_printed_command_works_in_sh_after_remove_and_after_purge() {
    if !need_root() {
        return;
    }
    for suite in Suite::ALL {
        for purge in [false, true] {
            let node = Node::of(suite).named("pve1");
            rig::ours::like_a_pve_node(&node);
            node.write("/etc/frr/daemons", "bgpd=yes\n");
            node.sh(&format!(
                "cd {FOLDER}; mkdir -m 0750 sub; chown 33:42 sub; echo '# f' >sub/f; ln -s admin link; : >empty; echo '# l' >to-link; echo '# d' >to-dir
                 chmod 0600 admin; chown 1:2 admin; touch -d '2001-02-03 04:05:06' admin
                 for n in 'a b' 'it'\"'\"'s' '\"$(touch /pwned)`x`' '-dash' '%s\\n'; do echo '# n' >\"./$n\"; done
                 echo '# n' >\"$(printf 'new\\nline')\"; echo '# n' >\"$(printf '\\377\\376raw')\""
            ))
            .ok();
            dpkg(&node, &["-i"], &V1).ok();
            let places = ["/etc/network", "/etc/frr", "/etc/pve/sdn"];
            let before = places.map(|p| node.tree_below(p));
            node.sh(&format!(
                "cd {FOLDER}; for f in ./*; do [ ! -f \"$f\" ] || [ -L \"$f\" ] || echo '# changed' >\"$f\"; done; chown 0:0 admin
                 rm -r sub; ln -sf nowhere link; rm to-link; ln -s /etc/frr to-link; rm to-dir; mkdir to-dir; echo mine >to-dir/x; echo new >'new file'
                 rm -r /etc/frr /etc/pve/sdn/zones.cfg; echo 'vnet: v2' >/etc/pve/sdn/vnets.cfg"
            ))
            .ok();
            let out = remove(&node, "accepted");
            if purge {
                node.run(["dpkg", "-P", NAME]).ok();
                assert!(!node.exists(STATE));
            }
            let commands: Vec<&str> =
                out.stderr.lines().filter_map(|l| l.split_once(" instead: ")).map(|(_, c)| c).collect();
            assert!(commands.len() >= 17, "{}", out.stderr);
            for command in commands {
                node.run(["sh", "-ec", command]).ok().quiet();
            }
            for (place, before) in places.iter().zip(&before) {
                let changes = before.changes(&node.tree_below(place));
                // A folder that no snapshot holds, such as /etc/frr, comes back empty of history.
                assert!(changes.is_empty(), "{place}, purged: {purge}: {changes:#?}\n{}", out.stderr);
            }
            node.sh("grep -rqx mine /var/backups/pve-network-rs").ok();
            assert!(!node.exists("/pwned"));
        }
    }
}

#[test]
fn what_stands_to_go_back_is_never_forgotten() {
    if !need_root() {
        return;
    }
    // The snapshot with the admin's file is neither the first nor accepted, nor among the newest.
    let node = node_of(Suite::Bookworm);
    node.run(["rust-write", MAIN, TRIAL]).ok();
    node.write(ADMIN, "# by the admin, later\n");
    node.run(["rust-write", ADMIN, "# by Rust\n"]).ok();
    node.write("/root/trial", TRIAL);
    let thirty = format!("for i in $(seq 30); do rust-write {MAIN} \"$(cat /root/trial)\n# $i\n\" >/dev/null; done");
    node.sh(&thirty).ok();
    assert!(snapshots(&node).len() < 26, "the others are pruned");
    remove(&node, "accepted");
    assert_eq!(node.text(MAIN), INTERFACES);
    assert_eq!(node.text(ADMIN), "# by the admin, later\n");

    // The open transaction's own.
    let node = node_of(Suite::Bookworm);
    for round in 0..8 {
        node.write(ADMIN, format!("# round {round}\n"));
        dpkg(&node, &["-i"], if round % 2 == 0 { &V2 } else { &V1 }).ok();
    }
    node.run(["rust-write", FOLDER.to_owned().as_str(), "--delete"]).fails();
    node.run(["rust-write", &format!("{FOLDER}/x"), "# on trial, so that no later snapshot is accepted\n"]).ok();
    dpkg(&node, &["--path-exclude=/usr/bin/migration-ctl", "--unpack"], &V2).ok();
    node.write("/root/trial", TRIAL);
    node.sh(&thirty).ok();
    node.call(["dpkg", "--configure", NAME]).env("RESTORE", "last").run().code(1);
    assert_eq!(node.text(MAIN), INTERFACES);
}

#[test]
fn with_pmxcfs_down_any_bridge_may_be_a_guests() {
    if !need_root() {
        return;
    }
    let with_bridge = format!("{TRIAL}\nauto vmbr7\niface vmbr7 inet manual\n\tbridge-ports none\n");
    for (text, lost) in [(with_bridge.as_str(), true), (TRIAL, false)] {
        for words in [["dpkg", "-r", NAME], ["dpkg", "-P", NAME]] {
            let node = node_of(Suite::Bookworm);
            node.run(["rust-write", MAIN, text]).ok();
            // As pve-cluster leaves the mount point when pmxcfs is not running.
            node.write_program("/usr/bin/pmxcfs", "#!/bin/sh\nexit 1\n");
            node.sh("rm -r /etc/pve; mkdir /etc/pve").ok();
            let out = node.run(words).ok();
            assert_eq!(node.text(MAIN), if lost { text } else { INTERFACES }, "{}", out.stderr);
            if lost {
                out.says("nothing is restored: ").says("vmbr7").says("/etc/pve is not mounted");
            }
            assert!(node.ls("/etc/pve").is_empty(), "nothing is written into the mount point");
        }
    }
    // A guest that can't be read may name any bridge as well.
    let node = node_of(Suite::Bookworm);
    node.run(["rust-write", MAIN, &with_bridge]).ok();
    node.sh("mkdir -p /etc/pve/lxc; ln -s /nowhere /etc/pve/lxc/100.conf").ok();
    node.run(["dpkg", "-r", NAME]).ok().says("vmbr7").says("for all that is known");
    assert_eq!(node.text(MAIN), with_bridge);
}

#[test]
fn what_purge_cannot_remove_bars_nothing_else() {
    if !need_root() {
        return;
    }
    let node = node_of(Suite::Bookworm);
    node.write("/var/log/pve-network/migration.log", "{}\n");
    node.sh("mount --bind /etc/pve /etc/pve && mount -o remount,bind,ro /etc/pve").ok();
    node.run(["dpkg", "-P", NAME]).ok().says("/etc/pve/network/migration.toml");
    assert_eq!(node.state_of(NAME), "un");
    assert!(!node.exists(STATE) && !node.exists("/var/log/pve-network"));
}

#[test]
fn a_removal_whose_state_is_gone_says_what_is_and_keeps_everything() {
    if !need_root() {
        return;
    }
    for words in [&["dpkg", "-r", NAME][..], &["dpkg", "-P", NAME], &["apt-get", "-qy", "remove", NAME]] {
        let node = node_of(Suite::Bookworm);
        node.run(["rust-write", MAIN, TRIAL]).ok();
        node.remove(STATE);
        node.run(words).ok().never_says("could not").never_says("another process");
        assert_eq!(node.text(MAIN), TRIAL, "nobody can tell who wrote it");
        node.run(["dpkg", "-P", NAME]).ok();
        assert!(!node.exists(STATE));
    }
}
