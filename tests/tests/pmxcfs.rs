//! The stand-in for pmxcfs behaves as the real one was measured to (docs/pmxcfs.md): each row of
//! that table, by real system calls and real programs on a node.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::time::Duration;

use rig::{Fault, MAX_FILE_SIZE, Machine, Node, Pmxcfs, Suite, WWW_DATA, need_fuse};
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_OMIT, XattrFlags};
use rustix::io::Errno;

fn cluster() -> (Pmxcfs, Node) {
    let cluster = Pmxcfs::with(["a", "b", "c"]);
    let node = Node::bookworm().named("a").in_cluster(&cluster, "a");
    (cluster, node)
}

/// What a system call in the node says.
fn says<T: Send + 'static>(node: &Node, call: impl FnOnce() -> rustix::io::Result<T> + Send + 'static) -> Errno {
    match node.inside(|_| call()) {
        Ok(_) => panic!("it should have failed"),
        Err(error) => error,
    }
}

fn fails<T: Send + 'static>(node: &Node, call: impl FnOnce() -> io::Result<T> + Send + 'static) -> Errno {
    says(node, || call().map_err(|e| Errno::from_raw_os_error(e.raw_os_error().unwrap())))
}

/// Mode, owner and group as stat(1) prints them.
fn stat(node: &Node, path: &str) -> String {
    node.run(["stat", "-c", "%a %u:%g", path]).ok().stdout.trim().to_owned()
}

#[test]
fn modes_and_owner_are_its_own() {
    if !need_fuse() {
        return;
    }
    for suite in Suite::ALL {
        let cluster = Pmxcfs::with(["a"]);
        let node = Node::of(suite).named("a").in_cluster(&cluster, "a");
        node.sh("umask 0; cd /etc/pve; echo x >f; mkdir d; echo x >priv/f; mkdir priv/d; echo x >nodes/a/priv/f").ok();
        node.inside(|_| {
            fs::OpenOptions::new().write(true).create_new(true).mode(0o777).open("/etc/pve/wide").map(drop)
        })
        .unwrap();
        for (path, shown) in [
            ("f", "640"),
            ("wide", "640"),
            ("d", "755"),
            (".", "755"),
            ("priv", "700"),
            ("priv/f", "600"),
            ("priv/d", "700"),
            ("nodes/a/priv/f", "600"),
        ] {
            assert_eq!(stat(&node, &format!("/etc/pve/{path}")), format!("{shown} 0:{WWW_DATA}"), "{path}");
        }
    }
}

#[test]
fn every_node_has_its_links_and_lists() {
    if !need_fuse() {
        return;
    }
    let (cluster, a) = cluster();
    let b = Node::bookworm().named("b").in_cluster(&cluster, "b");
    for (node, name) in [(&a, "a"), (&b, "b")] {
        assert_eq!(node.run(["readlink", "/etc/pve/local"]).ok().stdout.trim(), format!("nodes/{name}"));
        node.sh("echo x >/etc/pve/lxc/100.conf");
        assert_eq!(cluster.text(&format!("nodes/{name}/lxc/100.conf")), "x\n");
        node.sh("rm /etc/pve/local").fails().says("Permission denied");
        let members: serde_json::Value = serde_json::from_str(&node.text("/etc/pve/.members")).unwrap();
        assert_eq!(members["nodename"], name);
        assert_eq!(members["cluster"]["quorate"], 1);
    }
    assert!(a.ls("/etc/pve").contains(&"local".to_owned()));
    let version = || a.text("/etc/pve/.version");
    let before = version();
    assert_eq!(before, version());
    b.sh("echo y >/etc/pve/datacenter.cfg");
    assert_ne!(before, version(), "watched by polling");
    let before = version();
    b.sh("mkdir /etc/pve/network; echo y >/etc/pve/network/migration.toml").ok();
    assert_eq!(before, version(), "only files that Proxmox knows");
}

