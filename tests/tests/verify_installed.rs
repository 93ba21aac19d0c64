//! `debseal verify --installed` on our own package, as dpkg unpacked it on a node: each kind of damage by
//! itself, found and named.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use rig::ours::{like_a_pve_node, sealing};
use rig::{DebBuilder, Keyring, Machine, Node, Suite, dist, need_root};

#[test]
fn each_damage_is_found_and_nothing_else_is() {
    if !need_root() {
        return;
    }
    let key = Keyring::new("release");
    let node = Node::with_packages(Suite::Bookworm, &["libgpgme11"]);
    like_a_pve_node(&node);
    node.install(&dist::debseal_package()).ok();
    node.write("/root/release.pgp", key.certificate());
    node.run(["debseal", "key", "add", "--package", "pve-network-rs", "/root/release.pgp"]).ok();
    node.install(&sealing().as_shipped().signed(&key).build()).ok();
    let verify = ["debseal", "verify", "--installed", "pve-network-rs"];
    node.run(verify).ok().quiet().says("installed and good: pve-network-rs");

    let shipped = node.text("/var/lib/dpkg/info/pve-network-rs.list");
    let program = shipped.lines().find(|l| l.ends_with("/migration-ctl") && l.contains("bin/")).unwrap();
    let folder = "/usr/share/pve-network-rs";
    assert!(shipped.lines().any(|l| l == folder), "{shipped}");
    for (what, spoil, mend, said) in [
        (
            "an altered byte",
            format!("cp -p {program} /root/kept; printf x | dd of={program} bs=1 seek=4000 conv=notrunc status=none"),
            format!("cp -p /root/kept {program}"),
            format!("error: {program} is altered"),
        ),
        (
            "a byte more",
            format!("cp -p {program} /root/kept; echo >>{program}"),
            format!("cp -p /root/kept {program}"),
            format!("error: {program} is altered"),
        ),
        (
            "a missing file",
            format!("mv {program} /root/kept"),
            format!("mv /root/kept {program}"),
            format!("error: {program} is missing"),
        ),
        (
            "a changed mode",
            format!("chmod 4755 {program}"),
            format!("chmod 755 {program}"),
            format!("error: {program} has mode 4755 instead of 0755"),
        ),
        (
            "another owner",
            format!("chown 1:1 {program}"),
            format!("chown 0:0 {program}"),
            format!("error: {program} belongs to 1:1 instead of 0:0"),
        ),
        (
            "a link in its place",
            format!("mv {program} /root/kept; ln -s /root/kept {program}"),
            format!("mv /root/kept {program}"),
            format!("error: {program} is not a regular file"),
        ),
        (
            "a foreign file",
            format!("mkdir {folder}/more; echo evil >{folder}/more/evil.conf"),
            format!("rm -r {folder}/more"),
            format!("error: {folder}/more/evil.conf is in a folder of this package and belongs to no package"),
        ),
        (
            "a foreign link",
            format!("ln -s /etc/shadow {folder}/evil"),
            format!("rm {folder}/evil"),
            format!("error: {folder}/evil is in a folder of this package"),
        ),
        (
            "an altered script",
            "cp -p /var/lib/dpkg/info/pve-network-rs.postrm /root/kept; echo >>/var/lib/dpkg/info/pve-network-rs.postrm".into(),
            "cp -p /root/kept /var/lib/dpkg/info/pve-network-rs.postrm".into(),
            "pve-network-rs.postrm is altered".into(),
        ),
    ] {
        node.sh(&spoil).ok();
        let out = node.run(verify).code(6).says(&said);
        let errors = out.stdout.lines().filter(|l| l.starts_with("error: ")).count();
        let expected = if what == "a foreign file" { 2 } else { 1 }; // its folder is strange too
        assert_eq!(errors, expected, "{what}: {}{}", out.stdout, out.stderr);
        node.run(verify.into_iter().chain(["--output", "json"])).code(6).says("\"accepted\": false");
        node.run(verify.into_iter().chain(["--output", "junit"])).code(6).says("failures=\"1\"");
        node.sh(&mend).ok();
        node.run(verify).ok().quiet();
    }

    // What another package ships there is that package's, and a document is worth no more than a line.
    node.install(&DebBuilder::new("more", "1.0").file(&format!("{folder}/more.conf"), "x").build()).ok();
    node.run(verify).ok().quiet();
    node.write("/usr/share/doc/pve-network-rs/NOTES", "ours");
    node.run(verify).ok().says("warning: /usr/share/doc/pve-network-rs/NOTES is in a folder of this package");
}
