//! What people and programs see: tables of 80 columns, diffs, JSON that its schema describes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod rig;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use rig::{INTERFACES, Node, STATE};

const I: &str = "/etc/network/interfaces";

fn fits(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
        assert!(!line.contains('\x1b'), "{line:?}");
    }
}

/// One with a bit of everything.
fn busy() -> Node {
    let machine = Node::installed();
    machine.rust_writes(I, Some(&INTERFACES.replace("eno1", "eno2")));
    let reason = "a reason that is much longer than what is left of a line of eighty columns, and then some";
    machine.ctl(&["snapshot", "take", "--reason", reason]).ok();
    machine.write("/etc/network/interfaces.d/admin", "# second thoughts\n");
    machine.ctl(&["rollback", "--path", "/etc/network/interfaces.d"]).ok();
    machine.write(&format!("{STATE}/backups/20260101-000000/manifest.json"), "{");
    machine.write(&format!("{STATE}/manual-backups/before-bond/interfaces"), INTERFACES);
    machine.write(&format!("{STATE}/manual-backups/before-bond/notes.txt"), "x");
    machine
}

#[test]
fn snapshots_listed_shown_and_verified() {
    let machine = busy();
    let list = machine.ctl(&["snapshot", "list"]).ok();
    fits(&list.out);
    insta::assert_snapshot!("snapshot_list", list.shown());
    let show = machine.ctl(&["snapshot", "show", "latest"]).ok();
    fits(&show.out);
    insta::assert_snapshot!("snapshot_show", show.shown());
    insta::assert_snapshot!("snapshot_verify", machine.ctl(&["snapshot", "verify"]).code(1).shown());
    machine.ctl(&["snapshot", "verify", "manual-backups/before-bond"]).code(1).says("has no manifest");
    machine.ctl(&["snapshot", "show", "nothing"]).code(3);
}

#[test]
fn nothing_there_is_no_error() {
    let machine = Node::bare();
    machine.ctl(&["snapshot", "list"]).ok().says("there are no snapshots");
    machine.ctl(&["snapshot", "verify"]).ok().says("there are no snapshots");
    machine.ctl(&["snapshot", "prune"]).ok().says("0 snapshots removed");
    machine.ctl(&["snapshot", "diff"]).code(3).says("there is no snapshot yet");
    machine.ctl(&["rollback"]).code(3).says("there is no snapshot");
    machine.ctl(&["status"]).ok().says("migration-ctl snapshot take");
}

#[test]
fn taken_by_hand_and_found_again() {
    let machine = Node::installed();
    let said = machine.ctl(&["snapshot", "take", "--reason", "before the bond"]).ok();
    let id = said.out.trim().to_owned();
    assert_eq!(machine.snapshots().last(), Some(&id));
    let shown = machine.ctl(&["snapshot", "show", "latest", "--output", "json"]).ok().json();
    assert_eq!(shown["id"], id.as_str());
    assert_eq!((shown["reason"].as_str(), shown["version"].as_str()), (Some("before the bond"), Some("0.1.0-1")));
    machine.ctl(&["snapshot", "take", "--reason", " "]).code(2);
    // Half a snapshot is never seen.
    assert!(
        !fs::read_dir(machine.path(&format!("{STATE}/backups"))).unwrap().any(|e| e
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with(".new"))
    );
}

