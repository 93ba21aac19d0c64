use super::*;
use crate::DEFAULT_TOML;

fn set_a(text: &str) -> String {
    set_node_phase(text, "a", Phase::RustSdn).unwrap()
}

#[test]
fn only_the_value_changes() {
    for (before, after) in [
        ("", "[nodes.a]\nphase = \"rust-sdn\"\n"),
        ("phase = 'rust-sdn' # all\n", "phase = 'rust-sdn' # all\n\n[nodes.a]\nphase = \"rust-sdn\"\n"),
        ("[nodes.a]\nphase='perl-only'   # since May\n# end\n", "[nodes.a]\nphase=\"rust-sdn\"   # since May\n# end\n"),
        (
            "[nodes.a] # empty\n\n[canary]\norder = [\"a\"] # two\n",
            "[nodes.a] # empty\nphase = \"rust-sdn\"\n\n[canary]\norder = [\"a\"] # two\n",
        ),
        (
            "# top\n[nodes.b]\nphase = \"perl-only\"\n\n# last\n[canary]\norder = []\n",
            "# top\n[nodes.b]\nphase = \"perl-only\"\n\n[nodes.a]\nphase = \"rust-sdn\"\n\n# last\n[canary]\norder = []\n",
        ),
        ("[nodes]\na.phase = 'perl-only' # x\n", "[nodes]\na.phase = \"rust-sdn\" # x\n"),
        ("nodes.a.phase = 'perl-only'\n", "nodes.a.phase = \"rust-sdn\"\n"),
        (
            "nodes = { b = { phase = 'perl-only' } } # y\n",
            "nodes = { b = { phase = 'perl-only' } , a = { phase = \"rust-sdn\" } } # y\n",
        ),
        ("nodes = { a = { phase = 'perl-only' } } # y\n", "nodes = { a = { phase = \"rust-sdn\" } } # y\n"),
    ] {
        let found = set_a(before);
        assert_eq!(found, after, "{before}");
        assert_eq!(set_a(&found), found, "twice is once");
        assert_eq!(Migration::parse(&found, "m").unwrap().node_phase("a"), Phase::RustSdn);
    }
}

#[test]
fn nothing_changes_where_nothing_has_to() {
    let odd = "nodes . a . phase   =  'rust-sdn'#x\r\n\r\n\r\n# end without a newline";
    assert_eq!(set_a(odd), odd);
    // But a common phase is not the node's own: setting it must survive the next common one.
    assert_ne!(set_a("phase = 'rust-sdn'"), "phase = 'rust-sdn'");
}

#[test]
fn every_line_of_the_shipped_file_survives() {
    let edited = set_node_phase(&set_a(DEFAULT_TOML), "pve-2", Phase::PerlOnly).unwrap();
    let mut rest = edited.lines();
    for line in DEFAULT_TOML.lines() {
        assert!(rest.any(|l| l == line), "lost or moved: {line}");
    }
    let now = Migration::parse(&edited, "m").unwrap();
    assert_eq!(
        [now.node_phase("a"), now.node_phase("pve-2"), now.node_phase("c")],
        [Phase::RustSdn, Phase::PerlOnly, Phase::PerlOnly]
    );
}

#[test]
fn the_common_phase_and_features() {
    let before = "# top\nphase = 'rust-full' # all\n[nodes.a] # first\nphase = 'rust-sdn'\n[nodes.b]\n";
    let after = before.replace("'rust-full'", "\"perl-only\"");
    assert_eq!(set_common_phase(before, Phase::PerlOnly).unwrap(), after);
    assert_eq!(set_common_phase(&after, Phase::PerlOnly).unwrap(), after);
    assert_eq!(set_common_phase("[canary]\n", Phase::RustSdn).unwrap(), "phase = \"rust-sdn\"\n[canary]\n");
    for (before, after) in [
        ("", "features = { rust_cli = true }\n"),
        (
            "features = { rust_cli = false, rust_daemon = true } # x\n",
            "features = { rust_cli = true, rust_daemon = true } # x\n",
        ),
        (
            "[features]\nrust_daemon = true # d\n\n[canary]\n",
            "[features]\nrust_daemon = true # d\nrust_cli = true\n\n[canary]\n",
        ),
        ("features.rust_cli = false\n", "features.rust_cli = true\n"),
        ("features.rust_cli  =  true#\n", "features.rust_cli  =  true#\n"),
    ] {
        assert_eq!(set_feature(before, "rust_cli", true).unwrap(), after, "{before}");
    }
    assert_eq!(set_feature("", "rust_gui", true).unwrap_err().kind(), Kind::Usage);
}

