use super::*;
use std::collections::BTreeMap;

use history::journal::{Event, Written};
use host::{Clock, Root, Timestamp};
use phase::Phase;

use crate::gate::Judgement;
use crate::gate::tests::week::{self, NOW};

/// A node on whose disk a clean week's records lie, with secrets where people put them.
struct Desk {
    _dir: tempfile::TempDir,
    node: Node,
    facts: Facts,
}

fn desk() -> Desk {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::at(dir.path().join("root"));
    let mut facts = week::clean("pve1", Phase::RustAdvanced);
    let put = |path: &str, text: &str| {
        let path = root.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put("/etc/hostname", "pve1\n");
    put(
        "/etc/pve/network/migration.toml",
        "# password: hunter2\nphase = \"perl-only\"\n[canary]\norder = [\"pve1\"]\n",
    );
    put("/var/lib/pve-network-rs/ceiling", "rust-basic-write\n");
    put("/var/lib/dpkg/info/pve-network-rs.manifest", "{\"format\":1}\n");
    put("/var/lib/dpkg/info/pve-network-rs.manifest-sig", "signature");
    let mut journal = String::new();
    let mut line = |event: &Event| journal += &(serde_json::to_string(event).unwrap() + "\n");
    let operations = &facts.journal.get().unwrap().operations;
    for operation in operations {
        let written = Written { before: "a".into(), after: "b".into() };
        let paths = operation.interfaces.then(|| ("/etc/network/interfaces".into(), written));
        line(&Event::Begin {
            id: operation.id.clone(),
            time: operation.began,
            backend: operation.backend,
            tool: operation.tool.clone(),
            phase: "rust-basic-write".into(),
            snapshot: None,
            transaction: None,
            paths: paths.into_iter().collect(),
        });
        let (time, duration_ms) = (operation.ended.unwrap(), operation.ms.unwrap());
        line(&Event::End { id: operation.id.clone(), time, duration_ms, outcome: operation.outcome.unwrap() });
    }
    line(&Event::Note { time: NOW - 60, by: "root".into(), text: "the token is hunter2-in-a-note".into() });
    put("/var/lib/pve-network-rs/operations.jsonl", &journal);
    let report = format!(
        r#"{{"schema_version":1,"node":"pve1","started":{},"verdict":"equal","endpoints":[{{"endpoint":"/x","verdict":"equal","why":null,"differences":[]}}]}}"#,
        NOW - 3600
    );
    put("/var/log/pve-network/contract-test.json", &report);
    week::is(&mut facts.contract).endpoints = BTreeMap::from([("equal".to_owned(), 1)]);
    let node = Node::at(&root, Clock::Fixed(Timestamp::from_seconds(NOW))).unwrap();
    Desk { _dir: dir, node, facts }
}

#[test]
fn a_clean_week_is_judged_the_same_elsewhere_and_keeps_its_secrets() {
    let Desk { node, facts, _dir } = desk();
    let bundle = gather(&node, &facts).unwrap();
    let bytes = bundle.bytes().unwrap();
    let judged = judge(&bytes, None).unwrap();
    assert_eq!(judged.verdict, gate::gate(&facts));
    assert_eq!(judged.verdict.verdict, Judgement::Pass);
    let mut secret = facts.clone();
    week::is(&mut secret.past).steps[0].why = "password: hunter2".into();
    let other = gather(&node, &secret).unwrap();
    assert!(judge(&other.bytes().unwrap(), None).is_ok() && !other.get("facts.json").unwrap().contains("hunter2"));
    assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"), "a secret is in it");
    // What holds no secret stays byte for byte.
    let journal = std::fs::read_to_string(node.store.journal().path()).unwrap();
    assert!(bundle.get("operations.jsonl").unwrap().starts_with(journal.rsplit_once("{\"event\":\"note\"").unwrap().0));
    for name in
        ["facts.json", "verdict.json", "ceiling", "migration.toml", "package/manifest", "package/manifest-sig.base64"]
    {
        assert!(!bundle.get(name).unwrap().is_empty(), "{name}");
    }
    let missing = bundle.get("MISSING").unwrap();
    assert!(
        missing.contains("phase-history.jsonl: there is no /var/lib/pve-network-rs/phase-history.jsonl"),
        "{missing}"
    );
}

#[test]
fn facts_have_to_follow_from_the_records() {
    let Desk { node, facts, _dir } = desk();
    for (name, change) in [
        ("an apply that was quicker", (|f| week::is(&mut f.journal).operations[20].ms = Some(1)) as fn(&mut Facts)),
        ("one apply less", |f| drop(week::is(&mut f.journal).operations.remove(20))),
        ("a line that could be read", |f| week::is(&mut f.journal).damaged = 1),
        ("a better report", |f| *week::is(&mut f.contract).endpoints.get_mut("equal").unwrap() = 40),
    ] {
        let mut facts = facts.clone();
        change(&mut facts);
        let said = judge(&gather(&node, &facts).unwrap().bytes().unwrap(), None).unwrap_err();
        assert_eq!(said.kind(), Kind::SignatureRefused, "{name}: {said}");
        assert!(said.to_string().contains("do not follow from"), "{name}: {said}");
    }
    // A verdict that does not follow from the facts, in a bundle that is whole.
    let mut entries = gather(&node, &facts).unwrap().entries;
    let verdict = entries.iter_mut().find(|e| e.name == "verdict.json").unwrap();
    verdict.content = verdict.content.replacen("\"pass\"", "\"fail\"", 1);
    let said = judge(&Bundle::of(entries).unwrap().bytes().unwrap(), None).unwrap_err();
    assert!(said.to_string().contains("this version says pass and the bundle fail"), "{said}");
}
