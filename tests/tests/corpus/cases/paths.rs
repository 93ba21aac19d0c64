//! Paths that leave the root, devices, and programs that run as another.

use super::{By, Case, Desk};
use crate::bytes::{Tar, TarMember, dir, file, hard, link, program, special};

pub fn cases(desk: &Desk) -> Vec<Case> {
    let of = |class, name, why, edit: &dyn Fn(&mut Tar)| {
        Case::new(class, By::Key, name, why, desk.demo().data(edit).build())
    };
    let add = |name, why, member: TarMember| {
        of("paths that leave the root", name, why, &|tar: &mut Tar| tar.push(member.clone()))
    };
    let several = |name, why, members: &[TarMember]| {
        of("paths that leave the root", name, why, &|tar: &mut Tar| tar.members.extend_from_slice(members))
    };
    let device =
        |name, why, member: TarMember| of("devices and set-uid", name, why, &|tar: &mut Tar| tar.push(member.clone()));
    let mode = |name, path: &'static str, mode| {
        of("devices and set-uid", name, "its mode is", &move |tar: &mut Tar| tar.change(path, |m| m.mode(mode)))
    };
    let deep = format!("./{}x", "d/".repeat(40));
    let long_name = format!("./{}\0", "d/".repeat(400) + "x");
    vec![
        add("an absolute path", "absolute path", file("/etc/cron.d/evil", b"x")),
        add("two slashes in front", "absolute path", file("//etc/cron.d/evil", b"x")),
        add("up from the top", "climbs out", file("../etc/cron.d/evil", b"x")),
        add("up behind the dot", "climbs out", file("./../etc/cron.d/evil", b"x")),
        add("up from inside", "climbs out", file("./usr/../../etc/cron.d/evil", b"x")),
        add("up and down again", "climbs out", file("./usr/bin/../bin/evil", b"x")),
        add("up at the end", "climbs out", dir("./usr/bin/..")),
        add("a dot inside", "no canonical path", file("./usr/./bin/evil", b"x")),
        add("two slashes inside", "no canonical path", file("./usr//bin/evil", b"x")),
        add("two dots and slashes in front", "no canonical path", file("././usr/bin/evil", b"x")),
        add("a file that ends in a slash", "is no directory", file("./usr/bin/evil/", b"x")),
        add("a path of nothing", "0 bytes long", file("", b"x")),
        add("a dot alone as file", "no canonical path", file(".", b"x")),
        add("a newline in a name", "not in the manifest", file("./usr/bin/evil\n", b"x")),
        add("bytes that are no text", "not in the manifest", file("./usr/bin/evil", b"x").set(12, b"\xff\xfe")),
        add("an escape for the terminal", "not in the manifest", file("./usr/bin/\x1b[2J", b"x")),
        add("one folder deep after another", "not in the manifest", file(&deep, b"x")),
        several(
            "400 folders deep",
            "deeper than 128",
            &[special("././@LongLink", b'L', long_name.as_bytes()), file("./x", b"x")],
        ),
        several(
            "a name of 5000 bytes",
            "bytes long",
            &[special("././@LongLink", b'L', format!("./{}\0", "n".repeat(5000)).as_bytes()), file("./x", b"x")],
        ),
        add("a link up and out", "points out of the root", link("./usr/share/demo/l", "../../../../etc")),
        add("a link up, down, and out", "points out of the root", link("./usr/share/demo/l", "a/../../../../../etc")),
        add("an absolute link with dots", "points out of the root", link("./usr/share/demo/l", "/../etc")),
        several(
            "a link, then a file below it",
            "which is no directory",
            &[link("./usr/share/demo/out", "/etc/cron.d"), file("./usr/share/demo/out/evil", b"x")],
        ),
        several(
            "a link to the top, then a file below it",
            "which is no directory",
            &[link("./usr/share/demo/out", "../../.."), file("./usr/share/demo/out/etc/evil", b"x")],
        ),
        several(
            "a link over a folder that is there",
            "is there twice",
            &[link("./usr/share/demo", "/etc/cron.d"), file("./usr/share/demo/evil", b"x")],
        ),
        several(
            "a file, then a file below it",
            "which is no directory",
            &[file("./usr/share/demo/f", b"x"), file("./usr/share/demo/f/evil", b"x")],
        ),
        add("a hard link to outside", "absolute path", hard("./usr/share/demo/h", "/etc/shadow")),
        add("a hard link up and out", "climbs out", hard("./usr/share/demo/h", "../../etc/shadow")),
        add("a hard link to what is not shipped", "no earlier file", hard("./usr/share/demo/h", "./etc/shadow")),
        add("a hard link to a link", "no earlier file", hard("./usr/share/demo/h", "./usr/share/demo/link")),
        device(
            "a block device",
            "is a device",
            special("./usr/share/demo/sda", b'4', b"").set(329, b"0000010").set(337, b"0000000"),
        ),
        device(
            "a character device",
            "is a device",
            special("./usr/share/demo/mem", b'3', b"").set(329, b"0000001").set(337, b"0000001"),
        ),
        device("a named pipe", "named pipe", special("./usr/share/demo/pipe", b'6', b"")),
        device("a set-uid program more", "not in the manifest", program("./usr/bin/sh2", b"x").mode(0o4755)),
        device("a set-gid folder more", "not in the manifest", dir("./usr/share/demo/d/").mode(0o2777)),
        mode("set-uid where the manifest has none", "./usr/bin/demo", 0o4755),
        mode("set-gid where the manifest has none", "./usr/bin/demo", 0o2755),
        mode("writable for all", "./usr/bin/demo", 0o777),
        mode("a folder writable for all", "./usr/bin/", 0o1777),
        mode("a folder that others can't enter", "./usr/share/demo/", 0o700),
    ]
}
