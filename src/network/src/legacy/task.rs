//! What pvesh(1) says of a task: the UPID that it prints, and the status and log that are asked for later.

use serde_json::Value;

/// How a Proxmox task stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It still runs.
    Running,
    /// It ended well, perhaps with warnings.
    Done {
        /// Such as `WARNINGS: 2`.
        warnings: Option<String>,
    },
    /// It failed, and what it says.
    Failed(String),
}

/// The last UPID in what pvesh printed. A task that ran in pvesh's own process is printed with its
/// log, and one on another node as a JSON string; an UPID has no blank and no quote.
pub fn upid(printed: &str) -> Option<&str> {
    let at = printed.rfind("UPID:")?;
    let rest = &printed[at..];
    let plain = |c: char| c.is_ascii_alphanumeric() || ":@.!_-".contains(c);
    let upid = &rest[..rest.find(|c| !plain(c)).unwrap_or(rest.len())];
    // UPID:node:pid:pstart:starttime:type:id:user: (PVE::Tools::upid_decode)
    (upid.matches(':').count() >= 7).then_some(upid)
}

/// Reads the answer of `pvesh get /nodes/N/tasks/UPID/status --output-format json`.
pub fn status(answer: &str) -> Option<Status> {
    let value: Value = serde_json::from_str(answer.trim()).ok()?;
    match value.get("status")?.as_str()? {
        "running" => Some(Status::Running),
        "stopped" => {
            let exit = value.get("exitstatus").and_then(Value::as_str).unwrap_or("it left no exit status");
            Some(match exit {
                "OK" => Status::Done { warnings: None },
                exit if exit.starts_with("WARNINGS") => Status::Done { warnings: Some(exit.to_owned()) },
                exit => Status::Failed(exit.to_owned()),
            })
        }
        _ => None,
    }
}

/// How many lines of a log are repeated in a message.
const LINES: usize = 2;

/// What the answer of `pvesh get /nodes/N/tasks/UPID/log --output-format json` says went wrong: ifupdown2's
/// last `error:` lines, or else the log's last lines. The line in which Proxmox repeats how the task ended
/// doesn't count.
pub fn reason(answer: &str) -> Option<String> {
    let value: Value = serde_json::from_str(answer.trim()).ok()?;
    let texts = value.as_array()?.iter().filter_map(|line| line.get("t")?.as_str()).map(str::trim);
    let said: Vec<&str> = texts.filter(|t| !t.is_empty() && !t.starts_with("TASK ")).collect();
    let errors: Vec<&str> = said.iter().copied().filter(|t| t.starts_with("error:")).collect();
    let lines = if errors.is_empty() { said } else { errors };
    (!lines.is_empty()).then(|| lines[lines.len().saturating_sub(LINES)..].join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPID: &str = "UPID:pve1:0000A1B2:00C3D4E5:6561F000:srvreload:networking:root@pam:";

    #[test]
    fn the_upid_is_found_wherever_pvesh_puts_it() {
        let quoted = format!("\"{UPID}\"\n");
        let logged = format!("reloading network config\nwarning: x\n{UPID}\n");
        let token = UPID.replace("root@pam", "root@pam!ci-1");
        for (printed, expected) in [
            (UPID, Some(UPID)),
            (quoted.as_str(), Some(UPID)),
            (logged.as_str(), Some(UPID)),
            (token.as_str(), Some(token.as_str())),
            ("", None),
            ("UPID:", None),
            ("UPID:pve1:1:2", None),
            ("no task", None),
        ] {
            assert_eq!(upid(printed), expected, "{printed:?}");
        }
    }

    #[test]
    fn a_status_is_running_done_failed_or_not_understood() {
        let failed = |why: &str| Some(Status::Failed(why.to_owned()));
        for (answer, expected) in [
            (r#"{"status":"running","pid":1}"#, Some(Status::Running)),
            (r#"{"status":"stopped","exitstatus":"OK"}"#, Some(Status::Done { warnings: None })),
            (
                "{\"status\":\"stopped\",\"exitstatus\":\"WARNINGS: 1\"}\n",
                Some(Status::Done { warnings: Some("WARNINGS: 1".into()) }),
            ),
            (
                r#"{"status":"stopped","exitstatus":"command 'ifreload -a' failed: exit code 1"}"#,
                failed("command 'ifreload -a' failed: exit code 1"),
            ),
            (r#"{"status":"stopped"}"#, failed("it left no exit status")),
            (r#"{"status":"paused"}"#, None),
            ("[]", None),
            ("no json", None),
        ] {
            assert_eq!(status(answer), expected, "{answer}");
        }
    }

    #[test]
    fn a_log_is_reduced_to_what_went_wrong() {
        let log = |lines: &[&str]| {
            let lines = lines.iter().enumerate().map(|(n, t)| serde_json::json!({"n": n + 1, "t": t}));
            Value::from_iter(lines).to_string()
        };
        let end = "TASK ERROR: command 'ifreload -a' failed: exit code 1";
        for (answer, expected) in [
            (
                log(&["reloading network config", "error: a", "warning: b", "error: c", "", end]),
                Some("error: a; error: c"),
            ),
            (log(&["error: a", "error: b", "error: c", end]), Some("error: b; error: c")),
            (log(&["x", "y", " z ", end]), Some("y; z")),
            (log(&["x"]), Some("x")),
            (log(&[end]), None),
            (log(&[]), None),
            ("{}".to_owned(), None),
            (r#"[{"n":1},{"t":2},{"t":"x"}]"#.to_owned(), Some("x")),
            ("no json".to_owned(), None),
        ] {
            assert_eq!(reason(&answer).as_deref(), expected, "{answer}");
        }
    }
}
