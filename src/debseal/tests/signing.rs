//! `debseal sign` and `verify` beside gpg, gpgv, debsigs and debsig-verify.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rig::{Desk, assemble, members, repack, run};

#[test]
fn signed_here_passes_everywhere() {
    let desk = Desk::new();
    let signed = desk.signed("alice");
    let said = desk.verify(&signed).fine();
    assert!(said.out.contains("good: demo 1.0-1"), "{}", said.out);
    assert!(said.out.contains(&desk.fingerprint("alice")), "{}", said.out);

    let theirs = desk.debsig_verify("alice", &signed);
    assert_eq!(theirs.code, 0, "{theirs:?}");
    let parts = members(&signed);
    let content: Vec<u8> = parts[..3].iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    let (content, signature) = (desk.write("content", content), desk.write("signature", &parts[3].1));
    run(Command::new("gpgv").arg("--keyring").arg(desk.certificate("alice")).args([&signature, &content]));
    run(Command::new("dpkg-deb").arg("--info").arg(&signed));
}

#[test]
fn signed_by_debsigs_passes_here_with_a_note() {
    let desk = Desk::new();
    let sealed = desk.seal(&desk.package("1.0-1"), "sealed.deb");
    desk.debsigs("alice", &sealed);
    let said = desk.verify(&sealed);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.contains("carries no manifest-sig"), "{}", said.err);
    // What is not sealed stays refused, whoever signed it.
    let plain = desk.package("1.0-2");
    desk.debsigs("alice", &plain);
    desk.verify(&plain).refused("not sealed");
}

#[test]
fn signing_again_replaces_what_was_there() {
    let desk = Desk::new();
    let signed = desk.seal(&desk.package("1.0-1"), "signed.deb");
    let said = desk.sign("mallory", &signed);
    assert!(said.code == 0 && said.err.contains("its own hooks do not trust key"), "{said:?}");
    desk.verify(&signed).refused("which is not trusted");
    desk.sign("alice", &signed).fine();
    desk.verify(&signed).fine();
    assert_eq!(members(&signed).len(), 4);
    // To another file, and the first stays as it is.
    let before = fs::read(&signed).unwrap();
    let copy = desk.at("copy.deb");
    let fingerprint = desk.fingerprint("alice");
    let args = ["sign".as_ref(), "--key".as_ref(), fingerprint.as_ref(), "-o".as_ref()];
    let args = args.into_iter().chain([copy.as_os_str(), signed.as_os_str()]);
    desk.debseal_as("alice", args).fine();
    desk.verify(&copy).fine();
    assert_eq!(before, fs::read(&signed).unwrap());
}

#[test]
fn what_is_not_signed() {
    let desk = Desk::new();
    let plain = desk.package("1.0-1");
    desk.sign("alice", &plain).refused("not sealed");
    let damaged = desk.at("damaged.deb");
    repack(&desk.seal(&plain, "sealed.deb"), &damaged, |tree| {
        fs::write(tree.join("conffiles"), "/etc/other.conf\n").unwrap();
    });
    let before = fs::read(&damaged).unwrap();
    desk.sign("alice", &damaged).refused("control file conffiles was altered");
    assert_eq!(before, fs::read(&damaged).unwrap());

    let sealed = desk.at("sealed.deb");
    let sign =
        |key: &str| desk.debseal_as("alice", ["sign".as_ref(), "--key".as_ref(), key.as_ref(), sealed.as_os_str()]);
    sign("alice@example.org").failed(2, "not a full fingerprint");
    let fingerprint = desk.fingerprint("alice");
    sign(&fingerprint[24..]).failed(2, "not a full fingerprint");
    sign(&desk.fingerprint("mallory")).failed(1, "no secret key");
    desk.revoke("alice");
    sign(&fingerprint).refused("is revoked");
    desk.expired_key("bob");
    fs::remove_file(desk.home("bob").join("gpg.conf")).unwrap();
    desk.sign("bob", &sealed).refused("is expired");
    // A gpg that is configured to sign weakly is found out by our own check.
    fs::write(desk.home("carol").join("gpg.conf"), "digest-algo SHA1\nweak-digest MD5\n").unwrap();
    desk.sign("carol", &sealed).refused("SHA1 or its form is too weak");
    let left = fs::read_dir(desk.at(""))
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().contains("debseal"));
    assert_eq!(left.count(), 0, "nothing is left beside the package");
}

