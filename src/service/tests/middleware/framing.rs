//! What is Perl's goes through as it came; what could be read in two ways is refused.

use std::io::Write;

use pveproxy::GOOD;

use crate::CREATE;
use crate::rig::node::{LIST, Node, request};

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
