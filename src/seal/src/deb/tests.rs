use super::*;
use crate::compress;
use crate::manifest::{HOOKS, NAME, SIGNATURE_NAME};
use crate::openpgp::Keyring;
use crate::policy::{Mode, Source, TrustedKeys};
use crate::tarball::tests::Tar;
use crate::testing::{CONTROL, Parts, cert, keyring, now, sign};
use crate::trailer;
use sequoia_openpgp::Cert;
use std::sync::LazyLock;

static ALICE: LazyLock<Cert> = LazyLock::new(|| cert("Alice"));
static RING: LazyLock<Keyring> = LazyLock::new(|| keyring(&[&ALICE]));

fn verify(bytes: &[u8]) -> Result<Verified> {
    let file = tempfile::NamedTempFile::with_suffix(".deb").unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let keys = |package: &str| {
        assert_eq!(package, "demo");
        Ok(TrustedKeys { keyring: RING.clone(), source: Source::Given, mode: Mode::Enforce, minimum_version: None })
    };
    let result = verify_deb(file.path(), &keys, now());
    if let Err(e) = &result {
        assert_eq!(e.kind().exit_code(), 6, "{e}");
        assert!(e.to_string().starts_with(&*file.path().to_string_lossy()), "{e}");
    }
    result
}

#[track_caller]
fn refused_for(bytes: &[u8], why: &str) {
    let said = verify(bytes).expect_err(why).to_string();
    assert!(said.contains(why), "'{said}' does not say '{why}'");
}

#[test]
fn a_whole_package_is_accepted() {
    let bytes = Parts::new().seal(&ALICE).signed(&ALICE);
    let verified = verify(&bytes).unwrap();
    assert_eq!(verified.manifest.version, "1.0-1");
    assert_eq!(verified.manifest.minimum_version.as_deref(), Some("0.9"));
    assert_eq!(verified.signer.signer, "Alice");
    assert_eq!(verified.trailer.policy, b"format = 1\n");
    assert!(verified.notes.is_empty());
}

#[test]
fn without_manifest_sig_it_is_accepted_with_a_note() {
    let mut parts = Parts::new().seal(&ALICE);
    parts.files.retain(|f| f.name != SIGNATURE_NAME);
    let verified = verify(&parts.signed(&ALICE)).unwrap();
    assert!(verified.notes[0].contains("no manifest-sig"));
}

#[test]
fn missing_seals_and_signatures() {
    refused_for(&Parts::new().signed(&ALICE), "not sealed");
    let parts = Parts::new().seal(&ALICE);
    refused_for(&parts.archive(&parts.members()), "not signed: it has no _gpgorigin");
    let mallory = cert("Mallory");
    refused_for(&parts.signed(&mallory), "_gpgorigin: it was made by key");
    refused_for(&Parts::new().seal(&mallory).signed(&ALICE), "manifest-sig: it was made by key");
    let nobody = |_: &str| {
        Ok(TrustedKeys {
            keyring: Keyring::default(),
            source: Source::Sealed,
            mode: Mode::Enforce,
            minimum_version: None,
        })
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), parts.signed(&ALICE)).unwrap();
    let said = verify_deb(file.path(), &nobody, now()).unwrap_err().to_string();
    assert!(said.contains("nobody is trusted to sign package demo"), "{said}");
}

/// Everything that a careless or hostile packager with the right key could get wrong: the signatures
/// are good each time, the seal is not.
#[test]
fn good_signatures_over_a_bad_seal() {
    let spoil = |change: &dyn Fn(&mut Parts)| {
        let mut parts = Parts::new().seal(&ALICE);
        change(&mut parts);
        parts.signed(&ALICE)
    };
    let file = |parts: &mut Parts, name: &str| parts.files.iter().position(|f| f.name == name).unwrap();

    refused_for(
        &spoil(&|p| p.files[0].bytes = CONTROL.replace("for tests", "altered").into()),
        "control file control was altered",
    );
    refused_for(&spoil(&|p| p.add("triggers", Vec::new())), "triggers is not in the manifest");
    refused_for(&spoil(&|p| drop(p.files.remove(1))), "preinst is in the manifest but not there");
    refused_for(&spoil(&|p| p.files[1].mode = 0o644), "preinst has mode 0644");
    refused_for(&spoil(&|p| p.files.push(p.files[0].clone())), "/control is there twice");
    refused_for(
        &spoil(&|p| p.files[0].bytes = CONTROL.replace("1.0-1", "1.0-2").into()),
        "belongs to version 1.0-1, the control file says 1.0-2",
    );
    refused_for(
        &spoil(&|p| p.files[0].bytes = CONTROL.replace("amd64", "arm64").into()),
        "belongs to architecture amd64",
    );
    refused_for(
        &spoil(&|p| {
            let at = file(p, NAME);
            p.files[at].mode = 0o755;
        }),
        "manifest has mode 0755",
    );
    refused_for(
        &spoil(&|p| {
            let tar = Tar::new().dir("./").dir("./usr/").file("./usr/a", b"jello");
            let tar = tar.link("./usr/l", "a").hard("./usr/h", "./usr/a").end();
            p.data = compress::xz(&tar).unwrap();
        }),
        "payload /usr/a was altered",
    );
    refused_for(
        &spoil(&|p| {
            let tar = Tar::new().dir("./").dir("./usr/").file("./usr/a", b"hello");
            p.data = compress::xz(&tar.link("./usr/l", "a").hard("./usr/h", "./usr/a").file("./x", b"").end()).unwrap();
        }),
        "payload /x is not in the manifest",
    );
    // A bomb with a good signature is still a bomb.
    refused_for(
        &spoil(&|p| {
            use std::io::Write;
            let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            gz.write_all(&Tar::new().file("./x", &vec![0; 130 << 20]).end()).unwrap();
            (p.data_name, p.data) = ("data.tar.gz", gz.finish().unwrap());
        }),
        "decompression bomb",
    );
}

