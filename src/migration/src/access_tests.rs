use super::*;

#[test]
fn who_sends_it() {
    let ticket: &'static [u8] = b"a=b; PVEAuthCookie=PVE:root@pam:65A1B2C3::c2ln+/=; c=d";
    let root = || Credential::Ticket("root@pam".to_owned());
    let token: &'static [u8] = b"PVEAPIToken=root@pam!t=1-2-3";
    type Fields = Vec<&'static [u8]>;
    let table: Vec<(Fields, Fields, Credential)> = vec![
        (vec![], vec![], Credential::None),
        (vec![b"lang=de"], vec![], Credential::None),
        (vec![ticket], vec![], root()),
        (vec![b"PVEAuthCookie=PVE%3Aroot%40pam%3A65A1B2C3%3A%3Ac2ln"], vec![], root()),
        (vec![], vec![b"PVEAuthCookie=PVE:root@pam:65A1B2C3::c2ln"], root()),
        (vec![b"lang=de"], vec![token], Credential::Token),
        // A ticket goes before a token with Perl, so the write is one that needs CSRF's token.
        (vec![ticket], vec![token], root()),
        (vec![ticket, ticket], vec![], Credential::Unclear),
        (vec![ticket, b"x=y"], vec![], Credential::Unclear),
        (vec![ticket], vec![b"PVEAuthCookie=PVE:x@pam:65A1B2C3::c2ln"], Credential::Unclear),
        (vec![b"PVEAuthCookie=PVE:!tfa!x:65A1B2C3::c2ln"], vec![], Credential::Unclear),
        (vec![b"PVEAuthCookie=PVE:root:65A1B2C3::c2ln"], vec![], Credential::Unclear),
        (vec![b"PVEAuthCookie=PVE:a@b:c@d:65A1B2C3::c2ln"], vec![], Credential::Unclear),
        (vec![b"PVEAuthCookie="], vec![], Credential::Unclear),
        (vec![b"\xff"], vec![], Credential::Unclear),
        (vec![], vec![b"Basic eA=="], Credential::Unclear),
    ];
    for (cookies, authorizations, expected) in table {
        assert_eq!(credential(&cookies, &authorizations), expected, "{cookies:?} {authorizations:?}");
    }
}

#[test]
fn csrf_tokens() {
    // Made by Perl's Digest::SHA: hmac_sha256_base64("65A1B2C3:root@pam", hmac_sha256_base64("key\n")).
    const TOKEN: &str = "65A1B2C3:o3wadh3x8UxhUItn3zHm8ZELGGLfCl++ZvqGkfgdC14";
    let made = 0x65A1_B2C3;
    assert!(csrf_is_good(b"key\n", "root@pam", TOKEN, made));
    assert!(csrf_is_good(b"key\n", "root@pam", TOKEN, made + 7199));
    assert!(csrf_is_good(b"key\n", "root@pam", TOKEN, made - 299));
    assert!(!csrf_is_good(b"key\n", "root@pam", TOKEN, made + 7200), "expired");
    assert!(!csrf_is_good(b"key\n", "root@pam", TOKEN, made - 300), "from the future");
    assert!(!csrf_is_good(b"key\n", "root@pve", TOKEN, made), "another's");
    assert!(!csrf_is_good(b"other", "root@pam", TOKEN, made), "another cluster's");
    for bad in ["", ":", "65A1B2C3", "65a1b2c3:x", "65A1B2C3:", "+5A1B2C3:AAAA", "65A1B2C3:AAAA", &TOKEN[..40]] {
        assert!(!csrf_is_good(b"key\n", "root@pam", bad, made), "{bad}");
    }
}

#[test]
fn what_perl_grants() {
    let need = &needs(Operation::List, "n")[1];
    let grant = |answer: &str| grants(answer.as_bytes(), need);
    assert!(grant(r#"{"data":{"/sdn/zones/localnetwork":{"SDN.Use":1}}}"#));
    assert!(grant(r#"{"data":{"/sdn/zones/localnetwork":{"SDN.Audit":"1","x":0}}}"#));
    for bad in [
        "",
        "null",
        r#"{"data":null}"#,
        r#"{"data":{}}"#,
        r#"{"data":{"/sdn":{"SDN.Use":1}}}"#,
        r#"{"data":{"/sdn/zones/localnetwork":{"SDN.Use":0}}}"#,
        r#"{"data":{"/sdn/zones/localnetwork":{"Sys.Audit":1}}}"#,
        r#"{"data":{"/sdn/zones/localnetwork":["SDN.Use"]}}"#,
    ] {
        assert!(!grant(bad), "{bad}");
    }
    let here = &needs(Operation::Delete, "n")[0];
    assert_eq!((here.path.as_str(), here.any), ("/nodes/n", ["Sys.Modify"].as_slice()));
    assert!(grants(br#"{"data":{"/nodes/n":{"Sys.Modify":0}}}"#, here), "here, though not below");
}
