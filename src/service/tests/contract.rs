//! contract-test between Perl's stand-in and the real daemon.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod rig;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use host::Kind;
use pveproxy::{Authority, GOOD, Network, Perl};
use rig::{DAEMON, Service, Setup};
use serde_json::{Value, json};

const TEXT: &str = "auto lo\niface lo inet loopback\n\nauto vmbr0\niface vmbr0 inet static\n\taddress 192.0.2.10/24\n\
    \tgateway 192.0.2.1\n\tbridge-ports none\n\tbridge-stp off\n\tbridge-fd 0\n";
const LIST: &str = "/nodes/pve1/network";

struct Pair {
    service: Service,
    perl: Perl,
}

/// What Proxmox answers for the file above, where the kernel has no link of it.
fn vmbr0() -> Value {
    json!({
        "iface": "vmbr0", "type": "bridge", "method": "static", "method6": "manual", "families": ["inet"], "autostart": 1,
        "address": "192.0.2.10", "netmask": "24", "cidr": "192.0.2.10/24", "gateway": "192.0.2.1", "bridge_ports": "",
        "bridge_stp": "off", "bridge_fd": "0", "priority": 3,
    })
}

fn lo() -> Value {
    json!({
        "iface": "lo", "type": "loopback", "method": "loopback", "method6": "manual", "families": ["inet"], "autostart": 1,
        "priority": 2,
    })
}

/// Another bridge behind [`vmbr0`].
fn vmbr1() -> Value {
    json!({
        "iface": "vmbr1", "type": "bridge", "method": "manual", "method6": "manual", "families": ["inet"], "bridge_ports": "",
        "bridge_stp": "off", "bridge_fd": "0", "priority": 4,
    })
}

fn pair(phase: &str) -> Pair {
    let setup = Setup::new(DAEMON);
    setup.file("etc/hostname", "pve1\n");
    setup.file("etc/network/interfaces", TEXT);
    setup.file("etc/pve/network/migration.toml", &format!("phase = \"{phase}\"\n"));
    setup.file("var/lib/pve-network-rs/ceiling", "rust-full\n");
    let authority = Authority::new("Proxmox Virtual Environment");
    setup.file("ca.pem", &authority.pem());
    setup.file("token", GOOD.strip_prefix("PVEAPIToken=").unwrap());
    fs::set_permissions(setup.path("token"), fs::Permissions::from_mode(0o600)).unwrap();
    let perl = Perl::start(&authority.sign("127.0.0.1"));
    perl.says(LIST, vec![json!({"data": [vmbr0()]})]);
    Pair { service: setup.start(), perl }
}

impl Pair {
    /// Asks for the list alone, `rounds` times; how it ended, and its report.
    fn contract(&self, more: &[&str]) -> (Option<Kind>, Value) {
        let place = |name: &str| self.service.setup().path(name).display().to_string();
        let (url, socket) = (format!("https://{}", self.perl.address), self.service.socket().display().to_string());
        let (ca, token, report, html, junit) =
            (place("ca.pem"), place("token"), place("report.json"), place("report.html"), place("junit.xml"));
        let _ = fs::remove_file(&report);
        let mut arguments = vec![
            "--node",
            "pve1",
            "--perl-url",
            &url,
            "--ca",
            &ca,
            "--token-file",
            &token,
            "--socket",
            &socket,
            "--output",
            &report,
            "--html",
            &html,
            "--junit",
            &junit,
            "--seed",
            "7",
        ];
        arguments.extend(if more.is_empty() { &["--endpoint", LIST] } else { more });
        let kind = contract::with(&arguments).err().map(|error| error.kind());
        let report = fs::read(&report).map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap());
        (kind, report)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.service.setup().path(name)).unwrap()
    }
}

fn kinds(report: &Value, list: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = report["endpoints"].as_array().unwrap().iter().flat_map(|e| e[list].as_array().unwrap().clone());
    all.map(|d| (text(&d["field"]), text(&d["kind"]))).collect()
}

