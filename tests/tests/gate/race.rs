//! dpkg opens a file by its name after the gate has: what is put there in between.

use rig::{DebBuilder, Machine, Suite, need_root};

use crate::desk::{DESK, guarded};

/// The narrowest moment there is: dpkg runs its hooks in the order of their files' names, so that this one
/// comes right behind the gate, and dpkg opens the file right behind it.
const SWAP: &str = "/etc/dpkg/dpkg.cfg.d/zz-swap";

#[test]
fn a_file_swapped_behind_the_gate_is_caught_by_the_old_prerm() {
    if !need_root() {
        return;
    }
    for suite in Suite::ALL {
        let node = guarded(suite);
        node.write("/root/v1.deb", &DESK.v1);
        node.run(["dpkg", "-i", "/root/v1.deb"]).ok();
        for (what, bad) in [("unsigned", &DESK.unsigned), ("by another", &DESK.by_other), ("not sealed", &DESK.plain)] {
            node.write("/root/good.deb", &DESK.v2);
            node.write("/root/bad.deb", bad);
            node.sh("cp /root/good.deb /root/x.deb").ok();
            node.write(SWAP, "pre-invoke=cp /root/bad.deb /root/x.deb\n");
            let out = node.run(["dpkg", "-i", "/root/x.deb"]).fails().says("version 2.0 is refused");
            out.never_says("debseal: "); // the gate had seen the good one
            node.remove(SWAP);
            assert_eq!(node.state_of("demo"), "ii", "{what}");
            node.run(["demo"]).ok().says("1.0");
            node.run(["dpkg", "--audit"]).ok().never_says("demo");
        }
        // The same file, not swapped, is good.
        node.run(["dpkg", "-i", "/root/good.deb"]).ok();
        node.run(["demo"]).ok().says("2.0");
    }
}

/// Two that alternate under one name while dpkg is called again and again: whatever the gate happens to
/// see, the bad one is never what is installed.
#[test]
fn a_file_that_changes_all_the_time_never_gets_in() {
    if !need_root() {
        return;
    }
    let node = guarded(Suite::Bookworm);
    node.write("/root/v1.deb", &DESK.v1);
    node.write("/root/good.deb", &DESK.v2);
    node.write("/root/bad.deb", &DESK.by_other);
    node.run(["dpkg", "-i", "/root/v1.deb"]).ok();
    let out = node.sh("
        cd /root; ln -s good.deb x.deb
        (while [ ! -e stop ]; do ln -s bad.deb n; mv -T n x.deb; ln -s good.deb n; mv -T n x.deb; done) & swapper=$!
        good=0 gate=0 prerm=0 other=0
        for n in $(seq 30); do
            if dpkg -i x.deb >said 2>&1; then good=$((good + 1)); dpkg -i --force-downgrade v1.deb >/dev/null 2>&1 || true
            elif grep -q '^debseal: ' said; then gate=$((gate + 1))
            elif grep -q 'is refused' said; then prerm=$((prerm + 1))
            else other=$((other + 1)); cat said; fi
            debsums=$(dpkg-query -W -f '${db:Status-Abbrev}' demo); [ \"$debsums\" = 'ii ' ]
            debseal verify --installed demo >/dev/null
        done
        touch stop; wait $swapper
        echo \"good=$good gate=$gate prerm=$prerm other=$other\"");
    let out = out.ok().says("other=0");
    eprintln!("{}", out.stdout.trim());
    assert!(!out.stdout.contains("gate=0 prerm=0"), "the swapper never came in between: {}", out.stdout);
}

/// What nothing can catch, and docs/gate.md says: on a first install there is no old prerm, and a package
/// without hooks of ours judges nothing itself. `debseal install` copies the file first.
#[test]
fn on_a_first_install_only_a_copy_is_safe() {
    if !need_root() {
        return;
    }
    let node = guarded(Suite::Trixie);
    node.write("/root/bad.deb", &DESK.plain);
    node.write("/root/x.deb", &DESK.v2);
    node.write(SWAP, "pre-invoke=cp /root/bad.deb /root/x.deb\n");
    node.run(["debseal", "install", "/root/x.deb"]).ok();
    node.run(["debseal", "verify", "--installed", "demo"]).ok();
    node.run(["dpkg", "-P", "demo"]).ok();
    // A sealed one judges itself by the policy, in its own preinst.
    node.write("/root/bad.deb", &DESK.by_other);
    node.write("/root/x.deb", &DESK.v2);
    node.run(["dpkg", "-i", "/root/x.deb"]).fails().says("which is not trusted");
    assert_ne!(node.state_of("demo"), "ii");
    let anybodys = DebBuilder::new("demo", "2.0").file("/usr/bin/demo", "#!/bin/sh\necho of anybody\n").build();
    node.run(["dpkg", "--purge", "--force-all", "demo"]);
    node.put_file(anybodys.path(), "/root/bad.deb");
    node.write("/root/x.deb", &DESK.v2);
    node.run(["dpkg", "-i", "/root/x.deb"]).ok();
    node.run(["demo"]).ok().says("of anybody");
    node.run(["debseal", "verify", "--installed", "demo"]).code(6);
}
