//! Who we are: the node's name and our own file.

use std::path::PathBuf;

use crate::{Root, files};

/// The name that Proxmox VE knows this node by: what `/etc/pve/local` points to, else the host
/// name up to its first dot (PVE::INotify's rule).
pub fn node_name(root: &Root) -> String {
    if let Ok(target) = std::fs::read_link(root.path("/etc/pve/local"))
        && let Some(name) = target.file_name()
        && target.parent().is_some_and(|p| p.ends_with("nodes"))
    {
        return name.to_string_lossy().into_owned();
    }
    let full = if root.is_system() {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    } else {
        files::read_plain(&root.path("/etc/hostname"), 256)
            .ok()
            .flatten()
            .map(|b| String::from_utf8_lossy(&b).trim().to_owned())
            .unwrap_or_default()
    };
    match full.split('.').next() {
        Some(short) if !short.is_empty() => short.to_owned(),
        _ => "localhost".to_owned(),
    }
}

/// The path by which the kernel started this program (`AT_EXECFN`, getauxval(3)): there also
/// where `/proc` is not.
pub fn executable() -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(rustix::param::linux_execfn().to_bytes()))
}
