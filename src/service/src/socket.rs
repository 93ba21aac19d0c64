//! The Unix socket: bound by one process, replaced when its owner is dead, removed at the end.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use host::{Error, IoContext, Kind, Result};
use rustix::fs::{FlockOperation, Mode, flock};

/// A bound socket, and the knowledge of which file it is.
#[derive(Debug)]
pub(crate) struct Bound {
    path: PathBuf,
    inode: (u64, u64),
}

/// Binds `path` with mode 0660. A socket there that nobody listens on is replaced.
///
/// Sets the process's umask for the length of one bind, so it is called before any other thread
/// exists; in this way the socket is never, not even for a moment, open to others.
pub(crate) fn bind(path: &Path) -> Result<(UnixListener, Bound)> {
    let place = || format!("cannot listen on {}", path.display());
    let parent = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let dir = File::open(parent).doing(place).map_err(|error| {
        error.way_out(format!(
            "systemd makes {} when it starts the unit; by hand, create it or name another place with --socket",
            parent.display()
        ))
    })?;
    // Two that start at once must not take each other's fresh socket for a stale one.
    flock(&dir, FlockOperation::LockExclusive).doing(place)?;
    clear_stale(path)?;

    let before = rustix::process::umask(Mode::from_raw_mode(0o117));
    let bound = UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = bound.doing(place)?;
    // A umask of another thread, as in tests, can only have made it narrower than meant.
    fs::set_permissions(path, fs::Permissions::from_mode(0o660)).doing(place)?;
    listener.set_nonblocking(true).doing(place)?;
    let meta = fs::symlink_metadata(path).doing(place)?;
    let owned = Bound { path: path.to_owned(), inode: (meta.dev(), meta.ino()) };
    Ok((listener, owned))
}

/// Removes a socket whose owner is gone; refuses whatever else is there.
fn clear_stale(path: &Path) -> Result<()> {
    let refuse = |why: &str| Err(Error::of(Kind::Refused, format!("cannot listen on {}: {why}", path.display())));
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io(format!("cannot look at {}", path.display()), error)),
    };
    if !meta.file_type().is_socket() {
        return refuse("there is something else than a socket; move it away or name another place with --socket");
    }
    match UnixStream::connect(path) {
        Ok(_) => refuse("another process answers there; stop it first (its unit, if it has one, with systemctl stop)"),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            tracing::info!("replacing {}, left by a process that is gone", path.display());
            fs::remove_file(path).doing(|| format!("cannot remove the stale {}", path.display()))
        }
        Err(error) => Err(Error::io(format!("cannot tell whether {} is in use", path.display()), error)),
    }
}

impl Bound {
    /// Removes the socket, unless somebody has put another in its place.
    pub(crate) fn remove(self) -> Result<()> {
        match fs::symlink_metadata(&self.path) {
            Ok(meta) if (meta.dev(), meta.ino()) == self.inode => {
                fs::remove_file(&self.path).doing(|| format!("cannot remove {}", self.path.display()))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.sock");
        (dir, path)
    }

    #[test]
    fn the_socket_is_for_owner_and_group_and_goes_at_the_end() {
        let (_dir, path) = place();
        let (_listener, owned) = bind(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o660);
        owned.remove().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_dead_ones_socket_is_replaced_and_a_live_ones_is_not() {
        let (_dir, path) = place();
        let (first, _) = bind(&path).unwrap();
        let error = bind(&path).unwrap_err();
        assert_eq!(error.kind(), Kind::Refused);
        assert!(error.to_string().contains("another process answers"), "{error}");
        drop(first);
        bind(&path).unwrap();
    }

    #[test]
    fn what_is_not_a_socket_is_never_removed() {
        let (_dir, path) = place();
        fs::write(&path, "precious").unwrap();
        assert_eq!(bind(&path).unwrap_err().kind(), Kind::Refused);
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn a_successors_socket_survives_our_end() {
        let (_dir, path) = place();
        let (_first, owned) = bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let (_second, _) = bind(&path).unwrap();
        owned.remove().unwrap();
        assert!(path.exists());
    }

    #[test]
    fn a_missing_folder_names_the_way_out() {
        let (_dir, path) = place();
        let error = bind(&path.join("deeper")).unwrap_err().to_string();
        assert!(error.contains("--socket"), "{error}");
    }
}