#[test]
fn chmod_and_chown_only_to_what_it_is() {
    if !need_fuse() {
        return;
    }
    let (cluster, node) = cluster();
    node.sh("cd /etc/pve; echo x >f; echo x >priv/f; mkdir d");
    node.sh("cd /etc/pve; chmod 640 f; chmod 600 priv/f; chown root:www-data f; chgrp www-data f; chown root f").ok();
    for refused in [
        "chmod 644 f",
        "chmod 600 f",
        "chmod 640 priv/f",
        "chmod 755 d",
        "mkdir -m 711 e",
        "chown www-data f",
        "chgrp root f",
    ] {
        node.sh(&format!("cd /etc/pve; {refused}")).fails().says("Operation not permitted");
    }
    assert!(cluster.on("a").log().contains(&"chmod f 0644".to_owned()));
}

#[test]
fn times_are_whole_seconds_and_only_set_together() {
    if !need_fuse() {
        return;
    }
    let (_cluster, node) = cluster();
    node.sh("echo x >/etc/pve/f");
    let mtime = |node: &Node| node.inside(|_| fs::metadata("/etc/pve/f").map(|m| (m.mtime(), m.mtime_nsec()))).unwrap();
    let set = |node: &Node, atime: Timespec| {
        let last_modification = Timespec { tv_sec: 1_000_000, tv_nsec: 5 };
        let times = Timestamps { last_access: atime, last_modification };
        node.inside(move |_| rustix::fs::utimensat(CWD, "/etc/pve/f", &times, AtFlags::empty())).unwrap();
    };
    let before = mtime(&node);
    set(&node, Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT });
    assert_eq!(mtime(&node), before, "one alone: it says yes and does nothing");
    set(&node, Timespec { tv_sec: 1, tv_nsec: 0 });
    assert_eq!(mtime(&node), (1_000_000, 0));
    node.sh("cd /etc/pve; echo y >g; touch -d @5 g; mv g f");
    assert!(mtime(&node).0 > 1_000_000, "a rename sets it to now");
}

#[test]
fn what_it_does_not_know_is_refused() {
    if !need_fuse() {
        return;
    }
    let (_cluster, node) = cluster();
    node.sh("cd /etc/pve; echo x >f; echo y >g");
    assert_eq!(fails(&node, || symlink("f", "/etc/pve/l")), Errno::NOSYS);
    let hard = fails(&node, || fs::hard_link("/etc/pve/f", "/etc/pve/l"));
    assert!([Errno::NOSYS, Errno::PERM].contains(&hard), "{hard:?}");
    node.sh("mkfifo /etc/pve/p").fails();
    assert_eq!(
        says(&node, || rustix::fs::setxattr("/etc/pve/f", "user.x", b"1", XattrFlags::empty())),
        Errno::OPNOTSUPP
    );
    let tmpfile = || rustix::fs::open("/etc/pve", OFlags::TMPFILE | OFlags::RDWR, Mode::from_raw_mode(0o600));
    assert_eq!(says(&node, tmpfile), Errno::OPNOTSUPP);
    for flags in [RenameFlags::NOREPLACE, RenameFlags::EXCHANGE] {
        let rename = move || rustix::fs::renameat_with(CWD, "/etc/pve/f", CWD, "/etc/pve/g", flags);
        assert!([Errno::INVAL, Errno::EXIST].contains(&says(&node, rename)));
    }
    assert_eq!(node.text("/etc/pve/g"), "y\n");
}

#[test]
fn fsync_ftruncate_exclusive_creation_and_rename_work() {
    if !need_fuse() {
        return;
    }
    let (_cluster, node) = cluster();
    node.inside(|_| {
        let new = || fs::OpenOptions::new().write(true).create_new(true).open("/etc/pve/f");
        let mut file = new()?;
        file.write_all(b"12345")?;
        file.set_len(3)?;
        file.sync_all()?;
        fs::File::open("/etc/pve")?.sync_all()?;
        assert_eq!(new().unwrap_err().kind(), ErrorKind::AlreadyExists);
        fs::write("/etc/pve/g", "old")?;
        fs::rename("/etc/pve/f", "/etc/pve/g")
    })
    .unwrap();
    assert_eq!(node.text("/etc/pve/g"), "123");
    assert!(!node.exists("/etc/pve/f"));
    node.sh("cd /etc/pve; mkdir d; echo x >d/f");
    node.sh("mv /etc/pve/d /etc/pve/e").fails().says("Directory not empty");
}

