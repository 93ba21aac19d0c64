//! Disks whose power can be cut: an image file behind a loop device. The file holds what the file
//! system has given to the disk and nothing of what it still keeps in memory; so a copy of it is what
//! a power cut in that moment leaves behind. Writes that a real disk would reorder between two flushes
//! are not reordered.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use host::{Error, IoContext, Result};
use machines::Scratch;

use crate::fault::Disk;

/// An image that is attached to a loop device.
pub struct Image {
    kind: Disk,
    file: PathBuf,
    device: PathBuf,
}

impl Image {
    /// An empty disk in this file.
    pub fn make(kind: Disk, file: &Path) -> Result<Self> {
        // XFS takes no less than 300 MiB; the files are sparse.
        File::create(file).and_then(|f| f.set_len(384 << 20)).doing(|| format!("cannot make {}", file.display()))?;
        let (program, options): (_, &[&str]) = match kind {
            Disk::Ext4 => ("mkfs.ext4", &["-q", "-F"]),
            Disk::Xfs => ("mkfs.xfs", &["-q", "-f"]),
            Disk::Btrfs => ("mkfs.btrfs", &["-q", "-f"]),
        };
        tool(Command::new(program).args(options).arg(file))?;
        Self::attach(kind, file)
    }

    fn attach(kind: Disk, file: &Path) -> Result<Self> {
        let device = tool(Command::new("losetup").args(["--find", "--show"]).arg(file))?;
        Ok(Self { kind, file: file.to_owned(), device: device.trim().into() })
    }

    /// What is on the disk now, as another disk.
    pub fn picture(&self, file: &Path) -> Result<()> {
        tool(Command::new("cp").arg("--sparse=always").arg(&self.file).arg(file)).map(drop)
    }

    /// A disk that was pictured.
    pub fn of_picture(kind: Disk, file: &Path) -> Result<Self> {
        Self::attach(kind, file)
    }

    /// For a machine to write on.
    pub fn scratch(&self) -> Scratch {
        // A copy has the identity of its original, which may not be gone yet.
        let options = if self.kind == Disk::Xfs { "nouuid" } else { "" };
        Scratch::Disk { device: self.device.clone(), kind: self.kind.name().to_owned(), options: options.to_owned() }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // While it is mounted the kernel only notes that it is to go then.
        let _ = Command::new("losetup").arg("--detach").arg(&self.device).output();
    }
}

fn tool(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().doing(|| format!("cannot run {name}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::new(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}
