//! `dpkg -i` on real Debian roots: captured before unpacking, verified, installed disabled.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use rig::ours::{self, NAME, STATE, UNITS, like_a_pve_node, manifest, sealing, snapshots};
use rig::{DebBuilder, Keyring, Machine, Node, Suite, need_root};

fn both(test: impl Fn(Suite)) {
    if need_root() {
        [Suite::Bookworm, Suite::Trixie].into_iter().for_each(test);
    }
}

fn one_verified_snapshot(node: &Node) -> String {
    let all = snapshots(node);
    assert_eq!(all.len(), 1, "exactly one snapshot: {all:?}");
    node.run(["migration-ctl", "snapshot", "verify"]).ok().says(&format!("{} ok", all[0]));
    all[0].clone()
}

fn phase(node: &Node) -> String {
    node.run(["migration-ctl", "phase", "get"]).ok().stdout.trim().to_owned()
}

#[test]
fn a_first_install_captures_everything_and_starts_nothing() {
    both(|suite| {
        let node = Node::of(suite).named("pve1").boot();
        like_a_pve_node(&node);
        let before = node.tree_below("/etc/network");
        node.install(&sealing().as_shipped().build()).ok();
        assert_eq!(node.state_of(NAME), "ii");
        let id = one_verified_snapshot(&node);
        let manifest = manifest(&node, &id);
        for (path, name) in [
            ("/etc/network/interfaces", "interfaces"),
            ("/etc/network/interfaces.d/admin", "interfaces.d/admin"),
            ("/etc/pve/storage.cfg", "storage.cfg"),
            ("/etc/pve/sdn/zones.cfg", "sdn/zones.cfg"),
            ("/etc/pve/sdn/vnets.cfg", "sdn/vnets.cfg"),
        ] {
            assert_eq!(node.read(&format!("{STATE}/backups/{id}/{name}")), node.read(path), "{path}");
        }
        assert_eq!(manifest["first"], true);
        assert_eq!(manifest["accepted"], true);
        assert_eq!(manifest["node"], "pve1");
        before.assert_same(&node.tree_below("/etc/network"));
        for unit in UNITS {
            node.systemctl(["is-enabled", unit]).says("disabled");
            node.systemctl(["is-active", unit]).says("inactive");
        }
        assert_eq!(phase(&node), "perl-only");
        assert!(node.text("/etc/pve/network/migration.toml").contains("phase = \"perl-only\""));
        assert_eq!(node.text(&format!("{STATE}/ceiling")).trim(), "perl-only");
        node.sh(&format!("test $(stat -c %a {STATE}/backups) = 700; test $(stat -c %a {STATE}/backups/{id}) = 700"))
            .ok();
    });
}

#[test]
fn the_snapshot_is_taken_before_anything_is_unpacked() {
    both(|suite| {
        // Our own preinst, run by a preinst that fails right after it.
        let real = sealing().build();
        let deb = real.altered(|tree| {
            let hooks = tree.join("usr/lib/real");
            std::fs::create_dir_all(&hooks)?;
            Ok(())
        });
        let node = Node::of(suite);
        like_a_pve_node(&node);
        let raw = tempfile::tempdir().unwrap();
        let extract =
            std::process::Command::new("dpkg-deb").arg("--control").arg(real.path()).arg(raw.path().join("c")).status();
        assert!(extract.unwrap().success());
        for entry in std::fs::read_dir(raw.path().join("c")).unwrap().flatten() {
            node.write_program(
                &format!("/opt/c/{}", entry.file_name().to_string_lossy()),
                std::fs::read(entry.path()).unwrap(),
            );
        }
        let deb = deb.altered(|tree| {
            let preinst = tree.join("DEBIAN/preinst");
            std::fs::write(preinst, "#!/bin/sh\n/opt/c/preinst \"$@\" || exit 7\nexit 1\n")
        });
        node.install(&deb).fails();
        assert!(!node.exists("/usr/bin/migration-ctl"), "nothing was unpacked");
        let all = snapshots(&node);
        assert_eq!(all.len(), 1);
        let kept = node.read(&format!("{STATE}/backups/{}/interfaces", all[0]));
        assert_eq!(kept, node.read("/etc/network/interfaces"));
        assert!(!node.exists(&format!("{STATE}/transaction.json")), "the abort closed the transaction");
    });
}

