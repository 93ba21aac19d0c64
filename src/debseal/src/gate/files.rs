//! From the words of a command line to the files that dpkg will read.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// What a path is, as far as it can be told without reading it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Not there: dpkg says so itself.
    Gone,
    /// A plain file that can be read again.
    File,
    /// A folder, for `--recursive`.
    Folder,
    /// What can't be read twice, or not at all, and why.
    Special(String),
}

/// Looks at a path.
pub(crate) fn look(path: &Path) -> Seen {
    if leads_into_proc(path) {
        return Seen::Special("a path below /proc or /dev/fd is another file for each process".to_owned());
    }
    match fs::metadata(path) {
        Ok(meta) if meta.is_file() => Seen::File,
        Ok(meta) if meta.is_dir() => Seen::Folder,
        Ok(_) => Seen::Special("it is not a regular file, so that it can't be read twice".to_owned()),
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => Seen::Gone,
        Err(e) => Seen::Special(format!("it can't be looked at: {e}")),
    }
}

/// Every package file below the words, as dpkg finds them: a word that is a folder is walked, links
/// followed, for names that end in `.deb`. Paths are absolute from `cwd`.
pub(crate) fn find(cwd: &Path, words: &[OsString]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for word in words {
        let path = cwd.join(word);
        if look(&path) == Seen::Folder {
            walk(&path, &mut Vec::new(), &mut found);
        } else {
            found.push(path);
        }
    }
    found
}

/// Below this many folders dpkg's own walk has long ended.
const DEEP: usize = 64;

fn walk(folder: &Path, above: &mut Vec<(u64, u64)>, found: &mut Vec<PathBuf>) {
    // What can't be listed now can't be by dpkg, which runs as the same user.
    let (Ok(meta), Ok(entries)) = (fs::metadata(folder), fs::read_dir(folder)) else { return };
    let id = (meta.dev(), meta.ino());
    if above.contains(&id) || above.len() > DEEP {
        return;
    }
    above.push(id);
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        match look(&path) {
            Seen::Folder => walk(&path, above, found),
            Seen::Gone => {}
            Seen::File | Seen::Special(_) if named_deb(&path) => found.push(path),
            Seen::File | Seen::Special(_) => {}
        }
    }
    above.pop();
}

fn named_deb(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b".deb")
}

/// Whether following the path, link by link, ever comes below `/proc`: `/dev/fd/9`, `/dev/stdin`.
fn leads_into_proc(path: &Path) -> bool {
    let mut todo: Vec<OsString> = parts(path);
    let mut here = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = todo.pop() {
        if name == ".." {
            here.pop();
            continue;
        }
        here.push(&name);
        if here.starts_with("/proc") {
            return true;
        }
        if let Ok(target) = fs::read_link(&here) {
            links += 1;
            if links > 40 {
                return false; // a loop, which nobody can open
            }
            here.pop();
            if target.is_absolute() {
                here = PathBuf::from("/");
            }
            todo.extend(parts(&target));
        }
    }
    false
}

/// The components of a path, the first one last.
fn parts(path: &Path) -> Vec<OsString> {
    let name = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().rev().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn folders_are_walked_links_followed_and_loops_end() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        fs::create_dir_all(at("d/deep")).unwrap();
        fs::create_dir_all(at("other")).unwrap();
        for file in ["d/a.deb", "d/deep/b c\nd.deb", "d/notes.txt", "d/.deb", "other/e.deb", "f"] {
            fs::write(at(file), "").unwrap();
        }
        symlink("../../d", at("d/deep/loop")).unwrap();
        symlink(at("other"), at("d/link")).unwrap();
        symlink(at("f"), at("d/g.deb")).unwrap();
        let found = find(dir.path(), &["d".into(), "f".into(), "gone.deb".into()]);
        let names: Vec<_> = found.iter().map(|p| p.strip_prefix(dir.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(
            names,
            ["d/.deb", "d/a.deb", "d/deep/b c\nd.deb", "d/g.deb", "d/link/e.deb", "f", "gone.deb"],
            "what dpkg -R would install, and words as they stand"
        );
    }

    #[test]
    fn what_is_another_file_for_each_reader_is_special() {
        let dir = tempfile::tempdir().unwrap();
        let special = |path: &Path| matches!(look(path), Seen::Special(_));
        assert!(special(Path::new("/dev/fd/0")) && special(Path::new("/proc/self/fd/0")));
        assert!(special(Path::new("/dev/stdin")) && special(Path::new("/dev/null")));
        symlink("/dev/fd/0", dir.path().join("a.deb")).unwrap();
        assert!(special(&dir.path().join("a.deb")));
        symlink("loop", dir.path().join("loop")).unwrap();
        assert!(special(&dir.path().join("loop")), "nobody can open it");
        assert_eq!(look(&dir.path().join("none")), Seen::Gone);
        assert_eq!(look(Path::new("/etc/passwd/x")), Seen::Gone);
        assert_eq!(look(Path::new("/etc/passwd")), Seen::File);
    }
}
