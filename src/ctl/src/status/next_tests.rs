//! One row a situation: what is most urgent comes first.

use history::Policy;

use super::*;
use crate::dpkg::Installed;
use crate::status::facts::{Newest, Open, Plan, Snapshots};
use crate::units::Unit;

pub(crate) fn calm() -> Facts {
    Facts {
        node: "pve1".into(),
        package: Some(Installed { version: "0.1.0-1".into(), state: "ii".into() }),
        phase: "perl-only".into(),
        reasons: vec!["migration.toml and this node's ceiling both say perl-only".into()],
        phase_broken: false,
        ceiling_broken: false,
        canary: false,
        changes_pending: false,
        no_room: None,
        ceiling: Some("perl-only".into()),
        other_nodes: [].into(),
        units: Ok(vec![Unit {
            name: "pve-network-migration.service".into(),
            load: "loaded".into(),
            active: "inactive".into(),
            enabled: "disabled".into(),
        }]),
        cluster: "quorate",
        last_operation: None,
        journal_problem: None,
        snapshots: Snapshots {
            count: 1,
            damaged: Vec::new(),
            newest: Some(Newest {
                id: "20261124-201500".into(),
                created: 0,
                reason: "preinst install".into(),
                verifies: true,
                problem: None,
            }),
        },
        pending: Vec::new(),
        transaction: None,
        removal: Plan { restore: Policy::Accepted, lines: Vec::new(), actions: 0, refused: false, problem: None },
    }
}

type Case = (&'static str, fn(&mut Facts), &'static str);

#[test]
fn the_most_urgent_comes_first() {
    let cases: &[Case] = &[
        ("calm", |_| {}, "migration-ctl phase set rust-read-only"),
        ("at the top", |f| f.phase = "rust-full".into(), "systemctl restart pve-network-migration.service"),
        (
            "at the top and running",
            |f| {
                f.phase = "rust-full".into();
                f.units.as_mut().unwrap()[0].active = "active".into();
            },
            "migration-ctl status",
        ),
        ("half-configured", |f| f.package.as_mut().unwrap().state = "iF".into(), "dpkg --configure -a"),
        (
            "killed while unpacking",
            |f| f.package.as_mut().unwrap().state = "iHR".into(),
            "apt-get install --reinstall pve-network-rs",
        ),
        ("removed", |f| f.package.as_mut().unwrap().state = "rc".into(), "apt-get install pve-network-rs"),
        (
            "held is whole",
            |f| f.package.as_mut().unwrap().state = "hi".into(),
            "migration-ctl phase set rust-read-only",
        ),
        (
            "open transaction before a pending restore",
            |f| {
                f.transaction = Some(Open {
                    id: "t".into(),
                    from: String::new(),
                    to: "1".into(),
                    snapshot: "s".into(),
                    gone_back: false,
                });
                f.pending.push(Pending::Restore("r".into()));
            },
            "dpkg --configure -a",
        ),
        (
            "an abort before all else that is half-way",
            |f| f.pending = vec![Pending::Restore("r".into()), Pending::Abort("a".into())],
            "migration-ctl abort --resume",
        ),
        ("restore", |f| f.pending.push(Pending::Restore("r".into())), "migration-ctl rollback --resume"),
        ("cluster", |f| f.pending.push(Pending::ClusterRestore("r".into())), "migration-ctl rollback --resume"),
        (
            "cluster without quorum",
            |f| {
                f.pending.push(Pending::ClusterRestore("r".into()));
                f.cluster = "no-quorum";
            },
            "pvecm status",
        ),
        (
            "cluster unmounted",
            |f| {
                f.pending.push(Pending::ClusterRestore("r".into()));
                f.cluster = "unmounted";
            },
            "systemctl start pve-cluster.service",
        ),
        ("killed write", |f| f.pending.push(Pending::Unfinished("o".into())), "dpkg-reconfigure pve-network-rs"),
        ("took a phase", |f| f.pending.push(Pending::Resume("p".into())), "migration-ctl phase resume"),
        ("broken file", |f| f.phase_broken = true, "migration-ctl config check"),
        (
            "broken ceiling",
            |f| {
                f.phase_broken = true;
                f.ceiling_broken = true;
            },
            "migration-ctl phase set perl-only",
        ),
        ("full disk", |f| f.no_room = Some("no room".into()), "df -h /var/lib; df -i /var/lib"),
        ("a canary", |f| f.canary = true, "canary gate"),
        (
            "an apply that waits before all else that is half-way",
            |f| f.pending = vec![Pending::Abort("a".into()), Pending::Apply("a".into())],
            "pvenet status",
        ),
        ("no snapshot", |f| f.snapshots = Snapshots::default(), "migration-ctl snapshot take"),
        ("bad snapshot", |f| f.snapshots.newest.as_mut().unwrap().verifies = false, "migration-ctl snapshot take"),
        (
            "failed service",
            |f| f.units.as_mut().unwrap()[0].active = "failed".into(),
            "journalctl -b -u pve-network-migration.service",
        ),
        (
            "on trial",
            |f| f.removal.lines.push("restore /x from s: Rust operation o is on trial".into()),
            "migration-ctl accept --dry-run",
        ),
        (
            "damage before trial",
            |f| {
                f.removal.lines.push("restore /y from s: Rust operation o is on trial".into());
                f.removal.lines.push("restore /etc/network/interfaces from s: it is empty".into());
            },
            "migration-ctl rollback --dry-run",
        ),
        ("refused", |f| f.removal.refused = true, "migration-ctl snapshot verify"),
        ("no systemd", |f| f.units = Err("no".into()), "migration-ctl phase set rust-read-only"),
    ];
    for (name, change, command) in cases {
        let mut facts = calm();
        change(&mut facts);
        assert_eq!(next(&facts).command, *command, "{name}");
    }
}
