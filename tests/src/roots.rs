//! Where the rig's roots lie, and who may use them.

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use host::Result;
pub use machines::Suite;

/// Whether this test may make machines. If not, says so on stderr, and the test should return.
#[must_use = "a test that needs root has to return when there is none"]
pub fn need_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skipped("needs root for mounts and namespaces");
    }
    root
}

/// Whether this test may mount a cluster's `/etc/pve`. If not, says so on stderr, and the test
/// should return.
#[must_use = "a test that needs FUSE has to return when there is none"]
pub fn need_fuse() -> bool {
    if !need_root() {
        return false;
    }
    let can = pmxcfs::can_mount();
    if !can {
        skipped("needs FUSE in the kernel (modprobe fuse)");
    }
    can
}

/// Says on stderr that the calling test is skipped, and why.
fn skipped(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("this test");
    // Not by eprintln, whose text the test harness keeps to itself when a test passes; in one
    // piece, since other tests write at the same time.
    let message = format!("skipped: {why}: {test}\n");
    // With no stderr there is nobody to tell.
    let _ = std::io::stderr().write_all(message.as_bytes());
}

/// The directory that holds a pristine root of this suite; made now if it is not there yet.
/// Never write into it: every node stands on it.
pub fn base(suite: Suite) -> Result<PathBuf> {
    base_with(suite, &[])
}

/// The same with more Debian packages in it, for what can't be installed without a network.
pub fn base_with(suite: Suite, packages: &[&str]) -> Result<PathBuf> {
    machines::roots::base(&home(), suite, packages)
}

/// `$DEBROOTS`, or `roots` in the workspace's target directory.
pub fn home() -> PathBuf {
    match std::env::var_os("DEBROOTS") {
        Some(dir) if !dir.is_empty() => dir.into(),
        _ => crate::dist::target_dir().join("roots"),
    }
}

/// Runs a host program of the rig's own, which has to succeed; its stdout.
pub(crate) fn host_tool<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    finish(&mut command)
}

/// Runs a prepared host program, which has to succeed; its stdout.
pub(crate) fn finish(command: &mut Command) -> Vec<u8> {
    match command.output() {
        Ok(output) if output.status.success() => output.stdout,
        Ok(output) => panic!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)),
        Err(error) => panic!("cannot run {command:?}: {error} (make deps-test installs what is missing)"),
    }
}
