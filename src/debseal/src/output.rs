//! Replacing a package file as one step, and reading the keys that are given.

use std::fs::{self, File};
use std::io::BufWriter;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use host::files::{self, Attributes};
use host::{IoContext, Result};
use seal::openpgp::Keyring;

/// Writes `path` beside it, lets `check` look at the result, then renames it into place. On any
/// error the old file stands and nothing is left beside it.
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(BufWriter<File>) -> Result<BufWriter<File>>,
    check: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let temporary = files::beside(path, "debseal");
    let done = fill(path, &temporary, write)
        .and_then(|()| check(&temporary))
        .and_then(|()| fs::rename(&temporary, path).doing(|| format!("cannot replace {}", path.display())));
    if let Err(error) = done {
        // The first error is the one to tell.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    // A bare name lies in the folder that we are in, and its parent is no name at all.
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    files::sync_dir(folder.unwrap_or(Path::new(".")))
}

fn fill(path: &Path, temporary: &Path, write: impl FnOnce(BufWriter<File>) -> Result<BufWriter<File>>) -> Result<()> {
    let doing = || format!("cannot write {}", path.display());
    // A package is public: 0644, or whatever its predecessor had.
    let mode = fs::metadata(path).map_or(0o644, |m| m.permissions().mode() & 0o777);
    let out = write(BufWriter::new(files::create_new(temporary)?))?;
    let file = out.into_inner().map_err(std::io::IntoInnerError::into_error).doing(doing)?;
    files::apply(&file, temporary, &Attributes::mode(mode))?;
    file.sync_all().doing(doing)
}

/// The certificates in `files`, together.
pub(crate) fn read_keys(paths: &[PathBuf]) -> Result<Keyring> {
    let mut all = Keyring::default();
    for path in paths {
        let bytes = fs::read(path).doing(|| format!("cannot read {}", path.display()))?;
        let ring = Keyring::parse(&bytes).map_err(|e| e.context(path.display()))?;
        if ring.is_empty() {
            return Err(host::Error::new(format!("{} holds no certificate", path.display())));
        }
        all.extend(ring)?;
    }
    Ok(all)
}

/// JSON for programs, indented, with a newline at its end.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<String> {
    let text =
        serde_json::to_string_pretty(value).map_err(|e| host::Error::new(format!("cannot write the answer: {e}")))?;
    Ok(text + "\n")
}
