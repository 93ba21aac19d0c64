//! Formats of parameters, with the words in which Proxmox refuses a value.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A format that Proxmox's schema names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `pve-iface`: a letter, one to twenty letters, digits or `_`, and perhaps `.N` or `:N`.
    Iface,
    /// Any number of them.
    Ifaces,
    /// `pve-configid-list`.
    ConfigIds,
    /// `pve-node`.
    Node,
    /// `ipv4`.
    Ipv4,
    /// `ipv6`.
    Ipv6,
    /// `ipv4mask`: in dots; a length is none.
    Ipv4Mask,
    /// `CIDRv4`, from /8 on.
    CidrV4,
    /// `CIDRv6`, from /8 on.
    CidrV6,
    /// `pve-vlan-id-or-range-list`.
    VlanIds,
}

impl Format {
    /// Why a value is refused.
    pub(super) fn refuses(self, value: &str) -> Option<String> {
        let looks_like = |good: bool, what: &str| (!good).then(|| format!("value does not look like a valid {what}"));
        match self {
            Self::Iface => iface(value),
            Self::Ifaces => split_list(value).find_map(iface),
            Self::ConfigIds => split_list(value).find_map(config_id),
            Self::Node => looks_like(is_node(value), "node name"),
            Self::Ipv4 => looks_like(value.parse::<Ipv4Addr>().is_ok(), "IPv4 address"),
            Self::Ipv6 => looks_like(value.parse::<Ipv6Addr>().is_ok(), "IPv6 address"),
            Self::Ipv4Mask => looks_like(is_mask(value), "IP netmask"),
            Self::CidrV4 => {
                let good = cidr(value, 32).is_some_and(|address| address.parse::<Ipv4Addr>().is_ok());
                looks_like(good, "IPv4 CIDR network")
            }
            Self::CidrV6 => {
                let good = cidr(value, 128).is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
                looks_like(good, "IPv6 CIDR network")
            }
            Self::VlanIds => split_list(value).find_map(vlan_ids),
        }
    }
}

/// The items of a list: apart by commas, semicolons or white space; by NUL where there is one.
pub(super) fn split_list(text: &str) -> impl Iterator<Item = &str> {
    let by_nul = text.contains('\0');
    let apart = move |c: char| if by_nul { c == '\0' } else { c == ',' || c == ';' || c.is_ascii_whitespace() };
    text.split(apart).filter(|item| !item.is_empty())
}

fn iface(name: &str) -> Option<String> {
    let body = match name.split_once([':', '.']) {
        Some((body, number)) if is_digits(number) => body,
        Some(_) => "",
        None => name,
    };
    let mut letters = body.bytes();
    let good = letters.next().is_some_and(|b| b.is_ascii_alphabetic())
        && (1..=20).contains(&letters.len())
        && letters.all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (!good).then(|| format!("invalid network interface name '{name}'"))
}

fn config_id(id: &str) -> Option<String> {
    let good = id.len() > 1
        && id.starts_with(|c: char| c.is_ascii_alphabetic())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    (!good).then(|| format!("invalid configuration ID '{id}'"))
}

