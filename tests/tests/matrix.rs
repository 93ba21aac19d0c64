//! `restore = accepted | last | never` in every call of dpkg that may restore something: one table,
//! each cell on a machine of its own. docs/going-back.md has the rules in words.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::sync::LazyLock;

use common::{ADMIN, Shared, TRIAL, V1, V2, bare, bytes, dpkg, node_of};
use rig::ours::{INTERFACES, NAME, STATE, sealing};
use rig::{Deb, DebBuilder, Machine, Node, Output, Suite, need_root};

const CHOICES: [&str; 3] = ["accepted", "last", "never"];
const MAIN: &str = "/etc/network/interfaces";
const NEW: &str = "/etc/network/interfaces.new";
const ZONES: &str = "/etc/pve/sdn/zones.cfg";
const EVIDENCE: &str = "/etc/pve/storage.cfg";

/// What stands in the five places, one word each.
fn look(node: &Node) -> [&'static str; 5] {
    let word = |path: &str| {
        if !node.exists(path) {
            return "gone";
        }
        match node.text(path).as_str() {
            INTERFACES => "first",
            TRIAL | "# trial\n" | "simple: trial\n" => "trial",
            "# by the admin\n" | "simple: lab\n" | "dir: local\n\tpath /var/lib/vz\n" => "first",
            "# later\n" | "dir: later\n" => "later",
            other => panic!("{path}: {other}"),
        }
    };
    [MAIN, ADMIN, NEW, ZONES, EVIDENCE].map(word)
}

/// Rust writes three files, the admin two.
const WORK: &str = "rust-write /etc/network/interfaces \"$(cat /root/trial)\n\" /etc/network/interfaces.new '# trial\n'
rust-write /etc/pve/sdn/zones.cfg 'simple: trial\n'
echo '# later' >/etc/network/interfaces.d/admin
echo 'dir: later' >/etc/pve/storage.cfg\n";

fn work(node: &Node) {
    node.write("/root/trial", TRIAL);
    node.sh(&WORK.replace("\\n", "\n")).ok();
    assert_eq!(look(node), ["trial", "later", "trial", "trial", "later"]);
}

/// How the choice is made known.
#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    Environment,
    File,
    Sealed,
}

/// A node on which the choice holds, and the command that will run with it.
fn chosen(how: How, choice: &str) -> Node {
    let node = bare(Suite::Bookworm);
    match how {
        How::Sealed => {
            let deb = sealing().hooks("restore = \"accepted\"", &format!("restore = \"{choice}\"")).build();
            node.install(&deb).ok();
        }
        How::Environment => {
            // It wins over the file.
            node.write("/etc/default/pve-network-rs", "RESTORE=everything\n");
            dpkg(&node, &["-i"], &V1).ok();
        }
        How::File => {
            // A link, as some tools of configuration make them; the last line holds.
            node.write("/srv/defaults", format!("# ours\nRESTORE=last\nRESTORE=\"{choice}\" # since May\n"));
            node.sh("ln -s /srv/defaults /etc/default/pve-network-rs").ok();
            dpkg(&node, &["-i"], &V1).ok();
        }
    }
    node
}

fn call(node: &Node, words: &[&str], how: How, choice: &str) -> Output {
    let call = node.call(words);
    if how == How::Environment { call.env("RESTORE", choice).run() } else { call.run() }
}

#[test]
fn removal_and_purge() {
    if !need_root() {
        return;
    }
    // The last backup has the trial: so `last` leaves that, and undoes the admin's later work.
    let want = |choice| match choice {
        "accepted" => ["first", "later", "gone", "trial", "later"],
        "last" => ["trial", "first", "trial", "trial", "later"],
        _ => ["trial", "later", "trial", "trial", "later"],
    };
    for choice in CHOICES {
        for how in [How::Environment, How::File, How::Sealed] {
            for (name, steps) in [
                ("remove", &[&["dpkg", "-r", NAME][..]][..]),
                ("purge", &[&["dpkg", "-P", NAME]]),
                ("apt-get purge", &[&["apt-get", "-qy", "purge", NAME]]),
                ("remove, purge", &[&["dpkg", "-r", NAME], &["dpkg", "-P", NAME]]),
            ] {
                let node = chosen(how, choice);
                work(&node);
                node.write(ADMIN, "# by the admin\n");
                let sealed = sealing().hooks("restore = \"accepted\"", &format!("restore = \"{choice}\""));
                dpkg(&node, &["-i"], &if how == How::Sealed { bytes(&sealed.build()) } else { V1.clone() }).ok();
                node.write(ADMIN, "# later\n");
                for words in steps {
                    let out = call(&node, words, how, choice).ok().never_says("could not");
                    assert_eq!(look(&node), want(choice), "{name}, {choice} by {how:?}\n{}", out.stderr);
                }
                assert_eq!(node.state_of(NAME), if name == "remove" { "rc" } else { "un" }, "{name}");
                assert_eq!(node.exists(STATE), name == "remove", "{name}");
            }
        }
    }
}