#[test]
fn pruning_keeps_what_the_rules_keep() {
    let machine = Node::bare();
    let mut all = Vec::new();
    for n in 0..12 {
        machine.write("/etc/network/interfaces.d/admin", format!("# {n}\n"));
        all.push(machine.ctl(&["snapshot", "take"]).ok().out.trim().to_owned());
    }
    let transaction =
        format!(r#"{{"format":1,"id":"t","opened":0,"from":"","to":"1","snapshot":"{}","stage":"open"}}"#, all[1]);
    machine.write(&format!("{STATE}/transaction.json"), &transaction);
    let dry = machine.ctl(&["snapshot", "prune", "--keep", "3", "--dry-run"]).ok();
    assert_eq!(machine.snapshots(), all);
    // The newest three, the newest five accepted, and what the transaction goes back to.
    let gone: Vec<&str> = dry.out.lines().rev().collect();
    assert_eq!(gone, [&all[0..1], &all[2..7]].concat());
    let real = machine.ctl(&["snapshot", "prune", "--keep", "3"]).ok();
    assert_eq!(real.out, dry.out);
    assert_eq!(machine.snapshots(), [&all[1..2], &all[7..]].concat());
    machine.ctl(&["snapshot", "prune", "--keep", "1"]).code(2);
    machine.write(&format!("{STATE}/transaction.json"), "{");
    machine.ctl(&["snapshot", "prune", "--keep", "2"]).code(1).says("transaction.json is damaged");
}

#[test]
fn rollbacks_do_not_push_the_last_backup_out() {
    let machine = Node::bare();
    let only = machine.ctl(&["snapshot", "take"]).ok().out.trim().to_owned();
    for n in 0..8 {
        machine.write("/etc/network/interfaces.d/admin", format!("# {n}\n"));
        machine.ctl(&["rollback"]).ok();
    }
    machine.ctl(&["snapshot", "prune", "--keep", "2"]).ok();
    assert!(machine.snapshots().contains(&only));
    machine.ctl(&["rollback"]).ok().says("nothing to restore");
}

/// Everything that can differ, at once.
fn differing() -> Node {
    let machine = Node::bare();
    machine.write("/etc/network/interfaces.d/bytes", b"\xff\x00\x01");
    machine.write("/etc/network/interfaces.d/gone", "# gone\n");
    machine.write("/etc/pve/priv/ipam.db", "token 1\n");
    machine.write("/etc/frr/frr.conf", "router bgp 65000\n neighbor 192.0.2.1 password old\n");
    machine.ctl(&["snapshot", "take"]).ok();
    machine.write(I, INTERFACES.replace("eno1", "eno2"));
    machine.write("/etc/network/interfaces.d/bytes", b"\xff\x00\x02");
    machine.remove("/etc/network/interfaces.d/gone");
    machine.write("/etc/network/interfaces.d/new", "# new, with \x1b[31m\n");
    fs::set_permissions(machine.path("/etc/network/interfaces.d/admin"), fs::Permissions::from_mode(0o600)).unwrap();
    machine.write("/etc/pve/priv/ipam.db", "token 2\n");
    machine.write("/etc/pve/sdn/dns.cfg", "powerdns: p\n\tkey 0ther\n\turl http://192.0.2.4\n");
    machine.write("/etc/frr/frr.conf", "router bgp 65000\n neighbor 192.0.2.1 password new\n");
    symlink("/etc/hosts", machine.path("/etc/frr/daemons")).unwrap();
    machine
}

#[test]
fn differences_and_no_secrets() {
    let machine = differing();
    let diff = machine.ctl(&["snapshot", "diff"]).ok();
    for secret in ["s3cret", "0ther", "token 1", "token 2", "password old", "password new"] {
        assert!(!diff.out.contains(secret), "{secret}");
    }
    assert!(!diff.out.contains('\x1b'));
    insta::assert_snapshot!("snapshot_diff", diff.shown());
    let all = machine.ctl(&["snapshot", "diff", "latest", "present", "--show-secrets"]).ok();
    for secret in ["s3cret", "0ther", "token 1", "password new"] {
        assert!(all.out.contains(secret), "{secret}");
    }
    let json = machine.ctl(&["snapshot", "diff", "--output", "json"]).ok();
    assert!(!json.out.contains("s3cret") && !json.out.contains("token 2"));
}

#[test]
fn a_diff_is_a_patch() {
    let machine = Node::installed();
    machine.write(I, INTERFACES.replace("eno1", "eno2").trim_end());
    machine.write("/etc/network/interfaces.d/new", "# new\n");
    let first = machine.snapshots()[0].clone();
    let second = machine.ctl(&["snapshot", "take"]).ok().out.trim().to_owned();
    let diff = machine.ctl(&["snapshot", "diff", &first, &second]).ok();
    let wanted = machine.etc();
    machine.ctl(&["rollback", "--to", &first]).ok();
    assert_ne!(machine.etc(), wanted);
    fs::write(machine.path("/patch"), &diff.out).unwrap();
    let patched = std::process::Command::new("patch")
        .args(["--quiet", "-p1", "-i"])
        .arg(machine.path("/patch"))
        .arg("-d")
        .arg(machine.path("/"))
        .output()
        .expect("this needs patch(1): scripts/deps.sh build");
    assert!(patched.status.success(), "{patched:?}\n{}", diff.out);
    let content = |etc: std::collections::BTreeMap<_, String>| -> Vec<String> { etc.into_values().collect() };
    assert_eq!(content(machine.etc()), content(wanted));
}

#[test]
fn status_of_a_calm_and_of_a_busy_node() {
    let machine = Node::installed();
    insta::assert_snapshot!("status_calm", machine.ctl(&["status"]).ok().shown());
    let machine = busy();
    machine.write("/etc/pve/network/migration.toml", "phase = \"perl-only\"\n[nodes.pve2]\nphase = \"rust-full\"\n");
    let status = machine.ctl(&["status"]).ok();
    insta::assert_snapshot!("status_busy", status.shown());
    assert!(status.out.lines().count() <= 24, "{}", status.out);
    for choice in ["last", "never"] {
        let said = machine.ctl_with(&["status"], &[("RESTORE", choice)]).ok();
        assert!(said.out.contains(&format!("(RESTORE={choice})")), "{said:#?}");
    }
    machine
        .ctl_with(&["status"], &[("RESTORE", "all")])
        .ok()
        .says("it must be accepted, last or never; accepted holds");
}

/// Where, its schema, and the command.
type Described<'a> = (&'a Node, &'a str, &'a [&'a str]);

/// Every output that is JSON, with the schema that describes it.
#[test]
fn json_is_what_the_schemas_say() {
    let machine = busy();
    machine.write(
        &format!("{STATE}/restore-cluster/intent.json"),
        r#"{"format":1,"id":"o","phase":"perl-only","actions":[]}"#,
    );
    let different = differing();
    let first = machine.snapshots()[1].clone();
    let cases: &[Described<'_>] = &[
        (&machine, "status", &["status"]),
        (&different, "status", &["status"]),
        (&machine, "snapshot-list", &["snapshot", "list"]),
        (&machine, "snapshot-show", &["snapshot", "show", "latest"]),
        (&machine, "snapshot-show", &["snapshot", "show", "manual-backups/before-bond"]),
        (&machine, "snapshot-verify", &["snapshot", "verify"]),
        (&different, "snapshot-diff", &["snapshot", "diff"]),
        (&machine, "snapshot-diff", &["snapshot", "diff", &first, "present"]),
        (&machine, "accept", &["accept", "--dry-run"]),
    ];
    for (machine, schema, arguments) in cases {
        let path = format!("{}/../../docs/schema/{schema}.json", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{path}");
        let validator = jsonschema::validator_for(&schema).unwrap_or_else(|e| panic!("{path}: {e}"));
        let value = machine.ctl(&[*arguments, &["--output", "json"]].concat()).json();
        let errors: Vec<String> =
            validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{arguments:?}: {errors:#?}\n{value:#}");
        // And it says something: an object that lacks what is promised is refused.
        assert!(!validator.is_valid(&serde_json::json!({})), "{path} allows anything");
        let mut other = value.clone();
        other["schema_version"] = 2.into();
        assert!(!validator.is_valid(&other), "{path} does not fix schema_version");
    }
}

/// What it is, and how it comes about.
type Fault = (&'static str, fn(&Node));

/// Whatever became of our state, each command says so in a line and ends with one of its codes.
#[test]
fn malformed_state_of_every_kind() {
    let faults: &[Fault] = &[
        ("journal cut short", |m| m.write(&format!("{STATE}/operations.jsonl"), "{\"event\":\"begin\",\"id\":")),
        ("journal of zeros", |m| m.write(&format!("{STATE}/operations.jsonl"), vec![0u8; 4096])),
        ("journal is a folder", |m| {
            m.remove(&format!("{STATE}/operations.jsonl"));
            fs::create_dir(m.path(&format!("{STATE}/operations.jsonl"))).unwrap();
        }),
        ("transaction", |m| m.write(&format!("{STATE}/transaction.json"), "{")),
        ("removal", |m| m.write(&format!("{STATE}/removal.json"), "[]")),
        ("resume", |m| m.write(&format!("{STATE}/resume.json"), "\u{0}")),
        ("intent", |m| m.write(&format!("{STATE}/restore/intent.json"), "{}")),
        ("cluster intent", |m| m.write(&format!("{STATE}/restore-cluster/intent.json"), "nonsense")),
        ("manifest", |m| m.write(&format!("{STATE}/backups/{}/manifest.json", m.snapshots()[0]), "{\"format\":1}")),
        ("manifest of tomorrow", |m| {
            m.write(&format!("{STATE}/backups/{}/manifest.json", m.snapshots()[0]), "{\"format\":99}");
        }),
        ("a snapshot is a file", |m| m.write(&format!("{STATE}/backups/20260101-000000"), "x")),
        ("a snapshot is a dangling link", |m| {
            symlink("nowhere", m.path(&format!("{STATE}/backups/20260101-000000"))).unwrap();
        }),
        ("latest leads nowhere", |m| {
            m.remove(&format!("{STATE}/backups/latest"));
            symlink("gone", m.path(&format!("{STATE}/backups/latest"))).unwrap();
        }),
        ("backups is a file", |m| {
            fs::remove_dir_all(m.path(&format!("{STATE}/backups"))).unwrap();
            m.write(&format!("{STATE}/backups"), "x");
        }),
        ("manual-backups is a file", |m| m.write(&format!("{STATE}/manual-backups"), "x")),
        ("a manual backup has a damaged manifest", |m| {
            m.write(&format!("{STATE}/manual-backups/m/manifest.json"), "{")
        }),
        ("ceiling", |m| m.write(&format!("{STATE}/ceiling"), vec![0xff; 9])),
        ("migration.toml", |m| m.write("/etc/pve/network/migration.toml", "phase = ")),
        ("dpkg's status", |m| m.write("/var/lib/dpkg/status", vec![0xfe; 99])),
        ("a fifo", |m| {
            let done = std::process::Command::new("mkfifo").arg(m.path("/etc/network/interfaces.d/fifo")).status();
            assert!(done.unwrap().success());
        }),
        ("a name that is not text", |m| {
            use std::os::unix::ffi::OsStrExt;
            let name = std::ffi::OsStr::from_bytes(b"\xff\n\x1b[31m");
            fs::write(m.path("/etc/network/interfaces.d").join(name), "x").unwrap();
        }),
        ("no state", |m| fs::remove_dir_all(m.path(STATE)).unwrap()),
        ("state is a file", |m| {
            fs::remove_dir_all(m.path(STATE)).unwrap();
            m.write(STATE, "x");
        }),
        ("nothing at all", |m| fs::remove_dir_all(m.path("/etc")).unwrap()),
    ];
    let commands: &[&[&str]] = &[
        &["status"],
        &["status", "--output", "json"],
        &["snapshot", "list"],
        &["snapshot", "show", "latest"],
        &["snapshot", "diff"],
        &["snapshot", "verify"],
        &["snapshot", "prune", "--dry-run"],
        &["accept", "--dry-run"],
        &["rollback", "--dry-run"],
        &["rollback", "--to", "manual-backups/m", "--dry-run"],
        &["rollback", "--resume", "--dry-run"],
        &["rollback", "--cluster"],
        &["rollback", "--resume"],
        &["snapshot", "take"],
        &["accept"],
    ];
    for (fault, damage) in faults {
        let machine = Node::installed();
        machine.rust_writes("/etc/network/interfaces.d/rust", Some("# by Rust\n"));
        damage(&machine);
        for command in commands {
            let said = machine.ctl(command);
            assert!([0, 1, 3, 5].contains(&said.code), "{fault}: {command:?}: {said:#?}");
            let whole = !said.err.contains("panicked") && !said.out.contains('\x1b') && !said.err.contains('\x1b');
            assert!(whole, "{fault}: {command:?}: {said:#?}");
            assert!(said.code == 0 || !said.err.trim().is_empty(), "{fault}: {command:?} fails without a word");
            if command[0] == "status" {
                assert_eq!(said.code, 0, "{fault}: status tells, it does not fail: {said:#?}");
            }
        }
    }
}
