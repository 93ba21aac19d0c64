use super::*;

const WG: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
const UUID: &str = "8a1f5c1e-94a5-4d0e-9f65-2f3a6c1b7d90";

#[test]
fn configuration_loses_its_secrets_and_nothing_else() {
    for (line, expected) in [
        ("\ttoken abc def", "\ttoken [removed]"),
        ("\tkey\tabc", "\tkey\t[removed]"),
        ("wpa-psk my secret phrase", "wpa-psk [removed]"),
        ("password = \"hunter2\" # x", "password = \"[removed]\" # x"),
        ("PSK: 'a\\'b' c", "PSK: '[removed]' c"),
        ("neighbor 192.0.2.1 password s3cret", "neighbor 192.0.2.1 password [removed]"),
        ("ip ospf message-digest-key 1 md5 s3cret", "ip ospf message-digest-key [removed]"),
        ("lxc.environment: DB_PASSWORD=x y", "lxc.environment: DB_PASSWORD=[removed]"),
        ("snmp-server community public", "snmp-server community [removed]"),
        ("\taddress 192.0.2.10/24", "\taddress 192.0.2.10/24"),
        ("\tbridge-ports eno1", "\tbridge-ports eno1"),
        ("keyring /etc/pve/priv/x", "keyring /etc/pve/priv/x"),
        ("password", "password"),
        ("", ""),
        ("bridge-ports tokenring0", "bridge-ports tokenring0"),
        ("\"password\": \"x\",", "\"password\": \"[removed]\","),
        ("# ü comment", "# ü comment"),
    ] {
        assert_eq!(redact(line, Form::Config), expected);
    }
}

#[test]
fn a_line_keeps_its_end_and_some_files_show_nothing() {
    assert_eq!(line("wpa-psk 0123\n"), "wpa-psk [removed]\n");
    assert_eq!(line("auto lo"), "auto lo");
    assert!(whole(Path::new("/etc/pve/priv/ipam.db")));
    assert!(!whole(Path::new("/etc/pve/private")));
    assert!(has_private_key("a\n-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\n"));
    assert!(!has_private_key("-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n"));
}

#[test]
fn logs_lose_a_word_and_keep_the_rest() {
    for (line, expected) in [
        ("GET /x?token=abc&y=1 200", "GET /x?token=[removed]&y=1 200"),
        ("Authorization: Bearer abc def", "Authorization: [removed]"),
        ("'Cookie: a=b; c=d' sent", "'Cookie: [removed]' sent"),
        ("ran: tool --password hunter2 --node a", "ran: tool --password [removed] --node a"),
        ("the password is hunter2, they say", "the password is [removed], they say"),
        ("no trusted key", "no trusted key"),
        ("phase=rust-full node=pve1", "phase=rust-full node=pve1"),
        ("said \"token\"", "said \"token\""),
        ("KeyringMode=private", "KeyringMode=private"),
    ] {
        assert_eq!(redact(line, Form::Log), expected);
    }
}

#[test]
fn what_looks_like_a_secret_goes_whatever_its_name() {
    let ticket = "PVE:root@pam:6561F000::abcDEF+/=";
    for (text, gone) in [
        (format!("wg set wg0 peer {WG} allowed-ips 0.0.0.0/0"), WG),
        (format!("x={WG}"), WG),
        (format!("root@pam!ci={UUID} called"), UUID),
        (format!("sent {ticket}; then"), ticket),
        ("https://root:hunter2@host/x".to_owned(), "hunter2"),
        ("auth hmac(sha256) 0x0123456789abcdef0123456789abcdef 96".to_owned(), "0x0123456789abcdef0123456789abcdef"),
        ("root:$6$salt$abcdefghijklmnopqrstuv:1::".to_owned(), "$6$salt$abcdefghijklmnopqrstuv"),
        ("jwt eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSM".to_owned(), "SflKxwRJSM"),
    ] {
        for form in [Form::Config, Form::Log] {
            let now = redact(&text, form);
            assert!(!now.contains(gone) && now.contains(REMOVED), "{text}: {now}");
        }
    }
    for kept in [
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "machine 8a1f5c1e-94a5-4d0e-9f65-2f3a6c1b7d90",
        "https://192.0.2.10:8006/api2/json",
        "mac bc:24:11:00:00:01 via 0x800",
        "cost $20, $1",
    ] {
        assert_eq!(redact(kept, Form::Log), kept);
    }
}

#[test]
fn private_key_blocks_go_whole_and_certificates_stay() {
    let text = "a\n-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\nBBBB\n-----END OPENSSH PRIVATE KEY-----\nb\n\
                -----BEGIN CERTIFICATE-----\nCCCC\n-----END CERTIFICATE-----\nc\n-----BEGIN PRIVATE KEY-----\nDDDD\n";
    assert_eq!(
        redact(text, Form::Config),
        "a\n[removed]\nb\n-----BEGIN CERTIFICATE-----\nCCCC\n-----END CERTIFICATE-----\nc\n[removed]"
    );
}

#[test]
fn json_stays_json() {
    let line = r#"{"op":"GET","headers":{"Authorization":"Bearer x","n":1},"token":5,"key":null,"on":true,"msg":"password=abc ok","list":["token abc"]}"#;
    let now = redact(&format!("{line}\n{line}\n"), Form::Log);
    for line in now.lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["headers"]["Authorization"], REMOVED);
        assert_eq!(value["headers"]["n"], 1);
        assert_eq!(value["token"], REMOVED);
        assert_eq!(value["on"], true);
        assert_eq!(value["msg"], "password=[removed] ok");
        assert_eq!(value["list"][0], "token [removed]");
    }
    let whole = "{\n \"psk\": \"a\\\"b\",\n \"pem\": \"-----BEGIN RSA PRIVATE KEY-----\\nAA\"\n}\n";
    let value: Value = serde_json::from_str(&redact(whole, Form::Config)).unwrap();
    assert_eq!((value["psk"].as_str(), value["pem"].as_str()), (Some(REMOVED), Some(REMOVED)));
}

proptest::proptest! {
    #[test]
    fn never_panics_and_never_keeps_a_password(before in ".{0,40}", secret in "[a-z0-9]{12}", after in ".{0,40}") {
        let text = format!("{before}\npassword {secret}\n{after}");
        for form in [Form::Config, Form::Log] {
            let now = redact(&text, form);
            proptest::prop_assert!(!now.contains(&secret), "{}", now);
        }
        redact(&format!("{before}{after}"), Form::Log);
    }
}
