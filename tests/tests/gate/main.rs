//! The gate: what a policy names is refused by dpkg and apt before anything of it is unpacked, and
//! nothing else is.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod desk;
mod race;
mod unattended;

use std::path::Path;
use std::process::Command;

use desk::{DESK, POLICY, demo, disk, guarded, host_run, refused, stranger, with_gate};
use rig::{Deb, DebBuilder, Keyring, Machine, Node, Repo, Suite, dist, need_root};

#[test]
fn what_is_signed_passes_and_what_nobody_names_is_never_asked() {
    if !need_root() {
        return;
    }
    for suite in Suite::ALL {
        let node = with_gate(suite);
        // No policy: as if the package were not there.
        node.write("/root/demo.deb", &DESK.plain);
        node.run(["dpkg", "-i", "/root/demo.deb"]).ok().never_says("debseal:");
        node.run(["dpkg", "-P", "demo"]).ok();
        node.run(["debseal", "status"]).ok().says("nothing is checked").says("asked by: dpkg, apt");

        let node = guarded(suite);
        node.install(&stranger().build()).ok().never_says("debseal:");
        node.write("/root/demo.deb", &DESK.v1);
        node.run(["dpkg", "-i", "/root/demo.deb"]).ok().never_says("debseal:");
        node.write("/root/demo.deb", &DESK.v2);
        node.sh("cd /root && apt-get -y install ./demo.deb").ok().never_says("refused");
        node.run(["demo"]).ok().says("2.0");
        // Nothing but installing is its business, whatever the policy says.
        node.write(POLICY, "[[package]]\nname = \"demo\"\nkyes = 1\n");
        for script in [
            "dpkg --configure -a",
            "dpkg -r demo",
            "dpkg -P demo",
            "dpkg -l debseal",
            "dpkg --dry-run -i /root/demo.deb",
            "apt-get -s install /root/demo.deb",
            "apt-get -y remove stranger",
            "dpkg-query -W",
        ] {
            node.sh(script).ok().never_says("refused");
        }
    }
}

#[test]
fn dpkg_is_refused_whatever_is_wrong_with_the_file() {
    if !need_root() {
        return;
    }
    let node = guarded(Suite::Bookworm);
    let flipped = |at: usize| {
        let mut bytes = DESK.v2.clone();
        bytes[at] ^= 1;
        bytes
    };
    let payload = DESK.v2.windows(8).position(|w| w == b"data.tar").unwrap() + 100;
    let longer = [&DESK.v2[..], b"junk"].concat();
    let build = |deb: DebBuilder| std::fs::read(deb.build().path()).unwrap();
    let cases: [(&str, Vec<u8>, &str); 11] = [
        ("unsigned", DESK.unsigned.clone(), "it is not signed"),
        ("not even sealed", DESK.plain.clone(), "it is not sealed"),
        ("signed by another", DESK.by_other.clone(), "which is not trusted"),
        ("a byte of the payload", flipped(payload), "altered"),
        ("a byte of the control archive", flipped(DESK.v2.len() / 3), ""),
        ("a byte of the signature", flipped(DESK.v2.len() - 20), ""),
        ("something behind it", longer, "4 bytes behind the last member"),
        ("provides it", build(stranger().field("Provides", "demo (= 3)")), "it would replace demo"),
        ("replaces it", build(stranger().field("Replaces", "x, demo (<< 9)")), "it would replace demo"),
        ("conflicts with it", build(stranger().field("Conflicts", "demo:any")), "it would replace demo"),
        (
            "takes itself for signed",
            build(demo("2.0").control_file("manifest", "{}").control_file("manifest-sig", "x")),
            "",
        ),
    ];
    let before = disk(&node);
    for (what, deb, why) in &cases {
        node.write("/root/bash_5.0_amd64.deb", deb); // names of files say nothing
        refused(&node, &before, what, "dpkg -i /root/bash_5.0_amd64.deb", why);
    }
    // dpkg takes a name in capitals for the same package.
    let capital = stranger().build().altered(|tree| {
        std::fs::write(
            tree.join("DEBIAN/control"),
            "Package: Demo\nVersion: 2.0\nArchitecture: amd64\nMaintainer: x <x@example.org>\nDescription: x\n",
        )
    });
    node.put_file(capital.path(), "/root/x.deb");
    refused(&node, &before, "in capitals", "dpkg -i /root/x.deb", "refused");
    let said = refused(&node, &before, "the last line", "dpkg -i /root/bash_5.0_amd64.deb", "is refused");
    said.says("this stops the whole transaction")
        .says("apt-mark hold demo")
        .says("debseal allow /root/bash_5.0_amd64.deb");
    let log = node.text("/var/log/debseal/gate.log");
    assert_eq!(log.lines().count(), cases.len() + 2, "a line each");
    let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!((&last["format"], &last["event"], &last["package"]), (&1.into(), &"refused".into(), &"demo".into()));
}

