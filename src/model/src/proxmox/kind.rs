//! Types of interfaces, as Proxmox's API names them.

use std::fmt;

/// What an interface is: follows from its name and options, and from what the kernel has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A physical one, or one that is named like one.
    Eth,
    /// A Linux bridge.
    Bridge,
    /// A Linux bond.
    Bond,
    /// A VLAN by its name (`eno1.5`) or by its options.
    Vlan,
    /// A VXLAN tunnel's end.
    Vxlan,
    /// A further address of another one (`eno1:1`).
    Alias,
    /// `lo`.
    Loopback,
    /// A dummy.
    Dummy,
    /// An Open vSwitch bridge.
    OvsBridge,
    /// An Open vSwitch bond.
    OvsBond,
    /// A port of an Open vSwitch bridge.
    OvsPort,
    /// An internal port of an Open vSwitch bridge.
    OvsIntPort,
    /// A virtual network of SDN: never read from this file, but Proxmox's API writes one if asked to.
    Vnet,
    /// A fabric of SDN; the same.
    Fabric,
    /// Anything else.
    Unknown,
}

impl Kind {
    /// As the API names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eth => "eth",
            Self::Bridge => "bridge",
            Self::Bond => "bond",
            Self::Vlan => "vlan",
            Self::Vxlan => "vxlan",
            Self::Alias => "alias",
            Self::Loopback => "loopback",
            Self::Dummy => "dummy",
            Self::OvsBridge => "OVSBridge",
            Self::OvsBond => "OVSBond",
            Self::OvsPort => "OVSPort",
            Self::OvsIntPort => "OVSIntPort",
            Self::Vnet => "vnet",
            Self::Fabric => "fabric",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it hangs on an Open vSwitch bridge.
    pub(super) const fn is_ovs_port(self) -> bool {
        matches!(self, Self::OvsPort | Self::OvsIntPort | Self::OvsBond)
    }

    /// Where it stands in the written file; `None` if only the order of reading counts.
    pub(super) const fn rank(self) -> Option<u32> {
        Some(match self {
            Self::Loopback | Self::Dummy => 100_000,
            Self::Eth | Self::OvsPort => 200_000,
            Self::OvsIntPort => 300_000,
            Self::OvsBond | Self::Bond => 400_000,
            Self::Bridge | Self::OvsBridge => 500_000,
            Self::Vlan | Self::Vxlan => 600_000,
            Self::Alias | Self::Vnet | Self::Fabric => 0,
            Self::Unknown => return None,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `NAME.NUMBER`: the parent and the tag.
pub(super) fn vlan_name(name: &str) -> Option<(&str, &str)> {
    split_number(name, '.')
}

/// `NAME:NUMBER`: whose alias it is.
pub(super) fn alias_of(name: &str) -> Option<&str> {
    split_number(name, ':').map(|(parent, _)| parent)
}

fn split_number(name: &str, mark: char) -> Option<(&str, &str)> {
    let (parent, number) = name.rsplit_once(mark)?;
    (!parent.is_empty() && digits(number)).then_some((parent, number))
}

/// The digits behind a prefix: 5 in `vlan5`.
pub(super) fn numbered<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    name.strip_prefix(prefix).filter(|rest| digits(rest))
}

/// Names that Proxmox takes for physical without asking the kernel.
pub(super) fn looks_physical(name: &str) -> bool {
    let rest = |prefix: &str| name.strip_prefix(prefix).is_some_and(|r| !r.is_empty() && !r.contains([':', '.']));
    ["eth", "nic", "if"].iter().any(|p| numbered(name, p).is_some()) || rest("en") || rest("ib")
}

pub(super) fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}
