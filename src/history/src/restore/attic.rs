//! `/var/backups/<package>/<time>/`: what a removal replaced or chose not to put back, where it
//! outlives the package, with the command that puts it in place.

use std::fs;
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
    let inside = change::free(store, &store.attic().join(store.clock.now().compact()));
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
            folders: Vec::new(),
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

/// Where the backup's version of what was kept lies in the folder that [`keep_copies`] returned.
pub fn place(attic: &Path, kept: &Kept) -> PathBuf {
    attic.join("backup").join(kept.path.as_path().strip_prefix("/").unwrap_or(kept.path.as_path()))
}

/// The command by which a person takes the backup's version of what was kept, in a POSIX shell and
/// with coreutils alone. Under `/etc/pve` neither owners nor modes can be set, hence `cp` and `mv`
/// there. `None` where no single command is safe: a folder above it gave way to something else.
pub fn command_line(store: &Store, kept: &Kept, attic: Option<&Path>) -> Option<String> {
    let path = shell_quote(kept.path.as_path());
    let real = store.root.resolve(kept.path.as_path()).ok()?;
    let is_folder = |path: &Path| fs::symlink_metadata(path).ok().map(|m| m.is_dir());
    let (from, mut commands) = match (&kept.instead, attic) {
        (What::Absent, _) => return Some(format!("rm -f {path}")),
        (What::File { .. } | What::Link { .. }, Some(attic)) => (place(attic, kept), Vec::new()),
        _ => return None,
    };
    for (folder, meta) in &kept.folders {
        match is_folder(&store.root.path(folder)) {
            Some(true) => {}
            Some(false) => return None,
            None => commands.push(format!(
                "install -d -m {:04o} -o {} -g {} {}",
                meta.mode,
                meta.uid,
                meta.gid,
                shell_quote(folder.as_path())
            )),
        }
    }
    if let (Some(above), Some(inside)) = (real.parent(), kept.path.as_path().parent())
        && commands.is_empty()
        && !above.is_dir()
        // Where pmxcfs is not mounted a folder made in its mount point would keep it from starting.
        && kept.scope == Scope::Node
    {
        commands.push(format!("mkdir -p {}", shell_quote(inside)));
    }
    if is_folder(&real) == Some(true) {
        let mut away = from.clone().into_os_string();
        away.push(".folder");
        commands.push(format!("mv -T {path} {}", shell_quote(Path::new(&away))));
    }
    let from = shell_quote(&from);
    commands.push(match kept.scope {
        Scope::Node => format!("cp -aT --remove-destination {from} {path}"),
        Scope::Cluster => {
            let beside = shell_quote(&files::named_beside(kept.path.as_path(), "back"));
            format!("cp -T {from} {beside} && mv -T {beside} {path}")
        }
    });
    Some(commands.join(" && "))
}

/// A path as any POSIX shell reads it back, whatever its bytes, on one line. The one exception is
/// a path that ends with a newline, which `$( )` would drop: that takes bash.
pub fn shell_quote(path: &Path) -> String {
    match path.to_str() {
        Some(text) if !text.chars().any(char::is_control) => return host::quote(text),
        _ => {}
    }
    let bytes = path.as_os_str().as_bytes();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._- ".contains(&b);
    let text: String =
        bytes.iter().map(|b| if plain(*b) { char::from(*b).to_string() } else { format!("\\{b:03o}") }).collect();
    if bytes.ends_with(b"\n") { format!("$'{text}'") } else { format!("\"$(printf '{text}')\"") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn every_shell_reads_every_path_back() {
        for name in [
            &b"/a b"[..],
            b"/it's",
            b"/\xff\n\\x",
            b"/\x01%s%%'\"1",
            b"/\xff1",
            b"/plain",
            b"/$(x)`y`\"",
            "/ü".as_bytes(),
        ] {
            let path = Path::new(OsStr::from_bytes(name));
            let script = format!("printf %s {}", shell_quote(path));
            assert!(!script.contains('\n'), "{script}");
            for shell in ["sh", "bash"] {
                let out = std::process::Command::new(shell).args(["-c", &script]).output().unwrap();
                assert_eq!(out.stdout, name, "{shell}: {script}");
            }
        }
        let script = format!("printf %s {}", shell_quote(Path::new("/x\n")));
        let out = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
        assert_eq!(out.stdout, b"/x\n");
    }
}
