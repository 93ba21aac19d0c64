//! What Proxmox answers when a node's network is read, made of records that were written down by hand.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value, json};

/// The filters of `GET /nodes/{node}/network`, in the order in which Proxmox's refusal names them.
const FILTERS: [&str; 14] = [
    "bridge",
    "bond",
    "eth",
    "alias",
    "vlan",
    "fabric",
    "OVSBridge",
    "OVSBond",
    "OVSPort",
    "OVSIntPort",
    "vnet",
    "any_bridge",
    "any_local_bridge",
    "include_sdn",
];

/// A node's interfaces, `lo` among them, each with everything that Proxmox shows of it.
#[derive(Debug, Clone)]
pub struct Network {
    node: String,
    records: Vec<Map<String, Value>>,
    live: bool,
}

impl Network {
    /// A node with these interfaces: objects as the list shows them.
    pub fn new(node: &str, records: &[Value]) -> Self {
        let records = records.iter().map(|record| record.as_object().unwrap().clone()).collect();
        Self { node: node.to_owned(), records, live: false }
    }

    /// The same, with `active` where the kernel has the link up at that moment, as Proxmox shows it.
    pub fn live(mut self) -> Self {
        self.live = true;
        self
    }

    /// The answer to a GET behind `/api2/json`; none if it is not this node's network that is asked for.
    pub(crate) fn answer(&self, target: &str) -> Option<(u16, Value)> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let below = path.strip_prefix(&format!("/nodes/{}/network", self.node))?;
        Some(match below.strip_prefix('/') {
            None if below.is_empty() => self.list(query),
            Some(name) if !name.is_empty() && !name.contains('/') => self.one(name),
            _ => return None,
        })
    }

    fn list(&self, query: &str) -> (u16, Value) {
        let parameters: Vec<(&str, &str)> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let mut errors = Map::new();
        for (name, value) in &parameters {
            let wrong = match *name {
                "type" if FILTERS.contains(value) => continue,
                "type" => {
                    format!("value '{value}' does not have a value in the enumeration '{}'", FILTERS.join(", "))
                }
                _ => "property is not defined in schema and the schema does not allow additional properties".to_owned(),
            };
            errors.insert((*name).to_owned(), wrong.into());
        }
        if !errors.is_empty() {
            return refused(errors);
        }
        let filter = parameters.iter().find(|(name, _)| *name == "type").map_or("include_sdn", |(_, value)| value);
        let wanted = |kind: &str| match filter {
            "include_sdn" => true,
            "any_bridge" | "any_local_bridge" => matches!(kind, "bridge" | "OVSBridge"),
            filter => kind == filter,
        };
        let list = self.records.iter().map(|record| self.shown(record));
        let list = list.filter(|r| r["iface"] != "lo" && wanted(r["type"].as_str().unwrap_or_default()));
        (200, json!({"data": list.collect::<Vec<_>>()}))
    }

    fn one(&self, name: &str) -> (u16, Value) {
        let error = |wrong: &str| refused(Map::from_iter([("iface".to_owned(), wrong.into())]));
        if name.len() < 2 {
            return error(&format!("invalid format - invalid network interface name '{name}'\n"));
        }
        match self.records.iter().find(|record| record["iface"] == name) {
            Some(record) => {
                let mut shown = self.shown(record);
                shown.as_object_mut().unwrap().remove("iface");
                (200, json!({"data": shown}))
            }
            None => error("interface does not exist"),
        }
    }

    fn shown(&self, record: &Map<String, Value>) -> Value {
        let mut shown = record.clone();
        if self.live && is_up(record["iface"].as_str().unwrap_or_default()) {
            shown.insert("active".to_owned(), 1.into());
        }
        Value::Object(shown)
    }
}

fn refused(errors: Map<String, Value>) -> (u16, Value) {
    (400, json!({"data": null, "errors": errors, "message": "Parameter verification failed.\n"}))
}

/// `IFF_UP`, by sysfs.
fn is_up(link: &str) -> bool {
    let flags = std::fs::read_to_string(Path::new("/sys/class/net").join(link).join("flags")).unwrap_or_default();
    u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).is_ok_and(|flags| flags & 1 == 1)
}

/// As JSON, with lists of objects and all keys in the order of a hash with a seed of its own.
pub(crate) fn shuffled(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let all = map.iter().collect::<HashMap<_, _>>();
            let all = all.iter().map(|(key, value)| format!("{}:{}", json!(key), shuffled(value)));
            format!("{{{}}}", all.collect::<Vec<_>>().join(","))
        }
        Value::Array(list) if list.iter().all(Value::is_object) => {
            let all: HashMap<usize, &Value> = list.iter().enumerate().collect();
            format!("[{}]", all.into_values().map(shuffled).collect::<Vec<_>>().join(","))
        }
        plain => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Network {
        let record = |name: &str, kind: &str| json!({"iface": name, "type": kind});
        Network::new("pve1", &[record("lo", "loopback"), record("eno1", "eth"), record("vmbr0", "bridge")])
    }

    fn names(target: &str) -> Vec<String> {
        let (status, body) = network().answer(target).unwrap();
        assert_eq!(status, 200, "{target}: {body}");
        body["data"].as_array().unwrap().iter().map(|r| r["iface"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn lists_are_filtered_and_lo_is_shown_alone_only() {
        let list = "/nodes/pve1/network";
        assert_eq!(names(list), ["eno1", "vmbr0"]);
        assert_eq!(names(&format!("{list}?type=any_bridge")), ["vmbr0"]);
        assert_eq!(names(&format!("{list}?type=bond")), [""; 0]);
        assert_eq!(network().answer(&format!("{list}/lo")), Some((200, json!({"data": {"type": "loopback"}}))));
        assert_eq!(network().answer("/nodes/pve2/network"), None);
        assert_eq!(network().answer("/nodes/pve1/networks"), None);
    }

    #[test]
    fn what_is_wrong_is_refused_by_parameter() {
        for (target, parameter, wrong) in [
            ("?type=x", "type", "does not have a value in the enumeration 'bridge, bond"),
            ("?x=1", "x", "property is not defined in schema"),
            ("/nosuch0", "iface", "interface does not exist"),
        ] {
            let (status, body) = network().answer(&format!("/nodes/pve1/network{target}")).unwrap();
            assert_eq!((status, &body["message"]), (400, &"Parameter verification failed.\n".into()));
            assert!(body["errors"][parameter].as_str().unwrap().contains(wrong), "{body}");
        }
    }

    #[test]
    fn the_order_changes_and_nothing_else() {
        let value = json!({"data": [{"a": 1, "b": [2, 3]}, {"c": null}], "d": "e\n"});
        let texts: std::collections::HashSet<String> = (0..200).map(|_| shuffled(&value)).collect();
        assert!(texts.len() > 1);
        for text in texts {
            let mut read: Value = serde_json::from_str(&text).unwrap();
            read["data"].as_array_mut().unwrap().sort_by_key(ToString::to_string);
            assert_eq!(read, value);
        }
    }
}
