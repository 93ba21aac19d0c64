use super::*;
use crate::DEFAULT_TOML;

fn error(text: &str) -> String {
    Migration::parse(text, "/etc/m.toml").unwrap_err().to_string()
}

#[test]
fn the_shipped_file_says_the_defaults() {
    assert_eq!(Migration::parse(DEFAULT_TOML, "m").unwrap(), Migration::default());
    assert_eq!(Migration::parse("", "m").unwrap(), Migration::default());
    // What it shows as comments is valid once uncommented, and every key is shown.
    let live: String = DEFAULT_TOML
        .lines()
        .map(|l| l.strip_prefix('#').filter(|l| l.starts_with(|c: char| c == '[' || c.is_alphabetic())).unwrap_or(l))
        .flat_map(|l| [l, "\n"])
        .collect();
    let all = Migration::parse(&live, "m").unwrap();
    assert_eq!(all.node_phase("pve1"), Phase::RustReadOnly);
    assert_eq!(all.canary_order, ["pve1", "pve2"]);
    assert!(all.canary_prometheus.is_some() && all.change_window.is_some());
    for key in KEYS {
        assert!(live.lines().any(|l| l.trim_start_matches('[').starts_with(key)), "{key}");
    }
    for phase in Phase::ALL {
        assert!(DEFAULT_TOML.contains(&format!("#   {phase} ")), "{phase}");
    }
}

#[test]
fn everything_can_be_said_in_any_spelling_of_toml() {
    let tables = "phase = 'rust-sdn'\nfallback_enabled = false\nperl_api_base_url = 'http://[::1]:8007/x'\n\
        perl_api_timeout = 300\nlog_migration_decisions = false\n[features]\nrust_cli = true\n\
        [nodes.a]\nphase = \"rust-full\"\n[nodes.b-2]\n[canary]\norder = ['b-2', 'a']\nprometheus = 'http://192.0.2.5:9090/p'\n\
        change_window = 'Sat 22:00-02:00'\n";
    let inline = "features = { rust_cli = true }\nnodes = { a.phase = 'rust-full', b-2 = {} }\ncanary.order = ['b-2',\n'a',]\n\
        canary.prometheus = 'http://192.0.2.5:9090/p'\ncanary.change_window = 'Sat 22:00-02:00'\n\
        phase = 'rust-sdn'\nfallback_enabled = false\nperl_api_base_url = 'http://[::1]:8007/x'\n\
        perl_api_timeout = 0x12c\nlog_migration_decisions = false\n";
    let expected = Migration {
        phase: Phase::RustSdn,
        fallback_enabled: false,
        perl_api_base_url: "http://[::1]:8007/x".to_owned(),
        perl_api_timeout: 300,
        features: Features { rust_cli: true, rust_daemon: false },
        log_migration_decisions: false,
        nodes: [("a".to_owned(), Phase::RustFull)].into(),
        canary_order: vec!["b-2".to_owned(), "a".to_owned()],
        canary_prometheus: Some("http://192.0.2.5:9090/p".to_owned()),
        change_window: ChangeWindow::parse("Sat 22:00-02:00"),
    };
    for text in [tables, inline] {
        let found = Migration::parse(text, "m").unwrap();
        assert_eq!(found, expected);
        assert_eq!(
            [found.node_phase("a"), found.node_phase("b-2"), found.node_phase("c")],
            [Phase::RustFull, Phase::RustSdn, Phase::RustSdn]
        );
    }
}

