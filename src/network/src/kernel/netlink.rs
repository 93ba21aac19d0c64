//! Questions and orders to the kernel, by rtnetlink(7).

use std::net::IpAddr;

use host::{Error, IoContext, Result};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    AfSpecBridge, BridgeVlanInfo, BridgeVlanInfoFlags, LinkAttribute, LinkExtentMask, LinkFlags, LinkMessage,
};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// How often a listing is asked for again when the kernel says that it changed meanwhile.
const TRIES: usize = 5;

/// A conversation with the kernel.
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    pub(super) fn open() -> Result<Self> {
        let open = || -> std::io::Result<Socket> {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            Ok(socket)
        };
        Ok(Self { socket: open().doing(|| "cannot talk to the kernel by netlink")?, sequence: 0 })
    }

    /// All that the kernel has of what is asked for.
    pub(super) fn list(&mut self, what: &RouteNetlinkMessage) -> Result<Vec<RouteNetlinkMessage>> {
        for _ in 0..TRIES {
            let (found, whole) = self.ask(what.clone(), NLM_F_DUMP)?;
            if whole {
                return Ok(found);
            }
        }
        Err(Error::new("cannot list what the kernel has: it changes all the time"))
    }

    /// Has the kernel do something.
    pub(super) fn order(&mut self, what: RouteNetlinkMessage, flags: u16) -> Result<()> {
        self.ask(what, NLM_F_ACK | flags).map(drop)
    }

    /// Asks for one thing.
    pub(super) fn one(&mut self, what: RouteNetlinkMessage) -> Result<Vec<RouteNetlinkMessage>> {
        self.ask(what, NLM_F_ACK).map(|(found, _)| found)
    }

    /// The answers, and whether nothing changed while they were given (NLM_F_DUMP_INTR).
    fn ask(&mut self, what: RouteNetlinkMessage, flags: u16) -> Result<(Vec<RouteNetlinkMessage>, bool)> {
        const DUMP_INTR: u16 = 0x10;
        self.sequence += 1;
        let mut request = NetlinkMessage::from(what);
        request.header.flags = NLM_F_REQUEST | flags;
        request.header.sequence_number = self.sequence;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes, 0).doing(|| "cannot ask the kernel")?;
        let (mut found, mut whole) = (Vec::new(), true);
        loop {
            let (bytes, _) = self.socket.recv_from_full().doing(|| "cannot hear the kernel")?;
            let mut rest = bytes.as_slice();
            while let Some(length) = rest.first_chunk().map(|b| u32::from_ne_bytes(*b) as usize) {
                if length < 16 || length > rest.len() {
                    break;
                }
                let (message, after) = rest.split_at(length);
                rest = after.get(length.next_multiple_of(4) - length..).unwrap_or_default();
                // What the crate can't read is nothing that we ask for.
                let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(message) else { continue };
                if message.header.sequence_number != self.sequence {
                    continue; // the rest of an answer that was given up
                }
                whole &= message.header.flags & DUMP_INTR == 0;
                match message.payload {
                    NetlinkPayload::Done(_) => return Ok((found, whole)),
                    NetlinkPayload::Error(error) if error.code.is_none() => return Ok((found, whole)),
                    NetlinkPayload::Error(error) => return Err(Error::io("the kernel refuses", error.to_io())),
                    NetlinkPayload::InnerMessage(inner) => found.push(inner),
                    _ => {}
                }
            }
        }
    }

    /// Gives a device a master, or none (0), and sets it up.
    pub(super) fn set_master(&mut self, index: u32, master: u32) -> Result<()> {
        let mut link = LinkMessage::default();
        link.header.index = index;
        link.header.flags = LinkFlags::Up;
        link.header.change_mask = LinkFlags::Up;
        link.attributes.push(LinkAttribute::Controller(master));
        self.order(RouteNetlinkMessage::SetLink(link), 0)
    }

    /// Sets a device up or down.
    pub(super) fn set_up(&mut self, index: u32, up: bool) -> Result<()> {
        let mut link = LinkMessage::default();
        link.header.index = index;
        link.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
        link.header.change_mask = LinkFlags::Up;
        self.order(RouteNetlinkMessage::SetLink(link), 0)
    }

    /// Sets the largest packet that a device carries, in bytes.
    pub(super) fn set_mtu(&mut self, index: u32, mtu: u32) -> Result<()> {
        let mut link = LinkMessage::default();
        link.header.index = index;
        link.attributes.push(LinkAttribute::Mtu(mtu));
        self.order(RouteNetlinkMessage::SetLink(link), 0)
    }

    /// Takes a virtual device away.
    pub(super) fn delete(&mut self, index: u32) -> Result<()> {
        let mut link = LinkMessage::default();
        link.header.index = index;
        self.order(RouteNetlinkMessage::DelLink(link), 0)
    }

    /// Adds or removes a VLAN of a bridge's port.
    pub(super) fn set_vlan(&mut self, index: u32, flags: u16, vid: u16, add: bool) -> Result<()> {
        let mut link = LinkMessage::default();
        link.header.interface_family = AddressFamily::Bridge;
        link.header.index = index;
        let info = BridgeVlanInfo { flags: BridgeVlanInfoFlags::from_bits_retain(flags), vid };
        link.attributes.push(LinkAttribute::AfSpecBridge(vec![AfSpecBridge::VlanInfo(info)]));
        let order = if add { RouteNetlinkMessage::SetLink(link) } else { RouteNetlinkMessage::DelLink(link) };
        self.order(order, 0)
    }

    /// The VLANs of all ports of bridges.
    pub(super) fn vlans(&mut self) -> Result<Vec<RouteNetlinkMessage>> {
        let mut link = LinkMessage::default();
        link.header.interface_family = AddressFamily::Bridge;
        link.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::BrvlanCompressed]));
        self.list(&RouteNetlinkMessage::GetLink(link))
    }

    /// Adds or removes an address.
    pub(super) fn set_address(&mut self, index: u32, ip: IpAddr, length: u8, add: bool) -> Result<()> {
        let mut address = AddressMessage::default();
        address.header.family = family(ip);
        address.header.prefix_len = length;
        address.header.index = index;
        address.attributes.extend([AddressAttribute::Local(ip), AddressAttribute::Address(ip)]);
        if add {
            self.order(RouteNetlinkMessage::NewAddress(address), NLM_F_CREATE | NLM_F_REPLACE)
        } else {
            self.order(RouteNetlinkMessage::DelAddress(address), 0)
        }
    }

    /// Adds or removes a default route of the main table.
    pub(super) fn set_default(&mut self, index: u32, gateway: IpAddr, metric: u32, add: bool) -> Result<()> {
        let mut route = RouteMessage::default();
        route.header.address_family = family(gateway);
        route.header.table = RouteHeader::RT_TABLE_MAIN;
        route.attributes.extend([RouteAttribute::Gateway(gateway.into()), RouteAttribute::Oif(index)]);
        if metric != 0 {
            route.attributes.push(RouteAttribute::Priority(metric));
        }
        if add {
            route.header.protocol = RouteProtocol::Boot;
            route.header.scope = RouteScope::Universe;
            route.header.kind = RouteType::Unicast;
            self.order(RouteNetlinkMessage::NewRoute(route), NLM_F_CREATE | NLM_F_REPLACE)
        } else {
            route.header.scope = RouteScope::NoWhere;
            self.order(RouteNetlinkMessage::DelRoute(route), 0)
        }
    }

    /// By which device and by which router the kernel would reach an address.
    pub(super) fn route_to(&mut self, ip: IpAddr) -> Result<Option<(u32, Option<IpAddr>)>> {
        let mut route = RouteMessage::default();
        route.header.address_family = family(ip);
        route.header.destination_prefix_length = if ip.is_ipv4() { 32 } else { 128 };
        route.attributes.push(RouteAttribute::Destination(ip.into()));
        let answers = match self.one(RouteNetlinkMessage::GetRoute(route)) {
            Ok(answers) => answers,
            Err(error) if error.errno().is_some() => return Ok(None), // unreachable
            Err(error) => return Err(error),
        };
        let found = answers.into_iter().find_map(|answer| match answer {
            RouteNetlinkMessage::NewRoute(route) => Some(next_hop(&route)),
            _ => None,
        });
        Ok(found.and_then(|(device, gateway)| Some((device?, gateway))))
    }

    /// Forgets what is known of a neighbour, so that it is asked for anew.
    pub(super) fn forget_neighbour(&mut self, index: u32, ip: IpAddr) -> Result<()> {
        let mut neighbour = NeighbourMessage::default();
        neighbour.header.family = family(ip);
        neighbour.header.ifindex = index;
        let destination = match ip {
            IpAddr::V4(ip) => NeighbourAddress::Inet(ip),
            IpAddr::V6(ip) => NeighbourAddress::Inet6(ip),
        };
        neighbour.attributes.push(NeighbourAttribute::Destination(destination));
        match self.order(RouteNetlinkMessage::DelNeighbour(neighbour), 0) {
            Err(error) if error.io_kind() == Some(std::io::ErrorKind::NotFound) => Ok(()),
            done => done,
        }
    }
}

/// Device and router of a route.
pub(super) fn next_hop(route: &RouteMessage) -> (Option<u32>, Option<IpAddr>) {
    let (mut device, mut gateway) = (None, None);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(index) => device = Some(*index),
            RouteAttribute::Gateway(RouteAddress::Inet(ip)) => gateway = Some(IpAddr::V4(*ip)),
            RouteAttribute::Gateway(RouteAddress::Inet6(ip)) => gateway = Some(IpAddr::V6(*ip)),
            _ => {}
        }
    }
    (device, gateway)
}

fn family(ip: IpAddr) -> AddressFamily {
    if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}
