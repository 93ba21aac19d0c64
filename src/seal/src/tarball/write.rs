//! Writing a control archive: ustar, `./` first, owner root, one time for all, so that the same
//! files give the same bytes.

use host::{Error, Result};

use super::ControlMember;
use super::header::{BLOCK, Header, Type};
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

/// The payload `data`, a plain tar, with every file cut off after `limit` bytes: for packages whose unpacking is repeated
/// thousands of times, and whose programs nobody runs.
///
/// # Errors
/// It is no sound tar.
pub fn cut_payload(data: &[u8], limit: u64) -> Result<Vec<u8>> {
    let torn = || Error::new("the payload ends in the middle of a member");
    let mut out = Vec::new();
    let mut rest = data;
    while let Some((block, after)) = rest.split_first_chunk::<BLOCK>() {
        if block.iter().all(|b| *b == 0) {
            break;
        }
        let header = Header::parse(block)?;
        let size = usize::try_from(header.size).map_err(|_| torn())?;
        let (content, next) = after.split_at_checked(size.next_multiple_of(BLOCK)).ok_or_else(torn)?;
        let kept = if header.kind == Type::File { header.size.min(limit) } else { header.size };
        let mut block = *block;
        block[124..136].copy_from_slice(format!("{kept:011o}\0").as_bytes());
        put_sum(&mut block);
        out.extend_from_slice(&block);
        out.extend_from_slice(content.get(..usize::try_from(kept).map_err(|_| torn())?).ok_or_else(torn)?);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
        rest = next;
    }
    out.resize(out.len() + 2 * BLOCK, 0);
    Ok(out)
}

fn put_sum(block: &mut [u8; BLOCK]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
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
    put(257, "ustar\x0000");
    put(265, "root");
    put(297, "root");
    put(329, "0000000");
    put(337, "0000000");
    block[156] = kind;
    put_sum(&mut block);
    Ok(block)
}
