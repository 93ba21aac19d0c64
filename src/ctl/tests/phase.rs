//! `migration-ctl phase`, `feature` and `config` as operators run them: the real program, on a folder that
//! stands for a node.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod rig;

use rig::Node;
use serde_json::Value;

const HISTORY: &str = "/var/lib/pve-network-rs/phase-history.jsonl";
const MIGRATION: &str = "/etc/pve/network/migration.toml";

#[test]
fn one_step_up_any_down_and_every_step_is_told() {
    let node = Node::new("pve1").with("/etc/pve/nodes/pve2/x", "");
    node.ctl(&["phase", "get"]).ok().prints("perl-only\n");
    node.ctl(&["phase", "set", "rust-basic-write"])
        .code(3)
        .says("cannot go from perl-only to rust-basic-write: one step up at a time; the next phase is rust-read-only");
    node.ctl(&["phase", "set", "rust-read-only"])
        .ok()
        .says("node pve1 is at rust-read-only (was perl-only)")
        .says("node pve2 is at perl-only, or lower by its own ceiling")
        .says("systemctl restart pve-network-migration.service");
    node.ctl(&["phase", "set", "rust-basic-write"])
        .ok()
        .says("feature rust_cli is off, so that it writes nothing yet: migration-ctl feature enable rust_cli")
        .says("feature rust_daemon is off");
    node.ctl(&["phase", "get"]).ok().prints("rust-basic-write\n");
    node.ctl(&["phase", "set", "perl-only"]).ok();
    node.ctl(&["phase", "get"]).ok().prints("perl-only\n");
    let told = node.ctl(&["phase", "history"]).ok();
    for step in ["perl-only -> rust-read-only", "rust-read-only -> rust-basic-write", "rust-basic-write -> perl-only"] {
        assert!(told.out.contains(&format!("node pve1: {step}\n")), "{}", told.out);
    }
    node.ctl(&["phase", "history", "--verify"]).ok().quiet();
    // The shipped file, all its comments in their order, and one line more.
    let shipped = include_str!("../../phase/migration.toml");
    let text = node.text(MIGRATION);
    let mut lines = text.lines();
    for line in shipped.lines() {
        assert!(lines.any(|l| l == line), "lost or moved: {line}");
    }
    assert!(text.contains("[nodes.pve1]\nphase = \"perl-only\"\n"), "{text}");
}

#[test]
fn a_dry_run_shows_and_changes_nothing() {
    let node = Node::new("pve1");
    node.ctl(&["phase", "set", "rust-read-only"]).ok();
    let before = (node.text(MIGRATION), node.text(HISTORY));
    node.ctl(&["phase", "set", "rust-basic-write", "--dry-run", "--restart"])
        .ok()
        .prints("ceiling: rust-read-only -> rust-basic-write\nnodes.pve1.phase: rust-read-only -> rust-basic-write\nrestart pve-network-migration.service\n");
    node.ctl(&["phase", "set", "rust-sdn", "--dry-run"]).code(3);
    node.ctl(&["feature", "enable", "rust_cli", "--dry-run"]).ok().prints("features.rust_cli: false -> true\n");
    assert_eq!((node.text(MIGRATION), node.text(HISTORY)), before);
}

