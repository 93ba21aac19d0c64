//! What the packages say they consist of (`packaging/supply/`, made by `make supply`) is what Cargo.lock says.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use rig::dist;
use serde_json::Value;

/// The packages, and the crates whose programs they ship: as in `scripts/supply.sh`.
const PACKAGES: [(&str, &[&str]); 2] = [
    ("pve-network-rs", &["canary", "contract", "ctl", "maintscript", "network", "service"]),
    ("debseal", &["debseal", "maintscript"]),
];

/// Name and version of each crate from elsewhere that goes into these of ours by such edges, by cargo itself.
fn linked(crates: &[&str], edges: &str) -> BTreeSet<(String, String)> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(dist::workspace()).args(["tree", "--locked", "--offline", "--edges", edges]);
    cargo.args(["--target", "x86_64-unknown-linux-gnu", "--prefix", "none", "--no-dedupe", "--format", "{p}"]);
    for name in crates {
        cargo.args(["--package", name]);
    }
    let out = cargo.output().expect("cargo starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).expect("cargo writes text");
    // Ours are shown with their folder.
    let others = text.lines().filter(|line| !line.is_empty() && !line.contains(" (/"));
    others
        .map(|line| {
            let mut words = line.split(' ');
            let (name, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            (name.to_owned(), version.trim_start_matches('v').to_owned())
        })
        .collect()
}

/// Checksums of Cargo.lock.
fn checksums() -> BTreeMap<(String, String), String> {
    let text = std::fs::read_to_string(dist::workspace().join("Cargo.lock")).expect("there is a Cargo.lock");
    let value = |block: &str, key: &str| {
        block.lines().find_map(|l| l.strip_prefix(&format!("{key} = \"")).map(|v| v.trim_end_matches('"').to_owned()))
    };
    let entry = |block: &str| Some(((value(block, "name")?, value(block, "version")?), value(block, "checksum")?));
    text.split("[[package]]").filter_map(entry).collect()
}

fn file(name: &str) -> String {
    let path = dist::workspace().join("packaging/supply").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What a package in dist/ unpacks.
fn contents(package: &str) -> String {
    let deb = if package == "debseal" { dist::debseal_package() } else { dist::payload() };
    let out = Command::new("dpkg-deb").arg("--contents").arg(deb.path()).output().expect("dpkg-deb starts");
    String::from_utf8(out.stdout).expect("dpkg-deb writes text")
}

#[test]
fn bills_of_materials_and_licences_name_what_is_linked() {
    let checksums = checksums();
    assert!(checksums.len() > 100, "Cargo.lock was not understood");
    for (package, crates) in PACKAGES {
        let wanted = linked(crates, "normal,build");
        assert!(wanted.len() > 50, "{package}: {wanted:?}");
        let bill: Value = serde_json::from_str(&file(&format!("{package}.cdx.json"))).unwrap();
        assert_eq!(bill["bomFormat"], "CycloneDX");
        assert_eq!(bill["metadata"]["component"]["name"], format!("{package}-deb"));
        let mut found = BTreeSet::new();
        for component in bill["components"].as_array().expect("it has components") {
            let text = |key: &str| component[key].as_str().unwrap_or_default().to_owned();
            let crate_of = (text("name"), text("version"));
            if !text("purl").contains("download_url=file") {
                let hash = component["hashes"][0]["content"].as_str();
                assert_eq!(hash, checksums.get(&crate_of).map(String::as_str), "{package}: {crate_of:?}");
                found.insert(crate_of);
            }
        }
        let missing: Vec<_> = wanted.difference(&found).collect();
        assert!(missing.is_empty(), "make supply: {package}: {missing:?} are linked and not named");
        // `cargo metadata`, which the tool asks, does not tell apart for whom a feature is switched on, so that a few are
        // named which nothing links: names that are too many hide nothing.
        let more: Vec<_> = found.difference(&wanted).collect();
        assert!(more.len() <= 5, "make supply: {package}: {more:?} are named and not linked");

        let terms = file(&format!("{package}.licences.txt"));
        let two = |line: &str| {
            let mut words = line.strip_prefix("  ")?.split(' ').map(str::to_owned);
            Some((words.next()?, words.next()?))
        };
        let named: BTreeSet<_> = terms.lines().filter_map(two).collect();
        // What only builds is not linked, and has no terms to be told.
        let missing: Vec<_> = linked(crates, "normal").into_iter().filter(|one| !named.contains(one)).collect();
        assert!(missing.is_empty(), "make supply: the terms of {missing:?} are not in {package}");
        for shipped in ["sbom.cdx.json", "crates.txt"] {
            let path = format!("/usr/share/doc/{package}/{shipped}");
            assert!(contents(package).contains(&path), "{package} does not ship {path}");
        }
    }
}