#[test]
fn dpkg_is_refused_however_the_file_is_named() {
    if !need_root() {
        return;
    }
    let nodes = [guarded(Suite::Bookworm), guarded(Suite::Trixie)];
    for node in &nodes {
        node.write("/root/d/bad.deb", &DESK.unsigned);
        node.write("/root/d/deep/er/bad 2\n.deb", &DESK.unsigned);
        node.put_file(stranger().build().path(), "/root/good.deb");
        node.sh("ln -s /root/d/bad.deb /root/link; ln -s d /root/e; mkdir /root/r; ln -s ../e/deep /root/r/deep").ok();
        node.sh("mkfifo /root/pipe.deb; cp /root/d/bad.deb '/root/-i'").ok();
        let before = disk(node);
        for (script, why) in [
            ("dpkg -i /root/d/bad.deb", "not signed"),
            ("dpkg --install /root/d/bad.deb", "not signed"),
            ("dpkg --unpack /root/d/bad.deb", "not signed"),
            ("cd /root && dpkg -i d/bad.deb", "not signed"),
            ("cd /root/d/deep && dpkg -i ../../e/bad.deb", "not signed"),
            ("cd /root && dpkg -i link", "not signed"),
            ("cd /root/d/deep/er && dpkg -i *", "not signed"),
            ("dpkg -i /root/good.deb /root/d/bad.deb", "not signed"),
            ("dpkg -i /root/d/bad.deb /root/good.deb", "not signed"),
            ("dpkg -iE /root/d/bad.deb", "not signed"),
            ("dpkg -EGOBi -D10 /root/d/bad.deb", "not signed"),
            ("dpkg -D 10 --status-fd 3 --force-all -i /root/d/bad.deb 3>/dev/null", "not signed"),
            ("dpkg --force all --log /dev/null -i -- /root/d/bad.deb", "not signed"),
            ("cd /root && dpkg -i -- -i", "not signed"),
            ("dpkg -iR /root/d", "not signed"),
            ("dpkg --unpack --recursive /root/r", "not signed"),
            ("cd /root && dpkg -R -i r d", "not signed"),
            ("dpkg -i /dev/fd/9 9</root/d/bad.deb", "is another file for each process"),
            ("dpkg -i /dev/stdin </root/d/bad.deb", "is another file for each process"),
            ("dpkg -i /root/pipe.deb", "not a regular file"),
            ("PATH=/usr/bin:/bin:/sbin:/usr/sbin HOME=/ dpkg -i /root/d/bad.deb", "not signed"),
        ] {
            refused(node, &before, script, script, why);
        }
        // Without /proc nobody can tell: the policy decides.
        let blind = "unshare -m sh -c 'umount -l /proc && dpkg -i /root/good.deb'";
        refused(node, &before, blind, blind, "is /proc mounted?");
        node.sh("sed -i s/enforce/warn/ /etc/debseal/policy.d/demo.toml").ok();
        node.sh(blind).ok().says("the policy only warns");
        node.run(["dpkg", "-i", "/root/none.deb"]).fails().never_says("debseal:");
    }
}