#[test]
fn a_larger_step_needs_a_reason_and_an_end_and_stays_open_until_it_is_gone() {
    let node = Node::new("pve1");
    node.ctl(&["phase", "set", "rust-sdn", "--override"]).code(2);
    node.ctl(&["phase", "set", "rust-sdn", "--override", "--reason", " ", "--expires", "2h"]).code(2);
    node.ctl(&["phase", "set", "rust-sdn", "--override", "--reason", "drill", "--expires", "2w"]).code(2);
    node.ctl(&["phase", "set", "rust-sdn", "--reason", "drill", "--expires", "2h"]).code(2);
    node.ctl(&["phase", "set", "rust-sdn", "--override", "--reason", "drill", "--expires", "2h"])
        .ok()
        .says("let through by override until ");
    let open = |node: &Node| node.json(&["phase", "history", "--output", "json"])["open_overrides"].clone();
    assert_eq!(open(&node)[0]["expired"], false);
    assert_eq!((open(&node)[0]["from"].as_str(), open(&node)[0]["to"].as_str()), (Some("perl-only"), Some("rust-sdn")));
    node.ctl(&["phase", "history"]).ok().says("override of node pve1 from perl-only to rust-sdn: holds until ");
    // More time for it, then down to where one step leads: then there is nothing left to justify.
    node.ctl(&["phase", "set", "rust-sdn", "--override", "--reason", "longer", "--expires", "1d"]).ok();
    assert_eq!(open(&node).as_array().unwrap().len(), 1);
    assert_eq!(open(&node)[0]["reason"], "longer");
    node.ctl(&["phase", "set", "rust-read-only"]).ok();
    assert_eq!(open(&node), Value::Array(vec![]));
    node.ctl(&["phase", "set", "rust-basic-write", "--override", "--reason", "x", "--expires", "1h"])
        .ok()
        .says("no override was needed, and none is recorded");
}

#[test]
fn another_node_and_all_nodes() {
    let node = Node::new("pve1").with("/etc/pve/nodes/pve2/x", "").with("/etc/pve/nodes/pve3/x", "");
    node.ctl(&["phase", "set", "rust-read-only", "--node", "pve2"])
        .ok()
        .says("migration.toml now wants rust-read-only of node pve2 (was perl-only)")
        .says("node pve2 never does more than its own ceiling allows; to raise that, run there: migration-ctl phase set rust-read-only");
    node.ctl(&["phase", "get"]).ok().prints("perl-only\n");
    node.ctl(&["phase", "get", "--node", "pve2"]).ok().stdout_is("rust-read-only\n");
    node.ctl(&["phase", "set", "perl-only", "--node", "pve9"])
        .code(2)
        .says("there is no node 'pve9' in this cluster (there is: pve1, pve2, pve3)");
    node.ctl(&["phase", "set", "rust-basic-write", "--all-nodes"]).code(3).says("node pve1: cannot go from perl-only");
    node.ctl(&["phase", "set", "rust-read-only", "--all-nodes"]).ok().says("of node pve3 (was perl-only)");
    node.ctl(&["phase", "get", "--all-nodes"])
        .ok()
        .stdout_is("pve1  rust-read-only\npve2  rust-read-only\npve3  rust-read-only\n");
    node.ctl(&["phase", "set", "perl-only", "--all-nodes"]).ok();
    let all = node.json(&["phase", "get", "--all-nodes", "--output", "json"]);
    for (at, name) in ["pve1", "pve2", "pve3"].iter().enumerate() {
        assert_eq!(
            (all["nodes"][at]["node"].as_str(), all["nodes"][at]["wanted"].as_str()),
            (Some(*name), Some("perl-only"))
        );
    }
    assert_eq!(all["nodes"][1]["phase"], Value::Null, "another node's ceiling is its own");
    node.ctl(&["phase", "history", "--verify"]).ok();
}

