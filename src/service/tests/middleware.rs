//! The real middleware between a daemon that can be killed and Perl's stand-in: who answers, what the files
//! say afterwards, and what log and metrics say of it.
#![allow(clippy::unwrap_used, reason = "the rig of tests")]

#[path = "middleware/node.rs"]
mod node;
mod rig;

use std::io::Write;
use std::time::{Duration, Instant};

use node::{Answer, LIST, Node, Plan, request};
use pveproxy::{GOOD, NOBODY, READER, TICKET};

const CREATE: &str = "type=eth&iface=eno9";

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

#[test]
fn perl_alone_says_no() {
    let node = Node::new();
    let backend = |answer: &Answer| (answer.status, answer.header("pve-network-backend").to_owned());
    let by = |name: &str| (200, name.to_owned());
    assert_eq!(backend(&node.request("GET", LIST, READER, "")), by("rust"));
    assert_eq!(backend(&node.request("POST", LIST, READER, CREATE)), by("perl"));
    assert_eq!(backend(&node.request("GET", LIST, NOBODY, "")), by("perl"));
    assert_eq!(backend(&node.request("GET", LIST, "", "")), (401, "perl".to_owned()));
    assert_eq!(backend(&node.request("GET", LIST, TICKET, "")), by("rust"));
    // A ticket without its token, or with another's: Perl refuses it, or knows better.
    assert_eq!(backend(&node.request("POST", LIST, TICKET, CREATE)), by("perl"));
    let csrf = |mac: &str| {
        let plain = request("POST", LIST, TICKET, CREATE);
        node.raw(plain.replace("Host:", &format!("CSRFPreventionToken: {mac}\r\nHost:")).as_bytes())
    };
    assert_eq!(backend(&csrf("65A1B2C3:o3wadh3x8UxhUItn3zHm8ZELGGLfCl++ZvqGkfgdC14")), by("perl"));
    assert!(node.written().is_empty());
    let reasons: Vec<_> = node.decisions(7).iter().map(|d| d["reason"].clone()).collect();
    assert_eq!(reasons, ["answered", "access", "access", "no-credential", "answered", "csrf", "csrf"]);
    // A yes is remembered for a moment, a no is not.
    let asked = node.perl.permission_questions();
    node.request("GET", LIST, READER, "");
    assert_eq!(node.perl.permission_questions(), asked);
    node.request("GET", LIST, NOBODY, "");
    assert_eq!(node.perl.permission_questions(), asked + 1);
}