#[test]
fn more_than_a_mebibyte_leaves_a_part() {
    if !need_fuse() {
        return;
    }
    let (cluster, node) = cluster();
    let whole = node.inside(|_| fs::write("/etc/pve/most", vec![b'x'; MAX_FILE_SIZE]));
    whole.unwrap();
    assert_eq!(fails(&node, || fs::write("/etc/pve/f", vec![b'x'; MAX_FILE_SIZE + 1])), Errno::FBIG);
    let part = cluster.content("f").unwrap().len();
    assert!(part > 0 && part <= MAX_FILE_SIZE, "{part}");
    assert_eq!(fails(&node, || fs::File::create("/etc/pve/g")?.set_len(MAX_FILE_SIZE as u64 + 1)), Errno::FBIG);
}

#[test]
fn without_quorum_it_is_read_only_and_access_lies() {
    if !need_fuse() {
        return;
    }
    let (cluster, node) = cluster();
    node.sh("echo x >/etc/pve/f");
    cluster.on("a").loses_quorum();
    assert_eq!(node.text("/etc/pve/f"), "x\n");
    assert_eq!(fails(&node, || fs::write("/etc/pve/f", "y")), Errno::ACCESS);
    for refused in ["echo x >g", "mkdir d", "rm f", "mv f g", "touch f", "rmdir sdn"] {
        node.sh(&format!("cd /etc/pve; {refused}")).fails().says("Permission denied");
    }
    node.inside(|_| rustix::fs::access("/etc/pve/f", Access::WRITE_OK)).unwrap();
    let link =
        |node: &Node| node.inside(|_| fs::symlink_metadata("/etc/pve/local")).unwrap().permissions().mode() & 0o777;
    assert_eq!(link(&node), 0o555);
    assert_eq!(stat(&node, "/etc/pve/f"), "440 0:33");
    cluster.on("b").writes("f", "by b\n");
    assert_eq!(node.text("/etc/pve/f"), "x\n", "it hears nothing of the others");
    cluster.on("a").has_quorum_again();
    assert_eq!(link(&node), 0o755);
    assert_eq!(node.text("/etc/pve/f"), "by b\n");
    node.sh("echo z >/etc/pve/f").ok();
}

#[test]
fn while_quorum_goes_it_says_eperm_then_eacces_and_the_link_lags() {
    if !need_fuse() {
        return;
    }
    let (cluster, node) = cluster();
    let looks = |node: &Node| node.inside(|_| host::Cluster::new(&host::Root::system(), "a").state());
    cluster.on("a").loses_quorum_slowly(1, Duration::from_millis(300));
    assert_eq!(looks(&node), host::cluster::State::Quorate, "it lags");
    assert_eq!(fails(&node, || fs::create_dir("/etc/pve/d")), Errno::PERM);
    assert_eq!(fails(&node, || fs::create_dir("/etc/pve/d")), Errno::ACCESS);
    std::thread::sleep(Duration::from_millis(350));
    assert_eq!(looks(&node), host::cluster::State::NoQuorum);
}

#[test]
fn busy_short_and_failing_calls_come_when_they_are_planned() {
    if !need_fuse() {
        return;
    }
    let (cluster, node) = cluster();
    let a = cluster.on("a");
    a.is_busy_for(2);
    for _ in 0..2 {
        assert_eq!(fails(&node, || fs::create_dir("/etc/pve/d")), Errno::BUSY);
    }
    node.mkdir("/etc/pve/d");
    a.at_call(2, Fault::Fails(Errno::IO));
    node.mkdir("/etc/pve/e");
    assert_eq!(fails(&node, || fs::create_dir("/etc/pve/f")), Errno::IO);
    a.at_call(1, Fault::DoneButBusy);
    assert_eq!(fails(&node, || fs::create_dir("/etc/pve/g")), Errno::BUSY);
    assert!(node.exists("/etc/pve/g"));
    a.at_call(2, Fault::Short(3));
    let wrote = node.inside(|_| fs::File::create("/etc/pve/short")?.write(b"12345"));
    assert_eq!(wrote.unwrap(), 3);
    assert_eq!(cluster.text("short"), "123");
    a.before_call(1, |cluster| cluster.on("b").writes("taken", "by b"));
    assert_eq!(
        fails(&node, || fs::OpenOptions::new().write(true).create_new(true).open("/etc/pve/taken")),
        Errno::EXIST
    );
}