#[test]
fn whatever_is_wrong_with_the_file_means_perl_only_loudly() {
    let node = Node::new("pve1");
    node.ctl(&["phase", "set", "rust-read-only"]).ok();
    let good = node.text(MIGRATION);
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("unknown key", b"\nfallback = true\n".to_vec(), "migration.toml:2: unknown key 'fallback' (allowed: phase, "),
        (
            "wrong type",
            b"fallback_enabled = 'yes'\n".to_vec(),
            "migration.toml:1: fallback_enabled = 'yes' is not allowed (allowed: true or false)",
        ),
        (
            "wrong phase",
            b"phase = 'rust-everything'\n".to_vec(),
            "migration.toml:1: phase = 'rust-everything' is not allowed (allowed: perl-only, ",
        ),
        ("half-written", good.as_bytes()[..good.find("read-only\"\n").unwrap()].to_vec(), "migration.toml:"),
        ("not UTF-8", b"# \n\xff\n".to_vec(), "migration.toml:2: not UTF-8"),
        ("a mebibyte", vec![b'#'; 1 << 20], "larger than 65536 bytes"),
    ];
    for (what, bytes, said) in cases {
        node.write(MIGRATION, &bytes);
        node.ctl(&["phase", "get"]).ok().stdout_is("perl-only\n").says(said).says("taken as perl-only");
        node.ctl(&["phase", "allows", "daemon"]).code(3).says(said);
        node.ctl(&["config", "check"]).code(1).says(said);
        let refused = node.ctl(&["phase", "set", "rust-read-only"]).code(1).says(said);
        assert!(!refused.err.contains("panicked"), "{what}");
        // Down works in any case, and leaves the file to the operator.
        node.ctl(&["phase", "set", "perl-only"]).code(1).says("this node's own ceiling holds meanwhile");
        assert_eq!(node.bytes(MIGRATION), bytes, "{what}");
        node.write(MIGRATION, good.as_bytes());
        node.ctl(&["phase", "set", "rust-read-only"]).ok();
    }
    node.remove(MIGRATION);
    node.link(MIGRATION, "/etc/hostname");
    node.ctl(&["phase", "get"]).ok().stdout_is("perl-only\n").says("not a plain file");
    node.ctl(&["phase", "set", "rust-read-only"]).code(1).says("not a plain file");
}

#[test]
fn a_file_that_may_not_be_read_means_perl_only_too() {
    let node = Node::new("pve1");
    node.ctl(&["phase", "set", "rust-read-only"]).ok();
    node.ctl_as_nobody(MIGRATION, &["phase", "get"])
        .ok()
        .stdout_is("perl-only\n")
        .says("Permission denied: taken as perl-only");
}

/// Every word in capitals that the program itself knows, set to what would raise the phase.
#[test]
fn no_environment_variable_raises_a_phase() {
    let node = Node::new("pve1");
    node.ctl(&["phase", "set", "perl-only"]).ok();
    let program = std::fs::read(env!("CARGO_BIN_EXE_migration-ctl")).unwrap();
    let capital = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    let mut names: Vec<String> = program
        .split(|b| !capital(*b))
        .filter(|word| (3..=40).contains(&word.len()) && word[0].is_ascii_uppercase())
        .map(|word| String::from_utf8(word.to_vec()).unwrap())
        .collect();
    names.extend(
        ["PHASE", "MIGRATION_PHASE", "PVE_NETWORK_PHASE", "PVE_NETWORK_RS_PHASE", "CEILING", "DPKG_ROOT", "SUDO_USER"]
            .map(String::from),
    );
    names.sort();
    names.dedup();
    // These are the loader's and the allocator's, who may refuse to start with them.
    names.retain(|name| !name.starts_with("LD_") && !name.starts_with("GLIBC") && !name.starts_with("MALLOC"));
    assert!(names.len() > 10 && names.iter().any(|n| n.contains("SUDO_USER")), "{names:?}");
    let with = |value: &str| names.iter().map(|name| (name.clone(), value.to_owned())).collect::<Vec<_>>();
    for value in ["rust-full", "1", "/"] {
        let mut command = node.command(&["phase", "get"]);
        let out = command.envs(with(value)).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&out.stdout), "perl-only\n", "{value}");
        let mut command = node.command(&["phase", "set", "rust-full"]);
        assert_eq!(command.envs(with(value)).output().unwrap().status.code(), Some(3), "{value}");
    }
}

