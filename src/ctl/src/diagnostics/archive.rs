//! The bundle as a file: tar in zstd, both in Rust.

use std::io::Write;
use std::path::Path;

use host::{Error, IoContext, Result, files};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

/// One file of the bundle: its name, and its content or why that could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) content: std::result::Result<String, String>,
}

/// The bytes of the bundle, all below the folder `top`. What could not be had is listed in
/// `MISSING.txt`.
pub(crate) fn pack(top: &str, parts: &[Part], time: i64) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |name: &str, content: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(time.try_into().unwrap_or(0));
        tar.append_data(&mut header, format!("{top}/{name}"), content.as_bytes())
            .doing(|| format!("cannot put {name} into the bundle"))
    };
    let mut missing = String::new();
    for part in parts {
        match &part.content {
            Ok(content) => add(&part.name, content)?,
            Err(why) => missing.push_str(&format!("{}: {}\n", part.name, Error::new(why.as_str()))),
        }
    }
    if missing.is_empty() {
        missing.push_str("nothing\n");
    }
    add("MISSING.txt", &missing)?;
    let bytes = tar.into_inner().doing(|| "cannot finish the bundle")?;
    Ok(compress_to_vec(bytes.as_slice(), CompressionLevel::Fastest))
}

/// Writes a new file that only root can read; one that is there is never overwritten.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = files::create_new(path)?;
    let done = file.write_all(bytes).and_then(|()| file.sync_all());
    done.doing(|| format!("cannot write {}", path.display())).inspect_err(|_| {
        // Half a bundle is none; the first error is the one to tell.
        let _ = std::fs::remove_file(path);
    })
}