#[test]
fn a_broken_file_and_a_wrong_name_are_refused() {
    for text in ["phase = 'x'", "[nodes", "nodes = 1", "unknown = 1"] {
        assert!(set_node_phase(text, "a", Phase::PerlOnly).is_err(), "{text}");
    }
    for node in ["", "a.b", "-a", "a b", "ä", "a\n"] {
        assert_eq!(set_node_phase("", node, Phase::PerlOnly).unwrap_err().kind(), Kind::Usage, "{node}");
    }
}

proptest::proptest! {
    /// From any valid file: the node gets its phase, no other value moves, comments stay.
    #[test]
    fn one_value_and_no_other(
        lines in proptest::collection::vec("(fallback_enabled = false|perl_api_timeout = 9) # [a-zé]{1,5}|#[a-z \\[\\]=]{0,9}|", 0..6),
        nodes in proptest::collection::btree_map("[abc]", 0usize..6, 0..3),
        style in 0usize..3, node in "[abc]", to in 0usize..6,
    ) {
        let mut text = lines.iter().fold(String::new(), |t, l| t + l + "\n");
        for (name, phase) in &nodes {
            let phase = Phase::ALL[*phase];
            text += &match style {
                0 => format!("[nodes.{name}] # n\nphase = '{phase}' # p\n"),
                1 => format!("nodes.{name}.phase = '{phase}' # p\n"),
                _ => format!("nodes.{name} = {{ phase = '{phase}' }} # p\n"),
            };
        }
        if let Ok(before) = Migration::parse(&text, "m") {
            let edited = set_node_phase(&text, &node, Phase::ALL[to]).unwrap();
            let mut expected = before.clone();
            expected.nodes.insert(node.clone(), Phase::ALL[to]);
            proptest::prop_assert_eq!(Migration::parse(&edited, "m").unwrap(), expected);
            proptest::prop_assert_eq!(edited.matches('#').count(), text.matches('#').count());
            proptest::prop_assert_eq!(set_node_phase(&edited, &node, Phase::ALL[to]).unwrap(), edited);
        }
    }

    /// Every byte but those of the value stays, whatever stands around it.
    #[test]
    fn every_other_byte_stays(
        before in "(#[ -~é]{0,9}\n|\n|fallback_enabled  = true#x\n){0,3}", space in "[ \t]{0,3}", comment in "( *#[ -~é]{0,9})?",
        after in "(#[ -~é]{0,9}\n|\n){0,3}", end in "(#[a-z]{0,4})?", from in 0usize..6, to in 0usize..6, header in 0usize..3,
    ) {
        let (from, to) = (Phase::ALL[from], Phase::ALL[to]);
        let head = ["[nodes.a]\nphase", "nodes.a.phase", "[nodes]\na.phase"][header];
        let text = |value: &str| format!("{before}{head}{space}={space}{value}{comment}\n{after}{end}");
        let old = text(&format!("'{from}'"));
        if Migration::parse(&old, "m").is_ok() {
            let edited = set_node_phase(&old, "a", to).unwrap();
            let expected = if from == to { old } else { text(&format!("\"{to}\"")) };
            proptest::prop_assert_eq!(edited, expected);
        }
    }

    #[test]
    fn whatever_is_edited_nothing_panics(text in "\\PC{0,80}", node in "\\PC{0,8}") {
        let _ = set_node_phase(&text, &node, Phase::RustSdn);
        let _ = set_common_phase(&text, Phase::RustSdn);
        let _ = set_feature(&text, "rust_cli", true);
    }
}
