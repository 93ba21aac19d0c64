//! The stand-in as a program of its own, for nodes of the rig.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use serde_json::Value;

use crate::server::{State, listen};
use crate::{Network, Pair};

/// `pveproxy ADDRESS:PORT NODE NETWORK.json [TOKENS]`: serves as pveproxy does, with the certificate in
/// `/etc/pve/local`, until it is ended. `NETWORK.json` is a list of interfaces as Proxmox shows them; `TOKENS`, read
/// at each request, has a line `USER@REALM!NAME=SECRET PRIVILEGE,PRIVILEGE` for each API token.
pub fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, node, network, tokens @ ..] = arguments.as_slice() else {
        panic!("usage: pveproxy ADDRESS:PORT NODE NETWORK.json [TOKENS]")
    };
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_else(|e| panic!("cannot read {path}: {e}"));
    let pair = Pair { certificate: read("/etc/pve/local/pve-ssl.pem"), key: read("/etc/pve/local/pve-ssl.key") };
    let records: Vec<Value> = serde_json::from_str(&read(network)).unwrap_or_else(|e| panic!("{network}: {e}"));
    let address: SocketAddr = address.parse().unwrap_or_else(|e| panic!("{address}: {e}"));
    let listener = TcpListener::bind(address).unwrap_or_else(|e| panic!("cannot listen on {address}: {e}"));
    let state = State {
        network: Some(Network::new(node, &records).live()),
        tokens: tokens.first().map(PathBuf::from),
        forgetful: true,
        ..State::default()
    };
    listen(listener, &pair, state);
}
