//! The pages that operators follow: each command block as it stands there, on two nodes of a
//! cluster and a workstation, and what the page shows of its output. See [`rig::page`].

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;
mod week;

use std::cell::LazyCell;
use std::ops::Deref;
use std::time::Duration;

use phase::Phase;
use rig::ours::{like_a_pve_node, put_rust_write, sealing};
use rig::{Authority, Deb, Keyring, Machine, Node, Pmxcfs, Suite, cables, dist, need_fuse, need_root, page, perl};

use week::Week;

const PVESH: &str = include_str!("../stand-ins/pvesh");
const PACKAGE: &str = "/root/pve-network-rs_0.1.0-1_amd64.deb";

/// A booted canary with ifupdown2, a router at its cable, and Perl's API; the package lies in `/root`.
fn canary(suite: Suite, cluster: &Pmxcfs, authority: &Authority, name: &str, deb: &Deb) -> Node {
    let node = Node::with_packages(suite, &["curl", "ifupdown2"]).named(name).in_cluster(cluster, name);
    like_a_pve_node(&node);
    node.put_file(deb.path(), PACKAGE);
    node.write_program("/usr/bin/pvesh", PVESH);
    put_rust_write(&node, env!("CARGO_BIN_EXE_rust-write"));
    perl::put(&node, env!("CARGO_BIN_EXE_pveproxy"), authority, name);
    // Booting would bring the network up before anybody looks.
    node.sh("rm -f /etc/systemd/system/*/networking.service /etc/systemd/system/*/*/networking.service").ok();
    let node = node.boot();
    cables::plug(&node);
    perl::start(&node);
    node
}

/// Runs a page, block by block. Says which block failed, and how.
fn follow(name: &str, machines: &[(&str, &dyn Deref<Target = Node>)]) {
    let text = std::fs::read_to_string(dist::workspace().join("docs").join(name)).unwrap();
    let blocks = page::blocks(&text).unwrap_or_else(|mistake| panic!("docs/{name}, {mistake}"));
    assert!(blocks.len() > 3, "docs/{name} has hardly any commands");
    let transcript = page::Transcript::of(name);
    for block in blocks {
        for on in &block.on {
            let place = format!("docs/{name}, line {}, on {on}", block.line);
            let machine = |name: &str| {
                let found = machines.iter().find(|(known, _)| *known == name);
                &**found.unwrap_or_else(|| panic!("{place}: there is no machine {name}")).1
            };
            let node = machine(on);
            for (from, path) in &block.with {
                node.write(path, machine(from).read(path));
            }
            let script = format!("exec 2>&1\ncd /root\n{}", block.script);
            let out = node.call(["bash", "-euo", "pipefail", "-c", &script]).patience(Duration::from_secs(180)).run();
            eprintln!("== {place}\n{}{}", block.script, out.stdout);
            let code = out.status.code();
            transcript.add(&block, on, code, &out.stdout);
            assert_eq!(code, Some(block.exit), "{place}:\n{}{}{}", block.script, out.stdout, out.stderr);
            if let Some(line) = block.shown.as_deref().and_then(|shown| page::missing(shown, &out.stdout)) {
                panic!("{place}: the page shows\n{line}\nwhich did not come:\n{}", out.stdout);
            }
        }
    }
}

#[test]
fn the_playbook_can_be_followed_from_the_page() {
    if !need_root() || !need_fuse() {
        return;
    }
    let key = Keyring::new("Release <release@example.invalid>");
    let deb = sealing().as_shipped().signed(&key).build();
    let workstation = Node::with_packages(Suite::Bookworm, &["gnupg", "libgpgme11"]).named("workstation");
    workstation.put_file(deb.path(), PACKAGE);
    workstation.put_file(&dist::debseal(), "/usr/bin/debseal");
    workstation.chmod("/usr/bin/debseal", 0o755);
    workstation.write("/root/release.pgp", key.certificate());
    let (cluster, authority) = (Pmxcfs::with(["pve1", "pve2"]), Authority::new("Proxmox Virtual Environment"));
    let [one, two] = ["pve1", "pve2"].map(|name| canary(Suite::Bookworm, &cluster, &authority, name, &deb));
    // The same canary when its time has come, made when it has: nobody waits here for a day, or for a week.
    let bytes = std::fs::read(deb.path()).unwrap();
    let day = LazyCell::new(|| week::after(&Week::until_now(Phase::RustReadOnly), &bytes));
    let week = LazyCell::new(|| week::after(&Week::until_now(Phase::RustBasicWrite), &bytes));
    let ahead = Some(("pve1", Phase::RustBasicWrite));
    let second =
        LazyCell::new(|| week::after(&Week { name: "pve2", ahead, ..Week::until_now(Phase::PerlOnly) }, &bytes));
    follow(
        "PLAYBOOK.md",
        &[
            ("workstation", &&workstation),
            ("pve1", &&one),
            ("pve2", &&two),
            ("pve1-in-a-day", &day),
            ("pve1-in-a-week", &week),
            ("pve2-in-a-day", &second),
        ],
    );
}

#[test]
fn the_runbook_and_the_symptoms_can_be_followed_from_the_page() {
    if !need_root() || !need_fuse() {
        return;
    }
    let deb = sealing().build();
    for name in ["RUNBOOK.md", "TROUBLESHOOTING.md"] {
        let (cluster, authority) = (Pmxcfs::with(["pve1", "pve2"]), Authority::new("Proxmox Virtual Environment"));
        let [one, two] = ["pve1", "pve2"].map(|name| canary(Suite::Trixie, &cluster, &authority, name, &deb));
        for node in [&one, &two] {
            node.run(["dpkg", "-i", PACKAGE]).ok();
        }
        follow(name, &[("pve1", &&one), ("pve2", &&two)]);
    }
}

#[test]
fn the_gates_page_can_be_followed() {
    if !need_root() {
        return;
    }
    let (key, new) = (Keyring::new("Release <release@example.invalid>"), Keyring::new("New <new@example.invalid>"));
    let first = sealing().as_shipped().signed(&key).build();
    let next = sealing().as_shipped().version("0.2.0-1").trusting(&key).signed(&new).build();
    let lab = sealing().version("0.3.0-1").trusting(&new).build();
    for suite in Suite::ALL {
        let node = Node::with_packages(suite, &["libgpgme11"]).named("pve1");
        like_a_pve_node(&node);
        let debseal = dist::debseal_package();
        node.put_file(debseal.path(), &format!("/root/{}", debseal.file_name()));
        node.put_file(first.path(), PACKAGE);
        node.put_file(next.path(), "/root/next/pve-network-rs_0.2.0-1_amd64.deb");
        node.put_file(lab.path(), "/root/lab/pve-network-rs_0.3.0-1_amd64.deb");
        node.write("/root/release.pgp", key.certificate());
        node.write("/root/release.fingerprint", key.fingerprint());
        node.write("/root/next/new.pgp", new.certificate());
        node.write("/root/next/new.fingerprint", new.fingerprint());
        node.write("/root/next/release-revoked.pgp", key.revoked_certificate());
        follow("gate.md", &[("pve1", &&node)]);
    }
}
