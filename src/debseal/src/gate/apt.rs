//! What apt says before it calls dpkg: `DPkg::Pre-Install-Pkgs`, version 3 (apt.conf(5)).
//!
//! ```text
//! VERSION 3
//! APT::Architecture=amd64                          its configuration, up to an empty line
//!
//! demo 1.0 amd64 none < 2.0 amd64 none /var/cache/apt/archives/demo_2.0_amd64.deb
//! old 1.0 amd64 none > - - none **REMOVE**
//! ```

use std::path::PathBuf;

use host::{Error, Result};

/// The package files of a transaction.
///
/// # Errors
/// It is not version 3, or a line of it can't be understood: then nothing is known about any file.
pub(crate) fn parse(said: &[u8]) -> Result<Vec<PathBuf>> {
    use std::os::unix::ffi::OsStrExt;
    let mut lines = said.split(|b| *b == b'\n');
    let first = lines.next().unwrap_or_default();
    if first != b"VERSION 3" {
        return Err(Error::new(format!(
            "apt spoke of {:?} instead of VERSION 3; see DPkg::Tools::Options in apt-config dump",
            String::from_utf8_lossy(&first[..first.len().min(40)])
        )));
    }
    let mut files = Vec::new();
    for line in lines.skip_while(|line| !line.is_empty()).filter(|line| !line.is_empty()) {
        // The file is all that follows eight words, since its name may hold spaces.
        let mut words = line.splitn(9, |b| *b == b' ');
        let last = words
            .by_ref()
            .nth(8)
            .ok_or_else(|| Error::new(format!("apt's line {:?} is not understood", String::from_utf8_lossy(line))))?;
        if last != b"**CONFIGURE**" && last != b"**REMOVE**" {
            files.push(PathBuf::from(std::ffi::OsStr::from_bytes(last)));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_and_removals_are_none() {
        let said = b"VERSION 3\nAPT::Architecture=amd64\nX=a b c d e f g h /no\n\n\
            demo - - none < 2.0 amd64 none /a/demo_2.0.deb\n\
            two 1.0 amd64 none < 2.0 amd64 same /a b/c d.deb\n\
            two 1.0 amd64 none < 2.0 amd64 same **CONFIGURE**\n\
            old 1.0 amd64 none > - - none **REMOVE**\n";
        assert_eq!(parse(said).unwrap(), [PathBuf::from("/a/demo_2.0.deb"), "/a b/c d.deb".into()]);
        assert!(parse(b"VERSION 3\n\n").unwrap().is_empty());
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for (said, why) in [
            (&b"/a/demo.deb\n"[..], "instead of VERSION 3"),
            (b"", "instead of VERSION 3"),
            (b"VERSION 2\n\n", "instead of VERSION 3"),
            (b"VERSION 3\n\ndemo 1.0 < 2.0 /a.deb\n", "not understood"),
            (b"VERSION 3\n\ndemo - - none < 2 amd64 none /a\nb.deb\n", "not understood"),
        ] {
            assert!(parse(said).unwrap_err().to_string().contains(why), "{why}");
        }
    }
}