fn is_node(name: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    edge(name.chars().next())
        && edge(name.chars().next_back())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn is_mask(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok_and(|mask| {
        let bits = u32::from(mask);
        bits.leading_ones() + bits.trailing_zeros() == 32 || bits == u32::MAX
    })
}

/// The address of `ADDRESS/LENGTH`.
fn cidr(text: &str, longest: u32) -> Option<&str> {
    let (address, length) = text.split_once('/')?;
    let fits = is_digits(length) && length.parse::<u32>().is_ok_and(|n| (8..=longest).contains(&n));
    fits.then_some(address)
}

fn vlan_ids(item: &str) -> Option<String> {
    let (start, end) = match item.split_once('-') {
        Some((start, end)) => (start, Some(end)),
        None => (item, None),
    };
    if !is_digits(start) || !end.is_none_or(is_digits) {
        return Some(format!("invalid VLAN configuration '{item}'"));
    }
    // What overflows is no tag either.
    let number = |text: &str| text.parse::<u32>().unwrap_or(u32::MAX);
    let wrong = |text: &str| (!(2..=4094).contains(&number(text))).then(|| format!("invalid VLAN tag '{text}'"));
    // Perl takes an end of 0 for none.
    let end = end.filter(|end| *end != "0");
    wrong(start).or_else(|| end.and_then(wrong)).or_else(|| {
        let backwards = end.is_some_and(|end| number(start) >= number(end));
        backwards.then(|| format!("VLAN range must go from lower to higher tag '{item}'"))
    })
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// The IANA kind of an IPv6 address that no host may have; `None` if a host may.
pub(super) fn no_host_address(address: Ipv6Addr, length: u32) -> Option<&'static str> {
    let bits = u128::from(address);
    let mask = u128::MAX.checked_shl(128u32.saturating_sub(length)).unwrap_or(0);
    if bits == mask {
        return Some("ANYCAST");
    }
    let top = |n: u32| bits >> (128 - n);
    // The longest prefix counts. No address is left over: what is not one of these is reserved.
    Some(match bits {
        0 => "UNSPECIFIED",
        1 => "LOOPBACK",
        _ if top(96) == 0xffff => "IPV4MAP",
        _ if top(64) == 0x0100_0000_0000_0000 => "DISCARD",
        _ if top(48) == 0x2001_0002_0000 => "BMWG",
        _ if top(32) == 0x2001_0000 => "TEREDO",
        _ if top(32) == 0x2001_0db8 => "DOCUMENTATION",
        _ if top(28) == 0x200_1001 => "ORCHID",
        _ if top(16) == 0x2002 => "6TO4",
        _ if top(8) == 0xff => "MULTICAST",
        _ if top(10) == 0b11_1111_1010 || top(7) == 0b111_1110 || top(3) == 0b001 => return None,
        _ => "RESERVED",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_format_takes_and_refuses() {
        let cases: [(Format, &[&str], &[&str]); 10] = [
            (
                Format::Iface,
                &["vmbr0", "ab", "Ab_9", "eno1.5", "eth0:1", "abcdefghijklmnopqrstu"],
                &["a", "", "1br", "br 0", "br/0", "br-0", "eno1.", "eno1.x", "a.5", "e.5.5", "abcdefghijklmnopqrstuv"],
            ),
            (Format::Ifaces, &["", "eno1", "eno1,eno2; eno3", " eno1\teno2"], &["eno1 x", "eno1,-"]),
            (Format::ConfigIds, &["cidr gateway", "bond-primary,mtu"], &["key!", "a", "9a"]),
            (Format::Node, &["a", "pve1", "a-b"], &["", "-a", "a-", "a.b", "a/b"]),
            (Format::Ipv4, &["10.0.0.1"], &["10.0.0.256", "10.0.0.01", "10.0.0", "fe80::1", "10.0.0.1\n"]),
            (Format::Ipv6, &["fe80::1", "::", "::ffff:1.2.3.4"], &["1.2.3.4", "fe80::1%eth0", "1:2:3:4:5:6:7:8:9"]),
            (Format::Ipv4Mask, &["255.255.255.0", "0.0.0.0", "255.255.255.255"], &["24", "255.0.255.0", ""]),
            (Format::CidrV4, &["10.0.0.1/24", "10.0.0.1/8"], &["10.0.0.1", "10.0.0.1/33", "10.0.0.1/7", "x/24"]),
            (Format::CidrV6, &["fe80::1/64", "::1/128"], &["fe80::1", "fe80::1/129", "fe80::1/7", "10.0.0.1/24"]),
            (Format::VlanIds, &["2 4 100-200", "2,4;5", "5-0"], &["1", "4095", "5-4", "5-5", "a", "5-", "2-4095"]),
        ];
        for (format, good, bad) in cases {
            for value in good {
                assert_eq!(format.refuses(value), None, "{format:?} {value:?}");
            }
            for value in bad {
                assert!(format.refuses(value).is_some(), "{format:?} {value:?}");
            }
        }
    }

    #[test]
    fn which_ipv6_addresses_are_no_host_s() {
        let cases = [
            ("2001:db9::1", 64, None),
            ("fd00::1", 64, None),
            ("fe80::1", 64, None),
            ("ff02::1", 64, Some("MULTICAST")),
            ("::1", 128, Some("LOOPBACK")),
            ("::", 64, Some("UNSPECIFIED")),
            ("2001:db8::", 32, Some("DOCUMENTATION")),
            ("::ffff:1.2.3.4", 96, Some("IPV4MAP")),
            ("::1.2.3.4", 96, Some("RESERVED")),
            ("100::5", 64, Some("DISCARD")),
            ("2001:2::1", 64, Some("BMWG")),
            ("2001::1", 64, Some("TEREDO")),
            ("2001:10::1", 64, Some("ORCHID")),
            ("2001:20::1", 64, None),
            ("2002::1", 64, Some("6TO4")),
            ("ffff:ffff::", 32, Some("ANYCAST")),
            ("fec0::1", 64, Some("RESERVED")),
            ("4000::1", 64, Some("RESERVED")),
        ];
        for (address, length, expected) in cases {
            assert_eq!(no_host_address(address.parse().unwrap(), length), expected, "{address}");
        }
    }
}