#[test]
fn hooks_must_be_four_copies_with_a_policy() {
    let sealed = |change: &dyn Fn(&mut Parts)| {
        let mut parts = Parts::new();
        change(&mut parts);
        parts.seal(&ALICE).signed(&ALICE)
    };
    refused_for(&sealed(&|p| drop(p.files.remove(4))), "maintainer script postrm is missing");
    refused_for(&sealed(&|p| p.files[2].bytes.push(0)), "postinst is another program");
    refused_for(&sealed(&|p| p.files[2].mode = 0o644), "postinst has mode 0644");
    let replace = |p: &mut Parts, bytes: &[u8]| {
        for file in p.files.iter_mut().filter(|f| HOOKS.contains(&&*f.name)) {
            file.bytes = bytes.to_vec();
        }
    };
    refused_for(&sealed(&|p| replace(p, b"ELF")), "carry no hooks.toml");
    let junk_keys = trailer::append(b"ELF", b"", b"junk");
    refused_for(&sealed(&|p| replace(p, &junk_keys)), "keys sealed into the hooks");
    let mut damaged = trailer::append(b"ELF", b"policy", b"");
    damaged[4] ^= 1;
    refused_for(&sealed(&|p| replace(p, &damaged)), "digest does not match");
}

#[test]
fn a_manifest_of_another_package_or_version() {
    for (from, to, why) in [
        ("\"package\":\"demo\"", "\"package\":\"other\"", "belongs to package other"),
        ("\"version\":\"1.0-1\"", "\"version\":\"0.9\"", "belongs to version 0.9"),
    ] {
        let mut parts = Parts::new();
        let manifest = String::from_utf8(parts.manifest().to_bytes().unwrap()).unwrap();
        let manifest = manifest.replacen(from, to, 1).into_bytes();
        let signature = sign(&ALICE, &manifest);
        parts.add(NAME, manifest);
        parts.add(SIGNATURE_NAME, signature);
        refused_for(&parts.signed(&ALICE), why);
    }
}

#[test]
fn members_as_stored() {
    let parts = Parts::new().seal(&ALICE);
    let good = parts.signed(&ALICE);
    let mut members = parts.members();
    let content: Vec<u8> = members.iter().flat_map(|(_, b)| b.clone()).collect();
    members.push((ar::SIGNATURE, sign(&ALICE, &content)));
    verify(&parts.archive(&members)).unwrap();
    let order = |indices: &[usize]| parts.archive(&indices.iter().map(|i| members[*i].clone()).collect::<Vec<_>>());
    refused_for(&order(&[0, 1, 3]), "_gpgorigin is out of order");
    refused_for(&order(&[1, 2, 3]), "control.tar.xz is out of order");
    refused_for(&order(&[0, 2, 1, 3]), "data.tar.xz is out of order");
    refused_for(&order(&[0, 1, 1, 2, 3]), "control.tar.xz is there twice");
    refused_for(&order(&[0, 1, 2, 2, 3]), "data.tar.xz is there twice");
    refused_for(&order(&[0, 1, 2, 3, 3]), "_gpgorigin is there twice");
    refused_for(&good[..good.len() - 3], "cut off");
    // Somebody else's payload under our control archive.
    let mut other = Parts::new();
    other.data = compress::xz(&Tar::new().file("./x", b"evil").end()).unwrap();
    let mut mixed = members.clone();
    mixed[2].1 = other.data;
    refused_for(&parts.archive(&mixed), "_gpgorigin: what was signed was altered");
}

/// Changing any byte of the file is found: no exceptions.
#[test]
fn no_byte_can_be_changed() {
    let good = Parts::new().seal(&ALICE).signed(&ALICE);
    let mut survivors = Vec::new();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        if verify(&bad).is_ok() {
            survivors.push(at);
        }
    }
    assert!(survivors.is_empty(), "of {} bytes: {survivors:?}", good.len());
}

/// The headers once more, with every value that could mean something in them.
#[test]
fn no_byte_of_a_header_can_have_another_value() {
    let good = Parts::new().seal(&ALICE).signed(&ALICE);
    let members = crate::ar::read(&mut std::io::Cursor::new(&good)).unwrap();
    let mut survivors = Vec::new();
    for member in members.iter() {
        for at in (member.offset - 60) as usize..member.offset as usize {
            for value in b"017 /\0+\x80".iter().copied().filter(|v| *v != good[at]) {
                let mut bad = good.clone();
                bad[at] = value;
                if verify(&bad).is_ok() {
                    survivors.push((at, value));
                }
            }
        }
    }
    assert!(survivors.is_empty(), "{survivors:?}");
}

#[test]
fn what_is_no_package() {
    for (bytes, why) in [(&b""[..], "no .deb"), (&b"#!/bin/sh\n"[..], "no .deb"), (&[0; 4096][..], "no .deb")] {
        refused_for(bytes, why);
    }
    let dir = tempfile::tempdir().unwrap();
    let said = Deb::open(dir.path()).unwrap_err().to_string();
    assert!(said.contains("not a regular file") || said.contains("cannot open"), "{said}");
}
