//! A node's cables: its card leads to a router, and guests hang at its bridge.

use crate::Machine;

/// Plugs in what [`crate::ours::INTERFACES`] speaks of: `eno1` is a cable to a router that answers at 192.0.2.1. A
/// guest's tap and a container's veth hang at `vmbr0`, and ifupdown2 has brought all of it up. The machine needs
/// package ifupdown2, and its `/sys`: [`crate::Node::with_sys`], or a boot.
pub fn plug(machine: &impl Machine) {
    // The third folder: without it Debian 13's ifupdown2 fails, and its iproute2 does not make it.
    machine
        .sh("mkdir -p /run/network /run/netns /etc/iproute2/rt_tables.d
             ip link add eno1 type veth peer name r0
             ip netns add router
             ip link set r0 netns router
             ip -n router address add 192.0.2.1/24 dev r0
             ip -n router link set r0 up
             for port in tap100i0 veth101i0; do
               ip link add $port type veth peer name g$port
               ip link set $port up
               ip link set g$port up
             done
             ifreload -a
             ip link set tap100i0 master vmbr0
             ip link set veth101i0 master vmbr0")
        .ok();
}
