//! What an operator asks and does: health, preflight, abort, diagnostics.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod rig;

use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rig::{Node, Said};

/// A node at rust-read-only with a network, a journal and no snapshot.
fn node() -> Node {
    Node::empty()
        .with("/etc/hostname", "pve1\n")
        .with("/etc/network/interfaces", "auto lo\niface lo inet loopback\n")
        .with("/var/lib/pve-network-rs/ceiling", "rust-read-only\n")
        .with("/var/lib/pve-network-rs/operations.jsonl", "")
        .with("/var/lib/pve-network-rs/lock", "")
        .with("/var/lib/dpkg/info/format", "1\n")
        .with(
            "/etc/pve/network/migration.toml",
            "phase = \"rust-basic-write\"\nperl_api_base_url = \"https://127.0.0.1:1\"\n",
        )
}

/// Room on disk differs from machine to machine.
fn steady(said: &Said) -> String {
    let lines = said.out.lines().map(|l| match l.find(" KiB free") {
        Some(at) => format!("{}N{}", &l[..23], &l[at..]),
        None => l.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn health_says_what_is_wrong_and_what_mends_it() {
    let node = node();
    let told = node.ctl(&["health"]);
    insta::assert_snapshot!(steady(&told), @r"
    ok        phase        rust-read-only: this node's ceiling is rust-read-only,
                           though migration.toml says rust-basic-write;
                           'migration-ctl phase set' on this node raises it
    ok        nodes        1 node at rust-basic-write
    ok        cluster      pve-cluster is not installed: /etc/pve is a plain folder
    ok        disk         N KiB free, a snapshot needs 264 KiB
    ok        pending      nothing waits to be finished
    unknown   units        not asked: systemd does not run here
    unknown   package      package pve-network-rs is not installed, or it is not a
                           sealed one
    warning   ceiling      this node may do rust-read-only at most, and
                           migration.toml wishes for rust-basic-write
              > migration-ctl phase set rust-basic-write
    CRITICAL  perl-api     https://127.0.0.1:1: no connection: Connection refused
              > systemctl restart pveproxy.service
    CRITICAL  snapshots    there is no snapshot to go back to
              > migration-ctl snapshot take
    ");
    assert_eq!(told.err, "migration-ctl: 2 of 10 checks are critical\n");
    assert_eq!(told.code, 1);
    // What can't be asked is neither well nor bad.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let toml =
        format!("phase = \"rust-read-only\"\nperl_api_base_url = \"https://{}\"\n", listener.local_addr().unwrap());
    node.write("/etc/pve/network/migration.toml", &toml);
    assert_eq!(node.ctl(&["abort"]).code, 1, "it takes no snapshot where nothing is on trial");
    let told = node.ctl(&["health", "--output", "json"]);
    let report = told.json();
    assert_eq!((&report["schema_version"], &report["node"]), (&1.into(), &"pve1".into()));
    let bad: Vec<_> = report["checks"].as_array().unwrap().iter().filter(|c| c["state"] == "critical").collect();
    assert_eq!(bad.len(), 1, "{report}");
    assert_eq!(bad[0]["name"], "snapshots");
}

#[test]
fn nagios_gets_its_own_codes_and_one_line() {
    let node = node();
    let told = node.ctl(&["health", "--nagios"]);
    assert_eq!(told.code, 2);
    let line = told.out;
    assert!(line.starts_with("PVE-NETWORK-RS CRITICAL - perl-api: https://127.0.0.1:1: no connection"), "{line}");
    assert!(line.contains(" | phase=1 snapshots=0 pending=0 room="), "{line}");
    assert_eq!(line.lines().count(), 1);
    assert_eq!(node.ctl(&["health", "--nagios", "--output", "json"]).code, 2, "one form or the other");
}

#[test]
fn preflight_on_a_bare_root_is_refused_with_reasons() {
    let node = node();
    node.write("/etc/cron.d/net", "* * * * * root ifreload -a\n");
    let told = node.ctl(&["preflight", "--output", "json"]);
    assert_eq!(told.code, 3, "{}", told.err);
    let report = told.json();
    assert_eq!((&report["schema_version"], &report["state"]), (&1.into(), &"critical".into()));
    let check = |name: &str| report["checks"].as_array().unwrap().iter().find(|c| c["name"] == name).unwrap().clone();
    assert_eq!(
        check("tools")["line"],
        "missing: ifreload (ifupdown2), pvesh (pve-manager), pvecm (pve-cluster), dpkg (dpkg), apt-get (apt), systemctl (systemd)"
    );
    assert_eq!(
        check("automation")["line"],
        "calls Perl's network past us: /etc/cron.d/net:1: * * * * * root ifreload -a"
    );
    assert_eq!(check("automation")["mend"], "less /etc/cron.d/net");
    assert_eq!(check("snapshot")["state"], "ok");
}

#[test]
fn abort_on_a_root_does_what_can_be_done_there() {
    let node = node();
    let told = node.ctl(&["abort", "--dry-run"]);
    insta::assert_snapshot!(told.out, @r"
    phase        set this node to perl-only (now rust-read-only), its ceiling first
    stop         nothing: systemd does not run here
    restore      nothing: nothing of Rust's is on trial
    reapply      leave it to you: pvesh is not installed (package pve-manager); then
                 run ifreload -a
    diagnostics  write a bundle into /var/log/pve-network
    ");
    assert!(!node.path("/var/lib/pve-network-rs/abort.json").exists());
    let told = node.ctl(&["abort"]);
    assert_eq!(told.code, 1);
    let bundle = told.out.lines().last().unwrap().to_owned();
    assert!(bundle.starts_with("✓ diagnostics  /var/log/pve-network/pve-network-rs-pve1-"), "{bundle}");
    insta::assert_snapshot!(told.out.replace(&bundle, "✓ diagnostics  …"), @r"
    ✓ phase        this node is at perl-only (was rust-read-only)
    ✓ stop         no service to stop: systemd does not run here
    ✓ restore      nothing of Rust's is on trial
    ! reapply      pvesh is not installed (package pve-manager)
      > ifreload -a
    ✓ diagnostics  …
    ");
    assert_eq!(told.err, "migration-ctl: all is done but what is left to you; run: ifreload -a\n");
    let again = node.ctl(&["abort", "--resume"]);
    assert_eq!(again.code, 0);
    assert!(again.err.ends_with(" is complete\n"), "{}", again.err);
    // Anew, and anew, within the same second: each has a bundle of its own.
    for _ in 0..2 {
        let told = node.ctl(&["abort"]);
        assert!(told.out.contains("✓ diagnostics"), "{}", told.out);
    }
    assert_eq!(std::fs::read_dir(node.path("/var/log/pve-network")).unwrap().count(), 3);
}

#[test]
fn a_damaged_or_newer_abort_is_left_alone() {
    for (bytes, says) in
        [("{", "is damaged"), ("{\"format\":2,\"began\":0,\"phase\":\"x\",\"steps\":[]}", "has format 2")]
    {
        let node = node();
        node.write("/var/lib/pve-network-rs/abort.json", bytes);
        let told = node.ctl(&["abort", "--resume"]);
        let said = told.err;
        assert!(told.code == 1 && said.contains(says) && said.contains("rm "), "{said}");
        assert_eq!(std::fs::read_to_string(node.path("/var/lib/pve-network-rs/abort.json")).unwrap(), bytes);
        // Without --resume it begins anew.
        assert_eq!(node.ctl(&["abort"]).code, 1);
        assert!(node.ctl(&["abort", "--resume"]).code == 0);
    }
}

/// Secrets of many kinds, where they lie on a node: file, text, and what must not get out.
const PLANTED: [(&str, &str, &str); 26] = [
    (
        "/etc/network/interfaces.d/wifi",
        "iface wlan0 inet dhcp\n\twpa-psk planted-psk with blanks\n",
        "planted-psk with blanks",
    ),
    ("/etc/network/interfaces.d/wpa", "\twireless-key s:planted-wep\n", "planted-wep"),
    (
        "/etc/network/interfaces.d/wg",
        "\tpost-up wg set wg0 private-key yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n",
        "yAnz5TF+lXXJte14tji3zlMNq",
    ),
    (
        "/etc/network/interfaces.d/wg2",
        "# peer xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg= of site b\n",
        "xTIBA5rboUvnH4htodjb6e697",
    ),
    (
        "/etc/network/interfaces.d/ipsec",
        "\tup ip xfrm state add auth sha256 0x6b6579706c616e7465646b6579706c616e746564\n",
        "6b6579706c616e746564",
    ),
    (
        "/etc/network/interfaces.d/tunnel",
        "\tup curl https://user:planted-url@host/x?token=planted-query\n",
        "planted-url",
    ),
    ("/etc/network/interfaces.d/tunnel2", "\tup curl https://host/x?token=planted-query2&a=b\n", "planted-query2"),
    (
        "/etc/network/interfaces",
        "auto lo\niface lo inet loopback\n\tpassword planted-iface\n\taddress 192.0.2.10\n",
        "planted-iface",
    ),
    ("/etc/frr/frr.conf", "router bgp 65000\n neighbor 192.0.2.1 password planted-bgp\n", "planted-bgp"),
    ("/etc/frr/frr.conf.local", "interface x\n ip ospf message-digest-key 1 md5 planted-ospf\n", "planted-ospf"),
    ("/etc/pve/sdn/ipams.cfg", "netbox: nb\n\turl https://nb\n\ttoken planted-ipam\n", "planted-ipam"),
    ("/etc/pve/sdn/dns.cfg", "powerdns: p\n\tkey planted-dns\n\turl https://dns\n", "planted-dns"),
    ("/etc/pve/storage.cfg", "cifs: x\n\tusername u\n\tpassword planted-cifs\n", "planted-cifs"),
    ("/etc/pve/lxc/100.conf", "lxc.environment: DB_PASSWORD=planted-lxc\n", "planted-lxc"),
    ("/etc/pve/priv/ipam.db", "planted-priv\n", "planted-priv"),
    (
        "/etc/pve/sdn/zones.cfg",
        "-----BEGIN EC PRIVATE KEY-----\nplantedpem\n-----END EC PRIVATE KEY-----\nsimple: lab\n",
        "plantedpem",
    ),
    (
        "/etc/pve/sdn/.running-config",
        "{\"ipams\":{\"nb\":{\"token\":\"planted-running\"}},\"version\":3}",
        "planted-running",
    ),
    ("/etc/pve/network/migration.toml", "phase = \"perl-only\"\n# api key: planted-toml\n", "planted-toml"),
    (
        "/var/log/pve-network/migration.log",
        "{\"headers\":{\"Authorization\":\"Bearer planted-bearer\"}}\n{\"msg\":\"PVEAPIToken=root@pam!ci=8a1f5c1e-94a5-4d0e-9f65-2f3a6c1b7d90\"}\n",
        "planted-bearer",
    ),
    ("/var/log/dpkg.log", "PVEAPIToken=root@pam!ci=7a1f5c1e-94a5-4d0e-9f65-2f3a6c1b7d90\n", "7a1f5c1e-94a5"),
    ("/var/log/apt/history.log", "Cookie: PVEAuthCookie=PVE:root@pam:6561F000::planted-ticket\n", "planted-ticket"),
    ("/var/lib/pve-network-rs/phase-history.jsonl", "{\"reason\":\"password is planted-reason\"}\n", "planted-reason"),
    (
        "/var/lib/pve-network-rs/resume.json",
        "{\"format\":1,\"ceiling\":\"perl-only\",\"node_phase\":\"perl-only\",\"secret\":\"planted-json\"}",
        "planted-json",
    ),
    ("/var/lib/pve-network-rs/x.json", "CSRFPreventionToken: planted-csrf\n", "planted-csrf"),
    ("/var/lib/pve-network-rs/y.json", "jwt eyJhbGciOiJI.eyJwbGFudGVkIjoi.planted_sig\n", "planted_sig"),
    ("/var/lib/pve-network-rs/z.json", "root:$6$saltsalt$plantedhashplantedhash:19000:\n", "plantedhash"),
];

#[test]
fn no_secret_of_any_kind_leaves_in_a_bundle() {
    let node = node();
    for (path, content, _) in PLANTED {
        node.write(path, content);
    }
    let told = node.ctl(&["diagnostics", "-o", "b.tar.zst"]);
    assert_eq!(told.code, 0, "{}", told.err);
    let file = node.path("b.tar.zst");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    let names = unpacked(&file);
    let all = names.iter().map(|(name, content)| format!("== {name}\n{content}")).collect::<Vec<_>>().join("\n");
    for (path, _, secret) in PLANTED {
        assert!(!all.contains(secret), "{path}: {secret} in\n{all}");
    }
    // What is no secret is there, and what is not there is named.
    for kept in
        ["192.0.2.10", "neighbor 192.0.2.1", "url https://nb", "username u", "simple: lab", "files/etc/pve/storage.cfg"]
    {
        assert!(all.contains(kept), "{kept} is gone from\n{all}");
    }
    assert!(names.iter().all(|(name, _)| name.starts_with("b/")), "its folder is named as the file is");
    let missing = &names.iter().find(|(n, _)| n.ends_with("/MISSING.txt")).unwrap().1;
    assert!(missing.contains("commands/journal.txt: journalctl was not asked"), "{missing}");
    assert!(missing.contains("files/etc/pve/priv/ipam.db: left out"), "{missing}");
    // Never over another file.
    let again = node.ctl(&["diagnostics", "-o", "b.tar.zst"]);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("is there already and is not overwritten"), "{}", again.err);
    assert_eq!(unpacked(&file).len(), names.len());
}

fn unpacked(file: &Path) -> Vec<(String, String)> {
    let bytes = std::fs::read(file).unwrap();
    let decoder = ruzstd::decoding::StreamingDecoder::new(bytes.as_slice()).unwrap();
    let mut archive = tar::Archive::new(decoder);
    let mut out = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        out.push((name, content));
    }
    out
}

/// Compares a value with the parts of JSON Schema that docs/schema uses: type, enum, const, required,
/// properties, items, $ref. A key that the schema does not know is an error: it would be undocumented.
fn conforms(value: &serde_json::Value, schema: &serde_json::Value, root: &serde_json::Value, at: &str) {
    if let Some(place) = schema["$ref"].as_str() {
        let target = root.pointer(place.trim_start_matches('#')).unwrap_or_else(|| panic!("{at}: no {place}"));
        return conforms(value, target, root, at);
    }
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "null" => value.is_null(),
        other => panic!("{at}: type {other} is not known here"),
    };
    match &schema["type"] {
        serde_json::Value::String(name) => assert!(is(name), "{at}: {value} is no {name}"),
        serde_json::Value::Array(names) => {
            assert!(names.iter().any(|n| is(n.as_str().unwrap())), "{at}: {value} is none of {names:?}");
        }
        _ => {}
    }
    if let Some(allowed) = schema["enum"].as_array() {
        assert!(allowed.contains(value), "{at}: {value} is none of {allowed:?}");
    }
    assert!(schema["const"].is_null() || schema["const"] == *value, "{at}: {value}");
    for key in schema["required"].as_array().into_iter().flatten() {
        assert!(value.get(key.as_str().unwrap()).is_some(), "{at}: no {key}");
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        let property = schema["properties"].get(key).unwrap_or_else(|| panic!("{at}: {key} is not documented"));
        conforms(value, property, root, &format!("{at}.{key}"));
    }
    for value in value.as_array().into_iter().flatten() {
        conforms(value, &schema["items"], root, &format!("{at}[]"));
    }
}

#[test]
fn what_programs_read_is_as_the_schema_says() {
    let node = node();
    let schema = include_str!("../../../docs/schema/checks.schema.json");
    let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
    for command in ["health", "preflight"] {
        let told = node.ctl(&[command, "--output", "json"]);
        let report = told.json();
        conforms(&report, &schema, &schema, command);
    }
}
