//! `/var/lib/pve-network-rs/ceiling`: the most that this node may do.
//!
//! Format, version 1: the first line is the name of a phase. A later version may add lines, which
//! version 1 ignores, so that the hooks of an older package can still read it; one that means
//! something else by the first line must begin it with a word that is no phase.

use std::path::Path;

use host::{Error, Result, files};

use crate::Phase;

/// Far more than any phase's name; what is longer was not written by us.
const MAX_SIZE: u64 = 4096;

/// The file's content for a phase.
pub fn render(phase: Phase) -> String {
    format!("{phase}\n")
}

/// The phase that a file's content names; `file` is for the message.
///
/// # Errors
/// The first line is not the name of a phase.
pub fn parse(content: &[u8], file: impl std::fmt::Display) -> Result<Phase> {
    let line = content.split(|b| *b == b'\n').next().unwrap_or_default().trim_ascii();
    std::str::from_utf8(line).ok().and_then(Phase::from_name).ok_or_else(|| {
        let shown = &line[..line.len().min(40)];
        Error::new(format!("{file}:1: '{}' is no phase (allowed: {})", shown.escape_ascii(), Phase::names()))
            .way_out("'migration-ctl phase set PHASE' writes it anew")
    })
}

/// Reads the file; `None` if there is none. Callers take an error for `perl-only` and say so,
/// as [`effective`](crate::effective()) does.
///
/// # Errors
/// It can't be read, is not a plain file, or does not name a phase.
pub fn read_ceiling(path: &Path) -> Result<Option<Phase>> {
    let content = files::read_plain(path, MAX_SIZE)?;
    content.map(|content| parse(&content, path.display())).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        for phase in Phase::ALL {
            assert_eq!(parse(render(phase).as_bytes(), "f").unwrap(), phase);
            // Cut off anywhere, it never names another phase.
            for cut in 0..phase.as_str().len() {
                assert!(parse(&render(phase).as_bytes()[..cut], "f").is_err());
            }
        }
        let later = b" rust-sdn \r\nsince = 2031\n\xff";
        assert_eq!(parse(later, "f").unwrap(), Phase::RustSdn);
        for bad in [
            &b""[..],
            b"\n",
            b"\nrust-sdn\n",
            b"\0\0\0",
            b"\xff\n",
            b"Rust-Sdn\n",
            b"2 rust-sdn\n",
            b"rust-sdn rust-full\n",
        ] {
            let said = parse(bad, "/c").unwrap_err().to_string();
            assert!(said.starts_with("/c:1: '") && said.contains("(allowed: perl-only, "), "{said}");
        }
    }

    #[test]
    fn absent_broken_link_and_folder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ceiling");
        assert_eq!(read_ceiling(&path).unwrap(), None);
        std::fs::write(&path, "rust-full\n").unwrap();
        assert_eq!(read_ceiling(&path).unwrap(), Some(Phase::RustFull));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(read_ceiling(&link).is_err());
        assert!(read_ceiling(dir.path()).is_err());
        std::fs::write(&path, "x".repeat(5000)).unwrap();
        assert!(read_ceiling(&path).is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(0u8.., 0..100)) {
            let _ = parse(&bytes, "f");
        }
    }
}
