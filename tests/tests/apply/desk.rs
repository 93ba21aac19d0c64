//! The node that is applied to, and what can be seen of it.

use std::time::{Duration, Instant};

use rig::cables::plug;
use rig::ours::{INTERFACES, STATE, like_a_pve_node};
use rig::{Machine, Node, Output, Suite};
use serde_json::Value;

use crate::common::{V1, dpkg};

pub const MAIN: &str = "/etc/network/interfaces";
pub const NEW: &str = "/etc/network/interfaces.new";

/// Longer than a way back takes on a busy machine.
pub const SOON: Duration = Duration::from_secs(60);

/// A good change: one bridge more, with an address.
pub fn good() -> String {
    INTERFACES.replace(
        "\nsource",
        "\nauto vmbr1\niface vmbr1 inet static\n\taddress 198.51.100.1/24\n\tbridge-ports none\n\tbridge-stp off\n\tbridge-fd 0\n\nsource",
    )
}

/// Its first bridge comes up; its second gets a group's hardware address, which no kernel takes.
pub fn half_way() -> String {
    let second = "\nauto vmbr2\niface vmbr2 inet manual\n\tbridge-ports none\n\thwaddress ether 01:00:5e:00:00:01\n";
    good().replace("\nsource", &format!("{second}\nsource"))
}

/// A node with the package, at a phase in which Rust applies: its card is a cable to a router, a guest's tap and a
/// container's veth hang at its bridge, and ifupdown2 has brought all of it up.
pub fn furnished(node: Node) -> Node {
    like_a_pve_node(&node);
    node.write("/etc/hosts", "127.0.0.1 localhost\n192.0.2.10 pve1.example pve1\n");
    dpkg(&node, &["-i"], &V1).ok();
    node.write("/etc/pve/network/migration.toml", "phase = \"rust-basic-write\"\nfeatures = { rust_cli = true }\n");
    node.write(&format!("{STATE}/ceiling"), "rust-basic-write\n");
    node.write("/etc/pve/qemu-server/100.conf", "net0: virtio=BC:24:11:00:00:01,bridge=vmbr0\n");
    node
}

pub fn with(packages: &[&str]) -> Node {
    let node = Node::with_packages(Suite::Bookworm, packages).named("pve1").with_sys();
    let node = furnished(node);
    plug(&node);
    node
}

pub fn node() -> Node {
    with(&["ifupdown2"])
}

/// What the kernel has, without numbers and names that differ from run to run.
pub fn kernel(node: &Node) -> Vec<String> {
    let json = |arguments: &str| -> Value {
        serde_json::from_str(&node.sh(&format!("ip -json {arguments}")).ok().stdout).unwrap_or(Value::Null)
    };
    let mut out = Vec::new();
    for link in json("address show").as_array().into_iter().flatten() {
        let up = link["flags"].as_array().unwrap().iter().any(|flag| flag == "UP");
        let mut addresses: Vec<String> = link["addr_info"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|a| a["scope"] != "link")
            .map(|a| format!("{}/{}", a["local"].as_str().unwrap(), a["prefixlen"]))
            .collect();
        addresses.sort();
        out.push(format!("{} up={up} mtu={} master={} {addresses:?}", link["ifname"], link["mtu"], link["master"]));
    }
    for route in json("route show default").as_array().into_iter().flatten() {
        out.push(format!("default {} {}", route["gateway"], route["dev"]));
    }
    out.sort();
    out
}

/// Kernel and files.
#[derive(Debug, PartialEq, Eq)]
pub struct Network {
    pub kernel: Vec<String>,
    pub main: String,
    pub pending: bool,
}

pub fn network(node: &Node) -> Network {
    Network { kernel: kernel(node), main: node.text(MAIN), pending: node.exists(NEW) }
}

pub fn guests_are_plugged_in(node: &Node, place: &str) {
    for port in ["tap100i0", "veth101i0"] {
        let link = node.run(["ip", "link", "show", port]).ok().stdout;
        assert!(link.contains("master vmbr0") && link.contains("UP"), "{place}: {link}");
    }
}

pub fn record(node: &Node) -> Value {
    let path = format!("{STATE}/apply.json");
    if !node.exists(&path) {
        return Value::Null;
    }
    serde_json::from_str(&node.text(&path)).unwrap()
}

pub fn state(node: &Node) -> String {
    record(node)["state"].as_str().unwrap_or_default().to_owned()
}

/// Waits until the apply is in one of these states.
#[track_caller]
pub fn reaches(node: &Node, states: &[&str]) -> String {
    let begin = Instant::now();
    loop {
        let now = state(node);
        if states.contains(&now.as_str()) {
            return now;
        }
        let said = if node.exists("/run/said") { node.text("/run/said") } else { String::new() };
        assert!(begin.elapsed() < SOON, "it is {now:?} and not {states:?} after {SOON:?}; it said: {said}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Starts an apply that goes on in the background; what it says is in `/run/said`, its exit code in `/run/code`.
pub fn begin(node: &Node, command: &str) {
    node.sh(&format!("rm -f /run/said /run/code; (set +e; {command}; echo $? >/run/code) >/run/said 2>&1 & :")).ok();
}

/// Applies [`good`] in the background, up to where it waits so many seconds for a confirmation. Its process is in
/// `/run/pid`.
#[track_caller]
pub fn waits(node: &Node, seconds: u32) {
    node.write(NEW, good());
    begin(node, &format!("pvenet apply --yes --confirm {seconds} & echo $! >/run/pid; wait $!"));
    reaches(node, &["waiting"]);
}

/// Kills every process with these words in its command line; how many there were.
pub fn kill(node: &Node, word: &str) -> usize {
    signal(node, "KILL", word)
}

pub fn signal(node: &Node, signal: &str, word: &str) -> usize {
    let script = format!(
        "for p in /proc/[0-9]*; do
           [ $p != /proc/$$ ] || continue
           case \" $(tr '\\0' ' ' <$p/cmdline 2>/dev/null) \" in *\"{word}\"*) kill -{signal} ${{p#/proc/}} && echo sent;; esac
         done; :"
    );
    node.sh(&script).stdout.lines().count()
}

/// Waits until so many guardians are left.
pub fn guardians(node: &Node, number: usize) {
    let begin = Instant::now();
    while signal(node, "0", " guardian ") != number {
        assert!(begin.elapsed() < SOON, "not {number} guardians: {}", node.sh("ps -ef").stdout);
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub fn ended(node: &Node) -> Output {
    let begin = Instant::now();
    while !node.exists("/run/code") {
        assert!(begin.elapsed() < SOON, "it goes on: {}", node.text("/run/said"));
        std::thread::sleep(Duration::from_millis(10));
    }
    node.sh("cat /run/said; exit $(cat /run/code)")
}
