use super::*;
use std::collections::BTreeMap;

use history::journal::{Event, Written};
use host::{Clock, Root, Timestamp};
use phase::{Phase, Setting};

use crate::gate::Judgement;
use crate::gate::limits::DAY;
use crate::gate::tests::week::{self, NOW};
use crate::read::overrides::Passage;

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
        "# password: hunter2\nphase = \"perl-only\"\n[canary]\norder = [\"pve1\"]\n[nodes.pve1]\nphase = \"rust-basic-write\"\n",
    );
    put("/var/lib/pve-network-rs/ceiling", "rust-basic-write\n");
    put("/var/lib/dpkg/info/pve-network-rs.manifest", "{\"format\":1}\n");
    put("/var/lib/dpkg/info/pve-network-rs.manifest-sig", "signature");
    // It came here by gates, the last of them overridden for a while yet.
    let steps = facts.past.get().unwrap().steps.clone();
    let mut history = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let why = if number + 1 < steps.len() {
            "promoted, the passphrase is hunter2".to_owned()
        } else {
            let passage = passage(step.time, step.to);
            let text = serde_json::to_string_pretty(&passage).unwrap();
            put("/var/lib/pve-network-rs/gates/one.json", &text);
            standing::by_passage("overridden", "one.json", &files::sha256(text.as_bytes()))
        };
        let setting = |from: Option<Phase>, to: Phase| Setting {
            key: "ceiling".into(),
            from: from.map(|p| p.to_string()),
            to: Some(to.to_string()),
        };
        let change = phase::Event::Change {
            id: number.to_string(),
            node: "pve1".into(),
            by: Box::default(),
            why,
            steps: vec![phase::Step { node: "pve1".into(), from: step.from, to: step.to }],
            changes: vec![setting((number > 0).then_some(step.from), step.to)],
            overridden: None,
        };
        let outcome = phase::Event::Outcome { id: number.to_string(), outcome: phase::Outcome::Done, error: None };
        for event in [change, outcome] {
            let line = phase::record::append(&history, step.time, event);
            history.extend(line);
        }
    }
    put("/var/lib/pve-network-rs/phase-history.jsonl", std::str::from_utf8(&history).unwrap());
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
    facts.past = Said::Is(standing::past(&node.switch, &node.store, NOW).unwrap());
    facts.standing = standing::standing(&node.switch);
    week::is(&mut facts.journal).latest = Some(NOW - 60);
    Desk { _dir: dir, node, facts }
}

fn passage(time: i64, to: Phase) -> Passage {
    let verdict = gate::gate(&week::clean("pve1", Phase::RustAdvanced));
    let overridden = Some(phase::Override { reason: "a spare node, token=hunter2".into(), expires: NOW + 60 });
    Passage {
        format: 1,
        time,
        by: "root".into(),
        node: "pve1".into(),
        from: Phase::RustReadOnly,
        to,
        overridden,
        verdict,
    }
}

#[test]
fn a_clean_week_is_judged_the_same_elsewhere_and_keeps_its_secrets() {
    let Desk { node, facts, _dir } = desk();
    let bundle = gather(&node, &facts).unwrap();
    let bytes = bundle.bytes().unwrap();
    let judged = judge(&bytes, None).unwrap();
    assert!(judged.verdict == gate::gate(&without_secrets(&facts)));
    assert_eq!(judged.verdict.verdict, Judgement::Pass);
    let mut secret = facts.clone();
    week::is(&mut secret.contract).lines.push("password: hunter2".into());
    let other = gather(&node, &secret).unwrap();
    assert!(!other.get("facts.json").unwrap().contains("hunter2"));
    assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"), "a secret is in it");
    // What holds no secret stays byte for byte.
    let journal = std::fs::read_to_string(node.store.journal().path()).unwrap();
    assert!(bundle.get("operations.jsonl").unwrap().starts_with(journal.rsplit_once("{\"event\":\"note\"").unwrap().0));
    for name in
        ["facts.json", "verdict.json", "ceiling", "migration.toml", "package/manifest", "package/manifest-sig.base64"]
    {
        assert!(!bundle.get(name).unwrap().is_empty(), "{name}");
    }
    assert_eq!(bundle.get("MISSING").unwrap(), "");
    // What changes set is no secret, although it is called a key.
    let history = bundle.get("phase-history.jsonl").unwrap();
    assert!(history.contains("\"key\":\"ceiling\"") && history.contains("the passphrase is [removed]"), "{history}");
    assert_eq!(facts.past.get().unwrap().overrides.len(), 1);
    // Values of a field that is named as a secret is.
    let report = r#"{"endpoints":[{"differences":[{"field":"data.token","kind":"value","perl":"0123-45","rust":null},{"field":"data.mtu","kind":"value","perl":1500,"rust":"1500"}],"suppressed":[]}]}"#;
    let cleaned = contract_report(report);
    assert!(!cleaned.contains("0123-45") && cleaned.contains("1500"), "{cleaned}");
    // From a damaged old line to the first that counts, nothing is in the bundle that was not counted.
    let text = "half a line\n{\"event\":\"note\",\"time\":5,\"by\":\"r\",\"text\":\"old\"}\n{\"event\":\"begin\",\"time\":1}\n";
    assert_eq!(recent(text, 6), "{\"event\":\"begin\",\"time\":1}\n");
    assert_eq!(recent(text, 5), text);
}

