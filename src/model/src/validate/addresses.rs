//! Addresses and gateways.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Check, Severity};
use crate::proxmox::{Interface, of_family};

/// An address with the length of its network's prefix in bits.
struct Address {
    ip: IpAddr,
    length: u8,
}

impl Address {
    const fn width(&self) -> u8 {
        if self.ip.is_ipv4() { 32 } else { 128 }
    }

    fn bits(ip: IpAddr) -> u128 {
        match ip {
            IpAddr::V4(ip) => u128::from(ip.to_bits()),
            IpAddr::V6(ip) => ip.to_bits(),
        }
    }

    /// The part of an address that tells hosts of this network apart.
    fn host_part(&self, ip: IpAddr) -> u128 {
        let bits = u32::from(self.width() - self.length);
        if bits == 128 { Self::bits(ip) } else { Self::bits(ip) & ((1 << bits) - 1) }
    }

    fn holds(&self, ip: IpAddr) -> bool {
        let network = |ip| Self::bits(ip) - self.host_part(ip);
        ip.is_ipv4() == self.ip.is_ipv4() && network(ip) == network(self.ip)
    }
}

impl Check<'_, '_> {
    pub(super) fn addresses(&mut self) {
        let mut taken: BTreeMap<IpAddr, &str> = BTreeMap::new();
        let mut gateways: BTreeMap<&str, String> = BTreeMap::new();
        let network = self.network;
        for (name, interface) in &network.interfaces {
            for suffix in ["", "6"] {
                let address = self.address(name, interface, suffix);
                if let Some(address) = &address {
                    if let Some(other) = taken.get(&address.ip) {
                        let what = format!("{} is also the address of {other}", address.ip);
                        self.add("PVN050", Severity::Error, name, None, what, "give each its own");
                    }
                    taken.insert(address.ip, name);
                }
                self.gateway(name, interface, suffix, address.as_ref(), &mut gateways);
            }
        }
    }

    fn address(&mut self, name: &str, interface: &Interface, suffix: &str) -> Option<Address> {
        let text = interface.text(of_family("address", suffix))?;
        let cidr = interface.text(of_family("cidr", suffix)).unwrap_or(text);
        let (ip, length) = cidr.rsplit_once('/').unwrap_or((cidr, ""));
        let Ok(ip) = ip.parse::<IpAddr>() else {
            let what = format!("'{text}' is no IP address");
            self.add("PVN053", Severity::Error, name, None, what, "write ADDRESS/LENGTH");
            return None;
        };
        let mask = interface.text(of_family("netmask", suffix));
        let width = if ip.is_ipv4() { 32 } else { 128 };
        let length = length.parse().unwrap_or(u8::MAX);
        let unusable = mask.filter(|mask| mask.contains('.') && !cidr.ends_with(mask) && length == width);
        if length > width || unusable.is_some() {
            let shown = mask.unwrap_or(cidr);
            let what = format!("'{shown}' is no netmask of an address of {width} bits");
            self.add("PVN054", Severity::Error, name, None, what, "write ADDRESS/LENGTH");
            return None;
        }
        let address = Address { ip, length };
        let host = address.host_part(ip);
        let free = u32::from(width - length);
        // Networks of one and two addresses have neither (RFC 3021, RFC 6164).
        if free > 1 && host == 0 {
            let what = format!("{cidr} is the address of the network itself");
            self.add("PVN044", Severity::Error, name, None, what, "take an address of a host");
        } else if free > 1 && ip.is_ipv4() && host == (1 << free) - 1 {
            let what = format!("{cidr} is the network's broadcast address");
            self.add("PVN044", Severity::Error, name, None, what, "take an address of a host");
        }
        Some(address)
    }

    fn gateway<'a>(
        &mut self,
        name: &'a str,
        interface: &Interface,
        suffix: &'a str,
        address: Option<&Address>,
        gateways: &mut BTreeMap<&'a str, String>,
    ) {
        let Some(text) = interface.text(of_family("gateway", suffix)) else { return };
        let Ok(gateway) = text.parse::<IpAddr>() else {
            let what = format!("the gateway '{text}' is no IP address");
            self.add("PVN055", Severity::Error, name, None, what, "write an address");
            return;
        };
        if let Some(other) = gateways.get(suffix) {
            let family = if suffix.is_empty() { "IPv4" } else { "IPv6" };
            let what = format!("a second default gateway of {family}; {other} has one");
            self.add("PVN051", Severity::Error, name, None, what, "keep one, and route the rest by post-up");
        }
        gateways.insert(suffix, name.to_owned());
        let Some(address) = address else { return };
        // Neighbours of IPv6 are reached by their link-local address whatever the network.
        let link_local = matches!(gateway, IpAddr::V6(ip) if ip.is_unicast_link_local());
        if gateway == address.ip {
            let what = format!("the gateway {gateway} is this node itself");
            self.add("PVN058", Severity::Error, name, None, what, "set the router's address");
        } else if !link_local && !address.holds(gateway) {
            let what = format!("the gateway {gateway} is outside of {}/{}", address.ip, address.length);
            // A single address routed to a host is how some providers do it; it needs a route to the router.
            let severity = if address.length == address.width() { Severity::Warning } else { Severity::Error };
            self.add("PVN045", severity, name, None, what, "set one inside, or add a route to it by post-up");
        }
    }
}
