use super::*;
use crate::proxmox::Link;

const LO: &str = "auto lo\niface lo inet loopback\n\n";

fn found(text: &str) -> Vec<Finding> {
    let card = |name: &str| (name.to_owned(), Link { physical: true, altnames: Vec::new() });
    let links = Links { links: ["eno1", "eno2"].map(card).into(), active: Vec::new() };
    let found = validate(text.as_bytes(), &links);
    let files: crate::NetworkFiles = [(MAIN, text.as_bytes())].into_iter().collect();
    assert_eq!(found, validate_as_read(&files.read(), &links), "whoever reads it first");
    found
}

#[test]
fn a_sound_file_has_nothing() {
    let text = format!(
        "{LO}iface eno1 inet manual\n\nauto vmbr0\niface vmbr0 inet static\n\taddress 192.0.2.10/24\n\tgateway 192.0.2.1\n\
         \tbridge-ports eno1\n\tbridge-stp off\n\tbridge-fd 0\n\tbridge-vlan-aware yes\n\n\
         iface vmbr0 inet6 static\n\taddress 2001:db8::10/64\n\tgateway fe80::1\n\nauto vmbr0.5\niface vmbr0.5 inet static\n\taddress 198.51.100.1/31\n"
    );
    assert_eq!(found(&text), []);
}

/// Each row: what follows lo's stanza, the code, the line in the whole file, and words of the finding.
#[test]
fn each_hole_has_a_code() {
    for (text, code, line, what) in [
        ("iface eno1 inet static\n\taddress 192.0.2.0/24\n", "PVN044", 4, "the address of the network itself"),
        ("iface eno1 inet static\n\taddress 192.0.2.255/24\n", "PVN044", 4, "broadcast"),
        ("iface eno1 inet static\n\taddress 192.0.2.2/24\n\tgateway 198.51.100.1\n", "PVN045", 4, "outside"),
        ("iface eno1 inet static\n\taddress 192.0.2.2/24\n\tgateway 192.0.2.2\n", "PVN058", 4, "itself"),
        ("iface eno1 inet static\n\taddress 192.0.2.2/24\n\tgateway x\n", "PVN055", 4, "'x'"),
        ("iface eno1 inet static\n\taddress nowhere/24\n", "PVN053", 4, "no IP address"),
        ("iface eno1 inet static\n\taddress 192.0.2.2/33\n", "PVN054", 4, "no netmask"),
        ("iface eno1 inet static\n\taddress 192.0.2.2\n\tnetmask 255.0.255.0\n", "PVN054", 4, "255.0.255.0"),
        ("iface vmbr0 inet manual\n\tbridge-ports none\n\tbridge-vlan-aware no\n", "PVN041", 6, "writes yes"),
        ("iface abcdefghijklmnop inet manual\n", "PVN047", 4, "16 bytes"),
        ("iface eno1 inet manual\n\tmtu 100\n", "PVN056", 5, "1280"),
        ("iface eno1 inet manual\n\tup echo \u{e9}\n", "PVN059", 5, "beyond ASCII"),
        ("iface vmbr0 inet manual\n\tbridge-ports none\n\tbridge-stp on\n\tbridge-fd 1\n", "PVN052", 7, "2 and 30"),
        ("iface eno1\n\niface eno1 inet manual\n", "PVN048", 6, "at every write"),
        ("iface eno1 inet manual\n\niface eno1 inet manual\n", "PVN049", 6, "drops the others"),
        ("iface vmbr0 inet manual\n\tbridge-ports none\n\tbond-mode 4\n", "PVN042", 4, "type bridge and has bond_mode"),
        (
            "iface eno1 inet static\n\taddress 192.0.2.2/24\n\niface eno2 inet static\n\taddress 192.0.2.2/24\n",
            "PVN050",
            7,
            "also the address of eno1",
        ),
        (
            "iface eno1 inet static\n\taddress 192.0.2.2/24\n\tgateway 192.0.2.1\n\niface eno2 inet static\n\taddress 198.51.100.2/24\n\tgateway 198.51.100.1\n",
            "PVN051",
            8,
            "second default gateway",
        ),
        ("iface vmbr0 inet manual\n\tbridge-ports nosuch\n", "PVN026", 4, "unable to find bridge port"),
    ] {
        let all = found(&format!("{LO}{text}"));
        assert_eq!(all.iter().map(|f| f.code).collect::<Vec<_>>(), [code], "{text}: {all:#?}");
        assert!(all[0].what.contains(what), "{all:#?}");
        assert_eq!(all[0].line, Some(line), "{all:#?}");
        assert!(!all[0].fix.is_empty());
    }
}

#[test]
fn a_routed_single_address_is_a_warning() {
    let all = found(&format!("{LO}iface eno1 inet static\n\taddress 192.0.2.2/32\n\tgateway 198.51.100.1\n"));
    assert_eq!(all.iter().map(|f| (f.code, f.severity)).collect::<Vec<_>>(), [("PVN045", Severity::Warning)]);
}

#[test]
fn whole_files() {
    let codes = |text: &str| found(text).iter().map(|f| f.code).collect::<Vec<_>>();
    assert_eq!(codes(""), ["PVN043"]);
    assert_eq!(codes("iface eno1 inet manual\n"), ["PVN043"]);
    assert_eq!(codes("auto lo\niface lo inet loopback\n\0"), ["PVN002"]);
    let unreadable = validate(b"auto lo\n\xff", &Links::default());
    assert_eq!((unreadable[0].code, unreadable[0].line), ("PVN001", Some(2)));
}
