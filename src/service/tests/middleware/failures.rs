//! One way to fail after the other: who answers, what log and metrics say, who wrote, and what it costs.

use std::time::{Duration, Instant};

use pveproxy::{GOOD, NOBODY};

use crate::CREATE;
use crate::rig::node::{LIST, Node, Plan};

/// One way to fail: what a read and a write get (status, who answers, reason), whether that is a fallback,
/// how often Rust wrote, how often Perl did, and in which phase the node is afterwards.
struct Case {
    name: &'static str,
    /// How the daemon behaves; `absent` and `dead`: it does not.
    daemon: &'static str,
    perl: &'static str,
    read: (u16, &'static str, &'static str, bool),
    write: (u16, &'static str, &'static str, bool),
    /// Writes by Rust and by Perl.
    written: (usize, usize),
    /// What a 504 says of the write.
    state: &'static str,
}

const fn case(
    daemon: &'static str,
    read: (u16, &'static str, &'static str, bool),
    write: (u16, &'static str, &'static str, bool),
    written: (usize, usize),
    state: &'static str,
) -> Case {
    Case { name: daemon, daemon, perl: "ok", read, write, written, state }
}

const CASES: [Case; 25] = [
    case("ok", (200, "rust", "answered", false), (200, "rust", "done", false), (1, 0), ""),
    case("absent", (200, "perl", "refused", true), (200, "perl", "refused", true), (0, 1), ""),
    case("dead", (200, "perl", "refused", true), (200, "perl", "refused", true), (0, 1), ""),
    // It was received and had not begun; the fence keeps it from beginning.
    case("slow-before", (200, "perl", "timeout", true), (200, "perl", "timeout", true), (0, 1), ""),
    case("slow-after", (200, "perl", "timeout", true), (504, "none", "timeout", false), (1, 0), "done"),
    // Not even the fence is answered: nobody can say.
    case("deaf", (200, "perl", "timeout", true), (504, "none", "timeout", false), (0, 0), "unknown"),
    case("reset-before", (200, "perl", "reset", true), (200, "perl", "reset", true), (0, 1), ""),
    case("reset-begun", (200, "perl", "reset", true), (504, "none", "reset", false), (1, 0), "running"),
    case("reset-after", (200, "perl", "reset", true), (504, "none", "reset", false), (1, 0), "done"),
    case("hang-up", (200, "perl", "reset", true), (504, "none", "reset", false), (0, 0), "unknown"),
    case("garbled", (200, "perl", "garbled", true), (504, "none", "garbled", false), (0, 0), "unknown"),
    case("panic", (200, "perl", "reset", true), (200, "perl", "reset", true), (0, 1), ""),
    case("die-before", (200, "perl", "reset", true), (200, "perl", "reset", true), (0, 1), ""),
    // Killed between the journal's line and the write.
    case("die-begun", (200, "perl", "reset", true), (504, "none", "reset", false), (0, 0), "unknown"),
    case("400", (400, "rust", "answered", false), (400, "rust", "answered", false), (0, 0), ""),
    case("500-nothing", (200, "perl", "server-error", true), (200, "perl", "server-error", true), (0, 1), ""),
    case("500-silent", (200, "perl", "server-error", true), (200, "perl", "server-error", true), (0, 1), ""),
    case("500-done", (200, "rust", "answered", false), (500, "rust", "done", false), (1, 0), ""),
    case("501", (200, "perl", "not-handled", false), (200, "perl", "not-handled", false), (0, 1), ""),
    case("503", (200, "perl", "declined", true), (200, "perl", "declined", true), (0, 1), ""),
    Case {
        name: "Perl down",
        perl: "500",
        ..case("ok", (200, "rust", "answered", false), (200, "rust", "done", false), (1, 0), "")
    },
    Case {
        name: "both down",
        perl: "500",
        ..case("absent", (500, "perl", "refused", true), (500, "perl", "refused", true), (0, 1), "")
    },
    Case {
        name: "both down, Perl resets",
        perl: "reset",
        ..case("absent", (502, "none", "perl-reset", false), (502, "none", "perl-reset", false), (0, 1), "")
    },
    Case {
        name: "both down, Perl hangs",
        perl: "slow",
        ..case("absent", (504, "none", "perl-timeout", false), (504, "none", "perl-timeout", false), (0, 1), "")
    },
    Case {
        name: "Rust hangs, Perl resets",
        perl: "reset",
        ..case("slow-before", (502, "none", "perl-reset", false), (502, "none", "perl-reset", false), (0, 1), "")
    },
];

#[test]
fn the_table_of_failures() {
    // A few at a time: each waits for time-outs most of the time.
    for cases in CASES.chunks(5) {
        std::thread::scope(|scope| {
            for case in cases {
                scope.spawn(|| fails_as(case));
            }
        });
    }
}

