//! The installed version judges the next: what it refuses runs none of its code.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use common::{V1, V2, bare, bytes, dpkg, node_of, version};
use rig::ours::{NAME, STATE, sealing, snapshots};
use rig::{Deb, Keyring, Machine, Node, Output, Suite, need_root};

const POLICY: &str = "/etc/debseal/policy.d/pve.toml";
const KEY: &str = "/etc/debseal/keys/pve.pgp";

/// Two keys and what they have signed: made once for all tests that run at the time.
struct Signed {
    key: Keyring,
    other: Keyring,
    v1: OnceLock<Vec<u8>>,
    v2: OnceLock<Vec<u8>>,
    v3: OnceLock<Vec<u8>>,
    by_other: OnceLock<Vec<u8>>,
}

impl Signed {
    /// Goes when the last test that uses it ends, so that nothing is left on disk.
    fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Signed>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let (key, other) = (Keyring::new("release"), Keyring::new("other"));
            let [v1, v2, v3, by_other] = [const { OnceLock::new() }; 4];
            let made = Arc::new(Self { key, other, v1, v2, v3, by_other });
            *shared = Arc::downgrade(&made);
            made
        })
    }

    fn v1(&self) -> &[u8] {
        self.v1.get_or_init(|| bytes(&sealing().signed(&self.key).build()))
    }

    fn v2(&self) -> &[u8] {
        self.v2.get_or_init(|| bytes(&sealing().version("0.2.0-1").signed(&self.key).build()))
    }

    /// Bars what is older than 0.2.0-1.
    fn v3(&self) -> &[u8] {
        self.v3.get_or_init(|| bytes(&sealing().version("0.3.0-1").minimum("0.2.0-1").signed(&self.key).build()))
    }

    fn by_other(&self) -> &[u8] {
        self.by_other.get_or_init(|| bytes(&sealing().version("0.2.0-1").signed(&self.other).build()))
    }

    /// A node with the signed 0.1.0-1.
    fn node(&self, suite: Suite) -> Node {
        let node = bare(suite);
        dpkg(&node, &["-i"], self.v1()).ok().never_says("not signed");
        node
    }
}

/// The package with a change to its unpacked tree.
fn altered(deb: &[u8], change: impl FnOnce(&Path) -> std::io::Result<()>) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), deb).unwrap();
    bytes(&Deb::at(file.path()).altered(change))
}

fn flip(file: &Path, at: impl Fn(usize) -> usize) -> std::io::Result<()> {
    let mut all = std::fs::read(file)?;
    let at = at(all.len());
    all[at] ^= 1;
    std::fs::write(file, all)
}

/// The package with scripts that leave a mark wherever they are called.
fn evil(deb: &[u8]) -> Vec<u8> {
    altered(deb, |tree| {
        ["preinst", "postinst", "prerm", "postrm"].iter().try_for_each(|script| {
            std::fs::write(tree.join("DEBIAN").join(script), "#!/bin/sh\necho \"$0 $*\" >>/evil\n")
        })
    })
}

/// The node is as before the attempt; the command that would let it through.
fn refused(node: &Node, out: Output, what: &str) -> String {
    let out = out.code(1).never_says("captured ");
    assert!(!node.exists("/evil"), "{what}: its code ran: {}", node.text("/evil"));
    assert_eq!((node.state_of(NAME).as_str(), version(node).as_str()), ("ii", "0.1.0-1"), "{what}");
    assert!(!node.exists(&format!("{STATE}/transaction.json")), "{what}");
    node.run(["dpkg", "--audit"]).ok().quiet();
    way_out(&out, what)
}

fn way_out(out: &Output, what: &str) -> String {
    let command = out.stderr.lines().find_map(|l| l.split_once("to let this very version through all the same: "));
    command.unwrap_or_else(|| panic!("{what}: no way out in\n{}", out.stderr)).1.to_owned()
}

fn policy(node: &Node, certificate: &[u8], more: &str) {
    node.write(KEY, certificate);
    node.write(POLICY, format!("[[package]]\nname = \"{NAME}\"\nkeys = [\"{KEY}\"]\n{more}\n"));
}

#[test]
fn a_signed_successor_is_taken_without_a_word() {
    if !need_root() {
        return;
    }
    let signed = Signed::shared();
    for suite in Suite::ALL {
        let node = signed.node(suite);
        dpkg(&node, &["-i"], signed.v2()).ok().never_says("refused").never_says("not signed");
        assert_eq!((node.state_of(NAME).as_str(), version(&node).as_str()), ("ii", "0.2.0-1"));
        node.run(["dpkg-reconfigure", NAME]).ok().never_says("refused");
        dpkg(&node, &["-i"], signed.v1()).ok(); // an older one is fine as long as nobody bars it
        assert_eq!(version(&node), "0.1.0-1");
    }
}

#[test]
fn unsigned_over_unsigned_is_taken_with_a_warning() {
    if !need_root() {
        return;
    }
    let node = node_of(Suite::Bookworm);
    dpkg(&node, &["-i"], &V2).ok().says("version 0.2.0-1 is not signed by a key that is trusted here");
    assert_eq!(version(&node), "0.2.0-1");
}

