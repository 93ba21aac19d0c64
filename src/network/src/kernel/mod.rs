//! What the kernel has: devices, addresses, default routes, ports of bridges, and the few orders by which a
//! rollback mends what ifupdown2 left undone.

mod netlink;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use host::Result;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{
    AfSpecBridge, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, Prop, State,
};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{RouteAttribute, RouteHeader, RouteMessage, RouteType};
use serde::{Deserialize, Serialize};

use netlink::Netlink;

/// The kernel's network as far as interfaces(5) describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// Devices by name.
    pub devices: BTreeMap<String, Device>,
    /// Default routes of the main table.
    pub defaults: BTreeSet<Default>,
}

/// One device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The kernel's number for it; another one once it was made anew.
    pub index: u32,
    /// Whether it is set up (IFF_UP), not whether it has a carrier.
    pub up: bool,
    /// `up`, `down`, `unknown`: operstate as sysfs(5) has it.
    #[serde(default)]
    pub state: String,
    /// In bytes.
    pub mtu: u32,
    /// The bridge or bond that it is a port of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<String>,
    /// `bridge`, `vlan`, `veth`, …; none for a card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// A network card: Ethernet, and made by no one.
    #[serde(default)]
    pub physical: bool,
    /// Its other names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub altnames: Vec<String>,
    /// Addresses with the length of their prefix; without those that the kernel makes up itself.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub addresses: BTreeSet<(IpAddr, u8)>,
    /// VLANs of a port of a bridge: flags (BRIDGE_VLAN_INFO_*) and number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vlans: Vec<(u16, u16)>,
}

/// A default route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Default {
    /// The router; none on a link to one other end.
    pub gateway: Option<IpAddr>,
    /// The device.
    pub device: String,
    /// The lower the better; 0 for IPv4's default.
    pub metric: u32,
}

impl Kernel {
    /// Reads it.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub fn read() -> Result<Self> {
        let mut netlink = Netlink::open()?;
        let mut out = Self::links_of(&mut netlink)?;
        let names: BTreeMap<u32, String> = out.devices.iter().map(|(name, d)| (d.index, name.clone())).collect();
        for message in netlink.list(&RouteNetlinkMessage::GetAddress(AddressMessage::default()))? {
            if let RouteNetlinkMessage::NewAddress(message) = message
                && let Some(device) = names.get(&message.header.index).and_then(|name| out.devices.get_mut(name))
            {
                device.addresses.extend(address(&message));
            }
        }
        for message in netlink.list(&RouteNetlinkMessage::GetRoute(RouteMessage::default()))? {
            if let RouteNetlinkMessage::NewRoute(route) = message {
                out.defaults.extend(default(&route, &names));
            }
        }
        for message in netlink.vlans()? {
            if let RouteNetlinkMessage::NewLink(link) = message
                && let Some(device) = names.get(&link.header.index).and_then(|name| out.devices.get_mut(name))
            {
                device.vlans = vlans(&link);
            }
        }
        Ok(out)
    }

    /// Its devices alone.
    ///
    /// # Errors
    /// As [`Kernel::read`].
    pub fn links() -> Result<Self> {
        Self::links_of(&mut Netlink::open()?)
    }

    fn links_of(netlink: &mut Netlink) -> Result<Self> {
        let found = netlink.list(&RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
        let mut masters = Vec::new();
        let mut devices = BTreeMap::new();
        for message in found {
            let RouteNetlinkMessage::NewLink(link) = message else { continue };
            let Some((name, device, master)) = device(&link) else { continue };
            masters.extend(master.map(|master| (name.clone(), master)));
            devices.insert(name, device);
        }
        let names: BTreeMap<u32, String> =
            devices.iter().map(|(n, d): (&String, &Device)| (d.index, n.clone())).collect();
        for (port, master) in masters {
            if let (Some(device), Some(master)) = (devices.get_mut(&port), names.get(&master)) {
                device.master = Some(master.clone());
            }
        }
        Ok(Self { devices, defaults: BTreeSet::new() })
    }
}

fn device(link: &LinkMessage) -> Option<(String, Device, Option<u32>)> {
    let mut out =
        Device { index: link.header.index, up: link.header.flags.contains(LinkFlags::Up), ..Device::default() };
    let (mut name, mut master) = (None, None);
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text.clone()),
            LinkAttribute::Mtu(mtu) => out.mtu = *mtu,
            LinkAttribute::Controller(index) => master = Some(*index),
            LinkAttribute::OperState(state) => out.state = operstate(state).to_owned(),
            LinkAttribute::LinkInfo(infos) => {
                out.kind = infos.iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
            }
            LinkAttribute::PropList(list) => {
                out.altnames = list
                    .iter()
                    .filter_map(|prop| match prop {
                        Prop::AltIfName(name) => Some(name.clone()),
                        _ => None,
                    })
                    .collect();
            }
            _ => {}
        }
    }
    out.physical = link.header.link_layer_type == LinkLayerType::Ether && out.kind.is_none();
    Some((name?, out, master))
}

const fn operstate(state: &State) -> &'static str {
    match state {
        State::NotPresent => "notpresent",
        State::Down => "down",
        State::LowerLayerDown => "lowerlayerdown",
        State::Testing => "testing",
        State::Dormant => "dormant",
        State::Up => "up",
        _ => "unknown",
    }
}

/// An address that somebody set: not one that the kernel or a router made up.
fn address(message: &AddressMessage) -> Option<(IpAddr, u8)> {
    let mut ip = None;
    for attribute in &message.attributes {
        match attribute {
            // On a link to one other end `Address` is the other one's.
            AddressAttribute::Local(local) => ip = Some(*local),
            AddressAttribute::Address(address) => ip = ip.or(Some(*address)),
            _ => {}
        }
    }
    let made_up = matches!(ip?, IpAddr::V6(ip) if ip.is_unicast_link_local());
    let lasting = message.header.flags.contains(AddressHeaderFlags::Permanent);
    (lasting && !made_up).then_some((ip?, message.header.prefix_len))
}

