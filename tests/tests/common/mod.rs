//! What several of these files need: nodes with the package in two versions at hand.

#![allow(dead_code, reason = "each test program uses its own part of this")]

use std::sync::LazyLock;

use rig::ours::{NAME, like_a_pve_node, put_rust_write, sealing};
use rig::{Deb, Machine, Node, Output, Suite};

/// What a canary wrote: the same addresses, other ports.
pub const TRIAL: &str = "auto lo\niface lo inet loopback\n\nauto vmbr0\niface vmbr0 inet static\n\taddress 192.0.2.10/24\n\tgateway 192.0.2.1\n\tbridge-ports none\n";
pub const ADMIN: &str = "/etc/network/interfaces.d/admin";

/// The bytes of a package that many tests share. Sealing takes seconds, most of them xz.
pub type Shared = LazyLock<Vec<u8>>;

/// Reads a package so that nothing of it is left on disk when the tests end.
pub fn bytes(deb: &Deb) -> Vec<u8> {
    std::fs::read(deb.path()).expect("the package was just made")
}

/// Version 0.1.0-1.
pub static V1: Shared = LazyLock::new(|| bytes(&sealing().build()));
/// Version 0.2.0-1.
pub static V2: Shared = LazyLock::new(|| bytes(&sealing().version("0.2.0-1").build()));

/// Puts the package there and runs dpkg on it with these options.
pub fn dpkg(machine: &impl Machine, options: &[&str], deb: &[u8]) -> Output {
    machine.write("/root/x.deb", deb);
    let file = machine.argument("/root/x.deb");
    let words = std::iter::once("dpkg").chain(options.iter().copied()).map(std::ffi::OsString::from);
    machine.run(words.chain([file]))
}

/// A node as Proxmox VE leaves it, with `rust-write` in its path.
pub fn bare(suite: Suite) -> Node {
    let node = Node::of(suite).named("pve1");
    like_a_pve_node(&node);
    put_rust_write(&node, env!("CARGO_BIN_EXE_rust-write"));
    node
}

/// The same with version 0.1.0-1 installed.
pub fn node_of(suite: Suite) -> Node {
    let node = bare(suite);
    dpkg(&node, &["-i"], &V1).ok();
    node
}

/// The version that dpkg has of our package.
pub fn version(machine: &impl Machine) -> String {
    machine.run(["dpkg-query", "-W", "-f", "${Version}", NAME]).stdout
}
