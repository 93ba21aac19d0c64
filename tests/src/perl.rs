//! Perl's API on a node of the rig: crate `pveproxy`'s stand-in at 127.0.0.1:8006, as the unit that it is on a Proxmox
//! VE node, with a certificate that the cluster's authority signed; and `pveum`, which makes the tokens that it knows.

use std::path::Path;

use pveproxy::Authority;
use serde_json::{Value, json};

use crate::ours::put_program;
use crate::{Machine, Node};

const PVEUM: &str = include_str!("../stand-ins/pveum");
const NETWORK: &str = "/usr/local/share/pveproxy/network.json";

/// What Proxmox shows of a node with [`crate::ours::INTERFACES`], but for `active`, which is the kernel's to say. Its
/// card is a cable of [`crate::cables`], and so has no `exists`.
pub fn network() -> Value {
    json!([
        {
            "iface": "lo", "type": "loopback", "method": "loopback", "method6": "manual", "families": ["inet"],
            "autostart": 1, "priority": 2,
        },
        {
            "iface": "eno1", "type": "eth", "method": "manual", "method6": "manual", "families": ["inet"], "priority": 3,
        },
        {
            "iface": "vmbr0", "type": "bridge", "method": "static", "method6": "manual", "families": ["inet"],
            "autostart": 1, "address": "192.0.2.10", "netmask": "24", "cidr": "192.0.2.10/24", "gateway": "192.0.2.1",
            "bridge_ports": "eno1", "bridge_stp": "off", "bridge_fd": "0", "priority": 4,
        },
    ])
}

/// Puts it on a node, before or after its boot; it is started with [`start`]. `program` is the stand-in, built by cargo.
pub fn put(node: &Node, program: &str, authority: &Authority, name: &str) {
    put_program(node, Path::new(program), "/usr/local/bin/pveproxy");
    node.write_program("/usr/bin/pveum", PVEUM);
    node.write(NETWORK, network().to_string());
    node.write("/etc/pve/pve-root-ca.pem", authority.pem());
    let pair = authority.sign_node(name);
    node.write("/etc/pve/local/pve-ssl.pem", pair.certificate);
    node.write("/etc/pve/local/pve-ssl.key", pair.key);
    let unit = format!(
        "[Unit]\nDescription=PVE API Proxy Server (a stand-in)\n\
         [Service]\nExecStart=/usr/local/bin/pveproxy 127.0.0.1:8006 {name} {NETWORK} /run/pveproxy/tokens\n"
    );
    node.write("/etc/systemd/system/pveproxy.service", unit);
}

/// Starts it on a booted node, and waits until it answers.
pub fn start(node: &Node) {
    let wait =
        "for _ in $(seq 100); do (exec 3<>/dev/tcp/127.0.0.1/8006) 2>/dev/null && exit 0; sleep 0.05; done; exit 1";
    node.sh("ip link set lo up && systemctl daemon-reload && systemctl start pveproxy.service").ok();
    node.run(["bash", "-c", wait]).ok();
}
