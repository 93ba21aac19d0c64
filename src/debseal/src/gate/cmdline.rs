//! dpkg's own command line: which words of it are package files.
//!
//! dpkg has accepted the words before it calls us, so this only has to find the end of the options
//! (dpkg(1); its `dpkg_options_parse` stops at `--` and at the first word that is no option). Where a
//! later dpkg has options that are not known here, every word behind the first such one counts as a
//! file: one too many is not found and no harm, one too few would be a way past the gate.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// What the gate needs of a call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Called {
    /// Nothing will be installed: dpkg before 1.22.7 calls hooks for these too.
    pub(crate) dry_run: bool,
    /// Package files and, with `--recursive` (which may stand in a configuration file), folders.
    pub(crate) files: Vec<OsString>,
}

/// Options whose value may be the next word.
const VALUED: [&str; 13] = [
    "pre-invoke",
    "post-invoke",
    "path-exclude",
    "path-include",
    "verify-format",
    "status-logger",
    "status-fd",
    "log",
    "root",
    "abort-after",
    "admindir",
    "instdir",
    "ignore-depends",
];
/// Options whose value may follow a hyphen, else is the next word.
const HYPHENED: [&str; 3] = ["force", "refuse", "no-force"];
const DRY: [&str; 3] = ["dry-run", "no-act", "simulate"];
const PLAIN: [&str; 14] = [
    "install",
    "unpack",
    "recursive",
    "pending",
    "no-pager",
    "no-debsig",
    "selected-only",
    "triggers",
    "no-triggers",
    "no-also-select",
    "skip-same-version",
    "auto-deconfigure",
    "robot",
    "largemem",
];
/// Short options without a value. `-D` has one.
const SHORT: &[u8] = b"iaRGONEB";

/// Takes `argv`, program name included, apart.
pub(crate) fn parse(argv: &[OsString]) -> Called {
    let mut called = Called::default();
    let mut words = argv.get(1..).unwrap_or_default().iter();
    while let Some(word) = words.as_slice().first() {
        let bytes = word.as_bytes();
        if bytes.len() < 2 || bytes[0] != b'-' {
            break;
        }
        words.next();
        if bytes == b"--" {
            break;
        }
        let next = match bytes.strip_prefix(b"--") {
            Some(name) => long(OsStr::from_bytes(name), &mut called),
            None => short(&bytes[1..]),
        };
        match next {
            Next::Option => {}
            Next::Value => {
                words.next();
            }
            Next::Unknown => break,
        }
    }
    called.files = words.cloned().collect();
    called
}

/// What stands behind an option.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Option,
    Value,
    Unknown,
}

fn long(name: &OsStr, called: &mut Called) -> Next {
    let Some(name) = name.to_str() else { return Next::Unknown };
    let has_value = |known: &str, between: char| name.strip_prefix(known).is_some_and(|v| v.starts_with(between));
    if DRY.contains(&name) {
        called.dry_run = true;
        return Next::Option;
    }
    if PLAIN.contains(&name) {
        return Next::Option;
    }
    if VALUED.contains(&name) || HYPHENED.contains(&name) || name == "debug" {
        return Next::Value;
    }
    if VALUED.iter().any(|known| has_value(known, '='))
        || HYPHENED.iter().any(|known| has_value(known, '-'))
        || name.starts_with("debug=")
    {
        return Next::Option;
    }
    Next::Unknown
}

fn short(mut letters: &[u8]) -> Next {
    while let Some((letter, rest)) = letters.split_first() {
        if *letter == b'D' {
            return if rest.is_empty() { Next::Value } else { Next::Option };
        }
        if !SHORT.contains(letter) {
            return Next::Unknown;
        }
        letters = rest;
    }
    Next::Option
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(line: &[&str]) -> Vec<String> {
        let argv: Vec<OsString> = std::iter::once(&"dpkg").chain(line).map(OsString::from).collect();
        parse(&argv).files.into_iter().map(|f| f.into_string().unwrap()).collect()
    }

    #[test]
    fn files_are_what_follows_the_options() {
        for (line, expected) in [
            (&["-i", "a.deb"][..], &["a.deb"][..]),
            (&["-i", "a.deb", "b c.deb", "d\ne.deb"], &["a.deb", "b c.deb", "d\ne.deb"]),
            (&["--install", "--", "-x.deb"], &["-x.deb"]),
            (&["-iE", "a.deb"], &["a.deb"]),
            (&["-EGBOi", "a.deb"], &["a.deb"]),
            (&["-iR", "dir", "dir2"], &["dir", "dir2"]),
            (&["--unpack", "--recursive", "/tmp/x"], &["/tmp/x"]),
            (&["-D10", "-i", "a.deb"], &["a.deb"]),
            (&["-D", "10", "-i", "a.deb"], &["a.deb"]),
            (&["-iD", "10", "a.deb"], &["a.deb"]),
            (&["--debug=10", "-i", "a.deb"], &["a.deb"]),
            (&["--admindir", "/x", "-i", "a.deb"], &["a.deb"]),
            (&["--admindir=/x", "-i", "a.deb"], &["a.deb"]),
            (&["--root", "a.deb", "-i", "b.deb"], &["b.deb"]),
            (&["--force-all", "-i", "a.deb"], &["a.deb"]),
            (&["--force", "all", "-i", "a.deb"], &["a.deb"]),
            (&["--no-force-downgrade", "-i", "a.deb"], &["a.deb"]),
            (&["--refuse-downgrade", "--status-fd", "4", "--no-triggers", "--unpack", "/a.deb"], &["/a.deb"]),
            (&["--log=", "-i", "a.deb"], &["a.deb"]),
            // Options end at the first word that is none; what looks like one behind it is a file.
            (&["-i", "a.deb", "--dry-run", "-b.deb"], &["a.deb", "--dry-run", "-b.deb"]),
            (&["-i", "-"], &["-"]),
            (&["-i", "", "a.deb"], &["", "a.deb"]),
            (&["-i"], &[]),
            (&[], &[]),
            // Not known here: everything behind it counts.
            (&["--new-option", "a.deb", "-i", "b.deb"], &["a.deb", "-i", "b.deb"]),
            (&["--new=1", "-i", "b.deb"], &["-i", "b.deb"]),
            (&["-iz", "a.deb", "b.deb"], &["a.deb", "b.deb"]),
            (&["--force=all", "-i", "a.deb"], &["-i", "a.deb"]),
        ] {
            assert_eq!(files(line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_dry_run_is_one_only_where_dpkg_reads_it_as_an_option() {
        let dry = |line: &[&str]| {
            let argv: Vec<OsString> = std::iter::once(&"dpkg").chain(line).map(OsString::from).collect();
            parse(&argv).dry_run
        };
        assert!(dry(&["--dry-run", "-i", "a.deb"]) && dry(&["-i", "--no-act", "a"]) && dry(&["--simulate", "-i", "a"]));
        assert!(!dry(&["-i", "a.deb", "--dry-run"]));
        assert!(!dry(&["-i", "--", "--dry-run"]));
        assert!(!dry(&["--root", "--dry-run", "-i", "a.deb"]));
        assert!(!dry(&["--unknown", "--dry-run", "-i", "a.deb"]));
    }

    #[test]
    fn names_that_are_not_utf_8_are_kept() {
        let odd = OsString::from(OsStr::from_bytes(b"\xff.deb"));
        let argv = ["dpkg".into(), "-i".into(), odd.clone()];
        assert_eq!(parse(&argv).files, [odd]);
    }
}