#[test]
fn again_up_down_and_reconfigured_units_stay_as_the_admin_set_them() {
    both(|suite| {
        let node = Node::of(suite).boot();
        like_a_pve_node(&node);
        let (v1, v2) = (sealing().build(), sealing().version("0.2.0-1").build());
        let mut expected = 0;
        let mut settled = |what: &str, enabled: &str| {
            expected += 1;
            assert_eq!(node.state_of(NAME), "ii", "{what}");
            assert_eq!(snapshots(&node).len(), expected, "one snapshot for each: {what}");
            assert!(!node.exists(&format!("{STATE}/transaction.json")), "{what}");
            node.systemctl(["is-enabled", UNITS[1]]).says(enabled);
            node.systemctl(["is-enabled", UNITS[0]]).says("disabled");
            node.systemctl(["is-active", UNITS[1]]).says("inactive");
        };
        node.install(&v1).ok();
        settled("install", "disabled");
        node.install(&v1).ok();
        settled("the same again", "disabled");
        node.install(&v2).ok();
        settled("upgrade", "disabled");
        node.systemctl(["enable", UNITS[1]]).ok();
        node.install(&v1).ok();
        settled("downgrade keeps what the admin enabled", "enabled");
        node.run(["dpkg-reconfigure", NAME]).ok();
        settled("dpkg-reconfigure", "enabled");
        node.run(["dpkg", "-r", NAME]).ok();
        assert_eq!(snapshots(&node).len(), 6, "the removal takes one to be undone by");
        expected = 6;
        let mut settled = |what: &str, enabled: &str| {
            expected += 1;
            assert_eq!(snapshots(&node).len(), expected, "{what}");
            node.systemctl(["is-enabled", UNITS[1]]).says(enabled);
            node.systemctl(["is-active", UNITS[1]]).says("inactive");
        };
        node.install(&v1).ok();
        settled("removed and installed again", "enabled");
        node.systemctl(["disable", UNITS[1]]).ok();
        node.systemctl(["mask", UNITS[0]]).ok();
        node.install(&v2).ok();
        settled("a mask stays", "disabled");
        node.systemctl(["is-enabled", UNITS[0]]).says("masked");
    });
}

#[test]
fn a_running_unit_is_restarted_and_stopped_unless_policy_rc_d_forbids_it() {
    if !need_root() {
        return;
    }
    let node = Node::bookworm().boot();
    node.install(&sealing().build()).ok();
    node.systemctl(["start", UNITS[1]]).ok();
    let pid = || node.systemctl(["show", "-P", "MainPID", UNITS[1]]).ok().stdout;
    let first = pid();
    node.write_program("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n");
    node.install(&sealing().version("0.2.0-1").build()).ok().says("policy-rc.d forbids to restart");
    assert_eq!(pid(), first, "not restarted");
    node.remove("/usr/sbin/policy-rc.d");
    node.install(&sealing().version("0.3.0-1").build()).ok();
    assert_ne!(pid(), first, "restarted");
    node.systemctl(["is-active", UNITS[1]]).says("active");
    node.write_program("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n");
    node.run(["dpkg", "-r", NAME]).ok().says("policy-rc.d forbids to stop");
    assert_eq!(node.systemctl(["is-active", UNITS[1]]).stdout.trim(), "active", "not stopped");
    node.remove("/usr/sbin/policy-rc.d");
    node.install(&sealing().version("0.3.0-1").build()).ok();
    node.run(["dpkg", "-r", NAME]).ok();
    node.systemctl(["is-active", UNITS[1]]).says("inactive");
}

#[test]
fn the_daemon_refuses_in_perl_only_and_says_why() {
    if !need_root() {
        return;
    }
    let node = Node::bookworm().named("pve1").boot();
    node.install(&sealing().build()).ok();
    node.systemctl(["start", UNITS[0]]);
    node.systemctl(["is-active", UNITS[0]]).says("inactive");
    node.run(["journalctl", "-u", UNITS[0]]).ok().says("daemon needs phase rust-read-only");
    node.run(["migration-ctl", "phase", "set", "rust-basic-write"]).code(3);
    node.run(["migration-ctl", "phase", "set", "rust-read-only"]).ok();
    node.systemctl(["start", UNITS[0]]).ok();
    node.systemctl(["is-active", UNITS[0]]).says("active");
    let ask = "python3 -c 1 2>/dev/null; exec perl -MIO::Socket::UNIX -e 'my $s = IO::Socket::UNIX->new(Peer => \"/run/pve-network-rs/api.sock\") \
        or die; print $s \"GET /health HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n\"; print while <$s>'";
    node.run(["sh", "-c", ask]).ok().says("\"phase\":\"rust-read-only\"").says("pve1");
    node.run(["migration-ctl", "phase", "set", "perl-only"]).ok();
}

