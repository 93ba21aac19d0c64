use super::*;

fn ifaces(text: &str) -> Vec<Iface<'_>> {
    let all = parse(text.as_bytes()).unwrap().stanzas;
    all.into_iter().filter_map(|s| if let Kind::Iface(i) = s.kind { Some(i) } else { None }).collect()
}

fn options(text: &str) -> Vec<(usize, String, String)> {
    let of = |o: &Opt| (o.line, o.name.clone().into_owned(), lossy(o.value.clone()).into_owned());
    ifaces(text).iter().flat_map(|i| i.options.iter().map(of).collect::<Vec<_>>()).collect()
}

#[test]
fn stanzas_end_where_the_next_begins_and_not_at_blank_lines() {
    let text = "auto lo\niface lo inet loopback\n\n  iface eth0 inet static \n\taddress 10.0.0.2/24\n\
        # a comment\n\n\tgateway\t10.0.0.1\nallow-hotplug eth0 eth1\r\niface eth0 inet6 auto\n";
    let found = ifaces(text);
    let types: Vec<_> =
        found.iter().map(|i| (&*i.name, i.family.as_deref(), i.method.as_deref(), i.options.len())).collect();
    assert_eq!(
        types,
        [
            ("lo", Some("inet"), Some("loopback"), 0),
            ("eth0", Some("inet"), Some("static"), 2),
            ("eth0", Some("inet6"), Some("auto"), 0),
        ]
    );
    assert_eq!(options(text), [(5, "address".into(), "10.0.0.2/24".into()), (8, "gateway".into(), "10.0.0.1".into())]);
    let allow = parse(text.as_bytes()).unwrap().stanzas[3].clone();
    let names = vec!["eth0".into(), "eth1".into()];
    assert_eq!(allow, Stanza { line: 9, kind: Kind::Allow { class: "allow-hotplug".into(), names } });
}

#[test]
fn families_and_methods_may_be_missing() {
    for (line, family, method) in [
        ("iface a", None, None),
        ("iface a inet", Some("inet"), None),
        ("iface a inet static inherits t", Some("inet"), Some("static")),
        ("iface a inherits t", None, None),
    ] {
        let found = ifaces(line);
        assert_eq!((found[0].family.as_deref(), found[0].method.as_deref()), (family, method), "{line}");
    }
}

#[test]
fn a_backslash_joins_lines_but_never_out_of_a_comment() {
    let text = "iface a inet static\n bridge-ports eth0 \\\n  eth1\\\n\n # note \\\n address 10.0.0.1\\";
    let joined = "eth0   eth1".to_owned();
    assert_eq!(options(text), [(2, "bridge-ports".into(), joined), (6, "address".into(), "10.0.0.1".into())]);
}

#[test]
fn a_continued_line_is_no_comment_whatever_it_starts_with() {
    assert_eq!(options("iface a\n up echo \\\n #1\n mtu 1\n")[0].2, "echo  #1");
}

#[test]
fn odd_lines_are_kept_without_being_understood() {
    let text = "auto a\nstray option\nvlan 100\n vxlan-id 5\nrename eth0=lan0\nmapping eth*\n script x\n\
        %for i in [1]:\niface a\n%endfor\n mtu 9000\n";
    let kinds: Vec<_> = parse(text.as_bytes()).unwrap().stanzas.into_iter().map(|s| s.kind).collect();
    let unknown = |t: &str| Kind::Unknown(t.into());
    assert_eq!(kinds[1..5], ["stray option", "vlan 100", "vxlan-id 5", "rename eth0=lan0"].map(unknown));
    assert!(matches!(&kinds[5], Kind::Mapping(options) if options.len() == 1));
    assert_eq!(options(text), [(11, "mtu".into(), "9000".into())]);
}