#[test]
fn a_file_of_a_named_package_is_not_overwritten_even_by_force() {
    if !need_root() {
        return;
    }
    let node = guarded(Suite::Bookworm);
    node.write("/root/demo.deb", &DESK.v2);
    node.run(["dpkg", "-i", "/root/demo.deb"]).ok();
    node.put_file(stranger().file("/usr/bin/demo", "evil").build().path(), "/root/evil.deb");
    node.put_file(stranger().build().path(), "/root/fine.deb");
    let before = disk(&node);
    for script in ["dpkg --force-overwrite -i /root/evil.deb", "dpkg --force-all -i /root/evil.deb"] {
        refused(&node, &before, script, script, "it would overwrite /usr/bin/demo of demo");
    }
    node.run(["dpkg", "--force-all", "-i", "/root/fine.deb"]).ok().never_says("debseal:");
    node.run(["dpkg", "-i", "/root/evil.deb"]).fails().says("trying to overwrite");
    node.run(["demo"]).ok().says("2.0");
}

#[test]
fn old_versions_keys_and_warnings() {
    if !need_root() {
        return;
    }
    let node = guarded(Suite::Trixie);
    node.write("/root/v1.deb", &DESK.v1);
    node.write("/root/v2.deb", &DESK.v2);
    node.write("/root/by-other.deb", &DESK.by_other);
    node.write("/root/unsigned.deb", &DESK.unsigned);
    node.run(["dpkg", "-i", "/root/v2.deb"]).ok();
    let before = disk(&node);
    refused(&node, &before, "replay", "dpkg -i /root/v1.deb", "version 1.0 is older than 1.5, the least allowed here");
    node.run(["dpkg", "-r", "demo"]).ok();
    let removed = disk(&node);
    refused(&node, &removed, "replay after removal", "dpkg -i /root/v1.deb", "older than 1.5");
    node.run(["dpkg", "-P", "demo"]).ok();
    // What purge forgot, the policy may say.
    node.sh(&format!("echo 'minimum_version = \"1.1\"' >>{POLICY}")).ok();
    let purged = disk(&node);
    refused(&node, &purged, "below the policy's", "dpkg -i /root/v1.deb", "older than 1.1");
    node.sh(&format!("sed -i /minimum/d {POLICY}")).ok();

    // Two keys while one follows the other.
    node.write("/root/other.pgp", DESK.other.armored_certificate());
    node.run(["debseal", "key", "add", "/root/other.pgp"]).code(2).says("--package");
    node.run([
        "debseal",
        "key",
        "add",
        "--package",
        "demo",
        "--fingerprint",
        DESK.key.fingerprint(),
        "/root/other.pgp",
    ])
    .code(6)
    .says("another certificate");
    node.run(["debseal", "key", "add", "--package", "demo", "/root/other.pgp"]).ok();
    node.run(["debseal", "key", "list"]).ok().says(DESK.key.fingerprint()).says(DESK.other.fingerprint());
    node.run(["dpkg", "-i", "/root/v2.deb"]).ok();
    node.run(["dpkg", "-P", "demo"]).ok();
    node.run(["dpkg", "-i", "/root/by-other.deb"]).ok();
    node.run(["dpkg", "-P", "demo"]).ok();
    node.run(["debseal", "status"]).ok();

    // A revocation arrives as an updated certificate, and no older copy takes it away.
    node.write("/root/revoked.pgp", DESK.key.revoked_certificate());
    node.run(["debseal", "key", "add", "/root/revoked.pgp"]).ok().says("is revoked");
    node.run(["debseal", "key", "add", "/root/release.pgp"]).ok().says("is revoked");
    node.run(["debseal", "status"]).code(6).says("is revoked");
    let now = disk(&node);
    refused(&node, &now, "revoked", "dpkg -i /root/v2.deb", "is revoked");
    node.run(["debseal", "key", "remove", DESK.key.fingerprint()]).ok().says("is trusted no more");
    node.run(["debseal", "status"]).ok();
    node.run(["debseal", "key", "remove", DESK.other.fingerprint()]).code(3).says("the last key of package demo");

    // An expired one.
    let node = guarded(Suite::Bookworm);
    node.write("/root/v2.deb", &DESK.v2);
    node.write("/root/unsigned.deb", &DESK.unsigned);
    node.write(&format!("/etc/debseal/keys/{}.pgp", DESK.key.fingerprint()), DESK.key.expired_certificate());
    let before = disk(&node);
    refused(&node, &before, "expired", "dpkg -i /root/v2.deb", "expired on");
    node.run(["debseal", "status"]).code(6).says("expired on");
    // One that will soon: not now, but told.
    node.write("/root/release.pgp", DESK.key.certificate());
    node.run(["debseal", "status", "--output", "json"]).code(6).says("\"schema_version\": 1");

    // Only a warning.
    node.sh(&format!("sed -i s/enforce/warn/ {POLICY}")).ok();
    node.run(["dpkg", "-i", "/root/unsigned.deb"]).ok().says("the policy only warns");
}

