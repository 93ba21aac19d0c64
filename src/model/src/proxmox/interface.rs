//! What is known of the interfaces.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::kind::Kind;
use super::read::words;
use super::settings::Settings;

/// All that one file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// By name.
    pub interfaces: BTreeMap<String, Interface>,
    /// Lines that belong to no interface (`source`, `mapping` and its options, …), kept as they are,
    /// each with its place in the order of [`Interface::priority`].
    pub others: Vec<(u32, String)>,
}

/// One interface, physical ones that the file does not name included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// What it is; `None` for one that is only known because another refers to it.
    pub kind: Option<Kind>,
    /// The families of its stanzas, in file order; `None` is ifupdown2's stanza without one.
    pub families: Vec<Option<Family>>,
    /// Its place in the file; `lo` may have 1, the others have 2 and more.
    pub priority: Option<u32>,
    /// Everything else: `address`, `bridge_ports`, `mtu`, … What belongs to IPv6 ends in `6`.
    pub settings: Settings,
}

/// Address families that Proxmox knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
}

impl Family {
    /// As it is written in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inet => "inet",
            Self::Inet6 => "inet6",
        }
    }

    /// What the names of its settings end in.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Inet => "",
            Self::Inet6 => "6",
        }
    }
}

/// The name of a setting that each family has, where `suffix` is the family's.
pub(crate) fn of_family(name: &'static str, suffix: &str) -> &'static str {
    match (name, suffix) {
        (name, "") => name,
        ("address", _) => "address6",
        ("netmask", _) => "netmask6",
        ("broadcast", _) => "broadcast6",
        ("gateway", _) => "gateway6",
        ("cidr", _) => "cidr6",
        ("method", _) => "method6",
        ("comments", _) => "comments6",
        ("options", _) => "options6",
        (name, _) => name, // no family has it
    }
}

/// A setting. What stood in the file is text; what Proxmox computes may be a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// From the file, or from a caller.
    Text(String),
    /// Computed.
    Number(i64),
    /// Lines of one kind: `options`, `options6`, `vxlan-remoteip`.
    List(Vec<String>),
    /// The name is there and says nothing: `exists` of a VLAN whose parent's is unknown.
    Nothing,
}

impl Value {
    /// Whether Perl would take it for true.
    pub(super) fn holds(&self) -> bool {
        match self {
            Self::Text(text) => !text.is_empty() && text != "0",
            Self::Number(number) => *number != 0,
            Self::List(_) => true,
            Self::Nothing => false,
        }
    }

    /// As it is written; a list is not.
    pub(super) fn shown(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Number(number) => Some(Cow::Owned(number.to_string())),
            Self::List(_) | Self::Nothing => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl Interface {
    /// A setting's text; `None` if it is not there or no text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.settings.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A setting as it is written, if Perl takes it for true.
    pub(super) fn true_text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.settings.get(name).filter(|v| v.holds()).and_then(Value::shown)
    }

    /// A setting as it is written, if it is there at all.
    pub(super) fn any_text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.settings.get(name).and_then(Value::shown)
    }

    /// A list setting; empty if it is not there.
    pub fn list(&self, name: &str) -> &[String] {
        match self.settings.get(name) {
            Some(Value::List(list)) => list,
            _ => &[],
        }
    }

    /// Words of a text setting.
    pub(super) fn words(&self, name: &str) -> Vec<String> {
        words(self.text(name).unwrap_or_default()).map(str::to_owned).collect()
    }

    /// Whether a setting is there and Perl takes it for true.
    pub fn holds(&self, name: &str) -> bool {
        self.settings.get(name).is_some_and(Value::holds)
    }

    /// Whether there is a setting whose name begins so.
    pub(super) fn has_any(&self, prefix: &str) -> bool {
        self.settings.iter().any(|(name, _)| name.starts_with(prefix))
    }

    pub(super) fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.settings.insert(Cow::Borrowed(name), value.into());
    }

    /// Whether it is brought up at boot.
    pub fn autostart(&self) -> bool {
        self.holds("autostart")
    }

    /// Whether its first stanza is one that is written with all its settings.
    pub(super) fn speaks(&self) -> bool {
        match self.families.first() {
            None => false,
            Some(None) => true,
            Some(Some(family)) => self.holds(of_family("method", family.suffix())),
        }
    }

    pub(super) fn is(&self, kind: Kind) -> bool {
        self.kind == Some(kind)
    }
}
