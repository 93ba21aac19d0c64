//! The screen at its fullest: 24 rows of 80 columns hold it.

use super::*;
use crate::pending::Pending;
use crate::status::facts::{Open, Operation, Other};
use crate::status::next::{next, tests::calm};

fn busy() -> Facts {
    let mut facts = calm();
    facts.phase = "rust-read-only".into();
    facts.reasons = vec!["this node's ceiling is rust-read-only, though migration.toml says rust-full; 'migration-ctl phase set' on this node raises it".into()];
    facts.other_nodes =
        (2..20).map(|n| (format!("pve{n}"), Other { phase: "rust-read-only".into(), own_line: n % 2 == 0 })).collect();
    facts.last_operation = Some(Operation {
        id: "20261124-201500-4711-0".into(),
        time: 1_795_419_982,
        backend: "rust",
        tool: "pvenet".into(),
        outcome: "done",
        duration_ms: Some(12),
        paths: 3,
    });
    facts.transaction = Some(Open {
        id: "20261124-201500-4711-1".into(),
        from: "0.1.0-1".into(),
        to: "0.2.0-1".into(),
        snapshot: "20261124-201500".into(),
        gone_back: false,
    });
    facts.pending = vec![
        Pending::ClusterRestore("to be restored in the cluster: /etc/pve/sdn/zones.cfg, /etc/pve/sdn/vnets.cfg".into()),
        Pending::Unfinished("did not come to its end: operation 20261124-201500-4711-0".into()),
    ];
    facts.removal.lines = (0..30)
        .map(|n| format!("restore /etc/network/interfaces.d/file-{n} from 20261124-201500: Rust operation 20261124-201500-4711-0 is on trial"))
        .collect();
    facts
}

#[test]
fn a_terminal_of_24_by_80_holds_it() {
    for facts in [calm(), busy(), Facts { changes_pending: true, ..busy() }] {
        let lines = render(&facts, &next(&facts), Some((80, 24)), Colours::NONE);
        assert!(lines.len() <= 24, "{} lines\n{}", lines.len(), lines.join("\n"));
        assert!(lines.iter().all(|l| l.chars().count() <= 80), "{}", lines.join("\n"));
    }
    insta::assert_snapshot!("calm", render(&calm(), &next(&calm()), Some((80, 24)), Colours::NONE).join("\n"));
    insta::assert_snapshot!("busy", render(&busy(), &next(&busy()), Some((80, 24)), Colours::NONE).join("\n"));
}

#[test]
fn a_pipe_gets_every_line_whole() {
    let facts = busy();
    let lines = render(&facts, &next(&facts), None, Colours::NONE);
    for line in &facts.removal.lines {
        assert!(lines.contains(&format!("  {line}")), "{line}");
    }
}
