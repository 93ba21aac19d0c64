//! The peer in the bench and in the fault drill: our payload with scripts as a careful packager would
//! write them by hand, with Debian's own tools. The scripts lie in `tests/bash-package`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::{Deb, Keyring, dist};

/// The same payload with scripts in bash that do the same by rsync, gpgv and deb-systemd-helper.
pub fn package(payload: &Deb, key: &Keyring) -> Deb {
    payload.altered_at("-z6", |tree| {
        let share = tree.join("usr/share/pve-network-rs");
        let mut manifest = String::new();
        for path in files_below(&tree.join("usr"))? {
            let name = path.strip_prefix(tree).unwrap_or(&path);
            let _ = writeln!(manifest, "{}  {}", host::files::sha256(&std::fs::read(&path)?), name.display());
        }
        std::fs::write(share.join("manifest.sig"), key.sign(manifest.as_bytes()))?;
        std::fs::write(share.join("manifest"), manifest)?;
        std::fs::write(share.join("key.gpg"), key.certificate())?;
        let source = dist::workspace().join("tests/bash-package");
        let common = std::fs::read_to_string(source.join("common.sh"))?;
        for script in ["preinst", "postinst", "prerm", "postrm"] {
            let own = std::fs::read_to_string(source.join(script))?;
            let path = tree.join("DEBIAN").join(script);
            std::fs::write(&path, format!("#!/bin/bash\nset -e\n{common}\n{own}"))?;
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        }
        Ok(())
    })
}

fn files_below(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        match entry.file_type()? {
            kind if kind.is_dir() => out.extend(files_below(&entry.path())?),
            kind if kind.is_file() => out.push(entry.path()),
            _ => {}
        }
    }
    out.sort();
    Ok(out)
}
