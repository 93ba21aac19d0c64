//! The manifest: what it says of itself, and what it says of the package. All of these are signed.

use super::{By, Case, Desk};
use crate::bytes::{Tar, file, link, program};
use crate::package::Package;

pub fn cases(desk: &Desk) -> Vec<Case> {
    let of = |name, why, package: Package| Case::new("manifest", By::Key, name, why, package.build());
    let swap = |name, why, from: &'static str, to: &'static str| {
        of(
            name,
            why,
            desk.demo().manifest(move |text| {
                assert!(text.contains(from), "{text} holds {from}");
                *text = text.replacen(from, to, 1);
            }),
        )
    };
    let text = |name, why, edit: fn(&mut String)| of(name, why, desk.demo().manifest(edit));
    let data = |name, why, edit: &dyn Fn(&mut Tar)| of(name, why, desk.demo().data(edit));
    let bin = "./usr/bin/demo";
    vec![
        text("none of JSON", "the manifest is damaged", |t| *t = "format = 1\n".into()),
        text("empty", "the manifest is damaged", String::clear),
        text("a list", "the manifest is damaged", |t| *t = format!("[{t}]")),
        text("cut off", "the manifest is damaged", |t| t.truncate(t.len() - 5)),
        text("something behind it", "the manifest is damaged", |t| t.push_str("{}")),
        text("twice", "the manifest is damaged", |t| *t = t.repeat(2)),
        text("a byte order mark", "the manifest is damaged", |t| t.insert(0, '\u{feff}')),
        text("a thousand brackets deep", "the manifest is damaged", |t| {
            *t = t.replacen("\"demo\"", &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), 1);
        }),
        swap("a format of tomorrow", "has format 2", "\"format\":1", "\"format\":2"),
        swap("format 0", "no format 0", "\"format\":1", "\"format\":0"),
        swap("a format below zero", "the manifest is damaged", "\"format\":1", "\"format\":-1"),
        swap("a format beyond all numbers", "the manifest is damaged", "\"format\":1", "\"format\":4294967297"),
        swap("no format", "the manifest is damaged", "\"format\":1,", ""),
        swap("two formats", "duplicate field", "\"format\":1", "\"format\":2,\"format\":1"),
        swap("two packages", "duplicate field", "\"package\":\"demo\"", "\"package\":\"other\",\"package\":\"demo\""),
        swap(
            "two packages, one by escapes",
            "duplicate field",
            "\"package\":\"demo\"",
            "\"package\":\"demo\",\"\\u0070ackage\":\"other\"",
        ),
        swap("two versions", "duplicate field", "\"version\":\"1.0\"", "\"version\":\"9.0\",\"version\":\"1.0\""),
        swap("two payloads", "duplicate field", "\"payload\":", "\"payload\":[],\"payload\":"),
        swap("two lists of control files", "duplicate field", "\"control\":", "\"control\":[],\"control\":"),
        swap("two digests", "duplicate field", "\"sha256\":", "\"sha256\":\"00\",\"sha256\":"),
        swap("of another package", "belongs to package", "\"package\":\"demo\"", "\"package\":\"other\""),
        swap("of a package with a path", "not a package name", "\"package\":\"demo\"", "\"package\":\"../demo\""),
        swap("of another version", "belongs to version", "\"version\":\"1.0\"", "\"version\":\"9.0\""),
        swap(
            "of another spelling of the version",
            "belongs to version",
            "\"version\":\"1.0\"",
            "\"version\":\"0:1.0\"",
        ),
        swap("of a version that is none", "the manifest is damaged", "\"version\":\"1.0\"", "\"version\":\"1_0\""),
        swap(
            "of another architecture",
            "belongs to architecture",
            "\"architecture\":\"amd64\"",
            "\"architecture\":\"i386\"",
        ),
        swap("of another time", "the manifest says", "\"source_date\":1700000000", "\"source_date\":1700000001"),
        swap(
            "of a time beyond all numbers",
            "the manifest is damaged",
            "\"source_date\":1700000000",
            "\"source_date\":1e99",
        ),
        swap(
            "a minimum version that is none",
            "the manifest is damaged",
            "\"source_date\"",
            "\"minimum_version\":\"?\",\"source_date\"",
        ),
        swap("a mode without its zero", "is no mode", "\"mode\":\"0644\"", "\"mode\":\"644\""),
        swap("a mode beyond all bits", "is no mode", "\"mode\":\"0755\"", "\"mode\":\"10755\""),
        swap("a mode as a number", "the manifest is damaged", "\"mode\":\"0755\"", "\"mode\":493"),
        swap("a path that climbs", "no canonical path", "\"/usr/bin/demo\"", "\"/usr/../demo\""),
        swap("a path that is not absolute", "no canonical path", "\"/usr/bin/demo\"", "\"usr/bin/demo\""),
        swap("a path with two slashes", "no canonical path", "\"/usr/bin/demo\"", "\"/usr//bin/demo\""),
        swap("a path escaped for nothing", "no canonical path", "\"/usr/bin/demo\"", "\"/usr/bin/\\\\x64emo\""),
        swap("a path that ends in a slash", "no canonical path", "\"/usr/bin\"", "\"/usr/bin/\""),
        swap("a path twice", "is there twice", "\"/usr/share\"", "\"/usr/bin\""),
        swap("a kind that is none", "the manifest is damaged", "\"kind\":\"dir\"", "\"kind\":\"device\""),
        swap("another kind", "another kind", "\"kind\":\"dir\"", "\"kind\":\"link\",\"target\":\"x\""),
        swap("a file without a digest", "is incomplete", "\"kind\":\"dir\"", "\"kind\":\"file\""),
        swap(
            "a control file by a path",
            "no name of a control file",
            "\"name\":\"control\"",
            "\"name\":\"../control\"",
        ),
        swap("a control file twice", "is there twice", "\"name\":\"prerm\"", "\"name\":\"preinst\""),
        swap(
            "itself among the control files",
            "no name of a control file",
            "\"name\":\"prerm\"",
            "\"name\":\"manifest\"",
        ),
        swap("a control file that is not there", "not in the manifest", "\"name\":\"prerm\"", "\"name\":\"config\""),
        text("a digest in capitals", "has no SHA-256", upper_digest),
        text("the digests of two files swapped", "was altered", swap_digests),
        text("no payload listed", "not in the manifest", |t| {
            let at = t.find("\"payload\":[").unwrap();
            t.replace_range(at.., "\"payload\":[]}\n");
        }),
        text("no control file listed", "not in the manifest", |t| {
            let (from, to) = (t.find("\"control\":[").unwrap(), t.find("],\n\"payload\"").unwrap());
            t.replace_range(from..to, "\"control\":[");
        }),
        text("65 MiB", "impossible size", |t| t.push_str(&" ".repeat(65 << 20))),
        data("a file of other content", "another SHA-256", &|tar| {
            tar.change(bin, |_| program(bin, b"#!/bin/sh\necho evil\n"))
        }),
        data("a file of other length", "was altered", &|tar| tar.change(bin, |_| program(bin, b"evil"))),
        data("a file more", "not in the manifest", &|tar| tar.push(program("./usr/bin/evil", b"x"))),
        data("a file less", "stands where the manifest has", &|tar| tar.remove(bin)),
        data("the last path less", "not there", &|tar| tar.remove("./usr/share/demo/link")),
        data("another order", "stands where the manifest has", &|tar| tar.members.swap(3, 4)),
        data("another target", "points to", &|tar| tar.change("./usr/share/demo/link", |m| m.target("/etc/shadow"))),
        data("a link where a file was", "another kind", &|tar| tar.change(bin, |_| link(bin, "/bin/sh"))),
        data("a file where a hard link was", "points to", &|tar| {
            tar.change("./usr/share/demo/same", |_| file("./usr/share/demo/same", &[b'x'; 1500]));
        }),
        data("another owner", "it belongs to", &|tar| tar.change(bin, |m| m.owner(1, "daemon"))),
        data("nothing at all", "not there", &|tar| tar.members.clear()),
    ]
}

fn digests(text: &str) -> Vec<usize> {
    text.match_indices("\"sha256\":\"").map(|(at, found)| at + found.len()).collect()
}

fn upper_digest(text: &mut String) {
    let at = digests(text)[0];
    let upper = text[at..at + 64].to_uppercase();
    text.replace_range(at..at + 64, &upper);
}

/// Those of the control file and of the first script.
fn swap_digests(text: &mut String) {
    let (one, two) = (digests(text)[0], digests(text)[1]);
    let (first, second) = (text[one..one + 64].to_owned(), text[two..two + 64].to_owned());
    text.replace_range(one..one + 64, &second);
    text.replace_range(two..two + 64, &first);
}