#[test]
fn revoked_expired_unknown_and_weak() {
    let desk = Desk::new();
    let signed = desk.signed("alice");
    desk.verify(&signed).fine();
    desk.revoke("alice");
    // gpgv and Debian's own verifier say yes to a revoked key: that is why ours is not gpg.
    let theirs = desk.debsig_verify("alice", &signed);
    assert_eq!(theirs.code, 0, "debsig-verify has learnt about revocations: {theirs:?}");
    let parts = members(&signed);
    let content: Vec<u8> = parts[..3].iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    let (content, signature) = (desk.write("content", content), desk.write("signature", &parts[3].1));
    run(Command::new("gpgv").arg("--keyring").arg(desk.certificate("alice")).args([&signature, &content]));
    desk.verify(&signed).refused("is revoked");

    let judge = |owner: &str, why: &str| {
        let file = desk.at(&format!("{owner}.deb"));
        fs::copy(&signed, &file).unwrap();
        run(Command::new("ar").arg("d").arg(&file).arg("_gpgorigin"));
        assemble(&file, &members(&file));
        desk.debsigs(owner, &file);
        let certificate = desk.certificate(owner);
        let args = ["verify".as_ref(), "--key".as_ref(), certificate.as_os_str(), file.as_os_str()];
        desk.debseal(args).refused(why);
    };
    desk.expired_key("bob");
    judge("bob", "expired on 2020-12-31");
    fs::write(desk.home("carol").join("gpg.conf"), "digest-algo SHA1\nweak-digest MD5\n").unwrap();
    judge("carol", "SHA1 or its form is too weak");
}

/// The package's own keys and policies, without --key.
#[test]
fn whose_keys_count() {
    let desk = Desk::new();
    let signed = desk.signed("alice");
    let root = desk.at("root");
    fs::create_dir(&root).unwrap();
    let verify = || desk.debseal(["verify".as_ref(), "--root".as_ref(), root.as_os_str(), signed.as_os_str()]);
    verify().refused("nobody is trusted to sign package demo");
    let policy = "[[package]]\nname = \"demo\"\nkeys = [\"/etc/debseal/keys/k.pgp\"]\n";
    desk.write("root/etc/debseal/policy.d/demo.toml", policy);
    verify().failed(1, "cannot read");
    desk.write("root/etc/debseal/keys/k.pgp", fs::read(desk.certificate("mallory")).unwrap());
    verify().refused("which is not trusted");
    desk.write("root/etc/debseal/keys/k.pgp", fs::read(desk.certificate("alice")).unwrap());
    verify().fine();
    desk.write("root/etc/debseal/policy.d/demo.toml", format!("{policy}kyes = 1\n"));
    verify().failed(1, "/etc/debseal/policy.d/demo.toml, line 4");
}

#[test]
fn every_file_is_judged_and_the_worst_counts() {
    let desk = Desk::new();
    let signed = desk.signed("alice");
    let unsigned = desk.seal(&desk.package("1.0-2"), "unsigned.deb");
    let key = desk.certificate("alice");
    let common = ["verify".as_ref(), "--key".as_ref(), key.as_os_str()];
    let files = [unsigned.as_os_str(), signed.as_os_str(), "none.deb".as_ref()];
    let said = desk.debseal(common.into_iter().chain(files)).refused("not signed");
    assert!(said.out.contains("good: demo 1.0-1"), "{said:?}");
    assert!(said.err.contains("cannot open none.deb"), "{said:?}");
    assert_eq!(said.err.lines().count(), 2);
    let json = ["--output".as_ref(), "json".as_ref()];
    let said = desk.debseal(common.into_iter().chain(json).chain(files));
    let answer: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(answer["schema_version"], 1);
    let accepted: Vec<_> = answer["packages"].as_array().unwrap().iter().map(|p| p["accepted"] == true).collect();
    assert_eq!((accepted, said.code), (vec![false, true, false], 6));
    desk.debseal(["verify"]).failed(2, "required");
    desk.debseal(["no-such-command"]).failed(2, "unrecognized subcommand");
}