#[test]
fn a_key_that_ends_within_a_month_is_told_ahead() {
    if !need_root() {
        return;
    }
    let key = Keyring::new("short");
    let node = with_gate(Suite::Bookworm);
    let gpg = |days: &str| {
        let home = key.home();
        let args =
            ["--batch", "--quiet", "--no-tty", "--pinentry-mode=loopback", "--passphrase", "", "--quick-set-expire"];
        host_run(Command::new("gpg").arg("--homedir").arg(home).args(args).arg(key.fingerprint()).arg(days));
    };
    gpg("40d");
    node.write("/root/key.pgp", key.certificate());
    node.run(["debseal", "key", "add", "--package", "demo", "/root/key.pgp"]).ok();
    node.run(["debseal", "status"]).ok().says("good until");
    node.run(["debseal", "status", "--days", "60"]).code(1).says("expires on").says("debseal key add");
    gpg("20d");
    node.write("/root/key.pgp", key.certificate());
    node.run(["debseal", "key", "add", "/root/key.pgp"]).ok();
    node.run(["debseal", "status"]).code(1).says("expires on");
}

#[test]
fn a_broken_policy_closes_for_its_own_packages_only() {
    if !need_root() {
        return;
    }
    let node = guarded(Suite::Bookworm);
    node.write("/root/v2.deb", &DESK.v2);
    node.write("/etc/debseal/policy.d/other.toml", "[[package]]\nname = \"other\"\nkyes = 1\n");
    node.put_file(DebBuilder::new("other", "1").build().path(), "/root/other.deb");
    node.install(&stranger().build()).ok().never_says("debseal:");
    let before = disk(&node);
    refused(&node, &before, "broken", "dpkg -i /root/other.deb", "other.toml, line 3");
    // Mind that demo's own scripts read all of the folder, and are stricter.
    node.sh("rm /etc/debseal/policy.d/other.toml && dpkg -i /root/v2.deb && dpkg -P demo").ok();
    node.write("/etc/debseal/policy.d/x.toml", "[[pack");
    node.run(["dpkg", "-i", "/root/v2.deb"]).fails().never_says("is refused: it is sealed"); // its own policy is fine
    node.sh(&format!("dpkg -P demo; rm {POLICY}")).ok();
    let before = disk(&node);
    refused(&node, &before, "names nobody", "dpkg -i /root/v2.deb", "x.toml, line 1");
    node.run(["dpkg", "-P", "stranger"]).ok();
    node.install(&stranger().build()).ok().never_says("debseal:");
}

#[test]
fn what_is_allowed_passes_once_and_it_is_known_who_and_why() {
    if !need_root() {
        return;
    }
    let node = guarded(Suite::Bookworm);
    node.write("/root/v2.deb", &DESK.v2);
    node.write("/root/bad.deb", &DESK.unsigned);
    node.write("/root/worse.deb", &DESK.plain);
    node.run(["debseal", "allow", "/root/bad.deb", "--once"]).code(2);
    node.run(["debseal", "allow", "/root/bad.deb", "--reason", "lab"]).code(2).says("--once");
    node.run(["debseal", "allow", "/root/bad.deb", "--reason", " ", "--once"]).code(2).says("--reason is empty");
    node.run(["dpkg", "-i", "/root/v2.deb"]).ok();
    node.run(["debseal", "allow", "/root/bad.deb", "--reason", "lab of today", "--once"]).ok();
    node.run(["debseal", "status"]).ok().says("allowed once: /root/bad.deb (demo 2.0)").says("lab of today");
    let before = disk(&node);
    refused(&node, &before, "another file", "dpkg -i /root/worse.deb", "not sealed");
    refused(&node, &before, "together", "dpkg -i /root/bad.deb /root/worse.deb", "not sealed");
    // apt asks before dpkg does, and must not use it up; the installed version's prerm lets it pass too.
    node.sh("cd /root && apt-get -y --reinstall install ./bad.deb").ok().says("let through once");
    node.run(["debseal", "status"]).ok().never_says("allowed once");
    node.run(["dpkg", "-i", "/root/bad.deb"]).fails().says("not signed");
    let log = node.text("/var/log/debseal/gate.log");
    for event in ["allowed", "let-through", "refused"] {
        assert!(log.contains(&format!("\"event\":\"{event}\"")), "{event} in {log}");
    }
    assert!(log.contains("lab of today"), "{log}");
}

