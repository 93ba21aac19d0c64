//! Interfaces in the form of Proxmox's API: same names, strings where Proxmox has strings.

use model::proxmox::{Family, Interface, Links, Network, Value};
use serde_json::{Map, Value as Json, json};

/// One interface as `GET /nodes/{node}/network/{iface}` shows it.
pub fn interface(name: &str, interface: &Interface, links: &Links) -> Map<String, Json> {
    let mut map = Map::new();
    for (key, value) in &interface.settings {
        let value = match value {
            Value::Text(text) => json!(text),
            Value::Number(number) => json!(number),
            Value::List(list) => json!(list),
            Value::Nothing => Json::Null,
        };
        map.insert(key.clone(), value);
    }
    if let Some(kind) = interface.kind {
        map.insert("type".into(), json!(kind.name()));
    }
    if let Some(priority) = interface.priority {
        map.insert("priority".into(), json!(priority));
    }
    if !interface.families.is_empty() {
        map.insert("families".into(), interface.families.iter().map(|f| json!(f.map(Family::name))).collect());
    }
    let others = links.other_names(name);
    if !others.is_empty() {
        map.insert("altnames".into(), json!(others));
    }
    map
}

/// All of them as `GET /nodes/{node}/network` lists them, by name.
pub fn list(network: &Network, links: &Links) -> Vec<Json> {
    let one = |(name, found): (&String, &Interface)| {
        let mut map = interface(name, found, links);
        map.insert("iface".into(), json!(name));
        Json::Object(map)
    };
    network.interfaces.iter().map(one).collect()
}
