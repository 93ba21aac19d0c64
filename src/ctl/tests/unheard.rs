//! Whoever read what `migration-ctl` prints has gone away, or takes no more: the verdict and the work are the same.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod rig;

use std::fs::OpenOptions;
use std::process::Stdio;

use rig::Node;

/// A pipe whose reader has gone away.
fn gone() -> Stdio {
    std::io::pipe().unwrap().1.into()
}

/// A file on a disk without room.
fn full() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

/// An error, a refusal, findings, notes: whatever is said somewhere.
const COMMANDS: [(&[&str], i32); 9] = [
    (&["preflight"], 3),
    (&["health"], 1),
    (&["health", "--nagios"], 2),
    (&["status"], 0),
    (&["snapshot", "list"], 0),
    (&["phase", "set", "rust-full"], 3),
    (&["phase", "set", "rust-read-only"], 0),
    (&["rollback", "--resume"], 0),
    (&["abort"], 1),
];

fn node() -> Node {
    Node::new("pve1").with("/etc/network/interfaces", "auto lo\niface lo inet loopback\n")
}

#[test]
fn a_reader_that_went_away_changes_no_verdict() {
    let (heard, unheard) = (node(), node());
    for (command, code) in COMMANDS {
        heard.ctl(command).code(code);
        let mut alone = unheard.command(command);
        let ended = alone.stdout(gone()).stderr(Stdio::null()).status().unwrap();
        assert_eq!(ended.code(), Some(code), "{command:?}");
    }
}

#[test]
fn without_standard_error_the_exit_code_still_says_it() {
    for stream in [gone, full] {
        let node = node();
        for (command, code) in COMMANDS {
            let mut alone = node.command(command);
            let ended = alone.stdout(Stdio::null()).stderr(stream()).status().unwrap();
            assert_eq!(ended.code(), Some(code), "{command:?}");
        }
    }
}

#[test]
fn an_abort_takes_all_its_steps_though_it_can_t_print_one() {
    for stream in [gone, full] {
        let node = node();
        node.write("/var/lib/pve-network-rs/ceiling", "rust-read-only\n");
        let ended = node.command(&["abort"]).stdout(stream()).stderr(stream()).status().unwrap();
        assert_eq!(ended.code(), Some(1), "what is left to the operator is no success");
        assert_eq!(node.text("/var/lib/pve-network-rs/ceiling"), "perl-only\n");
        assert_eq!(node.ls("/var/log/pve-network").len(), 1);
        node.ctl(&["abort", "--resume"]).ok().says(" is complete");
    }
}
