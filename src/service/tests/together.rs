//! The real middleware in front of the real daemon, with Perl's stand-in behind: nothing of ours is stood in for.
#![allow(clippy::unwrap_used, reason = "the rig of tests")]

mod rig;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use rig::DAEMON;
use rig::node::{LIST, Node, Plan};
use serde_json::{Value, json};

const TEXT: &str = "auto lo\niface lo inet loopback\n\nauto vmbr0\niface vmbr0 inet static\n\taddress 192.0.2.10/24\n\
    \tgateway 192.0.2.1\n\tbridge-ports none\n\tbridge-stp off\n\tbridge-fd 0\n";

struct Daemon(Child);

impl Daemon {
    fn start(node: &Node) -> Self {
        let socket = node.root().join("run/pve-network-rs/api.sock");
        fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let mut command = Command::new(DAEMON);
        command.arg("--root").arg(node.root()).arg("--socket").arg(&socket);
        let daemon = Self(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        node.until("the daemon comes up", || UnixStream::connect(&socket).is_ok());
        daemon
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn node(phase: &'static str) -> Node {
    let node = Node::planned(Plan { phase, daemon: false, ..Plan::default() });
    let put = |path: &str, text: &str| {
        let path = node.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("etc/network/interfaces", TEXT);
    put("var/lib/pve-network-rs/lock", "");
    put("var/lib/pve-network-rs/operations.jsonl", "");
    node
}

fn last(node: &Node, count: usize) -> (String, bool, String) {
    let decisions = node.decisions(count);
    let last = &decisions[count - 1];
    let text = |key: &str| last[key].as_str().unwrap_or_default().to_owned();
    (text("backend"), last["used_fallback"] == true, text("reason"))
}

#[test]
fn rust_answers_and_perl_steps_in_only_where_nothing_happened() {
    let node = node("rust-advanced");
    let daemon = Daemon::start(&node);
    let answer = node.get(LIST);
    assert_eq!(answer.status, 200, "{answer:?}");
    let list: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(list["data"][0]["iface"], "vmbr0", "{list}");
    assert_eq!(last(&node, 1).0, "rust");

    // A write by Rust is in the file, and nobody asked Perl.
    let answer = node.post(LIST, "iface=vmbr1&type=bridge");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(node.written().contains(&"iface vmbr1 inet manual".to_owned()), "{:?}", node.written());
    assert_eq!(node.perl.came().len(), 0);
    // Proxmox's refusal is an answer, no failure.
    let answer = node.post(LIST, "iface=vmbr1&type=bridge");
    assert_eq!((answer.status, answer.body.contains("interface already exists")), (400, true), "{answer:?}");
    // So is one that Proxmox gives with 500.
    let answer = node.post(LIST, "iface=vmbr9&type=bridge&bridge_ports=nosuch0");
    assert_eq!((answer.status, answer.body.contains("unable to find bridge port")), (500, true), "{answer:?}");
    assert_eq!((node.perl.came().len(), last(&node, 4).1), (0, false));
    // What the daemon does not do is Perl's, and no fallback.
    let answer = node.request("PUT", LIST, pveproxy::GOOD, "");
    assert!(answer.body.contains("\"by\":\"perl\""), "{answer:?}");
    assert_eq!(last(&node, 5), ("perl".to_owned(), false, "not-handled".to_owned()));

    // Killed, it has proven that nothing of what comes now was begun: reads and writes go to Perl, once.
    daemon.kill();
    let before = node.written();
    assert!(node.get(LIST).body.contains("\"by\":\"perl\""));
    let answer = node.post(LIST, "iface=vmbr2&type=bridge");
    assert!(answer.body.contains("\"by\":\"perl\""), "{answer:?}");
    assert!(last(&node, 7).1, "a fallback");
    assert_eq!(node.written(), before);
    let writes = node.perl.came().into_iter().filter(|c| c.method == "POST").count();
    assert_eq!(writes, 1);
    assert!(node.metric("pve_network_fallback_total", &[]) >= 2.0);

    // And back.
    let _daemon = Daemon::start(&node);
    assert_eq!(node.post(LIST, "iface=vmbr3&type=bridge").status, 200);
    assert!(node.written().contains(&"iface vmbr3 inet manual".to_owned()));
}

#[test]
fn in_a_lower_phase_rust_reads_and_perl_writes() {
    let node = node("rust-read-only");
    let _daemon = Daemon::start(&node);
    assert!(node.get(LIST).body.contains("vmbr0"));
    assert!(node.post(LIST, "iface=eno9&type=eth").body.contains("\"by\":\"perl\""));
    assert_eq!(last(&node, 2), ("perl".to_owned(), false, "phase".to_owned()));
    assert!(node.written().is_empty());
}

/// Where systemd would start `pvenet reload`: one line for each of its own, after the id.
fn helper(node: &Node, lines: Vec<Value>, journal: &'static str) -> JoinHandle<()> {
    let listener = UnixListener::bind(node.root().join("run/pve-network-reload.sock")).unwrap();
    let root = node.root();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut id = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut id).unwrap();
        if !journal.is_empty() {
            let line = journal.replace("ID", id.trim());
            fs::write(root.join("var/lib/pve-network-rs/operations.jsonl"), line).unwrap();
        }
        for line in lines {
            stream.write_all(format!("{line}\n").as_bytes()).unwrap();
        }
        fs::remove_file(root.join("run/pve-network-reload.sock")).unwrap();
    })
}

#[test]
fn a_reload_is_rusts_and_perl_never_applies_what_rust_refused_or_may_have_begun() {
    const BEGUN: &str = "{\"event\":\"begin\",\"id\":\"ID\",\"time\":1,\"backend\":\"rust\",\"tool\":\"pvenet\",\
        \"phase\":\"rust-basic-write\",\"snapshot\":null,\"transaction\":null,\"paths\":{}}\n";
    let node = node("rust-basic-write");
    let _daemon = Daemon::start(&node);
    let reload = |lines: Vec<Value>, journal| {
        let helper = helper(&node, lines, journal);
        let answer = node.request("PUT", LIST, pveproxy::GOOD, "");
        helper.join().unwrap();
        answer
    };
    let answer = reload(vec![json!({"told": "begun", "upid": "UPID:x:"})], "");
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"data":"UPID:x:"}"#), "{answer:?}");
    assert_eq!(last(&node, 1), ("rust".to_owned(), false, "done".to_owned()));
    let answer = reload(vec![json!({"told": "refused", "why": "PVN046"})], "");
    assert_eq!((answer.status, answer.body.contains("PVN046")), (500, true), "{answer:?}");
    // Lost once it had begun: whether it is done nobody can say.
    let answer = reload(Vec::new(), BEGUN);
    assert_eq!((answer.status, answer.body.contains("outcome unknown")), (504, true), "{answer:?}");
    let reloads = || node.perl.came().into_iter().filter(|c| c.method == "PUT").count();
    assert_eq!(reloads(), 0);
}

#[test]
fn a_reload_that_can_not_begin_now_is_perls() {
    let node = node("rust-basic-write");
    let _daemon = Daemon::start(&node);
    for (number, lines) in [vec![json!({"told": "not-now", "why": "a lock"})], Vec::new()].into_iter().enumerate() {
        let helper = helper(&node, lines, "");
        let answer = node.request("PUT", LIST, pveproxy::GOOD, "");
        helper.join().unwrap();
        assert!(answer.body.contains("\"by\":\"perl\""), "{answer:?}");
        assert_eq!(last(&node, number + 1), ("perl".to_owned(), true, "declined".to_owned()));
    }
}
