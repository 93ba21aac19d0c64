//! Calls of pvesh(1), Proxmox's own command for its API: root needs no password, and the Perl runs
//! in pvesh's process or on the node that it concerns.

use std::time::{Duration, Instant};

use host::{Command, Error, Output, Result};

use super::task::{self, Status};

/// How long pvesh may take for a question that changes nothing.
const QUESTION: Duration = Duration::from_secs(60);

/// How often in a row a task's status may be unreadable before we give up asking.
const TRIES: u32 = 3;

/// How many lines of a task's log are read: more than ifupdown2 writes for a thousand bridges.
const LOG_LINES: &str = "20000";

/// How ifupdown2 says that another instance of it is at work.
const BUSY: &str = "exit code 89";

/// pvesh on this node.
#[derive(Debug)]
pub(super) struct Pvesh<'a> {
    node: &'a str,
}

/// How a reload ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reloaded {
    pub(super) upid: Option<String>,
    pub(super) warnings: Option<String>,
}

impl<'a> Pvesh<'a> {
    /// # Errors
    /// It is not installed.
    pub(super) fn new(node: &'a str) -> Result<Self> {
        if Command::new("pvesh").find().is_none() {
            return Err(Error::new("cannot run pvesh: it is not installed; it comes with package pve-manager")
                .way_out("without Proxmox VE's own stack, 'ifreload -a' applies /etc/network/interfaces"));
        }
        Ok(Self { node })
    }

    fn call(&self, verb: &str, below: &str) -> Command {
        let path = format!("/nodes/{}/{below}", self.node);
        Command::new("pvesh").args([verb, &path, "--output-format", "json"])
    }

    /// How many interfaces Perl finds in the pending file, or else in the running one.
    pub(super) fn interfaces(&self) -> Result<usize> {
        let command = self.call("get", "network").patience(QUESTION);
        let out = succeeded(&command, command.run()?)?;
        let answer: Option<serde_json::Value> = serde_json::from_str(&out.stdout).ok();
        let list = answer.as_ref().and_then(serde_json::Value::as_array);
        list.map(Vec::len).ok_or_else(|| Error::new(format!("{} did not answer with a list", command.line())))
    }

    /// Makes the pending configuration the running one and waits until that is done. Another reload that
    /// is under way, such as one whose caller was killed, is waited for.
    pub(super) fn reload(&self, patience: Duration) -> Result<Reloaded> {
        let deadline = Instant::now() + patience;
        loop {
            match self.reload_once(deadline, patience) {
                Err(error) if error.to_string().contains(BUSY) && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_secs(1));
                }
                done => return done,
            }
        }
    }

    fn reload_once(&self, deadline: Instant, patience: Duration) -> Result<Reloaded> {
        // Rounded up, so that the message names the time that was asked for.
        let left = Duration::from_secs(deadline.saturating_duration_since(Instant::now()).as_secs() + 1);
        let command = self.call("set", "network").patience(left);
        let out = command
            .run()
            .map_err(|e| e.way_out("what it started may still be at work: look at 'pvesh get /cluster/tasks'"))?;
        let printed = succeeded(&command, out)?.stdout;
        let Some(upid) = task::upid(&printed) else {
            return Ok(Reloaded { upid: None, warnings: None });
        };
        let warnings = self.wait(upid, deadline, patience)?;
        Ok(Reloaded { upid: Some(upid.to_owned()), warnings })
    }

    fn wait(&self, upid: &str, deadline: Instant, patience: Duration) -> Result<Option<String>> {
        let log = || format!("its log: pvesh get /nodes/{}/tasks/{upid}/log", self.node);
        let command = self.call("get", &format!("tasks/{upid}/status")).patience(QUESTION);
        let (mut pause, mut unread) = (Duration::from_millis(100), 0);
        loop {
            match command.run().ok().filter(Output::success).and_then(|out| task::status(&out.stdout)) {
                Some(Status::Done { warnings }) => return Ok(warnings),
                Some(Status::Failed(why)) => {
                    let said = self.reason(upid).map_or_else(String::new, |said| format!(" ({said})"));
                    return Err(Error::new(format!("Proxmox's task failed: {why}{said}")).way_out(log()));
                }
                Some(Status::Running) => unread = 0,
                None => unread += 1,
            }
            if unread == TRIES {
                return Err(Error::new(format!("how the task {upid} ended can't be learned")).way_out(log()));
            }
            if Instant::now() > deadline {
                return Err(Error::new(format!(
                    "the task {upid} still runs after {} s and is left to itself",
                    patience.as_secs()
                ))
                .way_out(log()));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// What the task's log says went wrong. A log that can't be read costs only this part of the message.
    fn reason(&self, upid: &str) -> Option<String> {
        // Without a limit the API answers with the first 50 lines, and the reason stands in the last.
        let command = self.call("get", &format!("tasks/{upid}/log")).args(["--limit", LOG_LINES]).patience(QUESTION);
        command.run().ok().filter(Output::success).and_then(|out| task::reason(&out.stdout))
    }
}

/// pvesh says what went wrong in the last lines of its standard error; usage comes before.
fn succeeded(command: &Command, out: Output) -> Result<Output> {
    if out.success() {
        return Ok(out);
    }
    let said = out.stderr.lines().map(str::trim).rfind(|l| !l.is_empty()).unwrap_or("it gave no reason").to_owned();
    let how = out.code.map_or_else(|| "was killed".to_owned(), |code| format!("failed with exit code {code}"));
    Err(Error::new(format!("{} {how}: {said}", command.line())))
}
