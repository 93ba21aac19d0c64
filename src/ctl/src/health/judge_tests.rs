use super::*;
use crate::checks::Report;
use crate::health::facts::{Api, Newest, Override};
use crate::pending::Pending;
use phase::Said;
use std::time::Duration;

/// A node that is well, at the phase.
fn well(phase: Phase) -> Facts {
    let unit = |name: &str| Unit {
        name: name.into(),
        load: "loaded".into(),
        enabled: "enabled".into(),
        active: "active".into(),
    };
    Facts {
        node: "pve1".into(),
        effective: phase::effective(Said::Phase(phase), Said::Phase(phase)),
        wished: Some(phase),
        ceiling: Some(phase),
        phases: vec![("pve1".into(), phase), ("pve2".into(), phase)],
        units: Ok(vec![unit(DAEMON), unit(MIDDLEWARE)]),
        cluster: ClusterState::Quorate,
        api: Api { url: "https://127.0.0.1:8006".into(), answered: Ok(Duration::from_millis(2)) },
        snapshots: Snapshots {
            count: 3,
            newest: Some(Newest { id: "20261124-000000".into(), age: 7200, defect: None, differs: false }),
            damaged: vec![],
        },
        room: Ok(Room { free_kib: 1 << 20, needed_kib: 300, free_inodes: 1 << 20, needed_inodes: 30 }),
        pending: vec![],
        seal: Ok(vec![]),
        overrides: vec![],
    }
}

fn with_unit(facts: &mut Facts, name: &str, change: impl Fn(&mut Unit)) {
    let units = facts.units.as_mut().expect("they are known");
    units.iter_mut().filter(|u| u.name == name).for_each(change);
}

#[test]
fn a_node_that_is_well_is_well_in_every_phase() {
    for phase in Phase::ALL {
        let checks = judge(&well(phase));
        assert!(checks.iter().all(|c| c.state == State::Ok && c.mend.is_none()), "{phase}: {checks:?}");
        assert_eq!(checks.len(), 10);
    }
}

