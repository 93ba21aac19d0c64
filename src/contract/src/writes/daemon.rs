//! Rust is asked as it is on the node: the installed daemon, started in the scratch on a socket there.

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use host::{Error, IoContext, Result, files};

use super::bound::bound;

/// The program's name.
pub(crate) const PROGRAM: &str = "pve-network-rs-daemon";
/// It listens within milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// A daemon that ends with this value, or with us.
pub(crate) struct Daemon {
    child: Child,
    socket: PathBuf,
}

impl Daemon {
    /// Starts it with its socket and its log in `folder`, and waits until it listens.
    ///
    /// # Errors
    /// It is not installed, or ends.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let program = host::Command::new(PROGRAM).find();
        let program = program.ok_or_else(|| Error::new(format!("{PROGRAM} is not installed")))?;
        let (socket, log) = (folder.join("contract.sock"), folder.join("contract.log"));
        let doing = || format!("cannot start {}", program.display());
        // Not host's Command, which waits for the end.
        let before = bound();
        let child = Command::new(format!("/usr/bin/{}", before[0]))
            .args(&before[1..])
            .arg(&program)
            .arg("--socket")
            .arg(&socket)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).doing(doing)?)
            .spawn()
            .doing(doing)?;
        let mut daemon = Self { child, socket };
        let begin = Instant::now();
        while UnixStream::connect(&daemon.socket).is_err() {
            let ended = daemon.child.try_wait().doing(doing)?;
            if ended.is_some() || begin.elapsed() > PATIENCE {
                let said = files::read_plain(&log, 1 << 20).ok().flatten().unwrap_or_default();
                let said = String::from_utf8_lossy(&said).into_owned();
                let last = said.lines().next_back().unwrap_or("without a word");
                return Err(Error::new(format!("{PROGRAM} does not listen: {last}")));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(daemon)
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself; nothing of the scratch is needed any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
