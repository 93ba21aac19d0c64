//! What the kernel has, as far as reading the file depends on it.

use std::collections::BTreeMap;

/// The kernel's interfaces by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// As `ip -details -json link` lists them.
    pub links: BTreeMap<String, Link>,
    /// Names of those that are up (`/proc/net/dev` and the flag IFF_UP).
    pub active: Vec<String>,
}

/// One of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// `link_type` is `ether` and there is no `info_kind`: a network card.
    pub physical: bool,
    /// Its other names.
    pub altnames: Vec<String>,
}

impl Links {
    /// The interface of this name or alternative name.
    pub fn find(&self, name: &str) -> Option<&Link> {
        let by_altname = || self.links.values().find(|l| l.altnames.iter().any(|a| a == name));
        // Proxmox asks the alternative names first.
        by_altname().or_else(|| self.links.get(name))
    }

    /// The other names of the interface that has this one: the API's `altnames`.
    pub fn other_names(&self, name: &str) -> Vec<String> {
        let by_altname = || self.links.iter().find(|(_, link)| link.altnames.iter().any(|a| a == name));
        let Some((own, link)) = by_altname().or_else(|| self.links.get_key_value(name)) else { return Vec::new() };
        let mut names: Vec<String> =
            std::iter::once(own).chain(&link.altnames).filter(|other| *other != name).cloned().collect();
        names.sort_unstable();
        names
    }
}
