//! Settings of one interface: a dozen at most, so looking through them beats any tree.

use std::borrow::Cow;

use super::interface::Value;

/// As many as a bridge or a VLAN has, so that they are moved but once.
const USUAL: usize = 12;

type Setting = (Cow<'static, str>, Value);

/// Settings by the name that Proxmox's API gives them, in the order of their names. Those that
/// Proxmox knows are no copies of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(Vec<Setting>);

impl Settings {
    fn at(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|(key, _)| key == name)
    }

    /// What a name has.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Whether a name is there, whatever it says.
    pub fn contains_key(&self, name: &str) -> bool {
        self.at(name).is_some()
    }

    /// Sets a name; what stood there before.
    pub fn insert(&mut self, name: Cow<'static, str>, value: Value) -> Option<Value> {
        if let Some(at) = self.at(&name) {
            return Some(std::mem::replace(&mut self.0[at].1, value));
        }
        if self.0.is_empty() {
            self.0.reserve(USUAL);
        }
        let at = self.0.partition_point(|(key, _)| *key < name);
        self.0.insert(at, (name, value));
        None
    }

    /// Drops a name; what stood there.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.at(name).map(|at| self.0.remove(at).1)
    }

    /// All of them, by name.
    pub fn iter(&self) -> std::slice::Iter<'_, Setting> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Settings {
    type Item = &'a Setting;
    type IntoIter = std::slice::Iter<'a, Setting>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_name_in_order_each_once() {
        let mut settings = Settings::default();
        for name in ["mtu", "address", "slaves", "cidr"] {
            assert_eq!(settings.insert(name.into(), "old".into()), None);
        }
        assert_eq!(settings.insert("mtu".into(), "new".into()), Some("old".into()));
        assert_eq!(settings.remove("slaves"), Some("old".into()));
        assert_eq!(settings.remove("slaves"), None);
        assert_eq!((settings.get("mtu"), settings.get("slaves")), (Some(&"new".into()), None));
        let names: Vec<&str> = settings.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["address", "cidr", "mtu"]);
    }
}
