//! The control archive: what dpkg would run as root, or keep in its database.

use super::{By, Case, Desk};
use crate::bytes::{Tar, TarMember, dir, file, hard, link, pax, program, special};
use crate::package::hook;

const EVIL: &[u8] = b"#!/bin/sh\ntouch /evil\n";

pub fn cases(desk: &Desk) -> Vec<Case> {
    let of = |name, why, package: crate::package::Package| Case::new("control", By::Key, name, why, package.build());
    let tar = |name, why, edit: fn(&mut Tar)| of(name, why, desk.demo().control_tar(edit));
    let text = |name, why, edit: &dyn Fn(&str) -> String| of(name, why, desk.demo().control(edit));
    let add = |name, why, new: fn() -> TarMember| tar_with(desk, name, why, new);
    vec![
        add("a postinst more, behind", "is there twice", || program("./postinst", EVIL)),
        add("a postinst more, written otherwise", "is there twice", || program("postinst", EVIL)),
        add("a script that nobody lists", "not in the manifest", || program("./config", EVIL)),
        add("triggers that nobody lists", "not in the manifest", || file("./triggers", b"activate ldconfig\n")),
        add("conffiles that nobody lists", "not in the manifest", || file("./conffiles", b"/etc/shadow\n")),
        add("a name with a dot", "without dots", || file("./demo.list", b"/etc/shadow\n")),
        add("a name in a folder", "without dots", || file("./sub/postinst", EVIL)),
        add("a folder", "without dots", || dir("./sub/")),
        add("a link to a shell", "without dots", || link("./config", "/bin/sh")),
        add("a hard link to a script", "without dots", || hard("./config", "./postinst").mode(0o755)),
        add("a device", "is a device", || special("./null", b'3', b"")),
        add("a path up and out", "climbs out", || file("./../../../../etc/cron.d/evil", b"x")),
        add("an absolute path", "absolute path", || file("/etc/cron.d/evil", b"x")),
        add("a second manifest", "is there twice", || file("./manifest", b"{}")),
        add("a second manifest in capitals", "not in the manifest", || file("./Manifest", b"{}")),
        tar("a postinst more, in front", "is there twice", |tar| {
            tar.before("./preinst", [program("./postinst", EVIL)])
        }),
        tar("a postinst by pax", "pax headers", |tar| {
            tar.before("./preinst", [special("./x", b'x', &pax("path", "postinst")), program("./y", EVIL)]);
        }),
        tar("a postinst by a long name", "without dots", |tar| {
            tar.before("./preinst", [special("././@LongLink", b'L', b"./sub/postinst\0"), program("./y", EVIL)]);
        }),
        tar("one script is another program", "was altered", |tar| {
            tar.change("./postinst", |_| program("./postinst", EVIL))
        }),
        tar("a script is missing", "not there", |tar| tar.remove("./prerm")),
        tar("a script nobody may run", "has mode 0644", |tar| tar.change("./prerm", |m| m.mode(0o644))),
        tar("a set-uid script", "has mode 4755", |tar| tar.change("./prerm", |m| m.mode(0o4755))),
        tar("no control file", "no control file", |tar| tar.remove("./control")),
        tar("control is a link", "without dots", |tar| tar.change("./control", |_| link("./control", "/etc/hostname"))),
        tar("control is a folder", "without dots", |tar| tar.change("./control", |_| dir("./control/"))),
        tar("control of another day", "was altered", |tar| {
            tar.change("./control", |m| file("./control", &[&m.content[..], b"Essential: yes\n"].concat()));
        }),
        tar("an archive of nothing", "no control file", |tar| tar.members.clear()),
        tar("1200 files", "more than 1000 files", |tar| {
            (0..1200).for_each(|n| tar.push(file(&format!("./f{n}"), b"x")));
        }),
        of("a script that the manifest lists, another than the rest", "another program", {
            desk.demo().files(|files| files[1].2 = EVIL.to_vec())
        }),
        of(
            "a script that the manifest lists with mode 0644",
            "not 0755",
            desk.demo().files(|files| files[2].1 = 0o644),
        ),
        of("a script that the manifest leaves out", "is missing", desk.demo().files(|files| drop(files.remove(3)))),
        of(
            "scripts without a policy",
            "carry no hooks.toml",
            desk.demo().files(|files| {
                files.iter_mut().for_each(|f| f.2 = EVIL.to_vec());
            }),
        ),
        of(
            "scripts with half a policy",
            "sealed policy is damaged",
            desk.demo().files(|files| {
                files.iter_mut().for_each(|f| {
                    let at = f.2.len() - 60;
                    f.2[at] ^= 1;
                });
            }),
        ),
        of(
            "scripts whose policy is longer than they",
            "lengths are impossible",
            desk.demo().files(|files| {
                files.iter_mut().for_each(|f| {
                    let at = f.2.len() - 56;
                    f.2[at + 2] = 1;
                });
            }),
        ),
        of(
            "scripts that trust junk",
            "sealed into the hooks",
            desk.demo().files(|files| {
                let hook = seal::trailer::append(b"#!/bin/sh\nexit 0\n", b"format = 1\n", b"junk");
                files.iter_mut().for_each(|f| f.2.clone_from(&hook));
            }),
        ),
        of(
            "scripts with something behind the policy",
            "carry no hooks.toml",
            desk.demo().files(|files| {
                files.iter_mut().for_each(|f| f.2 = [&hook()[..], b"\n"].concat());
            }),
        ),
        text("a field twice", "is there twice", &|c| format!("{c}Version: 2.0\n")),
        text("a field twice, in capitals", "is there twice", &|c| format!("{c}VERSION: 2.0\n")),
        text("a second paragraph", "is no field", &|c| format!("{c}\nPackage: other\nVersion: 1\n")),
        text("a comment", "is no field", &|c| format!("{c}#Version: 2.0\n")),
        text("a carriage return", "control character", &|c| c.replace("1.0\n", "1.0\r\n")),
        text("a NUL", "control character", &|c| c.replace("made", "ma\0de")),
        text("a line that continues nothing", "continues no field", &|c| format!(" x\n{c}")),
        text("a blank line with a space", "is blank", &|c| format!("{c} \n x\n")),
        text("a field name with a space", "is no field", &|c| c.replace("Version:", "Version :")),
        text("a signature around it", "is no field", &|c| format!("-----BEGIN PGP SIGNED MESSAGE-----\n\n{c}")),
        text("a byte order mark", "is no field|no field Package", &|c| format!("\u{feff}{c}")),
        text("no version", "no field Version", &|c| c.replace("Version: 1.0\n", "")),
        text("a version that is none", "not a Debian version", &|c| c.replace("1.0", "1_0")),
        text("another version than the manifest's", "belongs to version", &|c| c.replace("1.0", "9.0")),
        text("another architecture than the manifest's", "belongs to architecture", &|c| c.replace("amd64", "all")),
        text("an architecture with a path", "not an architecture", &|c| c.replace("amd64", "../amd64")),
        text("2000 fields", "one field too many", &|c| {
            let more: String = (0..2000).map(|n| format!("X-{n}: x\n")).collect();
            format!("{c}{more}")
        }),
        text("two megabytes", "larger than 1 MiB", &|c| format!("{c}X-Long: {}\n", "x".repeat(2 << 20))),
    ]
}

fn tar_with(desk: &Desk, name: &'static str, why: &'static str, new: fn() -> TarMember) -> Case {
    Case::new("control", By::Key, name, why, desk.demo().control_tar(move |tar| tar.push(new())).build())
}