#[test]
fn the_history_names_where_it_breaks() {
    let node = Node::new("pve1");
    node.ctl(&["phase", "set", "rust-read-only"]).ok();
    node.ctl(&["phase", "set", "perl-only"]).ok();
    let good = node.text(HISTORY);
    node.write(HISTORY, good.replacen("set by hand", "set by mind", 1).as_bytes());
    node.ctl(&["phase", "history", "--verify"]).code(1).says("phase-history.jsonl:2: the chain breaks here");
    // Its end is missing: the chain can't tell, but the ceiling does.
    let lines: Vec<&str> = good.split_inclusive('\n').collect();
    node.write(HISTORY, lines[..2].concat().as_bytes());
    node.ctl(&["phase", "history", "--verify"]).code(1).says("does not say how this node's ceiling came about");
    // A power cut in the middle of a line.
    node.write(HISTORY, &good.as_bytes()[..good.len() - 9]);
    node.ctl(&["phase", "history", "--verify"]).ok().says("the last line was cut short");
    node.ctl(&["phase", "set", "rust-read-only"]).ok();
    node.ctl(&["phase", "history", "--verify"]).ok().says("line 4 was cut short; what it announced was not done");
    // A ceiling that somebody wrote by hand.
    node.write("/var/lib/pve-network-rs/ceiling", b"rust-full\n");
    node.ctl(&["phase", "history", "--verify"]).code(1).says("changed by hand");
    node.ctl(&["phase", "set", "perl-only"]).ok();
    node.ctl(&["phase", "history", "--verify"])
        .code(1)
        .says("before line 7 this node's ceiling was changed by something that left no line");
}

#[test]
fn without_the_lock_nothing_rises_and_anything_falls() {
    let node = Node::new("pve1");
    node.ctl(&["phase", "set", "rust-read-only"]).ok();
    let lock = "/var/lib/pve-network-rs/lock";
    node.remove(lock);
    node.ctl(&["phase", "set", "rust-basic-write"]).code(3).says("`dpkg-reconfigure pve-network-rs` makes it anew");
    node.ctl(&["phase", "get"]).ok().prints("rust-read-only\n");
    node.ctl(&["phase", "set", "perl-only"]).ok().says("the change is made all the same, since it raises nothing");
    node.ctl(&["phase", "get"]).ok().prints("perl-only\n");
    assert!(!node.path(lock).exists(), "what a purge took away nobody makes anew");
}

#[test]
fn without_a_history_nothing_rises_and_anything_falls() {
    let node = Node::new("pve1");
    node.ctl(&["phase", "set", "rust-read-only"]).ok();
    node.remove(HISTORY);
    node.folder(HISTORY);
    node.ctl(&["phase", "set", "rust-basic-write"])
        .code(1)
        .says("nothing is changed, since it could not be recorded: cannot write the phase history");
    node.ctl(&["feature", "enable", "rust_cli"]).code(1);
    node.ctl(&["phase", "get"]).ok().prints("rust-read-only\n");
    node.ctl(&["phase", "set", "perl-only"]).ok().says("the change is made all the same, since it raises nothing");
    node.ctl(&["phase", "get"]).ok().prints("perl-only\n");
}

#[test]
fn features() {
    let node = Node::new("pve1");
    node.ctl(&["feature", "enable", "rust_cli"])
        .ok()
        .says("feature rust_cli is on, for the whole cluster")
        .says("allows no write");
    node.ctl(&["feature", "enable", "rust_cli"]).ok().says("on already");
    node.ctl(&["feature", "list"])
        .ok()
        .stdout_is("rust_cli     on   pvenet writes by itself\nrust_daemon  off  the daemon writes\n");
    let list = node.json(&["feature", "list", "--output", "json"]);
    assert_eq!((&list["features"][0]["on"], &list["features"][1]["on"]), (&Value::Bool(true), &Value::Bool(false)));
    assert!(node.text(MIGRATION).contains("features = { rust_cli = true, rust_daemon = false }"));
    node.ctl(&["feature", "disable", "rust_cli"]).ok();
    node.ctl(&["feature", "enable", "rust_gui"]).code(2);
    assert!(node.ctl(&["phase", "history"]).ok().out.contains("features.rust_cli: true -> false"));
}