#[test]
fn apt_is_refused_as_a_whole_and_a_hold_lets_the_rest_through() {
    if !need_root() {
        return;
    }
    for suite in Suite::ALL {
        let node = guarded(suite);
        let deb = |bytes: &[u8]| {
            let dir = tempfile::tempdir().unwrap().keep();
            let path = dir.join("demo_2.0_amd64.deb");
            std::fs::write(&path, bytes).unwrap();
            Deb::at(path)
        };
        let more: Vec<Deb> = (0..7).map(|n| DebBuilder::new(&format!("more{n}"), "1.0").build()).collect();
        let all = "demo stranger more0 more1 more2 more3 more4 more5 more6";
        let publish = |demo: &Deb| {
            let stranger = stranger().build();
            let debs: Vec<&Deb> = [demo, &stranger].into_iter().chain(&more).collect();
            Repo::new(&DESK.other, &debs).give_to(&node);
            node.sh("apt-get -qq update").ok();
        };
        let (bad, good, first) = (deb(&DESK.unsigned), deb(&DESK.v2), deb(&DESK.v1));
        publish(&bad);
        node.sh(&format!("apt-get -s install {all}")).ok();
        node.sh(&format!("apt-get -qq -d -y install {all}")).ok();
        let before = disk(&node);
        let out = refused(&node, &before, "apt", &format!("apt-get -y install {all}"), "it is not signed");
        out.code(100).says("apt-mark hold demo");
        node.sh("apt-mark hold demo && apt-get -y install stranger more0 more1 more2 more3 more4 more5 more6").ok();
        node.sh("apt-mark unhold demo && apt-get -y purge 'more*' && apt-get clean").ok();
        publish(&good);
        // Above five packages apt hands dpkg a folder of links.
        node.sh(&format!("apt-get -y install {all}")).ok();
        assert_eq!(node.state_of("demo"), "ii");
        node.sh("apt-get -y purge demo").ok();
        publish(&first);
        node.sh("apt-get -y install demo").ok();
        node.sh("mkdir -p '/root/a b' && cp /srv/repo/demo_2.0_amd64.deb '/root/a b/c d.deb'").ok();
        node.write("/root/a b/c d.deb", &DESK.by_other);
        let before = disk(&node).without(&["/var/lib/apt", "/var/cache"]);
        let out = node.sh("cd '/root/a b' && apt-get -y install './c d.deb'").fails().says("which is not trusted");
        out.says("c d.deb is refused");
        before.assert_same(&disk(&node).without(&["/var/lib/apt", "/var/cache"]));
        for deb in [bad, good, first] {
            std::fs::remove_dir_all(deb.path().parent().unwrap_or(Path::new("/nonexistent"))).unwrap();
        }
    }
}