#[test]
fn the_choice_is_made_at_remove_and_a_later_purge_restores_nothing() {
    if !need_root() {
        return;
    }
    for choice in CHOICES {
        let node = node_of(Suite::Bookworm);
        work(&node);
        node.call(["dpkg", "-r", NAME]).env("RESTORE", choice).run().ok();
        // Weeks later, and with another choice about.
        node.write(MAIN, TRIAL);
        node.write(ADMIN, "# later\n");
        node.write("/etc/default/pve-network-rs", "RESTORE=last\n");
        node.call(["dpkg", "-P", NAME]).env("RESTORE", "last").run().ok().never_says("restore /");
        assert_eq!(look(&node)[..2], ["trial", "later"], "{choice}");
        assert_eq!(node.state_of(NAME), "un");
    }
}

#[test]
fn a_wrong_value_is_said_and_the_packages_own_holds() {
    if !need_root() {
        return;
    }
    for how in [How::Environment, How::File] {
        for words in [["dpkg", "-r", NAME], ["dpkg", "-P", NAME]] {
            let node = chosen(how, "everything");
            work(&node);
            call(&node, &words, how, "everything").ok().says("it must be accepted, last or never; accepted holds");
            assert_eq!(look(&node), ["first", "later", "gone", "trial", "later"], "{words:?} {how:?}");
        }
    }
    // One that can't be read is said as well.
    let node = node_of(Suite::Bookworm);
    node.mkdir("/etc/default/pve-network-rs");
    node.run(["dpkg", "-r", NAME]).ok().says("/etc/default/pve-network-rs: it is not a plain file");
}

/// What a failure with [`WORK`] in its transaction leads to.
fn after_failure(choice: &str) -> [&'static str; 5] {
    match choice {
        "accepted" => ["first", "later", "gone", "first", "later"],
        "last" => ["first", "first", "gone", "trial", "later"],
        _ => ["trial", "later", "trial", "trial", "later"],
    }
}

#[test]
fn a_failing_configure_and_a_transaction_left_open() {
    if !need_root() {
        return;
    }
    for choice in CHOICES {
        for how in [How::Environment, How::File] {
            for (name, words) in [
                ("postinst configure", &["dpkg", "--configure", NAME][..]),
                ("the next preinst upgrade", &["dpkg", "-i", "/root/x.deb"]),
                ("postrm remove, as dpkg asks no prerm of what was only unpacked", &["dpkg", "-r", NAME]),
                ("postrm remove and purge", &["dpkg", "-P", NAME]),
            ] {
                let node = chosen(how, choice);
                dpkg(&node, &["--path-exclude=/usr/bin/pvenet", "--path-exclude=/usr/bin/migration-ctl", "--unpack"], &V2).ok();
                work(&node);
                let out = call(&node, words, how, choice);
                assert_eq!(look(&node), after_failure(choice), "{name}, {choice} by {how:?}\n{}", out.stderr);
                if name == "postinst configure" {
                    out.code(1);
                    call(&node, words, how, choice).code(1).never_says("restore /");
                } else {
                    out.ok();
                    assert!(!node.exists(&format!("{STATE}/transaction.json")), "{name}");
                }
                assert_eq!(look(&node), after_failure(choice), "{name}, {choice} by {how:?}");
            }
        }
    }
}

/// Version 0.2.0-1 whose preinst does all of its work, then [`WORK`], and fails.
fn failing(postrm: Option<&str>) -> Vec<u8> {
    let genuine = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(genuine.path(), &*V2).unwrap();
    let script = format!("#!/bin/sh\n/opt/c/preinst \"$@\" || exit 7\nset -e\n{}exit 1\n", WORK.replace("\\n", "\n"));
    let altered = Deb::at(genuine.path()).altered(|tree| {
        std::fs::write(tree.join("DEBIAN/preinst"), script)?;
        postrm.map_or(Ok(()), |text| std::fs::write(tree.join("DEBIAN/postrm"), text))
    });
    bytes(&altered)
}

static FAILING: Shared = LazyLock::new(|| failing(None));
/// Its postrm does nothing, so that the old version's scripts are alone with the open transaction.
static FAILING_ALONE: Shared = LazyLock::new(|| failing(Some("#!/bin/sh\nexit 0\n")));

/// Puts the genuine scripts at hand, and the override that lets the altered package in.
fn prepare(node: &Node, deb: &[u8]) {
    node.write("/root/trial", TRIAL);
    node.write("/root/genuine.deb", &*V2);
    node.sh("dpkg-deb --control /root/genuine.deb /opt/c").ok();
    if node.state_of(NAME) == "ii" {
        let out = dpkg(node, &["-i"], deb).fails();
        let way_out = out.stderr.lines().find_map(|l| l.split_once("all the same: ")).unwrap().1.to_owned();
        node.run(["sh", "-ec", &way_out]).ok();
    }
}

