//! What changes while requests come: phase, disk, clients, the end.

use std::io::Write;
use std::time::Duration;

use pveproxy::GOOD;

use crate::CREATE;
use crate::rig::node::{Answer, LIST, Node, Plan, request};
use crate::rig::{MIDDLEWARE, Setup};

#[test]
fn a_client_that_goes_away_stops_nothing() {
    let node = Node::new();
    node.behave("reset-begun");
    let mut stream = node.connect();
    stream.write_all(request("POST", LIST, GOOD, CREATE).as_bytes()).unwrap();
    node.until("the write begins", || !node.written().is_empty());
    drop(stream);
    // It is still followed to its end, and booked.
    let decision = &node.decisions(1)[0];
    assert_eq!((&decision["status"], &decision["reason"]), (&504.into(), &"reset".into()));
    assert_eq!(node.written().len(), 1);
    assert!(node.perl.came().is_empty());
}

#[test]
fn a_phase_that_changes_under_way_is_for_the_next_request() {
    let node = Node::new();
    // The daemon looks at the phase when it begins, and declines: proof, so Perl does it.
    node.behave("503");
    assert_eq!(node.post(LIST, CREATE).header("pve-network-backend"), "perl");
    node.behave("ok");
    node.service.setup().file("var/lib/pve-network-rs/ceiling", "rust-read-only\n");
    node.until("the ceiling is seen", || node.metrics().contains("pve_network_phase 1"));
    let answer = node.post(LIST, CREATE);
    assert_eq!((answer.status, answer.header("pve-network-backend")), (200, "perl"));
    assert_eq!(node.get(LIST).header("pve-network-backend"), "rust");
    assert!(node.written().is_empty());
    let last = node.decisions(3)[1].clone();
    assert_eq!((&last["reason"], &last["used_fallback"]), (&"phase".into(), &false.into()), "{last}");
    node.service.setup().file("etc/pve/network/migration.toml", "phase = \"no such phase\"\n");
    node.until("a broken file is perl-only", || node.metrics().contains("pve_network_phase 0"));
}

#[test]
fn applies_by_others_are_seen() {
    let node = Node::new();
    let journal = node.root().join("var/lib/pve-network-rs/operations.jsonl");
    let line = |id: &str, backend: &str| {
        format!(
            "{{\"event\":\"begin\",\"id\":\"{id}\",\"time\":1,\"backend\":\"{backend}\",\"tool\":\"t\",\"phase\":\"p\",\
             \"snapshot\":null,\"transaction\":null,\"paths\":{{\"/etc/network/interfaces\":{{\"before\":\"a\",\"after\":\"b\"}}}}}}\n\
             {{\"event\":\"end\",\"id\":\"{id}\",\"time\":2,\"duration_ms\":4200,\"outcome\":\"done\"}}\n"
        )
    };
    std::fs::write(journal, line("a", "legacy") + &line("b", "rust") + &line("c", "legacy")).unwrap();
    let count = |backend: &str| node.metric("pve_network_apply_duration_seconds_count", &[backend]);
    node.until("both are counted", || count("legacy") == 2.0 && count("rust") == 1.0);
    assert_eq!(node.metric("pve_network_apply_duration_seconds_sum", &["legacy"]), 8.4);
}

#[test]
fn a_full_disk_costs_lines_and_no_request() {
    let node = Node::new();
    std::fs::create_dir_all(node.root().join("var/log/pve-network")).unwrap();
    // A folder in the log's place can't be written, as root neither.
    std::fs::create_dir(node.root().join("var/log/pve-network/migration.log")).unwrap();
    for _ in 0..3 {
        assert_eq!(node.get(LIST).status, 200);
    }
    node.until("lines are counted", || node.metric("pve_network_migration_log_dropped_total", &[]) == 3.0);
    assert_eq!(node.service.stderr().matches("decisions are counted, not logged").count(), 1);
    std::fs::remove_dir(node.root().join("var/log/pve-network/migration.log")).unwrap();
    node.get(LIST);
    assert_eq!(node.decisions(1).len(), 1);
}

#[test]
fn a_taken_port_is_one_clear_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for option in ["--listen", "--metrics", "--front"] {
        let out = Setup::new(MIDDLEWARE).with(&[option, &address]).run();
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(3), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(&format!("cannot listen on {address}: Address already in use")), "{said}");
        assert!(said.contains("ss -ltnp") && said.contains(option), "{said}");
    }
}

#[test]
fn the_end_waits_for_a_write() {
    let mut node = Node::planned(Plan { arguments: vec![], ..Plan::default() });
    node.behave("slow-before");
    let mut stream = node.connect();
    stream.write_all(request("POST", LIST, GOOD, CREATE).as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    node.service.signal("TERM");
    let answer = Answer::read(&mut stream);
    assert_eq!((answer.status, answer.header("pve-network-backend")), (200, "perl"), "{answer:?}");
    assert_eq!(node.service.end().0, Some(0));
}
