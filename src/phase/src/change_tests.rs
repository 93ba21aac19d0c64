use super::*;
use Phase::{PerlOnly, RustBasicWrite, RustFull, RustReadOnly, RustSdn};

const FILE: &str = "phase = 'perl-only'\n[nodes.a]\nphase = 'rust-read-only'\n[nodes.b]\nphase = 'rust-sdn'\n[nodes.gone]\nphase = 'perl-only'\n";

fn facts(cluster: &str, ceiling: Phase) -> Facts {
    let known = ["a", "b", "c"].map(str::to_owned).to_vec();
    Facts::new("/m".into(), "a".into(), known, Seen::Bytes(cluster.into()), Said::Phase(ceiling))
}

fn node(name: &str, to: Phase) -> Wish {
    Wish::Node { node: name.into(), to }
}

fn over() -> Override {
    Override { reason: "r".into(), expires: 9 }
}

/// A plan on one line: what rises or not, what is written.
fn show(plan: &Plan) -> String {
    let order = if plan.raises { "up" } else { "down" };
    let settings = plan.changes.iter().map(|c| {
        let short = |v: &Option<String>| v.clone().unwrap_or_else(|| "-".into());
        format!(" {}={}>{}", c.key, short(&c.from), short(&c.to))
    });
    let trouble = plan.no_cluster.iter().map(|(_, why)| format!(" without: {why}"));
    let over = plan.overridden.iter().map(|_| " override".to_owned());
    [order.to_owned()].into_iter().chain(settings).chain(trouble).chain(over).collect()
}

fn said(wish: &Wish, facts: &Facts, given: Option<&Override>) -> String {
    match plan(wish, facts, given) {
        Ok(plan) if plan.is_empty() && plan.no_cluster.is_none() => "nothing".into(),
        Ok(plan) => show(&plan),
        Err(error) => format!("{:?}: {error}", error.kind()),
    }
}

#[test]
fn steps_of_this_node() {
    let at = facts(FILE, RustReadOnly);
    for (to, expected) in [
        (RustReadOnly, "nothing"),
        (RustBasicWrite, "up ceiling=rust-read-only>rust-basic-write nodes.a.phase=rust-read-only>rust-basic-write"),
        (PerlOnly, "down ceiling=rust-read-only>perl-only nodes.a.phase=rust-read-only>perl-only"),
        (
            RustSdn,
            "Refused: cannot go from rust-read-only to rust-sdn: one step up at a time; the next phase is rust-basic-write",
        ),
    ] {
        assert_eq!(said(&node("a", to), &at, None), expected);
    }
    assert_eq!(
        said(&node("a", RustSdn), &at, Some(&over())),
        "up ceiling=rust-read-only>rust-sdn nodes.a.phase=rust-read-only>rust-sdn override"
    );
    // Where one step is enough, no override is used up.
    assert!(!said(&node("a", RustBasicWrite), &at, Some(&over())).contains("override"));
    // The same phase again: more time for what was let through.
    assert_eq!(said(&node("a", RustReadOnly), &at, Some(&over())), "up override");
}

#[test]
fn the_ceiling_alone_takes_a_node_down() {
    let broken = "/m:1: unknown key 'x' (allowed: phase, fallback_enabled, perl_api_base_url, perl_api_timeout, features, log_migration_decisions, nodes, canary)";
    let at = facts("x = 1", RustSdn);
    assert_eq!(said(&node("a", PerlOnly), &at, None), format!("down ceiling=rust-sdn>perl-only without: {broken}"));
    assert_eq!(said(&Wish::AllNodes { to: PerlOnly }, &at, None), said(&node("a", PerlOnly), &at, None));
    assert_eq!(said(&Wish::Lower { to: PerlOnly }, &at, None), said(&node("a", PerlOnly), &at, None));
    assert_eq!(said(&node("a", RustReadOnly), &at, None), format!("Failed: {broken}"));
    assert_eq!(said(&node("b", PerlOnly), &at, None), format!("Failed: {broken}"));
    let away = Facts::new("/m".into(), "a".into(), vec![], Seen::Unavailable, Said::Phase(RustSdn));
    let why = "/etc/pve is not mounted; start pve-cluster.service and try again";
    assert_eq!(
        said(&node("a", RustReadOnly), &away, None),
        format!("down ceiling=rust-sdn>rust-read-only without: {why}")
    );
    assert_eq!(said(&node("a", RustFull), &away, None), format!("ClusterNotWritable: {why}"));
}

#[test]
fn the_line_of_another_node_and_of_all() {
    let at = facts(FILE, RustReadOnly);
    assert_eq!(said(&node("b", RustFull), &at, None), "up nodes.b.phase=rust-sdn>rust-full");
    assert_eq!(said(&node("b", PerlOnly), &at, None), "down nodes.b.phase=rust-sdn>perl-only");
    assert_eq!(said(&node("c", RustReadOnly), &at, None), "up nodes.c.phase=->rust-read-only");
    assert!(said(&node("c", RustSdn), &at, None).starts_with("Refused: node c: cannot go from perl-only"));
    assert_eq!(
        said(&node("d", PerlOnly), &at, None),
        "Usage: there is no node 'd' in this cluster (there is: a, b, c)"
    );
    // A node that is gone can still be taken down.
    assert_eq!(said(&node("gone", PerlOnly), &at, None), "nothing");
    assert_eq!(
        said(&Wish::AllNodes { to: PerlOnly }, &at, None),
        "down ceiling=rust-read-only>perl-only nodes.a.phase=rust-read-only>perl-only nodes.b.phase=rust-sdn>perl-only"
    );
    // Up, a line of a node that is not there stays; the others' phases are what counts, each for itself.
    let up = plan(&Wish::AllNodes { to: RustReadOnly }, &at, None).unwrap();
    assert_eq!(show(&up), "up nodes.b.phase=rust-sdn>rust-read-only phase=perl-only>rust-read-only");
    assert_eq!(up.strangers, ["gone"]);
    assert!(said(&Wish::AllNodes { to: RustBasicWrite }, &at, None).starts_with("Refused: node c: "));
}

