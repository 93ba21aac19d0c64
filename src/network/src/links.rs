//! What the kernel has, in the form that reading the file depends on.

use host::{Result, Root};
use model::proxmox::{Link, Links};

use crate::kernel::Kernel;

/// Reads it; nothing below another root, where the kernel is not that system's.
///
/// # Errors
/// The kernel does not answer.
pub fn read(root: &Root) -> Result<Links> {
    if !root.is_system() {
        return Ok(Links::default());
    }
    Kernel::links().map(|kernel| of(&kernel))
}

/// The same of what was read already.
pub fn of(kernel: &Kernel) -> Links {
    let mut links = Links::default();
    for (name, device) in &kernel.devices {
        if device.up {
            links.active.push(name.clone());
        }
        let link = Link { physical: device.physical, altnames: device.altnames.clone() };
        links.links.insert(name.clone(), link);
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Device;

    #[test]
    fn cards_are_told_from_the_rest() {
        let mut kernel = Kernel::default();
        let card = Device { up: true, physical: true, altnames: vec!["enp1s0".into()], ..Device::default() };
        kernel.devices.insert("eno1".into(), card);
        kernel.devices.insert("lo".into(), Device { up: true, ..Device::default() });
        kernel.devices.insert("vmbr0".into(), Device { kind: Some("bridge".into()), ..Device::default() });
        let links = of(&kernel);
        let physical: Vec<&String> = links.links.iter().filter(|(_, l)| l.physical).map(|(n, _)| n).collect();
        assert_eq!(physical, ["eno1"]);
        assert_eq!(links.active, ["eno1", "lo"]);
        assert_eq!(links.links["eno1"].altnames, ["enp1s0"]);
    }
}