#[test]
fn what_is_not_as_signed_is_refused_before_any_of_its_code_runs() {
    if !need_root() {
        return;
    }
    let signed = Signed::shared();
    let good = signed.v2();
    let in_control = |name: &'static str, change: fn(&Path) -> std::io::Result<()>| {
        altered(good, move |tree| change(&tree.join("DEBIAN").join(name)))
    };
    let unsigned = |deb: &[u8]| altered(deb, |tree| std::fs::remove_file(tree.join("DEBIAN/manifest-sig")));
    let cases: [(&str, Vec<u8>); 11] = [
        ("unsigned", V2.clone()),
        ("signature taken off", unsigned(good)),
        ("signature taken off, scripts replaced", unsigned(&evil(good))),
        ("scripts replaced", evil(good)),
        ("signed by another key, scripts replaced", evil(signed.by_other())),
        ("signed by another key", signed.by_other().to_vec()),
        ("a byte of the manifest", in_control("manifest", |file| flip(file, |len| len / 2))),
        ("a byte of the hook", in_control("preinst", |file| flip(file, |len| len / 2))),
        ("a byte of the appended policy", in_control("postrm", |file| flip(file, |len| len - 60))),
        ("a byte of the signature", in_control("manifest-sig", |file| flip(file, |len| len - 3))),
        ("another control file", in_control("triggers", |file| std::fs::write(file, "interest-noawait /usr/lib/x\n"))),
    ];
    let nodes = [signed.node(Suite::Bookworm), signed.node(Suite::Trixie)];
    for (number, (what, deb)) in cases.iter().enumerate() {
        // What the one suite's dpkg does, the other's does too; the first, most telling ones on both.
        for node in nodes.iter().skip(usize::from(number >= 4 && number % 2 == 1)).take(if number < 4 { 2 } else { 1 })
        {
            let out = dpkg(node, &["-i"], deb).says("version 0.2.0-1 is refused");
            refused(node, out, what);
        }
    }
    // A changed field of the control file: dpkg shows it to the user, so it is covered as well.
    let depends = in_control("control", |file| {
        let text = std::fs::read_to_string(file)?;
        std::fs::write(file, text.replacen("Section: ", "Section: x", 1))
    });
    refused(&nodes[0], dpkg(&nodes[0], &["-i"], &depends), "a control field");
    dpkg(&nodes[0], &["-i"], good).ok();
    assert_eq!(version(&nodes[0]), "0.2.0-1", "refusals leave no trace that bars the genuine one");
}

#[test]
fn the_printed_override_works_as_printed_and_once() {
    if !need_root() {
        return;
    }
    let signed = Signed::shared();
    for suite in Suite::ALL {
        let node = signed.node(suite);
        let command = refused(&node, dpkg(&node, &["-i"], &V2), "unsigned");
        node.sh(&command).ok();
        // It lets this very version through and no other.
        refused(&node, dpkg(&node, &["-i"], &evil(signed.v2())), "another than the one let through");
        dpkg(&node, &["-i"], &V2).ok().says("let through by /etc/debseal/override/pve-network-rs");
        assert_eq!((node.state_of(NAME).as_str(), version(&node).as_str()), ("ii", "0.2.0-1"));
        assert!(node.ls("/etc/debseal/override").is_empty(), "used up");
        dpkg(&node, &["-i"], signed.v1()).ok();
        refused(&node, dpkg(&node, &["-i"], &V2), "the second time");
    }
}

#[test]
fn a_key_that_expired_or_was_revoked_counts_for_nothing() {
    if !need_root() {
        return;
    }
    let signed = Signed::shared();
    for (word, certificate) in
        [("expired", signed.key.expired_certificate()), ("revoked", signed.key.revoked_certificate())]
    {
        let node = signed.node(Suite::Bookworm);
        policy(&node, &certificate, "");
        let out = dpkg(&node, &["-i"], signed.v2()).says(word);
        let command = refused(&node, out, word);
        node.sh(&command).ok(); // a wrong clock must not bar every upgrade
        dpkg(&node, &["-i"], signed.v2()).ok();
        assert_eq!(version(&node), "0.2.0-1");
    }
}

#[test]
fn a_replay_below_the_minimum_is_refused_and_other_downgrades_are_not() {
    if !need_root() {
        return;
    }
    let signed = Signed::shared();
    let node = signed.node(Suite::Bookworm);
    dpkg(&node, &["-i"], signed.v3()).ok();
    let out = dpkg(&node, &["-i"], signed.v1()).code(1).says("version 0.1.0-1 is older than 0.2.0-1");
    assert_eq!((node.state_of(NAME).as_str(), version(&node).as_str()), ("ii", "0.3.0-1"));
    way_out(&out, "replay");
    dpkg(&node, &["-i"], signed.v2()).ok();
    assert_eq!(version(&node), "0.2.0-1", "any other downgrade");
    dpkg(&node, &["-i"], signed.v1()).code(1).says("older than 0.2.0-1");
    // Nor by way of a removal; what was seen is forgotten by purge only.
    node.run(["dpkg", "-r", NAME]).ok();
    let out = dpkg(&node, &["-i"], signed.v1()).code(1).says("older than 0.2.0-1");
    assert!(!node.exists("/usr/bin/migration-ctl"));
    node.sh(&way_out(&out, "replay after a removal")).ok();
    dpkg(&node, &["-i"], signed.v1()).ok();
    assert_eq!((node.state_of(NAME).as_str(), version(&node).as_str()), ("ii", "0.1.0-1"));
}

