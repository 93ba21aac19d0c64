//! `migration-ctl promote` on a folder that stands for a node: what needs no Prometheus. With one, see
//! `tests/tests/canary.rs`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod rig;

use host::Clock;
use phase::{Phase, Who, Wish};
use rig::{Node, STATE};

const TOML: &str = "/etc/pve/network/migration.toml";

/// A node as an install leaves it, whose history says so, with an order.
fn installed(order: &str) -> Node {
    let machine = Node::bare();
    machine.remove(&format!("{STATE}/ceiling"));
    machine.write(TOML, format!("phase = \"perl-only\"\n[canary]\n{order}\n"));
    let first = Wish::First { ceiling: Phase::PerlOnly, text: String::new() };
    switch(&machine).change(first, None, Who::here("postinst"), "first install", Clock::System).unwrap();
    machine
}

fn switch(machine: &Node) -> phase::Switch {
    ctl::policy().unwrap().switch(&machine.root).unwrap().0
}

/// Verdicts that are kept, the one of the lowest phase first: a test passes several in one second.
fn passages(machine: &Node) -> Vec<serde_json::Value> {
    let folder = machine.path(&format!("{STATE}/gates"));
    let files = std::fs::read_dir(folder).into_iter().flatten().map(|e| std::fs::read(e.unwrap().path()).unwrap());
    let mut all: Vec<serde_json::Value> = files.map(|bytes| serde_json::from_slice(&bytes).unwrap()).collect();
    all.sort_by_key(|passage| passage["to"].as_str().unwrap().parse::<Phase>().unwrap());
    all
}

#[test]
fn the_first_step_needs_no_time_and_leaves_a_verdict() {
    let machine = installed("order = [\"pve1\", \"pve2\"]");
    let dry = machine.ctl(&["promote", "--dry-run"]).ok();
    assert!(dry.out.starts_with("pass: node pve1 may go from perl-only to rust-read-only"), "{dry:#?}");
    assert_eq!(machine.text(&format!("{STATE}/ceiling")), "perl-only\n");
    assert_eq!(passages(&machine).len(), 0);

    machine
        .ctl(&["promote"])
        .ok()
        .says("node pve1 is at rust-read-only (was perl-only)")
        .says("the verdict is kept in");
    assert_eq!(machine.text(&format!("{STATE}/ceiling")), "rust-read-only\n");
    assert!(machine.text(TOML).contains("[nodes.pve1]\nphase = \"rust-read-only\""), "{}", machine.text(TOML));
    machine.ctl(&["phase", "history", "--verify"]).ok();
    machine.ctl(&["phase", "history"]).ok().says("the gate passed");
    let all = passages(&machine);
    assert_eq!(all.len(), 1);
    assert_eq!((all[0]["verdict"]["verdict"].as_str(), all[0]["to"].as_str()), (Some("pass"), Some("rust-read-only")));

    // The next one needs a day and witnesses: nothing changes.
    machine.ctl(&["promote"]).code(4).says("ask again at").says("no Prometheus is named");
    assert_eq!(machine.text(&format!("{STATE}/ceiling")), "rust-read-only\n");
    assert_eq!(passages(&machine).len(), 1);
    let json = machine.ctl(&["promote", "--output", "json"]).code(4).json();
    assert_eq!((json["promoted"].as_bool(), json["verdict"]["verdict"].as_str()), (Some(false), Some("inconclusive")));
}

