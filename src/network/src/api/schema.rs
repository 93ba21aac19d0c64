//! Parameters of Proxmox's network API: which there are, and in which words a wrong one is refused.

use std::collections::BTreeMap;

use super::formats::Format;

/// The parameters of a request. What was given more than once is in `repeated` as well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params {
    /// By name.
    pub values: BTreeMap<String, String>,
    /// Names that were given more than once.
    pub repeated: Vec<String>,
}

impl Params {
    /// One more.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let name = name.into();
        if self.values.insert(name.clone(), value.into()).is_some() {
            self.repeated.push(name);
        }
    }

    /// Its value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Its value, if Perl takes it for true.
    pub(super) fn holds(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty() && *value != "0")
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Params {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(all: T) -> Self {
        let mut params = Self::default();
        all.into_iter().for_each(|(name, value)| params.add(name, value));
        params
    }
}

/// What is wrong with which parameter.
pub(super) type Errors = BTreeMap<String, String>;

/// What a value has to be.
#[derive(Debug, Clone, Copy)]
enum Rule {
    Text,
    /// With at most so many characters.
    Short(usize),
    Boolean,
    Integer(i64, i64),
    OneOf(&'static [&'static str]),
    Form(Format),
    /// `pve-iface`: of 2 to 20 characters.
    Name,
}

/// One parameter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Property {
    name: &'static str,
    rule: Rule,
    required: bool,
    requires: Option<&'static str>,
}

const fn property(name: &'static str, rule: Rule) -> Property {
    Property { name, rule, required: false, requires: None }
}

const fn required(name: &'static str, rule: Rule) -> Property {
    Property { name, rule, required: true, requires: None }
}

const fn with(name: &'static str, rule: Rule, other: &'static str) -> Property {
    Property { name, rule, required: false, requires: Some(other) }
}

const TYPES: &[&str] = &[
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
    "unknown",
];

const FILTERS: &[&str] = &[
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

const BOND_MODES: &[&str] = &[
    "balance-rr",
    "active-backup",
    "balance-xor",
    "broadcast",
    "802.3ad",
    "balance-tlb",
    "balance-alb",
    "balance-slb",
    "lacp-balance-slb",
    "lacp-balance-tcp",
];

const NODE: Property = required("node", Rule::Form(Format::Node));
const IFACE: Property = required("iface", Rule::Name);

/// Of `GET …/network`.
pub(super) const LIST: &[Property] = &[NODE, property("type", Rule::OneOf(FILTERS))];
/// Of `DELETE …/network`.
pub(super) const NONE: &[Property] = &[NODE];
/// Of `PUT …/network`.
pub(super) const RELOAD: &[Property] = &[NODE, property("regenerate-frr", Rule::Boolean)];
/// Of `GET` and `DELETE …/network/{iface}`.
pub(super) const ONE: &[Property] = &[NODE, IFACE];
/// Of `PUT …/network/{iface}`, beside those of a configuration.
pub(super) const CHANGE: &[Property] = &[property("delete", Rule::Form(Format::ConfigIds))];

/// What a configuration is made of: of `POST …/network`, and of `PUT …/network/{iface}`.
pub(super) const CONFIGURATION: &[Property] = &[
    NODE,
    IFACE,
    required("type", Rule::OneOf(TYPES)),
    with("address", Rule::Form(Format::Ipv4), "netmask"),
    with("address6", Rule::Form(Format::Ipv6), "netmask6"),
    property("autostart", Rule::Boolean),
    property("bond-primary", Rule::Form(Format::Iface)),
    property("bond_mode", Rule::OneOf(BOND_MODES)),
    property("bond_xmit_hash_policy", Rule::OneOf(&["layer2", "layer2+3", "layer3+4"])),
    property("bridge_ports", Rule::Form(Format::Ifaces)),
    property("bridge_vids", Rule::Form(Format::VlanIds)),
    property("bridge_vlan_aware", Rule::Boolean),
    property("cidr", Rule::Form(Format::CidrV4)),
    property("cidr6", Rule::Form(Format::CidrV6)),
    property("comments", Rule::Text),
    property("comments6", Rule::Text),
    property("gateway", Rule::Form(Format::Ipv4)),
    property("gateway6", Rule::Form(Format::Ipv6)),
    property("mtu", Rule::Integer(1280, 65520)),
    with("netmask", Rule::Form(Format::Ipv4Mask), "address"),
    with("netmask6", Rule::Integer(0, 128), "address6"),
    property("ovs_bonds", Rule::Form(Format::Ifaces)),
    property("ovs_bridge", Rule::Form(Format::Iface)),
    property("ovs_options", Rule::Short(1024)),
    property("ovs_ports", Rule::Form(Format::Ifaces)),
    property("ovs_tag", Rule::Integer(1, 4094)),
    property("slaves", Rule::Form(Format::Ifaces)),
    property("vlan-id", Rule::Integer(1, 4094)),
    property("vlan-raw-device", Rule::Form(Format::Iface)),
];

/// The parameters that a request may have, one list after the other; none for what Proxmox has no handler for.
pub(super) fn of(method: &str, one: bool) -> Option<&'static [&'static [Property]]> {
    Some(match (method, one) {
        ("GET", false) => &[LIST],
        ("POST", false) => &[CONFIGURATION],
        ("PUT", false) => &[RELOAD],
        ("DELETE", false) => &[NONE],
        ("GET" | "DELETE", true) => &[ONE],
        ("PUT", true) => &[CONFIGURATION, CHANGE],
        _ => return None,
    })
}