#[test]
fn errors_name_file_line_and_what_is_allowed() {
    let phases = "(allowed: perl-only, rust-read-only, rust-basic-write, rust-advanced, rust-sdn, rust-full)";
    let keys = "(allowed: phase, fallback_enabled, perl_api_base_url, perl_api_timeout, features, log_migration_decisions, nodes, canary)";
    let url = "(allowed: https://HOST[:PORT][/PATH], or http:// on loopback)";
    for (text, expected) in [
        ("\n# x\nphase = 'rust'", format!("/etc/m.toml:3: phase = 'rust' is not allowed {phases}")),
        ("phase = 3", format!("/etc/m.toml:1: phase = 3 is not allowed {phases}")),
        ("[phase]", format!("/etc/m.toml:1: phase = table is not allowed {phases}")),
        ("\nfallback = true", format!("/etc/m.toml:2: unknown key 'fallback' {keys}")),
        ("\n[node.a]\nphase='rust-sdn'", format!("/etc/m.toml:2: unknown key 'node' {keys}")),
        ("fallback_enabled = 'yes' # x", "/etc/m.toml:1: fallback_enabled = 'yes' is not allowed (allowed: true or false)".into()),
        ("perl_api_timeout = 0", "/etc/m.toml:1: perl_api_timeout = 0 is not allowed (allowed: a whole number from 1 to 300)".into()),
        ("perl_api_timeout = 301", "/etc/m.toml:1: perl_api_timeout = 301 is not allowed (allowed: a whole number from 1 to 300)".into()),
        ("perl_api_timeout = 3.5", "/etc/m.toml:1: perl_api_timeout = 3.5 is not allowed (allowed: a whole number from 1 to 300)".into()),
        ("perl_api_base_url = 'http://10.0.0.1:8006'", format!("/etc/m.toml:1: perl_api_base_url = 'http://10.0.0.1:8006' is not allowed {url}")),
        ("features = true", "/etc/m.toml:1: features = true is not allowed (allowed: a table)".into()),
        ("[features]\nrust_cli = true\nrust_demon = true", "/etc/m.toml:3: unknown key 'features.rust_demon' (allowed: rust_cli, rust_daemon)".into()),
        ("[features]\n\nrust_cli = 1", "/etc/m.toml:3: features.rust_cli = 1 is not allowed (allowed: true or false)".into()),
        ("[nodes.a]\nphase = 'x'", format!("/etc/m.toml:2: nodes.a.phase = 'x' is not allowed {phases}")),
        ("[nodes.a]\nceiling = 'x'", "/etc/m.toml:2: unknown key 'nodes.a.ceiling' (allowed: phase)".into()),
        ("[nodes]\na = 'rust-full'", "/etc/m.toml:2: nodes.a = 'rust-full' is not allowed (allowed: a table)".into()),
        ("[nodes]\n\n[nodes.'a.b']\nphase = 'rust-full'", "/etc/m.toml:3: 'a.b' is no node name (allowed: letters, digits and inner hyphens, at most 63)".into()),
        ("[[nodes]]\na = 1", "/etc/m.toml:1: nodes = array of tables is not allowed (allowed: a table)".into()),
        ("[canary]\norder = 'a'", "/etc/m.toml:2: canary.order = 'a' is not allowed (allowed: a list of node names)".into()),
        ("[canary]\norder = ['a', 1]", "/etc/m.toml:2: canary.order = ['a', 1] is not allowed (allowed: a list of node names)".into()),
        ("[canary]\norder = ['a', 'a']", "/etc/m.toml:2: canary.order = ['a', 'a'] is not allowed (allowed: node names, each once; a name is letters, digits and inner hyphens, at most 63)".into()),
        ("[canary]\nsize = 1", "/etc/m.toml:2: unknown key 'canary.size' (allowed: order, prometheus, change_window)".into()),
        ("[canary]\nprometheus = 'http://u:p@x'", "/etc/m.toml:2: canary.prometheus = 'http://u:p@x' is not allowed (allowed: http[s]://HOST[:PORT][/PATH])".into()),
        ("[canary]\nchange_window = 'Mon'", format!("/etc/m.toml:2: canary.change_window = 'Mon' is not allowed (allowed: {})", ChangeWindow::ALLOWED)),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn text_that_is_no_toml_is_located_too() {
    for (text, line) in [
        ("phase = rust-sdn", 1),
        ("phase = 'perl-only'\nphase = 'rust-sdn'", 2),
        ("\n\n[nodes", 3),
        ("\nphase = \"perl", 2),
    ] {
        let said = error(text);
        assert!(said.starts_with(&format!("/etc/m.toml:{line}: ")), "{text}: {said}");
        assert!(!said.contains("\\n"), "{said}");
    }
}

#[test]
fn urls() {
    for (url, good) in [
        ("https://127.0.0.1:8006", true),
        ("https://pve1.example.com", true),
        ("https://[fd00::1]:8006/", true),
        ("https://127.0.0.1:8006/api2/json", true),
        ("http://localhost:8006", true),
        ("http://127.0.0.9", true),
        ("http://pve1:8006", false),
        ("http://127.0.0.1.example.com", false),
        ("ftp://127.0.0.1", false),
        ("127.0.0.1:8006", false),
        ("https://", false),
        ("https:///x", false),
        ("https://a:0", false),
        ("https://a:99999", false),
        ("https://a:+80", false),
        ("https://a:8006:1", false),
        ("https://user:pass@a", false),
        ("https://a/?token=x", false),
        ("https://a b", false),
        ("https://[fd00::1", false),
        ("https://[fd00::1]x", false),
        ("https://a\n", false),
    ] {
        assert_eq!(is_base_url(url), good, "{url:?}");
    }
}

#[test]
fn features_that_are_off() {
    let on = Features { rust_cli: true, rust_daemon: false };
    assert_eq!(on.off_in(Phase::RustReadOnly), [""; 0]);
    assert_eq!(on.off_in(Phase::RustBasicWrite), ["rust_daemon"]);
    assert_eq!(Features::default().off_in(Phase::RustFull), ["rust_cli", "rust_daemon"]);
}

#[test]
fn files_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("migration.toml");
    assert_eq!(read_migration(&path).unwrap(), None);
    assert_eq!(read_migration(&path.join("below-a-file-that-is-not-there")).unwrap(), None);
    std::fs::write(&path, DEFAULT_TOML).unwrap();
    assert_eq!(read_migration(&path).unwrap(), Some(Migration::default()));
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let said = |path: &Path| read_migration(path).unwrap_err().to_string();
    assert!(said(&link).contains("not a plain file"));
    assert!(said(dir.path()).contains("not a plain file"));
    std::fs::write(&path, b"# a\n# b\xff\n").unwrap();
    assert_eq!(said(&path), format!("{}:2: not UTF-8", path.display()));
    std::fs::write(&path, "#".repeat(64 * 1024)).unwrap();
    assert!(read_migration(&path).is_ok());
    std::fs::write(&path, "#".repeat(64 * 1024 + 1)).unwrap();
    assert!(said(&path).contains("larger than 65536 bytes"));
}

proptest::proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
        let _ = Migration::parse(&text, "m");
    }

    /// Nothing but the six names promotes, however near a value comes.
    #[test]
    fn a_value_is_a_phase_or_an_error(name in "(rust|perl)[-_](only|read-only|basic-write|advanced|sdn|full)[ x]?") {
        let found = Migration::parse(&format!("phase = \"{name}\"\n"), "m");
        match Phase::ALL.into_iter().find(|p| p.to_string() == name) {
            Some(phase) => proptest::prop_assert_eq!(found.unwrap().phase, phase),
            None => proptest::prop_assert!(found.unwrap_err().to_string().contains("m:1: ")),
        }
    }

    #[test]
    fn lines_of_the_grammar_never_panic(
        lines in proptest::collection::vec(
            "(\\[(nodes|nodes\\.[a-c]|features|canary)\\]|(phase|rust_cli|order|fallback_enabled|x)( = ('perl-only'|true|\\[\\]|\\['a'\\]|1|'))?|#é)?", 0..8),
    ) {
        let text = lines.join("\n");
        if let Err(error) = Migration::parse(&text, "m") {
            let said = error.to_string();
            let line: usize = said.split(':').nth(1).unwrap().parse().unwrap();
            proptest::prop_assert!((1..=lines.len().max(1)).contains(&line), "{}", said);
        }
    }
}
