//! What lies on a node's disk: written by us, by an older or a newer version, by an operator, or by
//! a power cut.

use std::fmt::Debug;
use std::path::Path;

use history::{Manifest, Provenance, Transaction, journal, state};
use maintscript::removal::{Removal, Resume};
use phase::{Features, Migration, Phase, config, edit, record};
use serde_json::Value;

/// A snapshot's `manifest.json`: as it is, and with the right checksum, for what lies behind it.
pub fn snapshot(bytes: &[u8]) {
    plain_snapshot(bytes);
    if let Ok(mut value) = serde_json::from_slice::<Value>(bytes)
        && let Some(map) = value.as_object_mut()
    {
        map.remove("checksum");
        let checksum = host::files::sha256(value.to_string().as_bytes());
        value["checksum"] = checksum.into();
        plain_snapshot(value.to_string().as_bytes());
    }
}

fn plain_snapshot(bytes: &[u8]) {
    let Ok(manifest) = Manifest::parse(bytes) else { return };
    let written = manifest.render().expect("it was read, so it can be written");
    assert_eq!(Manifest::parse(&written).expect("what is written is read"), manifest);
    for entry in &manifest.entries {
        let name = entry.name.as_path();
        let plain = name.components().all(|c| matches!(c, std::path::Component::Normal(_)));
        assert!(plain, "{name:?} lies in the snapshot: what is restored comes from there");
        let _ = (manifest.state_of(entry.path.as_path()), entry.what.digest());
    }
    assert!(manifest.same_content(&manifest.entries));
}

/// `operations.jsonl`.
pub fn journal(bytes: &[u8]) {
    let contents = journal::Contents::parse(bytes);
    let mut written = Vec::new();
    for event in &contents.events {
        written.extend(serde_json::to_vec(event).expect("it was read, so it can be written"));
        written.push(b'\n');
    }
    let again = journal::Contents::parse(&written);
    assert_eq!((again.events, again.damaged), (contents.events.clone(), 0));
    let unfinished = contents.unfinished();
    let writes = contents.writes();
    assert!(unfinished.iter().all(|id| writes.iter().any(|(known, _)| known == id)));
    assert!(contents.taken_back().iter().all(|id| !unfinished.contains(id)));
    let _ = (contents.of_transaction("1"), Provenance::of(&contents.events));
}

/// `phase-history.jsonl`: however it arrives, and whatever stands in it, the next line joins on.
pub fn phase_history(bytes: &[u8]) {
    let contents = record::read(bytes);
    let _ = (contents.changes(), contents.ceilings(), contents.gaps(), contents.open_overrides(0));
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let mut parts = record::read(first);
    parts.extend(second);
    assert_eq!(parts, contents, "in two parts as in one");
    let event = record::Event::Outcome { id: "1".into(), outcome: record::Outcome::Done, error: None };
    let mut longer = bytes.to_vec();
    longer.extend(record::append(bytes, 1, event.clone()));
    let after = record::read(&longer);
    assert_eq!(after.records.last().map(|(_, r)| &r.event), Some(&event));
    let closes = contents.ends_cut();
    if contents.broken.is_none() {
        assert_eq!(after.broken, None, "a whole chain stays whole (a line was cut: {closes})");
    }
}

/// `migration.toml`: an edit changes the value that it is about and nothing else.
pub fn migration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        assert!(config::parse_bytes(bytes, "m").is_err());
        return;
    };
    let _ = config::lines(text, "m");
    let before = match Migration::parse(text, "m") {
        Ok(before) => before,
        Err(error) => {
            let said = error.to_string();
            assert!(said.starts_with("m:") && !said.contains('\n'), "one line, with its place: {said}");
            return;
        }
    };
    let read = |text: String| Migration::parse(&text, "m").expect("what is written is read");
    let mut expected = before.clone();
    expected.nodes.insert("pve1".into(), Phase::RustSdn);
    let edited = edit::set_node_phase(text, "pve1", Phase::RustSdn).map(read);
    assert_eq!(edited.expect("a good file can be edited"), expected);
    let common = edit::set_common_phase(text, Phase::RustFull).map(read);
    assert_eq!(common.expect("a good file can be edited"), Migration { phase: Phase::RustFull, ..before.clone() });
    let feature = edit::set_feature(text, "rust_cli", true).map(read);
    let features = Features { rust_cli: true, ..before.features };
    assert_eq!(feature.expect("a good file can be edited"), Migration { features, ..before });
}

/// `transaction.json`, `removal.json`, `resume.json`, `ceiling`.
pub fn state(bytes: &[u8]) {
    fn whole<T: serde::de::DeserializeOwned + serde::Serialize + Debug + PartialEq>(bytes: &[u8]) {
        let file = Path::new("f");
        let Ok(value) = state::parse::<T>(bytes, file) else { return };
        let written = state::render(&value).expect("it was read, so it can be written");
        assert_eq!(state::parse::<T>(&written, file).expect("what is written is read"), value);
    }
    whole::<Transaction>(bytes);
    whole::<Removal>(bytes);
    whole::<Resume>(bytes);
    if let Ok(ceiling) = phase::ceiling::parse(bytes, "c") {
        let again = phase::ceiling::parse(phase::ceiling::render(ceiling).as_bytes(), "c");
        assert_eq!(again.expect("what is written is read"), ceiling);
    }
}

/// `/etc/network/interfaces`, as operators and other programs leave it.
pub fn interfaces(bytes: &[u8]) {
    let _ = model::interfaces::parse(bytes);
    let mut files = model::NetworkFiles::new();
    files.insert("/etc/network/interfaces", bytes);
    files.insert("/etc/network/interfaces.d/x", bytes);
    if let Ok(configuration) = model::configuration(&files) {
        let _ = (configuration.bridges(), configuration.gateways(), configuration.addresses().count());
        let _ = configuration.management_address(bytes, "pve1");
        for name in configuration.names() {
            assert!(configuration.origin(name).is_some(), "{name} stands somewhere");
        }
    }
    let _ = model::guests::bridges_of(bytes);
    as_proxmox(bytes);
}

/// Read, written, read again: the same interfaces are there, and nothing is written that can't be read.
fn as_proxmox(bytes: &[u8]) {
    use model::proxmox::{Flavour, Links, read, write};
    let _ = model::validate(bytes, &Links::default());
    let Ok(network) = read(bytes, &Links::default()) else { return };
    for flavour in [Flavour::Ifupdown2, Flavour::Ifupdown] {
        let Ok(written) = write(network.clone(), flavour) else { continue };
        let again = read(written.text.as_bytes(), &Links::default());
        let again = again.unwrap_or_else(|e| panic!("what was written can't be read: {e}"));
        // Proxmox writes letters beyond ASCII back as others.
        for (name, interface) in network.interfaces.iter().filter(|(n, i)| n.is_ascii() && i.priority.is_some()) {
            // A port of an OVS bridge that is gone becomes a plain one; one of another bridge goes.
            let ovs = interface.kind.is_some_and(|k| k.name().starts_with("OVS"));
            assert!(ovs || again.interfaces.contains_key(name), "{name} is lost");
        }
    }
}
