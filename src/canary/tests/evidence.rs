//! A bundle's way: written on a node, signed by gpg, judged by whoever has the certificate. Real programs throughout.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use canary::evidence::{self, chain::Bundle};
use host::Kind;
use seal::openpgp::Keyring;

/// A node's root, and room beside it.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        for (path, text) in [
            ("/etc/hostname", "pve1\n"),
            ("/etc/pve/network/migration.toml", "phase = \"rust-read-only\"\n[canary]\norder = [\"pve1\"]\n"),
            ("/var/lib/pve-network-rs/ceiling", "rust-read-only\n"),
            ("/var/lib/pve-network-rs/operations.jsonl", ""),
            ("/var/log/pve-network/migration.log", ""),
        ] {
            let path = desk.0.path().join("root").join(path.trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        desk
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn canary(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_canary"));
        command.arg("--root").arg(self.at("root")).args(arguments).current_dir(self.0.path());
        command.output().unwrap()
    }
}

/// A key of gpg's, in a home of its own; its agent is stopped when it is dropped.
struct Key {
    home: tempfile::TempDir,
    fingerprint: String,
}

impl Key {
    fn gpg(home: &Path, arguments: &[&str]) -> String {
        let out =
            Command::new("gpg").args(["--batch", "--quiet"]).args(arguments).env("GNUPGHOME", home).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    fn new(name: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        Self::gpg(home.path(), &["--passphrase", "", "--quick-gen-key", name, "ed25519", "sign", "1y"]);
        let listed = Self::gpg(home.path(), &["--with-colons", "--list-keys"]);
        let fingerprint =
            listed.lines().find_map(|l| l.strip_prefix("fpr:::::::::")).unwrap().trim_matches(':').to_owned();
        Self { home, fingerprint }
    }

    fn armored(&self) -> String {
        Self::gpg(self.home.path(), &["--armor", "--export", &self.fingerprint])
    }

    fn certificate(&self) -> Keyring {
        Keyring::parse(self.armored().as_bytes()).unwrap()
    }

    fn sign(&self, file: &Path) -> Output {
        let arguments = ["sign", "--key", &self.fingerprint];
        let mut command = Command::new(env!("CARGO_BIN_EXE_canary"));
        command.args(arguments).arg(file).env("GNUPGHOME", self.home.path()).output().unwrap()
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", self.home.path()).status();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_signature_vouches_for_every_byte() {
    let desk = Desk::new();
    let (alice, mallory) = (Key::new("Alice <a@example.org>"), Key::new("Mallory <m@example.org>"));
    let said = desk.canary(&["evidence", "-o", "evidence.jsonl"]);
    assert!(said.status.success(), "{said:?}");
    assert!(text(&said.stdout).starts_with("inconclusive: "), "{said:?}");
    let again = desk.canary(&["evidence", "-o", "evidence.jsonl"]);
    assert!(text(&again.stderr).contains("is there already and is not overwritten"), "{again:?}");
    let file = desk.at("evidence.jsonl");
    let plain = std::fs::read(&file).unwrap();
    let out = alice.sign(&file);
    assert!(out.status.success(), "{out:?}");
    assert_eq!(std::fs::read_dir(desk.0.path()).unwrap().count(), 2, "nothing of gpg's is left");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(desk.at("alice.pgp"), alice.armored()).unwrap();
    std::fs::write(desk.at("mallory.pgp"), mallory.armored()).unwrap();

    // As people call it: the verdict's exit code, or that of a refusal.
    let judged = desk.canary(&["judge", "--key", "alice.pgp", "evidence.jsonl"]);
    assert_eq!(judged.status.code(), Some(4), "{judged:?}");
    assert!(
        text(&judged.stderr).contains(&format!("signed by Alice <a@example.org> <{}>", alice.fingerprint)),
        "{judged:?}"
    );
    assert_eq!(desk.canary(&["judge", "--key", "mallory.pgp", "evidence.jsonl"]).status.code(), Some(6));
    assert_eq!(desk.canary(&["judge", "evidence.jsonl"]).status.code(), Some(2), "nobody is named");
    std::fs::write(desk.at("plain.jsonl"), &plain).unwrap();
    assert_eq!(desk.canary(&["judge", "--key", "alice.pgp", "plain.jsonl"]).status.code(), Some(6), "not signed");
    assert_eq!(desk.canary(&["judge", "--unsigned", "plain.jsonl"]).status.code(), Some(4));
    let unknown = Key { fingerprint: mallory.fingerprint.clone(), home: tempfile::tempdir().unwrap() };
    assert!(text(&unknown.sign(&desk.at("plain.jsonl")).stderr).contains("gpg"), "a key that gpg has not");
    assert_eq!(std::fs::read(desk.at("plain.jsonl")).unwrap(), plain);

    let keys = alice.certificate();
    let judged = evidence::judge(&bytes, Some(&keys)).unwrap();
    assert_eq!(judged.signer.unwrap().fingerprint, alice.fingerprint);
    assert_eq!(judged.verdict, evidence::judge(&plain, None).unwrap().verdict);
    let refused = |bytes: &[u8], keys: &Keyring, why: &str| {
        let error = evidence::judge(bytes, Some(keys)).expect_err(why);
        assert_eq!(error.kind(), Kind::SignatureRefused, "{why}: {error}");
        error.to_string()
    };
    refused(&bytes, &Keyring::default(), "nobody is trusted");
    // Every single byte, a bit of it each.
    for at in 0..bytes.len() {
        let mut other = bytes.clone();
        other[at] ^= 1 << (at % 8);
        refused(&other, &keys, &format!("byte {at}"));
    }
    // A line taken out, two exchanged, a signature over another bundle.
    let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
    let less: Vec<&[u8]> = lines.iter().enumerate().filter(|(n, _)| *n != 3).map(|(_, l)| *l).collect();
    refused(&less.concat(), &keys, "a line less");
    let mut swapped = lines.clone();
    swapped.swap(3, 4);
    refused(&swapped.concat(), &keys, "two lines exchanged");
    let mut forged = Bundle::parse(&plain).unwrap();
    forged.entries[0].content.push(' ');
    let forged = Bundle { signature: Bundle::parse(&bytes).unwrap().signature, ..Bundle::of(forged.entries).unwrap() };
    assert!(refused(&forged.bytes().unwrap(), &keys, "another's signature").contains("altered"));
}

#[test]
fn a_gate_without_witnesses_says_so_and_exits_with_4() {
    let desk = Desk::new();
    let said = desk.canary(&["gate", "--explain"]);
    assert_eq!(said.status.code(), Some(4), "{said:?}");
    let shown = text(&said.stdout);
    assert!(shown.contains("no Prometheus is named: [canary] prometheus"), "{shown}");
    assert!(text(&said.stderr).starts_with("canary: "), "{said:?}");
    let json = desk.canary(&["gate", "--output", "json"]);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((value["schema_version"].as_u64(), value["verdict"].as_str()), (Some(1), Some("inconclusive")));
    // Nobody listens there.
    let said = desk.canary(&["gate", "--prometheus", "http://127.0.0.1:1"]);
    assert_eq!(said.status.code(), Some(4));
    assert!(
        text(&said.stdout).contains("cannot reach Prometheus at http://127.0.0.1:1: Connection refused"),
        "{said:?}"
    );
    for (arguments, code, words) in [
        (vec!["gate", "--prometheus", "ftp://x"], 2, "is not of the form"),
        (vec!["gate", "--prometheus", "http://user:secret@x:9090"], 2, "is not of the form"),
        (vec!["gate", "--for", "rust-everything"], 2, "rust-everything"),
        (vec!["gate", "--node", "pve9"], 3, "this is node pve1"),
        (vec!["gate", "--for", "rust-full"], 3, "one step up at a time"),
        (vec!["gate", "--for", "perl-only"], 3, "is no step up"),
    ] {
        let said = desk.canary(&arguments);
        assert_eq!(said.status.code(), Some(code), "{arguments:?}: {said:?}");
        let all = text(&said.stdout) + &text(&said.stderr);
        assert!(all.contains(words), "{arguments:?}: {all}");
    }
    let report = desk.canary(&["report", "--since", "24h", "--html", "report.html"]);
    assert!(report.status.success() && text(&report.stdout).contains("outstanding:"), "{report:?}");
    assert!(text(&std::fs::read(desk.at("report.html")).unwrap()).starts_with("<!DOCTYPE html>"));
}
