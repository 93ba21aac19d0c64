//! Automation that changes the network behind our back: files that call Proxmox's Perl or ifreload.
//! It goes on working while the migration runs, and nobody counts what it does.

use std::path::{Path, PathBuf};

use host::{Root, files};

/// Where administrators put automation. Packages' own files lie elsewhere.
const PLACES: [&str; 10] = [
    "/etc/crontab",
    "/etc/cron.d",
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/etc/cron.weekly",
    "/etc/cron.monthly",
    "/var/spool/cron/crontabs",
    "/etc/systemd/system",
    "/usr/local",
    "/root",
];

/// Larger files are no scripts (1 MiB).
const SIZE: u64 = 1 << 20;
/// Deeper than this lie caches and checkouts.
const DEPTH: usize = 6;
/// How many files are looked into, so that a huge home directory can't hold us up.
const FILES: usize = 20_000;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Found {
    /// `path:line: text`, in order.
    pub(crate) places: Vec<String>,
    /// Whether there were more files than are looked into.
    pub(crate) cut: bool,
}

/// Looks through all places.
pub(crate) fn scan(root: &Root) -> Found {
    let mut found = Found::default();
    let mut left = FILES;
    for place in PLACES {
        visit(root, &root.path(place), 0, &mut left, &mut found);
    }
    found.cut = left == 0;
    found.places.sort();
    found
}

fn visit(root: &Root, path: &Path, depth: usize, left: &mut usize, found: &mut Found) {
    // Links are not followed: they lead to packages' own files, or round in circles.
    let Ok(meta) = std::fs::symlink_metadata(path) else { return };
    if meta.is_dir() && depth < DEPTH {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        let mut children: Vec<PathBuf> = entries.map(|e| e.path()).collect();
        children.sort();
        for child in children {
            visit(root, &child, depth + 1, left, found);
        }
    } else if meta.is_file() && meta.len() <= SIZE && *left > 0 {
        *left -= 1;
        let Ok(Some(bytes)) = files::read_plain(path, SIZE) else { return };
        let inside = root.inside(path);
        found.places.extend(calls(&bytes).map(|(line, text)| format!("{}:{line}: {text}", inside.display())));
    }
}

/// Lines, counted from 1, that call the Perl stack or reload the network.
fn calls(bytes: &[u8]) -> impl Iterator<Item = (usize, String)> {
    let binary = bytes.iter().take(8192).any(|b| *b == 0);
    let text = if binary { String::new() } else { String::from_utf8_lossy(bytes).into_owned() };
    let lines: Vec<_> = text.lines().enumerate().filter(|(_, l)| is_call(l)).map(|(n, l)| (n + 1, short(l))).collect();
    lines.into_iter()
}

fn is_call(line: &str) -> bool {
    let line = line.trim();
    let word = |wanted: &str| {
        line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).any(|word| word == wanted)
    };
    let rest = || line.contains("/network") || line.contains("/sdn");
    !line.starts_with(['#', ';']) && (word("ifreload") || (word("pvesh") && rest()))
}

/// One line of a table, without what a terminal would act on.
fn short(line: &str) -> String {
    let line: String = line.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= 60 { line } else { line.chars().take(57).chain("...".chars()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_call() {
        for (line, expected) in [
            ("*/5 * * * * root pvesh set /nodes/pve1/network", true),
            ("ExecStart=/usr/bin/pvesh set /cluster/sdn", true),
            ("  /sbin/ifreload -a", true),
            ("x && ifreload -a;", true),
            ("# ifreload -a", false),
            ("; ifreload -a", false),
            ("pvesh get /nodes/pve1/status", false),
            ("echo 'no-ifreload here'", false),
            ("ifreloader", false),
            ("", false),
        ] {
            assert_eq!(is_call(line), expected, "{line}");
        }
    }

    #[test]
    fn found_with_path_and_line_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        let put = |path: &str, bytes: &[u8]| {
            let path = root.path(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        put("/etc/cron.d/net", b"# comment\n* * * * * root pvesh create /nodes/pve1/network -iface x\n");
        put("/root/deep/er/fix.sh", b"#!/bin/sh\n\nifreload -a\n");
        put("/usr/local/sbin/tool", b"\x7fELF\0\0ifreload -a\n");
        put("/etc/network/interfaces", b"post-up ifreload -a\n");
        put("/root/huge", &b"ifreload\n".repeat(200_000));
        std::os::unix::fs::symlink("/root/deep", root.path("/root/loop")).unwrap();
        let found = scan(&root);
        assert_eq!(
            found.places,
            [
                "/etc/cron.d/net:2: * * * * * root pvesh create /nodes/pve1/network -iface x",
                "/root/deep/er/fix.sh:3: ifreload -a",
            ]
        );
        assert!(!found.cut);
    }
}
