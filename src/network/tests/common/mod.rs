//! Models of Proxmox's and of ours, in one form.

use model::proxmox::{Kind, Links, Network};
use network::api;
use serde_json::{Map, Value as Json, json};

/// What is read from a file: the rest is only in the API.
pub fn kinds() -> [Kind; 13] {
    use Kind::{
        Alias, Bond, Bridge, Dummy, Eth, Loopback, OvsBond, OvsBridge, OvsIntPort, OvsPort, Unknown, Vlan, Vxlan,
    };
    [Eth, Bridge, Bond, Vlan, Vxlan, Alias, Loopback, Dummy, OvsBridge, OvsBond, OvsPort, OvsIntPort, Unknown]
}

/// Our model in the form of Proxmox's.
pub fn shown(network: &Network) -> Json {
    let interfaces: Map<String, Json> = network
        .interfaces
        .iter()
        .map(|(name, i)| (name.clone(), Json::Object(api::interface(name, i, &Links::default()))))
        .collect();
    json!({"ifaces": interfaces, "options": network.others})
}

/// Proxmox writes the words of `ovs_options` in the order of a hash table.
pub fn sorted_options(value: &mut Json) {
    for interface in value["ifaces"].as_object_mut().into_iter().flatten().map(|(_, v)| v) {
        if let Some(Json::String(text)) = interface.get_mut("ovs_options") {
            let mut words: Vec<&str> = text.split_whitespace().collect();
            words.sort_unstable();
            *text = words.join(" ");
        }
    }
}

/// The same in a file.
pub fn sorted_option_lines(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix("\tovs_options ") {
        None => format!("{line}\n"),
        Some(options) => {
            let mut words: Vec<&str> = options.split_whitespace().collect();
            words.sort_unstable();
            format!("\tovs_options {}\n", words.join(" "))
        }
    };
    text.lines().map(line).collect()
}