fn fails_as(case: &Case) {
    let name = case.name;
    for write in [false, true] {
        let mut node = Node::planned(Plan { daemon: case.daemon != "absent", ..Plan::default() });
        if case.daemon == "dead" {
            node.kill_daemon();
        }
        node.behave(case.daemon);
        node.perl.behave(case.perl);
        let answer = if write { node.post(LIST, CREATE) } else { node.get(LIST) };
        let (status, backend, reason, fallback) = if write { case.write } else { case.read };
        let kind = if write { "create" } else { "list" };
        assert_eq!(
            (answer.status, answer.header("pve-network-backend")),
            (status, backend),
            "{name}, {kind}: {answer:?}"
        );

        let decision = &node.decisions(1)[0];
        let id = answer.header("pve-network-operation");
        for (key, value) in [
            ("operation_id", id.into()),
            ("method", if write { "POST" } else { "GET" }.into()),
            ("route", "/nodes/{node}/network".into()),
            ("phase", "rust-full".into()),
            ("backend", backend.into()),
            ("used_fallback", fallback.into()),
            ("reason", reason.into()),
            ("status", status.into()),
        ] as [(&str, serde_json::Value); 8]
        {
            assert_eq!(decision[key], value, "{name}, {kind}, {key}: {decision}");
        }
        let unknown = write && !case.state.is_empty();
        let outcome = match status {
            _ if unknown => "unknown",
            200 => "ok",
            400 => "client-error",
            _ => "error",
        };
        let labels = [
            &format!("backend=\"{backend}\"")[..],
            &format!("operation=\"{kind}\""),
            &format!("outcome=\"{outcome}\""),
        ];
        assert_eq!(node.metric("pve_network_requests_total", &labels), 1.0, "{name}, {kind}");
        assert_eq!(node.metric("pve_network_requests_total", &[]), 1.0, "{name}, {kind}");
        let because = format!("reason=\"{reason}\"");
        assert_eq!(
            node.metric("pve_network_fallback_total", &[&because, kind]),
            f64::from(u8::from(fallback)),
            "{name}"
        );
        assert_eq!(node.metric("pve_network_fallback_total", &[]), f64::from(u8::from(fallback)), "{name}");
        assert_eq!(node.metric("pve_network_outcome_unknown_total", &[]), f64::from(u8::from(unknown)), "{name}");

        let wrote = node.perl.came().iter().filter(|came| came.method == "POST").count();
        if unknown {
            let body = answer.json();
            assert_eq!(body["operation"], id, "{name}: {body}");
            assert_eq!(body["state"], case.state, "{name}: {body}");
            assert!(body["message"].as_str().unwrap().starts_with("outcome unknown"), "{body}");
            // One phase down, at once, with the reason on disk.
            node.until("the ceiling", || node.ceiling() == "rust-sdn");
            let state = std::fs::read_to_string(node.root().join("var/lib/pve-network-rs/breaker.json")).unwrap();
            assert!(state.contains(id) && state.contains("rust-sdn"), "{state}");
            let history =
                std::fs::read_to_string(node.root().join("var/lib/pve-network-rs/phase-history.jsonl")).unwrap();
            assert!(history.contains(id), "{history}");
            assert_eq!(node.metric("pve_network_breaker_opened_total", &[]), 1.0);
        } else {
            assert_eq!(node.ceiling(), "rust-full", "{name}, {kind}");
        }
        // What could still come has had its time.
        if case.daemon.starts_with("slow") {
            std::thread::sleep(Duration::from_millis(1200));
        }
        let expected = if write { case.written } else { (0, 0) };
        assert_eq!((node.written().len(), wrote), expected, "{name}, {kind}: Rust and Perl wrote");
        if write {
            let perl = node.perl.came();
            assert!(perl.iter().all(|came| came.body == CREATE.as_bytes()), "{name}: {perl:?}");
            assert!(node.written().iter().all(|line| line == id), "{name}: the journal has it under its id");
        }
    }
}

#[test]
fn what_became_of_a_write_can_be_asked() {
    let node = Node::new();
    node.behave("reset-after");
    let answer = node.post(LIST, CREATE);
    assert_eq!(answer.status, 504);
    let id = answer.header("pve-network-operation").to_owned();
    node.behave("ok");
    let told = node.get(&format!("/operations/{id}"));
    assert_eq!((told.status, &told.json()["state"]), (200, &"done".into()), "{told:?}");
    assert_eq!(told.json()["changed"][0], "/etc/network/interfaces.new");
    assert_eq!(node.get("/operations/20260101-000000-1-0-feed").json()["state"], "never-begun");
    assert_eq!(node.request("GET", &format!("/operations/{id}"), NOBODY, "").status, 403);
    assert_eq!(node.request("POST", &format!("/operations/{id}"), GOOD, "").status, 405);
}

#[test]
fn five_failures_in_a_minute_cost_a_phase() {
    let node = Node::planned(Plan { phase: "rust-read-only", daemon: false, ..Plan::default() });
    let begin = Instant::now();
    while node.ceiling() == "rust-read-only" {
        assert!(begin.elapsed() < Duration::from_secs(20), "{}", node.service.stderr());
        assert_eq!(node.get(LIST).status, 200);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(begin.elapsed() >= Duration::from_millis(3900), "a burst is one failure: {:?}", begin.elapsed());
    assert_eq!(node.ceiling(), "perl-only");
    assert!(
        node.service.stderr().contains("goes from rust-read-only to perl-only: Rust failed 5 times within a minute")
    );
    node.until("perl-only is gone by", || node.metrics().contains("pve_network_phase 0"));
    let before = node.decisions(5).len();
    node.get(LIST);
    assert_eq!(node.decisions(before + 1)[before]["reason"], "phase");
}

#[test]
fn without_fallback_a_failure_is_an_error_that_says_so() {
    let node = Node::planned(Plan { daemon: false, settings: "fallback_enabled = false", ..Plan::default() });
    for answer in [node.get(LIST), node.post(LIST, CREATE)] {
        assert_eq!((answer.status, answer.header("retry-after")), (503, "2"));
        assert!(answer.body.contains("fallback_enabled is off"), "{answer:?}");
    }
    assert!(node.perl.came().is_empty());
}