/// What JSON Schema calls the type of a request's parameter; `None` where it has none of that name.
pub fn type_of(method: &str, one: bool, name: &str) -> Option<&'static str> {
    let property = of(method, one)?.iter().copied().flatten().find(|p| p.name == name)?;
    Some(property.rule.kind())
}

/// Everything that is wrong with the parameters.
pub(super) fn verify(params: &Params, properties: &[&[Property]]) -> Errors {
    let known: BTreeMap<&str, &Property> = properties.iter().copied().flatten().map(|p| (p.name, p)).collect();
    let mut errors = Errors::new();
    for property in known.values() {
        match params.get(property.name) {
            None if property.required => add(&mut errors, property.name, "property is missing and it is not optional"),
            None => {}
            Some(_) if params.repeated.iter().any(|name| name == property.name) => {
                let kind = property.rule.kind();
                add(&mut errors, property.name, &format!("type check ('{kind}') failed - got ARRAY"));
            }
            Some(value) => {
                if let Some(wrong) = property.rule.refuses(value) {
                    add(&mut errors, property.name, &wrong);
                }
            }
        }
    }
    for name in params.values.keys() {
        match known.get(name.as_str()) {
            None => {
                let wrong = "property is not defined in schema and the schema does not allow additional properties";
                add(&mut errors, name, wrong);
            }
            Some(Property { requires: Some(other), .. }) if params.get(other).is_none() => {
                add(&mut errors, other, &format!("missing property required by '{name}'"));
            }
            Some(_) => {}
        }
    }
    errors
}

/// Proxmox puts two texts about one parameter together with a backslash and an n.
fn add(errors: &mut Errors, name: &str, wrong: &str) {
    errors
        .entry(name.to_owned())
        .and_modify(|already| {
            already.push_str("\\n");
            already.push_str(wrong);
        })
        .or_insert_with(|| wrong.to_owned());
}

impl Rule {
    fn kind(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer(..) => "integer",
            _ => "string",
        }
    }

    fn refuses(self, value: &str) -> Option<String> {
        match self {
            Self::Text => None,
            Self::Short(most) => too_long(value, most),
            Self::Boolean => {
                (value != "0" && value != "1").then(|| format!("type check ('boolean') failed - got '{value}'"))
            }
            Self::Integer(least, most) => integer(value, least, most),
            Self::OneOf(all) => (!all.contains(&value))
                .then(|| format!("value '{value}' does not have a value in the enumeration '{}'", all.join(", "))),
            Self::Form(format) => format.refuses(value).map(|why| format!("invalid format - {why}\n")),
            Self::Name => Self::Form(Format::Iface)
                .refuses(value)
                .or_else(|| too_long(value, 20))
                .or_else(|| (value.len() < 2).then(|| "value must be at least 2 characters long".to_owned())),
        }
    }
}

fn too_long(value: &str, most: usize) -> Option<String> {
    (value.chars().count() > most).then(|| format!("value may only be {most} characters long"))
}

fn integer(value: &str, least: i64, most: i64) -> Option<String> {
    let digits = value.strip_prefix(['+', '-']).unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Some(format!("type check ('integer') failed - got '{value}'"));
    }
    // What is too large for a number is too large.
    let far = if value.starts_with('-') { i64::MIN } else { i64::MAX };
    let number = value.parse::<i64>().unwrap_or(far);
    if number > most {
        return Some(format!("value must have a maximum value of {most}"));
    }
    (number < least).then(|| format!("value must have a minimum value of {least}"))
}
