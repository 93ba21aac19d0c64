//! What ifupdown2 leaves undone: ports that it took from their bridge although they are a guest's, and, on the
//! way back, whatever else differs from what was. Pure; the orders are carried out elsewhere.

use std::net::IpAddr;

use super::wanted::{Wanted, made};
use crate::kernel::{Default, Kernel};

/// An order to the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Take a device away that was not there before.
    Delete(String),
    /// Make a device a port again, with the VLANs that it had.
    Enslave(String, String),
    /// Make it a port of nothing.
    Release(String),
    /// Set it up or down.
    Up(String, bool),
    /// Give it back its mtu, in bytes.
    Mtu(String, u32),
    /// Give an address back, or take one away.
    Address(String, (IpAddr, u8), bool),
    /// Give a default route back, or take one away.
    Route(Default, bool),
}

/// Ports that the configuration doesn't name hang at a bridge because something that runs put them there: a
/// guest's `tap`, `veth`, `fwpr`. Those that lost it since, and whose bridge is still there.
pub fn lost_ports(old: &Wanted, new: &Wanted, before: &Kernel, now: &Kernel) -> Vec<Order> {
    let theirs = |name: &String| !old.ports.contains(name) && !new.ports.contains(name);
    let mut out = Vec::new();
    for (name, was) in before.devices.iter().filter(|(name, _)| theirs(name)) {
        let (Some(master), Some(is)) = (&was.master, now.devices.get(name)) else { continue };
        // Made anew meanwhile, it is another one.
        if is.index != was.index || !now.devices.contains_key(master) {
            continue;
        }
        if is.master.is_none() {
            out.push(Order::Enslave(name.clone(), master.clone()));
        }
        if was.up && !is.up {
            out.push(Order::Up(name.clone(), true));
        }
    }
    out
}

/// Where ports hang that the way back has to keep: as `now`, on a bridge that there was `before`, else as they were.
/// So what was plugged in since stays as well.
pub fn plugged(before: &Kernel, now: &Kernel) -> Kernel {
    let mut out = before.clone();
    for (name, device) in &now.devices {
        if device.master.as_ref().is_some_and(|master| before.devices.contains_key(master)) {
            out.devices.insert(name.clone(), device.clone());
        }
    }
    out
}

/// What makes the kernel what it was, as far as `old` and `new` configure it; ports that they don't name are
/// [`lost_ports`]'s.
pub fn back(old: &Wanted, new: &Wanted, before: &Kernel, now: &Kernel) -> Vec<Order> {
    let mut out = Vec::new();
    let configured = |name: &String| {
        [old, new].iter().any(|w| w.devices.contains_key(name) || w.named.contains(name) || w.ports.contains(name))
    };
    for (name, device) in now.devices.iter().filter(|(name, _)| configured(name)) {
        let Some(was) = before.devices.get(name) else {
            if made(device.kind.as_deref()) {
                out.push(Order::Delete(name.clone()));
            }
            continue;
        };
        match (&was.master, &device.master) {
            (Some(master), is) if is.as_ref() != Some(master) && now.devices.contains_key(master) => {
                out.push(Order::Enslave(name.clone(), master.clone()));
            }
            (None, Some(_)) => out.push(Order::Release(name.clone())),
            _ => {}
        }
        if was.mtu != device.mtu {
            out.push(Order::Mtu(name.clone(), was.mtu));
        }
        if was.up != device.up {
            out.push(Order::Up(name.clone(), was.up));
        }
        let changed = |from: &crate::kernel::Device, to: &crate::kernel::Device, add| {
            let all: Vec<_> = to.addresses.difference(&from.addresses).copied().collect();
            all.into_iter().map(|a| Order::Address(name.clone(), a, add)).collect::<Vec<_>>()
        };
        out.extend(changed(was, device, false));
        out.extend(changed(device, was, true));
    }
    let there = |route: &&Default| now.devices.contains_key(&route.device);
    out.extend(now.defaults.difference(&before.defaults).filter(there).map(|r| Order::Route(r.clone(), false)));
    out.extend(before.defaults.difference(&now.defaults).filter(there).map(|r| Order::Route(r.clone(), true)));
    out
}

/// Devices that were there before, that the configuration makes, and that are not there now: only ifupdown2 can
/// make them anew.
pub fn gone(old: &Wanted, before: &Kernel, now: &Kernel) -> Vec<String> {
    let made = |name: &&String| before.devices.get(*name).is_some_and(|d| made(d.kind.as_deref()));
    old.devices.keys().filter(made).filter(|name| !now.devices.contains_key(*name)).cloned().collect()
}

