//! `accept`: what was on trial stays, and the journal says who said so.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod rig;

use rig::{INTERFACES, Node, STATE};

const I: &str = "/etc/network/interfaces";
const X: &str = "/etc/network/interfaces.d/rust";

fn trial() -> String {
    INTERFACES.replace("eno1", "eno2")
}

fn removal(machine: &Node) -> Vec<String> {
    let value = machine.ctl(&["status", "--output", "json"]).ok().json();
    value["removal"]["lines"].as_array().unwrap().iter().map(|l| l.as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_on_trial_is_accepted_and_said() {
    let machine = Node::installed();
    machine.rust_writes(I, Some(&trial()));
    machine.rust_writes(X, Some("# by Rust\n"));
    let before = removal(&machine);
    assert!(before.iter().all(|l| l.ends_with("is on trial")) && before.len() == 2, "{before:#?}");
    let journal = machine.text(&format!("{STATE}/operations.jsonl"));
    let dry = machine.ctl(&["accept", "--dry-run"]).ok();
    assert_eq!(machine.text(&format!("{STATE}/operations.jsonl")), journal, "a dry run writes nothing");
    insta::assert_snapshot!("accept_dry_run", dry.shown());
    let done = machine.ctl_with(&["accept", "--reason", "a week without fallbacks"], &[("SUDO_USER", "alice")]).ok();
    insta::assert_snapshot!("accept", done.shown());
    let last = machine.text(&format!("{STATE}/operations.jsonl")).lines().last().unwrap().to_owned();
    let event: serde_json::Value = serde_json::from_str(&last).unwrap();
    assert_eq!(event["event"], "accept");
    assert_eq!(
        (event["by"].as_str(), event["reason"].as_str()),
        (Some("root (sudo says alice)"), Some("a week without fallbacks"))
    );
    // What it said a removal now does is what a removal now does.
    let after = removal(&machine);
    let said: Vec<&str> = done.err.split_once("a removal now would:\n").unwrap().1.lines().map(str::trim).collect();
    assert_eq!(said, after);
    assert!(after.iter().all(|l| l.starts_with("keep ")), "{after:#?}");
    machine.ctl(&["accept"]).ok().says("nothing is on trial");
}

#[test]
fn by_path_by_folder_and_by_operation() {
    let machine = Node::installed();
    let first = machine.rust_writes(I, Some(&trial()));
    machine.rust_writes(X, Some("# by Rust\n"));
    machine.rust_writes("/etc/network/interfaces.d/admin", None);
    machine.ctl(&["accept", "/etc/network/interfaces.d"]).ok().says("accepted /etc/network/interfaces.d/rust");
    assert_eq!(removal(&machine).iter().filter(|l| l.contains(" is on trial")).count(), 1);
    machine.ctl(&["accept", "--operation", &first]).ok().says("accepted /etc/network/interfaces, ");
    assert_eq!(removal(&machine).iter().filter(|l| l.contains(" is on trial")).count(), 0);
    machine.ctl(&["accept", "--operation", &first]).code(3).says("nothing that operation");
    machine.ctl(&["accept", "--operation", "x"]).code(3).says("the journal has no operation");
    machine.ctl(&["accept", "--operation", "2"]).code(3).says("say more of it");
}

#[test]
fn what_is_not_on_trial_is_refused() {
    let machine = Node::installed();
    machine.ctl(&["accept", I]).code(3).says("is not on trial");
    machine.rust_writes(I, Some(&trial()));
    machine.write(I, "# the admin's\n");
    machine.ctl(&["accept", I]).code(3).says("is not on trial");
    machine.ctl(&["accept", "--operation", "2", I]).code(2);
    machine.ctl(&["accept", "--reason", "two\nlines"]).code(2);
    machine.remove(&format!("{STATE}/operations.jsonl"));
    machine.ctl(&["accept"]).code(3).says("there is no journal");
}

#[test]
fn an_operation_that_was_killed_is_not_accepted() {
    let machine = Node::installed();
    machine.rust_writes(I, Some(&trial()));
    let path = format!("{STATE}/operations.jsonl");
    let text = machine.text(&path);
    let without_end: Vec<&str> = text.lines().filter(|l| !l.contains("\"event\":\"end\"")).collect();
    machine.write(&path, without_end.join("\n"));
    machine.ctl(&["accept"]).code(3).says("did not come to its end");
    machine.ctl(&["status"]).ok().says("dpkg-reconfigure pve-network-rs");
}

#[test]
fn what_a_removal_takes_back_first_is_shown_first() {
    let machine = Node::installed();
    let snapshot = machine.snapshots()[0].clone();
    let transaction =
        format!(r#"{{"format":1,"id":"t","opened":0,"from":"","to":"1","snapshot":"{snapshot}","stage":"open"}}"#);
    machine.rust_writes(X, Some("# earlier\n"));
    machine.write(&format!("{STATE}/transaction.json"), &transaction);
    machine.rust_writes(I, Some(&trial()));
    let lines = removal(&machine);
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(
        lines[0].starts_with("restore /etc/network/interfaces from ")
            && lines[0].ends_with("a failed operation wrote it")
    );
    assert!(lines[1].starts_with("delete /etc/network/interfaces.d/rust, ") && lines[1].ends_with(" is on trial"));
}
