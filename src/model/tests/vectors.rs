//! Every file that Proxmox's own tests read must parse here, and the bridges and addresses that
//! Proxmox found in them must be found.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use model::{MAIN, NetworkFiles, configuration};

/// The reference data beside the checkout, or a line on stderr that says why not.
fn vectors() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = workspace.join("../shared/vectors");
    if !path.is_dir() {
        eprintln!("skipped: no reference data at {}", path.display());
        return None;
    }
    Some(path)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the reference data is readable") {
        let path = entry.expect("the reference data is readable").path();
        if path.is_dir() {
            walk(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn every_interfaces_file_of_proxmox_parses() {
    let Some(vectors) = vectors() else { return };
    let mut files = Vec::new();
    walk(&vectors, &mut files);
    let written = ["interfaces", "interfaces.new", "roundtrip.interfaces", "expected_sdn_interfaces"];
    let in_interfaces = |p: &Path| p.strip_prefix(&vectors).unwrap().starts_with("interfaces");
    files.retain(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        written.contains(&name) || (name == "expected" && in_interfaces(path))
    });
    assert!(files.len() > 100, "only {} files below {}", files.len(), vectors.display());
    for path in files {
        let bytes = fs::read(&path).unwrap();
        let set: NetworkFiles = [(MAIN, bytes.clone())].into_iter().collect();
        let read = configuration(&set).unwrap_or_else(|e| panic!("{}: {e}", path.display()));

        // Counted by other means than the parser's: a stanza or an address it misses shows here.
        let text = String::from_utf8_lossy(&bytes);
        let lines = || text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>());
        for name in lines().filter(|w| w.first() == Some(&"iface")).map(|w| w[1].to_owned()) {
            assert!(read.origin(&name).is_some(), "{}: {name} is missed", path.display());
        }
        let wanted = lines().filter(|w| w.first() == Some(&"address") && w[1] != "0.0.0.0").count();
        assert_eq!(read.addresses().len(), wanted, "{}", path.display());
    }
}

#[test]
fn proxmox_finds_the_same_bridges_and_addresses() {
    let Some(vectors) = vectors() else { return };
    let inputs = vectors.join("api-pve9/inputs");
    let outputs = vectors.join("api-pve9/outputs");
    // Not every input comes with Proxmox's answer to it.
    let answered = fs::read_dir(&outputs).unwrap().map(|e| e.unwrap());
    let mut cases: Vec<_> = answered.filter(|e| e.path().join("list.json").exists()).map(|e| e.file_name()).collect();
    cases.sort();
    assert!(cases.len() > 10, "only {} cases in {}", cases.len(), outputs.display());
    for case in cases {
        let pending = inputs.join(&case).join("interfaces.new");
        let current = inputs.join(&case).join("interfaces");
        let input = if pending.exists() { pending } else { current };
        let set: NetworkFiles = [(MAIN, fs::read(&input).unwrap())].into_iter().collect();
        let ours = configuration(&set).unwrap();

        let list = outputs.join(&case).join("list.json");
        let list: serde_json::Value = serde_json::from_slice(&fs::read(list).unwrap()).unwrap();
        let (mut bridges, mut addresses) = (BTreeSet::new(), BTreeSet::new());
        for theirs in list["data"].as_array().unwrap() {
            let text = |key: &str| theirs[key].as_str().map(str::to_owned);
            if matches!(theirs["type"].as_str(), Some("bridge" | "OVSBridge")) {
                bridges.insert(text("iface").unwrap());
            }
            addresses.extend([text("cidr"), text("cidr6")].into_iter().flatten());
        }
        assert_eq!(ours.bridges(), bridges, "{}", case.display());
        let ours: BTreeSet<_> = ours.addresses().iter().map(|a| format!("{}/{}", a.ip, a.prefix)).collect();
        assert_eq!(ours, addresses, "{}", case.display());
    }
}