#[test]
fn the_aborts_of_an_install_and_an_upgrade() {
    if !need_root() {
        return;
    }
    for choice in CHOICES {
        for (name, deb, installed) in [
            ("new postrm abort-install", &FAILING, "nothing"),
            ("new postrm abort-install VERSION", &FAILING, "rc"),
            ("new postrm abort-upgrade", &FAILING, "ii"),
            ("old postinst abort-upgrade", &FAILING_ALONE, "ii"),
        ] {
            let node = if installed == "nothing" { bare(Suite::Bookworm) } else { node_of(Suite::Bookworm) };
            if installed == "rc" {
                node.run(["dpkg", "-r", NAME]).ok();
            }
            prepare(&node, deb);
            node.write("/root/x.deb", &**deb);
            let out = node.call(["dpkg", "-i", "/root/x.deb"]).env("RESTORE", choice).run().code(1);
            assert_eq!(look(&node), after_failure(choice), "{name}, {choice}\n{}", out.stderr);
            assert!(!node.exists(&format!("{STATE}/transaction.json")), "{name}, {choice}");
            node.run(["dpkg", "--audit"]).ok().quiet();
            match installed {
                "ii" => assert_eq!(node.state_of(NAME), "ii", "{name}"),
                "rc" => {
                    assert_eq!(node.state_of(NAME), "rc", "{name}");
                    // The removal was over before; what was written since is nobody's to undo.
                    node.write(MAIN, TRIAL);
                    node.write(ADMIN, "# later\n");
                    node.call(["dpkg", "-P", NAME]).env("RESTORE", "last").run().ok().never_says("restore /");
                    assert_eq!(look(&node)[..2], ["trial", "later"], "{name}, {choice}, purged");
                }
                _ => assert!(node.state_of(NAME).ends_with('n'), "{name}"),
            }
        }
    }
}

/// Calls that restore nothing, whatever was chosen: [`WORK`] was done before, and stays.
#[test]
fn calls_that_change_nothing() {
    if !need_root() {
        return;
    }
    let rival = |relation: &str| {
        let deb = DebBuilder::new("rival", "1.0").field("Replaces", NAME).field(relation, NAME);
        deb.script("preinst", "#!/bin/sh\nexit 1\n").file("/usr/bin/zzz", "").build()
    };
    for choice in CHOICES {
        for (name, code) in [
            ("old prerm fails, new prerm failed-upgrade", 0),
            ("old postrm fails, new postrm failed-upgrade", 0),
            ("postinst abort-remove", 1),
            ("prerm deconfigure, postinst abort-deconfigure", 1),
            ("postinst triggered", 0),
            ("dpkg-reconfigure", 0),
        ] {
            let node = node_of(Suite::Bookworm);
            work(&node);
            let fails = |script: &str| {
                node.write_program(&format!("/var/lib/dpkg/info/{NAME}.{script}"), "#!/bin/sh\nexit 1\n");
            };
            node.write("/root/x.deb", &*V2);
            let words: &[&str] = match name {
                "old prerm fails, new prerm failed-upgrade" => {
                    fails("prerm");
                    &["dpkg", "-i", "/root/x.deb"]
                }
                "old postrm fails, new postrm failed-upgrade" => {
                    fails("postrm");
                    &["dpkg", "-i", "/root/x.deb"]
                }
                "postinst abort-remove" => {
                    node.put_file(rival("Conflicts").path(), "/root/rival.deb");
                    &["dpkg", "-i", "/root/rival.deb"]
                }
                "prerm deconfigure, postinst abort-deconfigure" => {
                    node.put_file(rival("Breaks").path(), "/root/rival.deb");
                    &["dpkg", "--auto-deconfigure", "-i", "/root/rival.deb"]
                }
                "dpkg-reconfigure" => &["dpkg-reconfigure", NAME],
                _ => &["env", "DPKG_MAINTSCRIPT_NAME=postinst", "DPKG_MAINTSCRIPT_PACKAGE=pve-network-rs",
                    "/var/lib/dpkg/info/pve-network-rs.postinst", "triggered", "/x"],
            };
            node.call(words).env("RESTORE", choice).run().code(code);
            // Pending changes that a removal deleted stay deleted, also where it was aborted: Proxmox
            // would apply them at the next boot. A copy is in /var/backups.
            let new = if (name, choice) == ("postinst abort-remove", "accepted") { "gone" } else { "trial" };
            assert_eq!(look(&node), ["trial", "later", new, "trial", "later"], "{name}, {choice}");
            assert_eq!(node.state_of(NAME), "ii", "{name}");
            assert!(!node.exists(&format!("{STATE}/fence")), "{name}");
        }
    }
}