#[test]
fn bytes_that_are_not_utf8_are_fine_in_comments_and_values() {
    let text = b"# caf\xe9 \x1b[1m\niface a inet static\n\talias B\xfcro\n\t#caf\xe9\n\taddress 10.0.0.1\n";
    let Kind::Iface(iface) = &parse(text).unwrap().stanzas[0].kind else { panic!() };
    assert_eq!(*iface.options[0].value, *b"B\xfcro");
    assert_eq!(iface.options[1].word(), Some("10.0.0.1"));
}

#[test]
fn nothing_but_comments_is_empty_and_no_error() {
    for text in ["", "\n\n", "  \t\r\n", "# network interface settings\n\n#\n"] {
        assert!(parse(text.as_bytes()).unwrap().is_empty(), "{text:?}");
    }
    assert!(!parse(b"auto lo").unwrap().is_empty());
}

#[test]
fn damage_is_named_with_its_line() {
    let long = ["x".repeat(80).as_bytes(), b" y"].concat();
    for (text, expected) in [
        (&b"\n\taddress 10.0.0.2\niface a\n"[..], "line 2: 'address' stands before any stanza"),
        (b"auto lo\niface\n", "line 2: 'iface' without a name"),
        (b"iface a\n\tmtu 1\nsource \n", "line 3: 'source' without a path"),
        (b"auto lo\n\0\0\0", "line 2: a NUL byte: the file is damaged"),
        (b"# \0\n", "line 1: a NUL byte: the file is damaged"),
        (b"auto lo\n\x01\x02", "line 2: control character 0x01: the file is damaged"),
        (b"iface \xff\xfe\n", "line 1: the interface name '\\xff\\xfe' is not UTF-8"),
        (b"\x7fELF\x02", "line 1: control character 0x7f: the file is damaged"),
        (b"\x80\x81 rest", "line 1: '\\x80\\x81' stands before any stanza"),
        (&long, "line 1: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…' stands before any stanza"),
    ] {
        assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text:?}");
    }
}

#[test]
fn both_spellings_of_an_option_are_the_same() {
    let found = ifaces("iface a\n bridge_ports x\n bridge-ports y\n bridge-portsx z\n");
    let same: Vec<_> = found[0].options.iter().map(|o| o.is("bridge-ports")).collect();
    assert_eq!(same, [true, true, false]);
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(0u8.., 0..400)) {
        let _ = parse(&bytes);
    }

    /// Random bytes seldom reach deep; lines made of the grammar's own words do.
    #[test]
    fn arbitrary_lines_never_panic_and_keep_their_order(
        lines in proptest::collection::vec(
            "(auto|iface|source|mapping|vlan|allow-x|%if|#|\\\\|address|[ -~é]{0,6})?[ \t\\\\]{0,2}[ -~]{0,12}\\\\?\r?", 0..12),
    ) {
        let text = lines.join("\n");
        if let Ok(parsed) = parse(text.as_bytes()) {
            let at: Vec<_> = parsed.stanzas.iter().map(|s| s.line).collect();
            proptest::prop_assert!(at.is_sorted() && at.iter().all(|l| (1..=lines.len()).contains(l)));
        }
    }

    /// A file cut off anywhere is read or refused, and what was read before the cut stays.
    #[test]
    fn a_torn_file_loses_only_its_end(cut in 0usize..220) {
        let whole = "auto lo\niface lo inet loopback\n\niface eno1 inet manual\n\nauto vmbr0\n\
            iface vmbr0 inet static\n\taddress 192.168.1.10/24\n\tgateway 192.168.1.1\n\
            \tbridge-ports eno1\n\tbridge-stp off\n\tbridge-fd 0\n\nsource /etc/network/interfaces.d/*\n";
        let names = |t: &str| ifaces(t).into_iter().map(|i| i.name.into_owned()).collect::<Vec<_>>();
        let torn = &whole[..cut.min(whole.len())];
        if parse(torn.as_bytes()).is_ok() {
            let (all, found) = (names(whole), names(torn));
            let whole_ones = found.len().saturating_sub(1);
            proptest::prop_assert_eq!(&found[..whole_ones], &all[..whole_ones]);
        }
    }
}