#[test]
fn ordinary_machines_path_exclude_diversion_statoverride() {
    if !need_root() {
        return;
    }
    let node = Node::bookworm();
    node.write("/etc/dpkg/dpkg.cfg.d/docs", "path-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\n");
    node.sh("dpkg-divert --package other --rename --divert /usr/bin/migration-ctl.real --add /usr/bin/migration-ctl")
        .ok();
    node.sh("dpkg-statoverride --add root daemon 0750 /usr/bin/pve-network-migration").ok();
    node.install(&sealing().build()).ok();
    assert_eq!(node.state_of(NAME), "ii");
    assert!(node.exists("/usr/bin/migration-ctl.real"));
    assert!(!node.exists("/usr/share/doc/pve-network-rs"));
    node.sh("dpkg-divert --package other --rename --remove /usr/bin/migration-ctl").ok();
    node.run(["dpkg-reconfigure", NAME]).ok();
}

#[test]
fn a_golden_image_without_machine_id_boots_with_the_units_disabled() {
    both(|suite| {
        let node = Node::of(suite);
        node.install(&sealing().build()).ok();
        let node = node.boot_first_time();
        for unit in UNITS {
            node.systemctl(["is-enabled", unit]).says("disabled");
            node.systemctl(["is-active", unit]).says("inactive");
        }
    });
}

#[test]
fn apt_removes_nothing_to_install_it() {
    both(|suite| {
        let node = Node::of(suite);
        node.install(&DebBuilder::new("ifupdown", "0.8.41").file("/sbin/ifup", "").build()).ok();
        let deb = sealing().build();
        node.put_file(deb.path(), "/root/x.deb");
        let out = node.run(["apt-get", "-s", "install", "/root/x.deb"]).ok();
        assert!(!out.stdout.contains("Remv"), "{}", out.stdout);
        assert!(out.stdout.contains("Inst pve-network-rs"), "{}", out.stdout);
        let node = node.boot();
        node.run(["apt-get", "-y", "install", "/root/x.deb"]).ok();
        assert_eq!(node.state_of(NAME), "ii");
        node.run(["apt-get", "-y", "remove", NAME]).ok();
        assert_eq!(node.state_of(NAME), "rc");
        node.run(["apt-get", "-y", "purge", NAME]).ok();
        assert_eq!(node.state_of(NAME), "un");
    });
}

#[test]
fn scripts_run_by_anybody_but_dpkg_do_nothing() {
    if !need_root() {
        return;
    }
    let node = Node::bookworm();
    node.install(&sealing().build()).ok();
    let before = node.tree();
    node.run([format!("/var/lib/dpkg/info/{NAME}.prerm"), "remove".into()]).code(1).says("run by dpkg only");
    node.sh(&format!(
        "DPKG_MAINTSCRIPT_NAME=postrm DPKG_MAINTSCRIPT_PACKAGE={NAME} /var/lib/dpkg/info/{NAME}.prerm purge; exit 0"
    ))
    .says("it does nothing");
    before.assert_same(&node.tree());
}

#[test]
fn a_phase_file_of_another_node_or_of_the_admin_is_left_alone() {
    if !need_root() {
        return;
    }
    let node = Node::bookworm().named("pve1");
    let text = "# ours\nphase = \"rust-full\"\n[nodes.pve2]\nphase = \"rust-sdn\" # keep\n";
    node.write("/etc/pve/network/migration.toml", text);
    node.install(&sealing().build()).ok();
    assert_eq!(node.text("/etc/pve/network/migration.toml"), text);
    assert_eq!(phase(&node), "perl-only", "a reinstall into a cluster at rust-full starts at perl-only");
    node.run(["dpkg", "-P", NAME]).ok();
    let after = node.text("/etc/pve/network/migration.toml");
    assert!(after.contains("phase = \"rust-sdn\" # keep") && after.starts_with("# ours"), "{after}");
    let _ = ours::NAME;
}

#[test]
fn an_environment_that_asks_for_backtraces_ends_no_script() {
    let key = Keyring::new("backtrace <b@example.org>");
    both(|suite| {
        let node = Node::of(suite);
        let deb = sealing().signed(&key).build();
        node.put_file(deb.path(), "/root/x.deb");
        for words in [&["-i", "/root/x.deb"][..], &["-i", "/root/x.deb"], &["-r", NAME], &["-P", NAME]] {
            let words = ["dpkg"].iter().chain(words);
            node.call(words).env("RUST_BACKTRACE", "1").env("RUST_LIB_BACKTRACE", "full").run().ok();
        }
        assert_eq!(node.state_of(NAME), "un");
    });
}
