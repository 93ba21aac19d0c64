//! Front mode: the real middleware in pveproxy's place, and a browser that comes to it.
#![allow(clippy::unwrap_used, reason = "the rig of tests")]

mod rig;

use std::io::Write;

use pveproxy::{Browser, TICKET};
use rig::node::{Answer, LIST, Node, Plan};

const SOCKET: &str = "/api2/json/nodes/pve1/qemu/100/vncwebsocket?port=5900&vncticket=x";
const CSRF: &str = "65A1B2C3:o3wadh3x8UxhUItn3zHm8ZELGGLfCl++ZvqGkfgdC14";

fn front() -> Node {
    Node::planned(Plan { arguments: vec!["--front", "127.0.0.1:0"], ..Plan::default() })
}

fn browser(node: &Node, cookies: &str) -> Browser {
    Browser::open(node.address(2).parse().unwrap(), "pve1", &node.authority.pem(), cookies).unwrap()
}

#[test]
fn the_front_is_pveproxy_to_a_browser() {
    let node = front();
    let mut visitor = browser(&node, TICKET);
    let first = visitor.certificate();
    let page = visitor.get("/").unwrap();
    assert_eq!((page.status, page.header("pve-network-backend")), (200, ""));
    let list = visitor.get(LIST).unwrap();
    assert_eq!((list.status, list.header("pve-network-backend")), (200, "rust"));
    // In the web interface's own form as well, and as it takes it.
    let list = visitor.get("/api2/extjs/nodes/pve1/network?_dc=17").unwrap();
    assert_eq!((list.status, list.header("pve-network-backend")), (200, "rust"));
    assert_eq!(list.json()["success"], 1, "{list:?}");
    node.behave("400");
    let refused = visitor.get("/api2/extjs/nodes/pve1/network/eno1").unwrap();
    assert_eq!((refused.status, &refused.json()["success"]), (200, &0.into()), "{refused:?}");
    assert_eq!(refused.json()["status"], 400);
    node.behave("ok");
    // What is ours elsewhere is not there.
    for target in ["/api2/html/nodes/pve1/network", "/health", "/operations/20260101-000000-1-0-feed"] {
        let answer = visitor.get(target).unwrap();
        assert_eq!((answer.status, answer.header("pve-network-backend")), (200, ""), "{target}");
        assert_eq!(node.perl.came().pop().unwrap().target, target);
    }
    let none = browser(&node, "").get(LIST).unwrap();
    assert_eq!((none.status, none.header("pve-network-backend")), (401, "perl"), "no ticket, whoever connects");
    // A certificate that is renewed is shown from then on; one that can't be used is not.
    let renewed = node.authority.sign("pve1");
    node.service.setup().file("etc/pve/local/pve-ssl.key", &renewed.key);
    node.service.setup().file("etc/pve/local/pve-ssl.pem", &renewed.certificate);
    node.until("the new certificate", || browser(&node, TICKET).certificate() != first);
    node.service.setup().file("etc/pve/local/pve-ssl.key", "no key\n");
    node.until("the journal says so", || {
        assert_eq!(browser(&node, TICKET).get("/").unwrap().status, 200);
        node.service.stderr().contains("stays in use")
    });
    // Somebody who speaks no TLS, or too little, costs nobody anything.
    let mut plain = std::net::TcpStream::connect(node.address(2)).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(Answer::read(&mut plain).status, 0);
    assert_eq!(browser(&node, TICKET).get("/").unwrap().status, 200);
}

/// What the web interface does in one sitting, over one connection: pages of Perl's, lists of Rust's, a change with
/// its token, an error, a body in chunks; its other cookies come along, and nothing of one answer runs into the next.
#[test]
fn a_browser_keeps_its_connection_its_cookies_and_its_websocket() {
    let node = front();
    let cookies = format!("PVELangCookie=de; {TICKET}; PVEThemeCookie=crisp");
    let mut visitor = browser(&node, &cookies);
    for round in 0..20 {
        assert_eq!(visitor.get("/pve2/js/pvemanagerlib.js").unwrap().status, 200);
        let list = visitor.get(LIST).unwrap();
        assert_eq!((list.status, list.header("pve-network-backend")), (200, "rust"), "{round}: {list:?}");
        let other = visitor.get("/api2/json/nodes/pve2/network").unwrap();
        assert_eq!((other.status, other.json()["by"].as_str()), (200, Some("perl")), "{round}: {other:?}");
    }
    assert_eq!(node.perl.came().pop().unwrap().headers["cookie"], cookies, "Perl gets them as they are");
    // A change needs its token; this one is out of date, so Perl decides.
    let changed = visitor.ask("POST", LIST, &[("CSRFPreventionToken", CSRF)], "type=eth&iface=eno9").unwrap();
    assert_eq!((changed.status, changed.header("pve-network-backend")), (200, "perl"), "{changed:?}");
    assert_eq!(node.perl.came().pop().unwrap().body, b"type=eth&iface=eno9");
    // Rust dies under the open page: the next answers are Perl's, on the same connection.
    node.behave("reset-before");
    let list = visitor.get(LIST).unwrap();
    assert_eq!((list.status, list.header("pve-network-backend")), (200, "perl"), "{list:?}");
    node.behave("ok");
    assert_eq!(visitor.get(LIST).unwrap().header("pve-network-backend"), "rust");
    // The console: this very connection becomes a websocket, by RFC 6455 to the letter.
    let mut socket = visitor.websocket(SOCKET).unwrap();
    let came = node.perl.came().pop().unwrap();
    assert_eq!((came.target.as_str(), came.headers["cookie"].as_str()), (SOCKET, cookies.as_str()));
    for message in [&b"hello"[..], b"", &[0, 255, 13, 10], &vec![7; 300_000]] {
        assert_eq!(socket.echo(message).unwrap(), message);
    }
    socket.close().unwrap();
    assert_eq!(node.metric("pve_network_requests_total", &["backend=\"rust\"", "operation=\"list\""]), 21.0);
}