#[test]
fn a_file_is_checked_shown_and_put_in_place() {
    let node = Node::new("pve1").with("/etc/pve/nodes/pve2/x", "");
    let first = "# ours\nphase = \"perl-only\"\nperl_api_timeout = 9\n";
    node.write(MIGRATION, first.as_bytes());
    let shown = node.ctl(&["config", "show"]).ok();
    assert!(shown.out.contains("perl_api_timeout         9                         line 3\n"), "{}", shown.out);
    assert!(shown.out.contains("fallback_enabled         true                      default\n"), "{}", shown.out);
    let new = node.outside(
        "new.toml",
        "# theirs\nphase = \"perl-only\"\n[nodes.pve2]\nphase = \"rust-read-only\"\n[nodes.pvee]\nphase = \"perl-only\"\n",
    );
    node.ctl(&["config", "check", &new])
        .ok()
        .says("nodes.pvee.phase: the cluster has no node 'pvee' (there is: pve1, pve2)");
    let dry = node.ctl(&["config", "import", &new, "--dry-run"]).ok();
    assert!(dry.out.contains("-# ours\n") && dry.out.contains("+# theirs\n"), "{}", dry.out);
    dry.says("migration.toml would want rust-read-only of node pve2 (was perl-only)");
    assert_eq!(node.text(MIGRATION), first);
    node.ctl(&["config", "import", &new]).ok().says("what it replaced is kept in /var/lib/pve-network-rs/replaced/");
    assert!(node.text(MIGRATION).starts_with("# theirs\n"));
    let kept = node.ls("/var/lib/pve-network-rs/replaced");
    assert_eq!(node.text(&format!("/var/lib/pve-network-rs/replaced/{}", kept[0])), first);
    node.ctl(&["config", "import", &new]).ok().says("has this content already");
    let high = node.outside("high.toml", "phase = \"rust-sdn\"\n");
    node.ctl(&["config", "import", &high]).code(3).says("node pve1: cannot go from perl-only to rust-sdn");
    node.ctl(&["config", "import", &high, "--override", "--reason", "lab", "--expires", "1d"]).ok();
    node.ctl(&["phase", "get"]).ok().stdout_is("perl-only\n");
    let bad = node.outside("bad.toml", "phase = 1\n");
    node.ctl(&["config", "import", &bad]).code(1).says("bad.toml:1: phase = 1 is not allowed");
    node.ctl(&["config", "import", "/nowhere.toml"]).code(2);
    assert!(node.text(MIGRATION).contains("rust-sdn"));
    node.ctl(&["phase", "history", "--verify"]).ok();
}

#[test]
fn outside_a_running_system_nothing_is_restarted() {
    let node = Node::new("pve1");
    node.ctl(&["phase", "set", "rust-read-only", "--restart"])
        .code(1)
        .says("cannot restart pve-network-migration.service: systemd does not run here; the phase is set");
    node.ctl(&["phase", "get"]).ok().prints("rust-read-only\n");
}

#[test]
fn what_programs_read_keeps_to_its_schema() {
    let node = Node::new("pve1").with("/etc/pve/nodes/pve2/x", "");
    node.ctl(&["phase", "set", "rust-sdn", "--override", "--reason", "drill", "--expires", "2h"]).ok();
    node.ctl(&["feature", "enable", "rust_cli"]).ok();
    for (arguments, schema) in [
        (&["phase", "get"][..], "phase-get"),
        (&["phase", "get", "--all-nodes"], "phase-get-nodes"),
        (&["phase", "history"], "phase-history"),
        (&["feature", "list"], "feature-list"),
        (&["config", "show"], "config-show"),
    ] {
        let value = node.json(&[arguments, &["--output", "json"]].concat());
        rig::schema::check(schema, &value);
    }
}
