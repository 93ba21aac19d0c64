//! Every program that this project runs is run here: by name from the system's own folders, no
//! shell, no input, output bounded by what fits a message, and never for longer than said.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{self, Stdio};
use std::time::{Duration, Instant};

use crate::{Error, IoContext, Result};

const SYSTEM_PATH: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// A program with its arguments, to be run on the running system.
#[derive(Debug, Clone)]
pub struct Command {
    program: String,
    arguments: Vec<String>,
    patience: Duration,
}

/// How a program ended.
#[derive(Debug)]
pub struct Output {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Output {
    /// Whether it exited with 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }
}

impl Command {
    /// `program` without a slash is looked for in the system's folders, whatever `PATH` says.
    pub fn new(program: impl Into<String>) -> Self {
        Self { program: program.into(), arguments: Vec::new(), patience: Duration::from_secs(90) }
    }

    /// Adds arguments.
    pub fn args<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Kills the program after this long (default 90 s).
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Where the program lies, if it is installed.
    pub fn find(&self) -> Option<PathBuf> {
        if self.program.contains('/') {
            return Some(PathBuf::from(&self.program)).filter(|p| p.is_file());
        }
        SYSTEM_PATH.iter().map(|dir| PathBuf::from(dir).join(&self.program)).find(|p| p.is_file())
    }

    /// As a person would type it.
    pub fn line(&self) -> String {
        std::iter::once(&self.program).chain(&self.arguments).map(|word| quote(word)).collect::<Vec<_>>().join(" ")
    }

    /// Runs it to its end. That it exits with an error is for the caller to judge.
    pub fn run(&self) -> Result<Output> {
        let path =
            self.find().ok_or_else(|| Error::new(format!("cannot run {}: it is not installed", self.program)))?;
        let mut child = process::Command::new(path)
            .args(&self.arguments)
            .env("PATH", SYSTEM_PATH.join(":"))
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .doing(|| format!("cannot run {}", self.line()))?;
        // Both pipes are drained at once, or a chatty program would block on the other one.
        let stdout = drain(child.stdout.take().map(OwnedFd::from));
        let stderr = drain(child.stderr.take().map(OwnedFd::from));
        let begin = Instant::now();
        let mut pause = Duration::from_micros(200);
        let status = loop {
            if let Some(status) = child.try_wait().doing(|| format!("cannot wait for {}", self.line()))? {
                break status;
            }
            if begin.elapsed() > self.patience {
                // It may have ended by itself in this very moment.
                let _ = child.kill();
                let _ = child.wait();
                return Err(Error::new(format!(
                    "{} did not end within {} s and was killed",
                    self.line(),
                    self.patience.as_secs()
                )));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        };
        Ok(Output { code: status.code(), stdout: text(stdout), stderr: text(stderr) })
    }
}

/// A word as a POSIX shell reads it back.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// More than this of a program's output is read and thrown away.
const OUTPUT_LIMIT: u64 = 1 << 20;

type Reader = Option<std::thread::JoinHandle<Vec<u8>>>;

// Not generic: every copy of a thread's code counts in the maintainer script.
fn drain(pipe: Option<OwnedFd>) -> Reader {
    pipe.map(|pipe| {
        let mut pipe = File::from(pipe);
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // A pipe that breaks has said all that it will say.
            let _ = pipe.by_ref().take(OUTPUT_LIMIT).read_to_end(&mut bytes);
            let mut rest = [0; 4096];
            while pipe.read(&mut rest).map_or_else(|e| e.kind() == ErrorKind::Interrupted, |n| n > 0) {}
            bytes
        })
    })
}

fn text(reader: Reader) -> String {
    let bytes = reader.and_then(|r| r.join().ok()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_quotes_and_times_out() {
        let out = Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]).run().unwrap();
        assert_eq!((out.code, out.stdout.as_str(), out.stderr.as_str()), (Some(3), "out\n", "err\n"));
        assert_eq!(Command::new("a b").args(["it's"]).line(), r"'a b' 'it'\''s'");
        assert!(Command::new("no-such-program").run().unwrap_err().to_string().contains("not installed"));
        let slow = Command::new("sleep").args(["60"]).patience(Duration::from_millis(50));
        assert!(slow.run().unwrap_err().to_string().contains("did not end"));
    }
}