#[test]
fn an_override_has_a_reason_and_an_end_and_blocks_once_it_has_ended() {
    let machine = installed("order = [\"pve1\"]");
    machine.ctl(&["promote"]).ok();
    machine.ctl(&["promote", "--override"]).code(2);
    machine.ctl(&["promote", "--override", "--reason", "lab"]).code(2);
    let over = ["promote", "--override", "--reason", "lab, ticket 4711", "--expires", "2h"];
    machine.ctl(&over).ok().says("let through by override until").says("node pve1 is at rust-basic-write");
    let all = passages(&machine);
    assert_eq!(all.len(), 2);
    assert_eq!(all[1]["override"]["reason"].as_str(), Some("lab, ticket 4711"));
    assert_eq!(all[1]["verdict"]["verdict"].as_str(), Some("inconclusive"), "the verdict stays what it is");
    machine.ctl(&["phase", "history"]).ok().says("the gate said inconclusive, overridden until").says("ticket 4711");
    machine
        .ctl(&["promote", "--explain"])
        .code(4)
        .says("override of a gate to rust-basic-write: lab, ticket 4711 (by ");

    // Once it has ended, a gate fails whatever else it sees.
    let path = machine.path(&format!("{STATE}/gates"));
    let file = std::fs::read_dir(path)
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.to_string_lossy().ends_with("-rust-basic-write.json"))
        .unwrap();
    let before = std::fs::read(&file).unwrap();
    let mut passage: serde_json::Value = serde_json::from_slice(&before).unwrap();
    passage["override"]["expires"] = 1.into();
    std::fs::write(&file, passage.to_string()).unwrap();
    machine.ctl(&["promote"]).code(4).says("by which this node came to its phase, was changed");
    // As if it had been so from the beginning: the history is chained anew.
    let digest = |bytes: &[u8]| host::files::sha256(bytes);
    let history = machine.path(&format!("{STATE}/phase-history.jsonl"));
    let mut chained = Vec::new();
    for line in std::fs::read_to_string(&history).unwrap().lines() {
        let line = line.replace(&digest(&before), &digest(passage.to_string().as_bytes()));
        let record: phase::record::Record = serde_json::from_str(&line).unwrap();
        let line = phase::record::append(&chained, record.time, record.event);
        chained.extend(line);
    }
    std::fs::write(&history, chained).unwrap();
    machine.ctl(&["promote"]).code(3).says("expired at 1970-01-01T00:00:01Z (lab, ticket 4711)");
    // One that can't be read might be such a one.
    std::fs::write(&file, "{").unwrap();
    machine.ctl(&["promote"]).code(4).says("cannot read ");
    std::fs::write(&file, passage.to_string()).unwrap();
    // Lowering the phase makes it good.
    machine.ctl(&["phase", "set", "rust-read-only"]).ok();
    machine.ctl(&["promote"]).code(4).says("has been at rust-read-only for");
}

#[test]
fn who_goes_first_and_when_are_not_set_aside() {
    let machine = installed("order = [\"pve0\", \"pve1\"]");
    let over = ["promote", "--override", "--reason", "in a hurry", "--expires", "2h"];
    machine.ctl(&["promote"]).code(3).says("pve0 goes before and is at perl-only");
    machine.ctl(&over).code(3).says("no override sets aside who goes first and how far");
    assert_eq!(machine.text(&format!("{STATE}/ceiling")), "perl-only\n");
    assert_eq!(passages(&machine).len(), 0);

    let machine = installed("");
    machine.ctl(&over).code(4).says("does not say who goes first");
    machine.ctl(&["promote", "--node", "pve2"]).code(3).says("the witnesses of pve2 are on pve2");

    // 1 January 1970 was a Thursday; now is one of the other six days, or another hour.
    let now = Clock::System.now().seconds();
    let (day, hour) = (now / 86_400 + 3, now % 86_400 / 3600);
    let other = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"][usize::try_from((day + 3) % 7).unwrap()];
    let machine =
        installed(&format!("order = [\"pve1\"]\nchange_window = \"{other} {hour:02}:00-{:02}:00\"", hour + 1));
    machine.ctl(&["promote"]).code(3).says("is outside of the change window");
    machine.ctl(&over).code(3).says("is outside of the change window");
    let machine = installed("order = [\"pve1\"]\nchange_window = \"Mon-Sun 00:00-24:00\"");
    machine.ctl(&["promote"]).ok();
}

#[test]
fn one_node_at_a_time_in_the_whole_cluster() {
    let machine = installed("order = [\"pve1\"]");
    machine.write("/etc/pve/nodes/pve1/x", "");
    std::fs::create_dir_all(machine.path("/etc/pve/priv/lock/pve-network-rs-promote")).unwrap();
    std::os::unix::fs::symlink("nodes/pve1", machine.path("/etc/pve/local")).unwrap();
    machine.ctl(&["promote"]).code(5).says("pve-network-rs-promote is held by another node");
    assert_eq!(machine.text(&format!("{STATE}/ceiling")), "perl-only\n");
    std::fs::remove_dir(machine.path("/etc/pve/priv/lock/pve-network-rs-promote")).unwrap();
    machine.ctl(&["promote"]).ok();
    assert!(!machine.exists("/etc/pve/priv/lock/pve-network-rs-promote"));
}