#[test]
fn features_and_a_whole_file() {
    let at = facts(FILE, RustReadOnly);
    let feature = |on| Wish::Feature { name: "rust_cli".into(), on };
    assert_eq!(said(&feature(true), &at, None), "up features.rust_cli=false>true");
    assert_eq!(said(&feature(false), &at, None), "nothing");
    let on = facts("features = { rust_cli = true }", RustReadOnly);
    assert_eq!(said(&feature(false), &on, None), "down features.rust_cli=true>false");
    let import = |text: &str| Wish::Import { text: text.into() };
    assert_eq!(said(&import(FILE), &at, None), "nothing");
    assert_eq!(
        said(&import("phase = 'perl-only'\n"), &at, None),
        "down nodes.a.phase=rust-read-only>- nodes.b.phase=rust-sdn>- nodes.gone.phase=perl-only>-"
    );
    assert!(said(&import("phase = 'rust-basic-write'\n"), &at, None).starts_with("Refused: node c: "));
    assert!(said(&import("phase = 'rust-sdn'\n"), &at, Some(&over())).ends_with(" override"));
    assert!(said(&import("phase = 'x'\n"), &at, None).starts_with("Failed: the new file:1: "));
    // A broken file counts as perl-only, and a whole one in its place mends it.
    let broken = facts("x", RustFull);
    assert!(said(&import("phase = 'rust-read-only'\n"), &broken, None).starts_with("up phase="));
    assert!(said(&import("phase = 'rust-basic-write'\n"), &broken, None).starts_with("Refused: "));
}

#[test]
fn what_maintainer_scripts_do() {
    let at = facts(FILE, RustReadOnly);
    let lower = Wish::Lower { to: PerlOnly };
    assert_eq!(said(&lower, &at, None), said(&node("a", PerlOnly), &at, None));
    // A node that follows the common phase to a low one needs no line of its own.
    assert_eq!(said(&lower, &facts("", RustSdn), None), "down ceiling=rust-sdn>perl-only");
    assert_eq!(said(&lower, &facts("", PerlOnly), None), "nothing");
    let again = Wish::Again { ceiling: Some(RustSdn), line: Some(RustBasicWrite) };
    assert_eq!(
        said(&again, &facts(FILE, PerlOnly), None),
        "up ceiling=perl-only>rust-sdn nodes.a.phase=rust-read-only>rust-basic-write"
    );
    let first = Wish::First { ceiling: PerlOnly, text: "phase = 'perl-only'\n".into() };
    assert_eq!(said(&first, &at, None), "nothing");
    let none = Facts::new("/m".into(), "a".into(), vec![], Seen::Absent, Said::Absent);
    let digest = sha256(b"phase = 'perl-only'\n");
    assert_eq!(said(&first, &none, None), format!("down ceiling=->perl-only migration.toml=->{digest}"));
    // A reinstall into a cluster that says rust-full raises nothing.
    let again = Facts { ceiling: Said::Absent, ..facts("phase = 'rust-full'", PerlOnly) };
    assert_eq!(said(&first, &again, None), "down ceiling=->perl-only");
}

proptest::proptest! {
    /// Whatever is asked of whatever stands there: without an override nobody rises by more than a step, and
    /// what does not rise is written ceiling first.
    #[test]
    fn no_wish_of_an_operator_leaps(
        common in 0usize..6, lines in proptest::collection::btree_map("[abc]", 0usize..6, 0..3),
        ceiling in 0usize..6, to in 0usize..6, whose in 0usize..4,
    ) {
        let mut text = format!("phase = '{}'\n", Phase::ALL[common]);
        for (name, phase) in &lines {
            text += &format!("[nodes.{name}]\nphase = '{}'\n", Phase::ALL[*phase]);
        }
        let (at, to) = (facts(&text, Phase::ALL[ceiling]), Phase::ALL[to]);
        let wish = ["a", "b", "c"].get(whose).map_or(Wish::AllNodes { to }, |name| node(name, to));
        if let Ok(plan) = plan(&wish, &at, None) {
            let before = at.migration().unwrap().unwrap();
            let after = Migration::parse(plan.cluster.as_deref().unwrap_or(&text), "m").unwrap();
            let now = plan.ceiling.unwrap_or(Phase::ALL[ceiling]);
            let own = [before.node_phase("a").min(Phase::ALL[ceiling]), after.node_phase("a").min(now)];
            let others = ["b", "c"].map(|n| [before.node_phase(n), after.node_phase(n)]);
            for [from, to] in others.into_iter().chain([own]) {
                proptest::prop_assert!(step_allowed(from, to).is_ok());
                proptest::prop_assert!(plan.raises || to <= from);
            }
            if whose == 0 || whose == 3 {
                proptest::prop_assert_eq!(own[1], to);
            }
        }
    }
}
