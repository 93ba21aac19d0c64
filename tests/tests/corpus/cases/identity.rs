//! Which package is it? Files that are, or would take the place of, a named package, and hide it.

use super::{By, Case, Desk};
use crate::bytes::{Tar, file, hard, link};
use crate::package::Package;

pub fn cases(desk: &Desk) -> Vec<Case> {
    let stranger = || Package::new("stranger", "1.0", &desk.other).unsigned();
    let demo = || desk.demo().unsigned();
    let case = |name, why, gate, package: Package| Case {
        gate: Some(gate),
        ..Case::new("identity", By::Forger, name, why, package.build())
    };
    let field = |name, line: &'static str| {
        case(name, "nobody is trusted", "it would replace demo", stranger().control(move |c| format!("{c}{line}\n")))
    };
    let named = |name, why, gate, line: &'static str| {
        case(name, why, gate, demo().control(move |c| c.replace("Package: demo\n", line)))
    };
    let two = |name, why, gate, edit: fn(&mut Tar, &str)| {
        let control = demo().control;
        case(name, why, gate, stranger().control_tar(move |tar| edit(tar, &control)))
    };
    let demo_again = |name, why, gate, edit: fn(&mut Tar, &str)| {
        let control = stranger().control;
        case(name, why, gate, demo().control_tar(move |tar| edit(tar, &control)))
    };
    vec![
        field("provides it", "Provides: demo"),
        field("provides a version of it", "Provides: other (= 2), demo (= 1.0)"),
        field("provides it for any architecture", "Provides: demo:any"),
        field("replaces it", "Replaces: demo (<< 9)"),
        field("conflicts with it", "Conflicts: demo"),
        field("provides it in the second line", "Provides: other,\n demo"),
        field("provides it without spaces", "Provides:other,demo"),
        field("provides it in odd capitals", "pROVIDES: Demo"),
        field("replaces it among many", "Replaces: a, b | demo (= 1) [amd64], c"),
        named("a name in capitals", "not a package name", "refused", "Package: DEMO\n"),
        named("a name in mixed letters", "not a package name", "refused", "Package: Demo\n"),
        named("a name between tabs", "it is not signed", "it is not signed", "Package:\t demo \t\n"),
        named("a field name in odd letters", "it is not signed", "it is not signed", "pAcKaGe: demo\n"),
        named("a name in the second line", "not a package name", "refused", "Package:\n demo\n"),
        named("two names", "is there twice", "refused", "Package: stranger\nPackage: demo\n"),
        named("a name of two lines", "not a package name", "refused|not understood", "Package: demo\n x\n"),
        named("a name behind a comment", "is no field", "refused", "# Package: stranger\nPackage: demo\n"),
        named("a name behind an empty line", "is no field", "refused", "\nPackage: demo\n"),
        named("a name with its architecture", "not a package name", "refused", "Package: demo:amd64\n"),
        named("a name with a carriage return", "control character", "refused", "Package: demo\r\n"),
        two("a stranger's control file, then ours", "is there twice", "refused", |tar, c| {
            tar.push(file("./control", c.as_bytes()))
        }),
        two("ours in another spelling behind a stranger's", "is there twice", "refused", |tar, c| {
            tar.push(file("control", c.as_bytes()))
        }),
        two("a link as control file to ours", "without dots", "refused", |tar, c| {
            tar.push(file("./other", c.as_bytes()));
            tar.remove("./control");
            tar.push(link("./control", "other"));
        }),
        two("a hard link as control file to ours", "without dots", "refused", |tar, c| {
            tar.push(file("./other", c.as_bytes()));
            tar.remove("./control");
            tar.push(hard("./control", "./other"));
        }),
        two("ours by a path up and down", "climbs out", "refused", |tar, c| {
            tar.push(file("./x/../control", c.as_bytes()))
        }),
        two("ours behind a dot and a slash more", "no canonical path", "refused", |tar, c| {
            tar.push(file("././control", c.as_bytes()))
        }),
        demo_again("ours, and a stranger's in a folder", "without dots", "refused", |tar, c| {
            tar.push(file("./x/control", c.as_bytes()))
        }),
        demo_again("ours, and a stranger's in capitals", "it is not signed", "it is not signed", |tar, c| {
            tar.push(file("./CONTROL", c.as_bytes()));
        }),
    ]
}