/// Each row: what is wrong, and which check says so, how bad, with which words and which command.
#[test]
fn the_table() {
    use Phase::{PerlOnly, RustBasicWrite, RustReadOnly, RustSdn};
    use State::{Critical, Ok as Fine, Unknown, Warning};
    type Change = fn(&mut Facts);
    type Row = (&'static str, Phase, Change, &'static str, State, &'static str, Option<&'static str>);
    let rows: Vec<Row> = vec![
        (
            "a broken phase file",
            RustReadOnly,
            |f| {
                f.effective = phase::effective(Said::Broken("m:1: what".into()), Said::Phase(Phase::RustReadOnly));
                f.wished = None;
            },
            "phase",
            Critical,
            "perl-only: m:1: what: taken as perl-only",
            Some("migration-ctl config check"),
        ),
        (
            "a broken ceiling",
            RustReadOnly,
            |f| f.effective = phase::effective(Said::Phase(Phase::RustReadOnly), Said::Broken("c:1: what".into())),
            "phase",
            Critical,
            "perl-only: c:1: what: taken as perl-only",
            Some("migration-ctl phase set perl-only"),
        ),
        (
            "a ceiling below the wish",
            RustBasicWrite,
            |f| f.ceiling = Some(Phase::PerlOnly),
            "ceiling",
            Warning,
            "this node may do perl-only at most, and migration.toml wishes for rust-basic-write",
            Some("migration-ctl phase set rust-read-only"),
        ),
        (
            "no ceiling",
            PerlOnly,
            |f| f.ceiling = None,
            "ceiling",
            Warning,
            "no ceiling",
            Some("migration-ctl phase set perl-only"),
        ),
        (
            "a ceiling above the wish",
            RustReadOnly,
            |f| f.ceiling = Some(Phase::RustFull),
            "ceiling",
            Fine,
            "rust-full",
            None,
        ),
        (
            "canaries a step apart",
            RustReadOnly,
            |f| f.phases[1].1 = Phase::PerlOnly,
            "nodes",
            Fine,
            "a step apart: pve1 at rust-read-only, pve2 at perl-only",
            None,
        ),
        (
            "nodes far apart",
            RustSdn,
            |f| f.phases[1].1 = Phase::PerlOnly,
            "nodes",
            Warning,
            "more than a step apart: pve1 at rust-sdn",
            Some("migration-ctl phase get --all-nodes"),
        ),
        ("no phase file", PerlOnly, |f| f.phases.clear(), "nodes", Fine, "names no node", None),
        (
            "a disabled middleware at a Rust phase",
            RustReadOnly,
            |f| with_unit(f, MIDDLEWARE, |u| u.enabled = "disabled".into()),
            "units",
            Critical,
            "pve-network-migration.service is disabled, and this node is at rust-read-only",
            Some("systemctl enable --now pve-network-migration.service"),
        ),
        (
            "a disabled daemon is the middleware's to start",
            RustReadOnly,
            |f| with_unit(f, DAEMON, |u| u.enabled = "disabled".into()),
            "units",
            Fine,
            "both run",
            None,
        ),
        (
            "disabled and stopped at perl-only",
            PerlOnly,
            |f| {
                for name in [DAEMON, MIDDLEWARE] {
                    with_unit(f, name, |u| (u.enabled, u.active) = ("disabled".into(), "inactive".into()));
                }
            },
            "units",
            Fine,
            "disabled and inactive",
            None,
        ),
        (
            "a daemon that does not run at a Rust phase",
            RustBasicWrite,
            |f| with_unit(f, DAEMON, |u| u.active = "inactive".into()),
            "units",
            Critical,
            "pve-network-rs.service is inactive, and this node is at rust-basic-write",
            Some("systemctl restart pve-network-migration.service"),
        ),
        (
            "a middleware that has failed, at any phase",
            PerlOnly,
            |f| with_unit(f, MIDDLEWARE, |u| u.active = "failed".into()),
            "units",
            Critical,
            "has failed",
            Some("journalctl -u pve-network-migration.service -n 50"),
        ),
        (
            "a masked unit",
            RustReadOnly,
            |f| with_unit(f, DAEMON, |u| u.load = "masked".into()),
            "units",
            Critical,
            "is masked",
            Some("systemctl unmask pve-network-rs.service"),
        ),
        (
            "a unit that systemd has not read",
            RustReadOnly,
            |f| with_unit(f, MIDDLEWARE, |u| u.load = "not-found".into()),
            "units",
            Critical,
            "systemd does not know",
            Some("systemctl daemon-reload"),
        ),
        (
            "no systemd",
            RustReadOnly,
            |f| f.units = Err("systemd does not run here".into()),
            "units",
            Unknown,
            "not asked",
            None,
        ),
        (
            "no quorum",
            PerlOnly,
            |f| f.cluster = ClusterState::NoQuorum,
            "cluster",
            Critical,
            "no quorum",
            Some("pvecm status"),
        ),
        (
            "pmxcfs down",
            PerlOnly,
            |f| f.cluster = ClusterState::Unmounted,
            "cluster",
            Critical,
            "not mounted",
            Some("systemctl restart pve-cluster.service"),
        ),
        ("no cluster", PerlOnly, |f| f.cluster = ClusterState::Plain, "cluster", Fine, "a plain folder", None),
        (
            "nothing to fall back on",
            RustReadOnly,
            |f| f.api.answered = Err("no connection: Connection refused".into()),
            "perl-api",
            Critical,
            "https://127.0.0.1:8006: no connection: Connection refused",
            Some("systemctl restart pveproxy.service"),
        ),
        (
            "Perl's API down where nobody asks us",
            PerlOnly,
            |f| f.api.answered = Err("x".into()),
            "perl-api",
            Warning,
            "x",
            Some("systemctl restart pveproxy.service"),
        ),
        (
            "no snapshot",
            PerlOnly,
            |f| f.snapshots = Snapshots::default(),
            "snapshots",
            Critical,
            "there is no snapshot",
            Some("migration-ctl snapshot take"),
        ),
        (
            "the newest is damaged",
            PerlOnly,
            |f| f.snapshots.newest.as_mut().unwrap().defect = Some("snapshot x can't be trusted: y".into()),
            "snapshots",
            Critical,
            "the newest can't be trusted: snapshot x can't be trusted: y",
            Some("migration-ctl snapshot take"),
        ),
        (
            "an older one is damaged",
            PerlOnly,
            |f| f.snapshots.damaged.push("d".into()),
            "snapshots",
            Warning,
            "1 of 3 can't be trusted: d",
            Some("migration-ctl snapshot verify"),
        ),
        (
            "old, and the state has changed since",
            PerlOnly,
            |f| {
                *f.snapshots.newest.as_mut().unwrap() =
                    Newest { id: "i".into(), age: 8 * 86_400, defect: None, differs: true }
            },
            "snapshots",
            Warning,
            "the newest, i, is 8 d old and no longer shows the present state",
            Some("migration-ctl snapshot take"),
        ),
        (
            "old, and nothing has changed since",
            PerlOnly,
            |f| f.snapshots.newest.as_mut().unwrap().age = 800 * 86_400,
            "snapshots",
            Fine,
            "800 d old",
            None,
        ),
        (
            "changed an hour after",
            PerlOnly,
            |f| f.snapshots.newest.as_mut().unwrap().differs = true,
            "snapshots",
            Fine,
            "2 h old",
            None,
        ),
        (
            "a full disk",
            PerlOnly,
            |f| f.room.as_mut().unwrap().free_kib = 299,
            "disk",
            Critical,
            "299 KiB free, a snapshot needs 300 KiB",
            Some("df -h /var/lib; df -i /var/lib"),
        ),
        (
            "little room",
            PerlOnly,
            |f| f.room.as_mut().unwrap().free_kib = 2999,
            "disk",
            Warning,
            "2999 KiB",
            Some("df"),
        ),
        ("few inodes", PerlOnly, |f| f.room.as_mut().unwrap().free_inodes = 29, "disk", Critical, "inodes", Some("df")),
        ("no answer from the disk", PerlOnly, |f| f.room = Err("e".into()), "disk", Unknown, "e", None),
        (
            "something urgent waits behind something that is not",
            PerlOnly,
            |f| {
                f.pending = vec![Pending::Resume("slow".into()), Pending::Restore("quick".into())];
            },
            "pending",
            Critical,
            "quick, and 1 more",
            Some("migration-ctl rollback --resume"),
        ),
        (
            "two that are urgent: the one that status names",
            PerlOnly,
            |f| f.pending = vec![Pending::Restore("r".into()), Pending::Abort("a".into())],
            "pending",
            Critical,
            "a, and 1 more",
            Some("migration-ctl abort --resume"),
        ),
        (
            "an apply that somebody is at work on",
            PerlOnly,
            |f| f.pending = vec![Pending::Apply("it waits".into())],
            "pending",
            Warning,
            "it waits",
            Some("pvenet status"),
        ),
        (
            "something waits",
            PerlOnly,
            |f| f.pending = vec![Pending::Resume("slow".into())],
            "pending",
            Warning,
            "slow",
            Some("migration-ctl phase resume"),
        ),
        (
            "an altered file",
            PerlOnly,
            |f| f.seal = Ok(vec!["/usr/bin/x is altered".into(), "y".into()]),
            "package",
            Critical,
            "/usr/bin/x is altered, and 1 more",
            Some("apt-get install --reinstall pve-network-rs"),
        ),
        (
            "not installed by dpkg",
            PerlOnly,
            |f| f.seal = Err("not sealed".into()),
            "package",
            Unknown,
            "not sealed",
            None,
        ),
        (
            "an override",
            PerlOnly,
            |f| f.overrides = vec![Override { line: "o".into(), expired: false }],
            "overrides",
            Warning,
            "o",
            Some("migration-ctl phase history"),
        ),
        (
            "one that has expired, among others",
            PerlOnly,
            |f| {
                f.overrides =
                    vec![Override { line: "o".into(), expired: false }, Override { line: "e".into(), expired: true }]
            },
            "overrides",
            Critical,
            "e",
            Some("migration-ctl phase history"),
        ),
    ];
    for (name, phase, change, check, state, words, mend) in rows {
        let mut facts = well(phase);
        change(&mut facts);
        let checks = judge(&facts);
        let found = checks.iter().find(|c| c.name == check).unwrap_or_else(|| panic!("{name}: no check {check}"));
        assert_eq!(found.state, state, "{name}: {found:?}");
        assert!(found.line.contains(words), "{name}: {found:?}");
        match (mend, &found.mend) {
            (Some(mend), Some(found)) => assert!(found.starts_with(mend), "{name}: {found}"),
            (None, None) => {}
            (_, other) => panic!("{name}: {other:?}"),
        }
        let report = Report { node: "n".into(), figures: figures(&facts), checks };
        for line in report.text(::cli::screen::Colours::NONE).lines().filter(|l| !l.starts_with("          > ")) {
            assert!(line.chars().count() <= 80, "{name}: {line}");
        }
    }
}
