//! `/var/backups/<package>/<time>/`: what a removal replaced or chose not to put back, where it
//! outlives the package, with the command that puts it in place.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use host::{Result, files};

use crate::change::{self, Change};
use crate::plan::{Kept, Plan};
use crate::{Scope, Store, What};

/// Copies what the plan replaces (`replaced/`) and what it leaves unused of the backup (`backup/`).
/// Returns the folder as seen inside the root, or `None` if there is nothing to copy.
pub fn keep_copies(store: &Store, plan: &Plan) -> Result<Option<PathBuf>> {
    let replaced: Vec<_> = plan.actions.iter().filter(|a| a.from != "absent").collect();
    let unused: Vec<_> = plan.kept.iter().filter(|k| k.instead.exists() && k.instead.is_leaf()).collect();
    if replaced.is_empty() && unused.is_empty() {
        return Ok(None);
    }
    files::create_dirs(&store.root.path("/var/backups"), 0o755)?;
    files::create_dirs(&store.root.path(store.attic()), 0o700)?;
    let inside = free_folder(store);
    let folder = store.root.path(&inside);
    files::create_dirs(&folder, 0o700)?;
    for action in replaced {
        let to = folder.join("replaced").join(action.path.as_path().strip_prefix("/").unwrap_or(action.path.as_path()));
        make_parent(&to)?;
        change::copy_tree(&store.root.resolve(action.path.as_path())?, &to)?;
    }
    for kept in unused {
        let to = store.root.path(place(&inside, kept));
        make_parent(&to)?;
        let from = store.snapshot_path(&kept.snapshot).join(kept.name.as_path());
        let content = files::read_plain(&from, crate::entry::FILE_LIMIT).ok().flatten();
        let change = Change {
            path: kept.path.clone(),
            scope: Scope::Node,
            from: "absent".into(),
            to: kept.instead.clone(),
            content,
        };
        change::write(&to, &change)?;
    }
    files::sync_file_system(&folder)?;
    Ok(Some(inside))
}

fn make_parent(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), create_private)
}

/// Folders all of which are private: they may hold tokens.
fn create_private(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        create_private(parent)?;
    }
    files::create_dirs(dir, 0o700)
}

fn free_folder(store: &Store) -> PathBuf {
    let stamp = store.clock.now().compact();
    let mut inside = store.attic().join(&stamp);
    let mut count = 1;
    while store.root.path(&inside).exists() {
        count += 1;
        inside = store.attic().join(format!("{stamp}-{count}"));
    }
    inside
}

fn place(attic: &Path, kept: &Kept) -> PathBuf {
    attic.join("backup").join(kept.path.as_path().strip_prefix("/").unwrap_or(kept.path.as_path()))
}

/// The command by which a person takes the backup's version of what was kept. Needs nothing of
/// this package. Under `/etc/pve` neither owners nor modes can be set, hence `cp` and `mv` there.
pub fn command_line(kept: &Kept, attic: Option<&Path>) -> Option<String> {
    let path = shell_quote(kept.path.as_path());
    match (&kept.instead, attic) {
        (What::Absent, _) => Some(format!("rm {path}")),
        (What::File { .. } | What::Link { .. }, Some(attic)) => {
            let from = shell_quote(&place(attic, kept));
            Some(match kept.scope {
                Scope::Node => format!("cp -a --remove-destination {from} {path}"),
                Scope::Cluster => {
                    let beside = shell_quote(&files::named_beside(kept.path.as_path(), "back"));
                    format!("cp {from} {beside} && mv {beside} {path}")
                }
            })
        }
        _ => None,
    }
}

/// A path as bash reads it back, whatever its bytes.
pub fn shell_quote(path: &Path) -> String {
    match path.to_str() {
        Some(text) if !text.chars().any(char::is_control) => host::quote(text),
        _ => {
            let mut out = String::from("$'");
            for byte in path.as_os_str().as_bytes() {
                match byte {
                    b'\'' | b'\\' => {
                        out.push('\\');
                        out.push(char::from(*byte));
                    }
                    b' '..=b'~' => out.push(char::from(*byte)),
                    other => out.push_str(&format!("\\x{other:02x}")),
                }
            }
            out.push('\'');
            out
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn bash_reads_every_path_back() {
        for name in [&b"/a b"[..], b"/it's", b"/\xff\n\\x", b"/plain", b"/$(x)`y`\"", "/ü".as_bytes()] {
            let path = Path::new(OsStr::from_bytes(name));
            let script = format!("printf %s {}", shell_quote(path));
            let out = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(out.stdout, name, "{script}");
        }
    }
}