#[test]
fn a_dead_daemon_is_enotconn_until_it_starts_again() {
    if !need_fuse() {
        return;
    }
    let (cluster, node) = cluster();
    node.sh("echo x >/etc/pve/f");
    cluster.on("a").dies();
    assert_eq!(fails(&node, || fs::read("/etc/pve/f")), Errno::NOTCONN);
    assert_eq!(fails(&node, || fs::symlink_metadata("/etc/pve/local")), Errno::NOTCONN);
    node.sh("echo x >/etc/pve/f").fails().says("Transport endpoint is not connected");
    cluster.on("a").starts().unwrap();
    assert_eq!(node.text("/etc/pve/f"), "x\n");
    // One that is killed in the middle of a call.
    cluster.on("a").before_call(1, |cluster| cluster.on("a").dies());
    assert_eq!(fails(&node, || fs::create_dir("/etc/pve/d")), Errno::CONNABORTED);
    assert_eq!(fails(&node, || fs::create_dir("/etc/pve/d")), Errno::NOTCONN);
}

#[test]
fn unmounted_it_is_a_plain_folder_that_must_stay_empty() {
    if !need_fuse() {
        return;
    }
    let (cluster, node) = cluster();
    cluster.on("a").unmounts();
    assert!(node.ls("/etc/pve").is_empty());
    assert!(node.exists("/usr/bin/pmxcfs"));
    node.sh("echo x >/etc/pve/f");
    assert_eq!(cluster.on("a").beneath(), ["f"]);
    let refused = cluster.on("a").starts().unwrap_err().to_string();
    assert!(refused.contains("not empty"), "{refused}");
    node.remove("/etc/pve/f");
    cluster.on("a").starts().unwrap();
    assert!(node.exists("/etc/pve/local"));
}

#[test]
fn other_nodes_writes_are_seen_at_once_and_not_told() {
    if !need_fuse() {
        return;
    }
    let (cluster, a) = cluster();
    let b = Node::trixie().named("b").in_cluster(&cluster, "b");
    a.sh("echo 1 >/etc/pve/f");
    let seen = a.inside({
        let cluster = cluster.clone();
        move |_| {
            let watch = rustix::fs::inotify::init(rustix::fs::inotify::CreateFlags::NONBLOCK)?;
            let flags = rustix::fs::inotify::WatchFlags::ALL_EVENTS - rustix::fs::inotify::WatchFlags::ACCESS;
            rustix::fs::inotify::add_watch(&watch, "/etc/pve", flags)?;
            let open = fs::File::open("/etc/pve/f").unwrap();
            let mut events = [0; 4096];
            // Our own opening is told.
            rustix::io::read(&watch, &mut events)?;
            cluster.on("b").writes("f", "2, and longer\n");
            let fresh = io::read_to_string(&open).unwrap();
            Ok::<_, Errno>((fresh, rustix::io::read(&watch, &mut events)))
        }
    });
    let (fresh, told) = seen.unwrap();
    assert_eq!(fresh, "2, and longer\n", "also through a file that is open already");
    assert_eq!(told, Err(Errno::AGAIN), "inotify says nothing of it");
    for n in 0..20 {
        b.sh(&format!("echo {n} >/etc/pve/.new; mv /etc/pve/.new /etc/pve/f"));
        assert_eq!(a.text("/etc/pve/f"), format!("{n}\n"));
    }
}

