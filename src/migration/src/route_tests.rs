use super::*;

fn network(method: &str, target: &str) -> Option<(Operation, What, Option<&'static str>)> {
    match route(method, target, "pve1") {
        Route::Network(Target { operation, what, perl_only, .. }) => Some((operation, what, perl_only)),
        _ => None,
    }
}

#[test]
fn what_is_rusts() {
    use Operation::*;
    let n = "/api2/json/nodes/pve1/network";
    for (method, target, expected) in [
        ("GET", n.to_owned(), (List, What::Read, None)),
        ("GET", format!("{n}?"), (List, What::Read, None)),
        ("GET", format!("{n}?type=bridge"), (List, What::Read, None)),
        ("GET", format!("{n}?_dc=17&type=any_local_bridge"), (List, What::Read, None)),
        ("GET", format!("{n}?type=nonsense"), (List, What::Read, None)),
        ("GET", format!("{n}?type=any_bridge"), (List, What::Read, Some("lists-sdn"))),
        ("GET", format!("{n}?type=include_sdn"), (List, What::Read, Some("lists-sdn"))),
        ("GET", format!("{n}?type=any%5Fbridge"), (List, What::Read, Some("unusual-query"))),
        ("GET", format!("{n}?%74ype=any_bridge"), (List, What::Read, Some("unusual-query"))),
        ("GET", format!("{n}?type=eth&%74ype=any_bridge"), (List, What::Read, Some("unusual-query"))),
        ("GET", format!("{n}?type=eth&type=any_bridge"), (List, What::Read, Some("unusual-query"))),
        ("GET", n.replace("json", "extjs"), (List, What::Read, None)),
        ("POST", n.to_owned(), (Create, What::WriteInterface, None)),
        ("POST", format!("{n}?_dc=17"), (Create, What::WriteInterface, None)),
        ("POST", format!("{n}?type=bridge"), (Create, What::WriteInterface, Some("unusual-query"))),
        ("PUT", format!("{n}?_dc=1&regenerate-frr=1"), (Reload, What::Apply, Some("unusual-query"))),
        ("PUT", n.to_owned(), (Reload, What::Apply, None)),
        ("DELETE", n.to_owned(), (Revert, What::WriteInterface, None)),
        ("GET", format!("{n}/eno1"), (Get, What::Read, None)),
        ("PUT", format!("{n}/eno1"), (Update, What::WriteInterface, None)),
        ("PUT", format!("{n}/vmbr0"), (Update, What::WriteBridge, None)),
        ("DELETE", format!("{n}/eno1"), (Delete, What::WriteInterface, None)),
        ("DELETE", format!("{n}/vmbr0"), (Delete, What::WriteBridge, None)),
        ("DELETE", format!("{n}/bond1"), (Delete, What::WriteBond, None)),
        ("DELETE", format!("{n}/vmbr0.5"), (Delete, What::WriteVlan, None)),
        ("DELETE", format!("{n}/vlan5"), (Delete, What::WriteVlan, None)),
        ("DELETE", format!("{n}/vmbr"), (Delete, What::WriteInterface, None)),
        ("GET", "/api2/json/cluster/sdn".to_owned(), (SdnRead, What::Read, None)),
        ("GET", "/api2/json/cluster/sdn/vnets/v1/subnets/z-10.0.0.0-24".to_owned(), (SdnRead, What::Read, None)),
        ("PUT", "/api2/json/cluster/sdn".to_owned(), (SdnWrite, What::WriteSdn, None)),
        ("DELETE", "/api2/json/cluster/sdn/zones/z".to_owned(), (SdnWrite, What::WriteSdn, None)),
    ] {
        assert_eq!(network(method, &target), Some(expected), "{method} {target}");
    }
}

#[test]
fn what_is_perls() {
    for (method, target) in [
        ("GET", "/"),
        ("GET", "/api2/json/version"),
        ("GET", "/api2/json/nodes"),
        ("GET", "/api2/json/nodes/pve2/network"),
        ("DELETE", "/api2/json/nodes/pve2/network/eno1"),
        ("GET", "/api2/json/nodes/PVE1/network"),
        ("GET", "/api2/json/nodes/localhost/network"),
        ("GET", "/api2/html/nodes/pve1/network"),
        ("HEAD", "/api2/json/nodes/pve1/network"),
        ("PATCH", "/api2/json/nodes/pve1/network"),
        ("POST", "/api2/json/nodes/pve1/network/eno1"),
        ("GET", "/api2/json/nodes/pve1/network/eno1/x"),
        ("GET", "/api2/json/nodes/pve1/networks"),
        ("GET", "/api2/json/nodes/pve1/network/eth0%3A1"),
        ("GET", "/api2/json/nodes/pve1/network/a-name-of-more-than-twenty"),
        ("GET", "/api2/json/cluster/sdnx"),
        ("GET", "/api2/json/nodes/pve1/storage/local/content/local%3Aiso%2Fdebian.iso"),
        ("GET", "/pve2//images/logo.png"),
        ("GET", "/api2/json/nodes/pve1/qemu/100/vncwebsocket?port=5900&vncticket=PVEVNC%3A65%2F%3D"),
        ("GET", "/API2/json/nodes/pve1/network"),
    ] {
        assert_eq!(route(method, target, "pve1"), Route::Perl, "{method} {target}");
    }
}

