//! Writing a control archive: ustar, `./` first, owner root, one time for all, so that the same
//! files give the same bytes.

use host::{Error, Result};

use super::ControlMember;
use super::header::BLOCK;
use crate::{compress, manifest};

/// The xz-compressed archive of `files`, in their order.
pub fn control_archive(files: &[ControlMember], mtime: u64) -> Result<Vec<u8>> {
    compress::xz(&plain_control_archive(files, mtime)?)
}

/// The same as a plain tar: for packages that are made to be unpacked thousands of times.
pub fn plain_control_archive(files: &[ControlMember], mtime: u64) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    out.extend_from_slice(&header("./", b'5', 0o755, 0, mtime)?);
    for file in files {
        if !manifest::is_control_name(&file.name) {
            let name = crate::escape::escape(file.name.as_bytes());
            return Err(Error::new(format!("'{name}' can't be the name of a control file")));
        }
        let name = format!("./{}", file.name);
        out.extend_from_slice(&header(&name, b'0', file.mode, file.bytes.len() as u64, mtime)?);
        out.extend_from_slice(&file.bytes);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    out.resize(out.len() + 2 * BLOCK, 0);
    Ok(out)
}

fn header(name: &str, kind: u8, mode: u32, size: u64, mtime: u64) -> Result<[u8; BLOCK]> {
    let mut block = [0; BLOCK];
    if mtime >= 1 << 33 || size >= 1 << 33 {
        return Err(Error::new(format!("{name} does not fit into a tar header")));
    }
    let mut put = |at: usize, text: &str| {
        block[at..at + text.len()].copy_from_slice(text.as_bytes());
    };
    // Names are at most 102 bytes by the check above; the field holds 100.
    if name.len() > 100 {
        return Err(Error::new(format!("{name} does not fit into a tar header")));
    }
    put(0, name);
    put(100, &format!("{mode:07o}"));
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{size:011o}"));
    put(136, &format!("{mtime:011o}"));
    put(148, "        ");
    put(257, "ustar\x0000");
    put(265, "root");
    put(297, "root");
    put(329, "0000000");
    put(337, "0000000");
    block[156] = kind;
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}