#[test]
fn flock_is_per_node_and_mkdir_excludes_all() {
    if !need_fuse() {
        return;
    }
    let (cluster, a) = cluster();
    let b = Node::bookworm().named("b").in_cluster(&cluster, "b");
    a.sh("echo x >/etc/pve/f");
    let hold = || {
        let file = fs::File::open("/etc/pve/f")?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
        Ok::<_, io::Error>(file)
    };
    let held = a.inside(move |_| hold()).unwrap();
    b.inside(move |_| hold()).unwrap();
    assert_eq!(fails(&a, hold), Errno::AGAIN);
    a.inside(move |_| drop(held));

    a.sh("mkdir /etc/pve/priv/lock/x").ok();
    b.sh("mkdir /etc/pve/priv/lock/x").fails().says("File exists");
    b.sh("mv /etc/pve/priv/lock/x /etc/pve/y").fails().says("Permission denied");
    b.sh("touch -d @0 /etc/pve/priv/lock/x").fails().says("Permission denied");
    cluster.set_lock_timeout(Duration::ZERO);
    b.sh("touch -m -d @0 /etc/pve/priv/lock/x").ok();
    assert!(b.exists("/etc/pve/priv/lock/x"), "one time alone asks for nothing");
    b.sh("touch -d @0 /etc/pve/priv/lock/x || mkdir /etc/pve/priv/lock/x").ok();
    assert_eq!(cluster.ls("priv/lock"), ["x"]);
}

#[test]
fn plain_copies_that_set_a_mode_leave_an_empty_file() {
    if !need_fuse() {
        return;
    }
    let (cluster, node) = cluster();
    node.write("/root/storage.cfg", "dir: local\n");
    node.chmod("/root/storage.cfg", 0o644);
    let before = || cluster.on("a").writes("storage.cfg", "dir: before\n");
    before();
    assert_eq!(fails(&node, || fs::copy("/root/storage.cfg", "/etc/pve/storage.cfg")), Errno::PERM);
    assert_eq!(cluster.text("storage.cfg"), "", "fs::copy sets the mode first");
    for copy in ["cp -p", "cp -a", "install -m 644"] {
        before();
        node.sh(&format!("{copy} /root/storage.cfg /etc/pve/storage.cfg")).fails().says("Operation not permitted");
        assert_ne!(cluster.text("storage.cfg"), "dir: before\n", "{copy} has touched it all the same");
    }
    before();
    node.sh("rsync -a /root/storage.cfg /etc/pve/storage.cfg").fails();
    node.sh("tar -C /root -cf /root/t.tar storage.cfg; tar -C /etc/pve -xf /root/t.tar").fails();
    // The way that docs/pmxcfs.md shows works.
    node.sh("cd /etc/pve; cp /root/storage.cfg .storage.cfg.back && mv .storage.cfg.back storage.cfg").ok();
    assert_eq!(cluster.text("storage.cfg"), "dir: local\n");
    node.sh("rsync -a /etc/pve/ /root/backup/").ok();
    assert_eq!(node.text("/root/backup/storage.cfg"), "dir: local\n");
}

#[test]
fn it_survives_a_boot_and_ends_with_its_node() {
    if !need_fuse() {
        return;
    }
    for suite in Suite::ALL {
        let cluster = Pmxcfs::with(["a", "b"]);
        let a = Node::of(suite).named("a").in_cluster(&cluster, "a").boot();
        let b = Node::of(suite).named("b").boot().in_cluster(&cluster, "b");
        a.sh("echo x >/etc/pve/f").ok();
        assert_eq!(b.text("/etc/pve/f"), "x\n");
        a.systemctl(["is-active", "etc-pve.mount"]).ok();
        assert_eq!(cluster.daemons(), 2);
        drop(a);
        assert_eq!(cluster.daemons(), 1);
        b.sh("echo y >/etc/pve/f").ok();
        // A program that has a file open does not keep it alive.
        b.sh("sleep 1000 </etc/pve/f >/dev/null 2>&1 &").ok();
        drop(b);
        assert_eq!(cluster.daemons(), 0);
        assert_eq!(cluster.text("f"), "y\n");
    }
}
