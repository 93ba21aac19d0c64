//! `debseal seal` and `inspect`, with the packages of real dpkg-deb.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rig::{Desk, members, run};

const HOOKS: [&str; 4] = ["preinst", "postinst", "prerm", "postrm"];

#[test]
fn dpkg_reads_what_was_sealed() {
    let desk = Desk::new();
    let plain = desk.package("1.0-1");
    let sealed = desk.seal(&plain, "sealed.deb");
    let info = run(Command::new("dpkg-deb").arg("--info").arg(&sealed)).out;
    for name in HOOKS.iter().chain(&["manifest", "conffiles"]) {
        assert!(info.contains(name), "{info}");
    }
    let list = |file: &Path| run(Command::new("dpkg-deb").arg("--contents").arg(file)).out;
    assert_eq!(list(&plain), list(&sealed));
    let (before, after) = (members(&plain), members(&sealed));
    assert_eq!(before[2], after[2], "data.tar is kept byte for byte");

    let tree = desk.at("extracted");
    run(Command::new("dpkg-deb").arg("-R").arg(&sealed).arg(&tree));
    let hook = fs::read(tree.join("DEBIAN/preinst")).unwrap();
    assert!(hook.starts_with(&fs::read(desk.hook()).unwrap()));
    for name in HOOKS {
        assert_eq!(fs::read(tree.join("DEBIAN").join(name)).unwrap(), hook);
        run(&mut Command::new(tree.join("DEBIAN").join(name)));
    }
    let manifest = fs::read_to_string(tree.join("DEBIAN/manifest")).unwrap();
    assert!(manifest.contains("\"path\":\"/usr/share/doc/demo/naïve name\""), "{manifest}");
    let mode = fs::metadata(&sealed).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let desk = Desk::new();
    let plain = desk.package("1.0-1");
    let first = fs::read(desk.seal(&plain, "a.deb")).unwrap();
    assert_eq!(first, fs::read(desk.seal(&plain, "b.deb")).unwrap());
    let dated = desk.at("c.deb");
    desk.seal_with(&plain, &dated, &["--source-date", "1600000000"]).fine();
    assert_ne!(first, fs::read(&dated).unwrap());
    let listed = run(Command::new("ar").arg("tv").arg(&dated).env("TZ", "UTC")).out;
    assert!(listed.lines().all(|l| l.contains("Sep 13 12:26 2020")), "{listed}");
    // Sealed again from the sealed one, nothing changes.
    let again = desk.at("d.deb");
    desk.seal_with(&desk.at("a.deb"), &again, &[]).failed(1, "has a preinst already");
    desk.seal_with(&desk.at("a.deb"), &again, &["--replace-hooks"]).fine();
    assert_eq!(first, fs::read(&again).unwrap());
}

#[test]
fn every_compression_of_the_payload() {
    let desk = Desk::new();
    let tree = desk.package("1.0-1");
    for kind in ["none", "gzip", "xz", "zstd"] {
        let plain = desk.at(&format!("{kind}.deb"));
        run(Command::new("dpkg-deb")
            .args(["--root-owner-group", "--build", &format!("-Z{kind}")])
            .args([&tree.with_extension("deb.d"), &plain]));
        let out = desk.at(&format!("{kind}-sealed.deb"));
        desk.seal_with(&plain, &out, &[]).fine();
        let said = desk.debseal(["inspect".as_ref(), out.as_os_str()]).fine();
        assert!(said.out.contains("4 files") || said.out.contains("3 files"), "{}", said.out);
    }
}

#[test]
fn what_is_not_sealed() {
    let desk = Desk::new();
    let out = desk.at("out.deb");
    let refuse = |input: &Path, more: &[&str], code: i32, why: &str| {
        desk.seal_with(input, &out, more).failed(code, why);
        assert!(!out.exists(), "{why}");
    };
    let plain = desk.package("1.0-1");
    let write = |tree: &Path, name: &str, text: &str| fs::write(tree.join(name), text).unwrap();
    let script = desk.package_with("script.deb", "1.0", |tree| {
        write(tree, "DEBIAN/postinst", "#!/bin/sh\n");
        fs::set_permissions(tree.join("DEBIAN/postinst"), fs::Permissions::from_mode(0o755)).unwrap();
    });
    refuse(&script, &[], 1, "has a postinst already");
    let all = desk.package_with("all.deb", "1.0", |tree| {
        let control = fs::read_to_string(tree.join("DEBIAN/control")).unwrap();
        write(tree, "DEBIAN/control", &control.replace(&rig::architecture(), "all"));
    });
    refuse(&all, &[], 1, "architecture is all");
    let dotted = desk.package_with("dotted.deb", "1.0", |tree| write(tree, "DEBIAN/a.b", ""));
    refuse(&dotted, &[], 6, "/a.b is not a plain file");
    refuse(&plain, &["--minimum-version", "2"], 2, "above the package's own version");
    refuse(&plain, &["--minimum-version", "x"], 2, "not a Debian version");
    refuse(&desk.write("junk.deb", "junk"), &[], 6, "this is no .deb");
    refuse(&desk.at("none.deb"), &[], 1, "cannot open");

    let hooks = desk.write("other.toml", rig::HOOKS_TOML.replace("\"demo\"", "\"other\""));
    let seal = |hooks: &Path, hook: &Path| {
        let args = ["seal".as_ref(), "--hooks".as_ref(), hooks.as_os_str(), "--hook-elf".as_ref()];
        let rest = [hook.as_os_str(), "-o".as_ref(), out.as_os_str(), plain.as_os_str()];
        desk.debseal(args.into_iter().chain(rest))
    };
    seal(&hooks, &desk.hook()).failed(1, "is for package other, not for demo");
    let said = seal(&desk.write("bad.toml", "format = 1\nkyes = 1\n"), &desk.hook());
    said.failed(1, "/bad.toml:2: unknown field `kyes`");
    let said = seal(&desk.write("bad.toml", rig::HOOKS_TOML.replace("/var/lib", "/srv")), &desk.hook());
    said.failed(1, "/bad.toml: state");
    let hooks = desk.write("hooks.toml", rig::HOOKS_TOML);
    seal(&hooks, Path::new(env!("CARGO_BIN_EXE_debseal"))).failed(1, "linked dynamically");
    seal(&hooks, &hooks).failed(1, "no ELF program");
    assert!(!out.exists());
    // Without a key it seals, and says what that means.
    let said = seal(&hooks, &desk.hook());
    assert_eq!(said.code, 0);
    assert!(said.err.contains("the hooks trust nobody"), "{}", said.err);
}