/// Each part of a signed package, altered: with the old signature, and with a new and good
/// `_gpgorigin` over the alteration, so that the seal has to find it.
#[test]
fn altered_parts_are_named() {
    let desk = Desk::new();
    let signed = desk.signed("alice");
    let flip = |file: &Path, at: usize| {
        let mut bytes = fs::read(file).unwrap();
        let at = if at == usize::MAX { bytes.len() / 2 } else { bytes.len() - at };
        bytes[at] ^= 1;
        fs::write(file, bytes).unwrap();
    };
    let middle = usize::MAX;
    let cases: [(&str, usize, &str); 5] = [
        ("manifest", middle, "manifest-sig: what was signed was altered"),
        ("manifest-sig", 10, "manifest-sig: "),
        ("conffiles", middle, "control file conffiles was altered"),
        ("postrm", middle, "control file postrm was altered"),
        // The policy stands right before keys and footer, at the end of the hook.
        ("preinst", 60, "control file preinst was altered"),
    ];
    for (name, at, why) in cases {
        let bad = desk.at(&format!("bad-{name}.deb"));
        repack(&signed, &bad, |tree| flip(&tree.join(name), at));
        desk.verify(&bad).refused("_gpgorigin: what was signed was altered");
        assemble(&bad, &members(&bad)[..3]);
        desk.verify(&bad).refused("not signed");
        desk.debsigs("alice", &bad);
        desk.verify(&bad).refused(why);
    }
    let spoil = |what: &dyn Fn(&Path), why: &str| {
        let bad = desk.at("bad.deb");
        repack(&signed, &bad, |tree| what(tree));
        assemble(&bad, &members(&bad)[..3]);
        desk.debsigs("alice", &bad);
        desk.verify(&bad).refused(why);
    };
    spoil(&|t| fs::write(t.join("triggers"), "").unwrap(), "triggers is not in the manifest");
    spoil(&|t| fs::remove_file(t.join("conffiles")).unwrap(), "conffiles is in the manifest but not there");
    spoil(&|t| fs::write(t.join("a.b"), "").unwrap(), "/a.b is not a plain file");
    spoil(
        &|t| {
            fs::remove_file(t.join("postrm")).unwrap();
            std::os::unix::fs::symlink("prerm", t.join("postrm")).unwrap();
        },
        "/postrm is not a plain file",
    );
}

#[test]
fn parts_of_other_packages_and_members_out_of_place() {
    let desk = Desk::new();
    let signed = desk.signed("alice");
    let other = desk.seal(&desk.package("2.0-1"), "other.deb");
    desk.sign("alice", &other).fine();
    let (ours, theirs) = (members(&signed), members(&other));
    let bad = desk.at("bad.deb");
    let judge = |parts: &[&(String, Vec<u8>)], why: &str| {
        assemble(&bad, &parts.iter().map(|p| (*p).clone()).collect::<Vec<_>>());
        desk.verify(&bad).refused(why);
    };
    judge(&[&ours[0], &theirs[1], &ours[2], &ours[3]], "_gpgorigin: what was signed was altered");
    judge(&[&ours[0], &ours[1], &ours[2], &theirs[3]], "_gpgorigin: what was signed was altered");
    judge(&[&ours[0], &ours[1], &ours[3]], "_gpgorigin is out of order");
    judge(&[&ours[0], &ours[2], &ours[1], &ours[3]], "data.tar.xz is out of order");
    judge(&[&ours[0], &theirs[1], &ours[1], &ours[2], &ours[3]], "control.tar.xz is there twice");
    judge(&[&ours[0], &ours[1], &ours[2], &ours[3], &ours[3]], "_gpgorigin is there twice");
    let extra = ("_extra".to_owned(), b"x".to_vec());
    judge(&[&ours[0], &ours[1], &ours[2], &extra, &ours[3]], "_extra does not belong there");
    judge(&[&ours[0], &ours[1], &ours[2], &ours[3], &extra], "_extra does not belong there");

    // The manifest and its signature of another version, under a good _gpgorigin.
    let manifest = |file: &Path, name: &str| {
        let tree = desk.at("other");
        let _ = fs::remove_dir_all(&tree);
        run(Command::new("dpkg-deb").arg("-e").arg(file).arg(&tree));
        fs::read(tree.join(name)).unwrap()
    };
    repack(&signed, &bad, |tree| {
        for name in ["manifest", "manifest-sig"] {
            fs::write(tree.join(name), manifest(&other, name)).unwrap();
        }
    });
    assemble(&bad, &members(&bad)[..3]);
    desk.debsigs("alice", &bad);
    desk.verify(&bad).refused("belongs to version 2.0-1, the control file says 1.0-1");
}

/// One byte changed, anywhere: every byte of the headers, and a sample of the rest.
#[test]
fn no_byte_survives_a_change() {
    let desk = Desk::new();
    let signed = desk.signed("alice");
    let good = fs::read(&signed).unwrap();
    let mut places: Vec<usize> = (0..8).collect();
    let mut at = 8;
    for (_, bytes) in members(&signed) {
        places.extend(at..at + 60);
        at += 60 + bytes.len();
        places.extend((bytes.len() % 2 == 1).then_some(at));
        at += bytes.len() % 2;
    }
    // All of _gpgorigin, and 150 places elsewhere.
    let signature = members(&signed)[3].1.len();
    places.extend(good.len() - signature - 1..good.len());
    places.extend((0..150).map(|i| i * 7919 % good.len()));
    let folder = desk.at("altered");
    fs::create_dir(&folder).unwrap();
    let mut files = Vec::new();
    for at in places {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 7);
        let file = folder.join(format!("{at}.deb"));
        fs::write(&file, bad).unwrap();
        files.push(file);
    }
    let key = desk.certificate("alice");
    let mut args: Vec<_> = ["verify", "--output", "json", "--key"].map(Into::into).to_vec();
    args.push(key.into_os_string());
    args.extend(files.iter().map(|f| f.clone().into_os_string()));
    args.push(signed.into_os_string());
    let said = desk.debseal(args);
    assert_eq!(said.code, 6);
    let answer: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let accepted: Vec<_> =
        answer["packages"].as_array().unwrap().iter().filter(|p| p["accepted"] == true).map(|p| &p["file"]).collect();
    assert_eq!(accepted.len(), 1, "only the unaltered one of {}: {accepted:?}", files.len() + 1);
}

