//! The outer archive: members added, doubled, moved, renamed; headers with two readings.

use super::{By, Case, Desk};
use crate::bytes::{Ar, ArMember};
use crate::package::DATE;

pub fn cases(desk: &Desk) -> Vec<Case> {
    let good = desk.demo();
    let evil =
        desk.demo().data(|tar| tar.change("./usr/bin/demo", |_| crate::bytes::program("./usr/bin/demo", b"evil\n")));
    let evil_data = || evil.ar().members[2].clone();
    let forged = |name, why, edit: &dyn Fn(&mut Ar)| Case::new("container", By::Forger, name, why, good.spoiled(edit));
    let raw = |name, why, deb: Vec<u8>| Case::new("container", By::Forger, name, why, deb);
    // A signature's size differs by a byte from one to the next: one of an odd size is padded.
    let padded = |name, padding: &'static [u8]| {
        let mut ar = std::iter::repeat_with(|| good.ar()).find(|ar| ar.members[3].content.len() % 2 == 1).unwrap();
        ar.members[3].padding = padding.to_vec();
        Case::new("container", By::Forger, name, "padding byte", ar.bytes())
    };
    let whole = good.build();
    let extra = |name: &str, content: &[u8]| ArMember::new(name, DATE, content.to_vec());
    vec![
        raw("nothing at all", "this is no .deb", Vec::new()),
        raw("the magic alone", "debian-binary is missing", b"!<arch>\n".to_vec()),
        raw("half a magic", "this is no .deb", b"!<ar".to_vec()),
        raw("a script", "this is no .deb", b"#!/bin/sh\necho demo\n".to_vec()),
        raw("cut off in the first header", "cut off in its first header", whole[..40].to_vec()),
        raw("cut off in the payload", "cut off", whole[..whole.len() / 2].to_vec()),
        raw("cut off by one byte", "cut off|is missing", whole[..whole.len() - 1].to_vec()),
        raw("junk in front", "this is no .deb", [b"junk", &whole[..]].concat()),
        raw("a newline behind", "bytes behind the last member", [&whole[..], b"\n"].concat()),
        raw("zeros behind", "does not end as it must", [&whole[..], &[0; 512]].concat()),
        raw("another package behind", "does not end as it must", [&whole[..], &evil.build()].concat()),
        raw("another package in front", "out of order", [&evil.build()[..], &whole[8..]].concat()),
        raw("the archive of dpkg 0.93", "this is no .deb", ancient(&good.ar())),
        forged("a thin archive", "this is no .deb", &|ar| ar.magic = b"!<thin>\n".to_vec()),
        forged("no control archive", "expected control.tar", &|ar| drop(ar.members.remove(1))),
        forged("no payload", "expected data.tar", &|ar| drop(ar.members.remove(2))),
        forged("no debian-binary", "expected debian-binary", &|ar| drop(ar.members.remove(0))),
        forged("no signature", "it is not signed", &|ar| drop(ar.members.remove(3))),
        forged("the payload twice, ours first", "expected _gpgorigin", &|ar| ar.members.insert(3, evil_data())),
        forged("the payload twice, ours last", "expected _gpgorigin", &|ar| ar.members.insert(2, evil_data())),
        forged("a second payload behind the signature", "out of order", &|ar| ar.members.push(evil_data())),
        forged("a second payload, packed otherwise, first", "expected _gpgorigin", &|ar| {
            let mut member = evil_data();
            member.name = b"data.tar.gz".to_vec();
            member.content = crate::tools::gzip(&member.content);
            ar.members.insert(2, member);
        }),
        forged("a second payload, packed otherwise, last", "expected _gpgorigin", &|ar| {
            let mut member = evil_data();
            member.name = b"data.tar.xz".to_vec();
            member.content = crate::tools::xz(&member.content);
            ar.members.insert(3, member);
        }),
        forged("two control archives, ours first", "expected data.tar", &|ar| {
            let member = evil.ar().members[1].clone();
            ar.members.insert(2, member);
        }),
        forged("two control archives, ours last", "expected data.tar", &|ar| {
            let member = evil.ar().members[1].clone();
            ar.members.insert(1, member);
        }),
        forged("a second control archive, packed otherwise", "expected data.tar", &|ar| {
            let mut member = evil.ar().members[1].clone();
            member.name = b"control.tar.gz".to_vec();
            member.content = crate::tools::gzip(&member.content);
            ar.members.insert(1, member);
        }),
        forged("two signatures of one name", "expected the end", &|ar| ar.members.push(ar.members[3].clone())),
        forged("the signature first", "expected debian-binary", &|ar| {
            let member = ar.members.remove(3);
            ar.members.insert(0, member);
        }),
        forged("the signature before the payload", "expected data.tar", &|ar| ar.members.swap(2, 3)),
        forged("payload before control", "expected control.tar", &|ar| ar.members.swap(1, 2)),
        forged("debian-binary last", "expected debian-binary", &|ar| {
            let member = ar.members.remove(0);
            ar.members.push(member);
        }),
        forged("debian-binary twice", "expected control.tar", &|ar| ar.members.insert(1, ar.members[0].clone())),
        forged("debian-binary says 2.1", "does not say 2.0", &|ar| ar.members[0].content = b"2.1\n".to_vec()),
        forged("debian-binary says 3.0", "does not say 2.0", &|ar| ar.members[0].content = b"3.0\n".to_vec()),
        forged("debian-binary goes on", "impossible size", &|ar| ar.members[0].content = b"2.0\nmore\n".to_vec()),
        forged("debian-binary without a newline", "impossible size", &|ar| ar.members[0].content = b"2.0".to_vec()),
        forged("debian-binary is empty", "impossible size", &|ar| ar.members[0].content.clear()),
        forged("a member dpkg passes over", "does not belong there", &|ar| {
            ar.members.insert(1, extra("_extra", b"x\n"))
        }),
        forged("a member behind", "does not belong there", &|ar| ar.members.push(extra("_gpgbuilder", b"x\n"))),
        forged("a table of long names", "does not belong there", &|ar| {
            ar.members.insert(0, extra("//", b"data.tar/\n"))
        }),
        forged("a symbol table", "does not belong there", &|ar| ar.members.insert(0, extra("/", b"\0\0\0\0"))),
        forged("a name of BSD's long form", "does not belong there", &|ar| {
            ar.members[2].name = b"#1/8".to_vec();
            ar.members[2].content.splice(0..0, *b"data.tar");
        }),
        forged("a name in capitals", "does not belong there", &|ar| ar.members[2].name = b"DATA.TAR".to_vec()),
        forged("a name behind a space", "does not belong there", &|ar| ar.members[2].name = b" data.tar".to_vec()),
        forged("a name that ends in NUL", "does not belong there", &|ar| ar.members[2].name = b"data.tar\0".to_vec()),
        forged("a name with a path", "does not belong there", &|ar| ar.members[2].name = b"./data.tar".to_vec()),
        forged("a name with a second slash", "does not belong there", &|ar| {
            ar.members[2].name = b"data.tar//".to_vec()
        }),
        forged("a slash behind one name only", "some member names end in '/'", &|ar| ar.members[2].name.push(b'/')),
        forged("an ending that dpkg does not know", "does not belong there", &|ar| {
            ar.members[2].name = b"data.tar.".to_vec()
        }),
        forged("a payload by bzip2", "does not belong there", &|ar| ar.members[2].name = b"data.tar.bz2".to_vec()),
        forged("a payload by lzma", "does not belong there", &|ar| ar.members[2].name = b"data.tar.lzma".to_vec()),
        forged("a size with a zero in front", "not a canonical number", &|ar| {
            ar.members[2].size = Some(format!("0{}", ar.members[2].content.len()));
        }),
        forged("a size behind a space", "not a canonical number", &|ar| {
            ar.members[2].size = Some(format!(" {}", ar.members[2].content.len()));
        }),
        forged("a size with a sign", "not a canonical number", &|ar| {
            ar.members[2].size = Some(format!("+{}", ar.members[2].content.len()));
        }),
        forged("a size below zero", "not a canonical number", &|ar| ar.members[2].size = Some("-1".into())),
        forged("a size in hexadecimal", "not a canonical number", &|ar| ar.members[2].size = Some("0x400".into())),
        forged("a size of nothing", "not a canonical number", &|ar| ar.members[2].size = Some(String::new())),
        forged("a size beyond the end", "cut off", &|ar| ar.members[2].size = Some("8000000000".into())),
        forged("the greatest size", "impossible size", &|ar| ar.members[2].size = Some("9999999999".into())),
        forged("an empty payload", "impossible size", &|ar| ar.members[2].content.clear()),
        forged("an empty control archive", "impossible size", &|ar| ar.members[1].content.clear()),
        forged("a size that swallows the signature", "it is not signed", &|ar| {
            let (signature, data) = (ar.members.remove(3), &mut ar.members[2]);
            data.content.extend(Ar { magic: Vec::new(), ..Ar::of(vec![signature]) }.bytes());
        }),
        padded("another padding byte", b"\0"),
        padded("no padding byte", b""),
        forged("another end of a header", "does not end as it must", &|ar| ar.members[2].end = *b"\n`"),
        forged("another time", "the manifest says", &|ar| ar.members[2].time = "1700000001".into()),
        forged("another owner", "owner or mode of member", &|ar| ar.members[2].owner = "1000".into()),
        forged("another group", "owner or mode of member", &|ar| ar.members[2].group = "1000".into()),
        forged("another mode", "owner or mode of member", &|ar| ar.members[2].mode = "100755".into()),
        forged("a mode that is no number", "not a canonical number", &|ar| ar.members[2].mode = "rw-r--".into()),
        forged("more than a signature", "impossible size", &|ar| ar.members[3].content = vec![0xc2; (1 << 20) + 2]),
    ]
}

/// deb-old(5): what dpkg still reads.
fn ancient(ar: &Ar) -> Vec<u8> {
    let (control, data) = (crate::tools::gzip(&ar.members[1].content), crate::tools::gzip(&ar.members[2].content));
    [format!("0.939000\n{}\n", control.len()).as_bytes(), &control, &data].concat()
}
