//! `/etc/hosts`, hosts(5).

use std::net::IpAddr;

/// The addresses that the file gives for `name`, in file order, without loopback ones: Proxmox
/// takes the first of these for the node's own (`PVE::Network::get_ip_from_hostname`).
pub(crate) fn addresses_of(file: &[u8], name: &str) -> Vec<IpAddr> {
    String::from_utf8_lossy(file)
        .lines()
        .filter_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address: IpAddr = words.next()?.parse().ok()?;
            let ours = words.any(|host| host.eq_ignore_ascii_case(name));
            (ours && !address.is_loopback()).then_some(address)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_aliases_comments_and_loopback() {
        let file = b"127.0.0.1 localhost\n127.0.1.1 pve1\n# 10.0.0.9 pve1\n\
            10.0.0.2\tpve1.example.com PVE1 # the node\nfd00::2 pve1\nnonsense pve1\n\xff\n";
        let found = |name| -> Vec<String> { addresses_of(file, name).iter().map(IpAddr::to_string).collect() };
        assert_eq!(found("pve1"), ["10.0.0.2", "fd00::2"]);
        assert_eq!(found("pve1.example.com"), ["10.0.0.2"]);
        assert!(found("pve").is_empty() && found("localhost").is_empty());
    }
}