#[test]
fn what_perl_understands_otherwise_is_perls() {
    let node = Node::new();
    let json = request("POST", LIST, GOOD, r#"{"type":"eth","iface":"eno9"}"#);
    let json = json.replace("application/x-www-form-urlencoded", "application/json; charset=UTF-8");
    assert_eq!(node.raw(json.as_bytes()).header("pve-network-backend"), "perl");
    // In Perl, a parameter of the query goes before the body's.
    let answer = node.post(&format!("{LIST}?type=bridge"), CREATE);
    assert_eq!(answer.header("pve-network-backend"), "perl");
    assert_eq!(node.get(&format!("{LIST}?type=any_bridge")).header("pve-network-backend"), "perl");
    let reasons: Vec<_> = node.decisions(3).iter().map(|d| d["reason"].clone()).collect();
    assert_eq!(reasons, ["unusual-body", "unusual-query", "lists-sdn"]);
    assert!(node.written().is_empty());
}

#[test]
fn root_on_the_socket_needs_neither_ticket_nor_perl() {
    let node = Node::new();
    node.perl.behave("500");
    let answer = node.service.get(LIST);
    let root = std::fs::metadata("/proc/self").map(|m| std::os::unix::fs::MetadataExt::uid(&m)).unwrap() == 0;
    let expected = if root { "200 OK" } else { "401 " };
    assert!(answer.contains(expected), "{answer}");
    if root {
        node.behave("500-silent");
        let answer = node.service.get(LIST);
        assert!(answer.contains("503 ") && answer.contains("Perl asks for a ticket or a token"), "{answer}");
    }
}

#[test]
fn perl_is_known_by_its_certificate() {
    for (certificate, status) in [("good", 200), ("pinned", 200), ("foreign", 502), ("misnamed", 502)] {
        let node = Node::planned(Plan { phase: "perl-only", daemon: false, certificate, ..Plan::default() });
        let answer = node.get(LIST);
        assert_eq!(answer.status, status, "{certificate}: {answer:?}");
        if status == 502 {
            assert!(answer.body.contains("neither the cluster's CA signed"), "{certificate}: {answer:?}");
            assert!(node.perl.came().is_empty(), "{certificate}: nothing was sent");
            assert_eq!(node.decisions(1)[0]["reason"], "perl-untrusted");
        }
    }
}

#[test]
fn everything_else_is_perls_untouched() {
    let node = Node::new();
    let body = "x".repeat(3 << 20);
    let upload = node.post("/api2/json/nodes/pve1/storage/local/upload", &body);
    assert_eq!((upload.status, &upload.json()["bytes"]), (200, &(3 << 20).into()));
    for (method, target) in [
        ("GET", "/"),
        ("GET", "/api2/json/nodes/pve2/network"),
        ("DELETE", "/api2/json/nodes/pve2/network/eno1"),
        ("POST", "/api2/html/nodes/pve1/network"),
        ("GET", "/api2/json/nodes/pve1/storage/local/content/local%3Aiso%2Fdebian.iso?x=%20"),
    ] {
        assert_eq!(node.request(method, target, GOOD, "").status, 200, "{method} {target}");
        let came = node.perl.came().pop().unwrap();
        assert_eq!((came.method.as_str(), came.target.as_str()), (method, target));
        assert_eq!(came.headers["authorization"], GOOD);
        assert_eq!(came.headers["x-forwarded-for"], "127.0.0.1");
    }
    assert!(node.written().is_empty());
    assert_eq!(node.metric("pve_network_requests_total", &["backend=\"perl\"", "operation=\"other\""]), 6.0);
}

#[test]
fn tricks_are_refused() {
    let node = Node::new();
    let list = "GET /api2/json/nodes/pve1/network HTTP/1.1\r\nHost: x\r\n";
    let auth = format!("Authorization: {GOOD}\r\nConnection: close\r\n");
    let path = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n{auth}\r\n");
    for (name, request, status) in [
        ("dots", path("/api2/json/nodes/x/../pve1/network"), 400),
        ("escaped dots", path("/api2/json/nodes/x/%2e%2e/pve1/network"), 400),
        ("double slash", path("/api2/json/nodes/pve1//network"), 400),
        ("leading double slash", path("//api2/json/nodes/pve1/network"), 400),
        ("escaped slash", path("/api2/json/nodes/pve1%2Fnetwork"), 400),
        ("escaped NUL", path("/api2/json/nodes/pve1/network/eno1%00"), 400),
        ("absolute form", path("http://pve2/api2/json/nodes/pve1/network"), 400),
        ("asterisk", path("*"), 400),
        ("two lengths", format!("{list}{auth}Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello"), 400),
        (
            "chunks twice",
            format!("{list}{auth}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        ("unknown coding", format!("{list}{auth}Transfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n"), 400),
        ("two hosts", format!("{list}Host: y\r\n{auth}\r\n"), 400),
        ("space before colon", format!("{list}{auth}X-A : b\r\n\r\n"), 400),
        ("folded header", format!("{list}{auth}X-A: b\r\n c\r\n\r\n"), 400),
        ("100 kB header", format!("{list}{auth}X-A: {}\r\n\r\n", "a".repeat(100_000)), 431),
        ("many headers", format!("{list}{auth}{}\r\n", "X-A: b\r\n".repeat(100)), 431),
        ("a read with a body", format!("{list}{auth}Content-Length: 5\r\n\r\nhello"), 413),
        ("large body", format!("POST {LIST} HTTP/1.1\r\nHost: x\r\n{auth}Content-Length: 99999999\r\n\r\n"), 413),
        (
            "large chunked body",
            format!(
                "POST {LIST} HTTP/1.1\r\nHost: x\r\n{auth}Transfer-Encoding: chunked\r\n\r\n11170\r\n{}\r\n0\r\n\r\n",
                "a".repeat(70_000)
            ),
            413,
        ),
        ("slow body", format!("POST {LIST} HTTP/1.1\r\nHost: x\r\n{auth}Content-Length: 10\r\n\r\nhel"), 408),
    ] {
        let answer = node.raw(request.as_bytes());
        assert_eq!(answer.status, status, "{name}: {answer:?}");
    }
    assert!(node.perl.came().is_empty(), "{:?}", node.perl.came());
    assert!(node.written().is_empty());
    // Chunks go before a length (RFC 9112, 6.3), and what goes on is framed anew: nothing is left over that
    // Perl could take for a request.
    let both = format!(
        "POST /api2/json/x HTTP/1.1\r\nHost: x\r\n{auth}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n0\r\n\r\n"
    );
    assert_eq!(node.raw(both.as_bytes()).status, 200);
    let came = node.perl.came();
    assert_eq!((came.len(), came[0].body.as_slice()), (1, b"hello".as_slice()));
    assert!(!came[0].headers.contains_key("content-length"), "{came:?}");
    // Another's own headers are not believed.
    let forged = path(LIST).replace("Host:", "pve-network-operation: forged\r\nX-Forwarded-For: 203.0.113.9\r\nHost:");
    let answer = node.raw(forged.replace("pve1/network", "pve2/network").as_bytes());
    assert_eq!(answer.status, 200);
    let came = node.perl.came().pop().unwrap();
    assert_eq!(came.headers["x-forwarded-for"], "127.0.0.1");
    assert!(!came.headers.contains_key("pve-network-operation"), "{came:?}");
}

#[test]
fn a_websocket_goes_through() {
    let node = Node::new();
    let mut stream = node.connect();
    let head = format!(
        "GET /api2/json/nodes/pve1/qemu/100/vncwebsocket?port=5900 HTTP/1.1\r\nHost: x\r\nAuthorization: {GOOD}\r\n\
         Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut seen = Vec::new();
    let mut read_until = |stream: &mut std::net::TcpStream, end: &[u8]| {
        let mut byte = [0];
        while !seen.ends_with(end) {
            std::io::Read::read_exact(stream, &mut byte).unwrap();
            seen.push(byte[0]);
        }
        String::from_utf8(std::mem::take(&mut seen)).unwrap()
    };
    let head = read_until(&mut stream, b"\r\n\r\n").to_lowercase();
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(head.contains("upgrade: websocket") && head.contains("sec-websocket-protocol: binary"), "{head}");
    for word in ["hello", "again"] {
        stream.write_all(word.as_bytes()).unwrap();
        assert_eq!(read_until(&mut stream, word.to_uppercase().as_bytes()), word.to_uppercase());
    }
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
fn no_secret_comes_into_any_output() {
    let node = Node::new();
    for how in ["ok", "500-silent", "reset-after", "garbled", "deaf"] {
        node.behave(how);
        for who in [GOOD, READER, TICKET] {
            node.request("GET", LIST, who, "");
            node.request("GET", &format!("{LIST}?type=eth&password=PLANTED-SECRET"), who, "");
            node.request("POST", LIST, who, "type=eth&comments=PLANTED-SECRET");
            node.request("POST", &format!("{LIST}?password=PLANTED-SECRET"), who, "type=eth");
            node.request("GET", "/api2/json/PLANTED-SECRET//nodes/pve1/network/..", who, "");
        }
    }
    node.decisions(30);
    let log = std::fs::read_to_string(node.root().join("var/log/pve-network/migration.log")).unwrap();
    let mut everything = vec![("log", log), ("stderr", node.service.stderr()), ("metrics", node.metrics())];
    for file in ["breaker.json", "phase-history.jsonl", "operations.jsonl"] {
        let path = node.root().join("var/lib/pve-network-rs").join(file);
        everything.push((file, std::fs::read_to_string(path).unwrap()));
    }
    for (name, text) in everything {
        assert!(!text.is_empty(), "{name}");
        assert!(!text.contains("PLANTED"), "{name}: {text}");
    }
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
        let out = rig::Setup::new(rig::MIDDLEWARE).with(&[option, &address]).run();
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