#[test]
fn equal_differing_and_noise() {
    let pair = pair("rust-read-only");
    let (kind, report) = pair.contract(&[]);
    assert_eq!((kind, report["verdict"].as_str()), (None, Some("equal")), "{report:#}");
    assert_eq!(report["endpoints"][0]["perl_ms"].as_array().unwrap().len(), 6, "three rounds, two questions each");

    let other = |key: &str, value: Value| {
        let mut other = vmbr0();
        other[key] = value;
        other
    };
    pair.perl.says(LIST, vec![json!({"data": [other("mtu", json!("9000"))]})]);
    let (kind, report) = pair.contract(&[]);
    assert_eq!(kind, Some(Kind::Failed));
    assert_eq!(kinds(&report, "differences"), [("data[vmbr0].mtu".to_owned(), "missing".to_owned())]);
    let html = pair.text("report.html");
    assert!(
        html.contains("data[vmbr0].mtu")
            && ["src=", "href=", "<script", "@import"].iter().all(|word| !html.contains(word)),
        "{html}"
    );
    assert!(pair.text("junit.xml").contains("missing data[vmbr0].mtu"));

    // Perl's own two answers differ: a value is noise, a type is not.
    let noisy = vec![
        json!({"data": [other("gateway", json!("192.0.2.2"))]}),
        json!({"data": [other("gateway", json!("192.0.2.3"))]}),
    ];
    pair.perl.says(LIST, noisy);
    let (kind, report) = pair.contract(&[]);
    assert_eq!((kind, kinds(&report, "differences")), (None, Vec::new()), "{report:#}");
    assert_eq!(kinds(&report, "suppressed"), [("data[vmbr0].gateway".to_owned(), "value".to_owned())]);
    pair.perl.says(LIST, vec![json!({"data": [other("priority", json!("3"))]})]);
    assert_eq!(kinds(&pair.contract(&[]).1, "differences"), [("data[vmbr0].priority".to_owned(), "type".to_owned())]);
}

/// Two items of a hash table: Perl gives them in the same order every second time.
#[test]
fn an_order_that_perl_gives_twice_by_chance_is_noise() {
    let pair = pair("rust-read-only");
    let more = "\niface vmbr1 inet manual\n\tbridge-ports none\n\tbridge-stp off\n\tbridge-fd 0\n";
    pair.service.setup().file("etc/network/interfaces", &format!("{TEXT}{more}"));
    pair.perl.state.lock().unwrap().answers.clear();
    pair.perl.state.lock().unwrap().network = Some(Network::new("pve1", &[lo(), vmbr0(), vmbr1()]));
    let (kind, report) = pair.contract(&["--endpoint", LIST, "--rounds", "60"]);
    assert_eq!((kind, kinds(&report, "differences")), (None, Vec::new()), "{report:#}");
    assert_eq!(kinds(&report, "suppressed"), [("data".to_owned(), "order".to_owned())]);
    // What it always gives in another order is none.
    pair.perl.says(LIST, vec![json!({"data": [vmbr1(), vmbr0()]})]);
    assert_eq!(kinds(&pair.contract(&[]).1, "differences"), [("data".to_owned(), "order".to_owned())]);
}

#[test]
fn what_nobody_can_say_is_no_pass() {
    let pair = pair("rust-read-only");
    for how in ["reset", "500"] {
        pair.perl.behave(how);
        let (kind, report) = pair.contract(&[]);
        let expected = if how == "reset" { Kind::Inconclusive } else { Kind::Failed };
        assert_eq!(kind, Some(expected), "{how}: {report:#}");
    }
    pair.perl.behave("ok");
    // Rust leaves it to Perl: nothing was compared.
    pair.perl.says("/cluster/sdn/zones", vec![json!({"data": []})]);
    let (kind, report) = pair.contract(&["--endpoint", "/cluster/sdn/zones"]);
    assert_eq!((kind, report["endpoints"][0]["verdict"].as_str()), (Some(Kind::Inconclusive), Some("left-to-perl")));
    let off = self::pair("perl-only");
    assert_eq!(off.contract(&[]).0, Some(Kind::Inconclusive));
}

#[test]
fn every_readable_endpoint_is_asked() {
    let pair = pair("rust-read-only");
    pair.perl.state.lock().unwrap().network = Some(Network::new("pve1", &[lo(), vmbr0()]));
    let (kind, report) = pair.contract(&["--rounds", "1"]);
    // All of the network's, the refusals among them; what of the SDN is asked, Rust leaves to Perl.
    let all = report["endpoints"].as_array().unwrap();
    let ended = |how: &str| all.iter().filter(|e| e["verdict"] == how).count();
    assert_eq!((kind, ended("equal"), ended("left-to-perl"), all.len()), (None, 21, 7, 28), "{report:#}");
    let names: Vec<&str> =
        report["endpoints"].as_array().unwrap().iter().map(|e| e["endpoint"].as_str().unwrap()).collect();
    for wanted in [
        "/nodes/pve1/network",
        "/nodes/pve1/network?type=any_bridge",
        "/nodes/pve1/network/vmbr0",
        "/cluster/sdn/vnets",
    ] {
        assert!(names.contains(&wanted), "{wanted} in {names:?}");
    }
}

#[test]
fn a_foreign_certificate_and_an_open_token_are_refused() {
    let pair = pair("rust-read-only");
    let foreign = Authority::new("somebody");
    pair.service.setup().file("ca.pem", &foreign.pem());
    let (kind, report) = pair.contract(&[]);
    assert_eq!(kind, Some(Kind::Inconclusive));
    let why = report["endpoints"][0]["why"].as_str().unwrap();
    assert!(why.contains("cannot reach https://127.0.0.1") && why.contains("UnknownIssuer"), "{why}");
    assert!(!report.to_string().contains("PLANTED"));
    let token = pair.service.setup().path("token");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(pair.contract(&[]).0, Some(Kind::Refused));
}