impl std::fmt::Display for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Delete(name) => write!(f, "{name} taken away"),
            Self::Enslave(name, master) => write!(f, "{name} back on {master}"),
            Self::Release(name) => write!(f, "{name} off its bridge"),
            Self::Up(name, up) => write!(f, "{name} set {}", if *up { "up" } else { "down" }),
            Self::Mtu(name, mtu) => write!(f, "{name} back to mtu {mtu}"),
            Self::Address(name, (ip, length), add) => {
                write!(f, "{ip}/{length} {} {name}", if *add { "back on" } else { "taken from" })
            }
            Self::Route(route, add) => {
                let by = route.gateway.map_or_else(String::new, |ip| format!(" by {ip}"));
                write!(f, "default route{by} on {} {}", route.device, if *add { "back" } else { "taken away" })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::wanted::wanted;
    use crate::kernel::Device;
    use model::NetworkFiles;

    fn want(text: &str) -> Wanted {
        let files: NetworkFiles = [(model::MAIN, text.as_bytes())].into_iter().collect();
        wanted(&files)
    }

    fn bridge(index: u32) -> Device {
        Device { index, up: true, mtu: 1500, kind: Some("bridge".into()), ..Device::default() }
    }

    fn port(index: u32, master: Option<&str>) -> Device {
        let kind = Some("veth".to_owned());
        Device { index, up: true, mtu: 1500, kind, master: master.map(str::to_owned), ..Device::default() }
    }

    fn kernel(devices: &[(&str, Device)]) -> Kernel {
        let devices = devices.iter().map(|(name, device)| ((*name).to_owned(), device.clone())).collect();
        Kernel { devices, ..Kernel::default() }
    }

    const TEXT: &str = "auto vmbr0\niface vmbr0 inet static\n\taddress 192.0.2.10/24\n\tbridge-ports eno1\n";

    #[test]
    fn only_guests_ports_that_lost_their_bridge_go_back_to_it() {
        let old = want(TEXT);
        let before = kernel(&[
            ("vmbr0", bridge(1)),
            ("eno1", port(2, Some("vmbr0"))),
            ("tap100i0", port(3, Some("vmbr0"))),
            ("veth101i0", port(4, Some("vmbr0"))),
            ("tap102i0", port(5, Some("vmbr0"))),
            ("tap103i0", port(6, Some("vmbr0"))),
            ("alone", port(7, None)),
        ]);
        let mut now = before.clone();
        let mut set = |name: &str, device: Option<Device>| match device {
            Some(device) => drop(now.devices.insert(name.to_owned(), device)),
            None => drop(now.devices.remove(name)),
        };
        set("eno1", Some(port(2, None)));
        set("tap100i0", Some(Device { up: false, ..port(3, None) }));
        set("tap102i0", None); // unplugged meanwhile
        set("tap103i0", Some(port(9, None))); // another guest's by now
        assert_eq!(
            lost_ports(&old, &old, &before, &now),
            [Order::Enslave("tap100i0".into(), "vmbr0".into()), Order::Up("tap100i0".into(), true)]
        );
        // One that was plugged in since is kept as well, on a bridge that stays; one that moved, where it moved to.
        let mut since = before.clone();
        since.devices.insert("veth200i0".into(), port(20, Some("vmbr0")));
        since.devices.insert("veth300i0".into(), port(30, Some("vmbr7")));
        let mut dropped = since.clone();
        dropped.devices.values_mut().for_each(|d| d.master = None);
        let kept = lost_ports(&old, &old, &plugged(&before, &since), &dropped);
        assert!(kept.contains(&Order::Enslave("veth200i0".into(), "vmbr0".into())), "{kept:?}");
        assert!(!kept.iter().any(|o| o.to_string().contains("veth300i0")), "{kept:?}");
    }

    #[test]
    fn back_undoes_each_difference_of_what_is_configured() {
        let old = want(TEXT);
        let new = want(&format!("{TEXT}\nauto vmbr1\niface vmbr1 inet manual\n\tbridge-ports none\n"));
        let address = ("192.0.2.10".parse().unwrap(), 24);
        let route = Default { gateway: Some("192.0.2.1".parse().unwrap()), device: "vmbr0".into(), metric: 0 };
        let mut before = kernel(&[
            ("vmbr0", Device { addresses: [address].into(), ..bridge(1) }),
            ("eno1", port(2, Some("vmbr0"))),
            ("docker0", bridge(5)),
        ]);
        before.defaults.insert(route.clone());
        assert_eq!(back(&old, &new, &before, &before), []);
        let other = ("192.0.2.11".parse().unwrap(), 24);
        let now = kernel(&[
            ("vmbr0", Device { addresses: [other].into(), mtu: 9000, up: false, ..bridge(1) }),
            ("eno1", port(2, None)),
            ("vmbr1", bridge(7)),
            ("docker0", Device { up: false, ..bridge(5) }),
        ]);
        let orders: Vec<String> = back(&old, &new, &before, &now).iter().map(ToString::to_string).collect();
        assert_eq!(
            orders,
            [
                "eno1 back on vmbr0",
                "vmbr0 back to mtu 1500",
                "vmbr0 set up",
                "192.0.2.11/24 taken from vmbr0",
                "192.0.2.10/24 back on vmbr0",
                "vmbr1 taken away",
                "default route by 192.0.2.1 on vmbr0 back",
            ]
        );
        assert_eq!(gone(&old, &before, &kernel(&[])), ["vmbr0"]);
    }
}
