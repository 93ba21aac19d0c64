//! Whom Perl vouches for, whom it is taken for, and what nobody may read.

use pveproxy::{GOOD, NOBODY, READER, TICKET};

use crate::CREATE;
use crate::rig::node::{Answer, LIST, Node, Plan, request};

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
