//! Proxmox's own inputs and outputs, where they are at hand: what it parses, we parse; what it writes,
//! we write, byte for byte. They are not part of the project; without them this says so.

mod common;

use std::path::{Path, PathBuf};

use common::{kinds, shown, sorted_option_lines, sorted_options};
use model::proxmox::{Family, Flavour, Interface, Link, Links, Network, Value, read, write};
use network::api;
use serde_json::{Map, Value as Json, json};

fn vectors() -> Option<PathBuf> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    let there = place.is_dir();
    if !there {
        eprintln!("SKIPPED: Proxmox's reference data is not at {}", place.display());
    }
    there.then_some(place)
}

fn json_at(path: &Path) -> Json {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn links(details: &Json, active: &Json) -> Links {
    let strings = |list: &Json| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    };
    let all: Vec<&Json> = match details {
        Json::Object(map) => map.values().collect(),
        other => other.as_array().into_iter().flatten().collect(),
    };
    let mut out = Links { active: strings(active), ..Links::default() };
    for link in all {
        let physical = link["link_type"] == "ether" && link["linkinfo"]["info_kind"].is_null();
        let name = link["ifname"].as_str().unwrap_or_default().to_owned();
        out.links.insert(name, Link { physical, altnames: strings(&link["altnames"]) });
    }
    out
}

/// Proxmox's model in the form of ours.
fn told(parsed: &Json) -> Network {
    let mut network = Network::default();
    for (name, settings) in parsed["ifaces"].as_object().expect("a model has interfaces") {
        let mut interface = Interface::default();
        for (key, value) in settings.as_object().expect("an interface has settings") {
            match (key.as_str(), value) {
                ("type", Json::String(text)) => interface.kind = kinds().into_iter().find(|k| k.name() == text),
                ("priority", value) => interface.priority = value.as_u64().and_then(|n| n.try_into().ok()),
                ("families", Json::Array(list)) => {
                    let family = |f: &Json| [Family::Inet, Family::Inet6].into_iter().find(|k| f == k.name());
                    interface.families = list.iter().map(family).collect();
                }
                (_, value) => {
                    let value = match value {
                        Json::String(text) => Value::Text(text.clone()),
                        Json::Number(number) => Value::Number(number.as_i64().expect("whole numbers")),
                        Json::Array(list) => {
                            Value::List(list.iter().map(|l| l.as_str().unwrap_or_default().to_owned()).collect())
                        }
                        _ => Value::Nothing,
                    };
                    interface.settings.insert(key.clone().into(), value);
                }
            }
        }
        network.interfaces.insert(name.clone(), interface);
    }
    for line in parsed["options"].as_array().into_iter().flatten() {
        let place = line[0].as_u64().and_then(|n| n.try_into().ok()).expect("a place");
        network.others.push((place, line[1].as_str().expect("a line").to_owned()));
    }
    network
}

fn difference(expected: &str, found: &str) -> Option<String> {
    let (expected, found) = (sorted_option_lines(expected), sorted_option_lines(found));
    (expected != found).then(|| format!("--- expected\n{expected}--- found\n{found}"))
}

