//! Interfaces for people. Pure.

use model::proxmox::{Interface, Kind, Network};
use serde_json::{Map, Value as Json};

const HEAD: [&str; 7] = ["NAME", "TYPE", "LINK", "AUTO", "ADDRESS", "GATEWAY", "PORTS"];

/// A row for each, in columns; `link` says the state of the kernel's.
pub(super) fn list(network: &Network, link: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let dash = |text: Option<String>| text.filter(|t| !t.is_empty()).unwrap_or_else(|| "-".into());
    let mut rows = vec![HEAD.map(str::to_owned)];
    for (name, interface) in &network.interfaces {
        let both = |key: &str| {
            let all: Vec<&str> = ["", "6"].iter().filter_map(|s| interface.text(&format!("{key}{s}"))).collect();
            (!all.is_empty()).then(|| all.join(", "))
        };
        rows.push([
            name.clone(),
            interface.kind.map_or("-", Kind::name).to_owned(),
            dash(link(name)),
            if interface.autostart() { "yes" } else { "no" }.to_owned(),
            dash(both("cidr").or_else(|| dynamic(interface))),
            dash(both("gateway")),
            dash(ports(interface)),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// `dhcp`, `auto`: methods that find the address out.
fn dynamic(interface: &Interface) -> Option<String> {
    let found = ["method", "method6"].iter().filter_map(|m| interface.text(m));
    let all: Vec<&str> = found.filter(|m| ["dhcp", "auto"].contains(m)).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

fn ports(interface: &Interface) -> Option<String> {
    let keys = ["bridge_ports", "slaves", "ovs_ports", "ovs_bonds", "vlan-raw-device"];
    keys.iter().find_map(|key| interface.text(key)).map(str::to_owned)
}

/// A setting a line; lists and comments a line for each of theirs.
pub(super) fn show(settings: &Map<String, Json>) -> Vec<String> {
    let width = settings.keys().map(String::len).max().unwrap_or(0);
    let mut out = Vec::new();
    for (key, value) in settings {
        let values: Vec<String> = match value {
            Json::String(text) => text.trim_end_matches('\n').split('\n').map(str::to_owned).collect(),
            Json::Array(list) => list.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect(),
            Json::Null => vec!["-".into()],
            other => vec![other.to_string()],
        };
        for (number, value) in values.iter().enumerate() {
            let key = if number == 0 { key } else { "" };
            out.push(format!("{key:<width$}  {value}").trim_end().to_owned());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use model::proxmox::{Links, read};

    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need_to_be() {
        let text = "auto lo\niface lo inet loopback\n\nauto vmbr0\niface vmbr0 inet static\n\taddress 192.0.2.1/24\n\tgateway 192.0.2.254\n\tbridge-ports eno1\n#one\n#two\n\niface eno1 inet dhcp\n";
        let network = read(text.as_bytes(), &Links::default()).unwrap();
        assert_eq!(
            list(&network, |name| (name == "lo").then(|| "up".into())),
            [
                "NAME   TYPE      LINK  AUTO  ADDRESS       GATEWAY      PORTS",
                "eno1   eth       -     no    dhcp          -            -",
                "lo     loopback  up    yes   -             -            -",
                "vmbr0  bridge    -     yes   192.0.2.1/24  192.0.2.254  eno1",
            ]
        );
        let map = crate::api::interface("vmbr0", &network.interfaces["vmbr0"], &Links::default());
        let shown = show(&map);
        assert!(
            shown.contains(&"comments      one".to_owned()) && shown.contains(&"              two".to_owned()),
            "{shown:#?}"
        );
    }
}