#[test]
fn the_admins_policy_wins_over_the_key_that_was_sealed_in() {
    if !need_root() {
        return;
    }
    let signed = Signed::shared();
    let node = signed.node(Suite::Bookworm);
    policy(&node, &signed.other.armored_certificate(), "");
    let out = dpkg(&node, &["-i"], signed.v2()).says("version 0.2.0-1 is refused");
    refused(&node, out, "the old key, once the policy names another");
    dpkg(&node, &["-i"], signed.by_other()).ok().never_says("not signed");
    assert_eq!(version(&node), "0.2.0-1", "rotated");
    // Pinned to a fingerprint that the file does not hold, nobody is trusted.
    let node = signed.node(Suite::Bookworm);
    policy(&node, &signed.key.certificate(), &format!("fingerprints = [\"{}\"]", signed.other.fingerprint()));
    refused(&node, dpkg(&node, &["-i"], signed.v2()), "pinned");
    policy(&node, &signed.key.certificate(), &format!("fingerprints = [\"{}\"]", signed.key.fingerprint()));
    dpkg(&node, &["-i"], signed.v2()).ok();
}

#[test]
fn a_policy_that_only_warns_warns() {
    if !need_root() {
        return;
    }
    let signed = Signed::shared();
    for (deb, said) in
        [(&V2[..], "not signed by a key that is trusted here"), (signed.by_other(), "the policy only warns")]
    {
        let node = signed.node(Suite::Bookworm);
        policy(&node, &signed.key.certificate(), "mode = \"warn\"");
        dpkg(&node, &["-i"], deb).ok().says(said);
        assert_eq!((node.state_of(NAME).as_str(), version(&node).as_str()), ("ii", "0.2.0-1"));
    }
}

#[test]
fn a_broken_policy_lets_nothing_in_and_bars_no_removal() {
    if !need_root() {
        return;
    }
    let signed = Signed::shared();
    for (text, said) in [
        ("[[package]]\nname = \"pve-network-rs\"\nkyes = []\n", "pve.toml, line 3"),
        ("[[package]\n", "pve.toml, line 1"),
        ("[[package]]\nname = \"pve-network-rs\"\nkeys = [\"/etc/debseal/keys/none.pgp\"]\n", "none.pgp"),
    ] {
        let node = signed.node(Suite::Bookworm);
        node.write(POLICY, text);
        let out = dpkg(&node, &["-i"], signed.v2()).says(said);
        let command = refused(&node, out, text);
        node.run(["dpkg-reconfigure", NAME]).ok();
        node.sh(&command).ok();
        dpkg(&node, &["-i"], signed.v2()).ok();
        node.run(["dpkg", "-P", NAME]).ok();
    }
}

#[test]
fn a_first_install_obeys_the_policy_as_well() {
    if !need_root() {
        return;
    }
    let signed = Signed::shared();
    for suite in Suite::ALL {
        let node = bare(suite);
        policy(&node, &signed.key.certificate(), "");
        let before = node.tree_below("/etc");
        let out = dpkg(&node, &["-i"], &V1).code(1).says("pve.toml demands a signature");
        assert!(!node.exists("/usr/bin/migration-ctl"), "nothing was unpacked");
        assert!(snapshots(&node).is_empty());
        before.assert_same(&node.tree_below("/etc"));
        dpkg(&node, &["-i"], signed.by_other()).code(1);
        assert!(!node.exists("/usr/bin/migration-ctl"));
        node.sh(&way_out(&out, "first install")).ok();
        dpkg(&node, &["-i"], &V1).ok();
        assert_eq!(node.state_of(NAME), "ii");
        node.run(["dpkg", "-P", NAME]).ok();
        dpkg(&node, &["-i"], signed.v1()).ok();
        assert_eq!(node.state_of(NAME), "ii");
    }
}

#[test]
fn unpacked_but_not_configured_the_next_one_judges_itself() {
    if !need_root() {
        return;
    }
    // dpkg calls no prerm of a version that was never configured.
    let signed = Signed::shared();
    let node = signed.node(Suite::Bookworm);
    dpkg(&node, &["--unpack"], signed.v2()).ok();
    assert_eq!(node.state_of(NAME), "iU");
    dpkg(&node, &["-i"], &V2).code(1).says("a signed version is installed");
    assert_eq!(version(&node), "0.2.0-1");
    node.run(["dpkg", "--configure", "-a"]);
    if node.state_of(NAME) != "ii" {
        dpkg(&node, &["-i"], signed.v2()).ok();
    }
    assert_eq!(node.state_of(NAME), "ii");
    node.sh(&format!("grep -q '\"signed\": true' {STATE}/seal.json")).ok();
}
