//! The real `pvenet`, below a throw-away root.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

const INTERFACES: &str = "\
auto lo
iface lo inet loopback

iface eno1 inet manual

auto vmbr0
iface vmbr0 inet static
\taddress 192.0.2.10/24
\tgateway 192.0.2.1
\tbridge-ports eno1
\tbridge-stp off
\tbridge-fd 0
";

struct Machine(tempfile::TempDir);

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Machine {
    fn at(phase: &str) -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        machine.write("/etc/hostname", "pve1\n");
        machine.write("/etc/hosts", "192.0.2.10 pve1\n");
        machine.write("/etc/network/interfaces", INTERFACES);
        machine.write("/etc/pve/network/migration.toml", &format!("phase = \"{phase}\"\n"));
        machine.write("/var/lib/pve-network-rs/ceiling", &format!("{phase}\n"));
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pvenet"));
        command.arg("--root").arg(self.0.path()).args(arguments);
        command
    }

    fn pvenet(&self, arguments: &[&str]) -> Said {
        let root = self.0.path().to_str().unwrap();
        let done = self.command(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(root, "");
        Said { code: done.status.code(), out: text(done.stdout), err: text(done.stderr) }
    }

    /// Every file and what is in it.
    fn state(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut out = Vec::new();
        let mut folders = vec![self.0.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { out.push((path.clone(), fs::read(path).unwrap())) }
            }
        }
        out.sort();
        out
    }
}

#[test]
fn in_perl_only_rust_answers_nothing_but_what_is_wrong() {
    let machine = Machine::at("perl-only");
    for command in [&["list"][..], &["show", "lo"], &["diff"]] {
        let said = machine.pvenet(command);
        assert_eq!((said.code, said.out.as_str()), (Some(3), ""), "{command:?}: {}", said.err);
        assert!(said.err.contains("migration-ctl phase set rust-read-only"), "{}", said.err);
    }
    let said = machine.pvenet(&["validate"]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(0), "/etc/network/interfaces: nothing wrong was found\n"),
        "{}",
        said.err
    );
}

#[test]
fn lists_and_shows_and_changes_nothing() {
    let machine = Machine::at("rust-read-only");
    let before = machine.state();
    let said = machine.pvenet(&["list"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let row = said.out.lines().find(|l| l.starts_with("vmbr0")).unwrap();
    assert_eq!(
        row.split_whitespace().collect::<Vec<_>>(),
        ["vmbr0", "bridge", "-", "yes", "192.0.2.10/24", "192.0.2.1", "eno1"]
    );
    let json: serde_json::Value = serde_json::from_str(&machine.pvenet(&["list", "--format", "json"]).out).unwrap();
    assert_eq!((&json["schema_version"], &json["file"]), (&1.into(), &"/etc/network/interfaces".into()));
    let bridge = json["interfaces"].as_array().unwrap().iter().find(|i| i["iface"] == "vmbr0").unwrap();
    // Strings where Proxmox has strings, numbers where it has numbers.
    assert_eq!((&bridge["netmask"], &bridge["autostart"]), (&"24".into(), &1.into()));
    let said = machine.pvenet(&["show", "vmbr0"]);
    assert!(said.out.contains("cidr          192.0.2.10/24\n"), "{}", said.out);
    let said = machine.pvenet(&["show", "nosuch"]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("neither /etc/network/interfaces nor the kernel has an interface nosuch"),
        "{}",
        said.err
    );
    assert_eq!(machine.state(), before);
}

#[test]
fn pending_changes_come_first_and_are_shown_as_a_patch() {
    let machine = Machine::at("rust-read-only");
    let said = machine.pvenet(&["diff"]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), ""), "{}", said.err);
    assert!(said.err.contains("nothing is pending"));
    machine.write("/etc/network/interfaces.new", &INTERFACES.replace("192.0.2.10/24", "192.0.2.11/24"));
    let said = machine.pvenet(&["list"]);
    assert!(said.out.contains("192.0.2.11/24") && said.err.contains("pending"), "{}{}", said.out, said.err);
    let said = machine.pvenet(&["diff"]);
    assert!(said.out.starts_with("--- /etc/network/interfaces\n+++ /etc/network/interfaces.new\n@@"), "{}", said.out);
    assert!(said.out.contains("-\taddress 192.0.2.10/24\n+\taddress 192.0.2.11/24\n"), "{}", said.out);
}

#[test]
fn what_would_cut_the_node_off_is_an_error_unless_told_so() {
    let machine = Machine::at("perl-only");
    machine.write("/etc/network/interfaces.new", &INTERFACES.replace("192.0.2.10/24", "192.0.2.11/24"));
    let said = machine.pvenet(&["validate"]);
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert!(said.out.contains("error PVN046") && said.out.contains("192.0.2.10"), "{}", said.out);
    let said = machine.pvenet(&["validate", "--allow-cut-off"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("warning PVN046"), "{}", said.out);
}

#[test]
fn a_file_of_ones_own_is_checked_line_by_line() {
    let machine = Machine::at("perl-only");
    let file = machine.path("/root/mine");
    machine.write(
        "/root/mine",
        &format!("{INTERFACES}\niface eno1.4095 inet manual\n\niface eno2 inet static\n\taddress 192.0.2.0/24\n"),
    );
    let path = file.to_str().unwrap();
    let said = machine.pvenet(&["validate", "--config", path]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.out.contains("/root/mine:14: error PVN021: eno1.4095: vlan 'eno1.4095' - vlan-id 4095"),
        "{}",
        said.out
    );
    assert!(
        said.out.contains("/root/mine:16: error PVN044: eno2: 192.0.2.0/24 is the address of the network itself"),
        "{}",
        said.out
    );
    assert!(said.err.contains("has 2 errors"), "{}", said.err);
    let said = machine.pvenet(&["validate", "--config", path, "--output", "json"]);
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&json["errors"], &json["findings"][0]["line"]), (&2.into(), &14.into()));
    let said = machine.pvenet(&["validate", "--config", "/nonexistent/x"]);
    assert_eq!((said.code, said.err.as_str()), (Some(1), "pvenet: there is no /nonexistent/x\n"));
}

#[test]
fn without_anybody_who_reads_the_exit_code_is_the_same() {
    let gone = || std::io::pipe().unwrap().1;
    for (phase, command, code) in [
        ("perl-only", &["list"][..], 3),
        ("perl-only", &["validate"], 0),
        ("perl-only", &["apply", "--dry-run"], 0),
        ("rust-read-only", &["list"], 0),
        ("rust-read-only", &["diff"], 0),
        ("rust-read-only", &["show", "nobody"], 1),
        ("rust-read-only", &["confirm"], 1),
    ] {
        let machine = Machine::at(phase);
        let said = machine.pvenet(command);
        assert_eq!(said.code, Some(code), "{command:?}: {}", said.err);
        let ended = machine.command(command).stdout(gone()).stderr(gone()).status().unwrap();
        assert_eq!(ended.code(), Some(code), "{command:?}");
    }
}

#[test]
fn a_broken_migration_toml_is_called_broken_and_no_feature_off() {
    let machine = Machine::at("rust-basic-write");
    let said = machine.pvenet(&["apply", "--dry-run"]);
    assert!(said.err.contains("pvenet: the feature rust_cli is off: applied through Perl"), "{}", said.err);
    machine.write("/etc/pve/network/migration.toml", "phase = [\n");
    let said = machine.pvenet(&["apply", "--dry-run"]);
    assert!(said.err.contains("migration.toml:1") && !said.err.contains("rust_cli"), "{}", said.err);
}