#[test]
fn without_its_program_or_its_package_dpkg_and_apt_work_and_the_old_prerm_still_judges() {
    if !need_root() {
        return;
    }
    for suite in Suite::ALL {
        let node = guarded(suite);
        node.write("/root/v2.deb", &DESK.v2);
        node.write("/root/by-other.deb", &DESK.by_other);
        node.run(["dpkg", "-i", "/root/v2.deb"]).ok();
        let stranger = stranger().build();
        Repo::new(&DESK.other, &[&stranger]).give_to(&node);
        node.sh("apt-get -qq update").ok();
        // One that is there and can't be run at all: said, and nothing stops.
        node.sh("mv /usr/bin/debseal /root/debseal; printf '#!/nonexistent\\n' >/usr/bin/debseal; chmod +x /usr/bin/debseal").ok();
        node.install(&stranger).ok().says("debseal can't be run: no package is checked");
        node.sh("dpkg -P stranger; rm /usr/bin/debseal").ok();
        node.install(&stranger).ok().never_says("debseal");
        node.sh("dpkg -P stranger").ok();
        node.sh("apt-get -y install stranger").ok().never_says("debseal");
        node.sh("apt-get -y purge stranger").ok();
        // A successor that somebody put there after the gate had looked.
        node.run(["dpkg", "-i", "/root/by-other.deb"]).fails().says("version 2.0 is refused");
        assert_eq!(node.state_of("demo"), "ii");
        // A removal leaves snippets that do nothing, a purge none; keys and policies are the admin's.
        node.run(["dpkg", "-r", "debseal"]).ok();
        assert!(node.exists("/etc/dpkg/dpkg.cfg.d/debseal") && node.exists("/etc/apt/apt.conf.d/20debseal"));
        node.sh("apt-get -y install stranger && apt-get -y purge stranger").ok().never_says("debseal");
        node.run(["dpkg", "-P", "debseal"]).ok();
        for gone in
            ["/etc/dpkg/dpkg.cfg.d/debseal", "/etc/apt/apt.conf.d/20debseal", "/var/lib/debseal", "/var/log/debseal"]
        {
            assert!(!node.exists(gone), "{gone}");
        }
        assert!(node.exists(POLICY));
        node.run(["dpkg", "-i", "/root/by-other.deb"]).fails().says("version 2.0 is refused");
    }
}

#[test]
fn a_published_repository_serves_apt_and_an_altered_one_does_not() {
    if !need_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (deb, repo) = (dir.path().join("any name.deb"), dir.path().join("repo"));
    std::fs::write(&deb, &DESK.v2).unwrap();
    for _ in 0..2 {
        // A second time over the first: what is there is replaced.
        host_run(
            Command::new(dist::workspace().join("scripts/repo.sh"))
                .env("GNUPGHOME", DESK.key.home())
                .env("REPO", &repo)
                .arg(DESK.key.fingerprint())
                .arg(&deb),
        );
    }
    let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(names.len(), 2, "nothing is left beside it: {names:?}");
    for suite in Suite::ALL {
        let node = guarded(suite);
        let give = || {
            for file in std::fs::read_dir(&repo).unwrap().flatten() {
                node.put_file(&file.path(), &format!("/srv/repo/{}", file.file_name().to_string_lossy()));
            }
        };
        give();
        node.sh("rm -rf /etc/apt/sources.list.d/* /var/lib/apt/lists/*").ok();
        node.write("/etc/apt/sources.list", "deb [signed-by=/srv/repo/key.pgp] file:/srv/repo ./\n");
        node.sh("apt-get -qq update && apt-get -y install demo").ok();
        node.run(["demo"]).ok().says("2.0");
        node.run(["apt-cache", "policy"]).ok().says("o=pve-network-rs");
        node.sh(
            "apt-get -y purge demo && echo >>/srv/repo/Packages && rm -rf /srv/repo/Packages.gz /var/lib/apt/lists/*",
        )
        .ok();
        node.sh("apt-get update && apt-get -y install demo").fails();
        assert_eq!(node.state_of("demo"), "un");
    }
}

#[test]
fn a_first_install_without_the_gate() {
    if !need_root() {
        return;
    }
    let node = Node::with_packages(Suite::Bookworm, &["libgpgme11"]);
    node.put_file(&dist::debseal(), "/usr/local/bin/debseal");
    node.chmod("/usr/local/bin/debseal", 0o755);
    node.write("/root/key.pgp", DESK.key.certificate());
    node.write("/root/v2.deb", &DESK.v2);
    node.write("/root/bad.deb", &DESK.by_other);
    let before = disk(&node);
    refused(&node, &before, "no key", "debseal install /root/v2.deb", "nobody is trusted");
    refused(
        &node,
        &before,
        "other",
        "debseal install --key /root/key.pgp /root/v2.deb /root/bad.deb",
        "which is not trusted",
    );
    node.run(["debseal", "install", "--dry-run", "--key", "/root/key.pgp", "/root/v2.deb"])
        .ok()
        .says("nothing was installed");
    node.run(["debseal", "install", "--key", "/root/key.pgp", "/root/v2.deb"]).ok().says("demo 2.0, signed");
    assert_eq!(node.state_of("demo"), "ii");
    assert!(node.ls("/run").iter().all(|name| !name.contains("debseal")), "{:?}", node.ls("/run"));
}
