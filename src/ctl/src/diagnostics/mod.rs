//! `migration-ctl diagnostics`: one file to send to whoever helps, without secrets.

mod archive;
mod collect;

use std::path::{Path, PathBuf};

use clap::Args;
use host::Result;

use crate::Node;
use ::cli::{note, out};

/// `migration-ctl diagnostics …`.
#[derive(Debug, Args)]
pub(crate) struct Diagnostics {
    /// The file to write, which must not be there yet; in the current folder, with the node's name and the
    /// time, if not given.
    #[arg(short, long = "file", value_name = "FILE.tar.zst")]
    output: Option<PathBuf>,
}

/// What a bundle is for whoever opens it.
const README: &str = "\
Diagnostics of pve-network-rs, made by 'migration-ctl diagnostics'.

health.json          what 'migration-ctl health' says
files/, files.txt    network configuration as it stands, and a digest of each
state/               operation journal, phase, steps that wait to be finished
snapshots/           what each snapshot holds, without its content
log/                 the last decisions; dpkg's and apt's last runs
commands/            what systemd, dpkg, apt and the kernel say
MISSING.txt          what could not be had, and why

Values that are or look like secrets were replaced by [removed]. Look through it all the same before
you send it: addresses, names and comments are in it.
";

/// Writes the bundle and prints its path.
pub(crate) fn run(node: &Node, asked: &Diagnostics) -> Result<()> {
    let path = asked.output.clone().unwrap_or_else(|| free_path(node, Path::new("")));
    bundle(node, &path)?;
    note!("look through it before you send it: tar --zstd -tf {}", host::quote(&path.display().to_string()));
    out(path.display())
}

/// A name in `folder` for a bundle made now that no other has: two in one second are two files.
pub(crate) fn free_path(node: &Node, folder: &Path) -> PathBuf {
    let top = top(node);
    let mut path = folder.join(format!("{top}.tar.zst"));
    let mut count = 1;
    while path.symlink_metadata().is_ok() {
        count += 1;
        path = folder.join(format!("{top}-{count}.tar.zst"));
    }
    path
}

fn top(node: &Node) -> String {
    format!("pve-network-rs-{}-{}", node.store.node, node.store.clock.now().compact())
}

/// Writes the bundle to `path`.
///
/// # Errors
/// `path` is there already, or can't be written. What can't be collected is no error: the bundle
/// says so itself.
pub(crate) fn bundle(node: &Node, path: &Path) -> Result<()> {
    if path.symlink_metadata().is_ok() {
        // Said before a minute is spent on collecting.
        return Err(host::Error::new(format!("{} is there already and is not overwritten", path.display())));
    }
    let units = crate::policy()?.units;
    let mut parts = vec![archive::Part { name: "README.txt".into(), content: Ok(README.into()) }];
    parts.push(archive::Part {
        name: "version.txt".into(),
        content: Ok(format!("migration-ctl {}\nnode {}\n", env!("CARGO_PKG_VERSION"), node.store.node)),
    });
    parts.extend(collect::collect(node, &units));
    let time = node.store.clock.now().seconds();
    // Its folder is named as the file is, so that two unpacked side by side stay two.
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let top = file.strip_suffix(".tar.zst").unwrap_or(&file);
    archive::write(path, &archive::pack(top, &parts, time)?)
}
