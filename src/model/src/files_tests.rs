use super::*;

fn names(files: &[(&str, &str)]) -> Vec<String> {
    let set: NetworkFiles = files.iter().map(|(p, t)| (*p, t.as_bytes())).collect();
    configuration(&set).unwrap().names().map(str::to_owned).collect()
}

#[test]
fn sources_are_followed_in_place_within_the_set() {
    let d = "/etc/network/interfaces.d";
    let (sdn, bak, hidden, sub) = (format!("{d}/sdn"), format!("{d}/a.bak"), format!("{d}/.x"), format!("{d}/sub/x"));
    let rest = [
        (sdn.as_str(), "iface vnet1\n"),
        (&bak, "iface old\n"),
        (&hidden, "iface hidden\n"),
        (&sub, "iface deep\n"),
        ("/etc/network/other", "iface other\n"),
        ("/srv/net/x", "iface far\nsource near"),
        ("/srv/net/near", "iface near\n"),
    ];
    for (main, expected) in [
        ("source /etc/network/interfaces.d/*", &["old", "vnet1"][..]),
        ("source interfaces.d/*", &["old", "vnet1"]),
        ("source-directory interfaces.d", &["vnet1"]),
        ("source-directory /etc/network/interfaces.d/", &["vnet1"]),
        ("source-directory /etc/network/interfaces.*", &["vnet1"]),
        ("source other interfaces.d/sdn", &["other", "vnet1"]),
        ("source ../network/other\niface a", &["other", "a"]),
        ("iface z\nsource /srv/net/x\niface a", &["z", "a", "far", "near"]),
        ("source /nowhere/*", &[]),
        ("source interfaces", &[]),
    ] {
        let mut all = vec![(MAIN, main)];
        all.extend(rest);
        let mut found = names(&all);
        let mut wanted = expected.to_vec();
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted, "{main}");
    }
}

#[test]
fn files_that_source_each_other_are_read_once() {
    let a = "source /a\niface one\n";
    assert_eq!(names(&[(MAIN, "source /a"), ("/a", a), ("/b", a)]), ["one"]);
    let both = names(&[(MAIN, "source /a"), ("/a", "source /b\niface x"), ("/b", "source /a\niface y")]);
    assert_eq!(both, ["x", "y"]);
}

#[test]
fn without_the_main_file_nothing_is_configured() {
    assert!(names(&[("/etc/network/interfaces.d/sdn", "iface vnet1\n")]).is_empty());
}

#[test]
fn the_broken_file_is_named_and_files_nobody_sources_do_not_matter() {
    let set = |main: &str| -> NetworkFiles {
        [(MAIN, main.as_bytes().to_vec()), ("/etc/network/interfaces.d/x", b"\nmtu 1\n".to_vec())].into_iter().collect()
    };
    assert!(configuration(&set("iface a\n")).is_ok());
    let error = configuration(&set("iface a\nsource interfaces.d/*\n")).unwrap_err();
    assert_eq!(error.to_string(), "/etc/network/interfaces.d/x:2: 'mtu' stands before any stanza");
}

proptest::proptest! {
    #[test]
    fn any_set_of_files_is_read_or_refused(
        files in proptest::collection::vec(
            ("(/etc/network/interfaces|/etc/network/interfaces.d/[ab.]{1,2}|[/a.]{0,4})",
             "((iface|source|source-directory|auto) [/a-b.*?\\[\\]-]{0,12}\n){0,5}"), 0..6),
    ) {
        let set: NetworkFiles = files.iter().map(|(p, t)| (p.as_str(), t.as_bytes())).collect();
        let _ = configuration(&set);
    }
}
