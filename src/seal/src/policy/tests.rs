use super::*;
use crate::testing::{cert, now, public};

struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir_all(machine.root().path(FOLDER)).unwrap();
        machine
    }

    fn root(&self) -> Root {
        Root::at(self.dir.path())
    }

    fn policy(&self, name: &str, text: &str) -> &Self {
        fs::write(self.root().path(FOLDER).join(name), text).unwrap();
        self
    }

    fn said(&self) -> String {
        load(&self.root()).and_then(|_| trusted_keys(&self.root(), "demo", b"")).unwrap_err().to_string()
    }
}

const DEMO: &str = "[[package]]\nname = \"demo\"\nkeys = [\"/etc/debseal/k.pgp\"]\n";

#[test]
fn the_admins_keys_win_over_the_sealed_ones() {
    let (alice, bob) = (cert("Alice"), cert("Bob"));
    let machine = Machine::new();
    let root = machine.root();
    fs::write(root.path("/etc/debseal/k.pgp"), [public(&alice), public(&bob)].concat()).unwrap();
    let prints =
        |keys: &TrustedKeys| -> Vec<String> { keys.keyring.certs(now()).into_iter().map(|c| c.name).collect() };
    let sealed = trusted_keys(&root, "demo", &public(&bob)).unwrap();
    assert_eq!((prints(&sealed), sealed.source), (vec!["Bob".into()], Source::Sealed));

    machine.policy("a.toml", DEMO).policy("b.toml.dpkg-old", "junk").policy(".c.toml", "junk");
    let keys = trusted_keys(&root, "demo", b"never read").unwrap();
    assert_eq!(prints(&keys), ["Alice", "Bob"]);
    assert_eq!(keys.source, Source::Policy("/etc/debseal/policy.d/a.toml".into()));
    assert_eq!(keys.mode, Mode::Enforce);
    assert_eq!(trusted_keys(&root, "other", b"").unwrap().source, Source::Sealed);

    let print = alice.fingerprint().to_hex().to_lowercase();
    machine.policy("a.toml", &format!("{DEMO}fingerprints = [\"{print}\"]\nmode = \"warn\"\n"));
    let keys = trusted_keys(&root, "demo", b"").unwrap();
    assert_eq!((prints(&keys), keys.mode, keys.minimum_version), (vec!["Alice".into()], Mode::Warn, None));

    machine.policy("a.toml", &format!("{DEMO}minimum_version = \"0.2\"\n"));
    assert_eq!(trusted_keys(&root, "demo", b"").unwrap().minimum_version.as_deref(), Some("0.2"));

    let absent = "0".repeat(40);
    machine.policy("a.toml", &format!("{DEMO}fingerprints = [\"{absent}\"]\n"));
    assert!(machine.said().contains("no key file of package demo holds"), "{}", machine.said());
}

#[test]
fn mistakes_name_file_line_and_what_is_allowed() {
    let machine = Machine::new();
    let at = |text: &str, line: usize, why: &str| {
        machine.policy("a.toml", text);
        let said = machine.said();
        assert!(said.contains(&format!("/etc/debseal/policy.d/a.toml, line {line}: ")), "{said}");
        assert!(said.contains(why), "{said} / {why}");
    };
    at("x = 1\n", 1, "unknown key 'x'; allowed is [[package]]");
    at(&format!("# c\n{DEMO}kyes = []\n"), 5, "unknown key 'kyes'; allowed are name, keys");
    at(&format!("{DEMO}mode = \"soft\"\n"), 4, "allowed are enforce, warn");
    at(&format!("{DEMO}mode = 1\n"), 4, "mode must be a string");
    at(&format!("{DEMO}minimum_version = \"1_0\"\n"), 4, "1_0");
    at(&format!("{DEMO}fingerprints = [\"ABCD\"]\n"), 1, "not a full fingerprint");
    at("\n[[package]]\nname = \"x y\"\n", 2, "not a package name");
    at("[[package]]\nname = \"demo\"\n", 1, "has no keys");
    at(&DEMO.replace("/etc", "etc"), 1, "not an absolute path");
    at(&DEMO.replace("[\"", "\"").replace("\"]", "\""), 3, "keys must be a list of strings");
    at(&format!("{DEMO}name = \"demo\"\n"), 4, "duplicate key");
    at("[package]\nname = \"demo\"\n", 1, "allowed is [[package]]");
}

#[test]
fn a_package_is_named_once_and_its_keys_are_there() {
    let machine = Machine::new();
    machine.policy("a.toml", DEMO);
    assert!(machine.said().contains("cannot read"), "{}", machine.said());
    fs::write(machine.root().path("/etc/debseal/k.pgp"), b"").unwrap();
    assert!(machine.said().contains("holds no certificate"), "{}", machine.said());
    fs::write(machine.root().path("/etc/debseal/k.pgp"), b"junk").unwrap();
    assert!(machine.said().contains("no OpenPGP certificate"), "{}", machine.said());
    machine.policy("b.toml", DEMO);
    assert!(machine.said().contains("named twice, in /etc/debseal/policy.d/a.toml"), "{}", machine.said());
}

#[test]
fn no_folder_is_no_policy() {
    let dir = tempfile::tempdir().unwrap();
    assert!(load(&Root::at(dir.path())).unwrap().is_empty());
}
