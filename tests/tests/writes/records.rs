//! Proxmox's recorded writes, where they are at hand: what it was asked, what it answered and what it wrote.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rig::{Machine, Node};
use serde_json::{Value, json};

/// Holes of Proxmox's: what it carries out and Rust refuses, with the code of the reason.
pub const HOLES: [(u64, &str); 5] = [(16, "PVN044"), (36, "PVN047"), (83, "PVN045"), (96, "PVN046"), (99, "PVN043")];

/// pvesh has no option for a parameter that the schema has not.
pub const UNASKED: [u64; 1] = [32];

/// Several interfaces break a rule. Proxmox names one at random, the recorded one or another; we name the first.
pub const NAMES_ONE_OF: [(u64, &str, &str); 2] = [(93, "bond0.30", "bond0.20"), (109, "'vmbr1'", "'br-lan'")];

/// What differs for a reason of the rig's.
pub const REVIEWED: [(u64, &str); 1] = [(86, "no card can be made in the rig, and the case needs a second one")];

/// The files that a write begins with.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Case {
    pub name: String,
    folder: PathBuf,
}

/// One write.
pub struct Record {
    pub number: u64,
    method: String,
    uri: String,
    params: BTreeMap<String, Value>,
    status: u64,
    body: Value,
    pending: Option<String>,
    reverts: bool,
}

/// By the files that they begin with; questions and what Proxmox has no handler for are left out.
pub fn recorded() -> Option<BTreeMap<Case, Vec<Record>>> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors/api-pve9");
    if !place.is_dir() {
        eprintln!("SKIPPED: Proxmox's recorded writes are not at {}", place.display());
        return None;
    }
    let mut all: BTreeMap<Case, Vec<Record>> = BTreeMap::new();
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(place.join("writes")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    for folder in folders {
        let record: Value = serde_json::from_slice(&std::fs::read(folder.join("record.json")).unwrap()).unwrap();
        let text = |key: &str| record[key].as_str().unwrap().to_owned();
        let method = text("method");
        if !["POST", "PUT", "DELETE"].contains(&method.as_str()) {
            continue;
        }
        let status = record["status"].as_u64().or_else(|| record["status"].as_str()?.parse().ok()).unwrap();
        let case = Case { folder: place.join("inputs").join(text("case")), name: text("case") };
        let reverts = method == "DELETE" && text("uri") == "/nodes/pve1/network";
        all.entry(case).or_default().push(Record {
            number: record["n"].as_u64().unwrap(),
            params: record["params"].as_object().unwrap().clone().into_iter().collect(),
            pending: std::fs::read_to_string(folder.join("interfaces.new")).ok(),
            uri: text("uri"),
            body: record["body"].clone(),
            method,
            status,
            reverts,
        });
    }
    Some(all)
}

impl Case {
    /// Makes them the node's.
    pub fn put(&self, node: &Node) {
        for name in ["interfaces", "interfaces.new"] {
            let to = format!("/etc/network/{name}");
            match std::fs::read(self.folder.join(name)) {
                Ok(bytes) => node.write(&to, bytes),
                Err(_) if node.exists(&to) => node.remove(&to),
                Err(_) => {}
            }
        }
    }
}

impl Record {
    /// As `--cases` takes it.
    pub fn case(&self) -> Value {
        json!({"method": self.method, "path": self.uri, "params": self.params})
    }

    /// Has the stand-in answer it: what pvesh would print of it.
    pub fn put(&self, node: &Node) {
        let verb = match self.method.as_str() {
            "POST" => "create",
            "PUT" => "set",
            _ => "delete",
        };
        let mut words = vec![verb.to_owned(), self.uri.clone()];
        for (name, value) in &self.params {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            words.extend([format!("--{name}"), value]);
        }
        words.extend(["--output-format".to_owned(), "json".to_owned()]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let message = self.body["message"].as_str().unwrap_or_default().replace(" at PERL/", " at /usr/share/perl5/");
        let stderr = match (self.status, self.body["errors"].as_object()) {
            (200, _) => String::new(),
            (_, None) => message,
            (status, Some(errors)) => {
                let lines = errors.iter().rev().map(|(name, text)| format!("{name}: {}\n", text.as_str().unwrap()));
                let usage =
                    format!("pvesh {verb} <api_path> --iface <string> --type <string> [OPTIONS] [FORMAT_OPTIONS]\n");
                format!("{status} {message}{}{usage}", lines.collect::<String>())
            }
        };
        // Perl's die: any number but 0.
        let code = if self.status == 200 { 0 } else { 255 };
        answer(node, &words, code, &stderr, self.pending.as_deref());
        if let Some((_, this, other)) = NAMES_ONE_OF.iter().find(|(number, ..)| *number == self.number) {
            assert!(stderr.contains(this), "{stderr}");
            node.write(&format!("{}/stderr.other", place(&words)), stderr.replace(this, other));
        }
        if self.reverts {
            node.write(&format!("{}/reverted", place(&words)), "");
        }
    }
}

/// Where the stand-in looks for its answer.
fn place(words: &[&str]) -> String {
    let text: String = words.iter().map(|word| format!("{word}\n")).collect();
    format!("/run/pvesh/writes/{}", host::files::sha256(text.as_bytes()))
}

/// Has the stand-in answer a call of pvesh.
pub fn answer(node: &Node, words: &[&str], code: i32, stderr: &str, pending: Option<&str>) {
    let place = place(words);
    node.write(&format!("{place}/code"), format!("{code}\n"));
    node.write(&format!("{place}/stderr"), stderr);
    if let Some(pending) = pending {
        node.write(&format!("{place}/interfaces.new"), pending);
    }
}