#[test]
fn what_is_refused() {
    for (target, why) in [
        ("/api2/json/nodes/pve1/../pve1/network", CLIMBS),
        ("/api2/json/nodes/pve1/%2e%2e/pve1/network", CLIMBS),
        ("/api2/json/nodes/pve1/%2E./network", CLIMBS),
        ("/api2/json/./nodes/pve1/network", CLIMBS),
        ("/api2/json/x%2f%2e%2e%2fnodes/pve1/network", CLIMBS),
        ("/api2/json/x%5c..%5cy", CLIMBS),
        ("/pve2/../../etc/passwd", CLIMBS),
        ("//api2/json/nodes/pve1/network", UNUSUAL),
        ("/api2//json/nodes/pve1/network", UNUSUAL),
        ("/api2/json/nodes/pve1//network", UNUSUAL),
        ("/api2/extjs/nodes/pve1//network", UNUSUAL),
        ("/api2/json/nodes/pve1/network/", UNUSUAL),
        ("/api2/json/nodes/pve1/network//eno1", UNUSUAL),
        ("/api2/json/nodes/pve1%2Fnetwork", UNUSUAL),
        ("/api2/json/nodes/localhost//network", UNUSUAL),
        ("/api2/json/cluster%2Fsdn", UNUSUAL),
        ("/api2/json/cluster//sdn/zones", UNUSUAL),
        ("/api2/json/nodes/pve1/network/eno1%00", ESCAPE),
        ("/api2/json/nodes/pve1/network/eno1%0d%0aHost:x", ESCAPE),
        ("/api2/json/nodes/pve1/network/%zz", ESCAPE),
        ("/api2/json/nodes/pve1/network/%2", ESCAPE),
        ("/a%", ESCAPE),
        ("*", FORM),
        ("", FORM),
        ("http://elsewhere/api2/json/nodes/pve1/network", FORM),
        ("/a b", FORM),
        ("/\u{e9}", FORM),
    ] {
        assert_eq!(route("GET", target, "pve1"), Route::Refused(why), "{target}");
    }
    assert_eq!(route("GET", &format!("/{}", "a".repeat(LONGEST_TARGET)), "pve1"), Route::Refused(LONG));
}

#[test]
fn what_the_daemon_gets() {
    for (target, expected) in [
        ("/api2/json/nodes/a/network", "/api2/json/nodes/a/network"),
        ("/api2/extjs/nodes/a/network?", "/api2/json/nodes/a/network"),
        ("/api2/extjs/cluster/sdn?_dc=1", "/api2/json/cluster/sdn"),
        ("/api2/json/nodes/a/network?_dc=1&type=bond&", "/api2/json/nodes/a/network?type=bond"),
    ] {
        assert_eq!(for_daemon(target), expected);
    }
    let format = |target| match route("GET", target, "a") {
        Route::Network(target) => Some(target.format),
        _ => None,
    };
    assert_eq!(format("/api2/extjs/cluster/sdn"), Some(Format::Extjs));
    assert_eq!(format("/api2/json/cluster/sdn"), Some(Format::Json));
    assert_eq!(format("/api2/html/cluster/sdn"), None);
}

#[test]
fn types_and_forms() {
    let table = [
        ("type=eth&iface=eno1", What::WriteInterface),
        ("iface=eno1&type=bridge&", What::WriteBridge),
        ("type=bond", What::WriteBond),
        ("type=vlan", What::WriteVlan),
        ("type=OVSBridge", What::WriteOvs),
        ("type=unknown", What::WriteOvs),
        ("", What::WriteOvs),
        ("type=eth&type=bridge", What::WriteOvs),
        ("type=eth&t%79pe=bridge", What::WriteOvs),
        ("type=e%74h", What::WriteOvs),
        ("type", What::WriteOvs),
        ("comments=a%26type%3Dbridge&type=eth", What::WriteInterface),
    ];
    for (form, what) in table {
        assert_eq!(by_type(form_value(form.as_bytes(), "type")), what, "{form}");
    }
    assert_eq!(form_value(b"type=\xff", "type"), None);
}

proptest::proptest! {
    #[test]
    fn what_goes_to_rust_is_written_as_documented(target in "(/(api2|json|nodes|pve1|network|cluster|sdn|eno1|\\.|\\.\\.|%2e|%2f|a%41|))*(\\?type=[a-z%]*)?") {
        if let Route::Network(_) = route("GET", &target, "pve1") {
            let path = target.split('?').next().unwrap();
            proptest::prop_assert!(!path.contains("//") && !path.contains('%') && !path.contains("/."));
            proptest::prop_assert!(path.starts_with("/api2/json/nodes/pve1/network") || path.starts_with("/api2/json/cluster/sdn"));
        }
    }

    #[test]
    fn any_target_is_answered(method in "[A-Z]*", target in "\\PC*") {
        let _ = route(&method, &target, "pve1");
    }
}
