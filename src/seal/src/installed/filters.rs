//! `path-exclude` and `path-include` of dpkg's configuration (dpkg(1)): shell globs over the whole
//! path, in which `*` also matches `/`; the last one that matches wins.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use host::{IoContext, Result, Root};

use super::optional;

#[derive(Debug, Default)]
pub(super) struct Filters {
    /// Pattern, and whether it includes.
    rules: Vec<(Vec<u8>, bool)>,
}

impl Filters {
    /// Reads `/etc/dpkg/dpkg.cfg.d/*`, then `/etc/dpkg/dpkg.cfg`, in dpkg's order.
    pub(super) fn read(root: &Root) -> Result<Self> {
        let folder = root.path("/etc/dpkg/dpkg.cfg.d");
        let mut files: Vec<PathBuf> = Vec::new();
        let doing = || format!("cannot list {}", folder.display());
        match std::fs::read_dir(&folder) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            entries => {
                for entry in entries.doing(doing)? {
                    let path = entry.doing(doing)?.path();
                    // dpkg reads names like run-parts does.
                    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_".contains(b);
                    let name = path.file_name().map(|n| n.as_bytes().to_vec()).unwrap_or_default();
                    if name.iter().all(plain) && path.is_file() {
                        files.push(path);
                    }
                }
            }
        }
        files.sort();
        files.push(root.path("/etc/dpkg/dpkg.cfg"));
        let mut filters = Self::default();
        for file in files {
            filters.add(&optional(&file)?.unwrap_or_default());
        }
        Ok(filters)
    }

    fn add(&mut self, config: &[u8]) {
        for line in config.split(|b| *b == b'\n') {
            let line = line.trim_ascii();
            let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-';
            let end = line.iter().position(|b| !word(b)).unwrap_or(line.len());
            let (name, value) = line.split_at(end);
            let include = match name {
                b"path-include" => true,
                b"path-exclude" => false,
                _ => continue,
            };
            let value = value.trim_ascii_start();
            let value = value.strip_prefix(b"=").unwrap_or(value).trim_ascii();
            let unquoted = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\""));
            self.rules.push((unquoted.unwrap_or(value).to_vec(), include));
        }
    }

    /// Whether dpkg leaves this path out.
    pub(super) fn excluded(&self, path: &[u8]) -> bool {
        let last = self.rules.iter().rev().find(|(pattern, _)| matches(pattern, path));
        last.is_some_and(|(_, include)| !include)
    }
}

/// fnmatch(3) without flags, in time proportional to pattern times path.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        if t == path.len() && pattern[p..].iter().all(|b| *b == b'*') {
            return true;
        }
        if t < path.len() {
            if pattern.get(p) == Some(&b'*') {
                p += 1;
                star = Some((p, t));
                continue;
            }
            if let Some(length) = one(&pattern[p..], path[t]) {
                p += length;
                t += 1;
                continue;
            }
        }
        // Let the last star take one byte more, and try again from there.
        match star {
            Some((after, from)) if from < path.len() => {
                (p, t) = (after, from + 1);
                star = Some((after, from + 1));
            }
            _ => return false,
        }
    }
}

/// How much of the pattern matches this one byte, if it does.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern.first()? {
        b'?' => Some(1),
        b'\\' => (*pattern.get(1)? == byte).then_some(2),
        b'[' => match class(pattern) {
            Some((length, inside)) => inside(byte).then_some(length),
            None => (byte == b'[').then_some(1),
        },
        literal => (*literal == byte).then_some(1),
    }
}

/// A bracket expression such as `[a-z]` or `[!x]`: its length and its test.
fn class(pattern: &[u8]) -> Option<(usize, impl Fn(u8) -> bool + '_)> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let start = 1 + usize::from(negated);
    // A bracket that comes first stands for itself.
    let close = pattern.iter().skip(start + 1).position(|b| *b == b']')? + start + 1;
    let set = &pattern[start..close];
    let test = move |byte: u8| {
        let mut at = 0;
        let mut inside = false;
        while at < set.len() {
            match (set.get(at + 1), set.get(at + 2)) {
                (Some(b'-'), Some(end)) => {
                    inside |= (set[at]..=*end).contains(&byte);
                    at += 3;
                }
                _ => {
                    inside |= set[at] == byte;
                    at += 1;
                }
            }
        }
        inside != negated
    };
    Some((close + 1, test))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_as_fnmatch() {
        for (pattern, path, expected) in [
            ("/usr/share/doc/*", "/usr/share/doc/x/y", true),
            ("/usr/share/doc/*", "/usr/share/doc", false),
            ("*/copyright", "/usr/share/doc/x/copyright", true),
            ("/a?c", "/a/c", true),
            ("/[a-c]x", "/bx", true),
            ("/[!a-c]x", "/bx", false),
            ("/[]]x", "/]x", true),
            ("/[x", "/[x", true),
            ("/\\*", "/*", true),
            ("/\\*", "/a", false),
            ("*a*b*c*", "xxaxxbxxcxx", true),
            ("*a*b*c*", "xxaxxcxxbxx", false),
            ("", "", true),
            ("", "/", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), path.as_bytes()), expected, "{pattern} {path}");
        }
        let slow = "*a".repeat(40) + "b";
        assert!(!matches(slow.as_bytes(), "a".repeat(4000).as_bytes()));
    }

    #[test]
    fn the_last_match_wins() {
        let mut filters = Filters::default();
        filters.add(b"# path-exclude /x\nno-debsig\npath-exclude=/usr/share/doc/*\n");
        filters.add(b"path-include /usr/share/doc/*/copyright\npath-exclude = \"/q/*\"\n");
        assert!(filters.excluded(b"/usr/share/doc/demo/changelog.gz"));
        assert!(!filters.excluded(b"/usr/share/doc/demo/copyright"));
        assert!(filters.excluded(b"/q/1") && !filters.excluded(b"/x"));
    }
}