/// As a build server calls it: many files, nobody to ask, no terminal, and answers for a machine.
#[test]
fn many_files_at_once_with_nobody_to_ask() {
    let desk = Desk::new();
    let files: Vec<PathBuf> = (0..12)
        .map(|n| {
            let plain = desk.package(&format!("1.{n}-1"));
            desk.seal(&plain, &format!("demo-{n}.deb"))
        })
        .collect();
    let key = desk.fingerprint("alice");
    let with = |more: &[&PathBuf]| {
        let args = ["sign", "--key", &key].map(std::ffi::OsString::from).into_iter();
        args.chain(files.iter().chain(more.iter().copied()).map(|f| f.clone().into_os_string())).collect::<Vec<_>>()
    };
    // One that can't be signed does not keep the others from it, and is named.
    let bad = desk.write("bad.deb", "no package");
    desk.debseal_as("alice", with(&[&bad])).refused("bad.deb");
    assert_eq!(fs::read(&bad).unwrap(), b"no package");
    let certificate = desk.certificate("alice");
    let verify = |format: &str, more: &[&PathBuf]| {
        let head =
            ["verify".into(), "--output".into(), format.into(), "--key".into(), certificate.clone().into_os_string()];
        let all = files.iter().chain(more.iter().copied()).map(|f| f.clone().into_os_string());
        desk.debseal(head.into_iter().chain(all).collect::<Vec<std::ffi::OsString>>())
    };
    let said = verify("json", &[]).fine();
    let answer: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(answer["schema_version"], 1);
    let packages = answer["packages"].as_array().unwrap();
    assert_eq!(packages.len(), 12);
    assert!(packages.iter().all(|p| p["accepted"] == true && p["signer"]["fingerprint"] == *key), "{}", said.out);
    // Signed again it is all replaced, and good.
    desk.debseal_as("alice", with(&[])).fine();
    let said = verify("junit", &[]).fine();
    assert!(
        said.out.starts_with("<?xml version=\"1.0\"") && said.out.contains("tests=\"12\" failures=\"0\""),
        "{}",
        said.out
    );
    let said = verify("junit", &[&bad]);
    assert_eq!(said.code, 6);
    assert!(said.out.contains("tests=\"13\" failures=\"1\"") && said.out.contains("<failure message="), "{}", said.out);
    let count = said.out.matches("<testcase ").count();
    assert_eq!(count, 13, "{}", said.out);
}

#[test]
fn a_policys_mode_follows_the_command_though_its_key_is_known() {
    let desk = Desk::new();
    let (root, key) = (desk.at("node"), desk.certificate("alice"));
    let add = |words: &[&str]| {
        let args = ["key".as_ref(), "add".as_ref(), "--root".as_ref(), root.as_os_str()];
        let words = words.iter().map(std::ffi::OsStr::new);
        desk.debseal(args.into_iter().chain(words).chain([key.as_os_str()]))
    };
    let policy = || fs::read_to_string(root.join("etc/debseal/policy.d/demo.toml")).unwrap();
    assert_eq!(add(&["--package", "demo", "--mode", "warn"]).code, 0);
    assert!(policy().contains("mode = \"warn\""));
    let said = add(&["--package", "demo", "--mode", "enforce"]).fine();
    assert!(said.out.ends_with("\ndemo: enforce, by /etc/debseal/policy.d/demo.toml\n"), "{said:?}");
    assert!(policy().contains("mode = \"enforce\""));
    add(&["--package", "demo"]).fine();
    assert!(policy().contains("mode = \"enforce\""));
    // Of which package?
    add(&["--mode", "warn"]).failed(2, "--package");
    // Another file that is broken does not make this one nothing.
    desk.write("node/etc/debseal/policy.d/x.toml", "[[package]\n");
    let said = desk.debseal(["status".as_ref(), "--root".as_ref(), root.as_os_str()]);
    assert!(said.out.starts_with("the policies can't be read\n"), "{said:?}");
    said.refused("/etc/debseal/policy.d/x.toml, line 1");
}