#[test]
fn units_that_the_package_does_not_ship_are_named() {
    let desk = Desk::new();
    let plain = desk.package_with("units.deb", "1.0", |tree| {
        let folder = tree.join("usr/lib/systemd/system");
        fs::create_dir_all(&folder).unwrap();
        for name in ["demo.service", "demo-run@.service", "demo\\x2dodd.timer"] {
            fs::write(folder.join(name), "[Unit]\n").unwrap();
        }
    });
    let seal = |units: &str| {
        let hooks = desk.write("hooks.toml", format!("{}units = [{units}]\n", rig::HOOKS_TOML));
        let (hook, key, out) = (desk.hook(), desk.certificate("alice"), desk.at("out.deb"));
        let args = ["seal".as_ref(), "--hooks".as_ref(), hooks.as_os_str(), "--hook-elf".as_ref(), hook.as_os_str()];
        let rest = ["--key".as_ref(), key.as_os_str(), "-o".as_ref(), out.as_os_str(), plain.as_os_str()];
        desk.debseal(args.into_iter().chain(rest))
    };
    seal(r#""demo.service", "demo-run@a.service", 'demo\x2dodd.timer'"#).fine();
    let said = seal(r#""demo.service", "dmeo.service""#);
    let note = "debseal: note: units has dmeo.service, and the package ships no such file\n";
    assert_eq!((said.code, said.err.as_str()), (0, note));
}

#[test]
fn a_payload_of_the_builders_own_id_is_refused() {
    let desk = Desk::new();
    let plain = desk.package("1.0-1");
    let mut parts = members(&plain);
    let tree = desk.at("data");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("x"), "x").unwrap();
    let tar = desk.at("data.tar");
    run(Command::new("tar")
        .args(["--format=gnu", "--owner=builder:1000", "--group=builder:1000", "-cf"])
        .arg(&tar)
        .arg("-C")
        .args([tree.as_os_str(), ".".as_ref()]));
    parts[2] = ("data.tar".into(), fs::read(&tar).unwrap());
    let odd = desk.at("odd.deb");
    rig::assemble(&odd, &parts);
    desk.seal_with(&odd, &desk.at("out.deb"), &[]).refused("belongs to id 1000");
}

#[test]
fn inspect_tells_what_is_inside_without_judging() {
    let desk = Desk::new();
    let plain = desk.package("1.0-1");
    let said = desk.debseal(["inspect".as_ref(), plain.as_os_str()]).fine();
    assert!(said.out.contains("none: not a sealed package"), "{}", said.out);
    let sealed = desk.at("sealed.deb");
    desk.seal_with(&plain, &sealed, &["--minimum-version", "0.9", "--provenance", "commit=0123abcd"]).fine();
    desk.sign("mallory", &sealed);
    let said = desk.debseal(["inspect".as_ref(), sealed.as_os_str()]).fine();
    let alice = desk.fingerprint("alice");
    for part in
        ["_gpgorigin", "manifest-sig", &alice, "state = \"/var/lib/demo\"", "minimum version: 0.9", "commit: 0123abcd"]
    {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    let json = ["inspect".as_ref(), "--output".as_ref(), "json".as_ref(), sealed.as_os_str()];
    let said = desk.debseal(json).fine();
    let answer: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(answer["schema_version"], 1);
    assert_eq!(answer["hooks"]["keys"][0]["fingerprint"], *alice);
    assert_eq!(answer["sealed"]["minimum_version"], "0.9");
    assert_eq!(answer["sealed"]["provenance"]["commit"], "0123abcd");
    assert_eq!(answer["signatures"].as_array().unwrap().len(), 2);
}
