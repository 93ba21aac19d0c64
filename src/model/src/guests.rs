//! What a guest's configuration file (`qemu-server/*.conf`, `lxc/*.conf`) asks of the network.

use std::collections::BTreeSet;

/// The bridges (or SDN vnets) that the guest's network cards are plugged into now: `bridge=` of
/// every `netN`, and `lxc.net.N.link` of a container's raw lines. Sections (`[snapshot]`,
/// `[PENDING]`, `[special:…]`) describe other times than now and end the search.
pub fn bridges_of(config_file: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(config_file);
    let mut found = BTreeSet::new();
    for line in text.lines().map(str::trim).take_while(|l| !l.starts_with('[')) {
        let Some((key, value)) = line.split_once([':', '=']) else {
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        if key.strip_prefix("net").is_some_and(is_number) {
            found.extend(value.split(',').filter_map(|part| part.trim().strip_prefix("bridge=")).map(str::to_owned));
        } else if raw_link(key) {
            found.insert(value.to_owned());
        }
    }
    found.remove("");
    found
}

/// `lxc.net.0.link`, as a raw line of a container's configuration.
fn raw_link(key: &str) -> bool {
    key.strip_prefix("lxc.net.").and_then(|k| k.strip_suffix(".link")).is_some_and(is_number)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn current_cards_only() {
        for (config, expected) in [
            ("", &[][..]),
            ("net0: virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,tag=5\n", &["vmbr0"]),
            ("net0: name=eth0,bridge=vmbr1,ip=dhcp\nnet12: e1000,bridge=vnet1\r\n", &["vmbr1", "vnet1"]),
            ("net0: virtio,bridge=vmbr0\n[before]\nnet0: virtio,bridge=vmbr9\n", &["vmbr0"]),
            ("[PENDING]\nnet0: virtio,bridge=vmbr9\n", &[]),
            ("#net0: virtio,bridge=vmbr9\nnetwork: bridge=vmbr8\nnet: bridge=vmbr7\n", &[]),
            ("net0: virtio=BC:24:11:00:00:01\nnet1: virtio,bridge=\n", &[]),
            ("lxc.net.0.link: vmbr3\nlxc.net.1.link = vmbr4\nlxc.net.0.type: veth\n", &["vmbr3", "vmbr4"]),
        ] {
            let found = bridges_of(config.as_bytes());
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{config:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(0u8.., 0..300)) {
            bridges_of(&bytes);
        }
    }
}
