//! The payload's archive: headers with two readings, types that only some readers know.

use super::{By, Case, Desk};
use crate::bytes::{BLOCK, Tar, TarMember, dir, file, hard, link, pax, program, special};

const BIN: &str = "./usr/bin/demo";

pub fn cases(desk: &Desk) -> Vec<Case> {
    let keyed =
        |name, why, edit: &dyn Fn(&mut Tar)| Case::new("tar", By::Key, name, why, desk.demo().data(edit).build());
    let change = |name, why, edit: &dyn Fn(TarMember) -> TarMember| keyed(name, why, &|tar| tar.change(BIN, edit));
    vec![
        keyed("pax: another path", "pax headers", &|tar| {
            tar.before(BIN, [special("./PaxHeaders/x", b'x', &pax("path", "./etc/cron.d/evil"))]);
        }),
        keyed("pax: another size", "pax headers", &|tar| {
            tar.before(BIN, [special("./PaxHeaders/x", b'x', &pax("size", "0"))]);
        }),
        keyed("pax: another target", "pax headers", &|tar| {
            tar.before("./usr/share/demo/link", [special("./PaxHeaders/x", b'x', &pax("linkpath", "/etc/shadow"))]);
        }),
        keyed("pax: for all that follows", "pax headers", &|tar| {
            tar.before("./", [special("./PaxHeaders/g", b'g', &pax("path", "./etc/cron.d/evil"))]);
        }),
        keyed("pax: Solaris' own", "unknown type", &|tar| {
            tar.before(BIN, [special("./PaxHeaders/x", b'X', &pax("path", "./etc/cron.d/evil"))]);
        }),
        keyed("two long names before one member", "two long names", &|tar| {
            tar.before(
                BIN,
                [
                    special("././@LongLink", b'L', b"./usr/bin/demo\0"),
                    special("././@LongLink", b'L', b"./etc/cron.d/evil\0"),
                ],
            );
        }),
        keyed("a long name elsewhere than the short one", "stands where the manifest has", &|tar| {
            tar.before(BIN, [special("././@LongLink", b'L', b"./etc/cron.d/evil\0")]);
        }),
        keyed("a long name with a NUL inside", "long name does not end", &|tar| {
            tar.before(BIN, [special("././@LongLink", b'L', b"./usr/bin/demo\0/../../evil\0")]);
        }),
        keyed("a long name without its NUL", "long name does not end", &|tar| {
            tar.before(BIN, [special("././@LongLink", b'L', b"./usr/bin/demo")]);
        }),
        keyed("a long name of nothing", "a name is 0 bytes long", &|tar| {
            tar.before(BIN, [special("././@LongLink", b'L', b"")]);
        }),
        keyed("a long name of a gigabyte", "bytes long", &|tar| {
            tar.before(BIN, [special("././@LongLink", b'L', b"x").size(1 << 30)]);
        }),
        keyed("a long name at the end", "belongs to no member", &|tar| {
            tar.push(special("././@LongLink", b'L', b"./usr/bin/demo\0"));
        }),
        keyed("a long target elsewhere", "points to", &|tar| {
            tar.before("./usr/share/demo/link", [special("././@LongLink", b'K', b"/etc/shadow\0")]);
        }),
        keyed("a sparse file of GNU's", "unknown type", &|tar| tar.push(special("./usr/share/demo/s", b'S', b""))),
        keyed("a contiguous file", "unknown type", &|tar| tar.push(special("./usr/share/demo/c", b'7', b"x"))),
        keyed("a volume label", "unknown type", &|tar| tar.before("./", [special("label", b'V', b"")])),
        keyed("the rest of another volume", "unknown type", &|tar| tar.push(special("./usr/share/demo/m", b'M', b"x"))),
        keyed("a listed folder of GNU's", "unknown type", &|tar| {
            tar.push(special("./usr/share/demo/d", b'D', b"Yx\0\0"))
        }),
        keyed("a type that nobody knows", "unknown type", &|tar| tar.push(special("./usr/share/demo/q", b'!', b""))),
        change("a wrong checksum", "checksum", &|m| m.checksum(b"000000\0 ")),
        change("a checksum of signed bytes", "checksum", &|m| {
            // What some readers accept besides: the sum over signed characters.
            m.field(329..337, b"\xff").checksum(b"009999\0 ")
        }),
        change("a size in base 256", "the size of", &|m| m.set(124, &[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20])),
        change("a size below zero", "the size of", &|m| m.set(124, &[0xff; 12])),
        change("a size with a sign", "the size of", &|m| m.set(124, b"-0000000001\0")),
        change("a size that is no number", "the size of", &|m| m.set(124, b"0000000x024\0")),
        change("a size of 64 GiB", "cut off", &|m| m.set(124, b"777777777777")),
        change("a size that swallows the next member", "damaged|cut off|in the manifest|SHA-256", &|m| m.size(1024)),
        change("a mode that is no number", "the mode of", &|m| m.set(100, b"rwxr-xr-")),
        change("an owner beyond all numbers", "which differs from machine", &|m| m.set(108, b"77777777")),
        change("an owner that is no number", "the owner of", &|m| m.set(108, b"-1\0\0\0\0\0\0")),
        change("an owner of this machine only", "which differs from machine", &|m| m.owner(1000, "")),
        change("root by number, another by name", "which is not the same", &|m| m.owner(0, "daemon")),
        change("another by number, root by name", "which is not the same", &|m| m.owner(1, "root")),
        change("a prefix of POSIX's", "stands where", &|m| {
            m.ustar().field(0..100, b"cron.d/evil").field(345..500, b"./etc")
        }),
        change("neither POSIX's nor GNU's magic", "neither ustar nor GNU", &|m| m.set(257, b"ustax\x0000")),
        change("POSIX's magic with GNU's version", "neither ustar nor GNU", &|m| m.set(257, b"ustar\0 \0")),
        change("old tar with fields that it has not", "neither ustar nor GNU", &|m| {
            m.field(257..265, b"").field(345..500, b"./etc")
        }),
        keyed("padding that is not zero", "is not zero", &|tar| {
            tar.change("./usr/share/demo/data", |m| {
                let mut m = m.clone();
                m.content.push(b'!');
                m
            });
        }),
        keyed("no end mark", "end mark", &|tar| tar.tail = Some(Vec::new())),
        keyed("half an end mark", "end mark is incomplete", &|tar| tar.tail = Some(vec![0; BLOCK])),
        keyed("an end mark that is cut off", "end mark is incomplete", &|tar| tar.tail = Some(vec![0; BLOCK + 100])),
        keyed("a member behind the end mark", "data behind the end", &|tar| {
            let more = Tar::of([program("./etc/cron.d/evil", b"evil\n")]).bytes();
            tar.tail = Some([&vec![0; 2 * BLOCK][..], &more].concat());
        }),
        keyed("a member behind one zero block", "data behind the end", &|tar| {
            let more = Tar::of([program("./etc/cron.d/evil", b"evil\n")]).bytes();
            tar.tail = Some([&vec![0; BLOCK][..], &more].concat());
        }),
        keyed("two megabytes behind the end mark", "1 MiB of padding", &|tar| tar.tail = Some(vec![0; 2 << 20])),
        keyed("junk in place of a header", "header", &|tar| tar.tail = Some(vec![b'x'; 2 * BLOCK])),
        keyed("cut off in a header", "end mark", &|tar| tar.tail = Some(vec![b'x'; 100])),
        keyed("a folder with content", "is no file but has content", &|tar| {
            tar.push(special("./usr/share/demo/d/", b'5', b"hidden"));
        }),
        keyed("a link with content", "is no file but has content", &|tar| {
            tar.push(special("./usr/share/demo/l", b'2', b"hidden").target("data"));
        }),
        keyed("a hard link with content", "is no file but has content", &|tar| {
            tar.push(special("./usr/share/demo/h", b'1', b"hidden").target("./usr/share/demo/data"));
        }),
        keyed("a file twice, the second another", "is there twice", &|tar| tar.push(program(BIN, b"evil\n"))),
        keyed("a file twice, written otherwise", "is there twice", &|tar| tar.push(program("usr/bin/demo", b"evil\n"))),
        keyed("a file that was a folder", "is there twice", &|tar| tar.push(file("./usr/share/demo", b"x"))),
        keyed("a folder that was a file", "is there twice", &|tar| tar.push(dir("./usr/bin/demo/"))),
        keyed("a link, then a file through it", "is there twice", &|tar| tar.push(file("./usr/share/demo/link", b"x"))),
        keyed("a hard link to what comes later", "hard link to no earlier file", &|tar| {
            tar.before(BIN, [hard("./usr/bin/h", BIN)]);
        }),
        keyed("a hard link to a folder", "hard link to no earlier file", &|tar| {
            tar.push(hard("./usr/bin/h", "./usr/bin"))
        }),
        keyed("a hard link of another mode", "one file of two", &|tar| {
            tar.push(hard("./usr/bin/h", "./usr/share/demo/data").mode(0o4755));
        }),
        keyed("a target of nothing", "points nowhere", &|tar| tar.push(link("./usr/share/demo/l", ""))),
    ]
}