#[test]
fn the_parser_s_and_the_writer_s_own_cases() {
    let Some(vectors) = vectors() else { return };
    let mut wrong = Vec::new();
    let mut tried = 0;
    for case in json_at(&vectors.join("interfaces/index.json")).as_array().expect("a list") {
        let id = case["id"].as_str().expect("an id");
        let folder = vectors.join("interfaces").join(case["dir"].as_str().expect("a folder"));
        let links =
            links(&json_at(&folder.join("ip_link_details.json")), &json_at(&folder.join("active_interfaces.json")));
        let bytes = std::fs::read(folder.join("interfaces")).expect("an input");
        let network = read(&bytes, &links).unwrap_or_else(|e| panic!("{id}: {e}"));
        let mut expected = json_at(&folder.join("parsed.json"));
        let mut found = shown(&network);
        sorted_options(&mut expected);
        sorted_options(&mut found);
        tried += 1;
        if expected != found {
            wrong.push(format!("{id}: read\n{expected:#}\nfound\n{found:#}"));
        }
        if case["kind"] == "write" {
            let network = told(&json_at(&folder.join("before_write.json")));
            let expected = std::fs::read_to_string(folder.join("expected")).expect("an output");
            match write(network, Flavour::Ifupdown2) {
                Ok(written) => wrong.extend(difference(&expected, &written.text).map(|d| format!("{id}: write\n{d}"))),
                Err(error) => wrong.push(format!("{id}: {error}")),
            }
        }
    }
    assert!(tried > 40, "only {tried} cases");
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_the_api_reads_and_writes_back() {
    let Some(vectors) = vectors() else { return };
    let mut wrong = Vec::new();
    let mut tried = 0;
    for case in json_at(&vectors.join("api-pve9/index.json")).as_array().expect("a list") {
        let Some(id) = case["case"].as_str() else { continue };
        let input = vectors.join("api-pve9/inputs").join(id);
        let output = vectors.join("api-pve9/outputs").join(id).join("roundtrip.interfaces");
        if case["roundtrip"] != "ok" || !output.exists() {
            continue;
        }
        let pending = input.join("interfaces.new");
        let file = if pending.exists() { pending } else { input.join("interfaces") };
        let links = links(&json_at(&input.join("links.json")), &json_at(&input.join("active.json")));
        let network = read(&std::fs::read(file).expect("an input"), &links).unwrap_or_else(|e| panic!("{id}: {e}"));
        tried += 1;
        let expected = std::fs::read_to_string(output).expect("an output");
        match write(network, Flavour::Ifupdown2) {
            Ok(written) => wrong.extend(difference(&expected, &written.text).map(|d| format!("{id}\n{d}"))),
            Err(error) => wrong.push(format!("{id}: {error}")),
        }
    }
    assert!(tried > 10, "only {tried} cases");
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn each_interface_has_the_fields_that_the_api_shows() {
    let Some(vectors) = vectors() else { return };
    let mut wrong = Vec::new();
    let mut tried = 0;
    for case in json_at(&vectors.join("api-pve9/index.json")).as_array().expect("a list") {
        let Some(id) = case["case"].as_str() else { continue };
        let (input, output) = (vectors.join("api-pve9/inputs").join(id), vectors.join("api-pve9/outputs").join(id));
        let Ok(answers) = std::fs::read_dir(output.join("iface")) else { continue };
        let pending = input.join("interfaces.new");
        let file = if pending.exists() { pending } else { input.join("interfaces") };
        let links = links(&json_at(&input.join("links.json")), &json_at(&input.join("active.json")));
        let network = read(&std::fs::read(file).expect("an input"), &links).unwrap_or_else(|e| panic!("{id}: {e}"));
        let mut found = json!({"ifaces": {}});
        for (name, interface) in &network.interfaces {
            found["ifaces"][name] = Json::Object(api::interface(name, interface, &links));
        }
        sorted_options(&mut found);
        for answer in answers {
            let path = answer.expect("a readable folder").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            // The records have `_` for `:` in their names.
            let name = if found["ifaces"][&name].is_null() { name.replace('_', ":") } else { name };
            let answer = json_at(&path);
            if answer["status"] != 200 {
                continue;
            }
            let mut expected = json!({"ifaces": {name.clone(): answer["body"]["data"]}});
            sorted_options(&mut expected);
            tried += 1;
            let (expected, found) = (&expected["ifaces"][&name], &found["ifaces"][&name]);
            if expected != found {
                wrong.push(format!("{id}/{name}\n{expected}\nfound\n{found}"));
            }
        }
    }
    eprintln!("{} of {tried} interfaces agree", tried - wrong.len());
    assert!(tried > 50, "only {tried} interfaces");
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Records of writes that Proxmox carries out and we refuse, each with the code of the hole in its answer.
const HOLES: [(u64, &str, &str); 4] = [
    (16, "PVN044", "the network's own address as a host's: ifupdown2 configures it, and hosts take it for a broadcast"),
    (36, "PVN047", "the kernel takes no name of 16 bytes: ifreload fails, after Proxmox has renamed the file"),
    (83, "PVN045", "the kernel takes no gateway outside of the network: the default route is lost at the next reload"),
    (99, "PVN043", "lo goes from the file for good"),
];

/// Several interfaces are wrong in the same way, and Proxmox names one at random; we name the first.
const NAMES_ONE_OF: [u64; 2] = [93, 109];

#[test]
fn what_the_api_writes_and_refuses() {
    let Some(vectors) = vectors() else { return };
    let (mut wrong, mut tried, mut holes) = (Vec::new(), 0, 0);
    let mut records: Vec<PathBuf> = std::fs::read_dir(vectors.join("api-pve9/writes"))
        .expect("records")
        .map(|e| e.expect("a record").path())
        .collect();
    records.sort();
    for folder in records {
        let record = json_at(&folder.join("record.json"));
        let number = record["n"].as_u64().expect("a number");
        let input = vectors.join("api-pve9/inputs").join(record["case"].as_str().expect("a case"));
        let pending = input.join("interfaces.new");
        let file = if pending.exists() { pending } else { input.join("interfaces") };
        let current = std::fs::read(file).expect("an input");
        let links = links(&json_at(&input.join("links.json")), &json_at(&input.join("active.json")));
        let mut path = record["uri"].as_str().expect("a path").trim_start_matches("/nodes/").split('/');
        let node = path.next().expect("a node");
        let iface = path.nth(1);
        let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let params = record["params"].as_object().expect("parameters").iter().map(|(k, v)| (k.clone(), text(v)));
        let request = api::Request {
            method: record["method"].as_str().expect("a method"),
            node,
            iface,
            params: params.collect(),
        };
        let sight = api::Sight {
            current: &current,
            changes: None,
            links: &links,
            machine: api::Machine { ovs: true },
            sdn: false,
        };
        let status = record["status"].as_u64().or_else(|| record["status"].as_str()?.parse().ok()).expect("a status");
        let found = api::plan(&request, &sight);
        tried += 1;
        let mut note = |what: String| wrong.push(format!("{number} {}: {what}", record["note"]));
        match (&found, HOLES.iter().find(|(n, ..)| *n == number)) {
            (api::Plan::Refused(refusal), Some((_, code, _))) => {
                holes += 1;
                if status != 200 || refusal.status != 400 || !refusal.body().to_string().contains(code) {
                    note(format!("{status}, ours {refusal:?}, expected {code}"));
                }
            }
            (found, Some(_)) => note(format!("a hole, and {found:?}")),
            (api::Plan::Refused(refusal), None) => {
                let mut expected = record["body"].clone();
                // Where in Perl's code it was.
                if let Some((words, _)) = expected["message"].as_str().and_then(|m| m.split_once(" at PERL/")) {
                    expected["message"] = json!(format!("{words}\n"));
                }
                let mut body = refusal.body();
                if NAMES_ONE_OF.contains(&number) {
                    for side in [&mut expected, &mut body] {
                        let words = side["message"].as_str().unwrap_or_default().split('\'').step_by(2);
                        side["message"] = json!(words.collect::<Vec<_>>());
                    }
                }
                if status != u64::from(refusal.status) || expected != body {
                    note(format!("{status} {expected}\n  ours {} {body}", refusal.status));
                }
            }
            (api::Plan::Answer(body), None) => {
                if status != 200 || record["body"] != *body {
                    note(format!("{status} {}\n  ours {body}", record["body"]));
                }
            }
            (api::Plan::Write { pending, .. }, None) => {
                let expected = std::fs::read_to_string(folder.join("interfaces.new")).ok();
                match (status, &expected, pending) {
                    (200, None, None) => {}
                    (200, Some(expected), Some(written)) => {
                        if let Some(difference) = difference(expected, written) {
                            note(difference);
                        }
                    }
                    _ => note(format!("{status} {}\n  ours {pending:?}", record["body"])),
                }
            }
            (found, None) => note(format!("{status} {}\n  ours {found:?}", record["body"])),
        }
    }
    eprintln!("{} of {tried} writes agree, {holes} refused as holes", tried - wrong.len() - holes);
    assert!(tried > 60, "only {tried} records");
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_lists_that_the_api_shows() {
    let Some(vectors) = vectors() else { return };
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for case in json_at(&vectors.join("api-pve9/index.json")).as_array().expect("a list") {
        let Some(id) = case["case"].as_str() else { continue };
        let (input, output) = (vectors.join("api-pve9/inputs").join(id), vectors.join("api-pve9/outputs").join(id));
        let Ok(answers) = std::fs::read_dir(&output) else { continue };
        let pending = input.join("interfaces.new");
        let file = if pending.exists() { pending } else { input.join("interfaces") };
        let current = std::fs::read(file).expect("an input");
        let links = links(&json_at(&input.join("links.json")), &json_at(&input.join("active.json")));
        let ask = |filter: Option<&str>| {
            let params = filter.map(|f| ("type", f)).into_iter().collect();
            let request = api::Request { method: "GET", node: "pve1", iface: None, params };
            let machine = api::Machine { ovs: true };
            let sight = api::Sight { current: &current, changes: None, links: &links, machine, sdn: false };
            match api::plan(&request, &sight) {
                api::Plan::Answer(body) => body,
                other => panic!("{id}: {other:?}"),
            }
        };
        for answer in answers {
            let path = answer.expect("a readable folder").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let by_name = |body: &Json| -> Json {
                let list = body["data"].as_array().into_iter().flatten();
                let all: Map<String, Json> =
                    list.map(|i| (i["iface"].as_str().unwrap_or_default().to_owned(), i.clone())).collect();
                let mut all = json!({"ifaces": all});
                sorted_options(&mut all);
                all
            };
            let (expected, found) = if name == "list.json" {
                (by_name(&json_at(&path)), by_name(&ask(None)))
            } else if let Some(filter) = name.strip_prefix("list-").and_then(|n| n.strip_suffix(".names.json")) {
                let mut expected = json_at(&path);
                if let Some(names) = expected.as_array_mut() {
                    names.sort_by_key(ToString::to_string);
                }
                let found = ask(Some(filter));
                let names = found["data"].as_array().into_iter().flatten().map(|i| i["iface"].clone());
                let mut names: Vec<Json> = names.collect();
                names.sort_by_key(ToString::to_string);
                (expected, Json::from(names))
            } else {
                continue;
            };
            tried += 1;
            if expected != found {
                wrong.push(format!("{id}/{name}\n{expected}\nfound\n{found}"));
            }
        }
    }
    eprintln!("{} of {tried} lists agree", tried - wrong.len());
    assert!(tried > 100, "only {tried} lists");
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
}