fn default(route: &RouteMessage, names: &BTreeMap<u32, String>) -> Option<Default> {
    let header = &route.header;
    let ours = header.destination_prefix_length == 0
        && header.table == RouteHeader::RT_TABLE_MAIN
        && header.kind == RouteType::Unicast;
    let (device, gateway) = netlink::next_hop(route);
    let metric = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Priority(metric) => Some(*metric),
        _ => None,
    });
    let device = names.get(&device?)?.clone();
    ours.then_some(Default { gateway, device, metric: metric.unwrap_or(0) })
}

fn vlans(link: &LinkMessage) -> Vec<(u16, u16)> {
    let specs = link.attributes.iter().flat_map(|attribute| match attribute {
        LinkAttribute::AfSpecBridge(list) => list.as_slice(),
        _ => &[],
    });
    specs
        .filter_map(|spec| match spec {
            AfSpecBridge::VlanInfo(info) => Some((info.flags.bits(), info.vid)),
            _ => None,
        })
        .collect()
}

/// How a neighbour stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbour {
    /// It answered.
    There,
    /// It needs no asking: somebody set it, or the device knows no neighbours.
    Fixed,
    /// It has not answered yet.
    Asked,
    /// It does not answer.
    Silent,
}

/// Orders to the kernel, and questions about other machines.
pub struct Hand(Netlink);

impl Hand {
    /// Opens the conversation.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub fn open() -> Result<Self> {
        Netlink::open().map(Self)
    }

    /// Makes a device a port of a bridge or bond, and sets it up.
    ///
    /// # Errors
    /// The kernel refuses, as in all the orders below.
    pub fn enslave(&mut self, port: &Device, master: &Device) -> Result<()> {
        self.0.set_master(port.index, master.index)
    }

    /// Makes it a port of nothing.
    pub fn release(&mut self, port: &Device) -> Result<()> {
        self.0.set_master(port.index, 0)
    }

    /// Sets it up or down.
    pub fn set_up(&mut self, device: &Device, up: bool) -> Result<()> {
        self.0.set_up(device.index, up)
    }

    /// Sets the largest packet it carries, in bytes.
    pub fn set_mtu(&mut self, device: &Device, mtu: u32) -> Result<()> {
        self.0.set_mtu(device.index, mtu)
    }

    /// Takes it away.
    pub fn delete(&mut self, device: &Device) -> Result<()> {
        self.0.delete(device.index)
    }

    /// Adds or removes an address.
    pub fn set_address(&mut self, device: &Device, (ip, length): (IpAddr, u8), add: bool) -> Result<()> {
        self.0.set_address(device.index, ip, length, add)
    }

    /// Adds or removes a default route.
    pub fn set_default(&mut self, device: &Device, route: &Default, add: bool) -> Result<()> {
        let Some(gateway) = route.gateway else { return Ok(()) };
        self.0.set_default(device.index, gateway, route.metric, add)
    }

    /// Gives a port the VLANs that it had, and no others.
    pub fn set_vlans(&mut self, port: &Device, wanted: &[(u16, u16)]) -> Result<()> {
        for (flags, vid) in port.vlans.iter().filter(|v| !wanted.contains(v)) {
            self.0.set_vlan(port.index, *flags, *vid, false)?;
        }
        for (flags, vid) in wanted.iter().filter(|v| !port.vlans.contains(v)) {
            self.0.set_vlan(port.index, *flags, *vid, true)?;
        }
        Ok(())
    }

    /// The device and the neighbour by which an address is reached: a router, or itself.
    pub fn next_hop(&mut self, ip: IpAddr) -> Result<Option<(u32, IpAddr)>> {
        Ok(self.0.route_to(ip)?.map(|(device, gateway)| (device, gateway.unwrap_or(ip))))
    }

    /// Forgets a neighbour, so that it is asked for anew.
    pub fn forget(&mut self, device: u32, ip: IpAddr) -> Result<()> {
        self.0.forget_neighbour(device, ip)
    }

    /// How all neighbours stand.
    pub fn neighbours(&mut self) -> Result<BTreeMap<(u32, IpAddr), Neighbour>> {
        let found = self.0.list(&RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()))?;
        let one = |message| {
            let RouteNetlinkMessage::NewNeighbour(message) = message else { return None };
            let ip = message.attributes.iter().find_map(|attribute| match attribute {
                NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => Some(IpAddr::V4(*ip)),
                NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => Some(IpAddr::V6(*ip)),
                _ => None,
            })?;
            let how = match message.header.state {
                NeighbourState::Incomplete | NeighbourState::Probe | NeighbourState::None => Neighbour::Asked,
                NeighbourState::Failed => Neighbour::Silent,
                NeighbourState::Permanent | NeighbourState::Noarp => Neighbour::Fixed,
                _ => Neighbour::There,
            };
            Some(((message.header.ifindex, ip), how))
        };
        Ok(found.into_iter().filter_map(one).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_there_and_has_its_address() {
        let kernel = Kernel::read().unwrap();
        let lo = &kernel.devices["lo"];
        assert_eq!((lo.index, lo.physical, lo.master.as_deref()), (1, false, None));
        assert_eq!(
            Kernel::links().unwrap().devices.keys().collect::<Vec<_>>(),
            kernel.devices.keys().collect::<Vec<_>>()
        );
        let text = serde_json::to_string(&kernel).unwrap();
        assert_eq!(serde_json::from_str::<Kernel>(&text).unwrap(), kernel);
    }
}