#[test]
fn facts_have_to_follow_from_the_records() {
    let Desk { node, facts, _dir } = desk();
    for (name, change) in [
        ("an apply that was quicker", (|f| week::is(&mut f.journal).operations[20].ms = Some(1)) as fn(&mut Facts)),
        ("one apply less", |f| drop(week::is(&mut f.journal).operations.remove(20))),
        ("a line that could be read", |f| week::is(&mut f.journal).damaged = 1),
        ("an override forgotten", |f| week::is(&mut f.past).overrides.clear()),
        ("a step longer ago", |f| week::is(&mut f.past).steps[1].time -= DAY),
        ("another phase", |f| week::is(&mut f.standing).phase = Phase::RustReadOnly),
        ("another order", |f| week::is(&mut f.standing).order.push("pve0".into())),
        ("a clock that was not set", |f| week::is(&mut f.journal).backwards.push(NOW - 5)),
        ("a report of another form", |f| week::is(&mut f.contract).schema_version = 7),
        ("a better report", |f| *week::is(&mut f.contract).endpoints.get_mut("equal").unwrap() = 40),
    ] {
        let mut facts = facts.clone();
        change(&mut facts);
        let said = judge(&gather(&node, &facts).unwrap().bytes().unwrap(), None).unwrap_err();
        assert_eq!(said.kind(), Kind::SignatureRefused, "{name}: {said}");
        assert!(said.to_string().contains("do not follow from"), "{name}: {said}");
    }
    // The history says that there was a passage.
    let mut entries = gather(&node, &facts).unwrap().entries;
    entries.retain(|e| e.name != "gates/one.json");
    let said = judge(&Bundle::of(entries).unwrap().bytes().unwrap(), None).unwrap_err().to_string();
    assert!(
        said.contains("gates/one.json, by which this node came to its phase, is not there in the bundle"),
        "{said}"
    );
    std::fs::write(node.store.path("gates/one.json"), serde_json::to_string(&passage(1, Phase::RustSdn)).unwrap())
        .unwrap();
    let said = standing::past(&node.switch, &node.store, NOW).unwrap_err().to_string();
    assert!(said.contains("was changed"), "{said}");
    std::fs::remove_dir_all(node.store.path("gates")).unwrap();
    let said = standing::past(&node.switch, &node.store, NOW).unwrap_err().to_string();
    assert!(said.contains("is not there"), "{said}");
    // A verdict that does not follow from the facts, in a bundle that is whole.
    let Desk { node, facts, _dir } = desk();
    let mut entries = gather(&node, &facts).unwrap().entries;
    let verdict = entries.iter_mut().find(|e| e.name == "verdict.json").unwrap();
    verdict.content = verdict.content.replacen("\"pass\"", "\"fail\"", 1);
    let said = judge(&Bundle::of(entries).unwrap().bytes().unwrap(), None).unwrap_err();
    assert!(said.to_string().contains("this version says pass and the bundle fail"), "{said}");
}
